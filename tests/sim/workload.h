/*
 * A workload: some forty requests of every kind with pauses, seals and idle moments between them, all of it
 * drawn from a seed. Small bodies share commit groups, large ones are written in place; some are compressed,
 * some malformed, some sent twice, some without spans. In some workloads segments are merged meanwhile.
 */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "../unit/shard/bodies.h"

enum {
    WORKLOAD_STEPS_MAX = 512,
    WORKLOAD_IDS_MAX = 512,
    WORKLOAD_LARGE_PADDING = 18000, /* four such spans: a body beyond the journal's copy limit */
};

enum step_kind {
    STEP_SEND,      /* request `id` */
    STEP_GZIP,      /* the same, compressed */
    STEP_MALFORMED, /* its body, cut short */
    STEP_EMPTY,     /* a body without spans */
    STEP_FLUSH,     /* what the journal has gathered is submitted: with the next, two writes are under way */
    STEP_TURN,      /* one turn of the shard */
    STEP_SEAL_TURN, /* one job of the sealer pool */
    STEP_CLOSE,     /* the open live block is closed, to be sealed */
    STEP_LAND,      /* turns until every answer has come */
    STEP_IDLE,      /* some seconds pass */
    STEP_MERGE,     /* one step of compaction, as if all windows were over */
    STEP_PIN,       /* a pin is set: for the trace of a request sent before, or a range with it */
    STEP_RETAIN,    /* one step of retention that removes all it may */
    STEP_ERASE,     /* the trace of a request sent before is to be erased */
    STEP_ERASER,    /* one step of the eraser */
    STEP_FAULT,     /* some operation soon fails: a write, a sync or a call on a name */
};

struct step {
    enum step_kind kind;
    uint32_t id;
};

struct workload {
    struct step steps[WORKLOAD_STEPS_MAX];
    unsigned count;
    uint64_t random;
};

/* What request `id` looks like in every workload: it follows from the id alone. */
static inline struct bodies_request workload_request(uint32_t id)
{
    const uint64_t draw = hash_mix(id, 101);
    const bool large = draw % 8 == 0;

    return (struct bodies_request){
        .id = id,
        .spans = large ? 4 : 1 + (uint32_t)(draw >> 8) % 4,
        .padding = large ? WORKLOAD_LARGE_PADDING : (uint32_t)(draw >> 16) % 3 * 40,
    };
}

static inline uint64_t workload_draw(struct workload *workload, uint64_t below)
{
    workload->random = hash_mix(workload->random + 0x9e3779b97f4a7c15ULL, 29);
    return workload->random % below;
}

static inline void workload__add(struct workload *workload, enum step_kind kind, uint32_t id)
{
    assert(workload->count < WORKLOAD_STEPS_MAX);
    workload->steps[workload->count++] = (struct step){kind, id};
}

static inline void workload__add_request(struct workload *workload, uint32_t id, uint32_t first_id,
                                         bool may_repeat)
{
    const uint64_t draw = workload_draw(workload, 100);

    if (draw < 60)
        workload__add(workload, STEP_SEND, id);
    else if (draw < 76)
        workload__add(workload, STEP_GZIP, id);
    else if (draw < 84)
        workload__add(workload, STEP_MALFORMED, id);
    else if (draw < 88)
        workload__add(workload, STEP_EMPTY, id);
    else if (id > first_id && may_repeat)
        workload__add(workload, STEP_SEND, first_id + (uint32_t)workload_draw(workload, id - first_id));
}

/* A block is sealed while something is about to fail, and again when the time for that has come. */
static inline void workload__add_failing_seal(struct workload *workload)
{
    static const enum step_kind steps[] = {STEP_LAND, STEP_CLOSE, STEP_TURN,      STEP_FAULT, STEP_SEAL_TURN,
                                           STEP_TURN, STEP_IDLE,  STEP_SEAL_TURN, STEP_TURN,  STEP_SEAL_TURN};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        workload__add(workload, steps[i], (uint32_t)workload_draw(workload, 1000));
}

/* Pins for what was sent of late, which is not sealed yet or just has been; then steps that would remove it. */
static inline void workload__add_trimming(struct workload *workload, uint32_t id, uint32_t first_id)
{
    const uint64_t back = workload_draw(workload, 8);

    if (workload_draw(workload, 6) == 0)
        workload__add(workload, STEP_PIN, id > first_id + back ? id - (uint32_t)back : id);
    for (uint64_t steps = workload_draw(workload, 3) == 0 ? 1 + workload_draw(workload, 4) : 0; steps > 0;
         steps--)
        workload__add(workload, STEP_RETAIN, 0);
    if (workload_draw(workload, 10) == 0)
        workload__add(workload, STEP_ERASE, id > first_id + back ? id - (uint32_t)back : id);
    for (uint64_t steps = workload_draw(workload, 3); steps > 0; steps--)
        workload__add(workload, STEP_ERASER, 0);
}

struct workload_shape {
    uint32_t first_id;
    unsigned requests;
    unsigned close_every; /* about so many requests, a live block is closed */
    unsigned faults;      /* in a hundred requests */
    bool trims;           /* retention removes what pins do not hold */
    bool merges; /* segments are merged; then nothing is sent twice, for equal spans would become one */
};

static inline void workload_make(struct workload *workload, uint64_t seed, const struct workload_shape *shape)
{
    *workload = (struct workload){.random = seed};
    for (uint32_t id = shape->first_id; id < shape->first_id + shape->requests; id++) {
        if (workload_draw(workload, 100) < shape->faults) {
            workload__add(workload, STEP_FAULT, (uint32_t)workload_draw(workload, 1000));
            if (workload_draw(workload, 2) == 0) workload__add_failing_seal(workload);
        }
        workload__add_request(workload, id, shape->first_id, !shape->merges);
        if (workload_draw(workload, 2) == 0) workload__add(workload, STEP_FLUSH, 0);
        for (uint64_t turns = workload_draw(workload, 4); turns > 0; turns--)
            workload__add(workload, STEP_TURN, 0);
        if (workload_draw(workload, 3) == 0) workload__add(workload, STEP_SEAL_TURN, 0);
        if (workload_draw(workload, shape->close_every) == 0) workload__add(workload, STEP_CLOSE, 0);
        if (workload_draw(workload, 12) == 0) workload__add(workload, STEP_LAND, 0);
        if (workload_draw(workload, 20) == 0) workload__add(workload, STEP_IDLE, 0);
        for (uint64_t steps = shape->merges ? workload_draw(workload, 3) : 0; steps > 0; steps--)
            workload__add(workload, STEP_MERGE, 0);
        if (shape->trims) workload__add_trimming(workload, id, shape->first_id);
    }
    workload__add(workload, STEP_LAND, 0);
    for (unsigned steps = shape->merges ? 6 : 0; steps > 0; steps--)
        workload__add(workload, STEP_MERGE, 0);
}

#endif
