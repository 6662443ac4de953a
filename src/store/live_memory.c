/*
 * The memory of a live block. All arrays are reserved at their full address range when the block is opened and never
 * move, so readers need no lock; pages are touched as they fill, and blocks that grew unusually large give theirs back
 * when they are reset.
 */
#include "live_intern.h"
#include "live_template.h"

#include "base/assert.h"
#include "base/hash.h"
#include "io/io.h"
#include "store/block.h"
#include "store/filter.h"

#include <stdlib.h>

enum {
    PAIR_PLACES = 1 << 15,
    SMALL_PLACES = 1 << 10,
    PATTERN_PLACES_MAX = 1 << 19,
    RESERVE_ROWS = LIVE_ROWS_MAX,
};

struct region {
    size_t offset_in_block; /* of the pointer in struct live_block */
    size_t bytes;
    size_t keep_bytes; /* given back beyond this at reset */
};

static_assert((int)PATTERN_PLACES_MAX >= 2 * (int)LIVE_PATTERNS_MAX, "at most half full");

#define REGION(member, type, count, keep)                                                                    \
    {                                                                                                        \
        offsetof(struct live_block, member), sizeof(type) * (size_t)(count), sizeof(type) * (size_t)(keep)   \
    }

static const struct region regions[] = {
    REGION(rows, struct live_row, RESERVE_ROWS, LIVE_ROWS_CLOSE + 8192),
    REGION(slots, uint32_t, LIVE_SLOTS_MAX, 2 << 20),
    REGION(pairs, struct live_pair, LIVE_PAIRS_MAX, 256 << 10),
    REGION(columns, struct live_column, LIVE_COLUMNS_MAX + COLUMN_FIXED_COUNT, LIVE_COLUMNS_MAX),
    REGION(events, struct live_event, LIVE_CHILDREN_MAX, 128 << 10),
    REGION(links, struct live_link, LIVE_CHILDREN_MAX, 64 << 10),
    REGION(resources, struct live_envelope, LIVE_ENVELOPES_MAX, 4096),
    REGION(scopes, struct live_envelope, LIVE_ENVELOPES_MAX, 4096),
    REGION(shapes, struct live_shape, LIVE_SHAPES_MAX, 4096),
    REGION(shape_items, struct live_shape_item, LIVE_SHAPE_ITEMS_MAX, 64 << 10),
    REGION(patterns, struct live_pattern, LIVE_PATTERNS_MAX, 8192),
    REGION(event_patterns, struct live_event_pattern, LIVE_CHILDREN_MAX, 8192),
    REGION(rejections, struct live_rejection, LIVE_REJECTIONS_MAX, 4096),
    REGION(arena, uint8_t, LIVE_ARENA_MAX, LIVE_ARENA_CLOSE + (8 << 20)),
};
enum { REGIONS = sizeof regions / sizeof regions[0] };

static size_t page_up(size_t bytes)
{
    return (bytes + IO_ALIGN - 1) & ~(size_t)(IO_ALIGN - 1);
}

static void **region_at(struct live_block *live, const struct region *region)
{
    return (void **)(void *)((char *)live + region->offset_in_block);
}

enum err live_open(uint16_t shard, struct live_block **out)
{
    struct live_block *const live = calloc(1, sizeof *live);
    struct live_writer *const writer = calloc(1, sizeof *writer);
    bool good = live != NULL && writer != NULL;

    if (good) {
        live->writer = writer;
        live->shard = shard;
        fingerprint_key_make(&writer->key);
    }
    for (unsigned i = 0; good && i < REGIONS; i++) {
        void *const memory = io_memory(page_up(regions[i].bytes));
        memcpy(region_at(live, &regions[i]), &memory, sizeof memory);
        good = memory != NULL;
    }
    if (good) writer->templates = io_memory(page_up(sizeof *writer->templates));
    good = good && writer->templates != NULL && intern_table_open(&writer->pairs, 2 * LIVE_PAIRS_MAX) &&
           intern_table_open(&writer->columns, 8192) &&
           intern_table_open(&writer->shapes, 2 * LIVE_SHAPES_MAX) &&
           intern_table_open(&writer->patterns, PATTERN_PLACES_MAX) &&
           intern_table_open(&writer->event_patterns, 2 * LIVE_CHILDREN_MAX) &&
           intern_table_open(&writer->resources, 2 * LIVE_ENVELOPES_MAX) &&
           intern_table_open(&writer->scopes, 2 * LIVE_ENVELOPES_MAX);
    if (!good) {
        if (live != NULL) live_close(live);
        return ERR_NO_MEMORY;
    }
    live_reset(live, 0, 0);
    *out = live;
    return OK;
}

void live_close(struct live_block *live)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        void *memory;
        memcpy(&memory, region_at(live, &regions[i]), sizeof memory);
        if (memory != NULL) io_memory_free(memory, page_up(regions[i].bytes));
    }
    if (live->writer != NULL) {
        intern_table_close(&live->writer->pairs);
        intern_table_close(&live->writer->columns);
        intern_table_close(&live->writer->shapes);
        intern_table_close(&live->writer->patterns);
        intern_table_close(&live->writer->event_patterns);
        intern_table_close(&live->writer->resources);
        intern_table_close(&live->writer->scopes);
        if (live->writer->templates != NULL)
            io_memory_free(live->writer->templates, page_up(sizeof *live->writer->templates));
    }
    free(live->writer);
    free(live);
}

static size_t region_used(const struct live_block *live, unsigned index)
{
    const struct live_counts *const counts = &live->counts;
    const size_t used[REGIONS] = {
        counts->rows * sizeof(struct live_row),
        counts->slots * sizeof(uint32_t),
        counts->pairs * sizeof(struct live_pair),
        counts->columns * sizeof(struct live_column),
        counts->events * sizeof(struct live_event),
        counts->links * sizeof(struct live_link),
        counts->resources * sizeof(struct live_envelope),
        counts->scopes * sizeof(struct live_envelope),
        counts->shapes * sizeof(struct live_shape),
        counts->shape_items * sizeof(struct live_shape_item),
        counts->patterns * sizeof(struct live_pattern),
        counts->event_patterns * sizeof(struct live_event_pattern),
        counts->rejections * sizeof(struct live_rejection),
        counts->arena,
    };
    return used[index];
}

/* Unusually large blocks give their pages back; usual ones keep them warm. */
static void forget_excess(struct live_block *live)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        const size_t keep = page_up(regions[i].keep_bytes), used = page_up(region_used(live, i));
        char *memory;
        memcpy(&memory, region_at(live, &regions[i]), sizeof memory);
        if (used > keep) io_memory_forget(memory + keep, used - keep);
    }
}

static uint64_t random_seed(const struct live_block *live, uint64_t seq)
{
    struct io_seed {
        uint64_t address, seq;
    } const mixed = {(uint64_t)(uintptr_t)live, seq};
    return hash64(&mixed, sizeof mixed);
}

void live_reset(struct live_block *live, uint64_t seq, uint64_t lsn_first)
{
    struct live_writer *const writer = live->writer;

    forget_excess(live);
    intern_table_reset(&writer->pairs, PAIR_PLACES);
    intern_table_reset(&writer->columns, SMALL_PLACES);
    intern_table_reset(&writer->shapes, SMALL_PLACES);
    intern_table_reset(&writer->patterns, SMALL_PLACES);
    intern_table_reset(&writer->event_patterns, SMALL_PLACES);
    intern_table_reset(&writer->resources, SMALL_PLACES);
    intern_table_reset(&writer->scopes, SMALL_PLACES);
    live->seq = seq;
    live->lsn_first = live->lsn_end = lsn_first;
    live->arrival_min_ns = UINT64_MAX;
    live->arrival_max_ns = 0;
    live->counts = (struct live_counts){0};
    writer->seed = random_seed(live, seq);
    writer->cut = 0;
    memset(writer->recent, 0, sizeof writer->recent);
    live_templates_reset(writer->templates);
    writer->resource = writer->scope = NO_ID;

    struct live_column *const columns = WRITABLE(live->columns, struct live_column);
    for (uint32_t i = 0; i < COLUMN_FIXED_COUNT; i++)
        columns[i] = (struct live_column){.level = LEVEL_SPAN,
                                          .type = i < COLUMN_RAW_SPAN ? VALUE_STRING : VALUE_RAW};
    columns[COLUMN_NAME].token = filter_hash_column(TOKEN_LEVEL_INTRINSIC, slice_text("name"), VALUE_STRING);
    columns[COLUMN_EVENT_NAME].level = columns[COLUMN_RAW_EVENT].level = LEVEL_EVENT;
    columns[COLUMN_LINK_STATE].level = columns[COLUMN_RAW_LINK].level = LEVEL_LINK;
    live->counts.columns = COLUMN_FIXED_COUNT;
    /* Pair 0 is the empty string of every fixed column; shape 0 is empty. */
    WRITABLE(live->pairs, struct live_pair)[0] = (struct live_pair){.domain = UINT8_MAX};
    live->counts.pairs = 1;
    WRITABLE(live->shapes, struct live_shape)[0] = (struct live_shape){0};
    live->counts.shapes = 1;
    const struct live_counts counts = live->counts;
    live_publish(live, &counts);
}
