/* Split-block filters: no false negatives, few false positives, exact folding and unfolding, stable hashes.
 */
#include "store/filter.h"

#include "base/hash.h"
#include "model/trace.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static uint64_t key(uint64_t number)
{
    return hash64(&number, sizeof number);
}

static struct filter make(uint32_t cells, uint64_t keys)
{
    struct filter filter = {.cells = cells, .bytes = calloc(cells, FILTER_CELL_BYTES)};

    for (uint64_t i = 0; i < keys; i++)
        filter_add(&filter, key(i));
    return filter;
}

/* Per mille of 20,000 foreign keys that the filter does not exclude. */
static double false_per_mille(const struct filter *filter, uint64_t keys)
{
    unsigned wrong = 0;

    for (uint64_t i = 0; i < 20000; i++)
        wrong += filter_may_contain(filter, key(keys + 1000000 + i));
    return wrong / 20.0;
}

Test(filter, has_the_cells_asked_for)
{
    cr_assert_eq(filter_cells_for(0, 10, 32768), 1);
    cr_assert_eq(filter_cells_for(1, 16, 32768), 1);
    cr_assert_eq(filter_cells_for(16, 16, 32768), 1);
    cr_assert_eq(filter_cells_for(17, 16, 32768), 2);
    cr_assert_eq(filter_cells_for(82700, 10, 32768), 4096); /* storage-and-io: a measured block */
    cr_assert_eq(filter_cells_for(UINT64_MAX, 64, 32768), 32768);
    cr_assert_eq(filter_cells_for(1000000, 10, 256), 256);
}

Test(filter, never_denies_a_key_it_holds)
{
    for (uint32_t cells = 1; cells <= 4096; cells *= 4) {
        struct filter filter = make(cells, 3000);
        for (uint64_t i = 0; i < 3000; i++)
            cr_assert(filter_may_contain(&filter, key(i)), "cells %u key %lu", cells, (unsigned long)i);
        free(filter.bytes);
    }
}

Test(filter, lets_few_foreign_keys_pass)
{
    struct filter ten = make(4096, 104857);    /* 10 bits per key */
    struct filter sixteen = make(4096, 65536); /* 16 */
    const double at_ten = false_per_mille(&ten, 104857), at_sixteen = false_per_mille(&sixteen, 65536);

    cr_assert_lt(at_ten, 20.0, "10 bits: %f per mille", at_ten);
    cr_assert_lt(at_sixteen, 3.0, "16 bits: %f per mille", at_sixteen);
    cr_assert_gt(at_ten, 3.0, "10 bits: %f per mille is too good to be true", at_ten);
    free(ten.bytes);
    free(sixteen.bytes);
}

Test(filter, without_cells_excludes_nothing)
{
    const struct filter none = {.cells = 0};
    uint8_t cell[FILTER_CELL_BYTES];

    cr_assert(filter_may_contain(&none, 12345));
    filter_cell_at(&none, 8, 3, cell);
    for (unsigned i = 0; i < sizeof cell; i++)
        cr_assert_eq(cell[i], 0xff);
}

Test(filter, folds_to_exactly_the_smaller_filter)
{
    struct filter large = make(1024, 5000);

    while (large.cells > 1) {
        filter_fold(&large);
        struct filter small = make(large.cells, 5000);
        cr_assert_arr_eq(large.bytes, small.bytes, (size_t)small.cells * FILTER_CELL_BYTES);
        free(small.bytes);
    }
    free(large.bytes);
}

Test(filter, reads_as_any_size)
{
    struct filter filter = make(64, 700);
    uint8_t cell[FILTER_CELL_BYTES];

    for (uint32_t cells = 1; cells <= 1024; cells *= 2) {
        struct filter same = make(cells < 64 ? cells : 64, 700);
        for (uint32_t i = 0; i < cells; i++) {
            filter_cell_at(&filter, cells, i, cell);
            const uint32_t own = cells <= 64 ? i : i / (cells / 64);
            cr_assert_arr_eq(cell, same.bytes + (size_t)own * FILTER_CELL_BYTES, FILTER_CELL_BYTES);
        }
        for (uint64_t i = 0; i < 700; i++) {
            filter_cell_at(&filter, cells, filter_cell_index(cells, key(i)), cell);
            cr_assert(filter_cell_may_contain(cell, key(i)));
        }
        /* A foreign key is judged as by the filter at the smaller of the two sizes. */
        for (uint64_t i = 1000; i < 3000; i++) {
            filter_cell_at(&filter, cells, filter_cell_index(cells, key(i)), cell);
            cr_assert_eq(filter_cell_may_contain(cell, key(i)), filter_may_contain(&same, key(i)));
        }
        free(same.bytes);
    }
    free(filter.bytes);
}

Test(filter, build_forgets_what_was_there)
{
    struct filter filter = make(16, 500);
    const uint64_t one = key(1);
    struct filter fresh = {.cells = 16, .bytes = calloc(16, FILTER_CELL_BYTES)};

    filter_add(&fresh, one);
    filter_build(&filter, &one, 1);
    cr_assert_arr_eq(filter.bytes, fresh.bytes, (size_t)16 * FILTER_CELL_BYTES);
    free(filter.bytes);
    free(fresh.bytes);
}

/* Bits of one cell as the Parquet specification computes them: a change here would orphan every stored
 * filter. */
Test(filter, sets_the_bits_of_the_parquet_format)
{
    struct filter filter = {.cells = 1, .bytes = calloc(1, FILTER_CELL_BYTES)};
    static const uint32_t salts[8] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                      0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};
    uint32_t words[8];

    filter_add(&filter, 0xdeadbeef12345678ULL);
    memcpy(words, filter.bytes, sizeof words);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(words[i], 1U << ((0x12345678U * salts[i]) >> 27));
    free(filter.bytes);
}

Test(filter, hashes_apart_what_differs)
{
    const struct slice key_a = slice_text("http.method"), value = slice_text("GET");
    const uint64_t base = filter_hash_token(LEVEL_SPAN, key_a, VALUE_STRING, value);

    cr_assert_eq(base, filter_hash_token(LEVEL_SPAN, key_a, VALUE_STRING, value));
    cr_assert_neq(base, filter_hash_token(LEVEL_RESOURCE, key_a, VALUE_STRING, value));
    cr_assert_neq(base, filter_hash_token(LEVEL_SPAN, key_a, VALUE_BYTES, value));
    cr_assert_neq(base, filter_hash_token(LEVEL_SPAN, slice_text("http.metho"), VALUE_STRING, value));
    cr_assert_neq(base, filter_hash_token(LEVEL_SPAN, key_a, VALUE_STRING, slice_text("GE")));
    cr_assert_neq(base, filter_hash_token(LEVEL_SPAN, key_a, VALUE_STRING, slice_of(NULL, 0)));
}
