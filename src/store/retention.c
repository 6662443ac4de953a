/*
 * A step looks at the newest version, and takes away what the plan says: all that is over age, up to a number, or one
 * segment to make room, for the next look may find that it was enough. What pins hold a part of is written again, block
 * by block. Before anything leaves, the list of pins is held: a pin that was answered counts.
 */
#include "store/retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "retention_plan.h"
#include "rewrite.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    LEAVERS_MAX = CATALOG_GRAVES_MAX / 2, /* at a time; the rest is for segments without blocks */
    BLOCKS_A_STEP = 32,                   /* read to see what pins hold */
};
static const uint64_t DAY_NS = 86400 * NS_PER_S;
static const uint64_t REST_NS = 60 * NS_PER_S; /* after a segment could not be written again */
static const char *const reasons[RETENTION_REASONS] = {"age", "bytes", "free space"};
static const enum ledger_count ledger_counts[RETENTION_REASONS] = {[RETENTION_AGE] = LEDGER_EXPIRED_AGE,
                                                                   [RETENTION_BYTES] = LEDGER_EXPIRED_BYTES,
                                                                   [RETENTION_FREE] = LEDGER_EXPIRED_SPACE};

/* A segment that is written again without what has to go. */
struct sifting {
    struct rewrite *rewrite; /* NULL: none is under way */
    const struct catalog_view *view;
    struct retention_leaver leaver;
    const struct retention_config *config;
    struct pin_guard *guard; /* NULL: no pins */
    struct merge_sieve sieve;
};

struct retention {
    struct catalog *catalog;
    struct retention_config config;
    struct retention_counts counts;
    struct pins *pins;       /* NULL: none */
    struct pin_guard *guard; /* NULL without pins */
    struct service_ages *ages;
    struct sifting sifting;
    uint64_t waiting_since_ns;        /* monotonic; 0: no pass waits */
    uint64_t rest_until_ns;           /* monotonic; nothing is written again before */
    unsigned blocks_left;             /* that this step may still read */
    pthread_mutex_t mutex;            /* for what follows */
    uint64_t newest_ns, newest_at_ns; /* arrival, and the monotonic time when it was seen first */
};

enum err retention_open(struct catalog *catalog, const struct retention_config *config, struct pins *pins,
                        const struct selector_matcher *matcher, struct retention **out)
{
    struct retention *const retention = calloc(1, sizeof *retention);

    if (retention == NULL) return ERR_NO_MEMORY;
    retention->catalog = catalog;
    retention->config = *config;
    retention->pins = pins;
    enum err err = service_ages_open(&retention->ages);
    if (err == OK && pins != NULL)
        err = pin_guard_open(pins, matcher, PIN_GUARD_TRACES_MAX, &retention->guard);
    if (err != OK) {
        service_ages_close(retention->ages);
        free(retention);
        return err;
    }
    pthread_mutex_init(&retention->mutex, NULL);
    *out = retention;
    return OK;
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

    pthread_mutex_lock(&retention->mutex);
    if (newest_ns > retention->newest_ns) {
        retention->newest_ns = newest_ns;
        retention->newest_at_ns = mono_ns;
    }
    const uint64_t since_ns = mono_ns > retention->newest_at_ns ? mono_ns - retention->newest_at_ns : 0;
    const uint64_t furthest = retention->newest_ns + since_ns + DAY_NS;
    pthread_mutex_unlock(&retention->mutex);
    return now_ns < furthest ? now_ns : furthest;
}

uint64_t retention_horizon(struct retention *retention, struct io *io, uint64_t now_ns)
{
    const struct catalog_view *const view = catalog_acquire(retention->catalog);
    const uint64_t at_ns = horizon(retention, view, io, now_ns);

    catalog_release(retention->catalog, view);
    return at_ns;
}

/* Would the pass take more than half of everything? Then it waits, and says so once. */
static bool must_wait(struct retention *retention, const struct retention_plan *plan, struct io *io)
{
    const uint64_t mono_ns = io_now_ns(io);

    if (!retention_takes_too_much(plan)) {
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

/* A segment without blocks stands for them: it says how far the shards had come, and what has become of the spans. */
static enum err leave_ledger(struct io *io, const struct catalog_view *view, struct segment *const *inputs,
                             uint32_t count, enum retention_reason reason)
{
    struct segment_merged merged;

    TRY(segment_merged_begin(view, io, 1, inputs, count, &merged));
    ledger_move_all(merged.ledger, LEDGER_STORED, ledger_counts[reason]);
    const enum err err = segment_merged_replace(&merged, io, inputs, count);
    if (err != OK) segment_merged_discard(&merged, io);
    return err;
}

static void tell(struct retention *retention, const struct retention_leaver *leaver,
                 const struct rewrite_outcome *left)
{
    const struct segment *const segment = leaver->segment;
    const uint64_t bytes_before = segment_bytes(segment);
    const uint64_t spans = segment_spans(segment) - left->spans;
    const uint64_t bytes = bytes_before > left->bytes ? bytes_before - left->bytes : 0;

    retention->counts.segments[leaver->reason]++;
    retention->counts.spans[leaver->reason] += spans;
    retention->counts.bytes[leaver->reason] += bytes;
    log_info("store", "segment expired",
             "file=%s reason=\"%s\" arrival_max_s=%" PRIu64 " spans=%" PRIu64 " bytes=%" PRIu64
             " spans_kept=%" PRIu64,
             segment->file->name, reasons[leaver->reason],
             (uint64_t)(segment_arrival_max(segment) / NS_PER_S), spans, bytes, left->spans);
}

/* ---- what pins hold a part of ------------------------------------------------------------------------- */

static bool is_pinned(void *context, const struct trace_id *id)
{
    return pin_guard_keeps(context, id);
}

/* Of a service that is kept longer, or pinned. */
static bool stays(void *context, const struct trace_id *id, struct slice service)
{
    const struct sifting *const sifting = context;

    return !service_is_over(sifting->config, sifting->leaver.over, service) ||
           (sifting->guard != NULL && pin_guard_keeps(sifting->guard, id));
}

static void end_sifting(struct retention *retention, struct io *io)
{
    struct sifting *const sifting = &retention->sifting;

    if (sifting->rewrite != NULL) rewrite_close(sifting->rewrite, io);
    if (sifting->view != NULL) catalog_release(retention->catalog, sifting->view);
    catalog_close_files(retention->catalog, io);
    *sifting = (struct sifting){.rewrite = NULL};
}

/* Has the version. */
static enum err begin_sifting(struct retention *retention, struct io *io, const struct catalog_view *view,
                              const struct retention_leaver *leaver)
{
    struct sifting *const sifting = &retention->sifting;

    *sifting = (struct sifting){
        .view = view, .leaver = *leaver, .config = &retention->config, .guard = retention->guard};
    sifting->sieve = leaver->over != 0
                         ? (struct merge_sieve){.takes_span = stays, .context = sifting}
                         : (struct merge_sieve){.takes_trace = is_pinned, .context = retention->guard};
    sifting->sieve.left_out_as = ledger_counts[leaver->reason];
    return rewrite_open(retention->catalog, io, view, leaver->number, &sifting->sieve, &sifting->rewrite);
}

/* Pins that were set meanwhile may want more of it: then it is planned anew. */
static enum err finish_sifting(struct retention *retention, struct io *io)
{
    struct sifting *const sifting = &retention->sifting;

    if (retention->pins != NULL && !pins_hold(retention->pins, pin_guard_list(retention->guard))) return OK;
    const enum err err = rewrite_finish(sifting->rewrite, io);
    if (retention->pins != NULL) pins_let_go(retention->pins);
    TRY(err);
    const struct rewrite_outcome left = rewrite_outcome(sifting->rewrite);
    tell(retention, &sifting->leaver, &left);
    retention->counts.rewrites++;
    return OK;
}

static enum err sift_on(struct retention *retention, struct io *io)
{
    bool complete = false;

    TRY(rewrite_step(retention->sifting.rewrite, io, &complete));
    if (!complete) return OK;
    TRY(finish_sifting(retention, io));
    end_sifting(retention, io);
    return OK;
}

/* ---- a step ------------------------------------------------------------------------------------------- */

static bool goes_by_age(const struct retention_leaver *leaver)
{
    return leaver->reason == RETENTION_AGE && leaver->held.spans == 0;
}

/* Those that go now as a whole, to the front of the plan: all over age, or the first one. */
static uint32_t choose(struct retention_plan *plan)
{
    uint32_t chosen = 0;

    for (uint32_t i = 0; i < plan->count && chosen < LEAVERS_MAX; i++)
        if (goes_by_age(&plan->leavers[i])) plan->leavers[chosen++] = plan->leavers[i];
    return chosen;
}

/* The first one that does not stay as it is; NULL: all do. */
static const struct retention_leaver *first_leaver(const struct retention_plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (!retention_stays(&plan->leavers[i])) return &plan->leavers[i];
    return NULL;
}

static enum err remove_some(struct retention *retention, struct io *io, const struct catalog_view *view,
                            const struct retention_leaver *leavers, uint32_t count)
{
    static const struct rewrite_outcome nothing = {.spans = 0};
    struct segment *inputs[CATALOG_GRAVES_MAX];
    uint32_t inputs_count = 0;

    for (uint32_t i = 0; i < count; i++)
        inputs[inputs_count++] = leavers[i].segment;
    for (uint32_t i = 0; i < view->segments_count && inputs_count < CATALOG_GRAVES_MAX - 1; i++)
        if (view->segments[i]->blocks_count == 0 && view->segments[i]->rows != NULL)
            inputs[inputs_count++] = view->segments[i];
    TRY(leave_ledger(io, view, inputs, inputs_count, leavers[0].reason));
    for (uint32_t i = 0; i < count; i++)
        tell(retention, &leavers[i], &nothing);
    return OK;
}

/* Not when pins have changed since the plan was made: the next look makes another. */
static enum err remove_allowed(struct retention *retention, struct io *io, const struct catalog_view *view,
                               const struct retention_leaver *leavers, uint32_t count)
{
    if (retention->pins == NULL) return remove_some(retention, io, view, leavers, count);
    if (!pins_hold(retention->pins, pin_guard_list(retention->guard))) return OK;
    const enum err err = remove_some(retention, io, view, leavers, count);
    pins_let_go(retention->pins);
    return err;
}

/* *worked: something has been done. Takes the version over when it is written again. */
static enum err carry_out(struct retention *retention, struct io *io, const struct catalog_view **view,
                          struct retention_plan *plan, bool *worked)
{
    const struct retention_leaver *const first = first_leaver(plan);

    retention->counts.held_segments = plan->held_segments;
    retention->counts.held_spans = plan->held_spans;
    if (must_wait(retention, plan, io) || first == NULL) return OK;
    *worked = true;
    const struct retention_leaver leaver = *first; /* choose() moves them */
    const uint32_t aged = choose(plan);
    if (aged > 0) return remove_allowed(retention, io, *view, plan->leavers, aged);
    if (leaver.held.spans == 0) return remove_allowed(retention, io, *view, &leaver, 1);
    const struct catalog_view *const held = *view;
    *view = NULL;
    return begin_sifting(retention, io, held, &leaver);
}

/* Some hundred milliseconds of reading, then others have their turn. */
static enum err check_blocks(void *context)
{
    struct retention *const retention = context;

    if (retention->blocks_left == 0) return ERR_BUSY;
    retention->blocks_left--;
    return OK;
}

static enum err look(struct retention *retention, struct io *io, uint64_t now_ns, bool *worked)
{
    struct catalog *const catalog = retention->catalog;
    struct retention_facts facts = {.config = &retention->config,
                                    .guard = retention->guard,
                                    .ages = retention->ages,
                                    .io = io,
                                    .may_rewrite = io_now_ns(io) >= retention->rest_until_ns};
    struct retention_plan plan = {.leavers = NULL};
    uint64_t total_bytes;

    TRY(io_space(io, catalog->dir, &facts.free_bytes, &total_bytes));
    /* On its way, or held by backups: nothing else has to go for it. */
    facts.free_bytes += catalog_retired_bytes(catalog) + catalog_kept_bytes(catalog);
    const struct catalog_view *view = catalog_acquire(catalog);
    facts.horizon_ns = horizon(retention, view, io, now_ns);
    if (facts.guard != NULL)
        pin_guard_begin(facts.guard,
                        &(struct pin_guard_look){view, io, facts.horizon_ns, check_blocks, retention});
    enum err err = retention_plan(view, &facts, &plan);
    if (err == OK) err = carry_out(retention, io, &view, &plan, worked);
    retention_plan_free(&plan);
    if (view != NULL) catalog_release(catalog, view);
    catalog_close_files(catalog, io);
    return err;
}

bool retention_step(struct retention *retention, struct io *io, uint64_t now_ns)
{
    bool worked = true;
    enum err err;

    if (!catalog_bury(retention->catalog, io)) return false;
    retention->blocks_left = BLOCKS_A_STEP;
    if (retention->sifting.rewrite != NULL) {
        err = sift_on(retention, io);
    } else {
        worked = false;
        err = look(retention, io, now_ns, &worked);
    }
    if (err == OK) return worked;
    if (err == ERR_BUSY) return true; /* what was read is remembered */
    if (err == ERR_SUPERSEDED) {      /* by a merge, whose output is looked at next */
        end_sifting(retention, io);
        return true;
    }
    if (retention->sifting.rewrite != NULL || retention->sifting.view != NULL)
        retention->rest_until_ns = io_now_ns(io) + REST_NS;
    end_sifting(retention, io);
    retention->counts.failures++;
    log_warn("store", "segments could not be removed", "err=\"%s\"", err_text(err));
    return false;
}

void retention_pause(struct retention *retention, struct io *io)
{
    end_sifting(retention, io);
}

void retention_close(struct retention *retention, struct io *io)
{
    retention_pause(retention, io);
    if (retention->guard != NULL) pin_guard_close(retention->guard);
    service_ages_close(retention->ages);
    pthread_mutex_destroy(&retention->mutex);
    free(retention);
}

/* ---- preview ------------------------------------------------------------------------------------------ */

static void show(const struct retention_plan *plan, const struct retention_question *question)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct retention_leaver *const leaver = &plan->leavers[i];
        const struct segment *const segment = leaver->segment;
        const struct retention_row row = {.arrival_min_ns = segment_arrival_min(segment),
                                          .arrival_max_ns = segment_arrival_max(segment),
                                          .spans = segment_spans(segment),
                                          .bytes = segment_bytes(segment),
                                          .held_spans = leaver->held.spans,
                                          .held_bytes = leaver->held_bytes,
                                          .by_service = leaver->over != 0,
                                          .pin_id = leaver->held.pin_id,
                                          .reason = leaver->reason};
        if (!question->visit(question->context, &row)) return;
    }
}

static enum err preview(struct retention *retention, const struct retention_question *question,
                        struct pin_guard *guard, struct service_ages *ages, bool *waits)
{
    const struct catalog_view *const view = catalog_acquire(retention->catalog);
    const struct retention_facts facts = {
        .config = question->config != NULL ? question->config : &retention->config,
        .horizon_ns = horizon(retention, view, question->io, question->now_ns),
        .free_bytes = question->free_bytes,
        .guard = guard,
        .ages = ages,
        .io = question->io,
        .may_rewrite = true};
    struct retention_plan plan;

    if (guard != NULL)
        pin_guard_begin(guard, &(struct pin_guard_look){view, question->io, facts.horizon_ns, question->check,
                                                        question->context});
    const enum err err = retention_plan(view, &facts, &plan);
    if (err == OK) {
        *waits = retention_takes_too_much(&plan);
        show(&plan, question);
    }
    retention_plan_free(&plan);
    catalog_release(retention->catalog, view);
    return err;
}

enum err retention_preview(struct retention *retention, const struct retention_question *question,
                           bool *waits)
{
    struct pin_guard *guard = NULL;
    struct service_ages *ages;

    TRY(service_ages_open(&ages));
    enum err err = retention->pins == NULL
                       ? OK
                       : pin_guard_open(retention->pins, question->matcher, PIN_GUARD_TRACES_MAX, &guard);
    if (err == OK) err = preview(retention, question, guard, ages, waits);
    if (guard != NULL) pin_guard_close(guard);
    service_ages_close(ages);
    return err;
}
