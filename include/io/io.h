/*
 * io/ is the only room with system calls. One struct io is one thread's view of the world: files, sockets, time,
 * randomness. Three implementations stand behind this header:
 *
 *   uring  a shard's: io_uring for sockets and journal writes (SINGLE_ISSUER | DEFER_TASKRUN where the kernel has it)
 *   plain  a background thread's (encoder, query): the same calls, done at once with pread and pwrite; no sockets
 *   sim    tests: seed, virtual time, a disk that loses or tears what was not synced (io/sim.h); no sockets
 *
 * Data operations are submit + completion. The owner embeds a struct io_op, sets op.done, submits, and must keep
 * op, file and buffers in place until done runs. done never runs inside a submit: io_turn() first gathers
 * completions, then runs their handlers. Short transfers, EINTR and EAGAIN end in this room: a read or write
 * either moves all its bytes (a read may end early at end of file) or fails.
 *
 * Operations on names (open, rename, unlink, sync of a directory ...) are plain blocking calls. A shard makes
 * them only before it serves; afterwards they belong to background threads.
 *
 * Except io_wake(), nothing here may be called from another thread than the one that opened the io.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;
struct io_op;
struct metrics;

enum {
    IO_ALIGN = 4096,    /* of memory, offset and length in every direct transfer */
    IO_PIECES_MAX = 64, /* buffers in one io_writev() */
};

/* ---- one operation in flight ---------------------------------------------------------------------------- */

typedef void io_done_fn(struct io_op *op);

struct io_op {
    io_done_fn *done;           /* set by the owner before each submit */
    enum err err;               /* valid in done: OK, or why it failed */
    uint64_t count;             /* valid in done: bytes moved */
    bool in_flight;             /* from submit until just before done */
    uint64_t private_words[12]; /* io/ only */
};

/* ---- lifecycle ------------------------------------------------------------------------------------------ */

struct io_config {
    unsigned ops_max;         /* operations in flight at once; a submit beyond it is a bug of ours */
    unsigned receive_buffers; /* power of two; buffers of the shared receive ring */
    unsigned receive_buffer_bytes;
    unsigned sockets_max;
    struct metrics *metrics; /* borrowed for the life of the io; may be NULL */
};

/* Ring, buffers and wake-up are set up on the calling thread, which becomes the owner. ERR_UNSUPPORTED or ERR_DENIED: no io_uring here. */
enum err io_open_uring(const struct io_config *config, struct io **out);
enum err io_open_plain(struct io **out);
/* Nothing may be in flight. */
void io_close(struct io *io);

/*
 * Submits what is pending, waits until something completes or wait_ns has passed (0: does not wait), then runs the
 * handlers of all that completed. Returns the number of handlers run. ERR_IO leaves the io unusable.
 */
enum err io_turn(struct io *io, uint64_t wait_ns, unsigned *handlers_run);

/* Turns until op has landed; returns op->err. Other handlers run meanwhile. Not from inside a handler of a uring io. */
enum err io_await(struct io *io, struct io_op *op);

/* From any thread: makes io_turn() of the target return soon and run its wake handler once (wake-ups may merge). */
void io_wake(struct io *target);
void io_on_wake(struct io *io, void (*on_wake)(void *context), void *context);

/* One line for the start log: kernel features found and what is used instead of missing ones. */
void io_describe(const struct io *io, char *text, size_t capacity);

uint64_t io_now_ns(const struct io *io);  /* CLOCK_MONOTONIC: deadlines */
uint64_t io_wall_ns(const struct io *io); /* CLOCK_REALTIME: arrival stamps */
void io_random(struct io *io, void *bytes, size_t len);

/* Memory aligned to IO_ALIGN, zeroed; huge pages where large. NULL when there is none. */
void *io_memory(size_t bytes);
void io_memory_free(void *memory, size_t bytes);
/* Gives pages back to the system; they read as zeros afterwards. Page-aligned range. */
void io_memory_forget(void *memory, size_t bytes);
/*
 * From now on, pages that the calling thread touches first come from the memory node of the CPU it runs on, as long as
 * that has any; for a pinned thread. ERR_DENIED, ERR_UNSUPPORTED: not here (a container); nothing has changed.
 */
enum err io_memory_near(unsigned *node);

/* ---- directories and names ------------------------------------------------------------------------------ */

struct io_dir;  /* opaque; opened once at start, closed at the end */
struct io_file; /* opaque */

/* Opens (and with create makes, mode 0700) a directory; path is relative to parent, or absolute/cwd when NULL. */
enum err io_dir_open(struct io *io, struct io_dir *parent, const char *path, bool create,
                     struct io_dir **out);
void io_dir_close(struct io *io, struct io_dir *dir);
enum err io_dir_sync(struct io *io, struct io_dir *dir);
/* Calls visit for each regular file (sorted by name); visit returns false to stop. name is borrowed for the call. */
enum err io_dir_list(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                     void *context);
enum err io_rename(struct io *io, struct io_dir *dir, const char *from, const char *to);
enum err io_unlink(struct io *io, struct io_dir *dir, const char *name);
/*
 * Gives a regular file a second name, in a directory of the same file system; durable after io_dir_sync() of that. Neither
 * name is the better one: the bytes go with the last. ERR_EXISTS: the new name is taken. ERR_UNSUPPORTED: these
 * directories cannot share a file.
 */
enum err io_link(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir, const char *to);
/* As io_dir_list(), for each directory. */
enum err io_dir_list_dirs(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                          void *context);
/* Removes an empty directory, durably; nobody has it open. ERR_EXISTS: something is in it. */
enum err io_dir_remove(struct io *io, struct io_dir *parent, const char *name);
/* Free and total bytes of the file system that holds dir. */
enum err io_space(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes);
/* A number for that file system's device, good until the machine starts again. ERR_UNSUPPORTED in a simulated world. */
enum err io_device(struct io *io, struct io_dir *dir, uint64_t *device);

/* ---- files ---------------------------------------------------------------------------------------------- */

enum {
    IO_CREATE = 1, /* must not exist before (O_EXCL) */
    IO_WRITABLE = 2,
    IO_DIRECT = 4, /* unbuffered; falls back to buffered, with a log line, where the file system cannot */
    IO_DSYNC = 8,  /* a completed write is durable (O_DSYNC) */
};

/* Regular files only, never through a link. The handle may be used by other threads' io of the same kind. */
enum err io_file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                      struct io_file **out);
void io_file_close(struct io *io, struct io_file *file);
enum err io_file_size(struct io *io, struct io_file *file, uint64_t *bytes);
enum err io_file_allocate(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes);
enum err io_file_truncate(struct io *io, struct io_file *file, uint64_t bytes);
/* An exclusive lock held until close; ERR_BUSY when another process has it (after short retries). */
enum err io_file_lock(struct io *io, struct io_file *file);

/* Direct files need IO_ALIGN in buffer, offset and length. Reading past the end gives fewer bytes, not an error. */
void io_read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len, uint64_t offset);
void io_write(struct io *io, struct io_op *op, struct io_file *file, const void *buf, size_t len,
              uint64_t offset);
struct io_piece {
    const void *ptr;
    size_t len;
};
/* pieces are copied at submit; the bytes they name are not. */
void io_writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
               unsigned pieces_count, uint64_t offset);
/* fdatasync: submit only after the writes it is to cover have completed. */
void io_datasync(struct io *io, struct io_op *op, struct io_file *file);

/* The same, waiting: for start-up, recovery and background threads. */
enum err io_read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                     size_t *count);
enum err io_write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset);
enum err io_datasync_now(struct io *io, struct io_file *file);

/* ---- sockets (uring only) ------------------------------------------------------------------------------- */

struct io_socket {
    int32_t slot; /* -1: none */
};

struct io_listener;
typedef void io_accept_fn(void *context, struct io_socket socket);

/*
 * Listens on "127.0.0.1:4318" or "[::1]:4318" with SO_REUSEPORT; cpu >= 0 also sets SO_INCOMING_CPU. Accepting is
 * multishot; on_accept runs inside io_turn(). TCP_NODELAY is inherited. Accepting pauses by itself on EMFILE.
 */
enum err io_listen(struct io *io, const char *address, int cpu, io_accept_fn *on_accept, void *context,
                   struct io_listener **out);
/*
 * Do connections really go to the listener whose cpu they arrive on? Tries it on loopback with these CPUs, at least two, on
 * each of which the calling thread must be allowed to run. Waits: some milliseconds, half a second when not. ERR_UNSUPPORTED:
 * they do not; other errors: it could not be tried.
 */
enum err io_steering_check(const unsigned *cpus, unsigned cpus_count);
/* The port really bound (for port 0), and stop listening: no on_accept afterwards. */
uint16_t io_listener_port(const struct io_listener *listener);
void io_listener_close(struct io *io, struct io_listener *listener);
/* The peer's address as text, for per-source limits; "" when unknown. */
void io_socket_peer(struct io *io, struct io_socket socket, char *text, size_t capacity);

/*
 * A stream of received bytes through the shared buffer ring. bytes are borrowed for the call (copy out at once).
 * err OK and len 0: the peer has finished sending. last: no further call follows until started again; when last
 * comes with err OK and len > 0, or ERR_FULL (no buffers just now), or ERR_CANCELLED (stopped), the stream itself is fine.
 */
struct io_receive;
typedef void io_receive_fn(struct io_receive *receive, enum err err, struct slice bytes, bool last);
struct io_receive {
    io_receive_fn *on_bytes; /* set by the owner */
    bool in_flight;
    uint64_t private_words[6];
};
/* Multishot: many calls until stopped or failed. */
void io_receive_start(struct io *io, struct io_receive *receive, struct io_socket socket);
/* One buffer at most, then last. */
void io_receive_once(struct io *io, struct io_receive *receive, struct io_socket socket);
/* Asks to end; bytes may still arrive, the call with last set ends it. */
void io_receive_stop(struct io *io, struct io_receive *receive);

/* Straight into the caller's memory, one-shot: completes with 1..len bytes; count 0 means the peer has finished. */
void io_receive_into(struct io *io, struct io_op *op, struct io_socket socket, void *buf, size_t len);
/* Sends all bytes or fails (ERR_PEER_GONE). */
void io_send(struct io *io, struct io_op *op, struct io_socket socket, const void *buf, size_t len);
/* Cancels a receive_into or send; done still runs, with ERR_CANCELLED unless it had landed before. */
void io_cancel(struct io *io, struct io_op *op);
/* Nothing of this socket may be in flight. Ends sending in order, then closes. reset: RST instead of FIN. */
void io_socket_close(struct io *io, struct io_socket socket, bool reset);

#endif
