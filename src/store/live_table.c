/*
 * The hash tables of a live block's writer: open addressing with linear probing over ids that live elsewhere.
 */
#include "live_table.h"

#include "base/assert.h"
#include "io/io.h"

#include <stdlib.h>
#include <string.h>

static size_t table_bytes(uint32_t places)
{
    return (sizeof(struct intern_entry) * (size_t)places + IO_ALIGN - 1) & ~(size_t)(IO_ALIGN - 1);
}

bool intern_table_open(struct intern_table *table, uint32_t places_max)
{
    table->places_max = places_max;
    table->entries = io_memory(table_bytes(places_max));
    return table->entries != NULL;
}

void intern_table_reset(struct intern_table *table, uint32_t places)
{
    const size_t used_bytes = sizeof(struct intern_entry) * ((size_t)table->mask + 1);

    if (used_bytes > (8u << 20) && table->mask != 0)
        io_memory_forget(table->entries, table_bytes(table->mask + 1));
    else if (table->mask != 0)
        memset(table->entries, 0, used_bytes);
    table->mask = (places < table->places_max ? places : table->places_max) - 1;
    table->used = 0;
}

void intern_table_close(struct intern_table *table)
{
    if (table->entries != NULL) io_memory_free(table->entries, table_bytes(table->places_max));
}

static void table_place(struct intern_table *table, uint32_t tag, uint32_t id)
{
    uint32_t place = tag & table->mask;

    /* tags are odd: drop the lowest bit so that all places are used */
    place = (tag >> 1) & table->mask;
    while (table->entries[place].tag != 0)
        place = (place + 1) & table->mask;
    table->entries[place] = (struct intern_entry){tag, id};
}

static void table_grow(struct intern_table *table)
{
    const uint32_t old_places = table->mask + 1;
    struct intern_entry *const copy = malloc(sizeof *copy * old_places);

    if (copy == NULL) return; /* stays correct, only fuller; grows at the next insert */
    memcpy(copy, table->entries, sizeof *copy * old_places);
    memset(table->entries, 0, sizeof *copy * old_places);
    table->mask = old_places * 2 - 1;
    for (uint32_t i = 0; i < old_places; i++)
        if (copy[i].tag != 0) table_place(table, copy[i].tag, copy[i].id);
    free(copy);
}

void intern_table_insert(struct intern_table *table, uint32_t tag, uint32_t id)
{
    if (table->used + 1 > (table->mask + 1) / 2 && (table->mask + 1) * 2 <= table->places_max)
        table_grow(table);
    assert(table->used < table->mask);
    table_place(table, tag, id);
    table->used++;
}

/* Takes an entry out; those behind it that stand away from their first place close up. */
void intern_table_remove(struct intern_table *table, uint32_t tag, uint32_t id)
{
    uint32_t hole = (tag >> 1) & table->mask;

    while (table->entries[hole].id != id || table->entries[hole].tag != tag) {
        assert(table->entries[hole].tag != 0);
        hole = (hole + 1) & table->mask;
    }
    for (uint32_t place = (hole + 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask) {
        const uint32_t first = (table->entries[place].tag >> 1) & table->mask;
        if (((place - first) & table->mask) < ((place - hole) & table->mask)) continue;
        table->entries[hole] = table->entries[place];
        hole = place;
    }
    table->entries[hole] = (struct intern_entry){0};
    table->used--;
}
