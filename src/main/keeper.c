/*
 * Merging comes after everything else: the thread runs behind all that answers somebody (io/rank.h), a merge is done block by block, and retention
 * is looked at in between, since a disk may fill up meanwhile. Without work it looks again every second.
 */
#include "keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/gate.h"
#include "io/io.h"
#include "io/rank.h"
#include "placement.h"
#include "query/selection.h"
#include "rest.h"
#include "store/backups.h"
#include "store/compaction.h"
#include "store/erasures.h"
#include "store/retention.h"
#include "store/segment.h"
#include "world.h"

#include <stdlib.h>

static const uint64_t LOOK_NS = NS_PER_S, RETENTION_NS = 5 * NS_PER_S;

/* What was acknowledged when a job was taken up first: the newest live block of each shard that had rows. */
struct cut {
    uint64_t job; /* 0: none */
    bool any[SHARDS_MAX];
    uint64_t seq[SHARDS_MAX];
};

struct keeper {
    pthread_t pthread;
    struct world *world;
    struct io *io;
    struct compactor *compactor; /* NULL: switched off */
    struct retention *retention; /* the world's */
    struct eraser *eraser;
    struct cut cut;
    struct compaction_config compaction;
    uint64_t looked_ns;  /* for what has expired */
    uint64_t counted_ns; /* gauges */
    struct rest rest;
};

/* ---- figures ------------------------------------------------------------------------------------------ */

/* The set is this thread's own: totals are stored as they are. */
static void tell_counts(const struct keeper *keeper)
{
    struct metrics *const metrics = &keeper->world->keeper_metrics;
    const struct retention_counts *const gone = retention_counts(keeper->retention);
    uint64_t segments = 0, spans = 0, bytes = 0;

    for (unsigned i = 0; i < RETENTION_REASONS; i++) {
        segments += gone->segments[i];
        spans += gone->spans[i];
        bytes += gone->bytes[i];
    }
    metric_set(metrics, METRIC_EXPIRED_SEGMENTS, segments);
    metric_set(metrics, METRIC_EXPIRED_SPANS, spans);
    metric_set(metrics, METRIC_EXPIRED_BYTES, bytes);
    metric_set(metrics, METRIC_RETENTION_FAILURES, gone->failures);
    metric_set(metrics, METRIC_RETENTION_WAITING, gone->waiting);
    metric_set(metrics, METRIC_RETENTION_REWRITES, gone->rewrites);
    metric_set(metrics, METRIC_ERASED_SPANS, eraser_counts(keeper->eraser)->spans);
    metric_set(metrics, METRIC_ERASE_FAILURES, eraser_counts(keeper->eraser)->failures);
    metric_set(metrics, METRIC_ERASURES_PENDING, erasures_pending(keeper->world->erasures));
    metric_set(metrics, METRIC_PINNED_SEGMENTS, gone->held_segments);
    metric_set(metrics, METRIC_PINNED_SPANS, gone->held_spans);
    if (keeper->compactor == NULL) return;
    const struct compaction_counts *const merged = compactor_counts(keeper->compactor);
    metric_set(metrics, METRIC_MERGES, merged->merges[1] + merged->merges[2]);
    metric_set(metrics, METRIC_MERGED_SPANS, merged->spans_read);
    metric_set(metrics, METRIC_MERGED_DUPLICATES, merged->spans_duplicate);
    metric_set(metrics, METRIC_MERGED_BYTES, merged->bytes_written);
    metric_set(metrics, METRIC_MERGE_FAILURES, merged->failures);
}

static void tell_store(struct keeper *keeper)
{
    struct metrics *const metrics = &keeper->world->keeper_metrics;
    struct catalog *const catalog = keeper->world->catalog;
    uint64_t free_bytes, total_bytes;

    if (io_now_ns(keeper->io) - keeper->counted_ns < RETENTION_NS) return;
    keeper->counted_ns = io_now_ns(keeper->io);
    const struct catalog_size size = catalog_size(catalog);
    metric_set(metrics, METRIC_SEGMENTS, size.segments);
    metric_set(metrics, METRIC_STORED_BLOCKS, size.blocks);
    metric_set(metrics, METRIC_STORED_SPANS, size.spans);
    metric_set(metrics, METRIC_STORED_BYTES, size.bytes);
    metric_set(metrics, METRIC_LEDGER_BYTES, size.ledger_bytes);
    const struct backups_counts backups = backups_counts(keeper->world->backups);
    metric_set(metrics, METRIC_BACKUPS, backups.complete);
    metric_set(metrics, METRIC_BACKUP_LAST, backups.last_ns / NS_PER_S);
    metric_set(metrics, METRIC_BACKUP_FAILURES, backups.failures);
    metric_set(metrics, METRIC_BACKUP_HELD, backups.held_bytes);
    metric_set(metrics, METRIC_FENCED, catalog_fenced(catalog));
    metric_set(metrics, METRIC_RETIRED_BYTES, catalog_retired_bytes(catalog));
    metric_set(metrics, METRIC_SEGMENTS_WAITING,
               compaction_debt(catalog, &keeper->compaction, io_wall_ns(keeper->io)));
    if (io_space(keeper->io, keeper->world->data_dir, &free_bytes, &total_bytes) != OK) return;
    metric_set(metrics, METRIC_DISK_FREE, free_bytes);
    metric_set(metrics, METRIC_DISK_TOTAL, total_bytes);
}

/* ---- work --------------------------------------------------------------------------------------------- */

/* What queries keep open of files that have lost their names would stay on the disk until they ask again. */
static void let_go(const struct keeper *keeper)
{
    if (catalog_retired_bytes(keeper->world->catalog) == 0) return;
    query_forget_retired(keeper->world->query, io_now_ns(keeper->io));
    catalog_close_retired(keeper->world->catalog, keeper->io);
}

static bool expire(struct keeper *keeper)
{
    const uint64_t now_ns = io_now_ns(keeper->io);

    if (now_ns - keeper->looked_ns < RETENTION_NS) return false;
    const bool more = backups_retain(keeper->world->backups, keeper->retention, keeper->io,
                                     io_wall_ns(keeper->io));
    if (!more) keeper->looked_ns = now_ns;
    return more;
}

static void take_cut(struct keeper *keeper, uint64_t job)
{
    const struct world *const world = keeper->world;
    struct cut *const cut = &keeper->cut;

    *cut = (struct cut){.job = job};
    for (unsigned i = 0; i < world->shards_count; i++) {
        struct shard_live_set live;
        shard_live_acquire(world->query_shards[i], &live);
        for (unsigned block = 0; block < live.count; block++) {
            if (live_published(live.blocks[block]).rows == 0) continue;
            if (!cut->any[i] || live.blocks[block]->seq > cut->seq[i]) cut->seq[i] = live.blocks[block]->seq;
            cut->any[i] = true;
        }
        shard_live_release(world->query_shards[i], &live);
    }
}

/* Blocks are sealed in order, so the next number of a shard tells. */
static bool all_sealed(void *context, uint64_t job)
{
    struct keeper *const keeper = context;
    const struct world *const world = keeper->world;

    if (keeper->cut.job != job) take_cut(keeper, job);
    for (unsigned i = 0; i < world->shards_count; i++)
        if (keeper->cut.any[i] && catalog_next_seq(world->catalog, (uint16_t)i) <= keeper->cut.seq[i])
            return false;
    return true;
}

static void *run(void *context)
{
    struct keeper *const keeper = context;

    placement_name("keeper");
    if (!io_rank(IO_COMPACT)) log_warn("main", "the keeper runs at normal priority", "thread=keeper");
    while (!rest_is_over(&keeper->rest)) {
        io_gate_join(keeper->io, keeper->world->gate, IO_RETENTION);
        bool worked = expire(keeper);
        worked = backups_step(keeper->world->backups, keeper->io) || worked;
        worked = eraser_step(keeper->eraser, keeper->io) || worked;
        io_gate_join(keeper->io, keeper->world->gate, IO_COMPACT);
        if (keeper->compactor != NULL)
            worked = compactor_step(keeper->compactor, keeper->io, io_wall_ns(keeper->io)) || worked;
        let_go(keeper);
        tell_counts(keeper);
        tell_store(keeper);
        if (!worked) rest_for(&keeper->rest, LOOK_NS);
    }
    return NULL;
}

/* ---- start and stop ----------------------------------------------------------------------------------- */

/* A limit that this disk could not keep for long would empty the store. */
static uint64_t free_min(const struct world *world)
{
    const uint64_t wanted = options_number(world->options, OPTION_RETENTION_FREE);
    uint64_t free_bytes, total_bytes;

    if (io_space(world->io, world->data_dir, &free_bytes, &total_bytes) != OK) return 0;
    if (wanted <= total_bytes / 10) return wanted;
    log_warn("main", "retention.free is more than a tenth of the disk, and is lowered to that",
             "retention_free=%llu lowered_to=%llu", (unsigned long long)wanted,
             (unsigned long long)(total_bytes / 10));
    return total_bytes / 10;
}

struct retention_config keeper_retention(const struct world *world)
{
    return (struct retention_config){
        .services = world->service_rules.rules,
        .services_count = world->service_rules.count,
        .age_ns = options_number(world->options, OPTION_RETENTION_AGE),
        .bytes_max = options_number(world->options, OPTION_RETENTION_BYTES),
        .free_min = free_min(world),
    };
}

uint32_t keeper_seal(void *world)
{
    return ops_seal(((struct world *)world)->ops);
}

bool keeper_is_sealed(void *world, uint32_t ticket)
{
    return ops_is_sealed(((struct world *)world)->ops, ticket);
}

enum err keeper_open_rules(struct world *world)
{
    const uint64_t instance = world->superblock.instance;
    char wrong[OPTION_ERROR_MAX]; /* nothing is: the configuration has been checked */

    TRY(pins_open(world->io, world->data_dir, instance, &world->pins));
    TRY(erasures_open(world->io, world->data_dir, instance, &world->erasures));
    TRY(backups_open(world->io,
                     &(struct backups_config){.data = world->data_dir,
                                              .superblock = &world->superblock,
                                              .catalog = world->catalog,
                                              .seal = keeper_seal,
                                              .is_sealed = keeper_is_sealed,
                                              .context = world},
                     &world->backups));
    TRY(selection_open(&world->selection));
    TRY(service_rules_parse(options_text(world->options, OPTION_RETENTION_SERVICES), &world->service_rules,
                            wrong));
    world->retention = keeper_retention(world);
    const struct selector_matcher matcher = selection_matcher(world->selection);
    return retention_open(world->catalog, &world->retention, world->pins, &matcher, &world->keeping);
}

void keeper_close_rules(struct world *world)
{
    retention_close(world->keeping, world->io);
    backups_close(world->backups, world->io);
    selection_close(world->selection);
    erasures_close(world->erasures);
    pins_close(world->pins);
}

static enum err open_keeper(struct keeper *keeper)
{
    const struct world *const world = keeper->world;
    const struct options *const options = world->options;
    keeper->compaction = (struct compaction_config){
        .window_ns = options_number(options, OPTION_SEGMENT_WINDOW),
        .delay_ns = options_number(options, OPTION_COMPACTION_DELAY),
    };
    TRY(io_open_plain(&keeper->io));
    keeper->retention = world->keeping;
    TRY(eraser_open(&(struct eraser_config){.catalog = world->catalog,
                                            .erasures = world->erasures,
                                            .matcher = selection_matcher(world->selection),
                                            .all_sealed = all_sealed,
                                            .context = keeper},
                    &keeper->eraser));
    if (!options_number(options, OPTION_COMPACTION)) return OK;
    return compactor_open(world->catalog, &keeper->compaction, &keeper->compactor);
}

bool keeper_start(struct world *world)
{
    struct keeper *const keeper = calloc(1, sizeof *keeper);

    if (keeper == NULL) return false;
    keeper->world = world;
    world->keeper = keeper;
    rest_init(&keeper->rest);
    const enum err err = open_keeper(keeper);
    if (err == OK && pthread_create(&keeper->pthread, NULL, run, keeper) == 0) return true;
    log_error("main", "cannot start the keeper of segments", "error=\"%s\"", err_text(err));
    return false;
}

void keeper_stop(struct world *world)
{
    struct keeper *const keeper = world->keeper;

    rest_end(&keeper->rest);
    pthread_join(keeper->pthread, NULL);
    if (keeper->compactor != NULL) compactor_close(keeper->compactor, keeper->io);
    eraser_close(keeper->eraser, keeper->io);
    retention_pause(keeper->retention, keeper->io);
    io_close(keeper->io);
    rest_deinit(&keeper->rest);
    world->keeper = NULL;
    free(keeper);
}
