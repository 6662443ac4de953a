/*
 * What to merge next: a decision about a version, without any state or input and output.
 */
#ifndef STORE_COMPACTION_PLAN_H
#define STORE_COMPACTION_PLAN_H

#include "merge.h"
#include "store/compaction.h"

struct segment;

struct compaction_plan {
    uint8_t level;  /* of the output */
    uint32_t count; /* 0: nothing */
    uint64_t bytes, blocks;
    uint32_t segments[MERGE_STREAMS_MAX]; /* numbers in the view */
};

/* config has its defaults filled in. */
void compaction_plan(const struct catalog_view *view, const struct compaction_config *config, uint64_t now_ns,
                     struct compaction_plan *out);
/*
 * May a segment be read to be written elsewhere? Closed, with filters; nothing is taken away from a file with a damaged
 * block, nor from one of which a copy of a block lies elsewhere.
 */
bool compaction_may_read(const struct segment *segment);
/* Segments of level 0 in windows that are over. */
uint64_t compaction_waiting(const struct catalog_view *view, const struct compaction_config *config,
                            uint64_t now_ns);

#endif
