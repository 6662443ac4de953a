/*
 * The order of the two loops below is the whole correctness of every answer; see the header.
 */
#include "snapshot.h"

#include "query/query.h"

#include <stdlib.h>

enum err snapshot_init(struct snapshot *snapshot, const struct query_config *config)
{
    const size_t shards = config->shards_count > 0 ? config->shards_count : 1;

    *snapshot = (struct snapshot){
        .sets = calloc(shards, sizeof *snapshot->sets),
        .live = calloc(shards * SHARD_LIVE_MAX, sizeof *snapshot->live),
    };
    if (snapshot->sets != NULL && snapshot->live != NULL) return OK;
    snapshot_deinit(snapshot);
    return ERR_NO_MEMORY;
}

void snapshot_deinit(struct snapshot *snapshot)
{
    free(snapshot->sets);
    free(snapshot->live);
    *snapshot = (struct snapshot){0};
}

static void add_live(struct snapshot *snapshot, const struct shard_live_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        const struct live_block *const block = set->blocks[i];
        if (catalog_has(snapshot->catalog.view, block->shard, block->seq)) continue;
        const struct live_counts counts = live_published(block);
        if (counts.rows > 0) snapshot->live[snapshot->live_count++] = (struct live_view){block, counts};
    }
}

void snapshot_acquire(struct snapshot *snapshot, const struct query_config *config, struct block_cache *cache)
{
    for (size_t i = 0; i < config->shards_count; i++)
        shard_live_acquire(config->shards[i], &snapshot->sets[i]);
    snapshot->catalog = block_cache_view(cache);
    snapshot->live_count = 0;
    snapshot->sets_count = config->shards_count;
    for (size_t i = 0; i < config->shards_count; i++)
        add_live(snapshot, &snapshot->sets[i]);
}

void snapshot_of(struct snapshot *snapshot, struct block_cache *cache, const struct catalog_view *view)
{
    snapshot->catalog = block_cache_view_of(cache, view);
    snapshot->live_count = 0;
    snapshot->sets_count = 0;
}

void snapshot_release(struct snapshot *snapshot, const struct query_config *config, struct block_cache *cache)
{
    block_cache_settle(cache, &snapshot->catalog);
    for (size_t i = 0; i < snapshot->sets_count; i++)
        shard_live_release(config->shards[i], &snapshot->sets[i]);
}
