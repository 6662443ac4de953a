/*
 * Fingerprints: 64 bits that stand for a string of bytes while it is looked up in memory. A secret key makes them a
 * universal hash: for any two different strings, whoever chose them, the share of keys for which they agree is about
 * 2^-60. (NH of UMAC, RFC 4418, section 5.2.1, with words of 64 bits, folded.) So one that was found may be taken for
 * the bytes; what is kept for good is still compared. Never written to disk, never shown.
 */
#ifndef BASE_FINGERPRINT_H
#define BASE_FINGERPRINT_H

#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FINGERPRINT_BYTES = 512 }; /* longer strings are taken in pieces of so many */

struct fingerprint_key {
    uint64_t words[FINGERPRINT_BYTES / 8 + 2];
    uint64_t length, fold, seed;
};

/* One key for a process: from the random bytes that the kernel gives it at its start. */
void fingerprint_key_make(struct fingerprint_key *key);

/* Of a string of more than FINGERPRINT_BYTES: use fingerprint(). */
uint64_t fingerprint_long(const struct fingerprint_key *key, const uint8_t *bytes, size_t len);

static inline uint64_t fingerprint_load(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline unsigned __int128 fingerprint_pair(const uint64_t *key, uint64_t first, uint64_t second)
{
    return (unsigned __int128)(first + key[0]) * (second + key[1]);
}

static inline uint64_t fingerprint_fold(const struct fingerprint_key *key, unsigned __int128 sum)
{
    return (uint64_t)sum + (uint64_t)(sum >> 64) * key->fold;
}

static inline __attribute__((always_inline)) uint64_t fingerprint(const struct fingerprint_key *key,
                                                                  const uint8_t *bytes, size_t len)
{
    unsigned __int128 sum = (unsigned __int128)len * key->length;

    if (__builtin_expect(len >= 16, 1)) {
        if (__builtin_expect(len > FINGERPRINT_BYTES, 0)) return fingerprint_long(key, bytes, len);
        for (size_t at = 0; at + 16 < len; at += 16)
            sum += fingerprint_pair(key->words + at / 8, fingerprint_load(bytes + at),
                                    fingerprint_load(bytes + at + 8));
        sum += fingerprint_pair(key->words + FINGERPRINT_BYTES / 8, fingerprint_load(bytes + len - 16),
                                fingerprint_load(bytes + len - 8));
    } else if (len >= 8) {
        sum += fingerprint_pair(key->words, fingerprint_load(bytes), fingerprint_load(bytes + len - 8));
    } else if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, bytes, sizeof first);
        memcpy(&last, bytes + len - 4, sizeof last);
        sum += fingerprint_pair(key->words, first, last);
    } else if (len > 0) {
        sum += fingerprint_pair(key->words,
                                (uint64_t)bytes[0] << 16 | (uint64_t)bytes[len / 2] << 8 | bytes[len - 1], 0);
    }
    return fingerprint_fold(key, sum);
}

#endif
