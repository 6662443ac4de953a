/*
 * One bit flips, anywhere (in long runs of zeros: at every 61st byte). Each flip is found, or it is where nothing is kept: behind the end of the journal, in a spare, or
 * in the very last frame, which holds no request and which nothing vouches for. Which bytes those are is said here byte by
 * byte, so one more that goes unseen is one too many.
 */
#include "data_directory.h"

enum { SEGMENT_BLOCKS = 2 };

Test(verify_flips, every_byte_of_a_closed_segment_is_found_if_it_changes)
{
    static const char name[] = "0001-000000000000.seg";
    struct data data = data_open(21);

    data_segment(&data, 1, 0, SEGMENT_BLOCKS, true);
    cr_assert_eq(data_told(&data).damaged, 0);
    const struct slice bytes = data_read(&data, "segments", name);
    for (uint64_t at = 0; at < bytes.len; at = data_next(bytes, at)) {
        data_flip(&data, "segments", name, at);
        const struct told told = data_told(&data);
        cr_assert_geq(told.damaged, 1, "byte %lu of %lu", at, bytes.len);
        cr_assert_str_eq(told.first.file, "segments/0001-000000000000.seg");
        data_flip(&data, "segments", name, at);
    }
    cr_assert_eq(data_told(&data).damaged, 0);
    data_close(&data);
}

/* The damage is told with the place where it is, or where the part begins that fails its checksum. */
Test(verify_flips, the_place_that_is_told_is_that_of_the_part)
{
    static const char name[] = "0001-000000000000.seg";
    struct data data = data_open(22);
    unsigned with_section = 0;

    data_segment(&data, 1, 0, SEGMENT_BLOCKS, true);
    const struct slice bytes = data_read(&data, "segments", name);
    for (uint64_t at = 3; at < bytes.len; at += 37) {
        data_flip(&data, "segments", name, at);
        const struct told told = data_told(&data);
        cr_assert_leq(told.first.offset, at, "byte %lu: %s at %lu", at, told.first.what, told.first.offset);
        if (told.first.section != LOOK_NONE) {
            with_section++;
            cr_assert_not_null(told.first.section_name);
            cr_assert_neq(told.first.block, LOOK_NONE);
        }
        data_flip(&data, "segments", name, at);
    }
    cr_assert_gt(with_section, 20);
    data_close(&data);
}

Test(verify_flips, every_byte_of_the_superblock_is_found_if_it_changes)
{
    struct data data = data_open(23);

    data_segment(&data, 1, 0, 1, true);
    for (uint64_t at = 0; at < 8192; at++) {
        data_flip(&data, NULL, "superblock", at);
        cr_assert_eq(data_told(&data).damaged, 1, "byte %lu", at);
        data_flip(&data, NULL, "superblock", at);
    }
    data_close(&data);
}

/* How many flips go unseen, and that none of them is before the end of what is used; *behind: how many flips were. */
static unsigned flip_journal(struct data *data, const char *name, uint64_t used_end, unsigned *behind)
{
    const struct slice bytes = data_read(data, "journal-0", name);
    unsigned unseen = 0;

    *behind = 0;
    for (uint64_t at = 0; at < bytes.len; at = data_next(bytes, at)) {
        data_flip(data, "journal-0", name, at);
        const struct told told = data_told(data);
        if (at < used_end) cr_assert_geq(told.damaged, 1, "byte %lu of %lu that are used", at, used_end);
        unseen += told.damaged == 0;
        *behind += at >= used_end;
        data_flip(data, "journal-0", name, at);
    }
    return unseen;
}

/* From where the note begins on, nothing is kept: exactly these bytes go unseen. */
Test(verify_flips, every_byte_of_a_journal_up_to_its_last_request_is_found_if_it_changes)
{
    struct data data = data_open(24);
    unsigned behind;

    data_segment(&data, 0, DATA_BLOCKS - 1, DATA_BLOCKS, true); /* what is before has left */
    data_journal(&data);
    cr_assert_eq(data_told(&data).damaged, 0);
    const uint64_t note = 4096 + (data.journal_end + 4095) / 4096 * 4096; /* offset of its page in the file */
    cr_assert_eq(flip_journal(&data, "00000000", note, &behind), behind);
    cr_assert_gt(behind, 300);
    data_close(&data);
}

/* Without blocks a start needs all of it. */
Test(verify_flips, the_same_without_a_block)
{
    struct data data = data_open(25);
    unsigned behind;

    data_segment(&data, 1, 0, 1, true);
    data_journal(&data);
    const uint64_t note = 4096 + (data.journal_end + 4095) / 4096 * 4096;
    cr_assert_eq(flip_journal(&data, "00000000", note, &behind), behind);
    cr_assert_gt(behind, 300);
    data_close(&data);
}

Test(verify_flips, of_a_spare_only_the_header_page_means_something)
{
    struct data data = data_open(26);
    unsigned behind;

    data_segment(&data, 0, DATA_BLOCKS - 1, DATA_BLOCKS, true);
    data_journal(&data);
    cr_assert_eq(flip_journal(&data, "00000001", 4096, &behind), behind);
    cr_assert_gt(behind, 1000);
    data_close(&data);
}
