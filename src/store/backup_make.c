/*
 * Making a backup. The order is what makes it one moment, and what makes a crash harmless:
 *
 *   1  a directory without a list: a start removes it
 *   2  the lists of pins and erasures: before the version, so that an erasure that is done there is done in the segments
 *   3  a version of the catalog: all that was sealed. A second name for each segment that will not change any more. In one
 *      step, and on the thread that removes segments: so none of them loses its name before it has two
 *   4  what may still change is copied, up to the end of the blocks of the version, piece by piece: their bytes never change
 *   5  everything synced, then the list
 *
 * Not linked are segments that are not closed (the next start moves their last block, and writes behind the others), and
 * those that a start has closed without filters (their footer is written again). The copies have no footer: whoever
 * starts from them closes them as after a crash. What a start would not find by a walk is never left out: a segment that
 * stands for others is linked whatever it is.
 */
#include "backup_private.h"

#include "store/superblock.h"

#include <stdlib.h>
#include <string.h>

enum { COPY_STEP_BYTES = 4 << 20 };

struct backup_making {
    const struct backup_place *place;
    struct backup_entry *entry; /* borrowed */
    struct io_dir *dir, *segments;
    const struct catalog_view *view;
    bool finished;
    /* copying */
    uint32_t next;           /* segment of the view */
    struct segment_file *to; /* NULL: none is under way */
    uint64_t done, bytes;    /* of it */
};

/* ---- what is linked, what is copied ---------------------------------------------------------------------- */

static bool is_final(const struct segment *segment)
{
    return segment->lineage != NULL || (segment->rows != NULL && !segment->unfiltered);
}

/* Behind the last block. */
static uint64_t end_of_blocks(const struct segment *segment)
{
    uint64_t end = SEGMENT_ALIGN;

    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        const struct catalog_block *const block = &segment->blocks[i];
        if (block->offset + block->summary.bytes > end) end = block->offset + block->summary.bytes;
    }
    return end;
}

static enum err note(struct backup_making *making, struct io *io, uint32_t number)
{
    const struct segment *const segment = making->view->segments[number];
    struct backup *const backup = &making->entry->backup;
    struct backup_file *const file = &making->entry->files[number];

    memcpy(file->name, segment->file->name, sizeof file->name);
    file->copied = !is_final(segment);
    file->bytes = end_of_blocks(segment);
    if (!file->copied) TRY(io_file_size(io, segment->file->file, &file->bytes));
    backup->segments++;
    backup->blocks += segment->blocks_count;
    backup->spans += segment_spans(segment);
    backup->bytes += file->bytes;
    backup->copied_bytes += file->copied ? file->bytes : 0;
    return OK;
}

static enum err link_segments(struct backup_making *making, struct io *io)
{
    const struct catalog_view *const view = making->view;
    struct io_dir *const from = making->place->catalog->dir;

    making->entry->files = calloc((size_t)view->segments_count + 1, sizeof *making->entry->files);
    if (making->entry->files == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < view->segments_count; i++) {
        const struct segment *const segment = view->segments[i];
        TRY(note(making, io, i));
        if (is_final(segment))
            TRY(io_link(io, from, segment->file->name, making->segments, segment->file->name));
    }
    return OK;
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

static enum err link_list(struct backup_making *making, struct io *io, const struct list_kind *kind)
{
    const enum err err = io_link(io, making->place->data, kind->name, making->dir, kind->name);

    return err == ERR_NOT_FOUND ? OK : err; /* it was never written */
}

static enum err begin(struct backup_making *making, struct io *io)
{
    const struct backup_place *const place = making->place;

    TRY(io_dir_open(io, place->home, making->entry->backup.name, true, &making->dir));
    TRY(io_dir_open(io, making->dir, "segments", true, &making->segments));
    TRY(link_list(making, io, &list_pins));
    TRY(link_list(making, io, &list_erasures));
    TRY(superblock_copy(place->superblock, io, making->dir));
    making->view = catalog_acquire(place->catalog);
    return link_segments(making, io);
}

enum err backup_making_open(const struct backup_place *place, struct io *io, struct backup_entry *entry,
                            struct backup_making **out)
{
    struct backup_making *const making = calloc(1, sizeof *making);

    if (making == NULL) return ERR_NO_MEMORY;
    making->place = place;
    making->entry = entry;
    const enum err err = begin(making, io);
    if (err == OK)
        *out = making;
    else
        backup_making_close(making, io);
    return err;
}

/* ---- copying --------------------------------------------------------------------------------------------- */

static void let_go(struct backup_making *making, struct io *io)
{
    struct catalog *const catalog = making->place->catalog;

    if (making->to == NULL) return;
    pthread_mutex_lock(&catalog->mutex);
    segment_file_drop(catalog, making->to);
    pthread_mutex_unlock(&catalog->mutex);
    making->to = NULL;
    catalog_close_files(catalog, io);
}

static enum err copy_some(struct backup_making *making, struct io *io, const struct segment *segment)
{
    const uint64_t left = making->bytes - making->done;
    const uint64_t bytes = left < COPY_STEP_BYTES ? left : COPY_STEP_BYTES;

    TRY(segment_file_copy(io, segment->file, making->done, making->to, making->done, bytes));
    making->done += bytes;
    if (making->done < making->bytes) return OK;
    TRY(io_datasync_now(io, making->to->file));
    let_go(making, io);
    making->next++;
    return OK;
}

enum err backup_making_step(struct backup_making *making, struct io *io, bool *complete)
{
    const struct catalog_view *const view = making->view;

    while (making->next < view->segments_count && is_final(view->segments[making->next]))
        making->next++;
    *complete = making->next == view->segments_count;
    if (*complete) return OK;
    const struct segment *const segment = view->segments[making->next];
    if (making->to == NULL) {
        making->done = 0;
        making->bytes = end_of_blocks(segment);
        TRY(segment_file_open(io, making->segments, segment->file->name, IO_CREATE | IO_WRITABLE | IO_DIRECT,
                              &making->to));
    }
    return copy_some(making, io, segment);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct backup_file *)a)->name, ((const struct backup_file *)b)->name);
}

enum err backup_making_finish(struct backup_making *making, struct io *io)
{
    struct backup_entry *const entry = making->entry;

    if (entry->backup.segments > 0)
        qsort(entry->files, entry->backup.segments, sizeof *entry->files, by_name);
    TRY(io_dir_sync(io, making->segments));
    TRY(io_dir_sync(io, making->dir));
    TRY(backup_list_write(io, making->dir, making->place->superblock->instance, entry));
    making->finished = true;
    return OK;
}

void backup_making_close(struct backup_making *making, struct io *io)
{
    let_go(making, io);
    if (making->view != NULL) catalog_release(making->place->catalog, making->view);
    if (making->segments != NULL) io_dir_close(io, making->segments);
    if (making->dir != NULL) io_dir_close(io, making->dir);
    if (!making->finished) (void)backup_dir_remove(io, making->place->home, making->entry->backup.name);
    free(making);
}
