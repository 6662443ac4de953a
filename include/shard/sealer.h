/*
 * The sealer pool: background threads that encode closed live blocks and append them to segments. At most one
 * seal per shard at a time, in LSN order. In the simulation there is no thread: sealer_step() runs one job.
 *
 * Shards are closed before the pool, or the pool before the shards: either way every job is done exactly
 * once.
 */
#ifndef SHARD_SEALER_H
#define SHARD_SEALER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct io;
struct io_gate;
struct live_block;
struct metrics;
struct sealer;

struct sealer_config {
    struct catalog *catalog;
    unsigned threads;        /* 0: none, driven by sealer_step() with `io` */
    struct io *io;           /* only with threads 0; borrowed */
    struct metrics *metrics; /* the pool's own set; written under its lock */
    struct io_gate *gate;    /* borrowed; its threads' transfers pass there. NULL: none */
};

/* One closed live block on its way; embedded in the shard's bookkeeping. */
struct seal_job {
    struct live_block *live;
    uint16_t shard;
    bool close_segment; /* also write the segment's footer afterwards */
    /* On the pool's thread: hands the outcome over to the shard. The job may be submitted again from then on.
     */
    void (*done)(struct seal_job *job, enum err err);
    void *context;
    /* Other background work of a shard in the same queue: when live is NULL, run is called instead. */
    enum err (*run)(struct seal_job *job, struct io *io);
    struct seal_job *next; /* private */
};

enum err sealer_open(const struct sealer_config *config, struct sealer **out);
/* Waits for running jobs; queued ones are done with ERR_CLOSING. */
void sealer_close(struct sealer *sealer);
/* Any thread. Jobs begin in this order, but a second seal of a shard waits for the one before it. */
void sealer_submit(struct sealer *sealer, struct seal_job *job);
/*
 * Lets the pool build the filters that the start has left out, between other jobs. Once, when the shards have recovered:
 * until then all time is theirs.
 */
void sealer_build_filters(struct sealer *sealer);
bool sealer_step(struct sealer *sealer); /* threads 0: runs one job; false when there is none */

#endif
