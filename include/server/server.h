/*
 * A server is one thread's front door: its listeners, connections, HTTP/1.1 exchanges and gRPC calls, on that
 * thread's io. A shard thread has one for OTLP; a thread without a shard has one for queries and operations, so that
 * neither waits for ingest or recovery.
 *
 *   server_open()    memory for all connections is reserved
 *   server_listen()  once per role
 *   loop: shard_turn() or io_turn(), which run the handlers; then server_turn()
 *   server_drain()   listeners closed, requests in work finish, new ones are not read
 *   server_close()   when server_idle(); or before, which drops what is left
 *
 * Everything here belongs to the thread that opened the server.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/err.h"
#include "server/exchange.h"

struct access;
struct io;
struct metrics;
struct server;
struct tls_shelf;

/* Each one is an option of the program; docs and defaults stand in src/main/option.c. */
struct server_limits {
    unsigned conns_max;            /* at once, all listeners of this server */
    unsigned conns_per_source_max; /* from one address */
    unsigned requests_per_conn_max;
    uint64_t body_bytes_max;      /* as received */
    uint64_t head_ns_max;         /* first byte (or accept) to the end of the head */
    uint64_t idle_ns_max;         /* kept alive without a request */
    uint64_t body_grace_ns;       /* before the minimum rate counts */
    uint64_t body_rate_bytes_min; /* per second */
    uint64_t body_ns_max;         /* end of head to end of body */
    uint64_t stall_ns_max;        /* an answer of which the client takes nothing */
};

/* Defaults of the limits. */
struct server_limits server_limits_default(void);
/* Operations that the connections of such a server may have in flight at once: a part of io_config.ops_max.
 */
unsigned server_ops_max(const struct server_limits *limits);
/* Sockets it may have open at once: a part of io_config.sockets_max. */
unsigned server_sockets_max(const struct server_limits *limits);

struct server_config {
    struct io *io;              /* borrowed; the calling thread owns it */
    struct shard *shard;        /* borrowed; NULL on a thread without one: then no route may stream a body */
    struct metrics *metrics;    /* borrowed */
    const struct route *routes; /* borrowed */
    size_t routes_count;
    struct server_limits limits;
    /*
     * On the query and operations listeners a Host that is neither an IP address nor localhost must be in
     * this list: a page of another origin cannot reach them by rebinding a name of its own. A lone "*" allows
     * every name.
     */
    const char *const *hosts; /* borrowed */
    size_t hosts_count;
    /*
     * Origins of web pages that may send to the listener for OTLP over HTTP from a browser, such as
     * "https://shop.example.com", with * for any run of bytes of a host; a lone "*" stands for every origin.
     */
    const char *const *origins; /* borrowed */
    size_t origins_count;
    /* Borrowed; NULL: everybody is let in. With it every route needs its row in the access table. */
    struct access *access;
    /* Borrowed, with an identity on it; NULL: all listeners are plain. */
    struct tls_shelf *tls;
    unsigned tls_listeners; /* a bit, 1 << enum listener_role, for each that speaks TLS */
};

/* ERR_NO_MEMORY. */
enum err server_open(const struct server_config *config, struct server **out);
/*
 * Drops all connections at once. No worker may complete a ticket any more; join it first, because the client may have
 * its answer while exchange_complete() is still waking this server.
 */
void server_close(struct server *server);

/* "127.0.0.1:4318", port 0 for any; cpu -1: none in particular. Errors of io_listen(). */
enum err server_listen(struct server *server, enum listener_role role, const char *address, int cpu);
/* The port that the role's listener is bound to; 0 without one. */
uint16_t server_port(const struct server *server, enum listener_role role);

/* Replaces the table, e.g. with a longer one when what stands behind its rows is ready. */
void server_set_routes(struct server *server, const struct route *routes, size_t routes_count);

/* After each turn of the io: deferred answers, deadlines, receives that waited for buffers. */
void server_turn(struct server *server);
/* How long the next turn of the io may wait at most. */
uint64_t server_wait_ns(const struct server *server);

void server_drain(struct server *server);
bool server_idle(const struct server *server);
/* Closes every connection, whatever it waits for; tickets become cancelled. */
void server_drop(struct server *server);
/* Connections open now. */
unsigned server_conns(const struct server *server);

#endif
