/*
 * A server in a thread of its own, and a client that speaks bytes. Every wait of the client ends after
 * CLIENT_MS_MAX, so a server that does not answer fails the test instead of hanging it.
 */
#ifndef TEST_SERVER_FIXTURE_H
#define TEST_SERVER_FIXTURE_H

#include "server/server.h"

#include "base/metric.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CLIENT_MS_MAX = 10000 };

struct fixture {
    struct server_limits limits; /* set before fixture_open() */
    const struct route *routes;
    size_t routes_count;
    const char *const *hosts;
    size_t hosts_count;
    const char *const *origins;
    size_t origins_count;
    struct access *access;       /* NULL: everybody is let in */
    bool with_shard;             /* then the routes are those of OTLP over HTTP and of Zipkin */
    uint64_t inflight_bytes_max; /* of the shard */
    void (*at_end)(void);        /* on the server's thread, between its last turn and server_close() */

    struct metrics metrics, sealer_metrics;
    uint16_t port[ROLE_COUNT];
    pthread_t thread;
    atomic_bool ready, failed, draining, drained, stopping;
    _Atomic unsigned conns;
    atomic_bool idle;
    struct io *_Atomic io;
};

void fixture_init(struct fixture *fixture, const struct route *routes, size_t routes_count);
/* False, with the test skipped, when the system has no io_uring. */
bool fixture_open(struct fixture *fixture);
/*
 * No connection is open and none will be, but the server still takes answers: what must be closed while tickets
 * may be out (workers) is closed between this and fixture_close(). Clients have left, or are about to.
 */
void fixture_drain(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

int client_open(uint16_t port);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes, size_t len);
/*
 * Reads one answer with Content-Length; head and body as text, '\0' behind. Returns the status; 0: closed in
 * order without one; -1: reset. head_only: no body follows.
 */
struct answer_text {
    char head[4096];
    char body[65536];
    size_t body_len;
    uint64_t content_length; /* the body may be longer than what is kept here */
};
int client_receive(int fd, struct answer_text *out, bool head_only);
/* True when the server closes without sending another byte. */
bool client_sees_end(int fd);

uint64_t milliseconds_now(void);
/* Waits until the condition holds; false after CLIENT_MS_MAX. */
#define wait_until(condition)                                                                                \
    ({                                                                                                       \
        const uint64_t begin_ = milliseconds_now();                                                          \
        while (!(condition) && milliseconds_now() - begin_ < CLIENT_MS_MAX)                                  \
            usleep(1000);                                                                                    \
        (condition);                                                                                         \
    })

#endif
