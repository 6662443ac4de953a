/*
 * What leaves a connection: as it is, or through TLS.
 *
 * Plain: one send, of all bytes. TLS: a record at a time is made into a borrowed block and sent; the next when it has
 * landed. What TLS itself has to say (handshake, alerts) goes the same way whenever the engine has some, so there is never
 * more than one send under way, and bytes leave in the order in which they were encrypted.
 */
#include "conn.h"

#include "base/clock.h"

static void pump(struct conn *conn);

static void on_op(struct io_op *op)
{
    struct conn *const conn = container_of(op, struct conn, send_op);

    if (conn->stage == CONN_CLOSING) {
        conn_join(conn);
    } else if (op->err == OK && conn->tls != NULL) {
        pump(conn);
    } else if (conn->sending) {
        conn->sending = false;
        conn->sent(conn, op->err);
    } else {
        conn_close(conn, true); /* within a handshake */
    }
}

static void submit(struct conn *conn, const void *bytes, size_t len)
{
    conn->send_op.done = on_op;
    io_send(conn->server->io, &conn->send_op, conn->socket, bytes, len);
}

static void give_block(struct conn *conn)
{
    if (conn->send_block != NULL) block_give(conn->server, conn->send_block);
    conn->send_block = NULL;
}

/* The next bytes for the socket, in the block; 0: none, or the connection has been closed. */
static size_t next_bytes(struct conn *conn)
{
    if (conn->send_block == NULL) conn->send_block = block_take(conn->server);
    if (conn->send_block == NULL) {
        conn_close(conn, true);
        return 0;
    }
    const size_t waiting = tls_output(conn->tls, conn->send_block, BLOCK_BYTES);
    if (waiting > 0 || conn->send_rest.len == 0) return waiting;
    const size_t piece = conn->send_rest.len < TLS_RECORD_BYTES ? conn->send_rest.len : TLS_RECORD_BYTES;
    if (!tls_write(conn->tls, slice_of(conn->send_rest.ptr, piece))) {
        conn_close(conn, true);
        return 0;
    }
    conn->send_rest = slice_of(conn->send_rest.ptr + piece, conn->send_rest.len - piece);
    return tls_output(conn->tls, conn->send_block, BLOCK_BYTES);
}

/* TLS: sends what there is; when all of the caller's bytes have gone, tells it. */
static void pump(struct conn *conn)
{
    if (conn->send_op.in_flight) return;
    const size_t len = next_bytes(conn);
    if (conn->stage == CONN_CLOSING || conn->stage == CONN_FREE) return;
    if (len > 0) {
        submit(conn, conn->send_block, len);
        return;
    }
    give_block(conn);
    if (!conn->sending) return;
    conn->sending = false;
    conn->sent(conn, OK);
}

void conn_send(struct conn *conn, const void *bytes, size_t len, conn_sent_fn *sent)
{
    assert(!conn->sending && len > 0);

    conn->sending = true;
    conn->sent = sent;
    if (conn->tls == NULL) {
        submit(conn, bytes, len);
    } else {
        conn->send_rest = slice_of(bytes, len);
        pump(conn);
    }
}

bool conn_is_sending(const struct conn *conn)
{
    return conn->sending;
}

void conn_send_flush(struct conn *conn)
{
    if (conn->tls != NULL && conn->stage != CONN_CLOSING && conn->stage != CONN_FREE) pump(conn);
}

/* The connection is closing in order: a last record, if the socket is free for it; at most a second. */
void conn_send_goodbye(struct conn *conn)
{
    if (conn->tls == NULL || conn->send_op.in_flight) return;
    tls_finish(conn->tls);
    if (conn->send_block == NULL) conn->send_block = block_take(conn->server);
    const size_t len = conn->send_block != NULL ? tls_output(conn->tls, conn->send_block, BLOCK_BYTES) : 0;
    if (len == 0) return;
    submit(conn, conn->send_block, len);
    conn_deadline(conn, io_now_ns(conn->server->io) + NS_PER_S);
}

void conn_send_drop(struct conn *conn)
{
    give_block(conn);
}
