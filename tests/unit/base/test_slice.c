#include "base/hash.h"
#include "base/slice.h"

#include <criterion/criterion.h>

Test(slice, of_a_text_leaves_out_the_final_zero)
{
    cr_assert_eq(slice_text("abc").len, 3);
    cr_assert_eq(slice_text("").len, 0);
}

Test(slice, equality_looks_at_bytes_and_length)
{
    cr_assert(slice_is(slice_of("abcd", 3), "abc"));
    cr_assert_not(slice_is(slice_text("abc"), "abd"));
    cr_assert_not(slice_is(slice_text("abc"), "ab"));
    cr_assert(slice_equal(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    cr_assert_not(slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
}

Test(slice, empty_ones_are_equal_whatever_they_point_to)
{
    cr_assert(slice_equal(slice_of(NULL, 0), slice_of("x", 0)));
    cr_assert_eq(slice_compare(slice_of(NULL, 0), slice_of("x", 0)), 0);
}

Test(slice, order_is_that_of_unsigned_bytes_and_prefixes_come_first)
{
    cr_assert_lt(slice_compare(slice_text("a"), slice_text("b")), 0);
    cr_assert_lt(slice_compare(slice_text("a"), slice_text("\xff")), 0);
    cr_assert_lt(slice_compare(slice_text("ab"), slice_text("abc")), 0);
    cr_assert_gt(slice_compare(slice_text("b"), slice_text("abc")), 0);
    cr_assert_gt(slice_compare(slice_text("a"), slice_of(NULL, 0)), 0);
}

Test(hash, that_reaches_the_disk_never_changes)
{
    cr_assert_eq(hash64("", 0), 0xef46db3751d8e999ULL);
    cr_assert_eq(hash64("a", 1), 0xd24ec4f1a98c6e5bULL);
    cr_assert_eq(hash64("abc", 3), 0x44bc2cf5ad770999ULL);
}

Test(hash, for_tables_depends_on_the_seed)
{
    cr_assert_neq(hash_fast("abc", 3, 1), hash_fast("abc", 3, 2));
    cr_assert_neq(hash_mix(5, 1), hash_mix(5, 2));
    cr_assert_neq(hash_mix(5, 1), hash_mix(6, 1));
}
