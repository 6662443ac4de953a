/*
 * What the files of catalog and segments share. Everything a version reaches is immutable once published;
 * reference counts change under the catalog's mutex only.
 *
 *   catalog ──▶ view (current) ──▶ segment ──▶ segment_file       the open handle
 *                                     ├──────▶ segment_rows       closed: where the interleaved filters are
 *                                     ├──────▶ block_filters[]    not closed: each block's own filters
 *                                     ├──────▶ segment_lineage    merged: what it stands for
 *                                     └──────  segment_ledger_at  merged: where its ledger is
 *
 * A change makes a new segment object and a new view; the old ones live until the last query lets them go.
 * Handles that nothing refers to any more wait on a list for the next caller who brings an io.
 */
#ifndef STORE_CATALOG_PRIVATE_H
#define STORE_CATALOG_PRIVATE_H

#include "io/io.h"
#include "segment_format.h"
#include "store/segment.h"

#include <pthread.h>

enum {
    SEGMENT_NAME_BYTES = 48,
    SEGMENT_BLOCKS_CLOSE = SEGMENT_BLOCKS_MAX -
                           2,         /* highest blocks_max: recovery has room for a damaged one */
    SEGMENT_PIECE_BYTES = 256 * 1024, /* one write, one read of a walk */
    FILTER_TRACE_BITS = 16,           /* per key when built; folded never below the next line */
    FILTER_TRACE_BITS_KEEP = 12,
    FILTER_TOKEN_BITS = 10,
    FILTER_TOKEN_BITS_KEEP = 8,
    FILTER_BITS_MIN = 6, /* fewer at the largest size: no filter at all */
};

struct segment_file {
    unsigned refs;
    bool direct; /* reads need IO_ALIGN; a file is never read buffered while direct writes go on */
    struct io_file *file;
    struct segment_file *next; /* in catalog->closing */
    uint64_t retired_bytes; /* of a file that has lost its name: given back to the disk when it is closed */
    char name[SEGMENT_NAME_BYTES];
};

struct segment_rows {
    unsigned refs;
    uint32_t blocks; /* cells in a row */
    uint32_t cells[SEGMENT_KINDS];
    uint64_t offset[SEGMENT_KINDS];
    uint8_t *resident[SEGMENT_KINDS]; /* all rows without their CRCs, or NULL: read from the file */
    uint64_t resident_bytes;
};

struct block_filters {
    unsigned refs;
    uint32_t keys[SEGMENT_KINDS];
    struct filter kind[SEGMENT_KINDS]; /* bytes point behind this struct */
};

/* What a merged segment stands for (segment_lineage.c). */
struct segment_lineage {
    unsigned refs;
    uint32_t replaces_count, positions_count;
    struct segment_replaced *replaces; /* both point behind this struct */
    struct segment_position *positions;
};

/* Where the ledger of a merged segment lies; bytes 0: there is none, or it is lost. */
struct segment_ledger_at {
    uint64_t offset;
    uint32_t bytes, crc;
    uint32_t minute_first, minute_last;
};

struct segment {
    unsigned refs;
    struct segment_identity identity;
    uint8_t level;
    struct segment_lineage *lineage; /* NULL: none */
    struct segment_ledger_at ledger;
    struct segment_file *file;
    struct segment_rows *rows;      /* NULL: not closed, filters[] count */
    struct block_filters **filters; /* one per block, each may be NULL; NULL when closed */
    uint32_t blocks_count;
    struct catalog_block *blocks;
    bool has_copies; /* a block of it stands in another file, too, and would be used if this one were gone */
    bool
        unfiltered; /* recovered: its filters are still to be built, and exclude nothing (segment_filters.c) */
};

struct catalog_view {
    unsigned refs;
    struct catalog *catalog;
    uint32_t segments_count, blocks_count;
    struct segment **segments;
    uint32_t *first;    /* number of each segment's first block */
    uint64_t *next_seq; /* of each shard below shards_count: smaller ones are, or were, in this version */
    uint32_t shards_count;
};

/* The segment that a shard appends to. Touched by the shard's one caller only. */
struct segment_open {
    bool open;
    struct segment_identity identity;
    struct segment_file *file;
    uint64_t offset;         /* of the next block */
    uint32_t blocks;         /* published ones */
    uint64_t arrival_min_ns; /* of the first block */
};

struct catalog_shard {
    uint64_t sealed_lsn, next_seq; /* under the mutex */
    uint64_t next_segment;         /* the shard's caller */
    struct segment_open open;
    bool copied; /* a failed append may have left block copied_seq in a file that stays; the shard's caller */
    uint64_t copied_seq;
};

/* The filters of a recovered segment, on their way. Touched by the caller of catalog_build_filters() only. */
struct segment_filters {
    struct segment_identity of; /* which segment */
    uint32_t next;              /* place of the block that is next; all: the footer is */
    bool incomplete;            /* a block could not be read: the file stays as it is */
    bool given_up;              /* until the next start */
    uint64_t began_ns;
    struct block_filters *of_block[SEGMENT_BLOCKS_MAX]; /* by index in the file; refs under the mutex */
};

enum { CATALOG_GRAVES_MAX = 256 };

struct catalog {
    struct segment_config config; /* defaults filled in */
    struct io_dir *dir;           /* segments/ */
    struct catalog_shard *shards; /* CATALOG_MERGED + 1 */
    struct segment_filters filters;
    /* names of files to be removed; touched by the caller of catalog_retire() only */
    char graves[CATALOG_GRAVES_MAX][SEGMENT_NAME_BYTES];
    uint32_t graves_count;
    uint64_t merged_taken; /* numbers of merged blocks below are taken; same caller */

    pthread_mutex_t mutex; /* all below, all refs */
    uint32_t shards_count; /* that have a position */
    struct catalog_view *current;
    struct segment_file *closing;
    uint64_t resident_bytes;
    uint64_t retired_bytes; /* of files that readers still hold */
    uint64_t kept_bytes;    /* of files that backups still hold, and retention has removed */
    uint64_t fenced;
    uint64_t unfiltered; /* blocks of segments that are */
};

/* ---- objects (catalog_objects.c); the makers return NULL when there is no memory --------------------- */

struct segment *segment_make(const struct segment_identity *identity, struct segment_file *file,
                             uint32_t blocks, bool closed);
/* Bytes of its file, as far as they are known from here: without the padding before the trailer. */
uint64_t segment_bytes(const struct segment *segment);
uint64_t segment_spans(const struct segment *segment);
/* Of its spans; UINT64_MAX and 0 when it has none. */
uint64_t segment_arrival_min(const struct segment *segment);
uint64_t segment_arrival_max(const struct segment *segment);
/* The parts of an object that are the same as long as the file is. Under the mutex, or when it is not shared. */
void segment_inherit(struct segment *segment, const struct segment *from);
/* A private copy with room for extra blocks; refers to the same file, rows and filters. Under the mutex. */
struct segment *segment_copy(const struct segment *from, uint32_t extra);
/* The six drops are called under the mutex, or before anything is shared. */
void segment_drop(struct catalog *catalog, struct segment *segment);
void segment_file_drop(struct catalog *catalog, struct segment_file *file);
void segment_rows_drop(struct catalog *catalog, struct segment_rows *rows);
/* Rows that no version has: they are not counted. NULL is allowed. */
void segment_rows_free(struct segment_rows *rows);
void block_filters_drop(struct block_filters *filters);
void segment_lineage_drop(struct segment_lineage *lineage);
void catalog_view_drop(struct catalog *catalog, struct catalog_view *view);

/* Cells are sized for the counts; the hashes are added by filter_add(). */
struct block_filters *block_filters_make(uint64_t traces, uint64_t tokens);
/* Those of a block by its number in the file, out of rows that are in memory; a kind that is not excludes nothing. */
struct block_filters *block_filters_of_rows(const struct segment_rows *rows, uint32_t index);
/* Both, of a block that was encoded. */
struct block_filters *block_filters_of(const struct block_encoded *block);
struct catalog_view *catalog_view_make(struct catalog *catalog, struct segment *const *segments,
                                       uint32_t count);
/*
 * Makes the version in which `replacement` stands in the place of the segment with its identity, or at the
 * end. Under the mutex. Takes over the caller's reference, also on failure (ERR_NO_MEMORY).
 */
enum err catalog_publish(struct catalog *catalog, struct segment *replacement);
/*
 * The shard has come as far as this, also in the current version. Under the mutex, right after that version was published,
 * or at start-up.
 */
void catalog_note_position(struct catalog *catalog, uint16_t shard, uint64_t next_seq, uint64_t sealed_lsn);
/* Are all of them of the current version? */
bool catalog_has_all(struct catalog *catalog, struct segment *const *inputs, uint32_t count);
/*
 * Makes the version in which `output` (may be NULL) stands in the place of all inputs, which are of the current
 * version. Under the mutex. Takes over the reference to output, also on failure. ERR_NOT_FOUND: an input is gone.
 */
enum err catalog_replace(struct catalog *catalog, struct segment *const *inputs, uint32_t count,
                         struct segment *output);
/* The current object of a segment, or NULL. Under the mutex. */
struct segment *catalog_find_segment(struct catalog *catalog, const struct segment_identity *identity);
/* Closes handles that nothing refers to any more. */
void catalog_close_files(struct catalog *catalog, struct io *io);

/* ---- files (segment_file.c) -------------------------------------------------------------------------- */

/* flags of io_file_open(); IO_DIRECT decides how it is read. */
enum err segment_file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                           struct segment_file **out);
/*
 * A new file of the shard in identity, with its header written (not synced). Fills in the rest of identity but block_seq
 * and lsn_first. suffix: "seg", or "tmp" for one that gets its name when it is complete. On failure nothing is left
 * behind, if that can be done.
 */
enum err segment_file_create(struct catalog *catalog, struct io *io, const char *suffix,
                             struct segment_identity *identity, struct segment_file **out);
void segment_name(const struct segment_identity *identity, const char *suffix, char out[SEGMENT_NAME_BYTES]);
/*
 * Drops the reference and removes the file: it holds nothing. An error: it may still be there, which is logged; callers who do not
 * mind let it be. It comes back after a crash unless the directory is synced, too.
 */
enum err segment_file_discard(struct catalog *catalog, struct io *io, struct segment_file *file);
/* Exactly len bytes, of any alignment. ERR_CORRUPT: the file ends before. */
enum err segment_file_read(const struct segment_file *file, struct io *io, uint64_t offset, void *buf,
                           size_t len);
/* len is a multiple of IO_ALIGN, bytes are aligned: goes out in pieces of SEGMENT_PIECE_BYTES. */
enum err segment_file_write(const struct segment_file *file, struct io *io, uint64_t offset,
                            const uint8_t *bytes, size_t len);
/* A block's bytes; offsets and bytes are multiples of IO_ALIGN. */
enum err segment_file_copy(struct io *io, const struct segment_file *from, uint64_t offset,
                           const struct segment_file *to, uint64_t to_offset, uint64_t bytes);

/* A number that is guarded by the mutex; any thread. */
uint64_t catalog_number(const struct catalog *catalog, const uint64_t *number);

/* ---- lineage (segment_lineage.c) ---------------------------------------------------------------------- */

/* Of a segment that is to stand for these. NULL: no memory. */
struct segment_lineage *segment_lineage_of(struct segment *const *inputs, uint32_t count);
bool segment_lineage_replaces(const struct segment_lineage *lineage, const struct segment_identity *identity);
size_t segment_lineage_bytes(const struct segment_lineage *lineage); /* in a directory; NULL: 0 */
void segment_lineage_write(const struct segment_lineage *lineage, uint8_t *out);
/* *out is NULL when the directory has none. bytes: behind its entries; checked before. */
enum err segment_lineage_read(const struct segment_directory *directory, const uint8_t *bytes,
                              struct segment_lineage **out);

/* ---- ledgers (segment_ledger.c) ------------------------------------------------------------------------ */

/* Adds the ledger of a segment that stands for others. ERR_NOT_FOUND: it has none. ERR_CORRUPT: `into` is worthless. */
enum err segment_ledger_read(const struct segment *segment, struct io *io, struct ledger *into);
/* Writes it at an offset of the segment's file, which becomes that behind it, and notes where. */
enum err segment_ledger_write(struct segment *segment, struct io *io, struct ledger *ledger,
                              uint64_t *offset);

/* ---- closing (segment_footer.c) ---------------------------------------------------------------------- */

/*
 * Writes directory, rows and trailer at offset, cuts the file behind them and syncs it. The segment is not
 * closed: its filters are given; without any there are no rows. keep: hold the trace rows in memory.
 * ERR_NO_SPACE: nothing was written, but the file may have grown.
 */
enum err segment_footer_write(struct io *io, const struct segment *segment, uint64_t offset, bool keep,
                              struct segment_rows **out);
/* Reads all rows of a kind into memory, each checked. */
enum err segment_rows_load(struct io *io, const struct segment_file *file, struct segment_rows *rows,
                           enum filter_kind kind);
/*
 * The whole of closing: footer, then the file opened anew for buffered reading. Returns the segment as it is
 * to be published (the blocks as the catalog has them now, or as given). Takes the mutex.
 */
enum err segment_finish(struct catalog *catalog, struct io *io, const struct segment *segment,
                        uint64_t offset, struct segment **out);
/* The object of a closed file with these blocks, lineage and rows (taken over). NULL: no memory. */
struct segment *segment_closed(const struct segment *segment, struct segment_file *file,
                               struct segment_rows *rows);
/* Is there memory for the trace rows of one more segment? Takes the mutex. */
bool segment_rows_may_stay(struct catalog *catalog);

/* ---- what stands for others (segment_merged.c, catalog_retire.c) -------------------------------------- */

/* A merged segment on its way. One thread. */
struct segment_merged {
    struct catalog *catalog;
    struct segment *segment; /* with filters; its file is still "tmp" */
    struct ledger *ledger;   /* of all inputs; whoever leaves rows out moves them there */
    struct ledger *counted;  /* rows of the blocks that were appended */
    bool copies;             /* blocks were copied, and not counted */
    uint64_t offset;
    uint64_t bytes; /* of the segment, with its filters; once it has replaced others */
};
/* Room for SEGMENT_BLOCKS_MAX blocks. inputs: what it is to stand for, segments of the view. */
enum err segment_merged_begin(const struct catalog_view *view, struct io *io, uint8_t level,
                              struct segment *const *inputs, uint32_t count, struct segment_merged *out);
/* Writes a block behind the others; ERR_NO_SPACE, or any other failure: discard all of it. */
enum err segment_merged_append(struct segment_merged *merged, struct io *io,
                               const struct block_encoded *block);
/* The same with a block of another segment, as it is, whose sums were checked; takes over the filters, if it succeeds. */
enum err segment_merged_copy(struct segment_merged *merged, struct io *io, const struct segment *from,
                             uint32_t place, struct block_filters *filters);
/*
 * It takes the place of its inputs: footer, sync, name, catalog, and they are removed. ERR_SUPERSEDED: something else has
 * taken the place of one meanwhile; then it gets no name, for the next start would believe it, published or not. ERR_CORRUPT:
 * its blocks do not have the rows that its ledger says are left.
 */
enum err segment_merged_replace(struct segment_merged *merged, struct io *io, struct segment *const *inputs,
                                uint32_t count);
/* After any of them, unless it has become a segment. */
void segment_merged_discard(struct segment_merged *merged, struct io *io);

/*
 * The version with output (may be NULL) instead of the inputs; then the inputs' files are removed. A file that
 * cannot be removed is tried again by catalog_bury(), and until it is gone nothing else may be retired: a start finds
 * it by the lineage of output. One caller at a time. Takes over the reference to output.
 */
enum err catalog_retire(struct catalog *catalog, struct io *io, struct segment *const *inputs, uint32_t count,
                        struct segment *output);
/*
 * A number for a block of CATALOG_MERGED. Outputs that are under way side by side must not have the same: a start uses a
 * block that it finds twice once. Same caller as catalog_retire().
 */
uint64_t catalog_take_merged_seq(struct catalog *catalog);
/* A file that is to be removed. Only when no other is left, or by the one who has put that there. */
void catalog_dig(struct catalog *catalog, const struct segment *segment);
/* False: files that should be gone are still there. */
bool catalog_bury(struct catalog *catalog, struct io *io);

/* ---- recovery (segment_load.c, segment_walk.c, segment_recover.c, segment_filters.c) ----------------- */

/* Reads directory and trace rows of a closed segment. ERR_CORRUPT: not closed, or damaged; *directory_offset
 * is then where its blocks end, if a sound trailer says so, else 0. */
enum err segment_load(struct catalog *catalog, struct io *io, struct segment_file *file, uint64_t file_bytes,
                      uint64_t *directory_offset, struct segment **out);

/* Neither rows nor filters, and blocks that could have some. */
bool segment_lacks_filters(const struct segment *segment);
/* Under the mutex, or when nobody is left. */
void segment_filters_drop(struct segment_filters *build);

/* A walk over the blocks of a file without a sound directory. It builds no filters. */
struct segment_walk {
    struct io *io;
    const struct segment_file *file;
    uint64_t file_bytes; /* how far blocks may reach */
    bool based;          /* the header was sound: shard, seq and LSN are known beforehand */
    /* the outcome */
    struct segment *segment; /* room for SEGMENT_BLOCKS_MAX; made by the caller */
    uint64_t end;            /* behind the last good block */
    uint64_t fenced;         /* bad blocks with good ones behind them */
    bool keep;               /* not all was understood (device errors, too many blocks): nothing may be cut */
    /* private */
    uint64_t seq_floor, lsn_floor;
    uint8_t *page;
};
enum err segment_walk(struct segment_walk *walk);

/*
 * Writes the last block of a segment that is not closed (and not shared yet) to a new file, durably, and takes it out
 * of `from`. On failure `from` is as it was.
 */
enum err segment_move_last(struct catalog *catalog, struct io *io, struct segment *from,
                           struct segment **moved);

struct segment_found {
    struct segment *segment; /* NULL: the file holds nothing of ours */
    struct segment *moved;   /* its last block, in a file of its own now; or NULL */
    uint64_t cut_bytes;
    uint64_t fenced;
    bool rebuilt;
    bool ignored; /* left alone */
};
/* Opens one file of the directory, and closes it properly if it was not. */
enum err segment_recover(struct catalog *catalog, struct io *io, const char *name, struct segment_found *out);

#endif
