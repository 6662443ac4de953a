/* Segment files as they lie: closed, not closed, and spoilt in each of their parts. */
#include "golden_segments.h"

#include "base/log.h"
#include "store/look.h"

#include <criterion/criterion.h>

enum { SHARD = 1, BLOCKS = 3 };

struct told {
    unsigned count;
    const char *first;
    uint64_t offset;
};

static void note(void *context, const struct look_fault *fault)
{
    struct told *const told = context;

    if (told->count++ > 0) return;
    told->first = fault->what;
    told->offset = fault->offset;
}

struct scene {
    struct world world;
    struct io_dir *segments;
};

/* Three blocks in one file. */
static struct scene scene_open(bool closed)
{
    struct scene scene = {.world = world_sim_new(3)};

    log_set_level(LOG_ERROR + 1);
    cr_assert_eq(world_open_catalog(&scene.world), OK);
    for (uint64_t seq = 0; seq < BLOCKS; seq++)
        cr_assert_eq(world_append(&scene.world, SHARD, seq), OK);
    if (closed) cr_assert_eq(segment_seal(scene.world.catalog, scene.world.io, SHARD), OK);
    world_close_catalog(&scene.world);
    cr_assert_eq(io_dir_open(scene.world.io, scene.world.dir, "segments", false, &scene.segments), OK);
    return scene;
}

static void scene_close(struct scene *scene)
{
    io_dir_close(scene->world.io, scene->segments);
    world_close(&scene->world);
}

static struct segment_look *look_at(struct scene *scene)
{
    struct segment_look *look;

    cr_assert_eq(segment_look_open(scene->world.io, scene->segments, "0001-000000000000.seg", &look), OK);
    return look;
}

static void spoil(struct scene *scene, uint64_t at)
{
    struct io_dir *dir;
    struct io_file *const file = golden_segment_file(&scene->world, SHARD, &dir, IO_WRITABLE);
    uint8_t byte;
    size_t count;

    cr_assert_eq(io_read_now(scene->world.io, file, &byte, 1, at, &count), OK);
    cr_assert_eq(count, 1);
    byte ^= 0x10;
    cr_assert_eq(io_write_now(scene->world.io, file, &byte, 1, at), OK);
    io_file_close(scene->world.io, file);
    io_dir_close(scene->world.io, dir);
}

static struct told check(struct segment_look *look)
{
    struct told told = {.first = "nothing"};

    cr_assert_eq(segment_look_check(look, note, &told), OK);
    return told;
}

/* Blocks and filters belong together. */
static void assert_blocks(struct segment_look *look, bool filters)
{
    struct told told = {.first = "nothing"};

    cr_assert_eq(look->blocks_count, BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        const struct block_source source = segment_look_source(look, i);
        struct filter of_block[2];
        for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++) {
            cr_assert_eq(segment_look_filters(look, kind, i, 1, &of_block[kind], note, &told), OK);
            cr_assert_eq(of_block[kind].cells > 0, filters);
        }
        cr_assert_eq(block_verify(&source, &look->blocks[i].summary, of_block, note, &told), OK);
        if (filters)
            cr_assert_not(filter_may_contain(&of_block[FILTER_TOKEN], fixture_token(SHARD, i + 100)) &&
                              filter_may_contain(&of_block[FILTER_TOKEN], fixture_token(SHARD, i + 200)),
                          "it is not all ones");
        free(of_block[FILTER_TRACE].bytes);
        free(of_block[FILTER_TOKEN].bytes);
    }
    cr_assert_eq(told.count, 0, "%s", told.first);
}

Test(segment_look, a_closed_segment_is_what_its_directory_says)
{
    struct scene scene = scene_open(true);
    struct segment_look *const look = look_at(&scene);

    cr_assert(look->header_sound && look->trailer_sound && look->closed);
    cr_assert_eq(look->instance, FIXTURE_INSTANCE);
    cr_assert_eq(look->shard, SHARD);
    cr_assert_eq(check(look).count, 0, "%s", check(look).first);
    assert_blocks(look, true);
    segment_look_close(look);
    scene_close(&scene);
}

Test(segment_look, one_that_is_not_closed_is_walked)
{
    struct scene scene = scene_open(false);
    struct segment_look *const look = look_at(&scene);

    cr_assert(look->header_sound && !look->closed);
    cr_assert_eq(look->end, look->file_bytes);
    cr_assert_eq(check(look).count, 0);
    assert_blocks(look, false);
    segment_look_close(look);
    scene_close(&scene);
}

Test(segment_look, the_golden_segment)
{
    struct scene scene = {.world = world_sim_new(4)};

    golden_put_segment(&scene.world, SHARD, golden_read_segment("golden/segment-v1.bin"));
    cr_assert_eq(io_dir_open(scene.world.io, scene.world.dir, "segments", false, &scene.segments), OK);
    struct segment_look *const look = look_at(&scene);
    cr_assert(look->closed);
    cr_assert_eq(check(look).count, 0, "%s", check(look).first);
    cr_assert_eq(look->blocks_count, 3);
    segment_look_close(look);
    scene_close(&scene);
}

static void assert_told(uint64_t at, const char *what)
{
    struct scene scene = scene_open(true);

    spoil(&scene, at);
    struct segment_look *const look = look_at(&scene);
    const struct told told = check(look);
    cr_assert_geq(told.count, 1, "nothing instead of: %s", what);
    cr_assert_str_eq(told.first, what);
    segment_look_close(look);
    scene_close(&scene);
}

Test(segment_look, each_part_that_is_spoilt_is_told)
{
    struct scene scene = scene_open(true);
    struct segment_look *const look = look_at(&scene);
    const uint64_t directory = look->directory_offset, last = look->file_bytes - 65;

    assert_told(2000, "the segment's header fails its checksum");
    assert_told(directory + 130, "the directory fails its checksum");
    assert_told(last, "bytes that belong to nothing are not zero");
    segment_look_close(look);
    scene_close(&scene);
}

Test(segment_look, a_spoilt_filter_row_says_nothing_any_more)
{
    struct scene scene = scene_open(true);
    struct told told = {.first = "nothing"};
    struct filter filter;

    struct segment_look *look = look_at(&scene);
    const uint64_t row = look->rows_offset[FILTER_TOKEN];
    segment_look_close(look);
    spoil(&scene, row + 5);
    look = look_at(&scene);
    cr_assert_eq(segment_look_filters(look, FILTER_TRACE, 0, 1, &filter, note, &told), OK);
    cr_assert(filter.cells > 0 && told.count == 0);
    free(filter.bytes);
    cr_assert_eq(segment_look_filters(look, FILTER_TOKEN, 0, 1, &filter, note, &told), OK);
    cr_assert(filter.cells == 0 && told.count == 1);
    cr_assert_str_eq(told.first, "a filter row fails its checksum");
    cr_assert_eq(told.offset, row);
    free(filter.bytes);
    segment_look_close(look);
    scene_close(&scene);
}

Test(segment_look, a_spoilt_trailer_makes_it_one_that_is_walked)
{
    struct scene scene = scene_open(true);
    struct segment_look *look = look_at(&scene);
    const uint64_t end = look->file_bytes, blocks_end = look->directory_offset;

    segment_look_close(look);
    spoil(&scene, end - 3);
    look = look_at(&scene);
    cr_assert(!look->closed && !look->trailer_sound);
    cr_assert_eq(look->blocks_count, BLOCKS);
    cr_assert_eq(look->end, blocks_end);
    cr_assert_eq(check(look).count, 1);
    cr_assert_str_eq(check(look).first, "the trailer fails its checksum");
    segment_look_close(look);
    scene_close(&scene);
}
