/*
 * One ring carries both: a durable write at a time, as a journal does, and a number of transfers that are submitted again as
 * soon as they have landed. So the time of a write is that between its submission and its completion in the same turn loop that
 * a shard has.
 *
 *   two files -> alone -> 1, 2, 4, 8 pieces of 256 KiB, until it is too much -> (not even one: smaller pieces) -> alone again
 *
 * The lower quartile decides. On a machine with other work the rest of the times tells who had the CPU, while what the disk adds
 * is there in the shortest ones, too (load average 14: quartiles of 0.3, 0.5, 0.8 and 2 ms beside 1, 2, 4 and 8 pieces, medians
 * anywhere between 0.5 and 3). "Alone" is beside reads of a page: with nothing else in flight a busy machine's CPU goes to
 * others for milliseconds, and takes as long to come back (8 ms at that load).
 *
 * No raised priority: on some kernels a durable write is completed by a thread of the kernel's, which then never gets the CPU
 * (measured under SCHED_FIFO: 200 ms a write).
 *
 * Which of two times of "alone" is the disk's own, and which somebody else's: the smaller one.
 */
#include "io/disk_probe.h"

#include "base/clock.h"
#include "base/hash.h"
#include "io/gate.h"
#include "io/io.h"

#include <stdlib.h>

enum {
    JOURNAL_FILE_BYTES = 8 << 20,
    LOAD_FILE_BYTES = 64 << 20,
    WRITE_BYTES = 16 << 10,
    FILL_BYTES = 1 << 20,
    SAMPLES = 200,
    SAMPLES_MIN = 20,
    DEPTH_MAX = 8,
    READS_TO_A_WRITE = 3,
};
static const uint64_t ROW_NS_MAX = 200 * NS_PER_MS, LOOK_NS_MAX = NS_PER_S, LANDING_NS = NS_PER_S;
static const char journal_name[] = "disk-probe-journal.tmp", load_name[] = "disk-probe-load.tmp";

struct transfer {
    struct io_op op; /* first: the handler finds the transfer from it */
    struct probe *probe;
    uint8_t *memory; /* borrowed: a piece of the probe's */
    unsigned number; /* of its transfers so far */
};

struct probe {
    struct io *io;
    struct io_dir *dir; /* borrowed */
    struct io_file *journal, *load;
    uint8_t *noise;  /* FILL_BYTES; what is written */
    uint8_t *memory; /* of the transfers */
    uint64_t dice;
    size_t piece_bytes;
    bool going, only_reads;
    uint64_t moved_bytes;
    enum err err; /* the first of a transfer */
    struct transfer transfers[DEPTH_MAX];
    uint64_t took_ns[SAMPLES];
};

/* ---- transfers ------------------------------------------------------------------------------------------ */

static uint64_t any_offset(struct probe *probe)
{
    probe->dice = hash_mix(probe->dice + 1, 0x9e3779b97f4a7c15ULL);
    return probe->dice % (LOAD_FILE_BYTES / probe->piece_bytes) * probe->piece_bytes;
}

static void transfer_go(struct transfer *transfer)
{
    struct probe *const probe = transfer->probe;

    if (!probe->only_reads && transfer->number++ % (READS_TO_A_WRITE + 1) == READS_TO_A_WRITE)
        io_write(probe->io, &transfer->op, probe->load, probe->noise, probe->piece_bytes, any_offset(probe));
    else
        io_read(probe->io, &transfer->op, probe->load, transfer->memory, probe->piece_bytes,
                any_offset(probe));
}

static void transfer_landed(struct io_op *op)
{
    struct transfer *const transfer = (struct transfer *)op;
    struct probe *const probe = transfer->probe;

    probe->moved_bytes += op->count;
    if (op->err != OK && probe->err == OK) probe->err = op->err;
    if (probe->going && op->err == OK) transfer_go(transfer);
}

static void write_landed(struct io_op *op)
{
    (void)op;
}

/* ---- one row -------------------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static enum err write_once(struct probe *probe, uint64_t offset, uint64_t *took_ns)
{
    struct io_op op = {.done = write_landed};
    const uint64_t began_ns = io_now_ns(probe->io);

    io_write(probe->io, &op, probe->journal, probe->noise, WRITE_BYTES, offset);
    TRY(io_await(probe->io, &op));
    *took_ns = io_now_ns(probe->io) - began_ns;
    return OK;
}

static enum err write_many(struct probe *probe, unsigned *count)
{
    const uint64_t until_ns = io_now_ns(probe->io) + ROW_NS_MAX;

    for (*count = 0; *count < SAMPLES && probe->err == OK; ++*count) {
        if (*count >= SAMPLES_MIN && io_now_ns(probe->io) > until_ns) break;
        TRY(write_once(probe, (uint64_t)*count * WRITE_BYTES % JOURNAL_FILE_BYTES, &probe->took_ns[*count]));
    }
    return probe->err;
}

static enum err land_all(struct probe *probe)
{
    bool flying = true;

    probe->going = false;
    while (flying) {
        flying = false;
        for (unsigned i = 0; i < DEPTH_MAX; i++)
            flying = flying || probe->transfers[i].op.in_flight;
        if (flying) TRY(io_turn(probe->io, LANDING_NS, NULL));
    }
    return probe->err;
}

static enum err measure(struct probe *probe, uint32_t depth, uint32_t piece_bytes, struct disk_probe_row *row)
{
    unsigned count;
    const uint64_t began_ns = io_now_ns(probe->io);

    assert(depth <= DEPTH_MAX);
    probe->piece_bytes = depth > 0 ? piece_bytes : IO_ALIGN;
    probe->only_reads = depth == 0;
    probe->moved_bytes = 0;
    probe->going = true;
    for (unsigned i = 0; i < (depth > 0 ? depth : 1); i++)
        transfer_go(&probe->transfers[i]);
    const enum err written = write_many(probe, &count);
    const uint64_t took_ns = io_now_ns(probe->io) - began_ns;
    const enum err landed = land_all(probe);
    TRY(written);
    TRY(landed);
    qsort(probe->took_ns, count, sizeof probe->took_ns[0], by_size);
    *row = (struct disk_probe_row){
        .depth = depth,
        .piece_bytes = depth > 0 ? piece_bytes : 0,
        .p25_ns = probe->took_ns[count / 4],
        .p50_ns = probe->took_ns[count / 2],
        .p90_ns = probe->took_ns[count * 90 / 100],
        .bytes_per_second = depth > 0 ? probe->moved_bytes * NS_PER_S / (took_ns + 1) : 0,
    };
    return OK;
}

/* ---- what is enough ------------------------------------------------------------------------------------- */

static bool is_good(const struct disk_probe_row *alone, const struct disk_probe_row *row)
{
    return row->p25_ns <= DISK_PROBE_WORSE * alone->p25_ns;
}

/* Measures one more row; true when the journal can stand it. */
static enum err try_row(struct probe *probe, struct disk_probe *out, uint32_t depth, uint32_t piece_bytes,
                        bool *good)
{
    struct disk_probe_row *const row = &out->rows[out->rows_count];

    assert(out->rows_count < DISK_PROBE_ROWS);
    TRY(measure(probe, depth, piece_bytes, row));
    out->rows_count++;
    *good = is_good(&out->rows[0], row);
    if (!*good) return OK;
    out->beside_max = depth;
    out->piece_bytes = piece_bytes;
    return OK;
}

static enum err find_most(struct probe *probe, struct disk_probe *out)
{
    bool good = true;

    out->beside_max = 0;
    for (uint32_t depth = 1; depth <= DEPTH_MAX && good; depth *= 2)
        TRY(try_row(probe, out, depth, IO_GATE_PIECE_MAX, &good));
    for (uint32_t piece = IO_GATE_PIECE_MAX / 2; piece >= IO_GATE_PIECE_MIN && out->beside_max == 0;
         piece /= 2)
        TRY(try_row(probe, out, 1, piece, &good));
    if (out->beside_max > 0) return OK;
    out->suffers = true;
    out->beside_max = 1;
    out->piece_bytes = IO_GATE_PIECE_MIN;
    return OK;
}

/* Beside transfers a write takes no less than alone. When it does, what was measured is who had the CPU. */
static bool is_plausible(const struct disk_probe *found)
{
    for (uint32_t i = 1; i < found->rows_count; i++)
        if (found->rows[i].p25_ns < found->rows[0].p25_ns / 2) return false;
    return true;
}

static enum err look(struct probe *probe, struct disk_probe *out)
{
    struct disk_probe_row again;

    *out = (struct disk_probe){.rows_count = 1};
    TRY(measure(probe, 0, IO_GATE_PIECE_MAX, &again));
    TRY(measure(probe, 0, IO_GATE_PIECE_MAX, &out->rows[0]));
    if (again.p25_ns < out->rows[0].p25_ns) out->rows[0] = again;
    return find_most(probe, out);
}

static enum err look_patiently(struct probe *probe, struct disk_probe *out)
{
    const uint64_t until_ns = io_now_ns(probe->io) + LOOK_NS_MAX;

    do {
        TRY(look(probe, out));
        if (is_plausible(out)) return OK;
    } while (io_now_ns(probe->io) < until_ns);
    return ERR_BUSY;
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static enum err fill(struct probe *probe, const char *name, uint64_t bytes)
{
    struct io_file *file;

    const enum err gone = io_unlink(probe->io, probe->dir, name); /* of a crash */
    if (gone != OK && gone != ERR_NOT_FOUND) return gone;
    TRY(io_file_open(probe->io, probe->dir, name, IO_CREATE | IO_WRITABLE | IO_DIRECT, &file));
    enum err err = OK;
    for (uint64_t at = 0; at < bytes && err == OK; at += FILL_BYTES)
        err = io_write_now(probe->io, file, probe->noise, FILL_BYTES, at);
    if (err == OK) err = io_datasync_now(probe->io, file);
    io_file_close(probe->io, file);
    return err;
}

static enum err open_files(struct probe *probe)
{
    TRY(fill(probe, journal_name, JOURNAL_FILE_BYTES));
    TRY(fill(probe, load_name, LOAD_FILE_BYTES));
    TRY(io_file_open(probe->io, probe->dir, load_name, IO_WRITABLE | IO_DIRECT, &probe->load));
    return io_file_open(probe->io, probe->dir, journal_name, IO_WRITABLE | IO_DIRECT | IO_DSYNC,
                        &probe->journal);
}

static void close_files(struct probe *probe)
{
    if (probe->load != NULL) io_file_close(probe->io, probe->load);
    if (probe->journal != NULL) io_file_close(probe->io, probe->journal);
    (void)io_unlink(probe->io, probe->dir, load_name);
    (void)io_unlink(probe->io, probe->dir, journal_name);
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static enum err prepare(struct probe *probe)
{
    const struct io_config config = {.ops_max = DEPTH_MAX /* transfers */ + 1 /* write */,
                                     .receive_buffer_bytes = 0};

    probe->noise = io_memory(FILL_BYTES);
    probe->memory = io_memory((size_t)DEPTH_MAX * IO_GATE_PIECE_MAX);
    if (probe->noise == NULL || probe->memory == NULL) return ERR_NO_MEMORY;
    TRY(io_open_uring(&config, &probe->io));
    io_random(probe->io, probe->noise, FILL_BYTES); /* a device may treat zeros in its own way */
    for (unsigned i = 0; i < DEPTH_MAX; i++)
        probe->transfers[i] = (struct transfer){.op.done = transfer_landed,
                                                .probe = probe,
                                                .memory = probe->memory + (size_t)i * IO_GATE_PIECE_MAX,
                                                .number = i};
    return OK;
}

enum err disk_probe(struct io_dir *dir, struct disk_probe *out)
{
    struct probe *const probe = calloc(1, sizeof *probe);
    struct disk_probe found = {.rows_count = 0};

    if (probe == NULL) return ERR_NO_MEMORY;
    probe->dir = dir;
    enum err err = prepare(probe);
    if (err == OK) {
        err = open_files(probe);
        if (err == OK) err = look_patiently(probe, &found);
        close_files(probe);
    }
    if (probe->io != NULL) io_close(probe->io);
    if (probe->memory != NULL) io_memory_free(probe->memory, (size_t)DEPTH_MAX * IO_GATE_PIECE_MAX);
    if (probe->noise != NULL) io_memory_free(probe->noise, FILL_BYTES);
    free(probe);
    TRY(err);
    *out = found;
    return OK;
}
