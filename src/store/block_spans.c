/*
 * Rows written back as OTLP Span messages, backwards as all that is written by codec/wire.h: the cursors of a row's columns
 * stand behind its values and move back.
 */
#include "block_rows.h"

#include "model/span_write.h"

#include <stdlib.h>

struct span_writer {
    struct block_reader *reader;
    struct page_rows *rows;
    struct wire_writer out;
};

/* Cursors stand behind the value that is asked for, and move back. */
static enum err value_before(struct span_writer *writer, uint32_t column, struct attribute *out)
{
    struct page_column *const values = &writer->rows->columns[column];

    if (values->cursor == 0) return ERR_CORRUPT;
    return page_rows_value(writer->reader, writer->rows, column, --values->cursor, out);
}

/* Writes the attributes of one shape backwards. */
static enum err write_attributes(struct span_writer *writer, uint32_t shape, uint32_t field)
{
    const struct reader_shape *const at = &writer->reader->shapes[shape];

    for (uint32_t k = at->count; k-- > 0;) {
        const struct reader_item *const item = &writer->reader->shape_items[at->first + k];
        struct attribute attribute;
        const size_t mark = writer->out.len;
        TRY(item->constant != 0
                ? block_dictionary_value(writer->reader, item->column, item->constant - 1, &attribute)
                : value_before(writer, item->column, &attribute));
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
    TRY(page_rows_value(writer->reader, writer->rows, COLUMN_LINK_STATE, link, &state));
    link_write_head(&writer->out, rows->link_bits[link] & LINK_TRACE_PRESENT ? trace : NULL,
                    rows->link_bits[link] & LINK_SPAN_PRESENT ? span : NULL, state.bytes);
    wire_close_message(&writer->out, 13, mark);
    return OK;
}

static enum err write_event(struct span_writer *writer, uint32_t event, uint64_t span_start)
{
    const struct page_rows *const rows = writer->rows;
    const struct live_event_pattern *const pattern =
        &writer->reader->event_patterns[rows->events.patterns[event]];
    const size_t mark = writer->out.len;
    struct attribute name;

    event_write_tail(&writer->out, pattern->dropped_attributes_count);
    TRY(write_attributes(writer, pattern->shape, 3));
    TRY(block_dictionary_value(writer->reader, COLUMN_EVENT_NAME, pattern->name, &name));
    event_write_head(&writer->out, span_start + unzigzag(rows->event_time[event]), name.bytes);
    wire_close_message(&writer->out, 11, mark);
    return OK;
}

/* Child counters stand behind the row's last child. */
static enum err write_span(struct span_writer *writer, uint32_t row, const struct trace_id *trace,
                           uint32_t events_end, uint32_t links_end)
{
    struct page_rows *const rows = writer->rows;
    const struct live_pattern *const pattern = pattern_of(writer->reader, rows, row);
    struct attribute name, state = {.type = VALUE_STRING}, message = {.type = VALUE_STRING};
    struct span_id parent;
    bool has_parent;

    TRY(page_rows_parent(writer->reader, rows, row, &parent, &has_parent));
    TRY(block_dictionary_value(writer->reader, COLUMN_NAME, pattern->name, &name));
    if (pattern->bits & ROW_TRACE_STATE) TRY(value_before(writer, COLUMN_TRACE_STATE, &state));
    if (pattern->bits & ROW_STATUS_MESSAGE) TRY(value_before(writer, COLUMN_STATUS_MESSAGE, &message));
    const struct span_head head = {
        .trace_id = trace,
        .span_id = (const struct span_id *)(rows->span_ids.ptr + (size_t)row * 8),
        .parent_span_id = has_parent ? &parent : NULL,
        .trace_state = state.bytes,
        .name = name.bytes,
        .status_message = message.bytes,
        .kind = pattern->kind,
        .status_code = pattern->status_code,
        .status_present = (pattern->bits & ROW_STATUS_PRESENT) != 0,
        .flags = pattern->flags,
        .start_ns = rows->start[row],
        .end_ns = rows->start[row] + rows->duration[row],
        .dropped_attributes_count = pattern->dropped_attributes_count,
        .dropped_events_count = pattern->dropped_events_count,
        .dropped_links_count = pattern->dropped_links_count,
    };
    span_write_tail(&writer->out, &head);
    for (uint32_t i = 0; i < rows->links_count[row]; i++)
        TRY(write_link(writer, links_end - 1 - i));
    span_write_middle(&writer->out, &head);
    for (uint32_t i = 0; i < rows->events_count[row]; i++)
        TRY(write_event(writer, events_end - 1 - i, head.start_ns));
    span_write_dropped_attributes(&writer->out, &head);
    TRY(write_attributes(writer, pattern->shape, 9));
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
        rows->columns[reader->shape_items[at->first + k].column].cursor +=
            reader->shape_items[at->first + k].constant == 0;
}

/* Moves every cursor behind the values of a row, which stand at them. */
static void pass_row(struct block_reader *reader, struct page_rows *rows, uint32_t row, uint32_t events_end,
                     uint32_t links_end)
{
    const struct live_pattern *const pattern = pattern_of(reader, rows, row);

    pass_shape(reader, rows, pattern->shape);
    rows->columns[COLUMN_TRACE_STATE].cursor += (pattern->bits & ROW_TRACE_STATE) != 0;
    rows->columns[COLUMN_STATUS_MESSAGE].cursor += (pattern->bits & ROW_STATUS_MESSAGE) != 0;
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
    return emit(context, at, pattern_of(writer->reader, rows, row)->resource,
                pattern_of(writer->reader, rows, row)->scope, wire_writer_bytes(&writer->out));
}

/* Rows [first, first + count) of one page. */
static enum err emit_rows(struct span_writer *writer, uint32_t first, uint32_t count, block_emit_fn *emit,
                          void *context)
{
    struct page_rows *const rows = writer->rows;

    page_rows_stand(writer->reader, rows, first);
    uint32_t events = rows->cursor_events, links = rows->cursor_links;
    rows->cursor_row = NOWHERE; /* until all has gone well */
    for (uint32_t row = first; row < first + count; row++) {
        events += rows->events_count[row];
        links += rows->links_count[row];
        TRY(emit_row(writer, row, events, links, emit, context));
        pass_row(writer->reader, rows, row, events, links);
    }
    rows->cursor_row = first + count;
    rows->cursor_events = events;
    rows->cursor_links = links;
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
        err = page_rows_load(reader, page, &writer.rows);
        if (err == OK) {
            writer.out = writer.rows->out;
            err = emit_rows(&writer, row, here, emit, context);
            writer.rows->out = writer.out;
        }
        first += here;
        count -= here;
    }
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
