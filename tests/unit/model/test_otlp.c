/*
 * The decoder as a whole: the golden request, fields in any order and number, groups of old senders, envelopes that
 * come late or in pieces, ids, limits at N - 1, N and N + 1, and every known field with every wrong wire type
 * (rows B1 to B16).
 */
#include "message.h"
#include "otlp.pb-c.h"
#include "rebuild.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* ---- a sink that notes what it is told -------------------------------------------------------------- */

struct noted {
    struct span_view spans[8]; /* the first ones; their lists are not kept */
    uint32_t resources, scopes, spans_count;
    struct slice resource, scope, resource_schema, scope_schema; /* the last ones, borrowed from the body */
    bool resource_present, scope_present;
    enum err refuse_resource, refuse_scope, refuse_span; /* what to answer */
    uint8_t room[4096];                                  /* copies of what may lie in decoder memory */
};

static enum err note_resource(void *context, const struct resource_view *view, struct otlp_fault *fault)
{
    struct noted *const noted = context;

    noted->resources++;
    noted->resource = view->message;
    noted->resource_schema = view->schema_url;
    noted->resource_present = view->present;
    if (view->message.len <= sizeof noted->room && view->message.len > 0) {
        memcpy(noted->room, view->message.ptr, view->message.len);
        noted->resource.ptr = noted->room;
    }
    if (noted->refuse_resource != OK) fault->reason = "the resource is refused";
    return noted->refuse_resource;
}

static enum err note_scope(void *context, const struct scope_view *view, struct otlp_fault *fault)
{
    struct noted *const noted = context;

    noted->scopes++;
    noted->scope = view->message;
    noted->scope_schema = view->schema_url;
    noted->scope_present = view->present;
    if (noted->refuse_scope != OK) fault->reason = "the scope is refused";
    return noted->refuse_scope;
}

static enum err note_span(void *context, const struct span_view *view, struct otlp_fault *fault)
{
    struct noted *const noted = context;

    if (noted->refuse_span != OK) {
        fault->reason = "the span is refused";
        return noted->refuse_span;
    }
    if (noted->spans_count < 8) noted->spans[noted->spans_count] = *view;
    noted->spans_count++;
    return OK;
}

static const struct otlp_sink note_sink = {note_resource, note_scope, note_span, NULL};
static struct otlp_decoder *decoder;
static struct message last_body;

static void open_decoder(void)
{
    cr_assert_eq(otlp_decoder_open(&decoder), OK);
}

static void close_decoder(void)
{
    otlp_decoder_close(decoder);
    message_free(&last_body);
}

TestSuite(otlp, .init = open_decoder, .fini = close_decoder);

/* Decodes from memory exactly as long as the body; spans of the result point into the message all the same. */
static enum err decode(const struct message *body, struct noted *noted, struct otlp_result *result)
{
    return otlp_decode(decoder, message_slice(body), &note_sink, noted, result);
}

/* One span around the fields given, decoded; the body lives until the next call. */
static enum err decode_span(struct message *span, struct noted *noted, struct otlp_result *result)
{
    message_free(&last_body);
    last_body = message_body_of_span(span);
    return decode(&last_body, noted, result);
}

/* ---- the golden request ----------------------------------------------------------------------------- */

static const char golden_hex[] = "0a8d010a180a160a0c736572766963652e6e616d6512060a0473686f7012710a0a0a036c696"
                                 "21203312e3012630a105b8efff798038103"
                                 "d269b633813fc60c1208eee19b7ec3c1b1742a05474554202f30023900002a36fe9c9717411"
                                 "5cd853dfe9c97174a200a19687474702e72"
                                 "6573706f6e73652e7374617475735f636f6465120318c8017a021801850101010000";

static struct message from_hex(const char *hex)
{
    struct message message = {0};

    for (; hex[0] != 0; hex += 2) {
        const char digits[3] = {hex[0], hex[1], 0};
        const uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
        message_raw(&message, &byte, 1);
    }
    return message;
}

Test(otlp, golden_request)
{
    struct message body = from_hex(golden_hex);
    struct noted noted = {0};
    struct otlp_result result;
    struct attribute attribute;
    struct otlp_fault fault;

    cr_assert_eq(body.len, 144);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_eq(result.spans, 1);
    cr_assert_eq(result.rejected, 0);
    cr_assert_eq(noted.resources, 1);
    cr_assert_eq(noted.scopes, 1);
    const struct span_view *const span = &noted.spans[0];
    cr_assert_arr_eq(span->trace_id.bytes, "\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c",
                     16);
    cr_assert_arr_eq(span->span_id.bytes, "\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74", 8);
    cr_assert_not(span->parent_present);
    cr_assert(slice_is(span->name, "GET /"));
    cr_assert_eq(span->kind, KIND_SERVER);
    cr_assert_eq(span->start_ns, 1700000000000000000ull);
    cr_assert_eq(span->end_ns, 1700000000123456789ull);
    cr_assert(span->status_present);
    cr_assert_eq(span->status_code, STATUS_OK);
    cr_assert_eq(span->flags, 0x101);
    cr_assert_eq(span->attributes_count, 1);
    cr_assert_eq(span->events_count + span->links_count, 0);
    cr_assert_eq(attribute_decode(span->attributes[0], &attribute, &fault), OK);
    cr_assert(slice_is(attribute.key, "http.response.status_code"));
    cr_assert_eq(attribute.type, VALUE_INT);
    cr_assert_eq(attribute.bits, 200);
    message_free(&body);
}

Test(otlp, golden_request_written_again_is_the_same_bytes)
{
    struct message body = from_hex(golden_hex);
    struct rebuilt rebuilt = {0};
    struct otlp_result result;

    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
    cr_assert_eq(rebuilt.spans_count, 1);
    cr_assert(slice_equal(rebuilt.spans[0].bytes, slice_of(body.bytes + 45, 99)));
    rebuilt_free(&rebuilt);
    message_free(&body);
}

Test(otlp, B7_every_prefix_is_malformed_unless_it_ends_between_messages)
{
    struct message first = from_hex(golden_hex);
    struct message body = from_hex(golden_hex);

    message_join(&body, &first); /* two ResourceSpans */
    for (size_t cut = 0; cut <= body.len; cut++) {
        uint8_t *const copy = malloc(cut > 0 ? cut : 1);
        struct noted noted = {0};
        struct otlp_result result;
        memcpy(copy, body.bytes, cut);
        const enum err err = otlp_decode(decoder, slice_of(copy, cut), &note_sink, &noted, &result);
        cr_assert_eq(err, cut % 144 == 0 ? OK : ERR_MALFORMED, "cut at %zu", cut);
        if (err != OK) {
            cr_assert_not_null(result.fault.reason);
            cr_assert_eq(result.fault.offset, cut / 144 * 144, "the length of the outermost message lies");
        }
        free(copy);
    }
    message_free(&body);
}

Test(otlp, B7_every_prefix_of_the_innermost_messages_is_malformed_too)
{
    struct message golden = from_hex(golden_hex);

    for (size_t cut = 46; cut < 144; cut++) { /* lengths of the three outer messages fit what is left */
        struct message scope_spans = {0};
        struct noted noted = {0};
        struct otlp_result result;
        message_bytes(&scope_spans, 2, slice_of(golden.bytes + 45, cut - 45));
        struct message body = message_body_of_scope_spans(&scope_spans);
        const enum err err = decode(&body, &noted, &result);
        /* OK only where a field ends; then ids may be missing */
        if (err == OK) cr_assert_eq(result.spans + result.rejected, 1);
        if (err != OK) cr_assert_eq(err, ERR_MALFORMED);
        if (err != OK) cr_assert_lt(result.fault.offset, body.len);
        message_free(&body);
    }
    message_free(&golden);
}

/* ---- empty things ----------------------------------------------------------------------------------- */

Test(otlp, B1_an_empty_body_is_no_spans)
{
    struct noted noted = {0};
    struct otlp_result result;

    cr_assert_eq(otlp_decode(decoder, (struct slice){0}, &note_sink, &noted, &result), OK);
    cr_assert_eq(result.spans + result.rejected + noted.resources, 0);
}

Test(otlp, B2_empty_messages_at_every_level)
{
    struct message body = {0}, resource_spans = {0}, scope_spans = {0}, empty = {0};
    struct noted noted = {0};
    struct otlp_result result;

    message_put(&body, 1, &empty); /* ResourceSpans */
    message_put(&resource_spans, 1, &empty);
    message_put(&resource_spans, 2, &empty); /* ScopeSpans */
    message_put(&scope_spans, 1, &empty);
    message_put(&scope_spans, 2, &empty); /* Span */
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_eq(noted.resources, 2);
    cr_assert_eq(noted.scopes, 2);
    cr_assert_eq(result.spans, 0);
    cr_assert_eq(result.rejected, 1);
    cr_assert_not_null(strstr(result.rejection.reason, "trace_id"));
    message_free(&body);
}

Test(otlp, B2_empty_children_of_a_span)
{
    struct message span = {0}, empty = {0};
    struct noted noted = {0};
    struct otlp_result result;

    message_ids(&span, 1, 1);
    message_put(&span, 9, &empty);
    message_put(&span, 11, &empty);
    message_put(&span, 13, &empty);
    message_put(&span, 15, &empty);
    cr_assert_eq(decode_span(&span, &noted, &result), OK);
    cr_assert_eq(result.spans, 1);
    cr_assert_eq(noted.spans[0].attributes_count, 1);
    cr_assert_eq(noted.spans[0].events_count, 1);
    cr_assert_eq(noted.spans[0].links_count, 1);
    cr_assert(noted.spans[0].status_present);
}

/* ---- ids -------------------------------------------------------------------------------------------- */

struct id_row {
    size_t trace_len, span_len, parent_len;
    bool zero_trace, zero_span, zero_parent;
    const char *rejected; /* a word of the reason; NULL: accepted */
};

Test(otlp, B3_ids_of_wrong_length_or_all_zero_reject_the_span_alone)
{
    static const struct id_row rows[] = {
        {16, 8, 0, false, false, false, NULL},
        {16, 8, 8, false, false, false, NULL},
        {16, 8, 8, false, false, true, NULL}, /* zeros: a root */
        {0, 8, 0, false, false, false, "trace_id"},
        {1, 8, 0, false, false, false, "trace_id"},
        {15, 8, 0, false, false, false, "trace_id"},
        {17, 8, 0, false, false, false, "trace_id"},
        {1000000, 8, 0, false, false, false, "trace_id"},
        {16, 8, 0, true, false, false, "trace_id"},
        {16, 0, 0, false, false, false, "span_id"},
        {16, 1, 0, false, false, false, "span_id"},
        {16, 7, 0, false, false, false, "span_id"},
        {16, 9, 0, false, false, false, "span_id"},
        {16, 1000000, 0, false, false, false, "span_id"},
        {16, 8, 0, false, true, false, "span_id"},
        {16, 8, 1, false, false, false, "parent_span_id"},
        {16, 8, 7, false, false, false, "parent_span_id"},
        {16, 8, 9, false, false, false, "parent_span_id"},
        {16, 8, 16, false, false, false, "parent_span_id"},
    };
    uint8_t *const ones = malloc(1000000), *const zeros = calloc(1, 1000000);

    memset(ones, 1, 1000000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct id_row *const row = &rows[i];
        struct message scope_spans = {0}, span = {0}, good = {0};
        struct noted noted = {0};
        struct otlp_result result;
        message_bytes(&span, 1, slice_of(row->zero_trace ? zeros : ones, row->trace_len));
        message_bytes(&span, 2, slice_of(row->zero_span ? zeros : ones, row->span_len));
        message_bytes(&span, 4, slice_of(row->zero_parent ? zeros : ones, row->parent_len));
        message_put(&scope_spans, 2, &span);
        const size_t at = scope_spans.len;
        message_ids(&good, 5, 5);
        message_put(&scope_spans, 2, &good);
        struct message body = message_body_of_scope_spans(&scope_spans);
        cr_assert_eq(decode(&body, &noted, &result), OK, "row %zu", i);
        cr_assert_eq(result.spans, row->rejected == NULL ? 2 : 1, "row %zu", i);
        cr_assert_eq(result.rejected, row->rejected == NULL ? 0 : 1, "row %zu", i);
        if (row->rejected != NULL) {
            cr_assert_not_null(strstr(result.rejection.reason, row->rejected), "row %zu", i);
            cr_assert_lt(result.rejection.offset, body.len - at / 2, "inside the first span: row %zu", i);
            cr_assert_gt(result.rejection.offset, 0, "row %zu", i);
        } else {
            cr_assert_eq(noted.spans[0].parent_present, row->parent_len == 8, "row %zu", i);
        }
        message_free(&body);
    }
    free(ones);
    free(zeros);
}

Test(otlp, B3_a_span_may_be_its_own_parent)
{
    struct message span = {0};
    struct noted noted = {0};
    struct otlp_result result;
    const uint64_t own = 2; /* message_ids(.., 1) */

    message_ids(&span, 1, 1);
    message_bytes(&span, 4, slice_of(&own, 8));
    cr_assert_eq(decode_span(&span, &noted, &result), OK);
    cr_assert_eq(result.spans, 1);
    cr_assert_arr_eq(noted.spans[0].parent_span_id.bytes, noted.spans[0].span_id.bytes, 8);
}

/* Ids of 8, 16 and 0 bytes, then ids of another length, given before or after them. */
Test(otlp, B9_the_last_ids_of_a_link_count)
{
    static const size_t lengths[] = {0, 7, 8, 16, 17};
    const struct slice bytes = slice_text("0123456789abcdefg");
    struct slice scratch[OTLP_ATTRIBUTES_MAX];

    for (unsigned field = 1; field <= 2; field++) {
        for (unsigned i = 0; i < 25; i++) {
            const size_t before = lengths[i % 5], last = lengths[i / 5];
            const size_t whole = field == 1 ? 16 : 8;
            struct message message = {0};
            struct otlp_fault fault = {0};
            struct link_view link;

            message_bytes(&message, field, slice_of(bytes.ptr, before));
            const size_t at = message.len;
            message_bytes(&message, field, slice_of(bytes.ptr, last));
            const bool good = last == 0 || last == whole;
            cr_assert_eq(link_decode(message_slice(&message), scratch, &link, &fault),
                         good ? OK : ERR_UNSUPPORTED);
            if (good) cr_assert_eq(field == 1 ? link.trace_id_present : link.span_id_present, last == whole);
            if (!good) cr_assert_eq(fault.at, message.bytes + at);
            message_free(&message);
        }
    }
}

Test(otlp, B3_links_take_ids_of_full_length_or_none)
{
    for (size_t trace = 0; trace <= 17; trace++)
        for (size_t span = 0; span <= 9; span++) {
            struct message message = {0};
            struct slice scratch[OTLP_ATTRIBUTES_MAX];
            struct link_view link;
            struct otlp_fault fault;
            message_bytes(&message, 1, slice_of("0123456789abcdefg", trace));
            message_bytes(&message, 2, slice_of("012345678", span));
            const bool good = (trace == 0 || trace == 16) && (span == 0 || span == 8);
            cr_assert_eq(link_decode(message_slice(&message), scratch, &link, &fault),
                         good ? OK : ERR_UNSUPPORTED);
            if (good) cr_assert_eq(link.trace_id_present, trace == 16);
            if (good) cr_assert_eq(link.span_id_present, span == 8);
            message_free(&message);
        }
}

/* ---- limits ----------------------------------------------------------------------------------------- */

static enum err decode_many_spans(uint32_t count, bool valid, struct otlp_result *result)
{
    struct message scope_spans = {0};
    struct noted noted = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct message span = {0};
        if (valid) message_ids(&span, 1, i);
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    const enum err err = decode(&body, &noted, result);
    if (err == ERR_TOO_LARGE) cr_assert_eq(noted.spans_count, 0, "counted before any work");
    message_free(&body);
    return err;
}

Test(otlp, B4_spans_of_a_request_up_to_the_limit)
{
    struct otlp_result result;

    cr_assert_eq(decode_many_spans(OTLP_SPANS_MAX - 1, true, &result), OK);
    cr_assert_eq(result.spans, OTLP_SPANS_MAX - 1);
    cr_assert_eq(decode_many_spans(OTLP_SPANS_MAX, true, &result), OK);
    cr_assert_eq(result.spans, OTLP_SPANS_MAX);
    cr_assert_eq(decode_many_spans(OTLP_SPANS_MAX + 1, true, &result), ERR_TOO_LARGE);
    cr_assert_not_null(strstr(result.fault.reason, "100000 spans"));
}

Test(otlp, B4_ten_million_empty_spans_are_refused)
{
    struct otlp_result result;

    cr_assert_eq(decode_many_spans(10000000, false, &result), ERR_TOO_LARGE);
}

Test(otlp, B4_spans_are_counted_across_scopes_and_resources)
{
    struct message body = {0};
    struct noted noted = {0};
    struct otlp_result result;

    for (unsigned i = 0; i < 11; i++) {
        struct message resource_spans = {0}, scope_spans = {0};
        for (unsigned k = 0; k < 10000; k++) {
            struct message span = {0};
            message_put(&scope_spans, 2, &span);
        }
        message_put(&resource_spans, 2, &scope_spans);
        message_put(&body, 1, &resource_spans);
    }
    cr_assert_eq(decode(&body, &noted, &result), ERR_TOO_LARGE);
    message_free(&body);
}

/* A span with `count` empty messages in a field; how many were kept, and the dropped count. */
static void count_children(uint32_t field, uint32_t count, uint32_t sent, struct span_view *out)
{
    struct message span = {0}, empty = {0};
    struct noted noted = {0};
    struct otlp_result result;

    message_ids(&span, 1, 1);
    message_varint(&span, field + 1, sent); /* the dropped count has the next field number */
    for (uint32_t i = 0; i < count; i++)
        message_put(&span, field, &empty);
    cr_assert_eq(decode_span(&span, &noted, &result), OK);
    *out = noted.spans[0];
}

Test(otlp, B12_attributes_events_and_links_beyond_1024_are_cut_and_counted)
{
    static_assert(OTLP_ATTRIBUTES_MAX == OTLP_EVENTS_MAX && OTLP_EVENTS_MAX == OTLP_LINKS_MAX, "one loop");

    for (uint32_t field = 9; field <= 13; field += 2)
        for (uint32_t count = OTLP_EVENTS_MAX - 1; count <= OTLP_EVENTS_MAX + 2; count++) {
            const uint32_t cut = count > OTLP_EVENTS_MAX ? count - OTLP_EVENTS_MAX : 0;
            struct span_view view;
            count_children(field, count, 5, &view);
            const uint32_t kept[3] = {view.attributes_count, view.events_count, view.links_count};
            const uint32_t dropped[3] = {view.dropped_attributes_count, view.dropped_events_count,
                                         view.dropped_links_count};
            cr_assert_eq(kept[(field - 9) / 2], count - cut);
            cr_assert_eq(dropped[(field - 9) / 2], 5 + cut);
            cr_assert_eq(view.cut, cut);
        }
}

Test(otlp, B12_a_dropped_count_stays_at_its_largest)
{
    struct span_view view;

    count_children(9, OTLP_ATTRIBUTES_MAX + 3, UINT32_MAX - 1, &view);
    cr_assert_eq(view.dropped_attributes_count, UINT32_MAX);
}

Test(otlp, B12_attributes_of_events_and_links_beyond_1024_are_cut_and_counted)
{
    for (uint32_t count = OTLP_ATTRIBUTES_MAX - 1; count <= OTLP_ATTRIBUTES_MAX + 2; count++) {
        const uint32_t cut = count > OTLP_ATTRIBUTES_MAX ? count - OTLP_ATTRIBUTES_MAX : 0;
        struct message event = {0}, link = {0}, empty = {0};
        struct slice scratch[OTLP_ATTRIBUTES_MAX];
        struct event_view event_view;
        struct link_view link_view;
        struct otlp_fault fault;
        for (uint32_t i = 0; i < count; i++) {
            message_put(&event, 3, &empty);
            message_put(&link, 4, &empty);
        }
        cr_assert_eq(event_decode(message_slice(&event), scratch, &event_view, &fault), OK);
        cr_assert_eq(link_decode(message_slice(&link), scratch, &link_view, &fault), OK);
        cr_assert_eq(event_view.attributes_count, count - cut);
        cr_assert_eq(event_view.dropped_attributes_count, cut);
        cr_assert_eq(event_view.cut, cut);
        cr_assert_eq(link_view.attributes_count, count - cut);
        cr_assert_eq(link_view.dropped_attributes_count, cut);
        message_free(&event);
        message_free(&link);
    }
}

Test(otlp, resources_and_scopes_up_to_1_MiB)
{
    uint8_t *const text = calloc(1, OTLP_ENVELOPE_BYTES_MAX);

    for (uint32_t field = 0; field < 2; field++) /* resource, scope */
        for (int delta = -1; delta <= 1; delta++) {
            struct message envelope = {0}, scope_spans = {0}, resource_spans = {0}, body = {0};
            struct noted noted = {0};
            struct otlp_result result;
            /* an unknown field that fills the message: 2 bytes of tag, 3 of length */
            message_bytes(&envelope, 100, slice_of(text, (size_t)(OTLP_ENVELOPE_BYTES_MAX + delta) - 5));
            cr_assert_eq(envelope.len, (size_t)(OTLP_ENVELOPE_BYTES_MAX + delta));
            if (field == 0) {
                message_put(&resource_spans, 1, &envelope);
            } else {
                message_put(&scope_spans, 1, &envelope);
                message_put(&resource_spans, 2, &scope_spans);
            }
            message_put(&body, 1, &resource_spans);
            cr_assert_eq(decode(&body, &noted, &result), delta > 0 ? ERR_TOO_LARGE : OK);
            message_free(&body);
        }
    free(text);
}

/* ---- envelopes -------------------------------------------------------------------------------------- */

static struct message span_of(uint64_t number)
{
    struct message span = {0};

    message_ids(&span, 7, number);
    return span;
}

Test(otlp, resource_scope_and_schema_may_come_behind_the_spans)
{
    struct message body = {0}, resource_spans = {0}, scope_spans = {0}, resource = {0}, scope = {0};
    struct message span = span_of(1);
    struct noted noted = {0};
    struct otlp_result result;

    message_put(&scope_spans, 2, &span);
    message_text(&scope_spans, 3, "scope schema");
    message_text(&scope, 1, "lib");
    message_put(&scope_spans, 1, &scope);
    message_put(&resource_spans, 2, &scope_spans);
    message_text(&resource_spans, 3, "resource schema");
    message_string_attribute(&resource, 1, "service.name", "shop");
    const struct message expected = resource;
    message_bytes(&resource_spans, 1, message_slice(&resource));
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_eq(noted.resources, 1);
    cr_assert_eq(noted.scopes, 1);
    cr_assert(slice_equal(noted.resource, message_slice(&expected)));
    cr_assert(slice_is(noted.resource_schema, "resource schema"));
    cr_assert(slice_is(noted.scope, "\x0a\x03lib"));
    cr_assert(slice_is(noted.scope_schema, "scope schema"));
    cr_assert_eq(result.spans, 1);
    message_free(&resource);
    message_free(&body);
}

Test(otlp, B9_a_split_resource_is_the_concatenation_of_its_pieces)
{
    struct message body = {0}, resource_spans = {0}, whole = {0};
    struct noted noted = {0};
    struct otlp_result result;

    for (unsigned i = 0; i < 4; i++) { /* the third piece is empty */
        struct message piece = {0}, scope_spans = {0}, span = span_of(i);
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        if (i != 2) message_string_attribute(&piece, 1, key, "v");
        message_raw(&whole, piece.bytes, piece.len);
        message_put(&resource_spans, 1, &piece);
        message_put(&scope_spans, 2, &span);
        message_put(&resource_spans, 2, &scope_spans);
    }
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_eq(noted.resources, 1);
    cr_assert_eq(noted.scopes, 4);
    cr_assert_eq(result.spans, 4);
    cr_assert(slice_equal(noted.resource, message_slice(&whole)));
    message_free(&whole);
    message_free(&body);
}

Test(otlp, B9_a_split_resource_has_the_same_limit_as_a_whole_one)
{
    uint8_t *const text = calloc(1, OTLP_ENVELOPE_BYTES_MAX);

    for (int delta = -1; delta <= 1; delta++) {
        struct message body = {0}, resource_spans = {0};
        struct noted noted = {0};
        struct otlp_result result;
        size_t left = (size_t)(OTLP_ENVELOPE_BYTES_MAX + delta);
        for (unsigned i = 0; i < 5; i++) {
            struct message piece = {0};
            const size_t here = i < 4 ? left / 5 : left;
            message_bytes(&piece, 100, slice_of(text, here - 5));
            cr_assert_eq(piece.len, here);
            left -= here;
            message_put(&resource_spans, 1, &piece);
        }
        message_put(&body, 1, &resource_spans);
        cr_assert_eq(decode(&body, &noted, &result), delta > 0 ? ERR_TOO_LARGE : OK);
        message_free(&body);
    }
    free(text);
}

Test(otlp, present_and_missing_envelopes_are_told_apart)
{
    struct message body = {0}, resource_spans = {0}, scope_spans = {0}, empty = {0};
    struct noted noted = {0};
    struct otlp_result result;

    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_not(noted.resource_present);
    cr_assert_not(noted.scope_present);
    message_put(&scope_spans, 1, &empty);
    message_put(&resource_spans, 1, &empty);
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert(noted.resource_present);
    cr_assert(noted.scope_present);
    message_free(&body);
}

Test(otlp, spans_of_old_senders_in_field_1000)
{
    for (int modern = 0; modern <= 1; modern++) {
        struct message body = {0}, resource_spans = {0}, old = {0}, new = {0};
        struct message span = span_of(1);
        struct noted noted = {0};
        struct otlp_result result;
        message_put(&old, 2, &span);
        message_put(&resource_spans, 1000, &old);
        for (uint64_t i = 0; i < 2 && modern; i++) {
            span = span_of(10 + i);
            message_put(&new, 2, &span);
        }
        if (modern) message_put(&resource_spans, 2, &new);
        message_put(&body, 1, &resource_spans);
        cr_assert_eq(decode(&body, &noted, &result), OK);
        cr_assert_eq(result.spans, modern ? 2 : 1, "field 1000 counts only where there are no scope_spans");
        message_free(&body);
    }
}

/* ---- what the sink refuses -------------------------------------------------------------------------- */

static struct message two_resources_with_three_spans(void)
{
    struct message body = {0};

    for (uint64_t i = 0; i < 2; i++) {
        struct message resource_spans = {0};
        for (uint64_t k = 0; k < i + 1; k++) {
            struct message scope_spans = {0}, span = span_of(i * 10 + k);
            message_put(&scope_spans, 2, &span);
            message_put(&resource_spans, 2, &scope_spans);
        }
        message_put(&body, 1, &resource_spans);
    }
    return body;
}

Test(otlp, a_sink_may_reject_spans_or_all_below_an_envelope)
{
    struct message body = two_resources_with_three_spans();
    const struct noted cases[] = {{.refuse_resource = ERR_UNSUPPORTED},
                                  {.refuse_scope = ERR_UNSUPPORTED},
                                  {.refuse_span = ERR_UNSUPPORTED}};

    for (unsigned i = 0; i < 3; i++) {
        struct noted noted = cases[i];
        struct otlp_result result;
        cr_assert_eq(decode(&body, &noted, &result), OK);
        cr_assert_eq(result.spans, 0);
        cr_assert_eq(result.rejected, 3);
        cr_assert_not_null(strstr(result.rejection.reason, "refused"));
        cr_assert_eq(noted.resources, 2);
        cr_assert_eq(noted.scopes, i == 0 ? 0 : 3);
        cr_assert_eq(noted.spans_count, 0);
    }
    message_free(&body);
}

Test(otlp, any_other_error_of_the_sink_ends_the_walk)
{
    struct message body = two_resources_with_three_spans();
    const struct noted cases[] = {
        {.refuse_resource = ERR_FULL}, {.refuse_scope = ERR_MALFORMED}, {.refuse_span = ERR_FULL}};

    for (unsigned i = 0; i < 3; i++) {
        struct noted noted = cases[i];
        struct otlp_result result;
        cr_assert_eq(decode(&body, &noted, &result), i == 1 ? ERR_MALFORMED : ERR_FULL);
        cr_assert_not_null(strstr(result.fault.reason, "refused"));
        cr_assert_eq(noted.resources, 1);
    }
    message_free(&body);
}

Test(otlp, malformed_spans_below_a_rejected_resource_are_still_malformed)
{
    struct message span = span_of(1);
    struct noted noted = {.refuse_resource = ERR_UNSUPPORTED};
    struct otlp_result result;

    message_varint(&span, 7, 5); /* start_time as a varint */
    cr_assert_eq(decode_span(&span, &noted, &result), ERR_MALFORMED);
}

/* ---- fields in any number and order ------------------------------------------------------------------ */

Test(otlp, B9_the_last_scalar_wins_and_status_merges)
{
    struct message span = span_of(1), status = {0};
    struct noted noted = {0};
    struct otlp_result result;

    message_text(&span, 5, "old name");
    message_varint(&span, 6, 1);
    message_fixed64(&span, 7, 1);
    message_fixed32(&span, 16, 1);
    message_text(&status, 2, "first");
    message_put(&span, 15, &status);
    message_text(&span, 5, "new name");
    message_varint(&span, 6, 2);
    message_fixed64(&span, 7, 2);
    message_fixed32(&span, 16, 2);
    message_varint(&status, 3, 2);
    message_put(&span, 15, &status); /* has no message: the first one stays */
    cr_assert_eq(decode_span(&span, &noted, &result), OK);
    cr_assert(slice_is(noted.spans[0].name, "new name"));
    cr_assert_eq(noted.spans[0].kind, 2);
    cr_assert_eq(noted.spans[0].start_ns, 2);
    cr_assert_eq(noted.spans[0].flags, 2);
    cr_assert_eq(noted.spans[0].status_code, 2);
    cr_assert(slice_is(noted.spans[0].status_message, "first"));
}

Test(otlp, fields_in_reverse_order_make_the_same_span)
{
    struct message forward = {0}, backward = {0}, scope_spans = {0};
    struct rebuilt rebuilt = {0};
    struct otlp_result result;
    const uint64_t ids[3] = {1, 2, 3};

    for (int turn = 0; turn < 2; turn++) {
        struct message *const span = turn == 0 ? &forward : &backward;
        for (unsigned i = 0; i < 12; i++) {
            struct message sub = {0};
            switch (turn == 0 ? i : 11 - i) {
            case 0: message_bytes(span, 1, slice_of(ids, 16)); break;
            case 1: message_bytes(span, 2, slice_of(ids + 2, 8)); break;
            case 2: message_text(span, 3, "state"); break;
            case 3: message_bytes(span, 4, slice_of(ids, 8)); break;
            case 4: message_text(span, 5, "name"); break;
            case 5: message_varint(span, 6, 3); break;
            case 6: message_fixed64(span, 7, 10); break;
            case 7: message_fixed64(span, 8, 20); break;
            case 8: message_string_attribute(span, 9, "k", "v"); break;
            case 9: message_put(span, 11, &sub); break;
            case 10:
                message_varint(&sub, 3, 1);
                message_put(span, 15, &sub);
                break;
            default: message_fixed32(span, 16, 0x101);
            }
        }
    }
    message_put(&scope_spans, 2, &forward);
    message_put(&scope_spans, 2, &backward);
    struct message body = message_body_of_scope_spans(&scope_spans);
    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
    cr_assert_eq(rebuilt.spans_count, 2);
    cr_assert(slice_equal(rebuilt.spans[0].bytes, rebuilt.spans[1].bytes));
    rebuilt_free(&rebuilt);
    message_free(&body);
}

/* Appends one unknown field of every wire type. */
static void put_unknown(struct message *message)
{
    message_varint(message, 18, UINT64_MAX);
    message_fixed64(message, 1999, 1);
    message_text(message, (1u << 29) - 1, "at the largest field number");
    message_fixed32(message, 77, 1);
    message_tag(message, 99, WIRE_GROUP);
    message_varint(message, 1, 1);
    message_tag(message, 99, WIRE_GROUP_END);
}

Test(otlp, B6_unknown_fields_are_skipped_at_every_level)
{
    struct message body = {0}, resource_spans = {0}, scope_spans = {0}, span = span_of(1);
    struct message resource = {0}, scope = {0}, pair = {0}, value = {0}, event = {0}, link = {0},
                   status = {0};
    struct rebuilt rebuilt = {0};
    struct otlp_result result;

    put_unknown(&value);
    message_text(&value, 1, "v");
    message_put(&pair, 2, &value);
    put_unknown(&pair);
    message_text(&pair, 1, "k");
    const struct slice attribute = message_slice(&pair);
    message_bytes(&event, 3, attribute);
    put_unknown(&event);
    message_bytes(&link, 4, attribute);
    put_unknown(&link);
    put_unknown(&status);
    message_varint(&status, 3, 1);
    message_bytes(&resource, 1, attribute);
    put_unknown(&resource);
    message_bytes(&scope, 3, attribute);
    put_unknown(&scope);
    message_put(&span, 9, &pair);
    message_put(&span, 11, &event);
    message_put(&span, 13, &link);
    message_put(&span, 15, &status);
    put_unknown(&span);
    put_unknown(&scope_spans);
    message_put(&scope_spans, 1, &scope);
    message_put(&scope_spans, 2, &span);
    put_unknown(&resource_spans);
    message_put(&resource_spans, 1, &resource);
    message_put(&resource_spans, 2, &scope_spans);
    put_unknown(&body);
    message_put(&body, 1, &resource_spans);
    put_unknown(&body);
    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK, "%s at %lu",
                 result.fault.reason, (unsigned long)result.fault.offset);
    cr_assert_eq(rebuilt.spans_count, 1);

    struct message expected = span_of(1), child = {0}; /* the same without what is unknown */
    message_string_attribute(&expected, 9, "k", "v");
    message_string_attribute(&child, 3, "k", "v");
    message_put(&expected, 11, &child);
    message_string_attribute(&child, 4, "k", "v");
    message_put(&expected, 13, &child);
    message_varint(&child, 3, 1);
    message_put(&expected, 15, &child);
    cr_assert(slice_equal(rebuilt.spans[0].bytes, message_slice(&expected)));
    message_free(&expected);
    rebuilt_free(&rebuilt);
    message_free(&body);
}

Test(otlp, B6_field_number_zero_is_malformed_at_every_level)
{
    static const uint8_t zero[] = {0x00, 0x00};

    for (unsigned level = 0; level < 4; level++) {
        struct message body = {0}, resource_spans = {0}, scope_spans = {0}, span = span_of(1);
        struct noted noted = {0};
        struct otlp_result result;
        if (level == 3) message_raw(&span, zero, 2);
        message_put(&scope_spans, 2, &span);
        if (level == 2) message_raw(&scope_spans, zero, 2);
        message_put(&resource_spans, 2, &scope_spans);
        if (level == 1) message_raw(&resource_spans, zero, 2);
        message_put(&body, 1, &resource_spans);
        if (level == 0) message_raw(&body, zero, 2);
        cr_assert_eq(decode(&body, &noted, &result), ERR_MALFORMED);
        cr_assert_eq(result.fault.offset, body.len - 2, "level %u", level);
        cr_assert_not_null(strstr(result.fault.reason, "bad field tag"));
        message_free(&body);
    }
}

/* ---- every known field with every wrong wire type ---------------------------------------------------- */

struct known {
    const char *message, *field; /* words of the reason */
    uint32_t number, wire;
};

static void put_value(struct message *message, uint32_t number, uint32_t wire)
{
    switch (wire) {
    case WIRE_VARINT: message_varint(message, number, 1); break;
    case WIRE_FIXED64: message_fixed64(message, number, 1); break;
    case WIRE_BYTES: message_bytes(message, number, (struct slice){0}); break;
    case WIRE_GROUP:
        message_tag(message, number, WIRE_GROUP);
        message_tag(message, number, WIRE_GROUP_END);
        break;
    case WIRE_GROUP_END: message_tag(message, number, WIRE_GROUP_END); break;
    default: message_fixed32(message, number, 1); break;
    }
}

static const struct known span_fields[] = {
    {"Span", "trace_id", 1, WIRE_BYTES},
    {"Span", "span_id", 2, WIRE_BYTES},
    {"Span", "trace_state", 3, WIRE_BYTES},
    {"Span", "parent_span_id", 4, WIRE_BYTES},
    {"Span", "name", 5, WIRE_BYTES},
    {"Span", "kind", 6, WIRE_VARINT},
    {"Span", "start_time_unix_nano", 7, WIRE_FIXED64},
    {"Span", "end_time_unix_nano", 8, WIRE_FIXED64},
    {"Span", "attributes", 9, WIRE_BYTES},
    {"Span", "dropped_attributes_count", 10, WIRE_VARINT},
    {"Span", "events", 11, WIRE_BYTES},
    {"Span", "dropped_events_count", 12, WIRE_VARINT},
    {"Span", "links", 13, WIRE_BYTES},
    {"Span", "dropped_links_count", 14, WIRE_VARINT},
    {"Span", "status", 15, WIRE_BYTES},
    {"Span", "flags", 16, WIRE_FIXED32},
};
static const struct known status_fields[] = {{"Status", "message", 2, WIRE_BYTES},
                                             {"Status", "code", 3, WIRE_VARINT}};
static const struct known event_fields[] = {{"Span.Event", "time_unix_nano", 1, WIRE_FIXED64},
                                            {"Span.Event", "name", 2, WIRE_BYTES},
                                            {"Span.Event", "attributes", 3, WIRE_BYTES},
                                            {"Span.Event", "dropped_attributes_count", 4, WIRE_VARINT}};
static const struct known link_fields[] = {{"Span.Link", "trace_id", 1, WIRE_BYTES},
                                           {"Span.Link", "span_id", 2, WIRE_BYTES},
                                           {"Span.Link", "trace_state", 3, WIRE_BYTES},
                                           {"Span.Link", "attributes", 4, WIRE_BYTES},
                                           {"Span.Link", "dropped_attributes_count", 5, WIRE_VARINT},
                                           {"Span.Link", "flags", 6, WIRE_FIXED32}};
static const struct known resource_fields[] = {
    {"Resource", "", 1, WIRE_BYTES}, {"Resource", "", 2, WIRE_VARINT}, {"Resource", "", 3, WIRE_BYTES}};
static const struct known scope_fields[] = {{"InstrumentationScope", "", 1, WIRE_BYTES},
                                            {"InstrumentationScope", "", 2, WIRE_BYTES},
                                            {"InstrumentationScope", "attributes", 3, WIRE_BYTES},
                                            {"InstrumentationScope", "", 4, WIRE_VARINT}};
static const struct known entity_fields[] = {{"EntityRef", "", 1, WIRE_BYTES},
                                             {"EntityRef", "", 2, WIRE_BYTES},
                                             {"EntityRef", "", 3, WIRE_BYTES},
                                             {"EntityRef", "", 4, WIRE_BYTES}};
static const struct known scope_spans_fields[] = {{"ScopeSpans", "scope", 1, WIRE_BYTES},
                                                  {"ScopeSpans", "spans", 2, WIRE_BYTES},
                                                  {"ScopeSpans", "schema_url", 3, WIRE_BYTES}};
static const struct known resource_spans_fields[] = {{"ResourceSpans", "resource", 1, WIRE_BYTES},
                                                     {"ResourceSpans", "scope_spans", 2, WIRE_BYTES},
                                                     {"ResourceSpans", "schema_url", 3, WIRE_BYTES},
                                                     {"ResourceSpans", "scope_spans", 1000, WIRE_BYTES}};
static const struct known body_fields[] = {{"ExportTraceServiceRequest", "resource_spans", 1, WIRE_BYTES}};

/* Around a message: which fields lead to it from the body; entries end at 0. */
struct place {
    const struct known *fields;
    size_t fields_count;
    uint32_t path[5];
};
#define PLACE(fields, ...)                                                                                   \
    {                                                                                                        \
        fields, sizeof fields / sizeof fields[0],                                                            \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
static const struct place places[] = {
    PLACE(body_fields, 0),
    PLACE(resource_spans_fields, 1, 0),
    PLACE(resource_fields, 1, 1, 0),
    PLACE(entity_fields, 1, 1, 3, 0),
    PLACE(scope_spans_fields, 1, 2, 0),
    PLACE(scope_fields, 1, 2, 1, 0),
    PLACE(span_fields, 1, 2, 2, 0),
    PLACE(status_fields, 1, 2, 2, 15, 0),
    PLACE(event_fields, 1, 2, 2, 11, 0),
    PLACE(link_fields, 1, 2, 2, 13, 0),
};

/* The message inside its parents; spans get ids, so that nothing else is wrong. *at: where the message ends. */
static struct message wrap(struct message *message, const struct place *place, size_t *behind)
{
    struct message inner = *message;
    unsigned depth = 0;

    *behind = 0;
    while (place->path[depth] != 0)
        depth++;
    if (place->fields == span_fields) {
        *behind = inner.len;
        message_ids(&inner, 1, 1);
        *behind = inner.len - *behind;
    }
    for (unsigned i = depth; i-- > 0;) {
        struct message outer = {0};
        message_put(&outer, place->path[i], &inner);
        const size_t len = outer.len;
        if (i == 3) message_ids(&outer, 1, 1); /* the parent is a span; path[2] of an entity is a resource */
        if (i == 3 && place->fields == entity_fields) outer.len = len;
        *behind += outer.len - len;
        inner = outer;
    }
    return inner;
}

Test(otlp, B8_every_known_field_with_every_wrong_wire_type_is_malformed)
{
    unsigned tried = 0;

    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
        for (size_t f = 0; f < places[p].fields_count; f++)
            for (uint32_t wire = 0; wire <= WIRE_FIXED32; wire++) {
                const struct known *const known = &places[p].fields[f];
                struct message message = {0};
                struct rebuilt rebuilt = {0};
                struct otlp_result result;
                size_t behind;
                put_unknown(&message);
                const size_t before = message.len;
                put_value(&message, known->number, wire);
                const size_t field_len = message.len - before;
                struct message body = wrap(&message, &places[p], &behind);
                const enum err err = rebuild(decoder, message_slice(&body), &rebuilt, &result);
                if (wire == known->wire) {
                    cr_assert_eq(err, OK, "%s field %u", known->message, known->number);
                } else {
                    cr_assert_eq(err, ERR_MALFORMED, "%s field %u wire %u", known->message, known->number,
                                 wire);
                    cr_assert(strncmp(result.fault.reason, known->message, strlen(known->message)) == 0,
                              "%s field %u: %s", known->message, known->number, result.fault.reason);
                    cr_assert_not_null(strstr(result.fault.reason, known->field), "%s", result.fault.reason);
                    cr_assert_eq(result.fault.offset, body.len - behind - field_len, "%s field %u wire %u",
                                 known->message, known->number, wire);
                }
                tried++;
                rebuilt_free(&rebuilt);
                message_free(&body);
            }
    cr_assert_eq(tried, 6 * (1 + 4 + 3 + 4 + 3 + 4 + 16 + 2 + 4 + 6));
}

Test(otlp, B7_every_known_field_that_is_cut_is_malformed)
{
    for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
        for (size_t f = 0; f < places[p].fields_count; f++) {
            const struct known *const known = &places[p].fields[f];
            struct message message = {0};
            struct rebuilt rebuilt = {0};
            struct otlp_result result;
            size_t behind;
            if (places[p].fields == span_fields) message_ids(&message, 1, 1);
            const size_t before = message.len;
            message_tag(&message, known->number, known->wire);
            if (known->wire == WIRE_BYTES) message_number(&message, 1); /* a length without its byte */
            if (known->wire == WIRE_VARINT) message_raw(&message, "\x80", 1);
            if (known->wire == WIRE_FIXED64) message_raw(&message, "1234567", 7);
            if (known->wire == WIRE_FIXED32) message_raw(&message, "123", 3);
            struct message body = {0};
            const size_t len = message.len - before;
            struct place without_ids = places[p];
            without_ids.fields = NULL; /* wrap() adds no ids behind the cut field */
            body = wrap(&message, &without_ids, &behind);
            cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), ERR_MALFORMED,
                         "%s field %u", known->message, known->number);
            cr_assert_eq(result.fault.offset, body.len - behind - len, "%s field %u", known->message,
                         known->number);
            rebuilt_free(&rebuilt);
            message_free(&body);
        }
}

/* ---- odd content that is kept ------------------------------------------------------------------------ */

Test(otlp, B11_text_is_kept_as_it_is)
{
    static const char odd[] = "nul \0 overlong \xc0\x80 half \xed\xa0\x80 end \xff \xef\xbf\xbe";
    struct message span = span_of(1);
    struct rebuilt rebuilt = {0};
    struct otlp_result result;

    message_bytes(&span, 5, slice_of(odd, sizeof odd));
    struct message body = message_body_of_span(&span);
    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
    cr_assert_eq(rebuilt.spans[0].bytes.len, 18 + 10 + 2 + sizeof odd);
    cr_assert_arr_eq(rebuilt.spans[0].bytes.ptr + 30, odd, sizeof odd);
    rebuilt_free(&rebuilt);
    message_free(&body);
}

Test(otlp, B12_duplicate_and_empty_keys_stay_in_their_order)
{
    struct message span = span_of(1), expected = span_of(1);
    struct rebuilt rebuilt = {0};
    struct otlp_result result;
    static const char *const keys[] = {"b", "a", "", "b", "a"};

    for (unsigned i = 0; i < 5; i++)
        for (int k = 0; k < 2; k++) {
            struct message *const to = k == 0 ? &span : &expected;
            struct message pair = {0}, value = {0};
            message_varint(&value, 3, i);
            if (keys[i][0] != 0) message_text(&pair, 1, keys[i]);
            message_put(&pair, 2, &value);
            message_put(to, 9, &pair);
        }
    struct message body = message_body_of_span(&span);
    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
    cr_assert(slice_equal(rebuilt.spans[0].bytes, message_slice(&expected)));
    rebuilt_free(&rebuilt);
    message_free(&expected);
    message_free(&body);
}

Test(otlp, B15_enums_and_counts_are_kept_as_32_bits)
{
    static const struct {
        uint64_t sent;
        int32_t kept;
    } rows[] = {
        {6, 6}, {UINT64_MAX, -1}, {1ull << 31, INT32_MIN}, {1ull << 32 | 5, 5}, {INT32_MAX, INT32_MAX}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct message span = span_of(1), status = {0};
        struct noted noted = {0};
        struct otlp_result result;
        message_varint(&span, 6, rows[i].sent);
        message_varint(&span, 10, rows[i].sent);
        message_varint(&status, 3, rows[i].sent);
        message_put(&span, 15, &status);
        cr_assert_eq(decode_span(&span, &noted, &result), OK);
        cr_assert_eq(noted.spans[0].kind, rows[i].kept);
        cr_assert_eq(noted.spans[0].status_code, rows[i].kept);
        cr_assert_eq(noted.spans[0].dropped_attributes_count, (uint32_t)rows[i].kept);
    }
}

Test(otlp, B13_times_are_kept_as_they_are)
{
    static const uint64_t times[][2] = {
        {0, 0}, {UINT64_MAX, 0}, {0, UINT64_MAX}, {1ull << 63, 1}, {9300000000000000000ull, 1}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct message span = span_of(1);
        struct noted noted = {0};
        struct otlp_result result;
        message_fixed64(&span, 7, times[i][0]);
        message_fixed64(&span, 8, times[i][1]);
        cr_assert_eq(decode_span(&span, &noted, &result), OK);
        cr_assert_eq(noted.spans[0].start_ns, times[i][0]);
        cr_assert_eq(noted.spans[0].end_ns, times[i][1]);
    }
}

Test(otlp, B16_equal_spans_are_all_handed_on)
{
    struct message scope_spans = {0};
    struct noted noted = {0};
    struct otlp_result result;

    for (unsigned i = 0; i < 3; i++) {
        struct message span = span_of(1);
        if (i == 2) message_text(&span, 5, "other content");
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    cr_assert_eq(decode(&body, &noted, &result), OK);
    cr_assert_eq(result.spans, 3);
    message_free(&body);
}

Test(otlp, B5_too_deep_rejects_the_span_and_not_its_neighbours)
{
    struct message scope_spans = {0};
    struct rebuilt rebuilt = {0};
    struct otlp_result result;

    for (unsigned i = 0; i < 6; i++) { /* 1 in an attribute, 3 in an event, 5 in a link */
        struct message span = span_of(i), child = {0}, pair = {0};
        struct message value = message_nested_value(OTLP_DEPTH_MAX + i % 2, i > 2);
        message_put(&pair, 2, &value);
        if (i < 2) {
            message_put(&span, 9, &pair);
        } else {
            message_put(&child, i < 4 ? 3 : 4, &pair);
            message_put(&span, i < 4 ? 11 : 13, &child);
        }
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
    cr_assert_eq(result.spans, 3);
    cr_assert_eq(result.rejected, 3);
    cr_assert_not_null(strstr(result.rejection.reason, "32 levels"));
    rebuilt_free(&rebuilt);
    message_free(&body);
}

Test(otlp, B5_too_deep_in_a_resource_or_scope_rejects_the_spans_below)
{
    for (unsigned in_scope = 0; in_scope < 2; in_scope++) {
        struct message body = {0};
        struct rebuilt rebuilt = {0};
        struct otlp_result result;
        for (unsigned i = 0; i < 2; i++) {
            struct message resource_spans = {0}, scope_spans = {0}, envelope = {0}, pair = {0},
                           span = span_of(i);
            struct message value = message_nested_value(OTLP_DEPTH_MAX + i, true);
            message_put(&pair, 2, &value);
            message_put(&envelope, in_scope ? 3 : 1, &pair);
            message_put(in_scope ? &scope_spans : &resource_spans, 1, &envelope);
            message_put(&scope_spans, 2, &span);
            message_put(&resource_spans, 2, &scope_spans);
            message_put(&body, 1, &resource_spans);
        }
        cr_assert_eq(rebuild(decoder, message_slice(&body), &rebuilt, &result), OK);
        cr_assert_eq(result.spans, 1);
        cr_assert_eq(result.rejected, 1);
        rebuilt_free(&rebuilt);
        message_free(&body);
    }
}

/* ---- lists of numbers --------------------------------------------------------------------------------- */

static void add_once(const ProtobufCMessageDescriptor **messages, unsigned *count,
                     const ProtobufCMessageDescriptor *message)
{
    for (unsigned i = 0; i < *count; i++)
        if (messages[i] == message) return;
    messages[(*count)++] = message;
}

/* Only numbers can be packed: as long as there are no lists of them, the decoder need not know how. */
Test(otlp, B10_no_field_is_a_list_of_numbers)
{
    const ProtobufCMessageDescriptor *messages[64] = {&opentelemetry__proto__traces_data__descriptor};
    unsigned count = 1;

    for (unsigned at = 0; at < count; at++) {
        for (unsigned i = 0; i < messages[at]->n_fields; i++) {
            const ProtobufCFieldDescriptor *const field = &messages[at]->fields[i];
            const bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
            if (is_message) add_once(messages, &count, field->descriptor);
            cr_assert(field->label != PROTOBUF_C_LABEL_REPEATED || is_message ||
                          field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES,
                      "%s.%s", messages[at]->name, field->name);
        }
    }
    cr_assert_geq(count, 14, "every message of a trace was looked at");
}
