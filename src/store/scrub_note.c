#include "scrub_note.h"

#include "note_file.h"

#include <stddef.h>

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

static const struct note_file note_file = {"scrub", "scrub.tmp", "SMSCRUB1", sizeof(struct note_record)};

enum err scrub_note_read(struct io *io, struct io_dir *dir, struct scrub_note *out)
{
    struct note_record record;

    TRY(note_file_read(io, dir, &note_file, &record));
    if (record.running > 1) return ERR_NOT_FOUND;
    *out = (struct scrub_note){
        .began_ns = record.began_ns,
        .ended_ns = record.ended_ns,
        .place = {record.created_ns, record.seq, record.unit, record.shard},
        .running = record.running,
    };
    return OK;
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

    return note_file_write(io, dir, &note_file, &record);
}
