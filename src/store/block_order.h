/*
 * The order of a block's rows: trace id, then start time, then arrival. Private to block_encode.c.
 */
#ifndef STORE_BLOCK_ORDER_H
#define STORE_BLOCK_ORDER_H

#include "store/live.h"

struct order_key {
    uint64_t hi, lo; /* trace id as two big-endian numbers */
    uint64_t start_ns;
    uint32_t row;
    uint32_t reserved;
};

/* keys and scratch have room for rows_count each; the sorted keys end up in keys. */
void block_order(const struct live_row *rows, uint32_t rows_count, struct order_key *keys,
                 struct order_key *scratch, uint32_t *buckets /* ORDER_BUCKETS + 1 */);
enum { ORDER_BUCKETS = 1 << 16 };

#endif
