/*
 * The verifier compares one trace as it came back with what was sent of it.
 *
 *   verifier_begin(&verifier);
 *   verifier_expect(&verifier, resource_spans, scope_spans, span, needed) … for all spans ever generated for
 * the trace verifier_compare(&verifier, answer, &counts)
 *
 * A span is the same when every field of it, of its Resource and of its Scope is (canon.h). A span that is
 * needed and is not there is missing; one that is there twice is doubled; one that is there with other
 * content, or that was never generated, is altered. A span that is not needed (its request was never
 * acknowledged) may be there or not.
 */
#ifndef LOAD_VERIFIER_H
#define LOAD_VERIFIER_H

#include "proto.h"

struct verify_counts {
    uint64_t acked; /* spans that are needed; equal ones count once */
    uint64_t missing, doubled, altered;
};

struct verifier {
    struct expected *spans; /* owned */
    uint32_t count, capacity;
    struct buffer form;           /* scratch */
    struct slice resource, scope; /* last seen, with their hashes; borrowed */
    uint64_t resource_hash, scope_hash;
    char note[160]; /* after a comparison: the first thing that was wrong, or "" */
};

void verifier_init(struct verifier *verifier);
void verifier_deinit(struct verifier *verifier);
void verifier_begin(struct verifier *verifier);
/* The slices are borrowed until verifier_compare() has run. ERR_MALFORMED, ERR_NO_MEMORY */
enum err verifier_expect(struct verifier *verifier, struct slice resource_spans, struct slice scope_spans,
                         struct slice span, bool needed);
/* Adds to the counts. answer is a TracesData; ERR_MALFORMED when it is not, and nothing was counted. */
enum err verifier_compare(struct verifier *verifier, struct slice answer, struct verify_counts *counts);

#endif
