/*
 * Open addressing; a place of an earlier trace counts as free.
 */
#include "merge_seen.h"

#include "base/assert.h"
#include "base/hash.h"

#include <stdlib.h>

enum { PLACES_MIN = 1024 };

enum err merge_seen_init(struct merge_seen *seen)
{
    *seen = (struct merge_seen){.mask = PLACES_MIN - 1, .trace = 1};
    seen->places = calloc(PLACES_MIN, sizeof *seen->places);
    return seen->places == NULL ? ERR_NO_MEMORY : OK;
}

void merge_seen_deinit(struct merge_seen *seen)
{
    free(seen->places);
}

void merge_seen_next_trace(struct merge_seen *seen)
{
    seen->trace++;
    seen->count = 0;
}

/* The key's place, or the free one where it belongs. */
static struct merge_seen_place *place_of(const struct merge_seen *seen, struct merge_key key)
{
    uint32_t at = (uint32_t)hash_mix(key.low, key.high) & seen->mask;

    for (;; at = (at + 1) & seen->mask) {
        struct merge_seen_place *const place = &seen->places[at];
        if (place->trace != seen->trace) return place;
        if (place->key.low == key.low && place->key.high == key.high) return place;
    }
}

struct merge_seen_place *merge_seen_find(const struct merge_seen *seen, struct merge_key key)
{
    struct merge_seen_place *const place = place_of(seen, key);

    return place->trace == seen->trace ? place : NULL;
}

/* At most half full. Without memory for more it stays as it is. */
static bool has_room(struct merge_seen *seen)
{
    if (2 * (seen->count + 1) <= seen->mask) return true;
    if (seen->mask + 1 >= 2 * MERGE_SEEN_MAX) return false;

    struct merge_seen grown = *seen;
    grown.mask = 2 * seen->mask + 1;
    grown.places = calloc(grown.mask + (size_t)1, sizeof *grown.places);
    if (grown.places == NULL) return false;
    for (uint32_t i = 0; i <= seen->mask; i++)
        if (seen->places[i].trace == seen->trace) *place_of(&grown, seen->places[i].key) = seen->places[i];
    free(seen->places);
    *seen = grown;
    return true;
}

void merge_seen_add(struct merge_seen *seen, struct merge_key key, uint64_t note)
{
    if (!has_room(seen)) return;
    struct merge_seen_place *const place = place_of(seen, key);
    assert(place->trace != seen->trace);
    *place = (struct merge_seen_place){key, seen->trace, note};
    seen->count++;
}
