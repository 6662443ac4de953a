/*
 * Each function walks a message once and writes what it meets. Values may nest (OTLP_DEPTH_MAX levels); the
 * walk keeps its way back in an explicit stack. On that stack lies one frame for each open list:
 *
 *   arrayValue   {"arrayValue":{"values":[ V, V, ... ]}}               closes with  ] } }
 *   kvlistValue  {"kvlistValue":{"values":[ {"key":..,"value":V}, ... ]}}            ] } }
 *
 * and an entry of a kvlist whose value is a list itself is closed, with one more }, when that list ends.
 */
#include "otlp_json.h"

#include "base/assert.h"
#include "codec/wire.h"

#include <stdlib.h>

struct otlp_json {
    struct otlp_decoder *decoder;
    struct slice child_attributes[OTLP_ATTRIBUTES_MAX]; /* of the event or link in work */
};

enum err otlp_json_open(struct otlp_json **out)
{
    struct otlp_json *const scratch = calloc(1, sizeof *scratch);

    if (scratch == NULL) return ERR_NO_MEMORY;
    const enum err err = otlp_decoder_open(&scratch->decoder);
    if (err != OK) {
        free(scratch);
        return err;
    }
    *out = scratch;
    return OK;
}

void otlp_json_close(struct otlp_json *scratch)
{
    otlp_decoder_close(scratch->decoder);
    free(scratch);
}

/* Bad bytes from the store are damage, not a client's mistake. */
static enum err damage(enum err err)
{
    return err == OK || err == ERR_NO_MEMORY ? err : ERR_CORRUPT;
}

/* ---- fields ---------------------------------------------------------------------------------------------
 */

static void put_text(struct json *json, const char *key, struct slice text)
{
    if (text.len == 0) return;
    json_key(json, key);
    json_string(json, text);
}

static void put_number(struct json *json, const char *key, int64_t number)
{
    if (number == 0) return;
    json_key(json, key);
    json_int(json, number);
}

static void put_time(struct json *json, const char *key, uint64_t ns)
{
    if (ns == 0) return;
    json_key(json, key);
    json_uint_quoted(json, ns);
}

static void put_hex(struct json *json, const char *key, const void *bytes, size_t len)
{
    json_key(json, key);
    json_hex(json, slice_of(bytes, len));
}

/* ---- values ---------------------------------------------------------------------------------------------
 */

struct frame {
    struct wire_reader reader;
    bool kvlist;   /* elements are KeyValue messages, else AnyValue */
    bool in_entry; /* an entry of the list around it is open and ends with this list */
};

/* The member of an AnyValue that counts: the last one. */
static bool any_value_decode(struct slice message, struct attribute *out)
{
    static const struct {
        uint8_t wire, type;
    } members[8] = {
        [1] = {WIRE_BYTES, VALUE_STRING},   [2] = {WIRE_VARINT, VALUE_BOOL}, [3] = {WIRE_VARINT, VALUE_INT},
        [4] = {WIRE_FIXED64, VALUE_DOUBLE}, [5] = {WIRE_BYTES, VALUE_ARRAY}, [6] = {WIRE_BYTES, VALUE_KVLIST},
        [7] = {WIRE_BYTES, VALUE_BYTES}};
    struct wire_reader reader = wire_reader_of(message);

    while (reader.at < reader.end) {
        uint32_t number, wire;
        if (!wire_tag(&reader, &number, &wire)) return false;
        if (number > 7) {
            if (!wire_skip(&reader, wire)) return false;
            continue;
        }
        if (members[number].wire != wire) return false;
        if (wire == WIRE_BYTES && !wire_bytes(&reader, &out->bytes)) return false;
        if (wire == WIRE_VARINT && !wire_varint(&reader, &out->bits)) return false;
        if (wire == WIRE_FIXED64 && !wire_fixed64(&reader, &out->bits)) return false;
        out->type = (enum value_type)members[number].type;
        if (out->type == VALUE_BOOL) out->bits = out->bits != 0;
    }
    return true;
}

/* A KeyValue whose nested values are not looked at yet. */
static bool key_value_decode(struct slice message, struct attribute *out)
{
    struct wire_reader reader = wire_reader_of(message);

    *out = (struct attribute){.type = VALUE_ABSENT};
    while (reader.at < reader.end) {
        struct slice bytes;
        uint32_t number, wire;
        if (!wire_tag(&reader, &number, &wire)) return false;
        if (number != 1 && number != 2) {
            if (!wire_skip(&reader, wire)) return false;
            continue;
        }
        if (wire != WIRE_BYTES || !wire_bytes(&reader, &bytes)) return false;
        if (number == 1) {
            out->key = bytes;
            continue;
        }
        if (out->type == VALUE_ABSENT) out->type = VALUE_EMPTY;
        if (!any_value_decode(bytes, out)) return false;
    }
    return true;
}

static double as_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Writes a value that is no list; true when it is one, and then its object and array stand open. */
static bool begin_value(const struct attribute *value, struct json *json)
{
    json_object_begin(json);
    switch (value->type) {
    case VALUE_STRING:
        json_key(json, "stringValue");
        json_string(json, value->bytes);
        break;
    case VALUE_BOOL:
        json_key(json, "boolValue");
        json_bool(json, value->bits != 0);
        break;
    case VALUE_INT:
        json_key(json, "intValue");
        json_int_quoted(json, (int64_t)value->bits);
        break;
    case VALUE_DOUBLE:
        json_key(json, "doubleValue");
        json_double(json, as_double(value->bits));
        break;
    case VALUE_BYTES:
        json_key(json, "bytesValue");
        json_base64(json, value->bytes);
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        json_key(json, value->type == VALUE_ARRAY ? "arrayValue" : "kvlistValue");
        json_object_begin(json);
        json_key(json, "values");
        json_array_begin(json);
        return true;
    case VALUE_ABSENT:
    case VALUE_EMPTY:
    case VALUE_RAW:
    case VALUE_TYPE_COUNT: break;
    }
    json_object_end(json);
    return false;
}

static void end_list(struct json *json)
{
    json_array_end(json);
    json_object_end(json);
    json_object_end(json);
}

/* The next element of a list; *ended when there is none. */
static bool next_element(struct frame *frame, struct slice *out, bool *ended)
{
    while (frame->reader.at < frame->reader.end) {
        uint32_t number, wire;
        if (!wire_tag(&frame->reader, &number, &wire)) return false;
        if (number == 1) return wire == WIRE_BYTES && wire_bytes(&frame->reader, out);
        if (!wire_skip(&frame->reader, wire)) return false;
    }
    *ended = true;
    return true;
}

static void begin_entry(const struct attribute *entry, struct json *json)
{
    json_object_begin(json);
    json_key(json, "key");
    json_string(json, entry->key);
    if (entry->type != VALUE_ABSENT) json_key(json, "value");
}

static enum err write_value(const struct attribute *value, struct json *json)
{
    struct frame stack[OTLP_DEPTH_MAX + 1];
    unsigned depth = 0;

    if (!begin_value(value, json)) return OK;
    stack[depth++] = (struct frame){wire_reader_of(value->bytes), value->type == VALUE_KVLIST, false};
    while (depth > 0) {
        struct frame *const top = &stack[depth - 1];
        struct attribute element = {.type = VALUE_EMPTY};
        struct slice message;
        bool ended = false;
        if (!next_element(top, &message, &ended)) return ERR_CORRUPT;
        if (ended) {
            end_list(json);
            if (top->in_entry) json_object_end(json);
            depth--;
            continue;
        }
        if (!(top->kvlist ? key_value_decode(message, &element) : any_value_decode(message, &element)))
            return ERR_CORRUPT;
        if (top->kvlist) begin_entry(&element, json);
        if (element.type != VALUE_ABSENT && begin_value(&element, json)) {
            if (depth == OTLP_DEPTH_MAX + 1) return ERR_CORRUPT;
            stack[depth++] = (struct frame){wire_reader_of(element.bytes), element.type == VALUE_KVLIST,
                                            top->kvlist};
        } else if (top->kvlist) {
            json_object_end(json);
        }
    }
    return OK;
}

enum err otlp_json_attribute(const struct attribute *attribute, struct json *json)
{
    begin_entry(attribute, json);
    if (attribute->type != VALUE_ABSENT) TRY(write_value(attribute, json));
    json_object_end(json);
    return OK;
}

static enum err put_attributes(const struct slice *messages, uint32_t count, struct json *json)
{
    if (count == 0) return OK;
    json_key(json, "attributes");
    json_array_begin(json);
    for (uint32_t i = 0; i < count; i++) {
        struct attribute attribute;
        if (!key_value_decode(messages[i], &attribute)) return ERR_CORRUPT;
        TRY(otlp_json_attribute(&attribute, json));
    }
    json_array_end(json);
    return OK;
}

/* ---- spans ----------------------------------------------------------------------------------------------
 */

static enum err put_event(struct otlp_json *scratch, struct slice message, struct json *json)
{
    struct otlp_fault fault;
    struct event_view event;

    TRY(damage(event_decode(message, scratch->child_attributes, &event, &fault)));
    json_object_begin(json);
    put_time(json, "timeUnixNano", event.time_ns);
    put_text(json, "name", event.name);
    TRY(put_attributes(event.attributes, event.attributes_count, json));
    put_number(json, "droppedAttributesCount", event.dropped_attributes_count);
    json_object_end(json);
    return OK;
}

static enum err put_link(struct otlp_json *scratch, struct slice message, struct json *json)
{
    struct otlp_fault fault;
    struct link_view link;

    TRY(damage(link_decode(message, scratch->child_attributes, &link, &fault)));
    json_object_begin(json);
    if (link.trace_id_present) put_hex(json, "traceId", link.trace_id.bytes, sizeof link.trace_id.bytes);
    if (link.span_id_present) put_hex(json, "spanId", link.span_id.bytes, sizeof link.span_id.bytes);
    put_text(json, "traceState", link.trace_state);
    TRY(put_attributes(link.attributes, link.attributes_count, json));
    put_number(json, "droppedAttributesCount", link.dropped_attributes_count);
    put_number(json, "flags", link.flags);
    json_object_end(json);
    return OK;
}

typedef enum err put_child_fn(struct otlp_json *scratch, struct slice message, struct json *json);

static enum err put_children(struct otlp_json *scratch, const char *key, const struct slice *messages,
                             uint32_t count, put_child_fn *put_child, struct json *json)
{
    if (count == 0) return OK;
    json_key(json, key);
    json_array_begin(json);
    for (uint32_t i = 0; i < count; i++)
        TRY(put_child(scratch, messages[i], json));
    json_array_end(json);
    return OK;
}

static void put_status(const struct span_view *span, struct json *json)
{
    if (!span->status_present) return;
    json_key(json, "status");
    json_object_begin(json);
    put_text(json, "message", span->status_message);
    put_number(json, "code", span->status_code);
    json_object_end(json);
}

enum err otlp_json_span(struct otlp_json *scratch, struct slice message, struct json *json)
{
    struct otlp_fault fault;
    struct span_view span;

    TRY(damage(span_decode(scratch->decoder, message, &span, &fault)));
    json_object_begin(json);
    put_hex(json, "traceId", span.trace_id.bytes, sizeof span.trace_id.bytes);
    put_hex(json, "spanId", span.span_id.bytes, sizeof span.span_id.bytes);
    put_text(json, "traceState", span.trace_state);
    if (span.parent_present)
        put_hex(json, "parentSpanId", span.parent_span_id.bytes, sizeof span.parent_span_id.bytes);
    put_number(json, "flags", span.flags);
    put_text(json, "name", span.name);
    put_number(json, "kind", span.kind);
    put_time(json, "startTimeUnixNano", span.start_ns);
    put_time(json, "endTimeUnixNano", span.end_ns);
    TRY(put_attributes(span.attributes, span.attributes_count, json));
    put_number(json, "droppedAttributesCount", span.dropped_attributes_count);
    TRY(put_children(scratch, "events", span.events, span.events_count, put_event, json));
    put_number(json, "droppedEventsCount", span.dropped_events_count);
    TRY(put_children(scratch, "links", span.links, span.links_count, put_link, json));
    put_number(json, "droppedLinksCount", span.dropped_links_count);
    put_status(&span, json);
    json_object_end(json);
    return OK;
}

/* ---- envelopes ------------------------------------------------------------------------------------------
 */

/* Calls visit for each field `number` of the message, which holds bytes; skips all others. */
typedef enum err field_fn(struct slice bytes, struct json *json);

static enum err each_field(struct slice message, uint32_t number, field_fn *visit, struct json *json,
                           uint32_t *count)
{
    struct wire_reader reader = wire_reader_of(message);

    *count = 0;
    while (reader.at < reader.end) {
        struct slice bytes;
        uint32_t found, wire;
        if (!wire_tag(&reader, &found, &wire)) return ERR_CORRUPT;
        if (found != number) {
            if (!wire_skip(&reader, wire)) return ERR_CORRUPT;
            continue;
        }
        if (wire != WIRE_BYTES || !wire_bytes(&reader, &bytes)) return ERR_CORRUPT;
        (*count)++;
        if (visit != NULL) TRY(visit(bytes, json));
    }
    return OK;
}

/* "key":[...] of all fields of that number; nothing when there are none. */
static enum err put_list(struct slice message, uint32_t number, const char *key, field_fn *visit,
                         struct json *json)
{
    uint32_t count;

    TRY(each_field(message, number, NULL, json, &count));
    if (count == 0) return OK;
    json_key(json, key);
    json_array_begin(json);
    TRY(each_field(message, number, visit, json, &count));
    json_array_end(json);
    return OK;
}

static enum err visit_attribute(struct slice message, struct json *json)
{
    struct attribute attribute;

    return key_value_decode(message, &attribute) ? otlp_json_attribute(&attribute, json) : ERR_CORRUPT;
}

static enum err visit_string(struct slice text, struct json *json)
{
    json_string(json, text);
    return OK;
}

/* The last of the fields of that number: a string, or with wire type varint a number. */
static enum err last_string(struct slice message, uint32_t number, struct slice *out)
{
    struct wire_reader reader = wire_reader_of(message);

    *out = (struct slice){0};
    while (reader.at < reader.end) {
        uint32_t found, wire;
        if (!wire_tag(&reader, &found, &wire)) return ERR_CORRUPT;
        if (found == number ? wire != WIRE_BYTES || !wire_bytes(&reader, out) : !wire_skip(&reader, wire))
            return ERR_CORRUPT;
    }
    return OK;
}

static enum err last_varint(struct slice message, uint32_t number, uint64_t *out)
{
    struct wire_reader reader = wire_reader_of(message);

    *out = 0;
    while (reader.at < reader.end) {
        uint32_t found, wire;
        if (!wire_tag(&reader, &found, &wire)) return ERR_CORRUPT;
        if (found == number ? wire != WIRE_VARINT || !wire_varint(&reader, out) : !wire_skip(&reader, wire))
            return ERR_CORRUPT;
    }
    return OK;
}

static enum err put_string_field(struct slice message, uint32_t number, const char *key, struct json *json)
{
    struct slice text;

    TRY(last_string(message, number, &text));
    put_text(json, key, text);
    return OK;
}

static enum err put_dropped(struct slice message, uint32_t number, struct json *json)
{
    uint64_t dropped;

    TRY(last_varint(message, number, &dropped));
    put_number(json, "droppedAttributesCount", (uint32_t)dropped);
    return OK;
}

/* EntityRef: schema_url 1, type 2, id_keys 3, description_keys 4 */
static enum err visit_entity_ref(struct slice message, struct json *json)
{
    json_object_begin(json);
    TRY(put_string_field(message, 1, "schemaUrl", json));
    TRY(put_string_field(message, 2, "type", json));
    TRY(put_list(message, 3, "idKeys", visit_string, json));
    TRY(put_list(message, 4, "descriptionKeys", visit_string, json));
    json_object_end(json);
    return OK;
}

/* Resource: attributes 1, dropped_attributes_count 2, entity_refs 3 */
enum err otlp_json_resource(struct slice message, struct json *json)
{
    json_object_begin(json);
    TRY(put_list(message, 1, "attributes", visit_attribute, json));
    TRY(put_dropped(message, 2, json));
    TRY(put_list(message, 3, "entityRefs", visit_entity_ref, json));
    json_object_end(json);
    return OK;
}

/* InstrumentationScope: name 1, version 2, attributes 3, dropped_attributes_count 4 */
enum err otlp_json_scope(struct slice message, struct json *json)
{
    json_object_begin(json);
    TRY(put_string_field(message, 1, "name", json));
    TRY(put_string_field(message, 2, "version", json));
    TRY(put_list(message, 3, "attributes", visit_attribute, json));
    TRY(put_dropped(message, 4, json));
    json_object_end(json);
    return OK;
}
