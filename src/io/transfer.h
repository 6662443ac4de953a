/*
 * What is left of one read or write of a contiguous buffer, and the rules for going on after a short count.
 * Pure: used by the waiting calls, by plain and by the ring.
 */
#ifndef IO_TRANSFER_H
#define IO_TRANSFER_H

#include "io/io.h"

enum {
    TRANSFER_CHUNK_BYTES = 1 << 30
}; /* the kernel stops a little below 2 GiB; a ring's length has 32 bits */

struct transfer {
    uint8_t *ptr; /* borrowed */
    size_t left;
    uint64_t offset;
    size_t moved;
    bool direct;
};

static inline struct transfer transfer_of(void *buf, size_t len, uint64_t offset, bool direct)
{
    return (struct transfer){.ptr = (uint8_t *)buf, .left = len, .offset = offset, .direct = direct};
}

static inline size_t transfer_chunk(const struct transfer *transfer)
{
    return transfer->left < TRANSFER_CHUNK_BYTES ? transfer->left : TRANSFER_CHUNK_BYTES;
}

static inline void transfer_advance(struct transfer *transfer, size_t count)
{
    assert(count <= transfer->left);

    transfer->ptr += count;
    transfer->left -= count;
    transfer->offset += count;
    transfer->moved += count;
}

/* false: end of file, nothing more to read. A direct read that stops off the grid has met it too. */
static inline bool transfer_read(struct transfer *transfer, size_t count)
{
    transfer_advance(transfer, count);
    return count > 0 && !(transfer->direct && transfer->offset % IO_ALIGN != 0);
}

/* false: the device takes nothing. A direct write goes on from the last whole block. */
static inline bool transfer_written(struct transfer *transfer, size_t count)
{
    if (transfer->direct && count < transfer->left) count -= count % IO_ALIGN;
    transfer_advance(transfer, count);
    return count > 0;
}

#endif
