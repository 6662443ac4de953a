/*
 * The spans of one trace that a merge has taken, to know the same one when it comes again. A span is known by 128 bits of a
 * hash over all that was sent of it, with a random seed, so that nobody can prepare two that look alike. The set forgets
 * everything when the next trace begins, in no time. It is bounded: of a trace with more than MERGE_SEEN_MAX spans, those
 * beyond are not compared, and are kept.
 */
#ifndef STORE_MERGE_SEEN_H
#define STORE_MERGE_SEEN_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum { MERGE_SEEN_MAX = 1 << 20 };

struct merge_span {
    uint64_t low, high;
};
struct merge_seen_place {
    struct merge_span span;
    uint64_t trace; /* number of the trace it belongs to */
};
struct merge_seen {
    struct merge_seen_place *places;
    uint32_t mask, count;
    uint64_t trace;
    uint64_t seed;
};

enum err merge_seen_init(struct merge_seen *seen, uint64_t seed);
void merge_seen_deinit(struct merge_seen *seen);
void merge_seen_next_trace(struct merge_seen *seen);
/* envelopes: a hash of the span's resource and scope. */
struct merge_span merge_span_of(const struct merge_seen *seen, struct slice message, uint64_t envelopes);
bool merge_seen_has(const struct merge_seen *seen, const struct merge_span *span);
/* It must not be there yet. */
void merge_seen_add(struct merge_seen *seen, const struct merge_span *span);

#endif
