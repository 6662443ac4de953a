/*
 * OTLP JSON, message by message, against what the OTLP text says it must be.
 */
#include "otlp_json.h"
#include "otlp_text.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

static char out[1 << 18];

static const char *as_span(const struct otlp_text *text)
{
    struct otlp_json *scratch;
    struct json json;

    cr_assert_eq(otlp_json_open(&scratch), OK);
    json_init(&json, (uint8_t *)out, sizeof out - 1, NULL, NULL);
    cr_assert_eq(otlp_json_span(scratch, text_slice(text), &json), OK);
    cr_assert_eq(json_finish(&json), OK);
    out[json.len] = '\0';
    otlp_json_close(scratch);
    return out;
}

static const char *as_envelope(const struct otlp_text *text, bool scope)
{
    struct json json;

    json_init(&json, (uint8_t *)out, sizeof out - 1, NULL, NULL);
    cr_assert_eq((scope ? otlp_json_scope : otlp_json_resource)(text_slice(text), &json), OK);
    cr_assert_eq(json_finish(&json), OK);
    out[json.len] = '\0';
    return out;
}

/* The JSON of one attribute; the callback fills in the KeyValue. */
static const char *as_attribute(const struct otlp_text *text)
{
    struct attribute attribute;
    struct otlp_fault fault;
    struct json json;

    cr_assert_eq(attribute_decode(text_slice(text), &attribute, &fault), OK, "%s", fault.reason);
    json_init(&json, (uint8_t *)out, sizeof out - 1, NULL, NULL);
    cr_assert_eq(otlp_json_attribute(&attribute, &json), OK);
    cr_assert_eq(json_finish(&json), OK);
    out[json.len] = '\0';
    return out;
}

static void ids(struct otlp_text *text)
{
    static const uint8_t trace_id[16] = {0x5b, 0x8e, 0xff, 0xf7, 0x98, 0x03, 0x81, 0x03,
                                         0xd2, 0x69, 0xb6, 0x33, 0x81, 0x3f, 0xc6, 0x0c};
    static const uint8_t span_id[8] = {0xee, 0xe1, 0x9b, 0x7e, 0xc3, 0xc1, 0xb1, 0x74};

    bytes(text, 1, trace_id, 16);
    bytes(text, 2, span_id, 8);
}
#define IDS "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\""

Test(otlp_json, leaves_out_what_a_span_does_not_have)
{
    struct otlp_text text = {.len = 0};

    ids(&text);
    cr_assert_str_eq(as_span(&text), "{" IDS "}");
    begin(&text, 15);
    end(&text);
    cr_assert_str_eq(as_span(&text), "{" IDS ",\"status\":{}}");
}

static void add_event(struct otlp_text *text)
{
    begin(text, 11);
    fixed64(text, 1, 1700000000000000001u);
    string(text, 2, "exception");
    begin(text, 3);
    string(text, 1, "n");
    begin(text, 2);
    number(text, 3, 200);
    end(text);
    end(text);
    number(text, 4, 5);
    end(text);
}

static void add_link(struct otlp_text *text)
{
    begin(text, 13);
    ids(text);
    string(text, 3, "b=2");
    begin(text, 4);
    string(text, 1, "n");
    end(text);
    number(text, 5, 6);
    fixed32(text, 6, 0x301);
    end(text);
}

Test(otlp_json, writes_every_field_of_a_span)
{
    struct otlp_text text = {.len = 0};

    ids(&text);
    string(&text, 3, "a=1");
    bytes(&text, 4, "\1\2\3\4\5\6\7\10", 8);
    string(&text, 5, "GET /");
    number(&text, 6, 2);
    fixed64(&text, 7, 1700000000000000000u);
    fixed64(&text, 8, 18446744073709551615u);
    begin(&text, 9);
    string(&text, 1, "k");
    begin(&text, 2);
    string(&text, 1, "v");
    end(&text);
    end(&text);
    number(&text, 10, 1);
    add_event(&text);
    number(&text, 12, 2);
    add_link(&text);
    number(&text, 14, 4294967295u);
    begin(&text, 15);
    string(&text, 2, "it broke");
    number(&text, 3, 2);
    end(&text);
    fixed32(&text, 16, 0x101);
    cr_assert_str_eq(
        as_span(&text),
        "{" IDS
        ",\"traceState\":\"a=1\",\"parentSpanId\":\"0102030405060708\",\"flags\":257,\"name\":\"GET /\","
        "\"kind\":2,\"startTimeUnixNano\":\"1700000000000000000\",\"endTimeUnixNano\":"
        "\"18446744073709551615\","
        "\"attributes\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}],\"droppedAttributesCount\":1,"
        "\"events\":[{\"timeUnixNano\":\"1700000000000000001\",\"name\":\"exception\",\"attributes\":[{"
        "\"key\":"
        "\"n\",\"value\":{\"intValue\":\"200\"}}],\"droppedAttributesCount\":5}],\"droppedEventsCount\":2,"
        "\"links\":[{" IDS ",\"traceState\":\"b=2\",\"attributes\":[{\"key\":\"n\"}],"
        "\"droppedAttributesCount\":6,\"flags\":769}],\"droppedLinksCount\":4294967295,"
        "\"status\":{\"message\":\"it broke\",\"code\":2}}");
}

Test(otlp_json, keeps_order_and_duplicates_of_attributes)
{
    static const char *const keys[] = {"b", "a", "b"};
    struct otlp_text text = {.len = 0};

    ids(&text);
    for (unsigned i = 0; i < 3; i++) {
        begin(&text, 9);
        string(&text, 1, keys[i]);
        begin(&text, 2);
        number(&text, 2, i);
        end(&text);
        end(&text);
    }
    cr_assert_str_eq(as_span(&text),
                     "{" IDS ",\"attributes\":[{\"key\":\"b\",\"value\":{\"boolValue\":false}},"
                     "{\"key\":\"a\",\"value\":{\"boolValue\":true}},"
                     "{\"key\":\"b\",\"value\":{\"boolValue\":true}}]}");
}

/* ---- values --------------------------------------------------------------------------------------------- */

typedef void value_fn(struct otlp_text *text);

static void value_string(struct otlp_text *text)
{
    string(text, 1, "</script>\x1b\"\xff");
}
static void value_false(struct otlp_text *text)
{
    number(text, 2, 0);
}
static void value_smallest(struct otlp_text *text)
{
    number(text, 3, (uint64_t)INT64_MIN);
}
static void value_double(struct otlp_text *text)
{
    real(text, 4, 0.1);
}
static void value_nan(struct otlp_text *text)
{
    real(text, 4, NAN);
}
static void value_infinity(struct otlp_text *text)
{
    real(text, 4, -INFINITY);
}
static void value_bytes(struct otlp_text *text)
{
    bytes(text, 7, "\0\1\376\377", 4);
}
static void value_empty(struct otlp_text *text)
{
    (void)text;
}
static void value_empty_array(struct otlp_text *text)
{
    begin(text, 5);
    end(text);
}
static void value_mixed(struct otlp_text *text)
{
    begin(text, 5); /* [1, {"x": [], "y": "z", "w"}, (empty), "a"] */
    begin(text, 1);
    number(text, 3, 1);
    end(text);
    begin(text, 1);
    begin(text, 6);
    begin(text, 1);
    string(text, 1, "x");
    begin(text, 2);
    begin(text, 5);
    end(text);
    end(text);
    end(text);
    begin(text, 1);
    string(text, 1, "y");
    begin(text, 2);
    string(text, 1, "z");
    end(text);
    end(text);
    begin(text, 1);
    string(text, 1, "w");
    end(text);
    end(text);
    end(text);
    begin(text, 1);
    end(text);
    begin(text, 1);
    string(text, 1, "a");
    end(text);
    end(text);
}
static void value_last_counts(struct otlp_text *text)
{
    string(text, 1, "first");
    number(text, 3, 7);
}

Test(otlp_json, writes_values_of_every_type)
{
    static const struct {
        value_fn *write;
        const char *expected;
    } cases[] = {
        {value_string, "{\"stringValue\":\"\\u003c/script\\u003e\\u001b\\\"\xef\xbf\xbd\"}"},
        {value_false, "{\"boolValue\":false}"},
        {value_smallest, "{\"intValue\":\"-9223372036854775808\"}"},
        {value_double, "{\"doubleValue\":0.1}"},
        {value_nan, "{\"doubleValue\":\"NaN\"}"},
        {value_infinity, "{\"doubleValue\":\"-Infinity\"}"},
        {value_bytes, "{\"bytesValue\":\"AAH+/w==\"}"},
        {value_empty, "{}"},
        {value_empty_array, "{\"arrayValue\":{\"values\":[]}}"},
        {value_mixed, "{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"},{\"kvlistValue\":{\"values\":["
                      "{\"key\":\"x\",\"value\":{\"arrayValue\":{\"values\":[]}}},"
                      "{\"key\":\"y\",\"value\":{\"stringValue\":\"z\"}},{\"key\":\"w\"}]}},{},"
                      "{\"stringValue\":\"a\"}]}}"},
        {value_last_counts, "{\"intValue\":\"7\"}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct otlp_text text = {.len = 0};
        char expected[1024];
        string(&text, 1, "k");
        begin(&text, 2);
        cases[i].write(&text);
        end(&text);
        snprintf(expected, sizeof expected, "{\"key\":\"k\",\"value\":%s}", cases[i].expected);
        cr_assert_str_eq(as_attribute(&text), expected, "case %zu", i);
    }
}

/* As deep as is accepted: OTLP_DEPTH_MAX values inside each other, lists of both kinds. */
Test(otlp_json, writes_the_deepest_value)
{
    struct otlp_text text = {.len = 0};

    string(&text, 1, "k");
    begin(&text, 2);
    for (unsigned i = 1; i < OTLP_DEPTH_MAX; i++) {
        begin(&text, i % 2 ? 5 : 6);
        begin(&text, 1);
        if (i % 2 == 0) begin(&text, 2);
        if (text.depth > 60) break;
    }
    while (text.depth > 0)
        end(&text);
    const char *const written = as_attribute(&text);
    unsigned depth = 0, deepest = 0;
    for (const char *at = written; *at != '\0'; at++) {
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        if (depth > deepest) deepest = depth;
    }
    cr_assert_eq(depth, 0);
    cr_assert_gt(deepest, 60);
}

Test(otlp_json, refuses_what_is_not_a_message)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"\x0a\x05", 2}, {"\x0a\x01\x00", 3}, {"\x07", 1}, {"\x48\x01", 2}};
    struct otlp_json *scratch;

    cr_assert_eq(otlp_json_open(&scratch), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json json;
        json_init(&json, (uint8_t *)out, sizeof out, NULL, NULL);
        cr_assert_eq(otlp_json_span(scratch, slice_of(cases[i].bytes, cases[i].len), &json), ERR_CORRUPT,
                     "%zu", i);
    }
    otlp_json_close(scratch);
}

/* ---- envelopes ------------------------------------------------------------------------------------------ */

Test(otlp_json, writes_every_field_of_a_resource)
{
    struct otlp_text text = {.len = 0};

    cr_assert_str_eq(as_envelope(&text, false), "{}");
    begin(&text, 1);
    string(&text, 1, "service.name");
    begin(&text, 2);
    string(&text, 1, "shop");
    end(&text);
    end(&text);
    begin(&text, 3);
    string(&text, 1, "https://schema/1");
    string(&text, 2, "service");
    string(&text, 3, "service.name");
    string(&text, 3, "service.namespace");
    string(&text, 4, "service.version");
    end(&text);
    number(&text, 2, 3);
    begin(&text, 3);
    end(&text);
    cr_assert_str_eq(as_envelope(&text, false),
                     "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}],"
                     "\"droppedAttributesCount\":3,\"entityRefs\":[{\"schemaUrl\":\"https://schema/1\","
                     "\"type\":\"service\",\"idKeys\":[\"service.name\",\"service.namespace\"],"
                     "\"descriptionKeys\":[\"service.version\"]},{}]}");
}

Test(otlp_json, writes_every_field_of_a_scope)
{
    struct otlp_text text = {.len = 0};

    cr_assert_str_eq(as_envelope(&text, true), "{}");
    string(&text, 1, "lib");
    string(&text, 2, "1.0");
    begin(&text, 3);
    string(&text, 1, "k");
    begin(&text, 2);
    number(&text, 2, 1);
    end(&text);
    end(&text);
    number(&text, 4, 9);
    cr_assert_str_eq(as_envelope(&text, true),
                     "{\"name\":\"lib\",\"version\":\"1.0\",\"attributes\":[{\"key\":\"k\",\"value\":"
                     "{\"boolValue\":true}}],\"droppedAttributesCount\":9}");
}
