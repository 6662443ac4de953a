/*
 * One page of a block: up to 8192 rows in the order of traces. Rows are gathered into one array a field; what varies in
 * their attributes is scattered from the slots to the columns, which the pattern of a row names; then each array and
 * each column becomes a chunk.
 */
#include "block_job.h"

#include "base/hash.h"
#include "store/filter.h"

static struct block_chunk *chunk_of(struct job *job, uint32_t page, uint32_t stream)
{
    return &job->chunk_table[(size_t)page * job->streams + stream];
}

/* ---- columns ----------------------------------------------------------------------------------------------- */

enum { AHEAD = 8 }; /* pairs are asked for that much earlier than used: they lie far apart */

static void put_raw_scalars(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                            uint32_t count)
{
    const struct live_pair *const all = job->live->pairs;
    uint64_t *const wide = job_array_raw(&job->encoder->wide, count, sizeof *wide);

    if (wide == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        if (i + AHEAD < count) __builtin_prefetch(&all[pairs[i + AHEAD]]);
        wide[i] = all[pairs[i]].value;
    }
    if (job->live->columns[column].type == VALUE_INT) /* order of int64 becomes order of uint64 */
        for (uint32_t i = 0; i < count; i++)
            wide[i] ^= 1ull << 63;
    chunk_put_u64(&job->encoder->chunks, chunk_of(job, page, STREAM_FIXED_COUNT + 2 * column), wide, count);
}

static void put_raw_bytes(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                          uint32_t count)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_pair *const all = job->live->pairs;
    uint32_t *const lengths = job_array_raw(&encoder->ids, count, sizeof *lengths);
    const uint32_t stream = STREAM_FIXED_COUNT + 2 * column;
    uint64_t total = 0;

    if (lengths == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        if (i + AHEAD < count) __builtin_prefetch(&all[pairs[i + AHEAD]]);
        lengths[i] = (uint32_t)all[pairs[i]].value;
        total += lengths[i];
        __builtin_prefetch(job->live->arena + (all[pairs[i]].value >> 32));
    }
    encoder->text.len = 0;
    uint8_t *to = bytes_room(&encoder->text, total);
    if (to == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(to, job->live->arena + (all[pairs[i]].value >> 32), lengths[i]);
        to += lengths[i];
    }
    encoder->text.len = total;
    chunk_put_u32(&encoder->chunks, chunk_of(job, page, stream), lengths, count);
    chunk_put_bytes(&encoder->chunks, chunk_of(job, page, stream + 1), encoder->text.ptr, encoder->text.len,
                    true);
}

static void put_dictionary_ids(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                               uint32_t count)
{
    struct block_encoder *const encoder = job->encoder;
    uint32_t *const out = job_array_raw(&encoder->ids, count, sizeof *out);

    if (out == NULL) return;
    for (uint32_t i = 0; i < count; i++)
        out[i] = job->pair_ids[pairs[i]];
    if (column < COLUMN_FIXED_COUNT) /* pair 0 is the empty string, entry 0 */
        for (uint32_t i = 0; i < count; i++)
            out[i] = pairs[i] == 0 ? 0 : out[i];
    chunk_put_u32(&encoder->chunks, chunk_of(job, page, STREAM_FIXED_COUNT + 2 * column), out, count);
}

static void put_columns(struct job *job, uint32_t page, const uint32_t *values)
{
    for (uint32_t i = 0; i < job->columns; i++) {
        const struct column_plan *const plan = &job->plans[i];
        if (plan->page_count == 0) continue;
        const uint32_t *const pairs = values + plan->page_first;
        if (plan->mode == MODE_DICTIONARY)
            put_dictionary_ids(job, page, i, pairs, plan->page_count);
        else if (block_type_is_scalar(job->live->columns[i].type))
            put_raw_scalars(job, page, i, pairs, plan->page_count);
        else
            put_raw_bytes(job, page, i, pairs, plan->page_count);
    }
}

/* ---- what occurs in the page --------------------------------------------------------------------------------- */

static inline void touch(struct page_uses *uses, uint32_t which)
{
    if (as_u32(&uses->uses)[which]++ == 0) bytes_put(&uses->touched, &which, sizeof which);
}

static void touch_times(struct page_uses *uses, uint32_t which, uint32_t times)
{
    if (as_u32(&uses->uses)[which] == 0) bytes_put(&uses->touched, &which, sizeof which);
    as_u32(&uses->uses)[which] += times;
}

static uint32_t touched_count(const struct page_uses *uses)
{
    return (uint32_t)(uses->touched.len / sizeof(uint32_t));
}

/* Uses of a touched one, which are thereby spent. */
static uint32_t spend(struct page_uses *uses, uint32_t index, uint32_t *which)
{
    *which = as_u32(&uses->touched)[index];
    const uint32_t count = as_u32(&uses->uses)[*which];
    as_u32(&uses->uses)[*which] = 0;
    return count;
}

static void widen(struct block_zone *zone, uint32_t value)
{
    if (value < zone->min) zone->min = value;
    if (value > zone->max) zone->max = value;
}

static void widen_zones(const struct job *job, struct block_page *page, const struct live_pattern *pattern)
{
    widen(&page->zones[ZONE_RESOURCE], pattern->resource);
    widen(&page->zones[ZONE_SCOPE], pattern->scope);
    widen(&page->zones[ZONE_NAME], string_id(job, pattern->name));
    widen(&page->zones[ZONE_KIND], (uint32_t)pattern->kind);
    widen(&page->zones[ZONE_STATUS_CODE], (uint32_t)pattern->status_code);
}

/* From patterns to shapes and zones. */
static void spend_patterns(struct job *job, struct block_page *page)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_block *const live = job->live;
    uint32_t which;

    for (uint32_t i = 0; i < touched_count(&encoder->patterns); i++) {
        const uint32_t uses = spend(&encoder->patterns, i, &which);
        const struct live_pattern *const pattern = &live->patterns[which];
        widen_zones(job, page, pattern);
        touch_times(&encoder->shapes, pattern->shape, uses);
        if (pattern->bits & ROW_TRACE_STATE) job->plans[COLUMN_TRACE_STATE].page_count += uses;
        if (pattern->bits & ROW_STATUS_MESSAGE) job->plans[COLUMN_STATUS_MESSAGE].page_count += uses;
    }
    for (uint32_t i = 0; i < touched_count(&encoder->event_patterns); i++) {
        const uint32_t uses = spend(&encoder->event_patterns, i, &which);
        touch_times(&encoder->shapes, live->event_patterns[which].shape, uses);
    }
    encoder->patterns.touched.len = encoder->event_patterns.touched.len = 0;
}

/* Where each column's values of this page begin; the total. */
static uint32_t lay_out_columns(struct job *job)
{
    struct page_uses *const shapes = &job->encoder->shapes;
    uint32_t total = 0, which;

    for (uint32_t i = 0; i < touched_count(shapes); i++) {
        const uint32_t uses = spend(shapes, i, &which);
        const struct shape_plan *const plan = &job->shape_plans[which];
        for (uint32_t k = 0; k < plan->count; k++)
            job->plans[job->scatter[plan->first + k]].page_count += uses;
    }
    shapes->touched.len = 0;
    for (uint32_t i = 0; i < job->columns; i++) {
        job->plans[i].page_first = job->cursors[i] = total;
        total += job->plans[i].page_count;
    }
    return total;
}

static inline void scatter(struct job *job, uint32_t *values, const uint32_t *slots, uint32_t shape)
{
    const struct shape_plan plan = job->shape_plans[shape];
    const uint16_t *const columns = job->scatter + plan.first;
    uint32_t *const cursors = job->cursors;

    for (uint32_t i = 0; i < plan.count; i++)
        values[cursors[columns[i]]++] = slots[i];
}

static void scatter_rows(struct job *job, uint32_t count, uint32_t *values)
{
    const struct page_fields *const fields = &job->encoder->fields;
    const struct live_pattern *const patterns = job->live->patterns;
    uint32_t *const cursors = job->cursors;

    for (uint32_t i = 0; i < count; i++) {
        const struct live_pattern *const pattern = &patterns[fields->pattern[i]];
        const uint32_t *slots = job->live->slots + fields->slots_first[i];
        if (fields->links[i] > 0) slots++;
        if (pattern->bits & ROW_TRACE_STATE) values[cursors[COLUMN_TRACE_STATE]++] = *slots++;
        if (pattern->bits & ROW_STATUS_MESSAGE) values[cursors[COLUMN_STATUS_MESSAGE]++] = *slots++;
        scatter(job, values, slots, pattern->shape);
    }
}

/* ---- fixed fields ---------------------------------------------------------------------------------------------- */

/* Row of the span with this id inside its trace, or UNASSIGNED. */
static uint32_t find_parent_small(const uint64_t *span_ids, uint32_t first, uint32_t count, uint64_t parent)
{
    for (uint32_t i = 0; i < count; i++)
        if (span_ids[first + i] == parent) return first + i;
    return UNASSIGNED;
}

enum { PARENT_SCAN_MAX = 24 };

/* Large traces: an open-addressing table of the trace's span ids, built once per trace. */
static bool parents_build(struct job *job, uint32_t first, uint32_t count)
{
    uint32_t places = 64;
    while (places < count * 2)
        places *= 2;
    uint32_t *const table = job_array(&job->encoder->parents, places, sizeof *table, 0xff);
    if (table == NULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (uint32_t)hash_mix(job->span_ids[first + i], 0) & (places - 1);
        while (table[place] != UNASSIGNED)
            place = (place + 1) & (places - 1);
        table[place] = first + i;
    }
    return true;
}

static uint32_t find_parent_large(const struct job *job, uint64_t parent)
{
    const uint32_t *const table = as_u32(&job->encoder->parents);
    const uint32_t mask = (uint32_t)(job->encoder->parents.len / sizeof *table) - 1;

    if (table == NULL || job->encoder->parents.failed) return UNASSIGNED; /* the block fails in the end */
    for (uint32_t place = (uint32_t)hash_mix(parent, 0) & mask; table[place] != UNASSIGNED;
         place = (place + 1) & mask)
        if (job->span_ids[table[place]] == parent) return table[place];
    return UNASSIGNED;
}

/* The value of STREAM_PARENT; explicit parents go to parent_raw. */
static uint32_t parent_code(struct job *job, const struct live_row *row, uint32_t at, uint32_t trace_count,
                            uint32_t *raw_count)
{
    uint64_t parent;

    if ((job->live->patterns[row->pattern].bits & ROW_PARENT_PRESENT) == 0) return 0;
    memcpy(&parent, row->parent_span_id.bytes, sizeof parent);
    const uint32_t found = trace_count <= PARENT_SCAN_MAX
                               ? find_parent_small(job->span_ids, job->trace_first, trace_count, parent)
                               : find_parent_large(job, parent);
    if (found != UNASSIGNED) return 2 + (uint32_t)zigzag((uint64_t)((int64_t)found - (int64_t)at));
    job->encoder->fields.parent_raw[(*raw_count)++] = parent;
    return 1;
}

static uint32_t trace_length(const struct job *job, uint32_t first)
{
    const struct order_key *const key = &job->order[first];
    uint32_t count = 1;

    while (first + count < job->rows && job->order[first + count].hi == key->hi &&
           job->order[first + count].lo == key->lo)
        count++;
    return count;
}

static void note_trace(struct job *job, uint32_t first, uint32_t count)
{
    const uint8_t *const id = job->live->rows[job->order[first].row].trace_id.bytes;
    const uint64_t hash = filter_hash_trace(id);

    bytes_put(&job->encoder->trace_ids, id, 16);
    bytes_put_varint(&job->encoder->trace_rows, count);
    bytes_put(&job->encoder->trace_hashes, &hash, sizeof hash);
    job->traces++;
}

/* Walks traces along with rows: the trace that row `at` is in, [trace_first, + returned). */
static uint32_t enter_trace(struct job *job, uint32_t at, uint32_t current_count)
{
    if (at < job->trace_first + current_count) return current_count;
    const uint32_t count = trace_length(job, at);
    job->trace_first = at;
    note_trace(job, at, count);
    if (count > PARENT_SCAN_MAX) parents_build(job, at, count);
    return count;
}

struct page_counts {
    uint32_t rows, bases, deltas, parents_raw, events, links;
};

static void gather_row(struct job *job, const struct live_row *row, uint32_t at, uint32_t i,
                       uint32_t trace_count, struct page_counts *counts, struct block_page *page)
{
    struct page_fields *const fields = &job->encoder->fields;

    if (at == job->trace_first || i == 0)
        fields->start_base[counts->bases++] = row->start_ns - job->summary.start_min_ns;
    else
        fields->start_delta[counts->deltas++] = row->start_ns - fields->start[i - 1];
    if (row->start_ns < page->start_min_ns) page->start_min_ns = row->start_ns;
    if (row->start_ns > page->start_max_ns) page->start_max_ns = row->start_ns;
    fields->start[i] = row->start_ns;
    fields->duration[i] = row->end_ns - row->start_ns;
    fields->parent[i] = parent_code(job, row, at, trace_count, &counts->parents_raw);
    fields->pattern[i] = row->pattern;
    fields->events[i] = row->events_count;
    fields->links[i] = row->links_count;
    fields->slots_first[i] = row->slots_first;
    fields->events_first[i] = row->events_first;
    __builtin_prefetch(&job->live->slots[row->slots_first]); /* the scatter will want them */
    counts->events += row->events_count;
    counts->links += row->links_count;
}

static void put_fields(struct job *job, uint32_t page, const struct page_counts *counts)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct page_fields *const fields = &job->encoder->fields;

    chunk_put_u64(chunks, chunk_of(job, page, STREAM_START_BASE), fields->start_base, counts->bases);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_START_DELTA), fields->start_delta, counts->deltas);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_DURATION), fields->duration, counts->rows);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_SPAN_ID), job->span_ids + (size_t)page * PAGE,
                    (size_t)counts->rows * 8, false);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_PARENT_RAW), fields->parent_raw,
                    (size_t)counts->parents_raw * 8, false);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_PARENT), fields->parent, counts->rows);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_PATTERN), fields->pattern, counts->rows);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_EVENTS), fields->events, counts->rows);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINKS), fields->links, counts->rows);
}

/* ---- events and links ------------------------------------------------------------------------------------------- */

/* Room for the page's events and links in the child columns. */
static bool size_children(struct job *job, const struct page_counts *counts)
{
    struct child_fields *const fields = &job->encoder->children;

    return job_array_raw(&fields->time, counts->events, sizeof(uint64_t)) != NULL &&
           job_array_raw(&fields->pattern, counts->events, sizeof(uint32_t)) != NULL &&
           job_array_raw(&fields->dropped, counts->links, sizeof(uint32_t)) != NULL &&
           job_array_raw(&fields->shape, counts->links, sizeof(uint32_t)) != NULL &&
           job_array_raw(&fields->trace, counts->links, 16) != NULL &&
           job_array_raw(&fields->span, counts->links, 8) != NULL &&
           job_array_raw(&fields->flags, counts->links, sizeof(uint32_t)) != NULL &&
           job_array_raw(&fields->bits, counts->links, sizeof(uint32_t)) != NULL;
}

static void gather_events(struct job *job, uint32_t rows, uint32_t *values)
{
    const struct page_fields *const fields = &job->encoder->fields;
    const struct live_event_pattern *const patterns = job->live->event_patterns;
    uint64_t *const time = (uint64_t *)(void *)job->encoder->children.time.ptr;
    uint32_t *const pattern = as_u32(&job->encoder->children.pattern);
    uint32_t count = 0;

    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < fields->events[i]; k++, count++) {
            const struct live_event *const event = &job->live->events[fields->events_first[i] + k];
            time[count] = zigzag(event->time_ns - fields->start[i]);
            pattern[count] = event->pattern;
            scatter(job, values, job->live->slots + event->slots_first, patterns[event->pattern].shape);
        }
}

static void put_events(struct job *job, uint32_t page, const struct page_counts *counts, uint32_t *values)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct child_fields *const fields = &job->encoder->children;

    gather_events(job, counts->rows, values);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_EVENT_TIME),
                  (const uint64_t *)(const void *)fields->time.ptr, counts->events);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_EVENT_PATTERN), as_u32(&fields->pattern),
                  counts->events);
}

static void gather_link(struct job *job, const struct live_link *link, uint32_t at, uint32_t *values)
{
    const struct child_fields *const fields = &job->encoder->children;

    memcpy(fields->trace.ptr + (size_t)at * 16, link->trace_id.bytes, 16);
    memcpy(fields->span.ptr + (size_t)at * 8, link->span_id.bytes, 8);
    as_u32(&fields->flags)[at] = link->flags;
    as_u32(&fields->bits)[at] = link->bits;
    as_u32(&fields->dropped)[at] = link->dropped_attributes_count;
    as_u32(&fields->shape)[at] = link->shape;
    values[job->plans[COLUMN_LINK_STATE].page_first + at] = link->trace_state;
    scatter(job, values, job->live->slots + link->slots_first, link->shape);
}

/* The links of a row of the page. */
static const struct live_link *links_of(const struct job *job, uint32_t i)
{
    return &job->live->links[job->live->slots[job->encoder->fields.slots_first[i]]];
}

static void put_links(struct job *job, uint32_t page, const struct page_counts *counts, uint32_t *values)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct page_fields *const rows = &job->encoder->fields;
    const struct child_fields *const fields = &job->encoder->children;
    const uint32_t count = counts->links;
    uint32_t at = 0;

    for (uint32_t i = 0; i < counts->rows; i++)
        for (uint32_t k = 0; k < rows->links[i]; k++)
            gather_link(job, links_of(job, i) + k, at++, values);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_LINK_TRACE), fields->trace.ptr, (size_t)count * 16,
                    false);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_LINK_SPAN), fields->span.ptr, (size_t)count * 8,
                    false);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_FLAGS), as_u32(&fields->flags), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_BITS), as_u32(&fields->bits), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_DROPPED), as_u32(&fields->dropped), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_SHAPE), as_u32(&fields->shape), count);
}

/* ---- the page ------------------------------------------------------------------------------------------------------ */

static void touch_children(struct job *job, const struct live_row *row)
{
    const struct live_block *const live = job->live;

    for (uint32_t k = 0; k < row->events_count; k++)
        touch(&job->encoder->event_patterns, live->events[row->events_first + k].pattern);
    for (uint32_t k = 0; k < row->links_count; k++)
        touch(&job->encoder->shapes, live->links[live->slots[row->slots_first] + k].shape);
}

static uint32_t gather_rows(struct job *job, uint32_t first, uint32_t trace_count, struct page_counts *counts,
                            struct block_page *page)
{
    const struct live_row *const rows = job->live->rows;

    for (uint32_t i = 0; i < counts->rows; i++) {
        const uint32_t at = first + i;
        const struct live_row *const row = &rows[job->order[at].row];
        if (at + AHEAD < job->rows) __builtin_prefetch(&rows[job->order[at + AHEAD].row]);
        trace_count = enter_trace(job, at, trace_count);
        gather_row(job, row, at, i, trace_count, counts, page);
        touch(&job->encoder->patterns, row->pattern);
        if ((row->events_count | row->links_count) != 0) touch_children(job, row);
    }
    return trace_count;
}

uint32_t encode_page(struct job *job, uint32_t page, uint32_t trace_count)
{
    struct block_encoder *const encoder = job->encoder;
    const uint32_t first = page * PAGE;
    struct page_counts counts = {.rows = job->rows - first < PAGE ? job->rows - first : PAGE};
    struct block_page entry = {.start_min_ns = UINT64_MAX};

    for (unsigned i = 0; i < ZONE_COUNT; i++)
        entry.zones[i].min = UINT32_MAX;
    for (uint32_t i = 0; i < job->columns; i++)
        job->plans[i].page_count = 0;
    trace_count = gather_rows(job, first, trace_count, &counts, &entry);
    put_fields(job, page, &counts);
    spend_patterns(job, &entry);
    job->plans[COLUMN_LINK_STATE].page_count = counts.links;
    const uint32_t total = lay_out_columns(job);
    uint32_t *const values = job_array_raw(&encoder->values, total, sizeof *values);
    if (values == NULL || !size_children(job, &counts)) return trace_count;
    scatter_rows(job, counts.rows, values);
    if (counts.events > 0) put_events(job, page, &counts, values);
    if (counts.links > 0) put_links(job, page, &counts, values);
    put_columns(job, page, values);
    chunk_writer_end_page(&encoder->chunks);
    entry.events = counts.events;
    entry.links = counts.links;
    bytes_put(&encoder->page_table, &entry, sizeof entry);
    return trace_count;
}
