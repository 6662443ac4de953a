#include "note_file.h"

#include "base/crc32c.h"
#include "io/io.h"

#include <stdint.h>
#include <string.h>

static uint32_t crc_of(const struct note_file *note, const void *record)
{
    return crc32c(0, record, note->bytes - sizeof(uint32_t));
}

static uint8_t *crc_place(const struct note_file *note, void *record)
{
    return (uint8_t *)record + note->bytes - sizeof(uint32_t);
}

enum err note_file_read(struct io *io, struct io_dir *dir, const struct note_file *note, void *record)
{
    struct io_file *file;
    size_t count = 0;
    uint32_t crc;

    TRY(io_file_open(io, dir, note->name, 0, &file));
    const enum err err = io_read_now(io, file, record, note->bytes, 0, &count);
    io_file_close(io, file);
    if (err != OK || count != note->bytes) return ERR_NOT_FOUND;
    memcpy(&crc, crc_place(note, record), sizeof crc);
    const bool sound = memcmp(record, note->magic, sizeof note->magic) == 0 && crc == crc_of(note, record);
    return sound ? OK : ERR_NOT_FOUND;
}

static enum err write_new(struct io *io, struct io_dir *dir, const struct note_file *note, const void *record)
{
    struct io_file *file;

    TRY(io_file_open(io, dir, note->name_new, IO_CREATE | IO_WRITABLE, &file));
    enum err err = io_write_now(io, file, record, note->bytes, 0);
    if (err == OK) err = io_datasync_now(io, file);
    io_file_close(io, file);
    return err;
}

enum err note_file_write(struct io *io, struct io_dir *dir, const struct note_file *note, void *record)
{
    memcpy(record, note->magic, sizeof note->magic);
    const uint32_t crc = crc_of(note, record);
    memcpy(crc_place(note, record), &crc, sizeof crc);
    const enum err gone = io_unlink(io, dir, note->name_new); /* of a crash */
    if (gone != OK && gone != ERR_NOT_FOUND) return gone;
    TRY(write_new(io, dir, note, record));
    TRY(io_rename(io, dir, note->name_new, note->name));
    return io_dir_sync(io, dir);
}
