/*
 * One segment file as it lies (store/look.h): what a start would find in it, without what a start would do about it.
 *
 *   trailer and directory sound    closed: the blocks are those of the directory
 *   otherwise                      the blocks are those of a walk (segment_walk.c), which reads no more than it must; who
 *                                  wants to know whether they are whole has to verify them
 */
#include "catalog_private.h"
#include "look_gaps.h"
#include "store/ledger.h"

#include <stdlib.h>
#include <string.h>

struct look_place {
    struct segment_look *look;
    uint32_t block;
};

struct segment_look_private {
    struct io *io;
    struct segment_file *file;
    struct segment_header header; /* valid if it is sound */
    struct segment_identity identity;
    struct look_place *places; /* one for each block: contexts of the sources */
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static enum err read_header(struct segment_look *look)
{
    struct segment_look_private *const own = look->own;

    if (look->file_bytes < sizeof own->header) return OK;
    enum err err = segment_file_read(own->file, own->io, 0, &own->header, sizeof own->header);
    if (err == OK) err = segment_header_check(&own->header, &own->identity);
    look->header_sound = err == OK;
    if (err != OK) return err == ERR_VERSION || err == ERR_NO_MEMORY ? err : OK;
    look->shard = own->identity.shard;
    look->instance = own->identity.instance;
    look->seq = own->identity.seq;
    look->created_ns = own->identity.created_ns;
    look->block_seq = own->identity.block_seq;
    look->lsn_first = own->identity.lsn_first;
    return OK;
}

static enum err take_lineage(struct segment_look *look, const struct segment_directory *directory,
                             const uint8_t *bytes)
{
    look->replaces = calloc((size_t)directory->replaces + 1, sizeof *look->replaces);
    look->positions = calloc((size_t)directory->positions + 1, sizeof *look->positions);
    if (look->replaces == NULL || look->positions == NULL) return ERR_NO_MEMORY;
    look->replaces_count = directory->replaces;
    look->positions_count = directory->positions;
    for (uint32_t i = 0; i < directory->replaces; i++, bytes += sizeof(struct segment_replaced)) {
        struct segment_replaced replaced;
        memcpy(&replaced, bytes, sizeof replaced);
        look->replaces[i] = (struct segment_look_replaced){replaced.seq, replaced.created_ns, replaced.shard};
    }
    for (uint32_t i = 0; i < directory->positions; i++, bytes += sizeof(struct segment_position)) {
        struct segment_position position;
        memcpy(&position, bytes, sizeof position);
        look->positions[i] = (struct segment_look_position){position.next_seq, position.sealed_lsn,
                                                            position.shard};
    }
    return OK;
}

static enum err take_directory(struct segment_look *look, const uint8_t *bytes)
{
    struct segment_directory directory;

    memcpy(&directory, bytes, sizeof directory);
    look->blocks = calloc((size_t)directory.blocks + 1, sizeof *look->blocks);
    if (look->blocks == NULL) return ERR_NO_MEMORY;
    look->closed = true;
    look->shard = directory.shard;
    look->instance = directory.instance;
    look->seq = directory.seq;
    look->created_ns = directory.created_ns;
    look->closed_ns = directory.closed_ns;
    look->level = directory.level;
    look->blocks_count = directory.blocks;
    look->ledger_offset = directory.ledger_offset;
    look->ledger_bytes = directory.ledger_bytes;
    look->ledger_crc = directory.ledger_crc;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        look->cells[kind] = directory.cells[kind];
        look->rows_offset[kind] = directory.rows_offset[kind];
    }
    for (uint32_t i = 0; i < directory.blocks; i++) {
        struct segment_entry entry;
        memcpy(&entry, bytes + sizeof directory + i * sizeof entry, sizeof entry);
        segment_entry_read(&entry, i, &look->blocks[i]);
    }
    return take_lineage(look, &directory,
                        bytes + sizeof directory + directory.blocks * sizeof(struct segment_entry));
}

/* ERR_CORRUPT: not closed. */
static enum err read_directory(struct segment_look *look)
{
    struct segment_look_private *const own = look->own;
    struct segment_trailer trailer;

    if (look->file_bytes < SEGMENT_ALIGN + sizeof trailer) return ERR_CORRUPT;
    TRY(segment_file_read(own->file, own->io, look->file_bytes - sizeof trailer, &trailer, sizeof trailer));
    TRY(segment_trailer_check(&trailer, look->file_bytes));
    look->trailer_sound = true;
    look->directory_offset = trailer.directory_offset;
    look->directory_bytes = trailer.directory_length;
    uint8_t *const bytes = malloc(trailer.directory_length);
    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = segment_file_read(own->file, own->io, trailer.directory_offset, bytes,
                                     trailer.directory_length);
    if (err == OK) err = segment_directory_check(bytes, &trailer);
    if (err == OK) err = take_directory(look, bytes);
    free(bytes);
    return err;
}

static enum err walk_blocks(struct segment_look *look)
{
    struct segment_look_private *const own = look->own;
    struct segment segment = {.identity = own->identity, .file = own->file};

    segment.blocks = look->blocks = calloc(SEGMENT_BLOCKS_MAX + 1, sizeof *look->blocks);
    if (look->blocks == NULL) return ERR_NO_MEMORY;
    struct segment_walk walk = {.io = own->io,
                                .file = own->file,
                                .file_bytes = look->trailer_sound ? look->directory_offset : look->file_bytes,
                                .based = look->header_sound,
                                .segment = &segment};
    TRY(segment_walk(&walk));
    look->blocks_count = segment.blocks_count;
    look->end = walk.end;
    if (!look->header_sound && segment.blocks_count > 0) look->shard = segment.blocks[0].summary.shard;
    return OK;
}

static enum err fill(struct segment_look *look)
{
    struct segment_look_private *const own = look->own;

    TRY(io_file_size(own->io, own->file->file, &look->file_bytes));
    TRY(read_header(look));
    enum err err = read_directory(look);
    if (err == ERR_CORRUPT || err == ERR_IO) err = walk_blocks(look);
    if (err != OK) return err;
    if (!look->header_sound && look->blocks_count == 0) return ERR_CORRUPT;
    own->places = calloc((size_t)look->blocks_count + 1, sizeof *own->places);
    return own->places == NULL ? ERR_NO_MEMORY : OK;
}

enum err segment_look_open(struct io *io, struct io_dir *dir, const char *name, struct segment_look **out)
{
    struct segment_look *const look = calloc(1, sizeof *look);

    if (look == NULL) return ERR_NO_MEMORY;
    look->own = calloc(1, sizeof *look->own);
    enum err err = look->own == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) {
        look->own->io = io;
        err = segment_file_open(io, dir, name, 0, &look->own->file);
    }
    if (err == OK) err = fill(look);
    if (err != OK) {
        segment_look_close(look);
        return err;
    }
    *out = look;
    return OK;
}

void segment_look_close(struct segment_look *look)
{
    if (look->own != NULL && look->own->file != NULL) {
        io_file_close(look->own->io, look->own->file->file);
        free(look->own->file);
    }
    if (look->own != NULL) free(look->own->places);
    free(look->own);
    free(look->blocks);
    free(look->replaces);
    free(look->positions);
    free(look);
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

static enum err read_block(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct look_place *const place = context;
    const struct catalog_block *const block = &place->look->blocks[place->block];

    if (offset > block->summary.bytes || len > block->summary.bytes - offset) return ERR_CORRUPT;
    return segment_file_read(place->look->own->file, place->look->own->io, block->offset + offset, buf, len);
}

struct block_source segment_look_source(struct segment_look *look, uint32_t block)
{
    assert(block < look->blocks_count);

    look->own->places[block] = (struct look_place){look, block};
    return (struct block_source){.read = read_block, .context = &look->own->places[block]};
}

/* ---- around the blocks ------------------------------------------------------------------------------- */

static enum err read_file(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct segment_look *const look = context;

    return segment_file_read(look->own->file, look->own->io, offset, buf, len);
}

static uint64_t rows_bytes(const struct segment_look *look, enum filter_kind kind)
{
    return look->cells[kind] * (uint64_t)segment_row_bytes(look->blocks_count);
}

/* A walk ends at the tail, which may hold anything. */
static enum err check_gaps(struct segment_look *look, look_fault_fn *tell, void *context)
{
    const struct block_source source = {.read = read_file, .context = look};
    const uint64_t trailer = look->file_bytes - sizeof(struct segment_trailer);
    struct extent extents[SEGMENT_BLOCKS_MAX + 6];
    uint32_t count = 0;

    extents[count++] = (struct extent){0, sizeof(struct segment_header)};
    for (uint32_t i = 0; i < look->blocks_count; i++)
        extents[count++] = (struct extent){look->blocks[i].offset, look->blocks[i].summary.bytes};
    if (look->closed) {
        if (look->ledger_bytes > 0)
            extents[count++] = (struct extent){look->ledger_offset, look->ledger_bytes};
        extents[count++] = (struct extent){look->directory_offset, look->directory_bytes};
        for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++)
            extents[count++] = (struct extent){look->rows_offset[kind], rows_bytes(look, kind)};
        extents[count++] = (struct extent){trailer, sizeof(struct segment_trailer)};
    }
    const enum err err = look_gaps(&source, extents, count, look->closed ? look->file_bytes : look->end, tell,
                                   context);
    return err == ERR_IO ? OK : err;
}

static void check_header(const struct segment_look *look, look_fault_fn *tell, void *context)
{
    const struct segment_identity *const identity = &look->own->identity;

    if (!look->header_sound) { /* it is synced together with the first block: one may be there without the other */
        const bool unfinished = !look->closed && !look->trailer_sound && look->blocks_count == 1;
        if (!unfinished) look_tell(tell, context, "the segment's header fails its checksum", 0);
        return;
    }
    if (identity->shard != look->shard || identity->instance != look->instance ||
        identity->seq != look->seq || identity->created_ns != look->created_ns)
        look_tell(tell, context, "the header and the directory name two segments", 0);
    if (look->blocks_count > 0 && (look->blocks[0].summary.seq < identity->block_seq ||
                                   look->blocks[0].summary.lsn_first < identity->lsn_first))
        look_tell(tell, context, "the first block is before the one that the header names",
                  look->blocks[0].offset);
}

static void check_blocks(const struct segment_look *look, look_fault_fn *tell, void *context)
{
    for (uint32_t i = 0; i < look->blocks_count; i++) {
        const struct catalog_block *const block = &look->blocks[i];
        if (block->fenced)
            look_tell(tell, context, "a block was damaged when it was last opened", block->offset);
        const bool joined = look->level > 1; /* windows in the order of time, whenever they were merged */
        if (i > 0 && !joined && block->summary.shard == block[-1].summary.shard &&
            block->summary.seq <= block[-1].summary.seq)
            look_tell(tell, context, "the numbers of the blocks do not ascend", block->offset);
    }
}

/*
 * Was the file closed, though its trailer is not sound? Nothing but a trailer has two of these three; a torn closing leaves
 * none, for the trailer is the last sector.
 */
static bool has_spoilt_trailer(const struct segment_look *look)
{
    struct segment_trailer trailer;
    char magic[8];

    if (look->trailer_sound || look->file_bytes < SEGMENT_ALIGN + sizeof trailer) return false;
    if (segment_file_read(look->own->file, look->own->io, look->file_bytes - sizeof trailer, &trailer,
                          sizeof trailer) != OK)
        return false;
    const bool named = memcmp(trailer.magic, SEGMENT_MAGIC_REVERSED, sizeof trailer.magic) == 0;
    const bool fits = trailer.file_length == look->file_bytes;
    const bool leads = trailer.directory_offset < look->file_bytes - sizeof magic &&
                       segment_file_read(look->own->file, look->own->io, trailer.directory_offset, magic,
                                         sizeof magic) == OK &&
                       memcmp(magic, SEGMENT_MAGIC_FOOTER, sizeof magic) == 0;
    return named + fits + leads >= 2;
}

enum err segment_look_check(struct segment_look *look, look_fault_fn *tell, void *context)
{
    if (has_spoilt_trailer(look))
        look_tell(tell, context, "the trailer fails its checksum",
                  look->file_bytes - sizeof(struct segment_trailer));
    check_header(look, tell, context);
    check_blocks(look, tell, context);
    if (look->trailer_sound && !look->closed)
        look_tell(tell, context, "the directory fails its checksum", look->directory_offset);
    return check_gaps(look, tell, context);
}

/* ---- ledger -------------------------------------------------------------------------------------------- */

enum err segment_look_ledger(struct segment_look *look, struct ledger *into, look_fault_fn *tell,
                             void *context)
{
    const struct segment segment = {
        .file = look->own->file,
        .ledger = {.offset = look->ledger_offset, .bytes = look->ledger_bytes, .crc = look->ledger_crc}};

    if (look->ledger_bytes == 0) return ERR_NOT_FOUND;
    const enum err err = segment_ledger_read(&segment, look->own->io, into);
    if (err == ERR_CORRUPT || err == ERR_IO) {
        look_tell(tell, context, "the ledger fails its checksum, or cannot be read", look->ledger_offset);
        return ERR_NOT_FOUND;
    }
    TRY(err);
    if (!ledger_balances(into))
        look_tell(tell, context, "a row of the ledger does not add up", look->ledger_offset);
    return OK;
}

/* ---- filters ----------------------------------------------------------------------------------------- */

static void take_row(const struct segment_look *look, const uint8_t *cells, uint32_t row, uint32_t first,
                     uint32_t count, struct filter *out)
{
    assert(first + count <= look->blocks_count);

    for (uint32_t i = 0; i < count; i++)
        memcpy(out[i].bytes + (size_t)row * FILTER_CELL_BYTES,
               cells + (size_t)(first + i) * FILTER_CELL_BYTES, FILTER_CELL_BYTES);
}

struct rows_piece {
    uint8_t *bytes;
    uint32_t rows; /* that fit */
};

/* *sound is made false by a bad row. */
static enum err read_rows(struct segment_look *look, enum filter_kind kind, struct rows_piece piece,
                          uint32_t first, uint32_t count, struct filter *out, bool *sound,
                          look_fault_fn *tell, void *context)
{
    const size_t row_bytes = segment_row_bytes(look->blocks_count), len = row_bytes - sizeof(uint32_t);

    for (uint32_t row = 0; row < look->cells[kind]; row++) {
        const uint64_t offset = look->rows_offset[kind] + row * (uint64_t)row_bytes;
        const uint32_t left = look->cells[kind] - row, here = left < piece.rows ? left : piece.rows;
        if (row % piece.rows == 0)
            TRY(segment_file_read(look->own->file, look->own->io, offset, piece.bytes, here * row_bytes));
        const uint8_t *const cells = piece.bytes + (row % piece.rows) * row_bytes;
        uint32_t crc;
        memcpy(&crc, cells + len, sizeof crc);
        if (crc != segment_row_crc(kind, row, cells, len)) {
            *sound = false;
            look_tell(tell, context, "a filter row fails its checksum", offset);
        }
        take_row(look, cells, row, first, count, out);
    }
    return OK;
}

static bool make_filters(struct filter *out, uint32_t count, uint32_t cells)
{
    bool made = true;

    for (uint32_t i = 0; i < count; i++) {
        out[i] = (struct filter){.cells = cells, .bytes = calloc((size_t)cells + 1, FILTER_CELL_BYTES)};
        made &= out[i].bytes != NULL;
    }
    return made;
}

enum err segment_look_filters(struct segment_look *look, enum filter_kind kind, uint32_t first,
                              uint32_t count, struct filter *out, look_fault_fn *tell, void *context)
{
    const size_t row_bytes = segment_row_bytes(look->blocks_count);
    struct rows_piece piece = {.rows = (uint32_t)(SEGMENT_PIECE_BYTES / row_bytes)};
    bool sound = true;

    static_assert(SEGMENT_PIECE_BYTES > SEGMENT_BLOCKS_MAX * FILTER_CELL_BYTES + 4, "a row fits");
    piece.bytes = malloc(piece.rows * row_bytes);
    const bool made = make_filters(out, count, look->cells[kind]);
    enum err err = !made || piece.bytes == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) err = read_rows(look, kind, piece, first, count, out, &sound, tell, context);
    if (err == ERR_IO || err == ERR_CORRUPT)
        look_tell(tell, context, "filter rows cannot be read", look->rows_offset[kind]);
    for (uint32_t i = 0; i < count && (err != OK || !sound); i++)
        out[i].cells = 0;
    free(piece.bytes);
    return err == ERR_NO_MEMORY ? err : OK;
}
