/*
 * Makes bodies from a seed: spans that repeat themselves as those of real senders do, slightly changed each time, and
 * with `wildness` per mille of everything that the wire allows and nobody sends: fields in any order, given twice,
 * unknown ones, groups, overlong lengths, split messages, odd ids.
 */
#ifndef TEST_MODEL_MAKER_H
#define TEST_MODEL_MAKER_H

#include "message.h"

#include <stdio.h>

struct maker {
    uint64_t state;        /* the seed, then where the sequence is */
    unsigned wildness;     /* per mille */
    unsigned traces;       /* trace ids are drawn from this many; 0: 100 */
    unsigned keys;         /* attribute keys are drawn from this many; 0: 12 */
    unsigned invalid_ids;  /* per mille of spans with ids that must be rejected */
    uint64_t spans;        /* made so far: their span ids count on */
    unsigned children_max; /* events and links of a span; 0: 3 */
};

static inline uint64_t maker_next(struct maker *maker)
{
    uint64_t z = maker->state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline uint32_t maker_below(struct maker *maker, uint32_t bound)
{
    return (uint32_t)((maker_next(maker) >> 32) * bound >> 32);
}

static inline bool maker_wild(struct maker *maker)
{
    return maker->wildness > 0 && maker_below(maker, 1000) < maker->wildness;
}

/* Numbers near the borders of everything, and plain ones. */
static inline uint64_t maker_number(struct maker *maker)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   127,
                                   128,
                                   16383,
                                   16384,
                                   UINT32_MAX,
                                   1ull << 32,
                                   INT64_MAX,
                                   1ull << 63,
                                   UINT64_MAX,
                                   0x7ff8000000000001ull, /* NaN with a payload */
                                   0xfff0000000000000ull, /* minus infinity */
                                   0x8000000000000000ull, /* minus zero */
                                   1 /* the smallest denormal */};

    switch (maker_below(maker, 4)) {
    case 0: return odd[maker_below(maker, sizeof odd / sizeof odd[0])];
    case 1: return maker_next(maker) >> maker_below(maker, 64);
    default: return maker_below(maker, 20);
    }
}

static inline void maker_word(struct maker *maker, char *out, size_t size)
{
    static const char *const words[] = {"",         "GET /",   "SELECT 1",
                                        "checkout", "caf\xc3", "a rather long value that does not fit a line",
                                        "x",        "200 OK"};
    const uint32_t choice = maker_below(maker, 10);
    size_t len = 0;

    if (choice < 8) len = strlen(words[choice]);
    if (choice < 8) memcpy(out, words[choice], len + 1);
    if (choice == 8 || (choice < 8 && len > 0 && maker_below(maker, 3) == 0)) { /* slightly changed */
        for (uint32_t i = maker_below(maker, 12); i > 0 && len + 1 < size; i--)
            out[len++] = (char)('a' + maker_below(maker, 4));
    }
    if (choice == 9)
        for (len = 0; len < 5; len++)
            out[len] = (char)('0' + maker_below(maker, 10));
    out[len] = 0;
}

static inline void maker_text(struct maker *maker, struct message *message, uint32_t number)
{
    char word[80];

    maker_word(maker, word, sizeof word);
    if (word[0] == 0 && maker_below(maker, 2) == 0) return;
    message_text(message, number, word);
}

/* ---- parts: fields of one message, put together in their order or in any ----------------------------- */

enum { MAKER_PARTS = 96 };
struct maker_parts {
    struct message parts[MAKER_PARTS];
    uint32_t count;
};

static inline struct message *maker_part(struct maker_parts *parts)
{
    assert(parts->count < MAKER_PARTS);
    parts->parts[parts->count] = (struct message){0};
    return &parts->parts[parts->count++];
}

static inline void maker_unknown(struct maker *maker, struct maker_parts *parts)
{
    struct message *const part = maker_part(parts);
    const uint32_t number = 17 + maker_below(maker, 3) * 1000 + maker_below(maker, 500);

    switch (maker_below(maker, 5)) {
    case 0: message_varint(part, number, maker_number(maker)); break;
    case 1: message_fixed64(part, number, maker_number(maker)); break;
    case 2: message_fixed32(part, number, 7); break;
    case 3: message_text(part, number, "whatever"); break;
    default:
        message_tag(part, number, WIRE_GROUP);
        message_varint(part, 1, 5);
        message_tag(part, 2, WIRE_GROUP);
        message_tag(part, 2, WIRE_GROUP_END);
        message_tag(part, number, WIRE_GROUP_END);
    }
}

static inline struct message maker_assemble(struct maker *maker, struct maker_parts *parts)
{
    struct message message = {0};

    if (maker_wild(maker) && parts->count < MAKER_PARTS) maker_unknown(maker, parts);
    if (maker_wild(maker))
        for (uint32_t i = parts->count; i > 1; i--) {
            const uint32_t other = maker_below(maker, i);
            const struct message swap = parts->parts[i - 1];
            parts->parts[i - 1] = parts->parts[other];
            parts->parts[other] = swap;
        }
    for (uint32_t i = 0; i < parts->count; i++)
        message_join(&message, &parts->parts[i]);
    return message;
}

/* A sub-message as a field; wildly: its length in more bytes than needed, or in two pieces that merge. */
static inline void maker_put(struct maker *maker, struct maker_parts *parts, uint32_t number,
                             struct message *sub, bool may_split)
{
    if (may_split && maker_wild(maker)) {
        message_put(maker_part(parts), number, sub);
        message_bytes(maker_part(parts), number, (struct slice){0});
        return;
    }
    struct message *const part = maker_part(parts);
    if (!maker_wild(maker)) {
        message_put(part, number, sub);
        return;
    }
    message_tag(part, number, WIRE_BYTES);
    const uint8_t len[3] = {(uint8_t)(sub->len | 0x80), (uint8_t)((sub->len >> 7) | 0x80),
                            (uint8_t)(sub->len >> 14)};
    assert(sub->len < 1 << 20);
    message_raw(part, len, sizeof len);
    message_join(part, sub);
}

/* ---- values ------------------------------------------------------------------------------------------ */

static inline void maker_value(struct maker *maker, struct message *value, unsigned depth);

static inline void maker_key(struct maker *maker, char *out, size_t size)
{
    const uint32_t keys = maker->keys > 0 ? maker->keys : 12;
    const uint32_t choice = maker_below(maker, keys);

    out[0] = 0; /* the empty key comes too */
    if (choice != 0) snprintf(out, size, "key.%u", choice);
}

static inline struct message maker_pair(struct maker *maker, unsigned depth)
{
    struct maker_parts parts = {.count = 0};
    struct message value = {0};
    char key[24];

    maker_key(maker, key, sizeof key);
    if (key[0] != 0 || maker_below(maker, 2) == 0) message_text(maker_part(&parts), 1, key);
    if (maker_below(maker, 20) == 0) return maker_assemble(maker, &parts); /* no value field */
    maker_value(maker, &value, depth);
    maker_put(maker, &parts, 2, &value, true);
    return maker_assemble(maker, &parts);
}

static inline void maker_list(struct maker *maker, struct message *list, bool pairs, unsigned depth)
{
    for (uint32_t i = maker_below(maker, 3); i > 0; i--) {
        struct message item = {0};
        if (pairs)
            item = maker_pair(maker, depth - 1);
        else
            maker_value(maker, &item, depth - 1);
        message_put(list, 1, &item);
    }
}

static inline void maker_value(struct maker *maker, struct message *value, unsigned depth)
{
    const uint32_t choice = maker_below(maker, depth > 0 ? 12 : 10);
    struct message list = {0};
    char word[80];

    maker_word(maker, word, sizeof word);
    if (maker_wild(maker)) message_text(value, 1, "replaced");
    switch (choice) {
    case 0: break; /* no member of the oneof: an empty value */
    case 1:
    case 2:
    case 3: message_text(value, 1, word); break;
    case 4: message_varint(value, 2, maker_below(maker, 3)); break;
    case 5:
    case 6: message_varint(value, 3, maker_number(maker)); break;
    case 7: message_fixed64(value, 4, maker_number(maker)); break;
    case 8: message_bytes(value, 7, slice_of("\0\xff\0z", maker_below(maker, 5))); break;
    case 9: message_varint(value, 3, maker_below(maker, 300)); break;
    default: maker_list(maker, &list, choice == 11, depth); message_put(value, choice == 11 ? 6 : 5, &list);
    }
}

static inline void maker_attributes(struct maker *maker, struct maker_parts *parts, uint32_t field,
                                    uint32_t most)
{
    for (uint32_t i = maker_below(maker, most + 1); i > 0; i--) {
        struct message pair = maker_pair(maker, 2);
        maker_put(maker, parts, field, &pair, false);
    }
}

/* ---- spans ------------------------------------------------------------------------------------------- */

static inline struct message maker_event(struct maker *maker)
{
    struct maker_parts parts = {.count = 0};

    if (maker_below(maker, 8) > 0)
        message_fixed64(maker_part(&parts), 1, 1700000000000000000ull + maker_number(maker));
    if (maker_wild(maker)) message_fixed64(maker_part(&parts), 1, maker_number(maker)); /* a second time */
    maker_text(maker, maker_part(&parts), 2);
    maker_attributes(maker, &parts, 3, 3);
    if (maker_below(maker, 10) == 0) message_varint(maker_part(&parts), 4, maker_number(maker));
    return maker_assemble(maker, &parts);
}

static inline struct message maker_link(struct maker *maker)
{
    struct maker_parts parts = {.count = 0};
    const uint64_t ids[2] = {maker_number(maker), maker_number(maker)};

    if (maker_below(maker, 8) > 0) message_bytes(maker_part(&parts), 1, slice_of(ids, 16));
    if (maker_below(maker, 8) > 0) message_bytes(maker_part(&parts), 2, slice_of(ids, 8));
    if (maker_wild(maker)) message_bytes(maker_part(&parts), 2, (struct slice){0});
    maker_text(maker, maker_part(&parts), 3);
    maker_attributes(maker, &parts, 4, 2);
    if (maker_below(maker, 10) == 0) message_varint(maker_part(&parts), 5, maker_number(maker));
    if (maker_below(maker, 2) == 0) message_fixed32(maker_part(&parts), 6, (uint32_t)maker_number(maker));
    return maker_assemble(maker, &parts);
}

static inline void maker_put_ids(struct maker *maker, struct maker_parts *parts)
{
    const uint32_t traces = maker->traces > 0 ? maker->traces : 100;
    const uint64_t trace = maker_below(maker, traces);
    const uint64_t trace_id[2] = {trace * 0x9e3779b97f4a7c15ull + 1, trace};
    const uint64_t span_id = ++maker->spans;
    const bool invalid = maker_below(maker, 1000) < maker->invalid_ids;
    const uint32_t what = maker_below(maker, 5);
    uint64_t parent = maker->spans - maker_below(maker, 30); /* self and missing ones too */

    message_bytes(maker_part(parts), 1, slice_of(trace_id, invalid && what == 0 ? 15 : 16));
    message_bytes(maker_part(parts), 2, slice_of(&span_id, invalid && what == 1 ? 0 : 8));
    if (invalid && what == 2) message_bytes(maker_part(parts), 1, slice_of("0123456789abcdefg", 17));
    if (invalid && what == 3) message_bytes(maker_part(parts), 2, slice_of("\0\0\0\0\0\0\0", 8));
    if (maker_below(maker, 10) == 0) parent = 0;
    if (invalid && what == 4)
        message_bytes(maker_part(parts), 4, slice_of("0123456", 7));
    else if (maker_below(maker, 4) > 0)
        message_bytes(maker_part(parts), 4, slice_of(&parent, maker_below(maker, 10) == 0 ? 0 : 8));
}

static inline struct message maker_span(struct maker *maker)
{
    struct maker_parts parts = {.count = 0};
    const uint32_t children = 1 + (maker->children_max > 0 ? maker->children_max : 3);
    const uint64_t start = maker_below(maker, 20) == 0
                               ? maker_number(maker)
                               : 1700000000000000000ull + maker->spans * 1000 + maker_below(maker, 5000);
    const uint64_t end = maker_below(maker, 20) == 0 ? maker_number(maker)
                                                     : start + maker_below(maker, 1000000);

    maker_put_ids(maker, &parts);
    if (maker_below(maker, 5) == 0) maker_text(maker, maker_part(&parts), 3);
    maker_text(maker, maker_part(&parts), 5);
    if (maker_wild(maker)) maker_text(maker, maker_part(&parts), 5);
    message_varint(maker_part(&parts), 6,
                   maker_below(maker, 15) == 0 ? maker_number(maker) : maker_below(maker, 6));
    message_fixed64(maker_part(&parts), 7, start);
    message_fixed64(maker_part(&parts), 8, end);
    maker_attributes(maker, &parts, 9, 12);
    if (maker_below(maker, 20) == 0) message_varint(maker_part(&parts), 10, maker_number(maker));
    for (uint32_t i = maker_below(maker, 3) == 0 ? maker_below(maker, children) : 0; i > 0; i--) {
        struct message event = maker_event(maker);
        maker_put(maker, &parts, 11, &event, false);
    }
    if (maker_below(maker, 20) == 0) message_varint(maker_part(&parts), 12, maker_number(maker));
    for (uint32_t i = maker_below(maker, 4) == 0 ? maker_below(maker, children) : 0; i > 0; i--) {
        struct message link = maker_link(maker);
        maker_put(maker, &parts, 13, &link, false);
    }
    if (maker_below(maker, 20) == 0) message_varint(maker_part(&parts), 14, maker_number(maker));
    if (maker_below(maker, 3) == 0) {
        struct message status = {0};
        if (maker_below(maker, 3) == 0) maker_text(maker, &status, 2);
        if (maker_below(maker, 2) == 0) message_varint(&status, 3, maker_below(maker, 4));
        if (maker_wild(maker)) message_varint(&status, 1, 9);
        maker_put(maker, &parts, 15, &status, true);
    }
    if (maker_below(maker, 3) > 0) message_fixed32(maker_part(&parts), 16, 0x101);
    return maker_assemble(maker, &parts);
}

/* ---- bodies ------------------------------------------------------------------------------------------ */

static inline struct message maker_resource(struct maker *maker)
{
    struct message resource = {0};
    char name[24];

    snprintf(name, sizeof name, "service-%u", maker_below(maker, 4));
    if (maker_below(maker, 8) > 0) message_string_attribute(&resource, 1, "service.name", name);
    if (maker_below(maker, 3) == 0) message_int_attribute(&resource, 1, "process.pid", maker_below(maker, 3));
    if (maker_wild(maker)) message_varint(&resource, 2, maker_below(maker, 3));
    if (maker_wild(maker)) {
        struct message entity = {0};
        message_text(&entity, 2, "host");
        message_text(&entity, 3, "host.id");
        message_put(&resource, 3, &entity);
    }
    return resource;
}

static inline struct message maker_scope_spans(struct maker *maker, uint32_t spans)
{
    struct maker_parts parts = {.count = 0};
    struct message scope = {0}, list = {0};

    maker_text(maker, &scope, 1);
    if (maker_below(maker, 3) == 0) message_text(&scope, 2, "1.0");
    if (maker_below(maker, 6) == 0) message_int_attribute(&scope, 3, "scope.number", maker_below(maker, 3));
    if (maker_below(maker, 8) > 0)
        maker_put(maker, &parts, 1, &scope, true);
    else
        message_free(&scope);
    for (uint32_t i = 0; i < spans; i++) {
        struct message span = maker_span(maker);
        message_put(&list, 2, &span);
    }
    message_join(maker_part(&parts), &list);
    if (maker_below(maker, 8) == 0) message_text(maker_part(&parts), 3, "https://example/schema");
    return maker_assemble(maker, &parts);
}

/* One resource with one or two scopes and about this many spans. */
static inline struct message maker_resource_spans(struct maker *maker, uint32_t spans)
{
    struct maker_parts parts = {.count = 0};
    struct message resource = maker_resource(maker);
    const uint32_t first = spans > 1 ? maker_below(maker, spans) : spans;

    if (maker_below(maker, 16) > 0)
        maker_put(maker, &parts, 1, &resource, true);
    else
        message_free(&resource);
    struct message scope_spans = maker_scope_spans(maker, first);
    message_put(maker_part(&parts), 2, &scope_spans);
    if (spans > first) {
        scope_spans = maker_scope_spans(maker, spans - first);
        message_put(maker_part(&parts), 2, &scope_spans);
    }
    if (maker_below(maker, 10) == 0) message_text(maker_part(&parts), 3, "https://example/schema");
    return maker_assemble(maker, &parts);
}

static inline struct message maker_body(struct maker *maker, uint32_t spans)
{
    struct message body = {0};

    while (spans > 0) {
        const uint32_t here = spans > 3 ? 1 + maker_below(maker, spans) : spans;
        struct message resource_spans = maker_resource_spans(maker, here);
        message_put(&body, 1, &resource_spans);
        spans -= here;
    }
    return body;
}

#endif
