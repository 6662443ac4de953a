/*
 * Protobuf messages written forwards, field by field, for tests: any field, any order, any nonsense. A message owns its
 * bytes; message_put() takes a finished one in as a field and frees it.
 *
 *   struct message span = {0};
 *   message_bytes(&span, 1, trace_id);  message_fixed64(&span, 7, start);  message_put(&scope_spans, 2, &span);
 */
#ifndef TEST_MODEL_MESSAGE_H
#define TEST_MODEL_MESSAGE_H

#include "base/assert.h"
#include "base/slice.h"
#include "codec/wire.h"

#include <stdlib.h>

struct message {
    uint8_t *bytes; /* owned */
    size_t len, capacity;
};

static inline void message_free(struct message *message)
{
    free(message->bytes);
    *message = (struct message){0};
}

static inline struct slice message_slice(const struct message *message)
{
    return slice_of(message->bytes, message->len);
}

static inline void message_raw(struct message *message, const void *bytes, size_t len)
{
    if (message->len + len > message->capacity) {
        message->capacity = (message->len + len) * 2 + 64;
        message->bytes = realloc(message->bytes, message->capacity);
        assert(message->bytes != NULL);
    }
    if (len > 0) memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}

static inline void message_number(struct message *message, uint64_t value)
{
    uint8_t bytes[10];
    const unsigned len = wire_varint_bytes(value, bytes);

    message_raw(message, bytes, len);
}

static inline void message_tag(struct message *message, uint32_t number, uint32_t type)
{
    message_number(message, (uint64_t)number << 3 | type);
}

static inline void message_varint(struct message *message, uint32_t number, uint64_t value)
{
    message_tag(message, number, WIRE_VARINT);
    message_number(message, value);
}

static inline void message_fixed64(struct message *message, uint32_t number, uint64_t value)
{
    message_tag(message, number, WIRE_FIXED64);
    message_raw(message, &value, sizeof value);
}

static inline void message_fixed32(struct message *message, uint32_t number, uint32_t value)
{
    message_tag(message, number, WIRE_FIXED32);
    message_raw(message, &value, sizeof value);
}

static inline void message_bytes(struct message *message, uint32_t number, struct slice bytes)
{
    message_tag(message, number, WIRE_BYTES);
    message_number(message, bytes.len);
    message_raw(message, bytes.ptr, bytes.len);
}

static inline void message_text(struct message *message, uint32_t number, const char *text)
{
    message_bytes(message, number, slice_text(text));
}

/* Takes the part in as a field and frees it. */
static inline void message_put(struct message *message, uint32_t number, struct message *part)
{
    message_bytes(message, number, message_slice(part));
    message_free(part);
}

/* Appends the fields of a part and frees it. */
static inline void message_join(struct message *message, struct message *part)
{
    message_raw(message, part->bytes, part->len);
    message_free(part);
}

/* ---- pieces that many tests need ------------------------------------------------------------------- */

/* KeyValue {key, value: {string_value}}; field is where it goes in its parent. */
static inline void message_string_attribute(struct message *parent, uint32_t field, const char *key,
                                            const char *text)
{
    struct message pair = {0}, value = {0};

    message_text(&value, 1, text);
    message_text(&pair, 1, key);
    message_put(&pair, 2, &value);
    message_put(parent, field, &pair);
}

static inline void message_int_attribute(struct message *parent, uint32_t field, const char *key,
                                         uint64_t number)
{
    struct message pair = {0}, value = {0};

    message_varint(&value, 3, number);
    message_text(&pair, 1, key);
    message_put(&pair, 2, &value);
    message_put(parent, field, &pair);
}

/* An AnyValue of `levels` AnyValues, arrays (and with mixed, also kvlists) in each other; the last is a string. */
static inline struct message message_nested_value(unsigned levels, bool mixed)
{
    struct message value = {0};

    message_text(&value, 1, "in the middle");
    for (unsigned i = 1; i < levels; i++) {
        struct message list = {0}, outer = {0};
        if (mixed && i % 2 == 0) {
            struct message pair = {0};
            message_text(&pair, 1, "k");
            message_put(&pair, 2, &value);
            message_put(&list, 1, &pair);
            message_put(&outer, 6, &list);
        } else {
            message_put(&list, 1, &value);
            message_put(&outer, 5, &list);
        }
        value = outer;
    }
    return value;
}

/* The ids that a span must have; number tells spans of a test apart. */
static inline void message_ids(struct message *span, uint64_t trace, uint64_t number)
{
    const uint64_t trace_id[2] = {trace + 1, trace ^ 0x5555555555555555ull};
    const uint64_t span_id = number + 1;

    message_bytes(span, 1, slice_of(trace_id, sizeof trace_id));
    message_bytes(span, 2, slice_of(&span_id, sizeof span_id));
}

/* A body with one resource and one scope around the fields of a ScopeSpans message; frees it. */
static inline struct message message_body_of_scope_spans(struct message *scope_spans)
{
    struct message body = {0}, resource_spans = {0};

    message_put(&resource_spans, 2, scope_spans);
    message_put(&body, 1, &resource_spans);
    return body;
}

static inline struct message message_body_of_span(struct message *span)
{
    struct message scope_spans = {0};

    message_put(&scope_spans, 2, span);
    return message_body_of_scope_spans(&scope_spans);
}

#endif
