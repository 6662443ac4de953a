/*
 * Span, Span.Event and Span.Link written backwards, field by field (trace/v1/trace.proto).
 */
#include "model/span_write.h"

static void put_uint32(struct wire_writer *writer, uint32_t number, uint32_t value)
{
    if (value != 0) wire_put_varint_field(writer, number, value);
}

/* Enums are int32: negative numbers take ten bytes. */
static void put_enum(struct wire_writer *writer, uint32_t number, int32_t value)
{
    if (value != 0) wire_put_varint_field(writer, number, (uint64_t)(int64_t)value);
}

static void put_text(struct wire_writer *writer, uint32_t number, struct slice text)
{
    if (text.len > 0) wire_put_bytes_field(writer, number, text);
}

static void put_time(struct wire_writer *writer, uint32_t number, uint64_t time_ns)
{
    if (time_ns != 0) wire_put_fixed64_field(writer, number, time_ns);
}

void span_write_tail(struct wire_writer *writer, const struct span_head *head)
{
    if (head->flags != 0) wire_put_fixed32_field(writer, 16, head->flags);
    if (head->status_present) {
        const size_t mark = writer->len;
        put_enum(writer, 3, head->status_code);
        put_text(writer, 2, head->status_message);
        wire_close_message(writer, 15, mark);
    }
    put_uint32(writer, 14, head->dropped_links_count);
}

void span_write_middle(struct wire_writer *writer, const struct span_head *head)
{
    put_uint32(writer, 12, head->dropped_events_count);
}

void span_write_dropped_attributes(struct wire_writer *writer, const struct span_head *head)
{
    put_uint32(writer, 10, head->dropped_attributes_count);
}

void span_write_head(struct wire_writer *writer, const struct span_head *head)
{
    put_time(writer, 8, head->end_ns);
    put_time(writer, 7, head->start_ns);
    put_enum(writer, 6, head->kind);
    put_text(writer, 5, head->name);
    if (head->parent_span_id != NULL)
        wire_put_bytes_field(writer, 4,
                             slice_of(head->parent_span_id->bytes, sizeof head->parent_span_id->bytes));
    put_text(writer, 3, head->trace_state);
    wire_put_bytes_field(writer, 2, slice_of(head->span_id->bytes, sizeof head->span_id->bytes));
    wire_put_bytes_field(writer, 1, slice_of(head->trace_id->bytes, sizeof head->trace_id->bytes));
}

void event_write_tail(struct wire_writer *writer, uint32_t dropped_attributes_count)
{
    put_uint32(writer, 4, dropped_attributes_count);
}

void event_write_head(struct wire_writer *writer, uint64_t time_ns, struct slice name)
{
    put_text(writer, 2, name);
    put_time(writer, 1, time_ns);
}

void link_write_tail(struct wire_writer *writer, uint32_t flags, uint32_t dropped_attributes_count)
{
    if (flags != 0) wire_put_fixed32_field(writer, 6, flags);
    put_uint32(writer, 5, dropped_attributes_count);
}

void link_write_head(struct wire_writer *writer, const struct trace_id *trace_id,
                     const struct span_id *span_id, struct slice trace_state)
{
    put_text(writer, 3, trace_state);
    if (span_id != NULL) wire_put_bytes_field(writer, 2, slice_of(span_id->bytes, sizeof span_id->bytes));
    if (trace_id != NULL) wire_put_bytes_field(writer, 1, slice_of(trace_id->bytes, sizeof trace_id->bytes));
}
