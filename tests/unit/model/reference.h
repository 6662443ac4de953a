/*
 * protobuf-c as the reference for our decoder: the same bytes must get the same verdict and mean the same spans.
 *
 * The reference builds objects and recurses, so messages must be small (REFERENCE_BYTES_MAX). A survey of each message, a
 * third and very plain reader that walks by the descriptors of the reference, finds what the two are known to see
 * differently; such messages are judged by verdict alone where a rule says so, and counted:
 *
 *   stricter  field number 0 or above 2^29 - 1, tags in more bytes than needed, numbers of more than 64 bits, a bool
 *             that is no varint (the reference looks at no wire type there): we refuse
 *   looser    groups, and lengths in more than five bytes: unknown groups are skipped, the reference refuses
 *   merging   sub-messages in pieces, and oneof members of the same kind: the reference takes a later zero for "not
 *             given", merges arrays in one of two ways, and refuses two empty AnyValues; we follow the protobuf rules
 *             but for arrays (attribute.c)
 *   rejected  spans with impossible ids or values nested too deep are left out by us, with their other faults unseen
 *   legacy    field 1000 of ResourceSpans
 *   beyond    keys and counts over our limits (otlp.h): we cut, and what is cut is not looked at
 */
#ifndef TEST_MODEL_REFERENCE_H
#define TEST_MODEL_REFERENCE_H

#include "rebuild.h"

#include "otlp.pb-c.h"

enum { REFERENCE_BYTES_MAX = 8192 };

/* ---- the survey -------------------------------------------------------------------------------------- */

struct survey {
    bool stricter, looser, merging, legacy, too_deep, odd_link, beyond;
    bool broken;                 /* the reference cannot like it */
    bool too_deep_for_reference; /* it would use up its stack */
};

enum { SURVEY_DEPTH_MAX = 400 };

static inline bool survey_varint(struct wire_reader *reader, uint64_t *value, unsigned *len,
                                 struct survey *survey)
{
    const uint8_t *const start = reader->at;

    *value = 0;
    for (unsigned i = 0; i < 10 && reader->at < reader->end; i++) {
        const uint8_t byte = *reader->at++;
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (i == 9 && byte > 1) survey->stricter = true;
        if (byte < 0x80) {
            *len = (unsigned)(reader->at - start);
            return true;
        }
    }
    survey->broken = true;
    return false;
}

static inline unsigned survey_varint_len(uint64_t value)
{
    uint8_t bytes[10];
    return wire_varint_bytes(value, bytes);
}

/* Reads a tag; notes what is odd about it. */
static inline bool survey_tag(struct wire_reader *reader, uint32_t *number, uint32_t *type,
                              struct survey *survey)
{
    uint64_t tag;
    unsigned len;

    if (!survey_varint(reader, &tag, &len, survey)) return false;
    if (tag < 8 || tag >> 3 > WIRE_FIELD_MAX || len != survey_varint_len(tag)) survey->stricter = true;
    *number = (uint32_t)(tag >> 3);
    *type = (uint32_t)(tag & 7);
    return true;
}

/* Takes the value of a field; *bytes is set for length-delimited ones. False: malformed for everyone. */
static inline bool survey_value(struct wire_reader *reader, uint32_t type, struct slice *bytes,
                                struct survey *survey)
{
    uint64_t value;
    unsigned len;

    switch (type) {
    case WIRE_VARINT: return survey_varint(reader, &value, &len, survey);
    case WIRE_FIXED64: return wire_fixed64(reader, &value);
    case WIRE_FIXED32: return wire_fixed32(reader, &(uint32_t){0});
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        survey->looser = true; /* what follows has no meaning for the reference */
        return false;
    case WIRE_BYTES:
        if (!survey_varint(reader, &value, &len, survey)) return false;
        if (len > 5) survey->looser = true;
        if (value > (uint64_t)(reader->end - reader->at)) return false;
        *bytes = slice_of(reader->at, (size_t)value);
        reader->at += value;
        return true;
    default: return false;
    }
}

static inline uint32_t survey_wire_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32: return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

static inline void survey_message(const ProtobufCMessageDescriptor *descriptor, struct slice message,
                                  unsigned depth, unsigned levels, struct survey *survey)
{
    struct wire_reader reader = wire_reader_of(message);
    uint32_t seen = 0; /* singular sub-messages */
    const bool value = descriptor == &opentelemetry__proto__any_value__descriptor;
    unsigned members = 0, repeated[16] = {0};

    if (depth > SURVEY_DEPTH_MAX) {
        survey->too_deep_for_reference = true;
        return;
    }
    if (value && ++levels > OTLP_DEPTH_MAX) survey->too_deep = true;
    while (reader.at < reader.end) {
        uint32_t number, type;
        struct slice bytes;
        if (!survey_tag(&reader, &number, &type, survey) || !survey_value(&reader, type, &bytes, survey)) {
            survey->broken = true;
            return;
        }
        const ProtobufCFieldDescriptor *const field = protobuf_c_message_descriptor_get_field(descriptor,
                                                                                              number);
        if (field == NULL) {
            survey->legacy |= number == 1000 &&
                              descriptor == &opentelemetry__proto__resource_spans__descriptor;
            continue;
        }
        if (type != survey_wire_type(field->type)) {
            if (field->type == PROTOBUF_C_TYPE_BOOL) survey->stricter = true;
            survey->broken = true;
            continue;
        }
        members += value;
        if (number < 16 && ++repeated[number] > OTLP_ATTRIBUTES_MAX) survey->beyond = true;
        if (type == WIRE_BYTES && bytes.len > OTLP_KEY_BYTES_MAX && number == 1 &&
            descriptor == &opentelemetry__proto__key_value__descriptor)
            survey->beyond = true;
        if (descriptor == &opentelemetry__proto__span__link__descriptor && number <= 2)
            survey->odd_link |= bytes.len != 0 && bytes.len != (number == 1 ? 16 : 8);
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            survey->merging |= (seen >> number & 1) != 0 || members > 1;
            seen |= 1u << number;
        }
        survey_message(field->descriptor, bytes, depth + 1, levels, survey);
    }
    survey->merging |= members > 1 && seen != 0;
}

/* ---- the reference ----------------------------------------------------------------------------------- */

typedef Opentelemetry__Proto__TracesData TracesData;
typedef Opentelemetry__Proto__Span Span;

/* Drops unknown fields, and the string indexes of profiles, which mean nothing in a trace. */
static inline void reference_forget_unknown(ProtobufCMessage *message)
{
    if (message->descriptor == &opentelemetry__proto__key_value__descriptor)
        ((Opentelemetry__Proto__KeyValue *)(void *)message)->key_strindex = 0;
    if (message->descriptor == &opentelemetry__proto__any_value__descriptor) {
        Opentelemetry__Proto__AnyValue *const value = (Opentelemetry__Proto__AnyValue *)(void *)message;
        if (value->value_case == OPENTELEMETRY__PROTO__ANY_VALUE__VALUE_STRING_VALUE_STRINDEX)
            value->value_case = OPENTELEMETRY__PROTO__ANY_VALUE__VALUE__NOT_SET;
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        free(message->unknown_fields[i].data);
    free(message->unknown_fields);
    message->unknown_fields = NULL;
    message->n_unknown_fields = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *const field = &message->descriptor->fields[i];
        char *const at = (char *)message + field->offset;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage **const list = *(ProtobufCMessage ***)(void *)at;
            const size_t count = *(const size_t *)(const void *)((char *)message + field->quantifier_offset);
            for (size_t k = 0; k < count; k++)
                reference_forget_unknown(list[k]);
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)((char *)message + field->quantifier_offset) != field->id)
            continue;
        ProtobufCMessage *const sub = *(ProtobufCMessage **)(void *)at;
        if (sub != NULL) reference_forget_unknown(sub);
    }
}

/* The message packed without what is unknown; *len bytes. */
static inline uint8_t *reference_pack(ProtobufCMessage *message, size_t *len)
{
    reference_forget_unknown(message);
    uint8_t *const bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
    assert(bytes != NULL);
    *len = protobuf_c_message_pack(message, bytes);
    return bytes;
}

static inline bool reference_all_zero(ProtobufCBinaryData bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != 0) return false;
    return true;
}

/* By the rules for ids (B3). */
static inline bool reference_is_valid(const Span *span)
{
    bool valid = span->trace_id.len == 16 && !reference_all_zero(span->trace_id) && span->span_id.len == 8 &&
                 !reference_all_zero(span->span_id) &&
                 (span->parent_span_id.len == 0 || span->parent_span_id.len == 8);

    for (size_t i = 0; i < span->n_links; i++)
        valid = valid && (span->links[i]->trace_id.len == 0 || span->links[i]->trace_id.len == 16) &&
                (span->links[i]->span_id.len == 0 || span->links[i]->span_id.len == 8);
    return valid;
}

/* ---- comparing; each returns NULL, or what is wrong --------------------------------------------------- */

#define REFERENCE_TRY(expression)                                                                            \
    do {                                                                                                     \
        const char *const reference_wrong = (expression);                                                    \
        if (reference_wrong != NULL) return reference_wrong;                                                 \
    } while (0)
#define REFERENCE_MUST(condition, what)                                                                      \
    do {                                                                                                     \
        if (!(condition)) return (what);                                                                     \
    } while (0)

static inline const char *reference_same_packed(struct slice bytes, ProtobufCMessage *reference)
{
    ProtobufCMessage *const ours = protobuf_c_message_unpack(reference->descriptor, NULL, bytes.len,
                                                             bytes.ptr);
    size_t ours_len, reference_len;

    REFERENCE_MUST(ours != NULL, "the reference does not read what we wrote");
    uint8_t *const a = reference_pack(ours, &ours_len), *const b = reference_pack(reference, &reference_len);
    const bool same = ours_len == reference_len && memcmp(a, b, ours_len) == 0;
    free(a);
    free(b);
    protobuf_c_message_free_unpacked(ours, NULL);
    return same ? NULL : reference->descriptor->short_name;
}

static inline const char *reference_same_envelope(const struct rebuilt_envelope *ours,
                                                  ProtobufCMessage *reference, const char *schema_url)
{
    REFERENCE_MUST(ours->present == (reference != NULL), "an envelope is there for one only");
    REFERENCE_MUST(ours->schema_url.len >= strlen(schema_url) &&
                       memcmp(ours->schema_url.ptr, schema_url, strlen(schema_url)) == 0,
                   "schema_url");
    return reference == NULL ? NULL : reference_same_packed(ours->message, reference);
}

static inline const char *reference_same_span(const struct rebuilt *ours, uint32_t at,
                                              Opentelemetry__Proto__ResourceSpans *resource_spans,
                                              Opentelemetry__Proto__ScopeSpans *scope_spans, Span *span)
{
    REFERENCE_MUST(at < ours->spans_count, "a span is missing");
    const struct rebuilt_span *const own = &ours->spans[at];
    REFERENCE_TRY(reference_same_packed(own->bytes, &span->base));
    REFERENCE_TRY(
        reference_same_envelope(&ours->envelopes[own->resource],
                                resource_spans->resource == NULL ? NULL : &resource_spans->resource->base,
                                resource_spans->schema_url));
    return reference_same_envelope(&ours->envelopes[own->scope],
                                   scope_spans->scope == NULL ? NULL : &scope_spans->scope->base,
                                   scope_spans->schema_url);
}

/* Our spans are those of the reference that are valid, in order, each below the same resource and scope. */
static inline const char *reference_same(const struct rebuilt *ours, const struct otlp_result *result,
                                         TracesData *reference)
{
    uint32_t at = 0, rejected = 0;

    for (size_t r = 0; r < reference->n_resource_spans; r++) {
        Opentelemetry__Proto__ResourceSpans *const resource_spans = reference->resource_spans[r];
        for (size_t s = 0; s < resource_spans->n_scope_spans; s++) {
            Opentelemetry__Proto__ScopeSpans *const scope_spans = resource_spans->scope_spans[s];
            for (size_t i = 0; i < scope_spans->n_spans; i++)
                if (reference_is_valid(scope_spans->spans[i]))
                    REFERENCE_TRY(
                        reference_same_span(ours, at++, resource_spans, scope_spans, scope_spans->spans[i]));
                else
                    rejected++;
        }
    }
    REFERENCE_MUST(at == ours->spans_count, "a span too many");
    REFERENCE_MUST(result->spans == at && result->rejected == rejected, "counts of spans");
    return NULL;
}

struct reference_tally {
    uint64_t tried, accepted, refused; /* by both */
    uint64_t stricter, looser, rejected, merging;
    uint64_t unjudged; /* legacy, beyond */
};

static inline const char *reference_judge_verdicts(const struct survey *survey, enum err err,
                                                   const struct rebuilt *ours,
                                                   const struct otlp_result *result, size_t len,
                                                   TracesData *reference, struct reference_tally *tally)
{
    if (survey->legacy || survey->beyond) {
        tally->unjudged++;
    } else if (err == OK && reference != NULL) {
        if (survey->merging || survey->too_deep || survey->odd_link) {
            tally->merging++;
            return NULL;
        }
        tally->accepted++;
        return reference_same(ours, result, reference);
    } else if (err != OK && reference == NULL) {
        REFERENCE_MUST(err == ERR_MALFORMED && result->fault.reason != NULL,
                       "the error is not ERR_MALFORMED");
        REFERENCE_MUST(result->fault.offset < len, "the fault lies outside");
        tally->refused++;
    } else if (err == OK) {
        REFERENCE_MUST(survey->looser || survey->merging || result->rejected > 0,
                       "we took what the reference refuses");
        tally->looser += survey->looser;
        tally->merging += !survey->looser && survey->merging;
        tally->rejected += !survey->looser && !survey->merging;
    } else {
        REFERENCE_MUST(survey->stricter, "we refused what the reference takes");
        tally->stricter++;
    }
    return NULL;
}

/* Judges one message by both decoders: NULL, or what is wrong. Adds its spans to `ours` as a side effect. */
static inline const char *reference_judge(struct otlp_decoder *decoder, struct slice body,
                                          struct rebuilt *ours, struct otlp_result *result, enum err *err,
                                          struct reference_tally *tally)
{
    struct survey survey = {0};

    survey_message(&opentelemetry__proto__traces_data__descriptor, body, 0, 0, &survey);
    *err = rebuild(decoder, body, ours, result);
    if (survey.too_deep_for_reference) return NULL;
    TracesData *const reference = opentelemetry__proto__traces_data__unpack(NULL, body.len, body.ptr);
    tally->tried++;
    const char *const wrong = reference_judge_verdicts(&survey, *err, ours, result, body.len, reference,
                                                       tally);
    if (reference != NULL) opentelemetry__proto__traces_data__free_unpacked(reference, NULL);
    return wrong;
}

#endif
