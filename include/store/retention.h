/*
 * Retention: one list of rules, of which the first that speaks of a segment decides; the oldest segments first.
 *
 *   pins    a trace in it is pinned: its spans stay, whole, whatever the rules below say (store/pins.h)
 *   service no span of the segment arrived within the age of its service: the segment leaves, but for spans of services
 *           that are kept longer
 *   age     the same of all services that no rule names
 *   bytes   the segments together are larger
 *   free    the file system has less room left
 *
 * A segment leaves as a whole, or, when pins hold a small part of it or some services are kept longer, but for that part; what
 * pins hold the most of stays as it is, and the next one is looked at.
 *
 * Time is that of arrival, by the server's clock, so that what clients say about time neither keeps nor removes anything.
 * The server's clock may be wrong, too: a horizon is never further on than what has arrived last, plus the time that
 * has passed since by a clock that does not jump, plus a day; and a pass by age that would remove more than half of all
 * bytes waits for a day, and says so. Pins end by the same horizon.
 *
 * What shards had reached in segments that go is kept, in a segment without blocks: the journal must not bring expired spans
 * back, and no block number is given twice. It also keeps the ledger of what has gone.
 *
 *   retention_open() -> retention_step() now and then, on the thread of the compactor, with its io -> retention_close()
 */
#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct io;
struct pins;
struct selector_matcher;

enum { RETENTION_SERVICES_MAX = 32 };

/* Spans of a service have an age of their own. */
struct retention_service {
    const char *name;
    uint64_t age_ns; /* 0: for ever */
};

struct retention_config {
    uint64_t age_ns;                          /* of all others; 0: for ever */
    uint64_t bytes_max;                       /* 0: no limit */
    uint64_t free_min;                        /* bytes; 0: no limit */
    const struct retention_service *services; /* borrowed; the first with the name counts */
    uint32_t services_count;
};

enum retention_reason { RETENTION_AGE, RETENTION_BYTES, RETENTION_FREE, RETENTION_REASONS };
struct retention_counts {
    uint64_t segments[RETENTION_REASONS]; /* that left, or were written again without what had to go */
    uint64_t spans[RETENTION_REASONS];
    uint64_t bytes[RETENTION_REASONS];
    uint64_t failures;
    uint64_t rewrites;
    uint64_t held_segments, held_spans; /* now: what would leave, but for pins */
    bool waiting;                       /* a pass by age would remove too much at once */
};

struct retention;
/* pins and matcher: borrowed until retention_close(); pins may be NULL, and then matcher, too: there are none. */
enum err retention_open(struct catalog *catalog, const struct retention_config *config, struct pins *pins,
                        const struct selector_matcher *matcher, struct retention **out);
/* Throws away what is unfinished; a later step begins it anew. Same thread as retention_step(). */
void retention_pause(struct retention *retention, struct io *io);
/* Pauses, and gives everything back. */
void retention_close(struct retention *retention, struct io *io);
/*
 * Removes some segments that are over age, or one to make room, or does a part of it. False: nothing has to go now, or
 * nothing may. now_ns: wall clock. A merge that has one of them among its inputs fails in the end, and is planned again.
 */
bool retention_step(struct retention *retention, struct io *io, uint64_t now_ns);
const struct retention_counts *retention_counts(const struct retention *retention);
/* By which age is measured, and pins end. now_ns: wall clock. Any thread, with its io. */
uint64_t retention_horizon(struct retention *retention, struct io *io, uint64_t now_ns);

/* What would go at a time: a row for each segment that a rule speaks of, those over age first, then the oldest. */
struct retention_row {
    uint64_t arrival_min_ns, arrival_max_ns;
    uint64_t spans, bytes;
    uint64_t
        held_spans; /* that stay, for pins or services that are kept longer; all: the segment stays as it is */
    uint64_t held_bytes; /* an estimate when it is a part */
    bool by_service;     /* only services that are over age leave; else what stays is pinned */
    uint64_t pin_id;     /* of those that hold it the one that ends last; 0: none, or the list is damaged */
    enum retention_reason reason;
};
struct retention_question {
    const struct retention_config *config; /* NULL: the one in force */
    struct io *io;                         /* the caller's */
    uint64_t now_ns;
    uint64_t free_bytes;                    /* of the file system */
    const struct selector_matcher *matcher; /* the caller's; NULL only without pins */
    /* May be NULL. Asked now and then while blocks are read; anything but OK ends the preview with it. */
    enum err (*check)(void *context);
    bool (*visit)(void *context, const struct retention_row *row); /* returns false to stop */
    void *context;
};
/* Changes nothing. Any thread. waits: the pass would wait, as it removes too much at once. */
enum err retention_preview(struct retention *retention, const struct retention_question *question,
                           bool *waits);

#endif
