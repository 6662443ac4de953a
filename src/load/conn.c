/*
 * Non-blocking sockets, edge-triggered: registered once for reading and writing, so that a request costs one
 * sendmsg (a few when the body is larger than the socket buffer), one recv and its share of an epoll_wait.
 *
 *   CLOSED -> CONNECTING -> IDLE <-> EXCHANGING
 *      ^__________\___________\__________/          refused, reset, closed by the peer, malformed answer
 *
 * An answer that comes before the request is written out (503 while the body is still on its way) counts; the
 * connection is closed then, because the server will not have read the rest.
 */
#include "conn.h"

#include "grpc.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECV_BYTES 65536

/* ---- endpoint
 * ---------------------------------------------------------------------------------------------- */

static enum err resolve(const char *host, const char *port, struct endpoint *endpoint)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    if (getaddrinfo(host, port, &hints, &found) != 0) return ERR_NOT_FOUND;
    memcpy(&endpoint->address, found->ai_addr, found->ai_addrlen);
    endpoint->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return OK;
}

enum err endpoint_parse(const char *url, uint16_t default_port, struct endpoint *endpoint)
{
    char host[200];
    char port[8];
    const char *at = url;

    const bool secure = strncmp(url, "https://", 8) == 0;
    if (secure || strncmp(url, "http://", 7) == 0) at += secure ? 8 : 7;
    const char *const bracket = at[0] == '[' ? strchr(at, ']') : NULL; /* [::1]:4318 */
    const size_t host_len = bracket != NULL ? (size_t)(bracket - at) + 1 : strcspn(at, ":/");
    if (host_len == 0 || host_len >= sizeof host) return ERR_MALFORMED;
    (void)snprintf(host, sizeof host, "%.*s", (int)host_len, at);
    at += host_len;
    (void)snprintf(port, sizeof port, "%u", default_port);
    if (at[0] == ':') {
        const size_t digits = strspn(at + 1, "0123456789");
        if (digits == 0 || digits > 5) return ERR_MALFORMED;
        (void)snprintf(port, sizeof port, "%.*s", (int)digits, at + 1);
        at += 1 + digits;
    }
    if ((at[0] != '/' && at[0] != '\0') || strlen(at) >= sizeof endpoint->path) return ERR_MALFORMED;

    struct endpoint result = {0};
    (void)snprintf(result.host, sizeof result.host, "%s:%s", host, port);
    (void)snprintf(result.path, sizeof result.path, "%s", strcmp(at, "/") == 0 ? "" : at);
    if (bracket != NULL) {
        memmove(host, host + 1, host_len - 2);
        host[host_len - 2] = '\0';
    }
    result.secure = secure;
    (void)snprintf(result.name, sizeof result.name, "%s", host);
    TRY(resolve(host, port, &result));
    *endpoint = result;
    return OK;
}

/* ---- opening and closing
 * ----------------------------------------------------------------------------------- */

void conn_init(struct conn *conn, const struct endpoint *endpoint, int epoll, size_t answer_body_max)
{
    conn->endpoint = endpoint;
    conn->epoll = epoll;
    conn->wire = (struct wire){.fd = -1};
    conn->stage = CONN_CLOSED;
    conn->head = conn->body = slice_of(NULL, 0);
    conn->grpc = NULL;
    conn->why = NULL;
    conn->err = OK;
    answer_init(&conn->answer, answer_body_max);
}

enum err conn_speak_grpc(struct conn *conn)
{
    return grpc_open(&conn->grpc);
}

void conn_deinit(struct conn *conn)
{
    conn_close(conn);
    grpc_close(conn->grpc);
    answer_deinit(&conn->answer);
}

void conn_close(struct conn *conn)
{
    wire_end(&conn->wire);
    if (conn->wire.fd >= 0) (void)close(conn->wire.fd);
    conn->wire.fd = -1;
    conn->stage = CONN_CLOSED;
    conn->head = conn->body = slice_of(NULL, 0);
    if (conn->grpc != NULL) grpc_end(conn->grpc);
}

static enum conn_event lose(struct conn *conn, enum err err)
{
    conn_close(conn);
    conn->err = err;
    return CONN_LOST;
}

enum err conn_connect(struct conn *conn)
{
    assert(conn->stage == CONN_CLOSED);

    const int family = conn->endpoint->address.ss_family;
    const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);

    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    const struct sockaddr *const address = (const struct sockaddr *)(const void *)&conn->endpoint->address;
    if ((connect(fd, address, conn->endpoint->address_len) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(conn->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        const enum err err = err_from_errno(errno);
        (void)close(fd);
        return err;
    }
    conn->wire.fd = fd;
    conn->stage = CONN_CONNECTING;
    return OK;
}

/* ---- the exchange
 * ------------------------------------------------------------------------------------------ */

bool conn_written(const struct conn *conn)
{
    return conn->head.len == 0 && conn->body.len == 0 && (conn->grpc == NULL || grpc_is_written(conn->grpc));
}

static void advance(struct slice *slice, size_t *by)
{
    const size_t step = *by < slice->len ? *by : slice->len;

    *slice = slice_of(slice->ptr + step, slice->len - step);
    *by -= step;
}

/* As much as the socket takes. */
static enum conn_event write_out(struct conn *conn)
{
    if (conn->grpc != NULL) {
        grpc_write(conn->grpc, &conn->wire);
        return CONN_NOTHING;
    }
    while (!conn_written(conn)) {
        const bool head = conn->head.len > 0;
        struct iovec parts[2] = {{(void *)(uintptr_t)conn->head.ptr, conn->head.len},
                                 {(void *)(uintptr_t)conn->body.ptr, conn->body.len}};
        const ssize_t sent = wire_send(&conn->wire, parts + (head ? 0 : 1), head ? 2 : 1);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) return CONN_NOTHING;
        if (sent < 0) return CONN_NOTHING; /* an answer may lie in the receive queue; reading tells the end */
        size_t by = (size_t)sent;
        advance(&conn->head, &by);
        advance(&conn->body, &by);
    }
    return CONN_NOTHING;
}

static enum conn_event answered(struct conn *conn)
{
    if (!conn->answer.keep_alive || !conn_written(conn))
        conn_close(conn);
    else
        conn->stage = CONN_IDLE;
    return CONN_ANSWERED;
}

static enum conn_event peer_closed(struct conn *conn)
{
    if (conn->grpc == NULL && conn->stage == CONN_EXCHANGING && answer_begun(&conn->answer) &&
        answer_end(&conn->answer) == OK) {
        conn->answer.keep_alive = false;
        return answered(conn);
    }
    return lose(conn, ERR_PEER_GONE);
}

/* Bytes of a gRPC connection, which speaks at any time. */
static enum conn_event take_grpc(struct conn *conn, struct slice bytes, bool closing)
{
    grpc_read(conn->grpc, bytes);
    (void)write_out(conn);
    if (grpc_is_lost(conn->grpc)) return lose(conn, ERR_PEER_GONE);
    if (conn->stage == CONN_EXCHANGING && grpc_is_answered(conn->grpc)) {
        if (closing) conn->answer.keep_alive = false;
        return answered(conn);
    }
    return conn->stage == CONN_IDLE && grpc_is_leaving(conn->grpc) ? lose(conn, ERR_PEER_GONE) : CONN_NOTHING;
}

/* Until nothing is left; a short read says so, unless the events tell that the peer has closed behind it. */
static enum conn_event read_in(struct conn *conn, uint32_t events)
{
    const bool closing = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    const bool goes_on = closing || !wire_reads_all(&conn->wire);

    static _Thread_local uint8_t bytes[RECV_BYTES];

    for (;;) {
        const ssize_t got = wire_receive(&conn->wire, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return CONN_NOTHING;
        if (got < 0) return lose(conn, err_from_errno(errno));
        if (got == 0) return peer_closed(conn);
        if (conn->grpc != NULL) {
            const enum conn_event event = take_grpc(conn, slice_of(bytes, (size_t)got), closing);
            if (event != CONN_NOTHING) return event;
            if ((size_t)got < sizeof bytes && !goes_on) return CONN_NOTHING;
            continue;
        }
        if (conn->stage != CONN_EXCHANGING) return lose(conn, ERR_MALFORMED); /* nobody asked */
        const enum err err = answer_feed(&conn->answer, slice_of(bytes, (size_t)got));
        if (err != OK) return lose(conn, err);
        if (conn->answer.stage == ANSWER_DONE) {
            if (closing) conn->answer.keep_alive = false;
            return answered(conn);
        }
        if ((size_t)got < sizeof bytes && !goes_on) return CONN_NOTHING; /* the next arrival is a new edge */
    }
}

enum conn_event conn_request(struct conn *conn, struct slice head, struct slice body)
{
    assert(conn->stage == CONN_IDLE);

    conn->head = head;
    conn->body = body;
    conn->stage = CONN_EXCHANGING;
    answer_begin(&conn->answer);
    return write_out(conn);
}

enum conn_event conn_call(struct conn *conn, const struct grpc_request *request, struct slice body)
{
    assert(conn->stage == CONN_IDLE && conn->grpc != NULL);

    answer_begin(&conn->answer);
    const enum err err = grpc_call(conn->grpc, request, body, &conn->answer);
    if (err != OK) return lose(conn, err);
    conn->stage = CONN_EXCHANGING;
    return write_out(conn);
}

/* The socket is connected, and the handshake done. */
static enum conn_event ready(struct conn *conn)
{
    conn->stage = CONN_IDLE;
    if (conn->grpc == NULL) return CONN_CONNECTED;
    const enum err err = grpc_begin(conn->grpc);
    if (err != OK) return lose(conn, err);
    (void)write_out(conn);
    return CONN_CONNECTED;
}

static enum conn_event shake(struct conn *conn)
{
    const enum err err = wire_shake(&conn->wire, &conn->why);

    if (err == ERR_BUSY) return CONN_NOTHING;
    return err == OK ? ready(conn) : lose(conn, err);
}

static enum conn_event connected(struct conn *conn)
{
    const struct endpoint *const endpoint = conn->endpoint;
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(conn->wire.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error != 0) return lose(conn, err_from_errno(error));
    if (endpoint->secure && conn->wire.ssl == NULL) {
        const enum err err = wire_secure(&conn->wire, endpoint->rules, endpoint->name, conn->grpc != NULL);
        if (err != OK) return lose(conn, err);
    }
    return shake(conn);
}

enum conn_event conn_on_events(struct conn *conn, uint32_t events)
{
    switch (conn->stage) {
    case CONN_CLOSED: return CONN_NOTHING; /* gathered before it was closed */
    case CONN_CONNECTING: return connected(conn);
    case CONN_IDLE:
        if (conn->grpc != NULL && (events & EPOLLOUT) != 0) (void)write_out(conn);
        return events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? read_in(conn, events) : CONN_NOTHING;
    case CONN_EXCHANGING:
        if (events & EPOLLOUT) (void)write_out(conn);
        return events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? read_in(conn, events) : CONN_NOTHING;
    }
    unreachable("a connection without a stage");
}
