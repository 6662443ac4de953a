/* The golden superblock is taken as what it was. */
#include "golden.h"
#include "segment_fixture.h"

#include "store/superblock.h"

#include <criterion/criterion.h>

enum { SUPERBLOCK_BYTES = 8192 };

static uint8_t room[2 * SUPERBLOCK_BYTES];

static struct io_file *superblock_file(struct world *world, unsigned flags)
{
    struct io_file *file;

    cr_assert_eq(io_file_open(world->io, world->dir, "superblock", flags, &file), OK);
    return file;
}

static void write_golden(void)
{
    struct golden_json json = golden_json_open("golden/superblock-v1.json");
    struct world world = world_sim_new(1);
    struct superblock superblock;
    size_t len;

    cr_assert_eq(superblock_open(world.io, world.dir, &superblock), OK);
    superblock_close(&superblock, world.io);
    struct io_file *const file = superblock_file(&world, 0);
    cr_assert_eq(io_read_now(world.io, file, room, sizeof room, 0, &len), OK);
    cr_assert_eq(len, SUPERBLOCK_BYTES);
    io_file_close(world.io, file);
    golden_write("golden/superblock-v1.bin", slice_of(room, len));
    GOLDEN_NUMBER(&json, &superblock, instance);
    GOLDEN_BYTES(&json, &superblock, uuid);
    GOLDEN_NUMBER(&json, &superblock, created_ns);
    golden_json_close(&json);
    world_close(&world);
}

Test(golden_superblock, of_version_1_is_read)
{
    if (golden_writing()) write_golden();
    const struct slice golden = golden_read("golden/superblock-v1.bin", room, sizeof room);
    struct world world = world_sim_new(2);
    struct superblock read;
    uint64_t created_ns;

    struct io_file *const file = superblock_file(&world, IO_CREATE | IO_WRITABLE);
    cr_assert_eq(io_write_now(world.io, file, golden.ptr, golden.len, 0), OK);
    io_file_close(world.io, file);
    cr_assert_eq(superblock_open(world.io, world.dir, &read), OK);
    cr_assert_arr_eq(read.uuid, golden.ptr + 24, sizeof read.uuid);
    memcpy(&created_ns, golden.ptr + 40, sizeof created_ns);
    cr_assert_eq(read.created_ns, created_ns);
    superblock_close(&read, world.io);
    world_close(&world);
}
