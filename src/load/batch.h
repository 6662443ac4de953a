/*
 * A batch collects spans under their Resource and Scope and encodes them as one TracesData message, the way a
 * Collector does: one ResourceSpans per run of equal resources, one ScopeSpans per run of equal scopes in it.
 *
 *   batch_add(&batch, (struct batch_span){resource, scope, span}) …; batch_sort(&batch)?;
 * batch_encode(&batch, &out)
 */
#ifndef LOAD_BATCH_H
#define LOAD_BATCH_H

#include "proto.h"

/* All borrowed until batch_encode() has run. */
struct batch_span {
    struct slice resource; /* encoded fields of ResourceSpans without scope_spans */
    struct slice scope;    /* encoded fields of ScopeSpans without spans */
    struct slice span;     /* a Span message */
};

struct batch {
    struct batch_span *spans; /* owned */
    uint32_t count;
    uint32_t capacity;
};

void batch_deinit(struct batch *batch);
/* ERR_NO_MEMORY */
enum err batch_add(struct batch *batch, struct batch_span span);
/* Brings spans of one resource and scope together; equal slices must then have equal addresses. Stable. */
enum err batch_sort(struct batch *batch);
/* Appends the message to out and empties the batch. */
void batch_encode(struct batch *batch, struct buffer *out);

#endif
