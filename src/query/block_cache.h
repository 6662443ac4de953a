/*
 * Blocks that a worker keeps open from one query to the next: the newest ones are asked again and again, and
 * opening one costs more than looking something up in it. Belongs to one thread.
 *
 *   block_cache_view() before a query -> block_cache_open() -> block_cache_close() -> block_cache_settle() after
 *
 * A kept block keeps the catalog version it was opened in.
 */
#ifndef QUERY_BLOCK_CACHE_H
#define QUERY_BLOCK_CACHE_H

#include "store/segment.h"

enum { BLOCK_CACHE_ENTRIES = 12, BLOCK_CACHE_VIEWS = BLOCK_CACHE_ENTRIES + 1 };

struct open_block {
    struct block_reader *reader;
    /* private */
    struct catalog_source source;
    const struct catalog_view *view;
    uint32_t header_crc;
    uint16_t shard;
    uint64_t seq;
    uint64_t used; /* when, in queries */
    size_t charged_bytes;
    bool busy;
};

struct held_view {
    const struct catalog_view *view;
    unsigned holds; /* entries, and the query in work */
};

struct block_cache {
    struct catalog *catalog; /* borrowed */
    size_t bytes_max;        /* of blocks kept between queries */
    uint64_t queries;
    struct open_block *entries[BLOCK_CACHE_ENTRIES];
    struct held_view views[BLOCK_CACHE_VIEWS];
};

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max);
void block_cache_deinit(struct block_cache *cache);
/* The current version, held until block_cache_settle(). */
const struct catalog_view *block_cache_view(struct block_cache *cache);
/* view is the one of this query. Errors of catalog_open_block(). */
enum err block_cache_open(struct block_cache *cache, const struct catalog_view *view, struct io *io,
                          uint32_t block, struct open_block **out);
/* Keeps it if there is room; must not be used any more. `keep` false: it is damaged or too large. */
void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep);
void block_cache_settle(struct block_cache *cache, const struct catalog_view *view);

#endif
