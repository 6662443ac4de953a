/*
 * Segments on a disk that tells the truth and on one that does not: what was appended is read back, closed or
 * not, whole or torn, spoilt in one place or cut anywhere (faults D10, D12, D13, D15, K4, K8).
 */
#include "segment_fixture.h"
#include "segment_format.h"

#include "base/crc32c.h"

#include <criterion/criterion.h>

#define SEGMENT_0 "0000-000000000000.seg"
#define SEGMENT_1 "0000-000000000001.seg"

/* ---- files by hand ----------------------------------------------------------------------------------- */

struct image {
    uint8_t *bytes;
    size_t len;
};

static struct io_dir *segments_dir(struct world *world)
{
    struct io_dir *dir;
    cr_assert_eq(io_dir_open(world->io, world->dir, "segments", true, &dir), OK);
    return dir;
}

static struct image read_file(struct world *world, const char *name)
{
    struct io_dir *const dir = segments_dir(world);
    struct io_file *file;
    struct image image;
    uint64_t len;
    size_t count;

    cr_assert_eq(io_file_open(world->io, dir, name, 0, &file), OK);
    cr_assert_eq(io_file_size(world->io, file, &len), OK);
    image.len = len;
    image.bytes = malloc(len + 1);
    cr_assert_eq(io_read_now(world->io, file, image.bytes, len, 0, &count), OK);
    cr_assert_eq(count, len);
    io_file_close(world->io, file);
    io_dir_close(world->io, dir);
    return image;
}

static void write_file(struct world *world, const char *name, const void *bytes, size_t len)
{
    struct io_dir *const dir = segments_dir(world);
    struct io_file *file;

    cr_assert_eq(io_file_open(world->io, dir, name, IO_CREATE | IO_WRITABLE, &file), OK);
    if (len > 0) cr_assert_eq(io_write_now(world->io, file, bytes, len, 0), OK);
    cr_assert_eq(io_datasync_now(world->io, file), OK);
    cr_assert_eq(io_dir_sync(world->io, dir), OK);
    io_file_close(world->io, file);
    io_dir_close(world->io, dir);
}

/* A file of three blocks (seq 1 to 3 of shard 0), closed or as it is before closing. */
static struct image make_image(bool closed)
{
    struct world world = world_sim_new(1);

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 3; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    if (closed) cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    const struct image image = read_file(&world, SEGMENT_0);
    world_close(&world);
    return image;
}

/* A new world in which this is the only segment. */
static struct world world_with(const uint8_t *bytes, size_t len)
{
    struct world world = world_sim_new(2);

    write_file(&world, SEGMENT_0, bytes, len);
    return world;
}

static uint64_t block_end(const struct image *image, unsigned blocks)
{
    uint64_t end = 4096;
    for (unsigned i = 0; i < blocks; i++) {
        struct block_summary summary;
        cr_assert_eq(block_peek(image->bytes + end, &summary), OK);
        end += summary.bytes;
    }
    return end;
}

/* ---- round trips ------------------------------------------------------------------------------------- */

static void round_trip(struct world *world)
{
    cr_assert_eq(world_open_catalog(world), OK);
    for (uint64_t seq = 1; seq <= 10; seq++) { /* blocks_max 4: two closed, one open with two blocks */
        cr_assert_eq(world_append(world, 0, seq), OK);
        cr_assert_eq(world_append(world, 3, seq + 100), OK);
        cr_assert_eq(world_count_blocks(world), (int)seq * 2);
        cr_assert_eq(catalog_sealed_lsn(world->catalog, 0), seq * FIXTURE_LSN_STEP + FIXTURE_LSN_STEP);
        cr_assert_eq(catalog_next_seq(world->catalog, 3), seq + 101);
    }
    cr_assert(world_has(world, 3, 105));
    cr_assert_not(world_has(world, 3, 5));
    world_close_catalog(world);

    cr_assert_eq(world_open_catalog(world), OK);
    cr_assert_eq(world->report.segments, 8, "the last block of an open one moves to a file of its own");
    cr_assert_eq(world->report.blocks, 20);
    cr_assert_eq(world->report.rebuilt, 2, "the open ones are walked");
    cr_assert_eq(world->report.fenced + world->report.gaps + world->report.duplicates + world->report.ignored,
                 0);
    cr_assert_eq(world->report.cut_bytes, 0);
    cr_assert_eq(world_count_blocks(world), 20);
    cr_assert_eq(catalog_sealed_lsn(world->catalog, 0), 11 * FIXTURE_LSN_STEP);
    cr_assert_eq(catalog_next_seq(world->catalog, 3), 111);
    cr_assert_eq(catalog_sealed_lsn(world->catalog, 1), 0);
    cr_assert_eq(world_append(world, 0, 11), OK, "and it goes on in a new file");
    world_close_catalog(world);

    cr_assert_eq(world_open_catalog(world), OK);
    cr_assert_eq(world->report.segments, 9);
    cr_assert_eq(world->report.rebuilt, 1, "what recovery closed is closed");
    cr_assert_eq(world_count_blocks(world), 21);
}

Test(segment, keeps_blocks_over_restarts_in_the_simulation)
{
    struct world world = world_sim_new(3);
    round_trip(&world);
    world_close(&world);
}

Test(segment, keeps_blocks_over_restarts_on_a_real_disk)
{
    struct world world = world_real();
    round_trip(&world);
    world_close(&world);
}

Test(segment, answers_from_the_file_when_filters_do_not_fit_memory)
{
    struct world world = world_sim_new(4);

    world.config.filter_bytes_max = 1;
    round_trip(&world);
    world_close(&world);
}

Test(segment, closes_by_size_and_by_window)
{
    struct world world = world_sim_new(5);

    world.config.blocks_max = 100;
    world.config.bytes_max = 1; /* any second block is too much */
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 3; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    const struct catalog_view *view = catalog_acquire(world.catalog);
    cr_assert_eq(catalog_segments(view), 3);
    catalog_release(world.catalog, view);
    world_close_catalog(&world);

    world.config.bytes_max = 0;
    world.config.window_ns = 2; /* block n arrives n nanoseconds after the epoch of the test */
    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 4; seq <= 9; seq++)
        cr_assert_eq(world_append(&world, 0, seq), OK);
    view = catalog_acquire(world.catalog);
    cr_assert_eq(catalog_segments(view), 5, "4 5 6 | 7 8 9");
    catalog_release(world.catalog, view);
    world_close(&world);
}

Test(segment, seals_an_open_segment_only_once)
{
    struct world world = world_sim_new(6);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK, "nothing to close");
    cr_assert_eq(world_append(&world, 0, 1), OK);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    cr_assert_eq(world_count_blocks(&world), 1);
    world_close(&world);
}

/* Filters of blocks with very different numbers of keys share one row count, and still exclude foreign keys.
 */
Test(segment, interleaves_filters_of_different_sizes)
{
    struct world world = world_sim_new(7);
    const uint32_t spans[3] = {2, 3000, 40};

    cr_assert_eq(world_open_catalog(&world), OK);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct fixture_block block = fixture_block_make(0, seq, spans[seq - 1]);
        cr_assert_eq(segment_append(world.catalog, world.io, 0, &block.encoded), OK);
        fixture_block_free(&block);
    }
    for (unsigned closed = 0; closed < 2; closed++) {
        const struct catalog_view *const view = catalog_acquire(world.catalog);
        unsigned foreign = 0;
        for (uint32_t block = 0; block < 3; block++)
            for (uint64_t seq = 1; seq <= 3; seq++)
                for (uint32_t i = 0; i < spans[seq - 1]; i++) {
                    const struct trace_id trace = fixture_trace(0, seq, i);
                    const bool may = catalog_may_have_trace(view, world.io, block,
                                                            filter_hash_trace(trace.bytes));
                    if (seq == block + 1) cr_assert(may);
                    if (seq != block + 1) foreign += may;
                }
        cr_assert_lt(foreign, 60, "%u of 6084 foreign traces pass", foreign);
        catalog_release(world.catalog, view);
        cr_assert_eq(segment_seal(world.catalog, world.io, 0), OK);
    }
    world_close(&world);
}

/* ---- cut anywhere, spoilt anywhere ------------------------------------------------------------------- */

/* Whatever is left of a file: its whole blocks come back, nothing else, and the next start agrees. */
static void expect_prefix(const struct image *image, size_t len)
{
    struct world world = world_with(image->bytes, len);
    int expected = 0;

    for (unsigned blocks = 1; blocks <= 3; blocks++)
        if (block_end(image, blocks) <= len) expected = (int)blocks;
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_count_blocks(&world), expected, "cut at %zu", len);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0),
                 expected == 0 ? 0 : (uint64_t)(expected + 1) * FIXTURE_LSN_STEP);
    world_close_catalog(&world);

    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_count_blocks(&world), expected, "cut at %zu, second start", len);
    cr_assert_eq(world.report.rebuilt, 0, "recovery closed it");
    cr_assert_eq(world_append(&world, 0, 50), OK);
    world_close(&world);
}

Test(segment, recovers_every_prefix_of_an_unclosed_file)
{
    const struct image image = make_image(false);

    for (size_t len = 0; len <= image.len; len += 512)
        expect_prefix(&image, len);
    free(image.bytes);
}

Test(segment, recovers_every_prefix_of_a_closed_file)
{
    const struct image image = make_image(true);

    for (size_t len = block_end(&image, 2); len < image.len; len += 512)
        expect_prefix(&image, len);
    for (size_t len = image.len - 70; len < image.len; len++)
        expect_prefix(&image, len);
    free(image.bytes);
}

Test(segment, recovers_a_file_with_foreign_bytes_behind_it)
{
    const struct image image = make_image(true);
    uint8_t *const longer = malloc(image.len + 8192);

    memcpy(longer, image.bytes, image.len);
    memset(longer + image.len, 0xa5, 8192);
    struct world world = world_with(longer, image.len + 8192);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.rebuilt, 1);
    cr_assert_eq(world_count_blocks(&world), 3);
    world_close(&world);
    free(longer);
    free(image.bytes);
}

/* Every bit of the file, in turn: never a wrong block, never a lost one that is whole. */
static void spoil(const struct image *image, size_t at, uint8_t bit, int least, int most)
{
    uint8_t *const bytes = malloc(image->len);

    memcpy(bytes, image->bytes, image->len);
    bytes[at] ^= bit;
    struct world world = world_with(bytes, image->len);
    cr_assert_eq(world_open_catalog(&world), OK, "byte %zu", at);
    const int count = world_count_blocks(&world);
    if (count < 0) { /* damage inside a block of a closed file shows when it is read; it is fenced then */
        const int again = world_count_blocks(&world);
        cr_assert(again >= least || again < 0, "byte %zu bit %u", at, bit);
    } else {
        cr_assert(count >= least && count <= most, "byte %zu bit %u: %d blocks", at, bit, count);
    }
    world_close(&world);
    free(bytes);
}

Test(segment, survives_each_spoilt_byte_of_header_directory_and_trailer)
{
    const struct image image = make_image(true);
    struct segment_trailer trailer;

    memcpy(&trailer, image.bytes + image.len - sizeof trailer, sizeof trailer);
    for (size_t at = 0; at < 72; at++)
        spoil(&image, at, (uint8_t)(1 << at % 8), 3, 3);
    for (size_t i = 0; i < trailer.directory_length; i++)
        spoil(&image, trailer.directory_offset + i, (uint8_t)(1 << i % 8), 3, 3);
    for (size_t i = 0; i < sizeof trailer; i++)
        for (unsigned bit = 0; bit < 8; bit++)
            spoil(&image, image.len - sizeof trailer + i, (uint8_t)(1 << bit), 3, 3);
    free(image.bytes);
}

Test(segment, survives_spoilt_filter_rows)
{
    const struct image image = make_image(true);
    struct segment_trailer trailer;

    memcpy(&trailer, image.bytes + image.len - sizeof trailer, sizeof trailer);
    for (size_t at = trailer.directory_offset + trailer.directory_length; at < image.len - sizeof trailer;
         at += 7)
        spoil(&image, at, 0x10, 3, 3);
    free(image.bytes);
}

/* D10: a damaged block in a closed file is found when it is opened, fenced, and the others are served. */
Test(segment, fences_a_damaged_block_of_a_closed_file)
{
    const struct image image = make_image(true);
    uint8_t *const bytes = malloc(image.len);

    for (size_t at = block_end(&image, 1); at < block_end(&image, 1) + 216; at += 5) {
        memcpy(bytes, image.bytes, image.len);
        bytes[at] ^= 4;
        struct world world = world_with(bytes, image.len);
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world_count_blocks(&world), -1, "byte %zu", at);
        cr_assert_eq(catalog_fenced(world.catalog), 1);
        cr_assert_eq(world_count_blocks(&world), 2, "the others are served");
        cr_assert(world_has(&world, 0, 2), "and the block is known to be missing");
        world_close(&world);
    }
    free(bytes);
    free(image.bytes);
}

/*
 * Rot in the middle of an unclosed file is not a torn tail: whole blocks behind it stay. A spoilt header is found by the
 * start, what is spoilt behind a sound one when the block is looked into.
 */
Test(segment, keeps_blocks_behind_damage_in_an_unclosed_file)
{
    const struct image image = make_image(false);
    const uint64_t second = block_end(&image, 1);
    const struct {
        uint64_t at;
        int blocks;
        uint64_t sealed;
        unsigned fenced_by_start;
    } cases[] = {
        {second + 30, 2, 2 * FIXTURE_LSN_STEP, 1},   /* header: the third is a stray */
        {second + 4096, 2, 4 * FIXTURE_LSN_STEP, 0}, /* body: the third is found exactly */
        {4096 + 30, 2, 0, 1},                        /* first block's header */
        {4096 + 4096, 2, 4 * FIXTURE_LSN_STEP, 0},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *const bytes = malloc(image.len);
        memcpy(bytes, image.bytes, image.len);
        bytes[cases[i].at] ^= 1;
        struct world world = world_with(bytes, image.len);
        for (unsigned start = 0; start < 2; start++) {
            cr_assert_eq(world_open_catalog(&world), OK);
            if (start == 0) cr_assert_eq(world.report.fenced, cases[i].fenced_by_start);
            while (catalog_build_filters(world.catalog, world.io)) {
            }
            cr_assert_eq(world_count_blocks(&world), cases[i].blocks, "case %u start %u: %d", i, start,
                         world_count_blocks(&world));
            cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), cases[i].sealed, "case %u start %u: %lu", i,
                         start, (unsigned long)catalog_sealed_lsn(world.catalog, 0));
            cr_assert_eq(catalog_next_seq(world.catalog, 0), 4);
            cr_assert_eq(catalog_fenced(world.catalog), 1 - cases[i].fenced_by_start);
            world_close_catalog(&world);
        }
        world_close(&world);
        free(bytes);
    }
    free(image.bytes);
}

/* D24: span bytes that are a whole block, behind a torn header, must not move the sealed LSN or claim to be
 * next. */
Test(segment, is_not_led_astray_by_a_forged_block)
{
    const struct image image = make_image(false);
    struct fixture_block forged = fixture_block_make(0, 1000000, 3);
    const uint64_t second = block_end(&image, 1);
    const size_t len = second + 4096 + forged.encoded.len;
    uint8_t *const bytes = calloc(1, len);

    memcpy(bytes, image.bytes, second);
    memcpy(bytes + second + 4096, forged.bytes, forged.encoded.len);
    struct world world = world_with(bytes, len);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world_count_blocks(&world), 1, "its number is far off");
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 2 * FIXTURE_LSN_STEP);
    world_close(&world);
    fixture_block_free(&forged);

    forged = fixture_block_make(0, 5, 3);
    memcpy(bytes + second + 4096, forged.bytes, forged.encoded.len);
    world = world_with(bytes, len);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, 0), 2 * FIXTURE_LSN_STEP,
                 "a good guess does not move it either");
    world_close(&world);
    fixture_block_free(&forged);
    free(bytes);
    free(image.bytes);
}

/* ---- foreign files ----------------------------------------------------------------------------------- */

static void recrc_header(uint8_t *bytes)
{
    struct segment_header header;

    memcpy(&header, bytes, sizeof header);
    header.crc = 0;
    header.crc = crc32c(0, &header, sizeof header);
    memcpy(bytes, &header, sizeof header);
}

Test(segment, ignores_files_of_another_instance)
{
    for (unsigned closed = 0; closed < 2; closed++) {
        const struct image image = make_image(closed == 1);
        struct world world = world_with(image.bytes, image.len);
        world.config.instance = FIXTURE_INSTANCE + 1;
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world.report.ignored, 1);
        cr_assert_eq(world_count_blocks(&world), 0);
        world_close_catalog(&world);
        world.config.instance = FIXTURE_INSTANCE;
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world_count_blocks(&world), 3, "and leaves them alone");
        world_close(&world);
        free(image.bytes);
    }
}

Test(segment, refuses_a_newer_format)
{
    const struct image image = make_image(true);
    struct segment_header header;

    memcpy(&header, image.bytes, sizeof header);
    header.min_reader = SEGMENT_MAJOR + 1;
    memcpy(image.bytes, &header, sizeof header);
    recrc_header(image.bytes);
    struct world world = world_with(image.bytes, image.len);
    cr_assert_eq(world_open_catalog(&world), ERR_VERSION);
    world_close(&world);
    free(image.bytes);
}

/* D13: empty, all zeros, noise. D15: other names. */
Test(segment, leaves_alone_what_is_no_segment)
{
    struct world world = world_sim_new(8);
    uint8_t *const bytes = calloc(1, 64 * 1024);

    write_file(&world, "0000-000000000000.seg", bytes, 0);
    write_file(&world, "0000-000000000001.seg", bytes, 64 * 1024);
    memset(bytes, 0x5a, 64 * 1024);
    write_file(&world, "0000-000000000002.seg", bytes, 64 * 1024);
    write_file(&world, "0000-000000000003.seg", bytes, 100);
    write_file(&world, "notes.txt", bytes, 100);
    write_file(&world, "0000-a-name-longer-than-one-of-ours-can-ever-be.seg", bytes, 100);
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.ignored, 6);
    cr_assert_eq(world.report.segments, 0);
    cr_assert_eq(world_append(&world, 0, 1), OK, "names in use are stepped over");
    cr_assert_eq(world_count_blocks(&world), 1);
    world_close(&world);
    free(bytes);
}

Test(segment, uses_a_closed_file_whose_header_is_gone)
{
    for (unsigned closed = 0; closed < 2; closed++) {
        const struct image image = make_image(closed == 1);
        memset(image.bytes, 0, 4096);
        struct world world = world_with(image.bytes, image.len);
        cr_assert_eq(world_open_catalog(&world), OK);
        cr_assert_eq(world_count_blocks(&world), 3);
        world_close(&world);
        free(image.bytes);
    }
}
