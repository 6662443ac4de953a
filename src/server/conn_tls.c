/*
 * TLS on its way in. The engine stands between the socket and HTTP, which know nothing of it: what is received is
 * decrypted record by record and taken as if it had come so, for as long as the connection wants input. What it does not
 * want yet stays encrypted, in a borrowed block, and no more is received until it is used up.
 *
 * The engine is made when the first five bytes look like a ClientHello: it costs 73 KB before the handshake has begun.
 * What does not look like one is told so in plain HTTP, because a browser or a client that was set up without TLS shows
 * that to somebody who can put it right. A handshake has the time of a head, whatever it sends meanwhile; of those under
 * way the oldest gives way when they are too many. Then the head has its time again.
 */
#include "conn.h"

#include "base/log.h"

enum { HANDSHAKES_MAX = 256 }; /* of one server at once: at 73 KB each 18 MB */

static void tell(struct conn *conn, enum tell what, const char *message, const char *why)
{
    if (server_may_tell(conn->server, what))
        log_warn("server", message, "listener=%s source=%s because=\"%s\"", listener_name(conn->role),
                 conn->peer, why);
}

void conn_tls_tell_on_plain(struct conn *conn)
{
    metric_add(conn->server->metrics, METRIC_TLS_ON_PLAIN, 1);
    tell(conn, TELL_TLS_ON_PLAIN, "TLS on a plain port", "the client speaks TLS, and this listener does not");
}

/* ---- the handshake --------------------------------------------------------------------------------------
 */

static void refuse_plaintext(struct conn *conn)
{
    static const char text[] = "400 this port speaks TLS: use https, or turn TLS on in the client\n";

    metric_add(conn->server->metrics, METRIC_PLAIN_ON_TLS, 1);
    tell(conn, TELL_PLAIN_ON_TLS, "plaintext on a TLS port", "the client does not speak TLS");
    conn->secured = false; /* for its last answer */
    conn->exchange = (struct exchange){0};
    conn_enter(conn, CONN_HEAD);
    conn_answer(conn, 400, "text/plain; charset=utf-8", NULL, 0, slice_text(text), NULL);
}

/* Idle connections are listed by age, and those that shake hands are among them. */
static void make_room(struct server *server)
{
    int32_t at = server->idle_oldest;

    if (server->handshakes < HANDSHAKES_MAX) return;
    while (at != CONN_NONE && !server->conns[at].handshaking)
        at = server->conns[at].idle_next;
    assert(at != CONN_NONE);
    metric_add(server->metrics, METRIC_TLS_FAILED, 1);
    conn_close(&server->conns[at], true);
}

static bool open_engine(struct conn *conn)
{
    struct server *const server = conn->server;
    struct tls_identity *const identity = tls_shelf_take(server->config.tls);
    const enum tls_alpn alpn = conn->role == ROLE_GRPC   ? TLS_ALPN_HTTP2
                               : conn->role == ROLE_OTLP ? TLS_ALPN_EITHER
                                                         : TLS_ALPN_HTTP1;

    assert(identity != NULL);
    make_room(server);
    const enum err err = tls_open(identity, alpn, &conn->tls);
    tls_identity_release(identity);
    if (err != OK) {
        metric_add(server->metrics, METRIC_CONNS_REFUSED, 1);
        conn_close(conn, true);
        return false;
    }
    conn->handshaking = true;
    server->handshakes++;
    return true;
}

void conn_tls_leave_handshake(struct conn *conn)
{
    if (!conn->handshaking) return;
    assert(conn->server->handshakes > 0);
    conn->handshaking = false;
    conn->server->handshakes--;
}

static void on_established(struct conn *conn)
{
    conn_tls_leave_handshake(conn);
    if (tls_chose_http2(conn->tls)) conn->is_http2 = true;
    metric_add(conn->server->metrics, METRIC_TLS_HANDSHAKES, 1);
    conn_deadline(conn, io_now_ns(conn->server->io) + conn->server->config.limits.head_ns_max);
}

static void on_failed(struct conn *conn)
{
    if (conn->handshaking) {
        metric_add(conn->server->metrics, METRIC_TLS_FAILED, 1);
        tell(conn, TELL_TLS_FAILED, "TLS handshake failed", tls_failure(conn->tls));
    }
    conn_close(conn, false); /* with the alert that the engine has written */
}

/* ---- in -------------------------------------------------------------------------------------------------
 */

/* Takes from *input for as long as the connection wants something. */
static void pull(struct conn *conn, struct slice *input)
{
    uint8_t *const plain = conn->server->plain;
    size_t len;

    while (conn->tls != NULL && conn_wants_input(conn)) {
        const enum tls_event event = tls_read(conn->tls, input, plain, TLS_RECORD_BYTES, &len);

        if (conn->handshaking && tls_is_established(conn->tls)) on_established(conn);
        if (event == TLS_NEED_MORE) break;
        if (event == TLS_BYTES)
            conn_take(conn, slice_of(plain, len));
        else if (event == TLS_FINISHED)
            conn_on_peer_finished(conn);
        else
            on_failed(conn);
    }
    conn_send_flush(conn);
}

static void keep(struct conn *conn, struct slice rest)
{
    if (rest.len == 0 || conn->tls == NULL || conn->stage == CONN_CLOSING) return;

    assert(conn->cipher == NULL && rest.len <= BLOCK_BYTES); /* one receive, of at most a buffer */
    conn->cipher = block_take(conn->server);
    if (conn->cipher == NULL) {
        conn_close(conn, true);
        return;
    }
    memcpy(conn->cipher, rest.ptr, rest.len);
    conn->cipher_at = 0;
    conn->cipher_len = (uint16_t)rest.len;
}

/* Collects the first bytes. True: the engine is there, and has them. */
static bool begin(struct conn *conn, struct slice *input)
{
    while (conn->hello_len < TLS_HELLO_BYTES && input->len > 0) {
        conn->hello[conn->hello_len++] = input->ptr[0];
        *input = slice_of(input->ptr + 1, input->len - 1);
        switch (tls_look(slice_of(conn->hello, conn->hello_len))) {
        case TLS_LOOK_MORE: continue;
        case TLS_LOOK_OTHER: refuse_plaintext(conn); return false;
        case TLS_LOOK_HELLO: break;
        }
        if (!open_engine(conn)) return false;
        struct slice hello = slice_of(conn->hello, conn->hello_len);
        pull(conn, &hello);
        return conn->tls != NULL;
    }
    return false;
}

void conn_tls_on_bytes(struct conn *conn, struct slice bytes)
{
    if (conn->tls == NULL && !begin(conn, &bytes)) return;
    pull(conn, &bytes);
    keep(conn, bytes);
}

void conn_tls_take_kept(struct conn *conn)
{
    if (conn->cipher == NULL) return;
    struct slice rest = slice_of(conn->cipher + conn->cipher_at, conn->cipher_len);
    pull(conn, &rest);
    if (conn->cipher == NULL) return; /* the connection has ended */
    conn->cipher_at = (uint16_t)(conn->cipher_at + conn->cipher_len - rest.len);
    conn->cipher_len = (uint16_t)rest.len;
    if (rest.len == 0) conn_tls_drop_kept(conn);
}

void conn_tls_drop_kept(struct conn *conn)
{
    if (conn->cipher != NULL) block_give(conn->server, conn->cipher);
    conn->cipher = NULL;
}

void conn_tls_close(struct conn *conn)
{
    assert(!conn->handshaking);
    conn_tls_drop_kept(conn);
    if (conn->tls != NULL) tls_close(conn->tls);
    conn->tls = NULL;
}
