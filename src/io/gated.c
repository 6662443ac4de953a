/*
 * Transfers of a background thread: cut in pieces, each of which waits for its turn at the gate, moves, and leaves. What lies
 * in the page cache as a whole is read without waiting: no disk is asked for it.
 *
 * Classes that read each byte once (a merge, a scrub) leave nothing behind in the page cache: RWF_DONTCACHE where kernel and
 * file system have it (6.14; found out by the first reader), else POSIX_FADV_DONTNEED for pieces that were not
 * there before, if the kernel can tell (cachestat, 6.5). What questions have brought in stays either way.
 */
#include "gated.h"

#include "gate.h"
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_DONTCACHE 0x80 /* RWF_DONTCACHE */
#define CALL_CACHESTAT 451  /* on every machine */
enum { PAGE_BYTES = 4096 }; /* at least; larger pages are counted as several */

struct cache_range {
    uint64_t offset, len;
};
struct cache_stat {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

enum residence { RESIDENT, ABSENT, PARTLY }; /* PARTLY: also when the kernel does not tell */

static enum residence where_is(const struct io_file *file, size_t len, uint64_t offset)
{
    const uint64_t first = offset / PAGE_BYTES, end = (offset + len + PAGE_BYTES - 1) / PAGE_BYTES;
    struct cache_range range = {.offset = offset, .len = len};
    struct cache_stat stat;

    if (file->flags & IO_DIRECT) return PARTLY;
    if (syscall(CALL_CACHESTAT, real_fd(file), &range, &stat, 0U) != 0) return PARTLY;
    if (stat.cached >= end - first) return RESIDENT;
    return stat.cached == 0 ? ABSENT : PARTLY;
}

/* Once through, without staying. */
static bool is_scan(const struct io *io, const struct io_file *file)
{
    return io->class >= IO_COMPACT && !(file->flags & IO_DIRECT);
}

/* ERR_UNSUPPORTED: not by this kernel, or not on this file system. May be short, like any read. */
static enum err read_dropping(struct io_file *file, void *buf, size_t len, uint64_t offset, size_t *count)
{
    struct iovec vector = {.iov_base = buf, .iov_len = len};
    ssize_t moved;

    do
        moved = preadv2(real_fd(file), &vector, 1, (off_t)offset, READ_DONTCACHE);
    while (moved < 0 && errno == EINTR);
    if (moved < 0) return errno == EOPNOTSUPP || errno == EINVAL ? ERR_UNSUPPORTED : err_from_errno(errno);
    *count = (size_t)moved;
    return OK;
}

bool io_drops_cache(struct io *io, struct io_dir *dir, const char *name)
{
    struct io_file *file;
    uint8_t bytes[512];
    size_t count;

    if (dir->kind != IO_KIND_REAL || io_file_open(io, dir, name, 0, &file) != OK) return false;
    const enum err err = read_dropping(file, bytes, sizeof bytes, 0, &count);
    io_file_close(io, file);
    return err == OK;
}

/* False: the kernel cannot. */
static bool try_dropping(struct io *io, struct io_file *file, uint8_t *buf, size_t len, uint64_t offset,
                         size_t *count, enum err *err)
{
    size_t part = 1;

    *err = OK;
    while (*count < len && part > 0 && *err == OK) {
        *err = read_dropping(file, buf + *count, len - *count, offset + *count, &part);
        if (*err == OK) *count += part;
    }
    if (*err != ERR_UNSUPPORTED) return true;
    io__gate_keeps_cache(io->gate);
    return false;
}

static enum err read_scan(struct io *io, struct io_file *file, uint8_t *buf, size_t len, uint64_t offset,
                          bool absent, size_t *count)
{
    enum err err;

    if (io__gate_drops_cache(io->gate) && try_dropping(io, file, buf, len, offset, count, &err)) return err;
    TRY(real__read_now(io, file, buf, len, offset, count));
    if (absent) /* else what others had there would go, too */
        (void)posix_fadvise(real_fd(file), (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
    return OK;
}

/* What the kernel reads ahead passes no gate. Several threads may say so at once. */
static void read_exactly(struct io_file *file)
{
    atomic_bool *const exact = &((struct real_file *)file)->exact;

    if ((file->flags & IO_DIRECT) || atomic_load_explicit(exact, memory_order_relaxed)) return;
    (void)posix_fadvise(real_fd(file), 0, 0, POSIX_FADV_RANDOM);
    atomic_store_explicit(exact, true, memory_order_relaxed);
}

static enum err read_piece(struct io *io, struct io_file *file, uint8_t *buf, size_t len, uint64_t offset,
                           size_t *count)
{
    const enum residence residence = where_is(file, len, offset);

    if (residence == RESIDENT) return real__read_now(io, file, buf, len, offset, count);
    read_exactly(file);
    TRY(io__gate_enter(io, len));
    const enum err err = is_scan(io, file) ? read_scan(io, file, buf, len, offset, residence == ABSENT, count)
                                           : real__read_now(io, file, buf, len, offset, count);
    io__gate_leave(io);
    return err;
}

/* The next piece ends where the grid of pieces has a line: a direct one stays aligned, and none is needlessly cut in two. */
static size_t piece_at(const struct io *io, uint64_t offset, size_t left)
{
    const size_t whole = io_gate_limits(io->gate).piece_bytes;
    const size_t piece = whole - offset % IO_ALIGN;

    return piece < left ? piece : left;
}

enum err gated__read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                         size_t *count)
{
    if (io->gate == NULL) return real__read_now(io, file, buf, len, offset, count);

    size_t moved = 0;
    while (moved < len) {
        const size_t piece = piece_at(io, offset + moved, len - moved);
        size_t part = 0;
        TRY(read_piece(io, file, (uint8_t *)buf + moved, piece, offset + moved, &part));
        moved += part;
        if (part < piece) break; /* the end of the file */
    }
    *count = moved;
    return OK;
}

enum err gated__write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset)
{
    if (io->gate == NULL) return real__write_now(io, file, buf, len, offset);

    for (size_t moved = 0; moved < len;) {
        const size_t piece = piece_at(io, offset + moved, len - moved);
        TRY(io__gate_enter(io, piece));
        const enum err err = real__write_now(io, file, (const uint8_t *)buf + moved, piece, offset + moved);
        io__gate_leave(io);
        TRY(err);
        moved += piece;
    }
    return OK;
}

enum err gated__datasync_now(struct io *io, struct io_file *file)
{
    if (io->gate == NULL) return real__datasync_now(io, file);

    TRY(io__gate_enter(io, 0));
    const enum err err = real__datasync_now(io, file);
    io__gate_leave(io);
    return err;
}
