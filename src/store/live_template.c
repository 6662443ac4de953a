/*
 * Where templates are kept, how they are filled, and how a list of attributes is appended by one. The tables are small and
 * direct-mapped: what does not fit or collides costs a look-up per attribute instead, nothing else.
 */
#include "live_template.h"

enum { TEMPLATE_AHEAD = 256 };

void live_templates_reset(struct live_templates *templates)
{
    for (uint32_t i = 0; i < TEMPLATES; i++)
        templates->lists[i].count = 0;
    for (uint32_t i = 0; i < EVENT_TEMPLATES; i++)
        templates->events[i].len = 0;
}

struct list_template *live_list_template(struct live_block *live, uint64_t kind, uint32_t count)
{
    const uint64_t mixed = kind * 0x9e3779b97f4a7c15ull ^ (uint64_t)count * 0xc2b2ae3d27d4eb4full;

    if (count == 0 || count > TEMPLATE_ITEMS) return NULL;
    struct list_template *const template = &live->writer->templates->lists[(mixed ^ mixed >> 31) % TEMPLATES];
    for (uint32_t at = 0; at < TEMPLATE_AHEAD; at += 64) { /* few templates stay in the nearer caches */
        __builtin_prefetch((const char *)template + at);
        __builtin_prefetch(template->bytes + at);
    }
    return template;
}

enum err slots_fail(int64_t why)
{
    return why == INTERN_FULL ? ERR_FULL : why == INTERN_TOO_DEEP ? ERR_UNSUPPORTED : ERR_MALFORMED;
}

/* ---- filling ------------------------------------------------------------------------------------------ */

/* Item i has changed; false: there is no room for its new length. */
static inline bool patch(const struct live_block *live, struct list_template *template, uint32_t i,
                         struct slice bytes, uint32_t pair)
{
    struct template_item *const item = &template->items[i];

    if (bytes.len > item->room) return false;
    memcpy(template->bytes + item->offset, bytes.ptr, bytes.len);
    item->len = (uint16_t)bytes.len;
    item->pair = pair;
    item->column = live->pairs[pair].column;
    return true;
}

void list_template_set(struct live_block *live, enum attribute_level level, struct list_template *template,
                       const struct slice *attributes, uint32_t count, const uint32_t *slots, uint32_t shape)
{
    uint32_t used = 0;

    template->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const size_t room = attributes[i].len + TEMPLATE_SLACK;
        if (room > TEMPLATE_BYTES - used) return;
        template->items[i].offset = (uint16_t)used;
        template->items[i].room = (uint16_t)room;
        used += (uint32_t)room;
        patch(live, template, i, attributes[i], slots[i]);
    }
    template->level = level;
    template->shape = shape;
    template->pattern = NO_ID;
    template->alike = 0;
    template->changed = template->constants = 0;
    template->count = count;
}

/* ---- appending ---------------------------------------------------------------------------------------- */

/* The shape of the template's columns with its constants; NO_ID: no room. */
static uint32_t shape_of(struct live_block *live, const struct list_template *template)
{
    struct live_shape_item *const items = live->writer->shape_scratch;

    for (uint32_t i = 0; i < template->count; i++)
        items[i] = (struct live_shape_item){template->items[i].column,
                                            template->constants >> i & 1 ? template->items[i].pair : 0};
    return intern_shape(live, items, template->count);
}

/* From now on what has not changed stands in the shape. */
static void settle(struct live_block *live, struct list_template *template)
{
    const uint64_t all = (1ull << template->count) - 1;

    if (live->counts.shapes >= TEMPLATE_SHAPES_MAX || template->changed == all) return;
    template->constants = ~template->changed &all;
    const uint32_t shape = shape_of(live, template);
    if (shape == NO_ID)
        template->constants = 0;
    else
        template->shape = shape;
}

/* What the attributes that differ from the template's mean for it. */
struct differences {
    bool columns, constants, too_long;
};

static int64_t differ(struct live_block *live, enum attribute_level level, struct recent_pair *recent,
                      struct slice bytes, struct list_template *template, uint32_t i,
                      struct differences *differences, struct otlp_fault *fault)
{
    const struct template_item *const item = &template->items[i];
    const uint32_t column = item->column;
    const struct slice like = slice_of(template->bytes + item->offset, item->len);
    const int64_t id = intern_alike(live, level, recent, bytes, like, column, fault);

    if (__builtin_expect(id < 0, 0)) return id;
    differences->columns |= live->pairs[id].column != column;
    differences->constants |= template->constants >> i & 1;
    template->changed |= 1ull << i;
    template->constants &= ~(1ull << i);
    if (__builtin_expect(!patch(live, template, i, bytes, (uint32_t)id), 0)) {
        template->items[i].pair = (uint32_t)id; /* its bytes follow in stretch() or lay_out_anew() */
        template->items[i].column = live->pairs[id].column;
        differences->too_long = true;
    }
    return id;
}

/* The same list with more room for what has grown. */
static void stretch(struct list_template *template, const struct slice *attributes)
{
    const uint32_t count = template->count;
    uint32_t used = 0;

    template->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct template_item *const item = &template->items[i];
        const size_t room = attributes[i].len > item->room ? attributes[i].len + TEMPLATE_SLACK : item->room;
        if (room > TEMPLATE_BYTES - used) return;
        item->offset = (uint16_t)used;
        item->room = (uint16_t)room;
        item->len = (uint16_t)attributes[i].len;
        memcpy(template->bytes + used, attributes[i].ptr, attributes[i].len);
        used += (uint32_t)room;
    }
    template->count = count;
}

/* Another list of keys: all of them vary until more is known. */
static void lay_out_anew(struct live_block *live, const struct slice *attributes,
                         struct list_template *template, struct slots *out)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + out->first;
    struct live_shape_item *const items = live->writer->shape_scratch;
    const uint32_t count = template->count;

    for (uint32_t i = 0; i < count; i++) {
        slots[i] = template->items[i].pair;
        items[i] = (struct live_shape_item){live->pairs[slots[i]].column, 0};
    }
    out->count = count;
    out->shape = intern_shape(live, items, count);
    list_template_set(live, template->level, template, attributes, count, slots, out->shape);
}

/* The items that differ, and the slot of each. */
struct misses {
    uint32_t count;
    uint8_t item[TEMPLATE_ITEMS], slot[TEMPLATE_ITEMS];
    struct recent_pair *recent[TEMPLATE_ITEMS];
};

/* One compare an item; the number of slots. */
static inline uint32_t compare(const struct list_template *template, const struct slice *attributes,
                               uint32_t *slots, struct misses *misses)
{
    const uint32_t count = template->count;
    const uint64_t constants = template->constants;
    uint32_t used = 0;

    misses->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct template_item *const item = &template->items[i];
        slots[used] = item->pair;
        if (__builtin_expect(item->len == attributes[i].len &&
                                 same_bytes(template->bytes + item->offset, attributes[i].ptr, item->len),
                             1)) {
            used += !(constants >> i & 1);
            continue;
        }
        misses->item[misses->count] = (uint8_t)i;
        misses->slot[misses->count++] = (uint8_t)used++;
    }
    return used;
}

static void load_ahead(struct live_block *live, enum attribute_level level, const struct slice *attributes,
                       struct misses *misses)
{
    for (uint32_t i = 0; i < misses->count; i++)
        misses->recent[i] = intern_ahead(live, level, attributes[misses->item[i]]);
    for (uint32_t i = 0; i < misses->count; i++)
        intern_ahead_again(live, misses->recent[i], attributes[misses->item[i]]);
}

enum err list_template_append(struct live_block *live, enum attribute_level level,
                              const struct slice *attributes, struct list_template *template,
                              struct slots *out, struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;
    struct differences differences = {0};
    struct misses misses;

    if (template->count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    const uint32_t used = compare(template, attributes, slots, &misses);
    load_ahead(live, level, attributes, &misses);
    for (uint32_t i = 0; i < misses.count; i++) {
        const uint32_t item = misses.item[i];
        const int64_t id = differ(live, level, misses.recent[i], attributes[item], template, item,
                                  &differences, fault);
        if (__builtin_expect(id < 0, 0)) {
            template->count = 0; /* patched in part, perhaps */
            return id == INTERN_CUT ? ERR_TOO_LARGE : slots_fail(id);
        }
        slots[misses.slot[i]] = (uint32_t)id;
    }
    *out = (struct slots){
        .first = live->counts.slots, .count = used, .shape = template->shape, .repeated = misses.count == 0};
    if (__builtin_expect(differences.columns, 0)) {
        lay_out_anew(live, attributes, template, out);
    } else {
        if (differences.constants) out->shape = template->shape = shape_of(live, template);
        if (differences.too_long) stretch(template, attributes);
        if (template->alike < TEMPLATE_LEARNT && ++template->alike == TEMPLATE_LEARNT) settle(live, template);
    }
    if (out->shape == NO_ID) {
        template->count = 0;
        return ERR_FULL;
    }
    live->counts.slots += out->count;
    return OK;
}

/* ---- events ------------------------------------------------------------------------------------------- */

struct event_template *live_event_template(struct live_block *live, struct slice behind_time)
{
    uint64_t first, last;

    if (behind_time.len < 8 || behind_time.len > EVENT_TEMPLATE_BYTES) return NULL;
    memcpy(&first, behind_time.ptr + behind_time.len / 2 - 4, 8);
    memcpy(&last, behind_time.ptr + behind_time.len - 8, 8);
    const uint64_t mixed = (first + behind_time.len) * 0x9e3779b97f4a7c15ull ^ last * 0xc2b2ae3d27d4eb4full;
    return &live->writer->templates->events[(mixed ^ mixed >> 31) % EVENT_TEMPLATES];
}
