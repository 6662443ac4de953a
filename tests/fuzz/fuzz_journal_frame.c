/*
 * Foreign bytes as the files of a journal. The input lies in two files of 64 KiB with sound headers; then the
 * journal is opened, replayed, started, used, closed and replayed once more, all in the simulated world.
 *
 *   input   flags u8, then the bytes behind the header pages, file after file
 *   flags   1 the CRCs are mended, so that the checks behind them are reached (we know the salt here)
 *           2 lsn and chain are mended too     4 the operator accepts damage     8 the sealed position is not
 * 0 16 the second file is cut short
 *
 * Nothing may crash or hang, what is visited must lie in the window, and positions must rise.
 */
#include "base/log.h"
#include "io/io.h"
#include "io/sim.h"
#include "../../src/store/journal_frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES = 64 * 1024, DATA_BYTES = FILE_BYTES - JOURNAL_PAGE_BYTES, FILES = 2, SHARD = 3 };
enum { MEND = 1, MEND_PLACE = 2, ACCEPT = 4, SEALED = 8, SHORT = 16 };
#define SALT 0x0123456789abcdefULL

static uint8_t files[FILES][FILE_BYTES] __attribute__((aligned(JOURNAL_PAGE_BYTES)));

/* Makes frames out of what stands at each page, and behind each such frame. */
static void mend(uint8_t *file, uint64_t base, uint32_t *chain, uint8_t flags)
{
    for (size_t offset = JOURNAL_PAGE_BYTES; offset + sizeof(struct journal_frame) <= FILE_BYTES;) {
        struct journal_frame frame;
        memcpy(&frame, file + offset, sizeof frame);
        const size_t room = FILE_BYTES - offset - sizeof frame;
        if (frame.type == 0) { /* zeros stay zeros */
            offset = journal_align(offset + 1, JOURNAL_PAGE_BYTES);
            continue;
        }
        if ((flags & MEND_PLACE) != 0) {
            frame.lsn = base + offset - JOURNAL_PAGE_BYTES;
            frame.prev_crc = *chain;
            frame.shard = SHARD;
            frame.type = (uint8_t)(1 + frame.type % 4);
            frame.flags &= JOURNAL_FLAG_PAGE_END;
            frame.body_len %= (uint32_t)room + 1;
        }
        if (frame.body_len > room) frame.body_len = (uint32_t)room;
        *chain = journal_frame_seal(&frame, file + offset + sizeof frame, SALT);
        memcpy(file + offset, &frame, sizeof frame);
        offset += journal_frame_bytes(frame.body_len);
        if ((frame.flags & JOURNAL_FLAG_PAGE_END) != 0) offset = journal_align(offset, JOURNAL_PAGE_BYTES);
    }
}

static void write_files(struct io *io, struct io_dir *dir, const uint8_t *data, size_t size, uint8_t flags)
{
    uint32_t chain = 0;

    memset(files, 0, sizeof files);
    for (unsigned i = 0; i < FILES; i++) {
        struct journal_file_header header = {
            .shard = SHARD, .sequence = i, .salt = SALT, .file_bytes = FILE_BYTES, .created_ns = 1};
        const size_t len = size < DATA_BYTES ? size : DATA_BYTES;
        struct io_file *file;

        journal_file_header_seal(&header);
        memcpy(files[i], &header, sizeof header);
        if (len > 0) memcpy(files[i] + JOURNAL_PAGE_BYTES, data, len);
        data += len;
        size -= len;
        if ((flags & MEND) != 0) mend(files[i], (uint64_t)i * DATA_BYTES, &chain, flags);
        if (io_file_open(io, dir, i == 0 ? "00000000" : "00000001", IO_CREATE | IO_WRITABLE | IO_DIRECT,
                         &file) != OK)
            abort();
        const size_t bytes = i == 1 && (flags & SHORT) != 0 ? FILE_BYTES / 2 : FILE_BYTES;
        if (io_write_now(io, file, files[i], bytes, 0) != OK) abort();
        io_file_close(io, file);
    }
}

struct visited {
    uint64_t lsn_end;
    uint64_t count;
};

static enum err visit(void *context, const struct journal_batch *batch, struct slice body, uint64_t lsn,
                      uint64_t lsn_end)
{
    struct visited *const visited = context;
    volatile uint8_t sum = (uint8_t)batch->codec;

    for (size_t i = 0; i < body.len; i++)
        sum = (uint8_t)(sum + body.ptr[i]);
    if (lsn < visited->lsn_end || lsn_end <= lsn) abort();
    visited->lsn_end = lsn_end;
    visited->count++;
    return OK;
}

static void on_done(struct journal_append *append, enum err err)
{
    (void)append;
    if (err != OK) abort();
}

static void use(struct io *io, struct journal *journal)
{
    static uint8_t body[1000];
    struct journal_append append = {.done = on_done, .body = slice_of(body, sizeof body)};

    if (journal_start(journal) != OK) return;
    if (journal_append(journal, &append) != OK) return;
    while (!journal_idle(journal)) {
        unsigned handlers_run;
        journal_flush(journal);
        if (io_turn(io, 1000, &handlers_run) != OK) abort();
    }
}

static void life(struct io *io, struct io_dir *dir, uint8_t flags)
{
    const struct journal_config config = {.shard = SHARD,
                                          .file_bytes = FILE_BYTES,
                                          .cap_bytes = 4 * FILE_BYTES,
                                          .body_bytes_max = FILE_BYTES / 2,
                                          .writes_in_flight_max = 2};
    struct journal *journal;
    struct journal_report report;
    struct visited visited = {.count = 0};

    if (journal_open(io, dir, &config, &journal) != OK) return;
    const enum err err = journal_replay(journal, (flags & SEALED) != 0 ? 4096 : 0, (flags & ACCEPT) != 0,
                                        visit, &visited, &report);
    if (report.batches != visited.count) abort();
    if (err == OK) use(io, journal);
    journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sim_config config = {.seed = 1, .sector_bytes = 4096};
    struct io_dir *dir;

    if (size == 0) return 0;
    log_set_level(LOG_ERROR + 1);
    struct sim *const sim = sim_open(&config);
    struct io *const io = sim_io(sim);
    if (io_dir_open(io, NULL, "journal", true, &dir) != OK) abort();
    write_files(io, dir, data + 1, size - 1, data[0]);
    life(io, dir, data[0]);
    life(io, dir, data[0]);
    sim_abandon(sim);
    return 0;
}
