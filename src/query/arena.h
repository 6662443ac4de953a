/*
 * Memory of one query: taken in pieces, given back all at once, and never more than the query may use.
 *
 *   arena_init() -> arena_alloc() ... -> arena_reset() when the query is answered
 *
 * Memory that a query needs elsewhere (block readers, the answer) is charged here too, so that one number
 * bounds it all.
 */
#ifndef QUERY_ARENA_H
#define QUERY_ARENA_H

#include "base/slice.h"

struct arena {
    struct arena_piece *pieces; /* newest first */
    size_t bytes;               /* held in pieces */
    size_t charged_bytes;       /* held elsewhere, see arena_charge() */
    size_t bytes_max;
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_reset(struct arena *arena);
/* Zeroed, aligned to 16. NULL: the query would use more than it may, or there is no memory. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* A copy of the bytes that lives as long as the arena; ptr NULL (len kept) when there is no room. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
/*
 * A larger array: count elements of the old one are copied. *capacity becomes at least wanted; NULL: as
 * above, and the old array stays good. The old array's memory is not reused, so grow by doubling.
 */
void *arena_grow(struct arena *arena, void *array, size_t element_bytes, size_t count, size_t wanted,
                 size_t *capacity);
/* How much may still be taken. */
size_t arena_left(const struct arena *arena);
/* Counts memory that somebody else holds for this query; false: too much, and nothing is counted. */
bool arena_charge(struct arena *arena, size_t bytes);
void arena_discharge(struct arena *arena, size_t bytes);

#endif
