/*
 * Sockets: their numbers, sending, receiving into memory, and closing.
 *
 * A socket is a place in a table of sockets_max, so its number stays small and can index the caller's own
 * tables; the descriptor behind it never leaves this room.
 *
 * Closing in order is more than close(2): when the kernel closes a socket that still has unread bytes, it
 * sends a reset, and a reset may throw away the answer that the peer has not read yet (a refused upload would
 * see "connection reset" instead of 413). So closing first ends our own direction, discards what is there,
 * and if the peer has not finished either, lingers: a flight goes on discarding until the peer finishes,
 * LINGER_BYTES_MAX have come or LINGER_NS have passed. At most URING_LINGERS_MAX linger at once; beyond that
 * a close is just a close.
 */
#include "real.h"
#include "uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINGER_BYTES_MAX = 32 << 20,
    LINGER_CHUNK_BYTES = 1 << 20,
    LINGER_TRIES = 8, /* discarding calls at once, before a flight takes over */
};
#define LINGER_NS 2000000000ULL

/* ---- numbers --------------------------------------------------------------------------------------------
 */

uint32_t uring__socket_add(struct uring *uring, int fd)
{
    const uint32_t index = uring->sockets_free;
    if (index == URING_NOBODY) return URING_NOBODY;

    uring->sockets_free = uring->sockets[index].next_free;
    uring->sockets[index].fd = fd;
    uring->sockets_open++;
    return index;
}

int uring__socket_fd(const struct uring *uring, struct io_socket socket)
{
    assert(socket.slot >= 0 && (uint32_t)socket.slot < uring->config.sockets_max);
    assert(uring->sockets[socket.slot].fd >= 0);

    return uring->sockets[socket.slot].fd;
}

static int socket_remove(struct uring *uring, struct io_socket socket)
{
    const int fd = uring__socket_fd(uring, socket);
    const uint32_t index = (uint32_t)socket.slot;

    uring->sockets[index] = (struct uring_socket){.fd = -1, .next_free = uring->sockets_free};
    uring->sockets_free = index;
    uring->sockets_open--;
    return fd;
}

/* Whatever a network can say means the same to us, except for what we asked for or ran out of. */
enum err uring__socket_err(int32_t result)
{
    switch (-result) {
    case EINTR: /* a cancelled operation may end like these two; others were tried again */
    case EAGAIN:
    case ECANCELED: return ERR_CANCELLED;
    case ENOBUFS: return ERR_FULL;
    case ENOMEM: return ERR_NO_MEMORY;
    case EBADF:
    case EFAULT:
    case ENOTSOCK: unreachable("the ring was given a socket or memory that is not there");
    default: return ERR_PEER_GONE;
    }
}

void uring__socket_peer(struct io *io, struct io_socket socket, char *text, size_t capacity)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer = {0};
    socklen_t length = sizeof peer;
    const char *name = NULL;

    text[0] = '\0';
    if (getpeername(uring__socket_fd((struct uring *)io, socket), &peer.any, &length) != 0) return;
    if (peer.any.sa_family == AF_INET)
        name = inet_ntop(AF_INET, &peer.v4.sin_addr, text, (socklen_t)capacity);
    else if (peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr))
        name = inet_ntop(AF_INET, &peer.v6.sin6_addr.s6_addr[12], text, (socklen_t)capacity);
    else if (peer.any.sa_family == AF_INET6)
        name = inet_ntop(AF_INET6, &peer.v6.sin6_addr, text, (socklen_t)capacity);
    if (name == NULL) text[0] = '\0';
}

/* ---- sending and receiving into memory ------------------------------------------------------------------
 */

static void start(struct io *io, struct io_op *op, enum flight_kind kind, struct io_socket socket, void *buf,
                  size_t len)
{
    struct uring *const uring = (struct uring *)io;
    struct flight *const flight = uring__take_off(uring, kind, uring__socket_fd(uring, socket), op);

    flight->transfer = transfer_of(buf, len, 0, false);
    op->private_words[0] = uring__index(uring, flight);
}

void uring__receive_into(struct io *io, struct io_op *op, struct io_socket socket, void *buf, size_t len)
{
    start(io, op, FLIGHT_RECEIVE_INTO, socket, buf, len);
}

void uring__send(struct io *io, struct io_op *op, struct io_socket socket, const void *buf, size_t len)
{
    start(io, op, FLIGHT_SEND, socket, (void *)(uintptr_t)buf, len);
}

/* MSG_WAITALL lets the kernel send the rest by itself when the peer is slow; ours is only the case that it
 * does not. */
void uring__prepare_socket(struct flight *flight, struct io_uring_sqe *sqe)
{
    struct transfer *const transfer = &flight->transfer;

    switch (flight->kind) {
    case FLIGHT_SEND:
        io_uring_prep_send(sqe, flight->fd, transfer->ptr, transfer_chunk(transfer),
                           MSG_NOSIGNAL | MSG_WAITALL);
        break;
    case FLIGHT_RECEIVE_INTO:
        io_uring_prep_recv(sqe, flight->fd, transfer->ptr, transfer_chunk(transfer), 0);
        break;
    default: io_uring_prep_recv(sqe, flight->fd, NULL, LINGER_CHUNK_BYTES, MSG_TRUNC); break;
    }
}

void uring__socket_landed(struct uring *uring, struct flight *flight, int32_t result)
{
    if (result < 0) {
        if (uring__retry(uring, flight, result)) return;
        uring__land_op(uring, flight, uring__socket_err(result));
        return;
    }
    transfer_advance(&flight->transfer, (size_t)result);
    if (flight->kind == FLIGHT_RECEIVE_INTO || flight->transfer.left == 0) {
        uring__land_op(uring, flight, OK);
        return;
    }
    if (flight->cancelled || result == 0) {
        uring__land_op(uring, flight, flight->cancelled ? ERR_CANCELLED : ERR_PEER_GONE);
        return;
    }
    uring__resubmit(uring, flight);
}

/* ---- closing --------------------------------------------------------------------------------------------
 */

/* Discards what has arrived. True: both directions have ended, or the connection is dead. */
static bool discard(int fd)
{
    for (unsigned i = 0; i < LINGER_TRIES; i++) {
        const ssize_t count = recv(fd, NULL, LINGER_CHUNK_BYTES, MSG_DONTWAIT | MSG_TRUNC);
        if (count == 0) return true;
        if (count < 0 && errno != EINTR) return errno != EAGAIN;
    }
    return false;
}

static void linger(struct uring *uring, int fd)
{
    struct flight *const flight = uring__take_off(uring, FLIGHT_LINGER, fd, NULL);

    flight->deadline_ns = real__now_ns(&uring->io) + LINGER_NS;
    uring->lingers++;
    uring__timer(uring, flight->deadline_ns);
}

void uring__socket_close(struct io *io, struct io_socket socket, bool reset)
{
    struct uring *const uring = (struct uring *)io;
    const int fd = socket_remove(uring, socket);

    if (reset) {
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        return;
    }
    const bool over = shutdown(fd, SHUT_WR) != 0 || discard(fd);
    if (over || uring->closing || uring->lingers == URING_LINGERS_MAX)
        close(fd);
    else
        linger(uring, fd);
}

void uring__linger_landed(struct uring *uring, struct flight *flight, int32_t result)
{
    if (result > 0) flight->transfer.moved += (size_t)result;
    const bool more = result > 0 && flight->transfer.moved < LINGER_BYTES_MAX && !flight->cancelled;
    if (more) {
        uring__resubmit(uring, flight);
        return;
    }
    if (uring__retry(uring, flight, result)) return;

    close(flight->fd);
    uring->lingers--;
    uring__free_flight(uring, flight);
}

void uring__lingers_expire(struct uring *uring, uint64_t now_ns)
{
    uint32_t left = uring->lingers;

    for (uint32_t i = 0; i < uring->config.flights_max && left > 0; i++) {
        struct flight *const flight = &uring->flights[i];
        if (flight->kind != FLIGHT_LINGER) continue;
        left--;
        if (flight->deadline_ns <= now_ns)
            uring__cancel(uring, flight);
        else
            uring__timer(uring, flight->deadline_ns);
    }
}
