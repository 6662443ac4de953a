/*
 * Appending: a shard's encoded blocks to its open segment, one fdatasync for each, published when durable.
 *
 *   segment_append()   close the segment if the block does not belong in it any more
 *                      make a new file if there is none: header written, not yet synced
 *                      room for the block allocated: a full disk fails here, before anything is written
 *                      block written, file synced, directory synced if the file is new
 *                      version published
 *
 * A failed write or sync leaves a file of which nothing behind the last sync is known. It is never written or
 * synced again: with published blocks in it, it stays as it is, is read from, and the next start closes it;
 * without, it is removed. The next attempt gets a new file. So the same block can stand in two files after a
 * crash, unless the first one is known to be gone for good; it has one id and is used once (catalog_open.c), as long as both
 * are there: so the file that it goes to is no input of a merge before the next start, which sees what the first one has.
 */
#include "catalog_private.h"

#include "base/log.h"
#include "base/seeded_bug.h"

#include <inttypes.h>
#include <string.h>

/* ---- the open segment -------------------------------------------------------------------------------- */

/* The catalog lets the file go; published blocks keep it open for readers. */
static void leave(struct catalog *catalog, struct segment_open *open)
{
    pthread_mutex_lock(&catalog->mutex);
    segment_file_drop(catalog, open->file);
    pthread_mutex_unlock(&catalog->mutex);
    *open = (struct segment_open){.open = false};
}

/* True: not even a crash brings the file back. */
static bool remove_empty(struct catalog *catalog, struct io *io, struct segment_open *open)
{
    const enum err err = segment_file_discard(catalog, io, open->file);

    *open = (struct segment_open){.open = false};
    return err == OK && io_dir_sync(io, catalog->dir) == OK;
}

static void abandon(struct catalog *catalog, struct io *io, struct segment_open *open,
                    const struct block_summary *failed, enum err err)
{
    struct catalog_shard *const shard = &catalog->shards[open->identity.shard];

    log_error("store", "segment cannot be written, it is not written to any more",
              "file=%s blocks=%" PRIu32 " err=\"%s\"", open->file->name, open->blocks, err_text(err));
    if (open->blocks == 0) {
        if (remove_empty(catalog, io, open)) return;
    } else {
        leave(catalog, open);
        catalog_close_files(catalog, io);
    }
    shard->copied = true;
    shard->copied_seq = failed->seq;
}

static enum err begin(struct catalog *catalog, struct io *io, uint16_t number,
                      const struct block_summary *first)
{
    struct segment_open *const open = &catalog->shards[number].open;
    struct segment_identity identity = {
        .shard = number, .block_seq = first->seq, .lsn_first = first->lsn_first};
    struct segment_file *file;

    TRY(segment_file_create(catalog, io, "seg", &identity, &file));
    *open = (struct segment_open){.open = true,
                                  .file = file,
                                  .identity = identity,
                                  .offset = SEGMENT_ALIGN,
                                  .arrival_min_ns = first->arrival_min_ns};
    return OK;
}

static bool is_complete(const struct catalog *catalog, const struct segment_open *open,
                        const struct block_summary *next)
{
    const struct segment_config *const config = &catalog->config;

    if (open->blocks == 0) return false;
    return open->blocks >= config->blocks_max || open->offset + next->bytes > config->bytes_max ||
           (next->arrival_max_ns > open->arrival_min_ns &&
            next->arrival_max_ns - open->arrival_min_ns > config->window_ns);
}

/* ---- one block --------------------------------------------------------------------------------------- */

static enum err write_block(struct catalog *catalog, struct io *io, const struct segment_open *open,
                            const struct block_encoded *block)
{
    TRY(segment_file_write(open->file, io, open->offset, block->bytes, block->len));
    if (!SEEDED_BUG(NO_SEGMENT_SYNC)) TRY(io_datasync_now(io, open->file->file));
    if (open->blocks == 0 && !SEEDED_BUG(NO_SEGMENT_DIR_SYNC)) TRY(io_dir_sync(io, catalog->dir));
    return OK;
}

/* The version with one more block. Under the mutex. */
static enum err publish(struct catalog *catalog, const struct segment_open *open,
                        const struct block_summary *summary, struct block_filters *filters)
{
    const struct catalog_shard *const shard = &catalog->shards[open->identity.shard];
    const struct segment *const current = catalog_find_segment(catalog, &open->identity);
    struct segment *const next = current != NULL ? segment_copy(current, 1)
                                                 : segment_make(&open->identity, open->file, 1, false);

    if (next == NULL) return ERR_NO_MEMORY;
    const uint32_t index = next->blocks_count++;
    next->blocks[index] = (struct catalog_block){.summary = *summary, .offset = open->offset, .index = index};
    next->filters[index] = filters;
    filters->refs++;
    next->has_copies |= shard->copied && shard->copied_seq == summary->seq;
    if (summary->shard >= catalog->shards_count) catalog->shards_count = summary->shard + 1U;
    TRY(catalog_publish(catalog, next));
    catalog_note_position(catalog, summary->shard, summary->seq + 1, summary->lsn_end);
    return OK;
}

static enum err write_and_publish(struct catalog *catalog, struct io *io, struct segment_open *open,
                                  const struct block_encoded *block, struct block_filters *filters)
{
    TRY(write_block(catalog, io, open, block));
    pthread_mutex_lock(&catalog->mutex);
    const enum err err = publish(catalog, open, &block->summary, filters);
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

static enum err append(struct catalog *catalog, struct io *io, struct segment_open *open,
                       const struct block_encoded *block, struct block_filters *filters)
{
    const enum err room = io_file_allocate(io, open->file->file, open->offset, block->len);
    const bool untouched = room == ERR_NO_SPACE && open->blocks > 0;

    if (untouched) return room; /* the file is as it was, and can be gone on with */
    const enum err err = room == OK || room == ERR_UNSUPPORTED
                             ? write_and_publish(catalog, io, open, block, filters)
                             : room;
    if (err != OK) {
        abandon(catalog, io, open, &block->summary, err);
        return err;
    }
    open->offset += block->len;
    open->blocks++;
    return OK;
}

enum err segment_append(struct catalog *catalog, struct io *io, uint16_t shard,
                        const struct block_encoded *block)
{
    assert(shard < CATALOG_SHARDS_MAX);
    assert(block->summary.shard == shard);
    assert(block->len == block->summary.bytes && block->len > 0);

    struct segment_open *const open = &catalog->shards[shard].open;
    catalog_close_files(catalog, io);
    if (open->open && is_complete(catalog, open, &block->summary)) {
        const enum err sealed = segment_seal(catalog, io, shard);
        if (sealed == ERR_NO_SPACE) return sealed; /* a block would not find room either */
    }
    struct block_filters *const filters = block_filters_of(block);
    if (filters == NULL) return ERR_NO_MEMORY;
    enum err err = open->open ? OK : begin(catalog, io, shard, &block->summary);
    if (err == OK) err = append(catalog, io, open, block, filters);

    pthread_mutex_lock(&catalog->mutex);
    block_filters_drop(filters);
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

/* ---- closing ----------------------------------------------------------------------------------------- */

static struct segment *hold(struct catalog *catalog, const struct segment_identity *identity)
{
    pthread_mutex_lock(&catalog->mutex);
    struct segment *const segment = catalog_find_segment(catalog, identity);
    assert(segment != NULL); /* only published segments are closed */
    segment->refs++;
    pthread_mutex_unlock(&catalog->mutex);
    return segment;
}

static enum err finish(struct catalog *catalog, struct io *io, const struct segment_open *open)
{
    struct segment *const segment = hold(catalog, &open->identity);
    struct segment *closed;

    enum err err = segment_finish(catalog, io, segment, open->offset, &closed);
    pthread_mutex_lock(&catalog->mutex);
    if (err == OK) err = catalog_publish(catalog, closed);
    segment_drop(catalog, segment);
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

enum err segment_seal(struct catalog *catalog, struct io *io, uint16_t shard)
{
    assert(shard < CATALOG_SHARDS_MAX);

    struct segment_open *const open = &catalog->shards[shard].open;
    if (!open->open) return OK;
    assert(open->blocks > 0); /* an append that fails in a new file leaves none open */

    const enum err err = finish(catalog, io, open);
    if (err != OK)
        log_error("store", "segment could not be closed; the next start will", "file=%s err=\"%s\"",
                  open->file->name, err_text(err));
    leave(catalog, open);
    catalog_close_files(catalog, io);
    return err;
}
