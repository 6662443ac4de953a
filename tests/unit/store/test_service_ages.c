/*
 * Services with ages of their own: their spans leave segments in which others stay, and what is said beforehand is what happens.
 */
#include "ledger_fixture.h"
#include "pins_fixture.h"

static const char *const services[] = {"debug", "cart", "payments"};

/* A block of the day with four spans of each service: traces day * 10 to day * 10 + 3 have one of each. */
static void append_day(struct world *world, uint64_t day)
{
    static uint8_t room[1 << 16];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    for (unsigned service = 3; service-- > 0;) {
        const size_t group = writer.len;
        for (uint32_t i = 4; i-- > 0;) {
            const struct plain_span span = {(uint32_t)day * 10 + i, (uint32_t)day * 100 + service * 10 + i,
                                            monday_ns + day * day_ns + i, "work"};
            const size_t before = writer.len;
            plain_write(&writer, &span);
            wire_close_message(&writer, 2, before);
        }
        wire_close_message(&writer, 2, group);
        const size_t resource = writer.len, value = writer.len;
        wire_put_bytes_field(&writer, 1, slice_text(services[service]));
        wire_close_message(&writer, 2, value);
        wire_put_bytes_field(&writer, 1, slice_text("service.name"));
        wire_close_message(&writer, 1, value);
        wire_close_message(&writer, 1, resource);
        wire_close_message(&writer, 1, group);
    }
    cr_assert(wire_writer_fits(&writer));
    store_append(world, 0, day + 1, monday_ns + day * day_ns, wire_writer_bytes(&writer));
    cr_assert_eq(segment_seal(world->catalog, world->io, 0), OK);
}

static struct world world_of(uint64_t days)
{
    struct world world = world_sim_new(3);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t day = 0; day < days; day++)
        append_day(&world, day);
    return world;
}

/* Spans of a service that are there. */
static uint64_t stored_of(struct world *world, const char *service)
{
    struct ledger *const ledger = ledger_of_world(world);
    uint64_t spans = 0;

    for (uint32_t i = 0; i < ledger_rows(ledger); i++) {
        const struct ledger_row *const row = ledger_row(ledger, i);
        if (slice_is(ledger_service_name(ledger, row->service), service)) spans += row->counts[LEDGER_STORED];
    }
    ledger_close(ledger);
    return spans;
}

static bool add_leaving(void *context, const struct retention_row *row)
{
    *(uint64_t *)context += row->spans - row->held_spans;
    return true;
}

/* What leaves at a time is what the preview says of it. */
static uint64_t expire(struct world *world, const struct retention_config *config, struct pins *pins,
                       uint64_t now_ns)
{
    const struct retention_question question = {
        .io = world->io, .now_ns = now_ns, .free_bytes = UINT64_MAX / 2, .matcher = &plain_matcher};
    const uint64_t before = all_spans_of(world);
    struct retention *retention;
    uint64_t leaving = 0;
    unsigned steps = 0;
    bool waits;

    cr_assert_eq(retention_open(world->catalog, config, pins, &plain_matcher, &retention), OK);
    struct retention_question asked = question;
    asked.visit = add_leaving;
    asked.context = &leaving;
    cr_assert_eq(retention_preview(retention, &asked, &waits), OK);
    cr_assert_not(waits);
    while (retention_step(retention, world->io, now_ns))
        cr_assert_lt(++steps, 1000);
    cr_assert_eq(retention_counts(retention)->failures, 0);
    retention_close(retention, world->io);
    cr_assert_eq(before - all_spans_of(world), leaving, "the preview says what then happens");
    return leaving;
}

static const struct retention_service rules[] = {{"debug", 2 * 86400 * NS_PER_S}, {"payments", 0}};
static const struct retention_config config = {
    .age_ns = 4 * 86400 * NS_PER_S, .services = rules, .services_count = 2};

Test(service_ages, each_service_leaves_at_its_own_age)
{
    struct world world = world_of(7);
    const uint64_t now_ns = monday_ns + 6 * day_ns + 1;

    cr_assert_eq(expire(&world, &config, NULL, now_ns), 4 * 5 + 4 * 3);
    cr_assert_eq(stored_of(&world, "debug"), 4 * 2);
    cr_assert_eq(stored_of(&world, "cart"), 4 * 4);
    cr_assert_eq(stored_of(&world, "payments"), 4 * 7, "for ever");
    cr_assert_eq(counted_as(&world, LEDGER_EXPIRED_AGE), 32);
    cr_assert_eq(expire(&world, &config, NULL, now_ns), 0, "nothing more, and nothing again");
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(stored_of(&world, "debug"), 4 * 2);
    cr_assert_eq(spans_of(&world, 0), 1, "of the first day only payments are left");
    world_close(&world);
}

Test(service_ages, a_segment_goes_as_a_whole_when_all_of_it_is_over_age)
{
    static const struct retention_service both[] = {{"debug", 4 * 86400 * NS_PER_S},
                                                    {"payments", 6 * 86400 * NS_PER_S}};
    const struct retention_config limits = {.age_ns = 5 * day_ns, .services = both, .services_count = 2};
    struct world world = world_of(8);

    cr_assert_eq(expire(&world, &limits, NULL, monday_ns + 7 * day_ns + 1), 4 * 4 + 4 * 3 + 4 * 2);
    cr_assert_eq(stored_of(&world, "payments"), 4 * 6);
    cr_assert_eq(stored_of(&world, "cart"), 4 * 5);
    cr_assert_eq(stored_of(&world, "debug"), 4 * 4);
    world_close(&world);
}

Test(service_ages, a_rule_keeps_what_the_general_age_would_remove)
{
    static const struct retention_service longer[] = {{"cart", 6 * 86400 * NS_PER_S}};
    const struct retention_config limits = {.age_ns = 5 * day_ns, .services = longer, .services_count = 1};
    struct world world = world_of(8);

    cr_assert_eq(expire(&world, &limits, NULL, monday_ns + 7 * day_ns + 1), 8 * 3 + 4 * 2);
    cr_assert_eq(stored_of(&world, "cart"), 4 * 6);
    cr_assert_eq(stored_of(&world, "debug"), 4 * 5);
    world_close(&world);
}

/* Whose service is over age, and whose trace is pinned: it stays, and is not written again for ever. */
Test(service_ages, pins_win_over_services)
{
    struct world world = world_of(7);
    struct pins *pins;

    cr_assert_eq(pins_open(world.io, world.dir, FIXTURE_INSTANCE, &pins), OK);
    struct pin pin = pin_of_trace(1, 0); /* of the first day */
    cr_assert_eq(pins_add(pins, world.io, 0, &pin), OK);
    cr_assert_eq(expire(&world, &config, pins, monday_ns + 6 * day_ns + 1), 4 * 5 + 4 * 3 - 2);
    cr_assert_eq(spans_of(&world, 1), 3, "whole");
    cr_assert_eq(spans_of(&world, 2), 1);
    cr_assert_eq(expire(&world, &config, pins, monday_ns + 6 * day_ns + 1), 0);
    pins_close(pins);
    world_close(&world);
}

Test(service_ages, rooms_and_bytes_come_after)
{
    const struct retention_config limits = {
        .age_ns = 4 * day_ns, .bytes_max = 1, .services = rules, .services_count = 2};
    struct world world = world_of(3);

    expire(&world, &limits, NULL, monday_ns + 2 * day_ns + 1);
    cr_assert_eq(all_spans_of(&world), 0);
    cr_assert_eq(counted_as(&world, LEDGER_EXPIRED_BYTES), 36);
    world_close(&world);
}

Test(service_ages, D6_failures_leave_everything_as_it_was)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};

    for (unsigned kind = 0; kind < 3; kind++) {
        for (unsigned nth = 1; nth < 6; nth++) {
            struct world world = world_of(7);
            struct retention *retention;
            cr_assert_eq(retention_open(world.catalog, &config, NULL, NULL, &retention), OK);
            sim_fail(world.sim, kinds[kind], nth, ERR_NO_SPACE, false);
            for (unsigned i = 0; i < 4; i++) {
                while (retention_step(retention, world.io, monday_ns + 6 * day_ns + 1)) {
                }
                cr_assert_eq(counted_as(&world, LEDGER_RECEIVED), 7 * 12);
                sim_advance(world.sim, 61 * NS_PER_S);
            }
            cr_assert_eq(stored_of(&world, "debug"), 4 * 2);
            cr_assert_eq(stored_of(&world, "payments"), 4 * 7);
            retention_close(retention, world.io);
            world_close(&world);
        }
    }
}
