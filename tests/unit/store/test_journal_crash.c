/*
 * The journal in the simulated world: a crash before every event of a workload, in every image that the disk
 * may have then, recovered, used again and recovered once more. And faults, rot, forged frames, files that
 * are missing.
 *
 * What must hold each time: acknowledged ⊆ recovered ⊆ sent, in order, unchanged, and no damage is reported
 * where there is none. The catalog is played by book.sealed_lsn, which is durable the moment it is set.
 */
#include "journal_story.h"

/* ---- workloads ------------------------------------------------------------------------------------------
 */

/* Bursts of a few bodies, drained now and then; what is durable is sealed up to a few frames behind. */
static void work(struct story *story, uint32_t count, uint32_t large_every)
{
    struct book *const book = &story->book;

    for (uint32_t i = 0; i < count; i++) {
        unsigned handlers_run;
        const bool large = large_every != 0 && i % large_every == large_every - 1;
        enum err err = book_send(book, large);
        if (err == ERR_FULL) {
            cr_assert(book_drain(book, story->io) == OK);
            story->sealed_lsn = book->lsn_end[book->sent - 2];
            journal_release(book->journal, story->sealed_lsn);
            err = book_send(book, large);
        }
        cr_assert(err == OK, "append: %s", err_text(err));
        if (i % 3 != 1) journal_flush(book->journal);
        if (i % 5 == 4) cr_assert(io_turn(story->io, 0, &handlers_run) == OK);
        if (i % 11 == 10) {
            cr_assert(book_drain(book, story->io) == OK);
            journal_note_idle(book->journal);
        }
    }
    cr_assert(book_drain(book, story->io) == OK);
    cr_assert(!book->out_of_order);
}

static void begin(struct story *story)
{
    struct journal_report report;
    const enum err err = recover(story, &story->book, false, &report);
    cr_assert(err == OK, "%s", err_text(err));
    cr_assert(journal_start(story->book.journal) == OK);
}

static struct story story;

Test(journal_crash, before_every_event_of_small_bodies_and_recycling)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        story_open(&story, seed, 512, 64 * 1024);
        story.image_step = 7;
        sim_watch(story.sim, crash_here, &story);
        begin(&story);
        work(&story, 110, 0);
        sim_watch(story.sim, NULL, NULL);
        cr_expect(story.sealed_lsn > 0 && story.images > 1000, "%lu images", (unsigned long)story.images);
        cr_log_info("%lu images", (unsigned long)story.images);
        story_close(&story);
    }
}

Test(journal_crash, before_every_event_of_bodies_in_place)
{
    for (uint64_t seed = 11; seed <= 12; seed++) {
        story_open(&story, seed, 4096, 256 * 1024);
        story.image_step = 5;
        sim_watch(story.sim, crash_here, &story);
        begin(&story);
        work(&story, 40, 3);
        sim_watch(story.sim, NULL, NULL);
        cr_expect(story.images > 300, "%lu images", (unsigned long)story.images);
        cr_log_info("%lu images", (unsigned long)story.images);
        story_close(&story);
    }
}

/* A crash, a life in its image that crashes before every event again: tails of two lives lie over each other.
 */
Test(journal_crash, in_the_life_after_a_crash)
{
    unsigned lives = 0;

    for (uint64_t seed = 21; seed < 61; seed++) {
        static struct story next;
        story_open(&story, seed, 512, 64 * 1024);
        begin(&story);
        work(&story, 20 + (uint32_t)seed % 13, 0);
        story.sealed_lsn = story.book.lsn_end[story.book.sent - 3];
        journal_release(story.book.journal, story.sealed_lsn);
        for (unsigned i = 0; i < 18; i++) { /* in flight at the crash: up to two groups of several pages */
            if (book_send(&story.book, false) != OK) break;
            if (i % 9 == 8) journal_flush(story.book.journal);
        }

        struct sim *const crashed = sim_crash_random(story.sim, seed);
        memcpy(&next, &story, sizeof next);
        next.images = 0;
        next.image_step = 31;
        next.book.journal = NULL;
        world_open(&next, crashed);
        sim_watch(crashed, crash_here, &next);
        begin(&next);
        check_recovered(&story.book, &next.book, next.sealed_lsn, "random image");
        for (uint32_t i = 0; i < next.book.recovered_count; i++)
            next.book.is_acked[next.book.recovered[i]] = true;
        work(&next, 12, 0);
        lives += next.images > 0;
        story_close(&next);
        cr_assert(book_drain(&story.book, story.io) == OK);
        story_close(&story);
    }
    cr_expect(lives == 40);
}

/* Group B is lost, C behind it has landed; the next life ends a group exactly where C begins. */
Test(journal_crash, does_not_resurrect_a_tail_beyond_a_hole)
{
    uint64_t holes = 0;

    story_open(&story, 5, 4096, 64 * 1024);
    begin(&story);
    work(&story, 3, 0);
    static uint8_t body[IO_ALIGN * 3];
    const size_t three_pages = 3 * IO_ALIGN - JOURNAL_FRAME_HEADER_BYTES;
    for (unsigned i = 0; i < 2; i++) { /* B and C, three pages each, in flight together */
        body_fill(body, three_pages, story.book.sent);
        cr_assert(book_send_bytes(&story.book, three_pages, body) == OK);
        journal_flush(story.book.journal);
    }
    const uint32_t c = story.book.sent - 1;

    for (uint64_t image = 0; image < sim_images(story.sim); image++) {
        struct story next = {.sealed_lsn = 0};
        struct journal_report report;
        world_open(&next, sim_crash(story.sim, image, 1));
        memcpy(&second, &story.book, sizeof second);
        cr_assert(recover(&next, &second, false, &report) == OK);
        check_recovered(&story.book, &second, 0, "after B and C");
        const bool hole = second.recovered_count > 0 && second.recovered[second.recovered_count - 1] < c - 1;
        holes += hole;
        cr_assert(journal_start(second.journal) == OK); /* one page: GENERATION */
        body_fill(body, three_pages - IO_ALIGN, second.sent);
        cr_assert(book_send_bytes(&second, three_pages - IO_ALIGN, body) == OK); /* two pages */
        cr_assert(book_drain(&second, next.io) == OK);
        if (hole)
            cr_expect(journal_end_lsn(second.journal) ==
                      journal_align(story.book.lsn_end[c], IO_ALIGN) - 3 * IO_ALIGN);
        book_close(&second);
        cr_assert(recover(&next, &second, false, &report) == OK);
        cr_assert(report.missing_bytes == 0);
        check_recovered(&story.book, &second, 0, "after the next life");
        cr_assert(second.recovered[second.recovered_count - 1] == second.sent - 1);
        book_close(&second);
        sim_abandon(next.sim);
    }
    cr_expect(holes > 3, "%lu images with a hole", (unsigned long)holes);
    cr_assert(book_drain(&story.book, story.io) == OK);
    story_close(&story);
}

/* ---- forged frames --------------------------------------------------------------------------------------
 */

static bool forged_altered;

static enum err forged_visit(void *context, const struct journal_batch *batch, struct slice body,
                             uint64_t lsn, uint64_t lsn_end)
{
    (void)lsn, (void)lsn_end, (void)batch;
    *(uint64_t *)context += 1;
    if (body.len >= 7 && memcmp(body.ptr, "forgery", 7) == 0) forged_altered = true;
    return OK;
}

/* The client knows everything but the salt, and puts a frame at each page of its body that claims to be
 * durable. */
Test(journal_crash, takes_no_frame_out_of_a_body)
{
    static uint8_t memory[128 * 1024] __attribute__((aligned(4096)));
    struct journal_append append;
    struct journal_report report;
    const size_t len = 100 * 1024;

    story_open(&story, 7, 4096, 256 * 1024);
    begin(&story);
    work(&story, 4, 0);
    const uint64_t lsn = journal_align(journal_end_lsn(story.book.journal), IO_ALIGN);
    for (size_t at = IO_ALIGN; at < len; at += IO_ALIGN) {
        struct journal_frame frame = {.lsn = lsn + at,
                                      .generation = 1,
                                      .shard = 3,
                                      .type = JOURNAL_BATCH,
                                      .body_len = 1000,
                                      .span_count = 1};
        memcpy(memory + at + sizeof frame, "forgery", 7);
        journal_frame_seal(&frame, memory + at + sizeof frame, 0);
        memcpy(memory + at, &frame, sizeof frame);
    }
    append = (struct journal_append){.done = NULL,
                                     .body = slice_of(memory + JOURNAL_FRAME_HEADER_BYTES, len)};
    struct send *const send = calloc(1, sizeof *send); /* for its done */
    send->book = &story.book;
    send->number = story.book.sent;
    send->append = append;
    send->append.done = book_on_done;
    send->memory_bytes = IO_ALIGN;
    send->memory = io_memory(IO_ALIGN);
    cr_assert(journal_append(story.book.journal, &send->append) == OK);
    cr_assert(send->append.lsn == lsn, "the forger has guessed right");
    journal_flush(story.book.journal);

    for (uint64_t image = 0; image < sim_images(story.sim); image++) {
        struct story next = {.sealed_lsn = 0};
        struct journal *journal;
        uint64_t batches = 0;
        world_open(&next, sim_crash(story.sim, image, 1));
        cr_assert(journal_open(next.io, next.dir, &story.book.config, &journal) == OK);
        cr_assert(journal_replay(journal, 0, false, forged_visit, &batches, &report) == OK);
        cr_assert(report.missing_bytes == 0 && !forged_altered);
        cr_assert(batches == 4 || batches == 5);
        journal_close(journal);
        sim_abandon(next.sim);
    }
    cr_assert(book_drain(&story.book, story.io) == OK);
    story_close(&story);
}

/* ---- rot ------------------------------------------------------------------------------------------------
 */

struct paths {
    char path[16][64];
    size_t count;
};

static void paths_visit(void *context, const char *path)
{
    struct paths *const paths = context;
    if (paths->count < 16) snprintf(paths->path[paths->count++], 64, "%s", path);
}

/* One bit of the disk flips while the process is down: all is found, or damage is told; never a clean start
 * with less. */
static bool flip_and_recover(const char *path, uint64_t bit)
{
    struct story next = {.sealed_lsn = story.sealed_lsn};
    struct journal_report report;
    char when[128];

    snprintf(when, sizeof when, "%s bit %lu", path, (unsigned long)bit);
    world_open(&next, sim_crash(story.sim, 0, 1));
    cr_assert(sim_flip(next.sim, path, bit) == OK);
    memcpy(&second, &story.book, sizeof second);
    second.journal = NULL;
    enum err err = recover(&next, &second, false, &report);
    if (err == OK) {
        cr_assert(report.missing_bytes == 0);
        check_recovered(&story.book, &second, next.sealed_lsn, when);
        book_close(&second);
        sim_abandon(next.sim);
        return false;
    }
    cr_assert(err == ERR_CORRUPT && report.missing_bytes > 0, "%s: %s", when, err_text(err));

    /* accepted: everything but the bad place is served, and the next start needs no flag */
    err = recover(&next, &second, true, &report);
    cr_assert(err == OK && report.missing_bytes > 0 && !second.altered, "%s: %s", when, err_text(err));
    const uint32_t kept = second.recovered_count;
    cr_assert(kept + 16 >= story.book.acked, "%s: %u of %u kept", when, kept, story.book.acked);
    cr_assert(journal_start(second.journal) == OK);
    cr_assert(book_send(&second, false) == OK && book_drain(&second, next.io) == OK);
    book_close(&second);
    err = recover(&next, &second, false, &report);
    cr_assert(err == OK && second.recovered_count == kept + 1, "%s: accepted, then %s, %u of %u", when,
              err_text(err), second.recovered_count, kept + 1);
    book_close(&second);
    sim_abandon(next.sim);
    return true;
}

Test(journal_crash, rot_is_told_and_can_be_accepted)
{
    struct paths paths = {.count = 0};
    uint64_t bytes, damages = 0, state = 12345;

    story_open(&story, 9, 4096, 64 * 1024);
    begin(&story);
    for (unsigned i = 0; i < 70; i++) {
        cr_assert(book_send(&story.book, false) == OK);
        if (i % 3 == 2) cr_assert(book_drain(&story.book, story.io) == OK);
        if (journal_wants_file(story.book.journal))
            cr_assert(journal_prepare_file(story.book.journal, story.io) == OK);
    }
    cr_assert(book_drain(&story.book, story.io) == OK);
    journal_note_idle(story.book.journal);
    cr_assert(book_drain(&story.book, story.io) == OK);
    book_close(&story.book);

    sim_list(story.sim, paths_visit, &paths);
    cr_assert(paths.count >= 3);
    for (size_t i = 0; i < paths.count; i++) {
        cr_assert(sim_file_bytes(story.sim, paths.path[i], &bytes) == OK);
        for (uint64_t bit = 0; bit < 8 * 512; bit += 97) /* the header page */
            (void)flip_and_recover(paths.path[i], bit);
        for (unsigned k = 0; k < 150; k++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            damages += flip_and_recover(paths.path[i], (state >> 16) % (bytes * 8));
        }
        for (uint64_t page = 1; page < bytes / IO_ALIGN; page++) /* the headers at the pages */
            damages += flip_and_recover(paths.path[i], page * IO_ALIGN * 8 + (page * 37) % 512);
    }
    cr_expect(damages > 100, "%lu damages", (unsigned long)damages);
    story_close(&story);
}

Test(journal_crash, tells_a_missing_file)
{
    struct paths paths = {.count = 0};
    unsigned told = 0;

    story_open(&story, 10, 4096, 64 * 1024);
    begin(&story);
    for (unsigned i = 0; i < 36; i++) {
        cr_assert(book_send(&story.book, false) == OK && book_drain(&story.book, story.io) == OK);
        if (journal_wants_file(story.book.journal))
            cr_assert(journal_prepare_file(story.book.journal, story.io) == OK);
    }
    book_close(&story.book);
    sim_list(story.sim, paths_visit, &paths);
    cr_assert(paths.count == 4);
    for (size_t i = 0; i + 1 < paths.count;
         i++) { /* the last holds the tail: nothing is left to vouch for it */
        struct story next = {.sealed_lsn = 0};
        struct journal_report report;
        world_open(&next, sim_crash(story.sim, 0, 1));
        cr_assert(io_unlink(next.io, next.dir, strrchr(paths.path[i], '/') + 1) == OK);
        memcpy(&second, &story.book, sizeof second);
        const enum err err = recover(&next, &second, false, &report);
        if (err == OK) {
            check_recovered(&story.book, &second, 0, paths.path[i]);
            book_close(&second);
        } else {
            cr_assert(err == ERR_CORRUPT && report.missing_bytes > 0);
            cr_assert(recover(&next, &second, true, &report) == OK);
            cr_assert(journal_start(second.journal) == OK);
            book_close(&second);
            told++;
        }
        sim_abandon(next.sim);
    }
    cr_expect(told == 3, "%u told", told);
    story_close(&story);
}

/* ---- faults ---------------------------------------------------------------------------------------------
 */

Test(journal_crash, after_a_failed_write_nothing_is_acknowledged)
{
    for (uint64_t nth = 1; nth <= 25; nth++) {
        struct journal_report report;
        story_open(&story, nth, 512, 64 * 1024);
        begin(&story);
        sim_fail(story.sim, SIM_FAULT_WRITE, nth, ERR_IO, false);
        unsigned refused = 0;
        for (unsigned i = 0; i < 80; i++) {
            unsigned handlers_run;
            const enum err err = book_send(&story.book, false);
            if (err == ERR_FULL) {
                cr_assert(book_drain(&story.book, story.io) == OK);
                journal_release(story.book.journal,
                                story.sealed_lsn = journal_durable_lsn(story.book.journal));
                continue;
            }
            if (err == ERR_READ_ONLY)
                refused++;
            else
                cr_assert(err == OK);
            if (i % 2 == 0) journal_flush(story.book.journal);
            cr_assert(io_turn(story.io, 0, &handlers_run) == OK);
            cr_assert(!journal_read_only(story.book.journal) || err == OK || err == ERR_READ_ONLY);
        }
        cr_assert(book_drain(&story.book, story.io) == OK);
        cr_assert(journal_read_only(story.book.journal), "write %lu failed", (unsigned long)nth);
        cr_expect(refused > 0 && story.book.failed > 0);
        cr_expect(story.book.acked + story.book.failed == story.book.sent && !story.book.out_of_order);
        for (uint32_t number = 1; number < story.book.sent; number++)
            cr_assert(story.book.is_acked[number - 1] || !story.book.is_acked[number],
                      "a prefix is acknowledged");
        book_close(&story.book);

        memcpy(&second, &story.book, sizeof second);
        cr_assert(recover(&story, &second, false, &report) == OK);
        check_recovered(&story.book, &second, story.sealed_lsn, "after the failed write");
        cr_assert(journal_start(second.journal) == OK);
        book_close(&second);
        story_close(&story);
    }
}

/* Any operation of opening, replaying and starting fails once: an error or success, and nothing is lost by
 * it. */
Test(journal_crash, recovery_survives_the_failure_of_each_operation)
{
    unsigned failures = 0;

    story_open(&story, 77, 512, 64 * 1024);
    begin(&story);
    work(&story, 30, 0);
    book_close(&story.book);
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct story next = {.sealed_lsn = story.sealed_lsn};
        struct journal_report report;
        world_open(&next, sim_crash(story.sim, 0, nth));
        memcpy(&second, &story.book, sizeof second);
        sim_fail(next.sim, SIM_FAULT_ANY, nth, nth % 2 == 0 ? ERR_IO : ERR_NO_SPACE, false);
        enum err err = recover(&next, &second, false, &report);
        if (err == OK) {
            check_recovered(&story.book, &second, next.sealed_lsn, "with a fault");
            err = journal_start(second.journal);
            book_close(&second);
        }
        failures += err != OK;
        cr_assert(recover(&next, &second, false, &report) == OK || err == OK, "after fault %lu",
                  (unsigned long)nth);
        if (second.journal != NULL) {
            check_recovered(&story.book, &second, next.sealed_lsn, "after a fault");
            cr_assert(err == OK || journal_start(second.journal) == OK);
            book_close(&second);
        }
        sim_abandon(next.sim);
    }
    cr_expect(failures > 10, "%u failures", failures);
    story_close(&story);
}

/* A crash before every event of making a file leaves it absent or whole. */
Test(journal_crash, while_a_file_is_made)
{
    story_open(&story, 31, 4096, 64 * 1024);
    begin(&story);
    work(&story, 5, 0);
    story.image_step = 3;
    sim_watch(story.sim, crash_here, &story);
    cr_assert(journal_prepare_file(story.book.journal, story.io) == OK);
    sim_watch(story.sim, NULL, NULL);
    cr_expect(story.images > 20, "%lu images", (unsigned long)story.images);
    work(&story, 30, 0);
    story_close(&story);
}

/* ---- one field at a time -------------------------------------------------------------------------------- */

enum spoil {
    SPOIL_NOTHING,
    SPOIL_CHAIN,
    SPOIL_OLDER,
    SPOIL_NEWER,
    SPOIL_SHARD,
    SPOIL_LSN,
    SPOIL_TYPE,
    SPOIL_FLAG
};

static void spoil_field(struct journal_frame *frame, enum spoil spoil)
{
    switch (spoil) {
    case SPOIL_NOTHING: break;
    case SPOIL_CHAIN: frame->prev_crc ^= 1; break;
    case SPOIL_OLDER: frame->generation--; break;
    case SPOIL_NEWER: frame->generation++; break;
    case SPOIL_SHARD: frame->shard++; break;
    case SPOIL_LSN: frame->lsn += IO_ALIGN; break;
    case SPOIL_TYPE: frame->type = 9; break;
    case SPOIL_FLAG: frame->flags |= 2; break;
    }
}

/* The last frame gets one wrong field and sound CRCs again; returns what the replay says. */
static enum err spoil_last(enum spoil spoil, struct journal_report *report)
{
    static uint8_t page[IO_ALIGN] __attribute__((aligned(4096)));
    struct story next = {.sealed_lsn = 0};
    struct io_file *file;
    struct journal_frame frame;
    size_t count;
    const uint32_t last = story.book.sent - 1;
    const uint64_t lsn = story.book.lsn_end[last] - journal_frame_bytes(1000);

    world_open(&next, sim_crash(story.sim, 0, 1));
    cr_assert(io_file_open(next.io, next.dir, "00000000", IO_WRITABLE | IO_DIRECT | IO_DSYNC, &file) == OK);
    cr_assert(io_read_now(next.io, file, page, sizeof page, lsn + IO_ALIGN, &count) == OK);
    memcpy(&frame, page, sizeof frame);
    cr_assert(frame.lsn == lsn && frame.body_len == 1000 &&
              journal_frame_check(&frame, story.book.journal->salt));
    spoil_field(&frame, spoil);
    journal_frame_seal(&frame, page + sizeof frame, story.book.journal->salt);
    memcpy(page, &frame, sizeof frame);
    cr_assert(io_write_now(next.io, file, page, sizeof page, lsn + IO_ALIGN) == OK);
    io_file_close(next.io, file);

    memcpy(&second, &story.book, sizeof second);
    const enum err err = recover(&next, &second, false, report);
    if (err == OK) book_close(&second);
    sim_abandon(next.sim);
    return err;
}

Test(journal_crash, a_sound_frame_must_also_follow_in_chain_generation_and_place)
{
    static uint8_t body[1000];
    struct journal_report report;

    story_open(&story, 41, 4096, 64 * 1024);
    begin(&story);
    book_close(&story.book);
    begin(&story); /* generation 2: there is a lower one */
    for (unsigned i = 0; i < 5; i++) {
        body_fill(body, sizeof body, story.book.sent);
        cr_assert(book_send_bytes(&story.book, sizeof body, body) == OK &&
                  book_drain(&story.book, story.io) == OK);
    }
    cr_expect(spoil_last(SPOIL_NOTHING, &report) == OK && report.batches == 5);
    const enum spoil refused[] = {SPOIL_CHAIN, SPOIL_OLDER, SPOIL_NEWER, SPOIL_SHARD, SPOIL_LSN};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect(spoil_last(refused[i], &report) == OK && report.batches == 4, "spoil %d: %lu batches",
                  refused[i], (unsigned long)report.batches);
    cr_expect(spoil_last(SPOIL_TYPE, &report) == ERR_VERSION);
    cr_expect(spoil_last(SPOIL_FLAG, &report) == ERR_VERSION);
    story_close(&story);
}
