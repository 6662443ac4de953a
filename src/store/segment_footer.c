/*
 * The end of a segment: directory, interleaved filter rows, trailer (segment_format.h), written in one pass
 * through an aligned staging buffer. All sizes are known beforehand, so the directory, which comes first,
 * names the offsets of the rows behind it.
 *
 * Every block brings filters of its own size. The segment's row count of a kind is the smallest power of two
 * at which no block falls below FILTER_*_BITS_KEEP bits per key; larger filters are folded, smaller ones
 * replicated, both exact (filter_cell_at()). A block without a filter gets cells of ones: it is never
 * excluded.
 *
 * The trailer is the last thing in the file and the cut behind it comes before the sync. A crash anywhere
 * leaves a file without a sound trailer at its end, which recovery takes as not closed and walks: the blocks
 * lie before all of this and are not touched. So a footer may be written over another one, and is, once,
 * when the filters that a recovery left out have been built (segment_filters.c).
 */
#include "catalog_private.h"

#include "base/seeded_bug.h"
#include "base/crc32c.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- staging: bytes to aligned writes; the first error sticks ---------------------------------------- */

struct staging {
    struct io *io;
    const struct segment_file *file;
    uint64_t offset; /* of the buffer's first byte in the file */
    uint8_t *buffer; /* SEGMENT_PIECE_BYTES, aligned */
    size_t fill;
    enum err err;
};

static void staging_flush(struct staging *staging)
{
    if (staging->err == OK && staging->fill > 0)
        staging->err = segment_file_write(staging->file, staging->io, staging->offset, staging->buffer,
                                          staging->fill);
    staging->offset += staging->fill;
    staging->fill = 0;
}

static void staging_put(struct staging *staging, const void *bytes, size_t len)
{
    const uint8_t *from = bytes;

    while (len > 0) {
        const size_t room = SEGMENT_PIECE_BYTES - staging->fill;
        const size_t part = len < room ? len : room;
        memcpy(staging->buffer + staging->fill, from, part);
        staging->fill += part;
        from += part;
        len -= part;
        if (staging->fill == SEGMENT_PIECE_BYTES) staging_flush(staging);
    }
}

/* Zeros until `before` bytes are left to the next multiple of 4096. */
static void staging_pad(struct staging *staging, size_t before)
{
    static const uint8_t zeros[SEGMENT_ALIGN];
    const size_t at = (staging->offset + staging->fill + before) % SEGMENT_ALIGN;

    if (at != 0) staging_put(staging, zeros, SEGMENT_ALIGN - at);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static uint32_t cells_for_all(const struct segment *segment, enum filter_kind kind, unsigned bits_keep)
{
    uint32_t cells = 0;

    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        const struct block_filters *const filters = segment->filters[i];
        if (filters == NULL || filters->kind[kind].cells == 0) continue;
        const uint32_t own = filter_cells_for(filters->keys[kind], bits_keep, SEGMENT_FILTER_CELLS_MAX);
        if (own > cells) cells = own;
    }
    return cells;
}

static void row_make(const struct segment *segment, enum filter_kind kind, uint32_t cells, uint32_t row,
                     uint8_t *out)
{
    static const struct filter none = {.cells = 0};

    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        const struct block_filters *const filters = segment->filters[i];
        filter_cell_at(filters == NULL ? &none : &filters->kind[kind], cells, row,
                       out + (size_t)i * FILTER_CELL_BYTES);
    }
}

static void put_rows(struct staging *staging, const struct segment *segment, enum filter_kind kind,
                     const struct segment_rows *rows)
{
    uint8_t cells[SEGMENT_BLOCKS_MAX * FILTER_CELL_BYTES];
    const size_t len = (size_t)segment->blocks_count * FILTER_CELL_BYTES;

    for (uint32_t row = 0; row < rows->cells[kind]; row++) {
        row_make(segment, kind, rows->cells[kind], row, cells);
        const uint32_t crc = segment_row_crc(kind, row, cells, len);
        if (rows->resident[kind] != NULL) memcpy(rows->resident[kind] + row * len, cells, len);
        staging_put(staging, cells, len);
        staging_put(staging, &crc, sizeof crc);
    }
}

static struct segment_rows *rows_make(const struct segment *segment, uint64_t rows_offset, bool keep)
{
    struct segment_rows *const rows = calloc(1, sizeof *rows);

    if (rows == NULL) return NULL;
    rows->refs = 1;
    rows->blocks = segment->blocks_count;
    rows->cells[FILTER_TRACE] = cells_for_all(segment, FILTER_TRACE, FILTER_TRACE_BITS_KEEP);
    rows->cells[FILTER_TOKEN] = cells_for_all(segment, FILTER_TOKEN, FILTER_TOKEN_BITS_KEEP);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        rows->offset[kind] = rows_offset;
        rows_offset += rows->cells[kind] * (uint64_t)segment_row_bytes(rows->blocks);
    }
    if (keep && rows->cells[FILTER_TRACE] > 0) {
        const size_t bytes = (size_t)rows->cells[FILTER_TRACE] * rows->blocks * FILTER_CELL_BYTES;
        rows->resident[FILTER_TRACE] = malloc(bytes); /* without it rows are read from the file */
        if (rows->resident[FILTER_TRACE] != NULL) rows->resident_bytes = bytes;
    }
    return rows;
}

/* ---- directory and trailer --------------------------------------------------------------------------- */

static size_t directory_bytes(const struct segment *segment)
{
    return sizeof(struct segment_directory) + segment->blocks_count * sizeof(struct segment_entry) +
           segment_lineage_bytes(segment->lineage);
}

static void directory_make(const struct segment *segment, const struct segment_rows *rows, uint64_t closed_ns,
                           uint8_t *out)
{
    struct segment_directory directory = {
        .major = SEGMENT_MAJOR,
        .minor = SEGMENT_MINOR,
        .min_reader = SEGMENT_MIN_READER,
        .shard = segment->identity.shard,
        .instance = segment->identity.instance,
        .seq = segment->identity.seq,
        .created_ns = segment->identity.created_ns,
        .closed_ns = closed_ns,
        .blocks = segment->blocks_count,
        .cells = {rows->cells[FILTER_TRACE], rows->cells[FILTER_TOKEN]},
        .rows_offset = {rows->offset[FILTER_TRACE], rows->offset[FILTER_TOKEN]},
        .level = segment->level,
        .replaces = segment->lineage == NULL ? 0 : segment->lineage->replaces_count,
        .positions = segment->lineage == NULL ? 0 : segment->lineage->positions_count,
        .ledger_offset = segment->ledger.offset,
        .ledger_bytes = segment->ledger.bytes,
        .ledger_crc = segment->ledger.crc,
        .minute_first = segment->ledger.minute_first,
        .minute_last = segment->ledger.minute_last,
    };

    memcpy(directory.magic, SEGMENT_MAGIC_FOOTER, sizeof directory.magic);
    memcpy(out, &directory, sizeof directory);
    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        struct segment_entry entry;
        segment_entry_make(&entry, &segment->blocks[i]);
        memcpy(out + sizeof directory + i * sizeof entry, &entry, sizeof entry);
    }
    segment_lineage_write(segment->lineage,
                          out + sizeof directory + segment->blocks_count * sizeof(struct segment_entry));
}

static enum err put_all(struct staging *staging, const struct segment *segment,
                        const struct segment_rows *rows)
{
    const uint64_t offset = staging->offset;
    const size_t len = directory_bytes(segment);
    uint8_t *const directory = malloc(len);

    if (directory == NULL) return ERR_NO_MEMORY;
    directory_make(segment, rows, io_wall_ns(staging->io), directory);
    staging_put(staging, directory, len);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        put_rows(staging, segment, (enum filter_kind)kind, rows);

    struct segment_trailer trailer = {.directory_offset = offset,
                                      .directory_length = len,
                                      .file_id = segment_file_id(&segment->identity),
                                      .directory_crc = crc32c(0, directory, len)};
    free(directory);
    staging_pad(staging, sizeof trailer);
    trailer.file_length = staging->offset + staging->fill + sizeof trailer;
    segment_trailer_make(&trailer);
    staging_put(staging, &trailer, sizeof trailer);
    staging_flush(staging);
    return staging->err;
}

/* A full disk is met before anything is written over: the file may have a footer already. */
static enum err make_room(struct io *io, const struct segment *segment, uint64_t offset,
                          const struct segment_rows *rows)
{
    const uint64_t rows_end = rows->offset[FILTER_TOKEN] +
                              rows->cells[FILTER_TOKEN] * (uint64_t)segment_row_bytes(rows->blocks);
    const uint64_t end = (rows_end + sizeof(struct segment_trailer) + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN *
                         SEGMENT_ALIGN;
    const enum err err = io_file_allocate(io, segment->file->file, offset, end - offset);

    return err == ERR_UNSUPPORTED ? OK : err;
}

static enum err write_and_sync(struct io *io, const struct segment *segment, uint64_t offset,
                               const struct segment_rows *rows)
{
    struct staging staging = {.io = io, .file = segment->file, .offset = offset};

    TRY(make_room(io, segment, offset, rows));
    staging.buffer = aligned_alloc(IO_ALIGN, SEGMENT_PIECE_BYTES);
    if (staging.buffer == NULL) return ERR_NO_MEMORY;
    enum err err = put_all(&staging, segment, rows);
    if (err == OK) err = io_file_truncate(io, segment->file->file, staging.offset);
    if (err == OK) err = io_datasync_now(io, segment->file->file);
    if (err != OK && SEEDED_BUG(IGNORE_FOOTER_SYNC)) err = OK;
    free(staging.buffer);
    return err;
}

enum err segment_footer_write(struct io *io, const struct segment *segment, uint64_t offset, bool keep,
                              struct segment_rows **out)
{
    assert(segment->filters != NULL);
    assert(segment->blocks_count <= SEGMENT_BLOCKS_MAX);
    assert(offset % SEGMENT_ALIGN == 0);

    struct segment_rows *const rows = rows_make(segment, offset + directory_bytes(segment), keep);
    if (rows == NULL) return ERR_NO_MEMORY;
    const enum err err = write_and_sync(io, segment, offset, rows);
    if (err != OK) {
        segment_rows_free(rows);
        return err;
    }
    *out = rows;
    return OK;
}

/* ---- reading rows back ------------------------------------------------------------------------------- */

static enum err rows_check(const uint8_t *stored, uint32_t rows_first, uint32_t rows_count,
                           enum filter_kind kind, size_t len, uint8_t *out)
{
    for (uint32_t i = 0; i < rows_count; i++) {
        const uint8_t *const row = stored + (size_t)i * (len + sizeof(uint32_t));
        uint32_t crc;
        memcpy(&crc, row + len, sizeof crc);
        if (crc != segment_row_crc(kind, rows_first + i, row, len)) return ERR_CORRUPT;
        memcpy(out + (size_t)(rows_first + i) * len, row, len);
    }
    return OK;
}

enum err segment_rows_load(struct io *io, const struct segment_file *file, struct segment_rows *rows,
                           enum filter_kind kind)
{
    const size_t row_bytes = segment_row_bytes(rows->blocks);
    const size_t len = row_bytes - sizeof(uint32_t);
    const uint32_t at_once = (uint32_t)(SEGMENT_PIECE_BYTES / row_bytes);
    uint8_t *const resident = malloc((size_t)rows->cells[kind] * len + 1);
    uint8_t *const stored = malloc((size_t)at_once * row_bytes);
    enum err err = resident == NULL || stored == NULL ? ERR_NO_MEMORY : OK;

    for (uint32_t row = 0; row < rows->cells[kind] && err == OK; row += at_once) {
        const uint32_t left = rows->cells[kind] - row;
        const uint32_t count = left < at_once ? left : at_once;
        err = segment_file_read(file, io, rows->offset[kind] + row * (uint64_t)row_bytes, stored,
                                count * row_bytes);
        if (err == OK) err = rows_check(stored, row, count, kind, len, resident);
    }
    free(stored);
    if (err != OK) {
        free(resident);
        return err;
    }
    rows->resident[kind] = resident;
    rows->resident_bytes += (uint64_t)rows->cells[kind] * len;
    return OK;
}

/* ---- closing ----------------------------------------------------------------------------------------- */

struct segment *segment_closed(const struct segment *segment, struct segment_file *file,
                               struct segment_rows *rows)
{
    struct segment *const closed = segment_make(&segment->identity, file, segment->blocks_count, true);

    if (closed == NULL) return NULL;
    memcpy(closed->blocks, segment->blocks, segment->blocks_count * sizeof *closed->blocks);
    closed->blocks_count = segment->blocks_count;
    closed->rows = rows;
    segment_inherit(closed, segment);
    closed->has_copies = segment->has_copies;
    return closed;
}

/* Buffered from now on. Should that fail, direct reading goes on. */
static struct segment_file *reopen(struct catalog *catalog, struct io *io, struct segment_file *direct)
{
    struct segment_file *file;
    const enum err err = segment_file_open(io, catalog->dir, direct->name, 0, &file);

    if (err == OK) return file;
    log_warn("store", "closed segment is read without the page cache", "file=%s err=\"%s\"", direct->name,
             err_text(err));
    return NULL;
}

bool segment_rows_may_stay(struct catalog *catalog)
{
    pthread_mutex_lock(&catalog->mutex);
    const bool keep = catalog->resident_bytes < catalog->config.filter_bytes_max;
    pthread_mutex_unlock(&catalog->mutex);
    return keep;
}

enum err segment_finish(struct catalog *catalog, struct io *io, const struct segment *segment,
                        uint64_t offset, struct segment **out)
{
    struct segment_rows *rows;

    TRY(segment_footer_write(io, segment, offset, segment_rows_may_stay(catalog), &rows));
    struct segment_file *const buffered = reopen(catalog, io, segment->file);

    pthread_mutex_lock(&catalog->mutex);
    const struct segment *const current = catalog_find_segment(catalog, &segment->identity);
    struct segment *const closed = segment_closed(current != NULL ? current : segment,
                                                  buffered != NULL ? buffered : segment->file, rows);
    catalog->resident_bytes += rows->resident_bytes;
    if (closed == NULL) segment_rows_drop(catalog, rows);
    if (buffered != NULL) segment_file_drop(catalog, buffered); /* the segment has its own reference */
    pthread_mutex_unlock(&catalog->mutex);

    if (closed == NULL) return ERR_NO_MEMORY;
    *out = closed;
    return OK;
}
