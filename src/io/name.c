/*
 * Names: directories, and what is done to the name of a file. Plain blocking calls on the calling thread, so
 * a system call filter sees them; never through the ring, where a filter would not.
 *
 * A directory is opened once and everything else is relative to its descriptor: the data directory may be
 * moved or mounted over while we run, and no path is ever put together here. Only the first directory may be
 * reached through a link (an operator's choice); below it links are refused. A directory made here is durable
 * when the call returns, because a journal inside it must not vanish with it; names of files are durable
 * after io_dir_sync().
 */
#include "real.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int dir_fd(const struct io_dir *dir)
{
    return dir != NULL ? ((const struct real_dir *)dir)->fd : AT_FDCWD;
}

static enum err sync_fd(int fd)
{
    while (fsync(fd) != 0)
        if (errno != EINTR) return err_from_errno(errno);
    return OK;
}

/* The directory in which path stands, opened. */
static int open_parent(int at, const char *path)
{
    char text[4096];
    const int length = snprintf(text, sizeof text, "%s", path);
    if (length < 0 || (size_t)length >= sizeof text) {
        errno = ENAMETOOLONG;
        return -1;
    }

    size_t end = (size_t)length;
    while (end > 1 && text[end - 1] == '/')
        end--;
    while (end > 0 && text[end - 1] != '/')
        end--;
    text[end] = '\0';
    return openat(at, end > 0 ? text : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum err make_dir(int at, const char *path)
{
    if (mkdirat(at, path, 0700) != 0) return errno == EEXIST ? OK : err_from_errno(errno);

    const int parent = open_parent(at, path);
    if (parent < 0) return err_from_errno(errno);
    const enum err err = sync_fd(parent);
    close(parent);
    return err;
}

enum err real__dir_open(struct io *io, struct io_dir *parent, const char *path, bool create,
                        struct io_dir **out)
{
    (void)io;
    if (create) TRY(make_dir(dir_fd(parent), path));

    const int no_link = parent != NULL ? O_NOFOLLOW : 0;
    const int fd = openat(dir_fd(parent), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | no_link);
    if (fd < 0) return err_from_errno(errno);

    struct real_dir *const dir = malloc(sizeof *dir);
    if (dir == NULL) {
        close(fd);
        return ERR_NO_MEMORY;
    }
    *dir = (struct real_dir){.dir.kind = IO_KIND_REAL, .fd = fd};
    *out = &dir->dir;
    return OK;
}

void real__dir_close(struct io *io, struct io_dir *dir)
{
    (void)io;
    close(dir_fd(dir));
    free(dir);
}

enum err real__dir_sync(struct io *io, struct io_dir *dir)
{
    (void)io;
    return sync_fd(dir_fd(dir));
}

/* ---- listing --------------------------------------------------------------------------------------------
 */

struct names {
    char **name;
    size_t count;
    size_t capacity;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
}

static enum err names_add(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        const size_t capacity = names->capacity * 2 + 64;
        char **const larger = reallocarray(names->name, capacity, sizeof *larger);
        if (larger == NULL) return ERR_NO_MEMORY;
        names->name = larger;
        names->capacity = capacity;
    }

    names->name[names->count] = strdup(name);
    if (names->name[names->count] == NULL) return ERR_NO_MEMORY;
    names->count++;
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A regular file, or a directory other than this one and its parent. */
static bool is_wanted(DIR *stream, const struct dirent *entry, bool dirs)
{
    struct stat status;

    if (dirs && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)) return false;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == (dirs ? DT_DIR : DT_REG);
    if (fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    return dirs ? S_ISDIR(status.st_mode) : S_ISREG(status.st_mode);
}

static enum err collect(DIR *stream, bool dirs, struct names *names)
{
    for (;;) {
        errno = 0;
        const struct dirent *const entry = readdir(stream);
        if (entry == NULL) return errno == 0 ? OK : err_from_errno(errno);
        if (is_wanted(stream, entry, dirs)) TRY(names_add(names, entry->d_name));
    }
}

static enum err list(struct io_dir *dir, bool dirs, bool (*visit)(void *context, const char *name),
                     void *context)
{
    const int fd = openat(dir_fd(dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* an offset of its own */
    if (fd < 0) return err_from_errno(errno);
    DIR *const stream = fdopendir(fd);
    if (stream == NULL) {
        close(fd);
        return ERR_NO_MEMORY;
    }

    struct names names = {0};
    const enum err err = collect(stream, dirs, &names);
    closedir(stream);
    if (err == OK) {
        if (names.count > 1) qsort(names.name, names.count, sizeof names.name[0], by_name);
        for (size_t i = 0; i < names.count; i++)
            if (!visit(context, names.name[i])) break;
    }
    names_free(&names);
    return err;
}

enum err real__dir_list(struct io *io, struct io_dir *dir, bool (*visit)(void *context, const char *name),
                        void *context)
{
    (void)io;
    return list(dir, false, visit, context);
}

enum err real__dir_list_dirs(struct io *io, struct io_dir *dir,
                             bool (*visit)(void *context, const char *name), void *context)
{
    (void)io;
    return list(dir, true, visit, context);
}

/* ---- one name -------------------------------------------------------------------------------------------
 */

enum err real__rename(struct io *io, struct io_dir *dir, const char *from, const char *to)
{
    (void)io;
    return renameat(dir_fd(dir), from, dir_fd(dir), to) == 0 ? OK : err_from_errno(errno);
}

enum err real__unlink(struct io *io, struct io_dir *dir, const char *name)
{
    (void)io;
    return unlinkat(dir_fd(dir), name, 0) == 0 ? OK : err_from_errno(errno);
}

/* What is under a symbolic link is not meant: no flag to follow it. */
enum err real__link(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir,
                    const char *to)
{
    (void)io;
    if (linkat(dir_fd(dir), name, dir_fd(to_dir), to, 0) == 0) return OK;
    return errno == EXDEV ? ERR_UNSUPPORTED : err_from_errno(errno);
}

enum err real__dir_remove(struct io *io, struct io_dir *parent, const char *name)
{
    (void)io;
    if (unlinkat(dir_fd(parent), name, AT_REMOVEDIR) != 0)
        return errno == ENOTEMPTY ? ERR_EXISTS : err_from_errno(errno);
    return sync_fd(dir_fd(parent));
}

enum err real__space(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct statvfs status;

    (void)io;
    while (fstatvfs(dir_fd(dir), &status) != 0)
        if (errno != EINTR) return err_from_errno(errno);
    *free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    *total_bytes = (uint64_t)status.f_blocks * status.f_frsize;
    return OK;
}

enum err real__device(struct io *io, struct io_dir *dir, uint64_t *device)
{
    struct stat status;

    (void)io;
    if (fstat(dir_fd(dir), &status) != 0) return err_from_errno(errno);
    *device = (uint64_t)status.st_dev;
    return OK;
}
