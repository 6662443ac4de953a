#include "base/fingerprint.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct fingerprint_key made(void)
{
    struct fingerprint_key key;

    fingerprint_key_make(&key);
    return key;
}

Test(fingerprint, the_key_is_one_for_the_process_and_none_of_its_words_repeats)
{
    const struct fingerprint_key key = made(), again = made();
    const uint64_t *const words = (const uint64_t *)(const void *)&key;
    const size_t count = sizeof key / sizeof *words;

    cr_assert_arr_eq(&key, &again, sizeof key);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(words[i], words[j]);
}

/* Each bit of strings of every length has its say, and so has the length. */
Test(fingerprint, a_bit_or_a_byte_more_is_another_fingerprint)
{
    const struct fingerprint_key key = made();
    static uint8_t bytes[3 * FINGERPRINT_BYTES + 40];

    for (size_t len = 0; len < sizeof bytes; len += len < 80 ? 1 : len < FINGERPRINT_BYTES ? 13 : 97) {
        const uint64_t print = fingerprint(&key, bytes, len);
        cr_assert_neq(print, fingerprint(&key, bytes, len + 1), "%zu zeros and one more", len);
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_neq(print, fingerprint(&key, bytes, len), "bit %zu of %zu bytes", bit, len);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        cr_assert_eq(print, fingerprint(&key, bytes, len));
    }
}

/* Reads what it is given and not a byte more: the end of the string is the end of its memory. */
Test(fingerprint, reads_nothing_beyond_the_end)
{
    const struct fingerprint_key key = made();

    for (size_t len = 0; len <= FINGERPRINT_BYTES + 1; len++) {
        uint8_t *const exact = malloc(len + (len == 0));
        uint8_t in_front[FINGERPRINT_BYTES + 16];
        for (size_t i = 0; i < len; i++)
            exact[i] = in_front[i] = (uint8_t)(i * 7);
        memset(in_front + len, 0xff, 8);
        cr_assert_eq(fingerprint(&key, exact, len), fingerprint(&key, in_front, len), "%zu bytes", len);
        free(exact);
    }
}

/* Any key; the same for the same number. */
static struct fingerprint_key key_number(uint64_t number)
{
    struct fingerprint_key key;
    uint64_t *const words = (uint64_t *)(void *)&key;

    for (uint64_t i = 0; i < sizeof key / sizeof *words; i++)
        words[i] = hash_mix(number * 1000 + i, 0x2545f4914f6cdd1dULL);
    return key;
}

/*
 * Two strings that whoever knows XXH3 can write: their differences in two lanes, which one seed moves alike, cancel each other
 * for about one seed in ten thousand.
 */
Test(fingerprint, strings_made_to_collide_under_any_key_do_not)
{
    enum { LEN = 640, FIRST = 8, SECOND = 136, KEYS = 200000 };
    static const uint32_t between =
        0x8824c10a; /* what a carry most often makes of the two words of the secret */
    uint8_t one[LEN], other[LEN];
    uint32_t word;
    unsigned fast = 0;

    for (unsigned i = 0; i < LEN; i++)
        one[i] = (uint8_t)('a' + i % 26);
    memcpy(&word, one + FIRST, sizeof word);
    word ^= between;
    memcpy(one + SECOND, &word, sizeof word);
    memcpy(other, one, LEN);
    other[FIRST + 7] ^= 0x80;
    other[SECOND + 7] ^= 0x80;
    for (uint64_t i = 0; i < KEYS; i++) {
        const struct fingerprint_key key = key_number(i);
        cr_assert_neq(fingerprint(&key, one, LEN), fingerprint(&key, other, LEN), "key %llu",
                      (unsigned long long)i);
        fast += hash_fast(one, LEN, key.seed) == hash_fast(other, LEN, key.seed);
    }
    cr_assert_gt(fast, 0, "they are what they are meant to be");
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int put_text(char *text, size_t room, unsigned i)
{
    switch (i % 4) {
    case 0: return snprintf(text, room, "%u", i);
    case 1: return snprintf(text, room, "message.size %u", i);
    case 2: return snprintf(text, room, "/api/v1/products/%u?id=%u", i, i * 3);
    default: return snprintf(text, room, "%08x-%016x", i, i * 3);
    }
}

/* Numbers, ids and paths that differ little: half a million of them, and 64 bits are enough for none to meet. */
Test(fingerprint, strings_that_differ_little_do_not_meet)
{
    enum { COUNT = 500000 };
    const struct fingerprint_key key = made();
    uint64_t *const prints = malloc(COUNT * sizeof *prints);

    for (unsigned i = 0; i < COUNT; i++) {
        char text[64];
        const int len = put_text(text, sizeof text, i);
        prints[i] = fingerprint(&key, (const uint8_t *)text, (size_t)len);
    }
    qsort(prints, COUNT, sizeof *prints, compare);
    for (unsigned i = 1; i < COUNT; i++)
        cr_assert_neq(prints[i - 1], prints[i]);
    free(prints);
}
