#include "fixture.h"
#include "shard_private.h"

#include <ftw.h>

static unsigned live_blocks(void)
{
    struct shard_live_set set;
    shard_live_acquire(world.shard, &set);
    shard_live_release(world.shard, &set);
    return set.count;
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(world_turn(&world, NS_PER_MS), OK);
}

static void seal(void)
{
    shard_close_live(world.shard);
    for (unsigned turn = 0; live_blocks() > 0 && turn < 1000; turn++)
        turns(1);
    cr_assert_eq(live_blocks(), 0);
}

/* ---- the life of a live block ----------------------------------------------------------------------- */

Test(shard, seals_a_closed_block_and_shows_its_spans_all_along)
{
    start();
    for (uint32_t id = 1; id <= 5; id++)
        sent(id, 3, 0);
    cr_assert_eq(live_blocks(), 1);
    shard_close_live(world.shard);
    for (unsigned turn = 0; turn < 20; turn++) {
        const struct seen seen = see(0);
        for (uint32_t id = 1; id <= 5; id++)
            cr_assert_eq(seen.spans[id], 3, "turn %u", turn);
        turns(1);
    }
    cr_assert_eq(live_blocks(), 0);
    cr_assert_eq(see(0).sealed, 15);
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_BLOCKS_SEALED), 1);
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_SEALED_SPANS), 15);
    end();
}

Test(shard, does_not_seal_a_block_whose_last_request_is_not_durable)
{
    struct sending sending;
    start();
    sent(1, 2, 0);
    send(&sending, 2, 2, 0);
    shard_close_live(world.shard);
    cr_assert_null(live_set_ripe(&world.shard->live));
    land(&sending);
    seal();
    cr_assert_eq(see(0).sealed, 4);
    end();
}

Test(shard, keeps_a_sealed_block_for_the_reader_that_holds_it)
{
    struct shard_live_set held;
    start();
    sent(1, 4, 0);
    shard_live_acquire(world.shard, &held);
    cr_assert_eq(held.count, 1);
    seal();
    for (uint32_t id = 2; id < 20; id++) {
        sent(id, 2, 0);
        seal();
    }
    cr_assert_eq(live_published(held.blocks[0]).rows, 4, "still what it was");
    cr_assert_eq(bodies_read_span_id(held.blocks[0]->rows[0].span_id.bytes), bodies_span_id(1, 0));
    shard_live_release(world.shard, &held);
    turns(2);
    for (unsigned i = 0; i < world.shard->live.slots_count; i++) {
        cr_assert_eq(world.shard->live.slots[i].state, LIVE_FREE);
    }
    end();
}

Test(shard, answers_full_when_readers_hold_every_block)
{
    struct shard_live_set held[3];
    struct sending sending;
    start();
    for (uint32_t i = 0; i < 3; i++) {
        sent(i + 1, 1, 0);
        shard_live_acquire(world.shard, &held[i]);
        seal();
    }
    cr_assert_eq(shard_admits(world.shard), ERR_FULL);
    send(&sending, 4, 1, 0);
    cr_assert_eq(sending.ingest.err, ERR_FULL);
    shard_body_release(world.shard, &sending.body);
    for (uint32_t i = 0; i < 3; i++)
        shard_live_release(world.shard, &held[i]);
    turns(2);
    sent(4, 1, 0);
    end();
}

Test(shard, closes_a_block_of_a_certain_age)
{
    config.live_age_ns_max = 60 * NS_PER_S;
    start();
    sent(1, 2, 0);
    sim_advance(sim, 30 * NS_PER_S);
    turns(3);
    cr_assert_eq(live_blocks(), 1);
    sim_advance(sim, 31 * NS_PER_S);
    turns(10);
    cr_assert_eq(live_blocks(), 0);
    cr_assert_eq(see(0).spans[1], 2);
    end();
}

Test(shard, tries_a_failed_seal_again_after_a_second)
{
    start();
    sent(1, 2, 0);
    sim_fail(sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, false);
    shard_close_live(world.shard);
    turns(5);
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_SEAL_FAILURES), 1);
    cr_assert_eq(live_blocks(), 1);
    cr_assert_eq(see(0).spans[1], 2);
    turns(100);
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_SEAL_FAILURES), 1, "not before the second is over");
    sim_advance(sim, NS_PER_S);
    turns(10);
    cr_assert_eq(live_blocks(), 0);
    cr_assert_eq(see(0).spans[1], 2);
    end();
}

Test(shard, seals_blocks_in_order_and_as_one_run_of_the_journal)
{
    start();
    for (uint32_t id = 1; id <= 9; id++) {
        sent(id, 2, 0);
        if (id % 3 == 0) shard_close_live(world.shard);
    }
    for (unsigned turn = 0; live_blocks() > 0 && turn < 100; turn++)
        turns(1);
    const struct catalog_view *view = catalog_acquire(world.catalog);
    cr_assert_eq(catalog_blocks(view), 3);
    for (uint32_t i = 1; i < 3; i++) {
        const struct block_summary *before = &catalog_block(view, i - 1)->summary;
        const struct block_summary *block = &catalog_block(view, i)->summary;
        cr_assert_eq(block->seq, before->seq + 1);
        cr_assert_eq(block->lsn_first, before->lsn_end);
    }
    catalog_release(world.catalog, view);
    end();
}

/* ---- stop and start --------------------------------------------------------------------------------- */

Test(shard, shows_everything_again_after_a_restart)
{
    start();
    for (uint32_t id = 1; id <= 30; id++) {
        sent(id, 1 + id % 4, 0);
        if (id % 11 == 0) shard_close_live(world.shard);
        if (id % 7 == 0) restart();
    }
    restart();
    const struct seen seen = see(0);
    for (uint32_t id = 1; id <= 30; id++)
        cr_assert_eq(seen.spans[id], 1 + id % 4, "request %u", id);
    cr_assert_eq(world.recovery.journal.missing_bytes, 0);
    cr_assert_eq(world.catalog_report.gaps, 0);
    cr_assert_eq(world.catalog_report.duplicates, 0);
    end();
}

Test(shard, recovers_more_rows_than_its_live_blocks_hold)
{
    config.live_blocks = 2;
    config.cap_bytes = 1 << 20;
    start();
    sim_fail(sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, true); /* nothing is sealed in this life */
    uint32_t id = 1;
    for (struct sending sending = {0}; id < 60; id++) {
        send(&sending, id, 2, 12000);
        land(&sending);
        if (sending.ingest.err == ERR_FULL) break;
        cr_assert_eq(sending.ingest.err, OK);
    }
    cr_assert_gt(id, 10);
    cr_assert_lt(id, 60);
    stop();
    sim_forgive(sim);
    start();
    const struct seen seen = see(12000);
    for (uint32_t i = 1; i < id; i++)
        cr_assert_eq(seen.spans[i], 2, "request %u", i);
    end();
}

Test(shard, goes_on_for_many_times_its_journal)
{
    start();
    for (uint32_t round = 0; round < 120; round++) {
        for (unsigned turn = 0; shard_admits(world.shard) != OK && turn < 10000; turn++)
            turns(1);
        sent(1 + round % 60, 2, 12000);
    }
    struct seen seen = see(12000);
    for (uint32_t id = 1; id <= 60; id++)
        cr_assert_eq(seen.spans[id], 4);
    restart();
    seen = see(12000);
    for (uint32_t id = 1; id <= 60; id++)
        cr_assert_eq(seen.spans[id], 4);
    end();
}

Test(shard, notes_in_the_journal_that_it_rests)
{
    start();
    sent(1, 1, 0);
    turns(3);
    const uint64_t unnoted = journal_end_lsn(world.shard->journal);
    sim_advance(sim, 2 * NS_PER_S);
    turns(3);
    const uint64_t noted = journal_end_lsn(world.shard->journal);
    cr_assert_gt(noted, unnoted);
    sim_advance(sim, 20 * NS_PER_S);
    turns(5);
    cr_assert_eq(journal_end_lsn(world.shard->journal), noted, "once");
    end();
}

/* What a seed makes of a workload with seals and restarts. */
static uint64_t history(uint64_t seed)
{
    struct sending sending;
    sim = sim_open(&(struct sim_config){.seed = seed, .sector_bytes = 512});
    start();
    for (uint32_t id = 1; id <= 30; id++) {
        send(&sending, id, 3, id % 5 == 0 ? 20000 : 0);
        if (id % 2 == 0) shard_flush(world.shard);
        land(&sending);
        if (id % 9 == 0) shard_close_live(world.shard);
        if (id % 13 == 0) restart();
    }
    stop();
    const uint64_t hash = sim_hash(sim);
    sim_close(sim);
    sim = NULL;
    return hash;
}

Test(shard, has_one_history_per_seed)
{
    for (uint64_t seed = 1; seed < 6; seed++) {
        const uint64_t first = history(seed);
        cr_assert_eq(history(seed), first);
        cr_assert_neq(history(seed + 100), first);
    }
}

/* ---- one writer, many readers ----------------------------------------------------------------------- */

enum { READERS = 3, ROUNDS = 400 };

struct reader {
    pthread_t thread;
    atomic_bool *stop;
    atomic_uint *answered; /* requests 1..answered have been answered */
    bool good;
    unsigned scans;
};

struct scan {
    uint8_t spans[ROUNDS + 1];
    bool altered;
};

static void on_scan(void *context, uint64_t span_id, struct slice span, bool sealed)
{
    struct scan *scan = context;
    const uint32_t id = (uint32_t)(span_id >> 32);
    const struct bodies_request request = {id, 3, 20};
    (void)sealed;
    if (id > ROUNDS || !bodies_is_span(&request, (uint32_t)span_id - 1, span))
        scan->altered = true;
    else
        scan->spans[id]++;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
    (void)stat, (void)kind, (void)where;
    return remove(path);
}

static void *read_all_along(void *context)
{
    struct reader *reader = context;
    static _Thread_local struct scan scan;
    struct io *io;
    if (io_open_plain(&io) != OK) return NULL;
    reader->good = true;
    while (reader->good && !(atomic_load(reader->stop) && reader->scans > 0)) {
        const unsigned answered = atomic_load(reader->answered);
        scan = (struct scan){0};
        reader->good = world_read(&world, io, on_scan, &scan) == OK && !scan.altered;
        for (unsigned id = 1; id <= ROUNDS; id++) {
            if (id <= answered && scan.spans[id] != 3) reader->good = false; /* missed or seen twice */
            if (scan.spans[id] != 0 && scan.spans[id] != 3) reader->good = false;
        }
        reader->scans++;
    }
    io_close(io);
    return NULL;
}

Test(shard, is_read_by_other_threads_while_it_takes_and_seals, .timeout = 120)
{
    char path[] = "/tmp/test_shard_XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    atomic_bool done = false;
    atomic_uint answered = 0;
    struct reader readers[READERS] = {0};
    config = (struct world_config){
        .path = path, .pool_threads = 2, .file_bytes = 1 << 20, .cap_bytes = 8 << 20};
    cr_assert_eq(world_start(&world, &config), OK);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].stop = &done;
        readers[i].answered = &answered;
        cr_assert_eq(pthread_create(&readers[i].thread, NULL, read_all_along, &readers[i]), 0);
    }
    for (uint32_t id = 1; id <= ROUNDS; id++) {
        for (unsigned turn = 0; shard_admits(world.shard) != OK && turn < 100000; turn++)
            turns(1);
        sent(id, 3, 20);
        atomic_store(&answered, id);
        if (id % 25 == 0) shard_close_live(world.shard);
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        cr_assert(readers[i].good);
        cr_assert_gt(readers[i].scans, 0);
    }
    stop();
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
