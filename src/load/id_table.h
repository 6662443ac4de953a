/*
 * An id table numbers distinct 128-bit keys 0, 1, 2 … in the order in which they are first seen.
 */
#ifndef LOAD_ID_TABLE_H
#define LOAD_ID_TABLE_H

#include <stdint.h>

#include "base/err.h"

struct id_key {
    uint64_t high, low;
};

struct id_table {
    struct id_slot *slots; /* owned; open addressing, at most half full */
    uint32_t capacity;     /* a power of two, or 0 */
    uint32_t count;        /* distinct keys so far */
};

void id_table_deinit(struct id_table *table);
/* The number of the key, given to it now if it is new. ERR_NO_MEMORY, ERR_TOO_LARGE beyond 2^28 keys. */
enum err id_table_number(struct id_table *table, struct id_key key, uint32_t *number);

#endif
