/*
 * The key of fingerprints. Sixteen random bytes are stretched by a mixer: nobody outside sees a fingerprint, so there is
 * nothing from which the key could be found.
 */
#include "base/fingerprint.h"

#include "base/assert.h"

#include <sys/auxv.h>

static const uint64_t STEP = 0x9e3779b97f4a7c15ULL; /* from one word that is stretched to the next */

void fingerprint_key_make(struct fingerprint_key *key)
{
    uint64_t *const words = (uint64_t *)key;
    const void *const random = (const void *)(uintptr_t)getauxval(
        AT_RANDOM); /* sixteen bytes, see getauxval(3) */
    uint64_t seeds[2];

    assert(random != NULL);
    memcpy(seeds, random, sizeof seeds);
    for (uint64_t i = 0; i < sizeof *key / sizeof *words; i++)
        words[i] = hash_mix(seeds[0] + i * STEP, seeds[1]);
    key->fold |= 1;
}

/*
 * A piece's fingerprint is a word of a string that is fingerprinted in turn, under words of the key that are made as they are
 * needed. A fast hash with a secret seed would not do: XXH3 adds the seed to words that everybody knows, and whoever
 * knows them writes two strings that agree for one seed in ten thousand.
 */
uint64_t fingerprint_long(const struct fingerprint_key *key, const uint8_t *bytes, size_t len)
{
    unsigned __int128 sum = (unsigned __int128)len * key->length;
    uint64_t word = key->seed;

    for (size_t at = 0; at < len; at += FINGERPRINT_BYTES) {
        const size_t left = len - at;
        const uint64_t words[2] = {hash_mix(word + STEP, key->length),
                                   hash_mix(word + 2 * STEP, key->length)};
        const uint64_t print = fingerprint(key, bytes + at,
                                           left < FINGERPRINT_BYTES ? left : FINGERPRINT_BYTES);
        sum += fingerprint_pair(words, print, 0);
        word += 2 * STEP;
    }
    return fingerprint_fold(key, sum);
}
