#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { PIECE_BYTES = 256 * 1024, LEVEL = 3, WINDOW_LOG_MAX = 27, PATH_BYTES = 4096 };

/* ---- out ------------------------------------------------------------------------------------------------- */

struct stream_out {
    int fd;
    bool is_file;
    ZSTD_CCtx *packer; /* NULL: plain */
    uint8_t *room;     /* PIECE_BYTES, with a packer */
    uint64_t stored;
    char path[PATH_BYTES], part[PATH_BYTES + 8];
};

static enum err write_all(struct stream_out *stream, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t count = write(stream->fd, bytes, len);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return err_from_errno(errno);
        bytes += count;
        len -= (size_t)count;
        stream->stored += (uint64_t)count;
    }
    return OK;
}

static enum err pack(struct stream_out *stream, struct slice bytes, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {.src = bytes.ptr, .size = bytes.len};
    size_t left;

    do {
        ZSTD_outBuffer out = {.dst = stream->room, .size = PIECE_BYTES};
        left = ZSTD_compressStream2(stream->packer, &out, &in, how);
        if (ZSTD_isError(left)) return ERR_NO_MEMORY;
        TRY(write_all(stream, stream->room, out.pos));
    } while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return OK;
}

static enum err open_file(struct stream_out *stream, const char *path, bool replace)
{
    const int len = snprintf(stream->path, sizeof stream->path, "%s", path);

    if (len <= 0 || (size_t)len >= sizeof stream->path) return ERR_MALFORMED;
    snprintf(stream->part, sizeof stream->part, "%s.part", path);
    if (!replace && access(path, F_OK) == 0) return ERR_EXISTS;
    stream->is_file = true;
    stream->fd = open(stream->part, O_WRONLY | O_CREAT | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL), 0600);
    return stream->fd >= 0 ? OK : err_from_errno(errno);
}

static enum err open_packer(struct stream_out *stream)
{
    stream->packer = ZSTD_createCCtx();
    stream->room = malloc(PIECE_BYTES);
    if (stream->packer == NULL || stream->room == NULL) return ERR_NO_MEMORY;
    (void)ZSTD_CCtx_setParameter(stream->packer, ZSTD_c_compressionLevel, LEVEL);
    (void)ZSTD_CCtx_setParameter(stream->packer, ZSTD_c_checksumFlag, 1);
    return OK;
}

enum err stream_out_open(const char *path, bool packed, bool replace, struct stream_out **out)
{
    struct stream_out *const stream = calloc(1, sizeof *stream);

    if (stream == NULL) return ERR_NO_MEMORY;
    stream->fd = STDOUT_FILENO;
    enum err err = path != NULL ? open_file(stream, path, replace) : OK;
    if (err == OK && packed) err = open_packer(stream);
    if (err == OK)
        *out = stream;
    else
        stream_out_close(stream);
    return err;
}

enum err stream_out_write(struct stream_out *stream, struct slice bytes)
{
    return stream->packer != NULL ? pack(stream, bytes, ZSTD_e_continue)
                                  : write_all(stream, bytes.ptr, bytes.len);
}

enum err stream_out_finish(struct stream_out *stream)
{
    if (stream->packer != NULL) TRY(pack(stream, (struct slice){0}, ZSTD_e_end));
    if (!stream->is_file) return OK;
    if (fsync(stream->fd) != 0 && errno != EINVAL) return err_from_errno(errno); /* a pipe, a device */
    return rename(stream->part, stream->path) == 0 ? OK : err_from_errno(errno);
}

uint64_t stream_out_stored(const struct stream_out *stream)
{
    return stream->stored;
}

void stream_out_close(struct stream_out *stream)
{
    if (stream->is_file && stream->fd >= 0) close(stream->fd);
    ZSTD_freeCCtx(stream->packer);
    free(stream->room);
    free(stream);
}

/* ---- in -------------------------------------------------------------------------------------------------- */

struct stream_in {
    int fd;
    bool is_file, ended; /* ended: of the stored bytes */
    enum err err;        /* of the last fill; told when there is nothing left before it */
    ZSTD_DCtx *unpacker; /* NULL: plain */
    bool inside;         /* a frame */
    uint64_t place;
    uint8_t *stored; /* PIECE_BYTES */
    size_t stored_len, stored_at;
    uint8_t *plain; /* PIECE_BYTES; unpacked */
    size_t plain_len, plain_at;
};

static enum err fill_stored(struct stream_in *stream)
{
    stream->stored_at = stream->stored_len = 0;
    while (stream->stored_len < PIECE_BYTES && !stream->ended) {
        const ssize_t count = read(stream->fd, stream->stored + stream->stored_len,
                                   PIECE_BYTES - stream->stored_len);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return err_from_errno(errno);
        stream->ended = count == 0;
        stream->stored_len += (size_t)count;
    }
    return OK;
}

static enum err unpack_some(struct stream_in *stream)
{
    ZSTD_outBuffer out = {.dst = stream->plain, .size = PIECE_BYTES};

    while (out.pos == 0) {
        if (stream->stored_at == stream->stored_len) TRY(fill_stored(stream));
        if (stream->stored_len == 0) return stream->inside ? ERR_CORRUPT : OK;
        ZSTD_inBuffer in = {.src = stream->stored, .size = stream->stored_len, .pos = stream->stored_at};
        const size_t left = ZSTD_decompressStream(stream->unpacker, &out, &in);
        if (ZSTD_isError(left)) return ERR_CORRUPT;
        stream->inside = left > 0;
        stream->stored_at = in.pos;
    }
    stream->plain_at = 0;
    stream->plain_len = out.pos;
    return OK;
}

/* What there is to read; empty: the end. */
static struct slice window(struct stream_in *stream)
{
    if (stream->unpacker == NULL) {
        if (stream->stored_at == stream->stored_len && stream->err == OK) stream->err = fill_stored(stream);
        return slice_of(stream->stored + stream->stored_at, stream->stored_len - stream->stored_at);
    }
    if (stream->plain_at == stream->plain_len) {
        stream->plain_at = stream->plain_len = 0;
        if (stream->err == OK) stream->err = unpack_some(stream);
    }
    return slice_of(stream->plain + stream->plain_at, stream->plain_len - stream->plain_at);
}

static enum err begin(struct stream_in *stream)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

    stream->stored = malloc(PIECE_BYTES);
    stream->plain = malloc(PIECE_BYTES);
    if (stream->stored == NULL || stream->plain == NULL) return ERR_NO_MEMORY;
    TRY(fill_stored(stream));
    if (stream->stored_len < sizeof magic || memcmp(stream->stored, magic, sizeof magic) != 0) return OK;
    stream->unpacker = ZSTD_createDCtx();
    if (stream->unpacker == NULL) return ERR_NO_MEMORY;
    (void)ZSTD_DCtx_setParameter(stream->unpacker, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return OK;
}

enum err stream_in_open(const char *path, struct stream_in **out)
{
    struct stream_in *const stream = calloc(1, sizeof *stream);

    if (stream == NULL) return ERR_NO_MEMORY;
    stream->is_file = strcmp(path, "-") != 0;
    stream->fd = stream->is_file ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    const enum err err = stream->fd < 0 ? err_from_errno(errno) : begin(stream);
    if (err == OK)
        *out = stream;
    else
        stream_in_close(stream);
    return err;
}

enum err stream_in_read(struct stream_in *stream, void *bytes, size_t len, size_t *count)
{
    uint8_t *to = bytes;

    *count = 0;
    while (*count < len) {
        const struct slice there = window(stream);
        if (there.len == 0) return stream->err;
        const size_t part = there.len < len - *count ? there.len : len - *count;
        memcpy(to + *count, there.ptr, part);
        *count += part;
        stream->place += part;
        if (stream->unpacker == NULL)
            stream->stored_at += part;
        else
            stream->plain_at += part;
    }
    return OK;
}

int stream_in_peek(struct stream_in *stream)
{
    const struct slice there = window(stream);

    return there.len > 0 ? there.ptr[0] : -1;
}

uint64_t stream_in_place(const struct stream_in *stream)
{
    return stream->place;
}

void stream_in_close(struct stream_in *stream)
{
    if (stream->is_file && stream->fd >= 0) close(stream->fd);
    ZSTD_freeDCtx(stream->unpacker);
    free(stream->stored);
    free(stream->plain);
    free(stream);
}
