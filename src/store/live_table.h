/*
 * Hash tables over ids: an entry is the tag of what the id stands for, and the id. Who looks up compares what tags do not
 * tell. Private to live*.c.
 */
#ifndef STORE_LIVE_TABLE_H
#define STORE_LIVE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct intern_entry {
    uint32_t tag; /* 32 bits of the hash; 0 with id 0 is an empty place */
    uint32_t id;
};

/* Grows by doubling up to its reserve; at most half full until then. */
struct intern_table {
    struct intern_entry *entries;
    uint32_t mask; /* places now, minus one */
    uint32_t used;
    uint32_t places_max;
};

bool intern_table_open(struct intern_table *table, uint32_t places_max);
void intern_table_close(struct intern_table *table);
void intern_table_reset(struct intern_table *table, uint32_t places);
void intern_table_insert(struct intern_table *table, uint32_t tag, uint32_t id);
/* Takes an entry out, which must be there. */
void intern_table_remove(struct intern_table *table, uint32_t tag, uint32_t id);

static inline uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1; /* never 0, so that an empty place is not mistaken */
}

#endif
