/*
 * The io of a background thread: an encoder, a query, a tool. The same calls as on a ring, but an operation
 * is done at once, where it is submitted, with pread, pwritev and fdatasync on the calling thread. Its
 * handler still waits for io_turn(), so code written for a ring runs here unchanged. No sockets.
 *
 *   submit:   the system call runs, the op joins the list of landed ones
 *   io_turn:  runs the handlers of the list in order; with an empty list it sleeps on the eventfd until woken
 *
 * Nothing is ever in flight inside the kernel, so closing has nothing to wait for.
 */
#include "gated.h"
#include "real.h"
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct plain {
    struct io io;

    struct io_op *landed_first; /* linked through private_words[0] */
    struct io_op *landed_last;
    uint64_t turn_landed; /* ops that a turn may hand out: those landed before it began */
};

static const struct io_backend plain_backend;

enum err io_open_plain(struct io **out)
{
    struct plain *const plain = calloc(1, sizeof *plain);
    if (plain == NULL) return ERR_NO_MEMORY;

    plain->io.backend = &plain_backend;
    const enum err err = io__wake_open(&plain->io);
    if (err != OK) {
        free(plain);
        return err;
    }
    *out = &plain->io;
    return OK;
}

static void plain_close(struct io *io)
{
    struct plain *const plain = (struct plain *)io;
    assert(plain->landed_first == NULL);

    io__wake_close(io);
    free(plain);
}

static void plain_describe(const struct io *io, char *text, size_t capacity)
{
    (void)io;
    snprintf(text, capacity, "plain blocking calls");
}

/* ---- the list of landed operations ----------------------------------------------------------------------
 */

static void landed_push(struct io *io, struct io_op *op, enum err err)
{
    struct plain *const plain = (struct plain *)io;

    op->err = err;
    op->private_words[0] = 0;
    if (plain->landed_last != NULL)
        plain->landed_last->private_words[0] = (uintptr_t)op;
    else
        plain->landed_first = op;
    plain->landed_last = op;
    plain->turn_landed++;
}

static struct io_op *landed_pop(struct plain *plain)
{
    struct io_op *const op = plain->landed_first;

    plain->landed_first = (struct io_op *)(uintptr_t)op->private_words[0];
    if (plain->landed_first == NULL) plain->landed_last = NULL;
    plain->turn_landed--;
    return op;
}

static void sleep_until_woken(struct io *io, uint64_t wait_ns)
{
    struct pollfd wake = {.fd = io->wake_fd, .events = POLLIN};
    const struct timespec timeout = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                     .tv_nsec = (long)(wait_ns % 1000000000)};

    if (io__fall_asleep(io) && ppoll(&wake, 1, &timeout, NULL) > 0) {
        uint64_t calls;
        const ssize_t count = read(io->wake_fd, &calls, sizeof calls);
        (void)count; /* only to reset it */
    }
    io__awake(io);
}

static enum err plain_turn(struct io *io, uint64_t wait_ns, unsigned *handlers_run)
{
    struct plain *const plain = (struct plain *)io;

    if (plain->landed_first == NULL && wait_ns > 0) sleep_until_woken(io, wait_ns);

    unsigned run = 0;
    for (uint64_t left = plain->turn_landed; left > 0 && plain->landed_first != NULL; left--, run++) {
        struct io_op *const op = landed_pop(plain);
        io__land(op, op->err);
    }
    run += io__deliver_wake(io);
    *handlers_run = run;
    return OK;
}

/* ---- operations -----------------------------------------------------------------------------------------
 */

static void plain_read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len,
                       uint64_t offset)
{
    size_t count = 0;

    const enum err err = gated__read_now(io, file, buf, len, offset, &count);
    op->count = count;
    landed_push(io, op, err);
}

static void write_pieces(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                         unsigned pieces_count, uint64_t offset)
{
    enum err err = OK;

    for (unsigned i = 0; i < pieces_count && err == OK; i++) {
        err = gated__write_now(io, file, pieces[i].ptr, pieces[i].len, offset);
        if (err == OK) op->count += pieces[i].len;
        offset += pieces[i].len;
    }
    landed_push(io, op, err);
}

/*
 * All pieces in one system call: with O_DSYNC each call is a flush of its own. The few that come back short
 * go on piece by piece.
 */
static void plain_writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                         unsigned pieces_count, uint64_t offset)
{
    if (io->gate != NULL) {
        write_pieces(io, op, file, pieces, pieces_count, offset);
        return;
    }
    struct iovec vectors[IO_PIECES_MAX];
    for (unsigned i = 0; i < pieces_count; i++)
        vectors[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].ptr, .iov_len = pieces[i].len};

    ssize_t moved;
    do
        moved = pwritev(real_fd(file), vectors, (int)pieces_count, (off_t)offset);
    while (moved < 0 && errno == EINTR);
    enum err err = moved < 0 ? err_from_errno(errno) : OK;

    size_t skip = moved > 0 ? (size_t)moved : 0;
    if (file->flags & IO_DIRECT) skip -= skip % IO_ALIGN;
    op->count = skip;
    for (unsigned i = 0; i < pieces_count && err == OK; i++) {
        const size_t done = skip < pieces[i].len ? skip : pieces[i].len;
        skip -= done;
        if (done < pieces[i].len) {
            err = real__write_now(io, file, (const uint8_t *)pieces[i].ptr + done, pieces[i].len - done,
                                  offset + done);
            if (err == OK) op->count += pieces[i].len - done;
        }
        offset += pieces[i].len;
    }
    landed_push(io, op, err);
}

static void plain_datasync(struct io *io, struct io_op *op, struct io_file *file)
{
    landed_push(io, op, gated__datasync_now(io, file));
}

static const struct io_backend plain_backend = {
    REAL_NAMES,
    .close = plain_close,
    .turn = plain_turn,
    .describe = plain_describe,
    .read = plain_read,
    .writev = plain_writev,
    .datasync = plain_datasync,
    .read_now = gated__read_now,
    .write_now = gated__write_now,
    .datasync_now = gated__datasync_now,
};
