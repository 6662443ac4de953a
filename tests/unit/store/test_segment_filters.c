/*
 * Filters that a start has left out: questions before, while and after they are built are answered exactly; a stop, a
 * crash, a full disk or a damaged block on the way costs time, or what is damaged, and nothing else.
 */
#include "block_fixture.h"
#include "segment_fixture.h"
#include "segment_format.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BLOCKS = 5 };

/* ---- worlds ------------------------------------------------------------------------------------------ */

/* Blocks 1 to BLOCKS of shard 0, in one file that is not closed. */
static void append_unclosed(struct world *world)
{
    world->config.blocks_max = BLOCKS + 1;
    cr_assert_eq(world_open_catalog(world), OK);
    for (uint64_t seq = 1; seq <= BLOCKS; seq++)
        cr_assert_eq(world_append(world, 0, seq), OK);
    world_close_catalog(world);
}

/* The same, started again: a file of BLOCKS - 1 blocks and one of the last, both without filters. */
static struct world world_recovered(uint64_t seed)
{
    struct world world = world_sim_new(seed);

    append_unclosed(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.rebuilt, 1);
    cr_assert_eq(catalog_unfiltered(world.catalog), BLOCKS);
    return world;
}

static unsigned build_all(struct world *world)
{
    unsigned steps = 0;

    while (catalog_build_filters(world->catalog, world->io))
        cr_assert_lt(++steps, 1000);
    cr_assert_eq(catalog_unfiltered(world->catalog), 0);
    return steps;
}

/* How many of the sound blocks may have a trace, and a token, that none of them has. */
static unsigned count_maybe(struct world *world, const struct catalog_view *view)
{
    unsigned maybe = 0;

    for (uint32_t i = 0; i < catalog_blocks(view); i++) {
        const struct trace_id trace = fixture_trace(0, 1000000 + i, 0);
        if (catalog_block(view, i)->fenced) continue;
        maybe += catalog_may_have_trace(view, world->io, i, filter_hash_trace(trace.bytes));
        maybe += catalog_may_have_token(view, world->io, i, fixture_token(0, 1000000 + i));
    }
    return maybe;
}

static unsigned count_maybe_now(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const unsigned maybe = count_maybe(world, view);

    catalog_release(world->catalog, view);
    return maybe;
}

static uint64_t count_segments(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const uint64_t count = catalog_segments(view);

    catalog_release(world->catalog, view);
    return count;
}

/* Everything is there, and excluded where it is not. */
static void expect_built(struct world *world, int blocks)
{
    cr_assert_eq(world_count_blocks(world), blocks);
    cr_assert_eq(count_maybe_now(world), 0);
    cr_assert_eq(catalog_sealed_lsn(world->catalog, 0), (BLOCKS + 1) * FIXTURE_LSN_STEP);
    cr_assert_eq(catalog_unfiltered(world->catalog), 0);
}

/* ---- before, during, after --------------------------------------------------------------------------- */

Test(segment_filters, answer_maybe_until_they_are_built)
{
    struct world world = world_recovered(1);
    const struct catalog_view *const before = catalog_acquire(world.catalog);

    cr_assert_eq(count_maybe(&world, before), 2 * BLOCKS, "nothing is excluded");
    cr_assert_eq(world_count_blocks(&world), BLOCKS);
    unsigned most = 2 * BLOCKS;
    for (uint64_t left = BLOCKS; catalog_build_filters(world.catalog, world.io);) {
        const unsigned maybe = count_maybe_now(&world);
        cr_assert_leq(maybe, most);
        cr_assert_leq(catalog_unfiltered(world.catalog), left);
        cr_assert_eq(world_count_blocks(&world), BLOCKS);
        most = maybe;
        left = catalog_unfiltered(world.catalog);
    }
    expect_built(&world, BLOCKS);
    cr_assert_eq(count_maybe(&world, before), 2 * BLOCKS, "a version stays as it was");
    catalog_release(world.catalog, before);
    cr_assert_not(catalog_build_filters(world.catalog, world.io));
    world_close_catalog(&world);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.rebuilt, 0);
    expect_built(&world, BLOCKS);
    cr_assert_not(catalog_build_filters(world.catalog, world.io), "they came from the file");
    world_close(&world);
}

Test(segment_filters, come_newest_segment_first_while_the_shard_goes_on)
{
    struct world world = world_recovered(2);

    cr_assert_eq(count_segments(&world), 2);
    cr_assert(catalog_build_filters(world.catalog, world.io));
    cr_assert_eq(world_append(&world, 0, BLOCKS + 1), OK, "a new file is begun");
    cr_assert(catalog_build_filters(world.catalog, world.io));
    cr_assert_eq(count_maybe_now(&world), 2 * (BLOCKS - 1), "the block that was moved, and the new one");
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK, "and closed");
    cr_assert_eq(build_all(&world), BLOCKS);
    cr_assert_eq(count_maybe_now(&world), 0);
    cr_assert_eq(world_count_blocks(&world), BLOCKS + 1);
    cr_assert_eq(count_segments(&world), 3);
    world_close(&world);
}

/* A stop leaves files with the footer of the recovery: they are not walked again, only their filters are missing. */
Test(segment_filters, are_begun_again_after_a_stop_at_any_step)
{
    for (unsigned stop = 0; stop <= BLOCKS + 2; stop++) {
        struct world world = world_recovered(3);
        for (unsigned i = 0; i < stop; i++)
            cr_assert(catalog_build_filters(world.catalog, world.io));
        world_close_catalog(&world);

        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.rebuilt, 0, "stop %u", stop);
        cr_assert_eq(world.report.segments, 2);
        cr_assert_eq(catalog_unfiltered(world.catalog),
                     stop < 2            ? BLOCKS
                     : stop < BLOCKS + 2 ? BLOCKS - 1
                                         : 0,
                     "stop %u: %lu", stop, (unsigned long)catalog_unfiltered(world.catalog));
        build_all(&world);
        expect_built(&world, BLOCKS);
        world_close(&world);
    }
}

/* A block that stands in two files is used once; the file of which nothing is used goes. */
Test(segment_filters, of_a_file_with_a_block_that_is_not_used)
{
    struct world world = world_sim_new(4);

    world.config.blocks_max = BLOCKS + 1;
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= BLOCKS; seq++) {
        if (seq == 3) {
            sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
            cr_assert_eq(world_append(&world, 0, seq), ERR_IO);
        }
        cr_assert_eq(world_append(&world, 0, seq), OK);
    }
    world_close_catalog(&world);
    for (unsigned start = 0; start < 3; start++) {
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.duplicates, start == 0, "start %u", start);
        cr_assert_eq(catalog_unfiltered(world.catalog), start == 0 ? BLOCKS : 0);
        build_all(&world);
        expect_built(&world, BLOCKS);
        world_close_catalog(&world);
    }
    world_close(&world);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void spoil_section(uint8_t *block, enum block_section_type type)
{
    uint32_t count;
    const struct block_section *const sections = block_sections(block, &count);

    for (uint32_t i = 0; i < count; i++)
        if (sections[i].type == type) memset(block + sections[i].offset, 0, 4);
}

/* Block 2 has sound sums, if mended, and cannot be decoded: nothing that a start looks at. */
static void append_damaged(struct world *world, enum block_section_type type, bool mended)
{
    cr_assert_eq(world_open_catalog(world), OK);
    for (uint64_t seq = 1; seq <= BLOCKS; seq++) {
        struct fixture_block block = fixture_block_make(0, seq, 3 + (uint32_t)seq % 5);
        if (seq == 2) {
            spoil_section(block.bytes, type);
            if (mended) block_mend(block.bytes, block.encoded.len);
            cr_assert_eq(block_peek(block.bytes, &block.encoded.summary), OK);
        }
        cr_assert_eq(segment_append(world->catalog, world->io, 0, &block.encoded), OK);
        fixture_block_free(&block);
    }
    world_close_catalog(world);
}

Test(segment_filters, fence_a_block_that_cannot_be_decoded)
{
    static const enum block_section_type types[] = {SECTION_TRACE_ROWS, SECTION_DICTIONARY};

    for (unsigned i = 0; i < 4; i++) {
        struct world world = world_sim_new(5);
        world.config.blocks_max = BLOCKS + 1;
        append_damaged(&world, types[i / 2], i % 2 == 0);
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.fenced, 0, "case %u", i);
        build_all(&world);
        cr_assert_eq(catalog_fenced(world.catalog), 1, "case %u", i);
        expect_built(&world, BLOCKS - 1);
        cr_assert(world_has(&world, 0, 2), "known to be missing");
        world_close_catalog(&world);

        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.fenced, 1, "the file says so");
        expect_built(&world, BLOCKS - 1);
        world_close(&world);
    }
}

/* Its directory is spoilt, and so is a header: the file is served as it lies, and must not be written. */
Test(segment_filters, of_a_file_that_must_not_be_written_stay_in_memory)
{
    static uint8_t before[1 << 20], after[1 << 20];
    struct world world = world_sim_new(6);
    const char *const path = "segments/0000-000000000000.seg";
    uint64_t bytes, bytes_after;

    world.config.blocks_max = BLOCKS;
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= BLOCKS; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    const uint64_t last = catalog_block(view, BLOCKS - 1)->offset;
    catalog_release(world.catalog, view);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    world_close_catalog(&world);

    struct segment_trailer trailer;
    cr_assert_eq(sim_file_bytes(world.sim, path, &bytes), OK);
    cr_assert_eq(sim_peek(world.sim, path, bytes - sizeof trailer, &trailer, sizeof trailer), OK);
    cr_assert_eq(sim_flip(world.sim, path, (trailer.directory_offset + 9) * 8), OK);
    cr_assert_eq(sim_flip(world.sim, path, (last + 30) * 8), OK);
    cr_assert_eq(sim_peek(world.sim, path, 0, before, bytes), OK);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(catalog_unfiltered(world.catalog), BLOCKS - 1);
    cr_assert_eq(count_maybe_now(&world), 2 * (BLOCKS - 1));
    build_all(&world);
    cr_assert_eq(count_maybe_now(&world), 0);
    cr_assert_eq(world_count_blocks(&world), BLOCKS - 1);
    world_close_catalog(&world);
    cr_assert_eq(sim_file_bytes(world.sim, path, &bytes_after), OK);
    cr_assert_eq(bytes_after, bytes);
    cr_assert_eq(sim_peek(world.sim, path, 0, after, bytes), OK);
    cr_assert_eq(memcmp(before, after, bytes), 0);
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

Test(segment_filters, lose_nothing_when_an_operation_fails)
{
    for (unsigned fault = 0; fault < sizeof faults / sizeof faults[0]; fault++)
        for (uint64_t nth = 1; nth <= 80; nth += nth < 30 ? 1 : 7) {
            struct world world = world_recovered(10 + fault);
            sim_fail(world.sim, faults[fault].kind, nth, faults[fault].err, nth % 3 == 0);
            build_all(&world);
            sim_forgive(world.sim);
            cr_assert_eq(world_count_blocks(&world), BLOCKS, "fault %u nth %lu", fault, (unsigned long)nth);
            cr_assert_eq(catalog_fenced(world.catalog), 0, "no block is to blame");
            world_close_catalog(&world);

            cr_assert_eq(world_open_catalog(&world), OK);
            build_all(&world);
            expect_built(&world, BLOCKS);
            world_close(&world);
        }
}

/* A full disk is met before the first footer is written over. */
Test(segment_filters, leave_the_file_as_it_was_on_a_full_disk)
{
    struct world world = world_recovered(7);

    sim_fail(world.sim, SIM_FAULT_WRITE, 1, ERR_IO, true);
    sim_fail(world.sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, true); /* io_file_allocate(), and opening */
    build_all(&world);
    sim_forgive(world.sim);
    expect_built(&world, BLOCKS);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.rebuilt, 0);
    cr_assert_eq(catalog_unfiltered(world.catalog), BLOCKS);
    world_close(&world);
}

/* ---- crashes ----------------------------------------------------------------------------------------- */

static unsigned images;

static void try_image(struct sim *sim)
{
    struct world world = world_sim(sim);

    images++;
    world.config.blocks_max = BLOCKS + 1;
    for (unsigned start = 0; start < 2; start++) {
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world_count_blocks(&world), BLOCKS, "image %u start %u", images, start);
        cr_assert_eq(world.report.gaps + world.report.fenced + world.report.ignored, 0);
        build_all(&world);
        expect_built(&world, BLOCKS);
        world_close_catalog(&world);
    }
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    const uint64_t count = sim_images(sim);

    (void)context;
    for (uint64_t image = 0; image < count; image += 1 + count / 40)
        try_image(sim_crash(sim, image, image + 1));
    for (uint64_t random = 0; random < 3; random++)
        try_image(sim_crash_random(sim, sim_events(sim) * 8 + random));
}

Test(segment_filters, survive_a_crash_at_every_event)
{
    struct world world = world_recovered(8);

    sim_watch(world.sim, crash_here, NULL);
    build_all(&world);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(images, 150, "%u images", images);
    world_close(&world);
}

/* ---- threads ----------------------------------------------------------------------------------------- */

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
    while (!atomic_load(&reading->stop)) {
        if (world_count_blocks(&own) < BLOCKS) atomic_fetch_add(&reading->wrong, 1);
        atomic_fetch_add(&reading->rounds, 1);
    }
    io_close(own.io);
    return NULL;
}

static void *build_on(void *context)
{
    struct world own = *(struct world *)context;

    if (io_open_plain(&own.io) != OK) return NULL;
    while (catalog_build_filters(own.catalog, own.io)) {
    }
    io_close(own.io);
    return NULL;
}

Test(segment_filters, are_built_while_others_read_and_append)
{
    for (unsigned turn = 0; turn < 5; turn++) {
        struct world world = world_real();
        struct reading reading = {.world = &world};
        pthread_t reader, builder;

        append_unclosed(&world);
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(pthread_create(&reader, NULL, read_on, &reading), 0);
        while (atomic_load(&reading.rounds) == 0) {
        }
        cr_assert_eq(pthread_create(&builder, NULL, build_on, &world), 0);
        for (uint64_t seq = BLOCKS + 1; seq <= BLOCKS + 8; seq++)
            cr_assert_eq(world_append(&world, 0, seq), OK);
        pthread_join(builder, NULL);
        atomic_store(&reading.stop, true);
        pthread_join(reader, NULL);
        cr_assert_eq(atomic_load(&reading.wrong), 0);
        cr_assert_eq(catalog_unfiltered(world.catalog), 0);
        cr_assert_eq(world_count_blocks(&world), BLOCKS + 8);
        cr_assert_eq(count_maybe_now(&world), 0);
        world_close(&world);
    }
}
