/*
 * A set of names, each a service, an operation and its kind; its memory is the arena's.
 *
 *   struct name_set set = {.arena = arena};   name_set_put() ...   list[0 .. count - 1], in order of arrival
 */
#ifndef QUERY_NAME_SET_H
#define QUERY_NAME_SET_H

#include "arena.h"
#include "store/block.h"

struct name_set {
    struct arena *arena; /* borrowed */
    struct block_operation *list;
    size_t count, capacity;
    uint32_t *places; /* private: index + 1 */
    size_t places_count;
};

/*
 * Adds the name unless it is there already. *added, NULL when it was, is its entry: bytes are borrowed, so whoever wants
 * them to live longer puts copies there. false: no memory.
 */
bool name_set_put(struct name_set *set, const struct block_operation *name, struct block_operation **added);
/* Empties it and keeps its memory. */
void name_set_clear(struct name_set *set);
/* For qsort: by service, operation, kind. */
int name_compare(const void *left, const void *right);

#endif
