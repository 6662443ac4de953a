/*
 * A connection that speaks HTTP/2, of the gRPC listener or, after the preface, of that for OTLP over HTTP: the engine
 * between a socket and its calls.
 *
 * The happy path. The first bytes open the engine. What is received is fed to it, which runs the events of
 * calls (call.c). Whoever may have given it something to send touches the connection; at the end of the turn
 * all that were touched send, so answers that become durable together leave together. One send is under way at a
 * time, of one block; the next begins when it has landed. Nothing more is received while the engine is congested.
 *
 *   IDLE    no call; the engine keeps the tables of HPACK, which are the connection's
 *   CALLS   calls are open, or the shard still works on some
 *
 * One deadline stands for the earliest of several: a frame that has begun, calls, the send, being idle, the end
 * of draining. Deadlines only move away while bytes come, so the one that was noted may be too early; it is
 * computed anew when it has passed.
 *
 * The end. In order: the server stops, the connection was idle for too long or has had its share of requests;
 * the client is told (GOAWAY) and open calls are answered first. When it exceeds a budget it is told and closed.
 * Calls that the shard works on are joined before the slot goes back.
 */
#include "conn.h"

#include "base/clock.h"

static const uint64_t PING_NS_MAX = NS_PER_S / 2; /* for a client to learn that the connection ends */

static const struct server_limits *limits_of(const struct conn *conn)
{
    return &conn->server->config.limits;
}

static uint64_t now_of(const struct conn *conn)
{
    return io_now_ns(conn->server->io);
}

void conn_grpc_wait_until(struct conn *conn, uint64_t at_ns)
{
    uint64_t *const deadline_ns = &conn->server->deadline_ns[conn->index];

    if (at_ns < *deadline_ns) *deadline_ns = at_ns;
}

void conn_grpc_touch(struct conn *conn)
{
    if (conn->touched) return;
    conn->touched = true;
    conn->touched_next = conn->server->touched_first;
    conn->server->touched_first = (int32_t)conn->index;
}

/* ---- in -------------------------------------------------------------------------------------------------
 */

static bool open_engine(struct conn *conn)
{
    const struct http2_config config = {
        .handler = &call_handler,
        .context = conn,
        .memory = &conn->server->http2_memory,
    };

    if (http2_open(&config, &conn->http2) == OK) return true;
    metric_add(conn->server->metrics, METRIC_CONNS_REFUSED, 1);
    conn_close(conn, true);
    return false;
}

/* A head or another frame that has begun must end in time; the preface since the connection was accepted. */
static void watch_frame(struct conn *conn)
{
    const uint64_t number = http2_under_way(conn->http2);

    if (number == conn->head_begin) return;
    conn->head_begin = number;
    conn->head_deadline_ns = number == 0 ? UINT64_MAX : now_of(conn) + limits_of(conn)->head_ns_max;
    conn_grpc_wait_until(conn, conn->head_deadline_ns);
}

void conn_grpc_take(struct conn *conn, struct slice bytes)
{
    if (conn->http2 == NULL) {
        conn->head_deadline_ns = conn->server->deadline_ns[conn->index]; /* of the accept, or the head */
        conn->head_begin = 1;
        conn->idle_deadline_ns = now_of(conn) + limits_of(conn)->idle_ns_max;
        conn->send_deadline_ns = conn->finish_ns = UINT64_MAX;
        if (!open_engine(conn)) return;
    }
    http2_feed(conn->http2, bytes);
    watch_frame(conn);
    conn_grpc_touch(conn);
}

void conn_grpc_begin(struct conn *conn)
{
    uint8_t *const block = conn->http1.head_buf;

    assert(conn->stage == CONN_HEAD && conn->requests == 0);

    http1_init(&conn->http1, NULL, HTTP1_HEAD_CAPACITY);
    block_give(conn->server, block);
    conn->is_http2 = true;
    conn_enter(conn, CONN_IDLE);
    conn_grpc_take(conn, slice_text(HTTP1_OF_HTTP2));
}

bool conn_grpc_wants_more(const struct conn *conn)
{
    return conn->http2 == NULL || !(conn_is_sending(conn) && http2_is_congested(conn->http2));
}

/* ---- calls come and go ----------------------------------------------------------------------------------
 */

static void drain(struct conn *conn)
{
    http2_drain(conn->http2);
    conn->finish_ns = now_of(conn) + PING_NS_MAX;
    conn_grpc_wait_until(conn, conn->finish_ns);
    conn_grpc_touch(conn);
}

void conn_grpc_on_call(struct conn *conn)
{
    if (conn->stage == CONN_IDLE) conn_enter(conn, CONN_CALLS);
    if (++conn->requests == limits_of(conn)->requests_per_conn_max) drain(conn);
}

void conn_grpc_rest(struct conn *conn)
{
    if (conn->calls_count > 0) return;
    conn->idle_deadline_ns = now_of(conn) + limits_of(conn)->idle_ns_max;
    conn_enter(conn, CONN_IDLE);
    conn_grpc_wait_until(conn, conn->idle_deadline_ns);
}

/* ---- out ------------------------------------------------------------------------------------------------
 */

static void send_next(struct conn *conn);

static void on_sent(struct conn *conn, enum err err)
{
    if (err != OK) {
        conn_close(conn, true);
    } else {
        conn->send_deadline_ns = UINT64_MAX;
        send_next(conn);
        conn_arm(conn);
    }
}

static void close_if_over(struct conn *conn)
{
    if (!http2_is_over(conn->http2)) return;
    if (http2_abuse(conn->http2) != NULL) metric_add(conn->server->metrics, METRIC_HTTP2_CALMED, 1);
    conn_close(conn, false);
}

static void send_next(struct conn *conn)
{
    struct answer *const answer = &conn->answer;

    if (answer->block == NULL) answer->block = block_take(conn->server);
    if (answer->block == NULL) {
        conn_close(conn, true);
        return;
    }
    answer->block_len = http2_output(conn->http2, answer->block, BLOCK_BYTES);
    if (answer->block_len == 0) {
        conn_answer_drop(conn);
        close_if_over(conn);
        return;
    }
    conn->send_deadline_ns = now_of(conn) + limits_of(conn)->stall_ns_max;
    conn_grpc_wait_until(conn, conn->send_deadline_ns);
    conn_send(conn, answer->block, answer->block_len, on_sent);
}

static void flush(struct conn *conn)
{
    if (conn->http2 == NULL) return;
    /* The client knows that the connection ends; what it has not sent by now it sends to somebody else. */
    if (conn->server->draining && http2_is_finishing(conn->http2)) calls_refuse_unfinished(conn);
    if (!conn_is_sending(conn)) send_next(conn);
}

void conn_grpc_flush(struct server *server)
{
    while (server->touched_first != CONN_NONE) {
        struct conn *const conn = &server->conns[server->touched_first];

        server->touched_first = conn->touched_next;
        conn->touched = false;
        if (conn->stage == CONN_CLOSING)
            conn_join(conn);
        else
            flush(conn);
    }
}

/* ---- deadlines ------------------------------------------------------------------------------------------
 */

/* False: a client that takes no answers was found. */
static bool look_at_calls(struct conn *conn, uint64_t now_ns)
{
    for (struct call *call = conn->calls; call != NULL; call = call->next) {
        if (!call_on_deadline(call, now_ns)) return false;
        if (!call->closed) conn_grpc_wait_until(conn, call->deadline_ns);
    }
    return true;
}

static void finish(struct conn *conn)
{
    http2_finish(conn->http2);
    conn->finish_ns = UINT64_MAX;
    conn_grpc_touch(conn);
}

/* What is due now; false: the connection has ended. */
static bool act(struct conn *conn, uint64_t now_ns)
{
    if (conn->http2 == NULL || conn->head_deadline_ns <= now_ns || conn->send_deadline_ns <= now_ns ||
        !look_at_calls(conn, now_ns)) {
        metric_add(conn->server->metrics, METRIC_CONNS_TIMED_OUT, 1);
        conn_close(conn, true);
        return false;
    }
    if (conn->finish_ns <= now_ns) finish(conn);
    if (conn->stage == CONN_IDLE && conn->idle_deadline_ns <= now_ns) {
        if (http2_is_finishing(conn->http2)) {
            conn_close(conn, false);
            return false;
        }
        finish(conn);
        conn->idle_deadline_ns = now_ns + limits_of(conn)->stall_ns_max;
    }
    return true;
}

void conn_grpc_on_deadline(struct conn *conn)
{
    const uint64_t now_ns = now_of(conn);

    if (conn->stage == CONN_CLOSING || conn->stage == CONN_FREE) return;
    conn_deadline(conn, UINT64_MAX);
    if (!act(conn, now_ns)) return;
    conn_grpc_wait_until(conn, conn->head_deadline_ns);
    conn_grpc_wait_until(conn, conn->send_deadline_ns);
    conn_grpc_wait_until(conn, conn->finish_ns);
    if (conn->stage == CONN_IDLE) conn_grpc_wait_until(conn, conn->idle_deadline_ns);
}

/* ---- the end --------------------------------------------------------------------------------------------
 */

void conn_grpc_drain(struct conn *conn)
{
    if (conn->http2 == NULL)
        conn_close(conn, false);
    else
        drain(conn);
}

void conn_grpc_close(struct conn *conn)
{
    calls_abandon(conn);
    if (conn->http2 != NULL) http2_close(conn->http2);
    conn->http2 = NULL;
}
