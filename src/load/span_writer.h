/*
 * Writes one call of a call tree as an OTLP Span, with attributes and events as the profile has them.
 */
#ifndef LOAD_SPAN_WRITER_H
#define LOAD_SPAN_WRITER_H

#include "call_tree.h"

/* What all spans of a trace share. */
struct trace_traits {
    uint8_t trace_id[16];
    uint64_t start_unix_ns; /* of the templates' time */
    bool has_state;         /* carries a W3C tracestate */
    uint32_t user;
    uint64_t session_high, session_low;
};

struct trace_traits trace_traits_of(struct dice *dice, uint64_t start_unix_ns);

/* Appends the fields of the Span (no tag, no length) to out. */
void span_writer_put(struct buffer *out, const struct world *world, const struct call_tree *tree,
                     uint32_t call, const struct trace_traits *traits, struct dice *dice);
/* The instrumentation scope that such a span is made by. */
enum scope_kind span_scope(const struct call *call);

#endif
