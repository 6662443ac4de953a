/*
 * What a merge has taken of one trace, as a set of keys of 128 bits that forgets everything when the next trace begins, in no
 * time. It is bounded: beyond MERGE_SEEN_MAX keys of a trace nothing is remembered, and nothing is left out.
 */
#ifndef STORE_MERGE_SEEN_H
#define STORE_MERGE_SEEN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { MERGE_SEEN_MAX = 1 << 20 };

struct merge_key {
    uint64_t low, high;
};
struct merge_seen_place {
    struct merge_key key;
    uint64_t trace; /* number of the trace it belongs to */
    uint64_t note;  /* the owner's */
};
struct merge_seen {
    struct merge_seen_place *places;
    uint32_t mask, count;
    uint64_t trace;
};

enum err merge_seen_init(struct merge_seen *seen);
void merge_seen_deinit(struct merge_seen *seen);
void merge_seen_next_trace(struct merge_seen *seen);
/* NULL: it is not there. Valid until the next one is added. */
struct merge_seen_place *merge_seen_find(const struct merge_seen *seen, struct merge_key key);
/* It must not be there yet. */
void merge_seen_add(struct merge_seen *seen, struct merge_key key, uint64_t note);

#endif
