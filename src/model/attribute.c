/*
 * KeyValue and AnyValue: decoding one attribute, checking nested values, writing one back. Values nest
 * without bound on the wire; here the nesting is walked with an explicit stack and refused beyond
 * OTLP_DEPTH_MAX levels of AnyValue, so hostile depth costs a few hundred bytes and no C stack.
 */
#include "model/otlp.h"

#include "base/assert.h"
#include "codec/wire.h"

static enum err fail(struct otlp_fault *fault, enum err err, const char *reason, const uint8_t *at)
{
    fault->reason = reason;
    fault->at = at;
    return err;
}

/* ---- AnyValue, one level --------------------------------------------------------------------------------
 */

/*
 * Reads the fields of an AnyValue into *out; a later member of the oneof replaces an earlier one, also where it is of
 * the same kind: an array that comes in two pieces is its second piece (B9). Nested values are checked even when a
 * later member replaces them.
 */
static enum err any_value_decode(struct slice message, struct attribute *out, struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        uint32_t number, type;
        bool good;
        if (!wire_tag(&reader, &number, &type))
            return fail(fault, ERR_MALFORMED, "AnyValue: bad field tag", start);
        switch (number) {
        case 1:
            good = type == WIRE_BYTES && wire_bytes(&reader, &out->bytes);
            out->type = VALUE_STRING;
            break;
        case 2:
            good = type == WIRE_VARINT && wire_varint(&reader, &out->bits);
            out->bits = out->bits != 0;
            out->type = VALUE_BOOL;
            break;
        case 3:
            good = type == WIRE_VARINT && wire_varint(&reader, &out->bits);
            out->type = VALUE_INT;
            break;
        case 4:
            good = type == WIRE_FIXED64 && wire_fixed64(&reader, &out->bits);
            out->type = VALUE_DOUBLE;
            break;
        case 5:
            good = type == WIRE_BYTES && wire_bytes(&reader, &out->bytes);
            out->type = VALUE_ARRAY;
            break;
        case 6:
            good = type == WIRE_BYTES && wire_bytes(&reader, &out->bytes);
            out->type = VALUE_KVLIST;
            break;
        case 7:
            good = type == WIRE_BYTES && wire_bytes(&reader, &out->bytes);
            out->type = VALUE_BYTES;
            break;
        case 8: /* string_value_strindex belongs to profiles: an empty value */
            good = type == WIRE_VARINT && wire_varint(&reader, &out->bits);
            out->bytes = (struct slice){0};
            out->type = VALUE_EMPTY;
            break;
        default: good = wire_skip(&reader, type);
        }
        if (!good) return fail(fault, ERR_MALFORMED, "AnyValue: value cut or of the wrong wire type", start);
        if (number == 5 || number == 6) TRY(value_check(out->type, out->bytes, fault));
    }
    return OK;
}

/* ---- nested values --------------------------------------------------------------------------------------
 */

enum frame_kind { FRAME_ANY_VALUE, FRAME_ARRAY, FRAME_KVLIST, FRAME_KEY_VALUE };
struct frame {
    const uint8_t *end;
    enum frame_kind kind;
};
enum { FRAMES_MAX = 3 * OTLP_DEPTH_MAX + 3 }; /* AnyValue, KeyValueList, KeyValue per level */

/* Which message a length-delimited field of a frame opens; -1: none, it is skipped or a plain value. */
static int child_kind(enum frame_kind kind, uint32_t number)
{
    switch (kind) {
    case FRAME_ANY_VALUE: return number == 5 ? FRAME_ARRAY : number == 6 ? FRAME_KVLIST : -1;
    case FRAME_ARRAY: return number == 1 ? FRAME_ANY_VALUE : -1;
    case FRAME_KVLIST: return number == 1 ? FRAME_KEY_VALUE : -1;
    case FRAME_KEY_VALUE: return number == 2 ? FRAME_ANY_VALUE : -1;
    }
    unreachable("all kinds are listed");
}

/* The wire type a known field of a frame must have; -1: the field is unknown. */
static int known_type(enum frame_kind kind, uint32_t number)
{
    static const int any_value[9] = {-1,         WIRE_BYTES, WIRE_VARINT, WIRE_VARINT, WIRE_FIXED64,
                                     WIRE_BYTES, WIRE_BYTES, WIRE_BYTES,  WIRE_VARINT};
    static const int key_value[4] = {-1, WIRE_BYTES, WIRE_BYTES, WIRE_VARINT};

    switch (kind) {
    case FRAME_ANY_VALUE: return number <= 8 ? any_value[number] : -1;
    case FRAME_ARRAY:
    case FRAME_KVLIST: return number == 1 ? WIRE_BYTES : -1;
    case FRAME_KEY_VALUE: return number <= 3 ? key_value[number] : -1;
    }
    unreachable("all kinds are listed");
}

enum err value_check(enum value_type type, struct slice bytes, struct otlp_fault *fault)
{
    struct frame stack[FRAMES_MAX];
    struct wire_reader reader = wire_reader_of(bytes);
    unsigned frames = 1;
    unsigned levels = 1; /* AnyValues open, the one that holds `bytes` included */

    assert(type == VALUE_ARRAY || type == VALUE_KVLIST);
    stack[0] = (struct frame){reader.end, type == VALUE_ARRAY ? FRAME_ARRAY : FRAME_KVLIST};
    while (frames > 0) {
        const struct frame top = stack[frames - 1];
        const uint8_t *const start = reader.at;
        uint32_t number, wire;
        reader.end = top.end;
        if (reader.at == top.end) {
            frames--;
            if (top.kind == FRAME_ANY_VALUE) levels--;
            continue;
        }
        if (!wire_tag(&reader, &number, &wire))
            return fail(fault, ERR_MALFORMED, "AnyValue: bad field tag in a nested value", start);
        const int expected = known_type(top.kind, number);
        if (expected >= 0 && (uint32_t)expected != wire)
            return fail(fault, ERR_MALFORMED, "AnyValue: wrong wire type in a nested value", start);
        const int child = wire == WIRE_BYTES ? child_kind(top.kind, number) : -1;
        if (child < 0) {
            if (!wire_skip(&reader, wire))
                return fail(fault, ERR_MALFORMED, "AnyValue: nested value is cut or malformed", start);
            continue;
        }
        struct slice message;
        if (!wire_bytes(&reader, &message))
            return fail(fault, ERR_MALFORMED, "AnyValue: nested value reaches beyond its parent", start);
        if (child == FRAME_ANY_VALUE && ++levels > OTLP_DEPTH_MAX)
            return fail(fault, ERR_UNSUPPORTED, "attribute value nested deeper than 32 levels", start);
        assert(frames < FRAMES_MAX);
        stack[frames++] = (struct frame){message.ptr + message.len, (enum frame_kind)child};
        reader.at = message.ptr;
    }
    return OK;
}

/* ---- KeyValue -------------------------------------------------------------------------------------------
 */

enum err attribute_decode(struct slice message, struct attribute *out, struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    *out = (struct attribute){.type = VALUE_ABSENT};
    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        if (!wire_tag(&reader, &number, &type))
            return fail(fault, ERR_MALFORMED, "KeyValue: bad field tag", start);
        if (number == 1 || number == 2) {
            if (type != WIRE_BYTES || !wire_bytes(&reader, &bytes))
                return fail(fault, ERR_MALFORMED, "KeyValue: key or value cut or of the wrong wire type",
                            start);
            if (number == 1) {
                out->key = bytes;
            } else {
                if (out->type == VALUE_ABSENT) out->type = VALUE_EMPTY;
                TRY(any_value_decode(bytes, out, fault));
            }
        } else if ((number == 3 && type != WIRE_VARINT) /* key_strindex, of profiles */ ||
                   !wire_skip(&reader, type)) {
            return fail(fault, ERR_MALFORMED, "KeyValue: field cut or of the wrong wire type", start);
        }
    }
    return OK;
}

static void any_value_write(struct wire_writer *writer, const struct attribute *attribute)
{
    switch (attribute->type) {
    case VALUE_STRING: wire_put_bytes_field(writer, 1, attribute->bytes); break;
    case VALUE_BOOL: wire_put_varint_field(writer, 2, attribute->bits); break;
    case VALUE_INT: wire_put_varint_field(writer, 3, attribute->bits); break;
    case VALUE_DOUBLE: wire_put_fixed64_field(writer, 4, attribute->bits); break;
    case VALUE_ARRAY: wire_put_bytes_field(writer, 5, attribute->bytes); break;
    case VALUE_KVLIST: wire_put_bytes_field(writer, 6, attribute->bytes); break;
    case VALUE_BYTES: wire_put_bytes_field(writer, 7, attribute->bytes); break;
    case VALUE_ABSENT:
    case VALUE_EMPTY:
    case VALUE_RAW:
    case VALUE_TYPE_COUNT: break;
    }
}

void attribute_write(struct wire_writer *writer, const struct attribute *attribute)
{
    if (attribute->type == VALUE_RAW) {
        wire_put(writer, attribute->bytes.ptr, attribute->bytes.len);
        return;
    }
    if (attribute->type != VALUE_ABSENT) {
        const size_t mark = writer->len;
        any_value_write(writer, attribute);
        wire_close_message(writer, 2, mark);
    }
    if (attribute->key.len > 0) wire_put_bytes_field(writer, 1, attribute->key);
}
