/*
 * Private to main/: what the threads of a running server share, and how they are led through start and stop.
 *
 * One thread leads (serve.c). It moves `phase`; every other thread looks at it in its loop and tells by its
 * own `state` how far it is. The leader never waits without a limit, and a thread's memory goes only in
 * PHASE_CLOSE, when nobody can reach it any more.
 *
 *   phase    RECOVER             SERVE      DRAIN     CLOSE
 *   state    STARTING RECOVERED  SERVING    DRAINED   ENDED      FAILED at any time
 */
#ifndef MAIN_WORLD_H
#define MAIN_WORLD_H

#include "base/metric.h"
#include "identity.h"
#include "option.h"
#include "query/query.h"
#include "server/ops.h"
#include "server/server.h"
#include "service_rules.h"
#include "shard/shard.h"
#include "store/superblock.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

enum phase { PHASE_RECOVER, PHASE_SERVE, PHASE_DRAIN, PHASE_CLOSE };
enum thread_state {
    STATE_STARTING,
    STATE_RECOVERED,
    STATE_SERVING,
    STATE_DRAINED,
    STATE_ENDED,
    STATE_FAILED
};

enum { SHARDS_MAX = 255, ADDRESS_TEXT_MAX = 128, ROUTES_MAX = 64 };

struct world;

struct thread {
    pthread_t pthread;
    bool started;
    _Atomic int state;     /* enum thread_state */
    struct io *_Atomic io; /* for io_wake(); valid until PHASE_CLOSE */
};

struct shard_thread {
    alignas(64) struct metrics metrics;
    struct thread thread;
    struct world *world;
    unsigned index;
    int cpu;      /* -1: not pinned */
    bool listens; /* false: only there to empty the journal of an earlier start with more shards */
    struct io_dir *journal_dir;
    struct shard *_Atomic shard; /* from STATE_RECOVERED until PHASE_CLOSE */
    struct shard_recovery recovery;
    char name[16];
};

/* The thread of the query and operations listeners. */
struct desk {
    alignas(64) struct metrics metrics;
    struct thread thread;
    struct world *world;
    struct route ops_routes[OPS_ROUTES_MAX];
    size_t ops_routes_count;
    const struct route *routes; /* all of them; set before PHASE_SERVE */
    size_t routes_count;
};

struct world {
    const struct options *options;
    _Atomic int phase; /* enum phase */
    struct server_limits limits;
    uint64_t body_bytes_max, plain_bytes_max;
    const char *hosts[CONFIG_NAMES_MAX];
    size_t hosts_count;
    char hosts_text[OPTION_TEXT_MAX];
    const char *origins[CONFIG_NAMES_MAX];
    size_t origins_count;
    char origins_text[OPTION_TEXT_MAX];
    struct service_rules service_rules;

    struct identity *identity; /* who is let in */
    struct io *io;             /* the leader's, plain */
    struct io_dir *data_dir;
    struct superblock superblock;
    struct io_gate *gate; /* of all that is not a journal's; NULL: switched off */
    struct catalog *catalog;
    struct sealer *sealer;
    alignas(64) struct metrics sealer_metrics;
    struct retention_config retention; /* in force */
    struct pins *pins;
    struct erasures *erasures;
    struct backups *backups;
    struct selection *selection; /* the keeper reads filters with it */
    struct retention *keeping;   /* steps are the keeper's, previews the queries' */
    struct keeper *keeper;       /* of segments; its metrics are its own thread's */
    alignas(64) struct metrics keeper_metrics;
    struct scrub_thread *scrub_thread; /* NULL: switched off */
    alignas(64) struct metrics scrub_metrics;
    struct query *query;
    alignas(64) struct metrics query_metrics;
    struct shard *query_shards[SHARDS_MAX];
    struct route routes[ROUTES_MAX]; /* of the desk, in the end */
    struct ops *ops;

    struct shard_thread *shards;
    unsigned shards_count;
    unsigned shards_listening;
    bool steered;   /* listeners take the connections of their CPU */
    unsigned nodes; /* of memory */
    struct desk desk;

    /* The OTLP addresses with the ports that the first shard has really bound; the others wait for them. */
    char otlp_http_address[ADDRESS_TEXT_MAX], otlp_grpc_address[ADDRESS_TEXT_MAX],
        zipkin_address[ADDRESS_TEXT_MAX]; /* empty: none */
    atomic_bool otlp_bound;
};

/* shard_thread.c, desk.c: entry points of the threads. */
void *shard_thread_run(void *shard_thread);
void *desk_run(void *desk);

static inline int world_phase(const struct world *world)
{
    return atomic_load_explicit(&world->phase, memory_order_acquire);
}

#endif
