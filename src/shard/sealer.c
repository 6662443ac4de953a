/*
 * The sealer pool: a few threads with a plain io and a block encoder each. What they do is half of ingest, so they come before
 * questions and merges. One queue for all, first come first served, except that two seals of one shard
 * never run side by side: blocks reach the segment in LSN order. The queue needs no bound of its own; a shard
 * has at most one seal and one file preparation in it (backlog.h).
 *
 *   seal: encode -> append to the shard's segment, durable and published -> done(OK)
 *   run:  whatever the shard asks for, with the thread's io -> done(its result)
 *
 * A job of the pool's own builds the filters that the start has left out (catalog_build_filters()), block by block:
 * after each it goes to the end of the queue, so a seal never waits for more than one of them.
 *
 * A failed seal is logged and counted here, once per attempt; the shard tries again. Closing lets running
 * jobs end and gives the queued ones back with ERR_CLOSING.
 *
 * With threads 0 nothing runs by itself: sealer_step() runs the next job on the caller's thread, for the
 * simulation.
 */
#include "shard/sealer.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/gate.h"
#include "io/io.h"
#include "store/block.h"
#include "store/segment.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { SEALER_THREADS_MAX = 64 };

struct worker {
    struct sealer *sealer;
    pthread_t thread;
    struct io *io;
    struct block_encoder *encoder;
    const struct seal_job *seal; /* the seal it runs now; guarded by the mutex */
};

struct sealer {
    struct sealer_config config;
    unsigned workers_count; /* 1 when threads is 0: the caller of sealer_step() */
    /* guarded by the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct seal_job *first, *last;
    struct seal_job filters; /* in the queue, or under way, until all are built */
    bool closing;
    struct worker workers[];
};

static enum err open_workers(struct sealer *sealer);
static void close_workers(struct sealer *sealer);
static void *work(void *context);
static struct seal_job *take(struct sealer *sealer, struct worker *worker);
static void run(struct worker *worker, struct seal_job *job);
static void count(struct sealer *sealer, const struct block_encoded *encoded, enum err err);
/* ---- lifecycle -------------------------------------------------------------------------------------- */

enum err sealer_open(const struct sealer_config *config, struct sealer **out)
{
    assert(config->threads <= SEALER_THREADS_MAX);
    assert((config->threads == 0) == (config->io != NULL));
    const unsigned workers_count = config->threads == 0 ? 1 : config->threads;

    struct sealer *sealer = calloc(1, sizeof *sealer + workers_count * sizeof sealer->workers[0]);
    if (sealer == NULL) return ERR_NO_MEMORY;
    sealer->config = *config;
    pthread_mutex_init(&sealer->mutex, NULL);
    pthread_cond_init(&sealer->wanted, NULL);
    const enum err err = open_workers(sealer);
    if (err != OK) {
        sealer_close(sealer);
        return err;
    }
    *out = sealer;
    return OK;
}

/* workers_count grows with each worker that stands complete. */
static enum err open_workers(struct sealer *sealer)
{
    const bool threads = sealer->config.threads > 0;
    const unsigned wanted = threads ? sealer->config.threads : 1;

    for (unsigned i = 0; i < wanted; i++) {
        struct worker *worker = &sealer->workers[i];
        worker->sealer = sealer;
        worker->io = sealer->config.io;
        TRY(block_encoder_open(&worker->encoder));
        enum err err = threads ? io_open_plain(&worker->io) : OK;
        if (err == OK && threads) io_gate_join(worker->io, sealer->config.gate, IO_ENCODE);
        if (err == OK && threads && pthread_create(&worker->thread, NULL, work, worker) != 0) {
            io_close(worker->io);
            err = ERR_NO_MEMORY;
        }
        if (err != OK) {
            block_encoder_close(worker->encoder);
            return err;
        }
        sealer->workers_count = i + 1;
    }
    return OK;
}

void sealer_close(struct sealer *sealer)
{
    pthread_mutex_lock(&sealer->mutex);
    sealer->closing = true;
    pthread_cond_broadcast(&sealer->wanted);
    pthread_mutex_unlock(&sealer->mutex);
    close_workers(sealer);

    while (sealer->first != NULL) {
        struct seal_job *job = sealer->first;
        sealer->first = job->next;
        job->done(job, ERR_CLOSING);
    }
    pthread_cond_destroy(&sealer->wanted);
    pthread_mutex_destroy(&sealer->mutex);
    free(sealer);
}

static void close_workers(struct sealer *sealer)
{
    for (unsigned i = 0; i < sealer->workers_count; i++) {
        struct worker *worker = &sealer->workers[i];
        if (sealer->config.threads > 0) {
            pthread_join(worker->thread, NULL);
            io_close(worker->io);
        }
        block_encoder_close(worker->encoder);
    }
}

/* ---- the queue -------------------------------------------------------------------------------------- */

void sealer_submit(struct sealer *sealer, struct seal_job *job)
{
    assert(job->done != NULL && (job->live != NULL || job->run != NULL));

    job->next = NULL;
    pthread_mutex_lock(&sealer->mutex);
    if (sealer->first == NULL) {
        sealer->first = job;
    } else {
        sealer->last->next = job;
    }
    sealer->last = job;
    pthread_cond_signal(&sealer->wanted);
    pthread_mutex_unlock(&sealer->mutex);
}

static bool shard_is_sealing(const struct sealer *sealer, uint16_t shard)
{
    for (unsigned i = 0; i < sealer->workers_count; i++) {
        if (sealer->workers[i].seal != NULL && sealer->workers[i].seal->shard == shard) return true;
    }
    return false;
}

/* The first job that may run now, or NULL. Under the mutex. */
static struct seal_job *take(struct sealer *sealer, struct worker *worker)
{
    struct seal_job *before = NULL;

    for (struct seal_job *job = sealer->first; job != NULL; before = job, job = job->next) {
        if (job->live != NULL && shard_is_sealing(sealer, job->shard)) continue;
        if (before == NULL) {
            sealer->first = job->next;
        } else {
            before->next = job->next;
        }
        if (sealer->last == job) sealer->last = before;
        if (job->live != NULL) worker->seal = job;
        return job;
    }
    return NULL;
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct sealer *sealer = worker->sealer;

    pthread_mutex_lock(&sealer->mutex);
    while (!sealer->closing) {
        struct seal_job *job = take(sealer, worker);
        if (job == NULL) {
            pthread_cond_wait(&sealer->wanted, &sealer->mutex);
            continue;
        }
        pthread_mutex_unlock(&sealer->mutex);
        run(worker, job);
        pthread_mutex_lock(&sealer->mutex);
    }
    pthread_mutex_unlock(&sealer->mutex);
    return NULL;
}

bool sealer_step(struct sealer *sealer)
{
    if (sealer->config.threads > 0) return false;

    pthread_mutex_lock(&sealer->mutex);
    struct seal_job *job = take(sealer, &sealer->workers[0]);
    pthread_mutex_unlock(&sealer->mutex);
    if (job == NULL) return false;
    run(&sealer->workers[0], job);
    return true;
}

/* ---- a job ------------------------------------------------------------------------------------------ */

static enum err seal(struct worker *worker, const struct seal_job *job)
{
    struct sealer *sealer = worker->sealer;
    struct catalog *catalog = sealer->config.catalog;
    struct block_encoded encoded = {0};

    enum err err = block_encode(worker->encoder, job->live, &encoded);
    if (err == OK) err = segment_append(catalog, worker->io, job->shard, &encoded);
    count(sealer, &encoded, err);
    if (err != OK) {
        log_error("sealer", "a block could not be sealed", "shard=%u seq=%" PRIu64 " rows=%u err=\"%s\"",
                  job->shard, job->live->seq, job->live->counts.rows, err_text(err));
        return err;
    }
    if (job->close_segment) { /* the block is safe whatever becomes of the footer: recovery writes it again */
        const enum err closed = segment_seal(catalog, worker->io, job->shard);
        if (closed != OK) {
            log_warn("sealer", "a segment could not be closed", "shard=%u err=\"%s\"", job->shard,
                     err_text(closed));
        }
    }
    return OK;
}

/*
 * done gives the job and its live block back to the shard: the worker's mark must be gone before, or another
 * worker would read it while the shard hands in the next.
 */
static void run(struct worker *worker, struct seal_job *job)
{
    struct sealer *sealer = worker->sealer;
    const enum err err = job->live != NULL ? seal(worker, job) : job->run(job, worker->io);

    pthread_mutex_lock(&sealer->mutex);
    worker->seal = NULL;
    pthread_cond_broadcast(&sealer->wanted); /* a seal of the same shard may have waited */
    pthread_mutex_unlock(&sealer->mutex);
    job->done(job, err);
}

static void count(struct sealer *sealer, const struct block_encoded *encoded, enum err err)
{
    struct metrics *metrics = sealer->config.metrics;

    pthread_mutex_lock(&sealer->mutex);
    if (err != OK) {
        metric_add(metrics, METRIC_SEAL_FAILURES, 1);
    } else {
        metric_add(metrics, METRIC_BLOCKS_SEALED, 1);
        metric_add(metrics, METRIC_SEALED_SPANS, encoded->summary.spans);
        metric_add(metrics, METRIC_SEALED_BYTES, encoded->len);
    }
    pthread_mutex_unlock(&sealer->mutex);
}

/* ---- filters of recovered segments ------------------------------------------------------------------- */

static void note_unfiltered(struct sealer *sealer)
{
    const uint64_t blocks = catalog_unfiltered(sealer->config.catalog);

    pthread_mutex_lock(&sealer->mutex);
    metric_set(sealer->config.metrics, METRIC_UNFILTERED_BLOCKS, blocks);
    pthread_mutex_unlock(&sealer->mutex);
}

static enum err run_filters(struct seal_job *job, struct io *io)
{
    struct sealer *const sealer = job->context;

    io_gate_join(io, sealer->config.gate, IO_COMPACT); /* nobody waits for them */
    const bool more = catalog_build_filters(sealer->config.catalog, io);
    io_gate_join(io, sealer->config.gate, IO_ENCODE);

    note_unfiltered(sealer);
    return more ? OK : ERR_NOT_FOUND;
}

static void on_filters(struct seal_job *job, enum err err)
{
    if (err == OK) sealer_submit(job->context, job); /* a closing pool gives it back with ERR_CLOSING */
}

void sealer_build_filters(struct sealer *sealer)
{
    note_unfiltered(sealer);
    if (catalog_unfiltered(sealer->config.catalog) == 0) return;
    assert(sealer->filters.run == NULL); /* once */
    sealer->filters = (struct seal_job){.run = run_filters, .done = on_filters, .context = sealer};
    sealer_submit(sealer, &sealer->filters);
}
