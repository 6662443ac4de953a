/* Numbers by 64-bit keys that are hashes already, or made to ones by hash_mix(). Open addressing, half full at most. */
#ifndef STORE_ID_MAP_H
#define STORE_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_map_place {
    uint64_t key, value; /* key 0: free */
};
struct id_map {
    struct id_map_place *places; /* owned; NULL while empty */
    size_t mask, count;
};

void id_map_deinit(struct id_map *map);
/* NULL: it is not there. Valid until the next one is put. */
uint64_t *id_map_find(const struct id_map *map, uint64_t key);
/* In the place of an older value, if there is one. False: no memory. */
bool id_map_put(struct id_map *map, uint64_t key, uint64_t value);

#endif
