/*
 * The catalog at start-up: every file of segments/ is opened and, if need be, recovered (segment_recover.c);
 * then the whole is put in order before anything is published:
 *
 *   order       segments by the arrival of their first block, oldest first
 *   duplicates  a block that is there twice is used once, the first undamaged one (its first append had
 *               failed after the bytes had reached the disk, and it went to a new file too)
 *   gaps        where a shard's block numbers and LSNs both jump, blocks are missing: said loudly, counted
 *   positions   each shard's sealed LSN and next block number
 *
 * A damaged file never stops the start; a newer format, lack of memory and a failing sync do.
 */
#include "catalog_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/seeded_bug.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_NS = 1000000000 };

/* ---- the names --------------------------------------------------------------------------------------- */

struct name_list {
    char (*names)[SEGMENT_NAME_BYTES]; /* unfinished ones among them */
    uint32_t count, capacity;
    uint64_t ignored;
    enum err err;
};

static bool is_segment_name(const char *name)
{
    const size_t len = strlen(name);

    return len > 4 && len < SEGMENT_NAME_BYTES && strcmp(name + len - 4, ".seg") == 0;
}

/* A merged segment that a crash has kept from its name: nothing was replaced by it yet. */
static bool is_unfinished_name(const char *name)
{
    const size_t len = strlen(name);

    return len > 4 && len < SEGMENT_NAME_BYTES && strcmp(name + len - 4, ".tmp") == 0;
}

static bool note_name(void *context, const char *name)
{
    struct name_list *const list = context;

    if (!is_segment_name(name) && !is_unfinished_name(name)) {
        log_warn("store", "not a segment, ignored", "file=%s", name);
        list->ignored++;
        return true;
    }
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
        void *const grown = realloc(list->names, (size_t)capacity * sizeof *list->names);
        if (grown == NULL) {
            list->err = ERR_NO_MEMORY;
            return false;
        }
        list->names = grown;
        list->capacity = capacity;
    }
    memcpy(list->names[list->count++], name, strlen(name) + 1);
    return true;
}

/* Names are hints; what matters here is never to make one that exists. */
static void note_segment_number(struct catalog *catalog, uint32_t shard, uint64_t seq)
{
    if (shard <= CATALOG_MERGED && seq < UINT64_MAX && seq >= catalog->shards[shard].next_segment)
        catalog->shards[shard].next_segment = seq + 1;
}

static void note_numbers_of_name(struct catalog *catalog, const char *name)
{
    unsigned shard;
    uint64_t seq;

    if (sscanf(name, "%4u-%" SCNu64 ".seg", &shard, &seq) == 2) note_segment_number(catalog, shard, seq);
}

/* ---- all files --------------------------------------------------------------------------------------- */

struct gathering {
    struct catalog *catalog;
    struct io *io;
    struct catalog_report *report;
    struct segment **segments; /* owned references */
    uint32_t count;
};

static void take(struct gathering *gathering, struct segment *segment)
{
    if (segment == NULL) return;
    note_segment_number(gathering->catalog, segment->identity.shard, segment->identity.seq);
    gathering->segments[gathering->count++] = segment;
}

static enum err gather_file(struct gathering *gathering, const char *name)
{
    struct catalog_report *const report = gathering->report;
    struct segment_found found;

    TRY(segment_recover(gathering->catalog, gathering->io, name, &found));
    report->rebuilt += found.rebuilt;
    report->cut_bytes += found.cut_bytes;
    report->fenced += found.fenced;
    report->ignored += found.ignored;
    take(gathering, found.segment);
    take(gathering, found.moved);
    return OK;
}

static void remove_file(const struct gathering *gathering, const char *name, const char *why)
{
    const enum err err = io_unlink(gathering->io, gathering->catalog->dir, name);

    if (err == OK)
        log_info("store", why, "file=%s", name);
    else
        log_warn("store", "a file that is not needed could not be removed", "file=%s err=\"%s\"", name,
                 err_text(err));
}

/*
 * A segment for which another one stands. Nothing is merged before it is gone for good (catalog_bury()): when what stands for
 * it had been merged away, the next start would find it alone and believe it.
 */
static enum err remove_segment(const struct gathering *gathering, struct segment *segment, const char *why)
{
    struct catalog *const catalog = gathering->catalog;
    const bool room = catalog->graves_count < CATALOG_GRAVES_MAX || catalog_bury(catalog, gathering->io);

    if (room) {
        log_info("store", why, "file=%s", segment->file->name);
        catalog_dig(catalog, segment);
    }
    segment_drop(catalog, segment);
    return room ? OK : ERR_IO; /* so many that cannot be removed: the disk does not take writes */
}

static enum err gather_files(struct gathering *gathering, const struct name_list *list)
{
    uint64_t told_ns = io_now_ns(gathering->io);

    for (uint32_t i = 0; i < list->count; i++) /* all names first: recovery makes new ones */
        note_numbers_of_name(gathering->catalog, list->names[i]);
    for (uint32_t i = 0; i < list->count; i++) {
        if (is_unfinished_name(list->names[i])) {
            remove_file(gathering, list->names[i], "unfinished merged segment removed");
            continue;
        }
        TRY(gather_file(gathering, list->names[i]));
        if (io_now_ns(gathering->io) - told_ns < PROGRESS_NS) continue;
        told_ns = io_now_ns(gathering->io);
        log_info("store", "opening segments", "done=%" PRIu32 " of=%" PRIu32, i + 1, list->count);
    }
    return OK;
}

/* ---- what was replaced -------------------------------------------------------------------------------- */

/* Does a file that was closed well say that it stands for this one? */
static bool is_replaced(const struct gathering *gathering, const struct segment *segment)
{
    for (uint32_t i = 0; i < gathering->count; i++)
        if (segment_lineage_replaces(gathering->segments[i]->lineage, &segment->identity)) return true;
    return false;
}

/*
 * A crash came between the publication of a merged segment and the removal of what it replaces. Both hold the same
 * spans; the replaced one goes. (Verdicts first: a replaced one may replace others.)
 */
static enum err remove_replaced(struct gathering *gathering)
{
    bool *const replaced = calloc((size_t)gathering->count + 1, sizeof *replaced);
    enum err err = OK;
    uint32_t kept = 0;

    if (replaced == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < gathering->count; i++)
        replaced[i] = is_replaced(gathering, gathering->segments[i]);
    for (uint32_t i = 0; i < gathering->count; i++) {
        struct segment *const segment = gathering->segments[i];
        gathering->segments[i] = NULL;
        if (!replaced[i] || SEEDED_BUG(KEEP_REPLACED)) {
            gathering->segments[kept++] = segment;
            continue;
        }
        const enum err removed = remove_segment(gathering, segment, "replaced segment removed");
        if (err == OK) err = removed;
    }
    gathering->count = kept;
    free(replaced);
    return err;
}

/* ---- putting in order -------------------------------------------------------------------------------- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_arrival(const void *a, const void *b)
{
    const struct segment *const left = *(const struct segment *const *)a;
    const struct segment *const right = *(const struct segment *const *)b;
    const uint64_t left_ns = left->blocks_count > 0 ? left->blocks[0].summary.arrival_min_ns : 0;
    const uint64_t right_ns = right->blocks_count > 0 ? right->blocks[0].summary.arrival_min_ns : 0;
    const int order = compare_u64(left_ns, right_ns);

    if (order != 0) return order;
    if (left->identity.shard != right->identity.shard)
        return left->identity.shard < right->identity.shard ? -1 : 1;
    return compare_u64(left->identity.seq, right->identity.seq);
}

/* A block and where it stands, to be sorted by id. */
struct block_ref {
    struct segment *segment;
    uint32_t place;
    uint32_t order; /* of its segment */
};

static const struct catalog_block *block_of(const struct block_ref *ref)
{
    return &ref->segment->blocks[ref->place];
}

static int by_block_id(const void *a, const void *b)
{
    const struct block_ref *const left = a, *const right = b;
    const struct block_summary *const x = &block_of(left)->summary, *const y = &block_of(right)->summary;

    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    const int order = compare_u64(x->seq, y->seq);
    if (order != 0) return order;
    if (block_of(left)->fenced != block_of(right)->fenced) return block_of(left)->fenced ? 1 : -1;
    return compare_u64(left->order, right->order);
}

static bool same_id(const struct block_ref *a, const struct block_ref *b)
{
    return block_of(a)->summary.shard == block_of(b)->summary.shard &&
           block_of(a)->summary.seq == block_of(b)->summary.seq;
}

static struct block_ref *list_blocks(const struct gathering *gathering, uint32_t *count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < gathering->count; i++)
        total += gathering->segments[i]->blocks_count;
    struct block_ref *const refs = calloc((size_t)total + 1, sizeof *refs);
    if (refs == NULL) return NULL;

    uint32_t at = 0;
    for (uint32_t i = 0; i < gathering->count; i++)
        for (uint32_t j = 0; j < gathering->segments[i]->blocks_count; j++)
            refs[at++] = (struct block_ref){.segment = gathering->segments[i], .place = j, .order = i};
    qsort(refs, total, sizeof *refs, by_block_id);
    *count = total;
    return refs;
}

/* A block that is not below what merged segments say of its shard continues the one before, or those. */
static void check_follows(const struct gathering *gathering, const struct block_ref *before,
                          const struct block_ref *ref)
{
    struct catalog_report *const report = gathering->report;
    const struct block_summary *const a = &block_of(before)->summary, *const b = &block_of(ref)->summary;
    const struct catalog_shard *const at = &gathering->catalog->shards[b->shard];

    if (a->shard != b->shard || b->shard == CATALOG_MERGED) return;
    if (b->seq < at->next_seq) return; /* what was beside it has been merged */
    const bool merged = at->next_seq > a->seq + 1;
    const uint64_t lsn_end = merged ? at->sealed_lsn : a->lsn_end;
    if (b->lsn_first < lsn_end)
        log_error("store", "blocks overlap in the journal",
                  "shard=%u seq=%" PRIu64 " lsn_end=%" PRIu64 " next_lsn=%" PRIu64, b->shard, b->seq, lsn_end,
                  b->lsn_first);
    if (b->seq == at->next_seq || b->lsn_first == lsn_end) return;
    report->gaps++;
    log_error("store", "blocks are missing",
              "shard=%u after_seq=%" PRIu64 " next_seq=%" PRIu64 " lsn=%" PRIu64 " to_lsn=%" PRIu64, b->shard,
              at->next_seq - 1, b->seq, lsn_end, b->lsn_first);
}

/* Marks by an impossible length; forget_marked() takes them out. */
static void mark_duplicate(const struct gathering *gathering, const struct block_ref *kept,
                           const struct block_ref *ref)
{
    log_warn("store", "block present twice, the first is used", "file=%s and=%s seq=%" PRIu64,
             kept->segment->file->name, ref->segment->file->name, block_of(ref)->summary.seq);
    if (SEEDED_BUG(KEEP_DUPLICATES)) return;
    ref->segment->blocks[ref->place].summary.bytes = 0;
    gathering->report->duplicates++;
    if (block_of(kept)->fenced || kept->segment->rows == NULL) ref->segment->has_copies = true;
}

static bool is_marked(const struct catalog_block *block)
{
    return block->summary.bytes == 0;
}

static void forget_marked(struct segment *segment)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < segment->blocks_count; i++) {
        if (is_marked(&segment->blocks[i])) {
            if (segment->filters != NULL) block_filters_drop(segment->filters[i]);
            continue;
        }
        segment->blocks[kept] = segment->blocks[i];
        if (segment->filters != NULL) segment->filters[kept] = segment->filters[i];
        kept++;
    }
    segment->blocks_count = kept;
}

/* All of its blocks are used from other files, which are closed and sound: it is of no use any more. */
static bool is_superfluous(const struct segment *segment)
{
    if (segment->blocks_count == 0 || segment->lineage != NULL || segment->has_copies) return false;
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (!is_marked(&segment->blocks[i])) return false;
    return true;
}

static enum err forget_duplicates(struct gathering *gathering, const struct block_ref *refs, uint32_t count)
{
    enum err err = OK;
    uint32_t left = 0;

    for (uint32_t i = 1, kept = 0; i < count; i++) {
        if (!same_id(&refs[kept], &refs[i]))
            kept = i;
        else if (!is_superfluous(refs[i].segment))
            refs[kept].segment->has_copies = true;
    }
    for (uint32_t i = 0; i < gathering->count; i++) {
        struct segment *const segment = gathering->segments[i];
        if (is_superfluous(segment)) {
            const enum err removed = remove_segment(gathering, segment,
                                                    "a segment whose blocks stand in others is removed");
            if (err == OK) err = removed;
            continue;
        }
        forget_marked(segment);
        gathering->segments[left++] = segment;
    }
    gathering->count = left;
    return err;
}

static void note_position(struct catalog *catalog, const struct catalog_block *block)
{
    catalog_note_position(catalog, block->summary.shard, block->summary.seq + 1,
                          block->stray || block->fenced ? 0 : block->summary.lsn_end);
}

static void note_lineages(const struct gathering *gathering)
{
    for (uint32_t i = 0; i < gathering->count; i++) {
        const struct segment_lineage *const lineage = gathering->segments[i]->lineage;
        for (uint32_t j = 0; lineage != NULL && j < lineage->positions_count; j++)
            catalog_note_position(gathering->catalog, lineage->positions[j].shard,
                                  lineage->positions[j].next_seq, lineage->positions[j].sealed_lsn);
    }
}

static enum err put_in_order(struct gathering *gathering)
{
    uint32_t count = 0;

    note_lineages(gathering);
    if (gathering->count > 0)
        qsort(gathering->segments, gathering->count, sizeof(struct segment *), by_arrival);
    struct block_ref *const refs = list_blocks(gathering, &count);
    if (refs == NULL) return ERR_NO_MEMORY;
    const struct block_ref *before = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (before != NULL && same_id(before, &refs[i])) {
            mark_duplicate(gathering, before, &refs[i]);
            continue;
        }
        if (before != NULL) check_follows(gathering, before, &refs[i]);
        note_position(gathering->catalog, block_of(&refs[i]));
        before = &refs[i];
    }
    const enum err err = gathering->report->duplicates > 0 ? forget_duplicates(gathering, refs, count) : OK;
    free(refs);
    return err;
}

/* Closed without filters by this start, or by one before that did not come to an end with them. */
static void note_unfiltered(struct gathering *gathering)
{
    for (uint32_t i = 0; i < gathering->count; i++) {
        struct segment *const segment = gathering->segments[i];
        segment->unfiltered = segment_lacks_filters(segment);
        if (segment->unfiltered) gathering->catalog->unfiltered += segment->blocks_count;
    }
}

static void count_all(const struct gathering *gathering)
{
    struct catalog_report *const report = gathering->report;

    report->segments = gathering->count;
    for (uint32_t i = 0; i < gathering->count; i++) {
        const struct segment *const segment = gathering->segments[i];
        report->blocks += segment->blocks_count;
        for (uint32_t j = 0; j < segment->blocks_count; j++) {
            report->spans += segment->blocks[j].summary.spans;
            report->bytes += segment->blocks[j].summary.bytes;
            gathering->catalog->fenced += segment->blocks[j].fenced;
        }
    }
    if (report->fenced < gathering->catalog->fenced) report->fenced = gathering->catalog->fenced;
    log_info("store", "segments opened",
             "segments=%" PRIu64 " blocks=%" PRIu64 " spans=%" PRIu64 " bytes=%" PRIu64 " rebuilt=%" PRIu64
             " fenced=%" PRIu64 " cut_bytes=%" PRIu64 " duplicates=%" PRIu64 " gaps=%" PRIu64
             " ignored=%" PRIu64 " unfiltered=%" PRIu64,
             report->segments, report->blocks, report->spans, report->bytes, report->rebuilt, report->fenced,
             report->cut_bytes, report->duplicates, report->gaps, report->ignored,
             gathering->catalog->unfiltered);
}

/* ---- open and close ---------------------------------------------------------------------------------- */

static enum err gather(struct gathering *gathering, struct name_list *list)
{
    struct catalog *const catalog = gathering->catalog;

    TRY(io_dir_sync(gathering->io, catalog->dir)); /* names that are believed must be durable */
    TRY(io_dir_list(gathering->io, catalog->dir, note_name, list));
    TRY(list->err);
    gathering->report->ignored = list->ignored;
    gathering->segments = calloc((size_t)list->count * 2 + 1 /* each may give two */,
                                 sizeof(struct segment *));
    if (gathering->segments == NULL) return ERR_NO_MEMORY;
    TRY(gather_files(gathering, list));
    TRY(remove_replaced(gathering));
    TRY(put_in_order(gathering));
    catalog_bury(catalog, gathering->io); /* else it is tried again before anything is merged */
    note_unfiltered(gathering);
    count_all(gathering);
    catalog->current = catalog_view_make(catalog, gathering->segments, gathering->count);
    return catalog->current == NULL ? ERR_NO_MEMORY : OK;
}

static enum err fill(struct catalog *catalog, struct io *io, struct catalog_report *report)
{
    struct name_list list = {.names = NULL};
    struct gathering gathering = {.catalog = catalog, .io = io, .report = report};

    const enum err err = gather(&gathering, &list);
    for (uint32_t i = 0; i < gathering.count; i++)
        segment_drop(catalog, gathering.segments[i]);
    free((void *)gathering.segments);
    free(list.names);
    return err;
}

static void config_defaults(struct segment_config *config)
{
    if (config->blocks_max == 0) config->blocks_max = 32;
    if (config->blocks_max > SEGMENT_BLOCKS_CLOSE) config->blocks_max = SEGMENT_BLOCKS_CLOSE;
    if (config->bytes_max == 0) config->bytes_max = UINT64_C(256) << 20;
    if (config->window_ns == 0) config->window_ns = 600 * NS_PER_S;
    if (config->filter_bytes_max == 0) config->filter_bytes_max = UINT64_C(64) << 20;
}

static void catalog_free(struct catalog *catalog, struct io *io)
{
    segment_filters_drop(&catalog->filters);
    if (catalog->current != NULL) catalog_view_drop(catalog, catalog->current);
    catalog_close_files(catalog, io);
    assert(catalog->resident_bytes == 0);
    if (catalog->dir != NULL) io_dir_close(io, catalog->dir);
    pthread_mutex_destroy(&catalog->mutex);
    free(catalog->shards);
    free(catalog);
}

enum err catalog_open(struct io *io, struct io_dir *dir, const struct segment_config *config,
                      struct catalog **out, struct catalog_report *report)
{
    struct catalog *const catalog = calloc(1, sizeof *catalog);

    if (catalog == NULL) return ERR_NO_MEMORY;
    pthread_mutex_init(&catalog->mutex, NULL);
    catalog->config = *config;
    config_defaults(&catalog->config);
    catalog->shards = calloc(CATALOG_MERGED + 1, sizeof *catalog->shards);
    catalog->shards_count = config->shards;
    *report = (struct catalog_report){0};
    enum err err = catalog->shards == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) err = io_dir_open(io, dir, "segments", true, &catalog->dir);
    if (err == OK) err = fill(catalog, io, report);
    if (err != OK) {
        catalog_free(catalog, io);
        return err;
    }
    *out = catalog;
    return OK;
}

void catalog_close(struct catalog *catalog, struct io *io)
{
    assert(catalog->current->refs == 1); /* no query is left */

    for (uint32_t i = 0; i <= CATALOG_MERGED; i++)
        if (catalog->shards[i].open.open) segment_file_drop(catalog, catalog->shards[i].open.file);
    catalog_free(catalog, io);
}

uint64_t catalog_sealed_lsn(const struct catalog *catalog, uint16_t shard)
{
    assert(shard < CATALOG_SHARDS_MAX);
    return catalog_number(catalog, &catalog->shards[shard].sealed_lsn);
}

uint64_t catalog_next_seq(const struct catalog *catalog, uint16_t shard)
{
    assert(shard < CATALOG_SHARDS_MAX);
    return catalog_number(catalog, &catalog->shards[shard].next_seq);
}
