/*
 * Finding candidates. Live blocks first: they are newest and fill the list of candidates, whose bound then
 * spares blocks and pages that begin too early. Blocks of the catalog follow from the latest start on, until
 * none can hold anything better.
 *
 * Rows of a trace lie side by side in a block, so each trace is offered once per page. With a cursor, a trace
 * that has a matching span before it is reported as such; the exact check is made on its summary.
 */
#include "scan.h"

#include "block_match.h"

#include <stdlib.h>

/* ---- setting up -----------------------------------------------------------------------------------------
 */

static int by_start(const void *left, const void *right)
{
    const struct scan_order *const a = left, *const b = right;

    if (a->start_max_ns != b->start_max_ns) return a->start_max_ns > b->start_max_ns ? -1 : 1;
    return (a->block < b->block) - (a->block > b->block);
}

static enum err list_blocks(struct scan *scan)
{
    const struct catalog_view *const view = scan->work->snapshot.catalog.view;
    struct arena *const arena = &scan->work->arena;
    const uint32_t segments = catalog_segments(view);

    scan->blocks_count = catalog_blocks(view);
    scan->blocks = arena_alloc(arena, scan->blocks_count * sizeof *scan->blocks);
    scan->newest_first = arena_alloc(arena, scan->blocks_count * sizeof *scan->newest_first);
    scan->segments_asked = arena_alloc(arena, segments);
    if (scan->blocks == NULL || scan->newest_first == NULL || scan->segments_asked == NULL)
        return ERR_TOO_LARGE;
    for (uint32_t segment = 0; segment < segments; segment++) {
        uint32_t first;
        const uint32_t count = catalog_segment_blocks(view, segment, &first);
        for (uint32_t i = first; i < first + count; i++) {
            const struct block_summary *const summary = &catalog_block(view, i)->summary;
            scan->blocks[i] = (struct scan_block){
                .segment = segment, .excluded = !block_match_possible(&scan->predicate, summary)};
            scan->newest_first[i] = (struct scan_order){summary->start_max_ns, i};
        }
    }
    if (scan->blocks_count > 0)
        qsort(scan->newest_first, scan->blocks_count, sizeof *scan->newest_first, by_start);
    return OK;
}

enum err scan_init(struct scan *scan, struct work *work)
{
    const struct snapshot *const snapshot = &work->snapshot;

    *scan = (struct scan){.work = work};
    predicate_init(&scan->predicate, work->request);
    scan->live = arena_alloc(&work->arena, snapshot->live_count * sizeof *scan->live);
    if (scan->live == NULL) return ERR_TOO_LARGE;
    for (unsigned i = 0; i < snapshot->live_count; i++)
        TRY(live_match_init(&scan->live[i], &scan->predicate, &snapshot->live[i], &work->arena));
    work->coverage.live_blocks = snapshot->live_count;
    return list_blocks(scan);
}

void scan_coverage(struct scan *scan)
{
    struct coverage *const coverage = &scan->work->coverage;

    coverage->blocks = coverage->fenced_blocks = 0;
    for (uint32_t i = 0; i < scan->blocks_count; i++) {
        coverage->blocks += scan->blocks[i].looked && !scan->blocks[i].fenced;
        coverage->fenced_blocks += scan->blocks[i].fenced;
    }
    coverage->blocks_skipped = scan->blocks_count - coverage->blocks - coverage->fenced_blocks;
}

/* ---- what is offered ------------------------------------------------------------------------------------
 */

struct offering {
    struct scan *scan;
    const struct cursor *cursor; /* NULL: none */
    struct candidates *out;
};

/* Does a span that starts then come before the cursor, or at it? */
static bool before_cursor(const struct offering *offering, const struct trace_id *trace_id, uint64_t start_ns)
{
    const struct cursor *const cursor = offering->cursor;

    return cursor != NULL && candidate_compare(start_ns, trace_id, cursor->key_ns, &cursor->trace_id) <= 0;
}

static void offer(const struct offering *offering, const struct trace_id *trace_id, uint64_t start_ns)
{
    if (before_cursor(offering, trace_id, start_ns))
        candidates_exclude(offering->out, trace_id);
    else
        candidates_offer(offering->out, trace_id, start_ns);
}

/* ---- live blocks ----------------------------------------------------------------------------------------
 */

enum { ROWS_PER_CHECK = 16384 };

static enum err scan_live(const struct offering *offering, const struct live_match *match)
{
    const struct live_row *const rows = match->view->block->rows;

    if (match->none) return OK;
    for (uint32_t row = 0; row < match->view->counts.rows; row++) {
        if (row % ROWS_PER_CHECK == 0) TRY(work_check(offering->scan->work));
        if (rows[row].start_ns >= offering->out->least_key_ns && live_match_row(match, row))
            offer(offering, &rows[row].trace_id, rows[row].start_ns);
    }
    return OK;
}

/* ---- blocks of the catalog ------------------------------------------------------------------------------
 */

/* The newest matching span of a trace within one page. */
static enum err offer_trace(const struct offering *offering, struct block_match *match,
                            const struct page_rows_set *set, const uint64_t *starts, uint32_t page_first,
                            uint32_t *row)
{
    struct trace_id trace_id;
    uint32_t first, count;
    uint64_t key_ns = 0;
    bool any = false;

    TRY(block_trace_around(match->reader, page_first + *row, &trace_id, &first, &count));
    const uint32_t end = first + count - page_first < BLOCK_PAGE_ROWS ? first + count - page_first
                                                                      : BLOCK_PAGE_ROWS;
    for (; *row < end; ++*row) {
        if (!page_has(set, *row)) continue;
        const uint64_t start_ns = starts[*row];
        if (before_cursor(offering, &trace_id, start_ns)) {
            candidates_exclude(offering->out, &trace_id);
            *row = end;
            return OK;
        }
        any = true;
        if (start_ns > key_ns) key_ns = start_ns;
    }
    if (any) candidates_offer(offering->out, &trace_id, key_ns);
    return OK;
}

/* The first row of the set from this one on; BLOCK_PAGE_ROWS: none. */
static uint32_t next_row(const struct page_rows_set *set, uint32_t row)
{
    while (row < BLOCK_PAGE_ROWS) {
        const uint64_t rest = set->words[row / 64] >> row % 64;
        if (rest != 0) return row + (uint32_t)__builtin_ctzll(rest);
        row = (row / 64 + 1) * 64;
    }
    return row;
}

/* Can a page or block with these bounds of start times still matter? */
static bool may_matter(const struct offering *offering, uint64_t start_min_ns, uint64_t start_max_ns)
{
    return start_max_ns >= offering->out->least_key_ns &&
           (offering->cursor == NULL || start_min_ns <= offering->cursor->key_ns);
}

static enum err scan_page(const struct offering *offering, struct block_match *match, uint32_t page)
{
    uint64_t *const starts = offering->scan->work->page->values[FIELD_START];
    struct page_rows_set set;
    uint64_t min, max;
    uint32_t count;
    bool any;

    if (block_page_zone(match->reader, page, FIELD_START, &min, &max) && !may_matter(offering, min, max))
        return OK;
    TRY(block_match_page(match, page, &set, &any));
    if (!any) return OK;
    TRY(block_page_field(match->reader, page, FIELD_START, starts, &count));
    for (uint32_t row = next_row(&set, 0); row < BLOCK_PAGE_ROWS; row = next_row(&set, row))
        TRY(offer_trace(offering, match, &set, starts, page * BLOCK_PAGE_ROWS, &row));
    return OK;
}

static enum err scan_open_block(const struct offering *offering, struct open_block *open)
{
    struct work *const work = offering->scan->work;
    struct block_match match;

    TRY(block_match_init(&match, &offering->scan->predicate, open->reader, work->page->values[FIELD_SPAN_ID],
                         &work->arena));
    for (uint32_t page = 0; page < block_pages(open->reader) && !match.none; page++) {
        TRY(work_check(work));
        TRY(scan_page(offering, &match, page));
    }
    return OK;
}

/* The filters of a whole segment answer in one read per value. */
static void ask_segment(struct scan *scan, uint32_t segment)
{
    bool may[SEGMENT_BLOCKS_MAX];
    uint32_t first;

    if (scan->segments_asked[segment]) return;
    scan->segments_asked[segment] = true;
    const uint32_t count = catalog_segment_blocks(scan->work->snapshot.catalog.view, segment, &first);
    for (unsigned token = 0; token < scan->predicate.tokens_count; token++) {
        catalog_filter(scan->work->snapshot.catalog.view, scan->work->io, segment, FILTER_TOKEN,
                       scan->predicate.tokens[token], may);
        for (uint32_t i = 0; i < count; i++)
            scan->blocks[first + i].excluded |= !may[i];
    }
}

static enum err scan_block(const struct offering *offering, uint32_t number)
{
    struct scan *const scan = offering->scan;
    struct scan_block *const block = &scan->blocks[number];
    struct open_block *open;

    if (!block->excluded) ask_segment(scan, block->segment);
    if (block->excluded || block->fenced) return OK;
    TRY(work_check(scan->work));
    enum err err = work_open_block(scan->work, number, &open);
    if (err == OK) err = work_close_block(scan->work, open, scan_open_block(offering, open));
    block->looked = true;
    block->fenced = work_is_damage(err);
    return block->fenced ? OK : err;
}

enum err scan_candidates(struct scan *scan, const struct cursor *cursor, struct candidates *out)
{
    const struct offering offering = {scan, cursor, out};

    for (unsigned i = 0; i < scan->work->snapshot.live_count; i++)
        TRY(scan_live(&offering, &scan->live[i]));
    for (uint32_t i = 0; i < scan->blocks_count; i++) {
        const uint32_t number = scan->newest_first[i].block;
        const struct block_summary *const summary =
            &catalog_block(scan->work->snapshot.catalog.view, number)->summary;
        if (summary->start_max_ns < out->least_key_ns) break; /* nor can any that follows */
        if (may_matter(&offering, summary->start_min_ns, summary->start_max_ns))
            TRY(scan_block(&offering, number));
    }
    candidates_sort(out);
    return OK;
}
