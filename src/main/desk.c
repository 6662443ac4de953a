/*
 * The desk: the thread of the operations and query listeners. It has an io and a server but no shard, so
 * health, readiness and metrics are answered while journals are replayed and while every shard is saturated.
 * Queries are only taken in here; workers answer them.
 *
 * The operations listener opens first; queries are let in when all shards have recovered, because an answer
 * from half a journal would look like a whole one.
 */
#include "world.h"

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "io/io.h"
#include "placement.h"

enum { DESK_OPS = 64, RECEIVE_BUFFERS = 64, RECEIVE_BUFFER_BYTES = 16 * 1024, DESK_CONNS_MAX = 1024 };

static const uint64_t drain_ns_max = 1500 * NS_PER_MS;
static const uint64_t idle_wait_ns = 5 * NS_PER_MS;

static void *fail(struct desk *own, const char *what, const char *address, enum err err)
{
    log_error("main", what, "address=%s error=\"%s\"", address, err_text(err));
    atomic_store(&own->thread.state, STATE_FAILED);
    return NULL;
}

static struct server_limits desk_limits(const struct world *world)
{
    struct server_limits limits = world->limits;

    if (limits.conns_max > DESK_CONNS_MAX) limits.conns_max = DESK_CONNS_MAX;
    return limits;
}

static enum err turn(struct io *io, struct server *server, uint64_t wait_ns)
{
    unsigned handlers;

    TRY(io_turn(io, wait_ns, &handlers));
    server_turn(server);
    return OK;
}

/* Turns while the leader is in this phase. */
static enum err stay(struct desk *own, struct io *io, struct server *server, enum phase phase)
{
    while (world_phase(own->world) == (int)phase)
        TRY(turn(io, server, phase == PHASE_SERVE ? server_wait_ns(server) : idle_wait_ns));
    return OK;
}

static enum err drain(struct io *io, struct server *server)
{
    const uint64_t until_ns = io_now_ns(io) + drain_ns_max;

    server_drain(server);
    while (!server_idle(server) && io_now_ns(io) < until_ns)
        TRY(turn(io, server, idle_wait_ns));
    server_drop(server); /* workers see that nobody waits for them any more */
    return OK;
}

static void *live(struct desk *own, struct io *io, struct server *server)
{
    const char *const query = options_text(own->world->options, OPTION_QUERY);
    enum err err = stay(own, io, server, PHASE_RECOVER);

    if (err == OK && world_phase(own->world) == PHASE_SERVE) {
        server_set_routes(server, own->routes, own->routes_count);
        err = server_listen(server, ROLE_QUERY, query, -1);
        if (err != OK) return fail(own, "cannot listen for queries", query, err);
        atomic_store(&own->thread.state, STATE_SERVING);
        err = stay(own, io, server, PHASE_SERVE);
    }
    if (err == OK) err = drain(io, server);
    if (err == OK) {
        atomic_store(&own->thread.state, STATE_DRAINED);
        err = stay(own, io, server, PHASE_DRAIN);
    }
    if (err != OK) return fail(own, "the desk has to stop", "", err);
    server_close(server);
    io_close(io);
    atomic_store(&own->thread.state, STATE_ENDED);
    return NULL;
}

void *desk_run(void *context)
{
    struct desk *const own = context;
    const struct server_limits limits = desk_limits(own->world);
    const char *const ops = options_text(own->world->options, OPTION_OPS);
    const struct io_config io_config = {
        .ops_max = server_ops_max(&limits) + DESK_OPS,
        .receive_buffers = RECEIVE_BUFFERS,
        .receive_buffer_bytes = RECEIVE_BUFFER_BYTES,
        .sockets_max = server_sockets_max(&limits),
        .metrics = &own->metrics,
    };
    struct io *io;
    struct server *server;

    placement_name("desk");
    enum err err = io_open_uring(&io_config, &io);
    if (err != OK)
        return fail(own, "cannot set up io_uring (containers: the seccomp profile must allow it)", "", err);
    const struct server_config config = {
        .io = io,
        .metrics = &own->metrics,
        .routes = own->ops_routes,
        .routes_count = own->ops_routes_count,
        .limits = limits,
        .hosts = own->world->hosts,
        .hosts_count = own->world->hosts_count,
        .access = identity_access(own->world->identity),
        .tls = identity_tls(own->world->identity),
        .tls_listeners = config_tls_listeners(own->world->options),
    };
    err = server_open(&config, &server);
    if (err != OK) return fail(own, "cannot open the server", "", err);
    err = server_listen(server, ROLE_OPS, ops, -1);
    if (err != OK) return fail(own, "cannot listen for operations", ops, err);
    atomic_store(&own->thread.io, io);
    atomic_store(&own->thread.state, STATE_RECOVERED);
    return live(own, io, server);
}
