/*
 * One open handle of a segment file, and its reads and writes. A file is in one of two phases, never both: it
 * is written with direct I/O, and then read with direct I/O too, through an aligned bounce buffer; or it is
 * closed for ever and read through the page cache. (A buffered reader at the tail of a file that direct
 * writes extend caches pages of zeros, and can push the writer back to buffered mode.)
 */
#include "catalog_private.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_TRIES = 1000 };

enum err segment_file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                           struct segment_file **out)
{
    struct segment_file *const file = calloc(1, sizeof *file);

    if (file == NULL) return ERR_NO_MEMORY;
    assert(strlen(name) < sizeof file->name);
    const enum err err = io_file_open(io, dir, name, flags, &file->file);
    if (err != OK) {
        free(file);
        return err;
    }
    file->refs = 1;
    file->direct = (flags & IO_DIRECT) != 0;
    memcpy(file->name, name, strlen(name) + 1);
    *out = file;
    return OK;
}

static enum err read_whole(const struct segment_file *file, struct io *io, uint64_t offset, void *buf,
                           size_t len)
{
    size_t count = 0;

    TRY(io_read_now(io, file->file, buf, len, offset, &count));
    return count == len ? OK : ERR_CORRUPT;
}

static bool is_aligned(uint64_t offset, const void *buf, size_t len)
{
    return ((offset | (uintptr_t)buf | len) & (IO_ALIGN - 1)) == 0;
}

/* The page-aligned surroundings of the bytes, piece by piece. */
static enum err read_bounced(const struct segment_file *file, struct io *io, uint64_t offset, uint8_t *buf,
                             size_t len, uint8_t *bounce, size_t bounce_bytes)
{
    while (len > 0) {
        const size_t skip = offset % IO_ALIGN;
        const size_t part = len < bounce_bytes - skip ? len : bounce_bytes - skip;
        const size_t pages = (skip + part + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
        size_t count = 0;

        TRY(io_read_now(io, file->file, bounce, pages, offset - skip, &count));
        if (count < skip + part) return ERR_CORRUPT;
        memcpy(buf, bounce + skip, part);
        buf += part;
        offset += part;
        len -= part;
    }
    return OK;
}

enum err segment_file_read(const struct segment_file *file, struct io *io, uint64_t offset, void *buf,
                           size_t len)
{
    if (!file->direct || is_aligned(offset, buf, len)) return read_whole(file, io, offset, buf, len);

    const size_t around = (offset % IO_ALIGN + len + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
    const size_t bounce_bytes = around < SEGMENT_PIECE_BYTES ? around : SEGMENT_PIECE_BYTES;
    uint8_t *const bounce = aligned_alloc(IO_ALIGN, bounce_bytes > 0 ? bounce_bytes : IO_ALIGN);
    if (bounce == NULL) return ERR_NO_MEMORY;
    const enum err err = read_bounced(file, io, offset, buf, len, bounce, bounce_bytes);
    free(bounce);
    return err;
}

enum err segment_file_write(const struct segment_file *file, struct io *io, uint64_t offset,
                            const uint8_t *bytes, size_t len)
{
    assert(is_aligned(offset, bytes, len));

    while (len > 0) {
        const size_t part = len < SEGMENT_PIECE_BYTES ? len : SEGMENT_PIECE_BYTES;
        TRY(io_write_now(io, file->file, bytes, part, offset));
        bytes += part;
        offset += part;
        len -= part;
    }
    return OK;
}

enum err segment_file_copy(struct io *io, const struct segment_file *from, uint64_t offset,
                           const struct segment_file *to, uint64_t to_offset, uint64_t bytes)
{
    uint8_t *const piece = aligned_alloc(IO_ALIGN, SEGMENT_PIECE_BYTES);
    enum err err = piece == NULL ? ERR_NO_MEMORY : OK;

    for (uint64_t done = 0; done < bytes && err == OK; done += SEGMENT_PIECE_BYTES) {
        const uint64_t left = bytes - done;
        const size_t part = left < SEGMENT_PIECE_BYTES ? (size_t)left : SEGMENT_PIECE_BYTES;
        err = segment_file_read(from, io, offset + done, piece, part);
        if (err == OK) err = segment_file_write(to, io, to_offset + done, piece, part);
    }
    free(piece);
    return err;
}

/* ---- a new file -------------------------------------------------------------------------------------- */

void segment_name(const struct segment_identity *identity, const char *suffix, char out[SEGMENT_NAME_BYTES])
{
    snprintf(out, SEGMENT_NAME_BYTES, "%04u-%012" PRIu64 ".%s", identity->shard, identity->seq, suffix);
}

/* Names in use are stepped over. */
static enum err make_file(struct catalog *catalog, struct io *io, const char *suffix,
                          struct segment_identity *identity, struct segment_file **out)
{
    struct catalog_shard *const shard = &catalog->shards[identity->shard];
    enum err err = ERR_EXISTS;

    for (unsigned i = 0; i < NAME_TRIES && err == ERR_EXISTS; i++) {
        char name[SEGMENT_NAME_BYTES];
        identity->seq = shard->next_segment++;
        segment_name(identity, suffix, name);
        err = segment_file_open(io, catalog->dir, name, IO_CREATE | IO_WRITABLE | IO_DIRECT, out);
    }
    return err;
}

static enum err write_header(struct io *io, const struct segment_file *file,
                             const struct segment_identity *identity)
{
    struct segment_header *const header = aligned_alloc(IO_ALIGN, sizeof *header);

    if (header == NULL) return ERR_NO_MEMORY;
    segment_header_make(header, identity);
    const enum err err = segment_file_write(file, io, 0, (const uint8_t *)header, sizeof *header);
    free(header);
    return err;
}

enum err segment_file_discard(struct catalog *catalog, struct io *io, struct segment_file *file)
{
    char name[SEGMENT_NAME_BYTES];

    memcpy(name, file->name, sizeof name);
    pthread_mutex_lock(&catalog->mutex);
    segment_file_drop(catalog, file);
    pthread_mutex_unlock(&catalog->mutex);
    catalog_close_files(catalog, io);
    const enum err err = io_unlink(io, catalog->dir, name);
    if (err != OK) log_warn("store", "could not remove an empty segment", "file=%s", name);
    return err;
}

enum err segment_file_create(struct catalog *catalog, struct io *io, const char *suffix,
                             struct segment_identity *identity, struct segment_file **out)
{
    struct segment_file *file;

    assert(identity->shard <= CATALOG_MERGED);
    identity->instance = catalog->config.instance;
    identity->created_ns = io_wall_ns(io);
    TRY(make_file(catalog, io, suffix, identity, &file));
    const enum err err = write_header(io, file, identity);
    if (err != OK) {
        (void)segment_file_discard(catalog, io, file);
        return err;
    }
    *out = file;
    return OK;
}
