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

struct segment *segment_copy(const struct segment *from, uint32_t extra)
{
    struct segment *const copy = segment_make(&from->identity, from->file, from->blocks_count + extra,
                                              from->filters == NULL);
    if (copy == NULL) return NULL;
    copy->blocks_count = from->blocks_count;
    copy->unfiltered = from->unfiltered;
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

void segment_rows_drop(struct catalog *catalog, struct segment_rows *rows)
{
    if (rows == NULL || --rows->refs > 0) return;

    assert(catalog->resident_bytes >= rows->resident_bytes);
    catalog->resident_bytes -= rows->resident_bytes;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        free(rows->resident[kind]);
    free(rows);
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

void block_filters_drop(struct block_filters *filters)
{
    if (filters == NULL || --filters->refs > 0) return;
    free(filters);
}

/* ---- versions ---------------------------------------------------------------------------------------- */

struct catalog_view *catalog_view_make(struct catalog *catalog, struct segment *const *segments,
                                       uint32_t count)
{
    struct catalog_view *const view = calloc(1, sizeof *view);

    if (view == NULL) return NULL;
    view->segments = calloc((size_t)count + 1, sizeof(struct segment *));
    view->first = calloc((size_t)count + 1, sizeof *view->first);
    if (view->segments == NULL || view->first == NULL) {
        free(view->segments);
        free(view->first);
        free(view);
        return NULL;
    }
    view->refs = 1;
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
    free(view->segments);
    free(view->first);
    free(view);
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
