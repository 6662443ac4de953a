/*
 * Live block: appending. See store/live.h for the promise.
 *
 * The happy path of a span's attributes is one compare each with the bytes of the span before it of the same sender and
 * name (live_template.h); a mismatch is looked up among recent pairs, then in the pair table, and only bytes never seen
 * before in this block are decoded, validated and copied (live_intern.c).
 *
 *   rows     ids, times, indexes of resource and scope, pair ids of the strings, slots_first, shape, children
 *   slots    pair ids of attributes, in order, of spans, events and links alike
 *   pairs    id -> bytes in the arena, column, value
 *   arena    each distinct KeyValue, string, Resource and Scope once
 *
 * A request that fails is undone wholly, with what it interned and with the templates that speak of it: otherwise one
 * hostile request that is refused could leave a block full that holds no row. A span that is rejected alone leaves its
 * pairs behind, unused, as long as the request succeeds.
 */
#include "live_intern.h"
#include "live_template.h"

#include "base/assert.h"
#include "codec/wire.h"

/* ---- attributes of one span, event or link --------------------------------------------------------- */

struct slots {
    uint32_t first, count, shape;
    uint32_t cut;
};

static enum err slots_fail(int64_t why)
{
    return why == INTERN_FULL ? ERR_FULL : why == INTERN_TOO_DEEP ? ERR_UNSUPPORTED : ERR_MALFORMED;
}

static uint32_t shape_of(struct live_block *live, const uint32_t *slots, uint32_t count)
{
    uint32_t *const columns = live->writer->shape_scratch;

    for (uint32_t i = 0; i < count; i++)
        columns[i] = live->pairs[slots[i]].column;
    return intern_shape(live, columns, count);
}

static enum err append_slots(struct live_block *live, enum attribute_level level,
                             const struct slice *attributes, uint32_t attributes_count, struct slots *out,
                             struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;
    uint32_t count = 0;

    if (attributes_count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    for (uint32_t i = 0; i < attributes_count; i++) {
        const int64_t id = intern_attribute(live, level, attributes[i], fault);
        if (__builtin_expect(id >= 0, 1))
            slots[count++] = (uint32_t)id;
        else if (id == INTERN_CUT)
            out->cut++;
        else
            return slots_fail(id);
    }
    out->first = live->counts.slots;
    out->count = count;
    out->shape = shape_of(live, slots, count);
    live->counts.slots += count;
    return out->shape == NO_ID ? ERR_FULL : OK;
}

/* What an attribute that differs from its template's means for the template. */
struct differences {
    uint32_t count;
    bool too_long, columns;
};

/* As append_slots(), of a span whose attributes are as many as its template's. */
static enum err append_like(struct live_block *live, const struct span_view *view,
                            struct list_template *template, struct slots *out, struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;
    const uint32_t count = view->attributes_count;
    struct differences differences = {0};

    if (count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice bytes = view->attributes[i];
        if (template->len[i] == bytes.len &&
            same_bytes(template->bytes + template->offset[i], bytes.ptr, bytes.len)) {
            slots[i] = template->slots[i];
            continue;
        }
        const int64_t id = intern_attribute(live, LEVEL_SPAN, bytes, fault);
        if (__builtin_expect(id < 0, 0)) {
            template->count = 0; /* patched in part, perhaps */
            return id == INTERN_CUT ? append_slots(live, LEVEL_SPAN, view->attributes, count, out, fault)
                                    : slots_fail(id);
        }
        slots[i] = (uint32_t)id;
        differences.count++;
        differences.columns |= live->pairs[id].column != live->pairs[template->slots[i]].column;
        differences.too_long |= !list_template_patch(template, i, bytes, (uint32_t)id);
    }
    out->first = live->counts.slots;
    out->count = count;
    out->shape = differences.columns ? shape_of(live, slots, count) : template->shape;
    live->counts.slots += count;
    if (out->shape == NO_ID) return ERR_FULL;
    if (differences.too_long || differences.columns)
        list_template_set(template, view->attributes, count, slots, out->shape);
    return OK;
}

static enum err append_span_slots(struct live_block *live, const struct span_view *view, uint32_t name,
                                  struct slots *out, struct otlp_fault *fault)
{
    struct list_template *const template = live_list_template(live, view, name);

    if (template != NULL && template->count == view->attributes_count)
        return append_like(live, view, template, out, fault);
    TRY(append_slots(live, LEVEL_SPAN, view->attributes, view->attributes_count, out, fault));
    if (template != NULL && out->cut == 0)
        list_template_set(template, view->attributes, out->count, live->slots + out->first, out->shape);
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
    event->name = template->name;
    event->dropped_attributes_count = template->dropped_attributes_count;
    event->slots_first = live->counts.slots;
    event->slots_count = template->slots_count;
    event->shape = template->shape;
    event->reserved = 0;
    memcpy(slots, template->slots, template->slots_count * sizeof *slots);
    live->counts.slots += template->slots_count;
    live->counts.events++;
    return OK;
}

static enum err append_new_event(struct live_block *live, struct slice message, uint32_t *cut,
                                 struct otlp_fault *fault)
{
    struct live_event *const event = &WRITABLE(live->events, struct live_event)[live->counts.events];
    struct event_view view;
    struct slots slots = {0};

    TRY(event_decode(message, live->writer->attribute_scratch, &view, fault));
    const uint32_t name = intern_string(live, COLUMN_EVENT_NAME, view.name);
    if (name == NO_ID) return ERR_FULL;
    TRY(append_slots(live, LEVEL_EVENT, view.attributes, view.attributes_count, &slots, fault));
    *event = (struct live_event){
        .time_ns = view.time_ns,
        .name = name,
        .dropped_attributes_count = otlp_dropped(view.dropped_attributes_count, slots.cut),
        .slots_first = slots.first,
        .slots_count = slots.count,
        .shape = slots.shape};
    live->counts.events++;
    *cut += view.cut + slots.cut;
    return OK;
}

static void remember_event(struct live_block *live, struct slice behind_time, struct event_template *template)
{
    const struct live_event *const event = &live->events[live->counts.events - 1];

    template->len = 0;
    if (!event_template_fits(behind_time, event->slots_count)) return;
    template->name = event->name;
    template->shape = event->shape;
    template->slots_count = event->slots_count;
    template->dropped_attributes_count = event->dropped_attributes_count;
    memcpy(template->slots, live->slots + event->slots_first, event->slots_count * sizeof *template->slots);
    memcpy(template->bytes, behind_time.ptr, behind_time.len);
    template->len = (uint32_t)behind_time.len;
}

static enum err append_event(struct live_block *live, struct slice message, uint32_t *cut,
                             struct otlp_fault *fault)
{
    const uint32_t cut_before = *cut;

    if (live->counts.events == LIVE_CHILDREN_MAX) return ERR_FULL;
    if (!time_leads(message)) return append_new_event(live, message, cut, fault);

    const struct slice behind_time = slice_of(message.ptr + EVENT_TIME_BYTES, message.len - EVENT_TIME_BYTES);
    struct event_template *const template = live_event_template(live, behind_time);
    if (template != NULL && template->len == behind_time.len &&
        same_bytes(template->bytes, behind_time.ptr, behind_time.len))
        return append_like_event(live, message, template);
    TRY(append_new_event(live, message, cut, fault));
    if (template != NULL && *cut == cut_before) remember_event(live, behind_time, template);
    return OK;
}

static enum err append_link(struct live_block *live, struct slice message, uint32_t *cut,
                            struct otlp_fault *fault)
{
    struct live_link *const link = &WRITABLE(live->links, struct live_link)[live->counts.links];
    struct link_view view;
    struct slots slots = {0};

    if (live->counts.links == LIVE_CHILDREN_MAX) return ERR_FULL;
    TRY(link_decode(message, live->writer->attribute_scratch, &view, fault));
    const uint32_t trace_state = intern_string(live, COLUMN_LINK_STATE, view.trace_state);
    if (trace_state == NO_ID) return ERR_FULL;
    TRY(append_slots(live, LEVEL_LINK, view.attributes, view.attributes_count, &slots, fault));
    *link = (struct live_link){
        .trace_id = view.trace_id,
        .span_id = view.span_id,
        .trace_state = trace_state,
        .flags = view.flags,
        .dropped_attributes_count = otlp_dropped(view.dropped_attributes_count, slots.cut),
        .bits = (view.trace_id_present ? LINK_TRACE_PRESENT : 0u) |
                (view.span_id_present ? LINK_SPAN_PRESENT : 0u),
        .slots_first = slots.first,
        .slots_count = slots.count,
        .shape = slots.shape};
    live->counts.links++;
    *cut += view.cut + slots.cut;
    return OK;
}

static enum err append_children(struct live_block *live, const struct span_view *view, uint32_t *cut,
                                struct otlp_fault *fault)
{
    for (uint32_t i = 0; i < view->events_count; i++)
        TRY(append_event(live, view->events[i], cut, fault));
    for (uint32_t i = 0; i < view->links_count; i++)
        TRY(append_link(live, view->links[i], cut, fault));
    return OK;
}

/* ---- spans ----------------------------------------------------------------------------------------- */

static enum err append_row(struct live_block *live, const struct span_view *view, struct otlp_fault *fault)
{
    struct live_row *const row = &WRITABLE(live->rows, struct live_row)[live->counts.rows];
    const uint32_t events_first = live->counts.events, links_first = live->counts.links;
    struct slots slots = {0};
    uint32_t cut = view->cut;

    if (live->counts.rows == LIVE_ROWS_MAX) return ERR_FULL;
    const uint32_t name = intern_string(live, COLUMN_NAME, view->name);
    const uint32_t trace_state = intern_string(live, COLUMN_TRACE_STATE, view->trace_state);
    const uint32_t status_message = intern_string(live, COLUMN_STATUS_MESSAGE, view->status_message);
    if (name == NO_ID || trace_state == NO_ID || status_message == NO_ID) return ERR_FULL;

    TRY(append_span_slots(live, view, name, &slots, fault));
    TRY(append_children(live, view, &cut, fault));
    cut += slots.cut;
    *row = (struct live_row){
        .trace_id = view->trace_id,
        .span_id = view->span_id,
        .parent_span_id = view->parent_span_id,
        .start_ns = view->start_ns,
        .end_ns = view->end_ns,
        .resource = live->writer->resource,
        .scope = live->writer->scope,
        .name = name,
        .trace_state = trace_state,
        .status_message = status_message,
        .kind = view->kind,
        .status_code = view->status_code,
        .flags = view->flags,
        .dropped_attributes_count = otlp_dropped(view->dropped_attributes_count, slots.cut),
        .dropped_events_count = view->dropped_events_count,
        .dropped_links_count = view->dropped_links_count,
        .bits = (view->parent_present ? ROW_PARENT_PRESENT : 0u) |
                (view->status_present ? ROW_STATUS_PRESENT : 0u),
        .slots_first = slots.first,
        .shape = slots.shape,
        .slots_count = (uint16_t)slots.count,
        .events_count = (uint16_t)view->events_count,
        .links_count = (uint16_t)view->links_count,
        .events_first = events_first,
        .links_first = links_first,
    };
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

    return intern_envelope(live, true, resource, &live->writer->resource, fault);
}

static enum err on_scope(void *context, const struct scope_view *scope, struct otlp_fault *fault)
{
    struct live_block *const live = context;
    const struct resource_view view = {scope->message, scope->present, scope->schema_url};

    return intern_envelope(live, false, &view, &live->writer->scope, fault);
}

const struct otlp_sink *live_sink(void)
{
    static const struct otlp_sink sink = {on_resource, on_scope, on_span};
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

    if (live->counts.pairs > mark->pairs || live->counts.shapes > mark->shapes)
        live_templates_reset(live->writer->templates);
    intern_undo(live, mark);
    live->counts.rows = mark->rows;
    live->counts.slots = mark->slots;
    live->counts.events = mark->events;
    live->counts.links = mark->links;
}

uint32_t live_take_cut(struct live_block *live)
{
    const uint32_t cut = live->writer->cut;

    live->writer->cut = 0;
    return cut;
}

bool live_full(const struct live_block *live)
{
    return live->counts.rows >= LIVE_ROWS_CLOSE || live->counts.arena >= LIVE_ARENA_CLOSE ||
           live->counts.pairs >= LIVE_PAIRS_CLOSE || live->counts.slots >= LIVE_SLOTS_MAX / 2 ||
           live->counts.events >= LIVE_CHILDREN_MAX / 2 || live->counts.links >= LIVE_CHILDREN_MAX / 2 ||
           live->counts.shapes >= LIVE_SHAPES_MAX / 2 || live->counts.resources >= LIVE_ENVELOPES_MAX / 2 ||
           live->counts.scopes >= LIVE_ENVELOPES_MAX / 2;
}

#define PUBLISH(member) atomic_store_explicit(&live->published.member, counts->member, memory_order_release)

void live_publish(struct live_block *live, const struct live_counts *counts)
{
    PUBLISH(pairs);
    PUBLISH(columns);
    PUBLISH(resources);
    PUBLISH(scopes);
    PUBLISH(shapes);
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
                                PUBLISHED(shapes)};
}
