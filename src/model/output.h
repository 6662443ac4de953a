/*
 * Private to model/: protobuf written forwards into a buffer, for who translates a text in one pass and knows the length of
 * a message only at its end. (codec/wire.h writes backwards, from what is known already.)
 *
 * Bytes are left free for the length at a message's beginning, as many as it usually takes; the message is moved when it
 * takes others, so lengths come out as short as protobuf writers make them. When something does not fit, `full` is set, and
 * what is written afterwards means nothing.
 *
 * Behind the output lies room: a text with escapes is made there, and may be put from there, moved a few bytes.
 */
#ifndef MODEL_OUTPUT_H
#define MODEL_OUTPUT_H

#include "codec/json_reader.h"
#include "codec/wire.h"
#include "model/otlp_from_json.h"

enum { OUTPUT_LENGTH_BYTES_MAX = 4 }; /* that may be left free */

struct output {
    uint8_t *bytes; /* borrowed */
    size_t capacity, len;
    bool full;
    struct otlp_json_changes changes; /* what the JSON said and protobuf cannot hold */
};

static inline void output_put(struct output *output, const void *bytes, size_t len)
{
    if (len > output->capacity - output->len) {
        output->full = true;
        return;
    }
    memmove(output->bytes + output->len, bytes, len); /* a string may have been made just behind */
    output->len += len;
}

static inline void output_varint(struct output *output, uint64_t value)
{
    uint8_t bytes[10];

    output_put(output, bytes, wire_varint_bytes(value, bytes));
}

static inline void output_tag(struct output *output, uint32_t number, enum wire_type type)
{
    output_varint(output, (uint64_t)number << 3 | type);
}

static inline void output_varint_field(struct output *output, uint32_t number, uint64_t value)
{
    output_tag(output, number, WIRE_VARINT);
    output_varint(output, value);
}

static inline void output_fixed64_field(struct output *output, uint32_t number, uint64_t value)
{
    output_tag(output, number, WIRE_FIXED64);
    output_put(output, &value, 8); /* little-endian hosts, see wire.c */
}

/* Tag, length and bytes; these may lie just behind the output. */
static inline void output_bytes_field(struct output *output, uint32_t number, struct slice bytes)
{
    uint8_t head[20];
    size_t head_len = wire_varint_bytes((uint64_t)number << 3 | WIRE_BYTES, head);

    head_len += wire_varint_bytes(bytes.len, head + head_len);
    if (output->full || head_len > output->capacity - output->len ||
        bytes.len > output->capacity - output->len - head_len) {
        output->full = true;
        return;
    }
    uint8_t *const at = output->bytes + output->len;
    if (bytes.len > 0) memmove(at + head_len, bytes.ptr, bytes.len);
    memcpy(at, head, head_len);
    output->len += head_len + bytes.len;
}

/* Begins a message; returns where its content does. length_bytes: 1 .. OUTPUT_LENGTH_BYTES_MAX. */
static inline size_t output_open(struct output *output, uint32_t number, unsigned length_bytes)
{
    static const uint8_t nothing[OUTPUT_LENGTH_BYTES_MAX];

    output_tag(output, number, WIRE_BYTES);
    output_put(output, nothing, length_bytes);
    return output->len;
}

static inline void output_close(struct output *output, size_t content, unsigned length_bytes)
{
    const size_t len = output->len - content;
    uint8_t length[10];

    if (output->full) return;
    const size_t width = wire_varint_bytes(len, length);
    uint8_t *const at = output->bytes + content - length_bytes;
    if (width != length_bytes) {
        if (width > length_bytes && width - length_bytes > output->capacity - output->len) {
            output->full = true;
            return;
        }
        memmove(at + width, at + length_bytes, len);
        output->len = output->len - length_bytes + width;
    }
    memcpy(at, length, width);
}

/* Room behind the output; NULL when there is none. */
static inline uint8_t *output_room(struct output *output, size_t len)
{
    if (len <= output->capacity - output->len) return output->bytes + output->len;
    output->full = true;
    return NULL;
}

/* What a string of JSON says; one with escapes is made behind the output, where it lies until something is put. */
static inline struct slice output_text(struct output *output, struct slice text, bool escaped)
{
    if (!escaped) return text;
    uint8_t *const at = output_room(output, text.len);
    return at == NULL ? slice_text("") : slice_of(at, json_unescape(text, at, &output->changes.characters));
}

/* ---- hexadecimal digits, in either case ----------------------------------------------------------------------- */

static inline int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Two digits a byte. */
static inline bool hex_decode(struct slice text, uint8_t *out)
{
    if (text.len % 2 != 0) return false;
    for (size_t i = 0; i < text.len; i += 2) {
        const int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);
        if (high < 0 || low < 0) return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

#endif
