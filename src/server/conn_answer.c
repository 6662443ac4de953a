/*
 * The answer on its way out: head and small bodies in one block and one send; a large body follows from the
 * heap in pieces, and the client has stall_ns_max for each.
 *
 * An answer to a request whose body is still coming decides the connection's fate. Overload (503, 429) with a
 * modest rest keeps it: the rest is read and dropped, because a retrying client that must also reconnect
 * makes matters worse. Everything else is the last answer.
 */
#include "conn.h"

#include "base/clock.h"

#include <stdlib.h>

static void on_sent(struct conn *conn, enum err err);

static void submit(struct conn *conn, const void *bytes, size_t len)
{
    conn_deadline(conn, io_now_ns(conn->server->io) + conn->server->config.limits.stall_ns_max);
    conn_send(conn, bytes, len, on_sent);
}

static void send_begin(struct conn *conn)
{
    struct answer *const answer = &conn->answer;

    answer->waiting = false;
    submit(conn, answer->block, answer->block_len);
}

/* The next piece of the body; false when all has been sent. */
static bool send_more(struct conn *conn)
{
    struct answer *const answer = &conn->answer;
    const size_t rest = answer->body_len - answer->body_sent;
    const size_t piece = rest < SEND_PIECE_BYTES ? rest : SEND_PIECE_BYTES;

    if (piece == 0) return false;
    submit(conn, answer->body + answer->body_sent, piece);
    answer->body_sent += piece;
    return true;
}

void conn_answer_drop(struct conn *conn)
{
    if (conn->answer.block != NULL) block_give(conn->server, conn->answer.block);
    free(conn->answer.body);
    conn->answer = (struct answer){0};
}

static void on_sent(struct conn *conn, enum err err)
{
    if (err != OK) {
        conn_close(conn, true);
    } else if (conn->stage != CONN_ANSWERING) {
        return; /* the interim answer, 100 */
    } else if (conn->answer.waiting) {
        send_begin(conn);
    } else if (!send_more(conn)) {
        conn_answer_drop(conn);
        conn_next(conn);
    }
}

void conn_send_continue(struct conn *conn)
{
    conn->exchange.continue_sent = true;
    conn_send(conn, HTTP1_CONTINUE, sizeof HTTP1_CONTINUE - 1, on_sent);
}

static bool is_overload(int status)
{
    return status == 503 || status == 429;
}

/* Is the connection worth keeping, with what is still to come of the request? */
static bool may_keep(const struct conn *conn, int status)
{
    const struct http1_request *const request = &conn->http1.request;
    const uint64_t owed = http1_body_owed(&conn->http1);

    if (conn->exchange.complete || (!request->chunked && owed == 0)) return true;
    if (request->expect_continue && !conn->exchange.continue_sent) return false; /* will it come, or not? */
    return is_overload(status) && !request->chunked && owed <= DISCARD_BYTES_MAX;
}

/* Writes the head; the fields of a handler that would break it are a bug of ours, told as 500. */
static size_t write_head(struct conn *conn, int status, const char *content_type,
                         const struct http1_header *headers, size_t headers_count, uint64_t content_length)
{
    struct http1_header all[EXCHANGE_HEADERS_MAX + CORS_FIELDS_MAX + 3];
    size_t count = 0;

    assert(headers_count <= EXCHANGE_HEADERS_MAX);

    if (content_type != NULL)
        all[count++] = (struct http1_header){.name = "Content-Type", .value = slice_text(content_type)};
    all[count++] = (struct http1_header){.name = "X-Content-Type-Options", .value = slice_text("nosniff")};
    if (status == 401) /* RFC 9110 11.6.1, RFC 6750 3 */
        all[count++] = (struct http1_header){.name = "WWW-Authenticate", .value = slice_text("Bearer")};
    for (size_t i = 0; i < headers_count; i++)
        all[count++] = headers[i];
    if (conn->exchange.origin.len > 0) count += cors_fields(conn->server, conn->exchange.origin, all + count);
    const size_t len = http1_write_head((char *)conn->answer.block, BLOCK_BYTES, status, all, count,
                                        content_length, conn->exchange.keep_alive);
    assert(len > 0);
    return len;
}

/*
 * Puts the body behind the head, or on the heap when it does not fit; heap, if given, is the memory that body
 * lies in and passes to us. False: no memory.
 */
static bool place_body(struct answer *answer, struct slice body, void *heap)
{
    if (body.len <= BLOCK_BYTES - answer->block_len) {
        if (body.len > 0) memcpy(answer->block + answer->block_len, body.ptr, body.len);
        answer->block_len += body.len;
        free(heap);
        return true;
    }
    answer->body_len = body.len;
    answer->body = heap;
    if (heap != NULL) return true;
    answer->body = malloc(body.len);
    if (answer->body != NULL) memcpy(answer->body, body.ptr, body.len);
    return answer->body != NULL;
}

void conn_answer(struct conn *conn, int status, const char *content_type, const struct http1_header *headers,
                 size_t headers_count, struct slice body, void *heap)
{
    struct exchange *const exchange = &conn->exchange;
    struct answer *const answer = &conn->answer;

    assert(!exchange->answered && answer->block == NULL);
    assert(!conn->receive_op.in_flight && !conn->ingesting);

    exchange->answered = true;
    exchange->keep_alive = exchange->keep_alive && !conn->server->draining && may_keep(conn, status);
    conn_body_release(conn);
    answer->block = block_take(conn->server);
    if (answer->block == NULL) {
        free(heap);
        conn_close(conn, true);
        return;
    }
    metric_add(conn->server->metrics, METRIC_HTTP_REQUESTS, 1);
    answer->block_len = write_head(conn, status, content_type, headers, headers_count, body.len);
    if (exchange->head_only) {
        free(heap);
    } else if (!place_body(answer, body, heap)) {
        conn_close(conn, true);
        return;
    }
    conn_enter(conn, CONN_ANSWERING);
    if (conn_is_sending(conn))
        answer->waiting = true;
    else
        send_begin(conn);
}
