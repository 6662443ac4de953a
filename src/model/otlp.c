/*
 * Decodes OTLP trace bytes in one pass. Each level first scans the tags of its message (lengths only),
 * because the fields that describe a group (resource, scope, schema_url) may stand behind the group itself;
 * then it walks the group. The scan of ScopeSpans also counts spans, so that a flood of empty ones is refused
 * before any work.
 *
 *   TracesData -> ResourceSpans -> ScopeSpans -> Span -> (attributes, events, links as raw slices)
 *
 * Nothing is recursive and nothing is allocated: four message levels are four functions, and what nests
 * without bound (AnyValue) is checked by value_check() with an explicit stack. Field numbers:
 * opentelemetry-proto, trace/v1/trace.proto, common/v1/common.proto, resource/v1/resource.proto.
 */
#include "model/otlp.h"

#include "base/assert.h"
#include "codec/wire.h"

#include <stdlib.h>

struct otlp_decoder {
    struct slice attributes[OTLP_ATTRIBUTES_MAX];
    struct slice events[OTLP_EVENTS_MAX];
    struct slice links[OTLP_LINKS_MAX];
    uint8_t merged_resource[OTLP_ENVELOPE_BYTES_MAX]; /* only when a sub-message came in pieces */
    uint8_t merged_scope[OTLP_ENVELOPE_BYTES_MAX];
};

/* One call of otlp_decode(). */
struct walk {
    struct otlp_decoder *decoder;
    const struct otlp_sink *sink;
    void *context;
    struct otlp_result *result;
    uint32_t spans_seen;
    bool rejecting; /* below a resource or scope that was rejected */
};

enum err otlp_decoder_open(struct otlp_decoder **out)
{
    struct otlp_decoder *const decoder = calloc(1, sizeof *decoder);

    if (decoder == NULL) return ERR_NO_MEMORY;
    *out = decoder;
    return OK;
}

void otlp_decoder_close(struct otlp_decoder *decoder)
{
    free(decoder);
}

static enum err malformed(struct otlp_fault *fault, const char *reason, const uint8_t *at)
{
    fault->reason = reason;
    fault->at = at;
    return ERR_MALFORMED;
}

static enum err too_large(struct otlp_fault *fault, const char *reason, const uint8_t *at)
{
    fault->reason = reason;
    fault->at = at;
    return ERR_TOO_LARGE;
}

/* The value of a known field must have its declared wire type (B8). */
#define EXPECT(condition, why)                                                                               \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0)) return malformed(fault, (why), start);                        \
    } while (0)

/* ---- ids and scalars ------------------------------------------------------------------------------------
 */

static bool read_uint32(struct wire_reader *reader, uint32_t type, uint32_t *out)
{
    uint64_t value;

    if (type != WIRE_VARINT || !wire_varint(reader, &value)) return false;
    *out = (uint32_t)value; /* protobuf keeps the low 32 bits */
    return true;
}

static bool read_slice(struct wire_reader *reader, uint32_t type, struct slice *out)
{
    return type == WIRE_BYTES && wire_bytes(reader, out);
}

/* ---- Span -----------------------------------------------------------------------------------------------
 */

static enum err decode_status(struct slice message, struct span_view *out, struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "Status: bad field tag");
        if (number == 2) {
            EXPECT(read_slice(&reader, type, &out->status_message),
                   "Status.message: not a string within its message");
        } else if (number == 3) {
            uint32_t code = 0;
            EXPECT(read_uint32(&reader, type, &code), "Status.code: not a varint");
            out->status_code = (int32_t)code;
        } else {
            EXPECT(wire_skip(&reader, type), "Status: unknown field is cut or malformed");
        }
    }
    return OK;
}

/* Where the ids of a span came from, judged when the whole span has been read. */
struct span_ids {
    struct slice trace, span, parent;
};

static void keep(struct slice *list, uint32_t *count, uint32_t max, struct slice item, uint32_t *dropped,
                 uint32_t *cut)
{
    if (__builtin_expect(*count < max, 1)) {
        list[(*count)++] = item;
    } else {
        (*dropped)++;
        (*cut)++;
    }
}

/* The rare fields of a span, and those with tags that do not look as expected. */
static enum err decode_span_field(struct wire_reader *reader, struct span_view *out, struct otlp_fault *fault)
{
    const uint8_t *const start = reader->at;
    struct slice bytes;
    uint32_t number, type;

    EXPECT(wire_tag(reader, &number, &type), "Span: bad field tag");
    switch (number) {
    case 1: return malformed(fault, "Span.trace_id: not bytes within the span", start);
    case 2: return malformed(fault, "Span.span_id: not bytes within the span", start);
    case 4: return malformed(fault, "Span.parent_span_id: not bytes within the span", start);
    case 5: return malformed(fault, "Span.name: not a string within the span", start);
    case 7: return malformed(fault, "Span.start_time_unix_nano: not a fixed64", start);
    case 8: return malformed(fault, "Span.end_time_unix_nano: not a fixed64", start);
    case 9: return malformed(fault, "Span.attributes: not a message within the span", start);
    case 11: return malformed(fault, "Span.events: not a message within the span", start);
    case 13: return malformed(fault, "Span.links: not a message within the span", start);
    case 3:
        EXPECT(read_slice(reader, type, &out->trace_state), "Span.trace_state: not a string within the span");
        return OK;
    case 6: {
        uint32_t kind = 0;
        EXPECT(read_uint32(reader, type, &kind), "Span.kind: not a varint");
        out->kind = (int32_t)kind;
        return OK;
    }
    case 10:
        EXPECT(read_uint32(reader, type, &out->dropped_attributes_count),
               "Span.dropped_attributes_count: not a varint");
        return OK;
    case 12:
        EXPECT(read_uint32(reader, type, &out->dropped_events_count),
               "Span.dropped_events_count: not a varint");
        return OK;
    case 14:
        EXPECT(read_uint32(reader, type, &out->dropped_links_count),
               "Span.dropped_links_count: not a varint");
        return OK;
    case 15:
        EXPECT(read_slice(reader, type, &bytes), "Span.status: not a message within the span");
        out->status_present = true;
        return decode_status(bytes, out, fault);
    case 16:
        EXPECT(type == WIRE_FIXED32 && wire_fixed32(reader, &out->flags), "Span.flags: not a fixed32");
        return OK;
    default: EXPECT(wire_skip(reader, type), "Span: unknown field is cut or malformed"); return OK;
    }
}

#define TAG(number, type) ((number) << 3 | (type))

/*
 * The usual case, a run of attributes of less than 128 bytes each: returns where the run ends, `at` itself when the
 * first is something else.
 */
static inline const uint8_t *short_attributes(const uint8_t *at, const uint8_t *end, struct slice *list,
                                              uint32_t *count)
{
    uint32_t used = *count;

    while (end - at >= 2 && at[0] == TAG(9, WIRE_BYTES) && at[1] < 0x80 && end - at - 2 >= at[1] &&
           used < OTLP_ATTRIBUTES_MAX) {
        list[used++] = slice_of(at + 2, at[1]);
        at += 2 + at[1];
    }
    *count = used;
    return at;
}

/*
 * The frequent fields are told by their whole tag byte, number and wire type in one jump; whatever fails here
 * is looked at again by decode_span_field(), which knows what to say about it.
 */
static enum err decode_span(struct otlp_decoder *decoder, struct slice message, struct span_view *out,
                            struct span_ids *ids, struct otlp_fault *fault)
{
    const uint8_t *at = message.ptr;
    const uint8_t *const end = message.ptr + message.len;
    uint32_t cut_attributes = 0, cut_events = 0, cut_links = 0;

    memset(out, 0, sizeof *out);
    memset(ids, 0, sizeof *ids);
    while (at < end) {
        struct wire_reader reader = {at + 1, end};
        struct slice bytes;
        bool good = false;
        switch (*at) {
        case TAG(9, WIRE_BYTES):
            reader.at = short_attributes(at, end, decoder->attributes, &out->attributes_count);
            good = reader.at > at;
            if (good) break;
            reader.at = at + 1;
            good = wire_bytes(&reader, &bytes);
            if (__builtin_expect(good, 1))
                keep(decoder->attributes, &out->attributes_count, OTLP_ATTRIBUTES_MAX, bytes, &cut_attributes,
                     &out->cut);
            break;
        case TAG(1, WIRE_BYTES): good = wire_bytes(&reader, &ids->trace); break;
        case TAG(2, WIRE_BYTES): good = wire_bytes(&reader, &ids->span); break;
        case TAG(4, WIRE_BYTES): good = wire_bytes(&reader, &ids->parent); break;
        case TAG(5, WIRE_BYTES): good = wire_bytes(&reader, &out->name); break;
        case TAG(7, WIRE_FIXED64): good = wire_fixed64(&reader, &out->start_ns); break;
        case TAG(8, WIRE_FIXED64): good = wire_fixed64(&reader, &out->end_ns); break;
        case TAG(11, WIRE_BYTES):
            good = wire_bytes(&reader, &bytes);
            if (good)
                keep(decoder->events, &out->events_count, OTLP_EVENTS_MAX, bytes, &cut_events, &out->cut);
            break;
        case TAG(13, WIRE_BYTES):
            good = wire_bytes(&reader, &bytes);
            if (good) keep(decoder->links, &out->links_count, OTLP_LINKS_MAX, bytes, &cut_links, &out->cut);
            break;
        default: break;
        }
        if (__builtin_expect(!good, 0)) {
            reader.at = at;
            TRY(decode_span_field(&reader, out, fault));
        }
        at = reader.at;
    }
    out->dropped_attributes_count = otlp_dropped(out->dropped_attributes_count, cut_attributes);
    out->dropped_events_count = otlp_dropped(out->dropped_events_count, cut_events);
    out->dropped_links_count = otlp_dropped(out->dropped_links_count, cut_links);
    out->attributes = decoder->attributes;
    out->events = decoder->events;
    out->links = decoder->links;
    return OK;
}

/* Ids that can never be accepted (B3). NULL: they are fine and copied into the view. */
static const char *judge_ids(const struct span_ids *ids, struct span_view *out)
{
    if (ids->trace.len != sizeof out->trace_id.bytes) return "Span.trace_id: must have 16 bytes";
    memcpy(out->trace_id.bytes, ids->trace.ptr, sizeof out->trace_id.bytes);
    if (trace_id_is_zero(&out->trace_id)) return "Span.trace_id: must not be all zeros";
    if (ids->span.len != sizeof out->span_id.bytes) return "Span.span_id: must have 8 bytes";
    memcpy(out->span_id.bytes, ids->span.ptr, sizeof out->span_id.bytes);
    if (span_id_is_zero(&out->span_id)) return "Span.span_id: must not be all zeros";
    if (ids->parent.len == 0) return NULL;
    if (ids->parent.len != sizeof out->parent_span_id.bytes)
        return "Span.parent_span_id: must have 0 or 8 bytes";
    memcpy(out->parent_span_id.bytes, ids->parent.ptr, sizeof out->parent_span_id.bytes);
    out->parent_present = true;
    return NULL;
}

enum err span_decode(struct otlp_decoder *decoder, struct slice message, struct span_view *out,
                     struct otlp_fault *fault)
{
    struct span_ids ids;

    TRY(decode_span(decoder, message, out, &ids, fault));
    const char *const reason = judge_ids(&ids, out);
    return reason == NULL ? OK : malformed(fault, reason, message.ptr);
}

/* ---- the walk -------------------------------------------------------------------------------------------
 */

/* reason NULL: it was told where the resource or scope was announced. */
static enum err reject(struct walk *walk, const struct span_view *view, enum otlp_rejection why,
                       const char *reason, const uint8_t *at)
{
    if (walk->result->rejected++ == 0 && reason != NULL) {
        walk->result->rejection.reason = reason;
        walk->result->rejection.at = at;
    }
    if (walk->sink->on_rejected == NULL) return OK;
    const enum err err = walk->sink->on_rejected(walk->context, view->start_ns, why);
    if (err != OK) {
        walk->result->fault.reason = "no room to note what was rejected";
        walk->result->fault.at = at;
    }
    return err;
}

enum { AHEAD_BYTES_MAX = 1024 };

/*
 * Where a field begins is known when the length of the one before has been read, so that a processor cannot look ahead by
 * itself. The next span is probably as long as this one, and right behind it. (Beyond the body nothing is loaded.)
 */
static inline void load_ahead(struct slice message)
{
    const uint8_t *const next = message.ptr + message.len;
    const size_t len = message.len < AHEAD_BYTES_MAX ? message.len : AHEAD_BYTES_MAX;

    for (size_t at = 0; at < len; at += 64)
        __builtin_prefetch(next + at);
}

static enum err walk_span(struct walk *walk, struct slice message)
{
    struct otlp_fault *const fault = &walk->result->fault;
    struct span_view view;
    struct span_ids ids;

    load_ahead(message);
    TRY(decode_span(walk->decoder, message, &view, &ids, fault));
    if (walk->rejecting) return reject(walk, &view, OTLP_REJECTED_CONTENT, NULL, message.ptr);
    const char *const reason = judge_ids(&ids, &view);
    if (__builtin_expect(reason != NULL, 0))
        return reject(walk, &view, OTLP_REJECTED_IDS, reason, message.ptr);
    struct otlp_fault why = {0};
    const enum err err = walk->sink->on_span(walk->context, &view, &why);
    if (__builtin_expect(err == OK, 1)) {
        walk->result->spans++;
        return OK;
    }
    if (why.at == NULL) why.at = message.ptr;
    if (err == ERR_UNSUPPORTED) return reject(walk, &view, OTLP_REJECTED_CONTENT, why.reason, why.at);
    *fault = why;
    return err;
}

/* A sub-message that came in several pieces means their concatenation. */
static enum err merge(struct slice *whole, struct slice piece, uint8_t *room, struct otlp_fault *fault)
{
    if (piece.len > OTLP_ENVELOPE_BYTES_MAX - whole->len)
        return too_large(fault, "Resource or InstrumentationScope larger than 1 MiB", piece.ptr);
    if (whole->len == 0) {
        *whole = piece;
        return OK;
    }
    if (piece.len == 0) return OK;
    if (whole->ptr != room) memcpy(room, whole->ptr, whole->len);
    memcpy(room + whole->len, piece.ptr, piece.len);
    whole->ptr = room;
    whole->len += piece.len;
    return OK;
}

static enum err scan_scope_spans(struct walk *walk, struct slice message, struct scope_view *scope)
{
    struct otlp_fault *const fault = &walk->result->fault;
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "ScopeSpans: bad field tag");
        if (number == 2) {
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &bytes),
                   "ScopeSpans.spans: not a message within its scope");
            if (++walk->spans_seen > OTLP_SPANS_MAX)
                return too_large(fault, "more than 100000 spans in a request", start);
        } else if (number == 1) {
            EXPECT(read_slice(&reader, type, &bytes), "ScopeSpans.scope: not a message within its parent");
            scope->present = true;
            TRY(merge(&scope->message, bytes, walk->decoder->merged_scope, fault));
        } else if (number == 3) {
            EXPECT(read_slice(&reader, type, &scope->schema_url),
                   "ScopeSpans.schema_url: not a string within its parent");
        } else {
            EXPECT(wire_skip(&reader, type), "ScopeSpans: unknown field is cut or malformed");
        }
    }
    return OK;
}

/* Tells the sink of a resource or scope; what it refuses for ever is remembered for the spans below. */
static enum err announced(struct walk *walk, enum err err, struct otlp_fault why, const uint8_t *at)
{
    if (err == OK) return OK;
    if (why.at == NULL) why.at = at;
    if (err != ERR_UNSUPPORTED) {
        walk->result->fault = why;
        return err;
    }
    walk->rejecting = true;
    if (walk->result->rejection.reason == NULL) walk->result->rejection = why;
    return OK;
}

static enum err walk_scope_spans(struct walk *walk, struct slice message)
{
    struct scope_view scope = {0};
    const bool rejecting = walk->rejecting;
    uint32_t number = 0, type = 0;

    TRY(scan_scope_spans(walk, message, &scope));
    if (!rejecting) {
        struct otlp_fault why = {0};
        const enum err err = walk->sink->on_scope(walk->context, &scope, &why);
        TRY(announced(walk, err, why, message.ptr));
    }
    for (struct wire_reader reader = wire_reader_of(message); reader.at < reader.end;) {
        struct slice bytes;
        const bool tag_ok = wire_tag(&reader, &number, &type);
        assert(tag_ok); /* the scan has been here */
        if (number == 2) {
            const bool bytes_ok = wire_bytes(&reader, &bytes);
            assert(bytes_ok);
            TRY(walk_span(walk, bytes));
        } else {
            wire_skip(&reader, type);
        }
    }
    walk->rejecting = rejecting;
    return OK;
}

enum { FIELD_SCOPE_SPANS = 2, FIELD_LEGACY_LIBRARY_SPANS = 1000 };

static enum err scan_resource_spans(struct walk *walk, struct slice message, struct resource_view *resource,
                                    uint32_t *group_field)
{
    struct otlp_fault *const fault = &walk->result->fault;
    struct wire_reader reader = wire_reader_of(message);
    bool modern = false;

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "ResourceSpans: bad field tag");
        if (number == FIELD_SCOPE_SPANS || number == FIELD_LEGACY_LIBRARY_SPANS) {
            EXPECT(read_slice(&reader, type, &bytes),
                   "ResourceSpans.scope_spans: not a message within its parent");
            if (number == FIELD_SCOPE_SPANS) modern = true;
        } else if (number == 1) {
            EXPECT(read_slice(&reader, type, &bytes),
                   "ResourceSpans.resource: not a message within its parent");
            resource->present = true;
            TRY(merge(&resource->message, bytes, walk->decoder->merged_resource, fault));
        } else if (number == 3) {
            EXPECT(read_slice(&reader, type, &resource->schema_url),
                   "ResourceSpans.schema_url: not a string within its parent");
        } else {
            EXPECT(wire_skip(&reader, type), "ResourceSpans: unknown field is cut or malformed");
        }
    }
    /* Senders older than 2022 put their spans into field 1000, of the same layout. */
    *group_field = modern ? FIELD_SCOPE_SPANS : FIELD_LEGACY_LIBRARY_SPANS;
    return OK;
}

static enum err walk_resource_spans(struct walk *walk, struct slice message)
{
    struct resource_view resource = {0};
    struct otlp_fault why = {0};
    uint32_t group_field = 0, number = 0, type = 0;

    TRY(scan_resource_spans(walk, message, &resource, &group_field));
    const enum err err = walk->sink->on_resource(walk->context, &resource, &why);
    TRY(announced(walk, err, why, message.ptr));
    for (struct wire_reader reader = wire_reader_of(message); reader.at < reader.end;) {
        struct slice bytes;
        const bool tag_ok = wire_tag(&reader, &number, &type);
        assert(tag_ok);
        if (number == group_field) {
            const bool bytes_ok = wire_bytes(&reader, &bytes);
            assert(bytes_ok);
            TRY(walk_scope_spans(walk, bytes));
        } else {
            wire_skip(&reader, type);
        }
    }
    walk->rejecting = false;
    return OK;
}

static enum err walk_body(struct walk *walk, struct slice body)
{
    struct otlp_fault *const fault = &walk->result->fault;
    struct wire_reader reader = wire_reader_of(body);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "ExportTraceServiceRequest: bad field tag");
        if (number == 1) {
            EXPECT(read_slice(&reader, type, &bytes),
                   "ExportTraceServiceRequest.resource_spans: not a message within the body");
            TRY(walk_resource_spans(walk, bytes));
        } else {
            EXPECT(wire_skip(&reader, type), "ExportTraceServiceRequest: unknown field is cut or malformed");
        }
    }
    return OK;
}

static void locate(struct otlp_fault *fault, struct slice body)
{
    const bool inside = fault->at != NULL && fault->at >= body.ptr && fault->at <= body.ptr + body.len;

    fault->offset = inside ? (uint64_t)(fault->at - body.ptr) : 0;
}

enum err otlp_decode(struct otlp_decoder *decoder, struct slice body, const struct otlp_sink *sink,
                     void *context, struct otlp_result *result)
{
    struct walk walk = {.decoder = decoder, .sink = sink, .context = context, .result = result};

    *result = (struct otlp_result){0};
    if (body.len == 0) return OK;
    const enum err err = walk_body(&walk, body);
    locate(&result->fault, body);
    locate(&result->rejection, body);
    return err;
}
