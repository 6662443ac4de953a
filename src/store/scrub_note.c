/*
 * The note is written anew as a whole: "scrub.tmp", synced, renamed, directory synced. It may be lost at any time: then a
 * pass begins at its beginning.
 */
#include "scrub_note.h"

#include "base/crc32c.h"
#include "io/io.h"

#include <stddef.h>
#include <string.h>

#define NOTE_MAGIC    "SMSCRUB1"
#define FILE_NAME     "scrub"
#define FILE_NAME_NEW "scrub.tmp"

/* OFFSET SIZE NAME MEANING */
struct note_record {
    char magic[8];        /*  0 8 "SMSCRUB1" */
    uint64_t began_ns;    /*  8 8 */
    uint64_t ended_ns;    /* 16 8 */
    uint64_t created_ns;  /* 24 8 of the segment that is being read */
    uint64_t seq;         /* 32 8 */
    uint32_t unit;        /* 40 4 */
    uint16_t shard;       /* 44 2 */
    uint8_t running;      /* 46 1 0 or 1 */
    uint8_t reserved[13]; /* 47 13 */
    uint32_t crc;         /* 60 4 CRC32C of the 60 bytes before */
};
static_assert(sizeof(struct note_record) == 64, "layout");
static_assert(offsetof(struct note_record, unit) == 40, "layout");
static_assert(offsetof(struct note_record, crc) == 60, "layout");

static bool is_sound(const struct note_record *record)
{
    return memcmp(record->magic, NOTE_MAGIC, sizeof record->magic) == 0 &&
           record->crc == crc32c(0, record, offsetof(struct note_record, crc)) && record->running <= 1;
}

enum err scrub_note_read(struct io *io, struct io_dir *dir, struct scrub_note *out)
{
    struct note_record record = {.running = 0};
    struct io_file *file;
    size_t count = 0;

    TRY(io_file_open(io, dir, FILE_NAME, 0, &file));
    const enum err err = io_read_now(io, file, &record, sizeof record, 0, &count);
    io_file_close(io, file);
    if (err != OK || count != sizeof record || !is_sound(&record)) return ERR_NOT_FOUND;
    *out = (struct scrub_note){
        .began_ns = record.began_ns,
        .ended_ns = record.ended_ns,
        .place = {record.created_ns, record.seq, record.unit, record.shard},
        .running = record.running,
    };
    return OK;
}

static enum err write_record(struct io *io, struct io_file *file, const struct note_record *record)
{
    TRY(io_write_now(io, file, record, sizeof *record, 0));
    return io_datasync_now(io, file);
}

enum err scrub_note_write(struct io *io, struct io_dir *dir, const struct scrub_note *note)
{
    struct note_record record = {
        .began_ns = note->began_ns,
        .ended_ns = note->ended_ns,
        .created_ns = note->place.created_ns,
        .seq = note->place.seq,
        .unit = note->place.unit,
        .shard = note->place.shard,
        .running = note->running,
    };
    struct io_file *file;

    memcpy(record.magic, NOTE_MAGIC, sizeof record.magic);
    record.crc = crc32c(0, &record, offsetof(struct note_record, crc));
    const enum err gone = io_unlink(io, dir, FILE_NAME_NEW); /* of a crash */
    if (gone != OK && gone != ERR_NOT_FOUND) return gone;
    TRY(io_file_open(io, dir, FILE_NAME_NEW, IO_CREATE | IO_WRITABLE, &file));
    const enum err err = write_record(io, file, &record);
    io_file_close(io, file);
    TRY(err);
    TRY(io_rename(io, dir, FILE_NAME_NEW, FILE_NAME));
    return io_dir_sync(io, dir);
}
