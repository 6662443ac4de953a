/*
 * A whole store with one shard, as tests and campaigns need it: opened over a simulated disk or a real
 * directory in the order in which the program does it, and everything in it read back through the readers
 * that queries use.
 */
#ifndef TESTS_SHARD_WORLD_H
#define TESTS_SHARD_WORLD_H

#include "base/clock.h"
#include "base/metric.h"
#include "bodies.h"
#include "io/sim.h"
#include "shard/sealer.h"
#include "shard/shard.h"
#include "store/segment.h"
#include "store/superblock.h"

struct world_config {
    struct sim *sim;  /* or */
    const char *path; /* a real directory, with plain io for the shard and pool_threads for the pool */
    unsigned pool_threads;
    unsigned live_blocks; /* 0: 3 */
    struct live_block **live_pool;
    uint64_t file_bytes, cap_bytes; /* of the journal; 0: 256 KiB and 1 MiB */
    uint64_t body_bytes_max;        /* 0: 200 KiB */
    uint64_t inflight_bytes_max, plain_bytes_max;
    uint64_t live_age_ns_max;
    uint64_t stall_ns_max; /* 0: never */
    bool accept_damage;
};

struct world {
    struct world_config config;
    struct io *io, *pool_io;
    struct io_dir *root, *journals, *journal;
    struct superblock superblock;
    struct catalog *catalog;
    struct sealer *sealer;
    struct shard *shard;
    struct metrics metrics, pool_metrics;
    struct catalog_report catalog_report;
    struct shard_recovery recovery;
};

static inline enum err world__dirs(struct world *world)
{
    const struct world_config *config = &world->config;
    if (config->sim != NULL) {
        world->io = sim_io(config->sim);
        world->pool_io = sim_io(config->sim);
    } else {
        TRY(io_open_plain(&world->io));
    }
    TRY(io_dir_open(world->io, NULL, config->sim != NULL ? "data" : config->path, true, &world->root));
    TRY(io_dir_open(world->io, world->root, "journal", true, &world->journals));
    TRY(io_dir_open(world->io, world->journals, "0", true, &world->journal));
    TRY(io_dir_sync(world->io, world->journals));
    return io_dir_sync(world->io, world->root);
}

static inline void world__close(struct world *world)
{
    if (world->shard != NULL) shard_close(world->shard);
    if (world->sealer != NULL) sealer_close(world->sealer);
    if (world->catalog != NULL) catalog_close(world->catalog, world->io);
    if (world->superblock.file != NULL) superblock_close(&world->superblock, world->io);
    if (world->journal != NULL) io_dir_close(world->io, world->journal);
    if (world->journals != NULL) io_dir_close(world->io, world->journals);
    if (world->root != NULL) io_dir_close(world->io, world->root);
    if (world->pool_io != NULL) io_close(world->pool_io);
    if (world->io != NULL) io_close(world->io);
}

static inline enum err world__open(struct world *world)
{
    const struct world_config *config = &world->config;
    TRY(world__dirs(world));
    TRY(superblock_open(world->io, world->root, &world->superblock));
    const struct segment_config segments = {
        .instance = world->superblock.instance, .shards = 1, .blocks_max = 3};
    TRY(catalog_open(world->io, world->root, &segments, &world->catalog, &world->catalog_report));
    const struct sealer_config sealer = {
        .catalog = world->catalog,
        .threads = config->pool_threads,
        .io = config->pool_threads == 0 ? (world->pool_io != NULL ? world->pool_io : world->io) : NULL,
        .metrics = &world->pool_metrics,
    };
    TRY(sealer_open(&sealer, &world->sealer));
    const struct shard_config shard = {
        .io = world->io,
        .journal_dir = world->journal,
        .catalog = world->catalog,
        .sealer = world->sealer,
        .metrics = &world->metrics,
        .journal = {.file_bytes = config->file_bytes == 0 ? 256 << 10 : config->file_bytes,
                    .cap_bytes = config->cap_bytes == 0 ? 1 << 20 : config->cap_bytes,
                    .writes_in_flight_max = 2},
        .body_bytes_max = config->body_bytes_max == 0 ? 200 << 10 : config->body_bytes_max,
        .live_blocks_max = config->live_blocks == 0 ? 3 : config->live_blocks,
        .live_pool = config->live_pool,
        .inflight_bytes_max = config->inflight_bytes_max,
        .plain_bytes_max = config->plain_bytes_max,
        .live_age_ns_max = config->live_age_ns_max,
        .stall_ns_max = config->stall_ns_max,
        .accept_journal_damage = config->accept_damage,
    };
    TRY(shard_open(&shard, &world->shard));
    TRY(shard_recover(world->shard, &world->recovery));
    sealer_build_filters(world->sealer);
    return OK;
}

/* Start-up and recovery; on failure everything is closed again. */
static inline enum err world_start(struct world *world, const struct world_config *config)
{
    *world = (struct world){.config = *config};
    const enum err err = world__open(world);
    if (err != OK) world__close(world);
    return err;
}

/* One turn of the shard and at most one job of the pool. */
static inline enum err world_turn(struct world *world, uint64_t wait_ns)
{
    TRY(shard_turn(world->shard, wait_ns));
    sealer_step(world->sealer);
    return OK;
}

/* Turns until nothing is in flight. False: it never came to rest. */
static inline bool world_settle(struct world *world)
{
    for (unsigned turn = 0; turn < 100000; turn++) {
        if (shard_idle(world->shard) && turn > 0) return true;
        if (world_turn(world, NS_PER_MS) != OK) return false;
    }
    return false;
}

static inline void world_stop(struct world *world)
{
    shard_drain(world->shard);
    world_settle(world);
    world__close(world);
}

/* ---- reading everything back ------------------------------------------------------------------------ */

/* A span as a query sees it. sealed: from a block, else live. */
typedef void world_span_fn(void *context, uint64_t span_id, struct slice span, bool sealed);

struct world__emit {
    world_span_fn *visit;
    void *context;
};

static inline uint64_t world__span_id(struct slice span)
{
    struct wire_reader reader = wire_reader_of(span);
    uint32_t number, type;
    struct slice bytes;

    while (wire_tag(&reader, &number, &type)) {
        if (number == 2 && wire_bytes(&reader, &bytes)) {
            return bytes.len == 8 ? bodies_read_span_id(bytes.ptr) : 0;
        }
        if (!wire_skip(&reader, type)) break;
    }
    return 0;
}

static inline enum err world__on_span(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                                      struct slice span)
{
    const struct world__emit *emit = context;
    (void)row, (void)resource, (void)scope;
    emit->visit(emit->context, world__span_id(span), span, true);
    return OK;
}

static inline void world__live(const struct live_block *live, const struct world__emit *emit)
{
    static _Thread_local uint8_t buffer[BODIES_SPAN_BYTES_MAX];
    const struct live_counts counts = live_published(live);
    for (uint32_t row = 0; row < counts.rows; row++) {
        struct wire_writer writer = {.base = buffer, .capacity = sizeof buffer};
        live_span_write(live, row, &writer);
        assert(wire_writer_fits(&writer));
        emit->visit(emit->context, bodies_read_span_id(live->rows[row].span_id.bytes),
                    wire_writer_bytes(&writer), false);
    }
}

static inline enum err world__block(struct io *io, const struct catalog_view *view, uint32_t index,
                                    const struct world__emit *emit)
{
    struct catalog_source storage;
    struct block_reader *reader;
    TRY(catalog_open_block(view, io, index, &storage, &reader));
    const enum err err = block_spans(reader, 0, block_summary(reader)->spans, world__on_span, (void *)emit);
    block_close(reader);
    return err;
}

/*
 * Visits every span that a query could see now: the live set first, then the catalog, less the live blocks
 * that the catalog has. io: the calling thread's. An error means that a block could not be read; the
 * others are visited all the same.
 */
static inline enum err world_read(struct world *world, struct io *io, world_span_fn *visit, void *context)
{
    const struct world__emit emit = {visit, context};
    struct shard_live_set live;
    enum err err = OK;

    shard_live_acquire(world->shard, &live);
    const struct catalog_view *view = catalog_acquire(world->catalog);
    for (unsigned i = 0; i < live.count; i++) {
        if (!catalog_has(view, shard_index(world->shard), live.blocks[i]->seq))
            world__live(live.blocks[i], &emit);
    }
    for (uint32_t i = 0; i < catalog_blocks(view); i++) {
        const enum err read = world__block(io, view, i, &emit);
        if (read != OK)
            catalog_fence(world->catalog, 0, catalog_block(view, i)->summary.seq); /* as queries do */
        if (err == OK) err = read;
    }
    catalog_release(world->catalog, view);
    shard_live_release(world->shard, &live);
    return err;
}

#endif
