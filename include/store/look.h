/*
 * Looking: what the files of a data directory hold, as they lie, for those who show them or check them. Nothing here
 * writes, locks, syncs or repairs.
 *
 *   superblock_look()     both copies
 *   list_look()           pins, erasures
 *   segment_look_open()   header and directory, or what a walk finds without one; its blocks and filters
 *   segment_look_check()  all that is no block
 *   block_look_open()     header and section table, so that a block with damaged sections can be shown
 *   block_verify()        all that must hold in a block
 *   journal_look_file()   a file's header, and journal_look_frames() what stands in it
 *
 * What does not hold is told fault by fault, and the look goes on as far as it can. Errors are for what says nothing about
 * the bytes: ERR_VERSION, ERR_NO_MEMORY, and ERR_IO where nothing at all could be read.
 */
#ifndef STORE_LOOK_H
#define STORE_LOOK_H

#include "base/err.h"
#include "store/block.h"
#include "store/filter.h"
#include "store/segment.h"

struct io;
struct io_dir;
struct io_file;

enum { LOOK_NONE = 0xffffffff };

struct look_fault {
    const char *what; /* static text, e.g. "a section fails its checksum" */
    uint64_t offset;  /* in the file; of a block: in the block */
    uint32_t section; /* its number, and page and column likewise; LOOK_NONE: not one of them */
    uint32_t page;
    uint32_t column;
};
typedef void look_fault_fn(void *context, const struct look_fault *fault);

/* What a file is, by its first bytes. */
enum look_file {
    LOOK_FILE_UNKNOWN,
    LOOK_FILE_SUPERBLOCK,
    LOOK_FILE_SEGMENT,
    LOOK_FILE_JOURNAL,
    LOOK_FILE_BLOCK
};
enum look_file look_file(const uint8_t magic[8]);

/* ---- superblock -------------------------------------------------------------------------------------- */

struct superblock_look {
    uint64_t file_bytes;
    bool sound[2];
    bool differ; /* both are sound, and not the same */
    /* of the first sound copy */
    uint16_t major, minor;
    uint8_t uuid[16];
    uint64_t instance;
    uint64_t created_ns;
};
/* OK also when no copy is sound. */
enum err superblock_look(struct io *io, struct io_file *file, struct superblock_look *out);

/* ---- lists ------------------------------------------------------------------------------------------- */

/* Of what operators have ordered: files "pins" and "erasures". */
struct list_look {
    uint64_t file_bytes;
    bool sound;
    uint32_t records; /* of a sound one */
};
/* OK also when it is not sound. ERR_VERSION. */
enum err list_look(struct io *io, struct io_file *file, const char *name, uint64_t instance,
                   struct list_look *out);

/* ---- segments ---------------------------------------------------------------------------------------- */

/* A segment that a merged one stands for: the file that is it is not used any more. */
struct segment_look_replaced {
    uint64_t seq, created_ns;
    uint16_t shard;
};
/* How far a shard had come in what a merged segment stands for. */
struct segment_look_position {
    uint64_t next_seq, sealed_lsn;
    uint16_t shard;
};

/* Complete, so that it can be read; made and freed here. */
struct segment_look {
    uint64_t file_bytes;
    bool header_sound;
    bool trailer_sound;
    bool closed; /* trailer and directory are sound; otherwise the blocks are what a walk has found */
    /* from the directory; not closed: from the header, zeros if that is damaged, too */
    uint16_t shard;
    uint64_t instance, seq, created_ns;
    /* from the header */
    uint64_t block_seq, lsn_first;
    /* of a closed one */
    uint64_t directory_offset, directory_bytes, closed_ns;
    uint8_t level;
    uint32_t replaces_count, positions_count;
    struct segment_look_replaced *replaces;
    struct segment_look_position *positions;
    uint64_t ledger_offset;
    uint32_t ledger_bytes; /* 0: it has none of its own */
    uint32_t ledger_crc;
    uint32_t cells[2]; /* rows by enum filter_kind; 0: none */
    uint64_t rows_offset[2];
    /* of one that is not closed */
    uint64_t end; /* behind the last good block: what follows is the tail of an append that did not finish */

    uint32_t blocks_count;
    struct catalog_block *blocks;
    struct segment_look_private *own;
};
/* ERR_CORRUPT: neither header nor any block is sound: not a segment. dir is borrowed until closed. */
enum err segment_look_open(struct io *io, struct io_dir *dir, const char *name, struct segment_look **out);
void segment_look_close(struct segment_look *look);
/* Where the bytes of a block come from; valid until the look is closed. */
struct block_source segment_look_source(struct segment_look *look, uint32_t block);
/* Header, directory, order of the blocks, and that there are zeros where nothing should be. Neither blocks nor rows. */
enum err segment_look_check(struct segment_look *look, look_fault_fn *tell, void *context);
/*
 * The filters of blocks first to first + count - 1, out of the rows of a kind, which are all read and checked. bytes of
 * each is the caller's to free(). cells 0: there are none, or a row was damaged, and nothing can be said.
 */
enum err segment_look_filters(struct segment_look *look, enum filter_kind kind, uint32_t first,
                              uint32_t count, struct filter *out, look_fault_fn *tell, void *context);

/*
 * Adds the ledger of a segment that stands for others: whole, and balanced in every row, or it is told. ERR_NOT_FOUND: there is
 * none, or it is damaged.
 */
struct ledger;
enum err segment_look_ledger(struct segment_look *look, struct ledger *into, look_fault_fn *tell,
                             void *context);

/* ---- blocks ------------------------------------------------------------------------------------------ */

/* Header and section table only: of the reader's functions those below, and block_summary(), may be called. */
enum err block_look_open(const struct block_source *source, struct block_reader **out);
/* The tables as well: afterwards it is as block_open() makes it. ERR_CORRUPT: only those below may still be called. */
enum err block_look_tables(struct block_reader *reader);

struct block_look_counts {
    uint32_t sections, pages, columns, streams, shapes, patterns, event_patterns, resources, scopes;
    uint32_t operations, events, links, pieces;
};
struct block_look_counts block_look_counts(const struct block_reader *reader);

struct block_look_section {
    uint16_t type;
    const char *name; /* static text; "unknown" */
    bool packed;      /* one zstd frame */
    uint64_t offset;  /* in the block */
    uint32_t stored, plain;
};
struct block_look_section block_look_section(const struct block_reader *reader, uint32_t section);
/* ERR_CORRUPT: its checksum fails, or it does not unpack. */
enum err block_look_check_section(struct block_reader *reader, uint32_t section);

/* A run of a section's plain bytes, and what it is of. */
struct block_look_part {
    enum block_look_kind {
        LOOK_TABLE,      /* a meta section, whole */
        LOOK_FIELD,      /* one page of a fixed stream: name */
        LOOK_VALUES,     /* one page of an attribute column */
        LOOK_DICTIONARY, /* a piece of its dictionary */
    } kind;
    uint32_t section;
    uint64_t bytes;       /* plain ones */
    const char *name;     /* of a table or field; static text */
    uint32_t column;      /* or LOOK_NONE */
    const char *encoding; /* static text: "planes", "bytes", ... */
    uint8_t width;        /* of planes: bytes of an integer */
    uint32_t values;      /* integers, or entries of a dictionary */
};
typedef void block_look_part_fn(void *context, const struct block_look_part *part);
/*
 * Every part of every section, in no order. Chunks that are constant or empty take no bytes and are no part. The
 * reader's tables are open.
 */
void block_look_parts(const struct block_reader *reader, block_look_part_fn *visit, void *context);
/* Name of a column that is no attribute, e.g. "status message"; NULL: it has a key. */
const char *block_look_column_name(uint32_t column);

/*
 * Everything that a block promises: checksums, zeros in between, tables, order of rows, bounds, counts, zone maps, that
 * every row can be written. Expected is what the directory says of it, or NULL; filters are those of both kinds for this block, or
 * NULL. Holds the whole block in memory.
 */
enum err block_verify(const struct block_source *source, const struct block_summary *expected,
                      const struct filter *filters, look_fault_fn *tell, void *context);

/* ---- backup ------------------------------------------------------------------------------------------ */

/*
 * Is this directory a backup, and whole? tell: a file that is missing or has another size, or "backup" and 0 when the list itself
 * fails its check. *found: there is a list. dir: what would be the data directory.
 */
enum err backup_look(struct io *io, struct io_dir *dir, uint64_t instance,
                     void (*tell)(void *context, const char *file, uint64_t expected_bytes), void *context,
                     bool *found);

/* ---- journal ----------------------------------------------------------------------------------------- */

struct journal_look_file {
    uint16_t shard;
    uint64_t sequence, salt, file_bytes, created_ns;
    bool page_zero; /* behind the header, up to 4096 */
    uint64_t bytes; /* what is there */
};
/* ERR_CORRUPT: no sound header; then only bytes is filled in. */
enum err journal_look_file(struct io *io, struct io_file *file, struct journal_look_file *out);

struct journal_look_frame {
    uint64_t offset; /* in the file */
    uint64_t lsn, lsn_end, next_lsn;
    uint32_t generation, prev_crc, header_crc;
    uint8_t type;
    const char *type_name; /* static text */
    uint32_t body_bytes, plain_bytes, spans;
    uint64_t arrival_ns;
    uint64_t durable_lsn; /* when it was built */
    bool body_sound;
    bool padding_zero;                                /* up to where the next one begins */
    bool control;                                     /* the three below are there */
    uint64_t sealed_lsn, continues_lsn, accepted_lsn; /* of frames that are no batch */
};
/* Returns false to stop. */
typedef bool journal_look_fn(void *context, const struct journal_look_frame *frame);
/*
 * Every frame of the file whose header is sound under the salt and which belongs where it stands, in the order of the
 * file; those of earlier laps behind the newest ones, too. Where there is none the next page is tried.
 */
enum err journal_look_frames(struct io *io, struct io_file *file, const struct journal_look_file *header,
                             journal_look_fn *visit, void *context);

#endif
