/*
 * Blocks that stay open from one query to the next: the newest ones are asked again and again, and opening
 * one costs more than looking something up in it. Any thread; a block that is in use belongs to its user
 * alone, and another user meanwhile opens it a second time.
 *
 *   block_cache_view() before a query -> block_cache_open() -> block_cache_close() -> block_cache_settle()
 *
 * A kept block keeps the catalog version it was opened in.
 */
#ifndef QUERY_BLOCK_CACHE_H
#define QUERY_BLOCK_CACHE_H

#include "store/segment.h"

#include <pthread.h>

enum { BLOCK_CACHE_ENTRIES = 64, BLOCK_CACHE_VIEWS = 512 };

struct open_block {
    struct block_reader *reader;
    size_t charged_bytes; /* its user's */
    /* private */
    struct catalog_source source;
    const struct catalog_view *view;
    uint32_t header_crc;
    uint16_t shard;
    uint64_t seq;
    uint64_t used; /* when, in queries */
    size_t bytes;  /* while it is kept */
};

struct held_view {
    const struct catalog_view *view;
    unsigned holds; /* blocks kept or in use, and queries */
};

struct block_cache {
    struct catalog *catalog; /* borrowed */
    size_t bytes_max;        /* of blocks kept */
    pthread_mutex_t mutex;   /* guards the rest */
    uint64_t queries;
    size_t bytes;
    struct open_block *entries[BLOCK_CACHE_ENTRIES];
    struct held_view views[BLOCK_CACHE_VIEWS];
};

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max);
/* No block is in use, no version held. */
void block_cache_deinit(struct block_cache *cache);
/* The current version, held until block_cache_settle(). */
const struct catalog_view *block_cache_view(struct block_cache *cache);
void block_cache_settle(struct block_cache *cache, const struct catalog_view *view);
/* view is the one of this query, io its thread's. Errors of catalog_open_block(). */
enum err block_cache_open(struct block_cache *cache, const struct catalog_view *view, struct io *io,
                          uint32_t block, struct open_block **out);
/* Ends the use. `keep` false: it is damaged, or grew too large. */
void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep);

#endif
