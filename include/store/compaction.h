/*
 * Compaction: the segments that shards have written become few large ones, sorted by trace, without duplicates.
 *
 *   level 0   written by a shard; each block has traces of the whole range
 *   level 1   all shards' segments of one window of arrival, merged
 *   level 2   the blocks of neighbouring segments of one day in one file, as they are, to bound the number of files
 *
 * A span is so written three times at most: sealed, merged, copied; in a small store once more at the end of a day.
 * Answers are the same before, during and after.
 *
 *   compactor_open() -> compactor_step() again and again, from one thread, with its io -> compactor_close()
 *
 * Nothing is lost by stopping anywhere: what is unfinished is thrown away, by compactor_close() or by the next start.
 */
#ifndef STORE_COMPACTION_H
#define STORE_COMPACTION_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct io;

struct compaction_config {
    uint64_t window_ns;    /* of arrival; 0: 10 min */
    uint64_t delay_ns;     /* a window is merged so long after its end; 0: 5 min */
    uint64_t bytes_max;    /* of inputs of one merge on level 2; 0: 512 MiB */
    uint64_t reserve_free; /* a merge begins only when its inputs and this fit on the disk; 0: 1 GiB */
};

/* Since the start; owned by the compactor, read by its thread. Joined spans are not read, and not counted. */
struct compaction_counts {
    uint64_t merges[3]; /* by level of the output */
    uint64_t spans_read, spans_duplicate;
    uint64_t bytes_written;
    uint64_t failures;
};

struct compactor;
enum err compactor_open(struct catalog *catalog, const struct compaction_config *config,
                        struct compactor **out);
/* Throws away what is under way. */
void compactor_close(struct compactor *compactor, struct io *io);
/*
 * A piece of work: one block of the output at most, some hundred milliseconds. False: there is nothing to do now. now_ns:
 * wall clock. Failures are logged and counted, and tried again a minute later.
 */
bool compactor_step(struct compactor *compactor, struct io *io, uint64_t now_ns);
const struct compaction_counts *compactor_counts(const struct compactor *compactor);

/* Segments of level 0 whose windows are over and wait to be merged. Any thread. */
uint64_t compaction_debt(struct catalog *catalog, const struct compaction_config *config, uint64_t now_ns);

#endif
