/*
 * Retention removes what it must, oldest first, and nothing else; a clock that jumps does not empty the store; what has
 * expired does not come back.
 */
#include "pins_fixture.h"

/* One closed segment for each of the days 0 to days - 1, of shard 0, with one block. */
static struct world world_of_days(uint64_t days, uint32_t spans)
{
    struct world world = world_sim_new(1);

    cr_assert_eq(world_open_catalog(&world), OK);
    sim_set_space(world.sim, 1 << 30, 1 << 30);
    for (uint64_t day = 0; day < days; day++) {
        store_append_random(&world, 0, day + 1, monday_ns + day * day_ns, day + 1, spans);
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    return world;
}

static struct retention *retention_of(struct world *world, const struct retention_config *config)
{
    return retention_with(world, config, NULL);
}

/* Once, with a retention of its own. */
static void retain(struct world *world, const struct retention_config *config, uint64_t now_ns)
{
    struct retention *const retention = retention_of(world, config);

    steps_of(retention, world, now_ns);
    retention_close(retention, world->io);
}

/* Which days are there, as bits. */
static unsigned days_of(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    unsigned days = 0;

    for (uint32_t i = 0; i < catalog_blocks(view); i++)
        days |= 1U << (catalog_block(view, i)->summary.arrival_min_ns - monday_ns) / day_ns;
    catalog_release(world->catalog, view);
    return days;
}

static uint64_t bytes_of(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < catalog_blocks(view); i++)
        bytes += catalog_block(view, i)->summary.bytes;
    catalog_release(world->catalog, view);
    return bytes;
}

/* ---- age --------------------------------------------------------------------------------------------- */

Test(retention, removes_what_is_over_age)
{
    struct world world = world_of_days(6, 10);
    const struct retention_config config = {.age_ns = 4 * day_ns};
    struct retention *const retention = retention_of(&world, &config);
    unsigned files;

    steps_of(retention, &world, monday_ns + 4 * day_ns);
    cr_assert_eq(days_of(&world), 0x3f, "at its age exactly nothing is over it");
    steps_of(retention, &world, monday_ns + 4 * day_ns + 1);
    cr_assert_eq(days_of(&world), 0x3e);
    steps_of(retention, &world, monday_ns + 5 * day_ns + 2);
    cr_assert_eq(days_of(&world), 0x3c);
    cr_assert_eq(retention_counts(retention)->segments[RETENTION_AGE], 2);
    cr_assert_eq(count_segments_of(&world, &files), 5, "one stands for what has gone");
    cr_assert_eq(files, 5);
    retention_close(retention, world.io);
    world_close(&world);
}

Test(retention, keeps_everything_without_a_limit)
{
    struct world world = world_of_days(3, 10);

    retain(&world, &(struct retention_config){0}, monday_ns + 10000 * day_ns);
    cr_assert_eq(days_of(&world), 7);
    world_close(&world);
}

/* ---- clocks (C2) ------------------------------------------------------------------------------------- */

Test(retention, C2_a_clock_that_is_years_ahead_does_not_empty_the_store)
{
    struct world world = world_of_days(6, 10);
    const struct retention_config config = {.age_ns = 4 * day_ns + day_ns / 2};
    struct retention *const retention = retention_of(&world, &config);

    steps_of(retention, &world, monday_ns + 3650 * day_ns);
    cr_assert_eq(days_of(&world), 0x3c, "a day beyond the newest span, no further");
    sim_advance(world.sim, 2 * day_ns);
    steps_of(retention, &world, monday_ns + 3650 * day_ns);
    cr_assert_eq(days_of(&world), 0x30, "two days later by the clock that does not jump");
    retention_close(retention, world.io);
    world_close(&world);
}

Test(retention, C2_spans_of_a_clock_that_is_ahead_do_not_take_the_others_with_them)
{
    struct world world = world_of_days(6, 40);
    const struct retention_config config = {.age_ns = 4 * day_ns};
    struct retention *const retention = retention_of(&world, &config);

    store_append_random(&world, 0, 7, monday_ns + 30 * day_ns, 70, 10);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    steps_of(retention, &world, monday_ns + 30 * day_ns);
    cr_assert_eq(days_of(&world), 0x3f | 1U << 30, "more than half: it waits");
    cr_assert(retention_counts(retention)->waiting);
    sim_advance(world.sim, day_ns / 2);
    steps_of(retention, &world, monday_ns + 5 * day_ns);
    cr_assert_not(retention_counts(retention)->waiting, "the clock was set right meanwhile");
    cr_assert_eq(days_of(&world), 0x3e | 1U << 30);
    retention_close(retention, world.io);
    world_close(&world);
}

Test(retention, more_than_half_goes_after_a_day)
{
    struct world world = world_of_days(6, 10);
    const struct retention_config config = {.age_ns = day_ns};
    struct retention *const retention = retention_of(&world, &config);

    steps_of(retention, &world, monday_ns + 5 * day_ns);
    cr_assert_eq(days_of(&world), 0x3f);
    sim_advance(world.sim, day_ns + 1);
    steps_of(retention, &world, monday_ns + 5 * day_ns);
    cr_assert_eq(days_of(&world), 0x30);
    retention_close(retention, world.io);
    world_close(&world);
}

Test(retention, a_clock_that_was_set_back_removes_nothing)
{
    struct world world = world_of_days(3, 10);

    retain(&world, &(struct retention_config){.age_ns = day_ns}, monday_ns - 100 * day_ns);
    cr_assert_eq(days_of(&world), 7);
    world_close(&world);
}

/* ---- room -------------------------------------------------------------------------------------------- */

Test(retention, the_oldest_go_until_the_store_is_small_enough)
{
    struct world world = world_of_days(6, 60);
    const uint64_t all = bytes_of(&world);

    retain(&world, &(struct retention_config){.bytes_max = 100 * all}, monday_ns);
    cr_assert_eq(days_of(&world), 0x3f);
    retain(&world, &(struct retention_config){.bytes_max = all * 2 / 3}, monday_ns);
    const unsigned left = days_of(&world);
    cr_assert(left == 0x30 || left == 0x38 || left == 0x3c, "%x", left);
    cr_assert_leq(bytes_of(&world), all * 2 / 3);
    world_close(&world);
}

static void free_some(struct world *world, uint64_t bytes)
{
    sim_set_space(world->sim, bytes, 1 << 30);
}

Test(retention, the_oldest_goes_when_the_disk_is_full_and_no_more_while_readers_hold_it)
{
    struct world world = world_of_days(6, 60);
    const struct retention_config config = {.free_min = 100000};
    struct retention *const retention = retention_of(&world, &config);
    const struct catalog_view *const view = catalog_acquire(world.catalog);

    free_some(&world, 99000);
    steps_of(retention, &world, monday_ns);
    cr_assert_eq(days_of(&world), 0x3e, "one is enough: its room comes back when the version is released");
    cr_assert_gt(catalog_retired_bytes(world.catalog), 0);
    catalog_release(world.catalog, view);
    free_some(&world, 200000);
    cr_assert_eq(steps_of(retention, &world, monday_ns), 0);
    cr_assert_eq(catalog_retired_bytes(world.catalog), 0);
    cr_assert_eq(retention_counts(retention)->segments[RETENTION_FREE], 1);
    retention_close(retention, world.io);
    world_close(&world);
}

/* ---- what was reached -------------------------------------------------------------------------------- */

static void reopen(struct world *world)
{
    world_close_catalog(world);
    cr_assert_eq(world_open_catalog(world), OK);
    cr_assert_eq(world->report.gaps + world->report.fenced + world->report.ignored, 0);
}

Test(retention, positions_stay_when_everything_has_gone)
{
    struct world world = world_of_days(4, 10);
    const struct retention_config config = {.bytes_max = 1};
    unsigned files;

    retain(&world, &config, monday_ns);
    for (unsigned start = 0; start < 2; start++) {
        cr_assert_eq(days_of(&world), 0);
        cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 5 * FIXTURE_LSN_STEP);
        cr_assert_eq(catalog_next_seq(world.catalog, 0), 5);
        count_segments_of(&world, &files);
        cr_assert_eq(files, 1, "one without blocks");
        reopen(&world);
    }
    store_append_random(&world, 0, 5, monday_ns + 5 * day_ns, 5, 10);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    reopen(&world);
    store_append_random(&world, 0, 6, monday_ns + 6 * day_ns, 6, 10);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    retain(&world, &config, monday_ns);
    count_segments_of(&world, &files);
    cr_assert_eq(files, 1, "again one: %u", files);
    world_close(&world);
}

Test(retention, merged_segments_expire_and_what_waits_is_merged_without_them)
{
    struct world world = world_of_days(3, 10);
    unsigned files;

    for (uint64_t seq = 4; seq < 8; seq++) {
        store_append_random(&world, 0, seq, monday_ns, seq, 200);
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    cr_assert_gt(compact_all(&world, monday_ns + day_ns / 2), 0);
    retain(&world, &(struct retention_config){.age_ns = 2 * day_ns}, monday_ns + 2 * day_ns + 1);
    cr_assert_eq(days_of(&world), 7, "more than half");
    retain(&world, &(struct retention_config){.bytes_max = bytes_of(&world) / 2}, monday_ns);
    cr_assert_eq(days_of(&world), 6);
    cr_assert_eq(catalog_next_seq(world.catalog, 0), 8);
    reopen(&world);
    cr_assert_eq(catalog_next_seq(world.catalog, 0), 8);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 8 * FIXTURE_LSN_STEP);
    count_segments_of(&world, &files);
    world_close(&world);
}

/* A merge that loses an input on the way gives way, and leaves nothing. That is no failure: it may plan anew at once. */
Test(retention, goes_before_a_merge_that_is_under_way)
{
    struct world world = world_of_days(1, 10);
    unsigned files;

    store_append_random(&world, 0, 2, monday_ns, 2, 20);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    struct compactor *const compactor = compactor_of(&world);
    cr_assert(compactor_step(compactor, world.io, monday_ns + day_ns));
    cr_assert(compactor_step(compactor, world.io, monday_ns + day_ns));
    retain(&world, &(struct retention_config){.bytes_max = 1}, monday_ns);
    cr_assert(compactor_step(compactor, world.io, monday_ns + day_ns));
    cr_assert_not(compactor_step(compactor, world.io, monday_ns + day_ns), "nothing is left to merge");
    cr_assert_eq(compactor_counts(compactor)->failures, 0);
    compactor_close(compactor, world.io);
    cr_assert_eq(days_of(&world), 0);
    count_segments_of(&world, &files);
    cr_assert_eq(files, 1, "%u", files);
    reopen(&world);
    cr_assert_eq(days_of(&world), 0);
    world_close(&world);
}

/* ---- preview ----------------------------------------------------------------------------------------- */

Test(retention, preview_says_what_then_happens)
{
    struct world world = world_of_days(8, 40);
    const struct retention_config config = {.age_ns = 6 * day_ns - 1, .bytes_max = bytes_of(&world) * 2 / 3};
    const uint64_t now_ns = monday_ns + 80 * day_ns; /* taken for a day beyond the newest span */
    uint64_t spans = 0, bytes = 0;

    struct retention *const retention = retention_of(&world, &config);
    bool waits;
    const struct preview preview = preview_of(retention, &world, now_ns, &waits);
    cr_assert_not(waits);
    steps_of(retention, &world, now_ns);
    const struct retention_counts *const counts = retention_counts(retention);
    for (unsigned i = 0; i < preview.count; i++) {
        cr_assert_eq(preview.rows[i].reason, i < 3 ? RETENTION_AGE : RETENTION_BYTES);
        cr_assert_eq(preview.rows[i].arrival_min_ns, monday_ns + i * day_ns);
        spans += preview.rows[i].spans;
        bytes += preview.rows[i].bytes;
    }
    cr_assert_gt(preview.count, 3);
    cr_assert_eq(counts->segments[RETENTION_AGE] + counts->segments[RETENTION_BYTES], preview.count);
    cr_assert_eq(counts->spans[RETENTION_AGE] + counts->spans[RETENTION_BYTES], spans);
    cr_assert_eq(counts->bytes[RETENTION_AGE] + counts->bytes[RETENTION_BYTES], bytes);
    retention_close(retention, world.io);
    world_close(&world);
}

/* ---- crashes ----------------------------------------------------------------------------------------- */

static unsigned crash_images;

static void try_image(struct sim *sim)
{
    struct world world = world_sim(sim);

    crash_images++;
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps + world.report.fenced + world.report.ignored + world.report.duplicates, 0);
    cr_assert_eq(days_of(&world) | 7, 7);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 4 * FIXTURE_LSN_STEP, "image %u", crash_images);
    cr_assert_eq(catalog_next_seq(world.catalog, 0), 4);
    cr_assert_geq(world_count_blocks(&world), -1);
    retain(&world, &(struct retention_config){.bytes_max = 1}, monday_ns);
    cr_assert_eq(days_of(&world), 0);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(days_of(&world), 0, "what has expired after the start does not come back");
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 4 * FIXTURE_LSN_STEP);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    const uint64_t count = sim_images(sim);

    (void)context;
    for (uint64_t image = 0; image < count; image += 1 + count / 40)
        try_image(sim_crash(sim, image, image + 1));
    for (uint64_t random = 0; random < 4; random++)
        try_image(sim_crash_random(sim, sim_events(sim) * 8 + random));
}

Test(retention, survives_a_crash_at_every_event, .timeout = 120)
{
    struct world world = world_of_days(3, 10);

    sim_watch(world.sim, crash_here, NULL);
    retain(&world, &(struct retention_config){.bytes_max = 1}, monday_ns);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(crash_images, 60, "%u images", crash_images);
    world_close(&world);
}
