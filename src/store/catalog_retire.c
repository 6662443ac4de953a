/*
 * Segments leave the catalog: because another one stands for them, or because their time is over. The order is what makes
 * a crash harmless:
 *
 *   1  what stands for them is durable under its name     (segment_merged.c)
 *   2  the version without them is published              queries that hold an older one keep their handles
 *   3  their files are removed, the directory is synced
 *   4  only now may the output be an input itself: a start knows the removed files by the output's lineage alone
 */
#include "catalog_private.h"

#include "base/log.h"

#include <string.h>

/* All of them again each time, until the directory is known to be durable without them. */
bool catalog_bury(struct catalog *catalog, struct io *io)
{
    bool gone = true;

    if (catalog->graves_count == 0) return true;
    for (uint32_t i = 0; i < catalog->graves_count; i++) {
        const enum err err = io_unlink(io, catalog->dir, catalog->graves[i]);
        if (err == OK || err == ERR_NOT_FOUND) continue;
        log_warn("store", "a segment that is not used any more could not be removed", "file=%s err=\"%s\"",
                 catalog->graves[i], err_text(err));
        gone = false;
    }
    if (gone) gone = io_dir_sync(io, catalog->dir) == OK;
    if (gone) catalog->graves_count = 0;
    return gone;
}

void catalog_dig(struct catalog *catalog, const struct segment *segment)
{
    assert(catalog->graves_count < CATALOG_GRAVES_MAX);
    memcpy(catalog->graves[catalog->graves_count++], segment->file->name, SEGMENT_NAME_BYTES);
}

uint64_t catalog_take_merged_seq(struct catalog *catalog)
{
    const uint64_t known = catalog_number(catalog, &catalog->shards[CATALOG_MERGED].next_seq);

    if (catalog->merged_taken < known) catalog->merged_taken = known;
    return catalog->merged_taken++;
}

static uint64_t next_seq_of(const struct segment *output)
{
    uint64_t next = 0;

    for (uint32_t i = 0; output != NULL && i < output->blocks_count; i++)
        if (output->blocks[i].summary.shard == CATALOG_MERGED && output->blocks[i].summary.seq >= next)
            next = output->blocks[i].summary.seq + 1;
    return next;
}

static enum err publish(struct catalog *catalog, struct segment *const *inputs, uint32_t count,
                        struct segment *output)
{
    const uint64_t next_seq = next_seq_of(output);

    pthread_mutex_lock(&catalog->mutex);
    const enum err err = catalog_replace(catalog, inputs, count, output);
    if (err == OK) catalog_note_position(catalog, CATALOG_MERGED, next_seq, 0);
    for (uint32_t i = 0; err == OK && i < count; i++) {
        inputs[i]->file->retired_bytes = segment_bytes(inputs[i]);
        catalog->retired_bytes += inputs[i]->file->retired_bytes;
    }
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

enum err catalog_retire(struct catalog *catalog, struct io *io, struct segment *const *inputs, uint32_t count,
                        struct segment *output)
{
    assert(catalog->graves_count == 0 && count + 1 <= CATALOG_GRAVES_MAX);

    if (output != NULL) catalog_dig(catalog, output);
    const enum err err = publish(catalog, inputs, count, output);
    if (err ==
        OK) { /* else the output goes: two files that stand for the same inputs would be believed both */
        catalog->graves_count = 0;
        for (uint32_t i = 0; i < count; i++)
            catalog_dig(catalog, inputs[i]);
    }
    catalog_bury(catalog, io);
    catalog_close_files(catalog, io);
    return err;
}

uint64_t catalog_retired_bytes(const struct catalog *catalog)
{
    return catalog_number(catalog, &catalog->retired_bytes);
}

void catalog_set_kept_bytes(struct catalog *catalog, uint64_t bytes)
{
    pthread_mutex_lock(&catalog->mutex);
    catalog->kept_bytes = bytes;
    pthread_mutex_unlock(&catalog->mutex);
}

uint64_t catalog_kept_bytes(const struct catalog *catalog)
{
    return catalog_number(catalog, &catalog->kept_bytes);
}

void catalog_close_retired(struct catalog *catalog, struct io *io)
{
    catalog_close_files(catalog, io);
}
