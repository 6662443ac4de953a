/*
 * The rows of a sealed block that match a predicate, page by page. Values become dictionary ids once per
 * block; a page is looked into column by column, cheapest first, and left as soon as no row is left.
 *
 *   block_match_init() -> block_match_page() for any page
 */
#ifndef QUERY_BLOCK_MATCH_H
#define QUERY_BLOCK_MATCH_H

#include "arena.h"
#include "predicate.h"
#include "store/block.h"

enum { PAGE_WORDS = BLOCK_PAGE_ROWS / 64 };

/* A bit per row of a page. */
struct page_rows_set {
    uint64_t words[PAGE_WORDS];
};

static inline bool page_has(const struct page_rows_set *set, uint32_t row)
{
    return set->words[row / 64] >> row % 64 & 1;
}

/* Where the values of one condition lie. */
struct match_source {
    uint32_t column;
    bool dictionary;
    bool raw;      /* entries are whole KeyValue messages */
    uint32_t *ids; /* dictionary: entries that fulfil the condition */
    size_t ids_count, ids_capacity;
};

struct match_condition {
    struct match_source sources[2]; /* the key's own column, and the one of overflowing keys */
    unsigned sources_count;
};

struct block_match {
    const struct predicate *predicate;
    struct block_reader *reader;
    bool none; /* no row can match */
    bool *resources, *scopes;
    struct match_source name;
    struct match_condition conditions[REQUEST_CONDITIONS_MAX];
    uint64_t *values; /* BLOCK_PAGE_ROWS, of the worker */
};

/*
 * Memory from the arena, which must live as long as the match; values is scratch for one page. ERR_TOO_LARGE,
 * ERR_CORRUPT.
 */
enum err block_match_init(struct block_match *match, const struct predicate *predicate,
                          struct block_reader *reader, uint64_t *values, struct arena *arena);
/* *any false: no row of the page. */
enum err block_match_page(struct block_match *match, uint32_t page, struct page_rows_set *out, bool *any);

/* May the block have a match, from its summary alone? */
bool block_match_possible(const struct predicate *predicate, const struct block_summary *summary);

#endif
