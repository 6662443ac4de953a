/*
 * Closed segments, the oldest first by the arrival of their newest span; what is open is not looked at, it closes when
 * its window is over. Each one that goes makes the store smaller and the disk emptier, and the next is judged by that. One
 * that pins hold does neither, and the next has to go instead. Where services have ages of their own, a segment may have to go
 * but for some of them.
 */
#include "retention_plan.h"

#include "rewrite.h"

#include <stdlib.h>

enum { REWRITE_PERCENT_MAX = 70 }; /* of a segment's spans: when more are held, it stays as it is */

static int by_age(const void *left, const void *right)
{
    const struct segment *const a = ((const struct retention_leaver *)left)->segment;
    const struct segment *const b = ((const struct retention_leaver *)right)->segment;
    const uint64_t a_ns = segment_arrival_max(a), b_ns = segment_arrival_max(b);

    if (a_ns != b_ns) return a_ns < b_ns ? -1 : 1;
    if (a->identity.shard != b->identity.shard) return a->identity.shard < b->identity.shard ? -1 : 1;
    return (a->identity.seq > b->identity.seq) - (a->identity.seq < b->identity.seq);
}

static struct service_question question_of(const struct retention_facts *facts,
                                           const struct catalog_view *view,
                                           const struct retention_leaver *leaver)
{
    return (struct service_question){.config = facts->config,
                                     .view = view,
                                     .io = facts->io,
                                     .segment = leaver->number,
                                     .over = leaver->over};
}

/* *over: all of it is over age, or leaver->over says of which services some is. */
static enum err judge_age(const struct retention_facts *facts, const struct catalog_view *view,
                          struct retention_leaver *leaver, bool *over)
{
    const uint64_t newest_ns = segment_arrival_max(leaver->segment), spans = segment_spans(leaver->segment);
    const uint64_t old_ns = facts->horizon_ns > newest_ns ? facts->horizon_ns - newest_ns : 0;
    uint64_t leave = 0;

    leaver->over = service_ages_over(facts->config, old_ns);
    *over = leaver->over != 0;
    if (!*over) return OK;
    if (service_ages_all(facts->config, leaver->over)) {
        leaver->over = 0;
        return OK;
    }
    const struct service_question question = question_of(facts, view, leaver);
    TRY(service_ages_count(facts->ages, &question, &leave));
    *over = leave > 0;
    if (leave == spans || leave == 0) leaver->over = 0;
    return OK;
}

/* False: there is room. */
static bool is_too_large(const struct retention_config *config, uint64_t bytes, uint64_t free_bytes,
                         enum retention_reason *reason)
{
    *reason = config->bytes_max > 0 && bytes > config->bytes_max ? RETENTION_BYTES : RETENTION_FREE;
    return *reason == RETENTION_BYTES || (config->free_min > 0 && free_bytes < config->free_min);
}

/* A disk that is full has no room for a part of a segment beside the whole. */
static bool may_rewrite(const struct retention_facts *facts, const struct retention_leaver *leaver)
{
    return facts->may_rewrite && leaver->reason != RETENTION_FREE &&
           leaver->held.spans <= segment_spans(leaver->segment) * REWRITE_PERCENT_MAX / 100 &&
           rewrite_may(leaver->segment);
}

/* A part that is held is written again only where that is worth it, and safe. */
static enum err ask_pins(const struct retention_facts *facts, struct retention_leaver *leaver)
{
    const uint64_t spans = segment_spans(leaver->segment), bytes = segment_bytes(leaver->segment);

    leaver->held = (struct pin_share){.spans = 0};
    leaver->held_bytes = 0;
    if (facts->guard == NULL) return OK;
    TRY(pin_guard_share(facts->guard, leaver->number, &leaver->held));
    if (leaver->held.spans > 0 && !may_rewrite(facts, leaver)) leaver->held.spans = spans;
    leaver->held_bytes = leaver->held.spans == 0 ? 0 : bytes * leaver->held.spans / spans;
    return OK;
}

/* What services that are not over age keep, and pins of the others. */
static enum err ask_services(const struct retention_facts *facts, const struct catalog_view *view,
                             struct retention_leaver *leaver)
{
    const uint64_t spans = segment_spans(leaver->segment), bytes = segment_bytes(leaver->segment);
    const struct service_question question = question_of(facts, view, leaver);
    uint64_t leave;

    if (facts->guard != NULL) TRY(pin_guard_share(facts->guard, leaver->number, &leaver->held));
    if (!facts->may_rewrite || !rewrite_may(leaver->segment)) leaver->held.spans = spans;
    if (leaver->held.spans == spans) {
        leaver->held_bytes = bytes;
        return OK;
    }
    if (leaver->held.spans > 0) {
        TRY(service_ages_stay(facts->ages, &question, facts->guard, &leaver->held.spans));
    } else {
        TRY(service_ages_count(facts->ages, &question, &leave));
        leaver->held.spans = spans - leave;
    }
    leaver->held_bytes = bytes * leaver->held.spans / spans;
    return OK;
}

/* What it takes, and what of it stays. *speaks: a rule does. */
static enum err judge_one(const struct retention_facts *facts, const struct catalog_view *view,
                          struct retention_leaver *leaver, uint64_t bytes, uint64_t free_bytes, bool *speaks)
{
    TRY(judge_age(facts, view, leaver, speaks));
    leaver->reason = RETENTION_AGE;
    if (leaver->over != 0) {
        TRY(ask_services(facts, view, leaver));
        const uint64_t given_back = segment_bytes(leaver->segment) - leaver->held_bytes;
        bytes -= given_back;
        free_bytes += given_back;
    } else if (*speaks) {
        return ask_pins(facts, leaver);
    }
    enum retention_reason reason;
    if (!is_too_large(facts->config, bytes, free_bytes, &reason)) return OK;
    *speaks = true; /* what services keep of it has to go, too */
    leaver->over = 0;
    leaver->reason = reason;
    return ask_pins(facts, leaver);
}

/* Judges the candidates in order, and keeps those that a rule speaks of. */
static enum err judge(const struct retention_facts *facts, const struct catalog_view *view,
                      struct retention_plan *plan)
{
    const uint32_t candidates = plan->count;
    uint64_t bytes = plan->bytes_all, free_bytes = facts->free_bytes;

    plan->count = 0;
    for (uint32_t i = 0; i < candidates; i++) {
        struct retention_leaver leaver = plan->leavers[i];
        bool speaks;
        TRY(judge_one(facts, view, &leaver, bytes, free_bytes, &speaks));
        if (!speaks) continue; /* a younger one may have spans of a service that is kept for less */
        const uint64_t given_back = segment_bytes(leaver.segment) - leaver.held_bytes;
        if (leaver.reason == RETENTION_AGE) plan->bytes_of_aged += given_back;
        if (leaver.over == 0) plan->held_segments += leaver.held.spans > 0;
        if (leaver.over == 0) plan->held_spans += leaver.held.spans;
        plan->leavers[plan->count++] = leaver;
        bytes -= given_back;
        free_bytes += given_back;
    }
    return OK;
}

enum err retention_plan(const struct catalog_view *view, const struct retention_facts *facts,
                        struct retention_plan *out)
{
    *out = (struct retention_plan){.leavers = calloc((size_t)view->segments_count + 1, sizeof *out->leavers)};
    if (out->leavers == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < view->segments_count; i++) {
        struct segment *const segment = view->segments[i];
        if (segment->blocks_count > 0) out->bytes_all += segment_bytes(segment);
        if (segment->rows != NULL && segment->blocks_count > 0)
            out->leavers[out->count++] = (struct retention_leaver){.segment = segment, .number = i};
    }
    if (out->count > 0) qsort(out->leavers, out->count, sizeof *out->leavers, by_age);
    return judge(facts, view, out);
}

void retention_plan_free(struct retention_plan *plan)
{
    free(plan->leavers);
}

bool retention_takes_too_much(const struct retention_plan *plan)
{
    return plan->bytes_of_aged > plan->bytes_all / 2;
}
