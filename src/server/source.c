/*
 * Counts connections per source address.
 *
 * Linear probing; an entry whose count falls to nought is removed by moving later entries of its run forward,
 * so there are no tombstones and a search ends at the first empty place.
 */
#include "source.h"

#include "base/hash.h"
#include "io/io.h"

enum err source_table_open(struct source_table *table, unsigned conns_max, uint64_t seed)
{
    uint32_t places = 16;

    assert(conns_max < 1U << 30);

    while (places < conns_max * 2)
        places *= 2;
    struct source_entry *const entries = io_memory(places * sizeof *entries);
    if (entries == NULL) return ERR_NO_MEMORY;
    *table = (struct source_table){.entries = entries, .mask = places - 1, .seed = seed};
    return OK;
}

void source_table_close(struct source_table *table)
{
    io_memory_free(table->entries, (table->mask + 1ULL) * sizeof *table->entries);
    table->entries = NULL;
}

uint64_t source_hash(const struct source_table *table, const char *address)
{
    const uint64_t hash = hash_fast(address, strlen(address), table->seed);

    return hash != 0 ? hash : 1;
}

/* The entry of the hash, or the empty place where it belongs. */
static uint32_t find(const struct source_table *table, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & table->mask;

    while (table->entries[at].hash != 0 && table->entries[at].hash != hash)
        at = (at + 1) & table->mask;
    return at;
}

uint32_t source_add(struct source_table *table, uint64_t hash)
{
    struct source_entry *const entry = &table->entries[find(table, hash)];

    entry->hash = hash;
    return ++entry->count;
}

void source_remove(struct source_table *table, uint64_t hash)
{
    uint32_t hole = find(table, hash);

    assert(table->entries[hole].count > 0);

    if (--table->entries[hole].count > 0) return;
    for (uint32_t at = (hole + 1) & table->mask; table->entries[at].hash != 0; at = (at + 1) & table->mask) {
        const uint32_t home = (uint32_t)table->entries[at].hash & table->mask;
        /* may it move back to the hole without passing its home? */
        if (((at - home) & table->mask) < ((at - hole) & table->mask)) continue;
        table->entries[hole] = table->entries[at];
        hole = at;
    }
    table->entries[hole] = (struct source_entry){0};
}
