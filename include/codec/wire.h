/*
 * Protobuf's wire format: varints, tags, fixed-width values, and skipping what is unknown. Reading is done
 * with a cursor that never passes its end; every function returns false on malformed input and then leaves
 * the cursor where the offence begins. Writing goes backwards, from the end of a buffer to its start, so that
 * the length of a sub-message is known when its prefix is written.
 *
 * Wire types: 0 varint, 1 fixed64 LE, 2 length-delimited, 3/4 group, 5 fixed32 LE (protobuf encoding guide).
 */
#ifndef CODEC_WIRE_H
#define CODEC_WIRE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5
};
enum { WIRE_FIELD_MAX = (1 << 29) - 1, WIRE_GROUP_DEPTH_MAX = 64 };

struct wire_reader {
    const uint8_t *at, *end;
};

static inline struct wire_reader wire_reader_of(struct slice bytes)
{
    return (struct wire_reader){bytes.ptr, bytes.ptr + bytes.len};
}

bool wire_varint_slow(struct wire_reader *reader, uint64_t *out);

/* At most ten bytes, and no more than 64 bits. */
static inline bool wire_varint(struct wire_reader *reader, uint64_t *out)
{
    if (__builtin_expect(reader->at < reader->end && *reader->at < 0x80, 1)) {
        *out = *reader->at++;
        return true;
    }
    if (__builtin_expect(reader->end - reader->at >= 2 && reader->at[1] < 0x80,
                         1)) { /* lengths up to 16383 */
        *out = (uint64_t)(reader->at[0] & 0x7f) | (uint64_t)reader->at[1] << 7;
        reader->at += 2;
        return true;
    }
    return wire_varint_slow(reader, out);
}

/*
 * Field number 1 .. 2^29-1 and a wire type from 0 to 5, in as few bytes as it takes: no writer pads a tag, and whoever
 * tells frequent fields by their tag byte must not be told otherwise by a longer spelling.
 */
static inline bool wire_tag(struct wire_reader *reader, uint32_t *number, uint32_t *type)
{
    const uint8_t *const start = reader->at;
    uint64_t tag;

    if (!wire_varint(reader, &tag) || tag < 8 || tag >> 3 > WIRE_FIELD_MAX || (tag & 7) > WIRE_FIXED32 ||
        (reader->at - start > 1 && reader->at[-1] == 0)) {
        reader->at = start;
        return false;
    }
    *number = (uint32_t)(tag >> 3);
    *type = (uint32_t)(tag & 7);
    return true;
}

static inline bool wire_bytes(struct wire_reader *reader, struct slice *out)
{
    const uint8_t *const start = reader->at;
    uint64_t len;

    if (__builtin_expect(!wire_varint(reader, &len) || len > (uint64_t)(reader->end - reader->at), 0)) {
        reader->at = start;
        return false;
    }
    *out = slice_of(reader->at, (size_t)len);
    reader->at += len;
    return true;
}

static inline bool wire_fixed64(struct wire_reader *reader, uint64_t *out)
{
    if (reader->end - reader->at < 8) return false;
    memcpy(out, reader->at, 8); /* little-endian hosts only, see static check in wire.c */
    reader->at += 8;
    return true;
}

static inline bool wire_fixed32(struct wire_reader *reader, uint32_t *out)
{
    if (reader->end - reader->at < 4) return false;
    memcpy(out, reader->at, 4);
    reader->at += 4;
    return true;
}

/* Skips the value of a field whose tag has been read; groups by a counter, at most WIRE_GROUP_DEPTH_MAX deep.
 */
bool wire_skip(struct wire_reader *reader, uint32_t type);

/* ---- writing backwards ----------------------------------------------------------------------------------
 */

/*
 * Bytes grow from base + capacity downwards. Beyond capacity nothing is written but counted on, so that len
 * tells how much room is needed.
 */
struct wire_writer {
    uint8_t *base;
    size_t capacity;
    size_t len;
};

static inline bool wire_writer_fits(const struct wire_writer *writer)
{
    return writer->len <= writer->capacity;
}

/* What has been written; only when it fits. */
static inline struct slice wire_writer_bytes(const struct wire_writer *writer)
{
    return slice_of(writer->base + writer->capacity - writer->len, writer->len);
}

static inline void wire_put(struct wire_writer *writer, const void *bytes, size_t len)
{
    writer->len += len;
    if (writer->len <= writer->capacity && len > 0)
        memcpy(writer->base + writer->capacity - writer->len, bytes, len);
}

static inline unsigned wire_varint_bytes(uint64_t value, uint8_t out[10])
{
    unsigned len = 0;

    for (; value >= 0x80; value >>= 7)
        out[len++] = (uint8_t)(value | 0x80);
    out[len++] = (uint8_t)value;
    return len;
}

static inline void wire_put_varint(struct wire_writer *writer, uint64_t value)
{
    uint8_t bytes[10];
    const unsigned len = wire_varint_bytes(value, bytes);

    wire_put(writer, bytes, len);
}

static inline void wire_put_tag(struct wire_writer *writer, uint32_t number, uint32_t type)
{
    wire_put_varint(writer, (uint64_t)number << 3 | type);
}

static inline void wire_put_bytes_field(struct wire_writer *writer, uint32_t number, struct slice bytes)
{
    wire_put(writer, bytes.ptr, bytes.len);
    wire_put_varint(writer, bytes.len);
    wire_put_tag(writer, number, WIRE_BYTES);
}

static inline void wire_put_varint_field(struct wire_writer *writer, uint32_t number, uint64_t value)
{
    wire_put_varint(writer, value);
    wire_put_tag(writer, number, WIRE_VARINT);
}

static inline void wire_put_fixed64_field(struct wire_writer *writer, uint32_t number, uint64_t value)
{
    wire_put(writer, &value, 8);
    wire_put_tag(writer, number, WIRE_FIXED64);
}

static inline void wire_put_fixed32_field(struct wire_writer *writer, uint32_t number, uint32_t value)
{
    wire_put(writer, &value, 4);
    wire_put_tag(writer, number, WIRE_FIXED32);
}

/* Closes a sub-message whose content was written since the writer's len was mark. */
static inline void wire_close_message(struct wire_writer *writer, uint32_t number, size_t mark)
{
    wire_put_varint(writer, writer->len - mark);
    wire_put_tag(writer, number, WIRE_BYTES);
}

#endif
