/*
 * The limits of a query in one place: deadline, cancellation, memory of block readers, damaged blocks.
 */
#include "work.h"

#include "io/io.h"

enum err work_check(const struct work *work)
{
    if (atomic_load_explicit(work->stopping, memory_order_relaxed)) return ERR_CLOSING;
    if (work->ticket != NULL && exchange_cancelled(work->ticket)) return ERR_CANCELLED;
    return io_now_ns(work->io) > work->deadline_ns ? ERR_DEADLINE : OK;
}

/* What the reader took since it was last looked at. */
static enum err charge(struct work *work, struct open_block *open)
{
    const size_t bytes = block_memory(open->reader);

    if (bytes <= open->charged_bytes) return OK;
    if (!arena_charge(&work->arena, bytes - open->charged_bytes)) return ERR_TOO_LARGE;
    open->charged_bytes = bytes;
    return OK;
}

enum err work_open_block(struct work *work, uint32_t block, struct open_block **out)
{
    struct open_block *open;

    TRY(block_cache_open(work->cache, &work->snapshot.catalog, work->io, block, &open));
    if (charge(work, open) != OK) return work_close_block(work, open, ERR_TOO_LARGE);
    *out = open;
    return OK;
}

enum err work_close_block(struct work *work, struct open_block *open, enum err err)
{
    if (err == OK) err = charge(work, open);
    arena_discharge(&work->arena, open->charged_bytes);
    if (err == ERR_CORRUPT) catalog_fence(work->config->catalog, open->shard, open->seq);
    block_cache_close(work->cache, open, err == OK);
    return err;
}
