/*
 * The reading side: versions, blocks, filters. A version is held while a query runs; all it reaches stays as
 * it is, so nothing here takes the mutex but acquire, release and fence.
 *
 * A filter question for a closed segment is one row: from memory, or one small read that checks itself by its
 * CRC. Blocks of a segment that is not closed have their own filters in memory.
 */
#include "catalog_private.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

/* ---- versions ---------------------------------------------------------------------------------------- */

const struct catalog_view *catalog_acquire(struct catalog *catalog)
{
    pthread_mutex_lock(&catalog->mutex);
    struct catalog_view *const view = catalog->current;
    view->refs++;
    pthread_mutex_unlock(&catalog->mutex);
    return view;
}

void catalog_hold(struct catalog *catalog, const struct catalog_view *view)
{
    struct catalog_view *const held = (struct catalog_view *)(uintptr_t)view; /* lent out as const by us */

    assert(view->catalog == catalog);
    pthread_mutex_lock(&catalog->mutex);
    assert(held->refs > 0);
    held->refs++;
    pthread_mutex_unlock(&catalog->mutex);
}

void catalog_release(struct catalog *catalog, const struct catalog_view *view)
{
    struct catalog_view *const held = (struct catalog_view *)(uintptr_t)view; /* lent out as const by us */

    assert(view->catalog == catalog);
    pthread_mutex_lock(&catalog->mutex);
    catalog_view_drop(catalog, held);
    pthread_mutex_unlock(&catalog->mutex);
}

uint32_t catalog_segments(const struct catalog_view *view)
{
    return view->segments_count;
}

uint32_t catalog_segment_blocks(const struct catalog_view *view, uint32_t segment, uint32_t *first)
{
    assert(segment < view->segments_count);

    *first = view->first[segment];
    return view->segments[segment]->blocks_count;
}

uint32_t catalog_blocks(const struct catalog_view *view)
{
    return view->blocks_count;
}

/* The last segment that begins at or before the block; empty ones begin where the next one does. */
static uint32_t segment_of(const struct catalog_view *view, uint32_t block)
{
    uint32_t low = 0, high = view->segments_count;

    assert(block < view->blocks_count);
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (view->first[middle] <= block) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct catalog_block *catalog_block(const struct catalog_view *view, uint32_t block)
{
    const uint32_t segment = segment_of(view, block);

    return &view->segments[segment]->blocks[block - view->first[segment]];
}

/* A shard's blocks are published in the order of their numbers; a block may have been merged or expired since. */
bool catalog_has(const struct catalog_view *view, uint16_t shard, uint64_t seq)
{
    return shard < view->shards_count && seq < view->next_seq[shard];
}

static void add_size(struct catalog_size *size, const struct segment *segment)
{
    const uint64_t first_ns = segment_arrival_min(segment), last_ns = segment_arrival_max(segment);

    *(segment->blocks_count > 0 ? &size->bytes : &size->ledger_bytes) += segment_bytes(segment);
    size->spans += segment_spans(segment);
    if (segment->blocks_count > 0 && (size->arrival_max_ns == 0 || first_ns < size->arrival_min_ns))
        size->arrival_min_ns = first_ns;
    if (last_ns > size->arrival_max_ns) size->arrival_max_ns = last_ns;
}

struct catalog_size catalog_size(struct catalog *catalog)
{
    const struct catalog_view *const view = catalog_acquire(catalog);
    struct catalog_size size = {.segments = view->segments_count, .blocks = view->blocks_count};

    for (uint32_t i = 0; i < view->segments_count; i++)
        add_size(&size, view->segments[i]);
    catalog_release(catalog, view);
    return size;
}

enum err catalog_space(const struct catalog *catalog, struct io *io, uint64_t *free_bytes,
                       uint64_t *total_bytes)
{
    return io_space(io, catalog->dir, free_bytes, total_bytes);
}

/* ---- filters ----------------------------------------------------------------------------------------- */

/* The row's cells, in memory or read into buf; NULL: unknown. */
static const uint8_t *row_of(const struct segment *segment, struct io *io, enum filter_kind kind,
                             uint32_t row, uint8_t *buf)
{
    const struct segment_rows *const rows = segment->rows;
    const size_t row_bytes = segment_row_bytes(rows->blocks);
    const size_t len = row_bytes - sizeof(uint32_t);
    uint32_t crc;

    if (rows->resident[kind] != NULL) return rows->resident[kind] + row * len;
    const uint64_t offset = rows->offset[kind] + row * (uint64_t)row_bytes;
    if (segment_file_read(segment->file, io, offset, buf, row_bytes) != OK) return NULL;
    memcpy(&crc, buf + len, sizeof crc);
    return crc == segment_row_crc(kind, row, buf, len) ? buf : NULL;
}

static void ask_closed(const struct segment *segment, struct io *io, enum filter_kind kind, uint64_t hash,
                       bool *may)
{
    uint8_t buf[SEGMENT_BLOCKS_MAX * FILTER_CELL_BYTES + sizeof(uint32_t)];
    const uint32_t cells = segment->rows->cells[kind];
    const uint8_t *const row = cells == 0 ? NULL
                                          : row_of(segment, io, kind, filter_cell_index(cells, hash), buf);

    for (uint32_t i = 0; i < segment->blocks_count; i++)
        may[i] = row == NULL ||
                 filter_cell_may_contain(row + (size_t)segment->blocks[i].index * FILTER_CELL_BYTES, hash);
}

static void ask_open(const struct segment *segment, enum filter_kind kind, uint64_t hash, bool *may)
{
    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        const struct block_filters *const filters = segment->filters[i];
        may[i] = filters == NULL || filter_may_contain(&filters->kind[kind], hash);
    }
}

void catalog_filter(const struct catalog_view *view, struct io *io, uint32_t segment, enum filter_kind kind,
                    uint64_t hash, bool may[SEGMENT_BLOCKS_MAX])
{
    assert(segment < view->segments_count);

    const struct segment *const asked = view->segments[segment];
    if (asked->rows != NULL) {
        ask_closed(asked, io, kind, hash, may);
    } else {
        ask_open(asked, kind, hash, may);
    }
}

static bool may_have(const struct catalog_view *view, struct io *io, uint32_t block, enum filter_kind kind,
                     uint64_t hash)
{
    bool may[SEGMENT_BLOCKS_MAX];
    const uint32_t segment = segment_of(view, block);

    catalog_filter(view, io, segment, kind, hash, may);
    return may[block - view->first[segment]];
}

bool catalog_may_have_trace(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t hash)
{
    return may_have(view, io, block, FILTER_TRACE, hash);
}

bool catalog_may_have_token(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t hash)
{
    return may_have(view, io, block, FILTER_TOKEN, hash);
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

enum err catalog_read(const struct catalog_view *view, struct io *io, uint32_t block, uint64_t offset,
                      void *buf, size_t len)
{
    const struct segment *const segment = view->segments[segment_of(view, block)];
    const struct catalog_block *const entry = catalog_block(view, block);

    if (offset > entry->summary.bytes || len > entry->summary.bytes - offset) return ERR_CORRUPT;
    return segment_file_read(segment->file, io, entry->offset + offset, buf, len);
}

static enum err source_read(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct catalog_source *const storage = context;

    return catalog_read(storage->view, storage->io, storage->block, offset, buf, len);
}

/* The header's CRC covers the block's id, place in the journal and lengths: equal means the very same block.
 */
static bool same_block(const struct block_summary *wanted, const struct block_summary *found)
{
    return wanted->shard == found->shard && wanted->seq == found->seq && wanted->bytes == found->bytes &&
           wanted->header_crc == found->header_crc;
}

enum err catalog_open_block(const struct catalog_view *view, struct io *io, uint32_t block,
                            struct catalog_source *storage, struct block_reader **out)
{
    const struct catalog_block *const entry = catalog_block(view, block);
    struct block_reader *reader;

    if (entry->fenced) return ERR_CORRUPT;
    *storage = (struct catalog_source){.view = view, .io = io, .block = block};
    storage->source = (struct block_source){.read = source_read, .context = storage};
    enum err err = block_open(&storage->source, &reader);
    if (err == OK && !same_block(&entry->summary, block_summary(reader))) {
        block_close(reader);
        err = ERR_CORRUPT;
    }
    if (err == ERR_CORRUPT) catalog_fence(view->catalog, entry->summary.shard, entry->summary.seq);
    TRY(err);
    *out = reader;
    return OK;
}

/* ---- fencing ----------------------------------------------------------------------------------------- */

static struct segment *find_block(const struct catalog_view *view, uint16_t shard, uint64_t seq,
                                  uint32_t *place)
{
    for (uint32_t i = view->segments_count; i-- > 0;)
        for (uint32_t j = 0; j < view->segments[i]->blocks_count; j++) {
            const struct block_summary *const summary = &view->segments[i]->blocks[j].summary;
            if (summary->shard != shard || summary->seq != seq) continue;
            *place = j;
            return view->segments[i];
        }
    return NULL;
}

void catalog_fence(struct catalog *catalog, uint16_t shard, uint64_t seq)
{
    uint32_t place = 0;

    pthread_mutex_lock(&catalog->mutex);
    const struct segment *const segment = find_block(catalog->current, shard, seq, &place);
    const bool news = segment != NULL && !segment->blocks[place].fenced;
    struct segment *const copy = news ? segment_copy(segment, 0) : NULL;
    if (copy != NULL) {
        copy->blocks[place].fenced = true;
        if (catalog_publish(catalog, copy) == OK) catalog->fenced++;
    }
    pthread_mutex_unlock(&catalog->mutex);
    if (news) log_error("store", "damaged block fenced", "shard=%u seq=%" PRIu64, shard, seq);
}

uint64_t catalog_fenced(const struct catalog *catalog)
{
    return catalog_number(catalog, &catalog->fenced);
}
