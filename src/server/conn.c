/*
 * A connection: bytes come in, requests are answered one at a time, in order.
 *
 * The happy path. IDLE: one receive through the shared buffers is under way, the connection holds no memory
 * beyond its slot. The first byte makes it HEAD: a block is borrowed for the head. At its end the request is
 * judged (conn_request.c) and the connection is in BODY: what is at hand is copied into the body, the rest is
 * received straight into it (conn_body.c). WORKING: the handler has it. ANSWERING: the answer is sent
 * (conn_answer.c). Then IDLE again.
 *
 * Receives are one-shot. A multishot receive would have to be cancelled before each direct one, with bytes
 * landing meanwhile; one-shot receives need no cancel, never deliver more than one buffer, and leave a
 * pipelining client's input in the socket while its request is in work. What one buffer holds beyond a
 * request waits in `early`.
 *
 * Failures: a peer that is gone, late or out of limits is closed without ceremony. A refused request is
 * answered; then either the rest of its body is read and dropped to keep the connection (DISCARDING), or the
 * socket is closed in order, which lets the client read that last answer first (io/ sees to it). Connections
 * that speak HTTP/2 share slots, receiving and the end; what is between is told in conn_grpc.c. CLOSING
 * waits for what is in flight; only then the slot is given back, so a completion never meets a stranger.
 */
#include "conn.h"

#include "base/clock.h"

static const uint16_t legal_moves[CONN_STAGE_COUNT] = {
    [CONN_FREE] = 1 << CONN_IDLE,
    [CONN_IDLE] = 1 << CONN_HEAD | 1 << CONN_CALLS | 1 << CONN_CLOSING,
    [CONN_CALLS] = 1 << CONN_IDLE | 1 << CONN_CLOSING,
    [CONN_HEAD] = 1 << CONN_IDLE | 1 << CONN_BODY | 1 << CONN_ANSWERING | 1 << CONN_CLOSING,
    [CONN_BODY] = 1 << CONN_WORKING | 1 << CONN_ANSWERING | 1 << CONN_CLOSING,
    [CONN_WORKING] = 1 << CONN_ANSWERING | 1 << CONN_CLOSING,
    [CONN_ANSWERING] = 1 << CONN_IDLE | 1 << CONN_DISCARDING | 1 << CONN_CLOSING,
    [CONN_DISCARDING] = 1 << CONN_IDLE | 1 << CONN_CLOSING,
    [CONN_CLOSING] = 1 << CONN_FREE,
};

/*
 * Nothing is lost with it. A head that is under way is newest when it begins, and an honest one is over before it is
 * oldest: slow heads from many addresses cannot keep others out.
 */
static bool may_make_room(enum conn_stage stage)
{
    return stage == CONN_IDLE || stage == CONN_HEAD;
}

void conn_enter(struct conn *conn, enum conn_stage stage)
{
    assert(legal_moves[conn->stage] & 1 << stage);

    if (may_make_room(conn->stage)) conn_idle_remove(conn);
    if (may_make_room(stage)) conn_idle_add(conn);
    conn->stage = stage;
}

/* ---- beginning ------------------------------------------------------------------------------------------
 */

static bool make_room(struct server *server)
{
    if (server->conns_open < server->config.limits.conns_max) return true;
    if (server->idle_oldest == CONN_NONE) return false;
    conn_close(&server->conns[server->idle_oldest], false);
    return true;
}

static void refuse(struct server *server, struct io_socket socket)
{
    metric_add(server->metrics, METRIC_CONNS_REFUSED, 1);
    io_socket_close(server->io, socket, true);
}

static void on_bytes(struct io_receive *receive, enum err err, struct slice bytes, bool last);

void conn_accept(struct listener *listener, struct io_socket socket)
{
    struct server *const server = listener->server;
    char peer[CONN_PEER_MAX];

    if (server->draining) {
        refuse(server, socket);
        return;
    }
    io_socket_peer(server->io, socket, peer, sizeof peer);
    const uint64_t source = source_hash(&server->sources, peer);
    const bool modest = source_add(&server->sources, source) <= server->config.limits.conns_per_source_max;
    struct conn *const conn = modest && make_room(server) ? conn_take_slot(server) : NULL;
    if (conn == NULL) {
        source_remove(&server->sources, source);
        refuse(server, socket);
        return;
    }
    conn->role = listener->role;
    conn->is_http2 = conn->role == ROLE_GRPC;
    conn->socket = socket;
    conn->secured = server->config.tls != NULL && (server->config.tls_listeners >> listener->role & 1) != 0;
    conn->source = source;
    memcpy(conn->peer, peer, sizeof conn->peer);
    conn->receive.on_bytes = on_bytes;
    conn->receive_op.done = conn_on_receive_op;
    http1_init(&conn->http1, NULL, HTTP1_HEAD_CAPACITY);
    server->conns_open++;
    metric_add(server->metrics, METRIC_CONNS_ACCEPTED, 1);
    metric_set(server->metrics, METRIC_CONNS_OPEN, server->conns_open);
    conn_enter(conn, CONN_IDLE);
    conn_deadline(conn, io_now_ns(server->io) + server->config.limits.head_ns_max);
    conn_arm(conn);
}

/* ---- input ----------------------------------------------------------------------------------------------
 */

/* Does the stage wait for input? */
bool conn_wants_input(const struct conn *conn)
{
    if (conn->peer_finished) return false;
    switch (conn->stage) {
    case CONN_WORKING: /* a worker has it: listen, to learn that the client has left */
        return conn->exchange.deferred && conn->early == NULL;
    case CONN_IDLE:
    case CONN_CALLS: return !conn->is_http2 || conn_grpc_wants_more(conn);
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_DISCARDING: return true;
    case CONN_FREE:
    case CONN_ANSWERING:
    case CONN_CLOSING:
    case CONN_STAGE_COUNT: break;
    }
    return false;
}

/* Sees to it that a receive is under way if the stage waits for input. Called after every step. */
void conn_arm(struct conn *conn)
{
    if (conn->receive.in_flight || conn->receive_op.in_flight || conn->starving) return;

    conn_tls_take_kept(conn);
    if (!conn_wants_input(conn) || conn->cipher != NULL) return;
    if (conn->stage == CONN_BODY && !conn->secured && conn_body_receive(conn)) return;
    io_receive_once(conn->server->io, &conn->receive, conn->socket);
}

static bool is_reading(const struct conn *conn)
{
    return conn->stage == CONN_IDLE || conn->stage == CONN_HEAD || conn->stage == CONN_BODY ||
           conn->stage == CONN_DISCARDING;
}

static bool begin_head(struct conn *conn)
{
    struct server *const server = conn->server;
    uint8_t *const block = block_take(server);

    if (block == NULL) {
        metric_add(server->metrics, METRIC_CONNS_REFUSED, 1);
        conn_close(conn, true);
        return false;
    }
    http1_lend(&conn->http1, block, BLOCK_BYTES);
    conn_enter(conn, CONN_HEAD);
    conn_deadline(conn, io_now_ns(server->io) + server->config.limits.head_ns_max);
    return true;
}

/* Feeds the engine until the input is used up or the request is in work; returns how much was consumed. */
static size_t feed(struct conn *conn, struct slice input)
{
    size_t at = 0;

    while (is_reading(conn)) {
        struct http1_event event;
        size_t consumed = 0;

        if (conn->stage == CONN_IDLE && (at == input.len || !begin_head(conn))) break;
        const enum http1_event_kind kind = http1_feed(&conn->http1, slice_of(input.ptr + at, input.len - at),
                                                      &consumed, &event);
        at += consumed;
        switch (kind) {
        case HTTP1_NEED_MORE: assert(at == input.len); return at;
        case HTTP1_HEAD: conn_on_head(conn); break;
        case HTTP1_BODY: conn_body_append(conn, event.body); break;
        case HTTP1_END: conn_on_end(conn); break;
        case HTTP1_REFUSED: conn_on_refused(conn, &event); break;
        }
        if (conn->is_http2) {
            const bool open = conn->stage == CONN_IDLE || conn->stage == CONN_CALLS;
            if (open) conn_grpc_take(conn, slice_of(input.ptr + at, input.len - at));
            return input.len;
        }
    }
    return at;
}

static void keep_early(struct conn *conn, struct slice rest)
{
    if (rest.len == 0 || (conn->stage != CONN_WORKING && conn->stage != CONN_ANSWERING)) return;

    if (conn->early == NULL) conn->early = block_take(conn->server);
    if (conn->early == NULL) {
        conn_close(conn, true);
        return;
    }
    assert(conn->early_at + conn->early_len + rest.len <= BLOCK_BYTES); /* one receive, of at most a buffer */
    memcpy(conn->early + conn->early_at + conn->early_len, rest.ptr, rest.len);
    conn->early_len += rest.len;
}

static void drop_early(struct conn *conn)
{
    if (conn->early != NULL) block_give(conn->server, conn->early);
    conn->early = NULL;
    conn->early_at = conn->early_len = 0;
}

/* Feeds what came early; or nothing, which lets the engine say that a request has ended. */
static void feed_early(struct conn *conn)
{
    if (conn->early == NULL) {
        (void)feed(conn, slice_text(""));
        return;
    }
    const size_t consumed = feed(conn, slice_of(conn->early + conn->early_at, conn->early_len));
    if (conn->early == NULL) return; /* the connection has ended */
    conn->early_at += consumed;
    conn->early_len -= consumed;
    if (conn->early_len == 0) drop_early(conn);
}

static void take(struct conn *conn, struct slice bytes)
{
    const size_t consumed = is_reading(conn) ? feed(conn, bytes) : 0;
    keep_early(conn, slice_of(bytes.ptr + consumed, bytes.len - consumed));
    if (conn->stage == CONN_BODY || conn->stage == CONN_DISCARDING) conn_body_deadline(conn);
}

void conn_on_peer_finished(struct conn *conn)
{
    conn->peer_finished = true;
    if (conn->stage == CONN_ANSWERING) return; /* it may still read the answer */
    conn_close(conn, false);
}

void conn_take(struct conn *conn, struct slice bytes)
{
    if (conn->is_http2)
        conn_grpc_take(conn, bytes);
    else
        take(conn, bytes);
}

static void take_plain(struct conn *conn, struct slice bytes)
{
    const bool is_first = conn->stage == CONN_IDLE && conn->requests == 0 && conn->http2 == NULL;

    if (is_first && bytes.ptr[0] == 0x16)
        conn_tls_tell_on_plain(conn); /* a handshake record; refused as no HTTP */
    conn_take(conn, bytes);
}

static void starve(struct conn *conn)
{
    conn->starving = true;
    conn->starving_next = conn->server->starving_first;
    conn->server->starving_first = (int32_t)conn->index;
}

static void on_bytes(struct io_receive *receive, enum err err, struct slice bytes, bool last)
{
    struct conn *const conn = container_of(receive, struct conn, receive);

    if (conn->stage == CONN_CLOSING) {
        if (last) conn_join(conn);
        return;
    }
    if (err == ERR_FULL) {
        starve(conn);
        return;
    }
    if (err != OK)
        conn_close(conn, true);
    else if (bytes.len == 0)
        conn_on_peer_finished(conn);
    else if (conn->secured)
        conn_tls_on_bytes(conn, bytes);
    else
        take_plain(conn, bytes);
    if (last) conn_arm(conn);
}

/* Buffers go back to the ring within the turn that filled them, so by the next turn there are some. */
void conn_unstarve(struct server *server)
{
    int32_t at = server->starving_first;

    server->starving_first = CONN_NONE;
    while (at != CONN_NONE) {
        struct conn *const conn = &server->conns[at];
        at = conn->starving_next;
        conn->starving = false;
        if (conn->stage == CONN_CLOSING)
            conn_join(conn);
        else
            conn_arm(conn);
    }
}

void conn_on_receive_op(struct io_op *op)
{
    struct conn *const conn = container_of(op, struct conn, receive_op);

    if (conn->stage == CONN_CLOSING) {
        conn_join(conn);
        return;
    }
    assert(conn->stage == CONN_BODY);
    if (op->err == ERR_CANCELLED && conn->server->draining) {
        conn_refuse_closing(conn);
    } else if (op->err != OK) {
        conn_close(conn, true);
    } else if (op->count == 0) {
        conn_on_peer_finished(conn);
    } else {
        conn_body_received(conn, op->count);
        if (http1_body_owed(&conn->http1) == 0) (void)feed(conn, slice_text(""));
        conn_arm(conn);
    }
}

/* ---- the next request -----------------------------------------------------------------------------------
 */

/* The request is over and answered: back to IDLE, holding nothing. */
void conn_rest(struct conn *conn)
{
    http1_reset(&conn->http1);
    uint8_t *const block = http1_take_back(&conn->http1);
    if (block != NULL) block_give(conn->server, block);
    conn_body_release(conn);
    conn->exchange = (struct exchange){0};
    conn_enter(conn, CONN_IDLE);
    conn_deadline(conn, io_now_ns(conn->server->io) + conn->server->config.limits.idle_ns_max);
}

/* The answer has been sent. */
void conn_next(struct conn *conn)
{
    struct exchange *const exchange = &conn->exchange;

    if (!exchange->keep_alive || conn->peer_finished) {
        conn_close(conn, false);
    } else if (exchange->complete) {
        conn_rest(conn);
        if (conn->early != NULL) feed_early(conn);
    } else {
        conn_enter(conn, CONN_DISCARDING);
        conn_body_deadline(conn);
        feed_early(conn);
    }
    conn_arm(conn);
}

/* ---- the end --------------------------------------------------------------------------------------------
 */

/* Gives the slot back when nothing of the connection is in flight any more. */
void conn_join(struct conn *conn)
{
    struct server *const server = conn->server;

    assert(conn->stage == CONN_CLOSING);
    if (conn->receive.in_flight || conn->receive_op.in_flight || conn->send_op.in_flight || conn->ingesting ||
        conn->starving || conn->calls_ingesting > 0 || conn->touched)
        return;

    conn_body_release(conn);
    conn_answer_drop(conn);
    conn_send_drop(conn);
    conn_tls_close(conn);
    drop_early(conn);
    if (conn->http1.head_buf != NULL) block_give(server, conn->http1.head_buf);
    source_remove(&server->sources, conn->source);
    io_socket_close(server->io, conn->socket, conn->reset);
    conn_enter(conn, CONN_FREE);
    conn_give_slot(conn);
}

void conn_close(struct conn *conn, bool reset)
{
    struct server *const server = conn->server;

    if (conn->stage == CONN_CLOSING) return;

    atomic_fetch_add(&server->generations[conn->index], 1);
    conn_tls_leave_handshake(conn);
    conn_enter(conn, CONN_CLOSING);
    conn_deadline(conn, UINT64_MAX);
    conn->reset = reset;
    server->conns_open--;
    metric_set(server->metrics, METRIC_CONNS_OPEN, server->conns_open);
    if (conn->receive.in_flight) io_receive_stop(server->io, &conn->receive);
    if (conn->receive_op.in_flight) io_cancel(server->io, &conn->receive_op);
    if (conn->send_op.in_flight) io_cancel(server->io, &conn->send_op);
    if (conn->is_http2) conn_grpc_close(conn);
    if (!reset) conn_send_goodbye(conn);
    conn_join(conn);
}

void conn_on_deadline(struct conn *conn)
{
    if (conn->stage == CONN_CLOSING) { /* the last words of TLS find no room */
        conn_deadline(conn, UINT64_MAX);
        if (conn->send_op.in_flight) io_cancel(conn->server->io, &conn->send_op);
        return;
    }
    if (conn->is_http2) {
        conn_grpc_on_deadline(conn);
        return;
    }
    const bool expected = conn->stage == CONN_IDLE && conn->requests > 0;

    if (!expected) metric_add(conn->server->metrics, METRIC_CONNS_TIMED_OUT, 1);
    conn_close(conn, conn->stage == CONN_ANSWERING);
}

/* The server stops: what has not been read is not begun; what is in work will be answered, with Connection:
 * close. */
void conn_drain(struct conn *conn)
{
    if (conn->is_http2 && (conn->stage == CONN_IDLE || conn->stage == CONN_CALLS)) {
        conn_grpc_drain(conn);
        return;
    }
    switch (conn->stage) {
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_DISCARDING: conn_close(conn, false); return;
    case CONN_BODY:
        if (conn->receive_op.in_flight)
            io_cancel(conn->server->io, &conn->receive_op); /* into the body: first it must land */
        else
            conn_refuse_closing(conn);
        return;
    case CONN_WORKING:
    case CONN_ANSWERING: conn->exchange.keep_alive = false; return;
    case CONN_FREE:
    case CONN_CALLS:
    case CONN_CLOSING:
    case CONN_STAGE_COUNT: return;
    }
}
