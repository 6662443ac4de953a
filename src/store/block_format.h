/*
 * The bytes of a block. Little-endian, no hidden padding; reserved bytes are zero on write and ignored on
 * read. The normative text is FORMAT.md, "Block"; this header and that page say the same.
 *
 *   | header 4096 | sections ... (each aligned to 64) ... | meta: small sections, then the section table |
 * pad to 4096 |
 *
 * A section is a run of bytes with its own CRC and codec. Everything but the header lives in sections; meta
 * sections lie together at the end so that one read brings what is needed to open a block.
 *
 * Columns are cut into pages of 8192 rows. What a page holds of a column is a *chunk*: integers as byte
 * planes (value - base, one plane per byte of width), or plain bytes. Planes that look random are stored raw,
 * the others go through zstd; small chunks of a page share a section.
 */
#ifndef STORE_BLOCK_FORMAT_H
#define STORE_BLOCK_FORMAT_H

#include "base/assert.h"
#include "store/block.h"

#include <stddef.h>
#include <stdint.h>

#define BLOCK_MAGIC "SMBLOCK1"
enum {
    BLOCK_MAJOR = 1,
    BLOCK_MINOR = 0,
    BLOCK_MIN_READER = 1,
    BLOCK_HEADER_BYTES = 4096,
    BLOCK_SECTION_ALIGN = 64,
    /*
     * Bound before any allocation by a reader. The largest sections: all distinct bytes of a block (LIVE_ARENA_MAX) with
     * their lengths, or 8 bytes for each of LIVE_SLOTS_MAX integers of one column in one page.
     */
    BLOCK_SECTION_PLAIN_MAX = 160 << 20,
    BLOCK_BYTES_MAX = 1 << 30,
    BLOCK_ROWS_MAX = LIVE_ROWS_MAX,
    BLOCK_GROUP_BYTES = 2048,          /* chunks at least this large get a section of their own */
    BLOCK_DICTIONARY_BYTES = 64 << 10, /* plain bytes of a dictionary piece */
};

/* OFFSET SIZE NAME MEANING */
struct block_header {
    char magic[8];              /*   0  8  "SMBLOCK1" */
    uint16_t major, minor;      /*   8  4  format version */
    uint16_t min_reader;        /*  12  2  oldest reader's major that understands this */
    uint16_t shard;             /*  14  2  who wrote it */
    uint32_t header_crc;        /*  16  4  CRC32C of the 4096 header bytes with this field zero */
    uint32_t pages;             /*  20  4  of 8192 rows */
    uint64_t seq;               /*  24  8  block id is (instance, shard, seq) */
    uint64_t lsn_first;         /*  32  8  journal interval */
    uint64_t lsn_end;           /*  40  8 */
    uint32_t spans, traces;     /*  48  8  rows; distinct trace ids */
    uint64_t bytes;             /*  56  8  whole block, multiple of 4096 */
    uint64_t start_min_ns;      /*  64  8  span start times */
    uint64_t start_max_ns;      /*  72  8 */
    uint64_t end_max_ns;        /*  80  8 */
    uint64_t duration_min_ns;   /*  88  8  negative durations count as 0 */
    uint64_t duration_max_ns;   /*  96  8 */
    uint64_t arrival_min_ns;    /* 104  8  when the requests came in */
    uint64_t arrival_max_ns;    /* 112  8 */
    uint8_t trace_min[16];      /* 120 16  smallest and largest trace id */
    uint8_t trace_max[16];      /* 136 16 */
    uint32_t status_mask;       /* 152  4  1 << status code; bit 31: codes outside 0..30 */
    uint32_t columns;           /* 156  4  entries of the column directory */
    uint64_t meta_offset;       /* 160  8  first meta section */
    uint64_t table_offset;      /* 168  8  section table; it ends the meta area */
    uint32_t sections;          /* 176  4  entries of the section table */
    uint32_t table_crc;         /* 180  4  CRC32C of the section table */
    uint32_t shapes;            /* 184  4 */
    uint32_t resources;         /* 188  4 */
    uint32_t scopes;            /* 192  4 */
    uint32_t operations;        /* 196  4 */
    uint32_t events, links;     /* 200  8  child rows */
    uint32_t dictionary_pieces; /* 208  4 */
    uint32_t patterns;          /* 212  4 */
    uint32_t event_patterns;    /* 216  4 */
    uint32_t reserved;          /* 220  4 */
};
static_assert(sizeof(struct block_header) == 224, "layout");
static_assert(offsetof(struct block_header, header_crc) == 16, "layout");
static_assert(offsetof(struct block_header, trace_min) == 120, "layout");
static_assert(offsetof(struct block_header, table_offset) == 168, "layout");

enum block_section_type {
    SECTION_GROUP = 1,      /* small chunks of one page together */
    SECTION_CHUNK = 2,      /* one large chunk, or the raw planes of one */
    SECTION_DICTIONARY = 3, /* pieces of dictionaries */
    SECTION_TRACES = 4,     /* 16 bytes each, ascending */
    SECTION_TRACE_ROWS = 5, /* varint rows of each trace */
    SECTION_RESOURCES = 6,  /* varint present, varint length, bytes, varint length, schema_url */
    SECTION_SCOPES = 7,     /* the same */
    SECTION_SHAPES =
        8, /* varints: items of each shape; column of each item; 0 or 1 + constant of each item */
    SECTION_OPERATIONS = 9, /* varint resource, varint name id, varint kind (zigzag) */
    SECTION_COLUMNS = 10,   /* struct block_column_entry + key bytes, each */
    SECTION_CHUNKS = 11,    /* struct block_chunk [pages][streams] */
    SECTION_PIECES = 12,    /* struct block_piece, ascending by column and first id */
    SECTION_PAGES = 13,     /* struct block_page */
    SECTION_PATTERNS = 14,  /* byte planes of enum block_pattern_field */
    SECTION_EVENT_PATTERNS = 15,
    SECTION_LEDGER = 16, /* ledger_bytes.h; not critical */
    SECTION_TYPES_END
};

/* Fields of 32 bits: byte b of field f of record i lies at (4 f + b) * records + i. */
enum block_pattern_field {
    PATTERN_RESOURCE,
    PATTERN_SCOPE,
    PATTERN_NAME, /* entry in the dictionary of COLUMN_NAME */
    PATTERN_KIND,
    PATTERN_STATUS_CODE,
    PATTERN_FLAGS,
    PATTERN_BITS, /* enum live_row_bits */
    PATTERN_DROPPED_ATTRIBUTES,
    PATTERN_DROPPED_EVENTS,
    PATTERN_DROPPED_LINKS,
    PATTERN_SHAPE,
    PATTERN_FIELDS
};
enum block_event_pattern_field {
    EVENT_PATTERN_NAME, /* entry in the dictionary of COLUMN_EVENT_NAME */
    EVENT_PATTERN_DROPPED_ATTRIBUTES,
    EVENT_PATTERN_SHAPE,
    EVENT_PATTERN_FIELDS
};
enum { SECTION_CRITICAL = 1 }; /* flag: a reader that does not know the type must not use the block */
enum { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

struct block_section {
    uint16_t type;  /*  0 2 enum block_section_type */
    uint16_t flags; /*  2 2 */
    uint8_t codec;  /*  4 1 */
    uint8_t reserved[3];
    uint64_t offset; /*  8 8 from the block's start */
    uint32_t stored; /* 16 4 bytes on disk */
    uint32_t plain;  /* 20 4 bytes after decompression */
    uint32_t crc;    /* 24 4 CRC32C of the stored bytes */
    uint32_t reserved2;
};
static_assert(sizeof(struct block_section) == 32, "layout");

/* Streams with a fixed number; attribute column c has streams STREAM_FIXED_COUNT + 2c (integers) and + 1
 * (bytes). */
enum block_stream {
    STREAM_START_BASE,  /* first row of each trace in the page: start - block start_min */
    STREAM_START_DELTA, /* other rows: start - start of the row before */
    STREAM_DURATION,
    STREAM_SPAN_ID,    /* bytes, 8 each */
    STREAM_PARENT,     /* 0 none, 1 in STREAM_PARENT_RAW, else 2 + zigzag(parent's row - this row) */
    STREAM_PARENT_RAW, /* bytes, 8 each */
    STREAM_PATTERN,
    STREAM_EVENTS, /* number of events of each row */
    STREAM_LINKS,
    STREAM_EVENT_TIME, /* zigzag(time - span's start) */
    STREAM_EVENT_PATTERN,
    STREAM_LINK_TRACE, /* bytes, 16 each */
    STREAM_LINK_SPAN,  /* bytes, 8 each */
    STREAM_LINK_FLAGS,
    STREAM_LINK_DROPPED,
    STREAM_LINK_BITS,
    STREAM_LINK_SHAPE,
    STREAM_FIXED_COUNT
};

enum block_encoding {
    ENCODING_NONE = 0,   /* no values in this page */
    ENCODING_CONST = 1,  /* count times base */
    ENCODING_PLANES = 2, /* width planes of count bytes; bit i of raw_mask: plane i lies in raw_section */
    ENCODING_BYTES = 3,  /* len bytes, in section (or, raw_mask 1, in raw_section) */
};
enum { NO_SECTION = 0xffffffff };

struct block_chunk {
    uint8_t encoding; /*  0 1 */
    uint8_t width;    /*  1 1 bytes per integer, 1..8 */
    uint8_t raw_mask; /*  2 1 */
    uint8_t reserved;
    uint32_t count;       /*  4 4 values (ENCODING_BYTES: bytes) */
    uint64_t base;        /*  8 8 smallest value */
    uint64_t max;         /* 16 8 largest value: the zone map */
    uint32_t section;     /* 24 4 compressed planes or bytes */
    uint32_t offset;      /* 28 4 in the plain section */
    uint32_t raw_section; /* 32 4 */
    uint32_t reserved2;
};
static_assert(sizeof(struct block_chunk) == 40, "layout");

enum { MODE_RAW = 0, MODE_DICTIONARY = 1 };

struct block_column_entry {
    uint8_t level, type, mode, reserved;
    uint32_t values;   /* in the block */
    uint32_t distinct; /* dictionary entries */
    uint32_t key_len;  /* key bytes follow */
};
static_assert(sizeof(struct block_column_entry) == 16, "layout");

/* Entries first .. first + count - 1 of a column's dictionary: varint lengths, then the bytes; scalars 8
 * bytes each. */
struct block_piece {
    uint32_t column, first, count;
    uint32_t section, offset, len;
};
static_assert(sizeof(struct block_piece) == 24, "layout");

/* Smallest and largest of what the patterns of a page's rows say, as unsigned numbers. */
enum block_zones { ZONE_RESOURCE, ZONE_SCOPE, ZONE_NAME, ZONE_KIND, ZONE_STATUS_CODE, ZONE_COUNT };
struct block_zone {
    uint32_t min, max;
};
struct block_page {
    uint64_t start_min_ns, start_max_ns;
    uint32_t events, links;
    struct block_zone zones[ZONE_COUNT];
};
static_assert(sizeof(struct block_page) == 64, "layout");

static inline bool block_type_is_scalar(uint8_t type)
{
    return type == VALUE_BOOL || type == VALUE_INT || type == VALUE_DOUBLE;
}

static inline uint64_t zigzag(uint64_t value)
{
    return value << 1 ^ (uint64_t)((int64_t)value >> 63);
}

static inline uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

#endif
