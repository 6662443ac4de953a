/*
 * Only lists are taken apart: TracesData.resource_spans 1, ResourceSpans.scope_spans 2, ScopeSpans.spans 2. All other fields of a
 * message, known or not, go with each of its parts.
 */
#include "batch.h"

#include "codec/wire.h"

#include <stdlib.h>
#include <string.h>

enum { RESOURCE_SPANS = 1, SCOPE_SPANS = 2, SPANS = 2, HEAD_MAX = 12 /* of a field: tag and length */ };

void batch_init(struct batch *batch, size_t bytes_max,
                enum err (*send)(void *context, struct slice request, uint64_t spans), void *context)
{
    *batch = (struct batch){.bytes_max = bytes_max, .send = send, .context = context};
}

void batch_deinit(struct batch *batch)
{
    free(batch->bytes);
    *batch = (struct batch){.bytes = NULL};
}

enum err batch_flush(struct batch *batch)
{
    if (batch->len == 0) return OK;
    const enum err err = batch->send(batch->context, slice_of(batch->bytes, batch->len), batch->spans);
    batch->len = 0;
    batch->spans = 0;
    return err;
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static enum err reserve(struct batch *batch, size_t more)
{
    if (batch->len + more <= batch->capacity) return OK;
    const size_t capacity = (batch->len + more) * 2;
    uint8_t *const grown = realloc(batch->bytes, capacity);
    if (grown == NULL) return ERR_NO_MEMORY;
    batch->bytes = grown;
    batch->capacity = capacity;
    return OK;
}

static void put_bytes(struct batch *batch, struct slice bytes)
{
    if (bytes.len > 0) memcpy(batch->bytes + batch->len, bytes.ptr, bytes.len);
    batch->len += bytes.len;
}

static size_t head_bytes(uint32_t number, size_t len, uint8_t out[HEAD_MAX])
{
    const unsigned tag = wire_varint_bytes((uint64_t)number << 3 | WIRE_BYTES, out);

    return tag + wire_varint_bytes(len, out + tag);
}

static void put_head(struct batch *batch, uint32_t number, size_t len)
{
    uint8_t head[HEAD_MAX];

    put_bytes(batch, slice_of(head, head_bytes(number, len, head)));
}

static size_t field_bytes(uint32_t number, size_t len)
{
    uint8_t head[HEAD_MAX];

    return head_bytes(number, len, head) + len;
}

/* ---- messages -------------------------------------------------------------------------------------------- */

/* The next field; *part: its message when it is one of the list, and ptr NULL otherwise; *whole: all of its bytes. */
static enum err next_field(struct wire_reader *reader, uint32_t list, struct slice *part, struct slice *whole)
{
    const uint8_t *const begin = reader->at;
    uint32_t number, type;

    *part = (struct slice){0};
    if (!wire_tag(reader, &number, &type)) return ERR_MALFORMED;
    if (number == list && type == WIRE_BYTES) {
        if (!wire_bytes(reader, part)) return ERR_MALFORMED;
    } else if (!wire_skip(reader, type)) {
        return ERR_MALFORMED;
    }
    *whole = slice_of(begin, (size_t)(reader->at - begin));
    return OK;
}

/* How many there are in a list, and how many bytes all that is not in it has. */
static enum err measure(struct slice message, uint32_t list, uint64_t *count, size_t *rest)
{
    struct wire_reader reader = wire_reader_of(message);
    struct slice part, whole;

    *count = 0;
    *rest = 0;
    while (reader.at < reader.end) {
        TRY(next_field(&reader, list, &part, &whole));
        *count += part.ptr != NULL;
        *rest += part.ptr != NULL ? 0 : whole.len;
    }
    return OK;
}

static void put_rest(struct batch *batch, struct slice message, uint32_t list)
{
    struct wire_reader reader = wire_reader_of(message);
    struct slice part, whole;

    while (reader.at < reader.end && next_field(&reader, list, &part, &whole) == OK)
        if (part.ptr == NULL) put_bytes(batch, whole);
}

static enum err count_spans(struct slice resource_spans, uint64_t *spans)
{
    struct wire_reader reader = wire_reader_of(resource_spans);
    struct slice part, whole;
    uint64_t count;
    size_t rest;

    *spans = 0;
    while (reader.at < reader.end) {
        TRY(next_field(&reader, SCOPE_SPANS, &part, &whole));
        if (part.ptr == NULL) continue;
        TRY(measure(part, SPANS, &count, &rest));
        *spans += count;
    }
    return OK;
}

/* ---- taking apart ---------------------------------------------------------------------------------------- */

/* Spans that stand side by side in a scope, with what is around them, as one field of a request. */
static enum err put_spans(struct batch *batch, struct slice resource, size_t resource_rest,
                          struct slice scope, size_t scope_rest, struct slice spans, uint64_t count)
{
    const size_t scope_len = scope_rest + spans.len;
    const size_t resource_len = resource_rest + field_bytes(SCOPE_SPANS, scope_len);
    const size_t len = field_bytes(RESOURCE_SPANS, resource_len);

    if (batch->len > 0 && batch->len + len > batch->bytes_max) TRY(batch_flush(batch));
    TRY(reserve(batch, len));
    put_head(batch, RESOURCE_SPANS, resource_len);
    put_rest(batch, resource, SCOPE_SPANS);
    put_head(batch, SCOPE_SPANS, scope_len);
    put_rest(batch, scope, SPANS);
    put_bytes(batch, spans);
    batch->spans += count;
    return OK;
}

/* In runs that fit; fields between the spans, which no writer makes, go around each run. */
static enum err split_scope(struct batch *batch, struct slice resource, size_t resource_rest,
                            struct slice scope)
{
    struct wire_reader reader = wire_reader_of(scope);
    struct slice part, whole, run = {0};
    uint64_t count, in_run = 0;
    size_t rest;

    TRY(measure(scope, SPANS, &count, &rest));
    const size_t around = resource_rest + rest + 3 * HEAD_MAX;
    while (reader.at < reader.end) {
        TRY(next_field(&reader, SPANS, &part, &whole));
        const bool joins = part.ptr != NULL && run.len > 0 && run.ptr + run.len == whole.ptr &&
                           around + run.len + whole.len <= batch->bytes_max;
        if (!joins && run.len > 0) {
            TRY(put_spans(batch, resource, resource_rest, scope, rest, run, in_run));
            run = (struct slice){0};
        }
        if (part.ptr == NULL) continue;
        run = joins ? slice_of(run.ptr, run.len + whole.len) : whole;
        in_run = joins ? in_run + 1 : 1;
    }
    return run.len > 0 ? put_spans(batch, resource, resource_rest, scope, rest, run, in_run) : OK;
}

static enum err split_resource(struct batch *batch, struct slice resource)
{
    struct wire_reader reader = wire_reader_of(resource);
    struct slice part, whole;
    uint64_t count;
    size_t rest;

    TRY(measure(resource, SCOPE_SPANS, &count, &rest));
    while (reader.at < reader.end) {
        TRY(next_field(&reader, SCOPE_SPANS, &part, &whole));
        if (part.ptr != NULL) TRY(split_scope(batch, resource, rest, part));
    }
    return OK;
}

enum err batch_add(struct batch *batch, struct slice message)
{
    struct wire_reader reader = wire_reader_of(message);
    struct slice part, whole;
    uint64_t spans;

    while (reader.at < reader.end) {
        TRY(next_field(&reader, RESOURCE_SPANS, &part, &whole));
        if (part.ptr == NULL) continue;
        TRY(count_spans(part, &spans));
        if (whole.len > batch->bytes_max) {
            TRY(split_resource(batch, part));
            continue;
        }
        if (batch->len + whole.len > batch->bytes_max) TRY(batch_flush(batch));
        TRY(reserve(batch, whole.len));
        put_bytes(batch, whole);
        batch->spans += spans;
    }
    return OK;
}
