/*
 * One query at work on a worker thread: what it may use, what it sees, and how far it came. Made anew for
 * each query from the worker's own parts.
 */
#ifndef QUERY_WORK_H
#define QUERY_WORK_H

#include "arena.h"
#include "block_cache.h"
#include "holds.h"
#include "names_cache.h"
#include "query/query.h"
#include "request.h"
#include "snapshot.h"

#include <stdatomic.h>

struct io;
struct otlp_json;

/* What an answer covered; part of every answer. Blocks count once, however often they are looked into. */
struct coverage {
    uint32_t live_blocks;
    uint32_t blocks;         /* of segments, looked into */
    uint32_t blocks_skipped; /* known not to matter, from their filters and bounds */
    uint32_t fenced_blocks;  /* damaged and perhaps needed: the answer is partial */
};

/* A page of every field of a block: the worker's, for whoever needs it. */
struct page_fields {
    uint64_t values[FIELD_COUNT][BLOCK_PAGE_ROWS];
};

struct work {
    const struct query_config *config; /* borrowed, as all pointers here */
    struct io *io;
    struct otlp_json *otlp_json;
    struct otlp_decoder *decoder;
    struct page_fields *page;
    struct block_cache *cache; /* shared by all workers, as is names */
    struct names_cache *names;
    struct holds *holds;
    const struct request *request;
    const struct exchange_ticket *ticket; /* NULL: nobody who could leave */
    const atomic_bool *stopping;
    uint64_t deadline_ns; /* by io_now_ns() */
    struct arena arena;
    struct snapshot snapshot;
    struct coverage coverage;
};

/* Between units of work: OK, ERR_CANCELLED (the client has left), ERR_CLOSING, ERR_DEADLINE. */
enum err work_check(const struct work *work);

/*
 * Opens a block of the snapshot and charges its memory. Damage (work_is_damage()): the query goes on without the block, and
 * its coverage says so; ERR_CORRUPT: it is fenced.
 */
enum err work_open_block(struct work *work, uint32_t block, struct open_block **out);
/*
 * Closes it, with what came of its use: OK stays OK unless the block took more memory than there is
 * (ERR_TOO_LARGE); ERR_CORRUPT fences it for everybody.
 */
enum err work_close_block(struct work *work, struct open_block *open, enum err err);

/* Does the error say that a block is damaged, or cannot be read? It costs the block, not the answer. */
static inline bool work_is_damage(enum err err)
{
    return err == ERR_CORRUPT || err == ERR_IO;
}

#endif
