/*
 * The ring of one shard, from inside. Everything in flight in the kernel is a flight: an index into a table
 * plus a generation, and only these two travel through the ring. A completion that names a generation of the
 * past cannot be ours and stops the process; a pointer in its place would be followed.
 *
 *   uring_setup.c    probing, rings, restrictions, buffers: all that happens once
 *   uring.c          flights, the queue of things to submit, io_turn
 *   uring_file.c     reads, writes, syncs
 *   uring_socket.c   sockets: send, receive into memory, closing
 *   uring_receive.c  receiving through the shared buffer ring
 *   uring_listen.c   listening and accepting
 */
#ifndef IO_URING_H
#define IO_URING_H

#include "backend.h"
#include "transfer.h"

#include "base/metric.h"

#include <liburing.h>
#include <sys/uio.h>

enum {
    URING_LISTENERS_MAX = 8,
    URING_LINGERS_MAX = 64,   /* sockets that wait for their peer to take the last answer */
    URING_TURN_MAX = 512,     /* completions handled in one turn */
    URING_RETRIES_MAX = 1000, /* of EAGAIN and EINTR for one operation */
    URING_NOBODY = 0xffffffff,
};

enum flight_kind {
    FLIGHT_FREE,
    FLIGHT_READ,
    FLIGHT_WRITE,
    FLIGHT_WRITEV,
    FLIGHT_DATASYNC,
    FLIGHT_SEND,
    FLIGHT_RECEIVE_INTO,
    FLIGHT_RECEIVE,      /* multishot, through the buffer ring */
    FLIGHT_RECEIVE_ONCE, /* one buffer of the ring */
    FLIGHT_ACCEPT,       /* multishot */
    FLIGHT_LINGER,       /* discards what a closed socket still receives */
    FLIGHT_WAKE,         /* multishot poll of the eventfd */
};

struct flight {
    uint32_t generation; /* never 0; goes up when the flight is freed */
    uint8_t kind;
    bool cancelled; /* asked for; do not submit the rest */
    uint16_t retries;
    int32_t fd; /* borrowed; LINGER owns it */
    uint32_t next_free;
    void *owner; /* io_op, io_receive, io_listener; borrowed */
    struct transfer transfer;
    uint32_t iovecs_count; /* WRITEV */
    uint32_t iovecs_first;
    uint64_t deadline_ns; /* LINGER */
};

/* One completion, taken out of the ring before any handler runs. */
struct landing {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

struct uring_socket {
    int32_t fd; /* owned; -1: free */
    uint32_t next_free;
};

struct io_listener {
    struct uring *uring; /* NULL: this place is free */
    int fd;
    uint32_t flight; /* URING_NOBODY while paused */
    bool closing;
    uint16_t port;
    uint64_t resume_ns; /* when paused */
    io_accept_fn *on_accept;
    void *context;
};

struct uring {
    struct io io;

    struct {                     /* written once by the set-up */
        struct metrics *metrics; /* borrowed, may be NULL */
        uint32_t flights_max;
        uint32_t ops_max;
        uint32_t sockets_max;
        uint32_t queue_mask;
        uint32_t buffers_count;
        uint32_t buffer_bytes;
        int enter_fd;
        unsigned enter_flags;
        bool defer_taskrun;
        bool restricted;
        bool ring_fd_registered;
    } config;

    struct io_uring ring;

    struct flight *flights;
    struct iovec
        *iovecs; /* IO_PIECES_MAX for each flight; pages are touched only by those that write pieces */
    uint32_t flights_free;
    uint32_t flights_flying;
    uint32_t ops_flying;

    /* user_data of flights to submit, in order; the top bit of the index part asks to cancel instead. */
    uint64_t *queue;
    uint32_t queue_head, queue_tail;

    struct uring_socket *sockets;
    uint32_t sockets_free;
    uint32_t sockets_open;

    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;
    uint32_t buffers_returned; /* since the kernel was last told */

    struct io_listener listeners[URING_LISTENERS_MAX];
    uint32_t lingers;      /* flights of that kind */
    uint64_t timers_ns;    /* the earliest deadline or resumption; UINT64_MAX: none */
    unsigned handlers_run; /* in this turn */
    bool turning;
    bool closing;
    bool broken; /* the ring refused service: every turn is ERR_IO */

    struct landing landings[URING_TURN_MAX];
};

/* ---- uring_setup.c */
void uring__teardown(struct uring *uring);

/* ---- uring.c */
extern const struct io_backend uring__backend;
/* Takes a flight and queues it. Having none is a bug of ours: every customer has a share of its own. */
struct flight *uring__take_off(struct uring *uring, enum flight_kind kind, int fd, void *owner);
/* Queues the flight again, with what remains of its transfer. */
void uring__resubmit(struct uring *uring, struct flight *flight);
/* Asks the kernel to end it; the last completion comes as always. */
void uring__cancel(struct uring *uring, struct flight *flight);
void uring__free_flight(struct uring *uring, struct flight *flight);
/* The end of a flight that carries an op. */
void uring__land_op(struct uring *uring, struct flight *flight, enum err err);
/* EINTR and EAGAIN end here: true when the flight was queued once more. */
bool uring__retry(struct uring *uring, struct flight *flight, int32_t result);
void uring__timer(struct uring *uring, uint64_t deadline_ns);
uint32_t uring__index(const struct uring *uring, const struct flight *flight);

static inline void uring__count(struct uring *uring, enum metric_id id)
{
    if (uring->config.metrics != NULL) metric_add(uring->config.metrics, id, 1);
}

/* The flight of an op or a receive, by the index kept in its private words. */
static inline struct flight *uring__flight_of(struct uring *uring, const uint64_t *private_words)
{
    assert(private_words[0] < uring->config.flights_max);

    return &uring->flights[private_words[0]];
}

/* ---- preparing and landing, by kind */
void uring__prepare_file(struct uring *uring, struct flight *flight, struct io_uring_sqe *sqe);
void uring__file_landed(struct uring *uring, struct flight *flight, int32_t result);
void uring__read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len,
                 uint64_t offset);
void uring__writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                   unsigned pieces_count, uint64_t offset);
void uring__datasync(struct io *io, struct io_op *op, struct io_file *file);

void uring__prepare_socket(struct flight *flight, struct io_uring_sqe *sqe);
void uring__socket_landed(struct uring *uring, struct flight *flight, int32_t result);
void uring__linger_landed(struct uring *uring, struct flight *flight, int32_t result);
void uring__lingers_expire(struct uring *uring, uint64_t now_ns);
/* The number of a new socket, or URING_NOBODY when there are sockets_max. */
uint32_t uring__socket_add(struct uring *uring, int fd);
int uring__socket_fd(const struct uring *uring, struct io_socket socket);
enum err uring__socket_err(int32_t result);
void uring__socket_peer(struct io *io, struct io_socket socket, char *text, size_t capacity);
void uring__receive_into(struct io *io, struct io_op *op, struct io_socket socket, void *buf, size_t len);
void uring__send(struct io *io, struct io_op *op, struct io_socket socket, const void *buf, size_t len);
void uring__socket_close(struct io *io, struct io_socket socket, bool reset);

void uring__prepare_receive(struct flight *flight, struct io_uring_sqe *sqe);
void uring__receive_landed(struct uring *uring, struct flight *flight, int32_t result, uint32_t flags);
void uring__receive_start(struct io *io, struct io_receive *receive, struct io_socket socket, bool once);
void uring__receive_stop(struct io *io, struct io_receive *receive);
/* Tells the kernel of the buffers handed back since the last call. */
void uring__buffers_publish(struct uring *uring);
void uring__buffer_return(struct uring *uring, uint32_t buffer);

void uring__prepare_accept(struct flight *flight, struct io_uring_sqe *sqe);
void uring__accept_landed(struct uring *uring, struct flight *flight, int32_t result, uint32_t flags);
void uring__listeners_resume(struct uring *uring, uint64_t now_ns);
enum err uring__listen(struct io *io, const char *address, int cpu, io_accept_fn *on_accept, void *context,
                       struct io_listener **out);
void uring__listener_close(struct io *io, struct io_listener *listener);

#endif
