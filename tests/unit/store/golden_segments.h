/*
 * Segment files in and out of a world: the only one of a shard, as it lies on the disk.
 */
#ifndef TEST_STORE_GOLDEN_SEGMENTS_H
#define TEST_STORE_GOLDEN_SEGMENTS_H

#include "golden.h"
#include "segment_fixture.h"
#include "segment_format.h"

#include <criterion/criterion.h>

enum { GOLDEN_SEGMENT_BYTES_MAX = 1 << 18 };

static uint8_t golden_segment[GOLDEN_SEGMENT_BYTES_MAX] __attribute__((aligned(4096)));

static inline struct io_file *golden_segment_file(struct world *world, uint16_t shard, struct io_dir **dir,
                                                  unsigned flags)
{
    struct io_file *file;
    char name[32];

    snprintf(name, sizeof name, "%04u-000000000000.seg", shard);
    cr_assert_eq(io_dir_open(world->io, world->dir, "segments", true, dir), OK);
    cr_assert_eq(io_file_open(world->io, *dir, name, flags, &file), OK);
    return file;
}

/* Reads the shard's segment. Valid until the next one is read. */
static inline struct slice golden_segment_of(struct world *world, uint16_t shard)
{
    struct io_dir *dir;
    size_t len;

    struct io_file *const file = golden_segment_file(world, shard, &dir, 0);
    cr_assert_eq(io_read_now(world->io, file, golden_segment, sizeof golden_segment, 0, &len), OK);
    cr_assert_lt(len, sizeof golden_segment);
    io_file_close(world->io, file);
    io_dir_close(world->io, dir);
    return slice_of(golden_segment, len);
}

/* Closes it before. */
static inline struct slice golden_sealed(struct world *world, uint16_t shard)
{
    cr_assert_eq(segment_seal(world->catalog, world->io, shard), OK);
    return golden_segment_of(world, shard);
}

static inline struct segment_trailer golden_trailer(struct slice segment)
{
    struct segment_trailer trailer;

    memcpy(&trailer, segment.ptr + segment.len - sizeof trailer, sizeof trailer);
    return trailer;
}

static inline struct slice golden_read_segment(const char *path)
{
    return golden_read(path, golden_segment, sizeof golden_segment);
}

static inline void golden_put_segment(struct world *world, uint16_t shard, struct slice segment)
{
    struct io_dir *dir;
    struct io_file *const file = golden_segment_file(world, shard, &dir, IO_CREATE | IO_WRITABLE);

    cr_assert_eq(io_write_now(world->io, file, segment.ptr, segment.len, 0), OK);
    cr_assert_eq(io_datasync_now(world->io, file), OK);
    cr_assert_eq(io_dir_sync(world->io, dir), OK);
    io_file_close(world->io, file);
    io_dir_close(world->io, dir);
}

#endif
