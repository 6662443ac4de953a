/*
 * Live set. The intervals of its blocks tile the journal: each begins where the one before it ends, whatever
 * PAD or GENERATION frames lie between, so that the catalog can check that nothing is missing. Sequence
 * numbers are given when a block is opened, hence in the order in which the blocks will be sealed.
 *
 * A free slot is taken lowest first: pages that were touched lately are touched again, and a shard that never
 * needs its third block never pays for it.
 *
 * Readers meet the writer in two places only: this mutex (which blocks are there) and live_published() (how
 * far to look into one). state and order are written under the mutex by the shard's thread, which therefore
 * may read them without it.
 */
#include "live_set.h"

#include "base/assert.h"
#include "base/seeded_bug.h"
#include "store/live.h"

enum err live_set_init(struct live_set *set, uint16_t shard, unsigned slots_count, struct live_block **pool)
{
    assert(slots_count >= 2 && slots_count <= SHARD_LIVE_MAX);

    *set = (struct live_set){.shard = shard, .slots_count = slots_count, .borrowed_blocks = pool != NULL};
    pthread_mutex_init(&set->mutex, NULL);
    for (unsigned i = 0; i < slots_count; i++) {
        if (pool != NULL) {
            set->slots[i].block = pool[i];
            continue;
        }
        const enum err err = live_open(shard, &set->slots[i].block);
        if (err != OK) {
            set->slots_count = i;
            live_set_deinit(set);
            return err;
        }
    }
    return OK;
}

void live_set_deinit(struct live_set *set)
{
    for (unsigned i = 0; i < set->slots_count; i++) {
        assert(set->slots[i].holds == 0);
        if (!set->borrowed_blocks) live_close(set->slots[i].block);
    }
    pthread_mutex_destroy(&set->mutex);
}

void live_set_start(struct live_set *set, uint64_t next_seq, uint64_t lsn)
{
    assert(set->order_count == 0);

    set->next_seq = next_seq;
    set->next_lsn = lsn;
}

/* ---- the writer's moves ----------------------------------------------------------------------------- */

struct live_slot *live_set_current(const struct live_set *set)
{
    if (set->order_count == 0) return NULL;
    struct live_slot *newest = set->order[set->order_count - 1];
    return newest->state == LIVE_OPEN ? newest : NULL;
}

static struct live_slot *lowest_free(const struct live_set *set)
{
    for (unsigned i = 0; i < set->slots_count; i++) {
        if (set->slots[i].state == LIVE_FREE) return (struct live_slot *)&set->slots[i];
    }
    return NULL;
}

bool live_set_has_room(const struct live_set *set)
{
    return live_set_current(set) != NULL || lowest_free(set) != NULL;
}

struct live_slot *live_set_open(struct live_set *set)
{
    struct live_slot *slot = live_set_current(set);
    if (slot != NULL) return slot;
    slot = lowest_free(set);
    if (slot == NULL) return NULL;

    assert(slot->holds == 0 && slot->requests == 0);
    live_reset(slot->block, set->next_seq++, set->next_lsn);
    slot->torn_off = false;
    slot->first_row_ns = 0;
    pthread_mutex_lock(&set->mutex);
    slot->state = LIVE_OPEN;
    set->order[set->order_count++] = slot;
    pthread_mutex_unlock(&set->mutex);
    return slot;
}

static void move(struct live_set *set, struct live_slot *slot, enum live_state from, enum live_state to)
{
    assert(slot->state == from);

    pthread_mutex_lock(&set->mutex);
    slot->state = to;
    pthread_mutex_unlock(&set->mutex);
    live_set_check(set);
}

void live_set_close(struct live_set *set, struct live_slot *slot)
{
    assert(slot == live_set_current(set));
    assert(slot->block->counts.rows > 0);

    set->next_lsn = slot->block->lsn_end;
    move(set, slot, LIVE_OPEN, LIVE_CLOSED);
}

struct live_slot *live_set_ripe(const struct live_set *set)
{
    if (set->order_count == 0) return NULL;
    struct live_slot *oldest = set->order[SEEDED_BUG(SEAL_OUT_OF_ORDER) && set->order_count > 1 ? 1 : 0];
    return oldest->state == LIVE_CLOSED && oldest->requests == 0 && !oldest->torn_off ? oldest : NULL;
}

void live_set_sealing(struct live_set *set, struct live_slot *slot)
{
    assert(slot == live_set_ripe(set));

    move(set, slot, LIVE_CLOSED, LIVE_SEALING);
}

void live_set_seal_failed(struct live_set *set, struct live_slot *slot)
{
    move(set, slot, LIVE_SEALING, LIVE_CLOSED);
}

void live_set_retire(struct live_set *set, struct live_slot *slot)
{
    assert(slot->state == LIVE_SEALING && slot == set->order[0]);

    pthread_mutex_lock(&set->mutex);
    slot->state = LIVE_RETIRED;
    set->order_count--;
    for (unsigned i = 0; i < set->order_count; i++)
        set->order[i] = set->order[i + 1];
    pthread_mutex_unlock(&set->mutex);
    live_set_check(set);
}

static void drop_newest(struct live_set *set, struct live_slot *slot)
{
    set->next_seq = slot->block->seq;
    set->next_lsn = slot->block->lsn_first;
    pthread_mutex_lock(&set->mutex);
    slot->state = LIVE_RETIRED;
    set->order_count--;
    pthread_mutex_unlock(&set->mutex);
}

/* What failed is a suffix of the journal, and so of the set. */
void live_set_cut(struct live_set *set, uint64_t durable_lsn)
{
    while (set->order_count > 0) {
        struct live_slot *const newest = set->order[set->order_count - 1];
        assert(newest->requests == 0);
        if (newest->torn_off && !SEEDED_BUG(KEEP_FAILED_ROWS)) live_cut(newest->block, durable_lsn);
        newest->torn_off = false;
        if (newest->block->counts.rows > 0) {
            if (newest->state != LIVE_OPEN) set->next_lsn = newest->block->lsn_end;
            break;
        }
        drop_newest(set, newest);
    }
    live_set_check(set);
}

void live_set_recycle(struct live_set *set)
{
    for (unsigned i = 0; i < set->slots_count; i++) {
        struct live_slot *slot = &set->slots[i];
        if (slot->state != LIVE_RETIRED) continue;
        pthread_mutex_lock(&set->mutex);
        if (slot->holds == 0) slot->state = LIVE_FREE;
        pthread_mutex_unlock(&set->mutex);
    }
}

uint64_t live_set_rows(const struct live_set *set)
{
    uint64_t rows = 0;
    for (unsigned i = 0; i < set->order_count; i++)
        rows += set->order[i]->block->counts.rows;
    return rows;
}

/* Only the newest may be open, only the oldest with the sealer, and sequence numbers rise by one. */
void live_set_check(const struct live_set *set)
{
    for (unsigned i = 0; i < set->order_count; i++) {
        const struct live_slot *slot = set->order[i];
        assert(slot->state == LIVE_OPEN || slot->state == LIVE_CLOSED || slot->state == LIVE_SEALING);
        assert(slot->state != LIVE_OPEN || i + 1 == set->order_count);
        assert(slot->state != LIVE_SEALING || i == 0);
        assert(i == 0 || slot->block->seq == set->order[i - 1]->block->seq + 1);
        assert(i == 0 || slot->block->lsn_first == set->order[i - 1]->block->lsn_end);
    }
}

/* ---- readers ---------------------------------------------------------------------------------------- */

void live_set_acquire(struct live_set *set, struct shard_live_set *out)
{
    pthread_mutex_lock(&set->mutex);
    out->count = set->order_count;
    for (unsigned i = 0; i < set->order_count; i++) {
        set->order[i]->holds++;
        out->blocks[i] = set->order[i]->block;
    }
    pthread_mutex_unlock(&set->mutex);
}

static struct live_slot *slot_of(struct live_set *set, const struct live_block *block)
{
    for (unsigned i = 0; i < set->slots_count; i++) {
        if (set->slots[i].block == block) return &set->slots[i];
    }
    unreachable("released a block of another shard");
}

void live_set_release(struct live_set *set, const struct shard_live_set *held)
{
    pthread_mutex_lock(&set->mutex);
    for (unsigned i = 0; i < held->count; i++) {
        struct live_slot *slot = slot_of(set, held->blocks[i]);
        assert(slot->holds > 0);
        slot->holds--;
    }
    pthread_mutex_unlock(&set->mutex);
}
