/*
 * What the files of catalog and segments share. Everything a version reaches is immutable once published;
 * reference counts change under the catalog's mutex only.
 *
 *   catalog ──▶ view (current) ──▶ segment ──▶ segment_file       the open handle
 *                                     ├──────▶ segment_rows       closed: where the interleaved filters are
 *                                     └──────▶ block_filters[]    not closed: each block's own filters
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

struct segment {
    unsigned refs;
    struct segment_identity identity;
    struct segment_file *file;
    struct segment_rows *rows;      /* NULL: not closed, filters[] count */
    struct block_filters **filters; /* one per block, each may be NULL; NULL when closed */
    uint32_t blocks_count;
    struct catalog_block *blocks;
    bool
        unfiltered; /* recovered: its filters are still to be built, and exclude nothing (segment_filters.c) */
};

struct catalog_view {
    unsigned refs;
    struct catalog *catalog;
    uint32_t segments_count, blocks_count;
    struct segment **segments;
    uint32_t *first; /* number of each segment's first block */
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
};

/* The filters of a recovered segment, on their way. Touched by the caller of catalog_build_filters() only. */
struct segment_filters {
    uint32_t next;   /* place of the block that is next; all: the footer is */
    bool incomplete; /* a block could not be read: the file stays as it is */
    bool given_up;   /* until the next start */
    uint64_t began_ns;
    struct block_filters *of_block[SEGMENT_BLOCKS_MAX]; /* by index in the file; refs under the mutex */
};

struct catalog {
    struct segment_config config; /* defaults filled in */
    struct io_dir *dir;           /* segments/ */
    struct catalog_shard *shards; /* CATALOG_SHARDS_MAX */
    struct segment_filters filters;

    pthread_mutex_t mutex; /* all below, all refs */
    struct catalog_view *current;
    struct segment_file *closing;
    uint64_t resident_bytes;
    uint64_t fenced;
    uint64_t unfiltered; /* blocks of segments that are */
};

/* ---- objects (catalog_objects.c); the makers return NULL when there is no memory --------------------- */

struct segment *segment_make(const struct segment_identity *identity, struct segment_file *file,
                             uint32_t blocks, bool closed);
/* A private copy with room for extra blocks; refers to the same file, rows and filters. Under the mutex. */
struct segment *segment_copy(const struct segment *from, uint32_t extra);
/* The five drops are called under the mutex, or before anything is shared. */
void segment_drop(struct catalog *catalog, struct segment *segment);
void segment_file_drop(struct catalog *catalog, struct segment_file *file);
void segment_rows_drop(struct catalog *catalog, struct segment_rows *rows);
void block_filters_drop(struct block_filters *filters);
void catalog_view_drop(struct catalog *catalog, struct catalog_view *view);

/* Cells are sized for the counts; the hashes are added by filter_add(). */
struct block_filters *block_filters_make(uint64_t traces, uint64_t tokens);
struct catalog_view *catalog_view_make(struct catalog *catalog, struct segment *const *segments,
                                       uint32_t count);
/*
 * Makes the version in which `replacement` stands in the place of the segment with its identity, or at the
 * end. Under the mutex. Takes over the caller's reference, also on failure (ERR_NO_MEMORY).
 */
enum err catalog_publish(struct catalog *catalog, struct segment *replacement);
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
 * and lsn_first. On failure nothing is left behind, if that can be done.
 */
enum err segment_file_create(struct catalog *catalog, struct io *io, struct segment_identity *identity,
                             struct segment_file **out);
/* Drops the reference and removes the file: it holds nothing. */
void segment_file_discard(struct catalog *catalog, struct io *io, struct segment_file *file);
/* Exactly len bytes, of any alignment. ERR_CORRUPT: the file ends before. */
enum err segment_file_read(const struct segment_file *file, struct io *io, uint64_t offset, void *buf,
                           size_t len);
/* len is a multiple of IO_ALIGN, bytes are aligned: goes out in pieces of SEGMENT_PIECE_BYTES. */
enum err segment_file_write(const struct segment_file *file, struct io *io, uint64_t offset,
                            const uint8_t *bytes, size_t len);

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
