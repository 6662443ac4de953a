/*
 * Senders as they are: few names, attributes that never change, seldom, always or came back, new values in most spans, and
 * now and then a request that is refused half-way, or a block that is used again. Whatever templates have learnt by then,
 * about constants, recent pairs and columns that are not looked up any more, spans come back as they were sent.
 */
#include "live_fixture.h"

#include <criterion/criterion.h>

enum { NAMES = 6, ATTRIBUTES = 9 };

struct senders {
    struct maker maker;
    uint64_t number; /* of the span */
};

/* How a value comes about; by attribute and name, so that one key behaves one way for one name, and another for another. */
static void put_attribute(struct senders *senders, struct message *list, unsigned name, unsigned place)
{
    static char text[1400];
    struct maker *const maker = &senders->maker;
    const unsigned long long number = senders->number;
    char key[16];

    snprintf(key, sizeof key, "key.%u", place);
    switch ((place + name) % 8) {
    case 0: message_string_attribute(list, 9, key, "always"); return;
    case 1:
        message_string_attribute(list, 9, key, maker_below(maker, 200) == 0 ? "seldom" : "mostly");
        return;
    case 2: message_int_attribute(list, 9, key, maker_below(maker, 4)); return;
    case 3: message_int_attribute(list, 9, key, number); return;
    case 4: snprintf(text, sizeof text, "unique %llu", number); break;
    case 5: snprintf(text, sizeof text, "%0*llu", (int)(500 + maker_below(maker, 30)), number % 5); break;
    case 6: /* mostly new, some of them seen before, and now and then of another type */
        if (maker_below(maker, 100) == 0) {
            message_int_attribute(list, 9, key, number);
            return;
        }
        snprintf(text, sizeof text, "%llu", number - maker_below(maker, 2) * maker_below(maker, 50));
        break;
    default: snprintf(text, sizeof text, "%0*llu", maker_below(maker, 3) == 0 ? 1200 : 9, number % 7); break;
    }
    message_string_attribute(list, 9, key, text);
}

static void put_event(struct senders *senders, struct message *span, unsigned name)
{
    struct maker *const maker = &senders->maker;
    struct message event = {0};

    message_fixed64(&event, 1, senders->number);
    message_text(&event, 2, maker_below(maker, 2) == 0 ? "retry" : "name 1");
    message_int_attribute(&event, 3, "key.2", maker_below(maker, 4));
    if (name % 2 == 0) message_string_attribute(&event, 3, "key.0", "always");
    if (maker_below(maker, 4) == 0) message_int_attribute(&event, 3, "key.3", senders->number);
    message_put(span, 11, &event);
}

static void put_malformed(struct message *span)
{
    struct message pair = {0};

    message_varint(&pair, 1, 1); /* a key that is no text */
    message_put(span, 9, &pair);
}

static struct message span_of(struct senders *senders)
{
    struct maker *const maker = &senders->maker;
    const unsigned name = maker_below(maker, NAMES);
    struct message span = {0}, list = {0};
    char text[16];

    senders->number++;
    message_ids(&span, senders->number / 5, senders->number);
    snprintf(text, sizeof text, "name %u", name);
    message_text(&span, 5, text);
    for (unsigned place = 0; place < ATTRIBUTES - maker_below(maker, 40) / 39; place++)
        put_attribute(senders, &list, name, place);
    message_join(&span, &list);
    for (uint32_t i = maker_below(maker, 3); i > 0; i--)
        put_event(senders, &span, name);
    return span;
}

static struct message body_of(struct senders *senders, bool spoilt)
{
    struct message scope_spans = {0};

    for (uint32_t i = 1 + maker_below(&senders->maker, 30); i > 0; i--) {
        struct message span = span_of(senders);
        if (spoilt && i == 1) put_malformed(&span);
        message_put(&scope_spans, 2, &span);
    }
    return message_body_of_scope_spans(&scope_spans);
}

static void assert_agrees(const struct live_case *c)
{
    cr_assert_eq(live_case_difference(c), UINT32_MAX, "row %u differs", live_case_difference(c));
    live_case_check(c);
}

Test(live_senders, what_repeats_changes_and_is_spoilt_comes_back, .timeout = 120)
{
    struct senders senders = {.maker = {.state = 5}};
    struct live_case c = live_case_open();
    unsigned refused = 0;

    for (unsigned block = 0; block < 4; block++) {
        for (unsigned request = 0; request < 200; request++) {
            const bool spoilt = maker_below(&senders.maker, block == 3 ? 200 : 20) == 0;
            struct message body = body_of(&senders, spoilt);
            cr_assert_eq(live_case_put(&c, &body), spoilt ? ERR_MALFORMED : OK, "block %u request %u: %s",
                         block, request, c.result.fault.reason);
            refused += spoilt;
        }
        assert_agrees(&c);
        bool unseen = false, constant = false;
        for (uint32_t i = 0; i < c.live->counts.columns; i++)
            unseen |= c.live->columns[i].unseen == LIVE_UNSEEN_ALWAYS;
        for (uint32_t i = 0; i < c.live->counts.shape_items; i++)
            constant |= c.live->shape_items[i].constant != 0;
        cr_assert(unseen && constant, "templates have learnt what there is to learn");
        live_case_reset(&c);
    }
    cr_assert_gt(refused, 10);
    live_case_close(&c);
}
