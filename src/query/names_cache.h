/*
 * Which operations each block has, remembered, so that lists of services and operations need not open every
 * block again. Blocks never change, so neither does what is remembered. Any thread.
 *
 *   name_marks_init() -> for each block: names_cache_mark(), or open it and names_cache_add() -> names_cache_visit()
 *
 * Names are numbered when they first come up; the names of a block are a list of numbers, and marks are a bit
 * per number. When memory is full everything is forgotten and numbering begins anew: marks made before are
 * then stale (ERR_BUSY), and the query does without.
 */
#ifndef QUERY_NAMES_CACHE_H
#define QUERY_NAMES_CACHE_H

#include "arena.h"
#include "store/block.h"

#include <pthread.h>

enum { NAMES_CACHE_NAMES_MAX = 1 << 17 };

struct cached_name {
    struct slice service, name; /* in the cache's arena */
    int32_t kind;
};

struct cached_block {
    uint64_t seq;
    uint32_t header_crc;
    uint32_t count;
    uint32_t *names; /* NULL: the place is free */
    uint16_t shard;
};

struct names_cache {
    pthread_mutex_t mutex; /* guards the rest */
    struct arena arena;
    uint64_t generation;
    struct cached_name *names;
    size_t names_count, names_capacity;
    uint32_t *name_places; /* index + 1 */
    size_t name_places_count;
    struct cached_block *blocks; /* hash table */
    size_t blocks_count, block_places_count;
};

struct name_marks {
    uint64_t generation;
    uint64_t bits[NAMES_CACHE_NAMES_MAX / 64];
};

void names_cache_init(struct names_cache *cache, size_t bytes_max);
void names_cache_deinit(struct names_cache *cache);

void name_marks_init(struct name_marks *marks, struct names_cache *cache);
/* ERR_NOT_FOUND: this block is not known. ERR_BUSY: the marks are stale. */
enum err names_cache_mark(struct names_cache *cache, const struct block_summary *block,
                          struct name_marks *marks);
/* Remembers the block's names and marks them. ERR_BUSY as above; ERR_CORRUPT. */
enum err names_cache_add(struct names_cache *cache, struct block_reader *reader, struct name_marks *marks);

/* Slices live for the call. Errors are visit's, and ERR_BUSY. Other threads wait meanwhile. */
typedef enum err names_visit_fn(void *context, struct slice service, struct slice name, int32_t kind);
enum err names_cache_visit(struct names_cache *cache, const struct name_marks *marks, names_visit_fn *visit,
                           void *context);

#endif
