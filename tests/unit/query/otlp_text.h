/*
 * OTLP messages in a few words, for tests: fields are written in the order of the calls, into one buffer.
 *
 *   struct otlp_text text = {0};
 *   begin(&text, 9); string(&text, 1, "key"); ... end(&text);
 */
#ifndef TEST_QUERY_OTLP_TEXT_H
#define TEST_QUERY_OTLP_TEXT_H

#include "codec/wire.h"

#include <assert.h>
#include <stdlib.h>

struct otlp_text {
    uint8_t bytes[65536];
    size_t len;
    size_t marks[64]; /* where open messages begin */
    uint32_t fields[64];
    unsigned depth;
};

static inline void raw(struct otlp_text *text, const void *bytes, size_t len)
{
    assert(text->len + len <= sizeof text->bytes);
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

static inline void varint(struct otlp_text *text, uint64_t value)
{
    uint8_t bytes[10];
    raw(text, bytes, wire_varint_bytes(value, bytes));
}

static inline void number(struct otlp_text *text, uint32_t field, uint64_t value)
{
    varint(text, (uint64_t)field << 3 | WIRE_VARINT);
    varint(text, value);
}

static inline void fixed64(struct otlp_text *text, uint32_t field, uint64_t value)
{
    varint(text, (uint64_t)field << 3 | WIRE_FIXED64);
    raw(text, &value, 8);
}

static inline void fixed32(struct otlp_text *text, uint32_t field, uint32_t value)
{
    varint(text, (uint64_t)field << 3 | WIRE_FIXED32);
    raw(text, &value, 4);
}

static inline void real(struct otlp_text *text, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    fixed64(text, field, bits);
}

static inline void bytes(struct otlp_text *text, uint32_t field, const void *from, size_t len)
{
    varint(text, (uint64_t)field << 3 | WIRE_BYTES);
    varint(text, len);
    raw(text, from, len);
}

static inline void string(struct otlp_text *text, uint32_t field, const char *value)
{
    bytes(text, field, value, strlen(value));
}

static inline void begin(struct otlp_text *text, uint32_t field)
{
    assert(text->depth < 64);
    text->fields[text->depth] = field;
    text->marks[text->depth++] = text->len;
}

static inline void end(struct otlp_text *text)
{
    uint8_t head[20];
    assert(text->depth > 0);
    const size_t mark = text->marks[--text->depth], len = text->len - mark;
    unsigned head_len = wire_varint_bytes((uint64_t)text->fields[text->depth] << 3 | WIRE_BYTES, head);
    uint8_t tail[10];
    const unsigned tail_len = wire_varint_bytes(len, tail);
    memcpy(head + head_len, tail, tail_len);
    head_len += tail_len;
    assert(text->len + head_len <= sizeof text->bytes);
    memmove(text->bytes + mark + head_len, text->bytes + mark, len);
    memcpy(text->bytes + mark, head, head_len);
    text->len += head_len;
}

static inline struct slice text_slice(const struct otlp_text *text)
{
    assert(text->depth == 0);
    return slice_of(text->bytes, text->len);
}

#endif
