/*
 * What a merged segment says beside its blocks: which files it stands for, and how far each shard had come in
 * them. The first lets a start finish what a crash has interrupted: where both a segment and what it replaces are
 * found, the replaced one goes. The second keeps the journal from being replayed, and block numbers from being given
 * again, when the shards' own files are gone.
 */
#include "catalog_private.h"

#include <stdlib.h>
#include <string.h>

static struct segment_lineage *lineage_make(uint32_t replaces, uint32_t positions)
{
    struct segment_lineage *const lineage = calloc(1, sizeof *lineage + replaces * sizeof *lineage->replaces +
                                                          positions * sizeof *lineage->positions);

    assert(replaces <= SEGMENT_REPLACES_MAX && positions <= SEGMENT_POSITIONS_MAX);
    if (lineage == NULL) return NULL;
    lineage->refs = 1;
    lineage->replaces = (struct segment_replaced *)(lineage + 1);
    lineage->positions = (struct segment_position *)(lineage->replaces + replaces);
    return lineage;
}

void segment_lineage_drop(struct segment_lineage *lineage)
{
    if (lineage == NULL || --lineage->refs > 0) return;
    free(lineage);
}

/* ---- of what is to be replaced ------------------------------------------------------------------------ */

static void note(struct segment_lineage *lineage, uint32_t capacity, uint16_t shard, uint64_t next_seq,
                 uint64_t sealed_lsn)
{
    uint32_t i = 0;

    while (i < lineage->positions_count && lineage->positions[i].shard != shard)
        i++;
    if (i == lineage->positions_count) {
        assert(i < capacity);
        lineage->positions[lineage->positions_count++] = (struct segment_position){.shard = shard};
    }
    struct segment_position *const position = &lineage->positions[i];
    if (next_seq > position->next_seq) position->next_seq = next_seq;
    if (sealed_lsn > position->sealed_lsn) position->sealed_lsn = sealed_lsn;
}

static void note_all(struct segment_lineage *lineage, uint32_t capacity, const struct segment *segment)
{
    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        const struct catalog_block *const block = &segment->blocks[i];
        if (block->summary.shard == CATALOG_MERGED) continue;
        note(lineage, capacity, block->summary.shard, block->summary.seq + 1,
             block->stray || block->fenced ? 0 : block->summary.lsn_end);
    }
    for (uint32_t i = 0; segment->lineage != NULL && i < segment->lineage->positions_count; i++) {
        const struct segment_position *const position = &segment->lineage->positions[i];
        note(lineage, capacity, position->shard, position->next_seq, position->sealed_lsn);
    }
}

struct segment_lineage *segment_lineage_of(struct segment *const *inputs, uint32_t count)
{
    struct segment_lineage *const lineage = lineage_make(count, SEGMENT_POSITIONS_MAX);

    for (uint32_t i = 0; lineage != NULL && i < count; i++) {
        const struct segment_identity *const identity = &inputs[i]->identity;
        lineage->replaces[lineage->replaces_count++] = (struct segment_replaced){
            .seq = identity->seq, .created_ns = identity->created_ns, .shard = identity->shard};
        note_all(lineage, SEGMENT_POSITIONS_MAX, inputs[i]);
    }
    return lineage;
}

bool segment_lineage_replaces(const struct segment_lineage *lineage, const struct segment_identity *identity)
{
    for (uint32_t i = 0; lineage != NULL && i < lineage->replaces_count; i++) {
        const struct segment_replaced *const replaced = &lineage->replaces[i];
        if (replaced->seq == identity->seq && replaced->created_ns == identity->created_ns &&
            replaced->shard == identity->shard)
            return true;
    }
    return false;
}

/* ---- in the directory --------------------------------------------------------------------------------- */

size_t segment_lineage_bytes(const struct segment_lineage *lineage)
{
    return lineage == NULL ? 0
                           : lineage->replaces_count * sizeof *lineage->replaces +
                                 lineage->positions_count * sizeof *lineage->positions;
}

void segment_lineage_write(const struct segment_lineage *lineage, uint8_t *out)
{
    if (lineage == NULL) return;
    const size_t replaces = lineage->replaces_count * sizeof *lineage->replaces;
    memcpy(out, lineage->replaces, replaces);
    memcpy(out + replaces, lineage->positions, lineage->positions_count * sizeof *lineage->positions);
}

enum err segment_lineage_read(const struct segment_directory *directory, const uint8_t *bytes,
                              struct segment_lineage **out)
{
    *out = NULL;
    if (directory->replaces == 0 && directory->positions == 0) return OK;

    struct segment_lineage *const lineage = lineage_make(directory->replaces, directory->positions);
    if (lineage == NULL) return ERR_NO_MEMORY;
    const size_t replaces = directory->replaces * sizeof *lineage->replaces;
    memcpy(lineage->replaces, bytes, replaces);
    memcpy(lineage->positions, bytes + replaces, directory->positions * sizeof *lineage->positions);
    lineage->replaces_count = directory->replaces;
    lineage->positions_count = directory->positions;
    *out = lineage;
    return OK;
}
