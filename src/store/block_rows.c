/*
 * Reads rows: a page's structure (which row has which attributes, events and links), the values of one
 * attribute column with their rows, and whole spans written back as OTLP.
 *
 * Where a row's values lie in their columns follows from the shapes: the position of a column's first value
 * for row r is the number of its values in the rows before, which is counted per shape and not per value.
 */
#include "block_reader.h"

#include "codec/wire.h"
#include "model/span_write.h"

#include <stdlib.h>

enum { PAGE = BLOCK_PAGE_ROWS };

/* The values of one column in one page, decoded when first needed. */
struct page_column {
    uint32_t count; /* values in this page, by the shapes */
    uint32_t cursor;
    bool ready;
    uint64_t *scalars; /* raw scalar columns */
    uint32_t *ids;     /* dictionary columns; raw byte columns: count + 1 offsets */
    struct slice text;
};

struct children {
    uint32_t count;
    uint32_t *shapes;
};

struct page_rows {
    uint32_t
        structure; /* page of which shapes, children and the columns' counts are here; UINT32_MAX: none */
    uint32_t page; /* page of which all is here */
    uint32_t rows;
    uint64_t start[PAGE], duration[PAGE];
    uint32_t resource[PAGE], scope[PAGE], kind[PAGE], status_code[PAGE], flags[PAGE], bits[PAGE];
    uint32_t dropped_attributes[PAGE], dropped_events[PAGE], dropped_links[PAGE];
    uint32_t shape[PAGE], events_count[PAGE], links_count[PAGE], parent[PAGE];
    struct slice span_ids, parents_raw;
    uint32_t parent_raw_index[PAGE];
    struct children events, links;
    uint64_t *event_time;
    uint32_t *event_dropped, *link_flags, *link_dropped, *link_bits;
    struct slice link_traces, link_spans;
    struct page_column *columns;
    uint32_t columns_count;
    uint32_t *uses; /* by shape */
};

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
    free(rows->events.shapes);
    free(rows->links.shapes);
    free(rows->event_time);
    free(rows->event_dropped);
    free(rows->link_flags);
    free(rows->link_dropped);
    free(rows->link_bits);
    free(rows);
}

static struct page_rows *page_rows_new(const struct block_reader *reader)
{
    struct page_rows *const rows = calloc(1, sizeof *rows);

    if (rows == NULL) return NULL;
    rows->structure = rows->page = UINT32_MAX;
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
        total += reader->shapes[rows->shape[i]].count;
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
    TRY(reader_u32(reader, page, STREAM_SHAPE, rows->shape, count));
    TRY(reader_u32(reader, page, STREAM_EVENTS, rows->events_count, count));
    TRY(reader_u32(reader, page, STREAM_LINKS, rows->links_count, count));
    if (sum(rows->events_count, count) != entry->events || sum(rows->links_count, count) != entry->links)
        return ERR_CORRUPT;
    if (!sized_u32(&rows->events.shapes, entry->events) || !sized_u32(&rows->links.shapes, entry->links))
        return ERR_NO_MEMORY;
    TRY(reader_u32(reader, page, STREAM_EVENT_SHAPE, rows->events.shapes, entry->events));
    TRY(reader_u32(reader, page, STREAM_LINK_SHAPE, rows->links.shapes, entry->links));
    TRY(shapes_check(reader, rows->shape, count));
    TRY(shapes_check(reader, rows->events.shapes, entry->events));
    TRY(shapes_check(reader, rows->links.shapes, entry->links));
    return values_check(reader, rows);
}

/* Adds uses[shape] times the columns of each shape to every column's cursor, and clears uses. */
static void spend_uses(struct block_reader *reader, struct page_rows *rows)
{
    for (uint32_t i = 0; i < reader->header.shapes; i++) {
        if (rows->uses[i] == 0) continue;
        const struct reader_shape *const shape = &reader->shapes[i];
        for (uint32_t k = 0; k < shape->count; k++)
            rows->columns[reader->shape_columns[shape->first + k]].cursor += rows->uses[i];
        rows->uses[i] = 0;
    }
}

/* Sets every column's cursor to its first value of a row, of the events and links before which are given. */
static void seek_row(struct block_reader *reader, struct page_rows *rows, uint32_t row, uint32_t events,
                     uint32_t links)
{
    for (uint32_t i = 0; i < rows->columns_count; i++)
        rows->columns[i].cursor = 0;
    for (uint32_t i = 0; i < row; i++)
        rows->uses[rows->shape[i]]++;
    for (uint32_t i = 0; i < events; i++)
        rows->uses[rows->events.shapes[i]]++;
    for (uint32_t i = 0; i < links; i++)
        rows->uses[rows->links.shapes[i]]++;
    spend_uses(reader, rows);
    rows->columns[COLUMN_NAME].cursor = rows->columns[COLUMN_TRACE_STATE].cursor =
        rows->columns[COLUMN_STATUS_MESSAGE].cursor = row;
    rows->columns[COLUMN_EVENT_NAME].cursor = events;
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
    TRY(reader_u32(reader, page, STREAM_RESOURCE, rows->resource, count));
    TRY(reader_u32(reader, page, STREAM_SCOPE, rows->scope, count));
    TRY(reader_u32(reader, page, STREAM_KIND, rows->kind, count));
    TRY(reader_u32(reader, page, STREAM_STATUS_CODE, rows->status_code, count));
    TRY(reader_u32(reader, page, STREAM_FLAGS, rows->flags, count));
    TRY(reader_u32(reader, page, STREAM_BITS, rows->bits, count));
    TRY(reader_u32(reader, page, STREAM_DROPPED_ATTRIBUTES, rows->dropped_attributes, count));
    TRY(reader_u32(reader, page, STREAM_DROPPED_EVENTS, rows->dropped_events, count));
    TRY(reader_u32(reader, page, STREAM_DROPPED_LINKS, rows->dropped_links, count));
    TRY(reader_u32(reader, page, STREAM_PARENT, rows->parent, count));
    TRY(reader_bytes(reader, page, STREAM_SPAN_ID, (size_t)count * 8, &rows->span_ids));
    for (uint32_t i = 0; i < count; i++) {
        if (rows->resource[i] >= reader->header.resources || rows->scope[i] >= reader->header.scopes)
            return ERR_CORRUPT;
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
    if (!sized_u32(&rows->event_dropped, events) || !sized_u32(&rows->link_flags, links) ||
        !sized_u32(&rows->link_dropped, links) || !sized_u32(&rows->link_bits, links))
        return ERR_NO_MEMORY;
    TRY(reader_u64(reader, page, STREAM_EVENT_TIME, rows->event_time, events));
    TRY(reader_u32(reader, page, STREAM_EVENT_DROPPED, rows->event_dropped, events));
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

static enum err load_page(struct block_reader *reader, uint32_t page, struct page_rows **out)
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

/* How often a shape holds a column: usually 0 or 1, more with duplicate keys. */
static uint32_t occurrences(const struct block_reader *reader, uint32_t shape, uint32_t column)
{
    const struct reader_shape *const at = &reader->shapes[shape];
    uint32_t count = 0;

    for (uint32_t k = 0; k < at->count; k++)
        count += reader->shape_columns[at->first + k] == column;
    return count;
}

/* One visit per value; what it found is counted in *index. */
struct column_walk {
    struct block_reader *reader;
    struct page_column *values;
    uint32_t column, index;
    block_visit_fn *visit;
    void *context;
    uint32_t first_row;
};

static enum err visit_values(struct column_walk *walk, uint32_t row, uint32_t count, bool *go_on)
{
    const bool dictionary = walk->reader->columns[walk->column].entry.mode == MODE_DICTIONARY;

    for (uint32_t i = 0; i < count && *go_on; i++, walk->index++) {
        if (walk->index >= walk->values->count) return ERR_CORRUPT;
        if (dictionary) {
            *go_on = walk->visit(walk->context, walk->first_row + row, walk->values->ids[walk->index], NULL);
        } else {
            struct attribute attribute;
            TRY(value_at(walk->reader, walk->values, walk->column, walk->index, &attribute));
            *go_on = walk->visit(walk->context, walk->first_row + row, 0, &attribute);
        }
    }
    return OK;
}

/* How often each shape holds the column, once for the page. */
static void fill_occurrences(const struct block_reader *reader, uint32_t column, uint32_t *per_shape)
{
    for (uint32_t i = 0; i < reader->header.shapes; i++)
        per_shape[i] = occurrences(reader, i, column);
}

static uint32_t values_of_row(const struct page_rows *rows, const uint32_t *per_shape, uint32_t column,
                              uint8_t level, uint32_t row, uint32_t *child)
{
    const struct children *const children = level == LEVEL_EVENT ? &rows->events : &rows->links;
    uint32_t count = 0;

    if (column == COLUMN_NAME || column == COLUMN_TRACE_STATE || column == COLUMN_STATUS_MESSAGE) return 1;
    if (column == COLUMN_EVENT_NAME) return rows->events_count[row];
    if (column == COLUMN_LINK_STATE) return rows->links_count[row];
    if (level == LEVEL_SPAN) return per_shape[rows->shape[row]];
    const uint32_t own = level == LEVEL_EVENT ? rows->events_count[row] : rows->links_count[row];
    for (uint32_t i = 0; i < own; i++)
        count += per_shape[children->shapes[(*child)++]];
    return count;
}

enum err block_page_values(struct block_reader *reader, uint32_t page, uint32_t column, block_visit_fn *visit,
                           void *context)
{
    struct page_rows *const rows = rows_of(reader);
    bool go_on = true;
    uint32_t child = 0;

    if (page >= reader->header.pages || column >= reader->header.columns) return ERR_NOT_FOUND;
    if (rows == NULL) return ERR_NO_MEMORY;
    TRY(load_structure(reader, rows, page));
    struct page_column *const values = &rows->columns[column];
    if (values->count == 0) return OK;
    TRY(load_column(reader, page, column, values));
    const uint8_t level = reader->columns[column].entry.level;
    uint32_t *const per_shape = rows->uses; /* all zero between uses */
    fill_occurrences(reader, column, per_shape);
    struct column_walk walk = {reader, values, column, 0, visit, context, page * BLOCK_PAGE_ROWS};
    enum err err = OK;
    for (uint32_t row = 0; row < rows->rows && err == OK && go_on; row++)
        err = visit_values(&walk, row, values_of_row(rows, per_shape, column, level, row, &child), &go_on);
    memset(per_shape, 0, sizeof *per_shape * reader->header.shapes);
    return err;
}

/* ---- spans ----------------------------------------------------------------------------------------------
 */

struct span_writer {
    struct block_reader *reader;
    struct page_rows *rows;
    struct wire_writer out;
};

static enum err next_value(struct span_writer *writer, uint32_t column, uint32_t index, struct attribute *out)
{
    struct page_column *const values = &writer->rows->columns[column];

    TRY(load_column(writer->reader, writer->rows->page, column, values));
    return value_at(writer->reader, values, column, index, out);
}

/*
 * Writes the attributes of one shape backwards. Cursors stand behind the last value of each column, and move
 * back.
 */
static enum err write_attributes(struct span_writer *writer, uint32_t shape, uint32_t field)
{
    const struct reader_shape *const at = &writer->reader->shapes[shape];

    for (uint32_t k = at->count; k-- > 0;) {
        const uint32_t column = writer->reader->shape_columns[at->first + k];
        struct page_column *const values = &writer->rows->columns[column];
        struct attribute attribute;
        const size_t mark = writer->out.len;
        if (values->cursor == 0) return ERR_CORRUPT;
        TRY(next_value(writer, column, --values->cursor, &attribute));
        attribute_write(&writer->out, &attribute);
        wire_close_message(&writer->out, field, mark);
    }
    return OK;
}

static enum err write_link(struct span_writer *writer, uint32_t link)
{
    const struct page_rows *const rows = writer->rows;
    const struct trace_id *const trace = (const struct trace_id *)(rows->link_traces.ptr + (size_t)link * 16);
    const struct span_id *const span = (const struct span_id *)(rows->link_spans.ptr + (size_t)link * 8);
    const size_t mark = writer->out.len;
    struct attribute state;

    link_write_tail(&writer->out, rows->link_flags[link], rows->link_dropped[link]);
    TRY(write_attributes(writer, rows->links.shapes[link], 4));
    TRY(next_value(writer, COLUMN_LINK_STATE, link, &state));
    link_write_head(&writer->out, rows->link_bits[link] & LINK_TRACE_PRESENT ? trace : NULL,
                    rows->link_bits[link] & LINK_SPAN_PRESENT ? span : NULL, state.bytes);
    wire_close_message(&writer->out, 13, mark);
    return OK;
}

static enum err write_event(struct span_writer *writer, uint32_t event, uint64_t span_start)
{
    const struct page_rows *const rows = writer->rows;
    const size_t mark = writer->out.len;
    struct attribute name;

    event_write_tail(&writer->out, rows->event_dropped[event]);
    TRY(write_attributes(writer, rows->events.shapes[event], 3));
    TRY(next_value(writer, COLUMN_EVENT_NAME, event, &name));
    event_write_head(&writer->out, span_start + unzigzag(rows->event_time[event]), name.bytes);
    wire_close_message(&writer->out, 11, mark);
    return OK;
}

/* The parent's span id of a row; *present false: none. */
static enum err find_parent(struct block_reader *reader, struct page_rows *rows, uint32_t row,
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

/* Child counters stand behind the row's last child. */
static enum err write_span(struct span_writer *writer, uint32_t row, const struct trace_id *trace,
                           uint32_t events_end, uint32_t links_end)
{
    struct page_rows *const rows = writer->rows;
    struct attribute name, state, message;
    struct span_id parent;
    bool has_parent;

    TRY(find_parent(writer->reader, rows, row, &parent, &has_parent));
    TRY(next_value(writer, COLUMN_NAME, row, &name));
    TRY(next_value(writer, COLUMN_TRACE_STATE, row, &state));
    TRY(next_value(writer, COLUMN_STATUS_MESSAGE, row, &message));
    const struct span_head head = {
        .trace_id = trace,
        .span_id = (const struct span_id *)(rows->span_ids.ptr + (size_t)row * 8),
        .parent_span_id = has_parent ? &parent : NULL,
        .trace_state = state.bytes,
        .name = name.bytes,
        .status_message = message.bytes,
        .kind = (int32_t)rows->kind[row],
        .status_code = (int32_t)rows->status_code[row],
        .status_present = (rows->bits[row] & ROW_STATUS_PRESENT) != 0,
        .flags = rows->flags[row],
        .start_ns = rows->start[row],
        .end_ns = rows->start[row] + rows->duration[row],
        .dropped_attributes_count = rows->dropped_attributes[row],
        .dropped_events_count = rows->dropped_events[row],
        .dropped_links_count = rows->dropped_links[row],
    };
    span_write_tail(&writer->out, &head);
    for (uint32_t i = 0; i < rows->links_count[row]; i++)
        TRY(write_link(writer, links_end - 1 - i));
    span_write_middle(&writer->out, &head);
    for (uint32_t i = 0; i < rows->events_count[row]; i++)
        TRY(write_event(writer, events_end - 1 - i, head.start_ns));
    span_write_dropped_attributes(&writer->out, &head);
    TRY(write_attributes(writer, rows->shape[row], 9));
    span_write_head(&writer->out, &head);
    return OK;
}

static enum err grow(struct wire_writer *out)
{
    const size_t capacity = out->len + out->len / 2 + 4096;

    if (out->len > BLOCK_SECTION_PLAIN_MAX) return ERR_CORRUPT; /* no request could bring such a span */
    uint8_t *const memory = realloc(out->base, capacity);
    if (memory == NULL) return ERR_NO_MEMORY;
    out->base = memory;
    out->capacity = capacity;
    return OK;
}

static void pass_shape(struct block_reader *reader, struct page_rows *rows, uint32_t shape)
{
    const struct reader_shape *const at = &reader->shapes[shape];

    for (uint32_t k = 0; k < at->count; k++)
        rows->columns[reader->shape_columns[at->first + k]].cursor++;
}

/* Moves every cursor behind the values of a row, which stand at them. */
static void pass_row(struct block_reader *reader, struct page_rows *rows, uint32_t row, uint32_t events_end,
                     uint32_t links_end)
{
    pass_shape(reader, rows, rows->shape[row]);
    for (uint32_t i = 0; i < rows->events_count[row]; i++)
        pass_shape(reader, rows, rows->events.shapes[events_end - 1 - i]);
    for (uint32_t i = 0; i < rows->links_count[row]; i++)
        pass_shape(reader, rows, rows->links.shapes[links_end - 1 - i]);
}

/* Cursors stand at the row's values before and after: writing goes backwards. */
static enum err emit_row(struct span_writer *writer, uint32_t row, uint32_t events_end, uint32_t links_end,
                         block_emit_fn *emit, void *context)
{
    struct page_rows *const rows = writer->rows;
    const uint32_t at = rows->page * PAGE + row;
    struct trace_id trace;

    TRY(block_trace_of_row(writer->reader, at, &trace));
    for (;;) {
        writer->out.len = 0;
        pass_row(writer->reader, rows, row, events_end, links_end);
        TRY(write_span(writer, row, &trace, events_end, links_end));
        if (wire_writer_fits(&writer->out)) break;
        TRY(grow(&writer->out));
    }
    return emit(context, at, rows->resource[row], rows->scope[row], wire_writer_bytes(&writer->out));
}

/* Rows [first, first + count) of one page. */
static enum err emit_rows(struct span_writer *writer, uint32_t first, uint32_t count, block_emit_fn *emit,
                          void *context)
{
    struct page_rows *const rows = writer->rows;
    uint32_t events = (uint32_t)sum(rows->events_count, first),
             links = (uint32_t)sum(rows->links_count, first);

    seek_row(writer->reader, rows, first, events, links);
    for (uint32_t row = first; row < first + count; row++) {
        events += rows->events_count[row];
        links += rows->links_count[row];
        TRY(emit_row(writer, row, events, links, emit, context));
        pass_row(writer->reader, rows, row, events, links);
    }
    return OK;
}

enum err block_spans(struct block_reader *reader, uint32_t first, uint32_t count, block_emit_fn *emit,
                     void *context)
{
    struct span_writer writer = {.reader = reader};
    enum err err = OK;

    if (first > reader->header.spans || count > reader->header.spans - first) return ERR_NOT_FOUND;
    while (count > 0 && err == OK) {
        const uint32_t page = first / PAGE, row = first % PAGE;
        const uint32_t here = count < PAGE - row ? count : PAGE - row;
        err = load_page(reader, page, &writer.rows);
        if (err == OK) err = emit_rows(&writer, row, here, emit, context);
        first += here;
        count -= here;
    }
    free(writer.out.base);
    return err;
}

/* ---- recovery --------------------------------------------------------------------------------------------
 */

static enum err ignore_span(void *context, uint32_t row, uint32_t resource, uint32_t scope, struct slice span)
{
    (void)context, (void)row, (void)resource, (void)scope, (void)span;
    return OK;
}

enum err block_check(struct block_reader *reader)
{
    struct slice plain;

    for (uint32_t i = 0; i < reader->header.sections; i++)
        TRY(reader_section(reader, i, &plain));
    return block_spans(reader, 0, reader->header.spans, ignore_span, NULL);
}
