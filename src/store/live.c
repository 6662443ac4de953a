/*
 * Live block: appending. See store/live.h for the promise.
 *
 * The happy path of a span's attributes is one fingerprint each, compared with that of the span before it of the same sender
 * and name (live_template.c); a mismatch is looked up among recent pairs, then in the pair table, and only bytes never seen
 * before in this block are decoded, validated and copied (live_intern.c).
 *
 * A request that fails is undone wholly, with what it interned and with the templates that speak of it: otherwise one
 * hostile request that is refused could leave a block full that holds no row. A span that is rejected alone leaves its
 * pairs behind, unused, as long as the request succeeds.
 */
#include "live_intern.h"
#include "live_template.h"

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"
#include "store/ledger.h"

static_assert((uint32_t)LIVE_NO_RESOURCE == (uint32_t)NO_ID, "what the writer has before the first one");

/* ---- lists of attributes ---------------------------------------------------------------------------- */

static uint32_t shape_of(struct live_block *live, const uint32_t *slots, uint32_t count)
{
    struct live_shape_item *const items = live->writer->shape_scratch;

    for (uint32_t i = 0; i < count; i++)
        items[i] = (struct live_shape_item){live->pairs[slots[i]].column, 0};
    return intern_shape(live, items, count);
}

/* One look-up each; all of them vary. */
static enum err append_each(struct live_block *live, enum attribute_level level,
                            const struct slice *attributes, uint32_t attributes_count, struct slots *out,
                            struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;

    *out = (struct slots){.first = live->counts.slots};
    if (attributes_count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    for (uint32_t i = 0; i < attributes_count; i++) {
        const int64_t id = intern_attribute(live, level, attributes[i], fault);
        if (__builtin_expect(id >= 0, 1))
            slots[out->count++] = (uint32_t)id;
        else if (id == INTERN_CUT)
            out->cut++;
        else
            return slots_fail(id);
    }
    out->shape = shape_of(live, slots, out->count);
    live->counts.slots += out->count;
    return out->shape == NO_ID ? ERR_FULL : OK;
}

/* A kind of lists: the spans of one name of one service, or their events of one name. */
struct list_kind {
    uint64_t hash, name_print;
    struct slice name;
    enum live_column_fixed name_column;
};

/* The name's pair, out of the template where there is one; NO_ID: no room. */
static inline uint32_t name_of(struct live_block *live, const struct list_kind *kind,
                               const struct list_template *template)
{
    if (template != NULL && template->kind == kind->hash && template->name_print == kind->name_print &&
        template->count > 0)
        return template->name;
    return intern_printed_string(live, kind->name_column, kind->name, kind->name_print);
}

static enum err append_list(struct live_block *live, enum attribute_level level, const struct list_kind *kind,
                            uint32_t name, const struct slice *attributes, uint32_t count,
                            struct list_template *template, struct slots *out, struct otlp_fault *fault)
{
    if (template != NULL && list_template_is(template, level, kind->hash, count)) {
        const enum err err = list_template_append(live, level, attributes, template, out, fault);
        if (__builtin_expect(err != ERR_TOO_LARGE, 1)) return err;
    }
    TRY(append_each(live, level, attributes, count, out, fault));
    if (template != NULL && out->cut == 0) {
        list_template_set(live, level, template, kind->hash, attributes, count, live->slots + out->first,
                          out->shape);
        template->name = name;
        template->name_print = kind->name_print;
    }
    return OK;
}

/* ---- events and links ------------------------------------------------------------------------------ */

/* Span.Event.time_unix_nano first, as every exporter writes it: tag 0x09, then eight bytes. */
enum { EVENT_TIME_TAG = 0x09, EVENT_TIME_BYTES = 9 };

static bool time_leads(struct slice message)
{
    return message.len > EVENT_TIME_BYTES && message.ptr[0] == EVENT_TIME_TAG;
}

static enum err append_like_event(struct live_block *live, struct slice message,
                                  const struct event_template *template)
{
    struct live_event *const event = &WRITABLE(live->events, struct live_event)[live->counts.events];
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;

    if (template->slots_count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    memcpy(&event->time_ns, message.ptr + 1, sizeof event->time_ns);
    event->pattern = template->pattern;
    event->slots_first = live->counts.slots;
    for (uint32_t i = 0; i < template->slots_count; i++)
        slots[i] = template->slots[i];
    live->counts.slots += template->slots_count;
    live->counts.events++;
    return OK;
}

/* *repeats: all but the time is as in the event of this kind before it. */
static enum err append_new_event(struct live_block *live, uint64_t span_kind, struct slice message,
                                 bool *repeats, uint32_t *cut, struct otlp_fault *fault)
{
    struct live_event *const event = &WRITABLE(live->events, struct live_event)[live->counts.events];
    struct event_view view;
    struct slots slots;

    TRY(event_decode(message, live->writer->attribute_scratch, &view, fault));
    struct list_kind kind = {.name_print = fingerprint(&live->writer->key, view.name.ptr, view.name.len),
                             .name = view.name,
                             .name_column = COLUMN_EVENT_NAME};
    kind.hash = hash_mix(span_kind ^ view.attributes_count, kind.name_print);
    struct list_template *const template = live_list_template(live, kind.hash, view.attributes_count);
    const uint32_t name = name_of(live, &kind, template);
    if (name == NO_ID) return ERR_FULL;
    TRY(append_list(live, LEVEL_EVENT, &kind, name, view.attributes, view.attributes_count, template, &slots,
                    fault));
    const struct live_event_pattern pattern = {
        .name = name,
        .dropped_attributes_count = otlp_dropped(view.dropped_attributes_count, slots.cut),
        .shape = slots.shape};
    *event = (struct live_event){
        .time_ns = view.time_ns, .pattern = intern_event_pattern(live, &pattern), .slots_first = slots.first};
    if (event->pattern == NO_ID) return ERR_FULL;
    live->counts.events++;
    *cut += view.cut + slots.cut;
    *repeats = (slots.repeated || view.attributes_count == 0) && view.cut == 0 && view.times == 1;
    return OK;
}

static void remember_event(struct live_block *live, struct slice behind_time, uint64_t print,
                           struct event_template *template)
{
    const struct live_event *const event = &live->events[live->counts.events - 1];
    const uint32_t slots_count = live->shapes[live->event_patterns[event->pattern].shape].varying;

    template->len = 0;
    if (slots_count > EVENT_TEMPLATE_ITEMS) return;
    template->pattern = event->pattern;
    template->slots_count = slots_count;
    memcpy(template->slots, live->slots + event->slots_first, slots_count * sizeof *template->slots);
    template->print = print;
    template->len = (uint32_t)behind_time.len;
}

/* Where events never repeat whole, only one in 16 is looked up. */
static bool template_worth_a_look(const struct live_writer *writer)
{
    return writer->event_misses < 256 || writer->event_misses % 16 == 0;
}

static enum err append_event(struct live_block *live, uint64_t span_kind, struct slice message, uint32_t *cut,
                             struct otlp_fault *fault)
{
    uint64_t print = 0;
    bool repeats;

    if (live->counts.events == LIVE_CHILDREN_MAX) return ERR_FULL;
    if (!time_leads(message)) return append_new_event(live, span_kind, message, &repeats, cut, fault);

    const struct slice behind_time = slice_of(message.ptr + EVENT_TIME_BYTES, message.len - EVENT_TIME_BYTES);
    struct event_template *const template = template_worth_a_look(live->writer)
                                                ? live_event_template(live, behind_time, &print)
                                                : NULL;
    if (template != NULL && template->len == behind_time.len && template->print == print) {
        live->writer->event_misses = 0;
        return append_like_event(live, message, template);
    }
    live->writer->event_misses++;
    TRY(append_new_event(live, span_kind, message, &repeats, cut, fault));
    if (template != NULL && repeats) remember_event(live, behind_time, print, template);
    return OK;
}

static enum err append_link(struct live_block *live, struct slice message, uint32_t *cut,
                            struct otlp_fault *fault)
{
    struct live_link *const link = &WRITABLE(live->links, struct live_link)[live->counts.links];
    struct link_view view;
    struct slots slots;

    if (live->counts.links == LIVE_CHILDREN_MAX) return ERR_FULL;
    TRY(link_decode(message, live->writer->attribute_scratch, &view, fault));
    const uint32_t trace_state = intern_string(live, COLUMN_LINK_STATE, view.trace_state);
    if (trace_state == NO_ID) return ERR_FULL;
    TRY(append_each(live, LEVEL_LINK, view.attributes, view.attributes_count, &slots, fault));
    *link = (struct live_link){
        .trace_id = view.trace_id,
        .span_id = view.span_id,
        .trace_state = trace_state,
        .flags = view.flags,
        .dropped_attributes_count = otlp_dropped(view.dropped_attributes_count, slots.cut),
        .bits = (view.trace_id_present ? LINK_TRACE_PRESENT : 0u) |
                (view.span_id_present ? LINK_SPAN_PRESENT : 0u),
        .slots_first = slots.first,
        .shape = slots.shape};
    live->counts.links++;
    *cut += view.cut + slots.cut;
    return OK;
}

static enum err append_children(struct live_block *live, const struct span_view *view, uint64_t kind,
                                uint32_t *cut, struct otlp_fault *fault)
{
    for (uint32_t i = 0; i < view->events_count; i++)
        TRY(append_event(live, kind, view->events[i], cut, fault));
    for (uint32_t i = 0; i < view->links_count; i++)
        TRY(append_link(live, view->links[i], cut, fault));
    return OK;
}

/* ---- spans ----------------------------------------------------------------------------------------- */

static inline bool pattern_equal(const struct live_pattern *a, const struct live_pattern *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The template's last pattern, or a look-up. What it remembers may be of an earlier block, or undone. */
static uint32_t pattern_of(struct live_block *live, const struct live_pattern *pattern,
                           struct list_template *template)
{
    if (template == NULL) return intern_pattern(live, pattern);
    if (template->pattern >= live->counts.patterns ||
        !pattern_equal(&live->patterns[template->pattern], pattern))
        template->pattern = intern_pattern(live, pattern);
    return template->pattern;
}

/* Slots of a row before those of its attributes (store/live.h, struct live_row). */
static enum err append_strings(struct live_block *live, const struct span_view *view,
                               struct live_pattern *pattern)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t);

    if (LIVE_SLOTS_MAX - live->counts.slots < 3) return ERR_FULL;
    if (view->links_count > 0) slots[live->counts.slots++] = live->counts.links;
    if (view->trace_state.len > 0) {
        pattern->bits |= ROW_TRACE_STATE;
        slots[live->counts.slots] = intern_string(live, COLUMN_TRACE_STATE, view->trace_state);
        if (slots[live->counts.slots++] == NO_ID) return ERR_FULL;
    }
    if (view->status_message.len > 0) {
        pattern->bits |= ROW_STATUS_MESSAGE;
        slots[live->counts.slots] = intern_string(live, COLUMN_STATUS_MESSAGE, view->status_message);
        if (slots[live->counts.slots++] == NO_ID) return ERR_FULL;
    }
    return OK;
}

static enum err append_row(struct live_block *live, const struct span_view *view, struct otlp_fault *fault)
{
    struct live_row *const row = &WRITABLE(live->rows, struct live_row)[live->counts.rows];
    const uint32_t events_first = live->counts.events, slots_first = live->counts.slots;
    struct slots slots;
    uint32_t cut = view->cut;

    if (live->counts.rows == LIVE_ROWS_MAX) return ERR_FULL;
    struct list_kind kind = {.name_print = fingerprint(&live->writer->key, view->name.ptr, view->name.len),
                             .name = view->name,
                             .name_column = COLUMN_NAME};
    const uint64_t sender = (uint64_t)live->writer->scope << 32 |
                            live->resources[live->writer->resource].service_tag;
    kind.hash = hash_mix(sender ^ (uint64_t)(uint32_t)view->kind << 56 ^
                             (uint64_t)view->attributes_count << 24,
                         kind.name_print);
    struct list_template *const template = live_list_template(live, kind.hash, view->attributes_count);
    const uint32_t name = name_of(live, &kind, template);
    if (name == NO_ID) return ERR_FULL;
    struct live_pattern pattern = {
        .resource = live->writer->resource,
        .scope = live->writer->scope,
        .name = name,
        .kind = view->kind,
        .status_code = view->status_code,
        .flags = view->flags,
        .bits = (view->parent_present ? ROW_PARENT_PRESENT : 0u) |
                (view->status_present ? ROW_STATUS_PRESENT : 0u),
        .dropped_events_count = view->dropped_events_count,
        .dropped_links_count = view->dropped_links_count,
    };
    if (view->links_count > 0 || view->trace_state.len > 0 || view->status_message.len > 0)
        TRY(append_strings(live, view, &pattern));
    TRY(append_list(live, LEVEL_SPAN, &kind, name, view->attributes, view->attributes_count, template, &slots,
                    fault));
    if ((view->events_count | view->links_count) != 0)
        TRY(append_children(live, view, kind.hash, &cut, fault));
    cut += slots.cut;
    pattern.dropped_attributes_count = otlp_dropped(view->dropped_attributes_count, slots.cut);
    pattern.shape = slots.shape;
    *row = (struct live_row){
        .trace_id = view->trace_id,
        .span_id = view->span_id,
        .parent_span_id = view->parent_span_id,
        .start_ns = view->start_ns,
        .end_ns = view->end_ns,
        .pattern = pattern_of(live, &pattern, template),
        .slots_first = slots_first,
        .events_first = events_first,
        .events_count = (uint16_t)view->events_count,
        .links_count = (uint16_t)view->links_count,
    };
    if (row->pattern == NO_ID) return ERR_FULL;
    live->counts.rows++;
    if (cut > 0) live->writer->cut++;
    return OK;
}

static enum err on_span(void *context, const struct span_view *view, struct otlp_fault *fault)
{
    struct live_block *const live = context;
    const uint32_t slots = live->counts.slots, events = live->counts.events, links = live->counts.links;
    const enum err err = append_row(live, view, fault);

    if (__builtin_expect(err != OK, 0)) {
        live->counts.slots = slots;
        live->counts.events = events;
        live->counts.links = links;
        if (err == ERR_FULL) fault->reason = "the live block is full";
    }
    return err;
}

/* ---- envelopes ------------------------------------------------------------------------------------- */

static enum err on_resource(void *context, const struct resource_view *resource, struct otlp_fault *fault)
{
    struct live_block *const live = context;

    const enum err err = intern_envelope(live, true, resource, &live->writer->resource, fault);

    if (err != OK) live->writer->resource = LIVE_NO_RESOURCE;
    return err;
}

static enum err on_scope(void *context, const struct scope_view *scope, struct otlp_fault *fault)
{
    struct live_block *const live = context;
    const struct resource_view view = {scope->message, scope->present, scope->schema_url};

    return intern_envelope(live, false, &view, &live->writer->scope, fault);
}

/* ---- what is rejected ------------------------------------------------------------------------------ */

static bool is_like(const struct live_rejection *rejection, const struct live_rejection *next)
{
    return rejection->resource == next->resource && rejection->why == next->why &&
           ledger_minute(rejection->start_ns) == ledger_minute(next->start_ns);
}

static enum err on_rejected(void *context, uint64_t start_ns, enum otlp_rejection why)
{
    struct live_block *const live = context;
    struct live_rejection *const list = WRITABLE(live->rejections, struct live_rejection);
    const struct live_rejection next = {live->writer->resource, why, start_ns, 1};
    const uint32_t count = live->counts.rejections;

    if (count > live->writer->mark.rejections && is_like(&list[count - 1], &next)) {
        list[count - 1].spans++;
        return OK;
    }
    if (count == LIVE_REJECTIONS_MAX) return ERR_FULL;
    list[live->counts.rejections++] = next;
    return OK;
}

const struct otlp_sink *live_sink(void)
{
    static const struct otlp_sink sink = {on_resource, on_scope, on_span, on_rejected};
    return &sink;
}

/* ---- requests and publication ---------------------------------------------------------------------- */

void live_append_begin(struct live_block *live)
{
    live->writer->mark = live->counts;
}

struct live_counts live_append_end(struct live_block *live, uint64_t lsn_end, uint64_t arrival_ns)
{
    assert(lsn_end >= live->lsn_end);

    live->lsn_end = lsn_end;
    if (arrival_ns < live->arrival_min_ns) live->arrival_min_ns = arrival_ns;
    if (arrival_ns > live->arrival_max_ns) live->arrival_max_ns = arrival_ns;
    return live->counts;
}

void live_append_undo(struct live_block *live)
{
    const struct live_counts *const mark = &live->writer->mark;

    if (live->counts.pairs > mark->pairs || live->counts.shapes > mark->shapes ||
        live->counts.patterns > mark->patterns || live->counts.event_patterns > mark->event_patterns)
        live_templates_reset(live->writer->templates);
    intern_undo(live, mark);
    live->counts.rows = mark->rows;
    live->counts.slots = mark->slots;
    live->counts.events = mark->events;
    live->counts.links = mark->links;
    live->counts.rejections = mark->rejections;
}

void live_cut(struct live_block *live, uint64_t lsn_end)
{
    live->writer->mark = live->writer->published;
    live_append_undo(live);
    if (lsn_end < live->lsn_end) live->lsn_end = lsn_end > live->lsn_first ? lsn_end : live->lsn_first;
}

uint32_t live_take_cut(struct live_block *live)
{
    const uint32_t cut = live->writer->cut;

    live->writer->cut = 0;
    return cut;
}

bool live_full(const struct live_block *live)
{
    return live->counts.rows >= LIVE_ROWS_CLOSE || live_crowded(live);
}

bool live_crowded(const struct live_block *live)
{
    return live->counts.arena >= LIVE_ARENA_CLOSE || live->counts.pairs >= LIVE_PAIRS_CLOSE ||
           live->counts.slots >= LIVE_SLOTS_MAX / 2 || live->counts.events >= LIVE_CHILDREN_MAX / 2 ||
           live->counts.links >= LIVE_CHILDREN_MAX / 2 || live->counts.shapes >= LIVE_SHAPES_MAX / 2 ||
           live->counts.rejections >= LIVE_REJECTIONS_MAX / 4 ||
           live->counts.resources >= LIVE_ENVELOPES_MAX / 2 || live->counts.scopes >= LIVE_ENVELOPES_MAX / 2;
}

#define PUBLISH(member) atomic_store_explicit(&live->published.member, counts->member, memory_order_release)

void live_publish(struct live_block *live, const struct live_counts *counts)
{
    live->writer->published = *counts;
    PUBLISH(pairs);
    PUBLISH(columns);
    PUBLISH(resources);
    PUBLISH(scopes);
    PUBLISH(shapes);
    PUBLISH(patterns);
    PUBLISH(rejections);
    PUBLISH(rows); /* last: whoever sees the rows sees all they refer to */
}

#define PUBLISHED(member) .member = atomic_load_explicit(&live->published.member, memory_order_acquire)

struct live_counts live_published(const struct live_block *live)
{
    const uint32_t rows = atomic_load_explicit(&live->published.rows, memory_order_acquire);

    return (struct live_counts){.rows = rows,
                                PUBLISHED(pairs),
                                PUBLISHED(columns),
                                PUBLISHED(resources),
                                PUBLISHED(scopes),
                                PUBLISHED(shapes),
                                PUBLISHED(patterns),
                                PUBLISHED(rejections)};
}
