/*
 * A unit is read once, in pieces, with a pause behind each. A block is gathered whole, and then looked at in memory; what
 * is around the blocks is small but for the rows of filters, which are looked at as they come.
 *
 * What makes a block unfit to be served (its header, its section table, a section) is told apart from what does not: bytes
 * between its sections that were zero. Around the blocks nothing is needed to serve them: the directory stands in memory,
 * a bad row of filters excludes nothing. It is told all the same, for the next start will need it.
 */
#include "scrub_check.h"

#include "base/crc32c.h"
#include "base/seeded_bug.h"
#include "block_reader.h"
#include "look_gaps.h"

#include <stdlib.h>
#include <string.h>

enum err scrub_check_open(struct catalog *catalog, struct io *io, const struct segment *segment,
                          const struct scrub_config *config, struct scrub_check *out)
{
    *out = (struct scrub_check){.io = io, .segment = segment, .config = config};
    return segment_file_open(io, catalog->dir, segment->file->name, IO_DIRECT, &out->file);
}

void scrub_check_close(struct scrub_check *check)
{
    io_file_close(check->io, check->file->file);
    free(check->file);
}

/* ---- faults ------------------------------------------------------------------------------------------ */

static void note(void *context, const struct look_fault *fault)
{
    struct scrub_faults *const faults = context;

    if (faults->count++ == 0) faults->first = *fault;
}

static void note_at(struct scrub_faults *faults, const char *what, uint64_t offset)
{
    look_tell(note, faults, what, offset);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* In pieces. ERR_IO, ERR_CORRUPT (the file ends before): it could not be read. */
static enum err read_slowly(struct scrub_check *check, uint64_t offset, uint8_t *to, uint64_t len)
{
    while (len > 0) {
        const size_t part = len < SCRUB_PIECE_BYTES ? (size_t)len : SCRUB_PIECE_BYTES;
        TRY(segment_file_read(check->file, check->io, offset, to, part));
        check->bytes += part;
        check->stopped = check->stopped || !check->config->pause(check->config->context, part);
        if (check->stopped) return ERR_CLOSING;
        to += part;
        offset += part;
        len -= part;
    }
    return OK;
}

static bool is_unreadable(enum err err)
{
    return err == ERR_IO || err == ERR_CORRUPT;
}

static uint8_t *room_for(uint64_t len)
{
    return aligned_alloc(IO_ALIGN, (len + IO_ALIGN) / IO_ALIGN * IO_ALIGN);
}

/* ---- a block ----------------------------------------------------------------------------------------- */

static enum err read_memory(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct slice *const bytes = context;

    if (offset > bytes->len || len > bytes->len - offset) return ERR_CORRUPT;
    memcpy(buf, bytes->ptr + offset, len);
    return OK;
}

static void look_at_sections(const struct block_reader *reader, struct slice bytes,
                             struct scrub_faults *faults)
{
    for (uint32_t i = 0; i < reader->header.sections; i++) {
        const struct block_section *const section = &reader->sections[i];
        if (SEEDED_BUG(SCRUB_SKIPS_SECTIONS)) break;
        if (crc32c(0, bytes.ptr + section->offset, section->stored) == section->crc) continue;
        note(faults, &(struct look_fault){.what = "a section fails its checksum",
                                          .offset = section->offset,
                                          .section = i,
                                          .page = LOOK_NONE,
                                          .column = LOOK_NONE});
    }
}

/* Offsets are in the block. */
static enum err look_at_block(const struct catalog_block *entry, struct slice bytes,
                              struct scrub_faults *faults)
{
    const struct block_source source = {.read = read_memory, .context = &bytes};
    struct block_reader *reader;

    const enum err err = block_look_open(&source, &reader);
    if (err == ERR_CORRUPT) note_at(faults, "the header or the section table fails its checksum", 0);
    if (err != OK) return err == ERR_CORRUPT ? OK : err;
    if (reader->header.header_crc != entry->summary.header_crc ||
        reader->header.bytes != entry->summary.bytes) {
        note_at(faults, "another block stands here than the directory says", 0);
    } else {
        look_at_sections(reader, bytes, faults);
    }
    faults->lost = faults->count > 0;
    const enum err gaps = faults->lost ? OK : look_block_gaps(reader, note, faults);
    block_close(reader);
    return gaps;
}

static enum err check_block(struct scrub_check *check, const struct catalog_block *entry,
                            struct scrub_faults *faults)
{
    const uint64_t len = entry->summary.bytes;
    uint8_t *const room = room_for(len);

    if (room == NULL) return ERR_NO_MEMORY;
    enum err err = read_slowly(check, entry->offset, room, len);
    if (err == OK) {
        err = look_at_block(entry, slice_of(room, len), faults);
    } else if (is_unreadable(err)) {
        note_at(faults, "a block cannot be read", 0);
        faults->lost = true;
        err = OK;
    }
    free(room);
    if (faults->count > 0) faults->first.offset += entry->offset;
    return err;
}

/* ---- around the blocks ------------------------------------------------------------------------------- */

static enum err check_header(struct scrub_check *check, struct scrub_faults *faults)
{
    struct segment_header *const header = (struct segment_header *)(void *)room_for(
        sizeof(struct segment_header));
    struct segment_identity identity;

    if (header == NULL) return ERR_NO_MEMORY;
    enum err err = read_slowly(check, 0, (uint8_t *)header, sizeof *header);
    if (err == OK) err = segment_header_check(header, &identity);
    if (is_unreadable(err)) {
        note_at(faults, "the segment's header fails its checksum", 0);
        err = OK;
    }
    free(header);
    return err;
}

static enum err check_directory(struct scrub_check *check, const struct segment_trailer *trailer,
                                struct scrub_faults *faults)
{
    uint8_t *const bytes = room_for(trailer->directory_length);

    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = read_slowly(check, trailer->directory_offset, bytes, trailer->directory_length);
    if (err == OK) err = segment_directory_check(bytes, trailer);
    if (is_unreadable(err)) {
        note_at(faults, "the directory fails its checksum", trailer->directory_offset);
        err = OK;
    }
    free(bytes);
    return err;
}

static void look_at_rows(const struct segment_rows *rows, enum filter_kind kind, uint32_t first,
                         uint32_t count, const uint8_t *bytes, struct scrub_faults *faults)
{
    const size_t row_bytes = segment_row_bytes(rows->blocks), len = row_bytes - sizeof(uint32_t);

    for (uint32_t i = 0; i < count; i++, bytes += row_bytes) {
        uint32_t crc;
        memcpy(&crc, bytes + len, sizeof crc);
        if (crc != segment_row_crc(kind, first + i, bytes, len))
            note_at(faults, "a filter row fails its checksum",
                    rows->offset[kind] + (first + i) * (uint64_t)row_bytes);
    }
}

static enum err check_rows(struct scrub_check *check, enum filter_kind kind, struct scrub_faults *faults)
{
    const struct segment_rows *const rows = check->segment->rows;
    const size_t row_bytes = segment_row_bytes(rows->blocks);
    const uint32_t piece_rows = (uint32_t)(SCRUB_PIECE_BYTES / row_bytes);
    uint8_t *const bytes = room_for(SCRUB_PIECE_BYTES);
    enum err err = bytes == NULL ? ERR_NO_MEMORY : OK;

    for (uint32_t row = 0; row < rows->cells[kind] && err == OK; row += piece_rows) {
        const uint32_t left = rows->cells[kind] - row, count = left < piece_rows ? left : piece_rows;
        const uint64_t offset = rows->offset[kind] + row * (uint64_t)row_bytes;
        err = read_slowly(check, offset, bytes, count * row_bytes);
        if (err == OK) look_at_rows(rows, kind, row, count, bytes, faults);
        if (!is_unreadable(err)) continue;
        note_at(faults, "filter rows cannot be read", offset);
        err = OK;
    }
    free(bytes);
    return err;
}

static enum err check_ledger(struct scrub_check *check, struct scrub_faults *faults)
{
    const struct segment_ledger_at *const at = &check->segment->ledger;
    uint8_t *const bytes = room_for(at->bytes);

    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = read_slowly(check, at->offset, bytes, at->bytes);
    if (err == OK && crc32c(0, bytes, at->bytes) != at->crc) err = ERR_CORRUPT;
    if (is_unreadable(err)) {
        note_at(faults, "the ledger fails its checksum", at->offset);
        err = OK;
    }
    free(bytes);
    return err;
}

static enum err read_around(void *context, uint64_t offset, void *buf, size_t len)
{
    return read_slowly(context, offset, buf, len);
}

static enum err check_gaps(struct scrub_check *check, const struct segment_trailer *trailer,
                           struct scrub_faults *faults)
{
    const struct segment *const segment = check->segment;
    const struct block_source source = {.read = read_around, .context = check};
    struct extent extents[SEGMENT_BLOCKS_MAX + 6];
    uint32_t count = 0;

    extents[count++] = (struct extent){0, sizeof(struct segment_header)};
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        extents[count++] = (struct extent){segment->blocks[i].offset, segment->blocks[i].summary.bytes};
    if (segment->ledger.bytes > 0)
        extents[count++] = (struct extent){segment->ledger.offset, segment->ledger.bytes};
    extents[count++] = (struct extent){trailer->directory_offset, trailer->directory_length};
    for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++)
        extents[count++] = (struct extent){segment->rows->offset[kind],
                                           segment->rows->cells[kind] *
                                               (uint64_t)segment_row_bytes(segment->rows->blocks)};
    extents[count++] = (struct extent){trailer->file_length - sizeof *trailer, sizeof *trailer};
    const enum err err = look_gaps(&source, extents, count, trailer->file_length, note, faults);
    return err == ERR_IO ? OK : err;
}

static enum err check_trailer(struct scrub_check *check, struct segment_trailer *trailer,
                              struct scrub_faults *faults)
{
    uint64_t file_bytes;

    enum err err = io_file_size(check->io, check->file->file, &file_bytes);
    if (err == OK && file_bytes < SEGMENT_ALIGN + sizeof *trailer) err = ERR_CORRUPT;
    const uint64_t offset = err == OK ? file_bytes - sizeof *trailer : 0;
    if (err == OK) err = read_slowly(check, offset, (uint8_t *)trailer, sizeof *trailer);
    if (err == OK) err = segment_trailer_check(trailer, file_bytes);
    if (is_unreadable(err)) note_at(faults, "the trailer fails its checksum", offset);
    return err;
}

/* Blocks that are not used, for they stand in another file too, lie between what is known here: their bytes are no gap. */
static bool knows_all_blocks(const struct segment *segment)
{
    return segment->blocks_count == segment->rows->blocks;
}

static enum err check_around(struct scrub_check *check, struct scrub_faults *faults)
{
    struct segment_trailer trailer;

    TRY(check_header(check, faults));
    TRY(check_rows(check, FILTER_TRACE, faults));
    TRY(check_rows(check, FILTER_TOKEN, faults));
    TRY(check_ledger(check, faults));
    const enum err err = check_trailer(check, &trailer, faults);
    if (err != OK) return is_unreadable(err) ? OK : err;
    TRY(check_directory(check, &trailer, faults));
    return knows_all_blocks(check->segment) ? check_gaps(check, &trailer, faults) : OK;
}

/* ---- a unit ------------------------------------------------------------------------------------------ */

enum err scrub_check_unit(struct scrub_check *check, uint32_t unit, struct scrub_faults *faults)
{
    const struct segment *const segment = check->segment;

    *faults = (struct scrub_faults){.count = 0};
    const enum err err = unit < segment->blocks_count ? check_block(check, &segment->blocks[unit], faults)
                                                      : check_around(check, faults);
    return check->stopped ? ERR_CLOSING : err; /* what was cut short would look like a fault */
}
