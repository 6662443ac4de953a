/*
 * The model that a recovered store is compared with: the requests handed to the journal, in order, and how
 * many of them were answered. What a store may show after a crash is exactly a prefix of that list, no
 * shorter than what was answered or visible, each request whole, each span as it was sent, as often as it was
 * sent.
 *
 * Each time the journal goes on after a failure, another stretch of the list begins. A request whose journal write failed may
 * be there as long as no later stretch is durable: what counts is the list without all such requests, or the list to the end of
 * some stretch with those of that stretch. Once a later request was answered OK, it must not be there any more.
 *
 * What retention had the right to remove may be missing in that prefix, unless a pin held it before; what was erased must not be there.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "../unit/shard/world.h"
#include "workload.h"

enum { MODEL_PINS_MAX = 64 };

struct model {
    uint32_t ids[WORKLOAD_STEPS_MAX]; /* in LSN order, repeats included */
    unsigned count;
    unsigned acked;                  /* so many were answered OK: the first ones but for those that failed */
    bool failed[WORKLOAD_STEPS_MAX]; /* by place: answered 503 in this life */
    unsigned stretch[WORKLOAD_STEPS_MAX]; /* by place: how often the journal had gone on in this life */
    bool dropped[WORKLOAD_STEPS_MAX];     /* by place: failed, and a later one was answered OK */
    /* where retention removes what it may (workload_shape.trims) */
    bool may_leave[WORKLOAD_STEPS_MAX]; /* by place: it was in a closed segment when retention took a step */
    bool pinned[WORKLOAD_STEPS_MAX];    /* by place: a pin that was answered before holds it */
    bool missing[WORKLOAD_STEPS_MAX];   /* by place: the last comparison did not find it */
    struct model_pin {
        uint32_t first_trace, traces; /* bodies_trace_number() */
        bool leaving;                 /* its removal has been asked for, and was not answered */
    } pins[MODEL_PINS_MAX];           /* that were answered, or were there after a crash */
    struct model_pin asked[MODEL_PINS_MAX];
    unsigned pins_count, asked_count;
    /* erasures, by trace */
    bool erased[WORKLOAD_STEPS_MAX]; /* by place: must not be there any more */
    struct model_erasure {
        uint32_t trace;
        unsigned sent;    /* so many requests had been sent when it was asked for */
        unsigned settled; /* what is left of those */
        bool answered, done;
    } erasures[MODEL_PINS_MAX]; /* in the order of asking */
    unsigned erasures_count;
};

static inline bool model_is_pinned(const struct model *model, uint32_t id)
{
    for (unsigned i = 0; i < model->pins_count; i++)
        if (bodies_trace_number(id) - model->pins[i].first_trace < model->pins[i].traces) return true;
    return false;
}

static inline bool model_is_erased(const struct model *model, uint32_t id)
{
    for (unsigned i = 0; i < model->erasures_count; i++)
        if (bodies_trace_number(id) == model->erasures[i].trace) return true;
    return false;
}

/* Is it known of all requests whether they stay? */
static inline bool model_is_settled(const struct model *model)
{
    unsigned settled = model->acked;

    for (unsigned i = 0; i < model->count; i++)
        settled += model->dropped[i];
    return settled == model->count;
}

/* A request that is queued, and from now on may come back after a crash. */
static inline void model_sent(struct model *model, uint32_t id)
{
    const unsigned last = model->count - 1;

    /* the shard takes nothing between a failure and the journal's going on */
    model->stretch[model->count] = model->count == 0 ? 0 : model->stretch[last] + model->failed[last];
    model->failed[model->count] = model->dropped[model->count] = false;
    model->erased[model->count] = false;
    model->may_leave[model->count] = model_is_erased(model, id); /* it came after, and is alike */
    model->pinned[model->count] = !model->may_leave[model->count] && model_is_pinned(model, id);
    model->ids[model->count++] = id;
}

/* A pin counts: it holds what nothing has had the right to remove. */
static inline void model_pin_counts(struct model *model, const struct model_pin *pin)
{
    model->pins[model->pins_count++] = *pin;
    for (unsigned i = 0; i < model->count; i++)
        model->pinned[i] |= !model->may_leave[i] && model_is_pinned(model, model->ids[i]);
}

/* A pin is gone: what no other one holds may leave. */
static inline void model_unpin(struct model *model, unsigned number)
{
    model->pins_count--;
    for (unsigned i = number; i < model->pins_count; i++)
        model->pins[i] = model->pins[i + 1];
    for (unsigned i = 0; i < model->count; i++)
        model->pinned[i] = !model->may_leave[i] && model_is_pinned(model, model->ids[i]);
}

/* Of all that a crash must not undo, to find equal images; must: so many requests have to come back. */
static inline uint64_t model_hash(const struct model *model, unsigned must)
{
    return hash_fast(model, sizeof *model, must);
}

/* LOST: acknowledged and gone, or gone without a word. */
enum verdict { GOOD, LOST, DOUBLED, WRONG };

static inline const char *verdict_text(enum verdict verdict)
{
    static const char *const texts[] = {"good", "lost", "doubled", "wrong"};
    return texts[verdict];
}

/* What was found in a store. */
struct model__found {
    uint32_t spans[WORKLOAD_IDS_MAX][4]; /* how often each span was seen */
    bool altered;
};

/* What the span must look like; made once, for it is compared with a hundred thousand times. */
static inline struct slice model__expected(uint32_t id, uint32_t index)
{
    static uint8_t buffer[BODIES_SPAN_BYTES_MAX];
    static struct slice made[WORKLOAD_IDS_MAX][4];
    struct slice *const expected = &made[id][index];

    if (expected->ptr == NULL) {
        const struct bodies_request request = workload_request(id);
        struct wire_writer writer = {.base = buffer, .capacity = sizeof buffer};
        bodies_span(&request, index, &writer);
        assert(wire_writer_fits(&writer));
        const struct slice bytes = wire_writer_bytes(&writer);
        uint8_t *const copy = malloc(bytes.len); /* until the end */
        assert(copy != NULL);
        memcpy(copy, bytes.ptr, bytes.len);
        *expected = slice_of(copy, bytes.len);
    }
    return *expected;
}

static inline void model__on_span(void *context, uint64_t span_id, struct slice span, bool sealed)
{
    struct model__found *found = context;
    const uint32_t id = (uint32_t)(span_id >> 32), index = (uint32_t)span_id - 1;
    (void)sealed;

    if (id >= WORKLOAD_IDS_MAX || index >= 4) {
        found->altered = true;
        return;
    }
    if (index >= workload_request(id).spans || !slice_equal(model__expected(id, index), span))
        found->altered = true;
    found->spans[id][index]++;
}

/* From now on what it names may leave; pins do not hold it. */
static inline struct model_erasure *model_erase(struct model *model, uint32_t trace)
{
    struct model_erasure *const erasure = &model->erasures[model->erasures_count++];

    *erasure = (struct model_erasure){.trace = trace, .sent = model->count};
    for (unsigned i = 0; i < model->count; i++) {
        if (bodies_trace_number(model->ids[i]) != trace) continue;
        model->may_leave[i] = true;
        model->pinned[i] = false;
    }
    return erasure;
}

/* And from now on it must not be there. */
static inline void model_erasure_done(struct model *model, struct model_erasure *erasure)
{
    if (erasure->done) return;
    erasure->done = true;
    for (unsigned i = 0; i < erasure->sent && i < model->count; i++)
        model->erased[i] |= bodies_trace_number(model->ids[i]) == erasure->trace;
}

/*
 * In a view, the first requests up to some one must be there, but for those that may have left, and none behind it. The view:
 * the list to the end of a stretch, with those of it that failed; or all of it without any that failed. must: so many of those
 * that did not fail are among the first. seen: how often each was; total: all of them.
 */
enum { MODEL__NONE_FAILED = UINT32_MAX / 2 };
static inline enum verdict model__prefix(struct model *model, unsigned stretch, unsigned must, unsigned total,
                                         const uint32_t *seen, unsigned *prefix)
{
    static uint32_t left[WORKLOAD_IDS_MAX];
    unsigned i = 0, passed = 0; /* of those that did not fail */

    memcpy(left, seen, sizeof left);
    for (; i < model->count && model->stretch[i] <= stretch && (total > 0 || passed < must); i++) {
        const bool viewed = !model->dropped[i] && (!model->failed[i] || model->stretch[i] == stretch);
        model->missing[i] = !viewed || left[model->ids[i]] == 0;
        passed += !model->failed[i];
        if (!viewed) continue;
        if (model->missing[i] && (model->pinned[i] || !model->may_leave[i])) return LOST;
        if (model->missing[i]) continue;
        if (model->erased[i]) return WRONG; /* back from the dead */
        left[model->ids[i]]--;
        total--;
    }
    *prefix = i;
    return total > 0 || passed < must ? LOST : GOOD;
}

/*
 * Compares all that the store shows with the model. On GOOD it shows some of the first *prefix requests: model_settle() keeps
 * those. must: how many of those that did not fail are among the first, acked or more.
 */
static inline enum verdict model_compare(struct model *model, unsigned must, struct world *world,
                                         unsigned *prefix)
{
    static struct model__found found;
    static uint32_t sent[WORKLOAD_IDS_MAX], seen[WORKLOAD_IDS_MAX];
    unsigned total = 0;

    found = (struct model__found){0};
    memset(sent, 0, sizeof sent);
    if (world_read(world, world->io, model__on_span, &found) != OK || found.altered) return WRONG;

    for (uint32_t id = 0; id < WORKLOAD_IDS_MAX; id++) { /* each request whole */
        const uint32_t spans = workload_request(id).spans;
        seen[id] = found.spans[id][0];
        for (uint32_t index = 0; index < 4; index++) {
            if (found.spans[id][index] != (index < spans ? seen[id] : 0)) return WRONG;
        }
        total += seen[id];
    }
    for (unsigned i = 0; i < model->count; i++)
        sent[model->ids[i]] += !model->dropped[i];
    for (uint32_t id = 0; id < WORKLOAD_IDS_MAX; id++) {
        if (seen[id] > 0 && sent[id] == 0) return WRONG; /* from nowhere, or back from the dead */
        if (seen[id] > sent[id]) return DOUBLED;
    }
    const unsigned stretches = model->count == 0 ? 0 : model->stretch[model->count - 1] + 1;
    enum verdict verdict = model__prefix(model, MODEL__NONE_FAILED, must, total, seen, prefix);
    for (unsigned stretch = stretches; verdict != GOOD && stretch-- > 0;)
        verdict = model__prefix(model, stretch, must, total, seen, prefix);
    return verdict;
}

/* What is there becomes the whole model: what is not there now must never come back, and what is there stays. */
static inline void model_settle(struct model *model, unsigned prefix)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < prefix; i++) {
        for (unsigned job = 0; i == 0 && job < model->erasures_count; job++)
            model->erasures[job].settled = 0;
        if (model->missing[i]) continue;
        for (unsigned job = 0; job < model->erasures_count; job++)
            model->erasures[job].settled += i < model->erasures[job].sent;
        model->failed[kept] = model->dropped[kept] = false;
        model->stretch[kept] = 0;
        model->erased[kept] = model->erased[i];
        model->ids[kept] = model->ids[i];
        model->may_leave[kept] = model->may_leave[i];
        model->pinned[kept++] = model->pinned[i];
    }
    model->count = model->acked = kept;
    for (unsigned job = 0; job < model->erasures_count; job++)
        model->erasures[job].sent = prefix > 0 ? model->erasures[job].settled : 0;
}

/*
 * After rot, less may be shown, but nothing else: every span as it was sent and no more often. *missing: some of
 * the model's spans are not there, or a block could not be read.
 */
static inline enum verdict model_check_shown(const struct model *model, struct world *world, bool *missing)
{
    static struct model__found found;
    static uint32_t sent[WORKLOAD_IDS_MAX];
    bool doubled = false;

    found = (struct model__found){0};
    memset(sent, 0, sizeof sent);
    *missing = world_read(world, world->io, model__on_span, &found) != OK;
    if (found.altered) return WRONG;
    for (unsigned i = 0; i < model->count; i++)
        sent[model->ids[i]]++;
    for (uint32_t id = 0; id < WORKLOAD_IDS_MAX; id++) {
        for (uint32_t index = 0; index < 4; index++) {
            const uint32_t times = index < workload_request(id).spans ? sent[id] : 0;
            if (found.spans[id][index] > 0 && times == 0) return WRONG;
            doubled |= found.spans[id][index] > times;
            *missing |= found.spans[id][index] < times;
        }
    }
    return doubled ? DOUBLED : GOOD;
}

/* How many requests of the model that did not fail a query could see now, without reading a file. */
static inline unsigned model_visible(const struct model *model, const struct world *world)
{
    struct shard_live_set live;
    uint64_t rows = 0;

    shard_live_acquire(world->shard, &live);
    const struct catalog_view *view = catalog_acquire(world->catalog);
    for (unsigned i = 0; i < live.count; i++) {
        if (!catalog_has(view, 0, live.blocks[i]->seq)) rows += live_published(live.blocks[i]).rows;
    }
    for (uint32_t i = 0; i < catalog_blocks(view); i++)
        rows += catalog_block(view, i)->summary.spans;
    catalog_release(world->catalog, view);
    shard_live_release(world->shard, &live);

    unsigned visible = 0;
    for (unsigned i = 0; i < model->count; i++) {
        const uint32_t spans = workload_request(model->ids[i]).spans;
        if (model->failed[i]) continue;
        if (rows < spans) break;
        rows -= spans;
        visible++;
    }
    return visible;
}

#endif
