/* One description, two forms: aligned text and JSON; hostile bytes stay harmless in both. */
#include "out.h"

#include <criterion/criterion.h>

static char text[4096];

static void describe(struct out *out)
{
    out_group(out, "thing");
    out_number(out, "bytes", UINT64_MAX);
    out_time(out, "created", 1700000000123456789ULL);
    out_hex(out, "id", slice_of("\x01\xab", 2));
    out_group_end(out);
    out_table(out, "rows");
    for (unsigned i = 8; i < 12; i += 3) {
        out_row(out);
        out_number(out, "n", i);
        out_text(out, "name", i == 8 ? "caf\xc3\xa9" : "long name");
        out_real(out, "share", i / 3.0, 2);
        out_flag(out, "good", i == 8);
        out_row_end(out);
    }
    out_table_end(out);
    out_table(out, "nothing");
    out_table_end(out);
}

static void run(bool json)
{
    FILE *const file = fmemopen(text, sizeof text, "w");
    struct out out;

    out_init(&out, file, json);
    describe(&out);
    cr_assert_eq(out_finish(&out), OK);
    fclose(file);
}

Test(out, text_is_aligned_by_characters)
{
    run(false);
    cr_assert_str_eq(text, "thing\n"
                           "  bytes                  18446744073709551615\n"
                           "  created                2023-11-14T22:13:20.123456789Z\n"
                           "  id                     01ab\n"
                           "\n"
                           "rows\n"
                           "   n  name       share  good\n"
                           "   8  caf\xc3\xa9        2.67  yes\n"
                           "  11  long name   3.67  no\n"
                           "\n"
                           "nothing\n"
                           "  none\n");
}

Test(out, json_says_the_same)
{
    run(true);
    cr_assert_str_eq(
        text, "{\"thing\":{\"bytes\":18446744073709551615,\"created\":\"2023-11-14T22:13:20.123456789Z\","
              "\"id\":\"01ab\"},\"rows\":[{\"n\":8,\"name\":\"caf\xc3\xa9\",\"share\":2.67,\"good\":true},"
              "{\"n\":11,\"name\":\"long name\",\"share\":3.67,\"good\":false}],\"nothing\":[]}\n");
}

Test(out, nothing_reaches_the_terminal_as_a_control_byte)
{
    char room[64], small[12];
    const struct slice hostile = slice_of("a\x1b[2J\0\x7f\xc2\x9b\xff\xc3\xa9", 12);

    cr_assert_str_eq(out_escape(hostile, room, sizeof room), "a\\x1b[2J\\x00\\x7f\\xc2\\x9b\\xff\xc3\xa9");
    cr_assert_str_eq(out_escape(slice_text("0123456789abcdef"), small, sizeof small), "0123...");
}

Test(out, what_cannot_be_written_is_an_error)
{
    FILE *const full = fopen("/dev/full", "w");
    struct out out;

    out_init(&out, full, false);
    describe(&out);
    cr_assert_eq(out_finish(&out), ERR_IO);
    fclose(full);
}
