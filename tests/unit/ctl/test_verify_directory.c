/* A data directory as a whole: what is sound is told to be, what is missing or does not fit together is found. */
#include "data_directory.h"

#include "base/clock.h"
#include "store/compaction.h"
#include "store/pins.h"

static struct data whole(void)
{
    struct data data = data_open(11);

    data_segment(&data, 0, 0, DATA_BLOCKS, true);
    data_journal(&data);
    return data;
}

Test(verify_directory, a_sound_one_has_no_finding)
{
    struct data data = whole();
    const struct told told = data_told(&data);

    cr_assert_eq(told.damaged, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.notes, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.totals.segments, 1);
    cr_assert_eq(told.totals.blocks, DATA_BLOCKS);
    cr_assert_eq(told.totals.spans, 3 + 4 + 5 + 6 + 7);
    data_close(&data);
}

Test(verify_directory, the_lock_of_a_server_is_respected)
{
    struct data data = whole();
    struct superblock superblock;
    struct told told;

    cr_assert_eq(superblock_open(data.world.io, data.world.dir, &superblock), OK);
    cr_assert_eq(data_verify(&data, false, &told), ERR_BUSY);
    cr_assert_eq(data_verify(&data, true, &told), OK);
    cr_assert_eq(told.totals.segments, 1);
    cr_assert_eq(told.damaged, 0);
    superblock_close(&superblock, data.world.io);
    cr_assert_eq(data_verify(&data, false, &told), OK);
    data_close(&data);
}

Test(verify_directory, beside_a_server_open_segments_and_journals_are_left_out)
{
    struct data data = data_open(12);
    struct told told;

    data_segment(&data, 0, 0, DATA_BLOCKS, false);
    data_journal(&data);
    data_flip(&data, "journal-0", "00000000", 100);
    cr_assert_eq(data_verify(&data, true, &told), OK);
    cr_assert_eq(told.totals.segments, 0);
    cr_assert_eq(told.damaged, 0);
    cr_assert_eq(data_told(&data).damaged, 1);
    data_close(&data);
}

Test(verify_directory, what_a_crash_leaves_is_a_note)
{
    struct data data = data_open(13);

    data_segment(&data, 0, 0, DATA_BLOCKS, false);
    data_journal(&data);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.notes, 1);
    cr_assert_eq(strncmp(told.first.what, "not closed", 10), 0, "%s", told.first.what);
    cr_assert_eq(told.totals.blocks, DATA_BLOCKS);
    data_close(&data);
}

static void remove_file(struct data *data, const char *in, const char *name)
{
    struct io_dir *dir;

    cr_assert_eq(io_dir_open(data->world.io, data->world.dir, in, false, &dir), OK);
    cr_assert_eq(io_unlink(data->world.io, dir, name), OK);
    io_dir_close(data->world.io, dir);
}

/* Three segments, the middle one goes. */
Test(verify_directory, a_segment_that_is_missing_is_a_hole_in_the_journal)
{
    struct data data = data_open(14);

    data_segment(&data, 0, 0, 2, true);
    data_segment(&data, 0, 2, 3, true);
    data_segment(&data, 0, 3, DATA_BLOCKS, true);
    data_journal(&data);
    cr_assert_eq(data_told(&data).damaged, 0);
    remove_file(&data, "segments", "0000-000000000001.seg");
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 1);
    cr_assert_str_eq(told.first.file, "segments/0000-000000000002.seg");
    cr_assert_str_eq(told.first.what,
                     "shard 0: between blocks 1 and 3 the journal from 2000 to 3000 is in no block");
    data_close(&data);
}

/* The journal still has what was in the newest blocks, so nothing is lost: a start reads it again. */
Test(verify_directory, blocks_that_the_journal_still_covers_may_be_missing)
{
    struct data data = whole();

    remove_file(&data, "segments", "0000-000000000000.seg");
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 0, "%s: %s", told.first.file, told.first.what);
    data_close(&data);
}

Test(verify_directory, journal_and_segments_that_are_not_of_one_store)
{
    struct data data = data_open(15);

    data_segment(&data, 0, 0, DATA_BLOCKS + 4, true); /* up to LSN 9000, in the middle of a request */
    data_journal(&data);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 1);
    cr_assert_str_eq(told.first.file, "journal-0");
    data_close(&data);
}

Test(verify_directory, a_block_in_two_files_is_a_note)
{
    struct data data = whole();
    static uint8_t bytes[1 << 18];
    struct io_dir *dir;
    struct io_file *file;
    size_t len;

    file = data_file(&data, "segments", "0000-000000000000.seg", &dir);
    cr_assert_eq(io_read_now(data.world.io, file, bytes, sizeof bytes, 0, &len), OK);
    io_file_close(data.world.io, file);
    cr_assert_eq(io_file_open(data.world.io, dir, "0000-000000000077.seg", IO_CREATE | IO_WRITABLE, &file),
                 OK);
    cr_assert_eq(io_write_now(data.world.io, file, bytes, len, 0), OK);
    io_file_close(data.world.io, file);
    io_dir_close(data.world.io, dir);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 0, "%s", told.first.what);
    cr_assert_eq(told.notes, DATA_BLOCKS);
    data_close(&data);
}

Test(verify_directory, a_superblock_that_is_missing)
{
    struct data data = whole();

    cr_assert_eq(io_unlink(data.world.io, data.world.dir, "superblock"), OK);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 1);
    cr_assert_str_eq(told.first.file, "superblock");
    data_close(&data);
}

Test(verify_directory, a_directory_that_is_none)
{
    struct world world = world_sim_new(16);
    struct data data = {.world = world};
    struct told told;

    cr_assert_eq(data_verify(&data, false, &told), ERR_NOT_FOUND);
    data_close(&data);
}

/* ---- merged segments ----------------------------------------------------------------------------------- */

static struct slice read_first(struct data *data)
{
    static uint8_t bytes[1 << 18];
    const struct slice whole = data_read(data, "segments", "0000-000000000000.seg");

    memcpy(bytes, whole.ptr, whole.len);
    return slice_of(bytes, whole.len);
}

static void put_back(struct data *data, const char *name, struct slice bytes)
{
    struct io_dir *dir;
    struct io_file *file;

    cr_assert_eq(io_dir_open(data->world.io, data->world.dir, "segments", false, &dir), OK);
    cr_assert_eq(io_file_open(data->world.io, dir, name, IO_CREATE | IO_WRITABLE, &file), OK);
    cr_assert_eq(io_write_now(data->world.io, file, bytes.ptr, bytes.len, 0), OK);
    data_file_close(data, file, dir);
}

/* Two segments, for one alone is not worth a merge. */
static struct data open_for_merge(void)
{
    struct data data = data_open(17);

    data_segment(&data, 0, 0, 2, true);
    data_segment(&data, 0, 2, DATA_BLOCKS, true);
    data_journal(&data);
    return data;
}

/* A merge of all there is: the blocks of the shard are gone, its position is in the merged segment. */
static void merge(struct data *data)
{
    const struct compaction_config config = {.reserve_free = 1};
    struct compactor *compactor;

    cr_assert_eq(world_open_catalog(&data->world), OK);
    cr_assert_eq(compactor_open(data->world.catalog, &config, &compactor), OK);
    while (compactor_step(compactor, data->world.io, fixture_arrival_ns + 2 * 3600 * NS_PER_S))
        ;
    cr_assert_eq(compactor_counts(compactor)->failures, 0);
    cr_assert_eq(compactor_counts(compactor)->merges[1], 1);
    compactor_close(compactor, data->world.io);
    world_close_catalog(&data->world);
}

Test(verify_directory, a_merged_segment_stands_for_blocks_and_their_place_in_the_journal)
{
    struct data data = open_for_merge();

    merge(&data);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.notes, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.totals.segments, 1);
    cr_assert_eq(told.totals.spans, 3 + 4 + 5 + 6 + 7);
    data_flip(&data, "journal-0", "00000000",
              8192 + 100); /* of the request that is in blocks: not needed, but told */
    cr_assert_eq(data_told(&data).damaged, 1);
    data_close(&data);
}

static bool keep_first(void *context, const char *name)
{
    char *const first = context;

    if (first[0] == '\0' && strncmp(name, "0000-", 5) == 0) snprintf(first, 64, "%s", name);
    return true;
}

/* What number it has follows from what has been there. */
static void remove_first_of_shard(struct data *data)
{
    char name[64] = "";
    struct io_dir *dir;

    cr_assert_eq(io_dir_open(data->world.io, data->world.dir, "segments", false, &dir), OK);
    cr_assert_eq(io_dir_list(data->world.io, dir, keep_first, name), OK);
    io_dir_close(data->world.io, dir);
    remove_file(data, "segments", name);
}

Test(verify_directory, what_goes_on_behind_merged_blocks)
{
    struct data data = open_for_merge();

    merge(&data);
    data_segment(&data, 0, DATA_BLOCKS, DATA_BLOCKS + 1, true);
    remove_file(&data, "journal-0", "00000000"); /* its frames do not end where these blocks do */
    remove_file(&data, "journal-0", "00000001");
    cr_assert_eq(data_told(&data).damaged, 0, "%s", data_told(&data).first.what);
    data_segment(&data, 0, DATA_BLOCKS + 1, DATA_BLOCKS + 2, true);
    remove_first_of_shard(&data);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 1);
    cr_assert_eq(strncmp(told.first.what, "shard 0: between blocks 4 and 6 ", 32), 0, "%s", told.first.what);
    data_close(&data);
}

Test(verify_directory, a_segment_that_was_merged_and_not_removed_is_a_note)
{
    struct data data = open_for_merge();
    const struct slice before = read_first(&data);

    merge(&data);
    put_back(&data, "0000-000000000000.seg", before);
    put_back(&data, "1024-000000000009.tmp", before);
    const struct told told = data_told(&data);
    cr_assert_eq(told.damaged, 0, "%s: %s", told.first.file, told.first.what);
    cr_assert_eq(told.notes, 2);
    cr_assert_str_eq(told.first.what,
                     "merged into segments/1024-000000000000.seg: the next start removes it");
    cr_assert_eq(told.totals.segments, 1);
    data_close(&data);
}

Test(verify_directory, D10_a_list_that_is_damaged_is_found)
{
    struct data data = whole();
    struct pin pin = {.selector = {.end_ns = UINT64_MAX}, .owner = "ann", .reason = "audit"};
    struct pins *pins;

    cr_assert_eq(pins_open(data.world.io, data.world.dir, data.instance, &pins), OK);
    cr_assert_eq(pins_add(pins, data.world.io, 0, &pin), OK);
    pins_close(pins);
    cr_assert_eq(data_told(&data).damaged, 0);
    for (uint64_t at = 0; at < 64 + 128 + 8; at += 7) {
        data_flip(&data, NULL, "pins", at);
        const struct told told = data_told(&data);
        cr_assert_eq(told.damaged, 1, "byte %llu", (unsigned long long)at);
        cr_assert_str_eq(told.first.file, "pins");
        data_flip(&data, NULL, "pins", at);
    }
    cr_assert_eq(data_told(&data).damaged, 0);
    data_close(&data);
}
