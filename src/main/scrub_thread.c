/*
 * The rate is kept by resting behind each read for as long as its bytes are worth. Not SCHED_IDLE: the thread takes the
 * catalog's mutex, and must not be left standing with it.
 */
#include "scrub_thread.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/gate.h"
#include "io/io.h"
#include "io/rank.h"
#include "placement.h"
#include "rest.h"
#include "store/scrub.h"
#include "world.h"

#include <stdlib.h>

static const uint64_t LOOK_NS = NS_PER_S;

struct scrub_thread {
    pthread_t pthread;
    struct world *world;
    struct io *io;
    struct scrubber *scrubber;
    uint64_t rate; /* bytes a second */
    struct rest rest;
};

static void tell_counts(const struct scrub_thread *thread)
{
    struct metrics *const metrics = &thread->world->scrub_metrics;
    const struct scrub_counts *const counts = scrubber_counts(thread->scrubber);

    metric_set(metrics, METRIC_SCRUBBED_BYTES, counts->bytes);
    metric_set(metrics, METRIC_SCRUB_FAULTS, counts->faults);
    metric_set(metrics, METRIC_SCRUB_PASSES, counts->passes);
    metric_set(metrics, METRIC_SCRUB_LAST, counts->last_pass_ns / NS_PER_S);
}

static bool pause_behind(void *context, uint64_t bytes)
{
    struct scrub_thread *const thread = context;

    static_assert(SCRUB_PIECE_BYTES * NS_PER_S < UINT64_MAX / 2, "no overflow");
    return rest_for(&thread->rest, bytes * NS_PER_S / thread->rate);
}

static void *run(void *context)
{
    struct scrub_thread *const thread = context;

    placement_name("scrubber");
    if (!io_rank(IO_SCRUB)) log_warn("main", "the scrubber runs at normal priority", "thread=scrubber");
    while (!rest_is_over(&thread->rest)) {
        const bool worked = scrubber_step(thread->scrubber, thread->io);
        tell_counts(thread);
        if (!worked) rest_for(&thread->rest, LOOK_NS);
    }
    return NULL;
}

static enum err open_thread(struct scrub_thread *thread)
{
    struct world *const world = thread->world;
    const struct scrub_config config = {.every_ns = options_number(world->options, OPTION_SCRUB_EVERY),
                                        .pause = pause_behind,
                                        .context = thread};

    thread->rate = options_number(world->options, OPTION_SCRUB_RATE);
    rest_init(&thread->rest);
    TRY(io_open_plain(&thread->io));
    io_gate_join(thread->io, world->gate, IO_SCRUB);
    return scrubber_open(thread->io, world->data_dir, world->catalog, &config, &thread->scrubber);
}

bool scrub_thread_start(struct world *world)
{
    if (options_number(world->options, OPTION_SCRUB_EVERY) == 0) return true;
    struct scrub_thread *const thread = calloc(1, sizeof *thread);

    if (thread == NULL) return false;
    thread->world = world;
    world->scrub_thread = thread;
    const enum err err = open_thread(thread);
    if (err == OK) tell_counts(thread);
    if (err == OK && pthread_create(&thread->pthread, NULL, run, thread) == 0) return true;
    log_error("main", "cannot start the scrubber", "error=\"%s\"", err_text(err));
    return false;
}

void scrub_thread_stop(struct world *world)
{
    struct scrub_thread *const thread = world->scrub_thread;

    if (thread == NULL) return;
    rest_end(&thread->rest);
    pthread_join(thread->pthread, NULL);
    scrubber_close(thread->scrubber, thread->io);
    io_close(thread->io);
    rest_deinit(&thread->rest);
    world->scrub_thread = NULL;
    free(thread);
}
