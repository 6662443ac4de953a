/*
 * Hands rows of a block to a live block without making spans of them: a number of the one becomes a number of the other. What
 * rows have in common is looked up once, a value that repeats once, and only values that do not are copied each time.
 *
 *   row_mover_open()    for a block that is read, and the live block that is filled
 *   row_mover_append()  row after row, in any order, best from front to back
 *   row_mover_forget()  whenever the live block was emptied
 */
#ifndef STORE_MERGE_ROWS_H
#define STORE_MERGE_ROWS_H

#include "block_reader.h"
#include "store/live.h"

struct row_mover;
enum err row_mover_open(struct block_reader *reader, struct live_block *live, struct row_mover **out);
void row_mover_close(struct row_mover *mover);
void row_mover_forget(struct row_mover *mover);
/*
 * Appends a row of the given trace, all of it or nothing. ERR_FULL: the live block has no room. ERR_UNSUPPORTED: the row has
 * attributes that had no column in the block and may get one in the other; it has to go as a span.
 */
enum err row_mover_append(struct row_mover *mover, uint32_t row, const struct trace_id *trace);
/* The numbers in the live block of a row's resource and scope, for a row that goes as a span. */
enum err row_mover_envelopes(struct row_mover *mover, uint32_t resource, uint32_t scope,
                             uint32_t *live_resource, uint32_t *live_scope);
/* Who sent a row, and when it started. Borrowed from the block's reader. */
struct row_origin {
    struct slice service;
    uint64_t start_ns;
};
enum err row_mover_origin(struct row_mover *mover, uint32_t row, struct row_origin *out);
enum err row_mover_span_id(struct row_mover *mover, uint32_t row, uint64_t *id);

#endif
