/*
 * One turn of the ring, and the flights that it carries.
 *
 *   submit        a flight is taken from the table and its user_data put into our queue; no system call
 *   io_turn   1   the queue is written into submission entries, as many as fit
 *             2   one io_uring_enter: submits, waits until something has landed or the time is over
 *             3   completions are copied out, at most URING_TURN_MAX, and their entries given back
 *             4   each is handled: its flight ends (handler runs), goes on with the rest, or stays
 * (multishot) 5   receive buffers go back to the kernel, timers and wake-ups are looked after
 *
 * So a handler never runs inside a submit, may submit as it likes, and whatever it submits waits for the next
 * turn. Our queue, not the submission ring, bounds what can be asked for: it has room for every flight twice
 * (to submit and to cancel), so submitting never fails and never enters the kernel. A turn that has nothing
 * to submit, completions left over from the last one and no work flagged by the kernel makes no system call
 * at all.
 *
 * The wake-up is a multishot poll on the eventfd; its value is never read, each write raises one completion.
 * A ring that refuses io_uring_enter for a reason that waiting does not cure is broken: every turn says
 * ERR_IO.
 */
#include "gate.h"
#include "real.h"
#include "uring.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define CANCEL_BIT       (1ULL << 31) /* in the index half of a queue entry */
#define CANCEL_USER_DATA UINT64_MAX   /* the completion of a cancel itself says nothing we need */
#define WAIT_MAX_NS      3600000000000ULL

/* ---- flights --------------------------------------------------------------------------------------------
 */

uint32_t uring__index(const struct uring *uring, const struct flight *flight)
{
    return (uint32_t)(flight - uring->flights);
}

static uint64_t user_data_of(const struct uring *uring, const struct flight *flight)
{
    return (uint64_t)flight->generation << 32 | uring__index(uring, flight);
}

/* The flight that user_data names, or NULL when it has ended meanwhile. */
static struct flight *flight_by(struct uring *uring, uint64_t user_data)
{
    const uint32_t index = (uint32_t)(user_data & (CANCEL_BIT - 1));
    assert(index < uring->config.flights_max);

    struct flight *const flight = &uring->flights[index];
    return flight->generation == user_data >> 32 ? flight : NULL;
}

static void enqueue(struct uring *uring, uint64_t entry)
{
    assert(uring->queue_tail - uring->queue_head <= uring->config.queue_mask);

    uring->queue[uring->queue_tail++ & uring->config.queue_mask] = entry;
}

static bool carries_op(enum flight_kind kind)
{
    return kind >= FLIGHT_READ && kind <= FLIGHT_RECEIVE_INTO;
}

static bool is_write(enum flight_kind kind)
{
    return kind == FLIGHT_WRITE || kind == FLIGHT_WRITEV;
}

struct flight *uring__take_off(struct uring *uring, enum flight_kind kind, int fd, void *owner)
{
    assert(uring->flights_free != URING_NOBODY);
    assert(!carries_op(kind) || uring->ops_flying < uring->config.ops_max);

    struct flight *const flight = &uring->flights[uring->flights_free];
    uring->flights_free = flight->next_free;
    uring->flights_flying++;
    uring->ops_flying += carries_op(kind);
    *flight = (struct flight){
        .generation = flight->generation, .kind = (uint8_t)kind, .fd = fd, .owner = owner};
    enqueue(uring, user_data_of(uring, flight));
    if (is_write(kind) && uring->io.gate != NULL) io__gate_journal_begins(uring->io.gate);
    return flight;
}

void uring__free_flight(struct uring *uring, struct flight *flight)
{
    assert(flight->kind != FLIGHT_FREE);

    uring->flights_flying--;
    uring->ops_flying -= carries_op(flight->kind);
    flight->kind = FLIGHT_FREE;
    flight->generation = flight->generation == UINT32_MAX - 1 ? 1 : flight->generation + 1;
    flight->next_free = uring->flights_free;
    uring->flights_free = uring__index(uring, flight);
}

void uring__resubmit(struct uring *uring, struct flight *flight)
{
    enqueue(uring, user_data_of(uring, flight));
}

void uring__cancel(struct uring *uring, struct flight *flight)
{
    if (flight->cancelled) return;

    flight->cancelled = true;
    enqueue(uring, user_data_of(uring, flight) | CANCEL_BIT);
}

void uring__land_op(struct uring *uring, struct flight *flight, enum err err)
{
    struct io_op *const op = flight->owner;

    op->count = flight->transfer.moved;
    if (is_write((enum flight_kind)flight->kind) && uring->io.gate != NULL)
        io__gate_journal_ends(uring->io.gate);
    uring__free_flight(uring, flight); /* first: the handler may want one */
    uring->handlers_run++;
    io__land(op, err);
}

bool uring__retry(struct uring *uring, struct flight *flight, int32_t result)
{
    if (result != -EINTR && result != -EAGAIN) return false;
    if (flight->cancelled || ++flight->retries > URING_RETRIES_MAX) return false;

    uring__resubmit(uring, flight);
    return true;
}

void uring__timer(struct uring *uring, uint64_t deadline_ns)
{
    if (deadline_ns < uring->timers_ns) uring->timers_ns = deadline_ns;
}

static void uring_cancel(struct io *io, struct io_op *op)
{
    struct uring *const uring = (struct uring *)io;
    struct flight *const flight = uring__flight_of(uring, op->private_words);

    assert(flight->owner == op);
    assert(flight->kind == FLIGHT_SEND || flight->kind == FLIGHT_RECEIVE_INTO);
    uring__cancel(uring, flight);
}

/* ---- 1: submission entries ------------------------------------------------------------------------------
 */

static void prepare_wake(struct flight *flight, struct io_uring_sqe *sqe)
{
    io_uring_prep_poll_multishot(sqe, flight->fd, POLLIN);
}

static void prepare(struct uring *uring, struct flight *flight, struct io_uring_sqe *sqe)
{
    switch ((enum flight_kind)flight->kind) {
    case FLIGHT_READ:
    case FLIGHT_WRITE:
    case FLIGHT_WRITEV:
    case FLIGHT_DATASYNC: uring__prepare_file(uring, flight, sqe); break;
    case FLIGHT_SEND:
    case FLIGHT_RECEIVE_INTO:
    case FLIGHT_LINGER: uring__prepare_socket(flight, sqe); break;
    case FLIGHT_RECEIVE:
    case FLIGHT_RECEIVE_ONCE: uring__prepare_receive(flight, sqe); break;
    case FLIGHT_ACCEPT: uring__prepare_accept(flight, sqe); break;
    case FLIGHT_WAKE: prepare_wake(flight, sqe); break;
    case FLIGHT_FREE: unreachable("a free flight is not queued");
    }
    io_uring_sqe_set_data64(sqe, user_data_of(uring, flight));
}

static void prepare_cancel(uint64_t user_data, struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel64(sqe, user_data, 0);
    io_uring_sqe_set_data64(sqe, CANCEL_USER_DATA);
}

/* As much of the queue as the submission ring takes. A flight that has ended needs no cancelling any more. */
static void fill_submissions(struct uring *uring)
{
    while (uring->queue_head != uring->queue_tail) {
        const uint64_t entry = uring->queue[uring->queue_head & uring->config.queue_mask];
        struct flight *const flight = flight_by(uring, entry);
        assert(flight != NULL || (entry & CANCEL_BIT) != 0);

        struct io_uring_sqe *const sqe = flight != NULL ? io_uring_get_sqe(&uring->ring) : NULL;
        if (flight != NULL && sqe == NULL) return;
        uring->queue_head++;
        if (flight == NULL) continue;
        if (entry & CANCEL_BIT)
            prepare_cancel(entry & ~CANCEL_BIT, sqe);
        else
            prepare(uring, flight, sqe);
    }
}

/* ---- 2: the system call ---------------------------------------------------------------------------------
 */

/* What the kernel has not taken yet, made visible to it. */
static unsigned publish_submissions(struct uring *uring)
{
    struct io_uring_sq *const sq = &uring->ring.sq;

    sq->sqe_head = sq->sqe_tail;
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

static bool kernel_has_work(const struct uring *uring)
{
    const unsigned flags = IO_URING_READ_ONCE(*uring->ring.sq.kflags);

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void watch_overflow(struct uring *uring)
{
    if (IO_URING_READ_ONCE(*uring->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW)
        uring__count(uring, METRIC_CQ_OVERFLOWS);
}

static int enter(struct uring *uring, unsigned to_submit, uint64_t wait_ns)
{
    struct __kernel_timespec timeout = {.tv_sec = (long long)(wait_ns / 1000000000),
                                        .tv_nsec = (long long)(wait_ns % 1000000000)};
    struct io_uring_getevents_arg argument = {.ts = wait_ns > 0 ? (uintptr_t)&timeout : 0};
    const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uring->config.enter_flags;

    return io_uring_enter2((unsigned)uring->config.enter_fd, to_submit, wait_ns > 0, flags,
                           (sigset_t *)&argument, sizeof argument);
}

/* How long this turn may really sleep. */
static uint64_t sleep_ns(const struct uring *uring, uint64_t wait_ns)
{
    if (wait_ns == 0 || io_uring_cq_ready(&uring->ring) > 0) return 0;
    if (uring->queue_head != uring->queue_tail) return 0; /* the submission ring was too small for all */
    if (uring->timers_ns != UINT64_MAX) {
        const uint64_t now_ns = real__now_ns(&uring->io);
        const uint64_t until_ns = uring->timers_ns > now_ns ? uring->timers_ns - now_ns : 0;
        if (until_ns < wait_ns) wait_ns = until_ns;
    }
    return wait_ns < WAIT_MAX_NS ? wait_ns : WAIT_MAX_NS;
}

static enum err submit_and_wait(struct uring *uring, uint64_t wait_ns)
{
    const unsigned to_submit = publish_submissions(uring);
    uint64_t patience_ns = sleep_ns(uring, wait_ns);

    if (patience_ns > 0 && !io__fall_asleep(&uring->io)) patience_ns = 0;
    const bool needed = to_submit > 0 || patience_ns > 0 || kernel_has_work(uring);
    const int result = needed ? enter(uring, to_submit, patience_ns) : 0;
    io__awake(&uring->io);

    switch (-result) {
    case ETIME: /* nothing landed in time */
    case EINTR: /* a signal: the caller looks at its flags */
    case EBUSY: /* completions overflowed: take some out first */
    case EAGAIN: return OK;
    default:
        if (result >= 0) return OK;
        log_error("io", "the ring is broken", "error=%s", strerror(-result));
        uring->broken = true;
        return ERR_IO;
    }
}

/* ---- 3, 4: completions ----------------------------------------------------------------------------------
 */

static unsigned gather(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;

    io_uring_for_each_cqe(&uring->ring, head, cqe)
    {
        if (count == URING_TURN_MAX) break;
        uring->landings[count++] = (struct landing){
            .user_data = cqe->user_data, .result = cqe->res, .flags = cqe->flags};
    }
    io_uring_cq_advance(&uring->ring, count);
    return count;
}

static void wake_landed(struct uring *uring, struct flight *flight, uint32_t flags)
{
    if (flags & IORING_CQE_F_MORE) return;
    if (uring->closing)
        uring__free_flight(uring, flight);
    else
        uring__resubmit(uring, flight);
}

static void handle(struct uring *uring, const struct landing *landing)
{
    if (landing->user_data == CANCEL_USER_DATA) return;
    struct flight *const flight = flight_by(uring, landing->user_data);
    assert(flight != NULL);

    switch ((enum flight_kind)flight->kind) {
    case FLIGHT_READ:
    case FLIGHT_WRITE:
    case FLIGHT_WRITEV:
    case FLIGHT_DATASYNC: uring__file_landed(uring, flight, landing->result); break;
    case FLIGHT_SEND:
    case FLIGHT_RECEIVE_INTO: uring__socket_landed(uring, flight, landing->result); break;
    case FLIGHT_LINGER: uring__linger_landed(uring, flight, landing->result); break;
    case FLIGHT_RECEIVE:
    case FLIGHT_RECEIVE_ONCE: uring__receive_landed(uring, flight, landing->result, landing->flags); break;
    case FLIGHT_ACCEPT: uring__accept_landed(uring, flight, landing->result, landing->flags); break;
    case FLIGHT_WAKE: wake_landed(uring, flight, landing->flags); break;
    case FLIGHT_FREE: unreachable("a free flight has no completions");
    }
}

/* ---- 5: the turn ----------------------------------------------------------------------------------------
 */

static void look_after_timers(struct uring *uring)
{
    if (uring->timers_ns == UINT64_MAX) return;
    const uint64_t now_ns = real__now_ns(&uring->io);
    if (now_ns < uring->timers_ns) return;

    uring->timers_ns = UINT64_MAX; /* both set it again for what remains */
    uring__lingers_expire(uring, now_ns);
    uring__listeners_resume(uring, now_ns);
}

static enum err uring_turn(struct io *io, uint64_t wait_ns, unsigned *handlers_run)
{
    struct uring *const uring = (struct uring *)io;
    assert(!uring->turning);
    if (uring->broken) return ERR_IO;

    uring->turning = true;
    uring->handlers_run = 0;
    fill_submissions(uring);
    const enum err err = submit_and_wait(uring, wait_ns);
    const unsigned count = gather(uring);
    watch_overflow(uring);
    for (unsigned i = 0; i < count; i++)
        handle(uring, &uring->landings[i]);
    uring__buffers_publish(uring);
    look_after_timers(uring);
    *handlers_run = uring->handlers_run + io__deliver_wake(io);
    uring->turning = false;
    return err;
}

/* ---- the rest of the table ------------------------------------------------------------------------------
 */

/* What io/ itself has in flight is cancelled and awaited, so that ports and descriptors are free on return.
 */
static void uring_close(struct io *io)
{
    struct uring *const uring = (struct uring *)io;
    assert(!uring->turning);
    assert(uring->ops_flying == 0);

    uring->closing = true;
    io->on_wake = NULL;
    for (unsigned i = 0; i < URING_LISTENERS_MAX; i++)
        if (uring->listeners[i].uring != NULL && !uring->listeners[i].closing)
            uring__listener_close(io, &uring->listeners[i]);
    for (uint32_t i = 0; i < uring->config.flights_max; i++) {
        struct flight *const flight = &uring->flights[i];
        assert(flight->kind != FLIGHT_RECEIVE && flight->kind != FLIGHT_RECEIVE_ONCE);
        if (flight->kind != FLIGHT_FREE) uring__cancel(uring, flight);
    }
    for (unsigned tries = 0; tries < 1000 && uring->flights_flying > 0; tries++)
        if (io_turn(io, 1000000, NULL) != OK) break;
    for (uint32_t i = 0; i < uring->config.sockets_max; i++)
        if (uring->sockets[i].fd >= 0) uring__socket_close(io, (struct io_socket){.slot = (int32_t)i}, true);
    uring__teardown(uring);
}

static void uring_describe(const struct io *io, char *text, size_t capacity)
{
    const struct uring *const uring = (const struct uring *)io;
    struct utsname kernel;

    if (uname(&kernel) != 0) kernel.release[0] = '\0';
    snprintf(text, capacity,
             "uring kernel=%.40s taskrun=%s restricted=%s ring_fd=%s sq=%u cq=%u buffers=%ux%u",
             kernel.release, uring->config.defer_taskrun ? "deferred" : "cooperative",
             uring->config.restricted ? "yes" : "no",
             uring->config.ring_fd_registered ? "registered" : "plain", uring->ring.sq.ring_entries,
             uring->ring.cq.ring_entries, uring->config.buffers_count, uring->config.buffer_bytes);
}

const struct io_backend uring__backend = {
    REAL_NAMES,
    REAL_TRANSFERS,
    .close = uring_close,
    .turn = uring_turn,
    .describe = uring_describe,
    .read = uring__read,
    .writev = uring__writev,
    .datasync = uring__datasync,
    .listen = uring__listen,
    .listener_close = uring__listener_close,
    .socket_peer = uring__socket_peer,
    .receive_start = uring__receive_start,
    .receive_stop = uring__receive_stop,
    .receive_into = uring__receive_into,
    .send = uring__send,
    .cancel = uring_cancel,
    .socket_close = uring__socket_close,
};
