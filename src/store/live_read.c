/*
 * Live block: reading. Turns pairs back into attributes and rows back into OTLP Span messages. Everything
 * here works on published rows only and takes no lock.
 */
#include "live_writer.h"

#include "base/assert.h"
#include "codec/wire.h"
#include "model/span_write.h"

struct slice live_pair_bytes(const struct live_block *live, uint32_t pair)
{
    const uint64_t value = live->pairs[pair].value;

    return pair == 0 ? (struct slice){0} : live_bytes(live, (uint32_t)(value >> 32), (uint32_t)value);
}

struct attribute live_attribute(const struct live_block *live, uint32_t pair)
{
    const struct live_pair *const at = &live->pairs[pair];
    const struct live_column *const column = &live->columns[at->column];
    struct attribute attribute = {.key = live_bytes(live, column->key_offset, column->key_len),
                                  .type = (enum value_type)column->type};

    if (attribute.type == VALUE_BOOL || attribute.type == VALUE_INT || attribute.type == VALUE_DOUBLE)
        attribute.bits = at->value;
    else
        attribute.bytes = live_pair_bytes(live, pair);
    return attribute;
}

/* values: the pairs of what varies in the shape, in order. */
static void write_attributes(const struct live_block *live, uint32_t shape, const uint32_t *values,
                             uint32_t field, struct wire_writer *writer)
{
    const struct live_shape *const at = &live->shapes[shape];
    uint32_t varying = at->varying;

    for (uint32_t i = at->count; i-- > 0;) {
        const uint32_t constant = live->shape_items[at->first + i].constant;
        const struct attribute attribute = live_attribute(live, constant != 0 ? constant : values[--varying]);
        const size_t mark = writer->len;
        attribute_write(writer, &attribute);
        wire_close_message(writer, field, mark);
    }
}

static void write_link(const struct live_block *live, const struct live_link *link,
                       struct wire_writer *writer)
{
    const size_t mark = writer->len;

    link_write_tail(writer, link->flags, link->dropped_attributes_count);
    write_attributes(live, link->shape, live->slots + link->slots_first, 4, writer);
    link_write_head(writer, link->bits & LINK_TRACE_PRESENT ? &link->trace_id : NULL,
                    link->bits & LINK_SPAN_PRESENT ? &link->span_id : NULL,
                    live_pair_bytes(live, link->trace_state));
    wire_close_message(writer, 13, mark);
}

static void write_event(const struct live_block *live, const struct live_event *event,
                        struct wire_writer *writer)
{
    const struct live_event_pattern *const pattern = &live->event_patterns[event->pattern];
    const size_t mark = writer->len;

    event_write_tail(writer, pattern->dropped_attributes_count);
    write_attributes(live, pattern->shape, live->slots + event->slots_first, 3, writer);
    event_write_head(writer, event->time_ns, live_pair_bytes(live, pattern->name));
    wire_close_message(writer, 11, mark);
}

void live_span_write(const struct live_block *live, uint32_t index, struct wire_writer *writer)
{
    const struct live_row *const row = &live->rows[index];
    const struct live_parts parts = live_parts(live, row);
    const struct live_pattern *const pattern = parts.pattern;
    const struct span_head head = {
        .trace_id = &row->trace_id,
        .span_id = &row->span_id,
        .parent_span_id = pattern->bits & ROW_PARENT_PRESENT ? &row->parent_span_id : NULL,
        .trace_state = live_pair_bytes(live, parts.trace_state),
        .name = live_pair_bytes(live, pattern->name),
        .status_message = live_pair_bytes(live, parts.status_message),
        .kind = pattern->kind,
        .status_code = pattern->status_code,
        .status_present = (pattern->bits & ROW_STATUS_PRESENT) != 0,
        .flags = pattern->flags,
        .start_ns = row->start_ns,
        .end_ns = row->end_ns,
        .dropped_attributes_count = pattern->dropped_attributes_count,
        .dropped_events_count = pattern->dropped_events_count,
        .dropped_links_count = pattern->dropped_links_count,
    };

    span_write_tail(writer, &head);
    for (uint32_t i = row->links_count; i-- > 0;)
        write_link(live, &live->links[parts.links_first + i], writer);
    span_write_middle(writer, &head);
    for (uint32_t i = row->events_count; i-- > 0;)
        write_event(live, &live->events[row->events_first + i], writer);
    span_write_dropped_attributes(writer, &head);
    write_attributes(live, pattern->shape, parts.values, 9, writer);
    span_write_head(writer, &head);
}
