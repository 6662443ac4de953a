/*
 * A journal's history in the simulated world, and its crashes: each image that the disk may have at an event is recovered,
 * used again and recovered once more. What must hold each time: acknowledged ⊆ recovered ⊆ sent, in order, unchanged, and
 * no damage is reported where there is none. The catalog is played by sealed_lsn, which is durable the moment it is set.
 */
#ifndef TEST_STORE_JOURNAL_STORY_H
#define TEST_STORE_JOURNAL_STORY_H

#include "io/sim.h"
#include "journal_fixture.h"

#include <criterion/criterion.h>

/* One history: the world, the book, and what the crashes in it have counted. */
struct story {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
    struct book book;
    uint64_t sealed_lsn;
    uint64_t images, image_step;
    uint64_t seed;
    unsigned depth; /* crash again inside the recoveries of crashes */
};

static struct book second; /* the book of a life after a crash; tests run one story at a time */

static inline void world_open(struct story *story, struct sim *sim)
{
    story->sim = sim;
    story->io = sim_io(sim);
    cr_assert(io_dir_open(story->io, NULL, "journal", true, &story->dir) == OK);
    cr_assert(io_dir_sync(story->io, story->dir) == OK);
}

static inline void story_open(struct story *story, uint64_t seed, uint32_t sector_bytes, uint64_t file_bytes)
{
    const struct sim_config config = {.seed = seed, .sector_bytes = sector_bytes};

    memset(story, 0, sizeof *story);
    log_set_level(LOG_ERROR + 1);
    world_open(story, sim_open(&config));
    story->seed = seed;
    story->book.config = fixture_config();
    story->book.config.file_bytes = file_bytes;
    story->book.config.cap_bytes = 4 * file_bytes;
    story->book.config.body_bytes_max = file_bytes - 2 * IO_ALIGN - JOURNAL_FRAME_HEADER_BYTES;
    if (story->book.config.body_bytes_max > FIXTURE_BODY_BYTES_MAX)
        story->book.config.body_bytes_max = FIXTURE_BODY_BYTES_MAX;
}

static inline void story_close(struct story *story)
{
    if (story->book.journal != NULL) book_close(&story->book);
    sim_abandon(story->sim);
}

/* ---- what must hold -------------------------------------------------------------------------------------
 */

static inline void check_recovered(const struct book *told, const struct book *found, uint64_t sealed_lsn,
                                   const char *when)
{
    static bool seen[FIXTURE_SENT_MAX];
    int64_t last = -1;

    cr_assert(!found->altered, "%s: a body was altered or invented", when);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < found->recovered_count; i++) {
        cr_assert((int64_t)found->recovered[i] > last, "%s: order: %u after %ld", when, found->recovered[i],
                  (long)last);
        last = found->recovered[i];
        seen[last] = true;
    }
    for (uint32_t number = 0; number < told->sent; number++)
        if (told->is_acked[number] && told->lsn_end[number] > sealed_lsn)
            cr_assert(seen[number], "%s: %u was acknowledged and is lost", when, number);
}

static inline enum err recover(struct story *story, struct book *book, bool accept,
                               struct journal_report *report)
{
    return book_open(book, story->io, story->dir, story->sealed_lsn, accept, report);
}

/* A life after the crash: recovers, starts, appends a little, and what it acknowledged must be there in the
 * next. */
static inline void live_on(const struct story *before, struct sim *sim, const char *when)
{
    struct story story = {.seed = before->seed, .sealed_lsn = before->sealed_lsn};
    struct journal_report report;

    world_open(&story, sim);
    memcpy(&second, &before->book, sizeof second);
    second.journal = NULL;
    enum err err = recover(&story, &second, false, &report);
    cr_assert(err == OK, "%s: %s", when, err_text(err));
    cr_assert(report.missing_bytes == 0, "%s: damage reported", when);
    check_recovered(&before->book, &second, story.sealed_lsn, when);
    for (uint32_t i = 0; i < second.recovered_count; i++)
        second.is_acked[second.recovered[i]] = true; /* it is served, so it must stay */

    err = journal_start(second.journal);
    cr_assert(err == OK, "%s: start: %s", when, err_text(err));
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(book_send(&second, false) == OK);
        cr_assert(book_drain(&second, story.io) == OK);
    }
    cr_assert(!second.out_of_order);
    book_close(&second);

    static struct book third;
    memcpy(&third, &second, sizeof third);
    err = recover(&story, &third, false, &report);
    cr_assert(err == OK && report.missing_bytes == 0, "%s, second life: %s", when, err_text(err));
    check_recovered(&second, &third, story.sealed_lsn, when);
    book_close(&third);
    sim_abandon(sim);
}

static inline void crash_here(void *context, struct sim *sim)
{
    struct story *const story = context;
    const uint64_t images = sim_images(sim);
    char when[96];

    for (uint64_t image = sim_events(sim) % story->image_step; image < images; image += story->image_step) {
        snprintf(when, sizeof when, "seed %lu event %lu image %lu", (unsigned long)story->seed,
                 (unsigned long)sim_events(sim), (unsigned long)image);
        story->images++;
        live_on(story, sim_crash(sim, image, story->seed + image), when);
    }
}

#endif
