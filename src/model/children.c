/*
 * The small messages around a span: events, links, and the envelopes Resource and InstrumentationScope. Each
 * is decoded or checked on its own, because a repeated one is recognised by its bytes and never looked into
 * again.
 */
#include "model/otlp.h"

#include "codec/wire.h"

static enum err fail(struct otlp_fault *fault, const char *reason, const uint8_t *at)
{
    fault->reason = reason;
    fault->at = at;
    return ERR_MALFORMED;
}

#define EXPECT(condition, why)                                                                               \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0)) return fail(fault, (why), start);                             \
    } while (0)

static void keep(struct slice *scratch, uint32_t *count, struct slice item, uint32_t *cut)
{
    if (*count < OTLP_ATTRIBUTES_MAX)
        scratch[(*count)++] = item;
    else
        (*cut)++;
}

enum err event_decode(struct slice message, struct slice *scratch, struct event_view *out,
                      struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    *out = (struct event_view){.attributes = scratch};
    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint64_t value;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "Span.Event: bad field tag");
        switch (number) {
        case 1:
            EXPECT(type == WIRE_FIXED64 && wire_fixed64(&reader, &out->time_ns),
                   "Span.Event.time_unix_nano: not a fixed64");
            out->times++;
            break;
        case 2:
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &out->name),
                   "Span.Event.name: not a string within the event");
            break;
        case 3:
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &bytes),
                   "Span.Event.attributes: not a message within the event");
            keep(scratch, &out->attributes_count, bytes, &out->cut);
            break;
        case 4:
            EXPECT(type == WIRE_VARINT && wire_varint(&reader, &value),
                   "Span.Event.dropped_attributes_count: not a varint");
            out->dropped_attributes_count = (uint32_t)value;
            break;
        default: EXPECT(wire_skip(&reader, type), "Span.Event: unknown field is cut or malformed");
        }
    }
    out->dropped_attributes_count = otlp_dropped(out->dropped_attributes_count, out->cut);
    return OK;
}

/* An id of a link as the field that was read last has it: that one alone counts (B9). */
struct link_id {
    struct slice bytes;
    const uint8_t *field;
};

static bool read_id(struct wire_reader *reader, uint32_t type, const uint8_t *field, struct link_id *out)
{
    out->field = field;
    return type == WIRE_BYTES && wire_bytes(reader, &out->bytes);
}

/* Copies an id of exactly `size` bytes; other lengths than 0 are refused, since nothing could be stored of
 * them. */
static enum err copy_id(const struct link_id *from, uint8_t *id, size_t size, bool *present, const char *why,
                        struct otlp_fault *fault)
{
    *present = from->bytes.len == size;
    if (*present) memcpy(id, from->bytes.ptr, size);
    if (*present || from->bytes.len == 0) return OK;
    fail(fault, why, from->field);
    return ERR_UNSUPPORTED;
}

enum err link_decode(struct slice message, struct slice *scratch, struct link_view *out,
                     struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);
    struct link_id trace = {0}, span = {0};

    *out = (struct link_view){.attributes = scratch};
    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint64_t value;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "Span.Link: bad field tag");
        switch (number) {
        case 1:
            EXPECT(read_id(&reader, type, start, &trace), "Span.Link.trace_id: not bytes within the link");
            break;
        case 2:
            EXPECT(read_id(&reader, type, start, &span), "Span.Link.span_id: not bytes within the link");
            break;
        case 3:
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &out->trace_state),
                   "Span.Link.trace_state: not a string within the link");
            break;
        case 4:
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &bytes),
                   "Span.Link.attributes: not a message within the link");
            keep(scratch, &out->attributes_count, bytes, &out->cut);
            break;
        case 5:
            EXPECT(type == WIRE_VARINT && wire_varint(&reader, &value),
                   "Span.Link.dropped_attributes_count: not a varint");
            out->dropped_attributes_count = (uint32_t)value;
            break;
        case 6:
            EXPECT(type == WIRE_FIXED32 && wire_fixed32(&reader, &out->flags),
                   "Span.Link.flags: not a fixed32");
            break;
        default: EXPECT(wire_skip(&reader, type), "Span.Link: unknown field is cut or malformed");
        }
    }
    TRY(copy_id(&trace, out->trace_id.bytes, sizeof out->trace_id.bytes, &out->trace_id_present,
                "Span.Link.trace_id: must have 0 or 16 bytes", fault));
    TRY(copy_id(&span, out->span_id.bytes, sizeof out->span_id.bytes, &out->span_id_present,
                "Span.Link.span_id: must have 0 or 8 bytes", fault));
    out->dropped_attributes_count = otlp_dropped(out->dropped_attributes_count, out->cut);
    return OK;
}

static enum err visit(struct slice message, const struct envelope_visitor *visitor, struct otlp_fault *fault)
{
    struct attribute attribute;

    TRY(attribute_decode(message, &attribute, fault));
    if (visitor == NULL || visitor->on_attribute == NULL) return OK;
    return visitor->on_attribute(visitor->context, &attribute);
}

/* EntityRef: schema_url 1, type 2, id_keys 3, description_keys 4, all strings. */
static enum err entity_check(struct slice message, struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "EntityRef: bad field tag");
        EXPECT((number > 4 || type == WIRE_BYTES) && wire_skip(&reader, type),
               "EntityRef: field cut or of the wrong wire type");
    }
    return OK;
}

enum err resource_check(struct slice message, const struct envelope_visitor *visitor,
                        struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "Resource: bad field tag");
        if (number == 1 || number == 3) {
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &bytes),
                   "Resource: attribute or entity cut or no message");
            TRY(number == 1 ? visit(bytes, visitor, fault) : entity_check(bytes, fault));
        } else {
            EXPECT((number != 2 || type == WIRE_VARINT) && wire_skip(&reader, type),
                   "Resource: field cut or of the wrong wire type");
        }
    }
    return OK;
}

enum err scope_check(struct slice message, const struct envelope_visitor *visitor, struct otlp_fault *fault)
{
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        const uint8_t *const start = reader.at;
        struct slice bytes;
        uint32_t number, type;
        EXPECT(wire_tag(&reader, &number, &type), "InstrumentationScope: bad field tag");
        if (number == 3) {
            EXPECT(type == WIRE_BYTES && wire_bytes(&reader, &bytes),
                   "InstrumentationScope.attributes: cut or no message");
            TRY(visit(bytes, visitor, fault));
        } else {
            EXPECT((number > 2 || type == WIRE_BYTES) && (number != 4 || type == WIRE_VARINT) &&
                       wire_skip(&reader, type),
                   "InstrumentationScope: field cut or of the wrong wire type");
        }
    }
    return OK;
}
