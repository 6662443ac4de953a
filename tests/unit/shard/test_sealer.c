#include "fixture.h"

#include <pthread.h>

/* Jobs that note when they ran and on which thread; the store of the fixture lends its catalog. */
struct note {
    struct seal_job job;
    struct sealer *sealer;
    enum err result;
    /* the outcome */
    enum err err;
    unsigned ran, done;
    pthread_t thread;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool gate_open = true;
static unsigned finished, ran_order[64], ran_count;

static enum err run_note(struct seal_job *job, struct io *io)
{
    struct note *note = (struct note *)job; /* its first member */
    cr_assert_not_null(io);
    pthread_mutex_lock(&mutex);
    note->ran++;
    note->thread = pthread_self();
    ran_order[ran_count++] = note->job.shard;
    while (!gate_open)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return note->result;
}

static void note_done(struct seal_job *job, enum err err)
{
    struct note *note = (struct note *)job;
    pthread_mutex_lock(&mutex);
    note->err = err;
    note->done++;
    finished++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static struct note note_of(uint16_t shard, enum err result)
{
    return (struct note){.job = {.shard = shard, .done = note_done, .run = run_note}, .result = result};
}

static void wait_finished(unsigned count)
{
    pthread_mutex_lock(&mutex);
    while (finished < count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static struct sealer *pool_of(unsigned threads)
{
    const struct sealer_config pool = {
        .catalog = world.catalog,
        .threads = threads,
        .io = threads == 0 ? world.io : NULL,
        .metrics = &world.pool_metrics,
    };
    struct sealer *sealer;
    cr_assert_eq(sealer_open(&pool, &sealer), OK);
    return sealer;
}

Test(sealer, steps_through_its_jobs_in_order)
{
    start();
    struct sealer *sealer = pool_of(0);
    struct note notes[3] = {note_of(2, OK), note_of(0, ERR_IO), note_of(1, OK)};
    cr_assert_not(sealer_step(sealer));
    for (int i = 0; i < 3; i++)
        sealer_submit(sealer, &notes[i].job);
    cr_assert_eq(ran_count, 0, "nothing runs by itself");
    for (int i = 0; i < 3; i++)
        cr_assert(sealer_step(sealer));
    cr_assert_not(sealer_step(sealer));
    cr_assert_eq(ran_order[0], 2);
    cr_assert_eq(ran_order[1], 0);
    cr_assert_eq(ran_order[2], 1);
    cr_assert_eq(notes[1].err, ERR_IO);
    cr_assert_eq(notes[2].err, OK);
    sealer_close(sealer);
    end();
}

Test(sealer, runs_jobs_on_its_threads, .timeout = 60)
{
    start();
    struct sealer *sealer = pool_of(3);
    struct note notes[20];
    for (uint16_t i = 0; i < 20; i++) {
        notes[i] = note_of(i, OK);
        sealer_submit(sealer, &notes[i].job);
    }
    cr_assert_not(sealer_step(sealer), "the threads do it");
    wait_finished(20);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(notes[i].ran, 1);
        cr_assert_eq(notes[i].done, 1);
        cr_assert_not(pthread_equal(notes[i].thread, pthread_self()));
    }
    sealer_close(sealer);
    end();
}

Test(sealer, gives_queued_jobs_back_when_it_closes, .timeout = 60)
{
    start();
    struct sealer *sealer = pool_of(0);
    struct note notes[4];
    for (uint16_t i = 0; i < 4; i++) {
        notes[i] = note_of(i, OK);
        sealer_submit(sealer, &notes[i].job);
    }
    cr_assert(sealer_step(sealer));
    sealer_close(sealer);
    cr_assert_eq(notes[0].err, OK);
    for (int i = 1; i < 4; i++) {
        cr_assert_eq(notes[i].ran, 0);
        cr_assert_eq(notes[i].done, 1);
        cr_assert_eq(notes[i].err, ERR_CLOSING);
    }
    end();
}

static void *close_it(void *context)
{
    sealer_close(context);
    return NULL;
}

Test(sealer, lets_the_running_job_end_before_it_closes, .timeout = 60)
{
    start();
    struct sealer *sealer = pool_of(1);
    struct note running = note_of(0, OK), queued = note_of(1, OK);
    gate_open = false;
    sealer_submit(sealer, &running.job);
    sealer_submit(sealer, &queued.job);
    pthread_mutex_lock(&mutex);
    while (running.ran == 0) {
        pthread_mutex_unlock(&mutex);
        sched_yield();
        pthread_mutex_lock(&mutex);
    }
    pthread_mutex_unlock(&mutex);
    pthread_t closer;
    cr_assert_eq(pthread_create(&closer, NULL, close_it, sealer), 0);
    pthread_mutex_lock(&mutex);
    cr_assert_eq(running.done, 0);
    gate_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    pthread_join(closer, NULL);
    cr_assert_eq(running.err, OK);
    cr_assert_eq(running.done, 1);
    cr_assert_eq(queued.done, 1);
    end();
}

Test(sealer, fails_a_seal_and_counts_it_at_every_operation_that_can_fail)
{
    for (uint64_t nth = 1; nth < 12; nth++) {
        start();
        sent(1, 3, 0);
        sent(2, 3, 0);
        sim_fail(sim, SIM_FAULT_ANY, nth, ERR_IO, false);
        shard_close_live(world.shard);
        for (unsigned turn = 0; turn < 20; turn++)
            world_turn(&world, NS_PER_S);
        sim_forgive(sim);
        const struct seen seen = see(0);
        cr_assert_eq(seen.spans[1], 3, "operation %u", (unsigned)nth);
        cr_assert_eq(seen.spans[2], 3);
        restart();
        const struct seen again = see(0);
        cr_assert_eq(again.spans[1], 3, "operation %u, after a restart", (unsigned)nth);
        cr_assert_eq(again.spans[2], 3);
        end();
    }
}

/* ---- filters of recovered segments ------------------------------------------------------------------- */

static uint64_t unfiltered(void)
{
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_UNFILTERED_BLOCKS),
                 catalog_unfiltered(world.catalog));
    return catalog_unfiltered(world.catalog);
}

/* Two blocks in a segment that is not closed, and a new start on it. */
static void start_on_unclosed(void)
{
    start();
    for (uint32_t id = 1; id <= 2; id++) {
        sent(id, 3, 0);
        shard_close_live(world.shard);
        for (unsigned turn = 0; turn < 20; turn++)
            world_turn(&world, NS_PER_MS);
    }
    cr_assert_eq(metric_get(&world.pool_metrics, METRIC_BLOCKS_SEALED), 2);
    restart();
    cr_assert_eq(unfiltered(), 2);
}

Test(sealer, builds_filters_between_other_jobs)
{
    start_on_unclosed();
    struct note notes[2] = {note_of(0, OK), note_of(1, OK)};
    sealer_submit(world.sealer, &notes[0].job);
    cr_assert(sealer_step(world.sealer));
    cr_assert_eq(notes[0].done, 0, "a block's filters were first");
    sealer_submit(world.sealer, &notes[1].job);
    cr_assert(sealer_step(world.sealer));
    cr_assert_eq(notes[0].done, 1, "no job waits for more than that");
    cr_assert(sealer_step(world.sealer));
    cr_assert_eq(unfiltered(), 1, "the segment of one block has its footer");
    for (unsigned i = 0; i < 4; i++)
        cr_assert(sealer_step(world.sealer));
    cr_assert_eq(notes[1].done, 1);
    cr_assert_eq(unfiltered(), 0);
    cr_assert_not(sealer_step(world.sealer));
    restart();
    cr_assert_eq(unfiltered(), 0);
    cr_assert_eq(see(0).sealed, 6);
    end();
}

Test(sealer, closes_while_filters_are_missing)
{
    for (unsigned steps = 0; steps < 5; steps++) {
        start_on_unclosed();
        for (unsigned i = 0; i < steps; i++)
            cr_assert(sealer_step(world.sealer));
        cr_assert_eq(see(0).sealed, 6);
        restart();
        cr_assert_eq(world.catalog_report.rebuilt, 0);
        while (sealer_step(world.sealer)) {
        }
        cr_assert_eq(unfiltered(), 0);
        cr_assert_eq(see(0).sealed, 6);
        end();
    }
}
