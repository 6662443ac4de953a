/*
 * A hash table over a list, at most half full.
 */
#include "name_set.h"

#include "base/hash.h"

int name_compare(const void *left, const void *right)
{
    const struct block_operation *const a = left, *const b = right;
    int order = slice_compare(a->service, b->service);

    if (order == 0) order = slice_compare(a->name, b->name);
    return order != 0 ? order : (a->kind > b->kind) - (a->kind < b->kind);
}

static uint64_t hash_of(const struct name_set *set, const struct block_operation *name)
{
    const uint64_t seed = (uint64_t)(uintptr_t)set->arena ^
                          (uint32_t)name->kind; /* not for clients to know */
    const uint64_t service = hash_fast(name->service.ptr, name->service.len, seed);

    return hash_fast(name->name.ptr, name->name.len, service);
}

static bool equal(const struct block_operation *a, const struct block_operation *b)
{
    return a->kind == b->kind && slice_equal(a->service, b->service) && slice_equal(a->name, b->name);
}

/* Where the name stands, or would stand. */
static size_t place_of(const struct name_set *set, const struct block_operation *name)
{
    size_t at = hash_of(set, name) & (set->places_count - 1);

    while (set->places[at] != 0 && !equal(&set->list[set->places[at] - 1], name))
        at = (at + 1) & (set->places_count - 1);
    return at;
}

static bool grow_list(struct name_set *set)
{
    if (set->count < set->capacity) return true;
    void *const list = arena_grow(set->arena, set->list, sizeof *set->list, set->count, 64, &set->capacity);
    if (list == NULL) return false;
    set->list = list;
    return true;
}

static bool grow_places(struct name_set *set)
{
    if (2 * (set->count + 1) <= set->places_count) return true;
    const size_t larger = set->places_count == 0 ? 256 : set->places_count * 2;
    uint32_t *const places = arena_alloc(set->arena, larger * sizeof *places);
    if (places == NULL) return false;
    set->places = places;
    set->places_count = larger;
    for (size_t i = 0; i < set->count; i++)
        set->places[place_of(set, &set->list[i])] = (uint32_t)i + 1;
    return true;
}

bool name_set_put(struct name_set *set, const struct block_operation *name, struct block_operation **added)
{
    if (!grow_list(set) || !grow_places(set)) return false;
    const size_t at = place_of(set, name);
    *added = NULL;
    if (set->places[at] != 0) return true;
    *added = &set->list[set->count];
    **added = *name;
    set->places[at] = (uint32_t)++set->count;
    return true;
}

void name_set_clear(struct name_set *set)
{
    set->count = 0;
    if (set->places_count > 0) memset(set->places, 0, set->places_count * sizeof *set->places);
}
