/*
 * Files through the ring: read, write, write of pieces, datasync.
 *
 * A flight holds what is left of its transfer. A short count puts the rest back into the queue; the handler
 * runs once, when all has moved or something failed. A read that comes back with nothing has met the end of
 * the file. One contiguous piece travels as WRITE, several as WRITEV with their own copy of the piece list.
 */
#include "real.h"
#include "uring.h"

#include <errno.h>

void uring__read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len,
                 uint64_t offset)
{
    struct uring *const uring = (struct uring *)io;
    struct flight *const flight = uring__take_off(uring, FLIGHT_READ, real_fd(file), op);

    flight->transfer = transfer_of(buf, len, offset, file->flags & IO_DIRECT);
    op->private_words[0] = uring__index(uring, flight);
}

static struct iovec *iovecs_of(struct uring *uring, const struct flight *flight)
{
    return &uring->iovecs[(size_t)uring__index(uring, flight) * IO_PIECES_MAX];
}

void uring__writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                   unsigned pieces_count, uint64_t offset)
{
    struct uring *const uring = (struct uring *)io;
    const enum flight_kind kind = pieces_count == 1 ? FLIGHT_WRITE : FLIGHT_WRITEV;
    struct flight *const flight = uring__take_off(uring, kind, real_fd(file), op);
    size_t len = 0;

    for (unsigned i = 0; i < pieces_count; i++)
        len += pieces[i].len;
    flight->transfer = transfer_of((void *)(uintptr_t)pieces[0].ptr, len, offset, file->flags & IO_DIRECT);
    op->private_words[0] = uring__index(uring, flight);
    if (kind == FLIGHT_WRITE) return;

    struct iovec *const iovecs = iovecs_of(uring, flight);
    for (unsigned i = 0; i < pieces_count; i++)
        iovecs[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].ptr, .iov_len = pieces[i].len};
    flight->iovecs_count = pieces_count;
}

void uring__datasync(struct io *io, struct io_op *op, struct io_file *file)
{
    struct uring *const uring = (struct uring *)io;
    struct flight *const flight = uring__take_off(uring, FLIGHT_DATASYNC, real_fd(file), op);

    op->private_words[0] = uring__index(uring, flight);
}

void uring__prepare_file(struct uring *uring, struct flight *flight, struct io_uring_sqe *sqe)
{
    const struct transfer *const transfer = &flight->transfer;

    switch (flight->kind) {
    case FLIGHT_READ:
        io_uring_prep_read(sqe, flight->fd, transfer->ptr, (unsigned)transfer_chunk(transfer),
                           transfer->offset);
        break;
    case FLIGHT_WRITE:
        io_uring_prep_write(sqe, flight->fd, transfer->ptr, (unsigned)transfer_chunk(transfer),
                            transfer->offset);
        break;
    case FLIGHT_WRITEV:
        io_uring_prep_writev(sqe, flight->fd, iovecs_of(uring, flight) + flight->iovecs_first,
                             flight->iovecs_count - flight->iovecs_first, transfer->offset);
        break;
    default: io_uring_prep_fsync(sqe, flight->fd, IORING_FSYNC_DATASYNC); break;
    }
}

/* Steps over the pieces that `count` bytes have covered. */
static void skip_pieces(struct uring *uring, struct flight *flight, size_t count)
{
    struct iovec *const iovecs = iovecs_of(uring, flight);

    while (count > 0) {
        struct iovec *const piece = &iovecs[flight->iovecs_first];
        if (count < piece->iov_len) {
            piece->iov_base = (uint8_t *)piece->iov_base + count;
            piece->iov_len -= count;
            return;
        }
        count -= piece->iov_len;
        flight->iovecs_first++;
    }
}

/* True when something is left and worth another try. */
static bool moved(struct uring *uring, struct flight *flight, size_t count)
{
    const size_t before = flight->transfer.moved;

    if (flight->kind == FLIGHT_READ)
        return transfer_read(&flight->transfer, count) && flight->transfer.left > 0;
    const bool progress = transfer_written(&flight->transfer, count);
    if (flight->kind == FLIGHT_WRITEV) skip_pieces(uring, flight, flight->transfer.moved - before);
    if (flight->transfer.left > 0) uring__count(uring, METRIC_IO_SHORT_WRITES);
    return progress && flight->transfer.left > 0;
}

void uring__file_landed(struct uring *uring, struct flight *flight, int32_t result)
{
    if (result < 0) {
        if (uring__retry(uring, flight, result)) return;
        uring__land_op(uring, flight, err_from_errno(-result));
        return;
    }
    if (flight->kind == FLIGHT_DATASYNC) {
        uring__land_op(uring, flight, OK);
        return;
    }
    if (moved(uring, flight, (size_t)result)) {
        uring__resubmit(uring, flight);
        return;
    }
    const bool stuck = flight->kind != FLIGHT_READ && flight->transfer.left > 0;
    uring__land_op(uring, flight, stuck ? ERR_IO : OK);
}
