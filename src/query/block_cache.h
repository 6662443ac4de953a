/*
 * Blocks that stay open from one query to the next: the newest ones are asked again and again, and opening
 * one costs more than looking something up in it. Any thread; a block in use belongs to its user alone, and
 * who wants it meanwhile opens it a second time.
 *
 *   block_cache_view() before a query -> block_cache_open() -> block_cache_close() -> block_cache_settle() after
 *
 * What a query leaves behind drives out only what neither it nor a later query has used: one that walks through
 * all blocks, newest first, leaves the newest. A kept block keeps the catalog version it was opened in.
 */
#ifndef QUERY_BLOCK_CACHE_H
#define QUERY_BLOCK_CACHE_H

#include "store/segment.h"

#include <pthread.h>

enum {
    BLOCK_CACHE_ENTRIES = 64,
    BLOCK_CACHE_USERS_MAX = 64, /* queries at once */
    BLOCK_CACHE_IN_USE_MAX = 2, /* blocks of one query at once: in use, or on their way out */
    BLOCK_CACHE_VIEWS = BLOCK_CACHE_ENTRIES + BLOCK_CACHE_USERS_MAX * (1 + BLOCK_CACHE_IN_USE_MAX),
};

struct held_view {
    const struct catalog_view *view; /* NULL: free */
    unsigned holds;                  /* blocks kept or in use, and queries */
};

struct open_block {
    struct block_reader *reader;
    size_t charged_bytes; /* its user's */
    /* private */
    struct catalog_source source;
    struct held_view *held; /* the version it was opened in */
    uint32_t header_crc;
    uint16_t shard;
    uint64_t seq;
    uint64_t used; /* number of the last query */
    uint64_t arrival_ns;
    size_t bytes; /* while it is kept */
};

/* What a query sees; private but for view. */
struct cache_view {
    const struct catalog_view *view;
    struct held_view *held;
    uint64_t query; /* numbered as they come */
};

struct block_cache {
    struct catalog *catalog; /* borrowed */
    size_t bytes_max;        /* of blocks kept */
    pthread_mutex_t mutex;   /* guards the rest; held for a walk over one of the tables at most */
    uint64_t queries;
    size_t bytes;
    struct open_block *entries[BLOCK_CACHE_ENTRIES]; /* kept, not in use */
    struct held_view views[BLOCK_CACHE_VIEWS];
};

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max);
/* No query is at work. */
void block_cache_deinit(struct block_cache *cache);
/* The current version, held until block_cache_settle(). */
struct cache_view block_cache_view(struct block_cache *cache);
/* The same of a version that its caller holds meanwhile. */
struct cache_view block_cache_view_of(struct block_cache *cache, const struct catalog_view *view);
void block_cache_settle(struct block_cache *cache, const struct cache_view *view);
/* io is the calling thread's. Errors of catalog_open_block(), ERR_NO_MEMORY. */
enum err block_cache_open(struct block_cache *cache, const struct cache_view *view, struct io *io,
                          uint32_t block, struct open_block **out);
/* Keeps it if there is room; must not be used any more. `keep` false: it is damaged or too large. */
void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep);

/* Closes what is kept in versions before the current one. Any thread. */
void block_cache_forget_old(struct block_cache *cache);

#endif
