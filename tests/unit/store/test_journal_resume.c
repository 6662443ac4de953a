/*
 * After a failed write the journal goes on in another file: what was acknowledged before and after is recovered, in order,
 * what had failed is gone for good, and a crash at any moment of it is like any other crash.
 */
#include "journal_story.h"

static void begin(struct story *story)
{
    struct journal_report report;

    cr_assert(recover(story, &story->book, false, &report) == OK);
    cr_assert(journal_start(story->book.journal) == OK);
}

/* Sends, and lets a turn go by now and then; stops when the journal has failed. */
static void send_some(struct story *story, unsigned count, uint32_t large_every)
{
    struct journal *const journal = story->book.journal;
    unsigned handlers_run;

    for (unsigned i = 0; i < count && !journal_read_only(journal); i++) {
        const bool large = large_every > 0 && i % large_every == 1;
        const enum err err = book_send(&story->book, large);
        if (err == ERR_FULL) {
            cr_assert(book_drain(&story->book, story->io) == OK);
            if (journal_read_only(journal)) return;
            journal_release(journal, story->sealed_lsn = journal_durable_lsn(journal));
            if (journal_wants_file(journal)) (void)journal_prepare_file(journal, story->io);
            continue;
        }
        if (i % 2 == 0) journal_flush(journal);
        if (i % 3 == 0) cr_assert(io_turn(story->io, 0, &handlers_run) == OK);
    }
    cr_assert(book_drain(&story->book, story->io) == OK);
}

/* What the pool and the shard do. False: no file could be made, or no more of them may be. */
static bool go_on(struct story *story)
{
    struct journal *const journal = story->book.journal;

    journal_flush(journal); /* adopts what had been made meanwhile */
    if (journal_wants_file(journal) && journal_prepare_file(journal, story->io) != OK) return false;
    journal_flush(journal);
    if (!journal_may_resume(journal)) return false;
    journal_resume(journal);
    journal_flush(journal);
    return true;
}

/* A stop, a start, and a look at what is there. */
static void check_after_restart(struct story *story, const char *when)
{
    struct journal_report report;

    cr_assert(book_drain(&story->book, story->io) == OK);
    const bool gone = !journal_read_only(story->book.journal); /* else what failed may come back */
    book_close(&story->book);
    memcpy(&second, &story->book, sizeof second);
    cr_assert(recover(story, &second, false, &report) == OK, "%s", when);
    cr_assert_eq(report.missing_bytes, 0, "%s", when);
    check_recovered(&story->book, &second, story->sealed_lsn, when);
    for (uint32_t i = 0; i < second.recovered_count; i++)
        cr_assert(!gone || story->book.is_acked[second.recovered[i]], "%s: %u had failed", when,
                  second.recovered[i]);
    book_close(&second);
}

static void release_all(struct story *story)
{
    journal_release(story->book.journal, story->sealed_lsn = journal_durable_lsn(story->book.journal));
}

/* ---- it goes on --------------------------------------------------------------------------------------- */

Test(journal_resume, D1_goes_on_in_another_file_and_forgets_what_had_failed)
{
    for (uint64_t nth = 1; nth <= 24; nth++) {
        struct story story;
        char when[64];
        snprintf(when, sizeof when, "write %lu fails", (unsigned long)nth);
        story_open(&story, nth, nth % 2 ? 512 : 4096, 128 * 1024);
        begin(&story);
        sim_fail(story.sim, SIM_FAULT_WRITE, nth, nth % 3 ? ERR_IO : ERR_NO_SPACE, false);
        send_some(&story, 60, nth % 4 == 0 ? 3 : 0);
        const uint32_t acked = story.book.acked, before = story.book.sent;
        if (!journal_read_only(story.book.journal)) { /* it was a file that could not be made */
            story_close(&story);
            continue;
        }
        cr_assert(go_on(&story), "%s", when);
        cr_assert(!journal_read_only(story.book.journal), "%s", when);
        send_some(&story, 20, nth % 4 == 1 ? 3 : 0);
        cr_assert_eq(story.book.acked - acked, story.book.sent - before, "%s", when);
        cr_assert_gt(story.book.acked, acked + 10, "%s", when);
        cr_assert(!story.book.out_of_order, "%s", when);
        check_after_restart(&story, when);
        story_close(&story);
    }
}

Test(journal_resume, D2_the_file_that_failed_is_not_written_again)
{
    struct story story;
    struct journal *journal;

    story_open(&story, 3, 4096, 128 * 1024);
    begin(&story);
    journal = story.book.journal;
    sim_fail(story.sim, SIM_FAULT_WRITE, 2, ERR_IO, false);
    send_some(&story, 20, 0);
    const struct journal_file *failed = NULL;
    for (size_t i = 0; i < journal->files_count; i++)
        if (!journal->files[i].writable) failed = &journal->files[i];
    cr_assert_not_null(failed);
    const uint64_t base = failed->base;
    cr_assert(go_on(&story));
    for (unsigned lap = 0; lap < 40; lap++) {
        send_some(&story, 10, 0);
        release_all(&story);
        cr_assert(!failed->writable);
        cr_assert(failed->base == base || failed->base == JOURNAL_UNMAPPED, "lap %u", lap);
        if (journal_wants_file(journal)) cr_assert(journal_prepare_file(journal, story.io) == OK);
    }
    check_after_restart(&story, "many laps later");
    story_close(&story);
}

Test(journal_resume, fails_again_and_again_and_goes_on_each_time)
{
    struct story story;
    unsigned failures = 0;

    story_open(&story, 11, 512, 128 * 1024);
    begin(&story);
    for (unsigned round = 0; round < 3; round++) {
        sim_fail(story.sim, SIM_FAULT_WRITE, 1 + round, ERR_IO, false);
        send_some(&story, 30, 0);
        while (journal_read_only(story.book.journal)) {
            failures++;
            if (failures % 2) sim_fail(story.sim, SIM_FAULT_WRITE, 66, ERR_IO, false); /* behind the making */
            cr_assert(go_on(&story));
            cr_assert(book_drain(&story.book, story.io) == OK);
            sim_forgive(story.sim);
        }
        release_all(&story);
    }
    cr_assert_geq(failures, 3);
    send_some(&story, 10, 0);
    check_after_restart(&story, "after all of them");
    story_close(&story);
}

Test(journal_resume, D6_stays_read_only_until_a_file_can_be_made)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME};
    struct story story;

    story_open(&story, 5, 4096, 128 * 1024);
    begin(&story);
    sim_fail(story.sim, SIM_FAULT_WRITE, 3, ERR_IO, false);
    send_some(&story, 30, 0);
    for (unsigned i = 0; i < 3; i++) {
        sim_fail(story.sim, kinds[i], 1, ERR_NO_SPACE, true);
        for (unsigned attempt = 0; attempt < 5; attempt++)
            cr_assert(!go_on(&story));
        cr_assert(journal_read_only(story.book.journal));
        sim_forgive(story.sim);
    }
    cr_assert(go_on(&story));
    send_some(&story, 10, 0);
    check_after_restart(&story, "at last");
    story_close(&story);
}

Test(journal_resume, is_bounded)
{
    struct story story;
    unsigned resumed = 0;

    story_open(&story, 6, 4096, 128 * 1024);
    begin(&story);
    for (; resumed < 1000; resumed++) {
        sim_fail(story.sim, SIM_FAULT_WRITE, 1, ERR_IO, false);
        send_some(&story, 5, 0);
        cr_assert(journal_read_only(story.book.journal));
        sim_forgive(story.sim);
        if (!go_on(&story)) break;
        cr_assert(book_drain(&story.book, story.io) == OK);
    }
    cr_assert(resumed >= 2 && resumed < 20, "%u", resumed);
    cr_assert(journal_read_only(story.book.journal));
    check_after_restart(&story, "when there may be no more files");
    story_close(&story);
}

/* ---- crashes ------------------------------------------------------------------------------------------- */

Test(journal_resume, D1_a_crash_before_every_event_of_a_resumption, .timeout = 240)
{
    uint64_t images = 0;

    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct story story;
        story_open(&story, seed, seed % 2 ? 512 : 4096, 128 * 1024);
        story.image_step = 5;
        begin(&story);
        sim_fail(story.sim, SIM_FAULT_WRITE, 1 + seed, ERR_IO, false);
        send_some(&story, 14, seed == 4 ? 4 : 0);
        if (journal_read_only(story.book.journal)) {
            sim_watch(story.sim, crash_here, &story);
            cr_assert(go_on(&story));
            send_some(&story, 3, 0);
            sim_watch(story.sim, NULL, NULL);
        }
        images += story.images;
        check_after_restart(&story, "in the end");
        story_close(&story);
    }
    cr_assert_gt(images, 200);
}
