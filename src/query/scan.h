/*
 * The work behind a search, in two steps that may be repeated:
 *
 *   scan_candidates()  which traces have the newest matching spans (candidates.h), reading as little as can be
 *   scan_summaries()   everything about some traces, wherever their spans lie
 *
 * What is learned about blocks on the way (filters asked, conditions turned into ids) is kept for the query.
 */
#ifndef QUERY_SCAN_H
#define QUERY_SCAN_H

#include "candidates.h"
#include "live_match.h"
#include "predicate.h"
#include "summary.h"
#include "work.h"

/* What is known of a block of the catalog. */
struct scan_block {
    uint32_t segment;
    bool excluded; /* holds no match, by bounds or filters */
    bool looked, fenced;
};

struct scan_order {
    uint64_t start_max_ns;
    uint32_t block;
};

struct scan {
    struct work *work;
    struct predicate predicate;
    struct live_match *live;   /* one per live view */
    struct scan_block *blocks; /* by number */
    struct scan_order *newest_first;
    bool *segments_asked; /* token filters asked for its blocks */
    uint32_t blocks_count;
};

/* Memory from the work's arena. */
enum err scan_init(struct scan *scan, struct work *work);
/* Traces after the cursor (NULL: from the newest on). */
enum err scan_candidates(struct scan *scan, const struct cursor *cursor, struct candidates *out);
/* Fills in `count` summaries, whose trace ids are set (summary_init), in any order. */
enum err scan_summaries(struct scan *scan, struct summary *summaries, size_t count);
/* Sets the coverage of the work. */
void scan_coverage(struct scan *scan);

#endif
