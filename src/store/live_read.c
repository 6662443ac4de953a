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

static void write_attributes(const struct live_block *live, uint32_t first, uint32_t count, uint32_t field,
                             struct wire_writer *writer)
{
    for (uint32_t i = count; i-- > 0;) {
        const struct attribute attribute = live_attribute(live, live->slots[first + i]);
        const size_t mark = writer->len;
        attribute_write(writer, &attribute);
        wire_close_message(writer, field, mark);
    }
}

void live_span_write(const struct live_block *live, uint32_t index, struct wire_writer *writer)
{
    const struct live_row *const row = &live->rows[index];
    struct span_head head = {
        .trace_id = &row->trace_id,
        .span_id = &row->span_id,
        .parent_span_id = row->bits & ROW_PARENT_PRESENT ? &row->parent_span_id : NULL,
        .trace_state = live_pair_bytes(live, row->trace_state),
        .name = live_pair_bytes(live, row->name),
        .status_message = live_pair_bytes(live, row->status_message),
        .kind = row->kind,
        .status_code = row->status_code,
        .status_present = (row->bits & ROW_STATUS_PRESENT) != 0,
        .flags = row->flags,
        .start_ns = row->start_ns,
        .end_ns = row->end_ns,
        .dropped_attributes_count = row->dropped_attributes_count,
        .dropped_events_count = row->dropped_events_count,
        .dropped_links_count = row->dropped_links_count,
    };

    span_write_tail(writer, &head);
    for (uint32_t i = row->links_count; i-- > 0;) {
        const struct live_link *const link = &live->links[row->links_first + i];
        const size_t mark = writer->len;
        link_write_tail(writer, link->flags, link->dropped_attributes_count);
        write_attributes(live, link->slots_first, link->slots_count, 4, writer);
        link_write_head(writer, link->bits & LINK_TRACE_PRESENT ? &link->trace_id : NULL,
                        link->bits & LINK_SPAN_PRESENT ? &link->span_id : NULL,
                        live_pair_bytes(live, link->trace_state));
        wire_close_message(writer, 13, mark);
    }
    span_write_middle(writer, &head);
    for (uint32_t i = row->events_count; i-- > 0;) {
        const struct live_event *const event = &live->events[row->events_first + i];
        const size_t mark = writer->len;
        event_write_tail(writer, event->dropped_attributes_count);
        write_attributes(live, event->slots_first, event->slots_count, 3, writer);
        event_write_head(writer, event->time_ns, live_pair_bytes(live, event->name));
        wire_close_message(writer, 11, mark);
    }
    span_write_dropped_attributes(writer, &head);
    write_attributes(live, row->slots_first, row->slots_count, 9, writer);
    span_write_head(writer, &head);
}
