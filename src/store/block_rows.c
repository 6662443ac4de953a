/*
 * Reads rows: a page's structure (which row has which attributes, events and links), and the values of one attribute column
 * with their rows. Spans are written by block_spans.c.
 */
#include "block_rows.h"

#include <stdlib.h>

static void columns_clear(struct page_rows *rows)
{
    for (uint32_t i = 0; i < rows->columns_count; i++) {
        free(rows->columns[i].scalars);
        free(rows->columns[i].ids);
    }
    memset(rows->columns, 0, sizeof *rows->columns * rows->columns_count);
}

void page_rows_free(struct page_rows *rows)
{
    if (rows == NULL) return;
    if (rows->columns != NULL) columns_clear(rows);
    free(rows->columns);
    free(rows->uses);
    free(rows->events.patterns);
    free(rows->events.shapes);
    free(rows->links.shapes);
    free(rows->event_time);
    free(rows->link_flags);
    free(rows->link_dropped);
    free(rows->link_bits);
    free(rows->out.base);
    free(rows);
}

void page_rows_forget(struct page_rows *rows, uint32_t page)
{
    if (rows->page == page) rows->page = UINT32_MAX;
    if (rows->structure == page) rows->structure = UINT32_MAX;
}

static struct page_rows *page_rows_new(const struct block_reader *reader)
{
    struct page_rows *const rows = calloc(1, sizeof *rows);

    if (rows == NULL) return NULL;
    rows->structure = rows->page = UINT32_MAX;
    rows->cursor_row = NOWHERE;
    rows->columns_count = reader->header.columns;
    rows->columns = calloc(rows->columns_count, sizeof *rows->columns);
    rows->uses = calloc(reader->header.shapes, sizeof *rows->uses);
    if (rows->columns != NULL && rows->uses != NULL) return rows;
    page_rows_free(rows);
    return NULL;
}

/* ---- structure of a page ---------------------------------------------------------------------------------
 */

static bool sized_u32(uint32_t **array, uint32_t count)
{
    uint32_t *const memory = realloc(*array, sizeof *memory * (count > 0 ? count : 1));

    if (memory == NULL) return false;
    *array = memory;
    return true;
}

static enum err shapes_check(const struct block_reader *reader, const uint32_t *shapes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (shapes[i] >= reader->header.shapes) return ERR_CORRUPT;
    return OK;
}

static uint64_t sum(const uint32_t *values, uint32_t count)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += values[i];
    return total;
}

/* Values of a page by its shapes; more than a block can hold are refused before they are counted in 32 bits. */
static enum err values_check(const struct block_reader *reader, const struct page_rows *rows)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < rows->rows; i++)
        total += reader->shapes[pattern_of(reader, rows, i)->shape].count;
    for (uint32_t i = 0; i < rows->events.count; i++)
        total += reader->shapes[rows->events.shapes[i]].count;
    for (uint32_t i = 0; i < rows->links.count; i++)
        total += reader->shapes[rows->links.shapes[i]].count;
    return total <= LIVE_SLOTS_MAX ? OK : ERR_CORRUPT;
}

static enum err read_structure(struct block_reader *reader, struct page_rows *rows, uint32_t page)
{
    const struct block_page *const entry = &reader->pages[page];
    const uint32_t count = reader_page_rows(reader, page);

    rows->rows = count;
    rows->events.count = entry->events;
    rows->links.count = entry->links;
    TRY(reader_patterns(reader, page, rows->pattern));
    TRY(reader_u32(reader, page, STREAM_EVENTS, rows->events_count, count));
    TRY(reader_u32(reader, page, STREAM_LINKS, rows->links_count, count));
    if (sum(rows->events_count, count) != entry->events || sum(rows->links_count, count) != entry->links)
        return ERR_CORRUPT;
    if (!sized_u32(&rows->events.patterns, entry->events) ||
        !sized_u32(&rows->events.shapes, entry->events) || !sized_u32(&rows->links.shapes, entry->links))
        return ERR_NO_MEMORY;
    TRY(reader_u32(reader, page, STREAM_EVENT_PATTERN, rows->events.patterns, entry->events));
    TRY(reader_u32(reader, page, STREAM_LINK_SHAPE, rows->links.shapes, entry->links));
    for (uint32_t i = 0; i < entry->events; i++) {
        if (rows->events.patterns[i] >= reader->header.event_patterns) return ERR_CORRUPT;
        rows->events.shapes[i] = reader->event_patterns[rows->events.patterns[i]].shape;
    }
    TRY(shapes_check(reader, rows->links.shapes, entry->links));
    return values_check(reader, rows);
}

/* Adds uses[shape] times the varying columns of each shape to every column's cursor, and clears uses. */
static void spend_uses(struct block_reader *reader, struct page_rows *rows)
{
    for (uint32_t i = 0; i < reader->header.shapes; i++) {
        if (rows->uses[i] == 0) continue;
        const struct reader_shape *const shape = &reader->shapes[i];
        for (uint32_t k = 0; k < shape->count; k++) {
            const struct reader_item *const item = &reader->shape_items[shape->first + k];
            if (item->constant == 0) rows->columns[item->column].cursor += rows->uses[i];
        }
        rows->uses[i] = 0;
    }
}

/* Sets every column's cursor to its first value of a row, of the events and links before which are given. */
static void seek_row(struct block_reader *reader, struct page_rows *rows, uint32_t row, uint32_t events,
                     uint32_t links)
{
    rows->cursor_row = NOWHERE;
    for (uint32_t i = 0; i < rows->columns_count; i++)
        rows->columns[i].cursor = 0;
    for (uint32_t i = 0; i < row; i++) {
        const struct live_pattern *const pattern = pattern_of(reader, rows, i);
        rows->uses[pattern->shape]++;
        rows->columns[COLUMN_TRACE_STATE].cursor += (pattern->bits & ROW_TRACE_STATE) != 0;
        rows->columns[COLUMN_STATUS_MESSAGE].cursor += (pattern->bits & ROW_STATUS_MESSAGE) != 0;
    }
    for (uint32_t i = 0; i < events; i++)
        rows->uses[rows->events.shapes[i]]++;
    for (uint32_t i = 0; i < links; i++)
        rows->uses[rows->links.shapes[i]]++;
    spend_uses(reader, rows);
    rows->columns[COLUMN_LINK_STATE].cursor = links;
}

static void count_columns(struct block_reader *reader, struct page_rows *rows)
{
    seek_row(reader, rows, rows->rows, rows->events.count, rows->links.count);
    for (uint32_t i = 0; i < rows->columns_count; i++)
        rows->columns[i].count = rows->columns[i].cursor;
}

static struct page_rows *rows_of(struct block_reader *reader)
{
    if (reader->page_rows == NULL) reader->page_rows = page_rows_new(reader);
    return reader->page_rows;
}

static enum err load_fields(struct block_reader *reader, struct page_rows *rows, uint32_t page)
{
    const uint32_t count = rows->rows;
    uint32_t read = 0, raw = 0;

    TRY(block_page_field(reader, page, FIELD_START, rows->start, &read));
    TRY(reader_u64(reader, page, STREAM_DURATION, rows->duration, count));
    TRY(reader_u32(reader, page, STREAM_PARENT, rows->parent, count));
    TRY(reader_bytes(reader, page, STREAM_SPAN_ID, (size_t)count * 8, &rows->span_ids));
    for (uint32_t i = 0; i < count; i++) {
        rows->parent_raw_index[i] = raw;
        raw += rows->parent[i] == 1;
    }
    return reader_bytes(reader, page, STREAM_PARENT_RAW, (size_t)raw * 8, &rows->parents_raw);
}

static enum err load_children(struct block_reader *reader, struct page_rows *rows, uint32_t page)
{
    const uint32_t events = rows->events.count, links = rows->links.count;

    uint64_t *const times = realloc(rows->event_time, sizeof *times * (events > 0 ? events : 1));
    if (times == NULL) return ERR_NO_MEMORY;
    rows->event_time = times;
    if (!sized_u32(&rows->link_flags, links) || !sized_u32(&rows->link_dropped, links) ||
        !sized_u32(&rows->link_bits, links))
        return ERR_NO_MEMORY;
    TRY(reader_u64(reader, page, STREAM_EVENT_TIME, rows->event_time, events));
    TRY(reader_bytes(reader, page, STREAM_LINK_TRACE, (size_t)links * 16, &rows->link_traces));
    TRY(reader_bytes(reader, page, STREAM_LINK_SPAN, (size_t)links * 8, &rows->link_spans));
    TRY(reader_u32(reader, page, STREAM_LINK_FLAGS, rows->link_flags, links));
    TRY(reader_u32(reader, page, STREAM_LINK_DROPPED, rows->link_dropped, links));
    return reader_u32(reader, page, STREAM_LINK_BITS, rows->link_bits, links);
}

/* What columns are read by, and what is kept of them from one column of a page to the next. */
static enum err load_structure(struct block_reader *reader, struct page_rows *rows, uint32_t page)
{
    if (rows->structure == page) return OK;
    rows->structure = rows->page = UINT32_MAX;
    columns_clear(rows);
    TRY(read_structure(reader, rows, page));
    count_columns(reader, rows);
    rows->structure = page;
    return OK;
}

enum err page_rows_load(struct block_reader *reader, uint32_t page, struct page_rows **out)
{
    struct page_rows *const rows = rows_of(reader);

    if (rows == NULL) return ERR_NO_MEMORY;
    *out = rows;
    if (rows->page == page) return OK;
    rows->page = UINT32_MAX;
    TRY(load_structure(reader, rows, page));
    TRY(load_fields(reader, rows, page));
    TRY(load_children(reader, rows, page));
    rows->page = page;
    return OK;
}

/* ---- values of a column in a page ------------------------------------------------------------------------
 */

static enum err load_text(struct block_reader *reader, uint32_t page, uint32_t column,
                          struct page_column *out)
{
    uint64_t total = 0;

    TRY(reader_u32(reader, page, column_stream(column), out->ids, out->count));
    for (uint32_t i = 0; i < out->count; i++) { /* lengths become offsets */
        const uint32_t len = out->ids[i];
        out->ids[i] = (uint32_t)total;
        total += len;
        if (total > BLOCK_SECTION_PLAIN_MAX) return ERR_CORRUPT;
    }
    out->ids[out->count] = (uint32_t)total;
    return reader_bytes(reader, page, column_stream(column) + 1, (size_t)total, &out->text);
}

static enum err load_scalars(struct block_reader *reader, uint32_t page, uint32_t column,
                             struct page_column *out)
{
    /* there may be memory already, of an attempt that failed */
    uint64_t *const scalars = realloc(out->scalars, sizeof *scalars * (out->count > 0 ? out->count : 1));
    if (scalars == NULL) return ERR_NO_MEMORY;
    out->scalars = scalars;
    TRY(reader_u64(reader, page, column_stream(column), out->scalars, out->count));
    if (reader->columns[column].entry.type == VALUE_INT)
        for (uint32_t i = 0; i < out->count; i++)
            out->scalars[i] ^= 1ull << 63;
    return OK;
}

static enum err load_column(struct block_reader *reader, uint32_t page, uint32_t column,
                            struct page_column *out)
{
    const struct block_column_entry *const entry = &reader->columns[column].entry;

    if (out->ready) return OK;
    if (entry->mode == MODE_RAW && block_type_is_scalar(entry->type)) {
        TRY(load_scalars(reader, page, column, out));
    } else {
        if (!sized_u32(&out->ids, out->count + 1)) return ERR_NO_MEMORY;
        if (entry->mode == MODE_RAW) {
            TRY(load_text(reader, page, column, out));
        } else {
            TRY(reader_u32(reader, page, column_stream(column), out->ids, out->count));
            for (uint32_t i = 0; i < out->count; i++)
                if (out->ids[i] >= entry->distinct) return ERR_CORRUPT;
        }
    }
    out->ready = true;
    return OK;
}

static enum err value_at(struct block_reader *reader, const struct page_column *values, uint32_t column,
                         uint32_t index, struct attribute *out)
{
    const struct reader_column *const at = &reader->columns[column];

    if (index >= values->count) return ERR_CORRUPT;
    if (at->entry.mode == MODE_DICTIONARY)
        return block_dictionary_value(reader, column, values->ids[index], out);
    *out = (struct attribute){.key = at->key, .type = (enum value_type)at->entry.type};
    if (block_type_is_scalar(at->entry.type))
        out->bits = values->scalars[index];
    else if (at->entry.type != VALUE_ABSENT && at->entry.type != VALUE_EMPTY)
        out->bytes = slice_of(values->text.ptr + values->ids[index],
                              values->ids[index + 1] - values->ids[index]);
    return OK;
}

enum err page_rows_value(struct block_reader *reader, struct page_rows *rows, uint32_t column, uint32_t index,
                         struct attribute *out)
{
    struct page_column *const values = &rows->columns[column];

    TRY(load_column(reader, rows->page, column, values));
    return value_at(reader, values, column, index, out);
}

enum err page_rows_entry(struct block_reader *reader, struct page_rows *rows, uint32_t column, uint32_t index,
                         uint32_t *id)
{
    struct page_column *const values = &rows->columns[column];

    TRY(load_column(reader, rows->page, column, values));
    if (index >= values->count) return ERR_CORRUPT;
    *id = values->ids[index];
    return OK;
}

void page_rows_stand(struct block_reader *reader, struct page_rows *rows, uint32_t row)
{
    if (rows->cursor_row == row) return;
    const uint32_t events = (uint32_t)sum(rows->events_count, row),
                   links = (uint32_t)sum(rows->links_count, row);

    seek_row(reader, rows, row, events, links);
    rows->cursor_row = row;
    rows->cursor_events = events;
    rows->cursor_links = links;
}

enum err page_rows_parent(struct block_reader *reader, struct page_rows *rows, uint32_t row,
                          struct span_id *out, bool *present)
{
    const uint32_t code = rows->parent[row];
    struct slice ids = rows->span_ids;

    *present = code != 0;
    if (code == 0) return OK;
    if (code == 1) {
        memcpy(out->bytes, rows->parents_raw.ptr + (size_t)rows->parent_raw_index[row] * 8, 8);
        return OK;
    }
    const int64_t target = (int64_t)rows->page * PAGE + row + (int64_t)unzigzag(code - 2);
    if (target < 0 || target >= reader->header.spans) return ERR_CORRUPT;
    const uint32_t page = (uint32_t)target / PAGE;
    if (page != rows->page)
        TRY(reader_bytes(reader, page, STREAM_SPAN_ID, (size_t)reader_page_rows(reader, page) * 8, &ids));
    memcpy(out->bytes, ids.ptr + (size_t)(target % PAGE) * 8, 8);
    return OK;
}

/* One visit per value; which of the column's values comes next is counted in index. */
struct column_walk {
    struct block_reader *reader;
    const struct page_rows *rows;
    const struct page_column *values;
    uint32_t column, index;
    bool dictionary, go_on;
    block_visit_fn *visit;
    void *context;
    uint32_t first_row;
};

static void give(struct column_walk *walk, uint32_t row, uint32_t id, const struct attribute *attribute)
{
    walk->go_on = walk->visit(walk->context, walk->first_row + row, id, attribute);
}

static enum err visit_next(struct column_walk *walk, uint32_t row)
{
    const uint32_t index = walk->index++;
    struct attribute attribute;

    if (index >= walk->values->count) return ERR_CORRUPT;
    if (walk->dictionary) {
        give(walk, row, walk->values->ids[index], NULL);
        return OK;
    }
    TRY(value_at(walk->reader, walk->values, walk->column, index, &attribute));
    give(walk, row, 0, &attribute);
    return OK;
}

static enum err visit_constant(struct column_walk *walk, uint32_t row, uint32_t entry)
{
    struct attribute attribute;

    if (walk->dictionary) {
        give(walk, row, entry, NULL);
        return OK;
    }
    TRY(block_dictionary_value(walk->reader, walk->column, entry, &attribute));
    give(walk, row, 0, &attribute);
    return OK;
}

/* has: by shape, does the column occur in it? */
static enum err visit_shape(struct column_walk *walk, const uint32_t *has, uint32_t row, uint32_t shape)
{
    const struct reader_shape *const at = &walk->reader->shapes[shape];

    if (!has[shape]) return OK;
    for (uint32_t k = 0; k < at->count && walk->go_on; k++) {
        const struct reader_item *const item = &walk->reader->shape_items[at->first + k];
        if (item->column != walk->column) continue;
        TRY(item->constant != 0 ? visit_constant(walk, row, item->constant - 1) : visit_next(walk, row));
    }
    return OK;
}

static void find_column(const struct block_reader *reader, uint32_t column, uint32_t *has)
{
    for (uint32_t i = 0; i < reader->header.shapes; i++)
        for (uint32_t k = 0; k < reader->shapes[i].count; k++)
            has[i] |= reader->shape_items[reader->shapes[i].first + k].column == column;
}

/* An attribute column at the level of spans, events or links. */
static enum err visit_attributes(struct column_walk *walk, const uint32_t *has, uint8_t level)
{
    const struct page_rows *const rows = walk->rows;
    const struct children *const children = level == LEVEL_EVENT ? &rows->events : &rows->links;
    const uint32_t *const counts = level == LEVEL_EVENT ? rows->events_count : rows->links_count;
    uint32_t child = 0;

    for (uint32_t row = 0; row < rows->rows && walk->go_on; row++) {
        if (level == LEVEL_SPAN) TRY(visit_shape(walk, has, row, pattern_of(walk->reader, rows, row)->shape));
        for (uint32_t i = 0; level != LEVEL_SPAN && i < counts[row] && walk->go_on; i++)
            TRY(visit_shape(walk, has, row, children->shapes[child++]));
    }
    return OK;
}

/* The strings that are no attributes: names stand in patterns, the others in columns of those that are there. */
static enum err visit_strings(struct column_walk *walk)
{
    const struct page_rows *const rows = walk->rows;
    uint32_t event = 0;

    for (uint32_t row = 0; row < rows->rows && walk->go_on; row++) {
        const struct live_pattern *const pattern = pattern_of(walk->reader, rows, row);
        if (walk->column == COLUMN_NAME) give(walk, row, pattern->name, NULL);
        if (walk->column == COLUMN_TRACE_STATE && pattern->bits & ROW_TRACE_STATE) TRY(visit_next(walk, row));
        if (walk->column == COLUMN_STATUS_MESSAGE && pattern->bits & ROW_STATUS_MESSAGE)
            TRY(visit_next(walk, row));
        for (uint32_t i = 0; walk->column == COLUMN_EVENT_NAME && i < rows->events_count[row] && walk->go_on;
             i++)
            give(walk, row, walk->reader->event_patterns[rows->events.patterns[event++]].name, NULL);
        for (uint32_t i = 0; walk->column == COLUMN_LINK_STATE && i < rows->links_count[row] && walk->go_on;
             i++)
            TRY(visit_next(walk, row));
    }
    return OK;
}

enum err block_page_values(struct block_reader *reader, uint32_t page, uint32_t column, block_visit_fn *visit,
                           void *context)
{
    struct page_rows *const rows = rows_of(reader);

    if (page >= reader->header.pages || column >= reader->header.columns) return ERR_NOT_FOUND;
    if (rows == NULL) return ERR_NO_MEMORY;
    if (reader->columns[column].entry.values == 0) return OK;
    TRY(load_structure(reader, rows, page));
    struct page_column *const values = &rows->columns[column];
    TRY(load_column(reader, page, column, values));
    struct column_walk walk = {.reader = reader,
                               .rows = rows,
                               .values = values,
                               .column = column,
                               .dictionary = reader->columns[column].entry.mode == MODE_DICTIONARY,
                               .go_on = true,
                               .visit = visit,
                               .context = context,
                               .first_row = page * BLOCK_PAGE_ROWS};
    if (column < COLUMN_RAW_SPAN) return walk.dictionary ? visit_strings(&walk) : ERR_CORRUPT;
    uint32_t *const has = rows->uses; /* all zero between uses */
    find_column(reader, column, has);
    const enum err err = visit_attributes(&walk, has, reader->columns[column].entry.level);
    memset(has, 0, sizeof *has * reader->header.shapes);
    return err;
}
