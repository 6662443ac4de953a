/*
 * Counting.
 */
#include "summary.h"

#include "base/assert.h"

#include <stdlib.h>

void summary_init(struct summary *summary, const struct trace_id *trace_id)
{
    *summary = (struct summary){.trace_id = *trace_id, .start_ns = UINT64_MAX};
}

/* Spans of one service stand together more often than not. */
static struct service_count *service_of(struct summary *summary, struct slice name, struct arena *arena)
{
    for (size_t i = 0; i < summary->services_count; i++) {
        const size_t at = (summary->services_last + i) % summary->services_count;
        if (!slice_equal(summary->services[at].name, name)) continue;
        summary->services_last = at;
        return &summary->services[at];
    }
    if (summary->services_count == summary->services_capacity) {
        void *const list = arena_grow(arena, summary->services, sizeof *summary->services,
                                      summary->services_count, 8, &summary->services_capacity);
        if (list == NULL) return NULL;
        summary->services = list;
    }
    struct service_count *const added = &summary->services[summary->services_count];
    *added = (struct service_count){.name = arena_copy(arena, name)};
    if (name.len > 0 && added->name.ptr == NULL) return NULL;
    summary->services_last = summary->services_count++;
    return added;
}

static bool comes_before(const struct summary_span *span, const struct summary_root *root)
{
    if (!root->given) return true;
    if (span->start_ns != root->start_ns) return span->start_ns < root->start_ns;
    return span->span_id < root->span_id;
}

static bool take_root(struct summary_root *root, const struct summary_span *span, struct arena *arena)
{
    if (!comes_before(span, root)) return true;
    *root = (struct summary_root){true, span->start_ns, span->span_id, arena_copy(arena, span->service),
                                  arena_copy(arena, span->name)};
    return (span->service.len == 0 || root->service.ptr != NULL) &&
           (span->name.len == 0 || root->name.ptr != NULL);
}

static bool add_span_id(struct summary *summary, uint64_t span_id, struct arena *arena)
{
    if (summary->spans == summary->span_ids_capacity) {
        void *const ids = arena_grow(arena, summary->span_ids, sizeof span_id, summary->spans, 16,
                                     &summary->span_ids_capacity);
        if (ids == NULL) return false;
        summary->span_ids = ids;
    }
    summary->span_ids[summary->spans] = span_id;
    return true;
}

bool summary_add(struct summary *summary, const struct summary_span *span, struct arena *arena)
{
    const uint64_t end_ns = span->start_ns + span->duration_ns;
    struct service_count *const service = service_of(summary, span->service, arena);

    if (service == NULL || !add_span_id(summary, span->span_id, arena)) return false;
    if (span->is_root && !take_root(&summary->root, span, arena)) return false;
    if (!summary->root.given && !take_root(&summary->earliest, span, arena)) return false;
    summary->spans++;
    service->spans++;
    summary->errors += span->error;
    service->errors += span->error;
    if (span->start_ns < summary->start_ns) summary->start_ns = span->start_ns;
    if (end_ns > summary->end_ns) summary->end_ns = end_ns;
    if (!span->matched) return true;
    summary->matched++;
    if (span->start_ns > summary->key_ns) summary->key_ns = span->start_ns;
    return true;
}

static int by_name(const void *left, const void *right)
{
    const struct service_count *const a = left, *const b = right;

    return slice_compare(a->name, b->name);
}

static int by_value(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

void summary_finish(struct summary *summary)
{
    if (summary->services_count > 0)
        qsort(summary->services, summary->services_count, sizeof *summary->services, by_name);
    summary->services_last = 0;
    if (summary->spans > 0) qsort(summary->span_ids, summary->spans, sizeof *summary->span_ids, by_value);
    for (uint32_t i = 1; i < summary->spans; i++)
        summary->twice |= summary->span_ids[i] == summary->span_ids[i - 1];
}
