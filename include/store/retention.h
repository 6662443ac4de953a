/*
 * Retention: whole segments leave when their time is over, or to make room, the oldest first.
 *
 *   age     no span of the segment arrived within it
 *   bytes   the segments together are larger
 *   free    the file system has less room left
 *
 * Time is that of arrival, by the server's clock, so that what clients say about time neither keeps nor removes anything.
 * The server's clock may be wrong, too: a horizon is never further on than what has arrived last, plus the time that
 * has passed since by a clock that does not jump, plus a day; and a pass by age that would remove more than half of all
 * bytes waits for a day, and says so.
 *
 * What shards had reached in segments that go is kept, in a segment without blocks, when nothing else says it: the
 * journal must not bring expired spans back, and no block number is given twice.
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

struct retention_config {
    uint64_t age_ns;    /* 0: for ever */
    uint64_t bytes_max; /* 0: no limit */
    uint64_t free_min;  /* bytes; 0: no limit */
};

enum retention_reason { RETENTION_AGE, RETENTION_BYTES, RETENTION_FREE, RETENTION_REASONS };
struct retention_counts {
    uint64_t segments[RETENTION_REASONS];
    uint64_t spans[RETENTION_REASONS];
    uint64_t bytes[RETENTION_REASONS];
    uint64_t failures;
    bool waiting; /* a pass by age would remove too much at once */
};

struct retention;
enum err retention_open(struct catalog *catalog, const struct retention_config *config,
                        struct retention **out);
void retention_close(struct retention *retention);
/*
 * Removes some segments that are over age, or one to make room. False: nothing has to go now, or nothing may. now_ns: wall
 * clock. A merge that has one of them among its inputs fails in the end, and is planned again.
 */
bool retention_step(struct retention *retention, struct io *io, uint64_t now_ns);
const struct retention_counts *retention_counts(const struct retention *retention);

/* What would go at a time: a row for each segment, those over age first, then the oldest. */
struct retention_row {
    uint64_t arrival_min_ns, arrival_max_ns;
    uint64_t spans, bytes;
    enum retention_reason reason;
};
/* free_bytes: of the file system. Any thread. visit returns false to stop. */
void retention_preview(struct catalog *catalog, const struct retention_config *config, uint64_t now_ns,
                       uint64_t free_bytes, bool (*visit)(void *context, const struct retention_row *row),
                       void *context);

#endif
