/*
 * The live block: what goes in comes out byte for byte, whatever templates and interning do in between; a request that
 * fails leaves nothing; and each of its limits is an answer, not an accident (rows B4, B5, B9, B11, B12, B14).
 */
#include "live_fixture.h"
#include "live_template.h"

#include <criterion/criterion.h>

static struct message span_of(uint64_t number)
{
    struct message span = {0};

    message_ids(&span, number / 3, number);
    return span;
}

static void assert_agrees(const struct live_case *c)
{
    cr_assert_eq(live_case_difference(c), UINT32_MAX, "row %u differs", live_case_difference(c));
    live_case_check(c);
}

/* One span that is expected to be taken. */
static void put_span(struct live_case *c, struct message *span)
{
    struct message body = message_body_of_span(span);

    cr_assert_eq(live_case_put(c, &body), OK, "%s", c->result.fault.reason);
}

/* ---- random requests -------------------------------------------------------------------------------- */

static void random_requests(uint64_t seed, unsigned wildness, unsigned keys, uint32_t requests)
{
    struct maker maker = {.state = seed, .wildness = wildness, .keys = keys, .invalid_ids = 10};
    struct live_case c = live_case_open();

    for (uint32_t i = 0; i < requests; i++) {
        struct message body = maker_body(&maker, 1 + maker_below(&maker, 40));
        cr_assert_eq(live_case_put(&c, &body), OK, "seed %lu request %u: %s", seed, i, c.result.fault.reason);
    }
    assert_agrees(&c);
    live_case_close(&c);
}

Test(live, random_spans_come_back_in_canonical_form)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_requests(seed, seed % 3 == 0 ? 30 : 0, seed % 4 == 0 ? 3 : 12, 20);
}

Test(live, spoilt_requests_are_undone_and_the_rows_before_them_stay)
{
    struct maker maker = {.state = 99, .wildness = 10};
    struct live_case c = live_case_open();
    unsigned refused = 0;

    for (uint32_t i = 0; i < 2000; i++) {
        struct message body = maker_body(&maker, 1 + maker_below(&maker, 6));
        for (uint32_t k = maker_below(&maker, 3); k > 0; k--)
            body.bytes[maker_below(&maker, (uint32_t)body.len)] = (uint8_t)maker_next(&maker);
        const enum err err = live_case_put(&c, &body);
        cr_assert(err == OK || err == ERR_MALFORMED);
        refused += err != OK;
        if (i % 200 == 0) assert_agrees(&c);
    }
    assert_agrees(&c);
    cr_assert_gt(refused, 500);
    cr_assert_gt(c.live->counts.rows, 500);
    live_case_close(&c);
}

/* ---- templates -------------------------------------------------------------------------------------- */

struct change {
    const char *what;
    void (*apply)(struct message *span, unsigned turn);
};

static void same_length(struct message *span, unsigned turn)
{
    static const char *const values[] = {"GET", "PUT", "GET", "HEY"};

    message_string_attribute(span, 9, "method", values[turn % 4]);
}

static void other_length(struct message *span, unsigned turn)
{
    static const char *const values[] = {"GET", "DELETE", "", "PATCH"};

    message_string_attribute(span, 9, "method", values[turn % 4]);
}

static void other_type(struct message *span, unsigned turn)
{
    if (turn % 2 == 0)
        message_int_attribute(span, 9, "method", 0x676767); /* four bytes, as the string below */
    else
        message_string_attribute(span, 9, "method", "xy");
}

static void other_key_of_the_same_length(struct message *span, unsigned turn)
{
    message_string_attribute(span, 9, turn % 2 == 0 ? "method" : "mothed", "GET");
}

static void other_number(struct message *span, unsigned turn)
{
    for (unsigned i = 0; i < turn % 3; i++)
        message_string_attribute(span, 9, "method", "GET");
}

static void none_at_all(struct message *span, unsigned turn)
{
    if (turn % 5 == 1) message_free(span);
}

static void empty_pair(struct message *span, unsigned turn)
{
    struct message pair = {0};

    if (turn % 2 == 0) message_text(&pair, 1, "k");
    message_put(span, 9, &pair);
}

static void unknown_field_in_the_pair(struct message *span, unsigned turn)
{
    struct message pair = {0}, value = {0};

    message_varint(&value, 3, 5);
    message_text(&pair, 1, "k");
    message_put(&pair, 2, &value);
    message_varint(&pair, 9, turn % 3);
    message_put(span, 9, &pair);
}

static void longer_than_a_template(struct message *span, unsigned turn)
{
    char text[1400];

    memset(text, 'a' + (int)(turn % 2), sizeof text - 1);
    text[sizeof text - 1] = 0;
    message_string_attribute(span, 9, "text", text);
}

static void more_than_a_template(struct message *span, unsigned turn)
{
    for (unsigned i = 0; i < 38 + turn % 4; i++) /* with the two of every span: 40 to 43 */
        message_int_attribute(span, 9, "n", i + turn % 2);
}

static const struct change changes[] = {
    {"same length", same_length},     {"other length", other_length},
    {"other type", other_type},       {"other key", other_key_of_the_same_length},
    {"other number", other_number},   {"none at all", none_at_all},
    {"empty pair", empty_pair},       {"unknown field", unknown_field_in_the_pair},
    {"long", longer_than_a_template}, {"many", more_than_a_template},
};

Test(live, templates_never_change_what_a_span_says)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct live_case c = live_case_open();
        for (unsigned turn = 0; turn < 60; turn++) {
            struct message span = span_of(turn), attributes = {0};
            message_text(&span, 5, "same name");
            message_string_attribute(&attributes, 9, "first", turn % 7 == 0 ? "one" : "two");
            changes[i].apply(&attributes, turn);
            if (attributes.len > 0) message_int_attribute(&attributes, 9, "last", turn % 11);
            message_join(&span, &attributes);
            put_span(&c, &span);
        }
        cr_assert_eq(live_case_difference(&c), UINT32_MAX, "%s: row %u", changes[i].what,
                     live_case_difference(&c));
        live_case_check(&c);
        live_case_close(&c);
    }
}

Test(live, equal_spans_share_their_pairs)
{
    struct live_case c = live_case_open();

    for (unsigned turn = 0; turn < 100; turn++) {
        struct message span = span_of(turn);
        message_text(&span, 5, "name");
        message_string_attribute(&span, 9, "k", "v");
        message_int_attribute(&span, 9, "n", turn % 2);
        put_span(&c, &span);
    }
    cr_assert_eq(c.live->counts.pairs, 1 + 1 /* name */ + 1 + 2);
    cr_assert_eq(c.live->counts.columns, COLUMN_FIXED_COUNT + 2);
    cr_assert_eq(c.live->counts.shapes, 3); /* the empty one, both vary, "k" is constant */
    cr_assert_eq(c.live->counts.patterns, 2);
    cr_assert_eq(c.live->counts.slots, 2 * (1 + TEMPLATE_LEARNT) + (100 - 1 - TEMPLATE_LEARNT));
    assert_agrees(&c);
    live_case_close(&c);
}

Test(live, one_key_at_three_levels_is_three_columns)
{
    struct live_case c = live_case_open();
    struct message span = span_of(1), event = {0}, link = {0};

    message_string_attribute(&span, 9, "k", "v");
    message_string_attribute(&event, 3, "k", "v");
    message_string_attribute(&link, 4, "k", "v");
    message_put(&span, 11, &event);
    message_put(&span, 13, &link);
    put_span(&c, &span);
    cr_assert_eq(c.live->counts.columns, COLUMN_FIXED_COUNT + 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(c.live->columns[COLUMN_FIXED_COUNT + i].level, LEVEL_SPAN + i);
    assert_agrees(&c);
    live_case_close(&c);
}

/* ---- events ------------------------------------------------------------------------------------------ */

/* Events that begin alike, each made twice with other times, in every order of fields. */
static struct message odd_event(unsigned kind, uint64_t time)
{
    struct message event = {0};

    switch (kind) {
    case 0: /* as exporters write it */
        message_fixed64(&event, 1, time);
        message_text(&event, 2, "exception");
        break;
    case 1: /* a second time: it wins, and a template must not freeze it */
        message_fixed64(&event, 1, time);
        message_text(&event, 2, "exception");
        message_fixed64(&event, 1, time * 3);
        break;
    case 2: /* the time last */
        message_text(&event, 2, "exception");
        message_fixed64(&event, 1, time);
        break;
    case 3: /* no time */ message_text(&event, 2, "exception"); break;
    case 4: /* nothing but a time: nine bytes */ message_fixed64(&event, 1, time); break;
    case 5: /* a time and seven bytes: too short for a template */
        message_fixed64(&event, 1, time);
        message_text(&event, 2, "12345");
        break;
    case 6: /* a dropped count belongs to the template */
        message_fixed64(&event, 1, time);
        message_text(&event, 2, "exception");
        message_varint(&event, 4, 77);
        break;
    case 7: /* attributes, and an unknown field */
        message_fixed64(&event, 1, time);
        message_text(&event, 2, "exception");
        message_string_attribute(&event, 3, "exception.type", time % 2 == 0 ? "A" : "B");
        message_text(&event, 50, "unknown");
        break;
    case 8: /* more attributes than a template holds */
        message_fixed64(&event, 1, time);
        for (unsigned i = 0; i < 17; i++)
            message_int_attribute(&event, 3, "n", i);
        break;
    case 9: /* longer than a template */ {
        char text[500];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        message_fixed64(&event, 1, time);
        message_text(&event, 2, text);
        break;
    }
    case 10: /* cut: must be counted each time */ {
        char key[OTLP_KEY_BYTES_MAX + 2];
        memset(key, 'k', sizeof key - 1);
        key[sizeof key - 1] = 0;
        message_fixed64(&event, 1, time);
        message_string_attribute(&event, 3, key, "v");
        break;
    }
    default: break; /* empty */
    }
    return event;
}

Test(live, events_come_back_whatever_the_order_of_their_fields)
{
    struct live_case c = live_case_open();

    for (unsigned turn = 0; turn < 6; turn++)
        for (unsigned kind = 0; kind <= 11; kind++) {
            struct message span = span_of(turn * 100 + kind);
            for (unsigned other = 0; other <= 11; other += 1 + kind) {
                struct message event = odd_event((kind + other) % 12,
                                                 1700000000000000000ull + turn * 1000 + other);
                message_put(&span, 11, &event);
            }
            put_span(&c, &span);
            cr_assert_eq(c.cut > 0, c.expected.spans[c.expected.spans_count - 1].cut);
        }
    assert_agrees(&c);
    live_case_close(&c);
}

/* ---- too many keys ----------------------------------------------------------------------------------- */

Test(live, keys_beyond_the_columns_are_kept_whole)
{
    enum { KEYS = 2100 };
    static_assert(KEYS > LIVE_COLUMNS_MAX + 25 && KEYS % 25 == 0, "some keys have no column");
    struct live_case c = live_case_open();

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < KEYS; i += 25) {
            struct message span = span_of(round * 10000 + i), event = {0}, link = {0};
            for (unsigned k = 0; k < 25; k++) {
                char key[24];
                snprintf(key, sizeof key, "key.%u", i + k);
                message_int_attribute(&span, 9, key, k);
                if (i + k > LIVE_COLUMNS_MAX) message_string_attribute(&event, 3, key, "in an event");
                if (i + k > LIVE_COLUMNS_MAX) message_string_attribute(&link, 4, key, "in a link");
            }
            message_put(&span, 11, &event);
            message_put(&span, 13, &link);
            put_span(&c, &span);
        }
    cr_assert_eq(c.live->counts.columns, LIVE_COLUMNS_MAX);
    cr_assert_eq(c.live->columns[COLUMN_RAW_SPAN].pairs_count,
                 KEYS - (LIVE_COLUMNS_MAX - COLUMN_FIXED_COUNT));
    cr_assert_gt(c.live->columns[COLUMN_RAW_EVENT].pairs_count, 0);
    cr_assert_gt(c.live->columns[COLUMN_RAW_LINK].pairs_count, 0);
    assert_agrees(&c);
    live_case_close(&c);
}

/* ---- cuts -------------------------------------------------------------------------------------------- */

enum { CUT_STRING, CUT_BYTES, CUT_ARRAY, CUT_KINDS };

static struct message pair_of_sizes(size_t key_len, unsigned kind, size_t value_len)
{
    uint8_t *const filler = calloc(1, key_len + value_len + 8);
    struct message pair = {0}, value = {0}, list = {0};

    message_bytes(&pair, 1, slice_of(filler, key_len));
    switch (kind) {
    case CUT_STRING: message_bytes(&value, 1, slice_of(filler, value_len)); break;
    case CUT_BYTES: message_bytes(&value, 7, slice_of(filler, value_len)); break;
    default: /* an unknown field fills the array: 1 byte of tag, 3 of length */
        message_bytes(&list, 2, slice_of(filler, value_len - 4));
        assert(list.len == value_len);
        message_put(&value, 5, &list);
    }
    message_put(&pair, 2, &value);
    free(filler);
    return pair;
}

/* What the span, its first event or its first link says was dropped. */
static uint32_t dropped_at(const struct live_block *live, const struct live_row *row, uint32_t field)
{
    const struct live_parts parts = live_parts(live, row);

    if (field == 9) return parts.pattern->dropped_attributes_count;
    if (field == 13) return live->links[parts.links_first].dropped_attributes_count;
    return live->event_patterns[live->events[row->events_first].pattern].dropped_attributes_count;
}

Test(live, B12_keys_and_values_up_to_their_limits)
{
    struct live_case c = live_case_open();
    unsigned number = 0;

    for (unsigned kind = 0; kind < CUT_KINDS; kind++)
        for (int key = -1; key <= 1; key++)
            for (int value = -1; value <= 1; value++)
                for (uint32_t field = 9; field <= 13; field += 2) { /* in the span, an event, a link */
                    struct message span = span_of(number++), child = {0};
                    struct message pair = pair_of_sizes((size_t)(OTLP_KEY_BYTES_MAX + key), kind,
                                                        (size_t)(OTLP_VALUE_BYTES_MAX + value));
                    const bool cut = key > 0 || value > 0;
                    message_put(field == 9 ? &span : &child, field == 9 ? 9 : field == 11 ? 3 : 4, &pair);
                    if (field != 9) message_put(&span, field, &child);
                    message_string_attribute(&span, 9, "small", "stays");
                    put_span(&c, &span);
                    cr_assert_eq(c.cut, cut ? 1 : 0, "kind %u key %+d value %+d", kind, key, value);
                    const struct live_row *const row = &c.live->rows[c.live->counts.rows - 1];
                    cr_assert_eq(dropped_at(c.live, row, field), cut ? 1 : 0);
                }
    assert_agrees(&c);
    live_case_close(&c);
}

Test(live, B12_a_cut_in_the_middle_of_a_known_list_keeps_the_others)
{
    struct live_case c = live_case_open();

    for (unsigned turn = 0; turn < 6; turn++) {
        struct message span = span_of(turn);
        struct message pair = pair_of_sizes(turn % 2 == 0 ? 3 : OTLP_KEY_BYTES_MAX + 1, CUT_STRING, 10);
        message_string_attribute(&span, 9, "a", turn % 3 == 0 ? "x" : "y");
        message_put(&span, 9, &pair);
        message_string_attribute(&span, 9, "b", turn % 3 == 0 ? "y" : "x");
        put_span(&c, &span);
        cr_assert_eq(c.cut, turn % 2);
        cr_assert_eq(c.live->shapes[live_pattern_of(c.live, turn)->shape].count, 3 - turn % 2);
    }
    assert_agrees(&c);
    live_case_close(&c);
}

Test(live, B11_B14_odd_text_and_numbers_come_back)
{
    static const char text[] = "nul \0 overlong \xc0\x80 \xff";
    static const uint64_t numbers[] = {
        0x7ff8000000000001ull, 0xfff0000000000000ull, 0x8000000000000000ull, 1, UINT64_MAX, 0};
    struct live_case c = live_case_open();

    for (unsigned i = 0; i < 6; i++) {
        struct message span = span_of(i), pair = {0}, value = {0};
        message_bytes(&span, 5, slice_of(text, sizeof text));
        message_fixed64(&value, 4, numbers[i]);
        message_bytes(&pair, 1, slice_of(text, sizeof text));
        message_put(&pair, 2, &value);
        message_put(&span, 9, &pair);
        message_int_attribute(&span, 9, "n", numbers[i]);
        put_span(&c, &span);
    }
    assert_agrees(&c);
    live_case_close(&c);
}

/* ---- undo -------------------------------------------------------------------------------------------- */

/* Two spans, the second with a malformed attribute behind ten that are new. */
static struct message body_that_fails_late(unsigned number)
{
    struct message scope_spans = {0}, first = span_of(number), second = span_of(number + 1), event = {0};

    for (unsigned i = 0; i < 10; i++) {
        char key[24];
        snprintf(key, sizeof key, "new.%u.%u", number, i);
        message_string_attribute(&first, 9, key, "never kept");
        message_string_attribute(&second, 9, key, "never kept");
    }
    message_fixed64(&event, 1, 5);
    message_text(&event, 2, "an event of a request that fails");
    message_put(&first, 11, &event);
    message_text(&second, 9, "\x0a\x7f"); /* a key longer than its pair */
    message_put(&scope_spans, 2, &first);
    message_put(&scope_spans, 2, &second);
    return message_body_of_scope_spans(&scope_spans);
}

Test(live, a_malformed_attribute_in_the_middle_leaves_the_earlier_rows_intact)
{
    struct maker maker = {.state = 5};
    struct live_case c = live_case_open();

    for (unsigned i = 0; i < 20; i++) {
        struct message body = maker_body(&maker, 10);
        cr_assert_eq(live_case_put(&c, &body), OK);
        body = body_that_fails_late(i);
        cr_assert_eq(live_case_put(&c, &body), ERR_MALFORMED);
        cr_assert_not_null(strstr(c.result.fault.reason, "KeyValue"));
        cr_assert_gt(c.result.fault.offset, 100);
    }
    cr_assert_eq(c.live->counts.rows, 200);
    assert_agrees(&c);
    live_case_close(&c);
}

/* Their attributes are cut, so the template is not laid out anew and keeps what it knew of a pattern. */
static void put_long_span(struct live_case *c, unsigned number, unsigned kind, bool with_attribute)
{
    struct message span = span_of(number);
    struct message pair = pair_of_sizes(3, CUT_STRING, OTLP_VALUE_BYTES_MAX + 1);

    message_text(&span, 5, "name");
    message_varint(&span, 6, kind);
    if (with_attribute)
        message_put(&span, 9, &pair);
    else
        message_free(&pair);
    put_span(c, &span);
}

Test(live, a_pattern_of_an_earlier_block_is_not_taken_for_one_of_this)
{
    struct live_case c = live_case_open();

    put_long_span(&c, 1, 1, false);
    put_long_span(&c, 2, 2, true); /* pattern 1 */
    live_case_reset(&c);
    put_long_span(&c, 3, 2, true); /* pattern 0, where 1 still lies behind it */
    cr_assert_eq(c.live->counts.patterns, 1);
    assert_agrees(&c);
    live_case_close(&c);
}

Test(live, after_an_undo_the_block_is_as_if_the_request_had_never_been)
{
    struct live_case with = live_case_open(), without = live_case_open();
    struct maker maker = {.state = 6}, same = maker, hostile = {.state = 7, .keys = 1000};

    for (unsigned i = 0; i < 30; i++) {
        struct message body = maker_body(&maker, 20), twin = maker_body(&same, 20);
        struct message failing = maker_body(&hostile, 40);
        message_raw(&failing, "\x08", 1); /* a varint field without its number */
        cr_assert_eq(live_case_put(&with, &failing), ERR_MALFORMED);
        cr_assert_eq(live_case_put(&with, &body), OK);
        cr_assert_eq(live_case_put(&without, &twin), OK);
    }
    assert_agrees(&with);
    assert_agrees(&without);
    cr_assert_eq(with.live->counts.rows, without.live->counts.rows);
    cr_assert_eq(with.live->counts.columns, without.live->counts.columns);
    cr_assert_eq(with.live->counts.pairs, without.live->counts.pairs);
    for (uint32_t i = 1; i < with.live->counts.pairs; i++) {
        cr_assert_eq(with.live->pairs[i].column, without.live->pairs[i].column);
        cr_assert(
            slice_equal(live_bytes(with.live, with.live->pairs[i].offset, with.live->pairs[i].len),
                        live_bytes(without.live, without.live->pairs[i].offset, without.live->pairs[i].len)));
    }
    live_case_close(&with);
    live_case_close(&without);
}

Test(live, B5_a_rejected_span_takes_no_row_and_no_slots)
{
    struct live_case c = live_case_open();
    struct message scope_spans = {0};

    for (unsigned i = 0; i < 3; i++) {
        struct message span = span_of(i), pair = {0}, event = {0};
        struct message value = message_nested_value(i == 1 ? OTLP_DEPTH_MAX + 1 : 2, true);
        message_put(&pair, 2, &value);
        message_string_attribute(&span, 9, "k", "v");
        message_fixed64(&event, 1, 5);
        message_put(&span, 11, &event);
        message_put(&event, 3, &pair);
        message_put(&span, 11, &event);
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    cr_assert_eq(live_case_put(&c, &body), OK);
    cr_assert_eq(c.live->counts.rows, 2);
    cr_assert_eq(c.live->counts.slots, 4);
    cr_assert_eq(c.live->counts.events, 4);
    assert_agrees(&c);
    live_case_close(&c);
}

/* ---- full -------------------------------------------------------------------------------------------- */

/* A request that does not fit is undone; what was there stays, and a small request still fits. */
static void assert_survives(struct live_case *c, struct message *too_much)
{
    const enum err err = live_case_try(c, message_slice(too_much));

    cr_assert_eq(err, ERR_FULL, "%s", err_text(err));
    message_free(too_much);
    struct message span = span_of(123456);
    message_string_attribute(&span, 9, "after", "all");
    put_span(c, &span);
    assert_agrees(c);
}

/* A few rows that must not suffer. */
static struct live_case begun(void)
{
    struct live_case c = live_case_open();
    struct maker maker = {.state = 11};
    struct message body = maker_body(&maker, 30);

    cr_assert_eq(live_case_put(&c, &body), OK);
    return c;
}

static struct message resources_each_with_a_span(uint32_t count, uint32_t field)
{
    struct message body = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct message resource_spans = {0}, scope_spans = {0}, envelope = {0}, span = {0};
        message_varint(&envelope, field == 1 ? 2 : 4, i + 1); /* dropped_attributes_count tells them apart */
        if (i % 1000 == 0) span = span_of(i);
        message_put(field == 1 ? &resource_spans : &scope_spans, 1, &envelope);
        if (span.len > 0) message_put(&scope_spans, 2, &span);
        message_put(&resource_spans, 2, &scope_spans);
        message_put(&body, 1, &resource_spans);
    }
    return body;
}

Test(live, resources_and_scopes_up_to_the_limit)
{
    for (uint32_t field = 1; field <= 2; field++) {
        struct live_case c = live_case_open();
        struct message body = resources_each_with_a_span(LIVE_ENVELOPES_MAX, field);
        cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
        message_free(&body);
        cr_assert(live_full(c.live));
        live_case_reset(&c);
        cr_assert_not(live_full(c.live));
        body = resources_each_with_a_span(LIVE_ENVELOPES_MAX + 1, field);
        assert_survives(&c, &body);
        live_case_close(&c);
    }
}

Test(live, B4_rows_up_to_the_limit)
{
    struct live_case c = begun();
    struct message scope_spans = {0};

    for (uint32_t i = 0; i < OTLP_SPANS_MAX; i++) {
        struct message span = span_of(i);
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
    cr_assert(live_full(c.live));
    cr_assert_eq(live_case_try(&c, message_slice(&body)), ERR_FULL);
    cr_assert_eq(c.live->counts.rows, OTLP_SPANS_MAX + 30);
    message_free(&body);
    live_case_close(&c);
}

static struct message spans_with(uint32_t spans, uint32_t field, uint32_t count)
{
    struct message scope_spans = {0}, children = {0}; /* the same ones in each span */

    for (uint32_t k = 0; k < count; k++)
        message_text(&children, field, "");
    for (uint32_t i = 0; i < spans; i++) {
        struct message span = span_of(i);
        message_raw(&span, children.bytes, children.len);
        message_put(&scope_spans, 2, &span);
    }
    message_free(&children);
    return message_body_of_scope_spans(&scope_spans);
}

Test(live, attributes_up_to_the_slots)
{
    struct live_case c = begun();
    struct message body = spans_with(LIVE_SLOTS_MAX / OTLP_ATTRIBUTES_MAX, 9, OTLP_ATTRIBUTES_MAX);

    assert_survives(&c, &body); /* some slots are taken already: exactly as many do not fit */
    body = spans_with(LIVE_SLOTS_MAX / OTLP_ATTRIBUTES_MAX / 2 + 1, 9, OTLP_ATTRIBUTES_MAX);
    cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
    cr_assert(live_full(c.live));
    message_free(&body);
    live_case_close(&c);
}

Test(live, events_and_links_up_to_the_limit)
{
    for (uint32_t field = 11; field <= 13; field += 2) {
        struct live_case c = live_case_open();
        struct message body = spans_with(LIVE_CHILDREN_MAX / OTLP_EVENTS_MAX, field, OTLP_EVENTS_MAX);
        cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
        cr_assert_eq(field == 11 ? c.live->counts.events : c.live->counts.links, LIVE_CHILDREN_MAX);
        cr_assert(live_full(c.live));
        message_free(&body);
        live_case_reset(&c);
        body = spans_with(LIVE_CHILDREN_MAX / OTLP_EVENTS_MAX + 1, field, OTLP_EVENTS_MAX);
        assert_survives(&c, &body);
        live_case_close(&c);
    }
}

/* Spans with distinct values, one attribute each of this many bytes. */
static struct message distinct_values(uint32_t spans, uint32_t attributes, size_t len)
{
    struct message scope_spans = {0}, attribute = {0}, pair = {0}, value = {0};
    uint8_t *const zeros = calloc(1, len);

    message_bytes(&value, 7, slice_of(zeros, len));
    message_put(&pair, 2, &value);
    message_put(&attribute, 9, &pair);
    for (uint32_t i = 0; i < spans; i++) {
        struct message span = span_of(i);
        for (uint32_t k = 0; k < attributes; k++) {
            const uint32_t number = i * attributes + k;
            memcpy(attribute.bytes + attribute.len - len, &number, sizeof number); /* the value is its end */
            message_raw(&span, attribute.bytes, attribute.len);
        }
        message_put(&scope_spans, 2, &span);
    }
    message_free(&attribute);
    free(zeros);
    return message_body_of_scope_spans(&scope_spans);
}

Test(live, distinct_bytes_up_to_the_arena)
{
    struct live_case c = begun();
    struct message body = distinct_values(400, 1, 64000); /* 24.4 MiB */

    cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
    cr_assert(live_full(c.live));
    message_free(&body);
    live_case_reset(&c);
    body = distinct_values(2200, 1, 64000); /* 134 MiB */
    assert_survives(&c, &body);
    live_case_close(&c);
}

Test(live, distinct_pairs_up_to_the_limit)
{
    struct live_case c = begun();
    struct message body = distinct_values(4200, 1000, 4);

    assert_survives(&c, &body);
    live_case_close(&c);
}

Test(live, distinct_shapes_up_to_the_limit)
{
    struct live_case c = begun();
    struct message scope_spans = {0};

    for (uint32_t i = 0; i < LIVE_SHAPES_MAX; i++) { /* the bits of i as two keys */
        struct message span = span_of(i);
        for (unsigned bit = 0; bit < 17; bit++)
            message_int_attribute(&span, 9, (i + 1) >> bit & 1 ? "1" : "0", 0);
        message_put(&scope_spans, 2, &span);
    }
    struct message body = message_body_of_scope_spans(&scope_spans);
    assert_survives(&c, &body);
    live_case_close(&c);
}

Test(live, long_shapes_up_to_their_room)
{
    struct live_case c = begun();
    struct message scope_spans = {0}, zero = {0}, one = {0};

    message_int_attribute(&zero, 9, "0", 0);
    message_int_attribute(&one, 9, "1", 0);
    for (uint32_t i = 0; i < 4200; i++) {
        struct message span = span_of(i);
        for (unsigned k = 0; k < 1000; k++) {
            const struct message *const attribute = k < 16 && i >> k & 1 ? &one : &zero;
            message_raw(&span, attribute->bytes, attribute->len);
        }
        message_put(&scope_spans, 2, &span);
    }
    message_free(&zero);
    message_free(&one);
    struct message body = message_body_of_scope_spans(&scope_spans);
    assert_survives(&c, &body);
    live_case_close(&c);
}

/* ---- publishing, resetting ---------------------------------------------------------------------------- */

Test(live, readers_see_what_was_published_and_nothing_more)
{
    struct live_case c = live_case_open();
    struct maker maker = {.state = 21};
    struct message first = maker_body(&maker, 5), second = maker_body(&maker, 5);

    live_append_begin(c.live);
    cr_assert_eq(otlp_decode(c.decoder, message_slice(&first), live_sink(), c.live, &c.result), OK);
    const struct live_counts first_counts = live_append_end(c.live, 2000, 111);
    live_append_begin(c.live);
    cr_assert_eq(otlp_decode(c.decoder, message_slice(&second), live_sink(), c.live, &c.result), OK);
    const struct live_counts second_counts = live_append_end(c.live, 3000, 99);
    cr_assert_eq(live_published(c.live).rows, 0);
    cr_assert_eq(live_published(c.live).pairs, 1);

    live_publish(c.live, &first_counts);
    struct live_counts seen = live_published(c.live);
    cr_assert_eq(seen.rows, 5);
    cr_assert_eq(seen.pairs, first_counts.pairs);
    cr_assert_eq(seen.resources, first_counts.resources);
    live_publish(c.live, &second_counts);
    seen = live_published(c.live);
    cr_assert_eq(seen.rows, 10);
    cr_assert_eq(seen.shapes, c.live->counts.shapes);
    cr_assert_eq(c.live->lsn_end, 3000);
    cr_assert_eq(c.live->arrival_min_ns, 99);
    cr_assert_eq(c.live->arrival_max_ns, 111);
    message_free(&first);
    message_free(&second);
    live_case_close(&c);
}

Test(live, a_block_that_was_used_is_as_good_as_a_new_one)
{
    struct live_case used = live_case_open(), fresh = live_case_open();
    struct maker before = {.state = 31, .keys = 3000}, maker = {.state = 32}, same = maker;

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 30; i++) {
            struct message body = maker_body(&before, 60);
            cr_assert_eq(live_case_put(&used, &body), OK);
        }
        live_case_reset(&used);
        cr_assert_eq(live_published(used.live).rows, 0);
        cr_assert_eq(used.live->counts.columns, COLUMN_FIXED_COUNT);
    }
    for (unsigned i = 0; i < 10; i++) {
        struct message body = maker_body(&maker, 20), twin = maker_body(&same, 20);
        cr_assert_eq(live_case_put(&used, &body), OK);
        cr_assert_eq(live_case_put(&fresh, &twin), OK);
    }
    cr_assert(live_counts_equal(&used.live->counts, &fresh.live->counts));
    cr_assert_eq(used.live->seq, 7 + 3);
    assert_agrees(&used);
    live_case_close(&used);
    live_case_close(&fresh);
}

Test(live, large_blocks_give_memory_back_and_begin_with_zeros)
{
    struct live_case c = live_case_open();

    for (unsigned round = 0; round < 2; round++) {
        struct message body = distinct_values(600, 1000, 100); /* 600,000 pairs, 66 MB */
        cr_assert_eq(live_case_try(&c, message_slice(&body)), OK);
        message_free(&body);
        live_case_reset(&c);
        struct maker maker = {.state = 41 + round};
        body = maker_body(&maker, 100);
        cr_assert_eq(live_case_put(&c, &body), OK);
        assert_agrees(&c);
        live_case_reset(&c);
    }
    live_case_close(&c);
}

Test(live, services_are_found_in_their_resources)
{
    static const struct {
        const char *first, *second; /* service.name, given twice */
        const char *service;
    } rows[] = {{"shop", NULL, "shop"}, {"shop", "cart", "cart"}, {NULL, NULL, ""}, {"", NULL, ""}};
    struct live_case c = live_case_open();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct message body = {0}, resource_spans = {0}, resource = {0}, scope_spans = {0}, span = span_of(i);
        message_int_attribute(&resource, 1, "order", i);
        if (rows[i].first != NULL) message_string_attribute(&resource, 1, "service.name", rows[i].first);
        if (rows[i].second != NULL) message_string_attribute(&resource, 1, "service.name", rows[i].second);
        if (i == 2) message_int_attribute(&resource, 1, "service.name", 5); /* no string: none */
        message_put(&resource_spans, 1, &resource);
        message_put(&scope_spans, 2, &span);
        message_put(&resource_spans, 2, &scope_spans);
        message_put(&body, 1, &resource_spans);
        cr_assert_eq(live_case_put(&c, &body), OK);
        const struct live_envelope *const envelope =
            &c.live->resources[live_pattern_of(c.live, (uint32_t)i)->resource];
        cr_assert(
            slice_is(live_bytes(c.live, envelope->service_offset, envelope->service_len), rows[i].service));
    }
    assert_agrees(&c);
    live_case_close(&c);
}
