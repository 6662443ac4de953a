/*
 * The generator as source of templates: traces are invented one after the other; each span goes to the batch
 * of the Collector (group) that its service reports to, so a trace is spread over several bodies. A batch
 * that is full becomes a body. One span in twenty is late: it waits until its group's next batch.
 *
 *   trace 1 ─┬─ group 0  [ ········ ]   full -> body 0
 *            ├─ group 1  [ ····     ]
 *   trace 2 ─┴─ …                        late spans of group 0 -> first into its next batch
 *
 * When as many bodies are full as were asked for, what remains in the batches becomes bodies too, joined
 * where they fit into one, so that the last trace is whole. Trace sizes are log-normal with a mean of 8.
 */
#include "source.h"

#include <math.h>
#include <stdlib.h>

#include "batch.h"
#include "span_writer.h"

#define TRACE_SPANS_MEAN  8.0
#define TRACE_SPANS_SIGMA 1.0
#define TRACE_SPANS_MAX   2000
#define LATE_SHARE        0.05
#define TRACE_GAP_NS      200000.0 /* mean time between two traces */
#define EPOCH_NS          1700000000000000000ULL

struct generator {
    const struct stock_config *config;
    struct message_sink *sink;
    struct world world;
    struct dice dice;
    struct call_tree tree;
    struct batch open[WORLD_GROUPS];
    struct batch late[WORLD_GROUPS];
    struct buffer message;
    uint8_t *text; /* span bytes that the batches borrow; pieces taken from chunks that stay where they are */
    size_t text_len, text_capacity;
    struct chunk *chunks; /* all of them, to be freed at the end */
    struct buffer span;
    uint64_t time_ns;
    uint32_t bodies; /* emitted */
};

struct chunk {
    struct chunk *next;
    uint8_t bytes[];
};

#define CHUNK_BYTES (1U << 20)

/* Keeps a copy of the span until the generator ends. */
static enum err keep(struct generator *generator, struct slice span, struct slice *kept)
{
    if (span.len > generator->text_capacity - generator->text_len) {
        const size_t capacity = span.len > CHUNK_BYTES ? span.len : CHUNK_BYTES;
        struct chunk *const chunk = malloc(sizeof *chunk + capacity);
        if (chunk == NULL) return ERR_NO_MEMORY;
        chunk->next = generator->chunks;
        generator->chunks = chunk;
        generator->text = chunk->bytes;
        generator->text_len = 0;
        generator->text_capacity = capacity;
    }
    memcpy(generator->text + generator->text_len, span.ptr, span.len);
    *kept = slice_of(generator->text + generator->text_len, span.len);
    generator->text_len += span.len;
    return OK;
}

static enum err init(struct generator *generator, const struct stock_config *config,
                     struct message_sink *sink)
{
    *generator = (struct generator){.config = config, .sink = sink, .time_ns = EPOCH_NS};
    dice_init(&generator->dice, dice_mix(config->seed) + 1);
    return world_init(&generator->world, config);
}

static void deinit(struct generator *generator)
{
    for (struct chunk *chunk = generator->chunks; chunk != NULL;) {
        struct chunk *const next = chunk->next;
        free(chunk);
        chunk = next;
    }
    for (uint32_t g = 0; g < WORLD_GROUPS; g++) {
        batch_deinit(&generator->open[g]);
        batch_deinit(&generator->late[g]);
    }
    call_tree_deinit(&generator->tree);
    buffer_deinit(&generator->span);
    buffer_deinit(&generator->message);
    world_deinit(&generator->world);
}

static enum err emit(struct generator *generator, struct batch *batch)
{
    if (batch->count == 0) return OK;

    TRY(batch_sort(batch));
    generator->message.len = 0;
    batch_encode(batch, &generator->message);
    if (generator->message.failed) return ERR_NO_MEMORY;
    generator->bodies++;
    return generator->sink->on_message(generator->sink, buffer_slice(&generator->message));
}

/* A full batch becomes a body, and the group's late spans begin the next. */
static enum err add_to_group(struct generator *generator, uint32_t group, struct batch_span span)
{
    struct batch *const open = &generator->open[group];
    struct batch *const late = &generator->late[group];

    if (dice_chance(&generator->dice, LATE_SHARE)) return batch_add(late, span);
    TRY(batch_add(open, span));
    if (open->count < generator->config->spans_per_request) return OK;
    TRY(emit(generator, open));
    while (late->count > 0 && open->count < generator->config->spans_per_request)
        TRY(batch_add(open, late->spans[--late->count]));
    return open->count == generator->config->spans_per_request ? emit(generator, open) : OK;
}

static enum err add_call(struct generator *generator, uint32_t index, const struct trace_traits *traits)
{
    const struct world *const world = &generator->world;
    const struct call *const call = &generator->tree.calls[index];
    const struct service *const service = &world->services[call->service];
    const uint32_t instance = (traits->trace_id[3] + call->service) % service->instances;
    struct slice kept;

    generator->span.len = 0;
    span_writer_put(&generator->span, world, &generator->tree, index, traits, &generator->dice);
    if (generator->span.failed) return ERR_NO_MEMORY;
    TRY(keep(generator, buffer_slice(&generator->span), &kept));
    return add_to_group(
        generator, service->group,
        (struct batch_span){
            .resource = world_piece(world, world->instances[service->instances_first + instance]),
            .scope = world_piece(world, service->scopes[span_scope(call)]),
            .span = kept,
        });
}

static enum err add_trace(struct generator *generator, uint32_t spans)
{
    generator->time_ns += (uint64_t)(TRACE_GAP_NS * 2 * dice_unit(&generator->dice));
    TRY(call_tree_grow(&generator->tree, &generator->world, spans, &generator->dice));
    const struct trace_traits traits = trace_traits_of(&generator->dice, generator->time_ns);
    for (uint32_t i = 0; i < generator->tree.count; i++)
        TRY(add_call(generator, i, &traits));
    return OK;
}

/* What is left in the batches, in bodies of at most the usual size. */
static enum err flush(struct generator *generator)
{
    struct batch *const rest = &generator->open[0];

    for (uint32_t g = 0; g < WORLD_GROUPS; g++) {
        struct batch *const sources[] = {&generator->open[g], &generator->late[g]};
        for (int k = g == 0 ? 1 : 0; k < 2; k++) {
            for (uint32_t i = 0; i < sources[k]->count; i++) {
                if (rest->count == generator->config->spans_per_request) TRY(emit(generator, rest));
                TRY(batch_add(rest, sources[k]->spans[i]));
            }
            sources[k]->count = 0;
        }
    }
    return emit(generator, rest);
}

static uint32_t trace_size(struct dice *dice)
{
    const double mu = log(TRACE_SPANS_MEAN) - TRACE_SPANS_SIGMA * TRACE_SPANS_SIGMA / 2;
    const double size = dice_log_normal(dice, mu, TRACE_SPANS_SIGMA);

    return size < 1 ? 1 : size > TRACE_SPANS_MAX ? TRACE_SPANS_MAX : (uint32_t)(size + 0.5);
}

enum err generator_run(const struct stock_config *config, struct message_sink *sink)
{
    assert(config->spans_per_request > 0 && config->bodies > 0);

    struct generator generator;
    enum err err = init(&generator, config, sink);

    while (err == OK && generator.bodies < config->bodies)
        err = add_trace(&generator, trace_size(&generator.dice));
    if (err == OK) err = flush(&generator);
    deinit(&generator);
    return err;
}

enum err generator_run_giant(const struct stock_config *config, struct message_sink *sink)
{
    assert(config->spans_per_request > 0 && config->giant_spans > 0);

    struct generator generator;
    enum err err = init(&generator, config, sink);

    generator.dice.state ^= 0x5851f42d4c957f2dULL; /* another trace than those of generator_run() */
    if (err == OK) err = add_trace(&generator, config->giant_spans);
    if (err == OK) err = flush(&generator);
    deinit(&generator);
    return err;
}
