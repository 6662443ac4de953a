/*
 * Our decoder against protobuf-c (row B9): the same bytes, mutated in every way, must get the same verdict and mean the
 * same spans.
 *
 * The reference builds objects and recurses, so messages stay small. A survey of each message, a third and very plain
 * reader that walks by the descriptors of the reference, finds what the two are known to see differently; such messages
 * are judged by verdict alone where a rule says so, and counted:
 *
 *   stricter  field number 0 or above 2^29 - 1, tags in more bytes than needed, numbers of more than 64 bits, a bool
 *             that is no varint (the reference looks at no wire type there): we refuse
 *   looser    groups, and lengths in more than five bytes: unknown groups are skipped, the reference refuses
 *   merging   sub-messages in pieces, and oneof members of the same kind: the reference takes a later zero for "not
 *             given", merges arrays in one of two ways, and refuses two empty AnyValues; we follow the protobuf rules
 *             but for arrays (attribute.c)
 *   rejected  spans with impossible ids or values nested too deep are left out by us, with their other faults unseen
 *   legacy    field 1000 of ResourceSpans
 */
#include "maker.h"
#include "message.h"
#include "often.h"
#include "rebuild.h"

#include "otlp.pb-c.h"

#include <criterion/criterion.h>

/* ---- the survey -------------------------------------------------------------------------------------- */

struct survey {
    bool stricter, looser, merging, legacy, too_deep, odd_link;
    bool broken; /* the reference cannot like it */
};

enum { SURVEY_DEPTH_MAX = 400 };

static bool survey_varint(struct wire_reader *reader, uint64_t *value, unsigned *len, struct survey *survey)
{
    const uint8_t *const start = reader->at;

    *value = 0;
    for (unsigned i = 0; i < 10 && reader->at < reader->end; i++) {
        const uint8_t byte = *reader->at++;
        if (i < 10) *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (i == 9 && byte > 1) survey->stricter = true;
        if (byte < 0x80) {
            *len = (unsigned)(reader->at - start);
            return true;
        }
    }
    survey->broken = true;
    return false;
}

static unsigned varint_len(uint64_t value)
{
    uint8_t bytes[10];
    return wire_varint_bytes(value, bytes);
}

/* Reads a tag; notes what is odd about it. */
static bool survey_tag(struct wire_reader *reader, uint32_t *number, uint32_t *type, struct survey *survey)
{
    uint64_t tag;
    unsigned len;

    if (!survey_varint(reader, &tag, &len, survey)) return false;
    if (tag < 8 || tag >> 3 > WIRE_FIELD_MAX || len != varint_len(tag)) survey->stricter = true;
    *number = (uint32_t)(tag >> 3);
    *type = (uint32_t)(tag & 7);
    return true;
}

/* Takes the value of a field; *bytes is set for length-delimited ones. False: malformed for everyone. */
static bool survey_value(struct wire_reader *reader, uint32_t type, struct slice *bytes,
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

static uint32_t wire_type_of(ProtobufCType type)
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

static void survey_message(const ProtobufCMessageDescriptor *descriptor, struct slice message, unsigned depth,
                           unsigned levels, struct survey *survey)
{
    struct wire_reader reader = wire_reader_of(message);
    uint32_t seen = 0; /* singular sub-messages */
    const bool value = descriptor == &opentelemetry__proto__any_value__descriptor;
    unsigned members = 0;

    if (depth > SURVEY_DEPTH_MAX) cr_assert_fail("too deep for the reference");
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
        if (type != wire_type_of(field->type)) {
            if (field->type == PROTOBUF_C_TYPE_BOOL) survey->stricter = true;
            survey->broken = true;
            continue;
        }
        members += value;
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
static void forget_unknown(ProtobufCMessage *message)
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
                forget_unknown(list[k]);
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(const void *)((char *)message + field->quantifier_offset) != field->id)
            continue;
        ProtobufCMessage *const sub = *(ProtobufCMessage **)(void *)at;
        if (sub != NULL) forget_unknown(sub);
    }
}

/* The message packed without what is unknown; *len bytes. */
static uint8_t *pack(ProtobufCMessage *message, size_t *len)
{
    forget_unknown(message);
    uint8_t *const bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);
    cr_assert_not_null(bytes);
    *len = protobuf_c_message_pack(message, bytes);
    return bytes;
}

static bool all_zero(ProtobufCBinaryData bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != 0) return false;
    return true;
}

/* By the rules for ids (B3). */
static bool is_valid(const Span *span)
{
    bool valid = span->trace_id.len == 16 && !all_zero(span->trace_id) && span->span_id.len == 8 &&
                 !all_zero(span->span_id) && (span->parent_span_id.len == 0 || span->parent_span_id.len == 8);

    for (size_t i = 0; i < span->n_links; i++)
        valid = valid && (span->links[i]->trace_id.len == 0 || span->links[i]->trace_id.len == 16) &&
                (span->links[i]->span_id.len == 0 || span->links[i]->span_id.len == 8);
    return valid;
}

enum { MUTANT_BYTES_MAX = 4096 };

/* ---- comparing --------------------------------------------------------------------------------------- */

/* The message at hand, for whoever must look at it: `protoc --decode_raw` reads what xxd -r -p makes of this. */
static struct slice at_hand;

static const char *hex(void)
{
    static char text[2 * MUTANT_BYTES_MAX + 1];

    for (size_t i = 0; i < at_hand.len && i < MUTANT_BYTES_MAX; i++)
        snprintf(text + 2 * i, 3, "%02x", at_hand.ptr[i]);
    return text;
}

static void assert_same_packed(ProtobufCMessage *ours, ProtobufCMessage *reference, const char *what)
{
    size_t ours_len, reference_len;

    often_assert_msg(ours != NULL, "%s: the reference does not read what we wrote", what);
    uint8_t *const a = pack(ours, &ours_len), *const b = pack(reference, &reference_len);
    often_assert_msg(ours_len == reference_len && memcmp(a, b, ours_len) == 0, "%s differs: %s", what, hex());
    free(a);
    free(b);
    protobuf_c_message_free_unpacked(ours, NULL);
}

static void assert_same_envelope(const struct rebuilt_envelope *ours, ProtobufCMessage *reference,
                                 const char *schema_url, const ProtobufCMessageDescriptor *descriptor)
{
    often_assert(ours->present == (reference != NULL));
    often_assert(ours->schema_url.len >= strlen(schema_url));
    often_assert(memcmp(ours->schema_url.ptr, schema_url, strlen(schema_url)) == 0);
    if (reference != NULL)
        assert_same_packed(protobuf_c_message_unpack(descriptor, NULL, ours->message.len, ours->message.ptr),
                           reference, descriptor->short_name);
}

/* Our spans are those of the reference that are valid, in order, each below the same resource and scope. */
static void assert_same(const struct rebuilt *ours, const struct otlp_result *result, TracesData *reference)
{
    uint32_t at = 0, rejected = 0;

    for (size_t r = 0; r < reference->n_resource_spans; r++) {
        Opentelemetry__Proto__ResourceSpans *const resource_spans = reference->resource_spans[r];
        for (size_t s = 0; s < resource_spans->n_scope_spans; s++) {
            Opentelemetry__Proto__ScopeSpans *const scope_spans = resource_spans->scope_spans[s];
            for (size_t i = 0; i < scope_spans->n_spans; i++) {
                if (!is_valid(scope_spans->spans[i])) {
                    rejected++;
                    continue;
                }
                often_assert_msg(at < ours->spans_count, "a span is missing");
                const struct rebuilt_span *const span = &ours->spans[at++];
                assert_same_packed(protobuf_c_message_unpack(&opentelemetry__proto__span__descriptor, NULL,
                                                             span->bytes.len, span->bytes.ptr),
                                   &scope_spans->spans[i]->base, "Span");
                assert_same_envelope(&ours->envelopes[span->resource],
                                     resource_spans->resource == NULL ? NULL
                                                                      : &resource_spans->resource->base,
                                     resource_spans->schema_url, &opentelemetry__proto__resource__descriptor);
                assert_same_envelope(&ours->envelopes[span->scope],
                                     scope_spans->scope == NULL ? NULL : &scope_spans->scope->base,
                                     scope_spans->schema_url,
                                     &opentelemetry__proto__instrumentation_scope__descriptor);
            }
        }
    }
    often_assert_msg(at == ours->spans_count, "a span too many");
    often_assert(result->spans == at);
    often_assert(result->rejected == rejected);
}

struct tally {
    uint64_t tried, accepted, refused; /* by both */
    uint64_t stricter, looser, rejected, merging, legacy;
};

/* Judges one message by both decoders. */
static void judge(struct otlp_decoder *decoder, struct slice body, struct tally *tally)
{
    struct survey survey = {0};
    struct rebuilt ours = {0};
    struct otlp_result result;

    at_hand = body;
    survey_message(&opentelemetry__proto__traces_data__descriptor, body, 0, 0, &survey);
    const enum err err = rebuild(decoder, body, &ours, &result);
    TracesData *const reference = opentelemetry__proto__traces_data__unpack(NULL, body.len, body.ptr);

    tally->tried++;
    if (survey.legacy) {
        tally->legacy++;
    } else if (err == OK && reference != NULL) {
        if (survey.merging || survey.too_deep || survey.odd_link) {
            tally->merging++;
        } else {
            assert_same(&ours, &result, reference);
            tally->accepted++;
        }
    } else if (err != OK && reference == NULL) {
        often_assert(err == ERR_MALFORMED);
        often_assert(result.fault.offset < body.len);
        tally->refused++;
    } else if (err == OK) {
        often_assert_msg(survey.looser || survey.merging || result.rejected > 0,
                         "we took what the reference refuses: %s", hex());
        tally->looser += survey.looser;
        tally->merging += !survey.looser && survey.merging;
        tally->rejected += !survey.looser && !survey.merging;
    } else {
        often_assert_msg(survey.stricter, "we refused what the reference takes: %s at %lu: %s",
                         result.fault.reason, (unsigned long)result.fault.offset, hex());
        tally->stricter++;
    }
    if (reference != NULL) opentelemetry__proto__traces_data__free_unpacked(reference, NULL);
    rebuilt_free(&ours);
}

/* ---- mutations --------------------------------------------------------------------------------------- */

static size_t mutate(struct maker *maker, uint8_t *bytes, size_t len)
{
    const size_t at = maker_below(maker, (uint32_t)len);

    switch (maker_below(maker, 9)) {
    case 0: bytes[at] ^= (uint8_t)(1u << maker_below(maker, 8)); return len;
    case 1: bytes[at] = (uint8_t)maker_next(maker); return len;
    case 2: bytes[at] += (uint8_t)(maker_below(maker, 2) * 2 - 1); return len;
    case 3: /* take a piece out */ {
        const size_t piece = 1 + maker_below(maker, 4);
        if (at + piece >= len) return len;
        memmove(bytes + at, bytes + at + piece, len - at - piece);
        return len - piece;
    }
    case 4: /* double a piece */ {
        const size_t piece = 1 + maker_below(maker, 16);
        if (at + piece > len || len + piece > MUTANT_BYTES_MAX) return len;
        memmove(bytes + at + piece, bytes + at, len - at);
        return len + piece;
    }
    case 5: /* a piece from elsewhere */ {
        const size_t piece = 1 + maker_below(maker, 12), from = maker_below(maker, (uint32_t)len);
        if (at + piece > len || from + piece > len) return len;
        memmove(bytes + at, bytes + from, piece);
        return len;
    }
    case 6: return maker_below(maker, 4) == 0 ? at + 1 : len; /* cut */
    case 7: bytes[at] = (uint8_t)(maker_below(maker, 17) << 3 | maker_below(maker, 6)); return len;
    default: bytes[at] |= 0x80; return len;
    }
}

static void report(const char *what, const struct tally *tally)
{
    cr_log_info(
        "%s: %lu tried, %lu equal, %lu refused by both; by rule: %lu stricter, %lu looser, %lu rejected, "
        "%lu merging, %lu legacy\n",
        what, tally->tried, tally->accepted, tally->refused, tally->stricter, tally->looser, tally->rejected,
        tally->merging, tally->legacy);
}

static void run(uint64_t seed, unsigned wildness, unsigned mutations, uint32_t rounds, uint32_t mutants,
                struct tally *tally)
{
    struct maker maker = {.state = seed, .wildness = wildness, .invalid_ids = 20, .traces = 5};
    struct otlp_decoder *decoder;

    cr_assert_eq(otlp_decoder_open(&decoder), OK);
    for (uint32_t i = 0; i < rounds; i++) {
        struct message body = maker_body(&maker, 1 + maker_below(&maker, 2));
        uint8_t *const mutant = malloc(MUTANT_BYTES_MAX);
        for (uint32_t k = 0; k < mutants && body.len > 0 && body.len < MUTANT_BYTES_MAX; k++) {
            size_t len = body.len;
            memcpy(mutant, body.bytes, len);
            for (unsigned m = 0; m < mutations && len > 0; m++)
                len = mutate(&maker, mutant, len);
            uint8_t *const tight = malloc(len > 0 ? len : 1); /* so that reading past it is seen */
            memcpy(tight, mutant, len);
            judge(decoder, slice_of(tight, len), tally);
            free(tight);
        }
        free(mutant);
        message_free(&body);
    }
    otlp_decoder_close(decoder);
}

/* What nobody has spoilt must be equal without exception. */
Test(differential, B9_plain_messages_mean_the_same)
{
    struct tally tally = {0};

    run(1, 0, 0, 20000, 1, &tally);
    report("plain", &tally);
    cr_assert_eq(tally.accepted, tally.tried);
}

Test(differential, B9_wild_messages_mean_the_same)
{
    struct tally tally = {0};

    run(2, 30, 0, 20000, 1, &tally);
    report("wild", &tally);
    cr_assert_gt(tally.accepted, tally.tried / 2);
    cr_assert_eq(tally.refused + tally.stricter, 0, "all of it is legal");
}

Test(differential, B9_lightly_spoilt_messages_get_the_same_verdict)
{
    struct tally tally = {0};

    run(3, 5, 1, 3000, 50, &tally);
    report("one mutation", &tally);
    cr_assert_gt(tally.accepted + tally.refused, 130000);
    cr_assert_gt(tally.accepted, 20000);
    cr_assert_gt(tally.refused, 20000);
}

Test(differential, B9_heavily_spoilt_messages_get_the_same_verdict)
{
    struct tally tally = {0};

    run(4, 20, 4, 2500, 50, &tally);
    report("four mutations", &tally);
    cr_assert_gt(tally.accepted + tally.refused, 90000);
}
