/*
 * A segment written again without some of its rows: what stays goes through a merge (merge.h) with a sieve, into a segment
 * that stands for the old one as a merged segment does, so a crash at any moment leaves one of the two. Runs of blocks that
 * are in order among themselves stay apart where a joined segment has many, so each keeps to the time of its window.
 *
 *   rewrite_open() -> rewrite_step() until complete -> rewrite_finish() -> rewrite_close()
 *
 * On the thread of the compactor, with its io; a merge may be under way meanwhile.
 */
#ifndef STORE_REWRITE_H
#define STORE_REWRITE_H

#include "catalog_private.h"
#include "merge.h"

struct rewrite;

/* Can it be written again? Closed, with filters, without damage or copies elsewhere. */
bool rewrite_may(const struct segment *segment);

/* view: held by the caller until rewrite_close(). sieve: borrowed as long; its block numbers are those of the view. */
enum err rewrite_open(struct catalog *catalog, struct io *io, const struct catalog_view *view,
                      uint32_t segment, const struct merge_sieve *sieve, struct rewrite **out);
/* Writes a block at most. */
enum err rewrite_step(struct rewrite *rewrite, struct io *io, bool *complete);
/*
 * The new segment is durable and in the catalog, the old one is gone. Without any row left it says only how far the shards
 * had come. ERR_SUPERSEDED: the old one has gone meanwhile. Nothing may be left to bury.
 */
enum err rewrite_finish(struct rewrite *rewrite, struct io *io);
/* Throws away what is unfinished. */
void rewrite_close(struct rewrite *rewrite, struct io *io);

/* After rewrite_finish(): of the new segment. */
struct rewrite_outcome {
    uint64_t spans, bytes;
};
struct rewrite_outcome rewrite_outcome(const struct rewrite *rewrite);

#endif
