/*
 * OTLP trace bytes (ExportTraceServiceRequest / TracesData, protobuf) in one pass without objects: everything
 * handed out is a slice of the body. The decoder is pure, iterative, and refuses what faults could hide in:
 * lengths beyond their message, varints over ten bytes, field number 0, wrong wire types for known fields.
 *
 *   otlp_decode(body, sink)  ->  sink.on_resource, then sink.on_scope, then sink.on_span for each of its
 * spans, ...
 *
 * Attributes, events and links of a span come as raw message bytes; whoever stores them decodes each distinct
 * one once with attribute_decode(), event_decode(), link_decode(). That is why a hit in an intern table is
 * also a proof of validity.
 *
 * Fields in any order, repeated singular fields (last wins, sub-messages merge), unknown fields of every wire
 * type and groups (skipped with a counter) follow the protobuf rules.
 */
#ifndef MODEL_OTLP_H
#define MODEL_OTLP_H

#include "base/err.h"
#include "model/trace.h"

enum {
    OTLP_SPANS_MAX = 100000,    /* per request; beyond: ERR_TOO_LARGE */
    OTLP_ATTRIBUTES_MAX = 1024, /* per span, event, link; further ones are cut and counted */
    OTLP_EVENTS_MAX = 1024,
    OTLP_LINKS_MAX = 1024,
    OTLP_KEY_BYTES_MAX = 1024, /* longer: the attribute is cut and counted */
    OTLP_VALUE_BYTES_MAX = 64 * 1024,
    OTLP_DEPTH_MAX = 32,               /* levels of AnyValue; deeper: the span is rejected */
    OTLP_ENVELOPE_BYTES_MAX = 1 << 20, /* a Resource or Scope message; larger: ERR_TOO_LARGE */
};

/* Why the body was refused as a whole, or the first span that was rejected. */
struct otlp_fault {
    const char *reason; /* static text naming the message and field; NULL when none */
    const uint8_t *at;  /* the offending byte, inside what was given to the function; may be NULL */
    uint64_t offset;    /* filled in by otlp_decode(): byte of the (inflated) body */
};

/* ResourceSpans without its scope_spans. */
struct resource_view {
    struct slice message; /* Resource message bytes, as sent (several: concatenated, which merges them) */
    bool present;         /* the field was there, perhaps empty */
    struct slice schema_url;
};
/* ScopeSpans without its spans. */
struct scope_view {
    struct slice message; /* InstrumentationScope */
    bool present;
    struct slice schema_url;
};

struct span_view {
    struct trace_id trace_id;
    struct span_id span_id;
    struct span_id parent_span_id; /* zeros: root */
    bool parent_present;           /* eight bytes were sent, perhaps zeros */
    bool status_present;
    int32_t kind;
    int32_t status_code;
    uint32_t flags;
    uint32_t dropped_attributes_count, dropped_events_count, dropped_links_count;
    uint32_t cut; /* attributes, events and links beyond the limits (already added to the dropped counts) */
    uint64_t start_ns, end_ns;
    struct slice trace_state, name, status_message;
    const struct slice *attributes; /* raw KeyValue messages */
    const struct slice *events;     /* raw Span.Event messages */
    const struct slice *links;      /* raw Span.Link messages */
    uint32_t attributes_count, events_count, links_count;
};

struct event_view {
    uint64_t time_ns;
    uint32_t times; /* how often the field was there: the last one counts */
    struct slice name;
    uint32_t dropped_attributes_count;
    uint32_t cut;
    uint32_t attributes_count;
    const struct slice *attributes; /* points into the caller's scratch */
};

struct link_view {
    struct trace_id trace_id;
    struct span_id span_id;
    bool trace_id_present, span_id_present;
    struct slice trace_state;
    uint32_t flags;
    uint32_t dropped_attributes_count;
    uint32_t cut;
    uint32_t attributes_count;
    const struct slice *attributes;
};

enum otlp_rejection {
    OTLP_REJECTED_IDS,     /* an id that no span can have */
    OTLP_REJECTED_CONTENT, /* the sink cannot keep it, or its resource or scope */
};

struct otlp_sink {
    /*
     * Each may fail with ERR_MALFORMED, ERR_TOO_LARGE, ERR_FULL ..., after setting *fault: the walk ends with
     * that error. ERR_UNSUPPORTED rejects for ever only this span, or the spans below this resource or scope.
     */
    enum err (*on_resource)(void *context, const struct resource_view *resource, struct otlp_fault *fault);
    enum err (*on_scope)(void *context, const struct scope_view *scope, struct otlp_fault *fault);
    enum err (*on_span)(void *context, const struct span_view *span, struct otlp_fault *fault);
    /* A span below the last resource was rejected; may be NULL. After a resource that was, it is below none. */
    enum err (*on_rejected)(void *context, uint64_t start_ns, enum otlp_rejection why);
};

struct otlp_result {
    uint32_t spans;              /* accepted by the sink */
    uint32_t rejected;           /* invalid for ever: ids, nesting */
    struct otlp_fault rejection; /* the first rejected span */
    struct otlp_fault fault;     /* set when otlp_decode fails */
};

/* A dropped count with what we cut ourselves; stays at its largest instead of wrapping. */
static inline uint32_t otlp_dropped(uint32_t sent, uint32_t cut)
{
    return sent > UINT32_MAX - cut ? UINT32_MAX : sent + cut;
}

/* Scratch of one decoding thread; about 100 KiB plus room to merge split envelopes. */
struct otlp_decoder;
enum err otlp_decoder_open(struct otlp_decoder **out);
void otlp_decoder_close(struct otlp_decoder *decoder);

/* result is always filled in. Pure: calls nothing but the sink. */
enum err otlp_decode(struct otlp_decoder *decoder, struct slice body, const struct otlp_sink *sink,
                     void *context, struct otlp_result *result);

/* The pieces, each over one message's bytes. On failure *fault names reason and pointer position within
 * `message`. */
enum err attribute_decode(struct slice message, struct attribute *out, struct otlp_fault *fault);
enum err event_decode(struct slice message, struct slice *scratch /* OTLP_ATTRIBUTES_MAX */,
                      struct event_view *out, struct otlp_fault *fault);
enum err link_decode(struct slice message, struct slice *scratch, struct link_view *out,
                     struct otlp_fault *fault);
/* One Span message alone, e.g. bytes written by span_encode(). The view points into decoder scratch. */
enum err span_decode(struct otlp_decoder *decoder, struct slice message, struct span_view *out,
                     struct otlp_fault *fault);
/*
 * Checks an AnyValue's ArrayValue or KeyValueList bytes: syntax and depth, without recursion. ERR_UNSUPPORTED
 * when nested deeper than OTLP_DEPTH_MAX.
 */
enum err value_check(enum value_type type, struct slice bytes, struct otlp_fault *fault);

/* Every attribute of a Resource or InstrumentationScope message, and its other fields; checks all of them. */
struct envelope_visitor {
    enum err (*on_attribute)(void *context, const struct attribute *attribute); /* may be NULL */
    void *context;
};
enum err resource_check(struct slice message, const struct envelope_visitor *visitor,
                        struct otlp_fault *fault);
enum err scope_check(struct slice message, const struct envelope_visitor *visitor, struct otlp_fault *fault);

/* Writes one KeyValue message body (no tag, no length), backwards. */
struct wire_writer;
void attribute_write(struct wire_writer *writer, const struct attribute *attribute);

#endif
