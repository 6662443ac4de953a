/*
 * The protobuf wire format, both ways: a buffer that is appended to, and a reader that steps over the fields
 * of one message. The reader validates everything (foreign files and answers go through it) and never
 * recurses; whoever wants a submessage opens a second reader on the field's bytes.
 *
 *   struct buffer out = {0};                        struct proto_reader reader = proto_read(bytes);
 *   const size_t mark = proto_open(&out, 1);         struct proto_field field;
 *   proto_text(&out, 1, "key");                      while (proto_next(&reader, &field)) ...
 *   proto_close(&out, mark);                         if (reader.err != OK) ...
 *   if (out.failed) ...
 *   buffer_deinit(&out);
 */
#ifndef LOAD_PROTO_H
#define LOAD_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* Bytes that grow. After a failed growth `failed` is set, further appends do nothing, and one check at the
 * end is enough. */
struct buffer {
    uint8_t *ptr; /* owned */
    size_t len;
    size_t capacity;
    bool failed;
};

void buffer_deinit(struct buffer *buffer);
void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
/* Room for len bytes at the end, or NULL; the caller adds to buffer->len what it used. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t len);
static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->ptr, buffer->len);
}

enum proto_type { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

/* Writing; fields with default values are written all the same: the caller decides. */
void proto_varint(struct buffer *buffer, uint32_t number, uint64_t value);
void proto_fixed64(struct buffer *buffer, uint32_t number, uint64_t value);
void proto_fixed32(struct buffer *buffer, uint32_t number, uint32_t value);
void proto_double(struct buffer *buffer, uint32_t number, double value);
void proto_bytes(struct buffer *buffer, uint32_t number, const void *bytes, size_t len);
void proto_text(struct buffer *buffer, uint32_t number, const char *text);
/* Begins a submessage; proto_close() with the mark ends it. They nest. */
size_t proto_open(struct buffer *buffer, uint32_t number);
void proto_close(struct buffer *buffer, size_t mark);

struct proto_field {
    uint32_t number;
    enum proto_type type;
    uint64_t value;     /* varint, fixed64, fixed32 */
    struct slice bytes; /* PROTO_BYTES; borrowed from what is read */
    struct slice whole; /* the field with its tag */
};

struct proto_reader {
    struct slice rest; /* borrowed */
    enum err err;      /* ERR_MALFORMED once something was wrong */
};

static inline struct proto_reader proto_read(struct slice message)
{
    return (struct proto_reader){.rest = message, .err = OK};
}

/* The next field, or false at the end or when the bytes are wrong. Groups are malformed here: OTLP has none.
 */
bool proto_next(struct proto_reader *reader, struct proto_field *field);

#endif
