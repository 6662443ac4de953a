/*
 * Templates: what the last list of attributes of a kind looked like, one fingerprint an item. A sender repeats itself; the
 * attributes of the next span of the same name mostly equal those of the one before. Comparing fingerprints costs no look-up
 * per attribute, and a template of ten items is four cache lines, whatever the length of the values.
 *
 * A template also learns which attributes never change. After TEMPLATE_LEARNT lists alike those become constants of the
 * shape (store/live.h) and cost their rows nothing any more; one that changes after all goes back to varying. It learns, too,
 * which come from a column that is not looked up any more: those are not compared.
 * Private to live*.c.
 */
#ifndef STORE_LIVE_TEMPLATE_H
#define STORE_LIVE_TEMPLATE_H

#include "live_intern.h"

enum {
    TEMPLATES = 8192, /* two places for each kind */
    TEMPLATE_ITEMS = 40,
    TEMPLATE_LEARNT = 16,
    EVENT_TEMPLATES = 512,
    EVENT_TEMPLATE_ITEMS = 16,
    EVENT_TEMPLATE_BYTES = FINGERPRINT_BYTES,
    TEMPLATE_SHAPES_MAX = LIVE_SHAPES_MAX / 4, /* in a block with more shapes nothing becomes constant */
};

struct template_item {
    uint64_t print;
    uint32_t pair;
    uint16_t column; /* of the pair */
    uint16_t reserved;
};

/* A list of attributes of one level. */
struct list_template {
    _Alignas(64) uint64_t kind;
    uint16_t count; /* 0: unused */
    uint8_t level;  /* enum attribute_level */
    uint8_t alike;  /* lists since it was laid out, up to TEMPLATE_LEARNT */
    uint32_t shape;
    uint32_t pattern; /* of the last span, if there is such a one */
    uint32_t name;    /* pair id of the span's or event's name, whose fingerprint is: */
    uint64_t name_print;
    uint64_t changed; /* bit i: item i has differed since */
    uint64_t constants;
    uint64_t fresh; /* each value of the item is taken for a new one */
    struct template_item items[TEMPLATE_ITEMS];
};

/* A whole event but for its time. */
struct event_template {
    uint64_t print;
    uint32_t len; /* 0: unused */
    uint32_t pattern, slots_count;
    uint32_t slots[EVENT_TEMPLATE_ITEMS];
};

struct live_templates {
    struct list_template lists[TEMPLATES];
    struct event_template events[EVENT_TEMPLATES];
};

void live_templates_reset(struct live_templates *templates);

/*
 * The template of a kind of lists: all that its maker holds for the same kind, the name's fingerprint among it, is mixed in
 * `kind`. Where there is none yet, the place for it: see list_template_is(). NULL when lists of so many have none.
 */
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
/* Makes it that of these attributes; their pairs are in slots. Its name is the caller's to set. */
void list_template_set(struct live_block *live, enum attribute_level level, struct list_template *template,
                       uint64_t kind, const struct slice *attributes, uint32_t count, const uint32_t *slots,
                       uint32_t shape);
/* Pairs of one level must never stand for those of another, even with the same bytes. */
static inline bool list_template_is(const struct list_template *template, enum attribute_level level,
                                    uint64_t kind, uint32_t count)
{
    return template->kind == kind && template->count == count && template->level == level;
}
enum err slots_fail(int64_t why);

/* Where the template of an event with these bytes behind its time would be, and their fingerprint; NULL: too long. */
struct event_template *live_event_template(struct live_block *live, struct slice behind_time,
                                           uint64_t *print);

#endif
