/*
 * Writing OTLP Span messages backwards, from the parts that a store keeps. The order of calls is the reverse
 * of the order of fields:
 *
 *   span_write_tail()                 flags, status, dropped_links_count
 *   each link from last to first:     link_write_tail(), its attributes, link_write_head(),
 * wire_close_message(.., 13, ..) span_write_middle()               dropped_events_count each event from last
 * to first:    event_write_tail(), its attributes, event_write_head(), wire_close_message(.., 11, ..)
 *   span_write_dropped_attributes()
 *   each attribute from last to first: attribute_write(), wire_close_message(.., 9, ..)
 *   span_write_head()                 ids, name, kind, times
 *
 * Zero scalars and empty strings are left out, as proto3 does.
 */
#ifndef MODEL_SPAN_WRITE_H
#define MODEL_SPAN_WRITE_H

#include "codec/wire.h"
#include "model/trace.h"

struct span_head {
    const struct trace_id *trace_id;
    const struct span_id *span_id;
    const struct span_id *parent_span_id; /* NULL: none */
    struct slice trace_state, name, status_message;
    int32_t kind, status_code;
    bool status_present;
    uint32_t flags;
    uint64_t start_ns, end_ns;
    uint32_t dropped_attributes_count, dropped_events_count, dropped_links_count;
};

void span_write_tail(struct wire_writer *writer, const struct span_head *head);
void span_write_middle(struct wire_writer *writer, const struct span_head *head);
void span_write_dropped_attributes(struct wire_writer *writer, const struct span_head *head);
void span_write_head(struct wire_writer *writer, const struct span_head *head);

void event_write_tail(struct wire_writer *writer, uint32_t dropped_attributes_count);
void event_write_head(struct wire_writer *writer, uint64_t time_ns, struct slice name);
void link_write_tail(struct wire_writer *writer, uint32_t flags, uint32_t dropped_attributes_count);
/* Ids may be NULL: absent. */
void link_write_head(struct wire_writer *writer, const struct trace_id *trace_id,
                     const struct span_id *span_id, struct slice trace_state);

#endif
