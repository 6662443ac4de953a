/*
 * The simulated world keeps its promises: one seed is one history, nothing unsynced is safe, everything
 * synced is.
 */
#include "fixture.h"

#include "io/sim.h"

#include <signal.h>
#include <stdio.h>

struct world {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
};

static struct world world_of(struct sim *sim)
{
    struct world world = {.sim = sim, .io = sim_io(sim)};

    MUST(io_dir_open(world.io, NULL, "data", true, &world.dir));
    return world;
}

static struct world world_make(uint64_t seed, uint32_t sector_bytes)
{
    return world_of(sim_open(&(struct sim_config){.seed = seed, .sector_bytes = sector_bytes}));
}

static struct io_file *file_open(const struct world *world, const char *name, unsigned flags)
{
    struct io_file *file = NULL;

    MUST(io_file_open(world->io, world->dir, name, flags, &file));
    return file;
}

/* A file of zeros, all of it durable. */
static struct io_file *file_prepared(const struct world *world, const char *name, size_t bytes, unsigned more)
{
    static const uint8_t zeros[65536];
    struct io_file *const file = file_open(world, name, IO_CREATE | IO_WRITABLE | more);

    for (size_t at = 0; at < bytes; at += sizeof zeros)
        MUST(io_write_now(world->io, file, zeros, bytes - at < sizeof zeros ? bytes - at : sizeof zeros, at));
    MUST(io_datasync_now(world->io, file));
    MUST(io_dir_sync(world->io, world->dir));
    return file;
}

static uint8_t byte_at(struct sim *sim, const char *path, uint64_t offset)
{
    uint8_t byte = 0;

    MUST(sim_peek(sim, path, offset, &byte, 1));
    return byte;
}

static bool exists(struct sim *sim, const char *path)
{
    uint64_t bytes;

    return sim_file_bytes(sim, path, &bytes) == OK;
}

static uint64_t size_of(struct sim *sim, const char *path)
{
    uint64_t bytes = 0;

    MUST(sim_file_bytes(sim, path, &bytes));
    return bytes;
}

/* ---- one seed, one history ------------------------------------------------------------------------------
 */

struct order {
    char text[64];
    unsigned count;
};

struct named_op {
    struct io_op op; /* first */
    struct order *order;
    char name;
};

static void on_named(struct io_op *op)
{
    struct named_op *const named = (struct named_op *)op;

    named->order->text[named->order->count++] = named->name;
}

static uint64_t history(uint64_t seed, char *order_text)
{
    struct world world = world_make(seed, 512);
    struct io *const other = sim_io(world.sim);
    struct io_file *const file = file_prepared(&world, "a", 65536, 0);
    struct order order = {.count = 0};
    struct named_op ops[16];
    uint8_t bytes[16][64], noise[16];
    unsigned run = 0;

    io_random(world.io, noise, sizeof noise);
    for (unsigned i = 0; i < 16; i++) {
        ops[i] = (struct named_op){.op.done = on_named, .order = &order, .name = (char)('a' + i)};
        memset(bytes[i], noise[i], 64);
        io_write(i % 3 == 0 ? other : world.io, &ops[i].op, file, bytes[i], 64, i * 64);
    }
    while (order.count < 16) {
        MUST(io_turn(world.io, 1000, &run));
        MUST(io_turn(other, 1000, &run));
    }
    memcpy(order_text, order.text, 17);
    order_text[16] = '\0';
    io_file_close(world.io, file);
    const uint64_t hash = sim_hash(world.sim);
    io_dir_close(world.io, world.dir);
    io_close(other);
    io_close(world.io);
    sim_close(world.sim);
    return hash;
}

Test(sim, one_seed_is_one_history)
{
    char first[17], again[17], orders[40][17];
    unsigned different = 0;

    for (uint64_t seed = 0; seed < 40; seed++) {
        const uint64_t hash = history(seed, first);
        cr_assert_eq(history(seed, again), hash);
        cr_assert_str_eq(first, again);
        memcpy(orders[seed], first, 17);
        if (seed > 0) different += strcmp(orders[seed], orders[seed - 1]) != 0;
    }
    cr_assert_geq(different, 38u, "another seed, another order");
}

Test(sim, handlers_never_run_inside_a_submit_and_reads_land_late)
{
    struct world world = world_make(1, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    struct landing_pad pad = pad_make();
    uint8_t byte = 0;

    io_read(world.io, &pad.op, file, &byte, 1, 0);
    cr_assert_eq(pad.landed, 0u);
    cr_assert_eq(byte, 0xa5, "whoever looks too early sees it");
    MUST(io_await(world.io, &pad.op));
    cr_assert_eq(byte, 0);
    cr_assert_eq(pad.op.count, 1u);
    sim_abandon(world.sim);
}

Test(sim, virtual_time_moves_with_waiting)
{
    struct world world = world_make(1, 512);
    unsigned run;
    const uint64_t now_ns = io_now_ns(world.io), wall_ns = io_wall_ns(world.io);

    MUST(io_turn(world.io, 3600000000000ULL, &run));
    cr_assert_eq(io_now_ns(world.io) - now_ns, 3600000000000ULL);
    sim_advance(world.sim, 5);
    cr_assert_eq(io_wall_ns(world.io) - wall_ns, 3600000000005ULL);
    sim_jump(world.sim, -7200000000000LL);
    cr_assert_lt(io_wall_ns(world.io), wall_ns);
    cr_assert_eq(io_now_ns(world.io) - now_ns, 3600000000005ULL);
    sim_abandon(world.sim);
}

static void on_wake(void *context)
{
    ++*(unsigned *)context;
}

Test(sim, wakes_another_io_of_the_world)
{
    struct world world = world_make(1, 512);
    struct io *const other = sim_io(world.sim);
    unsigned woken = 0, run = 0;

    io_on_wake(other, on_wake, &woken);
    io_wake(other);
    const uint64_t now_ns = io_now_ns(other);
    MUST(io_turn(other, 1000000, &run));
    cr_assert_eq(woken, 1u);
    cr_assert_eq(run, 1u);
    cr_assert_eq(io_now_ns(other), now_ns, "it did not sleep");
    sim_abandon(world.sim);
}

/* ---- what a crash leaves --------------------------------------------------------------------------------
 */

/* Runs over all images of this instant and closes them. */
#define EACH_IMAGE(sim_, image_, restart_)                                                                   \
    for (uint64_t image_ = 0, images_ = sim_images(sim_), again_ = 1; image_ < images_;                      \
         image_++, again_ = 1)                                                                               \
        for (struct sim *restart_ = sim_crash(sim_, image_, 7); again_; again_ = 0, sim_abandon(restart_))

Test(sim, a_completed_plain_write_is_visible_but_not_safe)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    unsigned with = 0, without = 0;
    uint8_t byte = 1, back = 0;
    size_t count;

    MUST(io_write_now(world.io, file, &byte, 1, 100));
    MUST(io_read_now(world.io, file, &back, 1, 100, &count));
    cr_assert_eq(back, 1);
    EACH_IMAGE(world.sim, image, restart)
    {
        if (byte_at(restart, "data/a", 100) == 1)
            with++;
        else
            without++;
    }
    cr_assert_gt(with, 0u);
    cr_assert_gt(without, 0u);
    MUST(io_datasync_now(world.io, file));
    cr_assert_eq(sim_images(world.sim), 1u, "nothing is open after the sync");
    EACH_IMAGE(world.sim, image, restart) cr_assert_eq(byte_at(restart, "data/a", 100), 1);
    sim_abandon(world.sim);
}

Test(sim, a_completed_dsync_write_is_safe)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 65536, IO_DSYNC);
    uint8_t bytes[4096];
    struct landing_pad pad = pad_make();

    memset(bytes, 7, sizeof bytes);
    io_write(world.io, &pad.op, file, bytes, sizeof bytes, 4096);
    cr_assert_gt(sim_images(world.sim), 8u, "on its way it can be torn");
    MUST(io_await(world.io, &pad.op));
    cr_assert_eq(sim_images(world.sim), 1u);
    EACH_IMAGE(world.sim, image, restart)
    {
        cr_assert_eq(byte_at(restart, "data/a", 4096), 7);
        cr_assert_eq(byte_at(restart, "data/a", 8191), 7);
    }
    /* Extending makes the size safe as well. */
    io_write(world.io, &pad.op, file, bytes, sizeof bytes, 65536);
    MUST(io_await(world.io, &pad.op));
    EACH_IMAGE(world.sim, image, restart) cr_assert_eq(size_of(restart, "data/a"), 69632u);
    sim_abandon(world.sim);
}

/* Which of 8 sectors are new, as bits; fails when a sector is neither old nor new as a whole. */
static unsigned sectors_kept(struct sim *sim)
{
    uint8_t bytes[4096];
    unsigned kept = 0;

    MUST(sim_peek(sim, "data/a", 0, bytes, sizeof bytes));
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 1; k < 512; k++)
            cr_assert_eq(bytes[i * 512 + k], bytes[i * 512], "a sector is never torn");
        kept |= (unsigned)(bytes[i * 512] == 9) << i;
    }
    return kept;
}

Test(sim, tears_a_write_at_every_sector)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, IO_DSYNC);
    uint8_t bytes[4096];
    struct landing_pad pad = pad_make();
    unsigned seen[256] = {0};

    memset(bytes, 9, sizeof bytes);
    io_write(world.io, &pad.op, file, bytes, sizeof bytes, 0);
    EACH_IMAGE(world.sim, image, restart) seen[sectors_kept(restart)]++;
    cr_assert(seen[0] && seen[255]);
    for (unsigned n = 1; n < 8; n++) {
        cr_assert(seen[(1U << n) - 1], "prefix of %u", n);
        cr_assert(seen[0xff & ~((1U << (8 - n)) - 1)], "suffix of %u", n);
    }
    for (unsigned n = 1; n < 7; n++)
        cr_assert(seen[0xff & ~(1U << n)], "hole at %u", n);
    unsigned random = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim *const restart = sim_crash_random(world.sim, seed);
        uint8_t edge[8];
        for (unsigned i = 0; i < 8; i++)
            MUST(sim_peek(restart, "data/a", i * 512, &edge[i], 1));
        for (unsigned i = 0; i < 8; i++)
            random += edge[i] != 0 && edge[i] != 9;
        sim_abandon(restart);
    }
    cr_assert_gt(random, 10u, "the last write may leave garbage");
    sim_abandon(world.sim);
}

Test(sim, a_small_write_is_kept_in_every_subset)
{
    struct world world = world_make(3, 4096);
    struct io_file *const file = file_prepared(&world, "a", 16384, IO_DSYNC);
    static uint8_t bytes[16384];
    struct landing_pad pad = pad_make();
    unsigned seen[16] = {0};

    memset(bytes, 9, sizeof bytes);
    io_write(world.io, &pad.op, file, bytes, sizeof bytes, 0);
    EACH_IMAGE(world.sim, image, restart)
    {
        unsigned kept = 0;
        for (unsigned i = 0; i < 4; i++)
            kept |= (unsigned)(byte_at(restart, "data/a", i * 4096) == 9) << i;
        seen[kept]++;
    }
    for (unsigned i = 0; i < 16; i++)
        cr_assert(seen[i], "subset %x", i);
    sim_abandon(world.sim);
}

Test(sim, two_writes_in_flight_are_torn_with_the_other_lost_and_kept)
{
    struct world world = world_make(3, 4096);
    struct io_file *const file = file_prepared(&world, "a", 8192, IO_DSYNC);
    uint8_t bytes[2][4096];
    struct landing_pad pads[2] = {pad_make(), pad_make()};
    unsigned seen[4] = {0};

    for (unsigned i = 0; i < 2; i++) {
        memset(bytes[i], 9, 4096);
        io_write(world.io, &pads[i].op, file, bytes[i], 4096, i * 4096);
    }
    EACH_IMAGE(world.sim, image, restart)
    seen[(byte_at(restart, "data/a", 0) == 9) | (byte_at(restart, "data/a", 4096) == 9) << 1]++;
    for (unsigned i = 0; i < 4; i++)
        cr_assert(seen[i], "combination %x", i);
    sim_abandon(world.sim);
}

Test(sim, a_durable_write_is_not_undone_by_older_pending_ones)
{
    struct world world = world_make(3, 512);
    struct io_file *const plain = file_prepared(&world, "a", 4096, 0);
    struct io_file *const synced = file_open(&world, "a", IO_WRITABLE | IO_DSYNC);
    uint8_t old[1024], new[512];

    memset(old, 1, sizeof old);
    memset(new, 2, sizeof new);
    MUST(io_write_now(world.io, plain, old, sizeof old, 0));
    MUST(io_write_now(world.io, synced, new, sizeof new, 256));
    EACH_IMAGE(world.sim, image, restart)
    {
        for (unsigned i = 256; i < 768; i++)
            cr_assert_eq(byte_at(restart, "data/a", i), 2);
        const uint8_t before = byte_at(restart, "data/a", 0);
        cr_assert(before == 0 || before == 1);
    }
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim *const restart = sim_crash_random(world.sim, seed);
        cr_assert(exists(restart, "data/a"));
        sim_abandon(restart);
    }
    sim_abandon(world.sim);
}

/* ---- sizes and names ------------------------------------------------------------------------------------
 */

Test(sim, a_size_is_lost_until_the_file_is_synced)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 1000, 0);
    bool short_seen = false, hole_seen = false, whole_seen = false;
    uint8_t bytes[1000];

    memset(bytes, 4, sizeof bytes);
    MUST(io_write_now(world.io, file, bytes, sizeof bytes, 1000));
    EACH_IMAGE(world.sim, image, restart)
    {
        const uint64_t size = size_of(restart, "data/a");
        cr_assert(size == 1000 || size == 2000);
        short_seen |= size == 1000;
        hole_seen |= size == 2000 && byte_at(restart, "data/a", 1999) == 0;
        whole_seen |= size == 2000 && byte_at(restart, "data/a", 1999) == 4;
        cr_assert(size == 2000 || byte_at(restart, "data/a", 1500) == 0, "nothing lives beyond the end");
    }
    cr_assert(short_seen && hole_seen && whole_seen);
    MUST(io_datasync_now(world.io, file));
    EACH_IMAGE(world.sim, image, restart) cr_assert_eq(size_of(restart, "data/a"), 2000u);

    MUST(io_file_truncate(world.io, file, 10));
    bool cut = false, uncut = false;
    EACH_IMAGE(world.sim, image, restart)
    {
        cut |= size_of(restart, "data/a") == 10;
        uncut |= size_of(restart, "data/a") == 2000 && byte_at(restart, "data/a", 1999) == 4;
    }
    cr_assert(cut && uncut);
    MUST(io_file_allocate(world.io, file, 0, 3000));
    MUST(io_datasync_now(world.io, file));
    EACH_IMAGE(world.sim, image, restart)
    {
        cr_assert_eq(size_of(restart, "data/a"), 3000u);
        cr_assert_eq(byte_at(restart, "data/a", 1999), 0);
    }
    sim_abandon(world.sim);
}

Test(sim, a_new_file_is_lost_until_its_directory_is_synced)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_open(&world, "a", IO_CREATE | IO_WRITABLE);
    bool there = false, gone = false;

    MUST(io_write_now(world.io, file, "span", 4, 0));
    MUST(io_datasync_now(world.io, file));
    EACH_IMAGE(world.sim, image, restart)
    {
        there |= exists(restart, "data/a");
        gone |= !exists(restart, "data/a");
    }
    cr_assert(there && gone, "syncing the file does not save its name");
    MUST(io_dir_sync(world.io, world.dir));
    EACH_IMAGE(world.sim, image, restart)
    {
        cr_assert_eq(size_of(restart, "data/a"), 4u);
        cr_assert_eq(byte_at(restart, "data/a", 3), 'n');
    }
    sim_abandon(world.sim);
}

Test(sim, a_rename_is_atomic_and_lost_until_synced)
{
    struct world world = world_make(3, 512);
    bool before = false, after = false;

    io_file_close(world.io, file_prepared(&world, "a.tmp", 10, 0));
    MUST(io_rename(world.io, world.dir, "a.tmp", "a"));
    cr_assert(exists(world.sim, "data/a") && !exists(world.sim, "data/a.tmp"));
    EACH_IMAGE(world.sim, image, restart)
    {
        cr_assert_neq(exists(restart, "data/a"), exists(restart, "data/a.tmp"),
                      "one name, never both or none");
        before |= exists(restart, "data/a.tmp");
        after |= exists(restart, "data/a");
    }
    cr_assert(before && after);
    MUST(io_dir_sync(world.io, world.dir));
    EACH_IMAGE(world.sim, image, restart)
    cr_assert(exists(restart, "data/a") && !exists(restart, "data/a.tmp"));

    MUST(io_unlink(world.io, world.dir, "a"));
    before = after = false;
    EACH_IMAGE(world.sim, image, restart)
    {
        before |= exists(restart, "data/a");
        after |= !exists(restart, "data/a");
    }
    cr_assert(before && after, "an unlinked file may come back");
    MUST(io_dir_sync(world.io, world.dir));
    EACH_IMAGE(world.sim, image, restart) cr_assert(!exists(restart, "data/a"));
    sim_abandon(world.sim);
}

Test(sim, a_rename_over_a_file_leaves_one_of_the_two)
{
    struct world world = world_make(3, 512);
    bool old = false, new = false;

    struct io_file *file = file_prepared(&world, "a", 10, 0);
    io_file_close(world.io, file);
    file = file_prepared(&world, "b", 20, 0);
    io_file_close(world.io, file);
    MUST(io_rename(world.io, world.dir, "b", "a"));
    EACH_IMAGE(world.sim, image, restart)
    {
        old |= size_of(restart, "data/a") == 10;
        new |= size_of(restart, "data/a") == 20;
    }
    cr_assert(old && new);
    sim_abandon(world.sim);
}

static bool join(void *context, const char *name)
{
    char *const text = context;

    snprintf(text + strlen(text), 64 - strlen(text), "%s ", name);
    return true;
}

static void join_path(void *context, const char *path)
{
    join(context, path);
}

Test(sim, lists_finds_and_locks)
{
    struct world world = world_make(3, 512);
    struct io_dir *sub = NULL;
    struct io_file *file = NULL, *again = NULL;
    char text[64] = "", paths[64] = "";

    MUST(io_dir_open(world.io, world.dir, "journal", true, &sub));
    cr_assert_eq(io_dir_open(world.io, world.dir, "nothing", false, &sub), ERR_NOT_FOUND);
    MUST(io_file_open(world.io, sub, "z", IO_CREATE | IO_WRITABLE, &file));
    io_file_close(world.io, file_open(&world, "b", IO_CREATE | IO_WRITABLE));
    io_file_close(world.io, file_open(&world, "a", IO_CREATE | IO_WRITABLE));
    MUST(io_dir_list(world.io, world.dir, join, text));
    cr_assert_str_eq(text, "a b ");
    sim_list(world.sim, join_path, paths);
    cr_assert_str_eq(paths, "data/a data/b data/journal/z ");
    cr_assert(exists(world.sim, "journal/z") && exists(world.sim, "data/journal/z") &&
              exists(world.sim, "z"));
    cr_assert(!exists(world.sim, "ournal/z") && !exists(world.sim, "") && !exists(world.sim, "data"));
    cr_assert_eq(io_file_open(world.io, world.dir, "a", IO_CREATE | IO_WRITABLE, &again), ERR_EXISTS);
    cr_assert_eq(io_file_open(world.io, world.dir, "c", 0, &again), ERR_NOT_FOUND);
    cr_assert_eq(io_rename(world.io, world.dir, "c", "d"), ERR_NOT_FOUND);
    cr_assert_eq(io_unlink(world.io, world.dir, "c"), ERR_NOT_FOUND);

    MUST(io_file_open(world.io, sub, "z", IO_WRITABLE, &again));
    MUST(io_file_lock(world.io, file));
    cr_assert_eq(io_file_lock(world.io, again), ERR_BUSY);
    io_file_close(world.io, file);
    MUST(io_file_lock(world.io, again));
    MUST(io_unlink(world.io, sub, "z"));
    MUST(io_write_now(world.io, again, "x", 1, 0)); /* an unlinked file lives as long as its handle */
    MUST(io_dir_sync(world.io, sub));
    uint8_t byte;
    size_t count;
    MUST(io_read_now(world.io, again, &byte, 1, 0, &count));
    cr_assert_eq(byte, 'x');
    io_file_close(world.io, again);
    cr_assert_eq(sim_images(world.sim), 3u + 2u * 2u - 1u, "what is left open are the two new names");
    sim_abandon(world.sim);
}

Test(sim, a_second_name_is_lost_until_its_directory_is_synced)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_open(&world, "a", IO_CREATE | IO_WRITABLE);
    struct io_dir *sub = NULL;
    bool without = false, with = false;

    MUST(io_write_now(world.io, file, "x", 1, 0));
    MUST(io_datasync_now(world.io, file));
    MUST(io_dir_sync(world.io, world.dir));
    io_file_close(world.io, file);
    MUST(io_dir_open(world.io, world.dir, "sub", true, &sub));
    MUST(io_link(world.io, world.dir, "a", sub, "b"));
    cr_assert_eq(io_link(world.io, world.dir, "a", sub, "b"), ERR_EXISTS);
    cr_assert_eq(io_link(world.io, world.dir, "c", sub, "d"), ERR_NOT_FOUND);
    MUST(io_unlink(world.io, world.dir, "a"));
    MUST(io_dir_sync(world.io, world.dir));
    for (uint64_t image = 0; image < sim_images(world.sim); image++) {
        struct sim *const restart = sim_crash(world.sim, image, image);
        with |= exists(restart, "sub/b") && size_of(restart, "sub/b") == 1;
        without |= !exists(restart, "sub/b");
        cr_assert(!exists(restart, "data/a"));
        sim_abandon(restart);
    }
    cr_assert(with && without);
    MUST(io_dir_sync(world.io, sub));
    struct sim *const restart = sim_crash(world.sim, 0, 1);
    cr_assert_eq(size_of(restart, "sub/b"), 1);
    sim_abandon(restart);
    sim_abandon(world.sim);
}

Test(sim, a_removed_directory_is_gone_with_all_that_was_to_happen_in_it)
{
    struct world world = world_make(3, 512);
    struct io_dir *sub = NULL;
    struct io_file *file = NULL;
    char text[64] = "";

    MUST(io_dir_open(world.io, world.dir, "sub", true, &sub));
    MUST(io_file_open(world.io, sub, "z", IO_CREATE | IO_WRITABLE, &file));
    io_file_close(world.io, file);
    MUST(io_dir_sync(world.io, sub));
    cr_assert_eq(io_dir_remove(world.io, world.dir, "sub"), ERR_EXISTS);
    MUST(io_dir_list_dirs(world.io, world.dir, join, text));
    cr_assert_str_eq(text, "sub ");
    MUST(io_unlink(world.io, sub, "z"));
    io_dir_close(world.io, sub);
    MUST(io_dir_remove(world.io, world.dir, "sub"));
    cr_assert_eq(io_dir_remove(world.io, world.dir, "sub"), ERR_NOT_FOUND);
    cr_assert_eq(io_dir_open(world.io, world.dir, "sub", false, &sub), ERR_NOT_FOUND);
    for (uint64_t image = 0; image < sim_images(world.sim); image++) {
        struct sim *const restart = sim_crash(world.sim, image, image);
        text[0] = '\0';
        sim_list(restart, join_path, text);
        cr_assert_str_eq(text, "");
        sim_abandon(restart);
    }
    sim_abandon(world.sim);
}

/* ---- faults ---------------------------------------------------------------------------------------------
 */

Test(sim, the_nth_event_of_a_kind_fails)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    uint8_t byte = 0;
    size_t count;

    sim_fail(world.sim, SIM_FAULT_WRITE, 3, ERR_IO, false);
    for (unsigned i = 1; i <= 6; i++) {
        MUST(io_read_now(world.io, file, &byte, 1, 0, &count));
        cr_assert_eq(io_write_now(world.io, file, &byte, 1, 0), i == 3 ? ERR_IO : OK, "write %u", i);
    }
    sim_fail(world.sim, SIM_FAULT_READ, 2, ERR_CORRUPT, true);
    for (unsigned i = 1; i <= 6; i++)
        cr_assert_eq(io_read_now(world.io, file, &byte, 1, 0, &count), i >= 2 ? ERR_CORRUPT : OK, "read %u",
                     i);
    sim_fail(world.sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, false);
    cr_assert_eq(io_rename(world.io, world.dir, "a", "b"), ERR_NO_SPACE);
    cr_assert(exists(world.sim, "a"));
    MUST(io_rename(world.io, world.dir, "a", "b"));
    sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
    cr_assert_eq(io_dir_sync(world.io, world.dir), ERR_IO);
    sim_fail(world.sim, SIM_FAULT_ANY, 2, ERR_DENIED, false);
    MUST(io_file_truncate(world.io, file, 5));
    uint64_t bytes;
    cr_assert_eq(io_file_size(world.io, file, &bytes), ERR_DENIED);
    sim_forgive(world.sim);
    MUST(io_read_now(world.io, file, &byte, 1, 0, &count));
    sim_abandon(world.sim);
}

Test(sim, a_submitted_write_fails_when_it_lands)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 65536, IO_DSYNC);
    static uint8_t bytes[16384];
    struct landing_pad pad = pad_make();
    bool part = false, whole = false, none = false;

    memset(bytes, 5, sizeof bytes);
    for (unsigned i = 0; i < 100; i++) {
        sim_fail(world.sim, SIM_FAULT_WRITE, 1, ERR_IO, false);
        MUST(sim_poke(world.sim, "a", 0, (const uint8_t[16384]){0}, sizeof bytes));
        io_write(world.io, &pad.op, file, bytes, sizeof bytes, 0);
        cr_assert_eq(io_await(world.io, &pad.op), ERR_IO);
        cr_assert_eq(pad.op.count, 0u);
        unsigned reached = 0;
        for (unsigned k = 0; k < 32; k++)
            reached += byte_at(world.sim, "a", k * 512) == 5;
        none |= reached == 0;
        part |= reached > 0 && reached < 32;
        whole |= reached == 32;
    }
    cr_assert(none && part && whole, "a failed write may have reached the disk or not");
    sim_abandon(world.sim);
}

/* A kernel that failed a sync calls the pages clean; asking again must not be believed. */
Test(sim, a_second_sync_does_not_save_what_the_first_one_lost)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    bool lost = false;

    MUST(io_write_now(world.io, file, "x", 1, 0));
    sim_fail(world.sim, SIM_FAULT_SYNC, 1, ERR_IO, false);
    cr_assert_eq(io_datasync_now(world.io, file), ERR_IO);
    MUST(io_write_now(world.io, file, "y", 1, 1000));
    MUST(io_datasync_now(world.io, file));
    EACH_IMAGE(world.sim, image, restart)
    {
        lost |= byte_at(restart, "a", 0) == 0;
        cr_assert_eq(byte_at(restart, "a", 1000), 'y');
    }
    cr_assert(lost);
    MUST(io_write_now(world.io, file, "x", 1, 0)); /* written again and synced it is safe */
    MUST(io_datasync_now(world.io, file));
    EACH_IMAGE(world.sim, image, restart) cr_assert_eq(byte_at(restart, "a", 0), 'x');
    sim_abandon(world.sim);
}

/* A sync covers what had completed when it was submitted. */
Test(sim, a_sync_does_not_cover_later_writes)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    struct landing_pad pad = pad_make();
    bool lost = false;

    MUST(io_write_now(world.io, file, "x", 1, 0));
    sim_stall(world.sim, SIM_FAULT_SYNC, 1, 1000000000);
    io_datasync(world.io, &pad.op, file);
    MUST(io_write_now(world.io, file, "y", 1, 1000));
    cr_assert(pad.op.in_flight);
    MUST(io_await(world.io, &pad.op));
    EACH_IMAGE(world.sim, image, restart)
    {
        cr_assert_eq(byte_at(restart, "a", 0), 'x');
        lost |= byte_at(restart, "a", 1000) == 0;
    }
    cr_assert(lost);
    sim_abandon(world.sim);
}

Test(sim, a_stalled_write_lands_when_its_time_has_come)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, IO_DSYNC);
    struct landing_pad slow = pad_make(), quick = pad_make();

    sim_stall(world.sim, SIM_FAULT_WRITE, 1, 30000000000ULL);
    const uint64_t start_ns = io_now_ns(world.io);
    io_write(world.io, &slow.op, file, "x", 1, 0);
    io_write(world.io, &quick.op, file, "y", 1, 512);
    MUST(io_await(world.io, &quick.op));
    cr_assert(slow.op.in_flight);
    for (unsigned i = 0; i < 10; i++)
        MUST(io_turn(world.io, 1000000000, NULL));
    cr_assert(slow.op.in_flight);
    MUST(io_await(world.io, &slow.op));
    cr_assert_geq(io_now_ns(world.io) - start_ns, 30000000000ULL);
    sim_stall(world.sim, SIM_FAULT_WRITE, 1, UINT64_MAX / 2);
    io_write(world.io, &slow.op, file, "z", 1, 0);
    MUST(io_turn(world.io, 1000, NULL));
    cr_assert(slow.op.in_flight);
    sim_forgive(world.sim);
    MUST(io_await(world.io, &slow.op));
    sim_abandon(world.sim);
}

Test(sim, bits_flip)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 100, 0);
    uint8_t byte;
    size_t count;

    MUST(sim_flip(world.sim, "data/a", 17));
    MUST(io_read_now(world.io, file, &byte, 1, 2, &count));
    cr_assert_eq(byte, 2);
    struct sim *const restart = sim_crash(world.sim, 0, 1);
    cr_assert_eq(byte_at(restart, "a", 2), 2);
    sim_abandon(restart);
    cr_assert_eq(sim_flip(world.sim, "data/a", 800), ERR_NOT_FOUND);
    cr_assert_eq(sim_flip(world.sim, "data/b", 0), ERR_NOT_FOUND);
    sim_abandon(world.sim);
}

/* ---- the watcher, restarts of restarts ------------------------------------------------------------------
 */

struct watcher {
    uint64_t calls;
    uint64_t images;
    unsigned torn;
};

static void watch(void *context, struct sim *sim)
{
    struct watcher *const watcher = context;

    watcher->calls++;
    EACH_IMAGE(sim, image, restart)
    {
        watcher->images++;
        if (exists(restart, "a")) watcher->torn += byte_at(restart, "a", 0) != byte_at(restart, "a", 512);
    }
}

Test(sim, the_watcher_sees_the_world_before_each_event)
{
    struct world world = world_make(3, 512);
    struct watcher watcher = {0};
    uint8_t bytes[4096];

    memset(bytes, 1, sizeof bytes);
    struct io_file *const file = file_prepared(&world, "a", 4096, IO_DSYNC);
    const uint64_t events = sim_events(world.sim);
    sim_watch(world.sim, watch, &watcher);
    MUST(io_write_now(world.io, file, bytes, sizeof bytes, 0));
    MUST(io_write_now(world.io, file, bytes, sizeof bytes, 0));
    cr_assert_eq(watcher.calls, 2u);
    cr_assert_eq(sim_events(world.sim) - events, 2u);
    cr_assert_gt(watcher.torn, 0u, "a waiting write is in flight when the watcher looks");
    sim_abandon(world.sim);
}

Test(sim, equal_disks_have_equal_hashes_and_no_others)
{
    struct world world = world_make(3, 4096);
    struct io_file *const file = file_prepared(&world, "a", 16384, IO_DSYNC);
    static uint8_t bytes[16384];
    struct landing_pad pad = pad_make();
    uint64_t hashes[16] = {0};

    memset(bytes, 9, sizeof bytes);
    io_write(world.io, &pad.op, file, bytes, sizeof bytes, 0);
    EACH_IMAGE(world.sim, image, restart)
    {
        unsigned kept = 0;
        for (unsigned i = 0; i < 4; i++)
            kept |= (unsigned)(byte_at(restart, "data/a", i * 4096) == 9) << i;
        if (hashes[kept] != 0) cr_assert_eq(sim_disk_hash(restart), hashes[kept], "the same again");
        hashes[kept] = sim_disk_hash(restart);
    }
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < i; j++)
            cr_assert_neq(hashes[i], hashes[j], "%x and %x", i, j);
    sim_abandon(world.sim);
}

Test(sim, the_hash_of_a_disk_knows_names_sizes_and_what_is_written_later)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    const uint64_t zeros = sim_disk_hash(world.sim);

    MUST(io_write_now(world.io, file, "x", 1, 0));
    const uint64_t written = sim_disk_hash(world.sim);
    cr_assert_neq(written, zeros);
    MUST(io_write_now(world.io, file, "", 1, 0));
    cr_assert_eq(sim_disk_hash(world.sim), zeros, "bytes count, not that they were written");
    MUST(io_file_allocate(world.io, file, 0, 8192));
    const uint64_t longer = sim_disk_hash(world.sim);
    cr_assert_neq(longer, zeros);
    MUST(io_rename(world.io, world.dir, "a", "b"));
    cr_assert_neq(sim_disk_hash(world.sim), longer);
    MUST(io_rename(world.io, world.dir, "b", "a"));
    cr_assert_eq(sim_disk_hash(world.sim), longer);
    sim_abandon(world.sim);
}

static uint64_t images_hash(struct sim *sim)
{
    uint64_t hash = sim_images(sim);

    EACH_IMAGE(sim, image, restart) hash += sim_disk_hash(restart);
    return hash;
}

struct image_watch {
    uint64_t changes, hash;
    unsigned same, grown;
};

static void watch_images(void *context, struct sim *sim)
{
    struct image_watch *const watch = context;
    const uint64_t changes = sim_changes(sim), hash = images_hash(sim);

    if (watch->changes == changes) {
        cr_assert_eq(hash, watch->hash);
        watch->same++;
    } else {
        watch->grown += hash != watch->hash;
    }
    *watch = (struct image_watch){changes, hash, watch->same, watch->grown};
}

Test(sim, images_are_the_same_until_something_changes)
{
    struct world world = world_make(3, 512);
    struct image_watch watch = {0};
    uint8_t bytes[1024];
    size_t count;

    sim_watch(world.sim, watch_images, &watch);
    struct io_file *const file = file_open(&world, "a", IO_CREATE | IO_WRITABLE);
    for (unsigned i = 0; i < 4; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        MUST(io_write_now(world.io, file, bytes, sizeof bytes, i * 512));
        MUST(io_read_now(world.io, file, bytes, sizeof bytes, 0, &count));
        MUST(io_read_now(world.io, file, bytes, sizeof bytes, 0, &count));
        if (i % 2) MUST(io_datasync_now(world.io, file));
        MUST(io_rename(world.io, world.dir, i % 2 ? "b" : "a", i % 2 ? "a" : "b"));
        if (i % 2) MUST(io_dir_sync(world.io, world.dir));
    }
    cr_assert_gt(watch.same, 3u);
    cr_assert_gt(watch.grown, 8u);
    sim_abandon(world.sim);
}

Test(sim, a_restarted_world_can_be_used_and_crash_again)
{
    struct world world = world_make(3, 512);
    struct io_file *file = file_prepared(&world, "a", 40000, 0);

    MUST(io_write_now(world.io, file, "one", 3, 20000));
    MUST(io_datasync_now(world.io, file));
    struct sim *const second = sim_crash(world.sim, 0, 11);
    struct world restarted = world_of(second);
    file = file_open(&restarted, "a", IO_WRITABLE);
    char text[4] = "";
    size_t count;
    MUST(io_read_now(restarted.io, file, text, 3, 20000, &count));
    cr_assert_str_eq(text, "one");
    MUST(io_write_now(restarted.io, file, "two", 3, 20000));
    struct sim *const third = sim_crash(second, 0, 12), *const fourth = sim_crash(second, 1, 12);
    cr_assert_eq(byte_at(third, "a", 20000), 'o');
    cr_assert_eq(byte_at(fourth, "a", 20000), 't');
    cr_assert_eq(byte_at(world.sim, "a", 20000), 'o', "worlds do not see each other");
    cr_assert_geq(io_now_ns(restarted.io), io_now_ns(world.io));
    io_file_close(restarted.io, file);
    io_dir_close(restarted.io, restarted.dir);
    io_close(restarted.io);
    sim_close(second);
    sim_close(third);
    sim_close(fourth);
    sim_abandon(world.sim);
}

Test(sim, changing_a_buffer_in_flight_stops_the_test, .signal = SIGABRT)
{
    struct world world = world_make(3, 512);
    struct io_file *const file = file_prepared(&world, "a", 4096, 0);
    struct landing_pad pad = pad_make();
    uint8_t byte = 1;

    io_write(world.io, &pad.op, file, &byte, 1, 0);
    byte = 2;
    io_await(world.io, &pad.op);
}

/* A random run against a simple model: after any crash each byte is one that was written there or its first
 * value. */
Test(sim, random_histories_never_invent_bytes)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct world world = world_make(seed, 512);
        struct io_file *const plain = file_prepared(&world, "a", 16384, 0);
        struct io_file *const synced = file_open(&world, "a", IO_WRITABLE | IO_DSYNC);
        static uint8_t safe[32], last[32]; /* by sector: what is surely there, what was written last */
        uint8_t noise[60], bytes[512];

        memset(safe, 0, sizeof safe);
        memset(last, 0, sizeof last);
        io_random(world.io, noise, sizeof noise);
        for (unsigned step = 0; step < 60; step++) {
            const unsigned sector = noise[step] % 32;
            const uint8_t value = (uint8_t)(step + 1);
            memset(bytes, value, sizeof bytes);
            if (noise[step] >= 224) {
                MUST(io_datasync_now(world.io, plain));
                memcpy(safe, last, sizeof safe);
            } else {
                const bool durable = noise[step] >= 128;
                MUST(io_write_now(world.io, durable ? synced : plain, bytes, 512, sector * 512));
                last[sector] = value;
                if (durable) safe[sector] = value;
            }
            struct sim *const restart = sim_crash_random(world.sim, step);
            struct sim *const nothing = sim_crash(world.sim, 0, step);
            struct sim *const everything = sim_crash(world.sim, sim_images(world.sim) > 1, step);
            for (unsigned i = 0; i < 32; i++) {
                cr_assert_eq(byte_at(nothing, "a", i * 512), safe[i]);
                cr_assert_eq(byte_at(everything, "a", i * 512), last[i]);
                cr_assert_eq(byte_at(world.sim, "a", i * 512), last[i]);
                if (safe[i] == last[i] && sim_images(world.sim) == 1)
                    cr_assert_eq(byte_at(restart, "a", i * 512), last[i]);
            }
            sim_abandon(restart);
            sim_abandon(nothing);
            sim_abandon(everything);
        }
        sim_abandon(world.sim);
    }
}
