/*
 * Listening and accepting: one multishot accept for each listener stays in flight and lands once for every
 * connection.
 *
 * Every shard listens on the same port (SO_REUSEPORT) and the kernel spreads connections over them. What a
 * connection should inherit, TCP_NODELAY, is set on the listener. A connection beyond sockets_max is reset at
 * once and counted. When descriptors or memory run out the kernel ends the accept; it is started again after
 * RESUME_NS, so a full process does not spin. Closing cancels the accept; a connection that slips in before
 * that has landed is reset.
 */
#include "real.h"
#include "uring.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, ADDRESS_TEXT_MAX = 64 };
#define RESUME_NS 100000000ULL

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* ---- addresses ------------------------------------------------------------------------------------------
 */

static enum err parse_port(const char *text, uint16_t *out)
{
    uint32_t port = 0;

    if (*text == '\0') return ERR_MALFORMED;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return ERR_MALFORMED;
        port = port * 10 + (uint32_t)(*text - '0');
        if (port > UINT16_MAX) return ERR_MALFORMED;
    }
    *out = htons((uint16_t)port);
    return OK;
}

/* "127.0.0.1:4318" or "[::1]:4318"; names are not looked up. */
static enum err parse_address(const char *text, union address *out, socklen_t *length)
{
    char host[ADDRESS_TEXT_MAX];
    const char *const colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) return ERR_MALFORMED;

    const size_t host_len = (size_t)(colon - text);
    const bool bracketed = host_len >= 2 && text[0] == '[' && colon[-1] == ']';
    const size_t skip = bracketed ? 1 : 0;
    memcpy(host, text + skip, host_len - 2 * skip);
    host[host_len - 2 * skip] = '\0';

    uint16_t port;
    TRY(parse_port(colon + 1, &port));
    *out = (union address){0};
    if (bracketed) {
        out->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        *length = sizeof out->v6;
        return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1 ? OK : ERR_MALFORMED;
    }
    out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    *length = sizeof out->v4;
    return inet_pton(AF_INET, host, &out->v4.sin_addr) == 1 ? OK : ERR_MALFORMED;
}

/* ---- the listening socket -------------------------------------------------------------------------------
 */

static bool set_options(int fd, int cpu)
{
    const int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           (cpu < 0 || setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof cpu) == 0);
}

static enum err listen_err(int error_number)
{
    return error_number == EADDRINUSE ? ERR_BUSY : err_from_errno(error_number);
}

static enum err open_listening(const union address *address, socklen_t length, int cpu, int *out)
{
    const int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);

    if (!set_options(fd, cpu) || bind(fd, &address->any, length) != 0 || listen(fd, BACKLOG) != 0) {
        const enum err err = listen_err(errno);
        close(fd);
        return err;
    }
    *out = fd;
    return OK;
}

static uint16_t bound_port(int fd)
{
    union address address = {0};
    socklen_t length = sizeof address;

    if (getsockname(fd, &address.any, &length) != 0) return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static void accept_start(struct uring *uring, struct io_listener *listener)
{
    struct flight *const flight = uring__take_off(uring, FLIGHT_ACCEPT, listener->fd, listener);

    listener->flight = uring__index(uring, flight);
}

enum err uring__listen(struct io *io, const char *address, int cpu, io_accept_fn *on_accept, void *context,
                       struct io_listener **out)
{
    struct uring *const uring = (struct uring *)io;
    union address parsed;
    socklen_t length;
    int fd = -1;
    struct io_listener *listener = NULL;

    for (unsigned i = 0; i < URING_LISTENERS_MAX && listener == NULL; i++)
        if (uring->listeners[i].uring == NULL) listener = &uring->listeners[i];
    if (listener == NULL) return ERR_FULL;
    TRY(parse_address(address, &parsed, &length));
    TRY(open_listening(&parsed, length, cpu, &fd));

    *listener = (struct io_listener){
        .uring = uring, .fd = fd, .port = bound_port(fd), .on_accept = on_accept, .context = context};
    accept_start(uring, listener);
    *out = listener;
    return OK;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
    return listener->port;
}

static void forget(struct io_listener *listener)
{
    close(listener->fd);
    *listener = (struct io_listener){0};
}

void uring__listener_close(struct io *io, struct io_listener *listener)
{
    struct uring *const uring = (struct uring *)io;
    assert(listener->uring == uring);
    assert(!listener->closing);

    listener->closing = true;
    if (listener->flight == URING_NOBODY)
        forget(listener);
    else
        uring__cancel(uring, &uring->flights[listener->flight]);
}

/* ---- accepting ------------------------------------------------------------------------------------------
 */

void uring__prepare_accept(struct flight *flight, struct io_uring_sqe *sqe)
{
    io_uring_prep_multishot_accept(sqe, flight->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void refuse(struct uring *uring, int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
    uring__count(uring, METRIC_CONNS_REFUSED);
}

static void accepted(struct uring *uring, struct io_listener *listener, int fd)
{
    const uint32_t index = listener->closing ? URING_NOBODY : uring__socket_add(uring, fd);

    if (index == URING_NOBODY) {
        refuse(uring, fd);
        return;
    }
    uring->handlers_run++;
    listener->on_accept(listener->context, (struct io_socket){.slot = (int32_t)index});
}

static void pause_accepting(struct uring *uring, struct io_listener *listener, int32_t result)
{
    log_warn("io", "accepting pauses", "error=%s", strerror(-result));
    listener->flight = URING_NOBODY;
    listener->resume_ns = real__now_ns(&uring->io) + RESUME_NS;
    uring__timer(uring, listener->resume_ns);
}

static bool exhausted(int32_t result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

void uring__accept_landed(struct uring *uring, struct flight *flight, int32_t result, uint32_t flags)
{
    struct io_listener *const listener = flight->owner;
    const bool last = (flags & IORING_CQE_F_MORE) == 0;

    if (last) {
        uring__free_flight(uring, flight);
        listener->flight = URING_NOBODY;
    }
    if (result >= 0) accepted(uring, listener, result);
    if (!last) return;
    if (listener->uring == NULL || listener->flight != URING_NOBODY)
        return; /* the handler closed, or closed and opened */

    if (listener->closing)
        forget(listener);
    else if (exhausted(result))
        pause_accepting(uring, listener, result);
    else
        accept_start(
            uring, listener); /* a connection that died in the queue, or a multishot that the kernel ended */
}

void uring__listeners_resume(struct uring *uring, uint64_t now_ns)
{
    for (unsigned i = 0; i < URING_LISTENERS_MAX; i++) {
        struct io_listener *const listener = &uring->listeners[i];
        if (listener->uring == NULL || listener->flight != URING_NOBODY) continue;
        if (listener->resume_ns <= now_ns)
            accept_start(uring, listener);
        else
            uring__timer(uring, listener->resume_ns);
    }
}
