/*
 * Never written in place: NAME.tmp with everything, synced, renamed, the directory synced. A crash before the rename is
 * durable leaves the old list, and perhaps a NAME.tmp, which nobody reads.
 */
#include "list_file.h"

#include "base/crc32c.h"
#include "base/seeded_bug.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct list_kind list_pins = {"pins", "pins.tmp", "SMPINS01"};
const struct list_kind list_erasures = {"erasures", "erasures.tmp", "SMERASE1"};

enum { MAJOR = 1, MINOR = 0, MIN_READER = 1 };

static_assert(sizeof(struct list_header) == 64 && offsetof(struct list_header, crc) == 60, "layout");

/* ---- records ------------------------------------------------------------------------------------------ */

uint8_t *list_body_add(struct list_body *body, size_t len)
{
    assert(len % 8 == 0 && len <= LIST_RECORD_BYTES_MAX);

    if (body->len + len > body->capacity) {
        const size_t capacity = body->capacity * 2 + LIST_RECORD_BYTES_MAX;
        uint8_t *const grown = realloc(body->bytes, capacity);
        if (grown == NULL) return NULL;
        body->bytes = grown;
        body->capacity = capacity;
    }
    uint8_t *const record = body->bytes + body->len;
    memset(record, 0, len);
    body->len += len;
    return record;
}

void list_body_free(struct list_body *body)
{
    free(body->bytes);
    *body = (struct list_body){.bytes = NULL};
}

static uint32_t crc_of(const struct list_header *header, struct slice body)
{
    struct list_header copy = *header;

    copy.crc = 0;
    return crc32c(crc32c(0, &copy, sizeof copy), body.ptr, body.len);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static enum err read_exactly(struct io *io, struct io_file *file, void *to, size_t len, uint64_t offset)
{
    size_t count = 0;

    TRY(io_read_now(io, file, to, len, offset, &count));
    return count == len ? OK : ERR_CORRUPT;
}

static enum err judge(const struct list_header *header, const struct list_kind *kind, uint64_t file_bytes,
                      uint64_t instance)
{
    if (memcmp(header->magic, kind->magic, sizeof header->magic) != 0) return ERR_CORRUPT;
    if (header->bytes != file_bytes || header->reserved != 0 || header->reserved2 != 0 ||
        header->reserved3 != 0)
        return ERR_CORRUPT;
    return header->instance == instance ? OK : ERR_CORRUPT;
}

enum err list_file_check(struct io *io, struct io_file *file, const struct list_kind *kind, uint64_t instance,
                         struct list_header *header, struct list_body *body)
{
    uint64_t bytes;

    TRY(io_file_size(io, file, &bytes));
    if (bytes < sizeof *header || bytes > LIST_FILE_BYTES_MAX) return ERR_CORRUPT;
    TRY(read_exactly(io, file, header, sizeof *header, 0));
    TRY(judge(header, kind, bytes, instance));
    body->len = body->capacity = (size_t)bytes - sizeof *header;
    body->bytes = malloc(body->len + 1);
    if (body->bytes == NULL) return ERR_NO_MEMORY;
    if (body->len > 0) TRY(read_exactly(io, file, body->bytes, body->len, sizeof *header));
    if (header->crc != crc_of(header, slice_of(body->bytes, body->len))) return ERR_CORRUPT;
    return header->min_reader > MAJOR ? ERR_VERSION : OK;
}

enum err list_file_read(struct io *io, struct io_dir *dir, const struct list_kind *kind, uint64_t instance,
                        struct list_header *header, struct list_body *body)
{
    struct io_file *file;

    *body = (struct list_body){.bytes = NULL};
    *header = (struct list_header){.next_id = 1};
    const enum err unlinked = io_unlink(io, dir, kind->name_new);
    if (unlinked != OK && unlinked != ERR_NOT_FOUND) return unlinked;
    enum err err = io_file_open(io, dir, kind->name, IO_WRITABLE, &file);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    err = io_datasync_now(io, file); /* what is believed must be durable */
    if (err == OK) err = list_file_check(io, file, kind, instance, header, body);
    io_file_close(io, file);
    if (err == OK) err = io_dir_sync(io, dir); /* and so must its name */
    if (err != OK) list_body_free(body);
    return err;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static enum err write_file(struct io *io, struct io_dir *dir, const struct list_kind *kind,
                           const struct list_header *header, const struct list_body *body)
{
    struct io_file *file;

    TRY(io_file_open(io, dir, kind->name_new, IO_CREATE | IO_WRITABLE, &file));
    enum err err = io_write_now(io, file, header, sizeof *header, 0);
    if (err == OK && body->len > 0) err = io_write_now(io, file, body->bytes, body->len, sizeof *header);
    if (err == OK && !SEEDED_BUG(NO_LIST_SYNC)) err = io_datasync_now(io, file);
    io_file_close(io, file);
    return err;
}

enum err list_file_write(struct io *io, struct io_dir *dir, const struct list_kind *kind, uint64_t instance,
                         const struct list_header *header, const struct list_body *body)
{
    struct list_header whole = {.major = MAJOR,
                                .minor = MINOR,
                                .min_reader = MIN_READER,
                                .instance = instance,
                                .next_id = header->next_id,
                                .count = header->count,
                                .bytes = sizeof whole + body->len,
                                .written_ns = io_wall_ns(io)};

    if (whole.bytes > LIST_FILE_BYTES_MAX) return ERR_FULL;
    memcpy(whole.magic, kind->magic, sizeof whole.magic);
    whole.crc = crc_of(&whole, slice_of(body->bytes, body->len));
    const enum err unlinked = io_unlink(io, dir, kind->name_new); /* of a write that failed */
    if (unlinked != OK && unlinked != ERR_NOT_FOUND) return unlinked;
    TRY(write_file(io, dir, kind, &whole, body));
    TRY(io_rename(io, dir, kind->name_new, kind->name));
    return SEEDED_BUG(NO_LIST_DIR_SYNC) ? OK : io_dir_sync(io, dir);
}
