/*
 * Merging segments changes where spans lie, and nothing else: not what is there, not what was reached in the journal, not
 * what is found after a crash at any event of it.
 */
#include "compaction_fixture.h"
#include "merge.h"

static const uint64_t much_later_ns = 1700438400 * NS_PER_S + 3 * 3600 * NS_PER_S;

static void expect_reopened(struct world *world, const struct prints *before)
{
    world_close_catalog(world);
    cr_assert_eq(world_open_catalog(world), OK);
    cr_assert_eq(world->report.gaps + world->report.fenced + world->report.duplicates + world->report.ignored,
                 0);
    struct prints again = prints_now(world);
    cr_assert(prints_equal(before, &again));
    prints_free(&again);
}

/* ---- one window -------------------------------------------------------------------------------------- */

Test(compaction, makes_one_sorted_segment_of_a_window)
{
    struct world world = world_real();
    unsigned files;

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 3, 4, 60);
    struct prints before = prints_now(&world);
    cr_assert_gt(before.count, 500);
    cr_assert_eq(count_segments_of(&world, &files), 3);

    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&before, &after));
    cr_assert_eq(count_segments_of(&world, &files), 1);
    cr_assert_eq(files, 1, "what was merged is gone from the disk");
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    cr_assert_eq(merge_streams(view, 0), 1);
    cr_assert_eq(catalog_block(view, 0)->summary.shard, CATALOG_MERGED);
    cr_assert_eq(catalog_block(view, 0)->summary.arrival_min_ns, monday_ns + NS_PER_S);
    cr_assert_eq(catalog_block(view, 0)->summary.arrival_max_ns, monday_ns + 4 * NS_PER_S);
    catalog_release(world.catalog, view);
    cr_assert_eq(compact_all(&world, much_later_ns), 0, "there is nothing left to do");
    expect_reopened(&world, &before);
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}

Test(compaction, positions_of_shards_outlive_their_files)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 3, 4, 10);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    for (unsigned start = 0; start < 2; start++) {
        for (uint16_t shard = 0; shard < 3; shard++) {
            cr_assert_eq(catalog_sealed_lsn(world.catalog, shard), 5 * FIXTURE_LSN_STEP);
            cr_assert_eq(catalog_next_seq(world.catalog, shard), 5);
            const struct catalog_view *const view = catalog_acquire(world.catalog);
            cr_assert(catalog_has(view, shard, 4), "a live block that was merged is not shown again");
            cr_assert_not(catalog_has(view, shard, 5));
            catalog_release(world.catalog, view);
        }
        world_close_catalog(&world);
        cr_assert_eq(world_open_catalog(&world), OK);
    }
    store_append_random(&world, 1, 5, monday_ns + 30 * NS_PER_S, 99, 10);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps, 0, "the next block continues what was merged");
    world_close(&world);
}

Test(compaction, a_missing_block_behind_merged_ones_is_a_gap)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 1, 4, 10);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    store_append_random(&world, 0, 5, monday_ns + 30 * NS_PER_S, 98, 10);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    store_append_random(&world, 0, 7, monday_ns + 30 * NS_PER_S, 99, 10);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps, 1);
    world_close(&world);
}

Test(compaction, waits_until_the_window_is_over)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 2, 10);
    cr_assert_eq(compact_all(&world, monday_ns + window_ns), 0);
    cr_assert_eq(compact_all(&world, monday_ns - window_ns), 0, "a clock that was set back");
    cr_assert_eq(compact_all(&world, monday_ns + window_ns + NS_PER_S), 1);
    world_close(&world);
}

Test(compaction, leaves_open_segments_alone)
{
    struct world world = world_real();
    unsigned files;

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 2, 10);
    store_append_random(&world, 0, 3, monday_ns + 5 * NS_PER_S, 3, 10);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    cr_assert_eq(count_segments_of(&world, &files), 2);
    store_append_random(&world, 0, 4, monday_ns + 6 * NS_PER_S, 4, 10);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    cr_assert_eq(compact_all(&world, much_later_ns), 1, "what came later to the same window");
    cr_assert_eq(count_segments_of(&world, &files), 2);
    world_close(&world);
}

/* ---- equal spans ------------------------------------------------------------------------------------- */

Test(compaction, equal_spans_are_kept_once)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint16_t shard = 0; shard < 3; shard++) {
        for (uint64_t seq = 1; seq <= 2;
             seq++) /* every body twice, in two shards; one body twice in one shard */
            store_append_random(&world, shard, seq, monday_ns, shard / 2 * 1000U + seq / 2 * (shard < 2), 50);
        cr_assert_eq(segment_seal(world.catalog, world.io, shard), OK);
    }
    struct prints before = prints_now(&world);
    const size_t all = before.count;
    cr_assert_leq(prints_distinct(&before), all / 2);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&before, &after), "%zu of %zu, %zu distinct", after.count, all, before.count);
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}

static void put_named_span(struct message *list, const char *name)
{
    struct message span = {0};

    message_bytes(&span, 1, slice_of("0123456789abcdef", 16));
    message_bytes(&span, 2, slice_of("12345678", 8));
    message_text(&span, 5, name);
    message_put(list, 2, &span);
}

/* A body with one span of always the same ids, of a resource with that host. */
static struct message named_body(const char *host, const char *name)
{
    struct message body = {0}, resource_spans = {0}, resource = {0}, scope_spans = {0};

    message_string_attribute(&resource, 1, "host.name", host);
    put_named_span(&scope_spans, name);
    message_put(&resource_spans, 1, &resource);
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    return body;
}

Test(compaction, equal_ids_with_other_content_are_all_kept)
{
    static const char *const hosts[] = {"a", "a", "b", "b"}, *const names[] = {"x", "y", "x", "x"};
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint16_t shard = 0; shard < 4; shard++) {
        struct message body = named_body(hosts[shard], names[shard]);
        store_append(&world, shard, 1, monday_ns, message_slice(&body));
        message_free(&body);
        cr_assert_eq(segment_seal(world.catalog, world.io, shard), OK);
    }
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_now(&world);
    cr_assert_eq(after.count, 3, "another name or another resource makes another span; %zu", after.count);
    prints_free(&after);
    world_close(&world);
}

/* ---- spans of all kinds ------------------------------------------------------------------------------ */

/* Everything that the wire allows, in more blocks than one, with ids that come again. */
Test(compaction, odd_spans_come_back)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint16_t shard = 0; shard < 3; shard++) {
        for (uint64_t seq = 1; seq <= 2; seq++) {
            struct maker maker = {
                .state = shard * 77U + seq, .traces = 12, .wildness = 200, .children_max = 9};
            struct message body = maker_body(&maker, 300);
            store_append(&world, shard, seq, monday_ns, message_slice(&body));
            message_free(&body);
        }
        cr_assert_eq(segment_seal(world.catalog, world.io, shard), OK);
    }
    struct prints before = prints_now(&world);
    prints_distinct(&before);
    cr_assert_gt(before.count, 1200);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&before, &after), "%zu, %zu distinct before", after.count, before.count);
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}

/* More keys than a block has columns: their attributes have none, and must not lose their places. */
static struct message body_of_many_keys(uint32_t first)
{
    struct message body = {0}, resource_spans = {0}, scope_spans = {0};

    for (uint32_t i = 0; i < 300; i++) {
        struct message span = {0};
        message_ids(&span, i / 3, first * 1000U + i);
        for (uint32_t k = 0; k < 10; k++) {
            char key[32];
            snprintf(key, sizeof key, "key-%u", first + i * 10 + k);
            message_string_attribute(&span, 9, k % 3 == 0 ? "usual" : key, "value");
        }
        message_put(&scope_spans, 2, &span);
    }
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    return body;
}

Test(compaction, attributes_without_a_column_come_back)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint16_t shard = 0; shard < 3; shard++) {
        struct message body = body_of_many_keys(shard * 500U);
        store_append(&world, shard, 1, monday_ns, message_slice(&body));
        message_free(&body);
        cr_assert_eq(segment_seal(world.catalog, world.io, shard), OK);
    }
    struct prints before = prints_now(&world);
    cr_assert_eq(before.count, 900);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&before, &after));
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}

/* ---- days -------------------------------------------------------------------------------------------- */

/* A segment of one window of a day. */
static void fill_window(struct world *world, uint64_t day, uint64_t window, uint64_t seq)
{
    const uint64_t arrival_ns = monday_ns + day * 86400 * NS_PER_S + window * window_ns;

    store_append_random(world, 0, seq, arrival_ns, seq, 8);
    store_append_random(world, 0, seq + 1, arrival_ns, seq + 1, 8);
    cr_assert_eq(segment_seal(world->catalog, world->io, 0), OK);
}

Test(compaction, windows_of_a_day_become_few)
{
    struct world world = world_real();
    unsigned files;

    world.config.blocks_max = 16;
    cr_assert_eq(world_open_catalog(&world), OK);
    uint64_t seq = 1;
    for (uint64_t day = 0; day < 2; day++)
        for (uint64_t window = 0; window < 20; window++, seq += 2)
            fill_window(&world, day, window, seq);
    struct prints before = prints_now(&world);
    const uint64_t second_noon_ns = monday_ns + 36 * 3600 * NS_PER_S;
    cr_assert_gt(compact_all(&world, second_noon_ns), 40);
    const unsigned count = count_segments_of(&world, &files);
    cr_assert_leq(count, 1 + 2 + 7, "one of the day that is over, some of the other: %u", count);
    compact_all(&world, second_noon_ns + 24 * 3600 * NS_PER_S);
    cr_assert_eq(count_segments_of(&world, &files), 2, "one for each day");
    expect_reopened(&world, &before);
    prints_free(&before);
    world_close(&world);
}

/* ---- what goes wrong --------------------------------------------------------------------------------- */

Test(compaction, a_damaged_block_is_not_merged_away)
{
    struct world world = world_sim_new(5);
    unsigned files;

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 2, 10);
    cr_assert_eq(sim_flip(world.sim, "data/segments/0000-000000000000.seg", (4096 + 4096 + 100) * 8), OK);
    cr_assert_eq(compact_all(&world, much_later_ns), 0);
    cr_assert_eq(catalog_fenced(world.catalog), 1);
    cr_assert_eq(count_segments_of(&world, &files), 2, "all inputs are there");
    cr_assert_eq(files, 2, "and nothing else: %u", files);
    cr_assert_eq(compact_all(&world, much_later_ns), 1, "the sound ones go on without it");
    cr_assert_eq(count_segments_of(&world, &files), 2);
    cr_assert_eq(catalog_fenced(world.catalog), 1);
    world_close(&world);
}

/* Each kind of operation fails once at each of its places: nothing changes but that the merge comes later. */
Test(compaction, failures_cost_time_only)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_READ, SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};
    unsigned failed = 0;

    for (unsigned kind = 0; kind < 4; kind++) {
        for (uint64_t nth = 1, more = 1; more != 0 && nth < 60; nth += nth < 6 ? 1 : 7) {
            struct world world = world_sim_new(100 + nth);
            unsigned files;
            cr_assert_eq(world_open_catalog(&world), OK);
            store_fill(&world, 2, 2, 10);
            struct prints before = prints_now(&world);
            sim_fail(world.sim, kinds[kind], nth, nth % 2 == 0 ? ERR_NO_SPACE : ERR_IO, false);
            more = compact_all(&world, much_later_ns) == 0;
            failed += (unsigned)more;
            sim_forgive(world.sim);
            struct prints after = prints_now(&world);
            cr_assert(prints_equal(&before, &after), "kind %u, %lu. operation", kind, (unsigned long)nth);
            prints_free(&after);
            expect_reopened(&world, &before);
            compact_all(&world, much_later_ns);
            cr_assert_eq(count_segments_of(&world, &files), 1);
            cr_assert_eq(files, 1, "kind %u, %lu. operation: %u files", kind, (unsigned long)nth, files);
            expect_reopened(&world, &before);
            prints_free(&before);
            world_close(&world);
        }
    }
    cr_assert_gt(failed, 12, "%u", failed);
}

Test(compaction, stopping_in_the_middle_leaves_nothing)
{
    struct world world = world_real();
    unsigned files;

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 3, 2, 10);
    struct prints before = prints_now(&world);
    struct compactor *const compactor = compactor_of(&world);
    cr_assert(compactor_step(compactor, world.io, much_later_ns), "planned");
    cr_assert(compactor_step(compactor, world.io, much_later_ns), "a block");
    cr_assert_eq(count_segments_of(&world, &files), 3);
    cr_assert_eq(files, 4);
    compactor_close(compactor, world.io);
    cr_assert_eq(count_segments_of(&world, &files), 3);
    cr_assert_eq(files, 3);
    expect_reopened(&world, &before);
    prints_free(&before);
    world_close(&world);
}

Test(compaction, needs_room_for_its_output)
{
    struct world world = world_sim_new(3);

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 2, 10);
    sim_set_space(world.sim, 1000, 1 << 30);
    cr_assert_eq(compact_all(&world, much_later_ns), 0);
    sim_set_space(world.sim, 1 << 29, 1 << 30);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    world_close(&world);
}

/* ---- crashes ----------------------------------------------------------------------------------------- */

static struct prints crash_before;
static unsigned crash_images, crash_starts;

static void try_image(struct sim *sim)
{
    struct world world = world_sim(sim);
    unsigned files;

    crash_images++;
    for (unsigned start = 0; start < 2; start++) {
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.gaps + world.report.fenced + world.report.ignored + world.report.duplicates,
                     0);
        struct prints found = prints_now(&world);
        cr_assert(prints_equal(&crash_before, &found), "image %u start %u: %zu of %zu", crash_images, start,
                  found.count, crash_before.count);
        prints_free(&found);
        for (uint16_t shard = 0; shard < 2; shard++)
            cr_assert_eq(catalog_sealed_lsn(world.catalog, shard), 3 * FIXTURE_LSN_STEP);
        count_segments_of(&world, &files);
        cr_assert(files == 1 || files == 2, "%u files", files);
        if (start == 0 && crash_images % 16 == 0) {
            compact_all(&world, much_later_ns);
            crash_starts++;
        }
        world_close_catalog(&world);
    }
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    const uint64_t count = sim_images(sim);

    (void)context;
    for (uint64_t image = 0; image < count; image += 1 + count / 20)
        try_image(sim_crash(sim, image, image + 1));
    for (uint64_t random = 0; random < 2; random++)
        try_image(sim_crash_random(sim, sim_events(sim) * 8 + random));
}

Test(compaction, survives_a_crash_at_every_event, .timeout = 120)
{
    struct world world = world_sim_new(8);

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 2, 12);
    crash_before = prints_now(&world);
    sim_watch(world.sim, crash_here, NULL);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(crash_images, 150, "%u images", crash_images);
    cr_assert_gt(crash_starts, 8);
    prints_free(&crash_before);
    world_close(&world);
}

/* ---- queries meanwhile ------------------------------------------------------------------------------- */

Test(compaction, a_version_stays_as_it_was)
{
    struct world world = world_real();

    cr_assert_eq(world_open_catalog(&world), OK);
    store_fill(&world, 2, 3, 30);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    struct prints before = prints_of(&world, view);
    cr_assert_eq(compact_all(&world, much_later_ns), 1);
    struct prints after = prints_of(&world, view);
    cr_assert(prints_equal(&before, &after),
              "the files it reads have no names any more, and are still there");
    cr_assert_gt(catalog_retired_bytes(world.catalog), 0);
    catalog_release(world.catalog, view);
    compact_all(&world, much_later_ns); /* closes what nobody holds any more */
    cr_assert_eq(catalog_retired_bytes(world.catalog), 0);
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}
