/*
 * Linear probing over a power of two of slots, doubled when half full. Used while templates are made, never
 * while a load runs. A slot holds its number plus one, so that zeroed memory is an empty table.
 */
#include "id_table.h"

#include <stdlib.h>

#include "dice.h"
#include "stamp.h"

struct id_slot {
    struct id_key key;
    uint32_t number_plus_1; /* 0: empty */
};

void id_table_deinit(struct id_table *table)
{
    free(table->slots);
    *table = (struct id_table){0};
}

static struct id_slot *find(struct id_slot *slots, uint32_t capacity, struct id_key key)
{
    uint32_t at = (uint32_t)dice_mix(key.high ^ dice_mix(key.low)) & (capacity - 1);

    while (slots[at].number_plus_1 != 0 && (slots[at].key.high != key.high || slots[at].key.low != key.low))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static enum err grow(struct id_table *table)
{
    const uint32_t capacity = table->capacity == 0 ? 1024 : table->capacity * 2;
    struct id_slot *const slots = calloc(capacity, sizeof *slots);
    if (slots == NULL) return ERR_NO_MEMORY;

    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].number_plus_1 != 0) *find(slots, capacity, table->slots[i].key) = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return OK;
}

enum err id_table_number(struct id_table *table, struct id_key key, uint32_t *number)
{
    if (table->count > PATCH_INDEX_MAX) return ERR_TOO_LARGE;
    if (table->count >= table->capacity / 2) TRY(grow(table));

    struct id_slot *const slot = find(table->slots, table->capacity, key);
    if (slot->number_plus_1 == 0) *slot = (struct id_slot){.key = key, .number_plus_1 = ++table->count};
    *number = slot->number_plus_1 - 1;
    return OK;
}
