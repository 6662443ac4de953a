/*
 * Where templates are kept and how they are filled. The tables are small and direct-mapped: what does not fit or
 * collides costs a look-up per attribute instead, nothing else.
 */
#include "live_template.h"

#include "codec/wire.h"

void live_templates_reset(struct live_templates *templates)
{
    for (uint32_t i = 0; i < TEMPLATES; i++)
        templates->lists[i].count = 0;
    for (uint32_t i = 0; i < EVENT_TEMPLATES; i++)
        templates->events[i].len = 0;
}

struct list_template *live_list_template(struct live_block *live, const struct span_view *view, uint32_t name)
{
    const uint64_t who = (uint64_t)live->writer->resource << 48 ^ (uint64_t)live->writer->scope << 32 ^ name;
    const uint64_t what = (uint64_t)view->attributes_count << 8 ^ (uint64_t)(uint32_t)view->kind;
    const uint64_t mixed = who * 0x9e3779b97f4a7c15ull ^ what * 0xc2b2ae3d27d4eb4full;

    if (view->attributes_count == 0 || view->attributes_count > TEMPLATE_ITEMS) return NULL;
    return &live->writer->templates->lists[(mixed ^ mixed >> 31) % TEMPLATES];
}

void list_template_set(struct list_template *template, const struct slice *attributes, uint32_t count,
                       const uint32_t *slots, uint32_t shape)
{
    uint32_t used = 0;

    template->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const size_t room = attributes[i].len + TEMPLATE_SLACK;
        if (room > TEMPLATE_BYTES - used) return;
        template->offset[i] = (uint16_t)used;
        template->room[i] = (uint16_t)room;
        used += (uint32_t)room;
        list_template_patch(template, i, attributes[i], slots[i]);
    }
    template->shape = shape;
    template->count = count;
}

struct event_template *live_event_template(struct live_block *live, struct slice behind_time)
{
    uint64_t first, last;

    if (behind_time.len < 8 || behind_time.len > EVENT_TEMPLATE_BYTES) return NULL;
    memcpy(&first, behind_time.ptr + behind_time.len / 2 - 4, 8);
    memcpy(&last, behind_time.ptr + behind_time.len - 8, 8);
    const uint64_t mixed = (first + behind_time.len) * 0x9e3779b97f4a7c15ull ^ last * 0xc2b2ae3d27d4eb4full;
    return &live->writer->templates->events[(mixed ^ mixed >> 31) % EVENT_TEMPLATES];
}

bool event_template_fits(struct slice behind_time, uint32_t slots_count)
{
    struct wire_reader reader = wire_reader_of(behind_time);
    uint32_t number, type;

    if (slots_count > EVENT_TEMPLATE_ITEMS) return false;
    while (reader.at < reader.end)
        if (!wire_tag(&reader, &number, &type) || number == 1 || !wire_skip(&reader, type)) return false;
    return true;
}
