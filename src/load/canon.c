/*
 * One table says what each message holds; one loop with a stack of its own goes through it. A frame is a
 * message that is being written: it goes row by row through the type's fields, and for a row of submessages
 * from one occurrence to the next, putting a frame on top for each.
 *
 * A scalar that is given twice: the last one counts. A scalar at its default and an empty singular submessage
 * are left out, except in the oneof of AnyValue, where an empty string and no value at all are different
 * things.
 */
#include "canon.h"

#define DEPTH_MAX 140 /* an AnyValue in an AnyValue takes two or three */

enum shape { SHAPE_VARINT, SHAPE_FIXED64, SHAPE_FIXED32, SHAPE_BYTES, SHAPE_MESSAGE };
enum presence { SINGLE, REPEATED, ONEOF };

struct row {
    uint8_t number;
    uint8_t shape;    /* enum shape */
    uint8_t presence; /* enum presence */
    uint8_t child;    /* enum canon_type, of a message */
};

#define ROWS_MAX 17

/* By number; a row of number 0 ends the list. */
static const struct row types[CANON_TYPES][ROWS_MAX] = {
    [CANON_RESOURCE_SPANS] = {{1, SHAPE_MESSAGE, SINGLE, CANON_RESOURCE}, {3, SHAPE_BYTES, SINGLE, 0}},
    [CANON_SCOPE_SPANS] = {{1, SHAPE_MESSAGE, SINGLE, CANON_SCOPE}, {3, SHAPE_BYTES, SINGLE, 0}},
    [CANON_SPAN] = {{1, SHAPE_BYTES, SINGLE, 0},
                    {2, SHAPE_BYTES, SINGLE, 0},
                    {3, SHAPE_BYTES, SINGLE, 0},
                    {4, SHAPE_BYTES, SINGLE, 0},
                    {5, SHAPE_BYTES, SINGLE, 0},
                    {6, SHAPE_VARINT, SINGLE, 0},
                    {7, SHAPE_FIXED64, SINGLE, 0},
                    {8, SHAPE_FIXED64, SINGLE, 0},
                    {9, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE},
                    {10, SHAPE_VARINT, SINGLE, 0},
                    {11, SHAPE_MESSAGE, REPEATED, CANON_EVENT},
                    {12, SHAPE_VARINT, SINGLE, 0},
                    {13, SHAPE_MESSAGE, REPEATED, CANON_LINK},
                    {14, SHAPE_VARINT, SINGLE, 0},
                    {15, SHAPE_MESSAGE, SINGLE, CANON_STATUS},
                    {16, SHAPE_FIXED32, SINGLE, 0}},
    [CANON_RESOURCE] = {{1, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE},
                        {2, SHAPE_VARINT, SINGLE, 0},
                        {3, SHAPE_MESSAGE, REPEATED, CANON_ENTITY_REF}},
    [CANON_ENTITY_REF] = {{1, SHAPE_BYTES, SINGLE, 0},
                          {2, SHAPE_BYTES, SINGLE, 0},
                          {3, SHAPE_BYTES, REPEATED, 0},
                          {4, SHAPE_BYTES, REPEATED, 0}},
    [CANON_SCOPE] = {{1, SHAPE_BYTES, SINGLE, 0},
                     {2, SHAPE_BYTES, SINGLE, 0},
                     {3, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE},
                     {4, SHAPE_VARINT, SINGLE, 0}},
    [CANON_KEY_VALUE] = {{1, SHAPE_BYTES, SINGLE, 0}, {2, SHAPE_MESSAGE, SINGLE, CANON_ANY_VALUE}},
    [CANON_ANY_VALUE] = {{1, SHAPE_BYTES, ONEOF, 0},
                         {2, SHAPE_VARINT, ONEOF, 0},
                         {3, SHAPE_VARINT, ONEOF, 0},
                         {4, SHAPE_FIXED64, ONEOF, 0},
                         {5, SHAPE_MESSAGE, ONEOF, CANON_ARRAY},
                         {6, SHAPE_MESSAGE, ONEOF, CANON_KEY_VALUE_LIST},
                         {7, SHAPE_BYTES, ONEOF, 0}},
    [CANON_ARRAY] = {{1, SHAPE_MESSAGE, REPEATED, CANON_ANY_VALUE}},
    [CANON_KEY_VALUE_LIST] = {{1, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE}},
    [CANON_EVENT] = {{1, SHAPE_FIXED64, SINGLE, 0},
                     {2, SHAPE_BYTES, SINGLE, 0},
                     {3, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE},
                     {4, SHAPE_VARINT, SINGLE, 0}},
    [CANON_LINK] = {{1, SHAPE_BYTES, SINGLE, 0},
                    {2, SHAPE_BYTES, SINGLE, 0},
                    {3, SHAPE_BYTES, SINGLE, 0},
                    {4, SHAPE_MESSAGE, REPEATED, CANON_KEY_VALUE},
                    {5, SHAPE_VARINT, SINGLE, 0},
                    {6, SHAPE_FIXED32, SINGLE, 0}},
    [CANON_STATUS] = {{2, SHAPE_BYTES, SINGLE, 0}, {3, SHAPE_VARINT, SINGLE, 0}},
};

struct frame {
    const struct row *row; /* being written */
    struct slice message;
    struct proto_reader reader; /* from occurrence to occurrence of a row of submessages */
    uint32_t present;           /* bit n: field n occurs */
    size_t start;               /* in out: the field's number */
    bool drop_empty;
};

#define HEADER_BYTES 5 /* number and length */

static enum proto_type proto_type_of(const struct row *row)
{
    switch ((enum shape)row->shape) {
    case SHAPE_VARINT: return PROTO_VARINT;
    case SHAPE_FIXED64: return PROTO_FIXED64;
    case SHAPE_FIXED32: return PROTO_FIXED32;
    case SHAPE_BYTES:
    case SHAPE_MESSAGE: return PROTO_BYTES;
    }
    unreachable("a row without a shape");
}

static void put_header(struct buffer *out, uint8_t number, size_t len)
{
    const uint32_t len32 = (uint32_t)len;

    buffer_append(out, &number, 1);
    buffer_append(out, &len32, sizeof len32);
}

/* Checks the whole message once and notes which fields occur. */
static enum err look_through(const struct row *rows, struct slice message, uint32_t *present)
{
    struct proto_reader reader = proto_read(message);
    struct proto_field field;

    *present = 0;
    while (proto_next(&reader, &field)) {
        for (const struct row *row = rows; row->number != 0 && row->number <= field.number; row++) {
            if (row->number != field.number) continue;
            if (field.type != proto_type_of(row)) return ERR_MALFORMED;
            *present |= 1U << row->number;
        }
    }
    return reader.err;
}

static enum err push(struct frame *frame, struct buffer *out, enum canon_type type, struct slice message,
                     const struct row *as)
{
    if (message.len > UINT32_MAX) return ERR_TOO_LARGE;
    *frame = (struct frame){.row = types[type],
                            .message = message,
                            .reader = proto_read(message),
                            .start = out->len,
                            .drop_empty = as != NULL && as->presence == SINGLE};
    if (as != NULL) put_header(out, as->number, 0);
    return look_through(frame->row, message, &frame->present);
}

/* The length is known now; an empty singular submessage goes. */
static void pop(const struct frame *frame, struct buffer *out)
{
    const uint32_t len = (uint32_t)(out->len - frame->start - HEADER_BYTES);

    if (out->failed) return;
    if (len == 0 && frame->drop_empty)
        out->len = frame->start;
    else
        memcpy(out->ptr + frame->start + 1, &len, sizeof len);
}

static void put_scalar(const struct row *row, const struct proto_field *field, struct buffer *out)
{
    const bool bytes = row->shape == SHAPE_BYTES;
    const bool is_default = bytes ? field->bytes.len == 0 : field->value == 0;

    if (is_default && row->presence == SINGLE) return;
    put_header(out, row->number, bytes ? field->bytes.len : sizeof field->value);
    if (bytes)
        buffer_append(out, field->bytes.ptr, field->bytes.len);
    else
        buffer_append(out, &field->value, sizeof field->value);
}

/* All of a row that is not of submessages. */
static void write_scalars(const struct frame *frame, struct buffer *out)
{
    struct proto_reader reader = proto_read(frame->message);
    struct proto_field field;
    struct proto_field last = {0};

    while (proto_next(&reader, &field)) {
        if (field.number != frame->row->number) continue;
        if (frame->row->presence == REPEATED) put_scalar(frame->row, &field, out);
        last = field;
    }
    if (frame->row->presence != REPEATED) put_scalar(frame->row, &last, out);
}

/* The next submessage of the frame's row. */
static bool next_child(struct frame *frame, struct slice *child)
{
    struct proto_field field;

    while (proto_next(&frame->reader, &field)) {
        if (field.number != frame->row->number) continue;
        *child = field.bytes;
        return true;
    }
    frame->reader = proto_read(frame->message);
    return false;
}

enum err canon_append(struct buffer *out, enum canon_type type, struct slice message)
{
    struct frame stack[DEPTH_MAX];
    uint32_t depth = 1;

    TRY(push(&stack[0], out, type, message, NULL));
    while (depth > 0) {
        struct frame *const frame = &stack[depth - 1];
        const struct row *const row = frame->row;
        struct slice child;

        if (row->number == 0) {
            if (--depth > 0) pop(frame, out);
        } else if ((frame->present & 1U << row->number) == 0) {
            frame->row++;
        } else if (row->shape != SHAPE_MESSAGE) {
            write_scalars(frame, out);
            frame->row++;
        } else if (!next_child(frame, &child)) {
            frame->row++;
        } else {
            if (depth == DEPTH_MAX) return ERR_TOO_LARGE;
            TRY(push(&stack[depth++], out, (enum canon_type)row->child, child, row));
        }
    }
    return out->failed ? ERR_NO_MEMORY : OK;
}

/* ---- what differs
 * ------------------------------------------------------------------------------------------ */

/* Number and whole length of the field at the beginning. */
static uint32_t field_at(struct slice form, size_t at, size_t *len)
{
    uint32_t content;

    if (at >= form.len) {
        *len = 0;
        return 0;
    }
    memcpy(&content, form.ptr + at + 1, sizeof content);
    *len = HEADER_BYTES + content;
    return form.ptr[at];
}

uint32_t canon_difference(struct slice a, struct slice b)
{
    for (size_t at = 0;;) {
        size_t a_len;
        size_t b_len;
        const uint32_t a_number = field_at(a, at, &a_len);
        const uint32_t b_number = field_at(b, at, &b_len);
        if (a_number == 0 || b_number == 0) return a_number + b_number;
        if (a_number != b_number) return a_number < b_number ? a_number : b_number;
        if (!slice_equal(slice_of(a.ptr + at, a_len), slice_of(b.ptr + at, b_len))) return a_number;
        at += a_len;
    }
}
