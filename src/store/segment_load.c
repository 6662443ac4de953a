/*
 * Opens a closed segment: trailer, directory, and its trace rows if there is memory for them. Costs a few
 * reads however large the segment is; no block is touched. Blocks are checked when a query opens them
 * (catalog_open_block).
 *
 * A damaged filter row is not damage of the segment: that row excludes nothing.
 */
#include "catalog_private.h"

#include <stdlib.h>
#include <string.h>

static enum err read_directory(struct io *io, const struct segment_file *file,
                               const struct segment_trailer *trailer, uint8_t **out)
{
    uint8_t *const bytes = malloc(trailer->directory_length); /* bounded by segment_trailer_check() */

    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = segment_file_read(file, io, trailer->directory_offset, bytes, trailer->directory_length);
    if (err == OK) err = segment_directory_check(bytes, trailer);
    if (err != OK) {
        free(bytes);
        return err;
    }
    *out = bytes;
    return OK;
}

static struct segment_rows *rows_of(const struct segment_directory *directory)
{
    struct segment_rows *const rows = calloc(1, sizeof *rows);

    if (rows == NULL) return NULL;
    rows->refs = 1;
    rows->blocks = directory->blocks;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        rows->cells[kind] = directory->cells[kind];
        rows->offset[kind] = directory->rows_offset[kind];
    }
    return rows;
}

static enum err segment_of(const uint8_t *bytes, struct segment_file *file, struct segment **out)
{
    struct segment_directory directory;
    memcpy(&directory, bytes, sizeof directory);

    const struct segment_identity identity = {.instance = directory.instance,
                                              .seq = directory.seq,
                                              .created_ns = directory.created_ns,
                                              .shard = directory.shard};
    struct segment *const segment = segment_make(&identity, file, directory.blocks, true);
    if (segment == NULL) return ERR_NO_MEMORY;
    *out = segment;
    segment->level = directory.level;
    segment->blocks_count = directory.blocks;
    segment->ledger = (struct segment_ledger_at){.offset = directory.ledger_offset,
                                                 .bytes = directory.ledger_bytes,
                                                 .crc = directory.ledger_crc,
                                                 .minute_first = directory.minute_first,
                                                 .minute_last = directory.minute_last};
    for (uint32_t i = 0; i < directory.blocks; i++) {
        struct segment_entry entry;
        memcpy(&entry, bytes + sizeof directory + i * sizeof entry, sizeof entry);
        segment_entry_read(&entry, i, &segment->blocks[i]);
    }
    segment->rows = rows_of(&directory);
    if (segment->rows == NULL) return ERR_NO_MEMORY;
    return segment_lineage_read(&directory,
                                bytes + sizeof directory + directory.blocks * sizeof(struct segment_entry),
                                &segment->lineage);
}

static void keep_trace_rows(struct catalog *catalog, struct io *io, struct segment *segment)
{
    struct segment_rows *const rows = segment->rows;

    if (rows->cells[FILTER_TRACE] == 0 || catalog->resident_bytes >= catalog->config.filter_bytes_max) return;
    if (segment_rows_load(io, segment->file, rows, FILTER_TRACE) == OK)
        catalog->resident_bytes += rows->resident_bytes;
}

enum err segment_load(struct catalog *catalog, struct io *io, struct segment_file *file, uint64_t file_bytes,
                      uint64_t *directory_offset, struct segment **out)
{
    struct segment_trailer trailer;
    uint8_t *bytes;

    *directory_offset = 0;
    if (file_bytes < SEGMENT_ALIGN + sizeof trailer) return ERR_CORRUPT;
    TRY(segment_file_read(file, io, file_bytes - sizeof trailer, &trailer, sizeof trailer));
    TRY(segment_trailer_check(&trailer, file_bytes));
    *directory_offset = trailer.directory_offset;
    TRY(read_directory(io, file, &trailer, &bytes));

    struct segment *segment = NULL;
    const enum err err = segment_of(bytes, file, &segment);
    free(bytes);
    if (err != OK) {
        if (segment != NULL) segment_drop(catalog, segment);
        return err;
    }
    keep_trace_rows(catalog, io, segment);
    *out = segment;
    return OK;
}
