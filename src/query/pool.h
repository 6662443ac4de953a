/*
 * The worker pool: jobs made once, a queue with a bound, threads that answer.
 *
 *   handler:  pool_take() -> fill in job->request -> exchange_defer() -> pool_submit()     or pool_give_back()
 *   worker:   question_answer(worker, job), which completes the ticket
 */
#ifndef QUERY_POOL_H
#define QUERY_POOL_H

#include "base/metric.h"
#include "work.h"

#include <pthread.h>

enum { QUERY_THREADS_MAX = 64, QUERY_WAITING_MAX = 4096 };
static_assert((int)QUERY_THREADS_MAX <= (int)BLOCK_CACHE_USERS_MAX,
              "the table of versions has room for all workers");

struct job {
    struct job *next; /* in the free list or the queue */
    struct request request;
    struct exchange_ticket ticket;
    uint64_t submitted_ns;
};

struct worker {
    struct query *query;
    pthread_t thread;
    bool started;
    struct io *io;
    struct otlp_json *otlp_json;
    struct otlp_decoder *decoder;
    struct page_fields *page;
    struct snapshot snapshot;
};

struct job_queue {
    struct job *first, *last;
};

struct query {
    struct query_config config;
    struct route routes[18];
    struct block_cache cache;
    struct names_cache *names;
    struct holds holds;
    atomic_bool stopping;
    pthread_mutex_t mutex; /* guards what follows, and the metrics */
    pthread_cond_t arrived;
    struct job *free;
    struct job_queue light, heavy; /* traces by id go before searches */
    struct job *jobs;              /* threads + waiting_max of them */
    struct worker workers[QUERY_THREADS_MAX];
};

/* NULL: as many wait as may. */
struct job *pool_take(struct query *query);
void pool_give_back(struct query *query, struct job *job);
void pool_submit(struct query *query, struct job *job);
void pool_count(struct query *query, enum metric_id id);

#endif
