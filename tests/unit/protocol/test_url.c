/* Percent-decoding and query strings; hostile ones are Q3 of the catalogue. */
#include <criterion/criterion.h>

#include "protocol/url.h"

static uint8_t out[8192];

static enum err decode(const char *text, bool plus, const char *expected)
{
    size_t len = 0;
    const enum err err = url_decode(slice_text(text), plus, out, sizeof out, &len);

    if (err == OK && expected != NULL) cr_expect(slice_is(slice_of(out, len), expected), "%s", text);
    return err;
}

Test(url, decodes_escapes)
{
    cr_expect_eq(decode("a%20b%c3%A4+", false, "a b\xc3\xa4+"), OK);
    cr_expect_eq(decode("a+b%2B", true, "a b+"), OK);
    cr_expect_eq(decode("", true, ""), OK);
    cr_expect_eq(decode("%0a%0D%09", true, "\n\r\t"), OK);
}

Test(url, Q3_refuses_what_is_not_text)
{
    static const char *const bad[] = {
        "%",      "%4",        "%4g",          "a%zz",      "%00",          "a%00b",        "%c0%af",
        "%c1%bf", "%e0%80%af", "%f0%80%80%af", "%ed%a0%80", "%f4%90%80%80", "%f5%80%80%80", "%80",
        "%c3",    "%e2%82",    "%c3a",         "\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(decode(bad[i], true, NULL), ERR_MALFORMED, "%s", bad[i]);
    cr_expect_eq(decode("%f4%8f%bf%bf%ee%80%80%e0%a0%80%f0%90%80%80", true, NULL), OK);
}

Test(url, stays_within_its_buffer)
{
    size_t len = 99;
    uint8_t *const exact = malloc(3);

    cr_expect_eq(url_decode(slice_text("%41bc"), false, exact, 3, &len), OK);
    cr_expect_eq(len, 3);
    cr_expect_eq(url_decode(slice_text("%41bcd"), false, exact, 3, &len), ERR_FULL);
    cr_expect_eq(len, 3, "untouched on failure");
    free(exact);
}

static struct http1_query query;
static struct slice key, value;

static enum err next(const char *expected_key, const char *expected_value)
{
    const enum err err = http1_query_next(&query, &key, &value);

    if (err != OK) return err;
    cr_expect(slice_is(key, expected_key), "key %.*s", (int)key.len, (const char *)key.ptr);
    cr_expect(slice_is(value, expected_value), "value %.*s", (int)value.len, (const char *)value.ptr);
    return OK;
}

Test(query, gives_pairs_in_order)
{
    http1_query_init(&query, slice_text("a=b&&c&d=&=e&%66=%3D%26&g=h=i&j+k=l+m&"), out, sizeof out);
    cr_expect_eq(next("a", "b"), OK);
    const struct slice first_key = key;
    cr_expect_eq(next("c", ""), OK);
    cr_expect_eq(next("d", ""), OK);
    cr_expect_eq(next("", "e"), OK);
    cr_expect_eq(next("f", "=&"), OK);
    cr_expect_eq(next("g", "h=i"), OK);
    cr_expect_eq(next("j k", "l m"), OK);
    cr_expect_eq(next("", ""), ERR_NOT_FOUND);
    cr_expect_eq(next("", ""), ERR_NOT_FOUND);
    cr_expect(slice_is(first_key, "a"), "pieces live as long as the scratch");
}

Test(query, an_empty_query_has_no_pairs)
{
    http1_query_init(&query, (struct slice){0}, out, sizeof out);
    cr_expect_eq(next("", ""), ERR_NOT_FOUND);
    http1_query_init(&query, slice_text("&&&"), out, sizeof out);
    cr_expect_eq(next("", ""), ERR_NOT_FOUND);
}

Test(query, Q3_refuses_broken_pairs)
{
    http1_query_init(&query, slice_text("a=%00"), out, sizeof out);
    cr_expect_eq(next("", ""), ERR_MALFORMED);
    http1_query_init(&query, slice_text("%=b"), out, sizeof out);
    cr_expect_eq(next("", ""), ERR_MALFORMED);
}

Test(query, Q2_counts_parameters)
{
    char text[4096];
    size_t len = 0;

    for (unsigned i = 0; i < HTTP1_QUERY_PARAMETERS_MAX; i++, len += 4)
        memcpy(text + len, "a=b&", 4);
    http1_query_init(&query, slice_of(text, len), out, sizeof out);
    for (unsigned i = 0; i < HTTP1_QUERY_PARAMETERS_MAX; i++)
        cr_assert_eq(next("a", "b"), OK);
    cr_expect_eq(next("", ""), ERR_NOT_FOUND);
    memcpy(text + len, "c", 1);
    http1_query_init(&query, slice_of(text, len + 1), out, sizeof out);
    for (unsigned i = 0; i < HTTP1_QUERY_PARAMETERS_MAX; i++)
        cr_assert_eq(next("a", "b"), OK);
    cr_expect_eq(next("", ""), ERR_TOO_LARGE);
}

Test(query, a_full_scratch_is_told)
{
    http1_query_init(&query, slice_text("abc=de"), out, 4);
    cr_expect_eq(next("", ""), ERR_TOO_LARGE);
}
