/*
 * The journal on real files: what is appended comes back, in order, over many laps of its files. Crashes,
 * torn writes and faults are in test_journal_crash.c, in the simulated world.
 */
#include "journal_fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>

struct place {
    char path[64];
    struct io *io;
    struct io_dir *dir;
};

static void place_open(struct place *place)
{
    snprintf(place->path, sizeof place->path, "/tmp/test_journal_XXXXXX");
    cr_assert(mkdtemp(place->path) != NULL);
    cr_assert(io_open_plain(&place->io) == OK);
    cr_assert(io_dir_open(place->io, NULL, place->path, false, &place->dir) == OK);
    log_set_level(LOG_ERROR);
}

struct names {
    char name[64][32];
    size_t count;
};

static bool names_visit(void *context, const char *name)
{
    struct names *const names = context;
    snprintf(names->name[names->count++], 32, "%s", name);
    return names->count < 64;
}

static void place_close(struct place *place)
{
    struct names names = {.count = 0};
    io_dir_list(place->io, place->dir, names_visit, &names);
    for (size_t i = 0; i < names.count; i++)
        io_unlink(place->io, place->dir, names.name[i]);
    io_dir_close(place->io, place->dir);
    io_close(place->io);
    rmdir(place->path);
}

/* Sends with back-pressure, as a shard does that seals everything durable at once. */
static void send_all(struct book *book, struct io *io, uint32_t count, uint32_t large_every)
{
    for (uint32_t i = 0; i < count; i++) {
        enum err err = book_send(book, large_every != 0 && book->sent % large_every == 0);
        if (err == ERR_FULL) {
            cr_assert(book_drain(book, io) == OK);
            journal_release(book->journal, journal_durable_lsn(book->journal));
            err = book_send(book, large_every != 0 && book->sent % large_every == 0);
        }
        cr_assert(err == OK, "append %u: %s", i, err_text(err));
        if (journal_wants_file(book->journal)) cr_assert(journal_prepare_file(book->journal, io) == OK);
        if (i % 5 == 4) {
            unsigned handlers_run;
            journal_flush(book->journal);
            cr_assert(io_turn(io, 0, &handlers_run) == OK);
        }
    }
    cr_assert(book_drain(book, io) == OK);
}

Test(journal, gives_back_what_was_appended_in_order)
{
    static struct book book;
    struct place place;
    struct journal_report report;

    place_open(&place);
    cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
    cr_expect(report.frames == 0 && report.lsn_tail == 0);
    cr_assert(journal_start(book.journal) == OK);
    send_all(&book, place.io, 60, 7);
    cr_expect(book.acked == 60 && !book.out_of_order);
    book_close(&book);

    cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
    cr_expect(!book.altered);
    cr_expect(report.batches == 60 && report.missing_bytes == 0);
    cr_assert(book.recovered_count == 60);
    for (uint32_t i = 0; i < 60; i++)
        cr_expect(book.recovered[i] == i);
    book_close(&book);
    place_close(&place);
}

Test(journal, visits_only_what_is_above_the_sealed_position)
{
    static struct book book;
    struct place place;
    struct journal_report report;

    place_open(&place);
    cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
    cr_assert(journal_start(book.journal) == OK);
    send_all(&book, place.io, 40, 6);
    book_close(&book);

    for (uint32_t sealed = 0; sealed < 40; sealed++) {
        cr_assert(book_open(&book, place.io, place.dir, book.lsn_end[sealed], false, &report) == OK);
        cr_expect(report.batches == 39 - sealed, "sealed %u: %lu batches", sealed,
                  (unsigned long)report.batches);
        cr_expect(book.recovered_count == 0 || book.recovered[0] == sealed + 1);
        book_close(&book);
    }
    cr_expect(book_open(&book, place.io, place.dir, book.lsn_end[10] - 8, false, &report) == ERR_CORRUPT);
    place_close(&place);
}

Test(journal, recycles_its_files_over_many_laps_and_lives)
{
    static struct book book;
    struct place place;
    struct journal_report report;
    uint64_t sealed_lsn = 0;

    place_open(&place);
    for (unsigned life = 0; life < 12; life++) {
        const uint32_t before = book.sent;
        cr_assert(book_open(&book, place.io, place.dir, sealed_lsn, false, &report) == OK);
        cr_assert(journal_start(book.journal) == OK);
        send_all(&book, place.io, 200, 3 + life);
        journal_note_idle(book.journal);
        cr_assert(book_drain(&book, place.io) == OK);
        cr_expect(book.journal->files_count <= FIXTURE_CAP_BYTES / FIXTURE_FILE_BYTES);
        sealed_lsn = book.lsn_end[book.sent - 3];
        journal_release(book.journal, sealed_lsn);
        book_close(&book);

        cr_assert(book_open(&book, place.io, place.dir, sealed_lsn, false, &report) == OK);
        cr_expect(report.batches == 2 && book.recovered[0] == book.sent - 2 && !book.altered);
        cr_expect(book.sent == before + 200);
        book_close(&book);
    }
    cr_expect(sealed_lsn > 8 * FIXTURE_CAP_BYTES, "the files were written over many times");
    cr_expect(book.acked == book.sent && !book.out_of_order);
    place_close(&place);
}

Test(journal, is_full_at_the_cap_until_released)
{
    static struct book book;
    struct place place;
    struct journal_report report;
    enum err err = OK;

    place_open(&place);
    cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
    cr_assert(journal_start(book.journal) == OK);
    while (err == OK) {
        err = book_send(&book, true);
        cr_assert(book_drain(&book, place.io) == OK);
        if (journal_wants_file(book.journal)) cr_assert(journal_prepare_file(book.journal, place.io) == OK);
    }
    cr_expect(err == ERR_FULL);
    cr_expect(book.journal->files_count == FIXTURE_CAP_BYTES / FIXTURE_FILE_BYTES);
    cr_expect(!journal_wants_file(book.journal), "nothing is made beyond the cap");
    cr_expect(journal_pinned_bytes(book.journal) > FIXTURE_CAP_BYTES / 2);
    const uint32_t held = book.sent;

    journal_release(book.journal, journal_durable_lsn(book.journal) - 300 * 1024);
    cr_expect(book_send(&book, true) == OK);
    cr_assert(book_drain(&book, place.io) == OK);
    cr_expect(book.acked == held + 1);
    book_close(&book);
    place_close(&place);
}

Test(journal, starts_at_the_cap_with_one_file_more)
{
    static struct book book;
    struct place place;
    struct journal_report report;
    enum err err = OK;

    place_open(&place);
    cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
    cr_assert(journal_start(book.journal) == OK);
    while (err == OK) {
        err = book_send(&book, false);
        cr_assert(book_drain(&book, place.io) == OK);
        if (journal_wants_file(book.journal)) cr_assert(journal_prepare_file(book.journal, place.io) == OK);
    }
    for (unsigned life = 0; life < 70; life++) { /* each start needs a page */
        book_close(&book);
        cr_assert(book_open(&book, place.io, place.dir, 0, false, &report) == OK);
        cr_assert(report.batches == book.acked);
        cr_assert(journal_start(book.journal) == OK);
    }
    cr_expect(book.journal->files_count <= FIXTURE_CAP_BYTES / FIXTURE_FILE_BYTES + 2);
    book_close(&book);
    place_close(&place);
}

Test(journal, gathers_appends_into_few_writes)
{
    static struct book book;
    static struct metrics metrics;
    struct place place;
    struct journal_report report;
    struct journal_config config = fixture_config();

    place_open(&place);
    config.file_bytes = 4 * 1024 * 1024;
    config.metrics = &metrics;
    cr_assert(journal_open(place.io, place.dir, &config, &book.journal) == OK);
    cr_assert(journal_replay(book.journal, 0, false, book_visit, &book, &report) == OK);
    cr_assert(journal_start(book.journal) == OK);
    const uint64_t before = metric_get(&metrics, METRIC_JOURNAL_WRITES);
    book.last_acked = -1;
    for (unsigned i = 0; i < 50; i++)
        cr_assert(book_send(&book, i % 10 == 9) == OK);
    cr_assert(book_drain(&book, place.io) == OK);
    cr_expect(metric_get(&metrics, METRIC_JOURNAL_WRITES) - before == 1,
              "45 small and 5 large bodies: one write");
    cr_expect(book.acked == 50 && !book.out_of_order);
    book_close(&book);
    place_close(&place);
}

/* One write out: little waits for it, much does not. */
Test(journal, a_further_write_carries_much)
{
    static struct book book;
    struct place place;
    struct journal_report report;
    struct journal_config config = fixture_config();

    place_open(&place);
    config.file_bytes = 4 * 1024 * 1024;
    config.further_bytes = 16 * 1024;
    cr_assert(journal_open(place.io, place.dir, &config, &book.journal) == OK);
    cr_assert(journal_replay(book.journal, 0, false, book_visit, &book, &report) == OK);
    cr_assert(journal_start(book.journal) == OK);
    cr_assert(book_drain(&book, place.io) == OK);
    book.last_acked = -1;
    cr_assert(book_send(&book, false) == OK);
    journal_flush(book.journal);
    cr_assert_eq(book.journal->writes_count, 1);
    do {
        const uint64_t waits = book.journal->queue_first == NULL
                                   ? 0
                                   : book.journal->end_lsn - book.journal->queue_first->lsn;
        cr_assert_lt(waits, config.further_bytes);
        cr_assert(book_send(&book, false) == OK);
        journal_flush(book.journal);
    } while (book.journal->writes_count == 1);
    cr_assert_eq(book.journal->writes_count, 2);
    cr_assert_null(book.journal->queue_first);
    cr_assert(book_drain(&book, place.io) == OK);
    cr_expect(book.acked == book.sent && !book.out_of_order);
    book_close(&book);
    place_close(&place);
}

Test(journal, refuses_bodies_that_no_file_can_hold)
{
    struct place place;
    struct journal *journal;
    struct journal_config config = fixture_config();

    place_open(&place);
    log_set_level(LOG_ERROR + 1);
    config.body_bytes_max = config.file_bytes - 2 * 4096 - 64;
    cr_assert(journal_open(place.io, place.dir, &config, &journal) == OK);
    journal_close(journal);
    config.body_bytes_max++;
    cr_expect(journal_open(place.io, place.dir, &config, &journal) == ERR_TOO_LARGE);
    place_close(&place);
}
