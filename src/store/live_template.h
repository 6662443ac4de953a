/*
 * Templates: what the last span of a kind looked like, as bytes. A sender repeats itself; the attributes of the next
 * span of the same name mostly equal those of the one before, byte for byte and in the same places. Comparing with
 * one contiguous copy costs no look-up per attribute. Private to live*.c.
 */
#ifndef STORE_LIVE_TEMPLATE_H
#define STORE_LIVE_TEMPLATE_H

#include "live_writer.h"

enum {
    TEMPLATES = 2048,
    TEMPLATE_ITEMS = 40,
    TEMPLATE_BYTES = 2560,
    TEMPLATE_SLACK = 24, /* an item may grow by that much before the template is laid out anew */
    EVENT_TEMPLATES = 512,
    EVENT_TEMPLATE_ITEMS = 16,
    EVENT_TEMPLATE_BYTES = 400,
};

/* A list of attributes: bytes of item i at offset[i], len[i] long, in room for room[i]; its pair. */
struct list_template {
    uint32_t count; /* 0: unused */
    uint32_t shape;
    uint16_t offset[TEMPLATE_ITEMS], len[TEMPLATE_ITEMS], room[TEMPLATE_ITEMS];
    uint32_t slots[TEMPLATE_ITEMS];
    uint8_t bytes[TEMPLATE_BYTES];
};

/* A whole event but for its time. */
struct event_template {
    uint32_t len; /* 0: unused */
    uint32_t name, shape, slots_count, dropped_attributes_count;
    uint32_t slots[EVENT_TEMPLATE_ITEMS];
    uint8_t bytes[EVENT_TEMPLATE_BYTES];
};

struct live_templates {
    struct list_template lists[TEMPLATES];
    struct event_template events[EVENT_TEMPLATES];
};

void live_templates_reset(struct live_templates *templates);
/* The template for spans of this sender, name, kind and number of attributes; NULL when they are too many. */
struct list_template *live_list_template(struct live_block *live, const struct span_view *view,
                                         uint32_t name);
/* Makes it the copy of these attributes. */
void list_template_set(struct list_template *template, const struct slice *attributes, uint32_t count,
                       const uint32_t *slots, uint32_t shape);
/* Item i has changed; false: there is no room for its new length. */
static inline bool list_template_patch(struct list_template *template, uint32_t i, struct slice bytes,
                                       uint32_t slot)
{
    if (bytes.len > template->room[i]) return false;
    memcpy(template->bytes + template->offset[i], bytes.ptr, bytes.len);
    template->len[i] = (uint16_t)bytes.len;
    template->slots[i] = slot;
    return true;
}

/* Where the template of an event with these bytes behind its time would be; NULL when it is too long. */
struct event_template *live_event_template(struct live_block *live, struct slice behind_time);
/* May an event with these bytes behind a leading time_unix_nano be templated? No: it has a second time. */
bool event_template_fits(struct slice behind_time, uint32_t slots_count);

#endif
