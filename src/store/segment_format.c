/*
 * Making and checking the parts of a segment file (segment_format.h). Pure: bytes in, verdict out. What
 * passes here is trusted by the rest of the room: every offset lies in the file, every count has a bound,
 * nothing overlaps.
 */
#include "segment_format.h"

#include "base/crc32c.h"
#include "base/hash.h"

#include <string.h>

uint64_t segment_file_id(const struct segment_identity *identity)
{
    const uint64_t words[4] = {identity->instance, identity->seq, identity->created_ns, identity->shard};

    return hash64(words, sizeof words);
}

/* ---- header ------------------------------------------------------------------------------------------ */

static uint32_t header_crc(const struct segment_header *header)
{
    static const uint32_t nothing = 0;
    const size_t at = offsetof(struct segment_header, crc);
    const uint8_t *const bytes = (const uint8_t *)header;

    const uint32_t before = crc32c(crc32c(0, bytes, at), &nothing, sizeof nothing);
    return crc32c(before, bytes + at + sizeof nothing, sizeof *header - at - sizeof nothing);
}

void segment_header_make(struct segment_header *header, const struct segment_identity *identity)
{
    memset(header, 0, sizeof *header);
    memcpy(header->magic, SEGMENT_MAGIC, sizeof header->magic);
    header->major = SEGMENT_MAJOR;
    header->minor = SEGMENT_MINOR;
    header->min_reader = SEGMENT_MIN_READER;
    header->shard = identity->shard;
    header->instance = identity->instance;
    header->seq = identity->seq;
    header->created_ns = identity->created_ns;
    header->block_seq = identity->block_seq;
    header->lsn_first = identity->lsn_first;
    header->crc = header_crc(header);
}

enum err segment_header_check(const struct segment_header *header, struct segment_identity *out)
{
    if (memcmp(header->magic, SEGMENT_MAGIC, sizeof header->magic) != 0) return ERR_CORRUPT;
    if (header->crc != header_crc(header)) return ERR_CORRUPT;
    if (header->min_reader > SEGMENT_MAJOR) return ERR_VERSION;
    if (header->shard > CATALOG_MERGED) return ERR_CORRUPT;

    *out = (struct segment_identity){.instance = header->instance,
                                     .seq = header->seq,
                                     .created_ns = header->created_ns,
                                     .block_seq = header->block_seq,
                                     .lsn_first = header->lsn_first,
                                     .shard = header->shard};
    return OK;
}

/* ---- directory --------------------------------------------------------------------------------------- */

void segment_entry_make(struct segment_entry *entry, const struct catalog_block *block)
{
    const struct block_summary *const from = &block->summary;

    *entry = (struct segment_entry){
        .offset = block->offset,
        .bytes = from->bytes,
        .seq = from->seq,
        .lsn_first = from->lsn_first,
        .lsn_end = from->lsn_end,
        .start_min_ns = from->start_min_ns,
        .start_max_ns = from->start_max_ns,
        .end_max_ns = from->end_max_ns,
        .duration_min_ns = from->duration_min_ns,
        .duration_max_ns = from->duration_max_ns,
        .arrival_min_ns = from->arrival_min_ns,
        .arrival_max_ns = from->arrival_max_ns,
        .spans = from->spans,
        .traces = from->traces,
        .status_mask = from->status_mask,
        .header_crc = from->header_crc,
        .flags = (block->fenced ? ENTRY_FENCED : 0U) | (block->stray ? ENTRY_STRAY : 0U),
        .shard = from->shard,
    };
    memcpy(entry->trace_min, from->trace_min.bytes, sizeof entry->trace_min);
    memcpy(entry->trace_max, from->trace_max.bytes, sizeof entry->trace_max);
}

void segment_entry_read(const struct segment_entry *entry, uint32_t index, struct catalog_block *out)
{
    *out = (struct catalog_block){
        .summary =
            {
                .shard = entry->shard,
                .seq = entry->seq,
                .lsn_first = entry->lsn_first,
                .lsn_end = entry->lsn_end,
                .spans = entry->spans,
                .traces = entry->traces,
                .bytes = entry->bytes,
                .start_min_ns = entry->start_min_ns,
                .start_max_ns = entry->start_max_ns,
                .end_max_ns = entry->end_max_ns,
                .duration_min_ns = entry->duration_min_ns,
                .duration_max_ns = entry->duration_max_ns,
                .arrival_min_ns = entry->arrival_min_ns,
                .arrival_max_ns = entry->arrival_max_ns,
                .status_mask = entry->status_mask,
                .header_crc = entry->header_crc,
            },
        .offset = entry->offset,
        .index = index,
        .fenced = (entry->flags & ENTRY_FENCED) != 0,
        .stray = (entry->flags & ENTRY_STRAY) != 0,
    };
    memcpy(out->summary.trace_min.bytes, entry->trace_min, sizeof entry->trace_min);
    memcpy(out->summary.trace_max.bytes, entry->trace_max, sizeof entry->trace_max);
}

/* Ascending, not overlapping, all before the directory. */
static bool entries_sound(const uint8_t *bytes, uint32_t count, uint64_t directory_offset)
{
    uint64_t end = SEGMENT_ALIGN;

    for (uint32_t i = 0; i < count; i++) {
        struct segment_entry entry;
        memcpy(&entry, bytes + i * sizeof entry, sizeof entry);
        if (entry.offset % SEGMENT_ALIGN != 0 || entry.bytes % SEGMENT_ALIGN != 0 || entry.bytes == 0)
            return false;
        if (entry.offset < end || entry.offset > directory_offset) return false;
        if (entry.bytes > directory_offset - entry.offset) return false;
        if (entry.shard > CATALOG_MERGED || entry.lsn_first > entry.lsn_end) return false;
        end = entry.offset + entry.bytes;
    }
    return true;
}

static bool rows_sound(const struct segment_directory *directory, const struct segment_trailer *trailer)
{
    const uint64_t begin = trailer->directory_offset + trailer->directory_length;
    const uint64_t end = trailer->file_length - sizeof *trailer;

    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        const uint32_t cells = directory->cells[kind];
        const uint64_t offset = directory->rows_offset[kind];
        if (cells == 0) continue;
        if ((cells & (cells - 1)) != 0 || cells > SEGMENT_FILTER_CELLS_MAX) return false;
        if (offset < begin || offset > end) return false;
        if (cells * (uint64_t)segment_row_bytes(directory->blocks) > end - offset) return false;
    }
    return true;
}

static bool positions_sound(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct segment_position position;
        memcpy(&position, bytes + i * sizeof position, sizeof position);
        if (position.shard >= CATALOG_SHARDS_MAX) return false;
    }
    return true;
}

static bool ledger_sound(const struct segment_directory *directory, const struct segment_trailer *trailer)
{
    if (directory->ledger_bytes == 0) return true;
    return directory->ledger_bytes <= SEGMENT_LEDGER_BYTES_MAX && directory->ledger_offset >= SEGMENT_ALIGN &&
           directory->ledger_offset % SEGMENT_ALIGN == 0 &&
           directory->ledger_offset < trailer->directory_offset &&
           directory->ledger_bytes <= trailer->directory_offset - directory->ledger_offset;
}

enum err segment_directory_check(const uint8_t *bytes, const struct segment_trailer *trailer)
{
    struct segment_directory directory;
    const uint64_t length = trailer->directory_length;

    if (crc32c(0, bytes, length) != trailer->directory_crc) return ERR_CORRUPT;
    memcpy(&directory, bytes, sizeof directory);
    if (memcmp(directory.magic, SEGMENT_MAGIC_FOOTER, sizeof directory.magic) != 0) return ERR_CORRUPT;
    if (directory.min_reader > SEGMENT_MAJOR) return ERR_VERSION;
    if (directory.shard > CATALOG_MERGED || directory.level >= SEGMENT_LEVELS) return ERR_CORRUPT;

    const struct segment_identity identity = {.instance = directory.instance,
                                              .seq = directory.seq,
                                              .created_ns = directory.created_ns,
                                              .shard = directory.shard};
    if (segment_file_id(&identity) != trailer->file_id) return ERR_CORRUPT;
    if (directory.blocks > SEGMENT_BLOCKS_MAX || directory.replaces > SEGMENT_REPLACES_MAX ||
        directory.positions > SEGMENT_POSITIONS_MAX)
        return ERR_CORRUPT;
    if (length != sizeof directory + directory.blocks * sizeof(struct segment_entry) +
                      directory.replaces * sizeof(struct segment_replaced) +
                      directory.positions * sizeof(struct segment_position))
        return ERR_CORRUPT;
    if (!positions_sound(bytes + length - directory.positions * sizeof(struct segment_position),
                         directory.positions))
        return ERR_CORRUPT;
    if (!entries_sound(bytes + sizeof directory, directory.blocks, trailer->directory_offset))
        return ERR_CORRUPT;
    if (!ledger_sound(&directory, trailer)) return ERR_CORRUPT;
    return rows_sound(&directory, trailer) ? OK : ERR_CORRUPT;
}

/* ---- trailer ----------------------------------------------------------------------------------------- */

void segment_trailer_make(struct segment_trailer *trailer)
{
    memcpy(trailer->magic, SEGMENT_MAGIC_REVERSED, sizeof trailer->magic);
    trailer->major = SEGMENT_MAJOR;
    trailer->min_reader = SEGMENT_MIN_READER;
    trailer->crc = crc32c(0, trailer, offsetof(struct segment_trailer, crc));
}

enum err segment_trailer_check(const struct segment_trailer *trailer, uint64_t file_bytes)
{
    enum {
        DIRECTORY_BYTES_MAX = sizeof(struct segment_directory) +
                              SEGMENT_BLOCKS_MAX * sizeof(struct segment_entry) +
                              SEGMENT_REPLACES_MAX * sizeof(struct segment_replaced) +
                              SEGMENT_POSITIONS_MAX * sizeof(struct segment_position)
    };

    if (memcmp(trailer->magic, SEGMENT_MAGIC_REVERSED, sizeof trailer->magic) != 0) return ERR_CORRUPT;
    if (trailer->crc != crc32c(0, trailer, offsetof(struct segment_trailer, crc))) return ERR_CORRUPT;
    if (trailer->min_reader > SEGMENT_MAJOR) return ERR_VERSION;
    if (trailer->file_length != file_bytes || file_bytes < SEGMENT_ALIGN + sizeof *trailer)
        return ERR_CORRUPT;
    if (trailer->directory_offset % SEGMENT_ALIGN != 0 || trailer->directory_offset < SEGMENT_ALIGN)
        return ERR_CORRUPT;
    if (trailer->directory_length < sizeof(struct segment_directory) ||
        trailer->directory_length > DIRECTORY_BYTES_MAX)
        return ERR_CORRUPT;
    const uint64_t room = file_bytes - sizeof *trailer;
    if (trailer->directory_offset > room || trailer->directory_length > room - trailer->directory_offset)
        return ERR_CORRUPT;
    return OK;
}

uint32_t segment_row_crc(enum filter_kind kind, uint32_t row, const uint8_t *cells, size_t len)
{
    return crc32c(row | (uint32_t)kind << 31, cells, len);
}
