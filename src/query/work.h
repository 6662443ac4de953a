/*
 * One query at work on a worker thread: what it may use, what it sees, and how far it came. Made anew for
 * each query from the worker's own parts.
 */
#ifndef QUERY_WORK_H
#define QUERY_WORK_H

#include "arena.h"
#include "query/query.h"
#include "request.h"
#include "snapshot.h"

#include <stdatomic.h>

struct io;
struct otlp_json;
struct block_reader;

/* What an answer covered; part of every answer. Blocks count once, however often they are looked into. */
struct coverage {
    uint32_t live_blocks;
    uint32_t blocks;         /* of segments, looked into */
    uint32_t blocks_skipped; /* known not to matter, from their filters and bounds */
    uint32_t fenced_blocks;  /* damaged and perhaps needed: the answer is partial */
};

struct work {
    const struct query_config *config; /* borrowed, as all pointers here */
    struct io *io;
    struct otlp_json *otlp_json;
    const struct request *request;
    const struct exchange_ticket *ticket;
    const atomic_bool *stopping;
    uint64_t deadline_ns; /* by io_now_ns() */
    struct arena arena;
    struct snapshot snapshot;
    struct coverage coverage;
};

/* Between units of work: OK, ERR_CANCELLED (the client has left), ERR_CLOSING, ERR_DEADLINE. */
enum err work_check(const struct work *work);

/*
 * Opens a block of the snapshot and charges its memory. ERR_CORRUPT: it was fenced, and is counted as such in
 * the coverage; the query goes on without it. work_settle() after use counts what the reader took meanwhile.
 */
struct open_block {
    struct catalog_source source;
    struct block_reader *reader;
    uint32_t block;
    size_t charged_bytes;
};
enum err work_open_block(struct work *work, uint32_t block, struct open_block *out);
/* ERR_TOO_LARGE: the query uses too much memory. */
enum err work_settle(struct work *work, struct open_block *open);
void work_close_block(struct work *work, struct open_block *open);
/* A block that is damaged: fences it for everybody and counts it. */
void work_fence(struct work *work, uint32_t block);

#endif
