#include "base/crc32c.h"

#include <criterion/criterion.h>

/* Bit by bit, from the polynomial alone. */
static uint32_t crc32c_plain(uint32_t seed, const uint8_t *bytes, size_t len)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

static uint8_t data[16 * 1024];

static void fill(void)
{
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        state = state * 1664525U + 1013904223U;
        data[i] = (uint8_t)(state >> 24);
    }
}

Test(crc32c, gives_the_check_value_of_its_polynomial)
{
    cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283U);
}

Test(crc32c, gives_the_values_of_rfc_3720)
{
    uint8_t bytes[32];

    memset(bytes, 0, sizeof bytes);
    cr_assert_eq(crc32c(0, bytes, sizeof bytes), 0x8a9136aaU);
    memset(bytes, 0xff, sizeof bytes);
    cr_assert_eq(crc32c(0, bytes, sizeof bytes), 0x62a8ab43U);
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    cr_assert_eq(crc32c(0, bytes, sizeof bytes), 0x46dd794eU);
}

Test(crc32c, of_nothing_is_the_seed)
{
    cr_assert_eq(crc32c(0, NULL, 0), 0);
    cr_assert_eq(crc32c(0x12345678U, NULL, 0), 0x12345678U);
}

Test(crc32c, equals_the_plain_sum_for_every_length_and_alignment, .init = fill)
{
    for (size_t offset = 0; offset < 9; offset++)
        for (size_t len = 0; len < 200; len++)
            cr_assert_eq(crc32c(7, data + offset, len), crc32c_plain(7, data + offset, len),
                         "at %zu, %zu bytes", offset, len);
}

Test(crc32c, equals_the_plain_sum_around_the_lanes, .init = fill)
{
    for (size_t blocks = 1; blocks <= 4; blocks++)
        for (size_t around = 0; around < 40; around++) {
            const size_t len = blocks * 3072 - 20 + around;
            cr_assert_eq(crc32c(0, data + 3, len), crc32c_plain(0, data + 3, len), "%zu bytes", len);
        }
}

Test(crc32c, chains_over_any_cut, .init = fill)
{
    const uint32_t whole = crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut += 331)
        cr_assert_eq(crc32c(crc32c(0, data, cut), data + cut, sizeof data - cut), whole, "cut at %zu", cut);
}

Test(crc32c, sees_every_single_bit, .init = fill)
{
    const size_t len = 3072 + 13;
    const uint32_t good = crc32c(0, data, len);
    for (size_t bit = 0; bit < len * 8; bit += 7) {
        data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        cr_assert_neq(crc32c(0, data, len), good, "bit %zu", bit);
        data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}
