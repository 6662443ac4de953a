/*
 * The pool of query workers. Jobs are made at the start: one for each that can run and each that may wait. A
 * request that finds none is refused (429), so the queue needs no other bound. Every job that was submitted
 * is answered once: by a worker, or by query_close() when no worker took it.
 */
#include "pool.h"

#include "base/assert.h"
#include "base/log.h"
#include "io/gate.h"
#include "io/io.h"
#include "io/rank.h"
#include "otlp_json.h"
#include "question.h"
#include "routes.h"

#include <stdlib.h>

enum {
    BLOCK_CACHE_BYTES_MAX = 64 << 20, /* blocks kept open */
    NAMES_CACHE_BYTES_MAX = 12 << 20, /* services and operations of blocks */
};

static const struct query_config defaults = {
    .threads = 2,
    .waiting_max = 32,
    .deadline_ns = 30000000000,
    .memory_bytes_max = 256 << 20,
    .answer_bytes_max = 64 << 20,
};

/* ---- queue ----------------------------------------------------------------------------------------------
 */

static void queue_put(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->last != NULL)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
}

static struct job *queue_get(struct job_queue *queue)
{
    struct job *const job = queue->first;

    if (job == NULL) return NULL;
    queue->first = job->next;
    if (queue->first == NULL) queue->last = NULL;
    return job;
}

static struct job *next_job(struct query *query)
{
    struct job *const job = queue_get(&query->light);

    return job != NULL ? job : queue_get(&query->heavy);
}

struct job *pool_take(struct query *query)
{
    pthread_mutex_lock(&query->mutex);
    struct job *const job = query->free;
    if (job != NULL) query->free = job->next;
    pthread_mutex_unlock(&query->mutex);
    if (job != NULL) *job = (struct job){0};
    return job;
}

void pool_give_back(struct query *query, struct job *job)
{
    pthread_mutex_lock(&query->mutex);
    job->next = query->free;
    query->free = job;
    pthread_mutex_unlock(&query->mutex);
}

void pool_submit(struct query *query, struct job *job)
{
    pthread_mutex_lock(&query->mutex);
    queue_put(job->request.kind == REQUEST_TRACE ? &query->light : &query->heavy, job);
    pthread_cond_signal(&query->arrived);
    pthread_mutex_unlock(&query->mutex);
}

void pool_count(struct query *query, enum metric_id id)
{
    pthread_mutex_lock(&query->mutex);
    metric_add(query->config.metrics, id, 1);
    pthread_mutex_unlock(&query->mutex);
}

/* ---- workers --------------------------------------------------------------------------------------------
 */

/* NULL: the pool closes. */
static struct job *wait_job(struct query *query)
{
    struct job *job = NULL;

    pthread_mutex_lock(&query->mutex);
    while (!atomic_load(&query->stopping) && (job = next_job(query)) == NULL)
        pthread_cond_wait(&query->arrived, &query->mutex);
    pthread_mutex_unlock(&query->mutex);
    return job;
}

static void *work_on(void *context)
{
    struct worker *const worker = context;
    struct job *job;

    (void)io_rank(IO_QUERY);
    while ((job = wait_job(worker->query)) != NULL) {
        question_answer(worker, job);
        pool_give_back(worker->query, job);
    }
    return NULL;
}

static enum err worker_start(struct worker *worker, struct query *query)
{
    worker->query = query;
    TRY(snapshot_init(&worker->snapshot, &query->config));
    TRY(otlp_json_open(&worker->otlp_json));
    TRY(otlp_decoder_open(&worker->decoder));
    worker->page = malloc(sizeof *worker->page);
    if (worker->page == NULL) return ERR_NO_MEMORY;
    TRY(io_open_plain(&worker->io));
    io_gate_join(worker->io, query->config.gate, IO_QUERY);
    worker->started = pthread_create(&worker->thread, NULL, work_on, worker) == 0;
    return worker->started ? OK : ERR_NO_MEMORY;
}

static void worker_stop(struct worker *worker)
{
    if (worker->started) pthread_join(worker->thread, NULL);
    if (worker->io != NULL) io_close(worker->io);
    free(worker->page);
    if (worker->decoder != NULL) otlp_decoder_close(worker->decoder);
    if (worker->otlp_json != NULL) otlp_json_close(worker->otlp_json);
    snapshot_deinit(&worker->snapshot);
}

/* ---- opening and closing --------------------------------------------------------------------------------
 */

static void settle_config(struct query_config *config)
{
    if (config->threads == 0) config->threads = defaults.threads;
    if (config->threads > QUERY_THREADS_MAX) config->threads = QUERY_THREADS_MAX;
    if (config->waiting_max == 0) config->waiting_max = defaults.waiting_max;
    if (config->waiting_max > QUERY_WAITING_MAX) config->waiting_max = QUERY_WAITING_MAX;
    if (config->deadline_ns == 0) config->deadline_ns = defaults.deadline_ns;
    if (config->memory_bytes_max == 0) config->memory_bytes_max = defaults.memory_bytes_max;
    if (config->answer_bytes_max == 0) config->answer_bytes_max = defaults.answer_bytes_max;
}

static enum err make_jobs(struct query *query)
{
    const unsigned count = query->config.threads + query->config.waiting_max;

    query->jobs = calloc(count, sizeof *query->jobs);
    if (query->jobs == NULL) return ERR_NO_MEMORY;
    for (unsigned i = 0; i < count; i++) {
        query->jobs[i].next = query->free;
        query->free = &query->jobs[i];
    }
    return OK;
}

enum err query_open(const struct query_config *config, struct query **out)
{
    struct query *const query = calloc(1, sizeof *query);

    if (query == NULL) return ERR_NO_MEMORY;
    query->config = *config;
    settle_config(&query->config);
    block_cache_init(&query->cache, query->config.catalog, BLOCK_CACHE_BYTES_MAX);
    holds_init(&query->holds, query->config.catalog);
    pthread_mutex_init(&query->mutex, NULL);
    pthread_cond_init(&query->arrived, NULL);
    routes_init(query);
    enum err err = make_jobs(query);
    if (err == OK) err = names_cache_open(NAMES_CACHE_BYTES_MAX, &query->names);
    for (unsigned i = 0; i < query->config.threads && err == OK; i++)
        err = worker_start(&query->workers[i], query);
    if (err != OK) {
        query_close(query);
        return err;
    }
    *out = query;
    return OK;
}

const struct route *query_routes(const struct query *query, size_t *count)
{
    *count = sizeof query->routes / sizeof query->routes[0];
    return query->routes;
}

void query_forget_retired(struct query *query, uint64_t now_ns)
{
    holds_expire(&query->holds, now_ns);
    block_cache_forget_old(&query->cache);
}

void query_close(struct query *query)
{
    struct job *job;

    pthread_mutex_lock(&query->mutex);
    atomic_store(&query->stopping, true);
    pthread_cond_broadcast(&query->arrived);
    pthread_mutex_unlock(&query->mutex);
    for (unsigned i = 0; i < query->config.threads; i++)
        worker_stop(&query->workers[i]);
    while ((job = next_job(query)) != NULL)
        question_refuse(&job->ticket, ERR_CLOSING, NULL);
    block_cache_deinit(&query->cache);
    holds_deinit(&query->holds);
    if (query->names != NULL) names_cache_close(query->names);
    pthread_cond_destroy(&query->arrived);
    pthread_mutex_destroy(&query->mutex);
    free(query->jobs);
    free(query);
}
