/*
 * With io.gate true the constants count: 2 pieces of 256 KiB beside a journal, which suits a disk of this decade. With auto the
 * note in the data directory, which is made when there is none, or one of another device. A disk that cannot be
 * measured (no room, a machine that is too busy) gets the constants, and is tried again at the next start.
 */
#include "disk.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric_text.h"
#include "io/gate.h"
#include "io/io.h"
#include "store/disk_note.h"
#include "world.h"

#include <inttypes.h>

enum { BESIDE_MAX = 2, ALONE_MAX = 16 };

static struct io_gate *shown; /* to /metrics, which knows no world */

/* ---- limits --------------------------------------------------------------------------------------------- */

static void tell_measured(const struct disk_note *note)
{
    const struct disk_probe *const probe = &note->probe;

    for (uint32_t i = 0; i < probe->rows_count; i++) {
        const uint64_t p25_us = probe->rows[i].p25_ns / NS_PER_US, p50_us = probe->rows[i].p50_ns / NS_PER_US,
                       p90_us = probe->rows[i].p90_ns / NS_PER_US;
        log_info("main", "disk measured",
                 "in_flight=%" PRIu32 " piece_bytes=%" PRIu32 " journal_p25_us=%" PRIu64
                 " journal_p50_us=%" PRIu64 " journal_p90_us=%" PRIu64 " bytes_per_second=%" PRIu64,
                 probe->rows[i].depth, probe->rows[i].piece_bytes, p25_us, p50_us, p90_us,
                 probe->rows[i].bytes_per_second);
    }
}

static enum err measure(struct world *world, uint64_t device, struct disk_note *note)
{
    *note = (struct disk_note){.measured_ns = io_wall_ns(world->io), .device = device};
    TRY(disk_probe(world->data_dir, &note->probe));
    tell_measured(note);
    const enum err written = disk_note_write(world->io, world->data_dir, note);
    if (written != OK)
        log_warn("main", "what was measured of the disk cannot be kept", "error=\"%s\"", err_text(written));
    return OK;
}

/* "stored", "measured", or why not. */
static const char *find_limits(struct world *world, struct io_gate_limits *limits)
{
    struct disk_note note;
    uint64_t device;

    enum err err = io_device(world->io, world->data_dir, &device);
    if (err != OK) return err_text(err);
    const bool stored = disk_note_read(world->io, world->data_dir, &note) == OK && note.device == device;
    if (!stored) err = measure(world, device, &note);
    if (err == ERR_BUSY) return "constants: too much else to do to measure";
    if (err != OK) return err_text(err);
    limits->beside_max = note.probe.beside_max;
    limits->piece_bytes = note.probe.piece_bytes;
    return stored ? "stored" : "measured";
}

/* ---- the gate ------------------------------------------------------------------------------------------- */

bool disk_open(struct world *world)
{
    const uint64_t wanted = options_number(world->options, OPTION_IO_GATE);
    struct io_gate_limits limits = {
        .beside_max = BESIDE_MAX, .alone_max = ALONE_MAX, .piece_bytes = IO_GATE_PIECE_MAX};

    if (wanted == SWITCH_OFF) {
        log_warn("main", "no disk gate: acknowledgements may wait for questions and merges",
                 "option=io.gate");
        return true;
    }
    const char *const from = wanted == SWITCH_AUTO ? find_limits(world, &limits) : "constants";
    if (io_gate_open(&limits, &world->gate) != OK) return false;
    shown = world->gate;
    log_info("main", "disk gate", "beside=%u alone=%u piece_bytes=%zu from=\"%s\" dontcache=%s",
             limits.beside_max, limits.alone_max, limits.piece_bytes, from,
             io_drops_cache(world->io, world->data_dir, "superblock") ? "yes" : "no");
    return true;
}

void disk_close(struct world *world)
{
    shown = NULL;
    io_gate_close(world->gate);
    world->gate = NULL;
}

/* ---- metrics -------------------------------------------------------------------------------------------- */

/* format and value of one class's counts, called `of` there */
#define EACH_CLASS(text, counts, name, kind, help, format, value)                                            \
    do {                                                                                                     \
        metric_text_head(text, name, kind, help);                                                            \
        for (unsigned i = IO_ENCODE; i < IO_CLASSES; i++) {                                                  \
            const struct io_gate_counts of = (counts)[i];                                                    \
            metric_text_print(text, "spanmill_" name "{class=\"%s\"} " format "\n",                          \
                              io_class_name((enum io_class)i), value);                                       \
        }                                                                                                    \
    } while (0)

size_t disk_metrics(char *to, size_t capacity)
{
    struct io_gate *const gate = shown;
    struct metric_text text = {.to = to, .capacity = capacity};
    struct io_gate_counts counts[IO_CLASSES];

    if (gate == NULL) return 0;
    const struct io_gate_limits limits = io_gate_limits(gate);
    for (unsigned i = 0; i < IO_CLASSES; i++)
        counts[i] = io_gate_counts(gate, (enum io_class)i);
    metric_text_head(&text, "gate_beside_max", "gauge",
                     "transfers that may be in flight beside a journal write");
    metric_text_print(&text, "spanmill_gate_beside_max %u\n", limits.beside_max);
    metric_text_head(&text, "gate_in_flight", "gauge", "transfers in flight that have passed the disk gate");
    metric_text_print(&text, "spanmill_gate_in_flight %u\n", io_gate_flying(gate));
    EACH_CLASS(&text, counts, "gate_waiting", "gauge", "threads that wait at the disk gate", "%" PRIu64,
               of.waiting);
    EACH_CLASS(&text, counts, "gate_passes_total", "counter", "transfers that have passed the disk gate",
               "%" PRIu64, of.passes);
    EACH_CLASS(&text, counts, "gate_bytes_total", "counter", "bytes of these transfers", "%" PRIu64,
               of.bytes);
    EACH_CLASS(&text, counts, "gate_wait_seconds_total", "counter",
               "time that threads have waited at the disk gate", "%.6f", (double)of.wait_ns / 1e9);
    EACH_CLASS(&text, counts, "gate_given_up_total", "counter",
               "waits at the disk gate ended by a deadline or by a client that left", "%" PRIu64,
               of.given_up);
    return text.len;
}
