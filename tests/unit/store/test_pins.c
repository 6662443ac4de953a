/*
 * The list of pins survives what a disk does, and is refused when it is not what was written; what is pinned stays, whole,
 * whatever the rules say, and nothing else does.
 */
#include "pins_fixture.h"
#include "pin_guard.h"

static struct world new_world(void)
{
    struct world world = world_sim_new(1);

    cr_assert_eq(world_open_catalog(&world), OK);
    sim_set_space(world.sim, 1 << 30, 1 << 30);
    return world;
}

/* ---- the list ------------------------------------------------------------------------------------------ */

static uint32_t count_of(struct pins *pins)
{
    const struct pin_list *const list = pins_acquire(pins);
    const uint32_t count = list->count;

    pins_release(pins, list);
    return count;
}

Test(pins, come_back_as_they_were_set)
{
    struct world world = new_world();
    struct pins *pins = pins_of(&world);
    const uint64_t first = set_pin(pins, &world, pin_of_trace(7, 0));
    const uint64_t second = set_pin(pins, &world, pin_of_range(5, UINT64_MAX, "service=cart", 99));

    cr_assert_eq(first, 1);
    cr_assert_eq(second, 2);
    cr_assert_eq(pins_remove(pins, world.io, first), OK);
    cr_assert_eq(pins_remove(pins, world.io, first), ERR_NOT_FOUND);
    pins_close(pins);
    pins = pins_of(&world);
    const struct pin_list *const list = pins_acquire(pins);
    cr_assert_eq(list->count, 1);
    const struct pin *const pin = &list->pins[0];
    cr_assert_eq(pin->id, 2);
    cr_assert_eq(pin->expires_ns, 99);
    cr_assert_eq(pin->selector.start_ns, 5);
    cr_assert_eq(pin->selector.end_ns, UINT64_MAX);
    cr_assert_not(pin->selector.by_trace);
    cr_assert_str_eq(pin->selector.filter, "service=cart");
    cr_assert_str_eq(pin->owner, "me");
    cr_assert_str_eq(pin->reason, "audit");
    pins_release(pins, list);
    cr_assert_eq(set_pin(pins, &world, pin_of_trace(9, 0)), 3, "no id is given twice");
    cr_assert_eq(pins_remove(pins, world.io, 3), OK);
    pins_close(pins);
    pins = pins_of(&world);
    cr_assert_eq(set_pin(pins, &world, pin_of_trace(9, 0)), 4, "not even after a start");
    pins_close(pins);
    world_close(&world);
}

Test(pins, are_bounded_and_those_that_have_ended_make_room)
{
    struct world world = new_world();
    struct pins *const pins = pins_of(&world);
    struct pin pin = pin_of_trace(1, 0);

    for (uint32_t i = 0; i < PINS_MAX; i++)
        set_pin(pins, &world, pin_of_trace(i, i == 500 ? 40 : i == 600 ? 30 : 0));
    cr_assert_eq(pins_add(pins, world.io, 29, &pin), ERR_FULL);
    cr_assert_eq(pins_add(pins, world.io, 50, &pin), OK);
    cr_assert_eq(pins_remove(pins, world.io, 601), ERR_NOT_FOUND, "the one that had ended first made room");
    cr_assert_eq(count_of(pins), PINS_MAX);
    pins_close(pins);
    world_close(&world);
}

Test(pins, a_list_in_use_stays_as_it_is)
{
    struct world world = new_world();
    struct pins *const pins = pins_of(&world);

    set_pin(pins, &world, pin_of_trace(1, 0));
    const struct pin_list *const list = pins_acquire(pins);
    cr_assert(pins_hold(pins, list));
    pins_let_go(pins);
    set_pin(pins, &world, pin_of_trace(2, 0));
    cr_assert_eq(list->count, 1);
    cr_assert_not(pins_hold(pins, list), "it has changed");
    pins_release(pins, list);
    pins_close(pins);
    world_close(&world);
}

static void spoil(struct world *world, uint64_t offset)
{
    struct io_file *file;
    uint8_t byte;
    size_t count;

    cr_assert_eq(io_file_open(world->io, world->dir, "pins", IO_WRITABLE, &file), OK);
    cr_assert_eq(io_read_now(world->io, file, &byte, 1, offset, &count), OK);
    byte ^= 4;
    cr_assert_eq(io_write_now(world->io, file, &byte, 1, offset), OK);
    io_file_close(world->io, file);
}

static uint64_t bytes_of_list(struct world *world)
{
    struct io_file *file;
    uint64_t bytes;

    cr_assert_eq(io_file_open(world->io, world->dir, "pins", 0, &file), OK);
    cr_assert_eq(io_file_size(world->io, file, &bytes), OK);
    io_file_close(world->io, file);
    return bytes;
}

Test(pins, D10_every_byte_that_changes_holds_everything)
{
    struct world world = new_world();
    struct pins *pins = pins_of(&world);

    set_pin(pins, &world, pin_of_trace(1, 0));
    set_pin(pins, &world, pin_of_range(1, 2, "work", 0));
    pins_close(pins);
    for (uint64_t at = 0; at < bytes_of_list(&world); at++) {
        spoil(&world, at);
        pins = pins_of(&world);
        const struct pin_list *const list = pins_acquire(pins);
        cr_assert(list->damaged, "byte %llu", (unsigned long long)at);
        pins_release(pins, list);
        struct pin pin = pin_of_trace(3, 0);
        cr_assert_eq(pins_add(pins, world.io, 0, &pin), ERR_CORRUPT);
        cr_assert_eq(pins_remove(pins, world.io, 1), ERR_CORRUPT);
        pins_close(pins);
        spoil(&world, at);
    }
    pins = pins_of(&world);
    cr_assert_eq(count_of(pins), 2);
    pins_close(pins);
    world_close(&world);
}

Test(pins, D13_a_list_that_was_cut_or_grew_holds_everything)
{
    struct world world = new_world();
    struct pins *pins = pins_of(&world);

    set_pin(pins, &world, pin_of_trace(1, 0));
    pins_close(pins);
    const uint64_t whole = bytes_of_list(&world);
    for (uint64_t bytes = whole + 9; bytes-- > 0;) {
        struct io_file *file;
        if (bytes == whole) continue;
        cr_assert_eq(io_file_open(world.io, world.dir, "pins", IO_WRITABLE, &file), OK);
        cr_assert_eq(io_file_truncate(world.io, file, bytes), OK);
        io_file_close(world.io, file);
        pins = pins_of(&world);
        const struct pin_list *const list = pins_acquire(pins);
        cr_assert(list->damaged, "%llu bytes", (unsigned long long)bytes);
        pins_release(pins, list);
        pins_close(pins);
    }
    world_close(&world);
}

/* ---- failing and crashing ------------------------------------------------------------------------------- */

Test(pins, D6_D19_an_operation_that_fails_leaves_the_list_in_force)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};

    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned nth = 1; nth < 6; nth++) {
            struct world world = new_world();
            struct pins *pins = pins_of(&world);
            set_pin(pins, &world, pin_of_trace(1, 0));
            sim_fail(world.sim, kinds[kind], nth, ERR_NO_SPACE, false);
            struct pin pin = pin_of_trace(2, 0);
            const enum err err = pins_add(pins, world.io, 0, &pin);
            cr_assert_eq(count_of(pins), err == OK ? 2 : 1);
            sim_forgive(world.sim);
            cr_assert_eq(pins_add(pins, world.io, 0, &pin), OK, "the next one settles it");
            const uint32_t count = count_of(pins);
            pins_close(pins);
            pins = pins_of(&world);
            cr_assert_eq(count_of(pins), count);
            pins_close(pins);
            world_close(&world);
        }
    }
}

struct crashing {
    uint32_t must, may; /* pins that were answered, and that were asked for */
    unsigned images;
};

static void try_image(struct crashing *crashing, struct sim *sim)
{
    struct world world = world_sim(sim);

    crashing->images++;
    cr_assert_eq(world_open_catalog(&world), OK);
    struct pins *const pins = pins_of(&world);
    const struct pin_list *const list = pins_acquire(pins);
    cr_assert_not(list->damaged, "image %u", crashing->images);
    cr_assert(list->count >= crashing->must && list->count <= crashing->may, "%u of %u to %u", list->count,
              crashing->must, crashing->may);
    pins_release(pins, list);
    pins_close(pins);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    struct crashing *const crashing = context;
    const uint64_t count = sim_images(sim);

    for (uint64_t image = 0; image < count; image++)
        try_image(crashing, sim_crash(sim, image, image + 1));
    for (uint64_t random = 0; random < 4; random++)
        try_image(crashing, sim_crash_random(sim, sim_events(sim) * 8 + random));
}

Test(pins, K14_a_pin_that_was_answered_survives_a_crash_at_every_event, .timeout = 120)
{
    struct world world = new_world();
    struct pins *const pins = pins_of(&world);
    struct crashing crashing = {.must = 0};

    sim_watch(world.sim, crash_here, &crashing);
    for (uint32_t i = 1; i <= 4; i++) {
        crashing.may = i;
        set_pin(pins, &world, pin_of_range(i, i + 1, "work", 0));
        crashing.must = i;
    }
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(crashing.images, 100);
    pins_close(pins);
    world_close(&world);
}

/* ---- what they hold ------------------------------------------------------------------------------------- */

enum { TRACES_A_DAY = 50 };

/*
 * Days 0 to days - 1, a segment each: fifty traces of four spans begin that day (trace = day * 100 + i), the first of them
 * "special"; the last two have a late fifth span the day after.
 */
static struct world world_of_days(uint64_t days)
{
    struct world world = new_world();
    static struct plain_span spans[TRACES_A_DAY * 5];

    for (uint64_t day = 0; day < days; day++) {
        const uint64_t start_ns = monday_ns + day * day_ns;
        uint32_t count = 0;
        for (uint32_t i = 0; i < TRACES_A_DAY; i++)
            for (uint32_t span = 0; span < 4; span++)
                spans[count++] = (struct plain_span){(uint32_t)day * 100 + i, span,
                                                     start_ns + i * 1000 + span,
                                                     i == 0 && span == 2 ? "special" : "work"};
        for (uint32_t i = TRACES_A_DAY - 2; day > 0 && i < TRACES_A_DAY; i++)
            spans[count++] = (struct plain_span){((uint32_t)day - 1) * 100 + i, 4, start_ns, "late"};
        store_append_plain(&world, day + 1, start_ns, spans, count);
    }
    return world;
}

static void retain(struct world *world, struct pins *pins, const struct retention_config *config,
                   uint64_t now_ns)
{
    struct retention *const retention = retention_with(world, config, pins);

    steps_of(retention, world, now_ns);
    retention_close(retention, world->io);
}

Test(pins, a_pinned_trace_stays_whole_and_alone)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 3 * day_ns};

    set_pin(pins, &world, pin_of_trace(49, 0)); /* four spans of day 0, one of day 1 */
    retain(&world, pins, &config, monday_ns + 5 * day_ns);
    cr_assert_eq(spans_of(&world, 49), 5);
    cr_assert_eq(spans_of(&world, 48), 0);
    cr_assert_eq(spans_of(&world, 100), 0);
    cr_assert_eq(spans_of(&world, 200), 4, "at its age exactly");
    retain(&world, pins, &config, monday_ns + 5 * day_ns);
    cr_assert_eq(spans_of(&world, 49), 5, "and again");
    cr_assert_eq(all_spans_of(&world), 5 + 4 * (TRACES_A_DAY * 4 + 2));
    pins_close(pins);
    world_close(&world);
}

Test(pins, a_filter_pins_the_whole_trace_wherever_its_spans_lie)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 2 * day_ns};

    set_pin(pins, &world, pin_of_range(monday_ns, monday_ns + 2 * day_ns, "late", 0));
    sim_advance(world.sim, 2 * day_ns);
    struct retention *const retention = retention_with(&world, &config, pins);
    steps_of(retention, &world, monday_ns + 5 * day_ns);
    sim_advance(world.sim, 2 * day_ns);
    steps_of(retention, &world, monday_ns + 5 * day_ns);
    cr_assert_eq(spans_of(&world, 48), 5, "its late span in day 1 is what the filter means");
    cr_assert_eq(spans_of(&world, 49), 5);
    cr_assert_eq(spans_of(&world, 148), 0, "its late span lies beyond the range");
    cr_assert_eq(spans_of(&world, 0), 0);
    cr_assert_eq(retention_counts(retention)->rewrites, 2);
    cr_assert_eq(retention_counts(retention)->failures, 0);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, a_range_that_holds_most_of_a_segment_keeps_it_as_it_is)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 3 * day_ns};
    bool waits;

    const uint64_t id = set_pin(pins, &world, pin_of_range(monday_ns, monday_ns + 40 * 1000, "", 0));
    struct retention *const retention = retention_with(&world, &config, pins);
    const struct preview preview = preview_of(retention, &world, monday_ns + 5 * day_ns, &waits);
    cr_assert_eq(preview.count, 2);
    cr_assert_eq(preview.rows[0].held_spans, preview.rows[0].spans, "40 of 50 traces: all of it stays");
    cr_assert_eq(preview.rows[0].pin_id, id);
    cr_assert_eq(preview.rows[1].held_spans, 0);
    steps_of(retention, &world, monday_ns + 5 * day_ns);
    cr_assert_eq(spans_of(&world, 0), 4);
    cr_assert_eq(spans_of(&world, 49), 4, "as it is, but its late span is gone: nothing has pinned it");
    cr_assert_eq(retention_counts(retention)->held_segments, 1);
    cr_assert_eq(retention_counts(retention)->rewrites, 0);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, of_those_that_overlap_the_one_that_ends_last_counts)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 2 * day_ns + 1};
    bool waits;

    set_pin(pins, &world, pin_of_trace(7, monday_ns + 4 * day_ns));
    const uint64_t longest = set_pin(
        pins, &world, pin_of_range(monday_ns, monday_ns + 8 * 1000, "", monday_ns + 6 * day_ns));
    set_pin(pins, &world, pin_of_trace(7, monday_ns + 5 * day_ns));
    struct retention *const retention = retention_with(&world, &config, pins);
    const struct preview preview = preview_of(retention, &world, monday_ns + 5 * day_ns, &waits);
    cr_assert_eq(preview.rows[0].held_spans, 8 * 4);
    cr_assert_eq(preview.rows[0].pin_id, longest);
    sim_advance(world.sim, 2 * day_ns);
    while (retention_step(retention, world.io, monday_ns + 6 * day_ns - 1)) {
    }
    cr_assert_eq(spans_of(&world, 7), 4);
    steps_of(retention, &world, monday_ns + 6 * day_ns);
    sim_advance(world.sim, 2 * day_ns);
    steps_of(retention, &world, monday_ns + 6 * day_ns);
    cr_assert_eq(spans_of(&world, 7), 0, "the last one has ended");
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, the_oldest_that_nothing_holds_goes_when_the_store_is_too_large)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);

    set_pin(pins, &world,
            pin_of_range(monday_ns, monday_ns + day_ns, "", 0)); /* and traces 48, 49 of day 1 */
    const uint64_t ledger_bytes = SEGMENT_ALIGN; /* of the second day, which is written again */
    const uint64_t limit = catalog_size(world.catalog).bytes * 3 / 6 + ledger_bytes;
    retain(&world, pins, &(struct retention_config){.bytes_max = limit}, monday_ns);
    cr_assert_eq(spans_of(&world, 0), 4);
    cr_assert_eq(spans_of(&world, 49), 5);
    cr_assert_eq(spans_of(&world, 100), 0, "the second day went instead of the first");
    cr_assert_eq(spans_of(&world, 500), 4);
    cr_assert_leq(catalog_size(world.catalog).bytes, limit);
    pins_close(pins);
    world_close(&world);
}

Test(pins, D6_nothing_is_written_again_for_a_full_disk)
{
    struct world world = world_of_days(4);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.free_min = 100000};

    set_pin(pins, &world, pin_of_trace(7, 0));
    sim_set_space(world.sim, 99000, 1 << 30);
    struct retention *const retention = retention_with(&world, &config, pins);
    retention_step(retention, world.io, monday_ns);
    cr_assert_eq(spans_of(&world, 7), 4);
    cr_assert_eq(spans_of(&world, 8), 4, "the segment is left whole");
    cr_assert_eq(spans_of(&world, 100), 0, "the next one goes");
    cr_assert_eq(retention_counts(retention)->rewrites, 0);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, C2_a_clock_that_is_years_ahead_ends_no_pin)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);

    set_pin(pins, &world, pin_of_trace(7, monday_ns + 30 * day_ns));
    retain(&world, pins, &(struct retention_config){.age_ns = 4 * day_ns}, monday_ns + 3650 * day_ns);
    cr_assert_eq(spans_of(&world, 8), 0);
    cr_assert_eq(spans_of(&world, 7), 4);
    pins_close(pins);
    world_close(&world);
}

Test(pins, a_damaged_list_lets_nothing_leave)
{
    struct world world = world_of_days(4);
    struct pins *pins = pins_of(&world);
    bool waits;

    set_pin(pins, &world, pin_of_trace(7, 0));
    pins_close(pins);
    spoil(&world, 70);
    pins = pins_of(&world);
    struct retention *const retention = retention_with(&world, &(struct retention_config){.bytes_max = 1},
                                                       pins);
    cr_assert_not(retention_step(retention, world.io, monday_ns));
    cr_assert_eq(all_spans_of(&world), 4 * TRACES_A_DAY * 4 + 3 * 2);
    const struct preview preview = preview_of(retention, &world, monday_ns, &waits);
    cr_assert_eq(preview.rows[0].held_spans, preview.rows[0].spans);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, blocks_are_looked_into_once)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.bytes_max = 1};

    set_pin(pins, &world, pin_of_range(0, UINT64_MAX, "", 0));
    struct retention *const retention = retention_with(&world, &config, pins);
    plain_matches = 0;
    for (unsigned i = 0; i < 5; i++)
        cr_assert_not(retention_step(retention, world.io, monday_ns));
    cr_assert_eq(plain_matches, 6);
    cr_assert_eq(retention_counts(retention)->held_spans, 6 * TRACES_A_DAY * 4 + 5 * 2);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

/* With more traces than are remembered, what lies within a day of a range stays as it is, the rest goes. */
Test(pins, that_mean_too_many_traces_keep_segments_whole)
{
    struct world world = world_of_days(6);
    struct pins *const pins = pins_of(&world);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    struct pin_guard *guard;

    const uint64_t id = set_pin(pins, &world,
                                pin_of_range(monday_ns + 2 * day_ns, monday_ns + 3 * day_ns, "", 0));
    set_pin(pins, &world, pin_of_trace(503, 0));
    cr_assert_eq(pin_guard_open(pins, &plain_matcher, 20, &guard), OK);
    pin_guard_begin(guard, &(struct pin_guard_look){.view = view, .io = world.io, .horizon_ns = monday_ns});
    for (uint32_t day = 0; day < 6; day++) {
        struct pin_share share;
        cr_assert_eq(pin_guard_share(guard, day, &share), OK);
        const bool near = day >= 1 && day <= 3;
        cr_assert_eq(share.spans,
                     near       ? segment_spans(view->segments[day])
                     : day == 5 ? 4
                                : 0,
                     "day %u: %llu", day, (unsigned long long)share.spans);
        if (near) cr_assert_eq(share.pin_id, id);
    }
    pin_guard_close(guard);
    catalog_release(world.catalog, view);
    pins_close(pins);
    world_close(&world);
}

/* A pin that is set while a segment is written again without its trace comes in time. */
Test(pins, a_pin_that_comes_during_a_rewrite_counts)
{
    struct world world = world_of_days(4);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 2 * day_ns + day_ns / 2};

    set_pin(pins, &world, pin_of_trace(7, 0));
    struct retention *const retention = retention_with(&world, &config, pins);
    cr_assert(retention_step(retention, world.io, monday_ns + 3 * day_ns));
    cr_assert(retention_step(retention, world.io, monday_ns + 3 * day_ns));
    set_pin(pins, &world, pin_of_trace(8, 0));
    steps_of(retention, &world, monday_ns + 3 * day_ns);
    cr_assert_eq(spans_of(&world, 7), 4);
    cr_assert_eq(spans_of(&world, 8), 4);
    cr_assert_eq(spans_of(&world, 9), 0);
    cr_assert_eq(retention_counts(retention)->failures, 0);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

/* Numbers of merged blocks are not given twice when a merge is under way. */
Test(pins, a_rewrite_and_a_merge_side_by_side_lose_nothing)
{
    struct world world = world_of_days(4);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 2 * day_ns + day_ns / 2};

    for (uint64_t seq = 5; seq < 8; seq++)
        store_append_random(&world, 0, seq, monday_ns + 3 * day_ns + seq, seq, 60);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    set_pin(pins, &world, pin_of_trace(7, 0));
    const uint64_t before = all_spans_of(&world);
    struct compactor *const compactor = compactor_of(&world);
    struct retention *const retention = retention_with(&world, &config, pins);
    cr_assert(compactor_step(compactor, world.io, monday_ns + 10 * day_ns));
    cr_assert(compactor_step(compactor, world.io, monday_ns + 10 * day_ns));
    steps_of(retention, &world, monday_ns + 3 * day_ns);
    while (compactor_step(compactor, world.io, monday_ns + 10 * day_ns)) {
    }
    const uint64_t spans = all_spans_of(&world);
    cr_assert_lt(spans, before);
    compactor_close(compactor, world.io);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.duplicates, 0);
    cr_assert_eq(all_spans_of(&world), spans);
    cr_assert_eq(spans_of(&world, 7), 4);
    world_close(&world);
}

/* It is removed before the rewrite leaves something behind itself. */
Test(pins, D6_a_rewrite_removes_what_others_have_left_behind)
{
    struct world world = world_of_days(4);
    struct pins *const pins = pins_of(&world);
    const struct retention_config config = {.age_ns = 2 * day_ns + day_ns / 2};

    set_pin(pins, &world, pin_of_trace(7, 0));
    struct retention *const retention = retention_with(&world, &config, pins);
    cr_assert(retention_step(retention, world.io, monday_ns + 3 * day_ns));
    store_leave_a_grave(&world, 3);
    steps_of(retention, &world, monday_ns + 3 * day_ns);
    cr_assert_eq(spans_of(&world, 7), 4);
    cr_assert_eq(spans_of(&world, 8), 0);
    retention_close(retention, world.io);
    pins_close(pins);
    world_close(&world);
}

Test(pins, D6_a_merge_removes_what_others_have_left_behind)
{
    struct world world = world_of_days(4);

    for (uint64_t seq = 5; seq < 8; seq++)
        store_append_random(&world, 0, seq, monday_ns + 3 * day_ns + seq, seq, 60);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    const uint64_t before = all_spans_of(&world);
    struct compactor *const compactor = compactor_of(&world);
    cr_assert(compactor_step(compactor, world.io, monday_ns + 10 * day_ns));
    store_leave_a_grave(&world, 0);
    while (compactor_step(compactor, world.io, monday_ns + 10 * day_ns)) {
    }
    cr_assert_eq(all_spans_of(&world), before - TRACES_A_DAY * 4);
    compactor_close(compactor, world.io);
    world_close(&world);
}

/* What was told of a segment before there were too many traces is not believed afterwards. */
Test(pins, that_come_to_mean_too_many_traces_keep_what_was_judged_before)
{
    struct world world = world_of_days(4);
    struct pins *const pins = pins_of(&world);
    const struct plain_span late = {900, 0, monday_ns + 2 * day_ns + 7, "work"};
    const struct catalog_view *view = catalog_acquire(world.catalog);
    struct pin_guard *guard;
    struct pin_share share;

    set_pin(pins, &world, pin_of_range(monday_ns + 2 * day_ns, monday_ns + 3 * day_ns, "", 0));
    cr_assert_eq(pin_guard_open(pins, &plain_matcher, TRACES_A_DAY + 2, &guard), OK);
    pin_guard_begin(guard, &(struct pin_guard_look){.view = view, .io = world.io, .horizon_ns = monday_ns});
    cr_assert_eq(pin_guard_share(guard, 1, &share), OK);
    cr_assert_eq(share.spans, 8, "%llu", (unsigned long long)share.spans);
    store_append_plain(&world, 5, monday_ns + 4 * day_ns, &late, 1);
    catalog_release(world.catalog, view);
    view = catalog_acquire(world.catalog);
    pin_guard_begin(guard, &(struct pin_guard_look){.view = view, .io = world.io, .horizon_ns = monday_ns});
    cr_assert_eq(pin_guard_share(guard, 1, &share), OK);
    cr_assert_eq(share.spans, segment_spans(view->segments[1]));
    pin_guard_close(guard);
    catalog_release(world.catalog, view);
    pins_close(pins);
    world_close(&world);
}
