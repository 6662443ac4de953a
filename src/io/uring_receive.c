/*
 * Receiving through the buffer ring that all connections of a shard share: an idle connection holds no
 * buffer, the kernel takes one only when bytes are there.
 *
 * The kernel names the buffer in the completion; its bytes are lent to the handler for the call and the
 * buffer goes back at once. All that went back in a turn is told to the kernel together, at the end of the
 * turn. When the ring runs dry the kernel ends the receive: the owner hears ERR_FULL and starts again, by
 * then the buffers are back.
 */
#include "uring.h"

#include <errno.h>
#include <sys/socket.h>

void uring__receive_start(struct io *io, struct io_receive *receive, struct io_socket socket, bool once)
{
    struct uring *const uring = (struct uring *)io;
    assert(uring->config.buffers_count > 0);

    const enum flight_kind kind = once ? FLIGHT_RECEIVE_ONCE : FLIGHT_RECEIVE;
    struct flight *const flight = uring__take_off(uring, kind, uring__socket_fd(uring, socket), receive);
    receive->private_words[0] = uring__index(uring, flight);
}

void uring__receive_stop(struct io *io, struct io_receive *receive)
{
    struct uring *const uring = (struct uring *)io;
    struct flight *const flight = uring__flight_of(uring, receive->private_words);

    assert(flight->owner == receive);
    uring__cancel(uring, flight);
}

void uring__prepare_receive(struct flight *flight, struct io_uring_sqe *sqe)
{
    if (flight->kind == FLIGHT_RECEIVE)
        io_uring_prep_recv_multishot(sqe, flight->fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, flight->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
}

static enum err receive_err(struct uring *uring, int32_t result)
{
    if (result >= 0) return OK;
    if (result == -ENOBUFS) uring__count(uring, METRIC_RECV_NO_BUFFERS);
    return uring__socket_err(result);
}

void uring__receive_landed(struct uring *uring, struct flight *flight, int32_t result, uint32_t flags)
{
    struct io_receive *const receive = flight->owner;
    const bool last = (flags & IORING_CQE_F_MORE) == 0;
    const bool has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
    const uint32_t buffer = flags >> IORING_CQE_BUFFER_SHIFT;

    if (last && uring__retry(uring, flight, result)) return;
    const enum err err = receive_err(uring, result);
    const uint8_t *const bytes = has_buffer ? uring->buffers + (size_t)buffer * uring->config.buffer_bytes
                                            : uring->buffers;
    assert(result <= 0 || (has_buffer && buffer < uring->config.buffers_count));

    if (last) {
        receive->in_flight = false;
        uring__free_flight(uring, flight);
    } else {
        flight->retries = 0;
    }
    uring->handlers_run++;
    receive->on_bytes(receive, err, slice_of(bytes, result > 0 ? (size_t)result : 0), last);
    if (has_buffer) uring__buffer_return(uring, buffer);
}

void uring__buffer_return(struct uring *uring, uint32_t buffer)
{
    assert(buffer < uring->config.buffers_count);

    uint8_t *const bytes = uring->buffers + (size_t)buffer * uring->config.buffer_bytes;
    io_uring_buf_ring_add(uring->buffer_ring, bytes, uring->config.buffer_bytes, (uint16_t)buffer,
                          (int)uring->config.buffers_count - 1, (int)uring->buffers_returned);
    uring->buffers_returned++;
}

void uring__buffers_publish(struct uring *uring)
{
    if (uring->buffers_returned == 0) return;

    io_uring_buf_ring_advance(uring->buffer_ring, (int)uring->buffers_returned);
    uring->buffers_returned = 0;
}
