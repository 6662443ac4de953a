/*
 * KeyValue and AnyValue: every kind of value, every field with every wrong wire type, every prefix, nesting up to the
 * limit and far beyond it (rows B5, B8, B9, B14).
 */
#include "message.h"

#include "model/otlp.h"

#include <criterion/criterion.h>

/* Decodes from memory exactly as long as the message. */
static enum err decode(const struct message *message, struct attribute *out, struct otlp_fault *fault)
{
    *fault = (struct otlp_fault){0};
    return attribute_decode(message_slice(message), out, fault);
}

static struct message pair_of(struct message *value)
{
    struct message pair = {0};

    message_text(&pair, 1, "key");
    message_put(&pair, 2, value);
    return pair;
}

/* Writes an attribute back and compares with the message. */
static void assert_writes(const struct attribute *attribute, const struct message *expected)
{
    uint8_t room[4096];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    attribute_write(&writer, attribute);
    cr_assert(wire_writer_fits(&writer));
    cr_assert(slice_equal(wire_writer_bytes(&writer), message_slice(expected)));
}

struct kind {
    uint32_t field, wire;
    enum value_type type;
};
static const struct kind kinds[] = {
    {1, WIRE_BYTES, VALUE_STRING},   {2, WIRE_VARINT, VALUE_BOOL}, {3, WIRE_VARINT, VALUE_INT},
    {4, WIRE_FIXED64, VALUE_DOUBLE}, {5, WIRE_BYTES, VALUE_ARRAY}, {6, WIRE_BYTES, VALUE_KVLIST},
    {7, WIRE_BYTES, VALUE_BYTES},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void put_value(struct message *message, uint32_t field, uint32_t wire)
{
    switch (wire) {
    case WIRE_VARINT: message_varint(message, field, 1); break;
    case WIRE_FIXED64: message_fixed64(message, field, 1); break;
    case WIRE_BYTES: message_bytes(message, field, (struct slice){0}); break;
    case WIRE_GROUP:
        message_tag(message, field, WIRE_GROUP);
        message_tag(message, field, WIRE_GROUP_END);
        break;
    case WIRE_GROUP_END: message_tag(message, field, WIRE_GROUP_END); break;
    default: message_fixed32(message, field, 1); break;
    }
}

Test(attribute, every_kind_of_value_comes_back)
{
    for (unsigned i = 0; i < KINDS; i++) {
        struct message value = {0};
        struct attribute attribute;
        struct otlp_fault fault;
        put_value(&value, kinds[i].field, kinds[i].wire);
        struct message pair = pair_of(&value);
        cr_assert_eq(decode(&pair, &attribute, &fault), OK);
        cr_assert_eq(attribute.type, kinds[i].type);
        cr_assert(slice_is(attribute.key, "key"));
        assert_writes(&attribute, &pair);
        message_free(&pair);
    }
}

Test(attribute, B2_a_missing_value_and_an_empty_one_are_two_things)
{
    struct message absent = {0}, empty = {0}, nothing = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    message_text(&absent, 1, "key");
    cr_assert_eq(decode(&absent, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_ABSENT);
    assert_writes(&attribute, &absent);

    message_text(&empty, 1, "key");
    message_bytes(&empty, 2, (struct slice){0});
    cr_assert_eq(decode(&empty, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_EMPTY);
    assert_writes(&attribute, &empty);

    cr_assert_eq(decode(&nothing, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_ABSENT);
    cr_assert_eq(attribute.key.len, 0);
    assert_writes(&attribute, &nothing);
    message_free(&absent);
    message_free(&empty);
}

Test(attribute, B8_every_known_field_with_every_wrong_wire_type_is_malformed)
{
    for (unsigned i = 0; i < KINDS; i++)
        for (uint32_t wire = 0; wire <= WIRE_FIXED32; wire++) {
            struct message value = {0};
            struct attribute attribute;
            struct otlp_fault fault;
            if (wire == kinds[i].wire) continue;
            put_value(&value, 17, WIRE_VARINT); /* an unknown field before it */
            const size_t at = value.len;
            put_value(&value, kinds[i].field, wire);
            struct message pair = pair_of(&value);
            cr_assert_eq(decode(&pair, &attribute, &fault), ERR_MALFORMED, "field %u wire %u", kinds[i].field,
                         wire);
            cr_assert_not_null(strstr(fault.reason, "AnyValue"));
            cr_assert_eq(fault.at, pair.bytes + 7 + at, "points at the tag: field %u wire %u", kinds[i].field,
                         wire);
            message_free(&pair);
        }
}

Test(attribute, B8_key_and_value_must_be_length_delimited)
{
    for (uint32_t field = 1; field <= 3; field++)
        for (uint32_t wire = 0; wire <= WIRE_FIXED32; wire++) {
            struct message pair = {0};
            struct attribute attribute;
            struct otlp_fault fault;
            const bool good = wire == (field == 3 ? (uint32_t)WIRE_VARINT : (uint32_t)WIRE_BYTES);
            put_value(&pair, field, wire);
            cr_assert_eq(decode(&pair, &attribute, &fault), good ? OK : ERR_MALFORMED);
            if (!good) cr_assert_not_null(strstr(fault.reason, "KeyValue"));
            if (!good) cr_assert_eq(fault.at, pair.bytes);
            message_free(&pair);
        }
}

Test(attribute, string_indexes_of_profiles_are_empty_values)
{
    struct message value = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    message_text(&value, 1, "replaced by the index");
    message_varint(&value, 8, 12);
    struct message pair = pair_of(&value);
    message_varint(&pair, 3, 7); /* key_strindex */
    cr_assert_eq(decode(&pair, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_EMPTY);
    cr_assert_eq(attribute.bytes.len, 0);
    cr_assert(slice_is(attribute.key, "key"));
    message_free(&pair);

    message_fixed32(&value, 8, 12);
    pair = pair_of(&value);
    cr_assert_eq(decode(&pair, &attribute, &fault), ERR_MALFORMED);
    message_free(&pair);
}

Test(attribute, B9_the_last_member_of_the_oneof_wins)
{
    for (unsigned first = 0; first < KINDS; first++)
        for (unsigned last = 0; last < KINDS; last++) {
            struct message value = {0};
            struct attribute attribute;
            struct otlp_fault fault;
            put_value(&value, kinds[first].field, kinds[first].wire);
            put_value(&value, kinds[last].field, kinds[last].wire);
            struct message pair = pair_of(&value);
            cr_assert_eq(decode(&pair, &attribute, &fault), OK);
            cr_assert_eq(attribute.type, kinds[last].type);
            message_free(&pair);
        }
}

Test(attribute, B9_a_value_in_pieces_merges_and_the_last_key_wins)
{
    struct message pair = {0}, first = {0}, empty = {0}, last = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    message_varint(&first, 3, 5);
    message_put(&pair, 2, &first);
    message_text(&pair, 1, "old");
    message_put(&pair, 2, &empty); /* sets nothing: the 5 stays */
    cr_assert_eq(decode(&pair, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_INT);
    cr_assert_eq(attribute.bits, 5);

    message_text(&last, 1, "text");
    message_put(&pair, 2, &last);
    message_text(&pair, 1, "new");
    cr_assert_eq(decode(&pair, &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_STRING);
    cr_assert(slice_is(attribute.bytes, "text"));
    cr_assert(slice_is(attribute.key, "new"));
    message_free(&pair);
}

Test(attribute, a_replaced_array_is_checked_all_the_same)
{
    struct message value = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    message_text(&value, 5, "\x0a\x7f"); /* an element that reaches beyond the array */
    message_varint(&value, 3, 1);
    struct message pair = pair_of(&value);
    cr_assert_eq(decode(&pair, &attribute, &fault), ERR_MALFORMED);
    message_free(&pair);
}

Test(attribute, B14_numbers_keep_every_bit)
{
    static const uint64_t numbers[] = {0,
                                       0x8000000000000000ull /* -0, and the smallest int64 */,
                                       0x7ff0000000000000ull,
                                       0xfff0000000000000ull,
                                       0x7ff8000000000000ull,
                                       0xfff8dead0000beefull /* NaN with a payload */,
                                       1,
                                       UINT64_MAX,
                                       INT64_MAX};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        for (uint32_t field = 3; field <= 4; field++) {
            struct message value = {0};
            struct attribute attribute;
            struct otlp_fault fault;
            if (field == 3)
                message_varint(&value, 3, numbers[i]);
            else
                message_fixed64(&value, 4, numbers[i]);
            struct message pair = pair_of(&value);
            cr_assert_eq(decode(&pair, &attribute, &fault), OK);
            cr_assert_eq(attribute.bits, numbers[i]);
            assert_writes(&attribute, &pair);
            message_free(&pair);
        }
}

Test(attribute, a_bool_is_0_or_1_whatever_number_was_sent)
{
    struct message value = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    message_varint(&value, 2, 1ull << 40);
    struct message pair = pair_of(&value);
    cr_assert_eq(decode(&pair, &attribute, &fault), OK);
    cr_assert_eq(attribute.bits, 1);
    message_free(&pair);
}

Test(attribute, golden_values)
{
    static const uint8_t minus_one[] = {0x12, 0x0b, 0x18, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t array[] = {0x12, 0x0b, 0x2a, 0x09, 0x0a, 0x02, 0x18,
                                    0x01, 0x0a, 0x03, 0x0a, 0x01, 0x61};
    static const uint8_t kvlist[] = {0x12, 0x0c, 0x32, 0x0a, 0x0a, 0x08, 0x0a,
                                     0x01, 0x6b, 0x12, 0x03, 0x0a, 0x01, 0x76};
    struct attribute attribute;
    struct otlp_fault fault;

    cr_assert_eq(attribute_decode(slice_of(minus_one, sizeof minus_one), &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_INT);
    cr_assert_eq(attribute.bits, UINT64_MAX);
    cr_assert_eq(attribute_decode(slice_of(array, sizeof array), &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_ARRAY);
    cr_assert(slice_equal(attribute.bytes, slice_of(array + 4, 9)));
    cr_assert_eq(attribute_decode(slice_of(kvlist, sizeof kvlist), &attribute, &fault), OK);
    cr_assert_eq(attribute.type, VALUE_KVLIST);
    cr_assert(slice_equal(attribute.bytes, slice_of(kvlist + 4, 10)));
}

/* ---- nesting --------------------------------------------------------------------------------------- */

static enum err decode_nested(unsigned levels, bool mixed)
{
    struct message value = message_nested_value(levels, mixed);
    struct message pair = pair_of(&value);
    struct attribute attribute;
    struct otlp_fault fault;
    const enum err err = decode(&pair, &attribute, &fault);

    if (err != OK) cr_assert_not_null(strstr(fault.reason, "32 levels"));
    message_free(&pair);
    return err;
}

Test(attribute, B5_32_levels_are_taken_and_33_are_not)
{
    for (int mixed = 0; mixed <= 1; mixed++) {
        for (unsigned levels = 1; levels <= OTLP_DEPTH_MAX; levels++)
            cr_assert_eq(decode_nested(levels, mixed != 0), OK, "%u levels", levels);
        cr_assert_eq(decode_nested(OTLP_DEPTH_MAX + 1, mixed != 0), ERR_UNSUPPORTED);
        cr_assert_eq(decode_nested(OTLP_DEPTH_MAX + 2, mixed != 0), ERR_UNSUPPORTED);
        cr_assert_eq(decode_nested(2000, mixed != 0), ERR_UNSUPPORTED);
    }
}

Test(attribute, B5_a_wide_value_is_not_a_deep_one)
{
    struct message list = {0}, value = {0};
    struct attribute attribute;
    struct otlp_fault fault;

    for (unsigned i = 0; i < 5000; i++) {
        struct message item = message_nested_value(3, true);
        message_put(&list, 1, &item);
    }
    message_put(&value, 5, &list);
    struct message pair = pair_of(&value);
    cr_assert_eq(decode(&pair, &attribute, &fault), OK);
    message_free(&pair);
}

Test(attribute, B5_a_hundred_thousand_levels_need_no_stack)
{
    /* Each level's length would be nested varints; fields that all claim the rest of the message do as well. */
    const size_t levels = 100000, len = levels * 8;
    uint8_t *const bytes = malloc(len);
    struct otlp_fault fault;

    for (size_t i = 0; i < levels; i++) { /* values: AnyValue, array_value: ArrayValue */
        const size_t inner = len - i * 8 - 4, array = inner - 4;
        const uint8_t head[8] = {
            0x0a, (uint8_t)(inner | 0x80), (uint8_t)(inner >> 7 | 0x80), (uint8_t)(inner >> 14 & 0x7f),
            0x2a, (uint8_t)(array | 0x80), (uint8_t)(array >> 7 | 0x80), (uint8_t)(array >> 14 & 0x7f)};
        memcpy(bytes + i * 8, head, sizeof head);
    }
    cr_assert_eq(value_check(VALUE_ARRAY, slice_of(bytes, len), &fault), ERR_UNSUPPORTED);
    free(bytes);
}

Test(attribute, every_prefix_of_a_nested_value_is_malformed_or_shorter)
{
    struct message value = message_nested_value(6, true);
    struct message pair = pair_of(&value);
    struct attribute attribute;
    struct otlp_fault fault;

    for (size_t cut = 0; cut < pair.len; cut++) {
        uint8_t *const copy = malloc(cut > 0 ? cut : 1);
        memcpy(copy, pair.bytes, cut);
        const enum err err = attribute_decode(slice_of(copy, cut), &attribute, &fault);
        cr_assert_eq(err, cut == 0 || cut == 5 ? OK : ERR_MALFORMED, "cut at %zu", cut); /* 5: key alone */
        free(copy);
    }
    message_free(&pair);
}

Test(attribute, every_spoilt_length_inside_a_nested_value_is_told)
{
    struct message value = message_nested_value(6, false);
    struct attribute attribute;
    struct otlp_fault fault;
    struct message pair = pair_of(&value);

    for (size_t i = 6; i < pair.len; i++) { /* behind the value's tag */
        uint8_t *const copy = malloc(pair.len);
        memcpy(copy, pair.bytes, pair.len);
        copy[i] = 0x7f;
        const enum err err = attribute_decode(slice_of(copy, pair.len), &attribute, &fault);
        cr_assert(err == OK || err == ERR_MALFORMED);
        if (i == 6) cr_assert_eq(err, ERR_MALFORMED);
        free(copy);
    }
    message_free(&pair);
}
