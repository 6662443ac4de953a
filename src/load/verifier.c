/*
 * Each span becomes three hashes of 64 bits: of the canonical form of itself, of its ResourceSpans and of its
 * ScopeSpans. What is expected is sorted by span id; each span of the answer is looked up there. Envelopes
 * repeat, so the last one's hash is kept. The form of a span is made a second time only to say which field
 * differs.
 */
#include "verifier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "canon.h"
#include "walk.h"

enum { HASH_SPAN, HASH_RESOURCE, HASH_SCOPE, HASHES };

struct expected {
    uint64_t span_id;
    uint64_t hash[HASHES];
    struct slice span;
    bool needed;
    bool touched; /* something with its id is in the answer */
    uint32_t seen;
};

void verifier_init(struct verifier *verifier)
{
    *verifier = (struct verifier){0};
}

void verifier_deinit(struct verifier *verifier)
{
    free(verifier->spans);
    buffer_deinit(&verifier->form);
}

static void forget_envelopes(struct verifier *verifier)
{
    verifier->resource = verifier->scope = slice_of(NULL, 0);
}

void verifier_begin(struct verifier *verifier)
{
    verifier->count = 0;
    verifier->note[0] = '\0';
    forget_envelopes(verifier);
}

/* ---- hashes
 * ------------------------------------------------------------------------------------------------ */

static enum err hash_form(struct verifier *verifier, enum canon_type type, struct slice message,
                          uint64_t *hash)
{
    verifier->form.len = 0;
    TRY(canon_append(&verifier->form, type, message));
    *hash = hash_fast(verifier->form.ptr, verifier->form.len, 0);
    return OK;
}

/* The hash of an envelope, or the one it had when it was seen just before. */
static enum err hash_envelope(struct verifier *verifier, enum canon_type type, struct slice message,
                              struct slice *last, uint64_t *last_hash)
{
    if (last->ptr == message.ptr && last->len == message.len) return OK;
    TRY(hash_form(verifier, type, message, last_hash));
    *last = message;
    return OK;
}

static enum err describe(struct verifier *verifier, struct slice resource_spans, struct slice scope_spans,
                         struct slice span, struct expected *result)
{
    struct span_ids ids;
    struct expected made = {.span = span};

    if (!span_ids_of(span, &ids)) return ERR_MALFORMED;
    memcpy(&made.span_id, ids.span_id.ptr, sizeof made.span_id);
    TRY(hash_envelope(verifier, CANON_RESOURCE_SPANS, resource_spans, &verifier->resource,
                      &verifier->resource_hash));
    TRY(hash_envelope(verifier, CANON_SCOPE_SPANS, scope_spans, &verifier->scope, &verifier->scope_hash));
    TRY(hash_form(verifier, CANON_SPAN, span, &made.hash[HASH_SPAN]));
    made.hash[HASH_RESOURCE] = verifier->resource_hash;
    made.hash[HASH_SCOPE] = verifier->scope_hash;
    *result = made;
    return OK;
}

/* ---- what is expected
 * -------------------------------------------------------------------------------------- */

enum err verifier_expect(struct verifier *verifier, struct slice resource_spans, struct slice scope_spans,
                         struct slice span, bool needed)
{
    if (verifier->count == verifier->capacity) {
        const uint32_t capacity = verifier->capacity == 0 ? 256 : verifier->capacity * 2;
        struct expected *const spans = realloc(verifier->spans, capacity * sizeof *spans);
        if (spans == NULL) return ERR_NO_MEMORY;
        verifier->spans = spans;
        verifier->capacity = capacity;
    }
    TRY(describe(verifier, resource_spans, scope_spans, span, &verifier->spans[verifier->count]));
    verifier->spans[verifier->count++].needed = needed;
    return OK;
}

static int compare_expected(const void *a, const void *b)
{
    const struct expected *const x = a;
    const struct expected *const y = b;

    if (x->span_id != y->span_id) return x->span_id < y->span_id ? -1 : 1;
    return memcmp(x->hash, y->hash, sizeof x->hash);
}

/* Equal spans, sent twice, are one: a store keeps one copy of them. */
static void sort_and_join(struct verifier *verifier)
{
    uint32_t kept = 0;

    if (verifier->count == 0) return;
    qsort(verifier->spans, verifier->count, sizeof *verifier->spans, compare_expected);
    for (uint32_t i = 1; i < verifier->count; i++) {
        if (compare_expected(&verifier->spans[kept], &verifier->spans[i]) == 0)
            verifier->spans[kept].needed |= verifier->spans[i].needed;
        else
            verifier->spans[++kept] = verifier->spans[i];
    }
    verifier->count = kept + 1;
}

/* The first with this span id, or where it would stand. */
static uint32_t find(const struct verifier *verifier, uint64_t span_id)
{
    uint32_t low = 0;
    uint32_t high = verifier->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (verifier->spans[middle].span_id < span_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- comparing
 * --------------------------------------------------------------------------------------------- */

/* Says which field of the span differs. */
static uint32_t differing_field(struct verifier *verifier, struct slice expected, struct slice got)
{
    struct buffer other = {0};
    uint32_t number = 0;

    verifier->form.len = 0;
    if (canon_append(&verifier->form, CANON_SPAN, expected) == OK &&
        canon_append(&other, CANON_SPAN, got) == OK)
        number = canon_difference(buffer_slice(&verifier->form), buffer_slice(&other));
    buffer_deinit(&other);
    return number;
}

static void note_altered(struct verifier *verifier, const struct expected *expected,
                         const struct expected *got)
{
    char *const note = verifier->note;
    const size_t capacity = sizeof verifier->note;
    const uint64_t id = __builtin_bswap64(got->span_id);

    if (note[0] != '\0') return;
    if (expected == NULL)
        (void)snprintf(note, capacity, "span %016" PRIx64 " was never sent", id);
    else if (expected->hash[HASH_SPAN] != got->hash[HASH_SPAN])
        (void)snprintf(note, capacity, "span %016" PRIx64 " differs in field %u of Span", id,
                       differing_field(verifier, expected->span, got->span));
    else
        (void)snprintf(note, capacity, "span %016" PRIx64 " has another %s", id,
                       expected->hash[HASH_RESOURCE] != got->hash[HASH_RESOURCE] ? "resource" : "scope");
}

static void match(struct verifier *verifier, const struct expected *got, struct verify_counts *counts)
{
    const uint32_t first = find(verifier, got->span_id);

    for (uint32_t i = first; i < verifier->count && verifier->spans[i].span_id == got->span_id; i++) {
        struct expected *const expected = &verifier->spans[i];
        if (memcmp(expected->hash, got->hash, sizeof got->hash) != 0) continue;
        expected->touched = true;
        counts->doubled += expected->seen++ > 0;
        return;
    }
    const bool known = first < verifier->count && verifier->spans[first].span_id == got->span_id;
    counts->altered++;
    note_altered(verifier, known ? &verifier->spans[first] : NULL, got);
    for (uint32_t i = first; i < verifier->count && verifier->spans[i].span_id == got->span_id; i++)
        verifier->spans[i].touched = true;
}

static void count_missing(struct verifier *verifier, struct verify_counts *counts)
{
    for (uint32_t i = 0; i < verifier->count; i++) {
        const struct expected *const expected = &verifier->spans[i];
        if (!expected->needed) continue;
        counts->acked++;
        if (expected->touched) continue;
        counts->missing++;
        if (verifier->note[0] == '\0')
            (void)snprintf(verifier->note, sizeof verifier->note, "span %016" PRIx64 " is missing",
                           __builtin_bswap64(expected->span_id));
    }
}

enum err verifier_compare(struct verifier *verifier, struct slice answer, struct verify_counts *counts)
{
    struct span_walk walk = span_walk_of(answer);
    struct verify_counts found = {0};
    struct expected got;

    sort_and_join(verifier);
    forget_envelopes(verifier);
    while (span_walk_next(&walk)) {
        TRY(describe(verifier, walk.resource_spans, walk.scope_spans, walk.span, &got));
        match(verifier, &got, &found);
    }
    TRY(walk.err);
    count_missing(verifier, &found);
    if (verifier->note[0] == '\0' && found.doubled > 0)
        (void)snprintf(verifier->note, sizeof verifier->note, "%" PRIu64 " spans are doubled", found.doubled);
    counts->acked += found.acked;
    counts->missing += found.missing;
    counts->doubled += found.doubled;
    counts->altered += found.altered;
    return OK;
}
