/*
 * A life of a store, from its start on a simulated disk to its stop, and the requests that it is sent: the steps of
 * a workload (workload.h) played on a real shard, with the model (model.h) kept beside it.
 */
#ifndef TESTS_SIM_LIFE_H
#define TESTS_SIM_LIFE_H

#include "model.h"

#include "query/selection.h"
#include "store/compaction.h"
#include "store/erasures.h"
#include "store/retention.h"

#include <malloc.h>
#include <sys/prctl.h>

enum {
    DEPTH_MAX = 3,   /* a crash, in its recovery or second life, in the recovery of that */
    POOL_BLOCKS = 3, /* live blocks of one world */
};

/* A request on its way through the shard. */
struct sending {
    struct shard_ingest ingest;
    struct shard_body body;
    struct life *life;
    bool landed;
    bool journaled; /* it will be, when accepted */
    unsigned place; /* in the model's list, then */
};

/* One life of a store: a world, what it has promised, and what is in flight in it. */
struct life {
    struct world world;
    struct model model;
    struct sending sendings[WORKLOAD_STEPS_MAX]; /* none is used twice in a life */
    unsigned sendings_count;
    uint64_t position;           /* of the last answer */
    struct compactor *compactor; /* NULL until needed */
    bool trims;                  /* the three below are there from the start */
    bool fails;                  /* operations fail, or did in a life before: an erasure may end incomplete */
    struct pins *pins;
    struct selection *selection;
    struct retention *retention;
    struct erasures *erasures;
    struct eraser *eraser;
    struct {
        uint64_t job, seq;
        bool any;
    } cut; /* what has to be sealed before the job is done, as main/keeper.c does it */
    unsigned depth;
    bool serving; /* from the end of recovery to the beginning of the stop: the live set may be looked at */
    bool disordered;
    uint64_t merge_steps; /* that did something, in all lives */
    uint64_t rewrites;    /* by retention, in all lives */
    uint64_t erased;      /* spans, in all lives */
    uint64_t incomplete;  /* looks at an erasure that ended before all was gone, and says so; in all lives */
    uint64_t failures;    /* requests whose journal write failed, in all lives */
    uint64_t drops;       /* those of them that are gone, for the journal went on, in all lives */
};

static struct live_block *pools[DEPTH_MAX + 1][POOL_BLOCKS];
static struct life *lives[DEPTH_MAX + 1]; /* one for each depth, used again and again */

/*
 * A life is short, and the next one asks for the same memory: it stays with us. Without this, a third of a campaign's time is
 * the system's, making huge pages zero of which a life uses some kilobytes.
 */
static inline void lives__keep_memory(void)
{
    enum { KEEP_BYTES = 1 << 30, GROW_BYTES = 16 << 20 };

    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES); /* of no effect under a sanitizer */
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    mallopt(M_TOP_PAD, GROW_BYTES);
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static inline void lives_open(void)
{
    lives__keep_memory();
    for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
        lives[depth] = calloc(1, sizeof *lives[depth]);
        assert(lives[depth] != NULL);
        for (unsigned i = 0; i < POOL_BLOCKS; i++) {
            const enum err err = live_open(0, &pools[depth][i]);
            assert(err == OK);
        }
    }
}

static inline void lives_close(void)
{
    for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
        for (unsigned i = 0; i < POOL_BLOCKS; i++)
            live_close(pools[depth][i]);
        free(lives[depth]);
    }
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static inline struct world_config life_config(struct sim *sim, unsigned depth)
{
    return (struct world_config){
        .sim = sim,
        .live_blocks = POOL_BLOCKS,
        .live_pool = pools[depth],
        .file_bytes = 128 << 10,
        .cap_bytes = 512 << 10,
        .body_bytes_max = 100 << 10,
        .stall_ns_max = 10 * NS_PER_S,
    };
}

static inline void life_on_done(struct shard_ingest *ingest)
{
    struct sending *sending = (struct sending *)ingest; /* its first member */
    struct life *life = sending->life;
    sending->landed = true;
    if (!sending->journaled || ingest->live == NULL) return; /* refused */
    if (ingest->err != OK) {
        life->model.failed[sending->place] = true;
        life->failures++;
        return;
    }
    life->disordered |= ingest->position <= life->position;
    life->position = ingest->position;
    life->model.acked++;
    for (unsigned i = 0; i < sending->place; i++) {
        life->drops += life->model.failed[i] && !life->model.dropped[i];
        life->model.dropped[i] = life->model.failed[i];
    }
}

static inline void life_send(struct life *life, const struct step *step)
{
    struct bodies_request request = workload_request(step->id);
    if (step->kind == STEP_EMPTY) request.spans = 0;
    size_t len;
    uint8_t *bytes = step->kind == STEP_GZIP ? bodies_make_gzip(&request, &len) : bodies_make(&request, &len);
    if (step->kind == STEP_MALFORMED) len -= 1 + len / 3;

    struct sending *sending = &life->sendings[life->sendings_count++];
    *sending = (struct sending){.life = life};
    if (shard_body_acquire(life->world.shard, len, &sending->body)) {
        memcpy(sending->body.ptr, bytes, len);
        sending->body.len = len;
        sending->journaled = step->kind == STEP_SEND || step->kind == STEP_GZIP;
        sending->ingest = (struct shard_ingest){
            .body = &sending->body,
            .codec = step->kind == STEP_GZIP ? JOURNAL_CODEC_GZIP : JOURNAL_CODEC_NONE,
            .done = life_on_done,
        };
        shard_ingest(life->world.shard, &sending->ingest);
        /* queued: from now on it may come back after a crash */
        if (sending->journaled && sending->ingest.live != NULL) {
            sending->place = life->model.count;
            model_sent(&life->model, step->id);
        }
    } else {
        sending->landed = true;
    }
    free(bytes);
}

static inline bool life_landed(const struct life *life)
{
    for (unsigned i = 0; i < life->sendings_count; i++) {
        if (!life->sendings[i].landed) return false;
    }
    return true;
}

static inline void life_land(struct life *life)
{
    for (unsigned turn = 0; !life_landed(life) && turn < 10000; turn++) {
        if (shard_turn(life->world.shard, NS_PER_MS) != OK) return;
    }
}

/* A journal that has failed goes on when the pool has made another file. */
static inline void life_go_on(struct life *life)
{
    for (unsigned turn = 0; shard_admits(life->world.shard) == ERR_READ_ONLY && turn < 40; turn++) {
        sealer_step(life->world.sealer);
        if (shard_turn(life->world.shard, NS_PER_S) != OK) return;
    }
}

static inline void life_fail_soon(struct life *life, uint32_t draw)
{
    static const enum sim_fault kinds[] = {SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME, SIM_FAULT_SYNC};

    sim_fail(life->world.config.sim, kinds[draw % 4], 1 + draw / 4 % 4,
             draw / 16 % 2 == 0 ? ERR_IO : ERR_NO_SPACE, false);
}

static inline void life_merge(struct life *life)
{
    const struct compaction_config config = {.delay_ns = 1, .reserve_free = 1};
    struct world *const world = &life->world;

    if (life->compactor == NULL) {
        const enum err err = compactor_open(world->catalog, &config, &life->compactor);
        assert(err == OK);
    }
    if (compactor_step(life->compactor, world->pool_io, io_wall_ns(world->pool_io) + 86400 * NS_PER_S))
        life->merge_steps++;
}

/* ---- retention and pins ------------------------------------------------------------------------------ */

/* A trace, or a range that holds whole traces: matches then do not depend on what is sealed. */
static inline struct pin life__pin(const struct model_pin *asked)
{
    const uint32_t first_id = asked->first_trace * 3;
    struct pin pin = {.owner = "sim", .reason = "campaign"};

    if (asked->traces == 1) {
        pin.selector.by_trace = true;
        bodies_trace_id(first_id, pin.selector.trace_id.bytes);
    } else {
        pin.selector.start_ns = bodies_start_ns(first_id);
        pin.selector.end_ns = bodies_start_ns(first_id + 3 * asked->traces);
    }
    return pin;
}

static inline void life_pin(struct life *life, const struct step *step)
{
    struct model *const model = &life->model;

    if (model->asked_count == MODEL_PINS_MAX) return;
    struct model_pin *const asked = &model->asked[model->asked_count++];
    *asked = (struct model_pin){.first_trace = bodies_trace_number(step->id), .traces = 1 + step->id % 3};
    struct pin pin = life__pin(asked);
    if (pins_add(life->pins, life->world.pool_io, 0, &pin) == OK) model_pin_counts(model, asked);
}

/* The oldest pin is removed. */
static inline void life_unpin(struct life *life)
{
    struct model *const model = &life->model;

    if (model->pins_count == 0) return;
    const struct pin_list *const list = pins_acquire(life->pins);
    const uint64_t id = list->pins[0].id;
    pins_release(life->pins, list);
    model->pins[0].leaving = true;
    if (pins_remove(life->pins, life->world.pool_io, id) == OK) model_unpin(model, 0);
}

static inline void life__on_sealed(void *context, uint64_t span_id, struct slice span, bool sealed)
{
    (void)span, (void)sealed;
    ((bool *)context)[span_id >> 32 < WORKLOAD_IDS_MAX ? span_id >> 32 : 0] = true;
}

/* What lies in segments may leave from now on, unless it is pinned. Other lives may be lived while this one reads. */
static inline void life__expose(struct life *life)
{
    bool sealed[WORKLOAD_IDS_MAX] = {false};
    const struct world__emit emit = {life__on_sealed, sealed};
    const struct catalog_view *const view = catalog_acquire(life->world.catalog);

    for (uint32_t i = 0; i < catalog_blocks(view); i++)
        (void)world__block(life->world.pool_io, view, i, &emit);
    catalog_release(life->world.catalog, view);
    for (unsigned i = 0; i < life->model.count; i++)
        life->model.may_leave[i] |= !life->model.pinned[i] && sealed[life->model.ids[i]];
}

static inline void life_retain(struct life *life)
{
    struct world *const world = &life->world;
    const uint64_t rewrites = retention_counts(life->retention)->rewrites;

    life__expose(life);
    (void)retention_step(life->retention, world->pool_io, io_wall_ns(world->pool_io));
    life->rewrites += retention_counts(life->retention)->rewrites - rewrites;
}

/* ---- erasures ---------------------------------------------------------------------------------------- */

static inline bool life__all_sealed(void *context, uint64_t job)
{
    struct life *const life = context;

    if (life->cut.job != job) {
        struct shard_live_set live;
        shard_live_acquire(life->world.shard, &live);
        life->cut.job = job;
        life->cut.any = false;
        for (unsigned i = 0; i < live.count; i++) {
            if (live_published(live.blocks[i]).rows == 0) continue;
            if (!life->cut.any || live.blocks[i]->seq > life->cut.seq) life->cut.seq = live.blocks[i]->seq;
            life->cut.any = true;
        }
        shard_live_release(life->world.shard, &live);
    }
    return !life->cut.any || catalog_next_seq(life->world.catalog, 0) > life->cut.seq;
}

/*
 * Only requests that were answered OK are covered, so the others land first; none may be left of those that failed and might
 * still come back.
 */
static inline void life_erase(struct life *life, const struct step *step)
{
    struct model *const model = &life->model;
    struct erasure erasure = {.selector = {.by_trace = true}, .owner = "sim", .reason = "campaign"};

    life_land(life);
    if (model->erasures_count == MODEL_PINS_MAX || !model_is_settled(model) ||
        model_is_erased(model, step->id))
        return;
    struct model_erasure *const asked = model_erase(model, bodies_trace_number(step->id));
    bodies_trace_id(asked->trace * 3, erasure.selector.trace_id.bytes);
    asked->answered = erasures_add(life->erasures, life->world.pool_io, &erasure) == OK;
}

/* The job of the list that a model's erasure is: the n-th of those that are known, in order. */
static inline bool life__is_erasure(const struct erasure *found, const struct model_erasure *asked)
{
    struct trace_id id;

    bodies_trace_id(asked->trace * 3, id.bytes);
    return memcmp(id.bytes, found->selector.trace_id.bytes, sizeof id.bytes) == 0;
}

/*
 * Notes what is done, and whether every job that was answered is in the list, in order. One that was not may be in it: it has
 * been asked for, and so it may be carried out.
 */
static inline bool life__erasures_hold(struct life *life)
{
    struct model *const model = &life->model;
    const struct erasure_list *const list = erasures_acquire(life->erasures);
    uint32_t at = 0;
    bool hold = !list->damaged;

    for (unsigned i = 0; hold && i < model->erasures_count; i++) {
        struct model_erasure *const asked = &model->erasures[i];
        const bool found = at < list->count && life__is_erasure(&list->erasures[at], asked);
        hold = found || !asked->answered;
        if (!found) continue;
        const enum erasure_state state = list->erasures[at++].state;
        hold = hold && (state == ERASURE_DONE || !asked->done);
        if (state == ERASURE_DONE) model_erasure_done(model, asked);
        if (state == ERASURE_INCOMPLETE) life->incomplete++;
        hold = hold && (state != ERASURE_INCOMPLETE || life->fails);
    }
    hold = hold && at == list->count;
    erasures_release(life->erasures, list);
    return hold;
}

static inline void life_eraser(struct life *life)
{
    struct world *const world = &life->world;
    const uint64_t erased = eraser_counts(life->eraser)->spans;

    (void)eraser_step(life->eraser, world->pool_io);
    life->erased += eraser_counts(life->eraser)->spans - erased;
    if (!life__erasures_hold(life)) life->disordered = true;
}

static inline bool life__is_pin(const struct pin *found, const struct model_pin *asked)
{
    const struct pin pin = life__pin(asked);

    return memcmp(&pin.selector, &found->selector, sizeof pin.selector) == 0;
}

/* A pin that was not answered, or was told to have failed, may be there, if somebody asked for it. */
static inline bool life__adopt(struct model *model, const struct pin *found)
{
    for (unsigned i = 0; i < model->asked_count; i++) {
        if (!life__is_pin(found, &model->asked[i])) continue;
        model_pin_counts(model, &model->asked[i]);
        return true;
    }
    return false;
}

/* Pins that were answered are there, but for those that were to be removed, and at most one more. */
static inline bool life__pins_hold(struct life *life)
{
    struct model *const model = &life->model;
    const struct pin_list *const list = pins_acquire(life->pins);
    bool hold = !list->damaged;
    unsigned at = 0;

    while (hold && at < model->pins_count) {
        if (at < list->count && life__is_pin(&list->pins[at], &model->pins[at]))
            model->pins[at++].leaving = false; /* it stays, then */
        else if (model->pins[at].leaving)
            model_unpin(model, at);
        else
            hold = false;
    }
    if (hold && at < list->count) hold = life__adopt(model, &list->pins[at++]);
    hold = hold && at == list->count;
    pins_release(life->pins, list);
    return hold;
}

static inline enum err life__open_retention(struct life *life)
{
    const struct retention_config config = {.bytes_max = 1};
    struct world *const world = &life->world;

    TRY(pins_open(world->pool_io, world->root, world->superblock.instance, &life->pins));
    TRY(selection_open(&life->selection));
    const struct selector_matcher matcher = selection_matcher(life->selection);
    TRY(retention_open(world->catalog, &config, life->pins, &matcher, &life->retention));
    TRY(erasures_open(world->pool_io, world->root, world->superblock.instance, &life->erasures));
    life->cut.job = 0;
    TRY(eraser_open(&(struct eraser_config){.catalog = world->catalog,
                                            .erasures = life->erasures,
                                            .matcher = matcher,
                                            .all_sealed = life__all_sealed,
                                            .context = life},
                    &life->eraser));
    return life__pins_hold(life) && life__erasures_hold(life) ? OK : ERR_CORRUPT;
}

static inline void life__close_retention(struct life *life)
{
    if (life->eraser != NULL) eraser_close(life->eraser, life->world.pool_io);
    if (life->erasures != NULL) erasures_close(life->erasures);
    life->eraser = NULL;
    life->erasures = NULL;
    if (life->retention != NULL) retention_close(life->retention, life->world.pool_io);
    if (life->selection != NULL) selection_close(life->selection);
    if (life->pins != NULL) pins_close(life->pins);
    life->retention = NULL;
    life->selection = NULL;
    life->pins = NULL;
}

static inline void life_take(struct life *life, const struct step *step)
{
    struct world *world = &life->world;

    switch (step->kind) {
    case STEP_SEND:
    case STEP_GZIP:
    case STEP_MALFORMED:
    case STEP_EMPTY: life_send(life, step); return;
    case STEP_FLUSH: shard_flush(world->shard); return;
    case STEP_TURN: shard_turn(world->shard, NS_PER_MS); return;
    case STEP_SEAL_TURN: sealer_step(world->sealer); return;
    case STEP_CLOSE: shard_close_live(world->shard); return;
    case STEP_LAND:
        life_land(life);
        life_go_on(life);
        return;
    case STEP_FAULT: life_fail_soon(life, step->id); return;
    case STEP_MERGE: life_merge(life); return;
    case STEP_PIN: life_pin(life, step); return;
    case STEP_RETAIN: life_retain(life); return;
    case STEP_ERASE: life_erase(life, step); return;
    case STEP_ERASER: life_eraser(life); return;
    case STEP_IDLE:
        for (unsigned turn = 0; turn < 4; turn++)
            shard_turn(world->shard, NS_PER_S);
        life_go_on(life);
        return;
    }
}

/* A life begins: recovery on what is there. The model is what the lives before have promised. */
static inline enum err life_begin(struct life *life, struct sim *sim, const struct model *model,
                                  unsigned depth)
{
    const struct world_config config = life_config(sim, depth);

    life->model = *model;
    life->depth = depth;
    life->position = 0;
    life->disordered = false;
    life->serving = false;
    life->sendings_count = 0;
    life->compactor = NULL;
    enum err err = world_start(&life->world, &config);
    if (err == OK && life->trims) {
        err = life__open_retention(life);
        if (err != OK) {
            life__close_retention(life);
            world_stop(&life->world);
        }
    }
    life->serving = err == OK;
    return err;
}

static inline void life_run(struct life *life, const struct workload *workload)
{
    for (unsigned i = 0; i < workload->count; i++)
        life_take(life, &workload->steps[i]);
}

static inline void life_finish(struct life *life)
{
    world_settle(&life->world);
    for (unsigned i = 0; i < life->sendings_count; i++) {
        struct sending *sending = &life->sendings[i];
        if (sending->body.ptr != NULL) shard_body_release(life->world.shard, &sending->body);
    }
    life->serving = false;
    if (life->compactor != NULL) compactor_close(life->compactor, life->world.pool_io);
    life__close_retention(life);
    world_stop(&life->world);
}

/* How many requests must come back if the life ended now: what was answered, or could be seen. */
static inline unsigned life_promised(const struct life *life)
{
    if (!life->serving || life->trims) return life->model.acked;
    const unsigned visible = model_visible(&life->model, &life->world);

    return visible > life->model.acked ? visible : life->model.acked;
}

#endif
