/*
 * The body pool: memory for request bodies, as received and inflated, within one budget per shard. Pieces
 * come in a few sizes, each one page more than a power of four, so that a frame header fits in front of a
 * whole round body. A piece given back is kept for the next customer of its size up to a bound, then returned
 * to the system.
 *
 * All of it belongs to the shard's thread, which is also the first to touch each page: on a NUMA host the
 * memory lies at the shard's node without further ado.
 */
#ifndef SHARD_BODY_H
#define SHARD_BODY_H

#include "shard/shard.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics;

enum {
    BODY_CLASSES = 8,
    BODY_SMALLEST_BYTES =
        16 * 1024,           /* of class 0; each further class holds four times as much: the last 256 MiB */
    BODY_EXTRA_BYTES = 4096, /* room for the frame header, keeping pieces multiples of a page */
};

struct body_pool {
    /* configuration */
    uint64_t budget_bytes; /* lent and idle together never exceed it */
    uint64_t idle_bytes_max;
    struct metrics *metrics;
    /* state */
    uint64_t lent_bytes;
    uint64_t idle_bytes;
    void *idle[BODY_CLASSES]; /* stacks, linked through the first bytes of each piece */
};

void body_pool_init(struct body_pool *pool, uint64_t budget_bytes, struct metrics *metrics);
/* Everything must have been given back. */
void body_pool_deinit(struct body_pool *pool);
/* False: the budget or the system has no such piece now; out is untouched. */
bool body_acquire(struct body_pool *pool, size_t bytes, struct shard_body *out);
bool body_grow(struct body_pool *pool, struct shard_body *body, size_t bytes);
void body_release(struct body_pool *pool, struct shard_body *body);
/* What counts of a piece that holds so many bytes, at most body_capacity_max(). */
uint64_t body_weight(size_t bytes);
/* The most bytes one piece can hold. */
size_t body_capacity_max(void);

#endif
