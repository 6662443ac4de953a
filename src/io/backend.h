/*
 * What stands behind include/io/io.h: one table of functions for each implementation, and the few fields that
 * all of them share. io.c checks the contract's preconditions and calls through the table; an implementation
 * is reached in no other way. A NULL entry means that the implementation has no such thing (sockets outside
 * uring).
 */
#ifndef IO_BACKEND_H
#define IO_BACKEND_H

#include "io/gate.h"
#include "io/io.h"

#include <stdatomic.h>

/* First member of an implementation's own struct. */
struct io_dir {
    uint32_t kind; /* enum io_kind: a handle is used only with an io of its kind */
};

struct io_file {
    uint32_t kind;
    unsigned
        flags; /* IO_WRITABLE ..., as really opened: IO_DIRECT is gone where the file system refused it */
};

enum io_kind { IO_KIND_REAL = 0x5245414c, IO_KIND_SIM = 0x53494d55 };

struct io_backend {
    enum io_kind kind;

    void (*close)(struct io *io);
    enum err (*turn)(struct io *io, uint64_t wait_ns, unsigned *handlers_run);
    void (*describe)(const struct io *io, char *text, size_t capacity);
    uint64_t (*now_ns)(const struct io *io);
    uint64_t (*wall_ns)(const struct io *io);
    void (*random)(struct io *io, void *bytes, size_t len);

    enum err (*dir_open)(struct io *io, struct io_dir *parent, const char *path, bool create,
                         struct io_dir **out);
    void (*dir_close)(struct io *io, struct io_dir *dir);
    enum err (*dir_sync)(struct io *io, struct io_dir *dir);
    enum err (*dir_list)(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                         void *context);
    enum err (*rename)(struct io *io, struct io_dir *dir, const char *from, const char *to);
    enum err (*unlink)(struct io *io, struct io_dir *dir, const char *name);
    enum err (*link)(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir,
                     const char *to);
    enum err (*dir_list_dirs)(struct io *io, struct io_dir *dir,
                              bool (*visit)(void *context, const char *name), void *context);
    enum err (*dir_remove)(struct io *io, struct io_dir *parent, const char *name);
    enum err (*space)(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes);
    enum err (*device)(struct io *io, struct io_dir *dir, uint64_t *device);

    enum err (*file_open)(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                          struct io_file **out);
    void (*file_close)(struct io *io, struct io_file *file);
    enum err (*file_size)(struct io *io, struct io_file *file, uint64_t *bytes);
    enum err (*file_allocate)(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes);
    enum err (*file_truncate)(struct io *io, struct io_file *file, uint64_t bytes);
    enum err (*file_lock)(struct io *io, struct io_file *file);

    /* op is prepared: in flight, err OK, count 0. */
    void (*read)(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len,
                 uint64_t offset);
    void (*writev)(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                   unsigned pieces_count, uint64_t offset);
    void (*datasync)(struct io *io, struct io_op *op, struct io_file *file);
    enum err (*read_now)(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                         size_t *count);
    enum err (*write_now)(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset);
    enum err (*datasync_now)(struct io *io, struct io_file *file);

    enum err (*listen)(struct io *io, const char *address, int cpu, io_accept_fn *on_accept, void *context,
                       struct io_listener **out);
    void (*listener_close)(struct io *io, struct io_listener *listener);
    void (*socket_peer)(struct io *io, struct io_socket socket, char *text, size_t capacity);
    void (*receive_start)(struct io *io, struct io_receive *receive, struct io_socket socket, bool once);
    void (*receive_stop)(struct io *io, struct io_receive *receive);
    void (*receive_into)(struct io *io, struct io_op *op, struct io_socket socket, void *buf, size_t len);
    void (*send)(struct io *io, struct io_op *op, struct io_socket socket, const void *buf, size_t len);
    void (*cancel)(struct io *io, struct io_op *op);
    void (*socket_close)(struct io *io, struct io_socket socket, bool reset);
};

/* First member of each implementation's struct. */
struct io {
    const struct io_backend *backend;

    /* Where its transfers wait for their turn; NULL: nowhere. The simulated world looks at none of these. */
    struct io_gate *gate;
    enum io_class class;
    struct io_patience patience;

    void (*on_wake)(void *context);
    void *on_wake_context;

    /*
     * A wake-up costs a system call only when the owner sleeps. The owner sets asleep, then looks at
     * wake_pending; the waker sets wake_pending, then looks at asleep. Both in sequential order, so one of
     * them sees the other.
     */
    _Atomic bool wake_pending;
    _Atomic bool asleep;
    int wake_fd; /* eventfd; -1: nobody ever sleeps (sim) */
};

/* Opens wake_fd. */
enum err io__wake_open(struct io *io);
void io__wake_close(struct io *io);
/* About to sleep: false when a wake-up is waiting, then do not. */
bool io__fall_asleep(struct io *io);
void io__awake(struct io *io);
/* Runs the wake handler if somebody called; returns the number of handlers run. */
unsigned io__deliver_wake(struct io *io);
/* The op has landed: hands it back to its owner. */
void io__land(struct io_op *op, enum err err);

#endif
