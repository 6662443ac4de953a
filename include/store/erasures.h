/*
 * Erasures: spans that have to leave for good, because somebody has the right to it: those of a trace, or by range and filter.
 * A job, durable when it is answered, that the keeper carries out: segments that have such spans are written again without
 * them. Erasures win over pins. Until its job is done a span may still be found.
 *
 *   erasures_open()   the list; then erasures_add() and erasures_acquire(), any thread with its io
 *   eraser_open() -> eraser_step() on the thread of the compactor, with its io -> eraser_close()
 *
 * A job covers what was acknowledged before it was answered; what comes later, and is alike, may be erased as well or not.
 * What is still in live blocks or in a segment that is not closed is waited for, so nothing comes back through the journal. A
 * job that was interrupted by a crash begins anew. Bounded: ERASURES_MAX; those that are done make room, the oldest first.
 */
#ifndef STORE_ERASURES_H
#define STORE_ERASURES_H

#include "store/pins.h"

struct catalog;
struct erasures;

enum { ERASURES_MAX = 1024, ERASURE_OWNER_MAX = PIN_OWNER_MAX, ERASURE_REASON_MAX = PIN_REASON_MAX };

enum erasure_state {
    ERASURE_PENDING,
    ERASURE_DONE,
    ERASURE_INCOMPLETE, /* done, but for segments that are damaged and cannot be read */
    ERASURE_STATES,
};

struct erasure {
    uint64_t id; /* from 1; never given twice */
    uint64_t created_ns, ended_ns;
    enum erasure_state state;
    uint64_t spans;      /* erased so far; at least, if a crash came between */
    uint64_t segments;   /* written again */
    uint64_t unreadable; /* segments that may hold such spans, and could not be read */
    struct selector selector;
    char owner[ERASURE_OWNER_MAX + 1], reason[ERASURE_REASON_MAX + 1];
};

struct erasure_list {
    unsigned refs; /* private */
    bool damaged;  /* the file cannot be read: no job is known, and none is taken */
    uint32_t count;
    struct erasure erasures[]; /* by id */
};

/* dir: the data directory, borrowed until erasures_close(). ERR_VERSION. */
enum err erasures_open(struct io *io, struct io_dir *dir, uint64_t instance, struct erasures **out);
void erasures_close(struct erasures *erasures);
/* Fills in id and created_ns. ERR_FULL: ERASURES_MAX are pending. ERR_CORRUPT: the list is damaged. Other errors: as pins_add(). */
enum err erasures_add(struct erasures *erasures, struct io *io, struct erasure *erasure);
const struct erasure_list *erasures_acquire(struct erasures *erasures);
void erasures_release(struct erasures *erasures, const struct erasure_list *list);
/* Jobs that are not done. */
uint64_t erasures_pending(struct erasures *erasures);

/* ---- the work -------------------------------------------------------------------------------------------- */

struct eraser_config {
    struct catalog *catalog;
    struct erasures *erasures;
    struct selector_matcher matcher;
    /*
     * Is everything sealed that was acknowledged before the job was looked at first? Asked on the eraser's thread, first when
     * it takes up a job, and again until it says yes.
     */
    bool (*all_sealed)(void *context, uint64_t id);
    void *context;
};

struct eraser_counts {
    uint64_t spans, segments, failures;
};

struct eraser;
enum err eraser_open(const struct eraser_config *config, struct eraser **out);
/* Throws away what is unfinished. */
void eraser_close(struct eraser *eraser, struct io *io);
/* A piece of work. False: nothing to do now. Failures are logged and counted, and tried again a minute later. */
bool eraser_step(struct eraser *eraser, struct io *io);
const struct eraser_counts *eraser_counts(const struct eraser *eraser);

#endif
