/*
 * Closed segments, the oldest first by the arrival of their newest span; what is open is not looked at, it closes when
 * its window is over. Each one that goes makes the store smaller and the disk emptier, and the next is judged by that.
 */
#include "retention_plan.h"

#include <stdlib.h>

static int by_age(const void *left, const void *right)
{
    const struct segment *const a = ((const struct retention_leaver *)left)->segment;
    const struct segment *const b = ((const struct retention_leaver *)right)->segment;
    const uint64_t a_ns = segment_arrival_max(a), b_ns = segment_arrival_max(b);

    if (a_ns != b_ns) return a_ns < b_ns ? -1 : 1;
    if (a->identity.shard != b->identity.shard) return a->identity.shard < b->identity.shard ? -1 : 1;
    return (a->identity.seq > b->identity.seq) - (a->identity.seq < b->identity.seq);
}

static bool is_over_age(const struct retention_facts *facts, const struct segment *segment)
{
    const uint64_t newest_ns = segment_arrival_max(segment);

    return facts->config->age_ns > 0 && facts->horizon_ns > newest_ns &&
           facts->horizon_ns - newest_ns > facts->config->age_ns;
}

/* Judges the candidates in order, and keeps those that have to go. */
static void judge(const struct retention_facts *facts, struct retention_plan *plan)
{
    const struct retention_config *const config = facts->config;
    const uint32_t candidates = plan->count;
    uint64_t bytes = plan->bytes_all, free_bytes = facts->free_bytes;

    plan->count = 0;
    for (uint32_t i = 0; i < candidates; i++) {
        struct retention_leaver leaver = plan->leavers[i];
        const uint64_t own = segment_bytes(leaver.segment);
        if (is_over_age(facts, leaver.segment))
            leaver.reason = RETENTION_AGE;
        else if (config->bytes_max > 0 && bytes > config->bytes_max)
            leaver.reason = RETENTION_BYTES;
        else if (config->free_min > 0 && free_bytes < config->free_min)
            leaver.reason = RETENTION_FREE;
        else
            return; /* nor will any that is younger */
        if (leaver.reason == RETENTION_AGE) plan->bytes_of_aged += own;
        plan->leavers[plan->count++] = leaver;
        bytes -= own;
        free_bytes += own;
    }
}

enum err retention_plan(const struct catalog_view *view, const struct retention_facts *facts,
                        struct retention_plan *out)
{
    *out = (struct retention_plan){.leavers = calloc((size_t)view->segments_count + 1, sizeof *out->leavers)};
    if (out->leavers == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < view->segments_count; i++) {
        struct segment *const segment = view->segments[i];
        out->bytes_all += segment_bytes(segment);
        if (segment->rows != NULL && segment->blocks_count > 0)
            out->leavers[out->count++] = (struct retention_leaver){.segment = segment};
    }
    if (out->count > 0) qsort(out->leavers, out->count, sizeof *out->leavers, by_age);
    judge(facts, out);
    return OK;
}

void retention_plan_free(struct retention_plan *plan)
{
    free(plan->leavers);
}
