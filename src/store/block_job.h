/*
 * One encoding of a live block, shared by the files that carry it out: block_plan.c, block_page.c, block_tables.c and
 * block_encode.c, which tells the story. Private to them.
 */
#ifndef STORE_BLOCK_JOB_H
#define STORE_BLOCK_JOB_H

#include "block_buffer.h"
#include "block_order.h"
#include "store/ledger.h"

enum { PAGE = BLOCK_PAGE_ROWS, UNASSIGNED = 0xffffffff };

/* What is known of one column while encoding. */
struct column_plan {
    uint32_t values;  /* in the block, those in constants of shapes included */
    uint32_t varying; /* values in the column's chunks */
    uint8_t mode;
    bool repeats;                    /* pairs that were not looked up turned out to repeat */
    uint32_t first, distinct;        /* dictionary: job.entries[first .. first + distinct) are its pairs */
    uint32_t page_count, page_first; /* values in the page being written */
    int64_t min, max;                /* of integer values, over all pairs */
    uint32_t longest;                /* bytes of a value, over all pairs */
};

/* A distinct (service, span name, kind). */
struct operation {
    uint32_t resource, name; /* the first resource of the service; pair id */
    int32_t kind;
};

/* Which columns the slots of a shape go to, in their order: job.scatter[first .. first + count). */
struct shape_plan {
    uint32_t first, count;
};

/* One page's fixed fields, gathered row by row and written column by column. */
struct page_fields {
    uint32_t pattern[PAGE], events[PAGE], links[PAGE];
    uint32_t slots_first[PAGE], events_first[PAGE];
    uint32_t parent[PAGE];
    uint64_t start[PAGE], duration[PAGE], start_base[PAGE], start_delta[PAGE];
    uint64_t parent_raw[PAGE];
};

struct child_fields {
    struct bytes time, pattern, dropped, shape, trace, span, flags, bits;
};

/* How often each of some kinds occurs in the page, and which do at all. */
struct page_uses {
    struct bytes uses;    /* uint32_t[], all zero between pages */
    struct bytes touched; /* uint32_t[] */
};

struct block_encoder {
    struct block_output output;
    struct chunk_writer chunks;
    struct page_fields fields;
    struct child_fields children;
    /* sized by the block at hand, grown only */
    struct bytes keys, keys_scratch, buckets; /* struct order_key[], uint32_t[] */
    struct bytes span_ids;                    /* uint64_t[], in order */
    struct bytes plans;                       /* struct column_plan[] */
    struct bytes cursors;                     /* uint32_t[] by column: next value in the page */
    struct bytes shape_plans, scatter;        /* struct shape_plan[], uint16_t[] */
    struct bytes pair_ids, entries;           /* uint32_t[] by pair; pairs by column and dictionary id */
    struct bytes values, ids;                 /* uint32_t[] of a page */
    struct bytes wide;                        /* uint64_t[] */
    struct page_uses patterns, event_patterns, shapes;
    struct bytes shape_uses;  /* uint32_t[] of the whole block */
    struct bytes parents;     /* span id -> row, for large traces */
    struct bytes repeats;     /* tokens or pairs by hash, see block_plan.c */
    struct bytes chunk_table; /* struct block_chunk[pages][streams] */
    struct bytes page_table;
    struct bytes pieces, piece_bytes;
    struct bytes trace_ids, trace_rows, trace_hashes, token_hashes;
    struct bytes operations, operation_table, services;
    struct bytes text;
    struct ledger *ledger;
};

/* What one call of block_encode() works on. */
struct job {
    struct block_encoder *encoder;
    const struct live_block *live;
    uint32_t rows, pages, streams, columns;
    struct order_key *order;
    uint64_t *span_ids;
    struct column_plan *plans;
    uint32_t *cursors;
    struct shape_plan *shape_plans;
    uint16_t *scatter;
    uint32_t *pair_ids; /* dictionary id of each pair, UNASSIGNED: it has none */
    uint32_t *entries;
    struct block_chunk *chunk_table;
    struct block_summary summary;
    uint32_t events, links;
    uint32_t traces;
    uint32_t trace_first; /* first row of the trace that the page walk is in */
};

/* An array of count elements of size bytes in a buffer, all bytes set to fill; NULL when there is no memory. */
void *job_array(struct bytes *bytes, size_t count, size_t size, int fill);
/* The same without touching what it holds. */
void *job_array_raw(struct bytes *bytes, size_t count, size_t size);

static inline uint32_t *as_u32(const struct bytes *bytes)
{
    return (uint32_t *)(void *)bytes->ptr;
}

/* The dictionary id of a string in a fixed column: entry 0 of those is the empty string. */
static inline uint32_t string_id(const struct job *job, uint32_t pair)
{
    return pair == 0 ? 0 : job->pair_ids[pair];
}

/* Decides about every column, gives dictionary ids, and collects the tokens of the filters. False: no memory. */
bool plan_block(struct job *job);

/* Writes one page; trace_count is carried from page to page: rows of the trace that is being walked. */
uint32_t encode_page(struct job *job, uint32_t page, uint32_t trace_count);

/* Dictionaries of all columns: the last sections before the tables. */
void put_dictionaries(struct job *job);
/* Traces, envelopes, shapes, patterns, operations, directories. False: no memory. */
bool put_tables(struct job *job);
/* block_ledger.c */
bool put_ledger(struct job *job);

#endif
