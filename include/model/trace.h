/*
 * The words of the field, as OTLP spells them (opentelemetry/proto/trace/v1/trace.proto,
 * common/v1/common.proto).
 */
#ifndef MODEL_TRACE_H
#define MODEL_TRACE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_id {
    uint8_t bytes[16];
};
struct span_id {
    uint8_t bytes[8];
};

static inline bool trace_id_is_zero(const struct trace_id *id)
{
    uint64_t half[2];
    memcpy(half, id->bytes, sizeof half);
    return (half[0] | half[1]) == 0;
}

static inline bool span_id_is_zero(const struct span_id *id)
{
    uint64_t whole;
    memcpy(&whole, id->bytes, sizeof whole);
    return whole == 0;
}

/* Span.SpanKind; other numbers are kept as they come. */
enum span_kind { KIND_UNSPECIFIED, KIND_INTERNAL, KIND_SERVER, KIND_CLIENT, KIND_PRODUCER, KIND_CONSUMER };
/* Status.StatusCode */
enum status_code { STATUS_UNSET, STATUS_OK, STATUS_ERROR };

/* Where an attribute stands. Numbers reach the disk. */
enum attribute_level {
    LEVEL_RESOURCE = 0,
    LEVEL_SCOPE = 1,
    LEVEL_SPAN = 2,
    LEVEL_EVENT = 3,
    LEVEL_LINK = 4,
    LEVEL_COUNT
};

/* The type of an AnyValue. Numbers reach the disk. */
enum value_type {
    VALUE_ABSENT = 0, /* KeyValue without a value field */
    VALUE_EMPTY = 1,  /* AnyValue without any of the oneof */
    VALUE_STRING = 2,
    VALUE_BOOL = 3,
    VALUE_INT = 4,
    VALUE_DOUBLE = 5,
    VALUE_ARRAY = 6,  /* bytes of the ArrayValue message */
    VALUE_KVLIST = 7, /* bytes of the KeyValueList message */
    VALUE_BYTES = 8,
    VALUE_RAW = 9, /* a whole KeyValue message; only in blocks with too many distinct keys */
    VALUE_TYPE_COUNT
};

/* One attribute, borrowed from the bytes it was decoded from. */
struct attribute {
    struct slice key;
    enum value_type type;
    struct slice bytes; /* STRING BYTES ARRAY KVLIST RAW */
    uint64_t bits;      /* BOOL (0/1), INT (two's complement), DOUBLE (IEEE bits) */
};

#endif
