/*
 * The spans of golden blocks: odd ones with everything in them, plain ones whose times and ids look random, so that bytes
 * lie raw, and dull ones, which fill the first page and begin the second in the middle of a trace.
 */
#ifndef TEST_STORE_GOLDEN_SPANS_H
#define TEST_STORE_GOLDEN_SPANS_H

#include "block_fixture.h"
#include "golden.h"

#include "base/hash.h"

typedef struct message golden_span_fn(unsigned number);

static inline void golden_value(struct message *value, unsigned number)
{
    struct message list = {0}, item = {0};

    switch (number % 9) {
    case 0: message_text(value, 1, number % 2 == 0 ? "text" : "caf\xc3\xa9"); break;
    case 1: message_varint(value, 2, number % 2); break;
    case 2: message_varint(value, 3, (uint64_t)0 - number * 1000000007ull); break;
    case 3: message_fixed64(value, 4, 0x7ff8000000000000ull + number); break;
    case 4:
        message_varint(&item, 3, number);
        message_put(&list, 1, &item);
        message_text(&item, 1, "in an array");
        message_put(&list, 1, &item);
        message_put(value, 5, &list);
        break;
    case 5:
        message_string_attribute(&list, 1, "inner", "kv");
        message_put(value, 6, &list);
        break;
    case 6: message_bytes(value, 7, slice_of("\0\1\2\xff", 4)); break;
    case 7: break; /* empty */
    default: message_text(value, 1, "of another type"); break;
    }
}

static inline void golden_attribute(struct message *parent, uint32_t field, unsigned number)
{
    static const char *const names[] = {"a", "b", ""};
    struct message pair = {0}, value = {0};
    char key[16];

    snprintf(key, sizeof key, "%s%s", number % 10 == 9 ? "" : "key.", names[number % 3]);
    message_text(&pair, 1, key);
    golden_value(&value, number);
    if (number % 11 != 10) message_put(&pair, 2, &value);
    message_free(&value);
    message_put(parent, field, &pair);
}

static const uint64_t golden_times[] = {0, 5, UINT64_MAX, 1700000000000000000ull};

static inline void golden_events(struct message *span, unsigned number)
{
    for (unsigned i = 0; i < number % 3; i++) {
        struct message event = {0};
        message_fixed64(&event, 1, golden_times[(number + i) % 4]);
        if (i == 0) message_text(&event, 2, "exception");
        golden_attribute(&event, 3, number * 7 + i);
        if (number % 4 == 0) message_varint(&event, 4, 9);
        message_put(span, 11, &event);
    }
}

static inline void golden_links(struct message *span, unsigned number)
{
    for (unsigned i = 0; i < number % 4 / 2; i++) {
        struct message link = {0};
        const uint64_t ids[2] = {number, i};
        if (number % 8 > 3) message_bytes(&link, 1, slice_of(ids, 16));
        if (number % 8 != 6) message_bytes(&link, 2, slice_of(ids, 8));
        if (number % 8 == 7) message_text(&link, 3, "state");
        golden_attribute(&link, 4, number * 3 + i);
        if (number % 8 == 3) message_varint(&link, 5, 4);
        message_fixed32(&link, 6, number % 2 * 0x301);
        message_put(span, 13, &link);
    }
}

static inline struct message golden_odd(unsigned number)
{
    struct message span = {0}, status = {0};
    const uint64_t parent = number % 4 == 0   ? number + 1 /* itself */
                            : number % 4 == 1 ? 77777
                                              : number / 2 + 1;

    message_ids(&span, number / 6, number);
    if (number % 5 == 1) message_text(&span, 3, "vendor=1");
    if (number % 3 > 0) message_bytes(&span, 4, slice_of(&parent, 8));
    if (number % 7 > 0) message_text(&span, 5, number % 2 == 0 ? "GET /" : "POST /cart");
    message_varint(&span, 6, number % 8 == 7 ? UINT64_MAX : number % 6);
    message_fixed64(&span, 7, golden_times[number % 4]);
    message_fixed64(&span, 8, golden_times[number % 3]);
    for (unsigned i = 0; i < number % 8; i++)
        golden_attribute(&span, 9, number + i * 5);
    message_varint(&span, 10, number % 3);
    golden_events(&span, number);
    message_varint(&span, 12, number % 2 * 70000);
    golden_links(&span, number);
    message_varint(&span, 14, number % 5 == 0);
    if (number % 4 == 0) message_text(&status, 2, "it broke");
    message_varint(&status, 3, number % 3);
    if (number % 2 == 0) message_put(&span, 15, &status);
    message_free(&status);
    message_fixed32(&span, 16, number % 3 * 0x100);
    return span;
}

static inline struct message golden_plain(unsigned number)
{
    struct message span = {0};
    const uint64_t mixed = hash_mix(number + 1, 99);
    const uint64_t start = 1700000000000000000ull + number * 1000000ull + mixed % 1000000;
    char text[32];

    message_ids(&span, 1100 + number / 100, mixed);
    message_text(&span, 5, number % 7 == 0 ? "SELECT" : "GET /");
    message_varint(&span, 6, number % 7 == 0 ? 3 : 2);
    message_fixed64(&span, 7, start);
    message_fixed64(&span, 8, start + mixed % 5000000);
    message_int_attribute(&span, 9, "status", number % 50 == 0 ? 500 : 200);
    message_int_attribute(&span, 9, "number", number);
    message_string_attribute(&span, 9, "region", "eu"); /* becomes a constant of its shape */
    snprintf(text, sizeof text, "order %u", number);
    message_string_attribute(&span, 9, "note", number % 7 == 0 ? "always the same" : text);
    return span;
}

enum { GOLDEN_DULL_TRACE = 60 };

/* The low byte of their trace ids is 0: they sort before all others. */
static inline struct message golden_dull(unsigned number)
{
    struct message span = {0};
    const uint64_t root = 1, start = 1600000000000000000ull + number * 1000ull;

    message_ids(&span, (number / GOLDEN_DULL_TRACE + 1) * 256ull - 1, number % GOLDEN_DULL_TRACE);
    if (number % GOLDEN_DULL_TRACE > 0) message_bytes(&span, 4, slice_of(&root, 8));
    message_text(&span, 5, "tick");
    message_fixed64(&span, 7, start);
    message_fixed64(&span, 8, start + 500);
    return span;
}

/* One request: the spans from .. to - 1 below one resource and scope, which follow from the first number. */
static inline enum err golden_put(struct live_case *c, unsigned from, unsigned to, golden_span_fn *make)
{
    struct message body = {0}, resource_spans = {0}, resource = {0}, scope_spans = {0}, scope = {0};

    message_string_attribute(&resource, 1, "service.name", from % 2 == 0 ? "shop" : "cart");
    message_int_attribute(&resource, 1, "process.pid", from);
    if (from > 0) message_put(&resource_spans, 1, &resource);
    message_free(&resource);
    message_text(&scope, 1, "lib");
    if (from % 3 == 0) message_int_attribute(&scope, 3, "level", 3);
    message_put(&scope_spans, 1, &scope);
    if (from == 12) message_text(&scope_spans, 3, "https://example/scope");
    if (from == 12) message_text(&resource_spans, 3, "https://example/resource");
    for (unsigned i = from; i < to; i++) {
        struct message span = make(i);
        message_put(&scope_spans, 2, &span);
    }
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    return live_case_put(c, &body);
}

/* ---- what they are in JSON ---------------------------------------------------------------------------------- */

static inline void golden_envelope(struct golden_json *json, const char *name,
                                   const struct rebuilt_envelope *envelope)
{
    golden_begin(json, name, '[');
    golden_number(json, NULL, envelope->present);
    golden_hex(json, NULL, envelope->message);
    golden_hex(json, NULL, envelope->schema_url);
    golden_end(json, ']');
}

/* A row of the block, not of the live one. */
static inline void golden_row(struct golden_json *json, const struct block_case *c, uint32_t block,
                              uint32_t row)
{
    const struct rebuilt_span *const span = &c->live.expected.spans[c->order[row]];
    const struct rebuilt_envelope *const envelopes = c->live.expected.envelopes;

    golden_begin(json, NULL, '{');
    golden_number(json, "block", block);
    golden_number(json, "row", row);
    golden_hex(json, "span", span->bytes);
    golden_envelope(json, "resource", &envelopes[span->resource]);
    golden_envelope(json, "scope", &envelopes[span->scope]);
    golden_end(json, '}');
}

#endif
