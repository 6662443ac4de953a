/*
 * A backup is a data directory as the store was, whatever happens to the store meanwhile and afterwards; a crash at any event
 * leaves all of it or nothing; and what was copied back is looked at before it is believed.
 */
#include "pins_fixture.h"
#include "store/backups.h"
#include "store/superblock.h"

static bool sealed; /* what the gate says */
static unsigned seals;

static uint32_t seal(void *context)
{
    (void)context;
    return ++seals;
}

static bool is_sealed(void *context, uint32_t ticket)
{
    (void)context;
    cr_assert_eq(ticket, seals);
    return sealed;
}

static struct superblock superblock = {.uuid = {FIXTURE_INSTANCE}, .instance = FIXTURE_INSTANCE, .major = 1};

static struct backups *backups_of(struct world *world)
{
    struct backups *backups;

    cr_assert_eq(backups_open(world->io,
                              &(struct backups_config){.data = world->dir,
                                                       .superblock = &superblock,
                                                       .catalog = world->catalog,
                                                       .seal = seal,
                                                       .is_sealed = is_sealed},
                              &backups),
                 OK);
    return backups;
}

/* Two shards, each with a closed segment and one that is open; and a list of pins. */
static struct world new_world(void)
{
    struct world world = world_sim_new(1);

    sealed = true;
    cr_assert_eq(world_open_catalog(&world), OK);
    sim_set_space(world.sim, 1 << 30, 1 << 30);
    store_fill(&world, 2, 2, 30);
    for (uint16_t shard = 0; shard < 2; shard++)
        store_append_random(&world, shard, 3, monday_ns + 3 * NS_PER_S, 5000 + shard, 20);
    struct pins *const pins = pins_of(&world);
    set_pin(pins, &world, pin_of_trace(3, 0));
    pins_close(pins);
    return world;
}

static void make(struct backups *backups, struct world *world, const char *name)
{
    unsigned steps = 0;

    cr_assert_eq(backups_order(backups, name, monday_ns), OK);
    while (backups_step(backups, world->io))
        cr_assert_lt(++steps, 1000);
}

struct seen {
    char text[512];
    struct backup last;
};

static void note_backup(void *context, const struct backup *backup)
{
    static const char *const states[] = {"making", "complete", "failed", "damaged"};
    struct seen *const seen = context;
    const size_t len = strlen(seen->text);

    snprintf(seen->text + len, sizeof seen->text - len, "%s %s;", backup->name, states[backup->state]);
    seen->last = *backup;
}

static struct seen seen_of(struct backups *backups)
{
    struct seen seen = {.text = ""};

    backups_visit(backups, note_backup, &seen);
    return seen;
}

/* A world like this one, whose data directory is the backup: what a copy of it would be. */
static struct world restored(struct sim *sim, const char *name)
{
    struct world world = {.sim = sim, .io = sim_io(sim), .config = fixture_config()};
    struct superblock found;
    char path[80];
    bool arrived;

    snprintf(path, sizeof path, "data/backups/%s", name);
    cr_assert_eq(io_dir_open(world.io, NULL, path, false, &world.dir), OK);
    cr_assert_eq(superblock_open(world.io, world.dir, &found), OK);
    cr_assert_eq(found.instance, FIXTURE_INSTANCE);
    cr_assert_eq(backup_arrive(world.io, world.dir, found.instance, &arrived), OK);
    cr_assert(arrived);
    cr_assert_eq(backup_arrive(world.io, world.dir, found.instance, &arrived), OK);
    cr_assert_not(arrived, "from now on it is a data directory");
    superblock_close(&found, world.io);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.gaps + world.report.fenced + world.report.ignored, 0);
    return world;
}

/* The world is given up afterwards. */
static void check_restored(struct sim *sim, const char *name, const struct prints *expected)
{
    struct world world = restored(sim, name);
    struct prints prints = prints_now(&world);

    cr_assert(prints_equal(&prints, expected), "%zu spans of %zu", prints.count, expected->count);
    for (uint16_t shard = 0; shard < 2; shard++)
        cr_assert_eq(catalog_sealed_lsn(world.catalog, shard), 4 * FIXTURE_LSN_STEP, "nothing is replayed");
    struct pins *const pins = pins_of(&world);
    const struct pin_list *const list = pins_acquire(pins);
    cr_assert_eq(list->count, 1);
    pins_release(pins, list);
    pins_close(pins);
    prints_free(&prints);
    world_close_catalog(&world);
    sim_abandon(sim);
}

/* ---- what it is ------------------------------------------------------------------------------------------ */

Test(backups, are_a_data_directory_of_that_moment)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);
    struct prints prints = prints_now(&world);

    make(backups, &world, "one");
    const struct seen seen = seen_of(backups);
    cr_assert_str_eq(seen.text, "one complete;");
    cr_assert_eq(seen.last.segments, 4);
    cr_assert_eq(seen.last.blocks, 6);
    cr_assert_eq(seen.last.spans, prints.count);
    cr_assert(seen.last.copied_bytes > 0 && seen.last.copied_bytes < seen.last.bytes);
    cr_assert_eq(backups_counts(backups).complete, 1);
    cr_assert_eq(backups_counts(backups).last_ns, monday_ns);
    cr_assert_eq(backups_counts(backups).held_bytes, 0);
    check_restored(sim_crash(world.sim, 0, 1), "one", &prints);
    prints_free(&prints);
    backups_close(backups, world.io);
    world_close(&world);
}

Test(backups, stay_as_they_were_when_segments_are_merged_and_removed)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);
    struct prints prints = prints_now(&world);

    make(backups, &world, "one");
    for (uint16_t shard = 0; shard < 2; shard++) {
        store_append_random(&world, shard, 4, monday_ns + 4 * NS_PER_S, 6000 + shard, 20);
        cr_assert_eq(segment_seal(world.catalog, world.io, shard), OK);
    }
    cr_assert_gt(compact_all(&world, monday_ns + 2 * window_ns), 0);
    cr_assert_gt(backups_counts(backups).held_bytes, 0, "the merged ones are held by the backup alone");
    check_restored(sim_crash(world.sim, 0, 1), "one", &prints);
    cr_assert_eq(backups_remove(backups, world.io, "one"), OK);
    cr_assert_eq(backups_remove(backups, world.io, "one"), ERR_NOT_FOUND);
    cr_assert_eq(backups_counts(backups).held_bytes, 0);
    cr_assert_str_eq(seen_of(backups).text, "");
    prints_free(&prints);
    backups_close(backups, world.io);
    world_close(&world);
}

/* Removing gives nothing back while a backup has the files: no more goes than would have been enough. */
Test(backups, a_disk_that_is_full_of_backups_does_not_empty_the_store)
{
    struct world world = world_sim_new(1);
    struct retention *retention;

    sealed = true;
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 8; seq++) {
        store_append_random(&world, 0, seq, monday_ns + seq * day_ns, seq, 30);
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    struct backups *const backups = backups_of(&world);
    make(backups, &world, "one");
    const uint64_t bytes = catalog_size(world.catalog).bytes, free_min = 1 << 20;
    const struct retention_config config = {.free_min = free_min};
    cr_assert_eq(retention_open(world.catalog, &config, NULL, NULL, &retention), OK);
    sim_set_space(world.sim, free_min - bytes / 4, UINT64_C(1) << 30); /* a quarter is wanted, and stays so */
    for (unsigned i = 0; i < 40; i++)
        (void)backups_retain(backups, retention, world.io, monday_ns + 9 * day_ns);
    const unsigned left = (unsigned)catalog_size(world.catalog).segments;
    cr_assert(left >= 4 && left < 8, "%u segments are left", left);
    cr_assert_eq(backups_remove(backups, world.io, "one"), OK); /* and as nothing is freed here: */
    (void)backups_retain(backups, retention, world.io, monday_ns + 9 * day_ns);
    cr_assert_lt(catalog_size(world.catalog).segments, left, "nothing is kept any more");
    retention_close(retention, world.io);
    backups_close(backups, world.io);
    world_close(&world);
}

/* The start has closed them, and their footer is still to be written again. */
Test(backups, copy_what_has_no_filters_yet)
{
    struct world world = new_world();

    world_close_catalog(&world);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_gt(catalog_unfiltered(world.catalog), 0);
    struct backups *const backups = backups_of(&world);
    struct prints prints = prints_now(&world);
    make(backups, &world, "one");
    cr_assert_gt(seen_of(backups).last.copied_bytes, 0);
    while (catalog_build_filters(world.catalog, world.io)) {
    }
    check_restored(sim_crash(world.sim, 0, 1), "one", &prints);
    prints_free(&prints);
    backups_close(backups, world.io);
    world_close(&world);
}

Test(backups, begin_when_everything_is_sealed_and_end_in_time)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);

    sealed = false;
    make(backups, &world, "one");
    cr_assert_str_eq(seen_of(backups).text, "one making;");
    cr_assert_eq(backups_order(backups, "two", monday_ns), ERR_BUSY);
    cr_assert_eq(backups_remove(backups, world.io, "one"), ERR_BUSY);
    sim_advance(world.sim, 301 * NS_PER_S);
    cr_assert(backups_step(backups, world.io));
    cr_assert_str_eq(seen_of(backups).text, "one failed;");
    cr_assert_eq(seen_of(backups).last.err, ERR_DEADLINE);
    cr_assert_eq(backups_counts(backups).failures, 1);
    sealed = true;
    make(backups, &world, "two");
    cr_assert_str_eq(seen_of(backups).text, "two complete;");
    cr_assert_eq(backups_order(backups, "two", monday_ns), ERR_EXISTS);
    backups_close(backups, world.io);
    world_close(&world);
}

Test(backups, have_names_that_lead_nowhere_else)
{
    static const char *const bad[] = {
        "",         ".",   "..",    "../x",
        "a/b",      "/a",  "-a",    "_a",
        ".tmp",     "a b", "a\n",   "a\\b",
        "\xc3\xa4", "a:b", "a%2fb", "1234567890123456789012345678901234567890123456789"};
    static const char *const good[] = {"a", "2026-11-29T08.00.00Z", "A_b-c.d", "7",
                                       "123456789012345678901234567890123456789012345678"};
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(backup_name_is_good(bad[i]), "%s", bad[i]);
        cr_assert_eq(backups_order(backups, bad[i], 0), ERR_MALFORMED);
        cr_assert_eq(backups_remove(backups, world.io, bad[i]), ERR_NOT_FOUND);
    }
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(backup_name_is_good(good[i]), "%s", good[i]);
    backups_close(backups, world.io);
    world_close(&world);
}

Test(backups, are_bounded)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);
    char name[16];

    for (unsigned i = 0; i < BACKUPS_MAX; i++) {
        snprintf(name, sizeof name, "b%u", i);
        make(backups, &world, name);
    }
    cr_assert_eq(backups_order(backups, "more", 0), ERR_FULL);
    cr_assert_eq(backups_remove(backups, world.io, "b7"), OK);
    make(backups, &world, "more");
    cr_assert_eq(backups_counts(backups).complete, BACKUPS_MAX);
    backups_close(backups, world.io);
    world_close(&world);
}

Test(backups, D10_a_damaged_list_is_told_and_can_be_removed)
{
    struct world world = new_world();
    struct backups *backups = backups_of(&world);

    make(backups, &world, "one");
    backups_close(backups, world.io);
    cr_assert_eq(sim_flip(world.sim, "backups/one/backup", 900), OK);
    backups = backups_of(&world);
    cr_assert_str_eq(seen_of(backups).text, "one damaged;");
    cr_assert_eq(backups_counts(backups).complete, 0);
    cr_assert_eq(backups_remove(backups, world.io, "one"), OK);
    cr_assert_str_eq(seen_of(backups).text, "");
    backups_close(backups, world.io);
    world_close(&world);
}

/* ---- crashing and failing -------------------------------------------------------------------------------- */

struct crashing {
    const struct prints *expected; /* of the store, and of the backup */
    bool begun, answered, going, gone;
    unsigned images, whole, nothing;
};

static void try_image(struct crashing *crashing, struct sim *sim)
{
    struct world world = world_sim(sim);

    cr_assert_eq(world_open_catalog(&world), OK);
    struct backups *const backups = backups_of(&world);
    const struct seen seen = seen_of(backups);
    const bool whole = strcmp(seen.text, "one complete;") == 0;
    cr_assert(whole || seen.text[0] == '\0', "%s", seen.text);
    cr_assert(whole || !crashing->answered || crashing->going, "what was answered is there");
    cr_assert(!whole || !crashing->gone, "what was removed is not");
    crashing->whole += whole;
    crashing->nothing += !whole;
    struct prints prints = prints_now(&world);
    cr_assert(prints_equal(&prints, crashing->expected), "the store itself");
    prints_free(&prints);
    make(backups, &world, "two"); /* nothing is in the way */
    cr_assert_eq(backups_counts(backups).complete, whole + 1U);
    backups_close(backups, world.io);
    if (whole) check_restored(sim_crash(sim, 0, 1), "one", crashing->expected);
    world_close(&world);
}

static void crash_here(void *context, struct sim *sim)
{
    struct crashing *const crashing = context;

    if (!crashing->begun) return;
    const uint64_t images = sim_images(sim), step = images / 30 + 1;
    for (uint64_t image = 0; image < images; image += image < 2 ? 1 : step, crashing->images++)
        try_image(crashing, sim_crash(sim, image, image));
}

Test(backups, K16_a_crash_at_any_event_leaves_all_of_it_or_nothing, .timeout = 600)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);
    struct prints prints = prints_now(&world);
    struct crashing crashing = {.expected = &prints, .begun = true};

    sim_watch(world.sim, crash_here, &crashing);
    make(backups, &world, "one");
    crashing.answered = true;
    uint64_t free_bytes, total_bytes;
    cr_assert_eq(io_space(world.io, world.dir, &free_bytes, &total_bytes), OK); /* an event, after the end */
    crashing.going = true;
    cr_assert_eq(backups_remove(backups, world.io, "one"), OK);
    crashing.gone = true;
    cr_assert_eq(io_space(world.io, world.dir, &free_bytes, &total_bytes), OK);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(crashing.images, 150);
    cr_assert(crashing.whole > 5 && crashing.nothing > 50, "%u and %u", crashing.whole, crashing.nothing);
    prints_free(&prints);
    backups_close(backups, world.io);
    world_close(&world);
}

static const enum sim_fault kinds[] = {SIM_FAULT_READ, SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};

/* The nth operation of a kind fails. False: there were fewer. */
static bool try_fault(enum sim_fault kind, unsigned nth)
{
    struct world world = new_world();
    struct backups *backups = backups_of(&world);
    struct prints prints = prints_now(&world);

    sim_fail(world.sim, kind, nth, ERR_NO_SPACE, false);
    make(backups, &world, "one");
    const bool failed = strcmp(seen_of(backups).text, "one failed;") == 0;
    cr_assert(failed || strcmp(seen_of(backups).text, "one complete;") == 0);
    sim_forgive(world.sim);
    if (failed) {
        cr_assert_eq(seen_of(backups).last.err, ERR_NO_SPACE);
        make(backups, &world, "one");
    }
    cr_assert_str_eq(seen_of(backups).text, "one complete;");
    check_restored(sim_crash(world.sim, 0, 1), "one", &prints);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&prints, &after));
    prints_free(&after);
    prints_free(&prints);
    backups_close(backups, world.io);
    world_close(&world);
    return failed;
}

Test(backups, D6_a_failure_leaves_nothing_and_the_next_try_is_well, .timeout = 600)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned failed = 0;
        for (unsigned nth = 1; nth < 40; nth++)
            failed += try_fault(kinds[kind], nth);
        cr_assert_gt(failed, 0, "kind %u", kind);
    }
}

/* What could not be removed goes with the next try. */
Test(backups, D6_a_removal_that_fails_is_tried_again, .timeout = 600)
{
    for (unsigned nth = 1; nth < 24; nth++) {
        struct world world = new_world();
        struct backups *backups = backups_of(&world);
        make(backups, &world, "one");
        sim_fail(world.sim, SIM_FAULT_NAME, nth, ERR_IO, false);
        const enum err err = backups_remove(backups, world.io, "one");
        sim_forgive(world.sim);
        if (err != OK) cr_assert_eq(backups_remove(backups, world.io, "one"), OK);
        cr_assert_str_eq(seen_of(backups).text, "");
        make(backups, &world, "one");
        backups_close(backups, world.io);
        world_close(&world);
    }
}

/* ---- arriving -------------------------------------------------------------------------------------------- */

static enum err arrival_of(struct sim *sim)
{
    struct io *const io = sim_io(sim);
    struct io_dir *dir;
    bool arrived;

    cr_assert_eq(io_dir_open(io, NULL, "data/backups/one", false, &dir), OK);
    const enum err err = backup_arrive(io, dir, FIXTURE_INSTANCE, &arrived);
    cr_assert_eq(arrived, err == OK);
    io_dir_close(io, dir);
    io_close(io);
    return err;
}

static void put_file(struct sim *sim, const char *path, const char *name)
{
    struct io *const io = sim_io(sim);
    struct io_dir *dir;
    struct io_file *file;

    cr_assert_eq(io_dir_open(io, NULL, path, true, &dir), OK);
    cr_assert_eq(io_file_open(io, dir, name, IO_CREATE | IO_WRITABLE, &file), OK);
    io_file_close(io, file);
    io_dir_close(io, dir);
    io_close(io);
}

static void cut_or_remove(struct sim *sim, bool cut)
{
    struct io *const io = sim_io(sim);
    struct io_dir *dir;
    struct io_file *file;

    cr_assert_eq(io_dir_open(io, NULL, "data/backups/one/segments", false, &dir), OK);
    if (cut) {
        cr_assert_eq(io_file_open(io, dir, "0001-000000000000.seg", IO_WRITABLE, &file), OK);
        cr_assert_eq(io_file_truncate(io, file, 4096), OK);
        io_file_close(io, file);
    } else {
        cr_assert_eq(io_unlink(io, dir, "0001-000000000000.seg"), OK);
    }
    io_dir_close(io, dir);
    io_close(io);
}

Test(backups, D25_a_copy_that_is_not_whole_or_not_alone_is_no_data_directory)
{
    struct world world = new_world();
    struct backups *const backups = backups_of(&world);

    make(backups, &world, "one");
    for (unsigned kind = 0; kind < 6; kind++) {
        struct sim *const sim = sim_crash(world.sim, 0, 1);
        if (kind == 1) cut_or_remove(sim, false);
        if (kind == 2) cut_or_remove(sim, true);
        if (kind == 3) put_file(sim, "data/backups/one/segments", "0007-000000000000.seg");
        if (kind == 4) put_file(sim, "data/backups/one/journal-0", "0");
        if (kind == 5) cr_assert_eq(sim_flip(sim, "backups/one/backup", 900), OK);
        cr_assert_eq(arrival_of(sim), kind == 0 ? OK : ERR_CORRUPT, "kind %u", kind);
        if (kind != 0) cr_assert_eq(arrival_of(sim), ERR_CORRUPT, "and so it is at the next start");
        sim_abandon(sim);
    }
    backups_close(backups, world.io);
    world_close(&world);
}
