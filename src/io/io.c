/*
 * The door of the room: checks what the contract asks of a caller, then hands the call to the implementation.
 *
 * Everything asserted here would be a bug of ours: an op submitted twice, a handle of another kind of io, a
 * buffer that direct I/O cannot take. Nothing is decided here, so uring, plain and sim meet the same, already
 * checked calls. Wake-ups live here too, because all three share them: a flag, and an eventfd that is written
 * only to a sleeper.
 */
#include "backend.h"

#include "base/log.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- lifecycle, time, wake-ups --------------------------------------------------------------------------
 */

void io_close(struct io *io)
{
    if (io != NULL) io->backend->close(io);
}

enum err io_turn(struct io *io, uint64_t wait_ns, unsigned *handlers_run)
{
    unsigned ignored = 0;

    return io->backend->turn(io, wait_ns, handlers_run != NULL ? handlers_run : &ignored);
}

enum err io_await(struct io *io, struct io_op *op)
{
    const uint64_t patience_ns = 1000000000;

    while (op->in_flight)
        TRY(io_turn(io, patience_ns, NULL));
    return op->err;
}

void io_describe(const struct io *io, char *text, size_t capacity)
{
    io->backend->describe(io, text, capacity);
}

uint64_t io_now_ns(const struct io *io)
{
    return io->backend->now_ns(io);
}

uint64_t io_wall_ns(const struct io *io)
{
    return io->backend->wall_ns(io);
}

void io_random(struct io *io, void *bytes, size_t len)
{
    io->backend->random(io, bytes, len);
}

void io_on_wake(struct io *io, void (*on_wake)(void *context), void *context)
{
    io->on_wake = on_wake;
    io->on_wake_context = context;
}

void io_wake(struct io *target)
{
    if (atomic_exchange(&target->wake_pending, true)) return;
    if (!atomic_load(&target->asleep)) return;

    const uint64_t one = 1;
    /* Can fail only with EAGAIN, when 2^64 - 2 calls were never read: then the sleeper is awake anyway. */
    const ssize_t written = write(target->wake_fd, &one, sizeof one);
    (void)written;
}

enum err io__wake_open(struct io *io)
{
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return io->wake_fd >= 0 ? OK : err_from_errno(errno);
}

void io__wake_close(struct io *io)
{
    if (io->wake_fd >= 0) close(io->wake_fd);
    io->wake_fd = -1;
}

bool io__fall_asleep(struct io *io)
{
    atomic_store(&io->asleep, true);
    return !atomic_load(&io->wake_pending);
}

void io__awake(struct io *io)
{
    atomic_store_explicit(&io->asleep, false, memory_order_relaxed);
}

unsigned io__deliver_wake(struct io *io)
{
    if (!atomic_load_explicit(&io->wake_pending, memory_order_relaxed)) return 0;

    atomic_store(&io->wake_pending, false); /* before the handler: a call during it must be seen again */
    if (io->on_wake == NULL) return 0;
    io->on_wake(io->on_wake_context);
    return 1;
}

/* ---- directories and names ------------------------------------------------------------------------------
 */

enum err io_dir_open(struct io *io, struct io_dir *parent, const char *path, bool create, struct io_dir **out)
{
    assert(parent == NULL || parent->kind == io->backend->kind);

    return io->backend->dir_open(io, parent, path, create, out);
}

void io_dir_close(struct io *io, struct io_dir *dir)
{
    if (dir == NULL) return;
    assert(dir->kind == io->backend->kind);

    io->backend->dir_close(io, dir);
}

enum err io_dir_sync(struct io *io, struct io_dir *dir)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->dir_sync(io, dir);
}

enum err io_dir_list(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                     void *context)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->dir_list(io, dir, visit, context);
}

enum err io_rename(struct io *io, struct io_dir *dir, const char *from, const char *to)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->rename(io, dir, from, to);
}

enum err io_unlink(struct io *io, struct io_dir *dir, const char *name)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->unlink(io, dir, name);
}

enum err io_link(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir, const char *to)
{
    assert(dir->kind == io->backend->kind);
    assert(to_dir->kind == io->backend->kind);

    return io->backend->link(io, dir, name, to_dir, to);
}

enum err io_dir_list_dirs(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                          void *context)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->dir_list_dirs(io, dir, visit, context);
}

enum err io_dir_remove(struct io *io, struct io_dir *parent, const char *name)
{
    assert(parent->kind == io->backend->kind);

    return io->backend->dir_remove(io, parent, name);
}

enum err io_space(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->space(io, dir, free_bytes, total_bytes);
}

enum err io_device(struct io *io, struct io_dir *dir, uint64_t *device)
{
    assert(dir->kind == io->backend->kind);

    return io->backend->device != NULL ? io->backend->device(io, dir, device) : ERR_UNSUPPORTED;
}

/* ---- files ----------------------------------------------------------------------------------------------
 */

enum err io_file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                      struct io_file **out)
{
    assert(dir->kind == io->backend->kind);
    assert((flags & IO_CREATE) == 0 || (flags & IO_WRITABLE) != 0);

    return io->backend->file_open(io, dir, name, flags, out);
}

void io_file_close(struct io *io, struct io_file *file)
{
    if (file == NULL) return;
    assert(file->kind == io->backend->kind);

    io->backend->file_close(io, file);
}

enum err io_file_size(struct io *io, struct io_file *file, uint64_t *bytes)
{
    assert(file->kind == io->backend->kind);

    return io->backend->file_size(io, file, bytes);
}

enum err io_file_allocate(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes)
{
    assert(file->kind == io->backend->kind);
    assert(file->flags & IO_WRITABLE);

    return io->backend->file_allocate(io, file, offset, bytes);
}

enum err io_file_truncate(struct io *io, struct io_file *file, uint64_t bytes)
{
    assert(file->kind == io->backend->kind);
    assert(file->flags & IO_WRITABLE);

    return io->backend->file_truncate(io, file, bytes);
}

enum err io_file_lock(struct io *io, struct io_file *file)
{
    assert(file->kind == io->backend->kind);

    return io->backend->file_lock(io, file);
}

static void check_transfer(const struct io *io, const struct io_file *file, const void *buf, size_t len,
                           uint64_t offset)
{
    assert(file->kind == io->backend->kind);
    assert(buf != NULL || len == 0);
    assert(offset <= INT64_MAX - len);
    if (file->flags & IO_DIRECT) {
        assert((uintptr_t)buf % IO_ALIGN == 0);
        assert(len % IO_ALIGN == 0);
        assert(offset % IO_ALIGN == 0);
    }
}

static void take_off(struct io_op *op)
{
    assert(op->done != NULL);
    assert(!op->in_flight);

    op->in_flight = true;
    op->err = OK;
    op->count = 0;
}

void io__land(struct io_op *op, enum err err)
{
    assert(op->in_flight);

    op->in_flight = false;
    op->err = err;
    op->done(op);
}

void io_read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len, uint64_t offset)
{
    check_transfer(io, file, buf, len, offset);
    take_off(op);
    io->backend->read(io, op, file, buf, len, offset);
}

void io_write(struct io *io, struct io_op *op, struct io_file *file, const void *buf, size_t len,
              uint64_t offset)
{
    const struct io_piece piece = {.ptr = buf, .len = len};

    io_writev(io, op, file, &piece, 1, offset);
}

void io_writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
               unsigned pieces_count, uint64_t offset)
{
    assert(pieces_count >= 1 && pieces_count <= IO_PIECES_MAX);
    assert(file->flags & IO_WRITABLE);
    uint64_t at = offset;
    for (unsigned i = 0; i < pieces_count; i++) {
        check_transfer(io, file, pieces[i].ptr, pieces[i].len, at);
        at += pieces[i].len;
    }

    take_off(op);
    io->backend->writev(io, op, file, pieces, pieces_count, offset);
}

void io_datasync(struct io *io, struct io_op *op, struct io_file *file)
{
    assert(file->kind == io->backend->kind);

    take_off(op);
    io->backend->datasync(io, op, file);
}

enum err io_read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                     size_t *count)
{
    check_transfer(io, file, buf, len, offset);

    return io->backend->read_now(io, file, buf, len, offset, count);
}

enum err io_write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset)
{
    check_transfer(io, file, buf, len, offset);
    assert(file->flags & IO_WRITABLE);

    return io->backend->write_now(io, file, buf, len, offset);
}

enum err io_datasync_now(struct io *io, struct io_file *file)
{
    assert(file->kind == io->backend->kind);

    return io->backend->datasync_now(io, file);
}

/* ---- sockets --------------------------------------------------------------------------------------------
 */

enum err io_listen(struct io *io, const char *address, int cpu, io_accept_fn *on_accept, void *context,
                   struct io_listener **out)
{
    if (io->backend->listen == NULL) return ERR_UNSUPPORTED;

    return io->backend->listen(io, address, cpu, on_accept, context, out);
}

void io_listener_close(struct io *io, struct io_listener *listener)
{
    if (listener != NULL) io->backend->listener_close(io, listener);
}

void io_socket_peer(struct io *io, struct io_socket socket, char *text, size_t capacity)
{
    assert(capacity > 0);

    io->backend->socket_peer(io, socket, text, capacity);
}

void io_receive_start(struct io *io, struct io_receive *receive, struct io_socket socket)
{
    assert(receive->on_bytes != NULL);
    assert(!receive->in_flight);

    receive->in_flight = true;
    io->backend->receive_start(io, receive, socket, false);
}

void io_receive_once(struct io *io, struct io_receive *receive, struct io_socket socket)
{
    assert(receive->on_bytes != NULL);
    assert(!receive->in_flight);

    receive->in_flight = true;
    io->backend->receive_start(io, receive, socket, true);
}

void io_receive_stop(struct io *io, struct io_receive *receive)
{
    if (receive->in_flight) io->backend->receive_stop(io, receive);
}

void io_receive_into(struct io *io, struct io_op *op, struct io_socket socket, void *buf, size_t len)
{
    assert(len > 0);

    take_off(op);
    io->backend->receive_into(io, op, socket, buf, len);
}

void io_send(struct io *io, struct io_op *op, struct io_socket socket, const void *buf, size_t len)
{
    assert(len > 0);

    take_off(op);
    io->backend->send(io, op, socket, buf, len);
}

void io_cancel(struct io *io, struct io_op *op)
{
    if (op->in_flight) io->backend->cancel(io, op);
}

void io_socket_close(struct io *io, struct io_socket socket, bool reset)
{
    io->backend->socket_close(io, socket, reset);
}
