/*
 * What must hold among the blocks of a shard: each goes on in the journal where the one before ended. An overlap means
 * spans that are there twice; a hole, spans that are nowhere: the journal has let go of all that lies below the last block.
 */
#include "verify_private.h"

#include <inttypes.h>
#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    const struct placed_block *const left = a, *const right = b;

    if (left->shard != right->shard) return left->shard < right->shard ? -1 : 1;
    if (left->seq != right->seq) return left->seq < right->seq ? -1 : 1;
    if (left->damaged != right->damaged) return left->damaged ? 1 : -1;
    return (left->segment > right->segment) - (left->segment < right->segment);
}

static void enter_file(struct verify *verify, const struct placed_block *block)
{
    snprintf(verify->file, sizeof verify->file, "segments/%s", verify->segments.names[block->segment]);
}

/* Where the journal must go on: behind a block, or behind what was merged. */
struct expected {
    uint64_t seq; /* of the last block before */
    uint64_t lsn;
    bool merged;
};

static void compare(struct verify *verify, const struct expected *before, const struct placed_block *block)
{
    enter_file(verify, block);
    if (block->lsn_first < before->lsn)
        verify_damage(verify, block->offset, block->block,
                      "block %" PRIu64 " of shard %u overlaps the one before in the journal, by %" PRIu64
                      " bytes of it",
                      block->seq, block->shard, before->lsn - block->lsn_first);
    if (block->lsn_first > before->lsn && !(before->merged && block->seq == before->seq + 1))
        verify_damage(verify, block->offset, block->block,
                      "shard %u: between blocks %" PRIu64 " and %" PRIu64 " the journal from %" PRIu64
                      " to %" PRIu64 " is in no block",
                      block->shard, before->seq, block->seq, before->lsn, block->lsn_first);
}

/* What is below the position of its shard in merged segments is not missed, and what stands beside it has been merged. */
static void look_behind(struct verify *verify, const struct placed_block *before,
                        const struct placed_block *block)
{
    const struct segment_look_position *const merged = &verify->positions[block->shard];
    struct expected expected = {.seq = merged->next_seq - 1, .lsn = merged->sealed_lsn, .merged = true};

    if (block->seq < merged->next_seq) return;
    if (before != NULL && before->shard == block->shard && before->seq >= merged->next_seq)
        expected = (struct expected){.seq = before->seq, .lsn = before->lsn_end};
    else if (merged->next_seq == 0)
        return; /* the first one of its shard that is left */
    compare(verify, &expected, block);
}

void verify_order(struct verify *verify)
{
    const struct placed_block *before = NULL;

    if (verify->placed_count > 0) qsort(verify->placed, verify->placed_count, sizeof *verify->placed, by_id);
    for (uint32_t i = 0; i < verify->placed_count; i++) {
        const struct placed_block *const block = &verify->placed[i];
        const bool follows = before != NULL && before->shard == block->shard;
        if (follows && before->seq == block->seq) {
            enter_file(verify, block);
            verify_note(verify, block->offset,
                        "block %" PRIu64 " of shard %u stands in segments/%s, too: one is used", block->seq,
                        block->shard, verify->segments.names[before->segment]);
            continue;
        }
        if (block->shard != CATALOG_MERGED) look_behind(verify, before, block);
        before = block;
    }
}

uint64_t verify_sealed_lsn(const struct verify *verify, uint16_t shard, bool *any)
{
    uint64_t sealed = verify->positions[shard].sealed_lsn;

    *any = verify->positions[shard].next_seq > 0;
    for (uint32_t i = 0; i < verify->placed_count; i++) {
        const struct placed_block *const block = &verify->placed[i];
        if (block->shard != shard || !block->counts) continue;
        *any = true;
        if (block->lsn_end > sealed) sealed = block->lsn_end;
    }
    return sealed;
}
