/* Who a data directory belongs to, and that it is one process at a time (faults D10, D14, D22, K9, U5). */
#include "store/superblock.h"

#include "segment_fixture.h"

#include "base/crc32c.h"
#include "store/look.h"

#include <criterion/criterion.h>

static struct io_file *open_file(struct world *world, const char *name)
{
    struct io_file *file;
    cr_assert_eq(io_file_open(world->io, world->dir, name, IO_WRITABLE, &file), OK);
    return file;
}

static void spoil(struct world *world, uint64_t at)
{
    struct io_file *const file = open_file(world, "superblock");
    uint8_t byte;
    size_t count;

    cr_assert_eq(io_read_now(world->io, file, &byte, 1, at, &count), OK);
    byte ^= 0x20;
    cr_assert_eq(io_write_now(world->io, file, &byte, 1, at), OK);
    io_file_close(world->io, file);
}

static struct superblock open_once(struct world *world)
{
    struct superblock superblock;
    cr_assert_eq(superblock_open(world->io, world->dir, &superblock), OK);
    superblock_close(&superblock, world->io);
    return superblock;
}

Test(superblock, keeps_its_identity)
{
    struct world world = world_sim_new(1);
    const struct superblock first = open_once(&world), second = open_once(&world);
    uint64_t low;

    memcpy(&low, first.uuid, sizeof low);
    cr_assert_eq(first.instance, low);
    cr_assert_neq(first.instance, 0);
    cr_assert_arr_eq(first.uuid, second.uuid, sizeof first.uuid);
    cr_assert_eq(first.created_ns, second.created_ns);
    cr_assert_eq(second.major, 1);
    world_close(&world);
}

Test(superblock, of_two_directories_differ)
{
    struct world one = world_real(), two = world_real();

    cr_assert_neq(open_once(&one).instance, open_once(&two).instance);
    world_close(&one);
    world_close(&two);
}

Test(superblock, is_repaired_from_either_copy)
{
    struct world world = world_sim_new(2);
    const struct superblock first = open_once(&world);

    for (uint64_t at = 0; at < 8192; at += 61) {
        spoil(&world, at);
        cr_assert_eq(open_once(&world).instance, first.instance, "byte %lu", (unsigned long)at);
        spoil(&world, (at + 4096) % 8192); /* fails if the first was not repaired */
        cr_assert_eq(open_once(&world).instance, first.instance, "byte %lu, other copy", (unsigned long)at);
    }
    world_close(&world);
}

Test(superblock, damaged_in_both_copies_is_refused)
{
    struct world world = world_sim_new(3);
    struct superblock superblock;

    open_once(&world);
    spoil(&world, 30);
    spoil(&world, 4096 + 30);
    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), ERR_CORRUPT);
    world_close(&world);
}

Test(superblock, missing_beside_segments_is_refused)
{
    struct world world = world_sim_new(4);
    struct superblock superblock;

    world.config.instance = open_once(&world).instance;
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(io_unlink(world.io, world.dir, "superblock"), OK);
    world_close_catalog(&world);
    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), OK, "no segment yet: as good as new");
    superblock_close(&superblock, world.io);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_append(&world, 0, 1), OK);
    cr_assert_eq(io_unlink(world.io, world.dir, "superblock"), OK);
    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), ERR_CORRUPT);
    world_close(&world);
}

Test(superblock, of_a_newer_version_is_refused)
{
    struct world world = world_sim_new(5);
    struct superblock superblock;
    static uint8_t page[4096];
    size_t count;

    open_once(&world);
    struct io_file *const file = open_file(&world, "superblock");
    cr_assert_eq(io_read_now(world.io, file, page, sizeof page, 0, &count), OK);
    page[12] = 2; /* min_reader */
    memset(page + 16, 0, 4);
    const uint32_t crc = crc32c(0, page, sizeof page);
    memcpy(page + 16, &crc, sizeof crc);
    cr_assert_eq(io_write_now(world.io, file, page, sizeof page, 0), OK);
    cr_assert_eq(io_write_now(world.io, file, page, sizeof page, 4096), OK);
    io_file_close(world.io, file);
    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), ERR_VERSION);
    world_close(&world);
}

Test(superblock, admits_one_owner_at_a_time)
{
    struct world world = world_real();
    struct superblock first, second;

    cr_assert_eq(superblock_open(world.io, world.dir, &first), OK);
    cr_assert_eq(superblock_open(world.io, world.dir, &second), ERR_BUSY);
    superblock_close(&first, world.io);
    cr_assert_eq(superblock_open(world.io, world.dir, &second), OK);
    superblock_close(&second, world.io);
    world_close(&world);
}

/* A crash at each event of the first start: the next one begins again, or finds what is durable. */
struct enumeration {
    unsigned images;
    bool done; /* the directory's identity is durable */
    uint64_t instance;
};

static void start_in(struct sim *sim, const struct enumeration *enumeration)
{
    struct world world = world_sim(sim);
    struct superblock superblock;

    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), OK);
    if (enumeration->done) cr_assert_eq(superblock.instance, enumeration->instance);
    superblock_close(&superblock, world.io);
    io_dir_close(world.io, world.dir);
    io_close(world.io);
    sim_close(sim);
}

static void crash_here(void *context, struct sim *sim)
{
    struct enumeration *const enumeration = context;

    for (uint64_t image = 0; image < sim_images(sim); image++) {
        start_in(sim_crash(sim, image, image + 1), enumeration);
        enumeration->images++;
    }
}

Test(superblock, survives_a_crash_at_every_event)
{
    struct enumeration enumeration = {.images = 0};
    struct world world = world_sim_new(6);

    sim_watch(world.sim, crash_here, &enumeration);
    enumeration.instance = open_once(&world).instance;
    enumeration.done = true;
    open_once(&world);
    sim_watch(world.sim, NULL, NULL);
    cr_assert_gt(enumeration.images, 20);
    world_close(&world);
}

Test(superblock, survives_a_fault_in_every_operation)
{
    for (uint64_t nth = 1; nth < 30; nth++) {
        struct world world = world_sim_new(7);
        struct superblock superblock;
        sim_fail(world.sim, SIM_FAULT_ANY, nth, ERR_IO, false);
        const enum err err = superblock_open(world.io, world.dir, &superblock);
        if (err == OK) superblock_close(&superblock, world.io);
        sim_forgive(world.sim);
        const uint64_t instance = open_once(&world).instance;
        cr_assert_eq(open_once(&world).instance, instance);
        if (err == OK) cr_assert_eq(superblock.instance, instance);
        world_close(&world);
    }
}

/* ---- looking ----------------------------------------------------------------------------------------- */

static struct superblock_look look_at(struct world *world)
{
    struct superblock_look look;
    struct io_file *file;

    cr_assert_eq(io_file_open(world->io, world->dir, "superblock", 0, &file), OK);
    cr_assert_eq(superblock_look(world->io, file, &look), OK);
    io_file_close(world->io, file);
    return look;
}

Test(superblock, a_look_tells_both_copies_and_repairs_none)
{
    struct world world = world_sim_new(1);
    const struct superblock made = open_once(&world);
    struct superblock_look look = look_at(&world);

    cr_assert(look.sound[0] && look.sound[1] && !look.differ);
    cr_assert_eq(look.instance, made.instance);
    cr_assert_eq(look.created_ns, made.created_ns);
    spoil(&world, 3000);
    look = look_at(&world);
    cr_assert(!look.sound[0] && look.sound[1]);
    cr_assert_eq(look.instance, made.instance);
    look = look_at(&world);
    cr_assert(!look.sound[0], "it is as it was");
    spoil(&world, 5000);
    look = look_at(&world);
    cr_assert(!look.sound[0] && !look.sound[1]);
    world_close(&world);
}
