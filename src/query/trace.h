/*
 * All spans of one trace, from wherever they lie: live blocks and segments. Exact duplicates (the same
 * encoded span under the same resource and scope, which a sender's retry leaves behind) are one span; spans
 * that only share their ids are all kept.
 *
 *   trace_collect() -> trace_protobuf() or trace_json()
 *
 * In an answer, spans stand grouped by resource and scope, groups in the order of their first span, spans by
 * start time, then span id.
 */
#ifndef QUERY_TRACE_H
#define QUERY_TRACE_H

#include "answer.h"
#include "model/trace.h"
#include "work.h"

struct trace_envelope {
    struct slice message, schema_url;
    bool present;
};

struct trace_span {
    struct slice message; /* in the query's arena */
    uint64_t start_ns;
    uint64_t id;              /* of the span, in byte order */
    uint32_t resource, scope; /* index of the envelope */
    uint32_t group;           /* spans of one resource and scope, in the order of the answer */
};

struct envelope_set {
    struct trace_envelope *list;
    size_t count, capacity;
    uint32_t *places; /* hash table of indexes + 1 */
    size_t places_count;
};

struct trace {
    struct trace_id id;
    struct trace_span *spans;
    size_t count, capacity;
    uint64_t bytes; /* of all messages */
    struct envelope_set resources, scopes;
    bool truncated; /* longer than an answer may be */
};

/*
 * Memory comes from the work's arena. ERR_NOT_FOUND: no span. Otherwise spans are sorted and grouped.
 * ERR_TOO_LARGE when memory runs out; a trace longer than answer_bytes_max is cut instead.
 */
enum err trace_collect(struct work *work, const struct trace_id *id, struct trace *out);

/* Both set truncated when they cut. A TracesData message: */
enum err trace_protobuf(struct trace *trace, struct answer *answer);
/* OTLP JSON, with "truncated" and "coverage" beside "resourceSpans". */
/* The same without those two: a TracesData on one line, without its end. */
enum err trace_json_line(struct work *work, struct trace *trace, struct answer *answer);
enum err trace_json(struct work *work, struct trace *trace, struct answer *answer);

#endif
