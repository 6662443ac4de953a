/*
 * What the disk gate does for a journal, without anything that computes: a ring writes as a journal does, 16 KiB and durable, one
 * after the other, beside threads that read and write as questions, merges and a scrub do.
 *
 *   bench_gate DIRECTORY [ROUNDS]      makes and removes two files of 264 MiB together
 *
 * Arms, in turns: quiet; beside eight threads (four that read as questions do, two that write as merges do, two that read as a scrub
 * does, 1 MiB at a time) at the gate, with what the disk of the directory was found to take; beside the same threads without
 * a gate. In every arm a page is read over and over beside the writes: with nothing else in flight a busy machine's CPU goes to
 * others for milliseconds (io/disk_probe.c). Prints one JSON object: medians over the rounds, in microseconds.
 */
#include "io/disk_probe.h"
#include "io/gate.h"
#include "io/io.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOURNAL_BYTES = 8 << 20,
    LOAD_BYTES = 256 << 20,
    TRANSFER_BYTES = 1 << 20,
    WRITE_BYTES = 16 << 10,
    WRITES = 300,
    ROUNDS_MAX = 99,
    THREADS = 8,
};
enum arm { QUIET, GATE, NO_GATE, ARMS };
static const char *const arm_names[ARMS] = {"quiet", "gate", "no_gate"};
enum figure { P25, P50, P90, P99, RATE, FIGURES }; /* microseconds; MB/s of the threads */
static const char *const figure_names[FIGURES] = {"p25_us", "p50_us", "p90_us", "p99_us",
                                                  "disturbance_MB_per_s"};
static const enum io_class classes[THREADS] = {IO_QUERY,   IO_QUERY,   IO_QUERY, IO_QUERY,
                                               IO_COMPACT, IO_COMPACT, IO_SCRUB, IO_SCRUB};

struct bench {
    struct io *ring, *plain;
    struct io_dir *dir;
    struct io_file *journal, *load;
    uint8_t *noise;
    struct io_gate *gate;
    struct io_gate *in_force; /* of this arm; NULL: none */
    atomic_bool over;
    atomic_ullong moved;
    bool paging;
    struct io_op page_op;
    uint8_t *page;
};

static struct bench bench;

static void must(enum err err, const char *what)
{
    if (err == OK) return;
    fprintf(stderr, "bench_gate: %s: %s\n", what, err_text(err));
    exit(1);
}

/* ---- disturbance ---------------------------------------------------------------------------------------- */

static uint64_t any_place(uint64_t *dice)
{
    *dice = *dice * 6364136223846793005U + 1442695040888963407U;
    return (*dice >> 33) % (LOAD_BYTES / TRANSFER_BYTES) * TRANSFER_BYTES;
}

static void *disturb(void *context)
{
    const enum io_class class = *(const enum io_class *)context;
    uint8_t *const memory = io_memory(TRANSFER_BYTES);
    uint64_t dice = (uint64_t)((const enum io_class *)context - classes) + 1;
    struct io *io;
    size_t count;

    must(io_open_plain(&io), "io");
    must(memory != NULL ? OK : ERR_NO_MEMORY, "memory");
    io_gate_join(io, bench.in_force, class);
    while (!atomic_load(&bench.over)) {
        if (class == IO_COMPACT)
            must(io_write_now(io, bench.load, bench.noise, TRANSFER_BYTES, any_place(&dice)), "write");
        else
            must(io_read_now(io, bench.load, memory, TRANSFER_BYTES, any_place(&dice), &count), "read");
        atomic_fetch_add(&bench.moved, TRANSFER_BYTES);
    }
    io_close(io);
    io_memory_free(memory, TRANSFER_BYTES);
    return NULL;
}

/* ---- the journal ---------------------------------------------------------------------------------------- */

static void page_again(struct io_op *op)
{
    must(op->err, "page");
    if (bench.paging) io_read(bench.ring, op, bench.load, bench.page, IO_ALIGN, 0);
}

static void landed(struct io_op *op)
{
    must(op->err, "journal write");
}

static int by_size(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void write_all(double *took_us)
{
    struct io_op op = {.done = landed};

    bench.paging = true;
    bench.page_op.done = page_again;
    io_read(bench.ring, &bench.page_op, bench.load, bench.page, IO_ALIGN, 0);
    for (unsigned i = 0; i < WRITES; i++) {
        const uint64_t began_ns = io_now_ns(bench.ring);
        io_write(bench.ring, &op, bench.journal, bench.noise, WRITE_BYTES,
                 (uint64_t)i * WRITE_BYTES % JOURNAL_BYTES);
        must(io_await(bench.ring, &op), "journal write");
        took_us[i] = (double)(io_now_ns(bench.ring) - began_ns) / 1e3;
    }
    bench.paging = false;
    must(io_await(bench.ring, &bench.page_op), "page");
}

static void run_arm(enum arm arm, double out[FIGURES])
{
    static double took_us[WRITES];
    pthread_t threads[THREADS];
    const unsigned count = arm == QUIET ? 0 : THREADS;

    bench.in_force = arm == GATE ? bench.gate : NULL;
    io_gate_join(bench.ring, bench.gate, IO_JOURNAL);
    atomic_store(&bench.over, false);
    atomic_store(&bench.moved, 0);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, disturb, (void *)(uintptr_t)&classes[i]) != 0) exit(1);
    while (count > 0 && atomic_load(&bench.moved) < (unsigned long long)THREADS * TRANSFER_BYTES)
        (void)io_turn(bench.plain, 1000000, NULL); /* all are under way */
    const uint64_t began_ns = io_now_ns(bench.ring), moved = atomic_load(&bench.moved);
    write_all(took_us);
    out[RATE] = (double)(atomic_load(&bench.moved) - moved) * 1e3 /
                (double)(io_now_ns(bench.ring) - began_ns);
    atomic_store(&bench.over, true);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    qsort(took_us, WRITES, sizeof took_us[0], by_size);
    out[P25] = took_us[WRITES / 4];
    out[P50] = took_us[WRITES / 2];
    out[P90] = took_us[WRITES * 90 / 100];
    out[P99] = took_us[WRITES * 99 / 100];
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static struct io_file *make_file(const char *name, uint64_t bytes, unsigned flags)
{
    struct io_file *file;

    (void)io_unlink(bench.plain, bench.dir, name);
    must(io_file_open(bench.plain, bench.dir, name, IO_CREATE | IO_WRITABLE | IO_DIRECT, &file), name);
    for (uint64_t at = 0; at < bytes; at += TRANSFER_BYTES)
        must(io_write_now(bench.plain, file, bench.noise, TRANSFER_BYTES, at), name);
    must(io_datasync_now(bench.plain, file), name);
    io_file_close(bench.plain, file);
    must(io_file_open(bench.plain, bench.dir, name, IO_WRITABLE | IO_DIRECT | flags, &file), name);
    return file;
}

static void prepare(const char *directory, struct disk_probe *found)
{
    const struct io_config config = {.ops_max = 8};

    must(io_open_plain(&bench.plain), "io");
    must(io_open_uring(&config, &bench.ring), "ring");
    must(io_dir_open(bench.plain, NULL, directory, false, &bench.dir), directory);
    bench.noise = io_memory(TRANSFER_BYTES);
    bench.page = io_memory(IO_ALIGN);
    must(bench.noise != NULL && bench.page != NULL ? OK : ERR_NO_MEMORY, "memory");
    io_random(bench.plain, bench.noise, TRANSFER_BYTES);
    if (disk_probe(bench.dir, found) != OK)
        *found = (struct disk_probe){.beside_max = 2, .piece_bytes = IO_GATE_PIECE_MAX};
    const struct io_gate_limits limits = {
        .beside_max = found->beside_max, .alone_max = 16, .piece_bytes = found->piece_bytes};
    must(io_gate_open(&limits, &bench.gate), "gate");
    bench.journal = make_file("bench_gate.journal", JOURNAL_BYTES, IO_DSYNC);
    bench.load = make_file("bench_gate.load", LOAD_BYTES, 0);
}

static double median(double (*rounds)[ARMS][FIGURES], unsigned count, enum arm arm, enum figure figure)
{
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < count; i++)
        values[i] = rounds[i][arm][figure];
    qsort(values, count, sizeof values[0], by_size);
    return values[count / 2];
}

static void tell(double (*rounds)[ARMS][FIGURES], unsigned count, const struct disk_probe *found)
{
    printf("{\"rounds\":%u,\"beside_max\":%u,\"piece_bytes\":%u", count, found->beside_max,
           found->piece_bytes);
    for (enum arm arm = QUIET; arm < ARMS; arm++) {
        printf(",\"%s\":{", arm_names[arm]);
        for (enum figure figure = P25; figure < FIGURES; figure++)
            printf("%s\"%s\":%.1f", figure > P25 ? "," : "", figure_names[figure],
                   median(rounds, count, arm, figure));
        printf("}");
    }
    printf("}\n");
}

int main(int count, char **words)
{
    static double rounds[ROUNDS_MAX][ARMS][FIGURES];
    const unsigned wanted = count == 3 ? (unsigned)strtoul(words[2], NULL, 10) : 5;
    struct disk_probe found;

    if (count < 2 || count > 3 || wanted < 1 || wanted > ROUNDS_MAX) {
        fputs("usage: bench_gate DIRECTORY [ROUNDS]\n", stderr);
        return 2;
    }
    prepare(words[1], &found);
    for (unsigned i = 0; i < wanted; i++)
        for (unsigned arm = 0; arm < ARMS; arm++) {
            const enum arm now = (enum arm)(i % 2 == 0 ? arm : ARMS - 1 - arm);
            run_arm(now, rounds[i][now]);
        }
    tell(rounds, wanted, &found);
    io_file_close(bench.plain, bench.journal);
    io_file_close(bench.plain, bench.load);
    (void)io_unlink(bench.plain, bench.dir, "bench_gate.journal");
    (void)io_unlink(bench.plain, bench.dir, "bench_gate.load");
    io_dir_close(bench.plain, bench.dir);
    io_close(bench.ring);
    io_close(bench.plain);
    io_gate_close(bench.gate);
    return 0;
}
