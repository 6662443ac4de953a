/*
 * Protobuf's wire format by itself: numbers of every length, cut anywhere, lengths that lie, groups, and writing
 * backwards (rows B6 and B7).
 */
#include "codec/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* Exactly as long as the bytes, so that the address sanitizer sees a read past them. */
static struct slice tight(const void *bytes, size_t len)
{
    uint8_t *const copy = malloc(len > 0 ? len : 1);

    if (len > 0) memcpy(copy, bytes, len);
    return slice_of(copy, len);
}

static void loose(struct slice bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

static bool read_varint(const void *bytes, size_t len, uint64_t *out, size_t *used)
{
    const struct slice copy = tight(bytes, len);
    struct wire_reader reader = wire_reader_of(copy);
    const bool good = wire_varint(&reader, out);

    *used = (size_t)(reader.at - copy.ptr);
    loose(copy);
    return good;
}

Test(wire, numbers_of_every_length_come_back)
{
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (int delta = -1; delta <= 1; delta++) {
            const uint64_t value = (bits < 64 ? 1ull << bits : 0) + (uint64_t)(int64_t)delta;
            uint8_t bytes[10];
            const unsigned len = wire_varint_bytes(value, bytes);
            uint64_t read = 0;
            size_t used;
            cr_assert(read_varint(bytes, len, &read, &used));
            cr_assert_eq(read, value);
            cr_assert_eq(used, len);
            for (unsigned cut = 0; cut < len; cut++) { /* every prefix */
                cr_assert_not(read_varint(bytes, cut, &read, &used));
                cr_assert_eq(used, 0, "the cursor stays where the offence begins");
            }
        }
    }
}

Test(wire, B7_refuses_numbers_beyond_64_bits_and_ten_bytes)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } rows[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, true},      /* 2^64 - 1 */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false},     /* 65 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10, false},     /* 70 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, false}, /* an eleventh byte */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, true},      /* zero in ten bytes */
        {"\x80\x00", 2, true},                                       /* zero in two */
        {"\x80", 1, false},
        {"", 0, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value;
        size_t used;
        cr_assert_eq(read_varint(rows[i].bytes, rows[i].len, &value, &used), rows[i].good, "row %zu", i);
        cr_assert_eq(used, rows[i].good ? rows[i].len : 0, "row %zu", i);
    }
}

Test(wire, B6_tags_are_field_numbers_from_1_to_2_to_the_29_with_wire_types_up_to_5)
{
    static const struct {
        uint64_t tag;
        bool good;
    } rows[] = {
        {0, false},          {7, false},          {8, true},
        {8 | 5, true},       {8 | 6, false},      {8 | 7, false},
        {0x7f, false},       {16 << 3 | 5, true}, {((1ull << 29) - 1) << 3, true},
        {1ull << 32, false}, {1ull << 35, false}, {UINT64_MAX, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[10];
        const struct slice copy = tight(bytes, wire_varint_bytes(rows[i].tag, bytes));
        struct wire_reader reader = wire_reader_of(copy);
        uint32_t number = 0, type = 0;
        cr_assert_eq(wire_tag(&reader, &number, &type), rows[i].good, "row %zu", i);
        if (rows[i].good)
            cr_assert_eq((uint64_t)number << 3 | type, rows[i].tag);
        else
            cr_assert_eq(reader.at, copy.ptr);
        loose(copy);
    }
}

Test(wire, B7_refuses_tags_in_more_bytes_than_needed)
{
    static const uint8_t padded[] = {0xca, 0x00}; /* field 9, wire type 2 */
    struct wire_reader reader = wire_reader_of(slice_of(padded, sizeof padded));
    uint32_t number, type;

    cr_assert_not(wire_tag(&reader, &number, &type));
    cr_assert_eq(reader.at, padded);
}

Test(wire, B7_refuses_lengths_beyond_the_end)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } rows[] = {
        {"\x00", 1, true},
        {"\x03"
         "abc",
         4, true},
        {"\x04"
         "abc",
         4, false},
        {"\x83\x00"
         "abc",
         5, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, false}, /* 2^64 - 1 */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, false}, /* 2^63 */
        {"\x80\x80\x80\x80\x10", 5, false},                      /* 4 GiB */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct slice copy = tight(rows[i].bytes, rows[i].len);
        struct wire_reader reader = wire_reader_of(copy);
        struct slice bytes;
        cr_assert_eq(wire_bytes(&reader, &bytes), rows[i].good, "row %zu", i);
        cr_assert_eq(reader.at, rows[i].good ? reader.end : copy.ptr, "row %zu", i);
        loose(copy);
    }
}

Test(wire, fixed_numbers_want_all_their_bytes)
{
    for (size_t len = 0; len <= 9; len++) {
        const struct slice copy = tight("\x01\x02\x03\x04\x05\x06\x07\x08\x09", len);
        struct wire_reader wide = wire_reader_of(copy), narrow = wide;
        uint64_t eight = 0;
        uint32_t four = 0;
        cr_assert_eq(wire_fixed64(&wide, &eight), len >= 8);
        cr_assert_eq(wire_fixed32(&narrow, &four), len >= 4);
        if (len >= 8) cr_assert_eq(eight, 0x0807060504030201ull);
        if (len >= 4) cr_assert_eq(four, 0x04030201u);
        loose(copy);
    }
}

/* ---- skipping -------------------------------------------------------------------------------------- */

static bool skip(const void *bytes, size_t len, uint32_t type, size_t *used)
{
    const struct slice copy = tight(bytes, len);
    struct wire_reader reader = wire_reader_of(copy);
    const bool good = wire_skip(&reader, type);

    *used = (size_t)(reader.at - copy.ptr);
    loose(copy);
    return good;
}

Test(wire, B6_skips_a_value_of_every_wire_type)
{
    static const struct {
        uint32_t type;
        const char *bytes;
        size_t len;
    } rows[] = {
        {WIRE_VARINT, "\x96\x01", 2},
        {WIRE_FIXED64, "12345678", 8},
        {WIRE_BYTES, "\x02xy", 3},
        {WIRE_FIXED32, "1234", 4},
        {WIRE_GROUP, "\x0c", 1},                          /* an empty one */
        {WIRE_GROUP, "\x08\x05\x13\x14\x1a\x01z\x0c", 8}, /* a number, a group, a string */
    };
    size_t used;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert(skip(rows[i].bytes, rows[i].len, rows[i].type, &used), "row %zu", i);
        cr_assert_eq(used, rows[i].len, "row %zu", i);
        for (size_t cut = 0; cut < rows[i].len; cut++)
            cr_assert_not(skip(rows[i].bytes, cut, rows[i].type, &used), "row %zu cut at %zu", i, cut);
    }
    cr_assert_not(skip("\x0c", 1, WIRE_GROUP_END, &used), "an end without a beginning");
    cr_assert_not(skip("\x0c", 1, 6, &used));
}

Test(wire, B6_groups_nest_64_deep_and_no_deeper)
{
    uint8_t bytes[2 * WIRE_GROUP_DEPTH_MAX + 2];
    size_t used;

    for (unsigned inner = WIRE_GROUP_DEPTH_MAX - 2; inner <= WIRE_GROUP_DEPTH_MAX; inner++) {
        memset(bytes, 1 << 3 | WIRE_GROUP, inner);
        memset(bytes + inner, 1 << 3 | WIRE_GROUP_END, inner + 1);
        cr_assert_eq(skip(bytes, 2 * inner + 1, WIRE_GROUP, &used), inner < WIRE_GROUP_DEPTH_MAX, "%u",
                     inner);
    }
}

Test(wire, B6_a_million_open_groups_cost_nothing)
{
    const size_t len = 1000000;
    uint8_t *const bytes = malloc(len);
    size_t used;

    memset(bytes, 1 << 3 | WIRE_GROUP, len);
    cr_assert_not(skip(bytes, len, WIRE_GROUP, &used));
    cr_assert_lt(used, 2 * WIRE_GROUP_DEPTH_MAX, "stops at the cap");
    free(bytes);
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void write_sample(struct wire_writer *writer)
{
    wire_put_fixed32_field(writer, 16, 0x01020304);
    const size_t mark = writer->len;
    wire_put_bytes_field(writer, 2, slice_text("name"));
    wire_put_fixed64_field(writer, 1, 0x1122334455667788ull);
    wire_close_message(writer, 11, mark);
    wire_put_varint_field(writer, 6, 300);
}

Test(wire, writes_backwards_what_is_read_forwards)
{
    static const uint8_t expected[] = {0x30, 0xac, 0x02, 0x5a, 0x0f, 0x09, 0x88, 0x77, 0x66,
                                       0x55, 0x44, 0x33, 0x22, 0x11, 0x12, 0x04, 'n',  'a',
                                       'm',  'e',  0x85, 0x01, 0x04, 0x03, 0x02, 0x01};
    uint8_t room[64];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    write_sample(&writer);
    cr_assert(wire_writer_fits(&writer));
    cr_assert(slice_equal(wire_writer_bytes(&writer), slice_of(expected, sizeof expected)));
}

Test(wire, counts_on_when_the_room_is_too_small_and_writes_nothing_outside)
{
    uint8_t room[64];

    for (size_t capacity = 0; capacity <= 26; capacity++) {
        memset(room, 0xee, sizeof room);
        struct wire_writer writer = {.base = room + 16, .capacity = capacity};
        write_sample(&writer);
        cr_assert_eq(writer.len, 26);
        cr_assert_eq(wire_writer_fits(&writer), capacity == 26);
        for (size_t i = 0; i < sizeof room; i++)
            if (i < 16 || i >= 16 + capacity) cr_assert_eq(room[i], 0xee);
    }
}
