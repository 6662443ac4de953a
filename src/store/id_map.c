/* Key 0 marks a free place, so a key that is 0 is taken for 1: two keys of 2^64 are the same. */
#include "id_map.h"

#include <stdlib.h>

enum { PLACES_MIN = 64 };

void id_map_deinit(struct id_map *map)
{
    free(map->places);
    *map = (struct id_map){.places = NULL};
}

static size_t place_of(const struct id_map *map, uint64_t key)
{
    size_t at = (key ^ key >> 32) & map->mask;

    while (map->places[at].key != 0 && map->places[at].key != key)
        at = (at + 1) & map->mask;
    return at;
}

uint64_t *id_map_find(const struct id_map *map, uint64_t key)
{
    const uint64_t nonzero = key != 0 ? key : 1;

    if (map->places == NULL) return NULL;
    struct id_map_place *const place = &map->places[place_of(map, nonzero)];
    return place->key == nonzero ? &place->value : NULL;
}

static bool grow(struct id_map *map)
{
    const size_t places = map->places == NULL ? PLACES_MIN : 2 * (map->mask + 1);
    struct id_map larger = {
        .places = calloc(places, sizeof *larger.places), .mask = places - 1, .count = map->count};

    if (larger.places == NULL) return false;
    for (size_t i = 0; map->places != NULL && i <= map->mask; i++)
        if (map->places[i].key != 0) larger.places[place_of(&larger, map->places[i].key)] = map->places[i];
    free(map->places);
    *map = larger;
    return true;
}

bool id_map_put(struct id_map *map, uint64_t key, uint64_t value)
{
    const uint64_t nonzero = key != 0 ? key : 1;

    if ((map->places == NULL || 2 * (map->count + 1) > map->mask + 1) && !grow(map)) return false;
    struct id_map_place *const place = &map->places[place_of(map, nonzero)];
    map->count += place->key == 0;
    *place = (struct id_map_place){nonzero, value};
    return true;
}
