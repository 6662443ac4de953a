/*
 * The operations of a store, each as a whole, and the stores that sequences of them begin with: see sim_short.c.
 *
 *   empty     nothing: the sequence meets the first start of all
 *   segments  two closed segments with a trace that lies in both, an open one, rows that are only in the journal
 *   merged    two merged segments of two windows, an open one, a pin, rows that are only in the journal
 */
#ifndef TESTS_SIM_SHORT_H
#define TESTS_SIM_SHORT_H

#include "life.h"

#include "store/scrub.h"

enum op {
    OP_APPEND,  /* two requests; with the first under way, until both are answered */
    OP_SEAL,    /* the live block is closed and sealed */
    OP_CLOSE,   /* the open segment gets its footer */
    OP_MERGE_1, /* what lies in windows that are over */
    OP_MERGE_2, /* and what lies in days that are over */
    OP_RETAIN,  /* all that pins do not hold leaves */
    OP_PIN,     /* one more trace, or two or three in a row */
    OP_UNPIN,   /* the oldest pin is removed */
    OP_ERASE,   /* a trace more, as far as the job comes: it seals, but closes no segment */
    OP_SCRUB,   /* a whole pass */
    OP_RESTART, /* an orderly stop and a start */
    OPS,
};

static const char *const op_names[OPS] = {"append", "seal",  "close", "merge-1", "merge-2", "retain",
                                          "pin",    "unpin", "erase", "scrub",   "restart"};

enum base { BASE_EMPTY, BASE_SEGMENTS, BASE_MERGED, BASES };
static const char *const base_names[BASES] = {"empty", "segments", "merged"};

enum { STEPS_OF_OP_MAX = 200 /* no operation takes so many */ };
static const uint64_t short_window_ns = 600 * NS_PER_S;

static inline void short__append(struct life *life)
{
    const unsigned count = life->model.count;

    life_send(life, &(struct step){STEP_SEND, count + 1});
    shard_flush(life->world.shard);
    life_send(life, &(struct step){STEP_GZIP, count + 2});
    life_land(life);
}

static inline void short__seal(struct life *life)
{
    shard_close_live(life->world.shard);
    world_settle(&life->world);
}

/* later_ns: as if so much time had passed. */
static inline void short__merge(struct life *life, uint64_t later_ns)
{
    const struct compaction_config config = {.window_ns = short_window_ns, .delay_ns = 1, .reserve_free = 1};
    struct io *const io = life->world.pool_io;
    struct compactor *compactor = NULL;
    unsigned steps = 0;
    const enum err err = compactor_open(life->world.catalog, &config, &compactor);

    assert(err == OK);
    while (compactor_step(compactor, io, io_wall_ns(io) + later_ns)) {
        life->merge_steps++;
        assert(++steps < STEPS_OF_OP_MAX);
    }
    compactor_close(compactor, io);
}

static inline void short__retain(struct life *life)
{
    struct io *const io = life->world.pool_io;
    unsigned steps = 0;

    life__expose(life);
    while (retention_step(life->retention, io, io_wall_ns(io)))
        assert(++steps < STEPS_OF_OP_MAX);
}

/* Pins and erasures name other traces each time; the first pin holds what the first erasure removes. */
static inline void short__erase(struct life *life)
{
    life_erase(life, &(struct step){STEP_ERASE, 1 + 6 * life->model.erasures_count});
    for (unsigned steps = 0; steps < 3; steps++)
        life_eraser(life); /* before all is sealed: it looks, and waits */
    short__seal(life);
    sim_advance(life->world.config.sim, 3 * NS_PER_S);
    for (unsigned steps = 0; steps < 8; steps++)
        life_eraser(life);
}

static inline bool short__pause(void *context, uint64_t bytes)
{
    (void)context, (void)bytes;
    return true;
}

static inline void short__scrub(struct life *life)
{
    const struct scrub_config config = {.every_ns = 1, .pause = short__pause};
    struct world *const world = &life->world;
    struct scrubber *scrubber = NULL;
    const enum err err = scrubber_open(world->pool_io, world->root, world->catalog, &config, &scrubber);

    assert(err == OK);
    for (unsigned steps = 0; scrubber_counts(scrubber)->passes == 0; steps++) {
        (void)scrubber_step(scrubber, world->pool_io);
        assert(steps < STEPS_OF_OP_MAX);
    }
    life->disordered |= scrubber_counts(scrubber)->faults > 0;
    scrubber_close(scrubber, world->pool_io);
}

static inline void short__restart(struct life *life)
{
    struct sim *const sim = life->world.config.sim;
    const struct model model = life->model;

    life_finish(life);
    const enum err err = life_begin(life, sim, &model, life->depth);
    assert(err == OK);
}

static inline void short_take(struct life *life, enum op op)
{
    switch (op) {
    case OP_APPEND: short__append(life); return;
    case OP_SEAL: short__seal(life); return;
    case OP_CLOSE: (void)segment_seal(life->world.catalog, life->world.pool_io, 0); return;
    case OP_MERGE_1: short__merge(life, 2 * short_window_ns); return;
    case OP_MERGE_2: short__merge(life, 2 * 86400 * NS_PER_S); return;
    case OP_RETAIN: short__retain(life); return;
    case OP_PIN: life_pin(life, &(struct step){STEP_PIN, 1 + 3 * life->model.asked_count}); return;
    case OP_UNPIN: life_unpin(life); return;
    case OP_ERASE: short__erase(life); return;
    case OP_SCRUB: short__scrub(life); return;
    case OP_RESTART: short__restart(life); return;
    case OPS: break;
    }
    assert(false);
}

static inline void short__take_all(struct life *life, const enum op *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        short_take(life, ops[i]);
}

/* What a base consists of, from an empty disk on. The life goes on. */
static inline void short_prepare(struct life *life, enum base base)
{
    static const enum op closed[] = {OP_APPEND, OP_SEAL, OP_CLOSE}, sealed[] = {OP_APPEND, OP_SEAL};

    if (base == BASE_EMPTY) return;
    short__take_all(life, closed,
                    3); /* two requests each: the second trace begins in one and ends in the other */
    short__take_all(life, closed, 3);
    if (base == BASE_MERGED) {
        short_take(life, OP_MERGE_1);
        sim_advance(life->world.config.sim, 2 * short_window_ns);
        short__take_all(life, closed, 3);
        short__take_all(life, closed, 3);
        short_take(life, OP_MERGE_1);
        short_take(life, OP_PIN);
    }
    short__take_all(life, sealed, 2);
    short_take(life, OP_APPEND);
}

#endif
