/*
 * Ledgers alone, and in stores: what came, what is there, and what has become of the rest must add up through sealing,
 * merging, expiry, erasure, and a crash at any event.
 */
#include "ledger_bytes.h"
#include "ledger_fixture.h"
#include "pins_fixture.h"
#include "store/erasures.h"

static const uint64_t minute_ns = 60 * NS_PER_S;

static void receive(struct ledger *ledger, const char *service, uint64_t start_ns, uint64_t spans)
{
    const uint32_t number = ledger_service(ledger, slice_text(service));

    ledger_add(ledger, number, start_ns, LEDGER_RECEIVED, spans);
    ledger_add(ledger, number, start_ns, LEDGER_STORED, spans);
}

static const struct ledger_row *row_named(const struct ledger *ledger, const char *service, uint64_t start_ns)
{
    for (uint32_t i = 0; i < ledger_rows(ledger); i++) {
        const struct ledger_row *const row = ledger_row(ledger, i);
        if (slice_is(ledger_service_name(ledger, row->service), service) &&
            row->minute == start_ns / minute_ns)
            return row;
    }
    return NULL;
}

/* ---- alone ----------------------------------------------------------------------------------------------- */

Test(ledger, counts_by_service_and_minute)
{
    struct ledger *const ledger = new_ledger();

    receive(ledger, "cart", monday_ns + 1, 5);
    receive(ledger, "cart", monday_ns + minute_ns - 1, 2);
    receive(ledger, "cart", monday_ns + minute_ns, 1);
    receive(ledger, "", monday_ns, 3);
    ledger_move(ledger, slice_text("cart"), monday_ns + 9, LEDGER_STORED, LEDGER_ERASED, 4);
    cr_assert_eq(ledger_rows(ledger), 3);
    const struct ledger_row *const row = row_named(ledger, "cart", monday_ns);
    cr_assert_eq(row->counts[LEDGER_RECEIVED], 7);
    cr_assert_eq(row->counts[LEDGER_STORED], 3);
    cr_assert_eq(row->counts[LEDGER_ERASED], 4);
    cr_assert(ledger_row_balances(row));
    cr_assert_eq(row_named(ledger, "cart", monday_ns + minute_ns)->counts[LEDGER_STORED], 1);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), 11);
    cr_assert_not(ledger_failed(ledger));
    ledger_close(ledger);
}

Test(ledger, what_was_moved_and_never_received_does_not_balance)
{
    struct ledger *const ledger = new_ledger();
    struct ledger_row row = {.counts = {[LEDGER_RECEIVED] = 4, [LEDGER_STORED] = 3}};

    cr_assert_not(ledger_row_balances(&row));
    row.counts[LEDGER_DUPLICATE] = 1;
    cr_assert(ledger_row_balances(&row));
    receive(ledger, "cart", monday_ns, 5);
    struct ledger *const other = new_ledger();
    receive(other, "cart", monday_ns, 5);
    cr_assert(ledger_agree(ledger, other, LEDGER_STORED));
    ledger_move(ledger, slice_text("basket"), monday_ns, LEDGER_STORED, LEDGER_DUPLICATE, 1);
    cr_assert_not(ledger_agree(ledger, other, LEDGER_STORED));
    ledger_close(ledger);
    ledger_close(other);
}

Test(ledger, agreement_looks_at_every_row)
{
    static const struct {
        const char *service;
        uint64_t start_ns, spans;
    } others[] = {{"cart", 0, 4}, {"cart", 60, 5}, {"basket", 0, 5}};

    for (unsigned i = 0; i < 3; i++) {
        struct ledger *const a = new_ledger(), *const b = new_ledger();
        receive(a, "cart", monday_ns, 5);
        receive(b, others[i].service, monday_ns + others[i].start_ns * NS_PER_S, others[i].spans);
        cr_assert_not(ledger_agree(a, b, LEDGER_STORED));
        cr_assert(ledger_agree(a, b, LEDGER_ERASED));
        ledger_close(a);
        ledger_close(b);
    }
}

Test(ledger, coarser_steps_lose_only_the_time)
{
    struct ledger *const ledger = new_ledger();

    for (uint64_t minute = 0; minute < 3 * 1440; minute++)
        receive(ledger, minute % 2 == 0 ? "even" : "odd", monday_ns + minute * minute_ns, 1 + minute % 3);
    const uint64_t total = ledger_total(ledger, LEDGER_RECEIVED);
    cr_assert_eq(ledger_rows(ledger), 3 * 1440);
    ledger_coarsen(ledger, LEDGER_HOUR);
    cr_assert_eq(ledger_rows(ledger), 2 * 72);
    ledger_coarsen(ledger, LEDGER_DAY);
    cr_assert_eq(ledger_rows(ledger), 2 * 3);
    cr_assert_eq(row_named(ledger, "odd", monday_ns + 1440 * minute_ns)->counts[LEDGER_STORED], 1440);
    ledger_coarsen(ledger, LEDGER_EVER);
    cr_assert_eq(ledger_rows(ledger), 2);
    ledger_coarsen(ledger, LEDGER_MINUTE);
    cr_assert_eq(ledger_step(ledger), LEDGER_EVER, "it does not become finer again");
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), total);
    ledger_move(ledger, slice_text("odd"), monday_ns + 77 * minute_ns, LEDGER_STORED, LEDGER_EXPIRED_AGE, 9);
    cr_assert_eq(ledger_rows(ledger), 2);
    ledger_close(ledger);
}

/* First the time goes, then the names, never a span. */
Test(ledger, is_bounded_whatever_clients_send)
{
    struct ledger *const ledger = new_ledger();
    char name[400];
    uint64_t sent = 0;

    for (uint32_t i = 0; i < LEDGER_ROWS_MAX + 5000; i++, sent++)
        receive(ledger, "clock gone mad", i * 61 * minute_ns, 1);
    cr_assert_gt(ledger_step(ledger), LEDGER_MINUTE);
    cr_assert_leq(ledger_rows(ledger), LEDGER_ROWS_MAX);
    memset(name, 'x', sizeof name);
    for (uint32_t i = 0; i < LEDGER_ROWS_MAX + 5000; i++, sent++) {
        snprintf(name, sizeof name, "service %u", i);
        receive(ledger, name, monday_ns, 1);
    }
    cr_assert_eq(ledger_step(ledger), LEDGER_EVER);
    cr_assert(ledger_nameless(ledger));
    cr_assert_leq(ledger_rows(ledger), LEDGER_ROWS_MAX + 1);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), sent);
    ledger_move(ledger, slice_text("service 135000"), monday_ns, LEDGER_STORED, LEDGER_ERASED, 1);
    cr_assert(ledger_balances(ledger));
    cr_assert_not(ledger_failed(ledger));
    ledger_close(ledger);
}

Test(ledger, long_names_count_as_their_first_bytes)
{
    struct ledger *const ledger = new_ledger();
    char name[LEDGER_SERVICE_BYTES_MAX + 10];

    memset(name, 'x', sizeof name);
    const uint32_t number = ledger_service(ledger, slice_of(name, sizeof name));
    name[LEDGER_SERVICE_BYTES_MAX] = 'y';
    cr_assert_eq(ledger_service(ledger, slice_of(name, sizeof name)), number);
    cr_assert_eq(ledger_service_name(ledger, number).len, LEDGER_SERVICE_BYTES_MAX);
    ledger_close(ledger);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static struct ledger *random_ledger(uint64_t seed)
{
    struct ledger *const ledger = new_ledger();
    struct maker maker = {.state = seed};
    char name[16];

    for (unsigned i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "s%llu", (unsigned long long)(maker_next(&maker) % 20));
        const uint32_t number = ledger_service(ledger, slice_text(name));
        ledger_add(ledger, number, maker_next(&maker) >> maker_next(&maker) % 40,
                   (enum ledger_count)(maker_next(&maker) % LEDGER_COUNTS), maker_next(&maker) >> 30);
    }
    ledger_coarsen(ledger, (enum ledger_step)(seed % LEDGER_STEPS));
    return ledger;
}

Test(ledger, is_read_as_it_was_written)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct ledger *const ledger = random_ledger(seed), *const again = new_ledger();
        struct bytes bytes = {.ptr = NULL};
        cr_assert(ledger_write(ledger, &bytes));
        cr_assert_eq(ledger_read(slice_of(bytes.ptr, bytes.len), again), OK);
        cr_assert_eq(ledger_rows(again), ledger_rows(ledger));
        cr_assert_eq(ledger_step(again), ledger_step(ledger));
        for (unsigned i = 0; i < LEDGER_COUNTS; i++)
            cr_assert(ledger_agree(again, ledger, (enum ledger_count)i));
        bytes_free(&bytes);
        ledger_close(ledger);
        ledger_close(again);
    }
}

/* Whatever the bytes, it ends, and within them. */
Test(ledger, D10_damaged_bytes_are_refused_or_harmless)
{
    struct ledger *const ledger = random_ledger(4);
    struct bytes bytes = {.ptr = NULL};
    unsigned refused = 0;

    cr_assert(ledger_write(ledger, &bytes));
    for (size_t at = 0; at < bytes.len; at++) {
        struct ledger *const again = new_ledger();
        uint8_t *const copy = malloc(at + 1);
        memcpy(copy, bytes.ptr, at);
        cr_assert_neq(ledger_read(slice_of(copy, at), again), OK, "it was cut at %zu", at);
        free(copy);
        ledger_clear(again);
        bytes.ptr[at] ^= 0x80;
        refused += ledger_read(slice_of(bytes.ptr, bytes.len), again) != OK;
        bytes.ptr[at] ^= 0x80;
        ledger_close(again);
    }
    cr_assert_gt(refused, bytes.len / 8);
    bytes_free(&bytes);
    ledger_close(ledger);
}

/* ---- in stores ------------------------------------------------------------------------------------------- */

/* A request of a service "cart" with good spans, some with a short id, and some below a resource that nobody keeps. */
static struct slice mixed_body(uint8_t *room, size_t capacity, uint32_t good, uint32_t bad)
{
    struct wire_writer writer = {.base = room, .capacity = capacity};

    for (uint32_t i = 0; i < good + bad; i++) {
        const struct plain_span span = {i, i, monday_ns + i * minute_ns, "work"};
        const size_t before = writer.len;
        if (i < good)
            plain_write(&writer, &span);
        else {
            wire_put_fixed64_field(&writer, 7, monday_ns);
            wire_put_bytes_field(&writer, 1, slice_text("short"));
        }
        wire_close_message(&writer, 2, before);
    }
    wire_close_message(&writer, 2, 0);
    const size_t resource = writer.len, value = writer.len;
    wire_put_bytes_field(&writer, 1, slice_text("cart"));
    wire_close_message(&writer, 2, value);
    wire_put_bytes_field(&writer, 1, slice_text("service.name"));
    wire_close_message(&writer, 1, value);
    wire_close_message(&writer, 1, resource);
    wire_close_message(&writer, 1, 0);
    cr_assert(wire_writer_fits(&writer));
    return wire_writer_bytes(&writer);
}

Test(ledger, B3_what_was_rejected_is_received_and_counted)
{
    static uint8_t room[1 << 16];
    struct world world = world_sim_new(3);

    cr_assert_eq(world_open_catalog(&world), OK);
    store_append(&world, 0, 1, monday_ns, mixed_body(room, sizeof room, 5, 3));
    struct ledger *const ledger = ledger_of_world(&world);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), 8);
    cr_assert_eq(ledger_total(ledger, LEDGER_STORED), 5);
    const struct ledger_row *const row = row_named(ledger, "cart", monday_ns);
    cr_assert_eq(row->counts[LEDGER_REJECTED_IDS], 3);
    cr_assert_eq(row->counts[LEDGER_STORED], 1);
    cr_assert_eq(row_named(ledger, "cart", monday_ns + 4 * minute_ns)->counts[LEDGER_STORED], 1);
    ledger_close(ledger);
    world_close(&world);
}

Test(ledger, duplicates_that_a_merge_drops_are_counted)
{
    static uint8_t room[1 << 16];
    struct world world = world_sim_new(3);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        store_append(&world, 0, seq, monday_ns, mixed_body(room, sizeof room, 5, 1));
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    cr_assert_eq(counted_as(&world, LEDGER_STORED), 15);
    cr_assert_gt(compact_all(&world, monday_ns + day_ns), 0);
    struct ledger *const ledger = ledger_of_world(&world);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), 18);
    cr_assert_eq(ledger_total(ledger, LEDGER_STORED), 5);
    cr_assert_eq(ledger_total(ledger, LEDGER_DUPLICATE), 10);
    cr_assert_eq(ledger_total(ledger, LEDGER_REJECTED_IDS), 3);
    cr_assert_eq(row_named(ledger, "cart", monday_ns + minute_ns)->counts[LEDGER_DUPLICATE], 2);
    ledger_close(ledger);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(counted_as(&world, LEDGER_DUPLICATE), 10, "it is the files that know");
    world_close(&world);
}

static bool all_sealed(void *context, uint64_t job)
{
    (void)context, (void)job;
    return true;
}

static void erase_trace(struct world *world, uint32_t trace)
{
    struct erasure erasure = {
        .selector = {.by_trace = true, .trace_id = plain_trace(trace)}, .owner = "me", .reason = "case 12"};
    struct erasures *erasures;
    struct eraser *eraser;

    cr_assert_eq(erasures_open(world->io, world->dir, FIXTURE_INSTANCE, &erasures), OK);
    cr_assert_eq(erasures_add(erasures, world->io, &erasure), OK);
    const struct eraser_config config = {
        .catalog = world->catalog, .erasures = erasures, .matcher = plain_matcher, .all_sealed = all_sealed};
    cr_assert_eq(eraser_open(&config, &eraser), OK);
    while (eraser_step(eraser, world->io)) {
    }
    eraser_close(eraser, world->io);
    erasures_close(erasures);
}

static void expire(struct world *world, const struct retention_config *config, uint64_t now_ns)
{
    struct retention *retention;

    cr_assert_eq(retention_open(world->catalog, config, NULL, NULL, &retention), OK);
    while (retention_step(retention, world->io, now_ns)) {
    }
    retention_close(retention, world->io);
}

/* Days 0 to 3, a segment each, of 10 spans; trace 3 has one on each day. */
static void fill_days(struct world *world)
{
    struct plain_span spans[10];

    for (uint64_t day = 0; day < 4; day++) {
        for (uint32_t i = 0; i < 10; i++)
            spans[i] = (struct plain_span){i, (uint32_t)day * 100 + i, monday_ns + day * day_ns + i, "work"};
        store_append_plain(world, day + 1, monday_ns + day * day_ns, spans, 10);
    }
}

static void check_fates(struct world *world)
{
    struct ledger *const ledger = ledger_of_world(world);

    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), 40);
    cr_assert_eq(ledger_total(ledger, LEDGER_ERASED), 4);
    cr_assert_eq(ledger_total(ledger, LEDGER_EXPIRED_AGE), 9);
    cr_assert_eq(ledger_total(ledger, LEDGER_EXPIRED_BYTES), 27);
    cr_assert_eq(ledger_total(ledger, LEDGER_STORED), 0);
    cr_assert_eq(row_named(ledger, "", monday_ns)->counts[LEDGER_EXPIRED_AGE], 9);
    cr_assert_eq(row_named(ledger, "", monday_ns + day_ns)->counts[LEDGER_EXPIRED_BYTES], 9);
    ledger_close(ledger);
}

Test(ledger, tells_what_has_become_of_every_span)
{
    struct world world = world_sim_new(3);

    cr_assert_eq(world_open_catalog(&world), OK);
    fill_days(&world);
    erase_trace(&world, 3);
    cr_assert_eq(counted_as(&world, LEDGER_ERASED), 4);
    expire(&world, &(struct retention_config){.age_ns = 3 * day_ns + day_ns / 2}, monday_ns + 4 * day_ns);
    cr_assert_eq(counted_as(&world, LEDGER_EXPIRED_AGE), 9);
    expire(&world, &(struct retention_config){.bytes_max = 1}, monday_ns + 4 * day_ns);
    check_fates(&world);
    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    check_fates(&world);
    cr_assert_eq(catalog_size(world.catalog).segments, 1, "one stands for all that has gone");
    world_close(&world);
}

Test(ledger, D10_without_its_ledger_a_segment_counts_what_it_has)
{
    struct world world = world_sim_new(3);
    struct ledger *const ledger = new_ledger();
    bool damaged = false;

    cr_assert_eq(world_open_catalog(&world), OK);
    fill_days(&world);
    erase_trace(&world, 3); /* so that it stands for another */
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    cr_assert_gt(view->segments[0]->ledger.bytes, 0);
    view->segments[0]->ledger.crc ^= 1;
    cr_assert_eq(catalog_ledger(view, world.io, 0, &ledger_always, ledger, &damaged), OK);
    cr_assert(damaged);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), segment_spans(view->segments[0]));
    cr_assert_eq(ledger_total(ledger, LEDGER_STORED), segment_spans(view->segments[0]));
    catalog_release(world.catalog, view);
    ledger_close(ledger);
    world_close(&world);
}

Test(ledger, a_range_takes_the_rows_that_begin_in_it)
{
    struct world world = world_sim_new(3);
    const uint32_t minute = (uint32_t)(monday_ns / minute_ns);
    const struct ledger_range range = {minute + 1440, minute + 2 * 1440 - 1};
    struct ledger *const ledger = new_ledger();
    bool damaged = false;

    cr_assert_eq(world_open_catalog(&world), OK);
    fill_days(&world);
    compact_all(&world, monday_ns + 400 * day_ns);
    const struct catalog_view *const view = catalog_acquire(world.catalog);
    for (uint32_t i = 0; i < catalog_segments(view); i++)
        cr_assert_eq(catalog_ledger(view, world.io, i, &range, ledger, &damaged), OK);
    cr_assert_eq(ledger_total(ledger, LEDGER_RECEIVED), 10);
    cr_assert_eq(ledger_rows(ledger), 1);
    catalog_release(world.catalog, view);
    ledger_close(ledger);
    world_close(&world);
}

/* ---- crashes --------------------------------------------------------------------------------------------- */

struct crashing {
    unsigned images;
};

static void try_image(struct crashing *crashing, struct sim *sim)
{
    struct world world = world_sim(sim);

    crashing->images++;
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(counted_as(&world, LEDGER_RECEIVED), 40);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    const uint64_t count = sim_images(sim);

    for (uint64_t image = 0; image < count; image += 1 + count / 4)
        try_image(context, sim_crash(sim, image, image + 1));
}

/* Nothing is received twice or never, whatever of a merge, an erasure or an expiry is on the disk. */
Test(ledger, K15_adds_up_after_a_crash_at_every_event, .timeout = 240)
{
    struct world world = world_sim_new(3);
    struct crashing crashing = {.images = 0};

    cr_assert_eq(world_open_catalog(&world), OK);
    fill_days(&world);
    sim_watch(world.sim, crash_here, &crashing);
    erase_trace(&world, 3);
    expire(&world, &(struct retention_config){.age_ns = 3 * day_ns + day_ns / 2}, monday_ns + 4 * day_ns);
    compact_all(&world, monday_ns + 400 * day_ns);
    expire(&world, &(struct retention_config){.bytes_max = 1}, monday_ns + 4 * day_ns);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(crashing.images, 100);
    cr_assert_eq(counted_as(&world, LEDGER_STORED), 0);
    world_close(&world);
}
