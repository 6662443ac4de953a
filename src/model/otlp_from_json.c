/*
 * OTLP JSON to protobuf. The messages are tables: key, field number, type. A loop takes the tokens of the JSON
 * and writes a field for each value; what is open lies on a stack as deep as the reader goes.
 *
 *   {"spans": [ {"name": "a", "kind": 2}, ...      12 .. [2a 01 61] [30 02]  12 .. ...
 *            ^ ^ a frame for the list, one for the message
 *
 * The length of a message is known at its end, and comes out as short as protobuf writers make it (output.h), so that
 * the intern tables behind the decoder find equal attributes equal. Deep down, where only hostile input has
 * large messages, four bytes are left free for it, so nothing large is moved again and again.
 *
 * Field numbers: opentelemetry-proto, trace/v1/trace.proto, common/v1/common.proto, resource/v1/resource.proto.
 */
#include "model/otlp_from_json.h"

#include "base/assert.h"
#include "codec/base64.h"
#include "codec/json_reader.h"
#include "output.h"

#include <math.h>

/* ---- the messages --------------------------------------------------------------------------------------- */

enum kind {
    MESSAGE,
    STRING,
    ID,
    BYTES,
    BOOL,
    DOUBLE,
    INT64,
    FIXED64,
    UINT32,
    FIXED32,
    SPAN_KIND,
    STATUS_CODE
};

#define WRONG_MESSAGE     ": not an object"
#define WRONG_STRING      ": not a string"
#define WRONG_ID          ": not a string"
#define WRONG_BYTES       ": not a string in base64"
#define WRONG_BOOL        ": neither true nor false"
#define WRONG_DOUBLE      ": not a number"
#define WRONG_INT64       ": not an integer"
#define WRONG_FIXED64     ": not an integer"
#define WRONG_UINT32      ": not an integer"
#define WRONG_FIXED32     ": not an integer"
#define WRONG_SPAN_KIND   ": neither an integer nor a known name"
#define WRONG_STATUS_CODE ": neither an integer nor a known name"

struct field {
    const char *key;
    uint8_t key_len;
    uint8_t number;
    uint8_t kind; /* enum kind */
    bool list;
    const struct message *message; /* of a MESSAGE */
    const char *wrong;             /* what is said about a value of another type */
};

struct message {
    const struct field *fields;
    uint8_t count;
    uint8_t length_bytes; /* that its length usually takes */
};

#define FIELD(of, key, number, kind, list, message)                                                          \
    {                                                                                                        \
        key, sizeof key - 1, number, kind, list, message, of "." key WRONG_##kind                            \
    }
#define SCALAR(of, key, number, kind) FIELD(of, key, number, kind, false, NULL)
#define TABLE(name, usual)                                                                                   \
    static const struct message name = {name##_fields, sizeof name##_fields / sizeof *name##_fields, usual}

static const struct message any_value;

static const struct field key_value_fields[] = {
    SCALAR("KeyValue", "key", 1, STRING),
    FIELD("KeyValue", "value", 2, MESSAGE, false, &any_value),
};
TABLE(key_value, 1);

static const struct field array_value_fields[] = {
    FIELD("ArrayValue", "values", 1, MESSAGE, true, &any_value)};
TABLE(array_value, 1);

static const struct field key_value_list_fields[] = {
    FIELD("KeyValueList", "values", 1, MESSAGE, true, &key_value)};
TABLE(key_value_list, 1);

static const struct field any_value_fields[] = {
    SCALAR("AnyValue", "stringValue", 1, STRING),
    SCALAR("AnyValue", "boolValue", 2, BOOL),
    SCALAR("AnyValue", "intValue", 3, INT64),
    SCALAR("AnyValue", "doubleValue", 4, DOUBLE),
    FIELD("AnyValue", "arrayValue", 5, MESSAGE, false, &array_value),
    FIELD("AnyValue", "kvlistValue", 6, MESSAGE, false, &key_value_list),
    SCALAR("AnyValue", "bytesValue", 7, BYTES),
};
TABLE(any_value, 1);

static const struct field entity_ref_fields[] = {
    SCALAR("EntityRef", "schemaUrl", 1, STRING),
    SCALAR("EntityRef", "type", 2, STRING),
    FIELD("EntityRef", "idKeys", 3, STRING, true, NULL),
    FIELD("EntityRef", "descriptionKeys", 4, STRING, true, NULL),
};
TABLE(entity_ref, 1);

static const struct field resource_fields[] = {
    FIELD("Resource", "attributes", 1, MESSAGE, true, &key_value),
    SCALAR("Resource", "droppedAttributesCount", 2, UINT32),
    FIELD("Resource", "entityRefs", 3, MESSAGE, true, &entity_ref),
};
TABLE(resource, 2);

static const struct field scope_fields[] = {
    SCALAR("InstrumentationScope", "name", 1, STRING),
    SCALAR("InstrumentationScope", "version", 2, STRING),
    FIELD("InstrumentationScope", "attributes", 3, MESSAGE, true, &key_value),
    SCALAR("InstrumentationScope", "droppedAttributesCount", 4, UINT32),
};
TABLE(scope, 1);

static const struct field event_fields[] = {
    SCALAR("Event", "timeUnixNano", 1, FIXED64),
    SCALAR("Event", "name", 2, STRING),
    FIELD("Event", "attributes", 3, MESSAGE, true, &key_value),
    SCALAR("Event", "droppedAttributesCount", 4, UINT32),
};
TABLE(event, 1);

static const struct field link_fields[] = {
    SCALAR("Link", "traceId", 1, ID),
    SCALAR("Link", "spanId", 2, ID),
    SCALAR("Link", "traceState", 3, STRING),
    FIELD("Link", "attributes", 4, MESSAGE, true, &key_value),
    SCALAR("Link", "droppedAttributesCount", 5, UINT32),
    SCALAR("Link", "flags", 6, FIXED32),
};
TABLE(link, 1);

static const struct field status_fields[] = {
    SCALAR("Status", "message", 2, STRING),
    SCALAR("Status", "code", 3, STATUS_CODE),
};
TABLE(status, 1);

static const struct field span_fields[] = {
    SCALAR("Span", "traceId", 1, ID),
    SCALAR("Span", "spanId", 2, ID),
    SCALAR("Span", "traceState", 3, STRING),
    SCALAR("Span", "parentSpanId", 4, ID),
    SCALAR("Span", "flags", 16, FIXED32),
    SCALAR("Span", "name", 5, STRING),
    SCALAR("Span", "kind", 6, SPAN_KIND),
    SCALAR("Span", "startTimeUnixNano", 7, FIXED64),
    SCALAR("Span", "endTimeUnixNano", 8, FIXED64),
    FIELD("Span", "attributes", 9, MESSAGE, true, &key_value),
    SCALAR("Span", "droppedAttributesCount", 10, UINT32),
    FIELD("Span", "events", 11, MESSAGE, true, &event),
    SCALAR("Span", "droppedEventsCount", 12, UINT32),
    FIELD("Span", "links", 13, MESSAGE, true, &link),
    SCALAR("Span", "droppedLinksCount", 14, UINT32),
    FIELD("Span", "status", 15, MESSAGE, false, &status),
};
TABLE(span, 2);

static const struct field scope_spans_fields[] = {
    FIELD("ScopeSpans", "scope", 1, MESSAGE, false, &scope),
    FIELD("ScopeSpans", "spans", 2, MESSAGE, true, &span),
    SCALAR("ScopeSpans", "schemaUrl", 3, STRING),
};
TABLE(scope_spans, 3);

static const struct field resource_spans_fields[] = {
    FIELD("ResourceSpans", "resource", 1, MESSAGE, false, &resource),
    FIELD("ResourceSpans", "scopeSpans", 2, MESSAGE, true, &scope_spans),
    SCALAR("ResourceSpans", "schemaUrl", 3, STRING),
};
TABLE(resource_spans, 3);

static const struct field request_fields[] = {
    FIELD("ExportTraceServiceRequest", "resourceSpans", 1, MESSAGE, true, &resource_spans)};
TABLE(request, 0);

static const char *const span_kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                         "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
static const char *const status_codes[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};

/* ---- the walk ------------------------------------------------------------------------------------------- */

enum {
    DEEP =
        16, /* an attribute's value that is a list in a list; messages from here on leave DEEP_BYTES free */
    DEEP_BYTES = OUTPUT_LENGTH_BYTES_MAX,
    KEY_BYTES_MAX = 32, /* the longest key has 25 */
};

struct frame {
    const struct message *message; /* an object */
    const struct field *list;      /* or a list of this field's values; else NULL */
    uint8_t next;                  /* index of the field that is likely to come */
    uint8_t length_bytes;          /* left free for the length */
    size_t content;                /* where the message begins in the output */
};

struct translation {
    struct json_reader reader;
    struct output output;
    uint32_t spans;
    struct otlp_fault *fault;
    unsigned depth;
    struct frame stack[JSON_READ_DEPTH_MAX];
};

static enum err translate(struct translation *work);
static enum err take_member(struct translation *work, struct frame *top, const struct json_token *key);
static enum err take_value(struct translation *work, const struct field *field,
                           const struct json_token *token);
static void close_message(struct translation *work);
static bool put_scalar(struct translation *work, const struct field *field, const struct json_token *token);

static enum err malformed(struct translation *work, const char *reason, const uint8_t *at)
{
    work->fault->reason = reason;
    work->fault->at = at;
    return ERR_MALFORMED;
}

static enum err next_token(struct translation *work, struct json_token *token)
{
    return json_next(&work->reader, token) == OK ? OK : malformed(work, work->reader.reason, work->reader.at);
}

enum err otlp_from_json(struct slice json, uint8_t *out, size_t capacity, size_t *out_len,
                        struct otlp_json_changes *changes, struct otlp_fault *fault)
{
    struct translation work; /* 5 KiB of stack that need no zeros */

    json_reader_init(&work.reader, json);
    work.output = (struct output){.bytes = out, .capacity = capacity};
    work.spans = 0;
    work.fault = fault;
    work.depth = 0;
    *fault = (struct otlp_fault){0};
    const enum err err = translate(&work);
    if (err == OK) *out_len = work.output.len;
    if (err == OK) *changes = work.output.changes;
    if (fault->at != NULL) fault->offset = (uint64_t)(fault->at - json.ptr);
    return err;
}

static enum err translate(struct translation *work)
{
    struct json_token token;

    TRY(next_token(work, &token));
    if (token.type != JSON_OBJECT_BEGIN)
        return malformed(work, "JSON: the request is not an object", token.at);
    work->stack[work->depth++] = (struct frame){.message = &request};
    while (work->depth > 0) {
        struct frame *const top = &work->stack[work->depth - 1];
        TRY(next_token(work, &token));
        if (token.type == JSON_OBJECT_END)
            close_message(work);
        else if (token.type == JSON_KEY)
            TRY(take_member(work, top, &token));
        else if (token.type == JSON_ARRAY_END)
            work->depth--;
        else
            TRY(take_value(work, top->list, &token));
        if (work->output.full) return ERR_FULL;
    }
    return next_token(work, &token);
}

static const struct field *find_field(struct frame *frame, struct slice key)
{
    const struct message *const message = frame->message;

    for (unsigned i = 0, at = frame->next; i < message->count; i++, at++) {
        if (at >= message->count) at = 0;
        const struct field *const field = &message->fields[at];
        if (field->key_len == key.len && memcmp(field->key, key.ptr, key.len) == 0) {
            frame->next = (uint8_t)(at + 1);
            return field;
        }
    }
    return NULL;
}

static enum err take_member(struct translation *work, struct frame *top, const struct json_token *key)
{
    uint8_t unescaped[6 * KEY_BYTES_MAX];
    uint32_t replaced; /* then it is none of ours, and skipped */
    struct slice name = key->text;
    struct json_token token;

    if (key->escaped && name.len <= sizeof unescaped)
        name = slice_of(unescaped, json_unescape(name, unescaped, &replaced));
    const struct field *const field = find_field(top, name);
    if (field == NULL)
        return json_skip(&work->reader) == OK ? OK : malformed(work, work->reader.reason, work->reader.at);
    TRY(next_token(work, &token));
    if (token.type == JSON_NULL) return OK;
    if (!field->list) return take_value(work, field, &token);
    if (token.type != JSON_ARRAY_BEGIN) return malformed(work, field->wrong, token.at);
    work->stack[work->depth++] = (struct frame){.list = field};
    return OK;
}

/* ---- messages ------------------------------------------------------------------------------------------- */

static void open_message(struct translation *work, const struct field *field)
{
    const uint8_t length_bytes = work->depth > DEEP ? DEEP_BYTES : field->message->length_bytes;
    const size_t content = output_open(&work->output, field->number, length_bytes);

    work->stack[work->depth++] = (struct frame){
        .message = field->message, .length_bytes = length_bytes, .content = content};
}

static void close_message(struct translation *work)
{
    const struct frame *const frame = &work->stack[--work->depth];

    if (frame->message != &request) output_close(&work->output, frame->content, frame->length_bytes);
}

static enum err take_value(struct translation *work, const struct field *field,
                           const struct json_token *token)
{
    if (field->message == &span && ++work->spans > OTLP_SPANS_MAX) {
        malformed(work, "more than 100000 spans in a request", token->at);
        return ERR_TOO_LARGE;
    }
    if (token->type == JSON_NULL) { /* in a list */
        output_bytes_field(&work->output, field->number, slice_text(""));
        return OK;
    }
    if (field->kind == MESSAGE) {
        if (token->type != JSON_OBJECT_BEGIN) return malformed(work, field->wrong, token->at);
        open_message(work, field);
        return OK;
    }
    return put_scalar(work, field, token) || work->output.full ? OK
                                                               : malformed(work, field->wrong, token->at);
}

/* ---- scalars: each returns false when the value is of another type -------------------------------------- */

static struct slice text_of(struct translation *work, const struct json_token *token)
{
    return output_text(&work->output, token->text, token->escaped);
}

static void put_bytes(struct translation *work, const struct field *field, struct slice bytes)
{
    output_bytes_field(&work->output, field->number, bytes);
}

static void put_id(struct translation *work, const struct field *field, struct slice text)
{
    static const uint8_t no_id = 0; /* of a length that no id has: the decoder rejects the span */

    if (text.len == 0) return;
    uint8_t *const at = output_room(&work->output, text.len);
    if (at == NULL) return;
    const bool hex = hex_decode(text, at);
    put_bytes(work, field, hex ? slice_of(at, text.len / 2) : slice_of(&no_id, 1));
}

static bool put_base64(struct translation *work, const struct field *field, struct slice text)
{
    uint8_t *const at = output_room(&work->output, text.len);
    size_t len;

    if (at == NULL || !base64_decode(text, at, &len)) return false;
    put_bytes(work, field, slice_of(at, len));
    return true;
}

/* A number, or a string that is one. */
static bool number_of(struct translation *work, const struct json_token *token, struct slice *out)
{
    *out = token->type == JSON_STRING ? text_of(work, token) : token->text;
    return token->type == JSON_NUMBER || (token->type == JSON_STRING && json_is_number(*out));
}

static bool put_double(struct translation *work, const struct field *field, const struct json_token *token)
{
    struct slice number;
    double value;

    if (number_of(work, token, &number)) {
        if (!json_to_double(number, &value)) return false;
    } else if (token->type != JSON_STRING) {
        return false;
    } else if (slice_is(number, "NaN")) {
        value = (double)NAN;
    } else if (slice_is(number, "Infinity")) {
        value = (double)INFINITY;
    } else if (slice_is(number, "-Infinity")) {
        value = -(double)INFINITY;
    } else {
        return false;
    }
    output_tag(&work->output, field->number, WIRE_FIXED64);
    output_put(&work->output, &value, sizeof value); /* little-endian hosts, see wire.c */
    return true;
}

static bool find_name(const char *const *names, unsigned count, struct slice name, int64_t *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (!slice_is(name, names[i])) continue;
        *out = i;
        return true;
    }
    return false;
}

/* Enums are 32 bits wide; more would be cut by the decoder to another value. */
static bool put_enum(struct translation *work, const struct field *field, const struct json_token *token,
                     const char *const *names, unsigned count)
{
    struct slice number;
    int64_t value;
    bool clamped = false;

    if (number_of(work, token, &number)) {
        if (!json_to_int64(number, &value, &clamped)) return false;
    } else if (token->type != JSON_STRING || !find_name(names, count, number, &value)) {
        return false;
    }
    work->output.changes.numbers += clamped || value < INT32_MIN || value > INT32_MAX;
    value = value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value;
    output_varint_field(&work->output, field->number, (uint32_t)value);
    return true;
}

static bool put_int64(struct translation *work, const struct field *field, const struct json_token *token)
{
    struct slice number;
    int64_t value;
    bool clamped;

    if (!number_of(work, token, &number) || !json_to_int64(number, &value, &clamped)) return false;
    work->output.changes.numbers += clamped;
    output_varint_field(&work->output, field->number, (uint64_t)value);
    return true;
}

static bool put_unsigned(struct translation *work, const struct field *field, const struct json_token *token)
{
    struct slice number;
    uint64_t value;
    bool clamped;

    if (!number_of(work, token, &number) || !json_to_uint64(number, &value, &clamped)) return false;
    work->output.changes.numbers += clamped || (field->kind != FIXED64 && value > UINT32_MAX);
    if (field->kind == FIXED64) {
        output_fixed64_field(&work->output, field->number, value);
        return true;
    }
    const uint32_t narrow = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    if (field->kind == UINT32) {
        output_varint_field(&work->output, field->number, narrow);
        return true;
    }
    output_tag(&work->output, field->number, WIRE_FIXED32);
    output_put(&work->output, &narrow, 4);
    return true;
}

static bool put_scalar(struct translation *work, const struct field *field, const struct json_token *token)
{
    switch ((enum kind)field->kind) {
    case STRING:
        if (token->type != JSON_STRING) return false;
        put_bytes(work, field, text_of(work, token));
        return true;
    case ID:
        if (token->type != JSON_STRING) return false;
        put_id(work, field, text_of(work, token));
        return true;
    case BYTES: return token->type == JSON_STRING && put_base64(work, field, text_of(work, token));
    case BOOL:
        if (token->type != JSON_TRUE && token->type != JSON_FALSE) return false;
        output_varint_field(&work->output, field->number, token->type == JSON_TRUE);
        return true;
    case DOUBLE: return put_double(work, field, token);
    case INT64: return put_int64(work, field, token);
    case FIXED64:
    case UINT32:
    case FIXED32: return put_unsigned(work, field, token);
    case SPAN_KIND: return put_enum(work, field, token, span_kinds, sizeof span_kinds / sizeof *span_kinds);
    case STATUS_CODE:
        return put_enum(work, field, token, status_codes, sizeof status_codes / sizeof *status_codes);
    case MESSAGE: break;
    }
    unreachable("messages are opened, not put");
}
