/*
 * The best traces met so far: those whose newest matching span is newest. A set that keeps at least `wanted`
 * of them, and forgets what cannot be among those any more.
 *
 *   candidates_init() -> candidates_offer() for every matching span -> candidates_sort()
 *
 * Order of answers: key (start of the newest matching span) descending, then trace id ascending.
 */
#ifndef QUERY_CANDIDATES_H
#define QUERY_CANDIDATES_H

#include "arena.h"
#include "request.h"

struct candidate {
    struct trace_id trace_id;
    uint64_t key_ns;
    bool excluded; /* known to come before the cursor: an earlier page has it */
};

struct candidates {
    struct candidate *list;
    size_t count, capacity;
    uint32_t *places; /* hash table of index + 1 */
    size_t places_count;
    size_t wanted;
    uint64_t least_key_ns; /* spans before cannot matter any more; 0 until `wanted` are known */
    bool forgot;           /* after candidates_sort(): there may be more than those in the list */
    uint64_t seed;
};

/* Memory for all time from the arena. ERR_TOO_LARGE. */
enum err candidates_init(struct candidates *candidates, size_t wanted, struct arena *arena);
void candidates_offer(struct candidates *candidates, const struct trace_id *trace_id, uint64_t key_ns);
/* The trace has a matching span before the cursor. A hint that spares work: it may be forgotten. */
void candidates_exclude(struct candidates *candidates, const struct trace_id *trace_id);
/* Best first; excluded ones are gone. Offers come no more. */
void candidates_sort(struct candidates *candidates);
int candidate_compare(uint64_t key_a, const struct trace_id *a, uint64_t key_b, const struct trace_id *b);

#endif
