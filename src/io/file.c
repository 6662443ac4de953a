/*
 * Regular files of the real system: opening, sizes, locks, and the waiting transfers of start-up, recovery
 * and background threads.
 *
 * Opening never follows a link, never blocks on a pipe that somebody put there, and accepts regular files
 * only. IO_DIRECT is a wish: where the file system cannot (or wants more than IO_ALIGN), the file is opened
 * buffered, said in the log. IO_DSYNC is a promise and stays: O_DSYNC without O_DIRECT is a write followed by
 * fdatasync, done by the kernel. So a completed write is durable either way, only slower.
 *
 * Transfers loop over short counts and EINTR. A direct transfer that stops off the 4 KiB grid has met the end
 * of the file (reading) or must start again at the last whole block (writing).
 */
#include "real.h"
#include "transfer.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LOCK_TRIES = 20,
    LOCK_PAUSE_NS = 25000000,
};

/* ---- time and randomness --------------------------------------------------------------------------------
 */

uint64_t real__now_ns(const struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t real__wall_ns(const struct io *io)
{
    (void)io;
    return clock_ns(CLOCK_REALTIME);
}

void real__random(struct io *io, void *bytes, size_t len)
{
    (void)io;
    for (size_t done = 0; done < len;) {
        const ssize_t count = getrandom((uint8_t *)bytes + done, len - done, 0);
        assert(count > 0 || errno == EINTR); /* a kernel without getrandom is older than any ring */
        if (count > 0) done += (size_t)count;
    }
}

/* ---- opening --------------------------------------------------------------------------------------------
 */

/* Whether the file system takes direct transfers on our grid. Unknown (older kernel, no answer) counts as
 * yes. */
static bool takes_direct(int fd)
{
    struct statx status = {0};
    const unsigned mask = 0x2000; /* STATX_DIOALIGN, since 6.1 */

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, mask, &status) != 0) return true;
    if ((status.stx_mask & mask) == 0) return true;
    return status.stx_dio_mem_align != 0 && status.stx_dio_mem_align <= IO_ALIGN &&
           status.stx_dio_offset_align != 0 && status.stx_dio_offset_align <= IO_ALIGN;
}

static int open_flags(unsigned flags)
{
    int result = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;

    result |= flags & IO_WRITABLE ? O_RDWR : O_RDONLY;
    if (flags & IO_CREATE) result |= O_CREAT | O_EXCL;
    if (flags & IO_DIRECT) result |= O_DIRECT;
    if (flags & IO_DSYNC) result |= O_DSYNC;
    return result;
}

/* O_NONBLOCK was only against pipes; on a ring it would turn waits into EAGAIN. */
static enum err settle(int fd, unsigned flags)
{
    struct stat status;

    if (fstat(fd, &status) != 0) return err_from_errno(errno);
    if (!S_ISREG(status.st_mode)) return ERR_UNSUPPORTED;
    return fcntl(fd, F_SETFL, flags & IO_DIRECT ? O_DIRECT : 0) == 0 ? OK : err_from_errno(errno);
}

static enum err try_open(int at, const char *name, unsigned flags, int *out)
{
    const int fd = openat(at, name, open_flags(flags), 0600);
    if (fd < 0) return errno == ELOOP ? ERR_DENIED : err_from_errno(errno);

    const bool refused = (flags & IO_DIRECT) && !takes_direct(fd);
    const enum err err = refused ? ERR_UNSUPPORTED : settle(fd, flags);
    if (err != OK) {
        close(fd);
        return err;
    }
    *out = fd;
    return OK;
}

enum err real__file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                         struct io_file **out)
{
    const int at = ((const struct real_dir *)dir)->fd;
    int fd = -1;

    (void)io;
    enum err err = try_open(at, name, flags, &fd);
    if (err == ERR_UNSUPPORTED && (flags & IO_DIRECT)) {
        log_warn("io", "no direct I/O here, writing through the page cache", "file=%s", name);
        flags &= ~(unsigned)IO_DIRECT;
        /* The refused attempt may have made the file already. */
        const unsigned again = faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
                                   ? flags & ~(unsigned)IO_CREATE
                                   : flags;
        err = try_open(at, name, again, &fd);
    }
    TRY(err);

    struct real_file *const file = malloc(sizeof *file);
    if (file == NULL) {
        close(fd);
        return ERR_NO_MEMORY;
    }
    *file = (struct real_file){.file = {.kind = IO_KIND_REAL, .flags = flags}, .fd = fd};
    *out = &file->file;
    return OK;
}

void real__file_close(struct io *io, struct io_file *file)
{
    (void)io;
    close(real_fd(file));
    free(file);
}

/* ---- sizes and locks ------------------------------------------------------------------------------------
 */

enum err real__file_size(struct io *io, struct io_file *file, uint64_t *bytes)
{
    struct stat status;

    (void)io;
    if (fstat(real_fd(file), &status) != 0) return err_from_errno(errno);
    *bytes = (uint64_t)status.st_size;
    return OK;
}

enum err real__file_allocate(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes)
{
    (void)io;
    while (fallocate(real_fd(file), 0, (off_t)offset, (off_t)bytes) != 0)
        if (errno != EINTR) return err_from_errno(errno);
    return OK;
}

enum err real__file_truncate(struct io *io, struct io_file *file, uint64_t bytes)
{
    (void)io;
    while (ftruncate(real_fd(file), (off_t)bytes) != 0)
        if (errno != EINTR) return err_from_errno(errno);
    return OK;
}

/* A predecessor that was killed may take a moment to let go. */
enum err real__file_lock(struct io *io, struct io_file *file)
{
    (void)io;
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (flock(real_fd(file), LOCK_EX | LOCK_NB) == 0) return OK;
        if (errno != EWOULDBLOCK && errno != EINTR) return err_from_errno(errno);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
    }
    return ERR_BUSY;
}

/* ---- waiting transfers ----------------------------------------------------------------------------------
 */

enum err real__read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                        size_t *count)
{
    struct transfer transfer = transfer_of(buf, len, offset, file->flags & IO_DIRECT);

    (void)io;
    while (transfer.left > 0) {
        const ssize_t moved = pread(real_fd(file), transfer.ptr, transfer_chunk(&transfer),
                                    (off_t)transfer.offset);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return err_from_errno(errno);
        if (!transfer_read(&transfer, (size_t)moved)) break;
    }
    *count = transfer.moved;
    return OK;
}

enum err real__write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset)
{
    struct transfer transfer = transfer_of((void *)(uintptr_t)buf, len, offset, file->flags & IO_DIRECT);

    (void)io;
    while (transfer.left > 0) {
        const ssize_t moved = pwrite(real_fd(file), transfer.ptr, transfer_chunk(&transfer),
                                     (off_t)transfer.offset);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return err_from_errno(errno);
        if (!transfer_written(&transfer, (size_t)moved)) return ERR_IO;
    }
    return OK;
}

enum err real__datasync_now(struct io *io, struct io_file *file)
{
    (void)io;
    while (fdatasync(real_fd(file)) != 0)
        if (errno != EINTR) return err_from_errno(errno);
    return OK;
}
