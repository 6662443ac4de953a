/*
 * A merge: the spans of many blocks, sorted by trace, become the rows of one live block after another, each of which is
 * encoded as usual. So what is merged went through the same decoder, tables and encoder as what came in, and only this
 * file knows that there are several inputs.
 *
 *   merge_open()    the blocks of some segments of a version, which must be held meanwhile
 *   merge_next()    the next block, ready to be written; *spans 0: there is none
 *   merge_close()
 *
 * Spans that are equal in everything, resource and scope included, are kept once. Within a trace the order of spans is
 * that of the inputs. One thread.
 */
#ifndef STORE_MERGE_H
#define STORE_MERGE_H

#include "store/block.h"
#include "store/ledger.h"
#include "store/segment.h"

enum {
    MERGE_STREAMS_MAX = 32,        /* blocks that are open at a time: some 8 to 12 MiB each */
    MERGE_ROWS_CLOSE = 128 * 1024, /* of an output block, at the end of the trace that reaches it */
};

struct merge;
struct io;

/* What is reused from one merge to the next: a live block, an encoder, a decoder. */
struct merge_tools;
enum err merge_tools_open(struct merge_tools **out);
void merge_tools_close(struct merge_tools *tools);

/* What a merge takes. Each may be NULL: all. block is a number in the view. */
struct merge_sieve {
    bool (*takes_trace)(void *context, const struct trace_id *id);
    bool (*takes_row)(void *context, uint32_t block, uint32_t row);
    bool (*takes_span)(void *context, const struct trace_id *id, struct slice service);
    void *context;
    enum ledger_count left_out_as; /* what becomes of the others, in the ledger */
};

/*
 * segments: numbers in the view. ledger: of all of them; rows that are left out are moved in it. ERR_TOO_LARGE: more than MERGE_STREAMS_MAX blocks would be open (merge_streams()).
 * ERR_CORRUPT: a block is damaged; it is fenced now.
 */
enum err merge_open(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                    const uint32_t *segments, uint32_t count, struct ledger *ledger, struct merge **out);
/* The same for blocks first to first + count - 1, of which only some rows are taken. The sieve must stay. */
enum err merge_open_some(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                         uint32_t first, uint32_t count, const struct merge_sieve *sieve,
                         struct ledger *ledger, struct merge **out);
/*
 * The next block, as number seq of CATALOG_MERGED; borrowed from the tools until the next call. Its traces follow those
 * of the block before; only a trace that is too large for a block is in two. Errors as for merge_open(); after one, only
 * merge_close() is allowed.
 */
enum err merge_next(struct merge *merge, uint64_t seq, struct block_encoded *out);
/* Spans read and taken, and among them those left out because they were there already, so far. */
void merge_counts(const struct merge *merge, uint64_t *spans, uint64_t *duplicates);
void merge_close(struct merge *merge);

/* How many blocks from first on, below end, need so many streams at most. */
uint32_t merge_run(const struct catalog_view *view, uint32_t first, uint32_t end, uint32_t streams_max);
/* How many blocks have to be open at a time: those of a segment that are in order among themselves count as one. */
uint32_t merge_streams(const struct catalog_view *view, uint32_t segment);

#endif
