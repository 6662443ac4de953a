/*
 * Protobuf on the wire. A submessage is written in one go: proto_open() leaves one byte for its length,
 * proto_close() moves the content up when the length needs more. That costs a memmove per large message, in a
 * place that runs before the load starts; in exchange nobody has to compute sizes ahead.
 *
 * Reading fails with ERR_MALFORMED: a varint of more than ten bytes, a length beyond the message, field
 * number 0, groups. After that proto_next() stays false.
 */
#include "proto.h"

#include <endian.h>
#include <stdlib.h>

#define CAPACITY_FIRST 4096

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->ptr);
    *buffer = (struct buffer){0};
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (buffer->failed) return NULL;
    if (len <= buffer->capacity - buffer->len) return buffer->ptr + buffer->len;

    size_t capacity = buffer->capacity == 0 ? CAPACITY_FIRST : buffer->capacity;
    while (capacity - buffer->len < len && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    uint8_t *const ptr = capacity - buffer->len < len ? NULL : realloc(buffer->ptr, capacity);
    if (ptr == NULL) {
        buffer->failed = true;
        return NULL;
    }
    buffer->ptr = ptr;
    buffer->capacity = capacity;
    return ptr + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
    if (len == 0) return;
    uint8_t *const at = buffer_reserve(buffer, len);
    if (at == NULL) return;
    memcpy(at, bytes, len);
    buffer->len += len;
}

static size_t varint_encode(uint8_t *at, uint64_t value)
{
    size_t len = 0;

    while (value >= 0x80) {
        at[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[len++] = (uint8_t)value;
    return len;
}

static void append_varint(struct buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];

    buffer_append(buffer, bytes, varint_encode(bytes, value));
}

static void append_tag(struct buffer *buffer, uint32_t number, enum proto_type type)
{
    append_varint(buffer, (uint64_t)number << 3 | (uint64_t)type);
}

void proto_varint(struct buffer *buffer, uint32_t number, uint64_t value)
{
    append_tag(buffer, number, PROTO_VARINT);
    append_varint(buffer, value);
}

void proto_fixed64(struct buffer *buffer, uint32_t number, uint64_t value)
{
    const uint64_t little = htole64(value);

    append_tag(buffer, number, PROTO_FIXED64);
    buffer_append(buffer, &little, sizeof little);
}

void proto_fixed32(struct buffer *buffer, uint32_t number, uint32_t value)
{
    const uint32_t little = htole32(value);

    append_tag(buffer, number, PROTO_FIXED32);
    buffer_append(buffer, &little, sizeof little);
}

void proto_double(struct buffer *buffer, uint32_t number, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    proto_fixed64(buffer, number, bits);
}

void proto_bytes(struct buffer *buffer, uint32_t number, const void *bytes, size_t len)
{
    append_tag(buffer, number, PROTO_BYTES);
    append_varint(buffer, len);
    buffer_append(buffer, bytes, len);
}

void proto_text(struct buffer *buffer, uint32_t number, const char *text)
{
    proto_bytes(buffer, number, text, strlen(text));
}

size_t proto_open(struct buffer *buffer, uint32_t number)
{
    static const uint8_t length_to_come = 0;

    append_tag(buffer, number, PROTO_BYTES);
    buffer_append(buffer, &length_to_come, 1);
    return buffer->len;
}

void proto_close(struct buffer *buffer, size_t mark)
{
    if (buffer->failed) return;
    assert(mark >= 1 && mark <= buffer->len);

    uint8_t length[10];
    const size_t content = buffer->len - mark;
    const size_t length_len = varint_encode(length, content);
    if (buffer_reserve(buffer, length_len) == NULL) return;
    memmove(buffer->ptr + mark - 1 + length_len, buffer->ptr + mark, content);
    memcpy(buffer->ptr + mark - 1, length, length_len);
    buffer->len += length_len - 1;
}

/* ---- reading
 * ----------------------------------------------------------------------------------------------- */

static bool fail(struct proto_reader *reader)
{
    reader->err = ERR_MALFORMED;
    reader->rest.len = 0;
    return false;
}

static bool take_varint(struct slice *rest, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < 10 && i < rest->len; i++) {
        const uint8_t byte = rest->ptr[i];
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = result;
            *rest = slice_of(rest->ptr + i + 1, rest->len - i - 1);
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct slice *rest, uint64_t len, struct slice *bytes)
{
    if (len > rest->len) return false;
    *bytes = slice_of(rest->ptr, (size_t)len);
    *rest = slice_of(rest->ptr + len, rest->len - (size_t)len);
    return true;
}

static bool take_value(struct slice *rest, struct proto_field *field)
{
    uint64_t len = 0;
    struct slice bytes;

    switch (field->type) {
    case PROTO_VARINT: return take_varint(rest, &field->value);
    case PROTO_BYTES: return take_varint(rest, &len) && take_bytes(rest, len, &field->bytes);
    case PROTO_FIXED64: {
        uint64_t little;
        if (!take_bytes(rest, sizeof little, &bytes)) return false;
        memcpy(&little, bytes.ptr, sizeof little);
        field->value = le64toh(little);
        return true;
    }
    case PROTO_FIXED32: {
        uint32_t little;
        if (!take_bytes(rest, sizeof little, &bytes)) return false;
        memcpy(&little, bytes.ptr, sizeof little);
        field->value = le32toh(little);
        return true;
    }
    }
    return false; /* a group, or no wire type at all */
}

bool proto_next(struct proto_reader *reader, struct proto_field *field)
{
    if (reader->rest.len == 0) return false;

    const uint8_t *const start = reader->rest.ptr;
    uint64_t tag = 0;
    if (!take_varint(&reader->rest, &tag)) return fail(reader);
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return fail(reader);
    *field = (struct proto_field){.number = (uint32_t)(tag >> 3), .type = (enum proto_type)(tag & 7)};
    if (!take_value(&reader->rest, field)) return fail(reader);
    field->whole = slice_of(start, (size_t)(reader->rest.ptr - start));
    return true;
}
