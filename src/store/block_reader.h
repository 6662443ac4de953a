/*
 * The reader's inside, shared by block_open.c (header, tables), block_sections.c (bytes), block_column.c (chunks,
 * dictionaries, values) and block_rows.c (spans). A reader belongs to one thread. Sections are loaded when
 * first needed, checked, decompressed and kept until the reader is closed.
 */
#ifndef STORE_BLOCK_READER_H
#define STORE_BLOCK_READER_H

#include "block_format.h"

#include <zstd.h>

struct reader_column {
    struct block_column_entry entry;
    struct slice key;
    uint32_t pieces_first, pieces_count;
};

/* A dictionary piece once opened: offsets[i] .. offsets[i + 1] of entry i. Scalars need none. */
struct reader_piece {
    const uint8_t *bytes;
    uint32_t *offsets; /* owned */
};

struct reader_shape {
    uint32_t first, count; /* in shape_items */
    uint32_t varying;
};
struct reader_item {
    uint32_t column;
    uint32_t constant; /* 0: varies; else 1 + its entry in the column's dictionary */
};

struct page_rows; /* block_rows.c */
struct owned;     /* block_open.c */

struct block_reader {
    struct block_source source;
    struct block_header header;
    struct block_summary summary;
    uint8_t *meta; /* owned: bytes [meta_offset, bytes) of the block */
    const struct block_section *sections;
    uint8_t **plain; /* owned: plain bytes of each loaded section, NULL until then */
    struct reader_column *columns;
    const struct block_chunk *chunks; /* [pages][streams] */
    uint32_t streams;
    const struct block_piece *pieces;
    struct reader_piece *opened; /* by piece */
    const struct block_page *pages;
    struct envelope *resources, *scopes;
    struct reader_shape *shapes;
    struct reader_item *shape_items;
    struct live_pattern *patterns; /* name is a dictionary entry */
    struct live_event_pattern *event_patterns;
    struct block_operation_entry {
        uint32_t resource, name;
        int32_t kind;
    } * operations;
    uint32_t *trace_first; /* rows; traces + 1 entries; NULL until needed */
    const uint8_t *trace_ids;
    struct page_rows *page_rows; /* the page decoded last */
    ZSTD_DCtx *zstd;
    struct owned *owned;
    size_t memory;
};

/* The two halves of block_open(): header and section table; then all tables. */
enum err reader_open(const struct block_source *source, struct block_reader **out);
enum err reader_tables(struct block_reader *reader);
/* Memory that is counted and freed by block_close(); NULL: none. */
void *reader_alloc(struct block_reader *reader, size_t count, size_t size);
void *reader_alloc_zero(struct block_reader *reader, size_t count, size_t size);
void reader_free_all(struct block_reader *reader);
/* Lies in the block, and has a size that a section may have. */
bool section_sound(const struct block_header *header, const struct block_section *section);
/* Plain bytes of a section; checked before use. */
enum err reader_section(struct block_reader *reader, uint32_t number, struct slice *out);
/* The section of a type that occurs once. ERR_NOT_FOUND: there is none. */
enum err reader_section_of(struct block_reader *reader, enum block_section_type type, struct slice *out);
enum err reader_traces(struct block_reader *reader);

/* Chunks of a page; expected is what the row structure says must be there. */
const struct block_chunk *reader_chunk(const struct block_reader *reader, uint32_t page, uint32_t stream);
enum err reader_u64(struct block_reader *reader, uint32_t page, uint32_t stream, uint64_t *out,
                    uint32_t expected);
enum err reader_u32(struct block_reader *reader, uint32_t page, uint32_t stream, uint32_t *out,
                    uint32_t expected);
enum err reader_bytes(struct block_reader *reader, uint32_t page, uint32_t stream, size_t expected,
                      struct slice *out);
/* The pattern of each row of a page, all of them sound. */
enum err reader_patterns(struct block_reader *reader, uint32_t page, uint32_t *out);
uint32_t reader_page_rows(const struct block_reader *reader, uint32_t page);

static inline uint32_t column_stream(uint32_t column)
{
    return STREAM_FIXED_COUNT + 2 * column;
}

/* Frees what block_rows.c keeps. */
void page_rows_free(struct page_rows *rows);
/* The bytes under a page are about to go. */
void page_rows_forget(struct page_rows *rows, uint32_t page);

#endif
