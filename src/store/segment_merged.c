/*
 * A segment that stands for others: written under a name that a start throws away ("tmp"), complete with footer, filters
 * and lineage, synced, and only then named.
 *
 *   begin    file.tmp, header                     a crash until here, or anywhere before the name is durable: the
 *   append   blocks                               .tmp is removed, the inputs are as they were
 *   finish   footer, sync, rename, directory sync
 *
 * From then on both the output and its inputs hold the spans, and a start that finds both removes the inputs, because
 * the output's lineage says so.
 */
#include "catalog_private.h"

#include "base/log.h"
#include "base/seeded_bug.h"

#include <stdlib.h>
#include <string.h>

static struct segment *object_make(struct segment_file *file, const struct segment_identity *identity,
                                   uint8_t level, struct segment *const *inputs, uint32_t count)
{
    struct segment *const segment = segment_make(identity, file, SEGMENT_BLOCKS_MAX, false);

    if (segment == NULL) return NULL;
    segment->level = level;
    segment->lineage = segment_lineage_of(inputs, count);
    if (segment->lineage != NULL && SEEDED_BUG(NO_LINEAGE)) segment->lineage->replaces_count = 0;
    if (segment->lineage != NULL && SEEDED_BUG(NO_POSITIONS)) segment->lineage->positions_count = 0;
    return segment;
}

enum err segment_merged_begin(struct catalog *catalog, struct io *io, uint8_t level,
                              struct segment *const *inputs, uint32_t count, struct segment_merged *out)
{
    struct segment_identity identity = {.shard = CATALOG_MERGED};
    struct segment_file *file;

    *out = (struct segment_merged){.catalog = catalog, .offset = SEGMENT_ALIGN};
    TRY(segment_file_create(catalog, io, "tmp", &identity, &file));
    out->segment = object_make(file, &identity, level, inputs, count);
    if (out->segment == NULL) {
        segment_file_discard(catalog, io, file);
        return ERR_NO_MEMORY;
    }
    pthread_mutex_lock(&catalog->mutex);
    segment_file_drop(catalog, file); /* the object has its own reference */
    pthread_mutex_unlock(&catalog->mutex);
    if (out->segment->lineage != NULL) return OK;
    segment_merged_discard(out, io);
    return ERR_NO_MEMORY;
}

void segment_merged_discard(struct segment_merged *merged, struct io *io)
{
    struct catalog *const catalog = merged->catalog;
    struct segment *const segment = merged->segment;

    if (segment == NULL) return;
    merged->segment = NULL;
    catalog_dig(catalog, segment);
    pthread_mutex_lock(&catalog->mutex);
    segment_drop(catalog, segment);
    pthread_mutex_unlock(&catalog->mutex);
    catalog_close_files(catalog, io);
    catalog_bury(catalog, io);
}

enum err segment_merged_append(struct segment_merged *merged, struct io *io,
                               const struct block_encoded *block)
{
    struct segment *const segment = merged->segment;
    const uint32_t index = segment->blocks_count;

    assert(index < SEGMENT_BLOCKS_MAX);
    const enum err room = io_file_allocate(io, segment->file->file, merged->offset, block->len);
    if (room != OK && room != ERR_UNSUPPORTED) return room;
    struct block_filters *const filters = block_filters_of(block);
    if (filters == NULL) return ERR_NO_MEMORY;
    segment->filters[index] = filters;
    segment->blocks[index] = (struct catalog_block){
        .summary = block->summary, .offset = merged->offset, .index = index};
    segment->blocks_count++;
    TRY(segment_file_write(segment->file, io, merged->offset, block->bytes, block->len));
    merged->offset += block->len;
    return OK;
}

/* The file gets its name; from then on it is never written again. */
static enum err name_it(struct segment_merged *merged, struct io *io, struct segment_file **out)
{
    struct catalog *const catalog = merged->catalog;
    struct segment *const segment = merged->segment;
    char name[SEGMENT_NAME_BYTES];

    segment_name(&segment->identity, "seg", name);
    TRY(io_rename(io, catalog->dir, segment->file->name, name));
    memcpy(segment->file->name, name, sizeof name); /* nobody else knows it yet */
    if (!SEEDED_BUG(NO_MERGED_DIR_SYNC)) TRY(io_dir_sync(io, catalog->dir));
    return segment_file_open(io, catalog->dir, name, 0, out);
}

enum err segment_merged_finish(struct segment_merged *merged, struct io *io, struct segment **out)
{
    struct catalog *const catalog = merged->catalog;
    struct segment_file *buffered;
    struct segment_rows *rows;

    TRY(segment_footer_write(io, merged->segment, merged->offset, segment_rows_may_stay(catalog), &rows));
    const enum err err = name_it(merged, io, &buffered);

    pthread_mutex_lock(&catalog->mutex);
    struct segment *const closed = err == OK ? segment_closed(merged->segment, buffered, rows) : NULL;
    catalog->resident_bytes += rows->resident_bytes;
    if (closed == NULL) segment_rows_drop(catalog, rows);
    if (err == OK) segment_file_drop(catalog, buffered); /* the segment has its own reference */
    if (closed != NULL) segment_drop(catalog, merged->segment);
    pthread_mutex_unlock(&catalog->mutex);
    if (err != OK) return err;
    if (closed == NULL) return ERR_NO_MEMORY;
    merged->segment = NULL;
    *out = closed;
    return OK;
}
