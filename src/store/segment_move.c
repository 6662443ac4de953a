/*
 * Moves the last block of a file that was not closed into a file of its own, which is closed at once.
 *
 * Why: a block whose sync failed is not acknowledged, and its bytes are abandoned with the file. But they may well be
 * readable, today from memory, after a power cut no more; and a sync that failed once can succeed later without having
 * written them. A start that finds such a block cannot know. Every block before it was synced well, or nothing would
 * have been written behind it. So exactly the last one is written anew, before anything is believed because of it.
 *
 *   new file: header, block, sync, directory sync, footer, sync     the old file still has the block
 *   old file: closed without it, over it; or removed if it was the only one
 *
 * A crash in between leaves the block in both files; it has one id and is used once (catalog_open.c).
 */
#include "catalog_private.h"

#include <stdlib.h>

/* The new segment as it is before closing: one block, its filters still to be built as all of a recovery. */
static struct segment *one_block(const struct segment_identity *identity, struct segment_file *file,
                                 const struct segment *from)
{
    const uint32_t last = from->blocks_count - 1;
    struct segment *const segment = segment_make(identity, file, 1, false);

    if (segment == NULL) return NULL;
    segment->blocks_count = 1;
    segment->blocks[0] = from->blocks[last];
    segment->blocks[0].offset = SEGMENT_ALIGN;
    segment->blocks[0].index = 0;
    return segment;
}

static enum err write_new(struct catalog *catalog, struct io *io, const struct segment_identity *identity,
                          struct segment_file *file, const struct segment *from, struct segment **out)
{
    const struct catalog_block *const last = &from->blocks[from->blocks_count - 1];

    TRY(segment_file_copy(io, from->file, last->offset, file, SEGMENT_ALIGN, last->summary.bytes));
    TRY(io_datasync_now(io, file->file));
    TRY(io_dir_sync(io, catalog->dir));
    struct segment *const segment = one_block(identity, file, from);
    if (segment == NULL) return ERR_NO_MEMORY;
    const enum err err = segment_finish(catalog, io, segment, SEGMENT_ALIGN + last->summary.bytes, out);
    segment_drop(catalog, segment);
    return err;
}

enum err segment_move_last(struct catalog *catalog, struct io *io, struct segment *from,
                           struct segment **moved)
{
    assert(from->blocks_count > 0);
    assert(from->rows == NULL);

    const uint32_t last = from->blocks_count - 1;
    const struct block_summary *const summary = &from->blocks[last].summary;
    struct segment_identity identity = {
        .shard = summary->shard, .block_seq = summary->seq, .lsn_first = summary->lsn_first};
    struct segment_file *file;

    TRY(segment_file_create(catalog, io, "seg", &identity, &file));
    const enum err err = write_new(catalog, io, &identity, file, from, moved);
    if (err != OK) {
        (void)segment_file_discard(catalog, io, file);
        return err;
    }
    segment_file_drop(catalog, file); /* the segment has its own reference */
    from->blocks_count--;
    return OK;
}
