/*
 * The slow paths of the protobuf wire format: varints of more than one byte, and skipping unknown fields
 * without recursion.
 */
#include "codec/wire.h"

#include "base/assert.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed-width fields are read as they lie in memory");

bool wire_varint_slow(struct wire_reader *reader, uint64_t *out)
{
    const uint8_t *at = reader->at;
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (at == reader->end) return false;
        const uint8_t byte = *at++;
        if (shift == 63 && byte > 1) return false; /* more than 64 bits, or an eleventh byte */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            reader->at = at;
            *out = value;
            return true;
        }
    }
    return false;
}

static bool skip_plain(struct wire_reader *reader, uint32_t type)
{
    uint64_t value;
    uint32_t small;
    struct slice bytes;

    switch (type) {
    case WIRE_VARINT: return wire_varint(reader, &value);
    case WIRE_FIXED64: return wire_fixed64(reader, &value);
    case WIRE_BYTES: return wire_bytes(reader, &bytes);
    case WIRE_FIXED32: return wire_fixed32(reader, &small);
    default: return false;
    }
}

bool wire_skip(struct wire_reader *reader, uint32_t type)
{
    unsigned depth = 1;

    if (type != WIRE_GROUP) return skip_plain(reader, type);
    while (depth > 0) {
        uint32_t number, inner;
        if (!wire_tag(reader, &number, &inner)) return false;
        if (inner == WIRE_GROUP) {
            if (++depth > WIRE_GROUP_DEPTH_MAX) return false;
        } else if (inner == WIRE_GROUP_END) {
            depth--;
        } else if (!skip_plain(reader, inner)) {
            return false;
        }
    }
    return true;
}
