/* The JSON writer: structure, escaping of hostile text (Q8), numbers, small buffers and failing sinks. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/json.h"

static uint8_t buf[4096];
static struct json json;

static void begin(void)
{
    json_init(&json, buf, sizeof buf, NULL, NULL);
}

/* The text must be exactly this. */
static void is(const char *expected)
{
    cr_assert(json_finish(&json) == OK);
    cr_assert(json_size(&json) == json.len);
    cr_expect(slice_is(slice_of(buf, json.len), expected), "%.*s is not %s", (int)json.len, (const char *)buf,
              expected);
}

static void string_is(const char *text, size_t len, const char *expected)
{
    begin();
    json_string(&json, slice_of(text, len));
    is(expected);
}
#define STRING_IS(text, expected) string_is(text, sizeof(text) - 1, expected)

Test(json, writes_objects_and_arrays_with_their_commas)
{
    begin();
    json_object_begin(&json);
    json_key(&json, "a");
    json_array_begin(&json);
    json_array_end(&json);
    json_key(&json, "b");
    json_array_begin(&json);
    json_int(&json, 1);
    json_object_begin(&json);
    json_object_end(&json);
    json_null(&json);
    json_array_begin(&json);
    json_bool(&json, true);
    json_bool(&json, false);
    json_array_end(&json);
    json_raw(&json, slice_text("{\"x\":0}"));
    json_array_end(&json);
    json_key_slice(&json, slice_text("c\""));
    json_text(&json, "d");
    json_object_end(&json);
    is("{\"a\":[],\"b\":[1,{},null,[true,false],{\"x\":0}],\"c\\\"\":\"d\"}");
}

Test(json, nests_to_its_depth)
{
    begin();
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++) {
        if (i % 2 == 0) {
            json_array_begin(&json);
        } else {
            json_object_begin(&json);
            json_key(&json, "k");
        }
        if (i == JSON_DEPTH_MAX - 1) json_null(&json);
    }
    for (unsigned i = JSON_DEPTH_MAX; i-- > 0;) {
        if (i % 2 == 0) {
            json_array_end(&json);
        } else {
            json_object_end(&json);
        }
    }
    cr_assert(json_finish(&json) == OK);
    cr_expect(json_size(&json) == JSON_DEPTH_MAX * 2 + JSON_DEPTH_MAX / 2 * 4 + 4);
}

Test(json, Q8_escapes_what_could_mean_something)
{
    STRING_IS("", "\"\"");
    STRING_IS("plain /text~", "\"plain /text~\"");
    STRING_IS("\"\\\b\f\n\r\t", "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    STRING_IS("a\0b\x01\x1f\x7f", "\"a\\u0000b\\u0001\\u001f\\u007f\"");
    STRING_IS("</script>&", "\"\\u003c/script\\u003e\\u0026\"");
    STRING_IS("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\"\\u0080\\u009b\\u009f\xc2\xa0\"");
    STRING_IS("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa",
              "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"");
    STRING_IS("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

#define FFFD "\xef\xbf\xbd"
Test(json, Q8_replaces_what_is_not_UTF_8)
{
    STRING_IS("\x80", "\"" FFFD "\"");
    STRING_IS("a\xff\xfe"
              "b",
              "\"a" FFFD FFFD "b\"");
    STRING_IS("\xc0\xaf", "\"" FFFD FFFD "\"");
    STRING_IS("\xed\xa0\x80", "\"" FFFD FFFD FFFD "\"");
    STRING_IS("\xe2\x82", "\"" FFFD "\"");
    STRING_IS("\xe2\x82\"", "\"" FFFD "\\\"\"");
    STRING_IS("\xf0\x9f\x98", "\"" FFFD "\"");
    STRING_IS("\xf0\x9fx", "\"" FFFD "x\"");
    STRING_IS("\xf4\x90\x80\x80", "\"" FFFD FFFD FFFD FFFD "\"");
    STRING_IS("\xe0\x80\x80", "\"" FFFD FFFD FFFD "\"");
}

Test(json, writes_integers_of_64_bits)
{
    begin();
    json_array_begin(&json);
    json_int(&json, INT64_MIN);
    json_int(&json, INT64_MAX);
    json_uint(&json, UINT64_MAX);
    json_int(&json, 0);
    json_int_quoted(&json, INT64_MIN);
    json_int_quoted(&json, -1);
    json_uint_quoted(&json, UINT64_MAX);
    json_array_end(&json);
    is("[-9223372036854775808,9223372036854775807,18446744073709551615,0,\"-9223372036854775808\",\"-1\","
       "\"18446744073709551615\"]");
}

static void double_is(double value, const char *expected)
{
    begin();
    json_double(&json, value);
    is(expected);
}

Test(json, writes_doubles_as_short_as_they_read_back)
{
    double_is(0, "0");
    double_is(-0.0, "-0.0");
    double_is(1, "1");
    double_is(-42, "-42");
    double_is(0.1, "0.1");
    double_is(0.1 + 0.2, "0.30000000000000004");
    double_is(1.0 / 3, "0.3333333333333333");
    double_is(1e15, "1e+15");
    double_is(999999999999999.0, "999999999999999");
    double_is(1e21, "1e+21");
    double_is(5e-324, "4.94065645841247e-324");
    double_is(1.7976931348623157e308, "1.7976931348623157e+308");
    double_is((double)NAN, "\"NaN\"");
    double_is((double)INFINITY, "\"Infinity\"");
    double_is(-(double)INFINITY, "\"-Infinity\"");
}

Test(json, doubles_of_any_bits_read_back)
{
    uint64_t bits = 88172645463325252ULL;

    for (unsigned i = 0; i < 20000; i++) {
        double value;
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value) || isinf(value)) continue;
        begin();
        json_double(&json, value);
        cr_assert(json_finish(&json) == OK);
        buf[json.len] = '\0';
        cr_assert(strtod((const char *)buf, NULL) == value, "%s", (const char *)buf);
    }
}

Test(json, writes_bytes_as_hex_and_base64)
{
    begin();
    json_array_begin(&json);
    json_hex(&json, slice_of("\x00\x5b\xef\xFF", 4));
    json_hex(&json, slice_of("", 0));
    json_base64(&json, slice_text(""));
    json_base64(&json, slice_text("f"));
    json_base64(&json, slice_text("fo"));
    json_base64(&json, slice_text("foo"));
    json_base64(&json, slice_text("foobar"));
    json_base64(&json, slice_of("\xff\xfe\xfb\x00", 4));
    json_array_end(&json);
    is("[\"005befff\",\"\",\"\",\"Zg==\",\"Zm8=\",\"Zm9v\",\"Zm9vYmFy\",\"//77AA==\"]");
}

/* ---- sinks ---- */

struct sink {
    uint8_t bytes[8192];
    size_t len;
    unsigned calls;
    unsigned fail_at; /* 0: never */
};

static enum err sink_flush(void *context, struct slice bytes)
{
    struct sink *const sink = context;

    if (++sink->calls == sink->fail_at) return ERR_PEER_GONE;
    cr_assert(bytes.len > 0);
    cr_assert(sink->len + bytes.len <= sizeof sink->bytes);
    memcpy(sink->bytes + sink->len, bytes.ptr, bytes.len);
    sink->len += bytes.len;
    return OK;
}

/* Something of everything; about 1.5 KB. */
static void write_much(struct json *to)
{
    json_object_begin(to);
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        json_key(to, key);
        json_array_begin(to);
        json_text(to, "a long text with <escapes> and \xff\xfe rubbish in it, for all the borders");
        json_hex(to, slice_text("0123456789abcdef"));
        json_base64(to, slice_text("0123456789abcdef"));
        json_int_quoted(to, INT64_MIN + i);
        json_double(to, 0.1 * i);
        json_array_end(to);
    }
    json_object_end(to);
}

Test(json, a_small_buffer_makes_the_same_text)
{
    static struct sink sink;
    begin();
    write_much(&json);
    cr_assert(json_finish(&json) == OK);
    const size_t len = json.len;

    for (size_t capacity = JSON_BUF_MIN; capacity < len + 2; capacity++) {
        struct json other;
        uint8_t *const small = malloc(capacity);
        sink = (struct sink){0};
        json_init(&other, small, capacity, sink_flush, &sink);
        write_much(&other);
        cr_assert(json_finish(&other) == OK);
        cr_assert(json_size(&other) == len);
        cr_assert(slice_equal(slice_of(sink.bytes, sink.len), slice_of(buf, len)), "capacity %zu", capacity);
        free(small);
    }
}

Test(json, the_first_failure_of_the_sink_is_kept_and_ends_the_writing)
{
    static struct sink sink;
    for (unsigned fail_at = 1; fail_at < 20; fail_at++) {
        sink = (struct sink){.fail_at = fail_at};
        json_init(&json, buf, JSON_BUF_MIN, sink_flush, &sink);
        write_much(&json);
        cr_assert(json_finish(&json) == ERR_PEER_GONE);
        cr_assert(sink.calls == fail_at);
    }
}

Test(json, a_text_that_does_not_fit_is_told)
{
    json_init(&json, buf, JSON_BUF_MIN, NULL, NULL);
    write_much(&json);
    cr_expect(json_finish(&json) == ERR_FULL);
    json_init(&json, buf, JSON_BUF_MIN, NULL, NULL);
    json_hex(&json, slice_text("0123456789abcdef0123456789abcde")); /* 62 digits and two quotes */
    cr_expect(json_finish(&json) == OK);
    cr_expect(json.len == JSON_BUF_MIN);
}
