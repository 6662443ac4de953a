/*
 * A small record in a file of its own, about the store and no part of it: lost or damaged, it is made again. Its first 8 bytes
 * are a magic, its last 4 the CRC32C of all before them. It is written anew as a whole: the .tmp, synced, renamed, the directory
 * synced; a crash leaves the old record or the new one, and perhaps a .tmp, which the next write removes.
 */
#ifndef STORE_NOTE_FILE_H
#define STORE_NOTE_FILE_H

#include "base/err.h"

#include <stddef.h>

struct io;
struct io_dir;

struct note_file {
    const char *name, *name_new;
    char magic[8];
    size_t bytes; /* of the record; at least 12 */
};

/* record: file->bytes of room. ERR_NOT_FOUND: there is none, or magic or checksum do not fit. Blocks. */
enum err note_file_read(struct io *io, struct io_dir *dir, const struct note_file *file, void *record);
/* Puts magic and checksum into the record, and keeps it. Durable when OK. Blocks. */
enum err note_file_write(struct io *io, struct io_dir *dir, const struct note_file *file, void *record);

#endif
