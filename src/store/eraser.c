/*
 * One job at a time, in steps. A step looks into some blocks; those without such a span are clean, and not looked at again. A
 * segment with one is written again without them. The job is done when everything that was acknowledged before has been
 * sealed, and after that no block of the version is anything but clean.
 *
 *   idle ──a job──▶ looking ──found──▶ rewriting ──▶ looking ... ──all sealed, all clean──▶ noted as done ──▶ idle
 *                      └── not closed yet: waits
 */
#include "erasures_private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/seeded_bug.h"
#include "id_map.h"
#include "rewrite.h"

#include <inttypes.h>
#include <stdlib.h>

enum { BLOCKS_A_STEP = 32 };
enum { CLEAN, DIRTY }; /* of a block: files never change, so a verdict is good for the job */
static const uint64_t REST_NS = 60 * NS_PER_S; /* after a failure */
static const uint64_t PAUSE_NS = 2 * NS_PER_S; /* while something is waited for */

/* Rows of a segment that have to go: a bit each, block by block. */
struct doomed {
    uint32_t first, blocks;
    uint64_t *bits[SEGMENT_BLOCKS_MAX]; /* NULL: none */
};

struct eraser {
    struct eraser_config config;
    struct eraser_counts counts;
    bool at_work;
    struct erasure job;
    bool sealed;         /* all that the job covers is in segments */
    struct id_map known; /* blocks that were looked into: DIRTY or CLEAN */
    uint64_t rest_until_ns;
    const struct catalog_view *view; /* of the rewrite */
    struct rewrite *rewrite;
    struct merge_sieve sieve;
    struct doomed doomed;
    uint64_t spans_before;
};

enum err eraser_open(const struct eraser_config *config, struct eraser **out)
{
    struct eraser *const eraser = calloc(1, sizeof *eraser);

    if (eraser == NULL) return ERR_NO_MEMORY;
    eraser->config = *config;
    *out = eraser;
    return OK;
}

const struct eraser_counts *eraser_counts(const struct eraser *eraser)
{
    return &eraser->counts;
}

/* ---- which rows ---------------------------------------------------------------------------------------- */

static void forget_doomed(struct doomed *doomed)
{
    for (uint32_t i = 0; i < doomed->blocks; i++)
        free(doomed->bits[i]);
    *doomed = (struct doomed){.blocks = 0};
}

struct marking {
    uint64_t *bits; /* made with the first row */
    bool no_memory;
};

static bool mark_row(void *context, struct block_reader *reader, uint32_t row)
{
    struct marking *const marking = context;

    if (marking->bits == NULL) {
        marking->bits = calloc(block_summary(reader)->spans / 64 + 1, sizeof *marking->bits);
        marking->no_memory = marking->bits == NULL;
    }
    if (marking->bits != NULL) marking->bits[row / 64] |= UINT64_C(1) << row % 64;
    return !marking->no_memory;
}

static enum err mark_trace(const struct eraser *eraser, const struct catalog_view *view, struct io *io,
                           uint32_t block, struct marking *marking)
{
    const struct trace_id *const id = &eraser->job.selector.trace_id;
    struct catalog_source source;
    struct block_reader *reader;
    uint32_t first, count;

    if (!catalog_may_have_trace(view, io, block, filter_hash_trace(id->bytes))) return OK;
    TRY(catalog_open_block(view, io, block, &source, &reader));
    const enum err err = block_find_trace(reader, id, &first, &count);
    for (uint32_t row = first; err == OK && row < first + count; row++)
        (void)mark_row(marking, reader, row);
    block_close(reader);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* *bits: of the rows that have to go, owned by the caller; NULL: none. */
static enum err mark(const struct eraser *eraser, const struct catalog_view *view, struct io *io,
                     uint32_t block, uint64_t **bits)
{
    const struct selector *const selector = &eraser->job.selector;
    const struct selector_matcher *const matcher = &eraser->config.matcher;
    struct marking marking = {.bits = NULL};

    enum err err = selector->by_trace ? mark_trace(eraser, view, io, block, &marking)
                   : selector_range_touches(selector, &catalog_block(view, block)->summary)
                       ? matcher->match(matcher->context, view, io, block, selector, mark_row, &marking)
                       : OK;
    if (err == OK && marking.no_memory) err = ERR_NO_MEMORY;
    if (err != OK) free(marking.bits);
    if (err == OK) *bits = marking.bits;
    return err;
}

static bool takes_row(void *context, uint32_t block, uint32_t row)
{
    const struct doomed *const doomed = context;
    const uint64_t *const bits = doomed->bits[block - doomed->first];

    return bits == NULL || !(bits[row / 64] >> row % 64 & 1);
}

/* ---- writing again ------------------------------------------------------------------------------------- */

static void end_rewrite(struct eraser *eraser, struct io *io)
{
    if (eraser->rewrite != NULL) rewrite_close(eraser->rewrite, io);
    if (eraser->view != NULL) catalog_release(eraser->config.catalog, eraser->view);
    catalog_close_files(eraser->config.catalog, io);
    eraser->rewrite = NULL;
    eraser->view = NULL;
    forget_doomed(&eraser->doomed);
}

/* Takes the version over. */
static enum err begin_rewrite(struct eraser *eraser, struct io *io, const struct catalog_view *view,
                              uint32_t segment)
{
    struct doomed *const doomed = &eraser->doomed;

    eraser->view = view;
    doomed->blocks = catalog_segment_blocks(view, segment, &doomed->first);
    for (uint32_t i = 0; i < doomed->blocks; i++)
        TRY(mark(eraser, view, io, doomed->first + i, &doomed->bits[i]));
    eraser->spans_before = segment_spans(view->segments[segment]);
    eraser->sieve = (struct merge_sieve){
        .takes_row = takes_row, .context = doomed, .left_out_as = LEDGER_ERASED};
    return rewrite_open(eraser->config.catalog, io, view, segment, &eraser->sieve, &eraser->rewrite);
}

static enum err finish_rewrite(struct eraser *eraser, struct io *io)
{
    TRY(rewrite_finish(eraser->rewrite, io));
    const uint64_t spans = eraser->spans_before - rewrite_outcome(eraser->rewrite).spans;
    eraser->counts.spans += spans;
    eraser->counts.segments++;
    eraser->job.spans += spans;
    eraser->job.segments++;
    log_info("store", "spans erased", "erasure=%" PRIu64 " spans=%" PRIu64, eraser->job.id, spans);
    end_rewrite(eraser, io);
    return erasures_note(eraser->config.erasures, io, &eraser->job);
}

static enum err rewrite_on(struct eraser *eraser, struct io *io)
{
    bool complete = false;

    TRY(rewrite_step(eraser->rewrite, io, &complete));
    return complete ? finish_rewrite(eraser, io) : OK;
}

/* ---- looking ------------------------------------------------------------------------------------------- */

struct looking {
    const struct catalog_view *view;
    uint32_t blocks_left; /* that this step may still read */
    bool more;            /* not all were looked at */
    bool waits;           /* for a segment that cannot be written again yet */
    uint64_t unreadable;  /* segments */
    bool found;           /* in this one */
    uint32_t segment;
};

static uint64_t key_of(const struct block_summary *summary)
{
    return hash_mix(summary->seq, (uint64_t)summary->shard << 48 | 1);
}

/* *dirty: it has such spans. */
static enum err look_into(struct eraser *eraser, struct io *io, struct looking *looking, uint32_t block,
                          bool *dirty)
{
    const uint64_t key = key_of(&catalog_block(looking->view, block)->summary);
    const uint64_t *const verdict = id_map_find(&eraser->known, key);

    *dirty = verdict != NULL && *verdict == DIRTY;
    if (verdict != NULL) return OK;
    if (looking->blocks_left == 0) {
        looking->more = true;
        return OK;
    }
    looking->blocks_left--;
    uint64_t *bits = NULL;
    TRY(mark(eraser, looking->view, io, block, &bits));
    *dirty = bits != NULL;
    free(bits);
    return id_map_put(&eraser->known, key, *dirty ? DIRTY : CLEAN) ? OK : ERR_NO_MEMORY;
}

static bool is_damaged(const struct segment *segment)
{
    if (segment->has_copies) return true;
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (segment->blocks[i].fenced || segment->blocks[i].stray) return true;
    return false;
}

/* What is not closed yet, or waits for its filters, will be. What is damaged stays as it is, and is told. */
static void judge_dirty(struct looking *looking, uint32_t number)
{
    const struct segment *const segment = looking->view->segments[number];

    if (rewrite_may(segment)) {
        looking->found = true;
        looking->segment = number;
    } else if (is_damaged(segment)) {
        looking->unreadable++;
    } else if (!SEEDED_BUG(ERASE_FORGETS_OPEN)) {
        looking->waits = true;
    }
}

static enum err look_at_segment(struct eraser *eraser, struct io *io, struct looking *looking,
                                uint32_t number)
{
    uint32_t first;
    const uint32_t count = catalog_segment_blocks(looking->view, number, &first);
    bool dirty = false, unknown = false;

    for (uint32_t i = first; i < first + count && !dirty; i++) {
        const enum err err = catalog_block(looking->view, i)->fenced
                                 ? ERR_CORRUPT
                                 : look_into(eraser, io, looking, i, &dirty);
        unknown |= err == ERR_CORRUPT;
        if (err != ERR_CORRUPT) TRY(err);
    }
    if (dirty)
        judge_dirty(looking, number);
    else if (unknown)
        looking->unreadable++;
    return OK;
}

static enum err look_at_all(struct eraser *eraser, struct io *io, struct looking *looking)
{
    for (uint32_t i = 0; i < looking->view->segments_count && !looking->found; i++)
        TRY(look_at_segment(eraser, io, looking, i));
    return OK;
}

/* ---- a job --------------------------------------------------------------------------------------------- */

static void put_down(struct eraser *eraser, struct io *io)
{
    end_rewrite(eraser, io);
    id_map_deinit(&eraser->known);
    eraser->at_work = false;
}

static enum err end_job(struct eraser *eraser, struct io *io, uint64_t unreadable)
{
    eraser->job.state = unreadable > 0 ? ERASURE_INCOMPLETE : ERASURE_DONE;
    eraser->job.unreadable = unreadable;
    eraser->job.ended_ns = io_wall_ns(io);
    TRY(erasures_note(eraser->config.erasures, io, &eraser->job));
    log_info("store", "erasure done",
             "id=%" PRIu64 " spans=%" PRIu64 " segments=%" PRIu64 " unreadable=%" PRIu64, eraser->job.id,
             eraser->job.spans, eraser->job.segments, unreadable);
    put_down(eraser, io);
    return OK;
}

/* Sealed is asked before the version is taken: what had been sealed then is in it. */
static enum err look(struct eraser *eraser, struct io *io)
{
    struct catalog *const catalog = eraser->config.catalog;
    struct looking looking = {.blocks_left = BLOCKS_A_STEP};

    if (!eraser->sealed)
        eraser->sealed = SEEDED_BUG(ERASE_FORGETS_LIVE) ||
                         eraser->config.all_sealed(eraser->config.context, eraser->job.id);
    looking.view = catalog_acquire(catalog);
    const enum err err = look_at_all(eraser, io, &looking);
    if (err == OK && looking.found) return begin_rewrite(eraser, io, looking.view, looking.segment);
    catalog_release(catalog, looking.view);
    TRY(err);
    if (looking.more) return OK;
    if (eraser->sealed && !looking.waits) return end_job(eraser, io, looking.unreadable);
    eraser->rest_until_ns = io_now_ns(io) + PAUSE_NS;
    return OK;
}

static bool take_up(struct eraser *eraser)
{
    if (!erasures_next(eraser->config.erasures, &eraser->job)) return false;
    eraser->at_work = true;
    eraser->sealed = false;
    return true;
}

bool eraser_step(struct eraser *eraser, struct io *io)
{
    if (io_now_ns(io) < eraser->rest_until_ns) return false;
    if (!catalog_bury(eraser->config.catalog, io)) return false;
    if (!eraser->at_work && !take_up(eraser)) return false;
    const enum err err = eraser->rewrite != NULL ? rewrite_on(eraser, io) : look(eraser, io);
    if (err == OK) return true;
    if (err == ERR_SUPERSEDED) { /* a merge was quicker: what it has left is looked into next */
        end_rewrite(eraser, io);
        return true;
    }
    log_warn("store", "an erasure has to wait", "id=%" PRIu64 " err=\"%s\"", eraser->job.id, err_text(err));
    eraser->counts.failures++;
    eraser->rest_until_ns = io_now_ns(io) + REST_NS;
    put_down(eraser, io);
    return false;
}

void eraser_close(struct eraser *eraser, struct io *io)
{
    put_down(eraser, io);
    free(eraser);
}
