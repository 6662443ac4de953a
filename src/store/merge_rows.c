/*
 * Every number of a block (resource, scope, shape, pattern, entry of a dictionary) has a place that says which number of the
 * live block it has become, once it has been needed. A row is then mostly copying: ids and times, one number for its
 * pattern, one for each attribute that varies.
 *
 * Columns are taken by their key, since both blocks number them as they come. The live block may have run out of columns: then
 * both the shape and the pairs name the column of what has none (column RAW), and nothing here need know. Only
 * what had no column in the input is another matter, because it may have one now: ERR_UNSUPPORTED.
 */
#include "merge_rows.h"

#include "block_rows.h"
#include "live_intern.h"

#include <stdlib.h>

enum { PAIR_ROOM = 4096 }; /* at first */

struct row_mover {
    struct block_reader *reader;
    struct live_block *live;
    size_t numbers_count;
    uint32_t *numbers; /* all of the following: NO_ID until needed */
    uint32_t *resources, *scopes, *shapes, *patterns, *event_patterns, *columns;
    uint32_t **entries; /* by column: NULL, or a number for each entry of its dictionary */
    struct wire_writer out;
};

/* ---- opening ------------------------------------------------------------------------------------------ */

void row_mover_close(struct row_mover *mover)
{
    for (uint32_t i = 0; mover->entries != NULL && i < mover->reader->header.columns; i++)
        free(mover->entries[i]);
    free((void *)mover->entries);
    free(mover->numbers);
    free(mover->out.base);
    free(mover);
}

static void place_numbers(struct row_mover *mover)
{
    const struct block_header *const header = &mover->reader->header;

    mover->resources = mover->numbers;
    mover->scopes = mover->resources + header->resources;
    mover->shapes = mover->scopes + header->scopes;
    mover->patterns = mover->shapes + header->shapes;
    mover->event_patterns = mover->patterns + header->patterns;
    mover->columns = mover->event_patterns + header->event_patterns;
}

enum err row_mover_open(struct block_reader *reader, struct live_block *live, struct row_mover **out)
{
    const struct block_header *const header = &reader->header;
    struct row_mover *const mover = calloc(1, sizeof *mover);

    if (mover == NULL) return ERR_NO_MEMORY;
    mover->reader = reader;
    mover->live = live;
    mover->numbers_count = (size_t)header->resources + header->scopes + header->shapes + header->patterns +
                           header->event_patterns + header->columns;
    mover->numbers = malloc(mover->numbers_count * sizeof *mover->numbers);
    mover->entries = calloc(header->columns, sizeof *mover->entries);
    mover->out = (struct wire_writer){.base = malloc(PAIR_ROOM), .capacity = PAIR_ROOM};
    if (mover->numbers == NULL || mover->entries == NULL || mover->out.base == NULL) {
        row_mover_close(mover);
        return ERR_NO_MEMORY;
    }
    place_numbers(mover);
    row_mover_forget(mover);
    *out = mover;
    return OK;
}

/* NO_ID has all bits set. */
void row_mover_forget(struct row_mover *mover)
{
    memset(mover->numbers, 0xff, mover->numbers_count * sizeof *mover->numbers);
    for (uint32_t i = 0; i < mover->reader->header.columns; i++)
        if (mover->entries[i] != NULL)
            memset(mover->entries[i], 0xff, mover->reader->columns[i].entry.distinct * sizeof(uint32_t));
}

/* ---- resources and scopes ----------------------------------------------------------------------------- */

static enum err envelope_number(struct row_mover *mover, bool is_resource, uint32_t index, uint32_t *out)
{
    uint32_t *const number = is_resource ? &mover->resources[index] : &mover->scopes[index];
    struct envelope envelope;
    struct otlp_fault fault;

    if (*number == NO_ID) {
        TRY(is_resource ? block_resource(mover->reader, index, &envelope)
                        : block_scope(mover->reader, index, &envelope));
        const struct resource_view view = {
            .message = envelope.message, .present = envelope.present, .schema_url = envelope.schema_url};
        uint32_t id = NO_ID;
        TRY(intern_envelope(mover->live, is_resource, &view, &id, &fault));
        *number = id;
    }
    *out = *number;
    return OK;
}

enum err row_mover_envelopes(struct row_mover *mover, uint32_t resource, uint32_t scope,
                             uint32_t *live_resource, uint32_t *live_scope)
{
    TRY(envelope_number(mover, true, resource, live_resource));
    return envelope_number(mover, false, scope, live_scope);
}

/* ---- values ------------------------------------------------------------------------------------------- */

static enum err write_pair(struct row_mover *mover, const struct attribute *attribute, struct slice *out)
{
    for (;;) {
        mover->out.len = 0;
        attribute_write(&mover->out, attribute);
        if (wire_writer_fits(&mover->out)) break;
        const size_t capacity = mover->out.len * 2;
        uint8_t *const base = realloc(mover->out.base, capacity);
        if (base == NULL) return ERR_NO_MEMORY;
        mover->out.base = base;
        mover->out.capacity = capacity;
    }
    *out = wire_writer_bytes(&mover->out);
    return OK;
}

static enum err column_number(struct row_mover *mover, uint32_t column, uint32_t *out)
{
    const struct reader_column *const from = &mover->reader->columns[column];
    uint32_t *const number = &mover->columns[column];

    if (column < COLUMN_FIXED_COUNT) {
        *out = column;
        return OK;
    }
    if (*number == NO_ID)
        *number = intern_column(mover->live, (enum attribute_level)from->entry.level, from->key,
                                (enum value_type)from->entry.type);
    *out = *number;
    return *number == NO_ID ? ERR_FULL : OK;
}

static enum err pair_of(struct row_mover *mover, uint32_t column, const struct attribute *attribute,
                        uint32_t *out)
{
    const enum attribute_level level = (enum attribute_level)mover->reader->columns[column].entry.level;
    struct live_block *const live = mover->live;
    struct otlp_fault fault;
    struct slice bytes;
    uint32_t number;

    if (column < COLUMN_RAW_SPAN) {
        *out = intern_string(live, column, attribute->bytes);
        return *out == NO_ID ? ERR_FULL : OK;
    }
    TRY(column_number(mover, column, &number));
    TRY(write_pair(mover, attribute, &bytes));
    const int64_t id = live->columns[number].unseen == UNSEEN_ALWAYS
                           ? intern_fresh(live, level, number, bytes, attribute)
                           : intern_attribute(live, level, bytes, &fault);
    if (id == INTERN_FULL) return ERR_FULL;
    if (id < 0 || live->pairs[id].column != number) return ERR_CORRUPT;
    *out = (uint32_t)id;
    return OK;
}

/* What an entry of a dictionary has become. */
static enum err entry_number(struct row_mover *mover, uint32_t column, uint32_t entry, uint32_t *out)
{
    uint32_t *entries = mover->entries[column];
    struct attribute attribute;

    if (entries == NULL) {
        const size_t bytes = (size_t)mover->reader->columns[column].entry.distinct * sizeof *entries;
        entries = mover->entries[column] = malloc(bytes > 0 ? bytes : 1);
        if (entries == NULL) return ERR_NO_MEMORY;
        memset(entries, 0xff, bytes);
    }
    if (__builtin_expect(entries[entry] == NO_ID, 0)) {
        TRY(block_dictionary_value(mover->reader, column, entry, &attribute));
        TRY(pair_of(mover, column, &attribute, &entries[entry]));
    }
    *out = entries[entry];
    return OK;
}

/* The next value of a column; its cursor moves on. */
static enum err next_value(struct row_mover *mover, struct page_rows *rows, uint32_t column, uint32_t *out)
{
    const uint32_t index = rows->columns[column].cursor++;
    struct attribute attribute;
    uint32_t entry;

    if (mover->reader->columns[column].entry.mode == MODE_DICTIONARY) {
        TRY(page_rows_entry(mover->reader, rows, column, index, &entry));
        return entry_number(mover, column, entry, out);
    }
    TRY(page_rows_value(mover->reader, rows, column, index, &attribute));
    return pair_of(mover, column, &attribute, out);
}

/* ---- shapes and patterns ------------------------------------------------------------------------------ */

static enum err shape_number(struct row_mover *mover, uint32_t shape, uint32_t *out)
{
    const struct reader_shape *const from = &mover->reader->shapes[shape];
    struct live_shape_item items[OTLP_ATTRIBUTES_MAX];

    if (mover->shapes[shape] == NO_ID) {
        for (uint32_t i = 0; i < from->count; i++) {
            const struct reader_item *const item = &mover->reader->shape_items[from->first + i];
            if (mover->reader->columns[item->column].entry.type == VALUE_RAW) return ERR_UNSUPPORTED;
            items[i].constant = 0;
            TRY(column_number(mover, item->column, &items[i].column));
            if (item->constant != 0)
                TRY(entry_number(mover, item->column, item->constant - 1, &items[i].constant));
        }
        mover->shapes[shape] = intern_shape(mover->live, items, from->count);
        if (mover->shapes[shape] == NO_ID) return ERR_FULL;
    }
    *out = mover->shapes[shape];
    return OK;
}

static enum err pattern_number(struct row_mover *mover, uint32_t pattern, uint32_t *out)
{
    if (__builtin_expect(mover->patterns[pattern] == NO_ID, 0)) {
        const struct live_pattern *const from = &mover->reader->patterns[pattern];
        struct live_pattern made = *from;
        TRY(shape_number(mover, from->shape, &made.shape));
        TRY(row_mover_envelopes(mover, from->resource, from->scope, &made.resource, &made.scope));
        TRY(entry_number(mover, COLUMN_NAME, from->name, &made.name));
        mover->patterns[pattern] = intern_pattern(mover->live, &made);
        if (mover->patterns[pattern] == NO_ID) return ERR_FULL;
    }
    *out = mover->patterns[pattern];
    return OK;
}

static enum err event_pattern_number(struct row_mover *mover, uint32_t pattern, uint32_t *out)
{
    if (mover->event_patterns[pattern] == NO_ID) {
        const struct live_event_pattern *const from = &mover->reader->event_patterns[pattern];
        struct live_event_pattern made = *from;
        TRY(shape_number(mover, from->shape, &made.shape));
        TRY(entry_number(mover, COLUMN_EVENT_NAME, from->name, &made.name));
        mover->event_patterns[pattern] = intern_event_pattern(mover->live, &made);
        if (mover->event_patterns[pattern] == NO_ID) return ERR_FULL;
    }
    *out = mover->event_patterns[pattern];
    return OK;
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* Slots of what varies in a shape, in its order. */
static enum err append_values(struct row_mover *mover, struct page_rows *rows, uint32_t shape)
{
    const struct reader_shape *const from = &mover->reader->shapes[shape];
    struct live_block *const live = mover->live;
    uint32_t *const slots = WRITABLE(live->slots, uint32_t);

    if (from->varying > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct reader_item *const item = &mover->reader->shape_items[from->first + i];
        if (item->constant != 0) continue;
        TRY(next_value(mover, rows, item->column, &slots[live->counts.slots]));
        live->counts.slots++;
    }
    return OK;
}

static enum err append_string(struct row_mover *mover, struct page_rows *rows, uint32_t column)
{
    struct live_block *const live = mover->live;

    if (live->counts.slots == LIVE_SLOTS_MAX) return ERR_FULL;
    TRY(next_value(mover, rows, column, &WRITABLE(live->slots, uint32_t)[live->counts.slots]));
    live->counts.slots++;
    return OK;
}

static enum err append_event(struct row_mover *mover, struct page_rows *rows, uint32_t index,
                             uint64_t start_ns)
{
    struct live_block *const live = mover->live;
    struct live_event event = {.time_ns = start_ns + unzigzag(rows->event_time[index]),
                               .slots_first = live->counts.slots};

    if (live->counts.events == LIVE_CHILDREN_MAX) return ERR_FULL;
    TRY(event_pattern_number(mover, rows->events.patterns[index], &event.pattern));
    TRY(append_values(mover, rows, rows->events.shapes[index]));
    WRITABLE(live->events, struct live_event)[live->counts.events++] = event;
    return OK;
}

static enum err append_link(struct row_mover *mover, struct page_rows *rows, uint32_t index)
{
    struct live_block *const live = mover->live;
    struct live_link link = {.flags = rows->link_flags[index],
                             .dropped_attributes_count = rows->link_dropped[index],
                             .bits = rows->link_bits[index],
                             .slots_first = live->counts.slots};
    uint32_t entry;

    if (live->counts.links == LIVE_CHILDREN_MAX) return ERR_FULL;
    memcpy(link.trace_id.bytes, rows->link_traces.ptr + (size_t)index * 16, 16);
    memcpy(link.span_id.bytes, rows->link_spans.ptr + (size_t)index * 8, 8);
    TRY(page_rows_entry(mover->reader, rows, COLUMN_LINK_STATE, index, &entry)); /* one for each link */
    TRY(entry_number(mover, COLUMN_LINK_STATE, entry, &link.trace_state));
    TRY(shape_number(mover, rows->links.shapes[index], &link.shape));
    TRY(append_values(mover, rows, rows->links.shapes[index]));
    WRITABLE(live->links, struct live_link)[live->counts.links++] = link;
    return OK;
}

/* Cursors stand at the row. */
static enum err append_row(struct row_mover *mover, struct page_rows *rows, uint32_t row,
                           const struct trace_id *trace)
{
    const struct live_pattern *const pattern = pattern_of(mover->reader, rows, row);
    struct live_block *const live = mover->live;
    struct live_row made = {.trace_id = *trace,
                            .start_ns = rows->start[row],
                            .end_ns = rows->start[row] + rows->duration[row],
                            .slots_first = live->counts.slots,
                            .events_first = live->counts.events,
                            .events_count = (uint16_t)rows->events_count[row],
                            .links_count = (uint16_t)rows->links_count[row]};
    bool has_parent;

    if (live->counts.rows == LIVE_ROWS_MAX || live->counts.slots == LIVE_SLOTS_MAX) return ERR_FULL;
    TRY(pattern_number(mover, rows->pattern[row], &made.pattern));
    TRY(page_rows_parent(mover->reader, rows, row, &made.parent_span_id, &has_parent));
    memcpy(made.span_id.bytes, rows->span_ids.ptr + (size_t)row * 8, 8);
    if (made.links_count > 0) WRITABLE(live->slots, uint32_t)[live->counts.slots++] = live->counts.links;
    if (pattern->bits & ROW_TRACE_STATE) TRY(append_string(mover, rows, COLUMN_TRACE_STATE));
    if (pattern->bits & ROW_STATUS_MESSAGE) TRY(append_string(mover, rows, COLUMN_STATUS_MESSAGE));
    TRY(append_values(mover, rows, pattern->shape));
    for (uint32_t i = 0; i < made.events_count; i++)
        TRY(append_event(mover, rows, rows->cursor_events + i, made.start_ns));
    for (uint32_t i = 0; i < made.links_count; i++)
        TRY(append_link(mover, rows, rows->cursor_links + i));
    WRITABLE(live->rows, struct live_row)[live->counts.rows++] = made;
    return OK;
}

enum err row_mover_append(struct row_mover *mover, uint32_t row, const struct trace_id *trace)
{
    struct live_block *const live = mover->live;
    const struct live_counts before = live->counts;
    const uint32_t in_page = row % BLOCK_PAGE_ROWS;
    struct page_rows *rows;

    TRY(page_rows_load(mover->reader, row / BLOCK_PAGE_ROWS, &rows));
    if (rows->events_count[in_page] > OTLP_EVENTS_MAX || rows->links_count[in_page] > OTLP_LINKS_MAX)
        return ERR_CORRUPT;
    page_rows_stand(mover->reader, rows, in_page);
    const enum err err = append_row(mover, rows, in_page, trace);
    if (err != OK) { /* what was interned stays, and is used by the next one */
        live->counts.slots = before.slots;
        live->counts.events = before.events;
        live->counts.links = before.links;
        rows->cursor_row = NOWHERE;
        return err;
    }
    rows->cursor_row = in_page + 1;
    rows->cursor_events += rows->events_count[in_page];
    rows->cursor_links += rows->links_count[in_page];
    return OK;
}

enum err row_mover_span_id(struct row_mover *mover, uint32_t row, uint64_t *id)
{
    struct page_rows *rows;

    TRY(page_rows_load(mover->reader, row / BLOCK_PAGE_ROWS, &rows));
    memcpy(id, rows->span_ids.ptr + (size_t)(row % BLOCK_PAGE_ROWS) * 8, sizeof *id);
    return OK;
}

enum err row_mover_origin(struct row_mover *mover, uint32_t row, struct row_origin *out)
{
    const uint32_t in_page = row % BLOCK_PAGE_ROWS;
    struct envelope resource;
    struct page_rows *rows;

    TRY(page_rows_load(mover->reader, row / BLOCK_PAGE_ROWS, &rows));
    TRY(block_resource(mover->reader, pattern_of(mover->reader, rows, in_page)->resource, &resource));
    *out = (struct row_origin){.service = resource.service, .start_ns = rows->start[in_page]};
    return OK;
}
