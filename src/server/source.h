/*
 * Connections per source address: an open-addressing table of fixed size, keyed by a seeded hash of the
 * address text. Two addresses with the same 64-bit hash share a count; with a seed nobody can choose them.
 */
#ifndef SERVER_SOURCE_H
#define SERVER_SOURCE_H

#include "base/err.h"

#include <stdint.h>

struct source_entry {
    uint64_t hash; /* 0: empty */
    uint32_t count;
    uint32_t reserved;
};

struct source_table {
    struct source_entry *entries; /* a power of two, at least twice the connections: never full */
    uint32_t mask;
    uint64_t seed;
};

enum err source_table_open(struct source_table *table, unsigned conns_max, uint64_t seed);
void source_table_close(struct source_table *table);
/* Never 0. */
uint64_t source_hash(const struct source_table *table, const char *address);
/* Returns the count with this one. */
uint32_t source_add(struct source_table *table, uint64_t hash);
void source_remove(struct source_table *table, uint64_t hash);

#endif
