/*
 * A merge reads so many blocks side by side as may be open, and a segment may have more runs than that. So it is taken in
 * parts: a joined segment run by run, others as many runs at once as go.
 */
#include "rewrite.h"

#include "base/seeded_bug.h"
#include "compaction_plan.h"

#include <stdlib.h>

struct rewrite {
    struct catalog *catalog;
    const struct catalog_view *view;
    struct segment *input;
    const struct merge_sieve *sieve;
    uint32_t next, end; /* blocks that no merge has yet, numbers in the view */
    struct merge_tools *tools;
    struct merge *merge; /* NULL: the next part is to be begun */
    struct segment_merged output;
    struct rewrite_outcome outcome;
};

bool rewrite_may(const struct segment *segment)
{
    return compaction_may_read(segment);
}

static uint8_t level_of(const struct segment *segment)
{
    return segment->level > 0 ? segment->level : 1;
}

void rewrite_close(struct rewrite *rewrite, struct io *io)
{
    if (rewrite->merge != NULL) merge_close(rewrite->merge);
    if (rewrite->tools != NULL) merge_tools_close(rewrite->tools);
    segment_merged_discard(&rewrite->output, io);
    free(rewrite);
}

enum err rewrite_open(struct catalog *catalog, struct io *io, const struct catalog_view *view,
                      uint32_t segment, const struct merge_sieve *sieve, struct rewrite **out)
{
    struct rewrite *const rewrite = calloc(1, sizeof *rewrite);
    uint32_t first;

    assert(rewrite_may(view->segments[segment]));
    if (rewrite == NULL) return ERR_NO_MEMORY;
    const uint32_t blocks = catalog_segment_blocks(view, segment, &first);
    *rewrite = (struct rewrite){.catalog = catalog,
                                .view = view,
                                .input = view->segments[segment],
                                .sieve = sieve,
                                .next = first,
                                .end = first + blocks};
    enum err err = merge_tools_open(&rewrite->tools);
    if (err == OK)
        err = segment_merged_begin(view, io, level_of(rewrite->input), &rewrite->input, 1, &rewrite->output);
    if (err == OK)
        *out = rewrite;
    else
        rewrite_close(rewrite, io);
    return err;
}

static enum err begin_part(struct rewrite *rewrite, struct io *io)
{
    const uint32_t streams_max = rewrite->input->level == 2 ? 1 : MERGE_STREAMS_MAX;
    const uint32_t blocks = merge_run(rewrite->view, rewrite->next, rewrite->end, streams_max);

    TRY(merge_open_some(rewrite->tools, rewrite->view, io, rewrite->next, blocks, rewrite->sieve,
                        rewrite->output.ledger, &rewrite->merge));
    rewrite->next += blocks;
    return OK;
}

static uint64_t take_seq(const struct rewrite *rewrite)
{
    struct catalog *const catalog = rewrite->catalog;

    if (SEEDED_BUG(REWRITE_REUSES_SEQ))
        return catalog_number(catalog, &catalog->shards[CATALOG_MERGED].next_seq) +
               rewrite->output.segment->blocks_count;
    return catalog_take_merged_seq(catalog);
}

enum err rewrite_step(struct rewrite *rewrite, struct io *io, bool *complete)
{
    struct block_encoded block;

    *complete = rewrite->merge == NULL && rewrite->next == rewrite->end;
    if (*complete) return OK;
    if (rewrite->merge == NULL) TRY(begin_part(rewrite, io));
    TRY(merge_next(rewrite->merge, take_seq(rewrite), &block));
    if (block.summary.spans == 0) {
        merge_close(rewrite->merge);
        rewrite->merge = NULL;
        return OK;
    }
    if (rewrite->output.segment->blocks_count == SEGMENT_BLOCKS_MAX) return ERR_TOO_LARGE;
    rewrite->outcome.spans += block.summary.spans;
    return segment_merged_append(&rewrite->output, io, &block);
}

enum err rewrite_finish(struct rewrite *rewrite, struct io *io)
{
    TRY(segment_merged_replace(&rewrite->output, io, &rewrite->input, 1));
    rewrite->outcome.bytes = rewrite->output.bytes;
    return OK;
}

struct rewrite_outcome rewrite_outcome(const struct rewrite *rewrite)
{
    return rewrite->outcome;
}
