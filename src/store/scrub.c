/*
 * A pass goes through the closed segments in the order of their making; its place is a segment's name in that order and a
 * unit of it, so it does not matter which segments come and go meanwhile: what is removed is not there to be read, and
 * what is new was read by whoever made it, and is the next pass's.
 *
 *   due? -> the first unit behind the place, in the current version -> read, judged; again if something is wrong ->
 * place moves on -> ... -> nothing is behind the place: the pass has ended
 *
 * Twice wrong is a fault. A block that is lost is fenced, but one that cannot even be read only if the same disk still
 * gives something else: else it is the disk that is gone, and not the block.
 */
#include "store/scrub.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/seeded_bug.h"
#include "scrub_check.h"
#include "scrub_note.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint64_t NOTE_EVERY_NS = 60 * NS_PER_S;

struct scrubber {
    struct scrub_config config;
    struct catalog *catalog;
    struct io_dir *dir;
    struct scrub_note note;
    struct scrub_counts counts;
    uint64_t noted_ns;    /* io_now_ns() of the last note */
    uint64_t pass_faults; /* of the pass that runs, in this life */
    bool note_failed;     /* and it was said */
};

enum err scrubber_open(struct io *io, struct io_dir *dir, struct catalog *catalog,
                       const struct scrub_config *config, struct scrubber **out)
{
    struct scrubber *const scrubber = calloc(1, sizeof *scrubber);

    assert(config->pause != NULL && config->every_ns > 0);
    if (scrubber == NULL) return ERR_NO_MEMORY;
    *scrubber = (struct scrubber){
        .config = *config, .catalog = catalog, .dir = dir, .noted_ns = io_now_ns(io)};
    if (scrub_note_read(io, dir, &scrubber->note) != OK) scrubber->note = (struct scrub_note){.began_ns = 0};
    scrubber->counts.last_pass_ns = scrubber->note.ended_ns;
    *out = scrubber;
    return OK;
}

const struct scrub_counts *scrubber_counts(const struct scrubber *scrubber)
{
    return &scrubber->counts;
}

static void write_note(struct scrubber *scrubber, struct io *io)
{
    const enum err err = scrub_note_write(io, scrubber->dir, &scrubber->note);

    scrubber->noted_ns = io_now_ns(io);
    if (err != OK && !scrubber->note_failed)
        log_warn("store", "how far the scrub is could not be noted; a restart begins its pass anew",
                 "error=\"%s\"", err_text(err));
    scrubber->note_failed = err != OK;
}

void scrubber_close(struct scrubber *scrubber, struct io *io)
{
    if (scrubber->note.running) write_note(scrubber, io);
    free(scrubber);
}

/* ---- where to go on ---------------------------------------------------------------------------------- */

static bool is_before(const struct scrub_place *a, const struct scrub_place *b)
{
    if (a->created_ns != b->created_ns) return a->created_ns < b->created_ns;
    if (a->shard != b->shard) return a->shard < b->shard;
    return a->seq < b->seq;
}

static struct scrub_place place_of(const struct segment *segment)
{
    return (struct scrub_place){.created_ns = segment->identity.created_ns,
                                .seq = segment->identity.seq,
                                .shard = segment->identity.shard};
}

/* The segment that is at the place, if units of it are left, else the next one; NULL: the pass has ended. */
static const struct segment *next_segment(const struct scrubber *scrubber, const struct catalog_view *view,
                                          struct scrub_place *place)
{
    const struct scrub_note *const pass = &scrubber->note;
    const struct segment *next = NULL;

    for (uint32_t i = 0; i < view->segments_count; i++) {
        const struct segment *const segment = view->segments[i];
        struct scrub_place here = place_of(segment);
        if (segment->rows == NULL || segment->unfiltered) continue; /* its footer is still to be written */
        if (here.created_ns > pass->began_ns) continue;
        if (is_before(&here, &pass->place)) continue;
        if (!is_before(&pass->place, &here)) here.unit = pass->place.unit;
        if (here.unit > segment->blocks_count) continue;
        if (next != NULL && !is_before(&here, place)) continue;
        next = segment;
        *place = here;
    }
    return next;
}

/* ---- a unit ------------------------------------------------------------------------------------------ */

/* Can the first page of the file be read? */
static bool disk_answers(struct scrub_check *check)
{
    uint8_t *const page = aligned_alloc(IO_ALIGN, IO_ALIGN);
    const bool answers = page != NULL && segment_file_read(check->file, check->io, 0, page, IO_ALIGN) == OK;

    free(page);
    return answers;
}

static void tell(struct scrubber *scrubber, struct scrub_check *check, uint32_t unit,
                 const struct scrub_faults *faults)
{
    const struct segment *const segment = check->segment;
    const bool is_block = unit < segment->blocks_count;
    const struct block_summary *const summary = is_block ? &segment->blocks[unit].summary : NULL;
    const bool fence = is_block && faults->lost && disk_answers(check) && !SEEDED_BUG(SCRUB_ONLY_COUNTS);

    scrubber->counts.faults += faults->count;
    scrubber->pass_faults += faults->count;
    log_error("store", "scrub: the disk has changed what was written, or cannot read it",
              "file=%s block=%" PRId64 " seq=%" PRId64 " offset=%" PRIu64 " what=\"%s\" faults=%" PRIu32
              " fenced=%d",
              segment->file->name, is_block ? (int64_t)segment->blocks[unit].index : -1,
              is_block ? (int64_t)summary->seq : -1, faults->first.offset, faults->first.what, faults->count,
              fence);
    if (fence) catalog_fence(scrubber->catalog, summary->shard, summary->seq);
}

/* Once more, before the disk is accused: it may have been the way from there. */
static enum err check_twice(struct scrub_check *check, uint32_t unit, struct scrub_faults *faults)
{
    struct scrub_faults again;

    TRY(scrub_check_unit(check, unit, faults));
    if (faults->count == 0) return OK;
    TRY(scrub_check_unit(check, unit, &again));
    if (again.count == 0)
        log_warn("store", "scrub: read well only the second time", "file=%s offset=%" PRIu64 " what=\"%s\"",
                 check->segment->file->name, faults->first.offset, faults->first.what);
    *faults = again;
    return OK;
}

static enum err scrub_unit(struct scrubber *scrubber, struct io *io, const struct segment *segment,
                           uint32_t unit)
{
    struct scrub_check check;
    struct scrub_faults faults;

    if (unit < segment->blocks_count && segment->blocks[unit].fenced) return OK; /* known */
    const enum err opened = scrub_check_open(scrubber->catalog, io, segment, &scrubber->config, &check);
    if (opened == ERR_NOT_FOUND) return OK; /* merged, or expired */
    TRY(opened);
    const enum err err = check_twice(&check, unit, &faults);
    scrubber->counts.bytes += check.bytes;
    if (err == OK && faults.count > 0) tell(scrubber, &check, unit, &faults);
    scrub_check_close(&check);
    return err;
}

/* ---- a pass ------------------------------------------------------------------------------------------ */

/* A clock that was put back does not bring the next pass forward, nor one put forward more than one. */
static bool may_run(struct scrubber *scrubber, struct io *io)
{
    struct scrub_note *const pass = &scrubber->note;
    const uint64_t wall_ns = io_wall_ns(io);

    if (pass->running) return true;
    if (wall_ns < pass->began_ns) pass->began_ns = wall_ns;
    if (pass->began_ns != 0 && wall_ns - pass->began_ns < scrubber->config.every_ns) return false;
    *pass = (struct scrub_note){.began_ns = wall_ns, .ended_ns = pass->ended_ns, .running = true};
    scrubber->pass_faults = 0;
    return true;
}

static void end_pass(struct scrubber *scrubber, struct io *io)
{
    struct scrub_note *const pass = &scrubber->note;

    pass->running = false;
    pass->ended_ns = scrubber->counts.last_pass_ns = io_wall_ns(io);
    scrubber->counts.passes++;
    log_info("store", "scrub: all closed segments were read", "seconds=%" PRIu64 " faults=%" PRIu64,
             (uint64_t)((pass->ended_ns - pass->began_ns) / NS_PER_S), scrubber->pass_faults);
    write_note(scrubber, io);
}

/* What failed for want of memory, descriptors or the like is left to the next pass, so that none stands still. */
static bool scrub_next(struct scrubber *scrubber, struct io *io, const struct catalog_view *view)
{
    struct scrub_note *const pass = &scrubber->note;
    struct scrub_place place;

    const struct segment *const segment = next_segment(scrubber, view, &place);
    if (segment == NULL) {
        end_pass(scrubber, io);
        return true;
    }
    const enum err err = scrub_unit(scrubber, io, segment, place.unit);
    if (err == ERR_CLOSING) return false;
    if (err != OK)
        log_warn("store", "scrub: a part of a segment was not read", "file=%s error=\"%s\"",
                 segment->file->name, err_text(err));
    pass->place = place;
    pass->place.unit++;
    if (io_now_ns(io) - scrubber->noted_ns >= NOTE_EVERY_NS) write_note(scrubber, io);
    return true;
}

bool scrubber_step(struct scrubber *scrubber, struct io *io)
{
    if (!may_run(scrubber, io)) return false;
    const struct catalog_view *const view = catalog_acquire(scrubber->catalog);
    const bool more = scrub_next(scrubber, io, view);

    catalog_release(scrubber->catalog, view);
    return more;
}
