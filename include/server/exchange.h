/*
 * An exchange is one HTTP request in work on a connection and the answer it will get: what the handler of a
 * route sees. Every exchange is answered exactly once, by exchange_answer() in the handler, or later from any
 * thread by exchange_complete() after exchange_defer().
 *
 *   static void handle(struct exchange *exchange, void *context)       // on the thread that serves the
 * connection
 *   {
 *       if (bad) { exchange_answer(exchange, 400, "text/plain", NULL, 0, slice_text("...")); return; }
 *       job->... = what is needed of exchange_request(), copied
 *       exchange_defer(exchange, &job->ticket);                        // from here on the exchange is not
 * touched queue(job);
 *   }
 *   // on a worker: between units of work
 *   if (exchange_cancelled(&job->ticket)) { exchange_complete(&job->ticket, 503, ...); give up; }
 *   exchange_complete(&job->ticket, 200, "application/json", NULL, 0, body, len);
 *
 * The server sees to HEAD (answered like GET, without the body), to 404 and 405, to keep-alive, to the host
 * allow-list and to a client that does not read its answer. Answers carry X-Content-Type-Options: nosniff.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "base/slice.h"
#include "protocol/http1.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;
struct server;
struct shard;

enum { EXCHANGE_HEADERS_MAX = 8 }; /* beside the content type */

/*
 * Which listener a route is served on. A path of another listener's routes is a 404. ROLE_GRPC speaks HTTP/2
 * and has no routes: its calls are OTLP's Export and the health check.
 */
enum listener_role { ROLE_OTLP, ROLE_QUERY, ROLE_OPS, ROLE_GRPC, ROLE_ZIPKIN, ROLE_COUNT };

/*
 * A row of the route table. Rows are searched in order; rows of one path with different methods stand side by
 * side. A request body is dropped (beyond 64 KiB: 413) unless streams_body is set, which only ROLE_OTLP and
 * ROLE_ZIPKIN may do, or small_body_max: then exchange_small_body() has it when handle runs, and a larger one is
 * refused (413).
 */
struct route {
    enum listener_role role;
    enum http1_method method;
    const char *path; /* raw, as it stands in the request */
    bool prefix;      /* matches every path that begins with `path` */
    bool streams_body;
    uint32_t small_body_max; /* bytes, at most 64 KiB; 0: none is kept. Without decoding */
    /* May be NULL. At the end of the head, before a byte of the body is kept: may answer, which refuses the
     * body. */
    void (*judge)(struct exchange *exchange, void *context);
    void (*handle)(struct exchange *exchange, void *context); /* the request is complete */
    void *context;                                            /* borrowed for the life of the server */
};

/* Valid until the exchange is answered or deferred; copy what a worker needs. */
const struct http1_request *exchange_request(const struct exchange *exchange);
/* The first field of that lower-case name that the request has no slice for; ptr NULL if there is none. */
struct slice exchange_field(const struct exchange *exchange, const char *name);
/* The body of a route with small_body_max; empty when there was none. */
struct slice exchange_small_body(const struct exchange *exchange);
/* The shard whose thread serves the connection; NULL on a thread that serves no shard (query and ops
 * listeners). */
struct shard *exchange_shard(struct exchange *exchange);
/* CLOCK_MONOTONIC of the turn. */
uint64_t exchange_now_ns(const struct exchange *exchange);

/*
 * Answers at once, on the thread of the connection. content_type is static text, NULL for none; headers and
 * body are copied. Bodies up to 64 KiB cost no more than that; larger ones are copied to the heap.
 */
void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     const struct http1_header *headers, size_t headers_count, struct slice body);

/* The right to answer later: a plain value, copied freely. Fields are private. */
struct exchange_ticket {
    struct server *server;
    uint32_t conn;
    uint32_t generation;
};
/* In the handler only, instead of exchange_answer(). */
void exchange_defer(struct exchange *exchange, struct exchange_ticket *out);
/* Any thread, cheap: the client has left (or closed its side) or the server stops. The ticket is still
 * completed. */
bool exchange_cancelled(const struct exchange_ticket *ticket);
/*
 * Any thread, exactly once per ticket, even when cancelled (the answer is then dropped). content_type is
 * static text; headers are copied, their names static text; body is malloc'ed memory (NULL when len is 0) and
 * passes to the server.
 */
void exchange_complete(const struct exchange_ticket *ticket, int status, const char *content_type,
                       const struct http1_header *headers, size_t headers_count, void *body, size_t len);

#endif
