/*
 * The key of fingerprints. Sixteen random bytes are stretched by a mixer: nobody outside sees a fingerprint, so there is
 * nothing from which the key could be found.
 */
#include "base/fingerprint.h"

#include "base/assert.h"

#include <sys/auxv.h>

void fingerprint_key_make(struct fingerprint_key *key)
{
    uint64_t *const words = (uint64_t *)key;
    const void *const random = (const void *)(uintptr_t)getauxval(
        AT_RANDOM); /* sixteen bytes, see getauxval(3) */
    uint64_t seeds[2];

    assert(random != NULL);
    memcpy(seeds, random, sizeof seeds);
    for (uint64_t i = 0; i < sizeof *key / sizeof *words; i++)
        words[i] = hash_mix(seeds[0] + i * 0x9e3779b97f4a7c15ULL, seeds[1]);
    key->fold |= 1;
}
