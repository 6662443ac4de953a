/*
 * Sorts rows by (trace id, start, arrival). Trace ids are mostly random, so one pass over their first 16 bits
 * leaves buckets of about one trace, which insertion finishes; buckets that turn out large (ids with a common
 * prefix, traces of thousands of spans) go to qsort.
 */
#include "block_order.h"

#include <stdlib.h>

enum { INSERTION_MAX = 32 };

static uint64_t big_endian(const uint8_t bytes[8])
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

static inline bool before(const struct order_key *a, const struct order_key *b)
{
    if (a->hi != b->hi) return a->hi < b->hi;
    if (a->lo != b->lo) return a->lo < b->lo;
    if (a->start_ns != b->start_ns) return a->start_ns < b->start_ns;
    return a->row < b->row;
}

static int compare(const void *a, const void *b)
{
    return before(a, b) ? -1 : 1; /* rows differ, so no two keys are equal */
}

static void sort_bucket(struct order_key *keys, uint32_t count)
{
    if (count > INSERTION_MAX) {
        qsort(keys, count, sizeof *keys, compare);
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        const struct order_key key = keys[i];
        uint32_t j = i;
        for (; j > 0 && before(&key, &keys[j - 1]); j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

void block_order(const struct live_row *rows, uint32_t rows_count, struct order_key *keys,
                 struct order_key *scratch, uint32_t *buckets)
{
    memset(buckets, 0, sizeof *buckets * (ORDER_BUCKETS + 1));
    for (uint32_t i = 0; i < rows_count; i++) {
        scratch[i] = (struct order_key){.hi = big_endian(rows[i].trace_id.bytes),
                                        .lo = big_endian(rows[i].trace_id.bytes + 8),
                                        .start_ns = rows[i].start_ns,
                                        .row = i};
        buckets[(scratch[i].hi >> 48) + 1]++;
    }
    for (uint32_t i = 0; i < ORDER_BUCKETS; i++)
        buckets[i + 1] += buckets[i];
    for (uint32_t i = 0; i < rows_count; i++)
        keys[buckets[scratch[i].hi >> 48]++] = scratch[i];
    /* buckets[i] is now the end of bucket i */
    for (uint32_t i = 0, first = 0; i < ORDER_BUCKETS; first = buckets[i++])
        if (buckets[i] - first > 1) sort_bucket(keys + first, buckets[i] - first);
}
