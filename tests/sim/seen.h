/*
 * Which crash images have been tried: an image is the bytes of the disk and what was promised when it was taken, so two that
 * are equal in both need one start only. Between events that do not write nearly all of them are.
 */
#ifndef TESTS_SIM_SEEN_H
#define TESTS_SIM_SEEN_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Open addressing, at most half full; 0 is no key. Init: all zeros. */
struct seen {
    struct seen_entry {
        uint64_t key;
        unsigned depth; /* the lowest at which it was tried */
    } * entries;
    size_t count, places;
};

static inline struct seen_entry *seen__place(const struct seen *seen, uint64_t key)
{
    size_t at = key & (seen->places - 1);

    while (seen->entries[at].key != 0 && seen->entries[at].key != key)
        at = (at + 1) & (seen->places - 1);
    return &seen->entries[at];
}

static inline void seen__grow(struct seen *seen)
{
    struct seen larger = {.count = seen->count, .places = seen->places == 0 ? 1024 : 2 * seen->places};

    larger.entries = calloc(larger.places, sizeof *larger.entries);
    assert(larger.entries != NULL);
    for (size_t i = 0; i < seen->places; i++)
        if (seen->entries[i].key != 0) *seen__place(&larger, seen->entries[i].key) = seen->entries[i];
    free(seen->entries);
    *seen = larger;
}

/* False: it has been tried at this depth, or at a lower one, where more was done with it. */
static inline bool seen_add(struct seen *seen, uint64_t key, unsigned depth)
{
    if (2 * seen->count >= seen->places) seen__grow(seen);
    struct seen_entry *const entry = seen__place(seen, key | 1);
    if (entry->key != 0 && entry->depth <= depth) return false;

    seen->count += entry->key == 0;
    *entry = (struct seen_entry){key | 1, depth};
    return true;
}

static inline void seen_clear(struct seen *seen)
{
    if (seen->count > 0) memset(seen->entries, 0, seen->places * sizeof *seen->entries);
    seen->count = 0;
}

static inline void seen_deinit(struct seen *seen)
{
    free(seen->entries);
    *seen = (struct seen){0};
}

#endif
