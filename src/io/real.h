/*
 * Files and directories of the real system, shared by uring and plain: names, sizes, locks and the waiting
 * calls are the same plain system calls in both, and a file opened through one may be used through the other.
 */
#ifndef IO_REAL_H
#define IO_REAL_H

#include "backend.h"

struct real_dir {
    struct io_dir dir;
    int fd;
};

struct real_file {
    struct io_file file;
    int fd;
    atomic_bool exact; /* the kernel was told not to read ahead */
};

static inline int real_fd(const struct io_file *file)
{
    return ((const struct real_file *)file)->fd;
}

uint64_t real__now_ns(const struct io *io);
uint64_t real__wall_ns(const struct io *io);
void real__random(struct io *io, void *bytes, size_t len);

enum err real__dir_open(struct io *io, struct io_dir *parent, const char *path, bool create,
                        struct io_dir **out);
void real__dir_close(struct io *io, struct io_dir *dir);
enum err real__dir_sync(struct io *io, struct io_dir *dir);
enum err real__dir_list(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                        void *context);
enum err real__rename(struct io *io, struct io_dir *dir, const char *from, const char *to);
enum err real__unlink(struct io *io, struct io_dir *dir, const char *name);
enum err real__link(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir,
                    const char *to);
enum err real__dir_list_dirs(struct io *io, struct io_dir *dir,
                             bool (*visit)(void *context, const char *name), void *context);
enum err real__dir_remove(struct io *io, struct io_dir *parent, const char *name);
enum err real__space(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes);
enum err real__device(struct io *io, struct io_dir *dir, uint64_t *device);

enum err real__file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                         struct io_file **out);
void real__file_close(struct io *io, struct io_file *file);
enum err real__file_size(struct io *io, struct io_file *file, uint64_t *bytes);
enum err real__file_allocate(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes);
enum err real__file_truncate(struct io *io, struct io_file *file, uint64_t bytes);
enum err real__file_lock(struct io *io, struct io_file *file);

enum err real__read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                        size_t *count);
enum err real__write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset);
enum err real__datasync_now(struct io *io, struct io_file *file);

/* The part of a struct io_backend that every real implementation fills in alike. */
#define REAL_NAMES                                                                                           \
    .kind = IO_KIND_REAL, .now_ns = real__now_ns, .wall_ns = real__wall_ns, .random = real__random,          \
    .dir_open = real__dir_open, .dir_close = real__dir_close, .dir_sync = real__dir_sync,                    \
    .dir_list = real__dir_list, .rename = real__rename, .unlink = real__unlink, .link = real__link,          \
    .dir_list_dirs = real__dir_list_dirs, .dir_remove = real__dir_remove, .space = real__space,              \
    .device = real__device, .file_open = real__file_open, .file_close = real__file_close,                    \
    .file_size = real__file_size, .file_allocate = real__file_allocate,                                      \
    .file_truncate = real__file_truncate, .file_lock = real__file_lock

/* The waiting transfers of an io whose transfers wait for nobody. */
#define REAL_TRANSFERS                                                                                       \
    .read_now = real__read_now, .write_now = real__write_now, .datasync_now = real__datasync_now

#endif
