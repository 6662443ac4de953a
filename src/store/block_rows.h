/*
 * The rows of one page, taken apart: which pattern each has, where its events and links are, and where its values stand in
 * their columns. Shared by block_rows.c (structure and values), block_spans.c (rows written as spans) and merge_rows.c (rows
 * handed to a live block).
 *
 * Where a row's values lie in their columns follows from the shapes: the position of a column's first value for row r is the
 * number of its values in the rows before, which is counted per shape and not per value. What is constant in a shape is in
 * no column: it stands in the dictionary alone. Each column has a cursor; page_rows_stand() moves them all to a row.
 */
#ifndef STORE_BLOCK_ROWS_H
#define STORE_BLOCK_ROWS_H

#include "block_reader.h"

#include "codec/wire.h"

enum { PAGE = BLOCK_PAGE_ROWS };

/* The values of one column in one page, decoded when first needed. */
struct page_column {
    uint32_t count; /* values in this page, by the shapes */
    uint32_t cursor;
    bool ready;
    uint64_t *scalars; /* raw scalar columns */
    uint32_t *ids;     /* dictionary columns; raw byte columns: count + 1 offsets */
    struct slice text;
};

struct children {
    uint32_t count;
    uint32_t *patterns; /* of events */
    uint32_t *shapes;
};

struct page_rows {
    uint32_t
        structure; /* page of which shapes, children and the columns' counts are here; UINT32_MAX: none */
    uint32_t page; /* page of which all is here */
    uint32_t rows;
    uint64_t start[PAGE], duration[PAGE];
    uint32_t pattern[PAGE], events_count[PAGE], links_count[PAGE], parent[PAGE];
    struct slice span_ids, parents_raw;
    uint32_t parent_raw_index[PAGE];
    struct children events, links;
    uint64_t *event_time;
    uint32_t *link_flags, *link_dropped, *link_bits;
    struct slice link_traces, link_spans;
    struct page_column *columns;
    uint32_t columns_count;
    uint32_t *uses; /* by shape */
    /* where the columns' cursors stand, so that whoever goes on there need not count again */
    uint32_t cursor_row; /* NOWHERE: at no row */
    uint32_t cursor_events, cursor_links;
    struct wire_writer out; /* the span written last */
};
enum { NOWHERE = UINT32_MAX };

/* Decodes the page, unless it is there already. */
enum err page_rows_load(struct block_reader *reader, uint32_t page, struct page_rows **out);
/* Every column's cursor at its first value of the row, cursor_events and cursor_links at its first child. */
void page_rows_stand(struct block_reader *reader, struct page_rows *rows, uint32_t row);
/* The value with that index among those of the page. */
enum err page_rows_value(struct block_reader *reader, struct page_rows *rows, uint32_t column, uint32_t index,
                         struct attribute *out);
/* The same as a number in its dictionary; only for columns that have one for all their values. */
enum err page_rows_entry(struct block_reader *reader, struct page_rows *rows, uint32_t column, uint32_t index,
                         uint32_t *id);
/* The parent's span id of a row; *present false: none. */
enum err page_rows_parent(struct block_reader *reader, struct page_rows *rows, uint32_t row,
                          struct span_id *out, bool *present);

static inline const struct live_pattern *pattern_of(const struct block_reader *reader,
                                                    const struct page_rows *rows, uint32_t row)
{
    return &reader->patterns[rows->pattern[row]];
}

#endif
