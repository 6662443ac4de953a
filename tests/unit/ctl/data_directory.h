/*
 * A small data directory in the simulated world: superblock, one segment, one journal, each made by the store itself. Blocks
 * number 0 to 4 of shard 0 cover its journal up to LSN 5000, which is where the first request of the journal ends.
 */
#ifndef TEST_CTL_DATA_DIRECTORY_H
#define TEST_CTL_DATA_DIRECTORY_H

#include "store/segment_fixture.h"

#include "base/log.h"
#include "store/journal.h"
#include "store/superblock.h"
#include "verify.h"

#include <criterion/criterion.h>

enum {
    DATA_BLOCKS = 5,
    DATA_SEALED_LSN = DATA_BLOCKS * FIXTURE_LSN_STEP,
    DATA_JOURNAL_FILE = 64 * 1024,
    DATA_REQUESTS = 12,
    DATA_FIRST_BODY = DATA_SEALED_LSN - 4096 - JOURNAL_FRAME_HEADER_BYTES, /* it begins at the second page */
};

struct data {
    struct world world;
    uint64_t instance;
    uint64_t journal_end; /* LSN behind the last request */
};

static inline struct data data_open(uint64_t seed)
{
    struct data data = {.world = world_sim_new(seed)};
    struct superblock superblock;

    log_set_level(LOG_ERROR + 1);
    cr_assert_eq(superblock_open(data.world.io, data.world.dir, &superblock), OK);
    superblock_close(&superblock, data.world.io);
    data.instance = superblock.instance;
    data.world.config.instance = superblock.instance;
    data.world.config.blocks_max = 16;
    return data;
}

static inline void data_close(struct data *data)
{
    world_close(&data->world);
}

/* Blocks number first to end - 1 of a shard, in one segment, closed or not. */
static inline void data_segment(struct data *data, uint16_t shard, uint64_t first, uint64_t end, bool closed)
{
    cr_assert_eq(world_open_catalog(&data->world), OK);
    for (uint64_t seq = first; seq < end; seq++)
        cr_assert_eq(world_append(&data->world, shard, seq), OK);
    if (closed) cr_assert_eq(segment_seal(data->world.catalog, data->world.io, shard), OK);
    world_close_catalog(&data->world);
}

/* ---- journal ------------------------------------------------------------------------------------------- */

static inline struct journal_config data_journal_config(void)
{
    return (struct journal_config){.shard = 0,
                                   .file_bytes = DATA_JOURNAL_FILE,
                                   .cap_bytes = 4 * DATA_JOURNAL_FILE,
                                   .body_bytes_max = 20000,
                                   .writes_in_flight_max = 2};
}

static inline void data_on_done(struct journal_append *append, enum err err)
{
    (void)append;
    cr_assert_eq(err, OK);
}

static inline enum err data_on_batch(void *context, const struct journal_batch *batch, struct slice body,
                                     uint64_t lsn, uint64_t lsn_end)
{
    (void)context, (void)batch, (void)body, (void)lsn, (void)lsn_end;
    return OK;
}

static inline void data_drain(struct data *data, struct journal *journal)
{
    unsigned handlers;

    journal_flush(journal);
    while (!journal_idle(journal)) {
        cr_assert_eq(io_turn(data->world.io, 1000000, &handlers), OK);
        journal_flush(journal);
    }
}

/* Several requests, two to a group now and then, and the note of an idle shard. */
static inline void data_journal(struct data *data)
{
    static uint8_t body[8192];
    struct journal_append appends[DATA_REQUESTS];
    const struct journal_config config = data_journal_config();
    struct journal_report report;
    struct journal *journal;
    struct io_dir *dir;

    cr_assert_eq(io_dir_open(data->world.io, data->world.dir, "journal-0", true, &dir), OK);
    cr_assert_eq(journal_open(data->world.io, dir, &config, &journal), OK);
    cr_assert_eq(journal_replay(journal, 0, false, data_on_batch, NULL, &report), OK);
    cr_assert_eq(journal_start(journal), OK);
    for (unsigned i = 0; i < DATA_REQUESTS; i++) {
        const size_t len = i == 0 ? DATA_FIRST_BODY : 100 + i * 211 % 1800;
        memset(body, (int)(i + 1), len);
        appends[i] = (struct journal_append){.done = data_on_done,
                                             .body = slice_of(body, len),
                                             .batch = {.arrival_ns = 5 + i, .span_count = 1}};
        cr_assert_eq(journal_append(journal, &appends[i]), OK);
        if (i % 3 != 1) data_drain(data, journal);
    }
    data_drain(data, journal);
    data->journal_end = appends[DATA_REQUESTS - 1].lsn_end;
    cr_assert_eq(appends[0].lsn_end, DATA_SEALED_LSN);
    journal_note_idle(journal);
    data_drain(data, journal);
    journal_close(journal);
    io_dir_close(data->world.io, dir);
}

/* ---- spoiling ------------------------------------------------------------------------------------------ */

static inline struct io_file *data_file(struct data *data, const char *dir, const char *name,
                                        struct io_dir **opened)
{
    struct io_file *file;

    *opened = NULL;
    if (dir != NULL) cr_assert_eq(io_dir_open(data->world.io, data->world.dir, dir, false, opened), OK);
    cr_assert_eq(
        io_file_open(data->world.io, dir != NULL ? *opened : data->world.dir, name, IO_WRITABLE, &file), OK);
    return file;
}

static inline void data_file_close(struct data *data, struct io_file *file, struct io_dir *dir)
{
    io_file_close(data->world.io, file);
    if (dir != NULL) io_dir_close(data->world.io, dir);
}

/* Flips one bit; twice is never. */
static inline void data_flip(struct data *data, const char *dir, const char *name, uint64_t at)
{
    struct io_dir *opened;
    struct io_file *const file = data_file(data, dir, name, &opened);
    uint8_t byte;
    size_t count;

    cr_assert_eq(io_read_now(data->world.io, file, &byte, 1, at, &count), OK);
    cr_assert_eq(count, 1);
    byte ^= (uint8_t)(1U << (at + at / 8) % 8);
    cr_assert_eq(io_write_now(data->world.io, file, &byte, 1, at), OK);
    cr_assert_eq(io_datasync_now(data->world.io, file), OK); /* or the disk would remember each flip */
    data_file_close(data, file, opened);
}

/* All bytes of a file; the room is the caller's until the next one. */
static inline struct slice data_read(struct data *data, const char *dir, const char *name)
{
    static uint8_t room[1 << 18];
    struct io_dir *opened;
    struct io_file *const file = data_file(data, dir, name, &opened);
    size_t len;

    cr_assert_eq(io_read_now(data->world.io, file, room, sizeof room, 0, &len), OK);
    cr_assert_lt(len, sizeof room);
    data_file_close(data, file, opened);
    return slice_of(room, len);
}

/* Where to flip next: every byte, but only some of those in the middle of long runs of zeros. */
static inline uint64_t data_next(struct slice bytes, uint64_t at)
{
    enum { NEAR = 16, STEP = 61 };

    for (uint64_t i = at > NEAR ? at - NEAR : 0; i < at + NEAR + STEP; i++)
        if (i >= bytes.len || bytes.ptr[i] != 0) return at + 1;
    return at + STEP;
}

/* ---- judging ------------------------------------------------------------------------------------------- */

struct told {
    unsigned damaged, notes;
    struct finding first; /* damage, or a note if there is none */
    struct verify_totals totals;
};

static inline void data_note(void *context, const struct finding *finding)
{
    struct told *const told = context;

    if ((finding->damage && told->damaged == 0) || told->damaged + told->notes == 0) told->first = *finding;
    told->damaged += finding->damage;
    told->notes += !finding->damage;
}

static inline enum err data_verify(struct data *data, bool while_running, struct told *told)
{
    const struct verify_options options = {.while_running = while_running};
    struct progress progress;

    *told = (struct told){.damaged = 0};
    progress_init(&progress, stderr, PROGRESS_NEVER);
    const enum err err = verify_directory(data->world.io, data->world.dir, &options, &progress, data_note,
                                          told, &told->totals);
    cr_assert_eq(told->totals.damaged, told->damaged);
    return err;
}

static inline struct told data_told(struct data *data)
{
    struct told told;

    cr_assert_eq(data_verify(data, false, &told), OK);
    return told;
}

#endif
