#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "ack_log.h"

static char path[] = "/tmp/spanmill-load-acks-XXXXXX";
static uint8_t bytes[65536];

static struct slice read_back(void)
{
    const int fd = open(path, O_RDONLY);
    const ssize_t len = read(fd, bytes, sizeof bytes);

    cr_assert(len >= 0);
    (void)close(fd);
    return slice_of(bytes, (size_t)len);
}

static void write_two_runs(void)
{
    const struct stock_config generated = {.profile = PROFILE_PROD,
                                           .seed = 3,
                                           .run = 44,
                                           .services = 150,
                                           .bodies = 64,
                                           .spans_per_request = 512,
                                           .giant_spans = 20000};
    const struct stock_config corpus = {.profile = PROFILE_SHOP,
                                        .seed = 4,
                                        .run = 45,
                                        .services = 50,
                                        .bodies = 64,
                                        .corpus_path = "/with a space/shop.zst"};
    struct ack_log log;

    (void)close(mkstemp(path));
    cr_assert_eq(ack_log_open(path, &log), OK);
    ack_log_begin(&log, &generated, 0xfeedULL);
    ack_log_add(&log, 0, 17, 1750000000000000000ULL, 0);
    cr_assert_eq(ack_log_flush(&log), OK);
    ack_log_add(&log, 12, 3, 1750000000000000009ULL, 5);
    cr_assert_eq(ack_log_flush(&log), OK);
    ack_log_add(&log, 13, 3, 1, 0); /* never flushed */
    ack_log_close(&log);
    cr_assert_eq(ack_log_open(path, &log), OK);
    ack_log_begin(&log, &corpus, 1);
    cr_assert_eq(ack_log_flush(&log), OK);
    ack_log_close(&log);
}

Test(ack_log, gives_back_what_was_flushed)
{
    struct ack_run run;

    write_two_runs();
    struct slice text = read_back();
    cr_assert_eq(ack_run_read(&text, &run), OK);
    const struct ack *const acks = (const struct ack *)(const void *)run.acks.ptr;
    cr_assert_eq(run.acks.len, 2 * sizeof *acks);
    cr_assert_eq(run.config.profile, PROFILE_PROD);
    cr_assert(run.config.seed == 3 && run.config.run == 44 && run.config.services == 150 &&
              run.config.giant_spans == 20000);
    cr_assert_eq(run.checksum, 0xfeed);
    cr_assert_null(run.config.corpus_path);
    cr_assert(acks[0].round == 0 && acks[0].body == 17 && acks[0].whole &&
              acks[0].time_ns == 1750000000000000000ULL);
    cr_assert(acks[1].round == 12 && acks[1].body == 3 && !acks[1].whole &&
              acks[1].time_ns == 1750000000000000009ULL);
    ack_run_deinit(&run);
    cr_assert_eq(ack_run_read(&text, &run), OK);
    cr_assert_str_eq(run.config.corpus_path, "/with a space/shop.zst");
    cr_assert_eq(run.acks.len, 0);
    ack_run_deinit(&run);
    cr_assert_eq(ack_run_read(&text, &run), ERR_NOT_FOUND);
    (void)unlink(path);
}

Test(ack_log, ignores_a_torn_last_line_at_every_byte)
{
    write_two_runs();
    const struct slice whole = read_back();
    const size_t first_run = (size_t)((uint8_t *)memmem(bytes, whole.len, "\nrun ", 5) - bytes) + 1;

    for (size_t len = 0; len < first_run; len++) {
        struct slice text = slice_of(bytes, len);
        struct ack_run run;
        const enum err err = ack_run_read(&text, &run);
        const bool header = memchr(bytes, '\n', len) != NULL;
        cr_assert_eq(err, header ? OK : ERR_NOT_FOUND);
        for (size_t i = 0; err == OK && i < run.acks.len / sizeof(struct ack); i++)
            cr_assert(((const struct ack *)(const void *)run.acks.ptr)[i].time_ns >= 1750000000000000000ULL);
        ack_run_deinit(&run);
    }
    (void)unlink(path);
}

Test(ack_log, refuses_lines_that_it_does_not_know)
{
    const char *const texts[] = {
        "hello\n",
        "a 1 2 3\n",
        "run seed=1\n",
        "run seed=1 run=1 profile=odd services=1 bodies=1 spans=1 giant=0 checksum=1 corpus=\n",
        "run seed=1 run=1 profile=lean services=0 bodies=1 spans=1 giant=0 checksum=1 corpus=\n",
        "run seed=1 run=1 profile=lean services=1 bodies=1 spans=1 giant=0 checksum=1 corpus=\nx 1 2 3\n",
        "run seed=1 run=1 profile=lean services=1 bodies=1 spans=1 giant=0 checksum=1 corpus=\na 1\n"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slice text = slice_text(texts[i]);
        struct ack_run run;
        cr_assert_eq(ack_run_read(&text, &run), ERR_MALFORMED, "%s", texts[i]);
        ack_run_deinit(&run);
    }
}
