/*
 * The disk gate: the one place of a process that every read and write of files passes, but for a journal's. A journal write
 * is what somebody waits for with a request in hand, and a disk that is busy with large transfers makes it wait a hundred
 * times as long; so what is not a journal's goes in pieces, few of them at once while a journal writes, and in an order.
 *
 *   io_gate_open()  ->  io_gate_join() for each thread's io  ->  io_gate_open_wide() when stopping  ->  io_gate_close()
 *
 * A piece waits for its turn on the calling thread, inside io_read_now() and its like. The first class goes first, and the
 * others do not starve: every IO_GATE_TURN-th time that several classes wait, the piece that came first is let in. What
 * the kernel has in memory anyway does not wait. A journal's write never waits and takes no lock; it only says that
 * it is under way.
 *
 * Without a gate (NULL, and in a simulated world) everything goes at once and whole.
 */
#ifndef IO_GATE_H
#define IO_GATE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;
struct io_dir;
struct io_gate;

/* By precedence. COMPACT and below read each byte once: what they read does not stay in the kernel's memory. */
enum io_class { IO_JOURNAL, IO_ENCODE, IO_QUERY, IO_COMPACT, IO_RETENTION, IO_SCRUB, IO_CLASSES };

enum {
    IO_GATE_TURN = 8,
    IO_GATE_PIECE_MIN = 64 << 10,
    IO_GATE_PIECE_MAX = 256 << 10,
    IO_GATE_FLYING_MAX = 64
};
#define IO_GATE_QUIET_NS                                                                                     \
    10000000ULL /* so long after a journal's write the disk still counts as the journal's */

struct io_gate_limits {
    unsigned beside_max; /* pieces in flight beside a journal's write; 1 to IO_GATE_FLYING_MAX */
    unsigned alone_max;  /* while no journal writes; not less */
    size_t piece_bytes;  /* IO_GATE_PIECE_MIN to IO_GATE_PIECE_MAX, a multiple of IO_ALIGN */
};

struct io_gate_counts {
    uint64_t waiting; /* now */
    uint64_t passes;  /* pieces and syncs that were let in */
    uint64_t bytes;
    uint64_t wait_ns; /* of those that were let in, and of those that gave up */
    uint64_t given_up;
};

/* "query"; for logs and metrics. */
const char *io_class_name(enum io_class class);

enum err io_gate_open(const struct io_gate_limits *limits, struct io_gate **out);
/* Nobody waits, and no io that has joined is used any more. */
void io_gate_close(struct io_gate *gate);
/* From now on nobody waits: when stopping, and nothing is answered any more. Any thread. */
void io_gate_open_wide(struct io_gate *gate);
struct io_gate_limits io_gate_limits(const struct io_gate *gate);
/* Any thread. */
struct io_gate_counts io_gate_counts(struct io_gate *gate, enum io_class class);
unsigned io_gate_flying(struct io_gate *gate);

/*
 * On the thread of the io, at any time between its operations: what it reads and writes from now on belongs to the class. A
 * ring joins as IO_JOURNAL alone, the io of a background thread as one of the others. gate NULL: leaves.
 */
void io_gate_join(struct io *io, struct io_gate *gate, enum io_class class);

/*
 * Whoever waits asks now and then whether it should go on. Anything but OK ends the wait, and the operation with it, and
 * nothing has been read or written by the piece that waited. NULL: waits as long as it takes.
 */
struct io_patience {
    enum err (*check)(
        void *context); /* on the waiting thread, about every IO_PATIENCE_NS; may take locks of its own */
    void *context;
};
#define IO_PATIENCE_NS 20000000ULL
void io_gate_patience(struct io *io, struct io_patience patience);

/*
 * Can a file of this directory be read without keeping it in the kernel's memory (RWF_DONTCACHE)? Tries it; name is one that is
 * there. For the start's log: readers find out for themselves.
 */
bool io_drops_cache(struct io *io, struct io_dir *dir, const char *name);

#endif
