/*
 * Random spans for tests, as plain structs: to be written as OTLP, and to be judged without any of the code
 * under test. Everything follows from the seed. Values come from small sets, so that conditions meet often;
 * trouble is frequent: duplicates, reused ids, ends before starts, missing services, parents of zeros.
 */
#ifndef TEST_QUERY_STORIES_H
#define TEST_QUERY_STORIES_H

#include "model/trace.h"

enum { STORY_ATTRIBUTES_MAX = 6, STORY_CHILDREN_MAX = 2, STORY_SPANS_MAX = 20000 };

struct story_attribute {
    const char *key;
    enum value_type type; /* STRING BOOL INT DOUBLE */
    const char *text;
    int64_t number; /* BOOL, INT */
    double real;
};

struct story_list {
    struct story_attribute items[STORY_ATTRIBUTES_MAX];
    unsigned count;
};

struct story_span {
    struct trace_id trace_id;
    struct span_id span_id;
    struct span_id parent;
    bool has_parent;
    uint64_t start_ns, end_ns;
    const char *name;
    const char *service; /* NULL: the resource has none */
    int kind, status;
    struct story_list resource, scope, span; /* the resource without service.name */
    struct story_list events[STORY_CHILDREN_MAX], links[STORY_CHILDREN_MAX];
    unsigned events_count, links_count;
    unsigned content; /* index of the first exact duplicate, often its own */
};

struct stories {
    struct story_span *spans;
    unsigned count;
    uint64_t dice;
};

uint64_t stories_roll(struct stories *stories, uint64_t below);
/* count spans in at most that many traces. */
void stories_make(struct stories *stories, uint64_t seed, unsigned count, unsigned traces);
void stories_free(struct stories *stories);
/* A request with some of the spans, malloc'ed. */
uint8_t *stories_body(const struct stories *stories, unsigned first, unsigned count, size_t *len);
/* One of them as a Span message; a Resource; an InstrumentationScope. Backwards, without tag and length. */
struct wire_writer;
void story_write_span(struct wire_writer *writer, const struct story_span *span);
void story_write_resource(struct wire_writer *writer, const struct story_span *span);
void story_write_scope(struct wire_writer *writer, const struct story_span *span);
struct story_attribute stories_attribute(struct stories *stories, enum attribute_level level);

#endif
