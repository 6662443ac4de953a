/* OTLP JSON to protobuf: rows J1 to J11 of the catalogue, by the bytes that come out. */
#include "message.h"

#include "model/otlp_from_json.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { ROOM = 24 << 20 };

static uint8_t out[ROOM];
static size_t out_len;
static struct otlp_fault fault;
static struct otlp_json_changes changes;

/* In an allocation of its own, with exactly the room that is asked for. */
static enum err run(struct slice json)
{
    uint8_t *const copy = malloc(json.len + 1), *const room = malloc(json.len + OTLP_JSON_SLACK);

    memcpy(copy, json.ptr, json.len);
    const enum err err = otlp_from_json(slice_of(copy, json.len), room, json.len + OTLP_JSON_SLACK, &out_len,
                                        &changes, &fault);
    if (err == OK) memcpy(out, room, out_len);
    if (err == OK) cr_expect_leq(out_len, json.len);
    free(copy);
    free(room);
    return err;
}

static const char *hex(struct slice bytes)
{
    static char text[8192];

    for (size_t i = 0; i < bytes.len && 2 * i + 2 < sizeof text; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    return text;
}

static void gives(const char *json, struct slice expected)
{
    const enum err err = run(slice_text(json));

    cr_expect_eq(err, OK, "%s: %s at %lu", json, fault.reason, fault.offset);
    if (err == OK)
        cr_expect(slice_equal(slice_of(out, out_len), expected), "%s: %s", json, hex(slice_of(out, out_len)));
}

/* The members of a span, in a request. */
static const char *in_span(const char *members)
{
    static char text[80000];

    snprintf(text, sizeof text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{%s}]}]}]}", members);
    return text;
}

enum { IN_SPAN = sizeof "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" - 1 };

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static void span_gives(const char *members, struct slice fields)
{
    struct message span = {0};

    message_raw(&span, fields.ptr, fields.len);
    struct message body = message_body_of_span(&span);
    gives(in_span(members), message_slice(&body));
    message_free(&body);
}

/* The value of an attribute. */
static void value_gives(const char *value, struct slice fields)
{
    struct message pair = {0}, any = {0}, span = {0};
    char text[4096];

    message_raw(&any, fields.ptr, fields.len);
    message_text(&pair, 1, "k");
    message_put(&pair, 2, &any);
    message_put(&span, 9, &pair);
    snprintf(text, sizeof text, "\"attributes\":[{\"key\":\"k\",\"value\":%s}]", value);
    span_gives(text, message_slice(&span));
    message_free(&span);
}

static void refused(const char *members, const char *reason, size_t at)
{
    const enum err err = run(slice_text(in_span(members)));

    cr_expect_eq(err, ERR_MALFORMED, "%s: %s", members, err_text(err));
    if (err != ERR_MALFORMED) return;
    cr_expect_str_eq(fault.reason, reason, "%s: %s", members, fault.reason);
    cr_expect_eq(fault.offset, IN_SPAN + at, "%s: %s at %ld", members, fault.reason,
                 (long)fault.offset - IN_SPAN);
}

Test(otlp_from_json, the_golden_request_gives_the_golden_bytes)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
        "\"stringValue\":\"shop\"}}]},"
        "\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":\"1.0\"},\"spans\":[{"
        "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"EEE19B7EC3C1B174\",\"name\":\"GET "
        "/\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1700000000000000000\",\"endTimeUnixNano\":1700000000123456789,"
        "\"attributes\":"
        "[{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}}],\"status\":{\"code\":1},"
        "\"flags\":257}]}]}]}";
    static const char expected[] = "0a8d010a180a160a0c736572766963652e6e616d6512060a0473686f7012710a0a0a036c6"
                                   "9621203312e3012630a105b8efff798038103"
                                   "d269b633813fc60c1208eee19b7ec3c1b1742a05474554202f30023900002a36fe9c97174"
                                   "115cd853dfe9c97174a200a19687474702e72"
                                   "6573706f6e73652e7374617475735f636f6465120318c8017a021801850101010000";

    cr_assert_eq(run(slice_text(json)), OK, "%s", fault.reason);
    cr_expect_str_eq(hex(slice_of(out, out_len)), expected);
}

Test(otlp_from_json, empty_requests)
{
    gives("{}", BYTES(""));
    gives(" {\"resourceSpans\":[]} ", BYTES(""));
    gives("{\"resourceSpans\":null}", BYTES(""));
    gives("{\"resourceSpans\":[{},null]}", BYTES("\x0a\0\x0a\0"));
    gives("{\"unknown\":{\"resourceSpans\":[{}]}}", BYTES(""));
}

Test(otlp_from_json, lengths_are_as_short_as_they_can_be)
{
    static char members[70000], name[33000];

    for (size_t len = 100; len < sizeof name; len = len < 300 ? len + 1 : len * 5 / 4) {
        memset(name, 'n', len);
        name[len] = '\0';
        snprintf(members, sizeof members, "\"name\":\"%s\",\"status\":{\"message\":\"%s\"}", name,
                 len < 4000 ? name : "");
        struct message span = {0}, status = {0};
        message_text(&span, 5, name);
        message_text(&status, 2, len < 4000 ? name : "");
        message_put(&span, 15, &status);
        span_gives(members, message_slice(&span));
        message_free(&span);
    }
}

Test(otlp_from_json, J6_ids_are_hex_and_what_is_not_gets_an_impossible_length)
{
    span_gives("\"traceId\":\"00aaFF\"", BYTES("\x0a\x03\x00\xaa\xff"));
    span_gives("\"spanId\":\"\",\"parentSpanId\":\"\"", BYTES(""));
    span_gives("\"traceId\":\"abc\"", BYTES("\x0a\x01\x00"));
    span_gives("\"spanId\":\"W47/95gDgQM=\"", BYTES("\x12\x01\x00"));
    span_gives("\"parentSpanId\":\"gg\"", BYTES("\x22\x01\x00"));
    span_gives("\"spanId\":\"\\u0030\\u0041\"", BYTES("\x12\x01\x0a"));
    refused("\"traceId\":5", "Span.traceId: not a string", 10);
}

Test(otlp_from_json, J7_integers_come_as_numbers_and_strings)
{
    value_gives("{\"intValue\":1}", BYTES("\x18\x01"));
    value_gives("{\"intValue\":\"-1\"}", BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    value_gives("{\"intValue\":1e3}", BYTES("\x18\xe8\x07"));
    value_gives("{\"intValue\":\"1.0\"}", BYTES("\x18\x01"));
    value_gives("{\"intValue\":1e+21}", BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
    value_gives("{\"intValue\":\"\\u0031\"}", BYTES("\x18\x01"));
    span_gives("\"startTimeUnixNano\":18446744073709551615", BYTES("\x39\xff\xff\xff\xff\xff\xff\xff\xff"));
    span_gives("\"endTimeUnixNano\":\"-5\"", BYTES("\x41\0\0\0\0\0\0\0\0"));
    span_gives("\"flags\":\"257\"", BYTES("\x85\x01\x01\x01\0\0"));
    span_gives("\"droppedLinksCount\":4294967296", BYTES("\x70\xff\xff\xff\xff\x0f"));
    refused("\"startTimeUnixNano\":\" 1\"", "Span.startTimeUnixNano: not an integer", 20);
    refused("\"startTimeUnixNano\":1.5", "Span.startTimeUnixNano: not an integer", 20);
    refused("\"startTimeUnixNano\":\"\"", "Span.startTimeUnixNano: not an integer", 20);
    refused("\"flags\":true", "Span.flags: not an integer", 8);
}

Test(otlp_from_json, J8_enums_are_numbers_or_known_names)
{
    span_gives("\"kind\":3", BYTES("\x30\x03"));
    span_gives("\"kind\":\"SPAN_KIND_CONSUMER\"", BYTES("\x30\x05"));
    span_gives("\"kind\":\"2\"", BYTES("\x30\x02"));
    span_gives("\"kind\":-1", BYTES("\x30\xff\xff\xff\xff\x0f"));
    span_gives("\"kind\":99999999999", BYTES("\x30\xff\xff\xff\xff\x07"));
    span_gives("\"status\":{\"code\":\"STATUS_CODE_ERROR\"}", BYTES("\x7a\x02\x18\x02"));
    refused("\"kind\":\"SPAN_KIND_OTHER\"", "Span.kind: neither an integer nor a known name", 7);
    refused("\"kind\":\"STATUS_CODE_OK\"", "Span.kind: neither an integer nor a known name", 7);
}

Test(otlp_from_json, J9_unknown_members_and_snake_case_are_ignored)
{
    span_gives("\"trace_id\":\"00\",\"x\":{\"name\":[{},[],\"}\",1e5,null]},\"NAME\":1,\"name\":\"a\",\"\":0",
               BYTES("\x2a\x01"
                     "a"));
    span_gives("\"n\\u0061me\":\"a\"", BYTES("\x2a\x01"
                                             "a"));
    span_gives("\"name\\u0000\":\"a\",\"names\":1,\"nam\":2", BYTES(""));
}

Test(otlp_from_json, J4_members_given_twice_follow_the_rules_of_protobuf)
{
    span_gives("\"name\":\"a\",\"name\":\"b\"", BYTES("\x2a\x01"
                                                      "a\x2a\x01"
                                                      "b"));
    span_gives("\"status\":{\"code\":1},\"status\":{\"message\":\"m\"}",
               BYTES("\x7a\x02\x18\x01\x7a\x03\x12\x01m"));
    span_gives("\"events\":[{}],\"events\":[{}]", BYTES("\x5a\0\x5a\0"));
    span_gives("\"name\":\"a\",\"name\":null", BYTES("\x2a\x01"
                                                     "a"));
}

Test(otlp_from_json, values_of_every_kind)
{
    value_gives("{}", BYTES(""));
    value_gives("{\"stringValue\":\"\"}", BYTES("\x0a\0"));
    value_gives("{\"boolValue\":true}", BYTES("\x10\x01"));
    value_gives("{\"boolValue\":false}", BYTES("\x10\0"));
    value_gives("{\"doubleValue\":1}", BYTES("\x21\0\0\0\0\0\0\xf0\x3f"));
    value_gives("{\"doubleValue\":\"-0\"}", BYTES("\x21\0\0\0\0\0\0\0\x80"));
    value_gives("{\"doubleValue\":\"NaN\"}", BYTES("\x21\0\0\0\0\0\0\xf8\x7f"));
    value_gives("{\"doubleValue\":\"Infinity\"}", BYTES("\x21\0\0\0\0\0\0\xf0\x7f"));
    value_gives("{\"doubleValue\":\"-Infinity\"}", BYTES("\x21\0\0\0\0\0\0\xf0\xff"));
    value_gives("{\"doubleValue\":null}", BYTES(""));
    value_gives("{\"bytesValue\":\"AP8\"}", BYTES("\x3a\x02\x00\xff"));
    value_gives("{\"bytesValue\":\"\\/w==\"}", BYTES("\x3a\x01\xff"));
    value_gives("{\"arrayValue\":{}}", BYTES("\x2a\0"));
    value_gives("{\"arrayValue\":{\"values\":[{\"intValue\":1},{},null,{\"stringValue\":\"a\"}]}}",
                BYTES("\x2a\x0d\x0a\x02\x18\x01\x0a\0\x0a\0\x0a\x03\x0a\x01"
                      "a"));
    value_gives("{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}]}}",
                BYTES("\x32\x0a\x0a\x08\x0a\x01k\x12\x03\x0a\x01v"));
    value_gives("{\"stringValue\":\"\\ud83d\\ude00\\udc00\"}", BYTES("\x0a\x07\xf0\x9f\x98\x80\xef\xbf\xbd"));
    span_gives("\"attributes\":[{\"key\":\"k\"},{\"key\":\"\",\"value\":null}]",
               BYTES("\x4a\x03\x0a\x01k\x4a\x02\x0a\0"));
    refused("\"attributes\":[{\"value\":{\"bytesValue\":\"*\"}}]",
            "AnyValue.bytesValue: not a string in base64", 37);
    refused("\"attributes\":[{\"value\":{\"boolValue\":\"true\"}}]",
            "AnyValue.boolValue: neither true nor false", 36);
    refused("\"attributes\":[{\"value\":{\"doubleValue\":\"nan\"}}]", "AnyValue.doubleValue: not a number",
            38);
}

/* Every known member with a value of every JSON type: what it takes is told in the letters of the types. */
Test(otlp_from_json, J11_every_member_with_every_json_type)
{
    static const struct {
        const char *path, *takes; /* o object, l list, s "x", n 7, b true */
    } rows[] = {
        {"{\"resourceSpans\":", "l"},
        {"{\"resourceSpans\":[", "o"},
        {"{\"resourceSpans\":[{\"resource\":", "o"},
        {"{\"resourceSpans\":[{\"schemaUrl\":", "s"},
        {"{\"resourceSpans\":[{\"scopeSpans\":", "l"},
        {"{\"resourceSpans\":[{\"resource\":{\"attributes\":", "l"},
        {"{\"resourceSpans\":[{\"resource\":{\"droppedAttributesCount\":", "n"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":", "l"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"schemaUrl\":", "s"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"type\":", "s"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"idKeys\":", "l"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"idKeys\":[", "s"},
        {"{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"descriptionKeys\":", "l"},
#define SCOPE_SPANS "{\"resourceSpans\":[{\"scopeSpans\":[{"
        {SCOPE_SPANS "\"scope\":", "o"},
        {SCOPE_SPANS "\"spans\":", "l"},
        {SCOPE_SPANS "\"schemaUrl\":", "s"},
        {SCOPE_SPANS "\"scope\":{\"name\":", "s"},
        {SCOPE_SPANS "\"scope\":{\"version\":", "s"},
        {SCOPE_SPANS "\"scope\":{\"attributes\":", "l"},
        {SCOPE_SPANS "\"scope\":{\"droppedAttributesCount\":", "n"},
#define SPAN SCOPE_SPANS "\"spans\":[{"
        {SPAN "\"traceId\":", "s"},
        {SPAN "\"spanId\":", "s"},
        {SPAN "\"traceState\":", "s"},
        {SPAN "\"parentSpanId\":", "s"},
        {SPAN "\"flags\":", "n"},
        {SPAN "\"name\":", "s"},
        {SPAN "\"kind\":", "n"},
        {SPAN "\"startTimeUnixNano\":", "n"},
        {SPAN "\"endTimeUnixNano\":", "n"},
        {SPAN "\"attributes\":", "l"},
        {SPAN "\"droppedAttributesCount\":", "n"},
        {SPAN "\"events\":", "l"},
        {SPAN "\"droppedEventsCount\":", "n"},
        {SPAN "\"links\":", "l"},
        {SPAN "\"droppedLinksCount\":", "n"},
        {SPAN "\"status\":", "o"},
        {SPAN "\"status\":{\"message\":", "s"},
        {SPAN "\"status\":{\"code\":", "n"},
        {SPAN "\"events\":[{\"timeUnixNano\":", "n"},
        {SPAN "\"events\":[{\"name\":", "s"},
        {SPAN "\"events\":[{\"attributes\":", "l"},
        {SPAN "\"events\":[{\"droppedAttributesCount\":", "n"},
        {SPAN "\"links\":[{\"traceId\":", "s"},
        {SPAN "\"links\":[{\"spanId\":", "s"},
        {SPAN "\"links\":[{\"traceState\":", "s"},
        {SPAN "\"links\":[{\"attributes\":", "l"},
        {SPAN "\"links\":[{\"droppedAttributesCount\":", "n"},
        {SPAN "\"links\":[{\"flags\":", "n"},
#define ATTRIBUTE SPAN "\"attributes\":[{"
        {ATTRIBUTE "\"key\":", "s"},
        {ATTRIBUTE "\"value\":", "o"},
        {ATTRIBUTE "\"value\":{\"stringValue\":", "s"},
        {ATTRIBUTE "\"value\":{\"boolValue\":", "b"},
        {ATTRIBUTE "\"value\":{\"intValue\":", "n"},
        {ATTRIBUTE "\"value\":{\"doubleValue\":", "n"},
        {ATTRIBUTE "\"value\":{\"arrayValue\":", "o"},
        {ATTRIBUTE "\"value\":{\"kvlistValue\":", "o"},
        {ATTRIBUTE "\"value\":{\"arrayValue\":{\"values\":", "l"},
        {ATTRIBUTE "\"value\":{\"kvlistValue\":{\"values\":", "l"},
    };
    static const char letters[] = "olsnbz";
    static const char *const values[] = {"{}", "[]", "\"x\"", "7", "true", "null"};
    char text[512];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (unsigned type = 0; type < 6; type++) {
            size_t len = (size_t)snprintf(text, sizeof text, "%s%s", rows[i].path, values[type]);
            for (size_t at = strlen(rows[i].path); at-- > 0;) {
                if (rows[i].path[at] == '{') text[len++] = '}';
                if (rows[i].path[at] == '[') text[len++] = ']';
            }
            text[len] = '\0';
            const enum err err = run(slice_text(text));
            const bool takes = strchr(rows[i].takes, letters[type]) != NULL || letters[type] == 'z';
            cr_expect_eq(err, takes ? OK : ERR_MALFORMED, "%s: %s", text, err_text(err));
            if (err == ERR_MALFORMED) cr_expect_eq(fault.offset, strlen(rows[i].path), "%s", text);
        }
    }
}

Test(otlp_from_json, J1_no_json_is_told_with_its_byte)
{
    cr_expect_eq(run(slice_text("")), ERR_MALFORMED);
    cr_expect_eq(run(slice_text("[]")), ERR_MALFORMED);
    cr_expect_str_eq(fault.reason, "JSON: the request is not an object");
    cr_expect_eq(run(slice_text("{\"resourceSpans\":[{]}")), ERR_MALFORMED);
    cr_expect_eq(fault.offset, 19);
    cr_expect_eq(run(slice_text("{\"x\":[1,2,}")), ERR_MALFORMED);
    cr_expect_eq(fault.offset, 10);
    cr_expect_eq(run(slice_text("{} {}")), ERR_MALFORMED);
    cr_expect_eq(fault.offset, 3);
    cr_expect_eq(run(BYTES("\x0a\x8d\x01")), ERR_MALFORMED, "protobuf is no JSON");
}

Test(otlp_from_json, J1_every_proper_prefix_is_refused)
{
    char text[4096];

    snprintf(text, sizeof text, "%s",
             in_span("\"traceId\":\"00\",\"name\":\"\\u00fc\",\"attributes\":[{\"key\":\"k\",\"value\":{"
                     "\"doubleValue\":-1.5e3}}],\"x\":[{}]"));
    const size_t whole = strlen(text);
    cr_assert_eq(run(slice_of(text, whole)), OK);
    for (size_t len = 0; len < whole; len++) {
        cr_expect_eq(run(slice_of(text, len)), ERR_MALFORMED, "%zu", len);
        cr_expect_leq(fault.offset, len);
    }
}

static size_t repeat(uint8_t *text, size_t len, const char *piece, size_t room)
{
    const size_t piece_len = strlen(piece);

    for (; len + piece_len <= room; len += piece_len)
        memcpy(text + len, piece, piece_len);
    return len;
}

Test(otlp_from_json, J7_J10_what_is_not_stored_as_it_came_is_counted)
{
    static const struct {
        const char *members;
        uint32_t numbers, characters;
    } rows[] = {
        {"", 0, 0},
        {"\"name\":\"\\ud83d\\ude00\",\"flags\":4294967295,\"kind\":-2147483648", 0, 0},
        {"\"startTimeUnixNano\":18446744073709551615,\"endTimeUnixNano\":\"0\"", 0, 0},
        {"\"startTimeUnixNano\":18446744073709551616,\"endTimeUnixNano\":\"-1\"", 2, 0},
        {"\"flags\":4294967296,\"droppedEventsCount\":1e10,\"droppedLinksCount\":-1", 3, 0},
        {"\"kind\":2147483648,\"status\":{\"code\":-99999999999}", 2, 0},
        {"\"attributes\":[{\"key\":\"a\",\"value\":{\"intValue\":9223372036854775808}}]", 1, 0},
        {"\"attributes\":[{\"key\":\"\\ud800\",\"value\":{\"stringValue\":\"\\udc00\\udc00x\\ud800\\ud800\"}}"
         "]",
         0, 5},
        {"\"unknown\":[1e99,\"\\ud800\"],\"\\ud800\":1", 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(run(slice_text(in_span(rows[i].members))), OK, "%s", fault.reason);
        cr_expect_eq(changes.numbers, rows[i].numbers, "%s: %u", rows[i].members, changes.numbers);
        cr_expect_eq(changes.characters, rows[i].characters, "%s: %u", rows[i].members, changes.characters);
    }
}

Test(otlp_from_json, J3_J5_J10_large_floods_are_read_in_one_pass)
{
    static uint8_t text[ROOM];
    static const char *const heads[] = {"{\"x\":[0", "{\"x\":[{}", "{\"resourceSpans\":[{}", "{\"\":0"};
    static const char *const pieces[] = {",0", ",{}", ",{}", ",\"k\":0"};
    static const char *const tails[] = {"]}", "]}", "]}", "}"};

    for (unsigned i = 0; i < 4; i++) {
        size_t len = strlen(heads[i]);
        memcpy(text, heads[i], len);
        len = repeat(text, len, pieces[i], 20 << 20);
        memcpy(text + len, tails[i], strlen(tails[i]));
        cr_expect_eq(run(slice_of(text, len + strlen(tails[i]))), OK, "%s", heads[i]);
    }
    const char *const before = "{\"resourceSpans\":[{\"schemaUrl\":\"";
    size_t len = strlen(before);
    memcpy(text, before, len);
    len = repeat(text, len, "\\u0041", 20 << 20);
    memcpy(text + len, "\"}]}", 4);
    cr_expect_eq(run(slice_of(text, len + 4)), OK);
    cr_expect_lt(out_len, len / 6 + 10);
}

Test(otlp_from_json, B4_more_spans_than_a_request_may_have)
{
    static uint8_t text[1 << 20];
    static const char head[] = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}";

    for (unsigned count = OTLP_SPANS_MAX; count <= OTLP_SPANS_MAX + 1; count++) {
        size_t len = sizeof head - 1;
        memcpy(text, head, len);
        len = repeat(text, len, ",{}", len + 3 * (count - 1));
        memcpy(text + len, "]}]}]}", 6);
        cr_expect_eq(run(slice_of(text, len + 6)), count > OTLP_SPANS_MAX ? ERR_TOO_LARGE : OK);
        if (count > OTLP_SPANS_MAX) cr_expect_eq(fault.offset, len - 2);
    }
}

Test(otlp_from_json, B5_levels_are_left_to_the_decoder_as_far_as_the_syntax_goes)
{
    char members[8192];

    for (unsigned levels = 31; levels <= 60; levels++) {
        size_t len = (size_t)snprintf(members, sizeof members, "\"attributes\":[{\"key\":\"k\",\"value\":");
        for (unsigned i = 1; i < levels; i++)
            len += (size_t)snprintf(members + len, sizeof members - len, "{\"arrayValue\":{\"values\":[");
        len += (size_t)snprintf(members + len, sizeof members - len, "{\"stringValue\":\"in the middle\"}");
        for (unsigned i = 1; i < levels; i++)
            len += (size_t)snprintf(members + len, sizeof members - len, "]}}");
        snprintf(members + len, sizeof members - len, "}]");
        struct message pair = {0}, value = message_nested_value(levels, false), span = {0};
        message_text(&pair, 1, "k");
        message_put(&pair, 2, &value);
        message_put(&span, 9, &pair);
        if (levels <= 50)
            span_gives(members, message_slice(&span));
        else
            cr_expect_eq(run(slice_text(in_span(members))), levels <= 51 ? OK : ERR_MALFORMED, "%u", levels);
        message_free(&span);
    }
}

Test(otlp_from_json, what_does_not_fit_is_full_at_every_size)
{
    static char text[4096];
    uint8_t room[2048];

    snprintf(
        text, sizeof text, "%s",
        in_span("\"traceId\":\"00\",\"name\":\"\\u00fc\",\"traceState\":\"s\",\"flags\":1,\"attributes\":"
                "[{\"key\":\"k\",\"value\":{\"bytesValue\":\"AAAA\"}}],\"events\":[{\"timeUnixNano\":1}]"));
    cr_assert_eq(run(slice_text(text)), OK);
    const size_t whole = out_len;
    size_t least = 0;
    for (size_t capacity = 0; capacity <= 1024; capacity++) {
        memset(room, 0xee, sizeof room);
        const enum err err = otlp_from_json(slice_text(text), room, capacity, &out_len, &changes, &fault);
        cr_expect(err == OK || err == ERR_FULL);
        for (size_t i = capacity; i < capacity + 64; i++)
            cr_assert_eq(room[i], 0xee, "capacity %zu", capacity);
        if (err == OK && least == 0) least = capacity;
        if (err != OK) cr_expect_eq(least, 0, "room for less, but not for more");
    }
    cr_expect_geq(least, whole);
    cr_expect_leq(least, whole + 16, "%zu %zu", least, whole);
}

Test(otlp_from_json, a_fault_is_found_at_the_span_that_holds_it)
{
    static const char json[] =
        "{\"x\":{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}]}]}]},\"resourceSpans\":["
        "{\"resource\":{\"scopeSpans\":[{\"spans\":[{}]}]},\"scopeSpans\":[{\"spans\":[{\"name\":\"0\"},{"
        "\"name\":\"1\"}]},"
        "{\"spans\":[],\"scope\":{},\"spans\":[{\"name\":\"2\",\"links\":[{},{}]}]}]},{\"scopeSpans\":[{"
        "\"spans\":[null,{\"name\":\"4\"}]}]}]}";

    cr_assert_eq(run(slice_text(json)), OK);
    const struct slice plain = slice_of(out, out_len);
    for (unsigned i = 0; i < 5; i++) {
        const char name[] = {'"', 'n', 'a', 'm', 'e', '"', ':', '"', (char)('0' + i), '"', '\0'};
        const uint8_t field[] = {0x2a, 1, (uint8_t)('0' + i)};
        if (i == 3) continue; /* the null */
        const uint8_t *const at = memmem(out, out_len, field, sizeof field);
        cr_assert_not_null(at);
        const uint64_t found = otlp_from_json_locate(slice_text(json), plain, (uint64_t)(at - out));
        cr_expect_eq(found, (uint64_t)(strstr(json, name) - json - 1), "span %u at %lu", i, found);
    }
    cr_expect_eq(otlp_from_json_locate(slice_text(json), plain, out_len + 1), sizeof json - 1);
}
