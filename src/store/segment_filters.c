/*
 * Filters of segments that a recovery closed without them. A start must not wait for them: every value of a block has to
 * be hashed again, and an unclosed file has some dozens of blocks. So segment_recover.c writes a footer with a directory
 * and no rows, and whoever has time calls here:
 *
 *   closed, no rows ──▶ a block's filters, once for each block ──▶ footer once more, over the old one ──▶ published
 *      nothing is excluded, answers are exact, but slow                directory, rows, trailer
 *
 * The newest such segment comes first; what is built is held in memory until all of it is. A stop, or a crash, at any
 * point loses only that: a file with its first footer is found again by its directory, which has no trace rows, and
 * one with a torn footer is walked (FORMAT.md, case N).
 *
 * A block that is damaged, which the walk need not have noticed, is fenced, and the rest goes on. Where the world fails
 * (a device error, no memory, no room for the rows) the file stays as it is and the filters that were built stay
 * in memory; the next start tries again.
 */
#include "catalog_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- one block --------------------------------------------------------------------------------------- */

/* Hashes as they come out of a block, to be counted before the filters can be sized. */
struct hash_list {
    uint64_t *hashes;
    size_t count, capacity;
    bool overflow; /* no memory for them: the block gets no filter of this kind */
};
enum { HASHES_MAX = 32 << 20 };

static void hash_list_add(struct hash_list *list, uint64_t hash)
{
    if (list->count == list->capacity && !list->overflow) {
        const size_t capacity = list->capacity == 0 ? 4096 : list->capacity * 2;
        uint64_t *const grown = capacity > HASHES_MAX
                                    ? NULL
                                    : realloc(list->hashes, capacity * sizeof *list->hashes);
        if (grown == NULL) {
            list->overflow = true;
        } else {
            list->hashes = grown;
            list->capacity = capacity;
        }
    }
    if (!list->overflow) list->hashes[list->count++] = hash;
}

static bool gather(void *context, bool is_trace, uint64_t hash)
{
    struct hash_list *const lists = context;

    hash_list_add(&lists[is_trace ? FILTER_TRACE : FILTER_TOKEN], hash);
    return true;
}

static struct block_filters *filters_of(const struct hash_list lists[SEGMENT_KINDS])
{
    struct block_filters *const filters = block_filters_make(
        lists[FILTER_TRACE].overflow ? UINT64_MAX : lists[FILTER_TRACE].count,
        lists[FILTER_TOKEN].overflow ? UINT64_MAX : lists[FILTER_TOKEN].count);

    if (filters == NULL) return NULL;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        if (filters->kind[kind].cells > 0)
            filter_build(&filters->kind[kind], lists[kind].hashes, lists[kind].count);
    return filters;
}

static enum err read_filters(struct block_reader *reader, struct block_filters **out)
{
    struct hash_list lists[SEGMENT_KINDS] = {{.hashes = NULL}, {.hashes = NULL}};

    enum err err = block_check_sums(reader); /* the walk has not */
    if (err == OK) err = block_hashes(reader, gather, lists);
    struct block_filters *const filters = err == OK ? filters_of(lists) : NULL;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        free(lists[kind].hashes);
    TRY(err);
    if (filters == NULL) return ERR_NO_MEMORY;
    *out = filters;
    return OK;
}

/* ERR_CORRUPT: the block is fenced now. */
static enum err build_block(const struct catalog_view *view, struct io *io, uint32_t block,
                            struct block_filters **out)
{
    const struct block_summary *const summary = &catalog_block(view, block)->summary;
    struct catalog_source source;
    struct block_reader *reader;

    TRY(catalog_open_block(view, io, block, &source, &reader));
    const enum err err = read_filters(reader, out);
    block_close(reader);
    if (err == ERR_CORRUPT) catalog_fence(view->catalog, summary->shard, summary->seq);
    return err;
}

static void build_next(struct segment_filters *build, const struct catalog_view *view, struct io *io,
                       uint32_t number)
{
    const struct segment *const segment = view->segments[number];
    const uint32_t place = build->next++;
    const struct catalog_block *const block = &segment->blocks[place];
    enum err err = block->fenced ? ERR_CORRUPT : ERR_IO;

    for (unsigned i = 0; i < 2 && err == ERR_IO; i++)
        err = build_block(view, io, view->first[number] + place, &build->of_block[block->index]);
    if (err == OK || err == ERR_CORRUPT) return;
    build->incomplete = true;
    log_warn("store", "filters of a block could not be built", "file=%s seq=%" PRIu64 " err=\"%s\"",
             segment->file->name, block->summary.seq, err_text(err));
}

/* ---- all of a segment -------------------------------------------------------------------------------- */

static struct segment *with_filters(const struct segment_filters *build, const struct segment *from)
{
    struct segment *const segment = segment_make(&from->identity, from->file, from->blocks_count, false);

    if (segment == NULL) return NULL;
    segment->blocks_count = from->blocks_count;
    segment_inherit(segment, from);
    segment->has_copies = from->has_copies;
    for (uint32_t i = 0; i < from->blocks_count; i++) {
        segment->blocks[i] = from->blocks[i];
        segment->filters[i] = build->of_block[from->blocks[i].index];
        if (segment->filters[i] != NULL) segment->filters[i]->refs++;
    }
    return segment;
}

/* listed is what the file's directory says: also blocks that are not used, for they stand in another file, too. */
static enum err finish_listed(struct catalog *catalog, struct io *io, const struct segment *listed,
                              const struct segment *published, uint64_t offset, struct segment **out)
{
    pthread_mutex_lock(&catalog->mutex);
    struct segment *const whole = with_filters(&catalog->filters, listed);
    pthread_mutex_unlock(&catalog->mutex);
    if (whole == NULL) return ERR_NO_MEMORY;

    for (uint32_t i = 0; i < published->blocks_count; i++)
        if (published->blocks[i].fenced) whole->blocks[published->blocks[i].index].fenced = true;
    const enum err err = segment_finish(catalog, io, whole, offset, out);
    pthread_mutex_lock(&catalog->mutex);
    segment_drop(catalog, whole);
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

/* Buffered, as its readers read it. What does not fit on the disk is taken away again: the first footer stands. */
static enum err finish_file(struct catalog *catalog, struct io *io, struct segment_file *file,
                            const struct segment *published, struct segment **out)
{
    struct segment *listed;
    uint64_t bytes, offset;

    TRY(io_file_size(io, file->file, &bytes));
    TRY(segment_load(catalog, io, file, bytes, &offset, &listed));
    const enum err err = finish_listed(catalog, io, listed, published, offset, out);
    if (err == ERR_NO_SPACE) (void)io_file_truncate(io, file->file, bytes);
    pthread_mutex_lock(&catalog->mutex);
    segment_drop(catalog, listed);
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

/* The segment with its footer. ERR_UNSUPPORTED: there is something that must not be written. */
static enum err finish(struct catalog *catalog, struct io *io, const struct segment *published,
                       struct segment **out)
{
    struct segment_file *file;

    if (published->rows == NULL || catalog->filters.incomplete) return ERR_UNSUPPORTED;
    TRY(segment_file_open(io, catalog->dir, published->file->name, IO_WRITABLE, &file));
    const enum err err = finish_file(catalog, io, file, published, out);
    pthread_mutex_lock(&catalog->mutex);
    segment_file_drop(catalog, file);
    pthread_mutex_unlock(&catalog->mutex);
    if (err != OK)
        log_warn("store", "filters stay in memory, the next start builds them again", "file=%s err=\"%s\"",
                 published->file->name, err_text(err));
    return err;
}

static enum err publish(struct catalog *catalog, const struct segment *published, struct segment *closed)
{
    enum err err = ERR_NO_MEMORY;

    pthread_mutex_lock(&catalog->mutex);
    const struct segment *const current = catalog_find_segment(catalog, &published->identity);
    if (current == NULL) { /* expired meanwhile */
        if (closed != NULL) segment_drop(catalog, closed);
        pthread_mutex_unlock(&catalog->mutex);
        return OK;
    }
    if (closed == NULL) closed = with_filters(&catalog->filters, current);
    if (closed != NULL) err = catalog_publish(catalog, closed);
    if (err == OK) catalog->unfiltered -= published->blocks_count;
    pthread_mutex_unlock(&catalog->mutex);
    return err;
}

static void finish_and_publish(struct catalog *catalog, struct io *io, const struct segment *published)
{
    struct segment_filters *const build = &catalog->filters;
    struct segment *closed = NULL;

    const bool written = finish(catalog, io, published, &closed) == OK;
    build->given_up = publish(catalog, published, closed) != OK;
    if (build->given_up) { /* it would only be tried again at once */
        log_error("store", "no memory for the filters of a recovered segment", "file=%s",
                  published->file->name);
        return;
    }
    log_info("store", "filters of a recovered segment are built",
             "file=%s blocks=%" PRIu32 " written=%d ms=%" PRIu64, published->file->name,
             published->blocks_count, written, (uint64_t)((io_now_ns(io) - build->began_ns) / NS_PER_MS));
}

/* ---- step by step ------------------------------------------------------------------------------------ */

void segment_filters_drop(struct segment_filters *build)
{
    for (uint32_t i = 0; i < SEGMENT_BLOCKS_MAX; i++)
        block_filters_drop(build->of_block[i]);
    *build = (struct segment_filters){.given_up = build->given_up};
}

static void forget(struct catalog *catalog)
{
    pthread_mutex_lock(&catalog->mutex);
    segment_filters_drop(&catalog->filters);
    pthread_mutex_unlock(&catalog->mutex);
}

static bool has_filters(const struct segment *segment)
{
    if (segment->rows != NULL) return segment->rows->cells[FILTER_TRACE] > 0;
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (segment->filters[i] != NULL) return true;
    return false;
}

bool segment_lacks_filters(const struct segment *segment)
{
    if (has_filters(segment)) return false;
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (!segment->blocks[i].fenced) return true;
    return false;
}

/* The newest one, which is the one under way: what is published meanwhile has its filters. */
static uint32_t find_unfiltered(const struct catalog_view *view)
{
    uint32_t number = view->segments_count;

    while (number-- > 0)
        if (view->segments[number]->unfiltered) return number;
    return view->segments_count;
}

static void step(struct catalog *catalog, struct io *io, const struct catalog_view *view, uint32_t number)
{
    struct segment_filters *const build = &catalog->filters;
    const struct segment *const segment = view->segments[number];

    if (build->next > 0 &&
        (build->of.shard != segment->identity.shard || build->of.seq != segment->identity.seq))
        forget(catalog); /* the one before has expired */
    if (build->next == 0) {
        build->began_ns = io_now_ns(io);
        build->of = segment->identity;
    }
    if (build->next < segment->blocks_count) {
        build_next(build, view, io, number);
        return;
    }
    finish_and_publish(catalog, io, segment);
    forget(catalog);
}

bool catalog_build_filters(struct catalog *catalog, struct io *io)
{
    const struct catalog_view *const view = catalog_acquire(catalog);
    const uint32_t number = find_unfiltered(view);
    const bool found = number < view->segments_count && !catalog->filters.given_up;

    if (found) step(catalog, io, view, number);
    catalog_release(catalog, view);
    if (found) catalog_close_files(catalog, io);
    return found;
}

uint64_t catalog_unfiltered(const struct catalog *catalog)
{
    return catalog_number(catalog, &catalog->unfiltered);
}
