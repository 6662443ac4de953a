/*
 * The objects that versions are made of, and how they come and go (catalog_private.h). Nothing here is
 * changed once it is in a version: a change copies the one segment concerned (its block array; file, rows and
 * filters are shared) and the view's array of segment pointers. With 10,000 blocks in a hundred segments a
 * publication copies a few tens of KiB.
 *
 * The list of versions cannot fail halfway: catalog_publish() makes everything before it swaps one pointer.
 */
#include "catalog_private.h"

#include <stdlib.h>

/* ---- segments ---------------------------------------------------------------------------------------- */

struct segment *segment_make(const struct segment_identity *identity, struct segment_file *file,
                             uint32_t blocks, bool closed)
{
    struct segment *const segment = calloc(1, sizeof *segment);

    if (segment == NULL) return NULL;
    segment->blocks = calloc(blocks + 1, sizeof *segment->blocks);
    if (!closed) segment->filters = calloc(blocks + 1, sizeof *segment->filters);
    if (segment->blocks == NULL || (!closed && segment->filters == NULL)) {
        free(segment->blocks);
        free(segment->filters);
        free(segment);
        return NULL;
    }
    segment->refs = 1;
    segment->identity = *identity;
    segment->file = file;
    file->refs++;
    return segment;
}

uint64_t segment_bytes(const struct segment *segment)
{
    uint64_t bytes = SEGMENT_ALIGN + sizeof(struct segment_directory) + sizeof(struct segment_trailer) +
                     segment_lineage_bytes(segment->lineage) +
                     (segment->ledger.bytes + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN * SEGMENT_ALIGN;

    for (uint32_t i = 0; i < segment->blocks_count; i++)
        bytes += segment->blocks[i].summary.bytes + sizeof(struct segment_entry);
    for (unsigned kind = 0; segment->rows != NULL && kind < SEGMENT_KINDS; kind++)
        bytes += segment->rows->cells[kind] * (uint64_t)segment_row_bytes(segment->rows->blocks);
    return bytes;
}

uint64_t segment_arrival_min(const struct segment *segment)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (segment->blocks[i].summary.arrival_min_ns < least)
            least = segment->blocks[i].summary.arrival_min_ns;
    return least;
}

uint64_t segment_arrival_max(const struct segment *segment)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (segment->blocks[i].summary.arrival_max_ns > most)
            most = segment->blocks[i].summary.arrival_max_ns;
    return most;
}

uint64_t segment_spans(const struct segment *segment)
{
    uint64_t spans = 0;

    for (uint32_t i = 0; i < segment->blocks_count; i++)
        spans += segment->blocks[i].summary.spans;
    return spans;
}

/* What does not change as long as a file is the same. */
void segment_inherit(struct segment *segment, const struct segment *from)
{
    segment->level = from->level;
    segment->lineage = from->lineage;
    segment->ledger = from->ledger;
    if (segment->lineage != NULL) segment->lineage->refs++;
}

struct segment *segment_copy(const struct segment *from, uint32_t extra)
{
    struct segment *const copy = segment_make(&from->identity, from->file, from->blocks_count + extra,
                                              from->filters == NULL);
    if (copy == NULL) return NULL;
    copy->blocks_count = from->blocks_count;
    copy->unfiltered = from->unfiltered;
    copy->has_copies = from->has_copies;
    segment_inherit(copy, from);
    for (uint32_t i = 0; i < from->blocks_count; i++) {
        copy->blocks[i] = from->blocks[i];
        if (from->filters == NULL) continue;
        copy->filters[i] = from->filters[i];
        if (copy->filters[i] != NULL) copy->filters[i]->refs++;
    }
    copy->rows = from->rows;
    if (copy->rows != NULL) copy->rows->refs++;
    return copy;
}

void segment_drop(struct catalog *catalog, struct segment *segment)
{
    assert(segment->refs > 0);
    if (--segment->refs > 0) return;

    if (segment->filters != NULL)
        for (uint32_t i = 0; i < segment->blocks_count; i++)
            block_filters_drop(segment->filters[i]);
    segment_rows_drop(catalog, segment->rows);
    segment_lineage_drop(segment->lineage);
    segment_file_drop(catalog, segment->file);
    free(segment->filters);
    free(segment->blocks);
    free(segment);
}

void segment_file_drop(struct catalog *catalog, struct segment_file *file)
{
    assert(file->refs > 0);
    if (--file->refs > 0) return;

    file->next = catalog->closing;
    catalog->closing = file;
}

void segment_rows_free(struct segment_rows *rows)
{
    if (rows == NULL) return;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        free(rows->resident[kind]);
    free(rows);
}

void segment_rows_drop(struct catalog *catalog, struct segment_rows *rows)
{
    if (rows == NULL || --rows->refs > 0) return;

    assert(catalog->resident_bytes >= rows->resident_bytes);
    catalog->resident_bytes -= rows->resident_bytes;
    segment_rows_free(rows);
}

void catalog_close_files(struct catalog *catalog, struct io *io)
{
    pthread_mutex_lock(&catalog->mutex);
    struct segment_file *file = catalog->closing;
    catalog->closing = NULL;
    pthread_mutex_unlock(&catalog->mutex);

    while (file != NULL) {
        struct segment_file *const next = file->next;
        io_file_close(io, file->file);
        if (file->retired_bytes > 0) {
            pthread_mutex_lock(&catalog->mutex);
            catalog->retired_bytes -= file->retired_bytes;
            pthread_mutex_unlock(&catalog->mutex);
        }
        free(file);
        file = next;
    }
}

/* ---- filters of a block ------------------------------------------------------------------------------ */

static uint32_t cells_of(uint64_t keys, unsigned bits)
{
    const uint32_t cells = filter_cells_for(keys, bits, SEGMENT_FILTER_CELLS_MAX);
    const uint64_t have = (uint64_t)cells * FILTER_CELL_BYTES * 8;

    return have / FILTER_BITS_MIN < keys ? 0 : cells;
}

struct block_filters *block_filters_make(uint64_t traces, uint64_t tokens)
{
    const uint32_t trace_cells = cells_of(traces, FILTER_TRACE_BITS);
    const uint32_t token_cells = cells_of(tokens, FILTER_TOKEN_BITS);
    const size_t bytes = ((size_t)trace_cells + token_cells) * FILTER_CELL_BYTES;
    struct block_filters *const filters = calloc(1, sizeof *filters + bytes);

    if (filters == NULL) return NULL;
    uint8_t *const cells = (uint8_t *)(filters + 1);
    filters->refs = 1;
    filters->keys[FILTER_TRACE] = traces < UINT32_MAX ? (uint32_t)traces : UINT32_MAX;
    filters->keys[FILTER_TOKEN] = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
    filters->kind[FILTER_TRACE] = (struct filter){.cells = trace_cells, .bytes = cells};
    filters->kind[FILTER_TOKEN] = (struct filter){.cells = token_cells,
                                                  .bytes = cells + (size_t)trace_cells * FILTER_CELL_BYTES};
    return filters;
}

struct block_filters *block_filters_of(const struct block_encoded *block)
{
    struct block_filters *const filters = block_filters_make(block->trace_hashes_count,
                                                             block->token_hashes_count);

    if (filters == NULL) return NULL;
    struct filter *const kind = filters->kind;
    if (kind[FILTER_TRACE].cells > 0)
        filter_build(&kind[FILTER_TRACE], block->trace_hashes, block->trace_hashes_count);
    if (kind[FILTER_TOKEN].cells > 0)
        filter_build(&kind[FILTER_TOKEN], block->token_hashes, block->token_hashes_count);
    return filters;
}

/* As many keys as the cells are right for, so that whoever puts them into rows again takes as many. */
static uint32_t keys_for(uint32_t cells, enum filter_kind kind)
{
    const unsigned bits = kind == FILTER_TRACE ? FILTER_TRACE_BITS_KEEP : FILTER_TOKEN_BITS_KEEP;

    return (uint32_t)((uint64_t)cells * FILTER_CELL_BYTES * 8 / bits);
}

struct block_filters *block_filters_of_rows(const struct segment_rows *rows, uint32_t index)
{
    size_t bytes = 0;

    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        if (rows->resident[kind] != NULL) bytes += (size_t)rows->cells[kind] * FILTER_CELL_BYTES;
    struct block_filters *const filters = calloc(1, sizeof *filters + bytes);
    if (filters == NULL) return NULL;
    uint8_t *cells = (uint8_t *)(filters + 1);
    filters->refs = 1;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        if (rows->resident[kind] == NULL) continue;
        filters->keys[kind] = keys_for(rows->cells[kind], (enum filter_kind)kind);
        filters->kind[kind] = (struct filter){.cells = rows->cells[kind], .bytes = cells};
        for (uint32_t row = 0; row < rows->cells[kind]; row++, cells += FILTER_CELL_BYTES)
            memcpy(cells, rows->resident[kind] + ((size_t)row * rows->blocks + index) * FILTER_CELL_BYTES,
                   FILTER_CELL_BYTES);
    }
    return filters;
}

void block_filters_drop(struct block_filters *filters)
{
    if (filters == NULL || --filters->refs > 0) return;
    free(filters);
}

/* ---- versions ---------------------------------------------------------------------------------------- */

static void view_free(struct catalog_view *view)
{
    free((void *)view->segments);
    free(view->first);
    free(view->next_seq);
    free(view);
}

struct catalog_view *catalog_view_make(struct catalog *catalog, struct segment *const *segments,
                                       uint32_t count)
{
    struct catalog_view *const view = calloc(1, sizeof *view);

    if (view == NULL) return NULL;
    view->segments = calloc((size_t)count + 1, sizeof(struct segment *));
    view->first = calloc((size_t)count + 1, sizeof *view->first);
    view->next_seq = calloc((size_t)catalog->shards_count + 1, sizeof *view->next_seq);
    if (view->segments == NULL || view->first == NULL || view->next_seq == NULL) {
        view_free(view);
        return NULL;
    }
    view->refs = 1;
    view->shards_count = catalog->shards_count;
    for (uint32_t i = 0; i < view->shards_count; i++)
        view->next_seq[i] = catalog->shards[i].next_seq;
    view->catalog = catalog;
    view->segments_count = count;
    for (uint32_t i = 0; i < count; i++) {
        view->segments[i] = segments[i];
        view->segments[i]->refs++;
        view->first[i] = view->blocks_count;
        view->blocks_count += segments[i]->blocks_count;
    }
    return view;
}

void catalog_view_drop(struct catalog *catalog, struct catalog_view *view)
{
    assert(view->refs > 0);
    if (--view->refs > 0) return;

    for (uint32_t i = 0; i < view->segments_count; i++)
        segment_drop(catalog, view->segments[i]);
    view_free(view);
}

static uint32_t find_place(const struct catalog_view *view, const struct segment_identity *identity)
{
    uint32_t i = view->segments_count; /* nearly always near the end */

    while (i-- > 0) {
        const struct segment_identity *const other = &view->segments[i]->identity;
        if (other->shard == identity->shard && other->seq == identity->seq) return i;
    }
    return view->segments_count;
}

struct segment *catalog_find_segment(struct catalog *catalog, const struct segment_identity *identity)
{
    const struct catalog_view *const view = catalog->current;
    if (view == NULL) return NULL; /* at start-up, nothing is published yet */
    const uint32_t place = find_place(view, identity);

    return place < view->segments_count ? view->segments[place] : NULL;
}

enum err catalog_publish(struct catalog *catalog, struct segment *replacement)
{
    struct catalog_view *const old = catalog->current;
    const uint32_t place = find_place(old, &replacement->identity);
    const uint32_t count = old->segments_count + (place == old->segments_count ? 1 : 0);
    struct segment **const list = calloc(count, sizeof(struct segment *));
    struct catalog_view *view = NULL;

    if (list != NULL) {
        for (uint32_t i = 0; i < old->segments_count; i++)
            list[i] = old->segments[i];
        list[place] = replacement;
        view = catalog_view_make(catalog, list, count);
    }
    free((void *)list);
    segment_drop(catalog, replacement); /* the view holds its own reference now */
    if (view == NULL) return ERR_NO_MEMORY;

    catalog->current = view;
    catalog_view_drop(catalog, old);
    return OK;
}

void catalog_note_position(struct catalog *catalog, uint16_t shard, uint64_t next_seq, uint64_t sealed_lsn)
{
    struct catalog_shard *const at = &catalog->shards[shard];
    struct catalog_view *const view = catalog->current;

    if (next_seq > at->next_seq) at->next_seq = next_seq;
    if (sealed_lsn > at->sealed_lsn) at->sealed_lsn = sealed_lsn;
    if (shard == CATALOG_MERGED) return;
    if (shard >= catalog->shards_count) catalog->shards_count = shard + 1U;
    if (view == NULL) return; /* at start-up: the first version will have it */
    assert(shard < view->shards_count);
    view->next_seq[shard] = at->next_seq;
}

/* ---- several segments in one step -------------------------------------------------------------------- */

static bool is_input(const struct segment *segment, struct segment *const *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (inputs[i]->identity.shard == segment->identity.shard &&
            inputs[i]->identity.seq == segment->identity.seq)
            return true;
    return false;
}

bool catalog_has_all(struct catalog *catalog, struct segment *const *inputs, uint32_t count)
{
    uint32_t found = 0;

    pthread_mutex_lock(&catalog->mutex);
    for (uint32_t i = 0; i < catalog->current->segments_count; i++)
        found += is_input(catalog->current->segments[i], inputs, count);
    pthread_mutex_unlock(&catalog->mutex);
    return found == count;
}

/* What is counted of the segments that are used, and of those no more. */
static void forget_counts(struct catalog *catalog, const struct segment *segment)
{
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        catalog->fenced -= segment->blocks[i].fenced;
    if (segment->unfiltered) catalog->unfiltered -= segment->blocks_count;
}

enum err catalog_replace(struct catalog *catalog, struct segment *const *inputs, uint32_t count,
                         struct segment *output)
{
    struct catalog_view *const old = catalog->current;
    struct segment **const list = calloc((size_t)old->segments_count + 1, sizeof(struct segment *));
    struct catalog_view *view = NULL;
    uint32_t kept = 0, found = 0;

    for (uint32_t i = 0; list != NULL && i < old->segments_count; i++) {
        const bool input = is_input(old->segments[i], inputs, count);
        if (!input) list[kept++] = old->segments[i];
        if (input && found++ == 0 && output != NULL) list[kept++] = output;
    }
    if (list != NULL && found == count) view = catalog_view_make(catalog, list, kept);
    if (view != NULL) {
        for (uint32_t i = 0; i < old->segments_count; i++)
            if (is_input(old->segments[i], inputs, count)) forget_counts(catalog, old->segments[i]);
        catalog->current = view;
    }
    free((void *)list);
    if (output != NULL) segment_drop(catalog, output);
    if (view == NULL) return found == count ? ERR_NO_MEMORY : ERR_NOT_FOUND;
    catalog_view_drop(catalog, old);
    return OK;
}

uint64_t catalog_number(const struct catalog *catalog, const uint64_t *number)
{
    struct catalog *const mutable = (struct catalog *)(uintptr_t)catalog; /* for its mutex only */

    pthread_mutex_lock(&mutable->mutex);
    const uint64_t value = *number;
    pthread_mutex_unlock(&mutable->mutex);
    return value;
}
