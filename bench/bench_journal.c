/*
 * What the journal costs beside the bare write it is made of. In one run, alternating: one append until it is
 * acknowledged, and one O_DSYNC write of the same number of bytes into a file that was written with zeros
 * before. Then appends in bursts, as a loaded shard makes them: 16 per turn, two writes in flight. Then recovery.
 *
 *   bench_journal [directory] [rounds]      default: a new directory in the current one, 2,000 rounds
 *
 * Prints p50 and p99 in microseconds, the ratio of the p50s, and for the bursts ns per append. The directory
 * must be on the file system in question; it is made, and emptied again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "io/io.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 64 * 1024 * 1024, BURST = 16, ROUNDS_MAX = 100000 };

static const struct journal_config journal_config = {
    .file_bytes = FILE_BYTES,
    .cap_bytes = 4ULL * FILE_BYTES,
    .body_bytes_max = 16 * 1024 * 1024,
    .writes_in_flight_max = 2,
};

struct bench {
    struct io *io;
    struct io_dir *dir;
    struct journal *journal;
    struct io_file *bare;
    uint64_t bare_offset;
    uint8_t *bodies; /* BURST, each page-aligned */
    size_t body_room;
    unsigned pending;
};

struct one {
    struct journal_append append;
    struct bench *bench;
};

static void must(enum err err, const char *what)
{
    if (err == OK) return;
    fprintf(stderr, "bench_journal: %s: %s\n", what, err_text(err));
    exit(1);
}

static enum err visit_none(void *context, const struct journal_batch *batch, struct slice body, uint64_t lsn,
                           uint64_t lsn_end)
{
    (void)context, (void)batch, (void)body, (void)lsn, (void)lsn_end;
    return OK;
}

static void on_done(struct journal_append *append, enum err err)
{
    must(err, "append");
    ((struct one *)(void *)append)->bench->pending--;
}

static void bench_open(struct bench *bench, const char *path)
{
    const struct io_config io_config = {
        .ops_max = 64, .receive_buffers = 16, .receive_buffer_bytes = 16384, .sockets_max = 16};
    struct journal_report report;

    if (io_open_uring(&io_config, &bench->io) != OK) {
        printf("no io_uring here: blocking calls\n");
        must(io_open_plain(&bench->io), "io");
    }
    must(io_dir_open(bench->io, NULL, path, true, &bench->dir), "directory");
    must(journal_open(bench->io, bench->dir, &journal_config, &bench->journal), "journal_open");
    must(journal_replay(bench->journal, 0, false, visit_none, NULL, &report), "journal_replay");
    must(journal_start(bench->journal), "journal_start");

    uint8_t *const zeros = io_memory(1024 * 1024);
    struct io_file *file;
    must(io_file_open(bench->io, bench->dir, "bare", IO_CREATE | IO_WRITABLE | IO_DIRECT, &file),
         "bare file");
    for (uint64_t at = 0; at < FILE_BYTES; at += 1024 * 1024)
        must(io_write_now(bench->io, file, zeros, 1024 * 1024, at), "zeros");
    must(io_datasync_now(bench->io, file), "datasync");
    io_file_close(bench->io, file);
    io_memory_free(zeros, 1024 * 1024);
    must(io_file_open(bench->io, bench->dir, "bare", IO_WRITABLE | IO_DIRECT | IO_DSYNC, &bench->bare),
         "bare");

    bench->body_room = 128 * 1024;
    bench->bodies = io_memory(BURST * bench->body_room);
    for (size_t i = 0; i < BURST * bench->body_room; i++)
        bench->bodies[i] = (uint8_t)(i * 2654435761U >> 13);
}

static bool names_visit(void *context, const char *name)
{
    char(*const last)[64] = context;
    snprintf(*last, sizeof *last, "%s", name);
    return false;
}

static void bench_close(struct bench *bench)
{
    char name[64];

    journal_close(bench->journal);
    io_file_close(bench->io, bench->bare);
    for (;;) {
        name[0] = '\0';
        must(io_dir_list(bench->io, bench->dir, names_visit, &name), "list");
        if (name[0] == '\0') break;
        must(io_unlink(bench->io, bench->dir, name), "unlink");
    }
    io_dir_close(bench->io, bench->dir);
    io_close(bench->io);
    io_memory_free(bench->bodies, BURST * bench->body_room);
}

static void turn(struct bench *bench)
{
    unsigned handlers_run;
    must(io_turn(bench->io, NS_PER_S, &handlers_run), "io_turn");
}

static void append(struct bench *bench, struct one *one, unsigned slot, size_t len)
{
    one->bench = bench;
    one->append = (struct journal_append){
        .done = on_done,
        .body = slice_of(bench->bodies + slot * bench->body_room + JOURNAL_FRAME_HEADER_BYTES, len),
        .batch = {.span_count = 1},
    };
    bench->pending++;
    enum err err = journal_append(bench->journal, &one->append);
    if (err == ERR_FULL) { /* as if all were sealed; two files are enough then */
        bench->pending--;
        while (!journal_idle(bench->journal)) {
            journal_flush(bench->journal);
            turn(bench);
        }
        journal_release(bench->journal, journal_durable_lsn(bench->journal));
        bench->pending++;
        err = journal_append(bench->journal, &one->append);
    }
    must(err, "journal_append");
}

static void on_bare(struct io_op *op)
{
    must(op->err, "bare write");
}

static uint64_t time_bare(struct bench *bench, size_t bytes)
{
    struct io_op op = {.done = on_bare};

    if (bench->bare_offset + bytes > FILE_BYTES) bench->bare_offset = 0;
    const uint64_t start_ns = io_now_ns(bench->io);
    io_write(bench->io, &op, bench->bare, bench->bodies, bytes, bench->bare_offset);
    while (op.in_flight)
        turn(bench);
    bench->bare_offset += bytes;
    return io_now_ns(bench->io) - start_ns;
}

static uint64_t time_append(struct bench *bench, size_t len)
{
    struct one one;

    journal_release(bench->journal, journal_durable_lsn(bench->journal));
    const uint64_t start_ns = io_now_ns(bench->io);
    append(bench, &one, 0, len);
    journal_flush(bench->journal);
    while (bench->pending > 0)
        turn(bench);
    return io_now_ns(bench->io) - start_ns;
}

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void pairs(struct bench *bench, size_t len, size_t rounds)
{
    static uint64_t journal_ns[ROUNDS_MAX], bare_ns[ROUNDS_MAX];
    const size_t bytes = (JOURNAL_FRAME_HEADER_BYTES + len + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;

    for (size_t i = 0; i < rounds; i++) {
        journal_ns[i] = time_append(bench, len);
        bare_ns[i] = time_bare(bench, bytes);
    }
    qsort(journal_ns, rounds, sizeof *journal_ns, compare);
    qsort(bare_ns, rounds, sizeof *bare_ns, compare);
    const double journal_us = (double)journal_ns[rounds / 2] / 1e3,
                 bare_us = (double)bare_ns[rounds / 2] / 1e3;
    printf("body %6zu B, write %6zu B: journal p50 %.1f us p99 %.1f us, bare p50 %.1f us p99 %.1f us, ratio "
           "%.3f\n",
           len, bytes, journal_us, (double)journal_ns[rounds * 99 / 100] / 1e3, bare_us,
           (double)bare_ns[rounds * 99 / 100] / 1e3, journal_us / bare_us);
}

/* A burst per turn: the next one gathers while two are in flight. */
static void bursts(struct bench *bench, size_t len, size_t rounds)
{
    static struct one ones[2][BURST];
    const uint64_t start_ns = io_now_ns(bench->io);

    for (size_t i = 0; i < rounds; i++) {
        for (unsigned k = 0; k < BURST; k++)
            append(bench, &ones[i % 2][k], k, len); /* bodies may be shared: small ones are copied */
        journal_flush(bench->journal);
        while (bench->pending > BURST)
            turn(bench);
        while (i % 2 == 1 && bench->pending > 0) { /* ones[] are reused in the next round */
            journal_flush(bench->journal);
            turn(bench);
        }
        journal_release(bench->journal, journal_durable_lsn(bench->journal));
    }
    while (bench->pending > 0) {
        journal_flush(bench->journal);
        turn(bench);
    }
    const uint64_t elapsed_ns = io_now_ns(bench->io) - start_ns;
    printf("body %6zu B, %d a turn: %.0f ns per append, %.0f MB/s\n", len, BURST,
           (double)elapsed_ns / (double)(rounds * BURST),
           (double)(rounds * BURST * len) * 1e3 / (double)elapsed_ns);
}

/* Recovery of about two files of bodies, without decoding them: reading, CRCs, the walk, the search behind it. */
static void replay(struct bench *bench, size_t len)
{
    static struct one one;
    struct journal_report report;
    const uint64_t sealed_lsn = journal_durable_lsn(bench->journal);

    journal_release(bench->journal, sealed_lsn);
    for (size_t bytes = 0; bytes < 100 * 1000 * 1000; bytes += len) {
        if (journal_wants_file(bench->journal)) must(journal_prepare_file(bench->journal, bench->io), "file");
        append(bench, &one, 0, len);
        journal_flush(bench->journal);
        while (bench->pending > 0)
            turn(bench);
    }
    journal_close(bench->journal);

    const uint64_t start_ns = io_now_ns(bench->io);
    must(journal_open(bench->io, bench->dir, &journal_config, &bench->journal), "journal_open");
    must(journal_replay(bench->journal, sealed_lsn, false, visit_none, NULL, &report), "journal_replay");
    const uint64_t elapsed_ns = io_now_ns(bench->io) - start_ns;
    printf("replay: %.0f MB of bodies in %.1f ms, %.0f MB/s\n", (double)(report.batches * len) / 1e6,
           (double)elapsed_ns / 1e6, (double)(report.batches * len) * 1e3 / (double)elapsed_ns);
}

int main(int argc, char **argv)
{
    struct bench bench = {.pending = 0};
    const size_t wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    const size_t rounds = wanted > 0 && wanted <= ROUNDS_MAX ? wanted : 2000;

    log_set_level(LOG_WARN);
    bench_open(&bench, argc > 1 ? argv[1] : "bench_journal.dir");
    pairs(&bench, 4096, rounds);
    pairs(&bench, 64 * 1024 + 4096 - 2 * JOURNAL_FRAME_HEADER_BYTES, rounds);
    bursts(&bench, 4096, rounds / 8);
    replay(&bench, 100000);
    bench_close(&bench);
    return 0;
}
