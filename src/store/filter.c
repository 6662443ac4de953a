/*
 * Split-block Bloom filters, bit for bit those of the Parquet format (BloomFilter.md, "Split block Bloom
 * filters"):
 *
 *   hash        high 32 bits ──▶ which cell: (high * cells) >> 32
 *               low 32 bits  ──▶ eight bits in it, one per 32-bit word: (low * salt[word]) >> 27
 *   cell        8 words of 32 bits, little-endian
 *
 * With a power of two of cells the cell number is simply the top bits of the hash. So the cells 2i and 2i+1
 * of a filter are the two halves of cell i of a filter half its size, and a fold is an OR of neighbours:
 * exact, the result is the filter that would have been built at that size. The other way, a cell stands for
 * both of its halves.
 *
 * Ten bits per key give about 1 % false answers, sixteen about 0.13 %. There are no false negatives.
 */
#include "store/filter.h"

#include "base/assert.h"
#include "base/hash.h"

#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "cells are little-endian words and are used in place");

enum { CELL_WORDS = FILTER_CELL_BYTES / 4 };

static const uint32_t salts[CELL_WORDS] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                           0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

static bool is_power_of_two(uint32_t cells)
{
    return cells != 0 && (cells & (cells - 1)) == 0;
}

uint32_t filter_cells_for(uint64_t keys, unsigned bits_per_key, uint32_t cells_max)
{
    assert(is_power_of_two(cells_max));
    assert(bits_per_key > 0 && bits_per_key <= 64);

    const uint64_t keys_bounded = keys < UINT64_C(1) << 40 ? keys : UINT64_C(1) << 40;
    const uint64_t bits = keys_bounded * bits_per_key;
    uint32_t cells = 1;

    while (cells < cells_max && (uint64_t)cells * FILTER_CELL_BYTES * 8 < bits)
        cells *= 2;
    return cells;
}

uint32_t filter_cell_index(uint32_t cells, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * cells) >> 32);
}

static inline uint32_t word_bit(uint32_t low, unsigned word)
{
    return UINT32_C(1) << ((low * salts[word]) >> 27);
}

void filter_add(struct filter *filter, uint64_t hash)
{
    assert(is_power_of_two(filter->cells));

    uint8_t *const cell = filter->bytes + (size_t)filter_cell_index(filter->cells, hash) * FILTER_CELL_BYTES;
    uint32_t words[CELL_WORDS];

    memcpy(words, cell, sizeof words);
    for (unsigned i = 0; i < CELL_WORDS; i++)
        words[i] |= word_bit((uint32_t)hash, i);
    memcpy(cell, words, sizeof words);
}

bool filter_cell_may_contain(const uint8_t cell[FILTER_CELL_BYTES], uint64_t hash)
{
    uint32_t words[CELL_WORDS];
    uint32_t missing = 0;

    memcpy(words, cell, sizeof words);
    for (unsigned i = 0; i < CELL_WORDS; i++)
        missing |= word_bit((uint32_t)hash, i) & ~words[i];
    return missing == 0;
}

bool filter_may_contain(const struct filter *filter, uint64_t hash)
{
    if (filter->cells == 0) return true; /* no filter excludes nothing */
    return filter_cell_may_contain(
        filter->bytes + (size_t)filter_cell_index(filter->cells, hash) * FILTER_CELL_BYTES, hash);
}

void filter_build(struct filter *filter, const uint64_t *hashes, size_t count)
{
    assert(is_power_of_two(filter->cells));

    memset(filter->bytes, 0, (size_t)filter->cells * FILTER_CELL_BYTES);
    for (size_t i = 0; i < count; i++)
        filter_add(filter, hashes[i]);
}

void filter_fold(struct filter *filter)
{
    assert(is_power_of_two(filter->cells));
    assert(filter->cells > 1);

    const uint32_t cells = filter->cells / 2;
    for (uint32_t i = 0; i < cells; i++) {
        const uint8_t *const even = filter->bytes + (size_t)i * 2 * FILTER_CELL_BYTES;
        uint8_t *const folded = filter->bytes + (size_t)i * FILTER_CELL_BYTES;

        for (unsigned j = 0; j < FILTER_CELL_BYTES; j++)
            folded[j] = even[j] | even[FILTER_CELL_BYTES + j]; /* folded never runs ahead of even */
    }
    filter->cells = cells;
}

void filter_cell_at(const struct filter *filter, uint32_t cells, uint32_t index,
                    uint8_t cell[FILTER_CELL_BYTES])
{
    assert(is_power_of_two(cells));
    assert(index < cells);

    if (filter->cells == 0) {
        memset(cell, 0xff, FILTER_CELL_BYTES);
    } else if (filter->cells <= cells) { /* replicated: this cell answers for several */
        const size_t own = index / (cells / filter->cells);
        memcpy(cell, filter->bytes + own * FILTER_CELL_BYTES, FILTER_CELL_BYTES);
    } else { /* folded: several cells answer as one */
        const size_t merged = filter->cells / cells;
        const uint8_t *const first = filter->bytes + index * merged * FILTER_CELL_BYTES;

        memcpy(cell, first, FILTER_CELL_BYTES);
        for (size_t i = 1; i < merged; i++)
            for (unsigned j = 0; j < FILTER_CELL_BYTES; j++)
                cell[j] |= first[i * FILTER_CELL_BYTES + j];
    }
}

uint64_t filter_hash_trace(const uint8_t trace_id[16])
{
    return hash64(trace_id, 16);
}

/*
 * A token is the hash of its value with the hash of its column as seed. The column's part is XXH64 of
 * level ‖ key ‖ 0 ‖ type, the value's XXH3 (64 bits) with that seed: both algorithms are frozen by their
 * specification. So the many values of one column cost one short hash each.
 */
uint64_t filter_hash_column(uint8_t level, struct slice key, uint8_t type)
{
    const uint8_t middle[2] = {0, type};
    XXH64_state_t state;

    XXH64_reset(&state, 0);
    XXH64_update(&state, &level, sizeof level);
    if (key.len > 0) XXH64_update(&state, key.ptr, key.len);
    XXH64_update(&state, middle, sizeof middle);
    return XXH64_digest(&state);
}

uint64_t filter_hash_value(uint64_t column, struct slice value)
{
    return hash_fast(value.ptr, value.len, column);
}

uint64_t filter_hash_token(uint8_t level, struct slice key, uint8_t type, struct slice value)
{
    return filter_hash_value(filter_hash_column(level, key, type), value);
}
