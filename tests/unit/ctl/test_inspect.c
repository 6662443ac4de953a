/* What inspect shows of files that are known to the last byte, whole and spoilt. */
#include "data_directory.h"
#include "inspect.h"

static char text[1 << 18];
static const char segment_name[] = "0001-000000000000.seg";

struct shown {
    enum err err;
    bool sound;
};

static struct shown show_segment(struct data *data, const struct inspect_options *options, bool json)
{
    FILE *const file = fmemopen(text, sizeof text, "w");
    struct shown shown = {.sound = true};
    struct io_dir *dir;
    struct out out;

    cr_assert_eq(io_dir_open(data->world.io, data->world.dir, "segments", false, &dir), OK);
    out_init(&out, file, json);
    shown.err = inspect_segment(&out, data->world.io, dir, segment_name, options, &shown.sound);
    cr_assert_eq(out_finish(&out), OK);
    fclose(file);
    io_dir_close(data->world.io, dir);
    return shown;
}

static void assert_has(const char *words)
{
    cr_assert_not_null(strstr(text, words), "no '%s' in:\n%s", words, text);
}

static struct data two_blocks(void)
{
    struct data data = data_open(31);

    data_segment(&data, 1, 0, 2, true);
    return data;
}

Test(inspect, a_segment_with_its_blocks_and_filters)
{
    struct data data = two_blocks();
    const struct inspect_options options = {.rows = 0};
    const struct shown shown = show_segment(&data, &options, true);

    cr_assert(shown.err == OK && shown.sound);
    assert_has("\"state\":\"closed\"");
    assert_has("\"blocks\":2,\"spans\":7,");
    assert_has("{\"block\":1,\"seq\":1,");
    assert_has("\"lsn_first\":1000,\"lsn_end\":2000,\"flags\":\"-\"}");
    assert_has("\"faults\":[]");
    /* block 0 has 3 traces; its filters are replicated to the segment's size, so the count is one of keys a cell */
    assert_has("{\"block\":0,\"kind\":\"trace\",\"cells\":1,\"bits\":256,\"fill\":0.0");
    data_close(&data);
}

Test(inspect, columns_add_up_to_the_file)
{
    struct data data = two_blocks();
    const struct inspect_options options = {.columns = true};
    const uint64_t bytes = data_read(&data, "segments", segment_name).len;
    uint64_t sum = 0, total = 0;

    cr_assert_eq(show_segment(&data, &options, true).err, OK);
    const char *const end = strstr(text, "\"total\"");
    for (const char *at = text; (at = strstr(at, "{\"bytes\":")) != NULL; at++) {
        const uint64_t here = strtoull(at + strlen("{\"bytes\":"), NULL, 10);
        if (at < end)
            sum += here;
        else
            total = here;
    }
    cr_assert_eq(total, bytes);
    cr_assert(sum + 20 > bytes && sum < bytes + 20, "rounded line by line: %lu of %lu", sum, bytes);
    assert_has("\"column\":\"span.which : string\"");
    data_close(&data);
}

Test(inspect, a_block_with_a_damaged_section_is_shown_as_far_as_it_goes)
{
    struct data data = two_blocks();
    const struct inspect_options options = {.block_given = true, .block = 1, .rows = 2};
    struct shown shown = show_segment(&data, &options, false);

    cr_assert(shown.err == OK && shown.sound);
    assert_has("row 0");
    assert_has("which  string  block 1 1");
    assert_has("name                   work");
    cr_assert_null(strstr(text, "DAMAGED"));
    struct io_dir *dir;
    struct segment_look *look;
    cr_assert_eq(io_dir_open(data.world.io, data.world.dir, "segments", false, &dir), OK);
    cr_assert_eq(segment_look_open(data.world.io, dir, segment_name, &look), OK);
    const uint64_t block = look->blocks[1].offset;
    segment_look_close(look);
    io_dir_close(data.world.io, dir);
    data_flip(&data, "segments", segment_name, block + 4096); /* the first section */
    shown = show_segment(&data, &options, false);
    cr_assert(shown.err == OK && !shown.sound);
    assert_has("DAMAGED");
    assert_has("TRACE_ROWS");
    data_close(&data);
}

Test(inspect, a_block_that_is_not_there)
{
    struct data data = two_blocks();
    const struct inspect_options options = {.block_given = true, .block = 2};

    cr_assert_eq(show_segment(&data, &options, false).err, ERR_NOT_FOUND);
    data_close(&data);
}

static struct shown show_file(struct data *data, const char *dir, const char *name,
                              enum err (*inspect)(struct out *, struct io *, struct io_file *, bool *))
{
    FILE *const to = fmemopen(text, sizeof text, "w");
    struct shown shown = {.sound = true};
    struct io_dir *opened;
    struct io_file *const file = data_file(data, dir, name, &opened);
    struct out out;

    out_init(&out, to, true);
    shown.err = inspect(&out, data->world.io, file, &shown.sound);
    cr_assert_eq(out_finish(&out), OK);
    fclose(to);
    data_file_close(data, file, opened);
    return shown;
}

Test(inspect, a_journal_file_frame_by_frame)
{
    struct data data = data_open(32);

    data_journal(&data);
    struct shown shown = show_file(&data, "journal-0", "00000000", inspect_journal);
    cr_assert(shown.err == OK && shown.sound);
    assert_has("{\"offset\":4096,\"lsn\":0,\"lsn_end\":96,\"generation\":1,\"type\":\"GENERATION\"");
    assert_has("{\"offset\":8192,\"lsn\":4096,\"lsn_end\":5000,\"generation\":1,\"type\":\"BATCH\",\"body_"
               "len\":840");
    assert_has("\"type\":\"NOTE\"");
    data_flip(&data, "journal-0", "00000000", 8192 + 64 + 100);
    shown = show_file(&data, "journal-0", "00000000", inspect_journal);
    cr_assert(shown.err == OK && !shown.sound);
    assert_has("\"state\":\"body damaged\"");
    data_flip(&data, "journal-0", "00000000", 10);
    cr_assert_eq(show_file(&data, "journal-0", "00000000", inspect_journal).err, ERR_CORRUPT);
    data_close(&data);
}

Test(inspect, a_superblock_with_one_sound_copy)
{
    struct data data = data_open(33);

    cr_assert(show_file(&data, NULL, "superblock", inspect_superblock).sound);
    data_flip(&data, NULL, "superblock", 50);
    cr_assert_not(show_file(&data, NULL, "superblock", inspect_superblock).sound);
    assert_has("\"copy_0_sound\":false,\"copy_1_sound\":true");
    data_close(&data);
}
