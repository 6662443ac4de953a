/*
 * A segment that stands for others: written under a name that a start throws away ("tmp"), complete with footer, filters
 * and lineage, synced, and only then named.
 *
 *   begin    file.tmp, header                     a crash until here, or anywhere before the name is durable: the
 *   append   blocks                               .tmp is removed, the inputs are as they were
 *   finish   ledger, footer, sync, rename, directory sync
 *
 * From then on both the output and its inputs hold the spans, and a start that finds both removes the inputs, because
 * the output's lineage says so.
 */
#include "catalog_private.h"

#include "base/log.h"
#include "base/seeded_bug.h"
#include "store/ledger.h"

#include <inttypes.h>
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

static void close_ledgers(struct segment_merged *merged)
{
    ledger_close(merged->ledger);
    ledger_close(merged->counted);
    merged->ledger = merged->counted = NULL;
}

static uint32_t number_of(const struct catalog_view *view, const struct segment *segment)
{
    for (uint32_t i = 0; i < view->segments_count; i++)
        if (view->segments[i] == segment) return i;
    unreachable("an input is of the view");
}

static enum err open_ledgers(const struct catalog_view *view, struct io *io, struct segment *const *inputs,
                             uint32_t count, struct segment_merged *out)
{
    bool damaged = false;

    TRY(ledger_open(&out->ledger));
    TRY(ledger_open(&out->counted));
    for (uint32_t i = 0; i < count; i++)
        TRY(catalog_ledger(view, io, number_of(view, inputs[i]), &ledger_always, out->ledger, &damaged));
    return OK;
}

enum err segment_merged_begin(const struct catalog_view *view, struct io *io, uint8_t level,
                              struct segment *const *inputs, uint32_t count, struct segment_merged *out)
{
    struct catalog *const catalog = view->catalog;
    struct segment_identity identity = {.shard = CATALOG_MERGED};
    struct segment_file *file;

    *out = (struct segment_merged){.catalog = catalog, .offset = SEGMENT_ALIGN};
    const enum err err = open_ledgers(view, io, inputs, count, out);
    if (err != OK) {
        close_ledgers(out);
        return err;
    }
    TRY(segment_file_create(catalog, io, "tmp", &identity, &file));
    out->segment = object_make(file, &identity, level, inputs, count);
    if (out->segment == NULL) {
        (void)segment_file_discard(catalog, io, file);
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

    close_ledgers(merged);
    if (segment == NULL) return;
    merged->segment = NULL;
    catalog_dig(catalog, segment);
    pthread_mutex_lock(&catalog->mutex);
    segment_drop(catalog, segment);
    pthread_mutex_unlock(&catalog->mutex);
    catalog_close_files(catalog, io);
    catalog_bury(catalog, io);
}

/* A place for one more block, with room on the disk; it counts when its bytes have been written. */
static enum err make_room(struct segment_merged *merged, struct io *io, const struct block_summary *summary,
                          struct block_filters *filters)
{
    struct segment *const segment = merged->segment;
    const uint32_t index = segment->blocks_count;

    assert(index < SEGMENT_BLOCKS_MAX);
    const enum err err = io_file_allocate(io, segment->file->file, merged->offset, summary->bytes);
    if (err != OK && err != ERR_UNSUPPORTED) return err;
    segment->blocks[index] = (struct catalog_block){
        .summary = *summary, .offset = merged->offset, .index = index};
    segment->filters[index] = filters;
    return OK;
}

static void count_block(struct segment_merged *merged, uint64_t bytes)
{
    merged->segment->blocks_count++;
    merged->offset += bytes;
}

enum err segment_merged_append(struct segment_merged *merged, struct io *io,
                               const struct block_encoded *block)
{
    struct block_filters *const filters = block_filters_of(block);

    if (filters == NULL) return ERR_NO_MEMORY;
    enum err err = make_room(merged, io, &block->summary, filters);
    if (err == OK)
        err = segment_file_write(merged->segment->file, io, merged->offset, block->bytes, block->len);
    if (err != OK) {
        block_filters_drop(filters);
        return err;
    }
    count_block(merged, block->len);
    ledger_add_all(merged->counted, block->ledger);
    return OK;
}

enum err segment_merged_copy(struct segment_merged *merged, struct io *io, const struct segment *from,
                             uint32_t place, struct block_filters *filters)
{
    const struct catalog_block *const block = &from->blocks[place];

    TRY(make_room(merged, io, &block->summary, filters));
    TRY(segment_file_copy(io, from->file, block->offset, merged->segment->file, merged->offset,
                          block->summary.bytes));
    count_block(merged, block->summary.bytes);
    merged->copies = true;
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

/* No row of the inputs may be missing that was not left out on purpose, service by service and minute by minute. */
static enum err check_ledger(struct segment_merged *merged)
{
    if (ledger_failed(merged->ledger) || ledger_failed(merged->counted)) return ERR_NO_MEMORY;
    const bool agree = merged->copies || ledger_agree(merged->ledger, merged->counted, LEDGER_STORED);
    if (agree && ledger_balances(merged->ledger)) return OK;
    log_error("store", "a segment does not have the spans that it should have: its inputs stay",
              "file=%s stored=%" PRIu64 " of=%" PRIu64 " received=%" PRIu64, merged->segment->file->name,
              ledger_total(merged->counted, LEDGER_STORED), ledger_total(merged->ledger, LEDGER_STORED),
              ledger_total(merged->ledger, LEDGER_RECEIVED));
    return ERR_CORRUPT;
}

static enum err finish(struct segment_merged *merged, struct io *io, struct segment **out)
{
    struct catalog *const catalog = merged->catalog;
    struct segment_file *buffered;
    struct segment_rows *rows;

    TRY(check_ledger(merged));
    TRY(segment_ledger_write(merged->segment, io, merged->ledger, &merged->offset));
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

/* Only the caller's thread replaces segments, so what is seen here still holds when the catalog is changed. */
enum err segment_merged_replace(struct segment_merged *merged, struct io *io, struct segment *const *inputs,
                                uint32_t count)
{
    struct segment *output;

    if (!catalog_has_all(merged->catalog, inputs, count)) return ERR_SUPERSEDED;
    TRY(finish(merged, io, &output));
    merged->bytes = segment_bytes(output);
    close_ledgers(merged);
    return catalog_retire(merged->catalog, io, inputs, count, output);
}
