/*
 * Where templates are kept, how they are filled, and how a list of attributes is appended by one. The tables are small, with one
 * or two places for a kind: what does not fit costs a look-up per attribute instead, nothing else.
 */
#include "live_template.h"

void live_templates_reset(struct live_templates *templates)
{
    for (uint32_t i = 0; i < TEMPLATES; i++)
        templates->lists[i].count = 0;
    for (uint32_t i = 0; i < EVENT_TEMPLATES; i++)
        templates->events[i].len = 0;
}

struct list_template *live_list_template(struct live_block *live, uint64_t kind, uint32_t count)
{
    struct list_template *const lists = live->writer->templates->lists;
    const uint64_t place = kind * 0x9e3779b97f4a7c15ull >> 32 & (TEMPLATES - 2);

    if (count == 0 || count > TEMPLATE_ITEMS) return NULL;
    if (lists[place].kind == kind) return &lists[place];
    if (lists[place + 1].kind == kind || lists[place].alike > lists[place + 1].alike)
        return &lists[place + 1];
    return &lists[place]; /* the one that has been of use gives way */
}

enum err slots_fail(int64_t why)
{
    return why == INTERN_FULL ? ERR_FULL : why == INTERN_TOO_DEEP ? ERR_UNSUPPORTED : ERR_MALFORMED;
}

/* ---- filling ------------------------------------------------------------------------------------------ */

void list_template_set(struct live_block *live, enum attribute_level level, struct list_template *template,
                       uint64_t kind, const struct slice *attributes, uint32_t count, const uint32_t *slots,
                       uint32_t shape)
{
    *template = (struct list_template){.kind = kind,
                                       .count = (uint16_t)count,
                                       .level = (uint8_t)level,
                                       .shape = shape,
                                       .pattern = NO_ID,
                                       .name = NO_ID};
    for (uint32_t i = 0; i < count; i++)
        template->items[i] = (struct template_item){
            .print = fingerprint(&live->writer->key, attributes[i].ptr, attributes[i].len),
            .pair = slots[i],
            .column = live->pairs[slots[i]].column};
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
    bool columns, constants;
};

static int64_t differ(struct live_block *live, enum attribute_level level, struct slice bytes, uint64_t print,
                      struct list_template *template, uint32_t i, struct differences *differences,
                      struct otlp_fault *fault)
{
    struct template_item *const item = &template->items[i];
    const uint64_t bit = 1ull << i;
    struct alike alike = {.print = print, .column = item->column, .fresh = (template->fresh & bit) != 0};
    const int64_t id = intern_alike(live, level, bytes, &alike, fault);

    if (__builtin_expect(id < 0, 0)) return id;
    differences->columns |= alike.column != item->column;
    differences->constants |= (template->constants & bit) != 0;
    template->changed |= bit;
    template->constants &= ~bit;
    template->fresh = alike.fresh ? template->fresh | bit : template->fresh & ~bit;
    *item = (struct template_item){.print = alike.print, .pair = (uint32_t)id, .column = alike.column};
    return id;
}

/* The same for a pair that came lately, if it is one of a column that varies: the usual case. */
static inline bool differ_recently(struct live_block *live, uint32_t domain, uint64_t print,
                                   struct list_template *template, uint32_t i, uint32_t *slot)
{
    struct template_item *const item = &template->items[i];

    if (!((template->changed & ~template->fresh) >> i & 1))
        return false; /* what is fresh has no fingerprint */
    const struct recent_pair *const recent = recent_of(live, print);
    if (!recent_is(recent, domain, print) || recent->column != item->column) return false;
    column_saw(live, recent->column);
    item->print = print;
    *slot = item->pair = recent->id;
    return true;
}

/* Another list of columns: all of them vary until more is known. */
static void lay_out_anew(struct live_block *live, struct list_template *template, struct slots *out)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + out->first;

    for (uint32_t i = 0; i < template->count; i++)
        slots[i] = template->items[i].pair;
    template->changed = template->constants = 0;
    template->alike = 0;
    out->count = template->count;
    out->shape = template->shape = shape_of(live, template);
}

/* The items that differ, and the slot of each. */
struct misses {
    uint32_t count;
    uint8_t item[TEMPLATE_ITEMS], slot[TEMPLATE_ITEMS];
    uint64_t print[TEMPLATE_ITEMS];
};

/* One fingerprint an item; the number of slots. */
static inline uint32_t compare(struct live_block *live, const struct list_template *template,
                               const struct slice *attributes, uint32_t *slots, struct misses *misses)
{
    const uint64_t constants = template->constants, fresh = template->fresh;
    const uint32_t count = template->count;
    uint32_t used = 0, missed = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct template_item *const item = &template->items[i];
        if (!(fresh >> i & 1)) {
            const uint64_t print = fingerprint(&live->writer->key, attributes[i].ptr, attributes[i].len);
            if (__builtin_expect(print == item->print, 1)) {
                slots[used] = item->pair;
                used += !(constants >> i & 1);
                continue;
            }
            intern_ahead(live, print);
            misses->print[missed] = print;
        }
        misses->item[missed] = (uint8_t)i;
        misses->slot[missed++] = (uint8_t)used++;
    }
    misses->count = missed;
    return used;
}

static void load_ahead(const struct live_block *live, enum attribute_level level,
                       const struct list_template *template, const struct misses *misses)
{
    for (uint32_t i = 0; i < misses->count; i++)
        if (!(template->fresh >> misses->item[i] & 1)) intern_ahead_again(live, level, misses->print[i]);
}

enum err list_template_append(struct live_block *live, enum attribute_level level,
                              const struct slice *attributes, struct list_template *template,
                              struct slots *out, struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;
    struct differences differences = {0};
    struct misses misses __attribute__((uninitialized)); /* compare() fills what is read */

    if (template->count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    const uint32_t used = compare(live, template, attributes, slots, &misses);
    if (misses.count > 1) load_ahead(live, level, template, &misses);
    for (uint32_t i = 0; i < misses.count; i++) {
        const uint32_t item = misses.item[i];
        if (differ_recently(live, DOMAIN_KEY_VALUE + (uint32_t)level, misses.print[i], template, item,
                            &slots[misses.slot[i]]))
            continue;
        const int64_t id = differ(live, level, attributes[item], misses.print[i], template, item,
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
        lay_out_anew(live, template, out);
    } else {
        if (differences.constants) out->shape = template->shape = shape_of(live, template);
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

struct event_template *live_event_template(struct live_block *live, struct slice behind_time, uint64_t *print)
{
    if (behind_time.len > EVENT_TEMPLATE_BYTES) return NULL;
    *print = fingerprint(&live->writer->key, behind_time.ptr, behind_time.len);
    return &live->writer->templates->events[*print * 0x9e3779b97f4a7c15ull >> 32 & (EVENT_TEMPLATES - 1)];
}
