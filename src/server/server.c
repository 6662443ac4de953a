/*
 * The server of one thread: opening, listening, its part of each turn, draining and closing.
 *
 * A turn delivers the answers of other threads, restarts receives that found no buffer, and looks at the
 * deadlines four times a second: they are a dense array of 64-bit times, so looking at all of them costs less
 * than keeping them in order would.
 */
#include "conn.h"

#include "base/clock.h"

#include <stdlib.h>

static const uint64_t scan_ns = NS_PER_S / 4, tell_ns = NS_PER_S;

enum {
    CALLS_PER_CONN = 4,              /* slots, all connections together */
    HTTP2_BYTES_PER_CONN = 48 << 10, /* likewise, of engines and library */
};

struct server_limits server_limits_default(void)
{
    return (struct server_limits){
        .conns_max = 4096,
        .conns_per_source_max = 512,
        .requests_per_conn_max = 100000,
        .body_bytes_max = 16 << 20,
        .head_ns_max = 5 * NS_PER_S,
        .idle_ns_max = 60 * NS_PER_S,
        .body_grace_ns = 5 * NS_PER_S,
        .body_rate_bytes_min = 1024,
        .body_ns_max = 60 * NS_PER_S,
        .stall_ns_max = 10 * NS_PER_S,
    };
}

unsigned server_ops_max(const struct server_limits *limits)
{
    return 2 * (limits->conns_max + CONN_SPARE) /* a receive and a send */ + 2 * ROLE_COUNT /* accepts */;
}

unsigned server_sockets_max(const struct server_limits *limits)
{
    return limits->conns_max + CONN_SPARE + ROLE_COUNT + 1 /* accepted, to be refused */;
}

/* Calls need a shard. Four for every connection, and as many as one may have open. */
static enum err open_calls(struct server *server)
{
    const unsigned wanted = server->config.limits.conns_max * CALLS_PER_CONN;
    const unsigned count = wanted > HTTP2_STREAMS_MAX ? wanted : HTTP2_STREAMS_MAX;

    server->http2_memory.bytes_max = server->slots * HTTP2_BYTES_PER_CONN + 2 * (size_t)HTTP2_CONN_MEMORY_MAX;
    return call_pool_open(&server->calls, server->config.shard != NULL ? count : 0);
}

enum err server_open(const struct server_config *config, struct server **out)
{
    struct server *const server = calloc(1, sizeof *server);

    if (server == NULL) return ERR_NO_MEMORY;
    assert(config->limits.conns_max > 0 && config->limits.body_rate_bytes_min > 0);

    server->config = *config;
    server->io = config->io;
    server->metrics = config->metrics;
    io_random(config->io, &server->random, sizeof server->random);
    server->random |= 1;
    if (config->access != NULL) access_view_open(config->access, &server->access);
    server_set_routes(server, config->routes, config->routes_count);
    enum err err = conn_table_open(server);
    if (err == OK) err = open_calls(server);
    if (err != OK) {
        call_pool_close(&server->calls);
        conn_table_close(server);
        access_view_close(&server->access);
        free(server);
        return err;
    }
    *out = server;
    return OK;
}

static void on_accept(void *context, struct io_socket socket)
{
    conn_accept(context, socket);
}

enum err server_listen(struct server *server, enum listener_role role, const char *address, int cpu)
{
    struct listener *const listener = &server->listeners[role];

    assert(listener->io == NULL);

    listener->server = server;
    listener->role = role;
    return io_listen(server->io, address, cpu, on_accept, listener, &listener->io);
}

uint16_t server_port(const struct server *server, enum listener_role role)
{
    return server->listeners[role].io != NULL ? io_listener_port(server->listeners[role].io) : 0;
}

void server_set_routes(struct server *server, const struct route *routes, size_t routes_count)
{
    for (size_t i = 0; server->config.access != NULL && i < routes_count; i++)
        assert(access_row_of_route(&routes[i]) != NULL); /* who may use it? */

    server->config.routes = routes;
    server->config.routes_count = routes_count;
}

static void look_at_deadlines(struct server *server, uint64_t now_ns)
{
    for (unsigned i = 0; i < server->slots; i++)
        if (server->deadline_ns[i] <= now_ns) conn_on_deadline(&server->conns[i]);
}

void server_turn(struct server *server)
{
    server_take_letters(server);
    if (server->starving_first != CONN_NONE) conn_unstarve(server);
    conn_grpc_flush(server);
    const uint64_t now_ns = io_now_ns(server->io);
    if (now_ns < server->next_scan_ns) return;
    server->next_scan_ns = now_ns + scan_ns;
    look_at_deadlines(server, now_ns);
    conn_grpc_flush(server);
}

uint64_t server_wait_ns(const struct server *server)
{
    return server->starving_first != CONN_NONE ? NS_PER_MS : scan_ns;
}

static void close_listeners(struct server *server)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if (server->listeners[i].io == NULL) continue;
        io_listener_close(server->io, server->listeners[i].io);
        server->listeners[i].io = NULL;
    }
}

void server_drain(struct server *server)
{
    if (server->draining) return;
    server->draining = true;
    close_listeners(server);
    for (unsigned i = 0; i < server->slots; i++)
        conn_drain(&server->conns[i]);
    conn_grpc_flush(server);
}

bool server_idle(const struct server *server)
{
    return server->conns_busy == 0;
}

void server_drop(struct server *server)
{
    for (unsigned i = 0; i < server->slots; i++)
        if (server->conns[i].stage != CONN_FREE) conn_close(&server->conns[i], true);
}

unsigned server_conns(const struct server *server)
{
    return server->conns_open;
}

static void drop_letters(struct server *server)
{
    struct letter *letter = atomic_exchange(&server->letters, NULL);

    while (letter != NULL) {
        struct letter *const next = letter->next;
        free(letter->body);
        free(letter);
        letter = next;
    }
}

void server_close(struct server *server)
{
    const uint64_t patience_ns = io_now_ns(server->io) + NS_PER_S;
    unsigned handlers;

    server->draining = true;
    close_listeners(server);
    server_drop(server);
    /* Cancelled operations land before their memory goes. */
    while (server->conns_busy > 0 && io_now_ns(server->io) < patience_ns) {
        conn_unstarve(server);
        conn_grpc_flush(server);
        if (io_turn(server->io, NS_PER_MS, &handlers) != OK) break;
    }
    drop_letters(server);
    if (server->conns_busy > 0)
        return; /* the kernel may still write there: leaked, at the end of the process */
    call_pool_close(&server->calls);
    conn_table_close(server);
    access_view_close(&server->access);
    free(server);
}

bool server_may_tell(struct server *server, enum tell what)
{
    const uint64_t now_ns = io_now_ns(server->io);

    if (now_ns < server->next_tell_ns[what]) return false;
    server->next_tell_ns[what] = now_ns + tell_ns;
    return true;
}

unsigned server_retry_after_s(struct server *server)
{
    /* xorshift64: spreads retries, hides nothing */
    server->random ^= server->random << 13;
    server->random ^= server->random >> 7;
    server->random ^= server->random << 17;
    return 1 + (unsigned)(server->random >> 32 & 7);
}
