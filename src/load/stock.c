/*
 * Templates and how they are made.
 *
 * stock_open() runs a source. For each message it walks the spans once and notes every place that must change
 * from round to round: trace, span, parent and link ids, start, end and event times, and span attribute
 * values that look unique (a UUID, or 16 or 32 lower-case hexadecimal digits with a letter among them). Equal
 * template ids and equal unique values get equal numbers, so parents, links and correlation ids still match
 * after stamping.
 *
 *   bytes     [ body 0 | body 1 | … ]          one allocation
 *   patches   [ of body 0 | of body 1 | … ]    in order of offset
 *   times     [ of body 0 | … ]                one for each PATCH_TIME, relative to the latest time of all
 * templates spans     [ of trace 0 | of trace 1 | … ]  for verification
 *
 * Everything is allocated here; stamping allocates nothing. Failures: a source's own, ERR_NO_MEMORY,
 * ERR_TOO_LARGE (a body of 4 GiB, 2^28 ids). A span that names its ids twice or an envelope in pieces is
 * stamped in every place.
 */
#include "load/stock.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "id_table.h"
#include "source.h"
#include "stamp.h"
#include "walk.h"

struct body {
    size_t offset; /* in bytes */
    uint32_t len;
    uint32_t spans;
    size_t patches_first;
    uint32_t patches;
    size_t times_first;
};

struct envelope {
    uint32_t offset, len; /* in the body */
};

struct stock {
    /* configuration */
    uint64_t seed, run;

    /* fixed once opened, but for what stamping writes into bytes */
    struct buffer bytes;
    struct buffer bodies;    /* struct body */
    struct buffer patches;   /* struct patch */
    struct buffer times;     /* int64_t */
    struct buffer envelopes; /* struct envelope */
    struct buffer spans;     /* struct stock_span, by trace once opened */
    uint32_t *trace_first;   /* traces + 1 entries into spans */
    uint32_t traces;
    uint32_t bodies_main; /* without the giant trace's */
    uint32_t body_len_max;
    uint64_t checksum;

    /* while being made */
    struct message_sink sink;
    struct id_table trace_ids, span_ids, uniques;
    uint64_t time_latest;
};

static const struct body *body_at(const struct stock *stock, uint32_t body)
{
    assert(body < stock_bodies(stock));

    return (const struct body *)(const void *)stock->bodies.ptr + body;
}

/* ---- finding what to stamp
 * --------------------------------------------------------------------------------- */

/* The message being added. */
struct scan {
    struct stock *stock;
    const uint8_t *message;
    uint32_t trace; /* of the current span */
    enum err err;
};

static void add_patch(struct scan *scan, const uint8_t *at, enum patch_kind kind, uint32_t number)
{
    const struct patch patch = patch_of((uint32_t)(at - scan->message), kind, number);

    buffer_append(&scan->stock->patches, &patch, sizeof patch);
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static uint32_t number_of(struct scan *scan, struct id_table *table, uint64_t high, uint64_t low)
{
    uint32_t number = 0;

    if (scan->err == OK) scan->err = id_table_number(table, (struct id_key){high, low}, &number);
    return number;
}

static uint32_t scan_trace_id(struct scan *scan, struct slice id)
{
    const uint32_t number = number_of(scan, &scan->stock->trace_ids, load64(id.ptr), load64(id.ptr + 8));

    add_patch(scan, id.ptr, PATCH_TRACE_ID, number);
    return number;
}

/* Span ids are unique within their trace only. */
static void scan_span_id(struct scan *scan, struct slice id, uint32_t trace)
{
    static const uint8_t zero[8];

    if (id.len != 8 || memcmp(id.ptr, zero, 8) == 0) return;
    add_patch(scan, id.ptr, PATCH_SPAN_ID, number_of(scan, &scan->stock->span_ids, trace, load64(id.ptr)));
}

static void scan_time(struct scan *scan, const struct proto_field *field)
{
    if (field->type != PROTO_FIXED64 || field->value == 0) return;

    const int64_t absolute = (int64_t)field->value; /* made relative when all are known */
    add_patch(scan, field->whole.ptr + field->whole.len - 8, PATCH_TIME, 0);
    buffer_append(&scan->stock->times, &absolute, sizeof absolute);
    if (field->value > scan->stock->time_latest) scan->stock->time_latest = field->value;
}

static void scan_event(struct scan *scan, struct slice event)
{
    struct proto_reader reader = proto_read(event);
    struct proto_field field;

    while (proto_next(&reader, &field)) {
        if (field.number == EVENT_TIME) scan_time(scan, &field);
    }
    if (reader.err != OK) scan->err = reader.err;
}

static void scan_link(struct scan *scan, struct slice link)
{
    struct proto_reader reader = proto_read(link);
    struct proto_field field;
    uint32_t trace = scan->trace;

    while (proto_next(&reader, &field)) {
        if (field.type != PROTO_BYTES) continue;
        if (field.number == LINK_TRACE_ID && field.bytes.len == 16) trace = scan_trace_id(scan, field.bytes);
        if (field.number == LINK_SPAN_ID) scan_span_id(scan, field.bytes, trace);
    }
    if (reader.err != OK) scan->err = reader.err;
}

static bool is_hex(const uint8_t *at, size_t len, bool *letter)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] >= 'a' && at[i] <= 'f')
            *letter = true;
        else if (at[i] < '0' || at[i] > '9')
            return false;
    }
    return true;
}

/* Which kind of unique value the text is, or PATCH_KINDS. Digits alone are taken for a number. */
static enum patch_kind unique_kind(struct slice text)
{
    static const uint8_t dashes[4] = {8, 13, 18, 23};
    bool letter = false;

    if (text.len == 16 && is_hex(text.ptr, 16, &letter)) return letter ? PATCH_HEX16 : PATCH_KINDS;
    if (text.len == 32 && is_hex(text.ptr, 32, &letter)) return letter ? PATCH_HEX32 : PATCH_KINDS;
    if (text.len != 36) return PATCH_KINDS;
    for (size_t i = 0; i < 4; i++) {
        if (text.ptr[dashes[i]] != '-') return PATCH_KINDS;
    }
    return is_hex(text.ptr, 8, &letter) && is_hex(text.ptr + 9, 4, &letter) &&
                   is_hex(text.ptr + 14, 4, &letter) && is_hex(text.ptr + 19, 4, &letter) &&
                   is_hex(text.ptr + 24, 12, &letter)
               ? PATCH_UUID
               : PATCH_KINDS;
}

static void scan_value(struct scan *scan, struct slice value)
{
    struct proto_reader reader = proto_read(value);
    struct proto_field field;

    while (proto_next(&reader, &field)) {
        if (field.number != ANY_VALUE_STRING || field.type != PROTO_BYTES) continue;
        const enum patch_kind kind = unique_kind(field.bytes);
        if (kind == PATCH_KINDS) continue;
        const uint64_t low = hash_fast(field.bytes.ptr, field.bytes.len, 1);
        const uint64_t high = hash_fast(field.bytes.ptr, field.bytes.len, 2);
        add_patch(scan, field.bytes.ptr, kind, number_of(scan, &scan->stock->uniques, high, low));
    }
    if (reader.err != OK) scan->err = reader.err;
}

static void scan_attribute(struct scan *scan, struct slice attribute)
{
    struct proto_reader reader = proto_read(attribute);
    struct proto_field field;

    while (proto_next(&reader, &field)) {
        if (field.number == KEY_VALUE_VALUE && field.type == PROTO_BYTES) scan_value(scan, field.bytes);
    }
    if (reader.err != OK) scan->err = reader.err;
}

static void scan_span_field(struct scan *scan, const struct proto_field *field)
{
    if (field->number == SPAN_START_TIME || field->number == SPAN_END_TIME) scan_time(scan, field);
    if (field->type != PROTO_BYTES) return;
    if (field->number == SPAN_TRACE_ID) add_patch(scan, field->bytes.ptr, PATCH_TRACE_ID, scan->trace);
    if (field->number == SPAN_SPAN_ID) scan_span_id(scan, field->bytes, scan->trace);
    if (field->number == SPAN_PARENT_SPAN_ID) scan_span_id(scan, field->bytes, scan->trace);
    if (field->number == SPAN_ATTRIBUTES) scan_attribute(scan, field->bytes);
    if (field->number == SPAN_EVENTS) scan_event(scan, field->bytes);
    if (field->number == SPAN_LINKS) scan_link(scan, field->bytes);
}

static void scan_span(struct scan *scan, struct slice span)
{
    struct proto_reader reader = proto_read(span);
    struct proto_field field;
    struct span_ids ids;

    if (!span_ids_of(span, &ids)) { /* sources leave such spans out */
        scan->err = ERR_MALFORMED;
        return;
    }
    scan->trace = number_of(scan, &scan->stock->trace_ids, load64(ids.trace_id.ptr),
                            load64(ids.trace_id.ptr + 8));
    while (scan->err == OK && proto_next(&reader, &field))
        scan_span_field(scan, &field);
    if (reader.err != OK) scan->err = reader.err;
}

/* ---- adding a body
 * ----------------------------------------------------------------------------------------- */

/* Numbers an envelope; consecutive spans of the same one share it. */
static uint32_t add_envelope(struct stock *stock, const struct scan *scan, struct slice envelope)
{
    const struct envelope entry = {(uint32_t)(envelope.ptr - scan->message), (uint32_t)envelope.len};
    const uint32_t number = (uint32_t)(stock->envelopes.len / sizeof entry);

    buffer_append(&stock->envelopes, &entry, sizeof entry);
    return number;
}

/* Walks the spans and notes patches, times and places; the number of spans goes to *count. */
static enum err scan_message(struct stock *stock, struct slice message, uint32_t *count)
{
    struct scan scan = {.stock = stock, .message = message.ptr, .err = OK};
    struct span_walk walk = span_walk_of(message);
    struct stock_span entry = {.body = stock_bodies(stock)};
    const uint8_t *resource = NULL;
    const uint8_t *scope = NULL;

    *count = 0;
    while (scan.err == OK && span_walk_next(&walk)) {
        if (resource != walk.resource_spans.ptr)
            entry.resource = add_envelope(stock, &scan, walk.resource_spans);
        if (scope != walk.scope_spans.ptr) entry.scope = add_envelope(stock, &scan, walk.scope_spans);
        resource = walk.resource_spans.ptr;
        scope = walk.scope_spans.ptr;
        scan_span(&scan, walk.span);
        entry.trace = scan.trace;
        entry.offset = (uint32_t)(walk.span.ptr - message.ptr);
        entry.len = (uint32_t)walk.span.len;
        buffer_append(&stock->spans, &entry, sizeof entry);
        ++*count;
    }
    return scan.err != OK ? scan.err : walk.err;
}

static enum err add_message(struct message_sink *sink, struct slice message)
{
    struct stock *const stock = (struct stock *)(void *)((char *)sink - offsetof(struct stock, sink));
    struct body body = {
        .offset = stock->bytes.len,
        .len = (uint32_t)message.len,
        .patches_first = stock->patches.len / sizeof(struct patch),
        .times_first = stock->times.len / sizeof(int64_t),
    };

    if (message.len > UINT32_MAX / 2) return ERR_TOO_LARGE;
    TRY(scan_message(stock, message, &body.spans));
    body.patches = (uint32_t)(stock->patches.len / sizeof(struct patch) - body.patches_first);
    buffer_append(&stock->bytes, message.ptr, message.len);
    buffer_append(&stock->bodies, &body, sizeof body);
    if (body.len > stock->body_len_max) stock->body_len_max = body.len;
    return stock->bytes.failed || stock->bodies.failed || stock->patches.failed || stock->times.failed ||
                   stock->envelopes.failed || stock->spans.failed
               ? ERR_NO_MEMORY
               : OK;
}

/* ---- opening and closing
 * ----------------------------------------------------------------------------------- */

static enum err run_sources(struct stock *stock, const struct stock_config *config)
{
    stock->sink.on_message = add_message;
    if (config->corpus_path != NULL) {
        TRY(corpus_run(config, &stock->sink));
        stock->bodies_main = stock_bodies(stock);
        return stock->bodies_main > 0 ? OK : ERR_MALFORMED;
    }
    TRY(generator_run(config, &stock->sink));
    stock->bodies_main = stock_bodies(stock);
    return config->giant_spans == 0 ? OK : generator_run_giant(config, &stock->sink);
}

static void make_times_relative(struct stock *stock)
{
    int64_t *const times = (int64_t *)(void *)stock->times.ptr;

    for (size_t i = 0; i < stock->times.len / sizeof *times; i++)
        times[i] = (int64_t)((uint64_t)times[i] - stock->time_latest);
}

/* Counting sort of the spans by trace; within a trace they keep the order of the bodies. */
static enum err sort_spans_by_trace(struct stock *stock)
{
    const uint32_t count = (uint32_t)(stock->spans.len / sizeof(struct stock_span));
    const struct stock_span *const spans = (const struct stock_span *)(const void *)stock->spans.ptr;
    struct stock_span *const sorted = calloc((size_t)count + 1, sizeof *sorted);
    uint32_t *const first = calloc((size_t)stock->trace_ids.count + 2, sizeof *first);

    if (sorted == NULL || first == NULL) {
        free(sorted);
        free(first);
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        first[spans[i].trace + 2]++;
    for (uint32_t t = 0; t < stock->trace_ids.count; t++)
        first[t + 2] += first[t + 1];
    for (uint32_t i = 0; i < count; i++)
        sorted[first[spans[i].trace + 1]++] = spans[i];
    memcpy(stock->spans.ptr, sorted, count * sizeof *sorted);
    free(sorted);
    stock->trace_first = first;
    stock->traces = stock->trace_ids.count;
    return OK;
}

enum err stock_open(const struct stock_config *config, struct stock **out)
{
    struct stock *const stock = calloc(1, sizeof *stock);
    if (stock == NULL) return ERR_NO_MEMORY;

    stock->seed = config->seed;
    stock->run = config->run;
    enum err err = run_sources(stock, config);
    if (err == OK) err = sort_spans_by_trace(stock);
    if (err != OK) {
        log_error("load", "could not make the bodies", "source=%s error=\"%s\"",
                  config->corpus_path != NULL ? config->corpus_path : "generator", err_text(err));
        stock_close(stock);
        return err;
    }
    make_times_relative(stock);
    id_table_deinit(&stock->trace_ids);
    id_table_deinit(&stock->span_ids);
    id_table_deinit(&stock->uniques);
    stock->checksum = hash64(stock->bytes.ptr, stock->bytes.len);
    *out = stock;
    return OK;
}

void stock_close(struct stock *stock)
{
    buffer_deinit(&stock->bytes);
    buffer_deinit(&stock->bodies);
    buffer_deinit(&stock->patches);
    buffer_deinit(&stock->times);
    buffer_deinit(&stock->envelopes);
    buffer_deinit(&stock->spans);
    id_table_deinit(&stock->trace_ids);
    id_table_deinit(&stock->span_ids);
    id_table_deinit(&stock->uniques);
    free(stock->trace_first);
    free(stock);
}

/* ---- use
 * --------------------------------------------------------------------------------------------------- */

uint32_t stock_bodies(const struct stock *stock)
{
    return (uint32_t)(stock->bodies.len / sizeof(struct body));
}

uint32_t stock_bodies_in_round(const struct stock *stock, uint64_t round)
{
    return round % STOCK_GIANT_EVERY == STOCK_GIANT_EVERY / 4 ? stock_bodies(stock) : stock->bodies_main;
}

uint32_t stock_body_spans(const struct stock *stock, uint32_t body)
{
    return body_at(stock, body)->spans;
}

uint32_t stock_body_len_max(const struct stock *stock)
{
    return stock->body_len_max;
}

uint64_t stock_round_spans(const struct stock *stock, uint64_t round)
{
    uint64_t spans = 0;

    for (uint32_t i = 0; i < stock_bodies_in_round(stock, round); i++)
        spans += stock_body_spans(stock, i);
    return spans;
}

uint64_t stock_checksum(const struct stock *stock)
{
    return stock->checksum;
}

static void apply(const struct stock *stock, const struct body *body, uint64_t round, uint64_t time_ns,
                  uint8_t *into)
{
    const struct stamp stamp = stamp_of(stock->seed, stock->run, round, time_ns);
    const struct patch *const patches = (const struct patch *)(const void *)stock->patches.ptr;
    const int64_t *const times = (const int64_t *)(const void *)stock->times.ptr;

    stamp_apply(&stamp, into, patches + body->patches_first, body->patches, times + body->times_first);
}

struct slice stock_stamp(struct stock *stock, uint32_t index, uint64_t round, uint64_t time_ns)
{
    const struct body *const body = body_at(stock, index);

    apply(stock, body, round, time_ns, stock->bytes.ptr + body->offset);
    return slice_of(stock->bytes.ptr + body->offset, body->len);
}

struct slice stock_stamp_copy(const struct stock *stock, uint32_t index, uint64_t round, uint64_t time_ns,
                              uint8_t *into)
{
    const struct body *const body = body_at(stock, index);

    memcpy(into, stock->bytes.ptr + body->offset, body->len);
    apply(stock, body, round, time_ns, into);
    return slice_of(into, body->len);
}

uint32_t stock_traces(const struct stock *stock)
{
    return stock->traces;
}

struct trace_id stock_trace_id(const struct stock *stock, uint64_t round, uint32_t trace)
{
    const struct stamp stamp = stamp_of(stock->seed, stock->run, round, 0);
    struct trace_id id;

    stamp_trace_id(&stamp, trace, id.bytes);
    return id;
}

uint32_t stock_trace_spans(const struct stock *stock, uint32_t trace, const struct stock_span **spans)
{
    assert(trace < stock->traces);

    *spans = (const struct stock_span *)(const void *)stock->spans.ptr + stock->trace_first[trace];
    return stock->trace_first[trace + 1] - stock->trace_first[trace];
}

struct slice stock_body(const struct stock *stock, uint32_t index)
{
    const struct body *const body = body_at(stock, index);

    return slice_of(stock->bytes.ptr + body->offset, body->len);
}

struct slice stock_envelope(const struct stock *stock, uint32_t body, uint32_t envelope)
{
    assert(envelope < stock->envelopes.len / sizeof(struct envelope));

    const struct envelope *const entry = (const struct envelope *)(const void *)stock->envelopes.ptr +
                                         envelope;
    return slice_of(stock_body(stock, body).ptr + entry->offset, entry->len);
}
