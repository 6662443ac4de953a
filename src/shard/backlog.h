/*
 * The backlog: a shard's dealings with the sealer pool. At most one seal and one file preparation of a shard
 * are under way at a time; their jobs are embedded here, so the pool's queue is bounded by the number of
 * shards.
 *
 *   backlog_tend()   once a turn: takes in what the pool has finished, hands over what is ripe
 *
 * A finished job comes back through a small mailbox: the pool's thread writes the outcome and wakes the
 * shard.
 */
#ifndef SHARD_BACKLOG_H
#define SHARD_BACKLOG_H

#include "shard/sealer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct shard;
struct live_slot;

enum { BACKLOG_RETRY_MS = 1000 }; /* after a failed seal or preparation */

struct backlog_task {
    struct seal_job job;
    struct shard *shard;
    bool under_way;         /* shard's thread only */
    bool finished;          /* guarded by the mailbox's mutex */
    enum err err;           /* valid when finished */
    uint64_t not_before_ns; /* retry time; 0: at once */
};

struct backlog {
    pthread_mutex_t mutex; /* the mailbox: `finished` and `err` of both tasks */
    struct backlog_task seal, prepare;
    struct live_slot *sealing;  /* NULL: the job under way closes the segment */
    uint64_t segment_closes_ns; /* when the shard has been idle so long; 0: nothing was sealed since */
};

void backlog_init(struct backlog *backlog, struct shard *shard);
void backlog_deinit(struct backlog *backlog);
void backlog_tend(struct shard *shard, uint64_t now_ns);
/* Nothing of this shard is with the pool. */
bool backlog_idle(const struct backlog *backlog);
/* The time at which something is to be tried again; UINT64_MAX: nothing waits for a time. */
uint64_t backlog_next_ns(const struct backlog *backlog);

#endif
