/*
 * Which spans somebody means: those of one trace, or those that begin within a range and, if there is a filter, are as it
 * says. A filter is text in the language of searches (query/selection.h); the store keeps it and does not read it. Who can
 * read it is handed in: calls go down only.
 */
#ifndef STORE_SELECTOR_H
#define STORE_SELECTOR_H

#include "base/err.h"
#include "store/block.h"

enum { SELECTOR_FILTER_MAX = 1024 };

struct selector {
    bool by_trace;
    struct trace_id trace_id;  /* by_trace; the rest is not looked at then */
    uint64_t start_ns, end_ns; /* of the spans' start times; the end is exclusive, UINT64_MAX: none */
    char filter[SELECTOR_FILTER_MAX + 1]; /* empty: all spans of the range */
};

struct catalog_view;
struct io;

/* Rows come in ascending order. False: no more. */
typedef bool selector_row_fn(void *context, struct block_reader *reader, uint32_t row);

struct selector_matcher {
    /*
     * Visits the rows of a block of the version that a selector (not by_trace) means. Blocks that bounds or filters rule
     * out are not opened. ERR_CORRUPT: the block is damaged. One thread at a time.
     */
    enum err (*match)(void *context, const struct catalog_view *view, struct io *io, uint32_t block,
                      const struct selector *selector, selector_row_fn *visit, void *visit_context);
    void *context;
};

/* May a block with this summary have spans that begin within the range? */
static inline bool selector_range_touches(const struct selector *selector,
                                          const struct block_summary *summary)
{
    return summary->start_max_ns >= selector->start_ns && summary->start_min_ns < selector->end_ns;
}

#endif
