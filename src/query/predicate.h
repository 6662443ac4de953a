/*
 * What a span must be like: the conditions of a search in a form that live blocks and sealed blocks share.
 * All of them must hold on one span (conditions on events and links: on one of its events, on one of its
 * links). Made once per query.
 */
#ifndef QUERY_PREDICATE_H
#define QUERY_PREDICATE_H

#include "request.h"
#include "store/live.h"

enum { PREDICATE_TOKENS_MAX = REQUEST_CONDITIONS_MAX + 2 };

struct predicate {
    const struct request *request; /* borrowed */
    uint64_t tokens[PREDICATE_TOKENS_MAX];
    unsigned tokens_count; /* a block without any one of them has no match */
    bool asks_resource;    /* service, or a condition on the resource */
    bool asks_scope;
    unsigned row_conditions_count; /* on span, events and links */
    uint8_t row_conditions[REQUEST_CONDITIONS_MAX];
};

void predicate_init(struct predicate *predicate, const struct request *request);

/* Same key, type and value. */
bool condition_holds(const struct condition *condition, const struct attribute *attribute);
/* A whole KeyValue message of a VALUE_RAW column. */
bool condition_holds_raw(const struct condition *condition, struct slice key_value);

/* Fields of the span itself but its name; end before start counts as no time at all. */
bool predicate_fields(const struct predicate *predicate, uint64_t start_ns, uint64_t duration_ns,
                      int32_t span_kind, int32_t status_code);
/* Service (of a Resource) and conditions at the level of this envelope. */
bool predicate_resource(const struct predicate *predicate, struct slice message, struct slice service);
bool predicate_scope(const struct predicate *predicate, struct slice message);
/* An end before the start is a span without duration. */
static inline uint64_t duration_of(uint64_t start_ns, uint64_t end_ns)
{
    return end_ns > start_ns ? end_ns - start_ns : 0;
}

#endif
