/*
 * The live set: a shard's live blocks, at most one of them open, and who still reads them.
 *
 *   FREE -> OPEN -> CLOSED -> SEALING -> RETIRED -> FREE
 *                     ^___________|                        the seal failed; tried again later
 *
 *   FREE     empty, not visible
 *   OPEN     takes rows
 *   CLOSED   immutable; some rows may still wait for their journal write
 *   SEALING  all rows published; with the sealer pool
 *   RETIRED  its rows are in a published catalog version; not in the set for new readers
 *
 * The shard's thread makes all moves. Readers of any thread hold blocks through live_set_acquire(): a held
 * block is not made FREE. One mutex guards membership and holds; nobody takes it per request or per span.
 */
#ifndef SHARD_LIVE_SET_H
#define SHARD_LIVE_SET_H

#include "shard/shard.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum live_state { LIVE_FREE, LIVE_OPEN, LIVE_CLOSED, LIVE_SEALING, LIVE_RETIRED };

struct live_slot {
    struct live_block *block; /* owned, or borrowed from the configuration's pool */
    enum live_state state;
    unsigned holds;    /* readers */
    unsigned requests; /* appended, their journal write not yet landed */
    bool torn_off; /* a journal write failed: some rows will not be published; not sealed until it is cut */
    uint64_t first_row_ns; /* io_now_ns() of the oldest request in it; 0: none */
};

struct live_set {
    /* configuration */
    uint16_t shard;
    unsigned slots_count;
    bool borrowed_blocks;
    /* state */
    pthread_mutex_t mutex; /* holds, state and order against readers */
    struct live_slot slots[SHARD_LIVE_MAX];
    struct live_slot *order[SHARD_LIVE_MAX]; /* OPEN, CLOSED, SEALING: oldest first */
    unsigned order_count;
    uint64_t next_seq;
    uint64_t next_lsn; /* where the next block's interval begins: the end of the one before it */
};

/* pool: slots_count blocks to use instead of own ones, or NULL. */
enum err live_set_init(struct live_set *set, uint16_t shard, unsigned slots_count, struct live_block **pool);
void live_set_deinit(struct live_set *set); /* nobody holds a block any more */
/* Before the first open: the first block's sequence number and where its interval begins. */
void live_set_start(struct live_set *set, uint64_t next_seq, uint64_t lsn);

/* The open block, opening a free one if need be; NULL when none is free. */
struct live_slot *live_set_open(struct live_set *set);
struct live_slot *live_set_current(const struct live_set *set); /* the open one or NULL */
/* Is a block open, or could one be opened? */
bool live_set_has_room(const struct live_set *set);
/* OPEN -> CLOSED. It must have rows. */
void live_set_close(struct live_set *set, struct live_slot *slot);
/* The oldest block when it is CLOSED and wholly published, else NULL. */
struct live_slot *live_set_ripe(const struct live_set *set);
void live_set_sealing(struct live_set *set, struct live_slot *slot);
void live_set_seal_failed(struct live_set *set, struct live_slot *slot);
/* SEALING -> RETIRED: the catalog has it. */
void live_set_retire(struct live_set *set, struct live_slot *slot);
/*
 * After a failure of the journal, when no request is under way: rows that were not published are taken back, and blocks that
 * have no others leave the set, to be opened again.
 */
void live_set_cut(struct live_set *set, uint64_t durable_lsn);
/* RETIRED -> FREE for those that nobody holds. */
void live_set_recycle(struct live_set *set);
/* Rows of all blocks of the set, published or not. */
uint64_t live_set_rows(const struct live_set *set);
void live_set_check(const struct live_set *set);

/* Any thread. */
void live_set_acquire(struct live_set *set, struct shard_live_set *out);
void live_set_release(struct live_set *set, const struct shard_live_set *held);

#endif
