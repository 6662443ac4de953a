/*
 * The scrubber finds every byte that changes at rest, names its place, fences what is lost and nothing else, keeps to its
 * pauses, and goes on where it was after a restart.
 */
#include "base/clock.h"
#include "segment_fixture.h"
#include "store/scrub.h"

#include <criterion/criterion.h>

static const uint64_t every_ns = 30 * 86400 * NS_PER_S;

struct pace {
    uint64_t bytes, largest;
    uint64_t stop_after; /* bytes; 0: never */
};

static bool pace_pause(void *context, uint64_t bytes)
{
    struct pace *const pace = context;

    pace->bytes += bytes;
    if (bytes > pace->largest) pace->largest = bytes;
    return pace->stop_after == 0 || pace->bytes < pace->stop_after;
}

/* Two closed segments of shard 0 with four blocks each, and an open one with one. */
static struct world filled(void)
{
    struct world world = world_sim_new(5);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 9; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    sim_advance(world.sim, NS_PER_S);
    return world;
}

static struct scrubber *scrubber_of(struct world *world, struct pace *pace)
{
    const struct scrub_config config = {.every_ns = every_ns, .pause = pace_pause, .context = pace};
    struct scrubber *scrubber;

    cr_assert_eq(scrubber_open(world->io, world->dir, world->catalog, &config, &scrubber), OK);
    return scrubber;
}

static struct scrub_counts pass(struct world *world, struct pace *pace)
{
    struct scrubber *const scrubber = scrubber_of(world, pace);

    while (scrubber_step(scrubber, world->io))
        ;
    const struct scrub_counts counts = *scrubber_counts(scrubber);
    scrubber_close(scrubber, world->io);
    return counts;
}

static const char first_file[] = "segments/0000-000000000000.seg";

static uint64_t file_bytes(struct world *world)
{
    uint64_t bytes;

    cr_assert_eq(sim_file_bytes(world->sim, first_file, &bytes), OK);
    return bytes;
}

/* Place and length of the first file's block at an index. */
static struct catalog_block block_at(struct world *world, uint32_t index)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const struct catalog_block block = *catalog_block(view, index);

    catalog_release(world->catalog, view);
    return block;
}

/* ---- what is sound ------------------------------------------------------------------------------------ */

Test(scrub, reads_all_closed_segments_and_finds_nothing)
{
    struct world world = filled();
    struct pace pace = {0};

    const struct scrub_counts counts = pass(&world, &pace);
    cr_assert_eq(counts.faults, 0);
    cr_assert_eq(counts.passes, 1);
    cr_assert_geq(counts.last_pass_ns, 1);
    cr_assert_geq(counts.bytes, 2 * (file_bytes(&world) - 8192), "nearly every byte of both files");
    cr_assert_eq(pace.bytes, counts.bytes, "a pause behind each read");
    cr_assert_leq(pace.largest, (uint64_t)SCRUB_PIECE_BYTES);
    cr_assert_eq(catalog_fenced(world.catalog), 0);
    world_close(&world);
}

Test(scrub, a_pass_comes_when_it_is_due)
{
    struct world world = filled();
    struct pace pace = {0};

    cr_assert_eq(pass(&world, &pace).passes, 1);
    cr_assert_eq(pass(&world, &pace).passes, 0, "a restart does not begin another");
    sim_jump(world.sim, (int64_t)(every_ns / 2));
    cr_assert_eq(pass(&world, &pace).passes, 0);
    sim_jump(world.sim, (int64_t)(every_ns / 2));
    cr_assert_eq(pass(&world, &pace).passes, 1);
    sim_jump(world.sim, -(int64_t)every_ns);
    cr_assert_eq(pass(&world, &pace).passes, 0, "a clock put back brings none forward");
    world_close(&world);
}

/* ---- what is not -------------------------------------------------------------------------------------- */

Test(scrub, D10_a_byte_that_changed_in_a_closed_segment_fences_its_block)
{
    struct world world = filled();
    const struct catalog_block block = block_at(&world, 1);
    struct pace pace = {0};

    cr_assert_eq(sim_flip(world.sim, first_file, (block.offset + 4096 + 8) * 8), OK);
    const struct scrub_counts counts = pass(&world, &pace);
    cr_assert_eq(counts.faults, 1);
    cr_assert_eq(catalog_fenced(world.catalog), 1);
    cr_assert(block_at(&world, 1).fenced);
    cr_assert_eq(world_count_blocks(&world), 8, "all others read back");
    world_close(&world);
}

/* One pass for each byte: of a block those at its beginning, middle and end, of the rest of the file all. */
Test(scrub, D10_every_byte_of_a_closed_segment_is_found_if_it_changes)
{
    struct world world = filled();
    const struct catalog_block first = block_at(&world, 0), last = block_at(&world, 3);
    const uint64_t end = last.offset + last.summary.bytes;
    unsigned fenced = 0;

    for (uint64_t at = 0; at < file_bytes(&world);) {
        struct pace pace = {0};
        const bool in_block = at >= first.offset && at < end;
        cr_assert_eq(sim_flip(world.sim, first_file, at * 8 + at % 8), OK);
        sim_jump(world.sim, (int64_t)every_ns);
        const struct scrub_counts counts = pass(&world, &pace);
        cr_assert_geq(counts.faults, 1, "byte %llu", (unsigned long long)at);
        const uint64_t now_fenced = catalog_fenced(world.catalog);
        cr_assert(in_block || now_fenced == 0, "byte %llu is in no block", (unsigned long long)at);
        fenced += now_fenced > 0;
        cr_assert_eq(sim_flip(world.sim, first_file, at * 8 + at % 8), OK);
        if (now_fenced > 0) { /* a start knows no fences */
            world_close_catalog(&world);
            cr_assert_eq(world_open_catalog(&world), OK);
        }
        at += in_block ? 97 : at < 4096 ? 61 : 13;
    }
    cr_assert_geq(fenced, 10);
    world_close(&world);
}

Test(scrub, what_reads_well_the_second_time_is_no_fault)
{
    struct world world = filled();
    struct pace pace = {0};
    struct scrubber *const scrubber = scrubber_of(&world, &pace);

    sim_fail(world.sim, SIM_FAULT_READ, 1, ERR_IO, false);
    while (scrubber_step(scrubber, world.io))
        ;
    cr_assert_eq(scrubber_counts(scrubber)->faults, 0);
    scrubber_close(scrubber, world.io);
    world_close(&world);
}

Test(scrub, a_block_that_cannot_be_read_is_fenced_a_disk_that_is_gone_fences_nothing)
{
    struct world world = filled();
    struct pace pace = {0};
    struct scrubber *const scrubber = scrubber_of(&world, &pace);

    sim_fail(world.sim, SIM_FAULT_READ, 1, ERR_IO, false);
    sim_fail(world.sim, SIM_FAULT_READ, 2, ERR_IO, false);
    cr_assert(scrubber_step(scrubber, world.io));
    cr_assert_eq(scrubber_counts(scrubber)->faults, 1);
    cr_assert_eq(catalog_fenced(world.catalog), 1);
    sim_fail(world.sim, SIM_FAULT_READ, 1, ERR_IO, true);
    cr_assert(scrubber_step(scrubber, world.io));
    cr_assert_eq(scrubber_counts(scrubber)->faults, 2);
    cr_assert_eq(catalog_fenced(world.catalog), 1, "nothing at all could be read");
    sim_forgive(world.sim);
    scrubber_close(scrubber, world.io);
    world_close(&world);
}

/* ---- restarts ----------------------------------------------------------------------------------------- */

/* The process ends after so many bytes; the next one goes on, and reads no more than a unit twice. */
Test(scrub, a_restart_goes_on_where_it_was)
{
    struct world world = filled();
    struct pace whole = {0};
    const uint64_t all = pass(&world, &whole).bytes;
    uint64_t read = 0;
    unsigned lives = 0;

    sim_jump(world.sim, (int64_t)every_ns);
    for (bool ended = false; !ended; lives++) {
        struct pace pace = {.stop_after = all / 5};
        const struct scrub_counts counts = pass(&world, &pace);
        read += counts.bytes;
        ended = counts.passes == 1;
        world_close_catalog(&world);
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_lt(lives, 50);
    }
    cr_assert_gt(lives, 2);
    cr_assert_lt(read, 3 * all);
    world_close(&world);
}

Test(scrub, a_damaged_note_begins_anew)
{
    struct world world = filled();
    struct pace pace = {.stop_after = 20000};

    pass(&world, &pace);
    cr_assert_eq(sim_flip(world.sim, "data/scrub", 44 * 8), OK);
    pace = (struct pace){0};
    cr_assert_eq(pass(&world, &pace).passes, 1);
    world_close(&world);
}

/* A crash at every event of a pass costs nothing but the pass. */
Test(scrub, survives_a_crash_while_its_place_is_noted)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct world world = filled();
        struct pace pace = {.stop_after = 4000 + seed * 500};
        sim_fail(world.sim, seed % 2 ? SIM_FAULT_WRITE : SIM_FAULT_NAME, 1 + seed % 5, ERR_NO_SPACE, false);
        struct scrubber *const scrubber = scrubber_of(&world, &pace);
        while (scrubber_step(scrubber, world.io))
            ;
        struct sim *const crashed = sim_crash_random(world.sim, seed);
        scrubber_close(scrubber, world.io);
        struct world again = world_sim(crashed);
        cr_assert_eq(world_open_catalog(&again), OK);
        pace = (struct pace){0};
        cr_assert_eq(pass(&again, &pace).passes, 1);
        world_close(&again);
        world_close(&world);
    }
}
