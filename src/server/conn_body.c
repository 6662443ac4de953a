/*
 * The body of a request on its way in.
 *
 * Its memory comes from the shard's budget as bytes arrive: 64 KiB to begin with, then at most sixteen times
 * what has arrived, so that announcing a large body and sending nothing holds little. No room for the next
 * step: 503, and nothing waits while holding memory. With Content-Length the bytes go straight into place; a
 * chunked body passes through the shared buffers and the engine.
 *
 * The deadline is one number: begin + grace + bytes received / minimum rate, and never beyond the absolute
 * limit. A client that stalls is cut without an answer, because one would make it drop its data.
 */
#include "conn.h"
#include "status.h"

#include "base/clock.h"

enum { FIRST_BYTES = 64 * 1024, PROBE_BYTES = 16 * 1024, TRUST = 16 };

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

    if (!shard_body_acquire(conn->server->config.shard, at_most(bytes_max(conn), FIRST_BYTES), &conn->body)) {
        conn->body.ptr = NULL;
        refuse_for_memory(conn);
        return;
    }
    conn->body.len = 0;
}

/* How much memory the client has earned by now. */
static uint64_t trusted_bytes(const struct conn *conn)
{
    return at_most(conn->body.len * TRUST, bytes_max(conn));
}

static bool make_room(struct conn *conn, uint64_t more)
{
    const uint64_t need = conn->body.len + more, trusted = trusted_bytes(conn);

    return need <= conn->body.capacity ||
           shard_body_grow(conn->server->config.shard, &conn->body, need > trusted ? need : trusted);
}

static bool is_kept(const struct conn *conn)
{
    return conn->stage == CONN_BODY && conn->exchange.route != NULL && conn->exchange.route->streams_body;
}

void conn_body_append(struct conn *conn, struct slice bytes)
{
    struct shard_body *const body = &conn->body;

    conn->body_bytes += bytes.len;
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
    } else if (!make_room(conn, bytes.len)) {
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
    const uint64_t trusted = trusted_bytes(conn);
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
    const struct server_limits *const limits = &conn->server->config.limits;
    const uint64_t earned_ns = at_most(conn->body_bytes, UINT64_MAX / NS_PER_S) * NS_PER_S /
                               limits->body_rate_bytes_min;

    conn_deadline(conn,
                  conn->body_begin_ns + at_most(limits->body_grace_ns + earned_ns, limits->body_ns_max));
}

void conn_body_release(struct conn *conn)
{
    if (conn->body.ptr != NULL) shard_body_release(conn->server->config.shard, &conn->body);
    conn->body = (struct shard_body){0};
}
