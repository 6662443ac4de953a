/*
 * The limits of a query in one place: deadline, cancellation, memory of block readers, damaged blocks.
 */
#include "work.h"

#include "io/io.h"

enum err work_check(const struct work *work)
{
    if (atomic_load_explicit(work->stopping, memory_order_relaxed)) return ERR_CLOSING;
    if (exchange_cancelled(work->ticket)) return ERR_CANCELLED;
    return io_now_ns(work->io) > work->deadline_ns ? ERR_DEADLINE : OK;
}

void work_fence(struct work *work, uint32_t block)
{
    const struct catalog_block *const entry = catalog_block(work->snapshot.view, block);

    catalog_fence(work->config->catalog, entry->summary.shard, entry->summary.seq);
    work->coverage.fenced_blocks++;
}

enum err work_open_block(struct work *work, uint32_t block, struct open_block *out)
{
    const enum err err = catalog_open_block(work->snapshot.view, work->io, block, &out->source, &out->reader);

    if (err == ERR_CORRUPT) work->coverage.fenced_blocks++;
    TRY(err);
    out->block = block;
    out->charged_bytes = 0;
    work->coverage.blocks++;
    const enum err settled = work_settle(work, out);
    if (settled != OK) work_close_block(work, out);
    return settled;
}

enum err work_settle(struct work *work, struct open_block *open)
{
    const size_t bytes = block_memory(open->reader);

    if (bytes <= open->charged_bytes) return OK;
    if (!arena_charge(&work->arena, bytes - open->charged_bytes)) return ERR_TOO_LARGE;
    open->charged_bytes = bytes;
    return OK;
}

void work_close_block(struct work *work, struct open_block *open)
{
    arena_discharge(&work->arena, open->charged_bytes);
    block_close(open->reader);
}
