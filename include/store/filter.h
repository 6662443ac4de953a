/*
 * Split-block Bloom filters: cells of 32 bytes, eight bits set per key in one cell (as in the Parquet
 * format). A filter of a block can be folded to half its cells without error, and the filters of a segment's
 * blocks are stored interleaved: all blocks' cells for one hash lie side by side, so one small read answers
 * for all blocks.
 */
#ifndef STORE_FILTER_H
#define STORE_FILTER_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { FILTER_CELL_BYTES = 32 };

struct filter {
    uint32_t cells; /* a power of two; 0: no filter, everything may be there */
    uint8_t *bytes; /* owned by whoever made it; cells * FILTER_CELL_BYTES */
};

/* Smallest power of two of cells giving at least bits_per_key; capped at cells_max. */
uint32_t filter_cells_for(uint64_t keys, unsigned bits_per_key, uint32_t cells_max);
void filter_add(struct filter *filter, uint64_t hash);
bool filter_may_contain(const struct filter *filter, uint64_t hash);
/* Builds from a list of hashes. bytes is zeroed first. */
void filter_build(struct filter *filter, const uint64_t *hashes, size_t count);
/* Halves the filter in place; the result equals one built at that size. */
void filter_fold(struct filter *filter);
/*
 * Copies the cell with this index of the filter as it would be with `cells` cells: folded when the filter is
 * larger, replicated when it is smaller (exact both ways), all ones when there is no filter.
 */
void filter_cell_at(const struct filter *filter, uint32_t cells, uint32_t index,
                    uint8_t cell[FILTER_CELL_BYTES]);
/* Index of the cell of a hash in a filter of that many cells, and whether one cell (32 bytes) may contain it.
 */
uint32_t filter_cell_index(uint32_t cells, uint64_t hash);
bool filter_cell_may_contain(const uint8_t cell[FILTER_CELL_BYTES], uint64_t hash);

/* The hash of a trace id and of a key=value token; part of the format for ever (FORMAT.md, "Filters"). */
uint64_t filter_hash_trace(const uint8_t trace_id[16]);
/* level: enum attribute_level, type: enum value_type, value: canonical bytes (block.h, "Tokens"). */
uint64_t filter_hash_token(uint8_t level, struct slice key, uint8_t type, struct slice value);
/* The same in two steps, for many values of one column: hash_token = hash_value(hash_column). */
uint64_t filter_hash_column(uint8_t level, struct slice key, uint8_t type);
uint64_t filter_hash_value(uint64_t column, struct slice value);

#endif
