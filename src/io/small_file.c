/* See io/small_file.h. The new file is written beside the old one, synced, given its name, and the directory is synced. */
#include "io/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading --------------------------------------------------------------------------------------------
 */

static bool is_private(const struct stat *status)
{
    if (status->st_uid == geteuid() || geteuid() == 0) return (status->st_mode & 077) == 0;
    return status->st_uid == 0 && (status->st_mode & 037) == 0;
}

static enum err judge(const struct stat *status, enum small_file_kind kind, size_t bytes_max)
{
    if (!S_ISREG(status->st_mode)) return ERR_UNSUPPORTED;
    if (kind == SMALL_FILE_SECRET && !is_private(status)) return ERR_BUSY;
    return status->st_size >= 0 && (uint64_t)status->st_size <= bytes_max ? OK : ERR_TOO_LARGE;
}

/* Until the end of the file or capacity. */
static enum err read_all(int fd, char *text, size_t capacity, size_t *len)
{
    *len = 0;
    while (*len < capacity) {
        const ssize_t got = read(fd, text + *len, capacity - *len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_from_errno(errno);
        if (got == 0) return OK;
        *len += (size_t)got;
    }
    return OK;
}

static enum err read_open(int fd, enum small_file_kind kind, size_t bytes_max, char **text, size_t *len)
{
    struct stat status;

    if (fstat(fd, &status) != 0) return err_from_errno(errno);
    TRY(judge(&status, kind, bytes_max));
    const size_t capacity = (size_t)status.st_size + 1; /* one more, to see it grow */
    char *const room = malloc(capacity);
    if (room == NULL) return ERR_NO_MEMORY;
    enum err err = read_all(fd, room, capacity, len);
    if (err == OK && *len == capacity) err = ERR_TOO_LARGE; /* it is being written to */
    if (err != OK) {
        small_file_forget(room, capacity);
        return err;
    }
    room[*len] = '\0';
    *text = room;
    return OK;
}

enum err small_file_read(const char *path, enum small_file_kind kind, size_t bytes_max, char **text,
                         size_t *len)
{
    const int fd = open(path,
                        O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe must not make us wait */

    if (fd < 0) return err_from_errno(errno);
    const enum err err = read_open(fd, kind, bytes_max, text, len);
    close(fd);
    return err;
}

const char *small_file_advice(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND: return "there is no such file";
    case ERR_DENIED: return "permission denied for the user that the server runs as";
    case ERR_BUSY:
        return "others can reach it: it must belong to the user that the server runs as, with mode 0600 or "
               "0400 "
               "(chmod 600), or to root with mode 0640 or 0440";
    case ERR_TOO_LARGE: return "larger than such a file can be, or being written to";
    case ERR_UNSUPPORTED: return "not a regular file";
    default: return err_text(err);
    }
}

void small_file_forget(char *text, size_t len)
{
    if (text == NULL) return;
    explicit_bzero(text, len);
    free(text);
}

/* ---- replacing ------------------------------------------------------------------------------------------
 */

enum err small_file_begin(const char *path, struct small_file_change *change)
{
    char *const real = realpath(path, NULL); /* a link stays, what it names is replaced */
    const char *const name = real != NULL ? real : path;
    const bool fits = strlen(name) < sizeof change->path;

    if (fits) memcpy(change->path, name, strlen(name) + 1);
    free(real);
    if (!fits) return ERR_TOO_LARGE;
    snprintf(change->new_path, sizeof change->new_path, "%s.new", change->path);
    change->fd = open(change->new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return change->fd >= 0 ? OK : err_from_errno(errno);
}

static enum err write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t done = write(fd, text, len);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return err_from_errno(errno);
        text += done;
        len -= (size_t)done;
    }
    return OK;
}

static enum err sync_directory_of(const char *path)
{
    char copy[4096];

    snprintf(copy, sizeof copy, "%s", path);
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    const enum err err = fsync(fd) == 0 ? OK : err_from_errno(errno);
    close(fd);
    return err;
}

/* Run by root for a server that is another user: the file stays readable for it. */
static enum err keep_owner(const struct small_file_change *change)
{
    struct stat status;

    if (stat(change->path, &status) != 0 || status.st_uid == geteuid()) return OK;
    return fchown(change->fd, status.st_uid, status.st_gid) == 0 ? OK : err_from_errno(errno);
}

static enum err write_and_rename(struct small_file_change *change, const void *text, size_t len)
{
    TRY(keep_owner(change));
    TRY(write_all(change->fd, text, len));
    if (fsync(change->fd) != 0 || rename(change->new_path, change->path) != 0) return err_from_errno(errno);
    close(change->fd);
    change->fd = -1;
    return sync_directory_of(change->path);
}

enum err small_file_commit(struct small_file_change *change, const void *text, size_t len)
{
    const enum err err = write_and_rename(change, text, len);

    if (change->fd >= 0) small_file_abandon(change);
    return err;
}

void small_file_abandon(struct small_file_change *change)
{
    close(change->fd);
    (void)unlink(change->new_path);
    change->fd = -1;
}
