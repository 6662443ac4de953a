/*
 * Segments: files of blocks, and the catalog of them (src/store/FORMAT.md, "Segment").
 *
 * A shard's sealer thread appends encoded blocks in LSN order to the shard's open segment; each append is
 * durable and published when segment_append() returns. A segment is closed (footer with interleaved filters,
 * trailer) at 128 blocks, 256 MiB or ten minutes of arrival time, and then immutable. There is no manifest:
 * the directory is the truth.
 *
 *   catalog_open()    recovers every segment of the directory: closed ones by trailer and footer, an open one
 * by walking its blocks (the first bad block ends it, the tail is cut, a footer is written); corrupt blocks
 * in closed segments are fenced and reported, never deleted catalog_acquire() an immutable version for one
 * query; release it when done
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "base/err.h"
#include "store/block.h"
#include "store/filter.h"

struct io;
struct io_dir;
struct metrics;
struct catalog;

struct segment_config {
    uint64_t instance;   /* of this data directory, from the superblock */
    uint32_t blocks_max; /* default 128 */
    uint64_t bytes_max;  /* default 256 MiB */
    uint64_t window_ns;  /* default 10 min */
    uint16_t shards;
};

struct catalog_report {
    uint64_t segments, blocks, spans, bytes;
    uint64_t rebuilt;   /* segments that had no footer */
    uint64_t fenced;    /* blocks that failed their check */
    uint64_t cut_bytes; /* torn tails removed from open segments */
};
enum err catalog_open(struct io *io, struct io_dir *dir, const struct segment_config *config,
                      struct catalog **out, struct catalog_report *report);
void catalog_close(struct catalog *catalog, struct io *io);
/* After catalog_open(): everything of this shard below is in durable blocks. */
uint64_t catalog_sealed_lsn(const struct catalog *catalog, uint16_t shard);
/* One more than the highest block seq seen for the shard. */
uint64_t catalog_next_seq(const struct catalog *catalog, uint16_t shard);

/* Appends to the shard's open segment (opened when needed), durable and in the catalog when OK. One caller
 * per shard at a time. */
enum err segment_append(struct catalog *catalog, struct io *io, uint16_t shard,
                        const struct block_encoded *block);
/* Writes footer and trailer of the shard's open segment, if any. Same caller as segment_append(). */
enum err segment_seal(struct catalog *catalog, struct io *io, uint16_t shard);

/* ---- reading --------------------------------------------------------------------------------------------
 */

/* One immutable version of the list of segments; any thread. */
struct catalog_view;
const struct catalog_view *catalog_acquire(struct catalog *catalog);
void catalog_release(struct catalog *catalog, const struct catalog_view *view);

struct catalog_block {
    struct block_summary summary;
    uint32_t segment; /* index in the view */
    uint32_t index;   /* in the segment */
    uint64_t offset;
    bool fenced;
};
uint32_t catalog_blocks(const struct catalog_view *view);
const struct catalog_block *catalog_block(const struct catalog_view *view, uint32_t index);
/* Is the block (shard, seq) in this version? A query drops a live block that is. */
bool catalog_has(const struct catalog_view *view, uint16_t shard, uint64_t seq);
/* May the block hold the hash? false is certain. Errors read as true. */
bool catalog_may_have_trace(const struct catalog_view *view, uint32_t block, uint64_t hash);
bool catalog_may_have_token(const struct catalog_view *view, uint32_t block, uint64_t hash);
/* Reads bytes of a block with the calling thread's io. */
enum err catalog_read(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t offset,
                      void *buf, size_t len);
/* A block found corrupt while reading is fenced for later queries and counted. */
void catalog_fence(struct catalog *catalog, uint16_t shard, uint64_t seq);

#endif
