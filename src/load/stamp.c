/*
 * The generator's hot loop. A span has about six patches: trace id, span id, parent, start, end, an event's
 * time; so a patch has to cost a few nanoseconds, or the generator is slower than the server it loads.
 *
 * An id is dice_mix(key + x) with x = round << 28 | index. dice_mix is a bijection, so distinct x give
 * distinct ids under one key; the round fits 36 bits before x wraps. Hexadecimal digits are spread eight at a
 * time in a register, without a table:
 *
 *   0x1234abcd -> 0x0d0c0b0a04030201 (nibbles, first digit lowest) -> + '0', + 39 more where the nibble is
 * over 9
 */
#include "stamp.h"

#include <endian.h>
#include <string.h>

#include "dice.h"

struct stamp stamp_of(uint64_t seed, uint64_t run, uint64_t round, uint64_t time_ns)
{
    const uint64_t base = dice_mix(dice_mix(seed) ^ (run * 0x9e3779b97f4a7c15ULL));
    const uint64_t at = round << PATCH_INDEX_BITS;

    return (struct stamp){
        .trace_high = dice_mix(base + 1) + at,
        .trace_low = dice_mix(base + 2) + at,
        .span = dice_mix(base + 3) + at,
        .unique_high = dice_mix(base + 4) + at,
        .unique_low = dice_mix(base + 5) + at,
        .time_ns = time_ns,
    };
}

static inline void store64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

void stamp_trace_id(const struct stamp *stamp, uint32_t index, uint8_t id[16])
{
    store64(id, dice_mix(stamp->trace_high + index));
    store64(id + 8, dice_mix(stamp->trace_low + index));
}

uint64_t stamp_span_id(const struct stamp *stamp, uint32_t index)
{
    return dice_mix(stamp->span + index);
}

/* Eight digits of 32 bits, as the bytes of a little-endian number. */
static inline uint64_t hex8(uint32_t value)
{
    uint64_t x = __builtin_bswap32(value);

    x = (x | x << 16) & 0x0000ffff0000ffffULL;
    x = (x | x << 8) & 0x00ff00ff00ff00ffULL;
    x = (x >> 4 & 0x000f000f000f000fULL) | (x & 0x000f000f000f000fULL) << 8;
    const uint64_t over9 = (x + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
    return htole64(x + 0x3030303030303030ULL + over9 * 39);
}

static inline void store_hex16(uint8_t *at, uint64_t value)
{
    store64(at, hex8((uint32_t)(value >> 32)));
    store64(at + 8, hex8((uint32_t)value));
}

static inline void store_uuid(uint8_t *at, uint64_t high, uint64_t low)
{
    uint8_t digits[32];

    store_hex16(digits, high);
    store_hex16(digits + 16, low);
    memcpy(at, digits, 8);
    at[8] = '-';
    memcpy(at + 9, digits + 8, 4);
    at[13] = '-';
    memcpy(at + 14, digits + 12, 4);
    at[18] = '-';
    memcpy(at + 19, digits + 16, 4);
    at[23] = '-';
    memcpy(at + 24, digits + 20, 12);
}

void stamp_apply(const struct stamp *stamp, uint8_t *body, const struct patch *patches, uint32_t count,
                 const int64_t *times)
{
    const struct stamp keys =
        *stamp; /* a copy the compiler may keep in registers: stores into body cannot alias it */

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t index = patches[i].kind_and_index & PATCH_INDEX_MAX;
        uint8_t *const at = body + patches[i].offset;

        switch ((enum patch_kind)(patches[i].kind_and_index >> PATCH_INDEX_BITS)) {
        case PATCH_TRACE_ID:
            store64(at, dice_mix(keys.trace_high + index));
            store64(at + 8, dice_mix(keys.trace_low + index));
            break;
        case PATCH_SPAN_ID: store64(at, dice_mix(keys.span + index)); break;
        case PATCH_TIME: store64(at, htole64(keys.time_ns + (uint64_t)*times++)); break;
        case PATCH_UUID:
            store_uuid(at, dice_mix(keys.unique_high + index), dice_mix(keys.unique_low + index));
            break;
        case PATCH_HEX32:
            store_hex16(at + 16, dice_mix(keys.unique_low + index));
            __attribute__((fallthrough));
        case PATCH_HEX16: store_hex16(at, dice_mix(keys.unique_high + index)); break;
        case PATCH_KINDS: unreachable("a patch without a kind");
        }
    }
}
