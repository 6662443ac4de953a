/*
 * One merge at a time, in steps. What it reads is held by a version, what it writes is private until the last step. Segments of
 * a window are merged span by span (merge.c); those of a day are only joined: their blocks are copied as they are, so that
 * each keeps to the time of its window, and a search for the newest traces need not open all of them.
 *
 *   idle ──plan──▶ merging ──no more blocks──▶ named ──▶ published, inputs removed ──▶ idle
 *     ▲               │ any failure: the output is thrown away, a minute's rest
 *     └───────────────┘
 */
#include "store/compaction.h"

#include "base/clock.h"
#include "base/log.h"
#include "compaction_plan.h"

#include "catalog_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t REST_NS = 60 * NS_PER_S; /* after a failure, or when there is no room */

/* Where copying has come to. */
struct joining {
    uint32_t input, place;     /* the next block */
    struct segment_rows *rows; /* of that input, in memory; NULL: not read yet */
};

struct job {
    bool under_way;
    struct compaction_plan plan;
    const struct catalog_view *view;
    struct segment *inputs[MERGE_STREAMS_MAX]; /* of the view */
    struct merge *merge;                       /* level 1 */
    struct joining joining;                    /* level 2 */
    struct segment_merged output;
    uint64_t began_ns; /* monotonic */
};

struct compactor {
    struct catalog *catalog;
    struct compaction_config config;
    struct compaction_counts counts;
    struct merge_tools
        *tools; /* made when first needed, kept for the next merge, given back when there is none */
    struct job job;
    uint64_t rest_until_ns; /* monotonic */
};

/* ---- a job -------------------------------------------------------------------------------------------- */

static void drop_job(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;

    if (job->merge != NULL) merge_close(job->merge);
    segment_rows_free(job->joining.rows);
    segment_merged_discard(&job->output, io);
    if (job->view != NULL) catalog_release(compactor->catalog, job->view);
    catalog_close_files(compactor->catalog, io);
    *job = (struct job){.under_way = false};
}

/* What another one was quicker with is no failure: the next step plans anew. */
static bool fail(struct compactor *compactor, struct io *io, enum err err)
{
    if (err == ERR_SUPERSEDED) {
        log_info("store", "a merge gives way", "level=%u segments=%" PRIu32, compactor->job.plan.level,
                 compactor->job.plan.count);
        drop_job(compactor, io);
        return true;
    }
    log_warn("store", "segments could not be merged", "level=%u segments=%" PRIu32 " err=\"%s\"",
             compactor->job.plan.level, compactor->job.plan.count, err_text(err));
    compactor->counts.failures++;
    compactor->rest_until_ns = io_now_ns(io) + REST_NS;
    drop_job(compactor, io);
    return false;
}

static bool has_room(const struct compactor *compactor, struct io *io, uint64_t bytes)
{
    uint64_t free_bytes, total_bytes;

    if (io_space(io, compactor->catalog->dir, &free_bytes, &total_bytes) != OK) return false;
    return free_bytes >= bytes && free_bytes - bytes >= compactor->config.reserve_free;
}

static enum err open_merge(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;

    if (compactor->tools == NULL) TRY(merge_tools_open(&compactor->tools));
    return merge_open(compactor->tools, job->view, io, job->plan.segments, job->plan.count,
                      job->output.ledger, &job->merge);
}

static enum err begin(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;

    for (uint32_t i = 0; i < job->plan.count; i++)
        job->inputs[i] = job->view->segments[job->plan.segments[i]];
    TRY(segment_merged_begin(job->view, io, job->plan.level, job->inputs, job->plan.count, &job->output));
    return job->plan.level == 1 ? open_merge(compactor, io) : OK;
}

/* False: there is nothing to merge, or no room for it. */
static bool plan(struct compactor *compactor, struct io *io, uint64_t now_ns)
{
    struct job *const job = &compactor->job;

    job->view = catalog_acquire(compactor->catalog);
    compaction_plan(job->view, &compactor->config, now_ns, &job->plan);
    if (job->plan.count > 0 && !has_room(compactor, io, job->plan.bytes)) {
        log_warn("store", "no room to merge segments", "bytes=%" PRIu64, job->plan.bytes);
        compactor->rest_until_ns = io_now_ns(io) + REST_NS;
        job->plan.count = 0;
    }
    if (job->plan.count == 0) {
        drop_job(compactor, io);
        return false;
    }
    job->under_way = true;
    job->began_ns = io_now_ns(io);
    const enum err err = begin(compactor, io);
    return err == OK || fail(compactor, io, err);
}

/* ---- the end of it ------------------------------------------------------------------------------------ */

static void tell(struct compactor *compactor, struct io *io)
{
    struct compaction_counts *const counts = &compactor->counts;
    const struct job *const job = &compactor->job;
    uint64_t spans = 0, duplicates = 0;

    if (job->merge != NULL) merge_counts(job->merge, &spans, &duplicates);
    counts->merges[job->plan.level]++;
    counts->spans_read += spans;
    counts->spans_duplicate += duplicates;
    counts->bytes_written += job->output.offset - SEGMENT_ALIGN;
    log_info("store", "segments merged",
             "level=%u segments=%" PRIu32 " blocks=%" PRIu64 " spans=%" PRIu64 " duplicates=%" PRIu64
             " bytes=%" PRIu64 " to_bytes=%" PRIu64 " ms=%" PRIu64,
             job->plan.level, job->plan.count, job->plan.blocks, spans, duplicates, job->plan.bytes,
             job->output.offset - SEGMENT_ALIGN, (uint64_t)((io_now_ns(io) - job->began_ns) / NS_PER_MS));
}

static enum err finish(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;

    TRY(segment_merged_replace(&job->output, io, job->inputs, job->plan.count));
    tell(compactor, io);
    drop_job(compactor, io);
    return OK;
}

static enum err merge_on(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;
    struct block_encoded block;

    TRY(merge_next(job->merge, catalog_take_merged_seq(compactor->catalog), &block));
    if (block.summary.spans == 0) return finish(compactor, io);
    if (job->output.segment->blocks_count == SEGMENT_BLOCKS_MAX) return ERR_TOO_LARGE;
    return segment_merged_append(&job->output, io, &block);
}

/* ---- joining ------------------------------------------------------------------------------------------ */

/* Every byte is looked at once before it is copied: rot must not get a new name. */
static enum err check_block(const struct job *job, struct io *io, uint32_t number)
{
    const struct block_summary *const summary = &catalog_block(job->view, number)->summary;
    struct catalog_source source;
    struct block_reader *reader;

    TRY(catalog_open_block(job->view, io, number, &source, &reader));
    const enum err err = block_check_sums(reader);
    block_close(reader);
    if (err == ERR_CORRUPT) catalog_fence(job->view->catalog, summary->shard, summary->seq);
    return err;
}

/* Filters that cannot be read exclude nothing, here as elsewhere. */
static enum err read_rows(struct joining *joining, const struct segment *input, struct io *io)
{
    struct segment_rows *const rows = calloc(1, sizeof *rows);

    if (rows == NULL) return ERR_NO_MEMORY;
    rows->blocks = input->rows->blocks;
    joining->rows = rows;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        rows->cells[kind] = input->rows->cells[kind];
        rows->offset[kind] = input->rows->offset[kind];
        if (rows->cells[kind] == 0) continue;
        const enum err err = segment_rows_load(io, input->file, rows, (enum filter_kind)kind);
        if (err != OK && err != ERR_CORRUPT) return err;
    }
    return OK;
}

static enum err join_block(struct job *job, struct io *io, const struct segment *input)
{
    struct joining *const joining = &job->joining;
    const uint32_t number = job->view->first[job->plan.segments[joining->input]] + joining->place;

    TRY(check_block(job, io, number));
    if (joining->rows == NULL) TRY(read_rows(joining, input, io));
    struct block_filters *const filters = block_filters_of_rows(joining->rows,
                                                                input->blocks[joining->place].index);
    if (filters == NULL) return ERR_NO_MEMORY;
    const enum err err = segment_merged_copy(&job->output, io, input, joining->place, filters);
    if (err != OK) block_filters_drop(filters);
    return err;
}

static enum err join_on(struct compactor *compactor, struct io *io)
{
    struct job *const job = &compactor->job;
    struct joining *const joining = &job->joining;

    if (joining->input == job->plan.count) return finish(compactor, io);
    const struct segment *const input = job->inputs[joining->input];
    TRY(join_block(job, io, input));
    if (++joining->place < input->blocks_count) return OK;
    segment_rows_free(joining->rows);
    *joining = (struct joining){.input = joining->input + 1};
    return OK;
}

static enum err go_on(struct compactor *compactor, struct io *io)
{
    return compactor->job.plan.level == 1 ? merge_on(compactor, io) : join_on(compactor, io);
}

/* ---- steps -------------------------------------------------------------------------------------------- */

static void config_defaults(struct compaction_config *config)
{
    if (config->window_ns == 0) config->window_ns = 600 * NS_PER_S;
    if (config->delay_ns == 0) config->delay_ns = 300 * NS_PER_S;
    if (config->bytes_max == 0) config->bytes_max = UINT64_C(512) << 20;
    if (config->reserve_free == 0) config->reserve_free = UINT64_C(1) << 30;
}

enum err compactor_open(struct catalog *catalog, const struct compaction_config *config,
                        struct compactor **out)
{
    struct compactor *const compactor = calloc(1, sizeof *compactor);

    if (compactor == NULL) return ERR_NO_MEMORY;
    compactor->catalog = catalog;
    compactor->config = *config;
    config_defaults(&compactor->config);
    *out = compactor;
    return OK;
}

static void give_tools_back(struct compactor *compactor)
{
    if (compactor->tools == NULL) return;
    merge_tools_close(compactor->tools);
    compactor->tools = NULL;
}

void compactor_close(struct compactor *compactor, struct io *io)
{
    drop_job(compactor, io);
    give_tools_back(compactor);
    free(compactor);
}

bool compactor_step(struct compactor *compactor, struct io *io, uint64_t now_ns)
{
    if (!catalog_bury(compactor->catalog, io))
        return false; /* nor does a job end while something has to go */
    if (compactor->job.under_way) {
        const enum err err = go_on(compactor, io);
        return err == OK || fail(compactor, io, err);
    }
    if (io_now_ns(io) < compactor->rest_until_ns) return false;
    if (plan(compactor, io, now_ns)) return true;
    give_tools_back(compactor);
    return false;
}

const struct compaction_counts *compactor_counts(const struct compactor *compactor)
{
    return &compactor->counts;
}

uint64_t compaction_debt(struct catalog *catalog, const struct compaction_config *config, uint64_t now_ns)
{
    struct compaction_config filled = *config;
    const struct catalog_view *const view = catalog_acquire(catalog);

    config_defaults(&filled);
    const uint64_t count = compaction_waiting(view, &filled, now_ns);
    catalog_release(catalog, view);
    return count;
}
