#include <criterion/criterion.h>

#include <stdlib.h>

#include "canon.h"
#include "walk.h"

static struct slice form_of(struct buffer *out, enum canon_type type, struct slice message)
{
    out->len = 0;
    cr_assert_eq(canon_append(out, type, message), OK);
    return buffer_slice(out);
}

/* Whether two messages say the same. */
static bool same(enum canon_type type, struct slice a, struct slice b)
{
    struct buffer first = {0};
    struct buffer second = {0};

    const bool equal = slice_equal(form_of(&first, type, a), form_of(&second, type, b));
    buffer_deinit(&first);
    buffer_deinit(&second);
    return equal;
}

#define SAME(type, a, b) same(type, slice_of(a, sizeof(a) - 1), slice_of(b, sizeof(b) - 1))

Test(canon, does_not_mind_order_of_fields_defaults_or_unknown_fields)
{
    /* name "ab" then kind 2, and the other way round */
    cr_assert(SAME(CANON_SPAN,
                   "\x2a\x02"
                   "ab\x30\x02",
                   "\x30\x02\x2a\x02"
                   "ab"));
    /* kind 0 written, an empty status written, an unknown field 99 */
    cr_assert(SAME(CANON_SPAN,
                   "\x2a\x02"
                   "ab",
                   "\x2a\x02"
                   "ab\x30\x00\x7a\x00\x98\x06\x05"));
    /* an overlong varint */
    cr_assert(SAME(CANON_SPAN, "\x30\x02", "\x30\x82\x00"));
    /* the last of two scalars counts */
    cr_assert(SAME(CANON_SPAN, "\x30\x02", "\x30\x05\x30\x02"));
    /* the spans of a ScopeSpans are not part of its envelope */
    cr_assert(SAME(CANON_SCOPE_SPANS, "\x0a\x03\x0a\x01l", "\x12\x02\x30\x01\x0a\x03\x0a\x01l"));
}

Test(canon, minds_content_order_of_attributes_and_oneof)
{
    cr_assert(!SAME(CANON_SPAN,
                    "\x2a\x02"
                    "ab",
                    "\x2a\x02"
                    "ac"));
    cr_assert(!SAME(CANON_SPAN, "\x30\x02", "\x30\x03"));
    cr_assert(!SAME(CANON_SPAN, "\x30\x02", ""));
    /* attributes a, b against b, a */
    cr_assert(!SAME(CANON_SPAN,
                    "\x4a\x03\x0a\x01"
                    "a\x4a\x03\x0a\x01"
                    "b",
                    "\x4a\x03\x0a\x01"
                    "b\x4a\x03\x0a\x01"
                    "a"));
    /* an attribute twice against once */
    cr_assert(!SAME(CANON_SPAN,
                    "\x4a\x03\x0a\x01"
                    "a\x4a\x03\x0a\x01"
                    "a",
                    "\x4a\x03\x0a\x01"
                    "a"));
    /* an attribute with neither key nor value is an attribute, an empty event is an event */
    cr_assert(!SAME(CANON_SPAN, "\x4a\x00", ""));
    cr_assert(!SAME(CANON_SPAN, "\x5a\x00", ""));
    /* no value, an empty string, 0, false, an empty list: all different */
    const struct slice values[] = {slice_of("", 0),         slice_of("\x0a\x00", 2), slice_of("\x18\x00", 2),
                                   slice_of("\x10\x00", 2), slice_of("\x2a\x00", 2), slice_of("\x32\x00", 2),
                                   slice_of("\x3a\x00", 2)};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
            cr_assert_eq(same(CANON_ANY_VALUE, values[i], values[k]), i == k);
    }
}

/* Every field of every message of OTLP 1.11, alone and not at its default: wire type by its number in
 * hexadecimal. */
Test(canon, knows_every_field)
{
    static const struct {
        enum canon_type type;
        const char *wire_types; /* of fields 1, 2, …; '-' where there is none that counts */
    } messages[] = {
        {CANON_RESOURCE_SPANS, "2-2"}, {CANON_SCOPE_SPANS, "2-2"},   {CANON_SPAN, "2222201120202025"},
        {CANON_RESOURCE, "202"},       {CANON_ENTITY_REF, "2222"},   {CANON_SCOPE, "2220"},
        {CANON_KEY_VALUE, "22"},       {CANON_ANY_VALUE, "2001222"}, {CANON_ARRAY, "2"},
        {CANON_KEY_VALUE_LIST, "2"},   {CANON_EVENT, "1220"},        {CANON_LINK, "222205"},
        {CANON_STATUS, "-20"},
    };
    struct buffer message = {0};

    cr_assert_eq(sizeof messages / sizeof messages[0], CANON_TYPES);
    for (size_t m = 0; m < CANON_TYPES; m++) {
        for (uint32_t number = 1; number <= strlen(messages[m].wire_types); number++) {
            message.len = 0;
            switch (messages[m].wire_types[number - 1]) {
            case '0': proto_varint(&message, number, 3); break;
            case '1': proto_fixed64(&message, number, 3); break;
            case '2':
                proto_bytes(&message, number, "\x1a\x01x\x12\x01y", 6);
                break; /* text, or fields 3 and 2 of a message */
            case '5': proto_fixed32(&message, number, 3); break;
            default: continue;
            }
            struct buffer form = {0};
            const enum err err = canon_append(&form, messages[m].type, buffer_slice(&message));
            /* refused: a submessage in which those fields have another type, so it has been looked into */
            cr_assert(err == ERR_MALFORMED || form.len > 0, "type %zu field %u", m, number);
            buffer_deinit(&form);
        }
    }
    buffer_deinit(&message);
}

Test(canon, tells_which_field_differs)
{
    struct buffer a = {0};
    struct buffer b = {0};
    const struct slice full = form_of(&a, CANON_SPAN,
                                      slice_of("\x2a\x02"
                                               "ab\x30\x02\x4a\x03\x0a\x01"
                                               "a",
                                               11));

    cr_assert_eq(canon_difference(full, form_of(&b, CANON_SPAN,
                                                slice_of("\x2a\x02"
                                                         "ab\x30\x02\x4a\x03\x0a\x01"
                                                         "a",
                                                         11))),
                 0);
    cr_assert_eq(canon_difference(full, form_of(&b, CANON_SPAN,
                                                slice_of("\x2a\x02"
                                                         "ab\x30\x03\x4a\x03\x0a\x01"
                                                         "a",
                                                         11))),
                 6);
    cr_assert_eq(canon_difference(full, form_of(&b, CANON_SPAN,
                                                slice_of("\x2a\x02"
                                                         "ab\x30\x02",
                                                         6))),
                 9);
    cr_assert_eq(canon_difference(full, form_of(&b, CANON_SPAN,
                                                slice_of("\x30\x02\x4a\x03\x0a\x01"
                                                         "a",
                                                         7))),
                 5);
    buffer_deinit(&a);
    buffer_deinit(&b);
}

Test(canon, refuses_a_wrong_wire_type_and_nesting_without_end)
{
    struct buffer out = {0};
    struct buffer value = {0};

    cr_assert_eq(canon_append(&out, CANON_SPAN, slice_of("\x39\0\0\0\0\0\0\0\0", 9)),
                 OK); /* start as fixed64 */
    cr_assert_eq(canon_append(&out, CANON_SPAN, slice_of("\x38\x01", 2)),
                 ERR_MALFORMED); /* start as a varint */
    cr_assert_eq(canon_append(&out, CANON_SPAN, slice_of("\x4a\x05\x0a", 3)), ERR_MALFORMED);
    for (int depth = 0; depth < 200; depth++) { /* a list in a list … */
        struct buffer outer = {0};
        proto_bytes(&outer, 1, value.ptr, value.len);
        value.len = 0;
        proto_bytes(&value, ANY_VALUE_ARRAY, outer.ptr, outer.len);
        buffer_deinit(&outer);
        const enum err err = canon_append(&out, CANON_ANY_VALUE, buffer_slice(&value));
        cr_assert_eq(err, depth < 69 ? OK : ERR_TOO_LARGE, "depth %d: %d", depth, err);
    }
    buffer_deinit(&out);
    buffer_deinit(&value);
}
