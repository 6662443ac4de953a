#include "store/disk_note.h"

#include "io/gate.h"
#include "io/io.h"
#include "note_file.h"

#include <stddef.h>

/* OFFSET SIZE NAME MEANING */
struct row_record {
    uint32_t depth;            /*  0 4 */
    uint32_t piece_bytes;      /*  4 4 */
    uint64_t p25_ns;           /*  8 8 */
    uint64_t p50_ns;           /* 16 8 */
    uint64_t p90_ns;           /* 24 8 */
    uint64_t bytes_per_second; /* 32 8 */
};

/* OFFSET SIZE NAME MEANING */
struct note_record {
    char magic[8];                           /*   0   8 "SMDISK01" */
    uint64_t measured_ns;                    /*   8   8 */
    uint64_t device;                         /*  16   8 */
    uint32_t beside_max;                     /*  24   4 */
    uint32_t piece_bytes;                    /*  28   4 */
    uint32_t rows_count;                     /*  32   4 1 to 5 */
    uint32_t suffers;                        /*  36   4 0 or 1 */
    struct row_record rows[DISK_PROBE_ROWS]; /*  40 200 */
    uint8_t reserved[12];                    /* 240  12 */
    uint32_t crc;                            /* 252   4 CRC32C of the 252 bytes before */
};
static_assert(sizeof(struct row_record) == 40, "layout");
static_assert(sizeof(struct note_record) == 256, "layout");
static_assert(offsetof(struct note_record, rows) == 40, "layout");
static_assert(offsetof(struct note_record, crc) == 252, "layout");

static const struct note_file note_file = {"disk", "disk.tmp", "SMDISK01", sizeof(struct note_record)};

static bool is_sound(const struct note_record *record)
{
    return record->suffers <= 1 && record->rows_count >= 1 && record->rows_count <= DISK_PROBE_ROWS &&
           record->beside_max >= 1 && record->beside_max <= IO_GATE_FLYING_MAX &&
           record->piece_bytes >= IO_GATE_PIECE_MIN && record->piece_bytes <= IO_GATE_PIECE_MAX &&
           record->piece_bytes % IO_ALIGN == 0;
}

enum err disk_note_read(struct io *io, struct io_dir *dir, struct disk_note *out)
{
    struct note_record record;

    TRY(note_file_read(io, dir, &note_file, &record));
    if (!is_sound(&record)) return ERR_NOT_FOUND;
    *out = (struct disk_note){.measured_ns = record.measured_ns,
                              .device = record.device,
                              .probe = {.rows_count = record.rows_count,
                                        .beside_max = record.beside_max,
                                        .piece_bytes = record.piece_bytes,
                                        .suffers = record.suffers != 0}};
    for (uint32_t i = 0; i < record.rows_count; i++)
        out->probe.rows[i] = (struct disk_probe_row){record.rows[i].depth,  record.rows[i].piece_bytes,
                                                     record.rows[i].p25_ns, record.rows[i].p50_ns,
                                                     record.rows[i].p90_ns, record.rows[i].bytes_per_second};
    return OK;
}

static void record_make(struct note_record *record, const struct disk_note *note)
{
    const struct disk_probe *const probe = &note->probe;

    *record = (struct note_record){.measured_ns = note->measured_ns,
                                   .device = note->device,
                                   .beside_max = probe->beside_max,
                                   .piece_bytes = probe->piece_bytes,
                                   .rows_count = probe->rows_count,
                                   .suffers = probe->suffers};
    for (uint32_t i = 0; i < probe->rows_count; i++)
        record->rows[i] = (struct row_record){probe->rows[i].depth,  probe->rows[i].piece_bytes,
                                              probe->rows[i].p25_ns, probe->rows[i].p50_ns,
                                              probe->rows[i].p90_ns, probe->rows[i].bytes_per_second};
}

enum err disk_note_write(struct io *io, struct io_dir *dir, const struct disk_note *note)
{
    struct note_record record;

    record_make(&record, note);
    assert(is_sound(&record));
    return note_file_write(io, dir, &note_file, &record);
}
