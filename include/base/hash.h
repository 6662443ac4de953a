/*
 * Hashes. hash64() with seed 0 (XXH64) reaches the disk and never changes; hash_fast() (XXH3) is for tables
 * in memory and takes a random seed, so that a client cannot choose collisions.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hash64(const void *bytes, size_t len)
{
    return XXH64(bytes, len, 0);
}

static inline uint64_t hash_fast(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

/* Mixes a fixed-size id; for tables keyed by ids. */
static inline uint64_t hash_mix(uint64_t x, uint64_t seed)
{
    x ^= seed;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    return x ^ (x >> 32);
}

#endif
