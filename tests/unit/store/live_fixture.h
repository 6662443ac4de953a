/*
 * A live block fed with bodies, beside the plain list of spans that the same bodies mean (rebuild.h): after every request
 * both must agree. A body that fails is undone and must have left nothing.
 */
#ifndef TEST_STORE_LIVE_FIXTURE_H
#define TEST_STORE_LIVE_FIXTURE_H

#include "model/maker.h"
#include "model/message.h"
#include "model/rebuild.h"

#include "store/live.h"

struct live_case {
    struct live_block *live;
    struct otlp_decoder *decoder;
    struct rebuilt expected;   /* spans of all requests that were taken */
    struct otlp_result result; /* of the last request */
    uint32_t cut;              /* spans with something cut, of the last request that was taken */
    uint64_t lsn;
};

static const uint64_t live_arrival_ns = 1700000000000000000ull;

static inline struct live_case live_case_open(void)
{
    struct live_case c = {0};

    enum err err = live_open(3, &c.live);
    assert(err == OK);
    err = otlp_decoder_open(&c.decoder);
    assert(err == OK);
    live_reset(c.live, 7, 1000);
    c.lsn = 1000;
    return c;
}

static inline void live_case_close(struct live_case *c)
{
    live_close(c->live);
    otlp_decoder_close(c->decoder);
    rebuilt_free(&c->expected);
}

/* Forgets all rows and begins again with the same block. */
static inline void live_case_reset(struct live_case *c)
{
    rebuilt_free(&c->expected);
    live_reset(c->live, c->live->seq + 1, c->lsn);
}

/* Rows, and all that interning left, are as they were. */
static inline bool live_counts_equal(const struct live_counts *a, const struct live_counts *b)
{
    return a->rows == b->rows && a->pairs == b->pairs && a->columns == b->columns &&
           a->resources == b->resources && a->scopes == b->scopes && a->shapes == b->shapes &&
           a->slots == b->slots && a->events == b->events && a->links == b->links &&
           a->shape_items == b->shape_items && a->patterns == b->patterns &&
           a->event_patterns == b->event_patterns && a->arena == b->arena;
}

/* Appends and publishes one body, or undoes it. Says nothing about what was expected. */
static inline enum err live_case_try(struct live_case *c, struct slice body)
{
    const struct live_counts before = c->live->counts;

    live_append_begin(c->live);
    const enum err err = otlp_decode(c->decoder, body, live_sink(), c->live, &c->result);
    c->cut = live_take_cut(c->live);
    if (err != OK) {
        live_append_undo(c->live);
        assert(live_counts_equal(&before, &c->live->counts));
        return err;
    }
    c->lsn += body.len;
    const struct live_counts counts = live_append_end(c->live, c->lsn, live_arrival_ns + c->lsn);
    live_publish(c->live, &counts);
    return OK;
}

/* The same, with the spans that must be there afterwards. */
static inline enum err live_case_append(struct live_case *c, struct slice body)
{
    const uint32_t spans = c->expected.spans_count;
    const enum err err = live_case_try(c, body);
    const struct otlp_result live_result = c->result;
    struct otlp_result result;

    const enum err expected = rebuild(c->decoder, body, &c->expected, &result);
    if (err == OK || err == ERR_MALFORMED) assert(expected == err);
    if (err == OK) {
        assert(result.spans == live_result.spans && result.rejected == live_result.rejected);
        return OK;
    }
    while (c->expected.spans_count > spans)
        free((void *)(uintptr_t)c->expected.spans[--c->expected.spans_count].bytes.ptr);
    return err;
}

/* Appends a finished message and frees it. */
static inline enum err live_case_put(struct live_case *c, struct message *body)
{
    const enum err err = live_case_append(c, message_slice(body));

    message_free(body);
    return err;
}

static inline bool live_row_is(const struct live_block *live, uint32_t row, struct slice expected)
{
    uint8_t *const room = malloc(expected.len + 1);
    struct wire_writer writer = {.base = room, .capacity = expected.len + 1};

    live_span_write(live, row, &writer);
    const bool same = wire_writer_fits(&writer) && slice_equal(wire_writer_bytes(&writer), expected);
    free(room);
    return same;
}

static inline bool live_envelope_is(const struct live_block *live, const struct live_envelope *envelope,
                                    const struct rebuilt_envelope *expected)
{
    return envelope->present == (uint32_t)expected->present &&
           slice_equal(live_bytes(live, envelope->offset, envelope->len), expected->message) &&
           slice_equal(live_bytes(live, envelope->schema_offset, envelope->schema_len), expected->schema_url);
}

static inline const struct live_pattern *live_pattern_of(const struct live_block *live, uint32_t row)
{
    return &live->patterns[live->rows[row].pattern];
}

/* The first row that differs from what was expected; UINT32_MAX: none. Rows are in the order of arrival. */
static inline uint32_t live_case_difference(const struct live_case *c)
{
    if (c->live->counts.rows != c->expected.spans_count) return c->live->counts.rows;
    for (uint32_t i = 0; i < c->live->counts.rows; i++) {
        const struct rebuilt_span *const span = &c->expected.spans[i];
        if (!live_row_is(c->live, i, span->bytes) ||
            !live_envelope_is(c->live, &c->live->resources[live_pattern_of(c->live, i)->resource],
                              &c->expected.envelopes[span->resource]) ||
            !live_envelope_is(c->live, &c->live->scopes[live_pattern_of(c->live, i)->scope],
                              &c->expected.envelopes[span->scope]))
            return i;
    }
    return UINT32_MAX;
}

/*
 * The shape is one of the block, and what stands in its constants and in the slots are pairs of its columns, at the level
 * of the list.
 */
static inline void live_list_check(const struct live_block *live, enum attribute_level level, uint32_t index,
                                   const uint32_t *values)
{
    const struct live_shape *const shape = &live->shapes[index];
    uint32_t varying = 0;

    assert(index < live->counts.shapes);
    for (uint32_t k = 0; k < shape->count; k++) {
        const struct live_shape_item *const item = &live->shape_items[shape->first + k];
        const uint32_t pair = item->constant != 0 ? item->constant : values[varying++];
        assert(pair > 0 && pair < live->counts.pairs);
        assert(live->pairs[pair].column == item->column);
        assert(live->columns[item->column].level == level);
    }
    assert(varying == shape->varying);
}

static inline void live_row_check(const struct live_block *live, const struct live_row *row)
{
    const struct live_parts parts = live_parts(live, row);

    assert(row->pattern < live->counts.patterns);
    assert(parts.pattern->resource < live->counts.resources && parts.pattern->scope < live->counts.scopes);
    assert(parts.pattern->name < live->counts.pairs && parts.trace_state < live->counts.pairs &&
           parts.status_message < live->counts.pairs);
    assert(row->events_first + row->events_count <= live->counts.events);
    assert(parts.links_first + row->links_count <= live->counts.links);
    live_list_check(live, LEVEL_SPAN, parts.pattern->shape, parts.values);
}

/* Everything in the block refers to something in the block. */
static inline void live_case_check(const struct live_case *c)
{
    const struct live_block *const live = c->live;
    const struct live_counts *const counts = &live->counts;

    for (uint32_t i = 1; i < counts->pairs; i++) {
        assert(live->pairs[i].column < counts->columns);
        assert(live->pairs[i].offset <= counts->arena &&
               live->pairs[i].len <= counts->arena - live->pairs[i].offset);
    }
    for (uint32_t i = 0; i < counts->rows; i++)
        live_row_check(live, &live->rows[i]);
    for (uint32_t i = 0; i < counts->events; i++) {
        assert(live->events[i].pattern < counts->event_patterns);
        live_list_check(live, LEVEL_EVENT, live->event_patterns[live->events[i].pattern].shape,
                        live->slots + live->events[i].slots_first);
    }
    for (uint32_t i = 0; i < counts->links; i++)
        live_list_check(live, LEVEL_LINK, live->links[i].shape, live->slots + live->links[i].slots_first);
    uint32_t pairs_of_columns = 1;
    for (uint32_t i = 0; i < counts->columns; i++)
        pairs_of_columns += live->columns[i].pairs_count;
    assert(pairs_of_columns == counts->pairs);
}

#endif
