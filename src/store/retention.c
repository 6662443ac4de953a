/*
 * A step looks at the newest version, and takes away what the plan says: all that is over age, up to a number, or one
 * segment to make room, for the next look may find that it was enough.
 */
#include "store/retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "retention_plan.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LEAVERS_MAX = CATALOG_GRAVES_MAX / 2 }; /* at a time; the rest is for segments without blocks */
static const uint64_t DAY_NS = 86400 * NS_PER_S;
static const char *const reasons[RETENTION_REASONS] = {"age", "bytes", "free space"};

struct retention {
    struct catalog *catalog;
    struct retention_config config;
    struct retention_counts counts;
    uint64_t newest_ns, newest_at_ns; /* arrival, and the monotonic time when it was seen first */
    uint64_t waiting_since_ns;        /* monotonic; 0: no pass waits */
};

enum err retention_open(struct catalog *catalog, const struct retention_config *config,
                        struct retention **out)
{
    struct retention *const retention = calloc(1, sizeof *retention);

    if (retention == NULL) return ERR_NO_MEMORY;
    retention->catalog = catalog;
    retention->config = *config;
    *out = retention;
    return OK;
}

void retention_close(struct retention *retention)
{
    free(retention);
}

const struct retention_counts *retention_counts(const struct retention *retention)
{
    return &retention->counts;
}

/* ---- time --------------------------------------------------------------------------------------------- */

static uint64_t newest_arrival(const struct catalog_view *view)
{
    uint64_t newest = 0;

    for (uint32_t i = 0; i < view->segments_count; i++) {
        const uint64_t arrival_ns = segment_arrival_max(view->segments[i]);
        if (arrival_ns > newest) newest = arrival_ns;
    }
    return newest;
}

/* A clock that has gone ahead moves it by a day at most, until spans arrive by that clock. */
static uint64_t horizon(struct retention *retention, const struct catalog_view *view, struct io *io,
                        uint64_t now_ns)
{
    const uint64_t newest_ns = newest_arrival(view), mono_ns = io_now_ns(io);

    if (newest_ns > retention->newest_ns) {
        retention->newest_ns = newest_ns;
        retention->newest_at_ns = mono_ns;
    }
    const uint64_t furthest = retention->newest_ns + (mono_ns - retention->newest_at_ns) + DAY_NS;
    return now_ns < furthest ? now_ns : furthest;
}

/* Would the pass take more than half of everything? Then it waits, and says so once. */
static bool must_wait(struct retention *retention, const struct retention_plan *plan, struct io *io)
{
    const uint64_t mono_ns = io_now_ns(io);

    if (plan->bytes_of_aged <= plan->bytes_all / 2) {
        retention->waiting_since_ns = 0;
        retention->counts.waiting = false;
        return false;
    }
    if (retention->waiting_since_ns == 0) {
        retention->waiting_since_ns = mono_ns;
        log_warn("store",
                 "retention by age would remove more than half of the store: it waits for a day, look at the "
                 "clock",
                 "bytes=%" PRIu64 " of_bytes=%" PRIu64, plan->bytes_of_aged, plan->bytes_all);
    }
    retention->counts.waiting = mono_ns - retention->waiting_since_ns < DAY_NS;
    return retention->counts.waiting;
}

/* ---- leaving ------------------------------------------------------------------------------------------ */

/* Do the segments that stay, or the journal's own files, say what these say of the shards? */
static bool says_as_much(const struct segment_lineage *stay, const struct segment_position *position)
{
    for (uint32_t i = 0; i < stay->positions_count; i++)
        if (stay->positions[i].shard == position->shard)
            return stay->positions[i].next_seq >= position->next_seq &&
                   stay->positions[i].sealed_lsn >= position->sealed_lsn;
    return false;
}

static bool is_among(const struct segment *segment, struct segment *const *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (inputs[i] == segment) return true;
    return false;
}

static enum err must_be_kept(const struct catalog_view *view, struct segment *const *inputs, uint32_t count,
                             bool *kept)
{
    struct segment **const others = calloc((size_t)view->segments_count + 1, sizeof(struct segment *));
    uint32_t others_count = 0;

    *kept = true;
    if (others == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < view->segments_count; i++)
        if (!is_among(view->segments[i], inputs, count)) others[others_count++] = view->segments[i];
    struct segment_lineage *const go = segment_positions_of(inputs, count);
    struct segment_lineage *const stay = segment_positions_of(others, others_count);
    free((void *)others);
    if (go != NULL && stay != NULL) {
        *kept = false;
        for (uint32_t i = 0; i < go->positions_count; i++)
            *kept = *kept || !says_as_much(stay, &go->positions[i]);
    }
    const bool failed = go == NULL || stay == NULL;
    segment_lineage_drop(go);
    segment_lineage_drop(stay);
    return failed ? ERR_NO_MEMORY : OK;
}

/* A segment without blocks that says how far the shards had come. */
static enum err write_positions(struct retention *retention, struct io *io, struct segment *const *inputs,
                                uint32_t count, struct segment **out)
{
    struct segment_merged merged;

    TRY(segment_merged_begin(retention->catalog, io, 1, inputs, count, &merged));
    const enum err err = segment_merged_finish(&merged, io, out);
    if (err != OK) segment_merged_discard(&merged, io);
    return err;
}

static enum err remove_all(struct retention *retention, struct io *io, const struct catalog_view *view,
                           struct segment *const *inputs, uint32_t count)
{
    struct segment *positions = NULL;
    bool kept;

    TRY(must_be_kept(view, inputs, count, &kept));
    if (kept) TRY(write_positions(retention, io, inputs, count, &positions));
    return catalog_retire(retention->catalog, io, inputs, count, positions);
}

static void tell(struct retention *retention, const struct retention_leaver *leaver)
{
    const struct segment *const segment = leaver->segment;
    const uint64_t spans = segment_spans(segment), bytes = segment_bytes(segment);

    retention->counts.segments[leaver->reason]++;
    retention->counts.spans[leaver->reason] += spans;
    retention->counts.bytes[leaver->reason] += bytes;
    log_info("store", "segment expired",
             "file=%s reason=\"%s\" arrival_max_s=%" PRIu64 " spans=%" PRIu64 " bytes=%" PRIu64,
             segment->file->name, reasons[leaver->reason],
             (uint64_t)(segment_arrival_max(segment) / NS_PER_S), spans, bytes);
}

/* Those of the plan that go now: all over age, or the first one. */
static uint32_t choose(struct retention *retention, const struct retention_plan *plan, struct io *io)
{
    uint32_t aged = 0;

    while (aged < plan->count && plan->leavers[aged].reason == RETENTION_AGE)
        aged++;
    if (aged > 0 && must_wait(retention, plan, io)) return 0;
    if (aged > LEAVERS_MAX) aged = LEAVERS_MAX;
    return aged > 0 ? aged : plan->count > 0;
}

static enum err remove_some(struct retention *retention, struct io *io, const struct catalog_view *view,
                            const struct retention_plan *plan, uint32_t *removed)
{
    struct segment *inputs[CATALOG_GRAVES_MAX];
    uint32_t count = 0;

    *removed = choose(retention, plan, io);
    if (*removed == 0) return OK;
    for (uint32_t i = 0; i < *removed; i++)
        inputs[count++] = plan->leavers[i].segment;
    for (uint32_t i = 0; i < view->segments_count && count < CATALOG_GRAVES_MAX - 1; i++)
        if (view->segments[i]->blocks_count == 0 && view->segments[i]->rows != NULL)
            inputs[count++] = view->segments[i];
    TRY(remove_all(retention, io, view, inputs, count));
    for (uint32_t i = 0; i < *removed; i++)
        tell(retention, &plan->leavers[i]);
    return OK;
}

bool retention_step(struct retention *retention, struct io *io, uint64_t now_ns)
{
    struct catalog *const catalog = retention->catalog;
    struct retention_facts facts = {.config = &retention->config};
    struct retention_plan plan = {.leavers = NULL};
    uint64_t total_bytes;
    uint32_t removed = 0;

    if (!catalog_bury(catalog, io) || io_space(io, catalog->dir, &facts.free_bytes, &total_bytes) != OK)
        return false;
    facts.free_bytes += catalog_retired_bytes(catalog); /* on its way: nothing else has to go for it */
    const struct catalog_view *const view = catalog_acquire(catalog);
    facts.horizon_ns = horizon(retention, view, io, now_ns);
    enum err err = retention_plan(view, &facts, &plan);
    if (err == OK) err = remove_some(retention, io, view, &plan, &removed);
    retention_plan_free(&plan);
    catalog_release(catalog, view);
    catalog_close_files(catalog, io);
    if (err == OK) return removed > 0;
    retention->counts.failures++;
    log_warn("store", "segments could not be removed", "err=\"%s\"", err_text(err));
    return false;
}

void retention_preview(struct catalog *catalog, const struct retention_config *config, uint64_t now_ns,
                       uint64_t free_bytes, bool (*visit)(void *context, const struct retention_row *row),
                       void *context)
{
    const struct retention_facts facts = {.config = config, .horizon_ns = now_ns, .free_bytes = free_bytes};
    const struct catalog_view *const view = catalog_acquire(catalog);
    struct retention_plan plan;

    const enum err err = retention_plan(view, &facts, &plan);
    for (uint32_t i = 0; err == OK && i < plan.count; i++) {
        const struct segment *const segment = plan.leavers[i].segment;
        const struct retention_row row = {segment_arrival_min(segment), segment_arrival_max(segment),
                                          segment_spans(segment), segment_bytes(segment),
                                          plan.leavers[i].reason};
        if (!visit(context, &row)) break;
    }
    retention_plan_free(&plan);
    catalog_release(catalog, view);
}
