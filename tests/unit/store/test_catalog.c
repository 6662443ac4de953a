/*
 * The catalog under queries, failures and crashes: versions stay what they were, no acknowledged block is lost, none
 * is seen twice, whatever fails and whenever the machine stops (faults D1, D2, D6, D10, D14, D19, K4, K8).
 */
#include "segment_fixture.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- versions ---------------------------------------------------------------------------------------- */

static bool view_is_whole(struct world *world, const struct catalog_view *view, uint32_t blocks)
{
    if (catalog_blocks(view) != blocks) return false;
    for (uint32_t i = 0; i < blocks; i++)
        if (!world_block_reads(world, view, i)) return false;
    return true;
}

Test(catalog, versions_stay_as_they_were)
{
    struct world world = world_sim_new(1);
    const struct catalog_view *views[10];

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint32_t i = 0; i < 10; i++) { /* over two closings of segments */
        views[i] = catalog_acquire(world.catalog);
        cr_assert_eq(world_append(&world, 0, i + 1), OK);
    }
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    catalog_fence(world.catalog, 0, 3);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(view_is_whole(&world, views[i], i), "version %u", i);
        cr_assert_eq(catalog_has(views[i], 0, i), i > 0);
        cr_assert_not(catalog_has(views[i], 0, i + 1));
        catalog_release(world.catalog, views[i]);
    }
    cr_assert_eq(world_count_blocks(&world), 9, "the newest has the fence");
    world_close(&world);
}

Test(catalog, lists_blocks_by_segment)
{
    struct world world = world_sim_new(2);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 9; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    uint32_t expected = 0;
    cr_assert_eq(catalog_segments(view), 3);
    for (uint32_t segment = 0; segment < 3; segment++) {
        bool may[SEGMENT_BLOCKS_MAX];
        uint32_t first;
        const uint32_t count = catalog_segment_blocks(view, segment, &first);
        cr_assert_eq(first, expected);
        cr_assert_eq(count, segment < 2 ? 4 : 1);
        expected += count;
        for (uint64_t seq = 1; seq <= 9; seq++) {
            catalog_filter(view, world.io, segment, FILTER_TOKEN, fixture_token(0, seq), may);
            for (uint32_t i = 0; i < count; i++)
                if (catalog_block(view, first + i)->summary.seq == seq) cr_assert(may[i]);
        }
    }
    cr_assert_eq(expected, catalog_blocks(view));
    catalog_release(world.catalog, view);
    world_close(&world);
}

Test(catalog, refuses_reads_beyond_a_block)
{
    struct world world = world_sim_new(3);
    uint8_t byte;

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    const uint64_t bytes = catalog_block(view, 0)->summary.bytes;
    cr_assert_eq(catalog_read(view, world.io, 0, bytes - 1, &byte, 1), OK);
    cr_assert_eq(catalog_read(view, world.io, 0, bytes, &byte, 1), ERR_CORRUPT);
    cr_assert_eq(catalog_read(view, world.io, 0, UINT64_MAX, &byte, 1), ERR_CORRUPT);
    cr_assert_eq(catalog_read(view, world.io, 0, 1, &byte, SIZE_MAX), ERR_CORRUPT);
    catalog_release(world.catalog, view);
    world_close(&world);
}

Test(catalog, reads_any_range_of_an_open_segment)
{
    struct world world = world_real(); /* a direct file: reads go through the bounce buffer */
    struct fixture_block block = fixture_block_make(0, 1, 3000);
    uint8_t *const buf = malloc(block.encoded.len);
    const size_t len = block.encoded.len;

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(segment_append(world.catalog, world.io, 0, &block.encoded), OK);
    for (unsigned closed = 0; closed < 2; closed++) {
        const struct catalog_view *const view = catalog_acquire(world.catalog);
        for (size_t from = 0; from < len; from += 1777)
            for (size_t part = 1; part <= len - from; part = part * 3 + 5) {
                cr_assert_eq(catalog_read(view, world.io, 0, from, buf, part), OK);
                cr_assert_eq(memcmp(buf, block.bytes + from, part), 0, "%zu + %zu", from, part);
            }
        catalog_release(world.catalog, view);
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    world_close(&world);
    free(buf);
    fixture_block_free(&block);
}

/* ---- what should not be there ------------------------------------------------------------------------ */

static void copy_file(struct world *world, const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    struct io_dir *dir;
    struct io_file *file;
    size_t count;

    cr_assert_eq(io_dir_open(world->io, world->dir, "segments", false, &dir), OK);
    cr_assert_eq(io_file_open(world->io, dir, from, 0, &file), OK);
    cr_assert_eq(io_read_now(world->io, file, bytes, sizeof bytes, 0, &count), OK);
    io_file_close(world->io, file);
    cr_assert_eq(io_file_open(world->io, dir, to, IO_CREATE | IO_WRITABLE, &file), OK);
    cr_assert_eq(io_write_now(world->io, file, bytes, count, 0), OK);
    io_file_close(world->io, file);
    io_dir_close(world->io, dir);
}

Test(catalog, uses_a_block_once_that_is_there_twice)
{
    struct world world = world_sim_new(4);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 5; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    world_close_catalog(&world);
    copy_file(&world, "0000-000000000000.seg", "0000-000000000008.seg"); /* closed: 1 to 4 */
    copy_file(&world, "0000-000000000001.seg", "0000-000000000009.seg"); /* not closed: 5 */
    for (unsigned start = 0; start < 2; start++) {
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.duplicates, start == 0 ? 5 : 0, "files of which nothing is used go");
        cr_assert_eq(world.report.blocks, 5);
        cr_assert_eq(world_count_blocks(&world), 5);
        cr_assert_eq(world.report.gaps, 0);
        world_close_catalog(&world);
    }
    world_close(&world);
}

Test(catalog, reports_missing_blocks)
{
    struct world world = world_sim_new(5);
    struct io_dir *dir;

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 12; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    world_close_catalog(&world);
    cr_assert_eq(io_dir_open(world.io, world.dir, "segments", false, &dir), OK);
    cr_assert_eq(io_unlink(world.io, dir, "0000-000000000001.seg"), OK);
    io_dir_close(world.io, dir);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps, 1);
    cr_assert_eq(world_count_blocks(&world), 8);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 13 * FIXTURE_LSN_STEP);
    world_close(&world);
}

Test(catalog, fences_a_block_for_later_queries)
{
    struct world world = world_sim_new(6);
    struct catalog_source source;
    struct block_reader *reader;

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    cr_assert_eq(world_append(&world, 0, 2), OK);
    const struct catalog_view *const before = catalog_acquire(world.catalog);
    catalog_fence(world.catalog, 0, 2);
    catalog_fence(world.catalog, 0, 2);
    catalog_fence(world.catalog, 9, 2);
    cr_assert_eq(catalog_fenced(world.catalog), 1);
    const struct catalog_view *const after = catalog_acquire(world.catalog);
    cr_assert_not(catalog_block(before, 1)->fenced);
    cr_assert(catalog_block(after, 1)->fenced);
    cr_assert_not(catalog_block(after, 0)->fenced);
    cr_assert_eq(catalog_open_block(after, world.io, 1, &source, &reader), ERR_CORRUPT);
    catalog_release(world.catalog, before);
    catalog_release(world.catalog, after);
    cr_assert_eq(world_append(&world, 0, 3), OK, "the open segment keeps the fence");
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    cr_assert_eq(world_count_blocks(&world), 2);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.fenced, 1, "and so does the file");
    world_close(&world);
}

/* ---- failures ---------------------------------------------------------------------------------------- */

static const struct {
    enum sim_fault kind;
    enum err err;
} faults[] = {
    {SIM_FAULT_ANY, ERR_IO},        {SIM_FAULT_WRITE, ERR_NO_SPACE}, {SIM_FAULT_SYNC, ERR_IO},
    {SIM_FAULT_NAME, ERR_NO_SPACE}, {SIM_FAULT_READ, ERR_IO},        {SIM_FAULT_NAME, ERR_DENIED},
};

/* Appends until it succeeds, as a sealer does. */
static void append_at_last(struct world *world, uint64_t seq, unsigned *failures)
{
    for (unsigned tries = 0; tries < 40; tries++) {
        if (world_append(world, 0, seq) == OK) return;
        ++*failures;
        if (tries > 4) sim_forgive(world->sim);
    }
    cr_assert_fail("block %lu cannot be appended", (unsigned long)seq);
}

static void one_fault(unsigned fault, uint64_t nth, bool forever, unsigned *failures)
{
    struct world world = world_sim_new(100 + fault);

    world.config.blocks_max = 3;
    cr_assert_eq(world_open_catalog(&world), OK);
    sim_fail(world.sim, faults[fault].kind, nth, faults[fault].err, forever);
    for (uint64_t seq = 1; seq <= 8; seq++)
        append_at_last(&world, seq, failures);
    sim_forgive(world.sim);
    cr_assert_eq(world_count_blocks(&world), 8, "fault %u nth %lu", fault, (unsigned long)nth);
    world_close_catalog(&world);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_count_blocks(&world), 8, "fault %u nth %lu, next start", fault, (unsigned long)nth);
    cr_assert_eq(world.report.gaps + world.report.fenced, 0);
    cr_assert_lt(world.report.segments + world.report.ignored, 12, "failures do not heap up files");
    world_close(&world);
}

Test(catalog, loses_nothing_when_an_operation_fails_while_appending)
{
    unsigned failures = 0;

    for (unsigned fault = 0; fault < sizeof faults / sizeof faults[0]; fault++)
        for (uint64_t nth = 1; nth <= 60; nth++) {
            one_fault(fault, nth, false, &failures);
            if (nth % 4 == 0) one_fault(fault, nth, true, &failures);
        }
    cr_assert_gt(failures, 100);
}

/* D2: after a failed sync nothing more is written to that file or synced; its published blocks are served. */
Test(catalog, goes_on_in_a_new_file_after_a_failed_sync)
{
    struct world world = world_sim_new(7);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
    cr_assert_eq(world_append(&world, 0, 2), ERR_IO);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 2 * FIXTURE_LSN_STEP);
    cr_assert_not(world_has(&world, 0, 2));
    cr_assert_eq(world_append(&world, 0, 2), OK);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    cr_assert_eq(catalog_segments(view), 2);
    catalog_release(world.catalog, view);
    world_close_catalog(&world);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.duplicates, 1, "the bytes had reached the first file too");
    cr_assert_eq(world_count_blocks(&world), 2);
    world_close(&world);
}

/* D6: a full disk is met before anything is written; the file is as it was. */
Test(catalog, goes_on_in_the_same_file_after_a_full_disk)
{
    struct world world = world_sim_new(8);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    sim_fail(world.sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, false); /* io_file_allocate() */
    cr_assert_eq(world_append(&world, 0, 2), ERR_NO_SPACE);
    cr_assert_eq(world_append(&world, 0, 2), OK);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    cr_assert_eq(catalog_segments(view), 1);
    catalog_release(world.catalog, view);
    cr_assert_eq(world_count_blocks(&world), 2);
    world_close(&world);
}

/* A process that is killed leaves writes in flight; what the next one believes must survive a power cut after it. */
Test(catalog, believes_only_what_is_durable)
{
    struct world world = world_sim_new(9);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
    cr_assert_eq(world_append(&world, 0, 2), ERR_IO);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    const int believed = world_count_blocks(&world);
    for (uint64_t image = 0; image < sim_images(world.sim); image++) {
        struct world after = world_sim(sim_crash(world.sim, image, image + 1));
        cr_assert_eq(world_open_catalog(&after), OK);
        cr_assert_eq(world_count_blocks(&after), believed);
        world_close(&after);
    }
    world_close(&world);
}

/* A start that fails changes nothing that a later one needs; one that succeeds has everything. */
Test(catalog, loses_nothing_when_an_operation_fails_while_starting)
{
    unsigned failed_starts = 0;

    for (unsigned fault = 0; fault < sizeof faults / sizeof faults[0]; fault++)
        for (uint64_t nth = 1; nth <= 90; nth++) {
            struct world world = world_sim_new(200 + fault);
            cr_assert_eq(world_open_catalog(&world), OK);
            for (uint64_t seq = 1; seq <= 6; seq++)
                cr_assert_eq(world_append(&world, 0, seq), OK);
            world_close_catalog(&world);

            sim_fail(world.sim, faults[fault].kind, nth, faults[fault].err, false);
            const enum err err = world_open_catalog(&world);
            sim_forgive(world.sim);
            failed_starts += err != OK;
            if (err == OK)
                cr_assert_eq(world_count_blocks(&world), 6, "fault %u nth %lu", fault, (unsigned long)nth);
            world_close_catalog(&world);
            cr_assert_eq(world_open_catalog(&world), OK);
            cr_assert_eq(world_count_blocks(&world), 6, "fault %u nth %lu, next start", fault,
                         (unsigned long)nth);
            world_close(&world);
        }
    cr_assert_gt(failed_starts, 5);
}

/* ---- crashes ----------------------------------------------------------------------------------------- */

struct history {
    uint64_t acked; /* blocks 1 .. acked were acknowledged */
    uint64_t sent;
    unsigned images;
    unsigned nested_every; /* 0: no crash inside recovery */
};

static void crash_here(void *context, struct sim *sim);

/* Blocks 1 to n, each once, n at least what was acknowledged, and the sealed LSN says the same. */
static uint64_t expect_prefix(struct world *world, const struct history *history)
{
    const int count = world_count_blocks(world);

    cr_assert_geq(count, (int)history->acked, "image %u: %d of %lu acknowledged blocks", history->images,
                  count, (unsigned long)history->acked);
    cr_assert_leq(count, (int)history->sent);
    for (uint64_t seq = 1; seq <= (uint64_t)count; seq++)
        cr_assert(world_has(world, 0, seq));
    cr_assert_eq(world->report.fenced + world->report.gaps, 0);
    cr_assert_eq(catalog_sealed_lsn(world->catalog, 0),
                 count == 0 ? 0 : ((uint64_t)count + 1) * FIXTURE_LSN_STEP);
    return (uint64_t)count;
}

static void recover(struct sim *sim, struct history *history)
{
    struct world world = world_sim(sim);
    struct history inner = {.acked = history->acked, .sent = history->sent};
    const bool nested = history->nested_every != 0 && history->images % history->nested_every == 0;

    world.config.blocks_max = 3;
    if (nested) sim_watch(sim, crash_here, &inner);
    cr_assert_eq(world_open_catalog(&world), OK);
    sim_watch(sim, NULL, NULL);
    history->images += inner.images;
    const uint64_t blocks = expect_prefix(&world, history);
    cr_assert_eq(world_append(&world, 0, blocks + 1), OK);
    world_close_catalog(&world);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_count_blocks(&world), (int)blocks + 1);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    struct history *const history = context;
    const uint64_t images = sim_images(sim);

    for (uint64_t image = 0; image < images; image++) {
        history->images++;
        recover(sim_crash(sim, image, image + 1), history);
    }
    for (uint64_t random = 0; random < 3; random++) {
        history->images++;
        recover(sim_crash_random(sim, sim_events(sim) * 8 + random), history);
    }
}

static void crash_everywhere(uint64_t seed, uint64_t blocks, unsigned nested_every, unsigned least)
{
    struct world world = world_sim_new(seed);
    struct history history = {.nested_every = nested_every};

    world.config.blocks_max = 3;
    sim_watch(world.sim, crash_here, &history);
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= blocks; seq++) {
        history.sent = seq;
        cr_assert_eq(world_append(&world, 0, seq), OK);
        history.acked = seq;
    }
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(history.images, least, "%u images", history.images);
    world_close(&world);
}

Test(catalog, survives_a_crash_at_every_event)
{
    crash_everywhere(11, 5, 0, 300);
}

Test(catalog, survives_crashes_inside_recovery)
{
    crash_everywhere(12, 4, 37, 300);
}

/* ---- threads ----------------------------------------------------------------------------------------- */

enum { THREADS_BLOCKS = 40 };

struct reading {
    struct world *world;
    atomic_bool stop;
    atomic_uint wrong, rounds;
};

static void *read_on(void *context)
{
    struct reading *const reading = context;
    struct world own = *reading->world;

    if (io_open_plain(&own.io) != OK) return NULL;
    uint32_t newest = 0;
    while (!atomic_load(&reading->stop)) {
        const struct catalog_view *const view = catalog_acquire(own.catalog);
        const uint32_t blocks = catalog_blocks(view);
        if (blocks < newest) atomic_fetch_add(&reading->wrong, 1);
        newest = blocks;
        for (uint32_t i = blocks > 6 ? blocks - 6 : 0; i < blocks; i++)
            if (!world_block_reads(&own, view, i)) atomic_fetch_add(&reading->wrong, 1);
        catalog_release(own.catalog, view);
        atomic_fetch_add(&reading->rounds, 1);
    }
    io_close(own.io);
    return NULL;
}

struct writing {
    struct world *world;
    uint16_t shard;
    struct fixture_block *blocks;
    enum err err;
};

static void *write_on(void *context)
{
    struct writing *const writing = context;
    struct io *io;

    writing->err = io_open_plain(&io);
    for (unsigned i = 0; i < THREADS_BLOCKS && writing->err == OK; i++)
        writing->err = segment_append(writing->world->catalog, io, writing->shard,
                                      &writing->blocks[i].encoded);
    if (writing->err == OK) writing->err = segment_seal(writing->world->catalog, io, writing->shard);
    io_close(io);
    return NULL;
}

/* Two shards append and close segments while two readers read what is newest. */
Test(catalog, serves_readers_while_writers_publish)
{
    struct world world = world_real();
    struct reading reading = {.world = &world};
    struct writing writing[2];
    pthread_t readers[2], writers[2];

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint16_t shard = 0; shard < 2; shard++) {
        writing[shard] = (struct writing){.world = &world, .shard = shard};
        writing[shard].blocks = calloc(THREADS_BLOCKS, sizeof *writing[shard].blocks);
        for (uint64_t seq = 1; seq <= THREADS_BLOCKS; seq++)
            writing[shard].blocks[seq - 1] = fixture_block_make(shard, seq, 3 + (uint32_t)seq % 5);
    }
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_on, &reading), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&writers[i], NULL, write_on, &writing[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    atomic_store(&reading.stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);

    cr_assert_eq(writing[0].err, OK);
    cr_assert_eq(writing[1].err, OK);
    cr_assert_eq(atomic_load(&reading.wrong), 0);
    cr_assert_gt(atomic_load(&reading.rounds), 0);
    cr_assert_eq(world_count_blocks(&world), 2 * THREADS_BLOCKS);
    for (unsigned shard = 0; shard < 2; shard++) {
        for (unsigned i = 0; i < THREADS_BLOCKS; i++)
            fixture_block_free(&writing[shard].blocks[i]);
        free(writing[shard].blocks);
    }
    world_close(&world);
}
