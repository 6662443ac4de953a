/*
 * What a disk can take beside a journal: how long a journal's write (16 KiB, durable) takes alone, and beside transfers of
 * one size, more and more of them at once, three reads to a write. The gate (io/gate.h) gets the most with which the
 * journal still takes at most DISK_PROBE_WORSE times as long.
 *
 * By the lower quartile, for the rest of a busy machine is in the longer times. It is a measurement of some hundred milliseconds:
 * repeating it may give half or twice as many. It wants rings, makes
 * two files of 72 MiB together in the directory, and removes them.
 */
#ifndef IO_DISK_PROBE_H
#define IO_DISK_PROBE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_dir;

enum { DISK_PROBE_ROWS = 5, DISK_PROBE_WORSE = 3 };

struct disk_probe_row {
    uint32_t depth; /* transfers in flight; 0: none, the journal alone */
    uint32_t piece_bytes;
    uint64_t p25_ns, p50_ns, p90_ns; /* of the journal's write */
    uint64_t bytes_per_second;       /* of the transfers */
};

struct disk_probe {
    struct disk_probe_row rows[DISK_PROBE_ROWS]; /* the first one: alone */
    uint32_t rows_count;
    uint32_t beside_max; /* what came out: for struct io_gate_limits */
    uint32_t piece_bytes;
    bool suffers; /* even the least was too much */
};

/*
 * Waits, three seconds at most on a disk that answers. ERR_BUSY: the machine has too much to do for this to be measured; errors of
 * opening a ring, and of files (ERR_NO_SPACE).
 */
enum err disk_probe(struct io_dir *dir, struct disk_probe *out);

#endif
