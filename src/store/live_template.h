/*
 * Templates: what the last list of attributes of a kind looked like, as bytes. A sender repeats itself; the attributes of
 * the next span of the same name mostly equal those of the one before, byte for byte and in the same places.
 * Comparing with one contiguous copy costs no look-up per attribute.
 *
 * A template also learns which attributes never change. After TEMPLATE_LEARNT lists alike those become constants of the
 * shape (store/live.h) and cost their rows nothing any more; one that changes after all goes back to varying.
 * Private to live*.c.
 */
#ifndef STORE_LIVE_TEMPLATE_H
#define STORE_LIVE_TEMPLATE_H

#include "live_intern.h"

enum {
    TEMPLATES = 2048,
    TEMPLATE_ITEMS = 40,
    TEMPLATE_BYTES = 2560,
    TEMPLATE_SLACK = 24, /* an item may grow by that much before the template is laid out anew */
    TEMPLATE_LEARNT = 16,
    EVENT_TEMPLATES = 512,
    EVENT_TEMPLATE_ITEMS = 16,
    EVENT_TEMPLATE_BYTES = 400,
    TEMPLATE_SHAPES_MAX = LIVE_SHAPES_MAX / 4, /* in a block with more shapes nothing becomes constant */
};

/* `len` bytes at `offset`, in room for `room`; their pair and its column. */
struct template_item {
    uint16_t offset, len, room, column;
    uint32_t pair;
};

/* A list of attributes of one level. */
struct list_template {
    uint32_t count; /* 0: unused */
    enum attribute_level level;
    uint32_t shape;
    uint32_t pattern; /* of the last span, if there is such a one */
    uint32_t alike;   /* lists since it was laid out, up to TEMPLATE_LEARNT */
    uint64_t changed; /* bit i: item i has differed since */
    uint64_t constants;
    struct template_item items[TEMPLATE_ITEMS];
    uint8_t bytes[TEMPLATE_BYTES];
};

/* A whole event but for its time. */
struct event_template {
    uint32_t len; /* 0: unused */
    uint32_t pattern, slots_count;
    uint32_t slots[EVENT_TEMPLATE_ITEMS];
    uint8_t bytes[EVENT_TEMPLATE_BYTES];
};

struct live_templates {
    struct list_template lists[TEMPLATES];
    struct event_template events[EVENT_TEMPLATES];
};

void live_templates_reset(struct live_templates *templates);

/* The template for lists of `count` attributes of whatever `kind` means; NULL when there is none for so many. */
struct list_template *live_list_template(struct live_block *live, uint64_t kind, uint32_t count);

/* What became of a list: the pairs that vary are in the block's slots, from counts.slots on. */
struct slots {
    uint32_t first, count, shape;
    uint32_t cut;
    bool repeated; /* it was equal to the template */
};
/*
 * Appends the slots of a list that has as many attributes as the template. Errors as of a sink (model/otlp.h);
 * ERR_TOO_LARGE: one of them has to be cut, nothing was appended.
 */
enum err list_template_append(struct live_block *live, enum attribute_level level,
                              const struct slice *attributes, struct list_template *template,
                              struct slots *out, struct otlp_fault *fault);
/* Makes it the copy of these attributes; their pairs are in slots. */
void list_template_set(struct live_block *live, enum attribute_level level, struct list_template *template,
                       const struct slice *attributes, uint32_t count, const uint32_t *slots, uint32_t shape);
/* Pairs of one level must never stand for those of another, even with the same bytes. */
static inline bool list_template_is(const struct list_template *template, enum attribute_level level,
                                    uint32_t count)
{
    return template->count == count && template->level == level;
}
enum err slots_fail(int64_t why);

/* Where the template of an event with these bytes behind its time would be; NULL when it is too long. */
struct event_template *live_event_template(struct live_block *live, struct slice behind_time);

#endif
