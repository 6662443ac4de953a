/*
 * The bytes of a segment file around its blocks. Little-endian, no hidden padding; reserved bytes are zero on
 * write and ignored on read. FORMAT.md, "Segment", and this header say the same.
 *
 *   | header 4096 | block | block | ... | directory | trace rows | token rows | zeros | trailer 64 |
 *                  each at a multiple of 4096          not aligned                  ends at a multiple of 4096
 *
 * A segment without a sound trailer is not closed: its blocks are found by walking.
 *
 * Rows are the interleaved filters: row r of a kind holds cell r of every block, then a CRC32C, so that one
 * read of blocks * 32 + 4 bytes answers for all blocks and is checked by itself.
 */
#ifndef STORE_SEGMENT_FORMAT_H
#define STORE_SEGMENT_FORMAT_H

#include "base/assert.h"
#include "store/segment.h"

#include <stddef.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "files are little-endian and are written as they lie");

#define SEGMENT_MAGIC          "SMSEGMT1"
#define SEGMENT_MAGIC_FOOTER   "SMSEGFT1"
#define SEGMENT_MAGIC_REVERSED "1TMGESMS"
enum {
    SEGMENT_MAJOR = 1,
    SEGMENT_MINOR = 0,
    SEGMENT_MIN_READER = 1,
    SEGMENT_ALIGN = 4096,
    SEGMENT_FILTER_CELLS_MAX = 32768, /* 1 MiB for one block and kind */
    SEGMENT_REPLACES_MAX = 4096,
    SEGMENT_POSITIONS_MAX = CATALOG_SHARDS_MAX,
    SEGMENT_LEVELS = 3,
    SEGMENT_KINDS = 2, /* enum filter_kind */
    SEGMENT_LEDGER_BYTES_MAX = 64 << 20,
};

/* OFFSET SIZE NAME MEANING */
struct segment_header {
    char magic[8];         /*  0  8  "SMSEGMT1" */
    uint16_t major, minor; /*  8  4  format version */
    uint16_t min_reader;   /* 12  2  oldest reader's major that understands this */
    uint16_t shard;        /* 14  2  who wrote it */
    uint32_t crc;          /* 16  4  CRC32C of the 4096 bytes with this field zero */
    uint32_t reserved;     /* 20  4 */
    uint64_t instance;     /* 24  8  of the data directory */
    uint64_t seq;          /* 32  8  segment id is (instance, shard, seq) */
    uint64_t created_ns;   /* 40  8  wall clock */
    uint64_t block_seq;    /* 48  8  of the first block: what a walk must begin with */
    uint64_t lsn_first;    /* 56  8  of the first block */
    uint8_t zero[4032];    /* 64 */
};
static_assert(sizeof(struct segment_header) == SEGMENT_ALIGN, "layout");
static_assert(offsetof(struct segment_header, instance) == 24, "layout");
static_assert(offsetof(struct segment_header, zero) == 64, "layout");

struct segment_directory {
    char magic[8];           /*  0  8  "SMSEGFT1" */
    uint16_t major, minor;   /*  8  4 */
    uint16_t min_reader;     /* 12  2 */
    uint16_t shard;          /* 14  2 */
    uint64_t instance;       /* 16  8  the header's identity once more */
    uint64_t seq;            /* 24  8 */
    uint64_t created_ns;     /* 32  8 */
    uint64_t closed_ns;      /* 40  8 */
    uint32_t blocks;         /* 48  4  struct segment_entry follow */
    uint32_t replaces;       /* 52  4  struct segment_replaced follow them */
    uint32_t cells[2];       /* 56  8  rows of trace and token filters; powers of two, 0: none */
    uint64_t rows_offset[2]; /* 64 16  in the file */
    uint8_t level;           /* 80  1  0: written by a shard, 1 or 2: merged */
    uint8_t reserved[3];     /* 81  3 */
    uint32_t positions;      /* 84  4  struct segment_position follow the replaced */
    uint64_t ledger_offset;  /* 88  8  multiple of 4096, before the directory; only with ledger_bytes */
    uint32_t ledger_bytes;   /* 96  4  0: none, its blocks have theirs */
    uint32_t ledger_crc;     /* 100 4  CRC32C of them */
    uint32_t minute_first;   /* 104 4  of its rows; all of them if one is of ever */
    uint32_t minute_last;    /* 108 4  the last minute of the last row */
    uint8_t reserved2[16];   /* 112 16 */
};
static_assert(sizeof(struct segment_directory) == 128, "layout");
static_assert(offsetof(struct segment_directory, rows_offset) == 64, "layout");
static_assert(offsetof(struct segment_directory, level) == 80, "layout");
static_assert(offsetof(struct segment_directory, ledger_offset) == 88, "layout");

enum segment_entry_flag {
    ENTRY_FENCED = 1, /* damaged when the directory was written */
    ENTRY_STRAY = 2,  /* found behind damage: does not move the sealed LSN */
};

/* One block: the block header's summary once more, and where it is. */
struct segment_entry {
    uint64_t offset;          /*   0  8  in the file, multiple of 4096 */
    uint64_t bytes;           /*   8  8  multiple of 4096 */
    uint64_t seq;             /*  16  8  block id is (instance, shard, seq) */
    uint64_t lsn_first;       /*  24  8 */
    uint64_t lsn_end;         /*  32  8 */
    uint64_t start_min_ns;    /*  40  8 */
    uint64_t start_max_ns;    /*  48  8 */
    uint64_t end_max_ns;      /*  56  8 */
    uint64_t duration_min_ns; /*  64  8 */
    uint64_t duration_max_ns; /*  72  8 */
    uint64_t arrival_min_ns;  /*  80  8 */
    uint64_t arrival_max_ns;  /*  88  8 */
    uint8_t trace_min[16];    /*  96 16 */
    uint8_t trace_max[16];    /* 112 16 */
    uint32_t spans, traces;   /* 128  8 */
    uint32_t status_mask;     /* 136  4 */
    uint32_t header_crc;      /* 140  4  the block header's CRC: says which bytes are meant */
    uint32_t flags;           /* 144  4  enum segment_entry_flag */
    uint16_t shard;           /* 148  2 */
    uint8_t reserved[42];     /* 150 42 */
};
static_assert(sizeof(struct segment_entry) == 192, "layout");
static_assert(offsetof(struct segment_entry, trace_min) == 96, "layout");
static_assert(offsetof(struct segment_entry, shard) == 148, "layout");

/* A segment that this one stands for: it is not used any more, and removed. */
struct segment_replaced {
    uint64_t seq;        /*  0  8 */
    uint64_t created_ns; /*  8  8  a number may be used again */
    uint16_t shard;      /* 16  2 */
    uint8_t reserved[6]; /* 18  6 */
};
static_assert(sizeof(struct segment_replaced) == 24, "layout");

/* How far a shard had come in what this segment stands for. */
struct segment_position {
    uint64_t next_seq;   /*  0  8  one more than the highest block number */
    uint64_t sealed_lsn; /*  8  8 */
    uint16_t shard;      /* 16  2 */
    uint8_t reserved[6]; /* 18  6 */
};
static_assert(sizeof(struct segment_position) == 24, "layout");

struct segment_trailer {
    uint64_t directory_offset; /*  0  8  multiple of 4096 */
    uint64_t directory_length; /*  8  8  directory, entries, replaced, positions */
    uint64_t file_length;      /* 16  8 */
    uint64_t file_id;          /* 24  8  segment_file_id() */
    uint32_t directory_crc;    /* 32  4  CRC32C of these bytes */
    uint16_t major;            /* 36  2 */
    uint16_t min_reader;       /* 38  2 */
    uint8_t reserved[8];       /* 40  8 */
    char magic[8];             /* 48  8  "1TMGESMS" */
    uint32_t reserved2;        /* 56  4 */
    uint32_t crc;              /* 60  4  CRC32C of the 60 bytes before */
};
static_assert(sizeof(struct segment_trailer) == 64, "layout");
static_assert(offsetof(struct segment_trailer, directory_crc) == 32, "layout");
static_assert(offsetof(struct segment_trailer, crc) == 60, "layout");

/* Which segment; what the header, the directory and the file id agree on. */
struct segment_identity {
    uint64_t instance;
    uint64_t seq;
    uint64_t created_ns;
    uint64_t block_seq; /* known from the header only */
    uint64_t lsn_first; /* the same */
    uint16_t shard;
};

uint64_t segment_file_id(const struct segment_identity *identity);

void segment_header_make(struct segment_header *header, const struct segment_identity *identity);
/* ERR_CORRUPT: not a sound header. ERR_VERSION: sound, but needs a newer reader. */
enum err segment_header_check(const struct segment_header *header, struct segment_identity *out);

void segment_entry_make(struct segment_entry *entry, const struct catalog_block *block);
void segment_entry_read(const struct segment_entry *entry, uint32_t index, struct catalog_block *out);

/* The last 64 bytes of a file of that length. ERR_CORRUPT: not closed, or damaged. ERR_VERSION as above. */
void segment_trailer_make(struct segment_trailer *trailer);
enum err segment_trailer_check(const struct segment_trailer *trailer, uint64_t file_bytes);

/*
 * A whole directory as the trailer names it: CRC, identity (its file id), every entry in bounds and in order,
 * filter rows in bounds. Afterwards all of it may be trusted. bytes is 8-byte aligned.
 */
enum err segment_directory_check(const uint8_t *bytes, const struct segment_trailer *trailer);

static inline size_t segment_row_bytes(uint32_t blocks)
{
    return (size_t)blocks * FILTER_CELL_BYTES + sizeof(uint32_t);
}
/* CRC of a row's cells, bound to its place. */
uint32_t segment_row_crc(enum filter_kind kind, uint32_t row, const uint8_t *cells, size_t len);

#endif
