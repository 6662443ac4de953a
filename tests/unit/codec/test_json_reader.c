/* The JSON reader: rows J1, J2, J5, J7 and J10 of the catalogue. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json_reader.h"

/* The whole text read, in an allocation of its own; tokens become letters: {}[]k s n t f z. */
static const char *walk(struct slice text, long *wrong_at, const char **reason)
{
    static char letters[4096];
    static const char names[] = "{}[]ksntfz.";
    uint8_t *const copy = malloc(text.len + 1);
    struct json_reader reader;
    struct json_token token = {.type = JSON_NULL};
    size_t len = 0;
    enum err err = OK;

    memcpy(copy, text.ptr, text.len);
    json_reader_init(&reader, slice_of(copy, text.len));
    while (err == OK && token.type != JSON_END) {
        err = json_next(&reader, &token);
        if (err == OK && len + 1 < sizeof letters) letters[len++] = names[token.type];
    }
    letters[len] = '\0';
    *wrong_at = err == OK ? -1 : reader.at - copy;
    *reason = err == OK ? "" : reader.reason;
    free(copy);
    return letters;
}

static void good(const char *text, const char *expected)
{
    long at;
    const char *reason;

    cr_expect_str_eq(walk(slice_text(text), &at, &reason), expected, "%s", text);
    cr_expect_eq(at, -1, "%s: %s at %ld", text, reason, at);
}

static void bad(const char *text, long expected_at)
{
    long at;
    const char *reason;

    walk(slice_text(text), &at, &reason);
    cr_expect_eq(at, expected_at, "%s: '%s' at %ld, not %ld", text, reason, at, expected_at);
    if (at >= 0) cr_expect_eq(strncmp(reason, "JSON: ", 6), 0);
}

Test(json_reader, gives_the_tokens_in_order)
{
    good("{}", "{}.");
    good(" [ ] ", "[].");
    good("{\"a\":1,\"b\":[true,false,null,-0.5e+3,\"x\"],\"c\":{\"\":{}}}", "{knk[tfzns]k{k{}}}.");
    good("\t\r\n{ \"a\" : [ 1 , 2 ] }\n", "{k[nn]}.");
    good("\"text\"", "s.");
    good("12", "n.");
    good("[[[[]],[]]]", "[[[[]][]]].");
    good("[0,-0,0.0,10,1E5,1e-5,1.25E+07]", "[nnnnnnn].");
    good("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fc\",\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8d\x7f\"]", "[ss].");
}

Test(json_reader, J1_what_is_no_json_is_refused_where_it_goes_wrong)
{
    static const struct {
        const char *text;
        long at;
    } rows[] = {
        {"", 0},           {" ", 1},
        {"{", 1},          {"[", 1},
        {"}", 0},          {"]", 0},
        {",", 0},          {"{]", 1},
        {"[}", 1},         {"{}x", 2},
        {"{}{}", 2},       {"{} //", 3},
        {"[1,]", 3},       {"{\"a\":1,}", 7},
        {"[,1]", 1},       {"[1 2]", 3},
        {"[1,,2]", 3},     {"{,}", 1},
        {"{\"a\"}", 4},    {"{\"a\" 1}", 5},
        {"{\"a\":}", 5},   {"{\"a\":1 \"b\":2}", 7},
        {"{a:1}", 1},      {"{'a':1}", 1},
        {"['a']", 1},      {"{1:1}", 1},
        {"{\"a\"::1}", 5}, {"/**/{}", 0},
        {"[/**/]", 1},     {"\xef\xbb\xbf{}", 0},
        {"\xff\xfe{", 0},  {"[NaN]", 1},
        {"[Infinity]", 1}, {"[-Infinity]", 1},
        {"[+1]", 1},       {"[01]", 2},
        {"[-01]", 3},      {"[1.]", 1},
        {"[.5]", 1},       {"[1e]", 1},
        {"[1e+]", 1},      {"[-]", 1},
        {"[0x10]", 2},     {"[1.2.3]", 4},
        {"[tru]", 1},      {"[truex]", 5},
        {"[True]", 1},     {"[nul", 1},
        {"[\"a]", 4},      {"[\"a", 3},
        {"{\"a", 3},       {"{\"a\"", 4},
        {"{\"a\":", 5},    {"[1", 2},
        {"[1,", 3},        {"\x0b[]", 0},
        {"[1]\x0c", 3},    {"[\xc2\xa0]", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        bad(rows[i].text, rows[i].at);
}

Test(json_reader, J1_every_proper_prefix_is_refused)
{
    static const char text[] =
        "{\"a\":[1.5e3,\"\\u00fc\xc3\xbc\",{\"b\":null}],\"long enough for words\":true}";

    for (size_t len = 0; len < sizeof text - 1; len++) {
        long at;
        const char *reason;
        walk(slice_of(text, len), &at, &reason);
        cr_expect_geq(at, 0, "%zu", len);
        cr_expect_leq(at, (long)len);
    }
}

Test(json_reader, J2_160_levels_are_taken_and_161_are_not)
{
    static uint8_t text[5 << 20];
    long at;
    const char *reason;

    for (unsigned levels = 159; levels <= 161; levels++) {
        memset(text, '[', levels);
        memset(text + levels, ']', levels);
        walk(slice_of(text, 2 * levels), &at, &reason);
        cr_expect_eq(at, levels <= 160 ? -1 : 160, "%u", levels);
    }
    memset(text, '[', sizeof text);
    walk(slice_of(text, sizeof text), &at, &reason);
    cr_expect_eq(at, 160);
    for (size_t i = 0; i + 5 <= sizeof text; i += 5)
        memcpy(text + i, "{\"\":[", 5);
    walk(slice_of(text, sizeof text), &at, &reason);
    cr_expect_eq(at, 400);
}

Test(json_reader, J10_strings_are_utf8_without_control_bytes_and_with_sound_escapes)
{
    char text[64];

    for (unsigned c = 0; c < 32; c++) {
        const uint8_t bytes[] = {'"', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', (uint8_t)c, 'i', 'j', '"'};
        long at;
        const char *reason;
        walk(slice_of(bytes, sizeof bytes), &at, &reason);
        cr_expect_eq(at, 9, "byte %u", c);
    }
    for (unsigned c = 1; c < 256; c++) {
        if (strchr("\"\\/bfnrtu", (int)c) != NULL) continue;
        snprintf(text, sizeof text, "[\"ab\\%c\"]", (int)c);
        bad(text, 4);
    }
    bad("\"\\u12\"", 1);
    bad("\"\\u12g4\"", 1);
    bad("\"\\", 1);
    bad("\"\\u00", 1);
    bad("\"abc\x80\"", 4);
    bad("\"\xc0\x80\"", 1);
    bad("\"\xed\xa0\x80\"", 1);
    bad("\"\xf4\x90\x80\x80\"", 1);
    bad("\"\xe2\x82\"", 1);
    bad("\"\xe2\x82", 1);
}

/* Each byte at each place of a string, so that eight at a time and one by one say the same. */
Test(json_reader, finds_the_end_of_a_string_at_every_distance)
{
    for (unsigned before = 0; before < 24; before++) {
        for (unsigned c = 0; c < 256; c++) {
            uint8_t text[40];
            size_t len = 0;
            text[len++] = '"';
            memset(text + len, 'x', before);
            len += before;
            text[len++] = (uint8_t)c;
            memset(text + len, '~', 10);
            len += 10;
            text[len++] = '"';
            struct json_reader reader;
            struct json_token token;
            json_reader_init(&reader, slice_of(text, len));
            const enum err err = json_next(&reader, &token);
            const bool ends = c == '"';
            cr_assert_eq(err == OK, (c >= 0x20 && c < 0x80 && c != '\\') || ends, "%u at %u", c, before);
            if (err == OK) cr_assert_eq(token.text.len, ends ? before : before + 11);
        }
    }
}

static void says(const char *text, const char *expected, size_t len)
{
    uint8_t *const out = malloc(strlen(text) + 1);
    uint32_t replaced = 0, marks = 0;

    cr_expect_eq(json_unescape(slice_text(text), out, &replaced), len, "%s", text);
    for (size_t at = 0; at + 3 <= len; at++)
        marks += memcmp(expected + at, "\xef\xbf\xbd", 3) == 0;
    cr_expect_eq(replaced, marks, "%s: %u", text, replaced);
    cr_expect_eq(memcmp(out, expected, len), 0, "%s", text);
    free(out);
}

Test(json_reader, J10_escapes_become_characters)
{
    says("", "", 0);
    says("plain", "plain", 5);
    says("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
    says("a\\u0000b", "a\0b", 3);
    says("\\u007f\\u0080\\u07ff\\u0800\\uFFFF", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11);
    says("\\ud83d\\ude00", "\xf0\x9f\x98\x80", 4);
    says("\\uD800\\uDC00\\uDBFF\\uDFFF", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8);
    says("\\ud83d", "\xef\xbf\xbd", 3);
    says("\\ude00x", "\xef\xbf\xbdx", 4);
    says("\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7);
    says("\\ud83d\\n", "\xef\xbf\xbd\n", 4);
    says("\\ud83d\\u0041",
         "\xef\xbf\xbd"
         "A",
         4);
}

Test(json_reader, J7_integers_are_exact_whatever_way_they_are_written)
{
    static const struct {
        const char *text;
        bool integer;
        int64_t as_int;
        uint64_t as_uint;
        bool int_clamped, uint_clamped;
    } rows[] = {
        {"0", true, 0, 0, false, false},
        {"-0", true, 0, 0, false, false},
        {"0e99999999999999999999", true, 0, 0, false, false},
        {"0.000", true, 0, 0, false, false},
        {"1", true, 1, 1, false, false},
        {"-1", true, -1, 0, false, true},
        {"1.0", true, 1, 1, false, false},
        {"1e3", true, 1000, 1000, false, false},
        {"1.5e1", true, 15, 15, false, false},
        {"1500e-2", true, 15, 15, false, false},
        {"1.25e1", false, 0, 0, false, false},
        {"0.5", false, 0, 0, false, false},
        {"1e-1", false, 0, 0, false, false},
        {"1e-99999999999999999999", false, 0, 0, false, false},
        {"9007199254740993", true, 9007199254740993, 9007199254740993, false, false},
        {"1700000000123456789", true, 1700000000123456789, 1700000000123456789, false, false},
        {"1.700000000123456789e18", true, 1700000000123456789, 1700000000123456789, false, false},
        {"9223372036854775807", true, INT64_MAX, INT64_MAX, false, false},
        {"9223372036854775808", true, INT64_MAX, 1ULL << 63, true, false},
        {"-9223372036854775808", true, INT64_MIN, 0, false, true},
        {"-9223372036854775809", true, INT64_MIN, 0, true, true},
        {"18446744073709551615", true, INT64_MAX, UINT64_MAX, true, false},
        {"18446744073709551616", true, INT64_MAX, UINT64_MAX, true, true},
        {"1e+21", true, INT64_MAX, UINT64_MAX, true, true},
        {"-1e21", true, INT64_MIN, 0, true, true},
        {"1e99999999999999999999", true, INT64_MAX, UINT64_MAX, true, true},
        {"100000000000000000000000.5", false, 0, 0, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t as_int = 0;
        uint64_t as_uint = 0;
        bool int_clamped = false, uint_clamped = false;
        cr_expect(json_is_number(slice_text(rows[i].text)), "%s", rows[i].text);
        cr_expect_eq(json_to_int64(slice_text(rows[i].text), &as_int, &int_clamped), rows[i].integer, "%s",
                     rows[i].text);
        cr_expect_eq(json_to_uint64(slice_text(rows[i].text), &as_uint, &uint_clamped), rows[i].integer, "%s",
                     rows[i].text);
        if (rows[i].integer) cr_expect_eq(int_clamped, rows[i].int_clamped, "%s", rows[i].text);
        if (rows[i].integer) cr_expect_eq(uint_clamped, rows[i].uint_clamped, "%s", rows[i].text);
        cr_expect_eq(as_int, rows[i].as_int, "%s: %ld", rows[i].text, as_int);
        cr_expect_eq(as_uint, rows[i].as_uint, "%s: %lu", rows[i].text, as_uint);
    }
    static const char *const none[] = {"", " 1", "1 ", "+1", "01", "1.", "x", "-", "1e", "0x1", "Infinity"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_expect_not(json_is_number(slice_text(none[i])), "%s", none[i]);
}

Test(json_reader, B14_doubles_are_the_nearest)
{
    static const char *const texts[] = {
        "0", "-0", "0.1", "1e21", "5e-324", "1.7976931348623157e308", "1e-400", "1e9999", "2e-1", "-1.5E+3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const double expected = strtod(texts[i], NULL);
        double value;
        cr_assert(json_to_double(slice_text(texts[i]), &value));
        cr_expect_eq(memcmp(&value, &expected, 8), 0, "%s", texts[i]);
    }
    char digits[JSON_DOUBLE_CHARS_MAX + 1];
    double value;
    memset(digits, '1', sizeof digits);
    cr_expect(json_to_double(slice_of(digits, JSON_DOUBLE_CHARS_MAX), &value));
    cr_expect(isinf(value));
    cr_expect_not(json_to_double(slice_of(digits, sizeof digits), &value));
}

Test(json_reader, skips_the_value_behind_a_key)
{
    static const char text[] = "{\"a\":{\"b\":[1,{\"c\":[]}],\"d\":2},\"e\":\"f\",\"g\":3}";
    struct json_reader reader;
    struct json_token token;
    unsigned keys = 0;

    json_reader_init(&reader, slice_text(text));
    cr_assert_eq(json_next(&reader, &token), OK);
    for (;;) {
        cr_assert_eq(json_next(&reader, &token), OK);
        if (token.type != JSON_KEY) break;
        keys++;
        cr_assert_eq(json_skip(&reader), OK);
    }
    cr_expect_eq(keys, 3);
    cr_expect_eq(token.type, JSON_OBJECT_END);
    cr_assert_eq(json_next(&reader, &token), OK);
    cr_expect_eq(token.type, JSON_END);
}
