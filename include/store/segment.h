/*
 * Segments: files of blocks, and the catalog of them (src/store/FORMAT.md, "Segment").
 *
 * A shard's sealer thread appends encoded blocks in LSN order to the shard's open segment; each append is
 * durable and published when segment_append() returns. A segment is closed (footer with interleaved filters,
 * trailer) at 32 blocks, 256 MiB or ten minutes of arrival time, and then immutable. There is no manifest:
 * the directory is the truth.
 *
 *   catalog_open()    recovers every segment of the directory: closed ones by trailer and footer, an open one
 *                     by walking its blocks (the torn tail is cut, a footer is written); blocks found corrupt
 *                     later are fenced and reported, never deleted
 *   catalog_build_filters()   afterwards, in the background: what the walk has left out
 *   catalog_acquire() an immutable version for one query; release it when done
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "base/err.h"
#include "store/block.h"
#include "store/filter.h"

struct io;
struct io_dir;
struct catalog;

enum {
    SEGMENT_BLOCKS_MAX = 256, /* in one file, whatever the configuration says */
    CATALOG_SHARDS_MAX = 1024,
    CATALOG_MERGED = CATALOG_SHARDS_MAX, /* "shard" of what compaction has made of many shards' blocks */
};

struct segment_config {
    uint64_t instance;         /* of this data directory, from the superblock */
    uint32_t blocks_max;       /* 0: 32; so many are open at a time when the segment is merged */
    uint64_t bytes_max;        /* 0: 256 MiB */
    uint64_t window_ns;        /* 0: 10 min */
    uint64_t filter_bytes_max; /* trace filters of closed segments kept in memory; 0: 64 MiB; beyond: read */
    uint16_t shards;
};

struct catalog_report {
    uint64_t segments, blocks, spans, bytes;
    uint64_t rebuilt;    /* segments that had no valid footer */
    uint64_t fenced;     /* blocks that failed their check */
    uint64_t cut_bytes;  /* torn tails removed from open segments */
    uint64_t duplicates; /* blocks present twice: the first was kept */
    uint64_t gaps;       /* places where blocks of a shard are missing */
    uint64_t ignored;    /* files that are no segments of this instance; left alone */
};
/*
 * dir is the data directory; segments lie in its subdirectory "segments", made when missing. dir is borrowed
 * for the call. ERR_VERSION: a segment needs a newer reader.
 */
enum err catalog_open(struct io *io, struct io_dir *dir, const struct segment_config *config,
                      struct catalog **out, struct catalog_report *report);
/* No view may be held. Open segments stay unclosed on disk unless segment_seal() was called. */
void catalog_close(struct catalog *catalog, struct io *io);
/* Everything of this shard below is in durable blocks. Any thread. */
uint64_t catalog_sealed_lsn(const struct catalog *catalog, uint16_t shard);
/* One more than the highest block seq seen for the shard. */
uint64_t catalog_next_seq(const struct catalog *catalog, uint16_t shard);

/*
 * Appends to the shard's open segment (opened when needed), durable and in the catalog when OK. One caller
 * per shard at a time. On failure nothing is in the catalog; the same block may be appended again, and goes
 * to a new file if the old one cannot be trusted any more.
 */
enum err segment_append(struct catalog *catalog, struct io *io, uint16_t shard,
                        const struct block_encoded *block);
/* Writes footer and trailer of the shard's open segment, if any. Same caller as segment_append(). On failure
 * its blocks stay readable, and the next start writes the footer. */
enum err segment_seal(struct catalog *catalog, struct io *io, uint16_t shard);

/*
 * The blocks of a segment that was walked have no filters yet: until they are built, these blocks are never excluded,
 * which is exact, and slow. A call builds the filters of one block, or writes those of a segment to its file; false: there
 * was nothing to do. One caller at a time, of any thread, with its io. Holds one block's columns and one
 * segment's filters.
 */
bool catalog_build_filters(struct catalog *catalog, struct io *io);
/* Blocks that wait for their filters. Any thread. */
uint64_t catalog_unfiltered(const struct catalog *catalog);

/*
 * Bytes of files that are gone from the directory, but not from the disk: versions that queries hold still refer to them.
 * Any thread.
 */
uint64_t catalog_retired_bytes(const struct catalog *catalog);
/*
 * Bytes of segments that retention has removed and that are on the disk all the same, because a backup has them: more need
 * not go for the same room. Any thread.
 */
void catalog_set_kept_bytes(struct catalog *catalog, uint64_t bytes);
uint64_t catalog_kept_bytes(const struct catalog *catalog);
/* Closes such files that nobody refers to any more. Any thread, with its io. */
void catalog_close_retired(struct catalog *catalog, struct io *io);

struct catalog_size {
    uint64_t segments, blocks, spans;
    uint64_t bytes;                          /* of segments with blocks: what a limit is about */
    uint64_t ledger_bytes;                   /* of those that only stand for what has gone */
    uint64_t arrival_min_ns, arrival_max_ns; /* of its spans; 0: there are none */
};
/* What is in use now. Any thread. */
struct catalog_size catalog_size(struct catalog *catalog);
/* Of the file system that the segments lie on. */
enum err catalog_space(const struct catalog *catalog, struct io *io, uint64_t *free_bytes,
                       uint64_t *total_bytes);

/* ---- reading ----------------------------------------------------------------------------------------- */

/* One immutable version of the list of segments; any thread. Oldest first. */
struct catalog_view;
const struct catalog_view *catalog_acquire(struct catalog *catalog);
/* Once more, of one that is held. */
void catalog_hold(struct catalog *catalog, const struct catalog_view *view);
void catalog_release(struct catalog *catalog, const struct catalog_view *view);

struct catalog_block {
    struct block_summary summary;
    uint64_t offset; /* in the file */
    uint32_t index;  /* in the file */
    bool fenced;     /* damaged: not to be read; the answer is partial */
    bool stray;      /* private: found behind damage in an open segment, so it does not move the sealed LSN */
};
uint32_t catalog_blocks(const struct catalog_view *view);
const struct catalog_block *catalog_block(const struct catalog_view *view, uint32_t block);
/*
 * Are the spans of the shard's block with this number in this version, or have they been: in that block, merged, or
 * expired? A query drops a live block of which that is true.
 */
bool catalog_has(const struct catalog_view *view, uint16_t shard, uint64_t seq);

/* The blocks of one segment lie side by side: block numbers first to first + count - 1. */
uint32_t catalog_segments(const struct catalog_view *view);
uint32_t catalog_segment_blocks(const struct catalog_view *view, uint32_t segment, uint32_t *first);

/*
 * May the blocks hold the hash? false is certain; errors read as true. One small read, or none, answers for a
 * whole segment: may[i] is for block first + i.
 */
enum filter_kind { FILTER_TRACE, FILTER_TOKEN };
void catalog_filter(const struct catalog_view *view, struct io *io, uint32_t segment, enum filter_kind kind,
                    uint64_t hash, bool may[SEGMENT_BLOCKS_MAX]);
/* The same for one block. */
bool catalog_may_have_trace(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t hash);
bool catalog_may_have_token(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t hash);

/* Reads bytes of a block with the calling thread's io; offset is relative to the block. ERR_CORRUPT: beyond
 * its end. */
enum err catalog_read(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t offset,
                      void *buf, size_t len);
/* A reader's way to one block's bytes: stays in place, and the view held, until the reader is closed. */
struct catalog_source {
    struct block_source source; /* private, as all of it */
    const struct catalog_view *view;
    struct io *io;
    uint32_t block;
};
/*
 * Opens a block of the view and checks that it is the one the catalog means. ERR_CORRUPT: fenced, or found
 * damaged now, and then fenced for later queries.
 */
enum err catalog_open_block(const struct catalog_view *view, struct io *io, uint32_t block,
                            struct catalog_source *storage, struct block_reader **out);
struct ledger;
struct ledger_range;
/*
 * Adds what a segment of the view knows of its spans, and of those that it stands for, in a range of time. *damaged becomes
 * true where some of it could not be read: then all that is known is what its blocks have (or, where they cannot be read
 * either, how many rows), as if nothing else had been received. ERR_IO, ERR_NO_MEMORY: `into` is worthless.
 */
enum err catalog_ledger(const struct catalog_view *view, struct io *io, uint32_t segment,
                        const struct ledger_range *range, struct ledger *into, bool *damaged);
/* A block found corrupt while reading is fenced for later queries and counted. Any thread. */
void catalog_fence(struct catalog *catalog, uint16_t shard, uint64_t seq);
/* Blocks fenced now, for metrics and readiness. Any thread. */
uint64_t catalog_fenced(const struct catalog *catalog);

#endif
