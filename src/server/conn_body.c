/*
 * The body of an HTTP/1 request on its way in, within what intake.c lets it have. No room for the next step:
 * 503. With Content-Length the bytes go straight into place; a chunked body passes through the shared buffers
 * and the engine. A client that stalls is cut without an answer, because one would make it drop its data.
 */
#include "conn.h"
#include "intake.h"
#include "status.h"

#include <stdlib.h>

enum { PROBE_BYTES = 16 * 1024 };

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t bytes_max(const struct conn *conn)
{
    const struct http1_request *const request = &conn->http1.request;

    return request->chunked ? conn->server->config.limits.body_bytes_max : request->content_length;
}

static void refuse_for_memory(struct conn *conn)
{
    conn_body_release(conn);
    status_refuse(&conn->exchange, 503, "no memory for the body at the moment, try again later");
}

void conn_body_begin(struct conn *conn)
{
    assert(conn->body.ptr == NULL && conn->server->config.shard != NULL);

    if (!intake_begin(conn->server->config.shard, bytes_max(conn), &conn->body)) refuse_for_memory(conn);
}

static bool is_kept(const struct conn *conn)
{
    return conn->stage == CONN_BODY && conn->exchange.route != NULL && conn->exchange.route->streams_body;
}

static bool is_small(const struct conn *conn)
{
    return conn->stage == CONN_BODY && conn->exchange.route != NULL &&
           conn->exchange.route->small_body_max > 0;
}

/* Such a body is rare and short: it lives on the heap until the request is answered. */
static void keep_small(struct conn *conn, struct slice bytes)
{
    const size_t max = conn->exchange.route->small_body_max;

    if (conn->small == NULL) conn->small = malloc(max);
    if (conn->small != NULL && conn->body_bytes <= max) {
        memcpy(conn->small + conn->small_len, bytes.ptr, bytes.len);
        conn->small_len += bytes.len;
        return;
    }
    const bool no_memory = conn->small == NULL;
    conn->exchange.keep_alive = false;
    conn_answer(conn, no_memory ? 503 : 413, "text/plain", NULL, 0,
                slice_text(no_memory ? "503 no memory for the body at the moment"
                                     : "413 the body is larger than this path takes"),
                NULL);
}

void conn_body_append(struct conn *conn, struct slice bytes)
{
    struct shard_body *const body = &conn->body;

    conn->body_bytes += bytes.len;
    if (is_small(conn)) {
        keep_small(conn, bytes);
        return;
    }
    if (!is_kept(conn)) {
        if (conn->stage == CONN_DISCARDING) {
            if (conn->body_bytes > DISCARD_BYTES_MAX + DROP_BYTES_MAX) conn_close(conn, true);
        } else if (conn->body_bytes > DROP_BYTES_MAX) {
            conn->exchange.keep_alive = false;
            conn_answer(conn, 413, "text/plain", NULL, 0, slice_text("413 this path takes no body"), NULL);
        }
        return;
    }
    metric_add(conn->server->metrics, METRIC_RECEIVED_BYTES, bytes.len);
    if (conn->body_bytes > conn->server->config.limits.body_bytes_max) {
        conn_body_release(conn);
        status_refuse(&conn->exchange, 413, "the body is larger than the limit of this server");
    } else if (!intake_make_room(conn->server->config.shard, body, bytes.len, bytes_max(conn))) {
        refuse_for_memory(conn);
    } else {
        memcpy(body->ptr + body->len, bytes.ptr, bytes.len);
        body->len += bytes.len;
    }
}

/* Starts a direct receive if the body is one for it. True: it is under way, or the connection has moved on.
 */
bool conn_body_receive(struct conn *conn)
{
    struct shard_body *const body = &conn->body;
    const uint64_t owed = http1_body_owed(&conn->http1);

    if (!is_kept(conn) || owed == 0) return false;

    /* Grow as soon as trust allows, not when the buffer is full: there is less to copy. */
    const uint64_t trusted = intake_trusted(body, bytes_max(conn));
    if (trusted > body->capacity && !shard_body_grow(conn->server->config.shard, body, trusted) &&
        body->len == body->capacity) {
        refuse_for_memory(conn);
        return true;
    }
    const bool probing = body->len == 0 && owed > body->capacity;
    const uint64_t room = probing ? at_most(PROBE_BYTES, body->capacity) : body->capacity - body->len;
    io_receive_into(conn->server->io, &conn->receive_op, conn->socket, body->ptr + body->len,
                    (size_t)at_most(owed, room));
    return true;
}

void conn_body_received(struct conn *conn, uint64_t count)
{
    http1_body_skip(&conn->http1, count);
    conn->body.len += count;
    conn->body_bytes += count;
    metric_add(conn->server->metrics, METRIC_RECEIVED_BYTES, count);
    conn_body_deadline(conn);
}

void conn_body_deadline(struct conn *conn)
{
    conn_deadline(conn,
                  intake_deadline_ns(&conn->server->config.limits, conn->body_begin_ns, conn->body_bytes));
}

void conn_body_release(struct conn *conn)
{
    if (conn->body.ptr != NULL) shard_body_release(conn->server->config.shard, &conn->body);
    conn->body = (struct shard_body){0};
    free(conn->small);
    conn->small = NULL;
    conn->small_len = 0;
}
