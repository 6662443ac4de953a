/*
 * A walk over the spans of a TracesData message, in order, with the ResourceSpans and ScopeSpans each stands
 * in.
 *
 *   struct span_walk walk = span_walk_of(message);
 *   while (span_walk_next(&walk)) ... walk.span, walk.scope_spans, walk.resource_spans
 *   if (walk.err != OK) ...                                     ERR_MALFORMED
 */
#ifndef LOAD_WALK_H
#define LOAD_WALK_H

#include "proto.h"

/* Field numbers of OTLP. */
#define TRACES_RESOURCE_SPANS      1
#define RESOURCE_SPANS_SCOPE_SPANS 2
#define SCOPE_SPANS_SPANS          2
#define SPAN_TRACE_ID              1
#define SPAN_SPAN_ID               2
#define SPAN_TRACE_STATE           3
#define SPAN_PARENT_SPAN_ID        4
#define SPAN_NAME                  5
#define SPAN_KIND                  6
#define SPAN_START_TIME            7
#define SPAN_END_TIME              8
#define SPAN_ATTRIBUTES            9
#define SPAN_DROPPED_ATTRIBUTES    10
#define SPAN_EVENTS                11
#define SPAN_DROPPED_EVENTS        12
#define SPAN_LINKS                 13
#define SPAN_STATUS                15
#define SPAN_FLAGS                 16
#define EVENT_TIME                 1
#define EVENT_NAME                 2
#define EVENT_ATTRIBUTES           3
#define LINK_TRACE_ID              1
#define LINK_SPAN_ID               2
#define LINK_ATTRIBUTES            4
#define STATUS_MESSAGE             2
#define STATUS_CODE                3
#define KEY_VALUE_KEY              1
#define KEY_VALUE_VALUE            2
#define ANY_VALUE_STRING           1
#define ANY_VALUE_BOOL             2
#define ANY_VALUE_INT              3
#define ANY_VALUE_DOUBLE           4
#define ANY_VALUE_ARRAY            5

struct span_walk {
    struct slice resource_spans, scope_spans, span; /* borrowed from the message */
    enum err err;
    struct proto_reader resources, scopes, spans; /* private */
};

struct span_walk span_walk_of(struct slice message);
bool span_walk_next(struct span_walk *walk);

/* Trace id and span id of a span; false when they are not 16 and 8 bytes long or all zero. */
struct span_ids {
    struct slice trace_id, span_id;
};
bool span_ids_of(struct slice span, struct span_ids *ids);

#endif
