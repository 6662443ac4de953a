/*
 * Takes packed texts apart. The form is judged whole before anything is written: what is not exactly of it is a text of the
 * sender's own, and stays one.
 */
#include "zipkin_packed.h"

#include "base/assert.h"

enum { DROPPED_DIGITS_MAX = 10 };

/* Beyond it a double is not every integer, and 64 bits are not enough. */
static const double INTEGER_MAX = 9.2e18;

static bool read_dropped(struct slice digits, uint32_t *out)
{
    uint64_t value = 0;

    if (digits.len == 0 || digits.len > DROPPED_DIGITS_MAX) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        value = value * 10 + (digits.ptr[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= UINT32_MAX;
}

static bool is_object(struct slice json)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, json);
    if (json_next(&reader, &token) != OK || token.type != JSON_OBJECT_BEGIN) return false;
    while (token.type != JSON_END)
        if (json_next(&reader, &token) != OK) return false;
    return true;
}

bool zipkin_unpack(struct slice text, unsigned heads, struct zipkin_packed *out)
{
    struct slice rest = text;

    assert(heads <= ZIPKIN_PACKED_HEADS_MAX);
    for (unsigned i = 0; i < heads; i++) {
        const uint8_t *const bar = rest.len > 0 ? memchr(rest.ptr, '|', rest.len) : NULL;
        if (bar == NULL) return false;
        out->heads[i] = slice_of(rest.ptr, (size_t)(bar - rest.ptr));
        rest = slice_of(bar + 1, rest.len - out->heads[i].len - 1);
    }
    const uint8_t *const last = rest.len > 0 ? memrchr(rest.ptr, '|', rest.len) : NULL;
    if (last == NULL) return false;
    out->attributes = slice_of(rest.ptr, (size_t)(last - rest.ptr));
    return read_dropped(slice_of(last + 1, rest.len - out->attributes.len - 1), &out->dropped) &&
           is_object(out->attributes);
}

/* ---- attributes ----------------------------------------------------------------------------------------- */

static void write_number(struct output *output, struct slice number)
{
    double value;
    int64_t integer;
    bool clamped;

    if (!json_to_double(number, &value)) { /* of more digits than anybody writes */
        output_bytes_field(output, 1, number);
    } else if (value < INTEGER_MAX && value > -INTEGER_MAX && json_to_int64(number, &integer, &clamped)) {
        output_varint_field(output, 3, (uint64_t)integer);
    } else {
        output_tag(output, 4, WIRE_FIXED64);
        output_put(output, &value, sizeof value);
    }
}

/* A list or an object as its text, from the bracket that was read to the one that ends it. */
static void write_nested(struct output *output, struct json_reader *reader, const struct json_token *begin)
{
    const unsigned outside = json_depth(reader) - 1;
    struct json_token token;

    do {
        const enum err err = json_next(reader, &token);
        assert(err == OK); /* is_object() has read it */
    } while (json_depth(reader) > outside);
    output_bytes_field(output, 1, slice_of(begin->at, (size_t)(reader->at - begin->at)));
}

/* The fields of an AnyValue; of null none. */
static void write_value(struct output *output, struct json_reader *reader, const struct json_token *value)
{
    switch (value->type) {
    case JSON_STRING: output_bytes_field(output, 1, output_text(output, value->text, value->escaped)); return;
    case JSON_NUMBER: write_number(output, value->text); return;
    case JSON_TRUE:
    case JSON_FALSE: output_varint_field(output, 2, value->type == JSON_TRUE); return;
    case JSON_OBJECT_BEGIN:
    case JSON_ARRAY_BEGIN: write_nested(output, reader, value); return;
    default: return;
    }
}

void zipkin_write_attributes(struct output *output, uint32_t number, const struct zipkin_packed *packed)
{
    struct json_reader reader;
    struct json_token key, value;

    json_reader_init(&reader, packed->attributes);
    enum err err = json_next(&reader, &key);
    for (;;) {
        err = err == OK ? json_next(&reader, &key) : err;
        assert(err == OK);
        if (key.type != JSON_KEY) return;
        err = json_next(&reader, &value);
        assert(err == OK);
        const size_t pair = output_open(output, number, 1);
        output_bytes_field(output, 1, output_text(output, key.text, key.escaped));
        const size_t any = output_open(output, 2, 1);
        write_value(output, &reader, &value);
        output_close(output, any, 1);
        output_close(output, pair, 1);
    }
}
