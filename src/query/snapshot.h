/*
 * What one query sees: the live blocks of all shards as far as they were published, and one version of the
 * catalog. First the live sets, then the catalog, then away with live blocks that are in the catalog: so no
 * span is missing and none is there twice (shard.h). Nothing in it changes while it is held.
 */
#ifndef QUERY_SNAPSHOT_H
#define QUERY_SNAPSHOT_H

#include "block_cache.h"
#include "shard/shard.h"

struct query_config;

struct live_view {
    const struct live_block *block;
    struct live_counts counts; /* read nothing beyond */
};

struct snapshot {
    struct shard_live_set *sets; /* one per shard */
    size_t sets_count;           /* that are held */
    struct live_view *live;      /* oldest first within a shard */
    unsigned live_count;
    struct cache_view catalog;
};

/* Memory for as many shards as there are; once per worker. */
enum err snapshot_init(struct snapshot *snapshot, const struct query_config *config);
void snapshot_deinit(struct snapshot *snapshot);
void snapshot_acquire(struct snapshot *snapshot, const struct query_config *config,
                      struct block_cache *cache);
/* A version that is held, without live blocks; block_cache's. Released as the other. */
void snapshot_of(struct snapshot *snapshot, struct block_cache *cache, const struct catalog_view *view);
void snapshot_release(struct snapshot *snapshot, const struct query_config *config,
                      struct block_cache *cache);

#endif
