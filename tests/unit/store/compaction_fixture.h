/*
 * Stores with random spans of several shards, and what is in them: each span as a hash of all that is known of it, sorted.
 * Two stores with equal prints answer every question alike.
 */
#ifndef TEST_STORE_COMPACTION_FIXTURE_H
#define TEST_STORE_COMPACTION_FIXTURE_H

#include "base/clock.h"
#include "base/hash.h"
#include "model/maker.h"
#include "segment_fixture.h"
#include "store/compaction.h"

#include <criterion/criterion.h>

static const uint64_t window_ns = 600 * NS_PER_S;
static const uint64_t monday_ns = 1700438400 * NS_PER_S; /* a midnight */

/* ---- filling ----------------------------------------------------------------------------------------- */

/* One block of the shard, whose spans arrived then, made from the seed; appended to its segment. */
static inline void store_append(struct world *world, uint16_t shard, uint64_t seq, uint64_t arrival_ns,
                                struct slice body)
{
    static struct live_block *live;
    static struct block_encoder *encoder;
    static struct otlp_decoder *decoder;
    struct block_encoded encoded;
    struct otlp_result result;
    enum err err = OK;

    if (live == NULL) err = live_open(shard, &live);
    if (encoder == NULL) err = block_encoder_open(&encoder);
    if (decoder == NULL) err = otlp_decoder_open(&decoder);
    cr_assert_eq(err, OK);
    live->shard = shard;
    live_reset(live, seq, seq * FIXTURE_LSN_STEP);
    live_append_begin(live);
    cr_assert_eq(otlp_decode(decoder, body, live_sink(), live, &result), OK);
    const struct live_counts counts = live_append_end(live, (seq + 1) * FIXTURE_LSN_STEP, arrival_ns);
    live_publish(live, &counts);
    cr_assert_eq(block_encode(encoder, live, &encoded), OK);
    cr_assert_eq(segment_append(world->catalog, world->io, shard, &encoded), OK);
}

static inline void store_append_random(struct world *world, uint16_t shard, uint64_t seq, uint64_t arrival_ns,
                                       uint64_t seed, uint32_t spans)
{
    struct maker maker = {.state = seed, .traces = 40, .spans = seed << 20};
    struct message body = maker_body(&maker, spans);

    store_append(world, shard, seq, arrival_ns, message_slice(&body));
    message_free(&body);
}

/* Blocks 1 to blocks of shards 0 to shards - 1, all in one window, in closed segments. */
static inline void store_fill(struct world *world, uint16_t shards, uint64_t blocks, uint32_t spans)
{
    for (uint16_t shard = 0; shard < shards; shard++) {
        for (uint64_t seq = 1; seq <= blocks; seq++)
            store_append_random(world, shard, seq, monday_ns + seq * NS_PER_S, shard * 1000U + seq, spans);
        cr_assert_eq(segment_seal(world->catalog, world->io, shard), OK);
    }
}

/* ---- what is in it ----------------------------------------------------------------------------------- */

struct prints {
    uint64_t *list;
    size_t count, capacity;
    struct block_reader *reader;
};

static inline enum err prints_add(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                                  struct slice span)
{
    struct prints *const prints = context;
    struct envelope a, b;

    (void)row;
    cr_assert_eq(block_resource(prints->reader, resource, &a), OK);
    cr_assert_eq(block_scope(prints->reader, scope, &b), OK);
    uint64_t hash = hash_fast(span.ptr, span.len, 1);
    hash = hash_fast(a.message.ptr, a.message.len, hash + a.present);
    hash = hash_fast(a.schema_url.ptr, a.schema_url.len, hash);
    hash = hash_fast(b.message.ptr, b.message.len, hash + b.present);
    hash = hash_fast(b.schema_url.ptr, b.schema_url.len, hash);
    if (prints->count == prints->capacity) {
        prints->capacity = prints->capacity * 2 + 256;
        prints->list = realloc(prints->list, prints->capacity * sizeof *prints->list);
        assert(prints->list != NULL);
    }
    prints->list[prints->count++] = hash;
    return OK;
}

static inline int prints_compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Of a version; also proves that every block is whole, and that its filters know each of its traces. */
static inline struct prints prints_of(struct world *world, const struct catalog_view *view)
{
    struct prints prints = {.list = NULL};

    for (uint32_t i = 0; i < catalog_blocks(view); i++) {
        const struct catalog_block *const entry = catalog_block(view, i);
        struct catalog_source source;
        struct trace_id trace;
        uint32_t first = 0, count;

        if (entry->fenced) continue;
        cr_assert_eq(catalog_open_block(view, world->io, i, &source, &prints.reader), OK);
        cr_assert_eq(block_check(prints.reader), OK);
        cr_assert_eq(block_spans(prints.reader, 0, entry->summary.spans, prints_add, &prints), OK);
        for (uint32_t row = 0; row < entry->summary.spans; row = first + count) {
            cr_assert_eq(block_trace_around(prints.reader, row, &trace, &first, &count), OK);
            cr_assert(catalog_may_have_trace(view, world->io, i, filter_hash_trace(trace.bytes)));
        }
        block_close(prints.reader);
    }
    if (prints.count > 0) qsort(prints.list, prints.count, sizeof *prints.list, prints_compare);
    return prints;
}

static inline struct prints prints_now(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const struct prints prints = prints_of(world, view);

    catalog_release(world->catalog, view);
    return prints;
}

static inline size_t prints_distinct(struct prints *prints)
{
    size_t kept = 0;

    for (size_t i = 0; i < prints->count; i++)
        if (kept == 0 || prints->list[kept - 1] != prints->list[i]) prints->list[kept++] = prints->list[i];
    prints->count = kept;
    return kept;
}

static inline bool prints_equal(const struct prints *a, const struct prints *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->list, b->list, a->count * sizeof *a->list) == 0);
}

static inline void prints_free(struct prints *prints)
{
    free(prints->list);
}

/* ---- compacting -------------------------------------------------------------------------------------- */

static inline struct compactor *compactor_of(struct world *world)
{
    const struct compaction_config config = {.window_ns = window_ns, .delay_ns = NS_PER_S, .reserve_free = 1};
    struct compactor *compactor;

    cr_assert_eq(compactor_open(world->catalog, &config, &compactor), OK);
    return compactor;
}

/* Until there is nothing to do, at that time; the number of merges. */
static inline uint64_t compact_all(struct world *world, uint64_t now_ns)
{
    struct compactor *const compactor = compactor_of(world);
    unsigned steps = 0;

    while (compactor_step(compactor, world->io, now_ns))
        cr_assert_lt(++steps, 10000);
    const struct compaction_counts *const counts = compactor_counts(compactor);
    const uint64_t merges = counts->merges[1] + counts->merges[2];
    compactor_close(compactor, world->io);
    return merges;
}

static inline unsigned count_segments_of(struct world *world, unsigned *files)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const unsigned count = catalog_segments(view);
    static struct fixture_names list;
    struct io_dir *dir;

    list.count = 0;
    cr_assert_eq(io_dir_open(world->io, world->dir, "segments", false, &dir), OK);
    cr_assert_eq(io_dir_list(world->io, dir, fixture_note_name, &list), OK);
    io_dir_close(world->io, dir);
    *files = list.count;
    catalog_release(world->catalog, view);
    return count;
}

#endif
