/*
 * What is to be erased leaves every segment, whatever pins say, and nothing else does; a job is not done before all that it covers
 * has been sealed and closed, and neither a crash nor a start brings anything back.
 */
#include "pins_fixture.h"
#include "store/erasures.h"

static bool sealed; /* what the gate says */

static bool gate(void *context, uint64_t id)
{
    (void)context, (void)id;
    return sealed;
}

static struct world new_world(void)
{
    struct world world = world_sim_new(1);

    cr_assert_eq(world_open_catalog(&world), OK);
    sim_set_space(world.sim, 1 << 30, 1 << 30);
    sealed = true;
    return world;
}

static struct erasures *erasures_of(struct world *world)
{
    struct erasures *erasures;

    cr_assert_eq(erasures_open(world->io, world->dir, FIXTURE_INSTANCE, &erasures), OK);
    return erasures;
}

static struct eraser *eraser_of(struct world *world, struct erasures *erasures)
{
    struct eraser *eraser;

    cr_assert_eq(eraser_open(&(struct eraser_config){.catalog = world->catalog,
                                                     .erasures = erasures,
                                                     .matcher = plain_matcher,
                                                     .all_sealed = gate},
                             &eraser),
                 OK);
    return eraser;
}

static void work(struct eraser *eraser, struct world *world)
{
    unsigned steps = 0;

    while (eraser_step(eraser, world->io))
        cr_assert_lt(++steps, 10000);
}

static uint64_t ask_for(struct erasures *erasures, struct world *world, struct pin like)
{
    struct erasure erasure = {.selector = like.selector, .owner = "me", .reason = "case 12"};

    cr_assert_eq(erasures_add(erasures, world->io, &erasure), OK);
    return erasure.id;
}

static struct erasure erasure_of(struct erasures *erasures, uint64_t id)
{
    const struct erasure_list *const list = erasures_acquire(erasures);
    struct erasure found = {.id = 0};

    for (uint32_t i = 0; i < list->count; i++)
        if (list->erasures[i].id == id) found = list->erasures[i];
    erasures_release(erasures, list);
    return found;
}

/* Days 0 to days - 1, a segment each: traces 0 to 9 have a "work" and a "secret" span in each of them. */
static struct world world_of_days(uint64_t days)
{
    struct world world = new_world();
    struct plain_span spans[20];

    for (uint64_t day = 0; day < days; day++) {
        for (uint32_t i = 0; i < 20; i++)
            spans[i] = (struct plain_span){i / 2, (uint32_t)day * 100 + i, monday_ns + day * day_ns + i,
                                           i % 2 == 0 ? "work" : "secret"};
        store_append_plain(&world, day + 1, monday_ns + day * day_ns, spans, 20);
    }
    return world;
}

static void reopen(struct world *world)
{
    world_close_catalog(world);
    cr_assert_eq(world_open_catalog(world), OK);
    cr_assert_eq(world->report.gaps + world->report.fenced + world->report.ignored + world->report.duplicates,
                 0);
}

/* ---- work ----------------------------------------------------------------------------------------------- */

Test(erasures, a_trace_leaves_all_segments)
{
    struct world world = world_of_days(4);
    struct erasures *erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);

    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    cr_assert_eq(erasures_pending(erasures), 1);
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 0);
    cr_assert_eq(spans_of(&world, 4), 8);
    cr_assert_eq(all_spans_of(&world), 4 * 18);
    const struct erasure erasure = erasure_of(erasures, id);
    cr_assert_eq(erasure.state, ERASURE_DONE);
    cr_assert_eq(erasure.spans, 8);
    cr_assert_eq(erasure.segments, 4);
    cr_assert_eq(erasure.unreadable, 0);
    cr_assert_gt(erasure.ended_ns, 0);
    cr_assert_eq(eraser_counts(eraser)->failures, 0);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    reopen(&world);
    cr_assert_eq(spans_of(&world, 3), 0);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 5 * FIXTURE_LSN_STEP, "the journal is not replayed");
    erasures = erasures_of(&world);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE, "the result is durable");
    cr_assert_str_eq(erasure_of(erasures, id).reason, "case 12");
    erasures_close(erasures);
    world_close(&world);
}

Test(erasures, by_filter_and_range_only_the_spans_that_match)
{
    struct world world = world_of_days(4);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);

    const uint64_t id = ask_for(erasures, &world,
                                pin_of_range(monday_ns + day_ns, monday_ns + 3 * day_ns, "secret", 0));
    work(eraser, &world);
    for (uint32_t trace = 0; trace < 10; trace++)
        cr_assert_eq(spans_of(&world, trace), 6);
    cr_assert_eq(erasure_of(erasures, id).spans, 20);
    cr_assert_eq(erasure_of(erasures, id).segments, 2);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

Test(erasures, whole_segments_may_become_empty)
{
    struct world world = world_of_days(3);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);

    ask_for(erasures, &world, pin_of_range(0, UINT64_MAX, "", 0));
    work(eraser, &world);
    cr_assert_eq(all_spans_of(&world), 0);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    reopen(&world);
    cr_assert_eq(all_spans_of(&world), 0);
    cr_assert_eq(catalog_next_seq(world.catalog, 0), 4);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 4 * FIXTURE_LSN_STEP);
    world_close(&world);
}

Test(erasures, win_over_pins)
{
    struct world world = world_of_days(4);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    struct pins *const pins = pins_of(&world);

    set_pin(pins, &world, pin_of_trace(3, 0));
    ask_for(erasures, &world, pin_of_trace(3, 0));
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 0);
    eraser_close(eraser, world.io);
    pins_close(pins);
    erasures_close(erasures);
    world_close(&world);
}

/* ---- what is waited for --------------------------------------------------------------------------------- */

Test(erasures, wait_for_what_is_not_sealed)
{
    struct world world = world_of_days(2);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    const struct plain_span late = {3, 900, monday_ns, "work"};

    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    sealed = false;
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 0);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_PENDING);
    store_append_plain(&world, 3, monday_ns + 2 * day_ns, &late, 1);
    sealed = true;
    cr_assert_eq(spans_of(&world, 3), 1);
    sim_advance(world.sim, 3 * NS_PER_S);
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 0);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

Test(erasures, wait_for_a_segment_that_is_not_closed)
{
    struct world world = world_of_days(2);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    uint8_t room[512];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};
    const struct plain_span open = {3, 900, monday_ns, "work"};

    plain_write(&writer, &open);
    wire_close_message(&writer, 2, 0);
    wire_close_message(&writer, 2, 0);
    wire_close_message(&writer, 1, 0);
    store_append(&world, 0, 3, monday_ns + 2 * day_ns, wire_writer_bytes(&writer));
    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 1);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_PENDING);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    sim_advance(world.sim, 3 * NS_PER_S);
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), 0);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

Test(erasures, D10_a_damaged_block_is_told)
{
    struct world world = world_of_days(3);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);

    catalog_fence(world.catalog, 0, 2);
    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    work(eraser, &world);
    const struct erasure erasure = erasure_of(erasures, id);
    cr_assert_eq(erasure.state, ERASURE_INCOMPLETE);
    cr_assert_eq(erasure.unreadable, 1);
    cr_assert_eq(erasure.segments, 2);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

/* Spans of all blocks but the trace's have to be there, whatever a crash leaves. */
static void expect_erased_for_good(struct world *world, const struct trace_id *id, uint64_t spans)
{
    for (uint64_t image = 0; image < sim_images(world->sim); image++) {
        struct world after = world_sim(sim_crash(world->sim, image, image + 1));
        cr_assert_eq(world_open_catalog(&after), OK);
        cr_assert_eq(all_spans_of(&after), spans);
        const struct catalog_view *const view = catalog_acquire(after.catalog);
        for (uint32_t i = 0; i < catalog_blocks(view); i++)
            cr_assert_not(catalog_may_have_trace(view, after.io, i, filter_hash_trace(id->bytes)));
        catalog_release(after.catalog, view);
        world_close(&after);
    }
}

/*
 * D2: the first block of a file fails in its sync, and goes to another file. The first one is gone for good, so nothing holds up
 * an erasure there.
 */
Test(erasures, D2_reach_what_had_failed_in_a_file_that_is_gone)
{
    struct world world = new_world();
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    struct pin like = pin_of_trace(0, 0);

    like.selector.trace_id = fixture_trace(0, 1, 0);
    sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
    cr_assert_eq(world_append(&world, 0, 1), ERR_IO);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    const uint64_t spans = all_spans_of(&world), id = ask_for(erasures, &world, like);
    work(eraser, &world);
    const struct erasure erasure = erasure_of(erasures, id);
    cr_assert_eq(erasure.state, ERASURE_DONE);
    cr_assert_gt(erasure.spans, 0);
    expect_erased_for_good(&world, &like.selector.trace_id, spans - erasure.spans);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

/* More of them than a step reads: what is behind them is looked at all the same, and the job ends. */
Test(erasures, D10_very_many_damaged_segments_are_told)
{
    enum { DAMAGED = 70 };
    struct world world = new_world();
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    const struct plain_span span = {3, 1, monday_ns, "work"};

    for (uint32_t i = 0; i < DAMAGED; i++) {
        store_append_random(&world, 0, 2 * i + 1, monday_ns + i * day_ns, i, 10);
        store_append_plain(&world, 2 * i + 2, monday_ns + i * day_ns, &span, 1);
        catalog_fence(world.catalog, 0, 2 * i + 1);
    }
    store_append_plain(&world, 2 * DAMAGED + 1, monday_ns + DAMAGED * day_ns, &span, 1);
    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    work(eraser, &world);
    const struct erasure erasure = erasure_of(erasures, id);
    cr_assert_eq(erasure.state, ERASURE_INCOMPLETE);
    cr_assert_eq(erasure.unreadable, DAMAGED);
    cr_assert_eq(erasure.segments, 1);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

/* ---- failing and crashing ------------------------------------------------------------------------------- */

Test(erasures, D6_failures_are_tried_again)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};

    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned nth = 1; nth < 8; nth++) {
            struct world world = world_of_days(2);
            struct erasures *const erasures = erasures_of(&world);
            struct eraser *const eraser = eraser_of(&world, erasures);
            const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
            sim_fail(world.sim, kinds[kind], nth, ERR_NO_SPACE, false);
            for (unsigned i = 0; i < 4; i++) {
                work(eraser, &world);
                sim_advance(world.sim, 61 * NS_PER_S);
            }
            cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
            cr_assert_eq(all_spans_of(&world), 2 * 18);
            eraser_close(eraser, world.io);
            erasures_close(erasures);
            world_close(&world);
        }
    }
}

Test(erasures, D6_a_rewrite_removes_what_others_have_left_behind)
{
    struct world world = world_of_days(3);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));

    cr_assert(eraser_step(eraser, world.io));
    store_leave_a_grave(&world, 2);
    work(eraser, &world);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
    cr_assert_eq(all_spans_of(&world), 2 * 18);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

/* Some segments of one day. */
static struct world world_to_merge(void)
{
    struct world world = new_world();
    struct plain_span spans[20];

    for (uint64_t seq = 1; seq <= 4; seq++) {
        for (uint32_t i = 0; i < 20; i++)
            spans[i] = (struct plain_span){i / 2, (uint32_t)seq * 100 + i, monday_ns + i, "work"};
        store_append_plain(&world, seq, monday_ns + seq, spans, 20);
    }
    return world;
}

/* Whoever comes second begins anew at once: neither waits a minute for what the other has done. */
Test(erasures, give_way_to_a_merge_and_it_to_them)
{
    const uint64_t later_ns = monday_ns + day_ns;

    for (unsigned first = 0; first < 2; first++) {
        for (unsigned ahead = 1; ahead < 6; ahead++) {
            struct world world = world_to_merge();
            struct erasures *const erasures = erasures_of(&world);
            struct eraser *const eraser = eraser_of(&world, erasures);
            struct compactor *const compactor = compactor_of(&world);
            const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
            for (unsigned i = 0; i < ahead; i++)
                (void)(first == 0 ? eraser_step(eraser, world.io)
                                  : compactor_step(compactor, world.io, later_ns));
            if (first == 1) work(eraser, &world);
            while (compactor_step(compactor, world.io, later_ns)) {
            }
            if (first == 0) work(eraser, &world);
            cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
            cr_assert_eq(eraser_counts(eraser)->failures, 0);
            cr_assert_eq(compactor_counts(compactor)->failures, 0);
            if (first == 0) cr_assert_eq(compactor_counts(compactor)->merges[1], 1);
            cr_assert_eq(all_spans_of(&world), 4 * 18);
            compactor_close(compactor, world.io);
            eraser_close(eraser, world.io);
            erasures_close(erasures);
            world_close(&world);
        }
    }
}

struct crashing {
    bool asked, answered, done;
    unsigned images;
};

static void try_image(struct crashing *crashing, struct sim *sim)
{
    struct world world = world_sim(sim);

    crashing->images++;
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps + world.report.fenced + world.report.ignored + world.report.duplicates, 0);
    struct erasures *const erasures = erasures_of(&world);
    const struct erasure_list *const list = erasures_acquire(erasures);
    cr_assert_not(list->damaged);
    cr_assert(list->count == 1 || (!crashing->answered && list->count == 0));
    const bool known = list->count == 1, done = known && list->erasures[0].state == ERASURE_DONE;
    erasures_release(erasures, list);
    cr_assert(done || !crashing->done);
    cr_assert_eq(spans_of(&world, 4), 4);
    if (done) cr_assert_eq(spans_of(&world, 3), 0, "what is done does not come back");
    struct eraser *const eraser = eraser_of(&world, erasures);
    work(eraser, &world);
    cr_assert_eq(spans_of(&world, 3), known ? 0 : 4);
    cr_assert_eq(spans_of(&world, 4), 4);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 3 * FIXTURE_LSN_STEP);
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    struct crashing *const crashing = context;
    const uint64_t count = sim_images(sim);

    for (uint64_t image = 0; image < count; image += 1 + count / 10)
        try_image(crashing, sim_crash(sim, image, image + 1));
    try_image(crashing, sim_crash_random(sim, sim_events(sim)));
}

Test(erasures, K15_a_job_survives_a_crash_at_every_event, .timeout = 240)
{
    struct world world = world_of_days(2);
    struct erasures *const erasures = erasures_of(&world);
    struct eraser *const eraser = eraser_of(&world, erasures);
    struct crashing crashing = {.asked = true};

    sim_watch(world.sim, crash_here, &crashing);
    const uint64_t id = ask_for(erasures, &world, pin_of_trace(3, 0));
    crashing.answered = true;
    work(eraser, &world);
    crashing.done = true;
    sim_advance(world.sim, NS_PER_S);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_eq(erasure_of(erasures, id).state, ERASURE_DONE);
    cr_assert_gt(crashing.images, 100);
    try_image(&crashing, sim_crash_random(world.sim, 7));
    eraser_close(eraser, world.io);
    erasures_close(erasures);
    world_close(&world);
}
