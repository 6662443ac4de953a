/*
 * What a search tells about a trace: always the whole trace, over all live blocks and segments, whichever of
 * its spans matched. Exact duplicates count once.
 *
 *   summary_init() -> summary_add() for each span -> summary_finish()
 */
#ifndef QUERY_SUMMARY_H
#define QUERY_SUMMARY_H

#include "arena.h"
#include "model/trace.h"

struct service_count {
    struct slice name; /* in the arena */
    uint32_t spans, errors;
};

/* A span that gives a trace its name, if no better one comes. */
struct summary_root {
    bool given;
    uint64_t start_ns, span_id;
    struct slice service, name; /* in the arena */
};

struct summary {
    struct trace_id trace_id;
    uint64_t key_ns; /* start of the newest matching span; 0: none matched */
    uint32_t spans, errors, matched;
    uint64_t start_ns, end_ns;
    struct summary_root root;     /* the first span without a parent */
    struct summary_root earliest; /* the first span of all, when no root is stored */
    struct service_count *services;
    size_t services_count, services_capacity, services_last;
    uint64_t *span_ids; /* of every span added */
    size_t span_ids_capacity;
    bool approximate; /* exact duplicates are counted: the trace is too large to compare its spans */
    bool twice;       /* a span id came twice: the numbers hold only if those are different spans */
};

struct summary_span {
    uint64_t start_ns, duration_ns; /* duration 0 when the end is before the start */
    uint64_t span_id;
    bool error, is_root, matched;
    struct slice service, name; /* borrowed for the call */
};

void summary_init(struct summary *summary, const struct trace_id *trace_id);
/* false: no memory left for this query. */
bool summary_add(struct summary *summary, const struct summary_span *span, struct arena *arena);
/* Sorts services by name, and sets twice. */
void summary_finish(struct summary *summary);

#endif
