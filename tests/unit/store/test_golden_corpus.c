/*
 * Fuzz corpora that are made of blocks: the fuzzers begin with sound blocks and segments only as long as these are of
 * today's format. tests/golden/make writes them anew. The first byte of each tells the fuzzer what the rest is.
 */
#include "golden_segments.h"
#include "golden_spans.h"

#include "base/log.h"

enum {
    SEGMENT_FILE = 0,
    SEGMENT_MENDED = 1,
    SEGMENT_BLOCK = 2,
    BLOCK_OWN = 8
}; /* fuzz_segment.c, fuzz_block.c */
enum { BLOCKS = 2 };

static void write_seed(const char *path, unsigned first, struct slice bytes)
{
    uint8_t *const seed = malloc(bytes.len + 1);

    cr_assert_not_null(seed);
    seed[0] = (uint8_t)first;
    memcpy(seed + 1, bytes.ptr, bytes.len);
    golden_write(path, slice_of(seed, bytes.len + 1));
    free(seed);
}

static struct slice read_seed(const char *path)
{
    const struct slice seed = golden_read_segment(path);

    return slice_of(seed.ptr + 1, seed.len - 1);
}

/* ---- blocks --------------------------------------------------------------------------------------------- */

static void write_blocks(void)
{
    struct block_case c = block_case_open();
    struct fixture_block block = fixture_block_make(0, 3, 6);
    const struct slice bytes = slice_of(block.encoded.bytes, block.encoded.len);

    write_seed("fuzz/corpus/segment/block", SEGMENT_BLOCK, bytes);
    write_seed("fuzz/corpus/segment/block_mended", SEGMENT_BLOCK | SEGMENT_MENDED, bytes);
    fixture_block_free(&block);
    cr_assert_eq(golden_put(&c.live, 0, 5, golden_odd), OK);
    cr_assert_eq(block_case_encode(&c), OK);
    struct block_bytes unpacked = block_unpack(&c.bytes);
    write_seed("fuzz/corpus/block/own-packed", BLOCK_OWN, slice_of(c.bytes.bytes, c.bytes.len));
    write_seed("fuzz/corpus/block/own-unpacked", BLOCK_OWN, slice_of(unpacked.bytes, unpacked.len));
    free(unpacked.bytes);
    block_case_close(&c);
}

static void check_block(const char *path)
{
    const struct slice seed = read_seed(path);
    struct block_bytes bytes = {.bytes = malloc(seed.len), .len = seed.len};

    memcpy(bytes.bytes, seed.ptr, seed.len);
    cr_assert_eq(block_tour_bytes(&bytes), OK, "%s", path);
    free(bytes.bytes);
}

Test(golden_corpus, blocks_are_of_todays_format)
{
    if (golden_writing()) write_blocks();
    check_block("fuzz/corpus/segment/block");
    check_block("fuzz/corpus/segment/block_mended");
    check_block("fuzz/corpus/block/own-packed");
    check_block("fuzz/corpus/block/own-unpacked");
}

/* ---- segments ------------------------------------------------------------------------------------------- */

static void write_segments(void)
{
    struct world world = world_sim_new(1);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (unsigned seq = 1; seq <= BLOCKS; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    const struct slice closed = golden_sealed(&world, 0);
    const struct slice open = slice_of(closed.ptr, golden_trailer(closed).directory_offset);
    write_seed("fuzz/corpus/segment/closed", SEGMENT_FILE, closed);
    write_seed("fuzz/corpus/segment/closed_mended", SEGMENT_MENDED, closed);
    write_seed("fuzz/corpus/segment/open", SEGMENT_FILE, open);
    write_seed("fuzz/corpus/segment/open_mended", SEGMENT_MENDED, open);
    world_close(&world);
}

static void check_segment(const char *path, unsigned rebuilt)
{
    struct world world = world_sim_new(2);

    golden_put_segment(&world, 0, read_seed(path));
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.blocks, BLOCKS, "%s", path);
    cr_assert_eq(world.report.rebuilt, rebuilt, "%s", path);
    cr_assert_eq(world_count_blocks(&world), BLOCKS, "%s", path);
    world_close(&world);
}

Test(golden_corpus, segments_are_of_todays_format)
{
    log_set_level(LOG_ERROR + 1);
    if (golden_writing()) write_segments();
    check_segment("fuzz/corpus/segment/closed", 0);
    check_segment("fuzz/corpus/segment/closed_mended", 0);
    check_segment("fuzz/corpus/segment/open", 1);
    check_segment("fuzz/corpus/segment/open_mended", 1);
}
