/* A data directory as a whole: what is sound is told to be, what is missing or does not fit together is found. */
#include "data_directory.h"

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
