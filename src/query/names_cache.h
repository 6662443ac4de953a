/*
 * Which operations each block has, remembered, so that lists of services and operations need not open every
 * block again. Blocks never change, so neither does what is remembered of one. Any thread.
 *
 *   names_cache_begin() -> for each block: names_cache_visit(), or when it is not known: read its names,
 *   names_cache_add() -> names_cache_end()
 *
 * Each distinct name is kept once and has a number, and a block is a list of numbers. Blocks have nearly the same
 * names, so a reader that has met a name passes over it by one bit. Memory is bounded: when not all blocks find room,
 * the newest have it.
 */
#ifndef QUERY_NAMES_CACHE_H
#define QUERY_NAMES_CACHE_H

#include "base/err.h"
#include "store/block.h"

enum {
    NAMES_CACHE_NAMES_MAX = 1 << 18, /* distinct ones at once */
    NAMES_CACHE_BLOCK_MAX = 1 << 13, /* of one block */
};

/* What the list that is being made has met: a bit for the number of each name. */
struct names_reader {
    uint64_t seen[NAMES_CACHE_NAMES_MAX / 64];
};

struct names_cache;

/* bytes_max: of names and blocks; two tables of 1.2 MiB in all come on top. ERR_NO_MEMORY. */
enum err names_cache_open(size_t bytes_max, struct names_cache **out);
/* No reader is at work. */
void names_cache_close(struct names_cache *cache);

void names_cache_begin(struct names_cache *cache, struct names_reader *reader);
void names_cache_end(struct names_cache *cache);

/*
 * Shows the names of the block that this reader has not met. Slices live for the call; other threads wait
 * meanwhile. ERR_NOT_FOUND: the block is not known, nothing was shown. Otherwise visit's first error, or OK.
 */
typedef enum err names_visit_fn(void *context, const struct block_operation *name);
enum err names_cache_visit(struct names_cache *cache, struct names_reader *reader,
                           const struct block_summary *block, names_visit_fn *visit, void *context);

/* Remembers all names of the block, each given once, if there is room. Copies them, shows nothing. */
void names_cache_add(struct names_cache *cache, const struct block_summary *block,
                     const struct block_operation *names, uint32_t count);

/* What is held now. */
struct names_cache_load {
    size_t blocks, names, bytes;
};
struct names_cache_load names_cache_load(struct names_cache *cache);

#endif
