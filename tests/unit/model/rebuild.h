/*
 * A sink that writes what the decoder tells it as a list of spans in canonical form: the message that span_write.h makes
 * of a span, with the Resource and Scope it came under. It cuts what a store cuts (otlp.h), decodes every attribute,
 * event and link anew, and knows nothing of templates, interning or columns: what a store reads back must be the same
 * bytes.
 */
#ifndef TEST_MODEL_REBUILD_H
#define TEST_MODEL_REBUILD_H

#include "message.h"

#include "model/otlp.h"
#include "model/span_write.h"

struct rebuilt_span {
    struct trace_id trace_id;
    uint64_t start_ns;
    struct slice bytes;       /* owned: the Span message */
    uint32_t resource, scope; /* in rebuilt.envelopes */
    bool cut;
};

struct rebuilt_envelope {
    struct slice message, schema_url; /* owned */
    bool present;
};

struct rebuilt {
    struct rebuilt_span *spans;
    uint32_t spans_count, spans_capacity;
    struct rebuilt_envelope *envelopes; /* resources and scopes, as they came */
    uint32_t envelopes_count, envelopes_capacity;
    uint32_t resource, scope; /* those in force */
    struct slice scratch[OTLP_ATTRIBUTES_MAX];
    struct wire_writer writer;
};

static inline struct slice rebuilt_copy(struct slice bytes)
{
    uint8_t *const copy = malloc(bytes.len > 0 ? bytes.len : 1);

    assert(copy != NULL);
    if (bytes.len > 0) memcpy(copy, bytes.ptr, bytes.len);
    return slice_of(copy, bytes.len);
}

static inline void rebuilt_free(struct rebuilt *rebuilt)
{
    for (uint32_t i = 0; i < rebuilt->spans_count; i++)
        free((void *)(uintptr_t)rebuilt->spans[i].bytes.ptr);
    for (uint32_t i = 0; i < rebuilt->envelopes_count; i++) {
        free((void *)(uintptr_t)rebuilt->envelopes[i].message.ptr);
        free((void *)(uintptr_t)rebuilt->envelopes[i].schema_url.ptr);
    }
    free(rebuilt->spans);
    free(rebuilt->envelopes);
    free(rebuilt->writer.base);
    *rebuilt = (struct rebuilt){0};
}

static inline enum err rebuilt_envelope(struct rebuilt *rebuilt, struct slice message, bool present,
                                        struct slice schema_url, uint32_t *index)
{
    if (rebuilt->envelopes_count == rebuilt->envelopes_capacity) {
        rebuilt->envelopes_capacity = rebuilt->envelopes_capacity * 2 + 16;
        rebuilt->envelopes = realloc(rebuilt->envelopes,
                                     sizeof *rebuilt->envelopes * rebuilt->envelopes_capacity);
        assert(rebuilt->envelopes != NULL);
    }
    rebuilt->envelopes[rebuilt->envelopes_count] = (struct rebuilt_envelope){
        rebuilt_copy(message), rebuilt_copy(schema_url), present};
    *index = rebuilt->envelopes_count++;
    return OK;
}

static inline enum err rebuild_resource(void *context, const struct resource_view *view,
                                        struct otlp_fault *fault)
{
    struct rebuilt *const rebuilt = context;

    TRY(resource_check(view->message, NULL, fault));
    return rebuilt_envelope(rebuilt, view->message, view->present, view->schema_url, &rebuilt->resource);
}

static inline enum err rebuild_scope(void *context, const struct scope_view *view, struct otlp_fault *fault)
{
    struct rebuilt *const rebuilt = context;

    TRY(scope_check(view->message, NULL, fault));
    return rebuilt_envelope(rebuilt, view->message, view->present, view->schema_url, &rebuilt->scope);
}

/* Decodes a list; those within the limits go to the front of `kept`, the others are counted. */
static inline enum err rebuild_list(const struct slice *raw, uint32_t count, struct attribute *kept,
                                    uint32_t *kept_count, uint32_t *cut, struct otlp_fault *fault)
{
    *kept_count = *cut = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct attribute attribute;
        TRY(attribute_decode(raw[i], &attribute, fault));
        if (attribute.key.len > OTLP_KEY_BYTES_MAX || attribute.bytes.len > OTLP_VALUE_BYTES_MAX)
            ++*cut;
        else
            kept[(*kept_count)++] = attribute;
    }
    return OK;
}

static inline void rebuild_attributes(struct wire_writer *writer, uint32_t field,
                                      const struct attribute *list, uint32_t count)
{
    for (uint32_t i = count; i-- > 0;) {
        const size_t mark = writer->len;
        attribute_write(writer, &list[i]);
        wire_close_message(writer, field, mark);
    }
}

static inline enum err rebuild_event(struct rebuilt *rebuilt, struct slice message, bool *cut_any,
                                     struct otlp_fault *fault)
{
    static struct attribute list[OTLP_ATTRIBUTES_MAX];
    struct wire_writer *const writer = &rebuilt->writer;
    const size_t mark = writer->len;
    struct event_view event;
    uint32_t count, cut;

    TRY(event_decode(message, rebuilt->scratch, &event, fault));
    TRY(rebuild_list(event.attributes, event.attributes_count, list, &count, &cut, fault));
    *cut_any |= event.cut > 0 || cut > 0;
    event_write_tail(writer, otlp_dropped(event.dropped_attributes_count, cut));
    rebuild_attributes(writer, 3, list, count);
    event_write_head(writer, event.time_ns, event.name);
    wire_close_message(writer, 11, mark);
    return OK;
}

static inline enum err rebuild_link(struct rebuilt *rebuilt, struct slice message, bool *cut_any,
                                    struct otlp_fault *fault)
{
    static struct attribute list[OTLP_ATTRIBUTES_MAX];
    struct wire_writer *const writer = &rebuilt->writer;
    const size_t mark = writer->len;
    struct link_view link;
    uint32_t count, cut;

    TRY(link_decode(message, rebuilt->scratch, &link, fault));
    TRY(rebuild_list(link.attributes, link.attributes_count, list, &count, &cut, fault));
    *cut_any |= link.cut > 0 || cut > 0;
    link_write_tail(writer, link.flags, otlp_dropped(link.dropped_attributes_count, cut));
    rebuild_attributes(writer, 4, list, count);
    link_write_head(writer, link.trace_id_present ? &link.trace_id : NULL,
                    link.span_id_present ? &link.span_id : NULL, link.trace_state);
    wire_close_message(writer, 13, mark);
    return OK;
}

/* Decodes events and links in the order of the wire, so that the first fault is the one reported. */
static inline enum err rebuild_check_children(struct rebuilt *rebuilt, const struct span_view *view,
                                              struct otlp_fault *fault)
{
    static struct attribute list[OTLP_ATTRIBUTES_MAX];
    struct event_view event;
    struct link_view link;
    uint32_t count, cut;

    for (uint32_t i = 0; i < view->events_count; i++) {
        TRY(event_decode(view->events[i], rebuilt->scratch, &event, fault));
        TRY(rebuild_list(event.attributes, event.attributes_count, list, &count, &cut, fault));
    }
    for (uint32_t i = 0; i < view->links_count; i++) {
        TRY(link_decode(view->links[i], rebuilt->scratch, &link, fault));
        TRY(rebuild_list(link.attributes, link.attributes_count, list, &count, &cut, fault));
    }
    return OK;
}

static inline enum err rebuild_write(struct rebuilt *rebuilt, const struct span_view *view, bool *cut_any,
                                     struct otlp_fault *fault)
{
    static struct attribute list[OTLP_ATTRIBUTES_MAX];
    struct wire_writer *const writer = &rebuilt->writer;
    uint32_t count, cut;

    TRY(rebuild_list(view->attributes, view->attributes_count, list, &count, &cut, fault));
    TRY(rebuild_check_children(rebuilt, view, fault));
    *cut_any |= cut > 0 || view->cut > 0;
    const struct span_head head = {
        .trace_id = &view->trace_id,
        .span_id = &view->span_id,
        .parent_span_id = view->parent_present ? &view->parent_span_id : NULL,
        .trace_state = view->trace_state,
        .name = view->name,
        .status_message = view->status_message,
        .kind = view->kind,
        .status_code = view->status_code,
        .status_present = view->status_present,
        .flags = view->flags,
        .start_ns = view->start_ns,
        .end_ns = view->end_ns,
        .dropped_attributes_count = otlp_dropped(view->dropped_attributes_count, cut),
        .dropped_events_count = view->dropped_events_count,
        .dropped_links_count = view->dropped_links_count,
    };
    span_write_tail(writer, &head);
    for (uint32_t i = view->links_count; i-- > 0;)
        TRY(rebuild_link(rebuilt, view->links[i], cut_any, fault));
    span_write_middle(writer, &head);
    for (uint32_t i = view->events_count; i-- > 0;)
        TRY(rebuild_event(rebuilt, view->events[i], cut_any, fault));
    span_write_dropped_attributes(writer, &head);
    rebuild_attributes(writer, 9, list, count);
    span_write_head(writer, &head);
    return OK;
}

static inline enum err rebuild_span(void *context, const struct span_view *view, struct otlp_fault *fault)
{
    struct rebuilt *const rebuilt = context;
    struct rebuilt_span span = {.trace_id = view->trace_id,
                                .start_ns = view->start_ns,
                                .resource = rebuilt->resource,
                                .scope = rebuilt->scope};

    for (;;) {
        rebuilt->writer.len = 0;
        span.cut = false;
        TRY(rebuild_write(rebuilt, view, &span.cut, fault));
        if (wire_writer_fits(&rebuilt->writer)) break;
        rebuilt->writer.capacity = rebuilt->writer.len * 2;
        rebuilt->writer.base = realloc(rebuilt->writer.base, rebuilt->writer.capacity);
        assert(rebuilt->writer.base != NULL);
    }
    if (rebuilt->spans_count == rebuilt->spans_capacity) {
        rebuilt->spans_capacity = rebuilt->spans_capacity * 2 + 16;
        rebuilt->spans = realloc(rebuilt->spans, sizeof *rebuilt->spans * rebuilt->spans_capacity);
        assert(rebuilt->spans != NULL);
    }
    span.bytes = rebuilt_copy(wire_writer_bytes(&rebuilt->writer));
    rebuilt->spans[rebuilt->spans_count++] = span;
    return OK;
}

static const struct otlp_sink rebuild_sink = {rebuild_resource, rebuild_scope, rebuild_span, NULL};

/* Adds the spans of a body. On failure some of them have been added. */
static inline enum err rebuild(struct otlp_decoder *decoder, struct slice body, struct rebuilt *rebuilt,
                               struct otlp_result *result)
{
    return otlp_decode(decoder, body, &rebuild_sink, rebuilt, result);
}

#endif
