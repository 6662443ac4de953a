/*
 * Encoding walks the spans once and opens a new envelope whenever resource or scope differ from the span
 * before. Sorting is a counting affair in spirit, but batches are small and made ahead: qsort over (resource,
 * scope, place).
 */
#include "batch.h"

#include <stdlib.h>

#include "walk.h"

void batch_deinit(struct batch *batch)
{
    free(batch->spans);
    *batch = (struct batch){0};
}

enum err batch_add(struct batch *batch, struct batch_span span)
{
    if (batch->count == batch->capacity) {
        const uint32_t capacity = batch->capacity == 0 ? 512 : batch->capacity * 2;
        struct batch_span *const spans = realloc(batch->spans, capacity * sizeof *spans);
        if (spans == NULL) return ERR_NO_MEMORY;
        batch->spans = spans;
        batch->capacity = capacity;
    }
    batch->spans[batch->count++] = span;
    return OK;
}

/* The place in the batch is the last key: qsort alone is not stable. */
struct sort_key {
    uintptr_t resource, scope;
    uint32_t place;
};

static int key_compare(const void *a, const void *b)
{
    const struct sort_key *const x = a;
    const struct sort_key *const y = b;

    if (x->resource != y->resource) return x->resource < y->resource ? -1 : 1;
    if (x->scope != y->scope) return x->scope < y->scope ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

enum err batch_sort(struct batch *batch)
{
    if (batch->count == 0) return OK;

    struct sort_key *const keys = calloc(batch->count, sizeof *keys);
    struct batch_span *const spans = calloc(batch->capacity, sizeof *spans);
    if (keys == NULL || spans == NULL) {
        free(keys);
        free(spans);
        return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < batch->count; i++)
        keys[i] = (struct sort_key){(uintptr_t)batch->spans[i].resource.ptr,
                                    (uintptr_t)batch->spans[i].scope.ptr, i};
    qsort(keys, batch->count, sizeof *keys, key_compare);
    for (uint32_t i = 0; i < batch->count; i++)
        spans[i] = batch->spans[keys[i].place];
    free(keys);
    free(batch->spans);
    batch->spans = spans;
    return OK;
}

static bool same(struct slice a, struct slice b)
{
    return (a.ptr == b.ptr && a.len == b.len) || slice_equal(a, b);
}

void batch_encode(struct batch *batch, struct buffer *out)
{
    const struct batch_span *before = NULL;
    size_t resource_mark = 0;
    size_t scope_mark = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_span *const span = &batch->spans[i];
        const bool same_resource = before != NULL && same(before->resource, span->resource);
        const bool same_scope = same_resource && same(before->scope, span->scope);

        if (before != NULL && !same_scope) proto_close(out, scope_mark);
        if (before != NULL && !same_resource) proto_close(out, resource_mark);
        if (!same_resource) {
            resource_mark = proto_open(out, TRACES_RESOURCE_SPANS);
            buffer_append(out, span->resource.ptr, span->resource.len);
        }
        if (!same_scope) {
            scope_mark = proto_open(out, RESOURCE_SPANS_SCOPE_SPANS);
            buffer_append(out, span->scope.ptr, span->scope.len);
        }
        proto_bytes(out, SCOPE_SPANS_SPANS, span->span.ptr, span->span.len);
        before = span;
    }
    if (before != NULL) {
        proto_close(out, scope_mark);
        proto_close(out, resource_mark);
    }
    batch->count = 0;
}
