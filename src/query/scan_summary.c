/*
 * Summaries of many traces in one go: one walk over each live block, and one visit to each block whose trace
 * filter names any of them. In a block, traces are taken in the order of their ids, which is the order of
 * rows, so each page is read once.
 *
 * Spans are counted from columns. Only when a span id comes twice in a trace (a sender's retry, or a reused
 * id) the spans themselves are compared, byte by byte, as trace by id does.
 */
#include "scan.h"

#include "base/assert.h"
#include "base/hash.h"
#include "block_match.h"
#include "message_match.h"
#include "trace.h"

#include <stdlib.h>

struct gathering {
    struct scan *scan;
    struct summary **by_id; /* sorted by trace id */
    size_t count;
    uint32_t *places; /* index + 1 by hash of the trace id */
    size_t places_count;
    uint64_t seed;
};

static int by_trace_id(const void *left, const void *right)
{
    const struct summary *const *const a = left, *const *const b = right;

    return memcmp((*a)->trace_id.bytes, (*b)->trace_id.bytes, sizeof(*a)->trace_id.bytes);
}

static size_t home_of(const struct gathering *gathering, const struct trace_id *trace_id)
{
    uint64_t half[2];

    memcpy(half, trace_id->bytes, sizeof half);
    return hash_mix(half[0] ^ half[1] * 0x9e3779b97f4a7c15ull, gathering->seed) &
           (gathering->places_count - 1);
}

static enum err gathering_init(struct gathering *gathering, struct scan *scan, struct summary *summaries,
                               size_t count)
{
    struct arena *const arena = &scan->work->arena;

    *gathering = (struct gathering){
        .scan = scan, .count = count, .places_count = 64, .seed = (uintptr_t)scan};
    while (gathering->places_count < 4 * count)
        gathering->places_count *= 2;
    gathering->by_id = arena_alloc(arena, count * sizeof *gathering->by_id);
    gathering->places = arena_alloc(arena, gathering->places_count * sizeof *gathering->places);
    if (gathering->by_id == NULL || gathering->places == NULL) return ERR_TOO_LARGE;
    for (size_t i = 0; i < count; i++)
        gathering->by_id[i] = &summaries[i];
    qsort(gathering->by_id, count, sizeof *gathering->by_id, by_trace_id);
    for (size_t i = 0; i < count; i++) {
        size_t at = home_of(gathering, &gathering->by_id[i]->trace_id);
        while (gathering->places[at] != 0)
            at = (at + 1) & (gathering->places_count - 1);
        gathering->places[at] = (uint32_t)i + 1;
    }
    return OK;
}

static struct summary *find(const struct gathering *gathering, const struct trace_id *trace_id)
{
    size_t at = home_of(gathering, trace_id);

    for (; gathering->places[at] != 0; at = (at + 1) & (gathering->places_count - 1)) {
        struct summary *const summary = gathering->by_id[gathering->places[at] - 1];
        if (memcmp(summary->trace_id.bytes, trace_id->bytes, sizeof trace_id->bytes) == 0) return summary;
    }
    return NULL;
}

/* ---- live blocks ----------------------------------------------------------------------------------------
 */

static uint64_t big_endian(const struct span_id *span_id)
{
    uint64_t bytes;

    memcpy(&bytes, span_id->bytes, sizeof bytes);
    return __builtin_bswap64(bytes);
}

static enum err add_live_row(struct gathering *gathering, const struct live_match *match, uint32_t index,
                             struct summary *summary)
{
    const struct live_block *const live = match->view->block;
    const struct live_row *const row = &live->rows[index];
    const struct live_pattern *const pattern = &live->patterns[row->pattern];
    const struct summary_span span = {
        .start_ns = row->start_ns,
        .duration_ns = duration_of(row->start_ns, row->end_ns),
        .span_id = big_endian(&row->span_id),
        .error = pattern->status_code == STATUS_ERROR,
        .is_root = !(pattern->bits & ROW_PARENT_PRESENT) || span_id_is_zero(&row->parent_span_id),
        .matched = live_match_row(match, index),
        .service = live_service(live, pattern->resource),
        .name = live_pair_bytes(live, pattern->name),
    };

    return summary_add(summary, &span, &gathering->scan->work->arena) ? OK : ERR_TOO_LARGE;
}

static enum err gather_live(struct gathering *gathering, const struct live_match *match)
{
    const struct live_row *const rows = match->view->block->rows;

    for (uint32_t row = 0; row < match->view->counts.rows; row++) {
        if (row % 16384 == 0) TRY(work_check(gathering->scan->work));
        struct summary *const summary = find(gathering, &rows[row].trace_id);
        if (summary != NULL) TRY(add_live_row(gathering, match, row, summary));
    }
    return OK;
}

/* ---- blocks of the catalog ------------------------------------------------------------------------------
 */

struct block_gathering {
    struct gathering *gathering;
    struct open_block *open;
    struct block_match match;
    bool may_match;
    uint32_t page; /* the page in work->page; UINT32_MAX: none */
    struct page_rows_set matching;
    bool any_matching;
};

static enum err load_page(struct block_gathering *at, uint32_t page)
{
    static const enum block_field fields[] = {FIELD_START,       FIELD_DURATION, FIELD_RESOURCE, FIELD_NAME,
                                              FIELD_STATUS_CODE, FIELD_IS_ROOT,  FIELD_SPAN_ID};
    struct page_fields *const values = at->gathering->scan->work->page;
    uint32_t count;

    if (at->page == page) return OK;
    TRY(work_check(at->gathering->scan->work));
    at->any_matching = false;
    if (at->may_match) TRY(block_match_page(&at->match, page, &at->matching, &at->any_matching));
    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++)
        TRY(block_page_field(at->open->reader, page, fields[i], values->values[fields[i]], &count));
    at->page = page;
    return OK;
}

static enum err add_row(struct block_gathering *at, uint32_t row, struct summary *summary)
{
    struct work *const work = at->gathering->scan->work;
    const uint32_t i = row % BLOCK_PAGE_ROWS;
    struct envelope resource;
    struct attribute name;

    TRY(load_page(at, row / BLOCK_PAGE_ROWS));
    const struct page_fields *const page = work->page;
    TRY(block_resource(at->open->reader, (uint32_t)page->values[FIELD_RESOURCE][i], &resource));
    TRY(block_dictionary_value(at->open->reader, COLUMN_NAME, (uint32_t)page->values[FIELD_NAME][i], &name));
    const uint64_t start_ns = page->values[FIELD_START][i];
    const struct summary_span span = {
        .start_ns = start_ns,
        .duration_ns = duration_of(start_ns, start_ns + page->values[FIELD_DURATION][i]),
        .span_id = __builtin_bswap64(page->values[FIELD_SPAN_ID][i]),
        .error = (uint32_t)page->values[FIELD_STATUS_CODE][i] == STATUS_ERROR,
        .is_root = page->values[FIELD_IS_ROOT][i] != 0,
        .matched = at->any_matching && page_has(&at->matching, i),
        .service = resource.service,
        .name = name.bytes,
    };
    return summary_add(summary, &span, &work->arena) ? OK : ERR_TOO_LARGE;
}

static enum err gather_trace(struct block_gathering *at, struct summary *summary)
{
    uint32_t first, count;

    const enum err err = block_find_trace(at->open->reader, &summary->trace_id, &first, &count);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    for (uint32_t row = first; row < first + count; row++)
        TRY(add_row(at, row, summary));
    return OK;
}

static bool in_bounds(const struct block_summary *block, const struct trace_id *trace_id)
{
    return memcmp(trace_id->bytes, block->trace_min.bytes, sizeof trace_id->bytes) >= 0 &&
           memcmp(trace_id->bytes, block->trace_max.bytes, sizeof trace_id->bytes) <= 0;
}

static enum err gather_open_block(struct gathering *gathering, uint32_t number, struct open_block *open,
                                  const bool *wanted)
{
    struct scan *const scan = gathering->scan;
    const struct block_summary *const summary = block_summary(open->reader);
    struct block_gathering at = {.gathering = gathering,
                                 .open = open,
                                 .page = UINT32_MAX,
                                 .may_match = !scan->blocks[number].excluded};

    if (at.may_match)
        TRY(block_match_init(&at.match, &scan->predicate, open->reader, scan->work->page->values[FIELD_KIND],
                             &scan->work->arena));
    for (size_t i = 0; i < gathering->count; i++)
        if (wanted[i] && in_bounds(summary, &gathering->by_id[i]->trace_id))
            TRY(gather_trace(&at, gathering->by_id[i]));
    return OK;
}

static enum err gather_block(struct gathering *gathering, uint32_t number, const bool *wanted)
{
    struct scan *const scan = gathering->scan;
    struct scan_block *const block = &scan->blocks[number];
    const struct block_summary *const summary =
        &catalog_block(scan->work->snapshot.catalog.view, number)->summary;
    struct open_block *open;
    bool any = false;

    for (size_t i = 0; i < gathering->count && !any; i++)
        any = wanted[i] && in_bounds(summary, &gathering->by_id[i]->trace_id);
    if (!any || block->fenced) return OK;
    TRY(work_check(scan->work));
    enum err err = work_open_block(scan->work, number, &open);
    if (err == OK)
        err = work_close_block(scan->work, open, gather_open_block(gathering, number, open, wanted));
    block->looked = true;
    block->fenced = work_is_damage(err);
    return block->fenced ? OK : err;
}

/* wanted[block in segment][trace]: the trace filter says perhaps. */
static enum err gather_segment(struct gathering *gathering, uint32_t segment, bool *wanted)
{
    const struct work *const work = gathering->scan->work;
    bool may[SEGMENT_BLOCKS_MAX], any[SEGMENT_BLOCKS_MAX] = {false};
    uint32_t first;

    const uint32_t count = catalog_segment_blocks(work->snapshot.catalog.view, segment, &first);
    for (size_t i = 0; i < gathering->count; i++) {
        const uint64_t hash = filter_hash_trace(gathering->by_id[i]->trace_id.bytes);
        catalog_filter(work->snapshot.catalog.view, work->io, segment, FILTER_TRACE, hash, may);
        for (uint32_t block = 0; block < count; block++) {
            wanted[block * gathering->count + i] = may[block];
            any[block] |= may[block];
        }
    }
    for (uint32_t block = 0; block < count; block++)
        if (any[block]) TRY(gather_block(gathering, first + block, &wanted[block * gathering->count]));
    return OK;
}

/* ---- traces with a span id twice ------------------------------------------------------------------------
 */

static enum err add_message(struct scan *scan, const struct trace *trace, const struct trace_span *at,
                            struct summary *summary)
{
    const struct slice resource = trace->resources.list[at->resource].message;
    const struct slice scope = trace->scopes.list[at->scope].message;
    struct otlp_fault fault;
    struct span_view view;

    if (span_decode(scan->work->decoder, at->message, &view, &fault) != OK) return ERR_CORRUPT;
    const struct summary_span span = {
        .start_ns = view.start_ns,
        .duration_ns = duration_of(view.start_ns, view.end_ns),
        .span_id = at->id,
        .error = view.status_code == STATUS_ERROR,
        .is_root = !view.parent_present || span_id_is_zero(&view.parent_span_id),
        .matched = message_match(&scan->predicate, &view, resource, scope),
        .service = resource_service(resource),
        .name = view.name,
    };
    return summary_add(summary, &span, &scan->work->arena) ? OK : ERR_TOO_LARGE;
}

/* The trace in memory of its own, so that it can be given back. */
static enum err collect_aside(struct work *work, const struct trace_id *trace_id, struct trace *trace,
                              struct arena *aside)
{
    const struct coverage coverage = work->coverage;
    struct arena kept = work->arena;

    arena_init(&work->arena, arena_left(&kept));
    const enum err err = trace_collect(work, trace_id, trace);
    *aside = work->arena;
    work->arena = kept;
    work->coverage = coverage;
    return err == OK && trace->truncated ? ERR_TOO_LARGE : err;
}

static enum err add_messages(struct scan *scan, const struct trace *trace, struct summary *summary)
{
    summary_init(summary, &trace->id);
    for (size_t i = 0; i < trace->count; i++)
        TRY(add_message(scan, trace, &trace->spans[i], summary));
    summary_finish(summary);
    return OK;
}

/* Counts again from the spans themselves, without duplicates. A trace too large for that keeps its numbers. */
static enum err count_exactly(struct scan *scan, struct summary *summary)
{
    struct arena *const arena = &scan->work->arena;
    struct summary exact;
    struct trace trace;
    struct arena aside;

    enum err err = collect_aside(scan->work, &summary->trace_id, &trace, &aside);
    const size_t aside_bytes = aside.bytes;
    if (err == OK && !arena_charge(arena, aside_bytes)) err = ERR_TOO_LARGE;
    if (err == OK) {
        err = add_messages(scan, &trace, &exact);
        arena_discharge(arena, aside_bytes);
    }
    arena_reset(&aside);
    if (err == OK) *summary = exact;
    summary->approximate = err == ERR_TOO_LARGE;
    return err == ERR_TOO_LARGE || err == ERR_NOT_FOUND ? OK : err;
}

/* ---- all of it ------------------------------------------------------------------------------------------
 */

enum err scan_summaries(struct scan *scan, struct summary *summaries, size_t count)
{
    struct work *const work = scan->work;
    const uint32_t segments = catalog_segments(work->snapshot.catalog.view);
    struct gathering gathering;

    TRY(gathering_init(&gathering, scan, summaries, count));
    for (unsigned i = 0; i < work->snapshot.live_count; i++)
        TRY(gather_live(&gathering, &scan->live[i]));
    bool *const wanted = arena_alloc(&work->arena, (size_t)SEGMENT_BLOCKS_MAX * count);
    if (wanted == NULL) return ERR_TOO_LARGE;
    for (uint32_t segment = segments; segment-- > 0;)
        TRY(gather_segment(&gathering, segment, wanted));
    for (size_t i = 0; i < count; i++) {
        summary_finish(&summaries[i]);
        if (summaries[i].twice) TRY(count_exactly(scan, &summaries[i]));
    }
    return OK;
}
