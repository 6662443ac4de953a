/*
 * Recovery: what of the log is there, and where it ends. Nothing is written here, so a crash in it changes
 * nothing.
 *
 *   map        each file's first frame tells its base
 *   walk       frame by frame, by lengths only, from the head of the file that holds the sealed LSN; frames
 * below the sealed LSN only carry the chain bridge     where the walk finds no frame at X, a later life or a
 * roll may go on at the next page or at the next file; only a GENERATION or FILE frame that names X and
 * carries the chain is followed evidence   the walk has ended at X; does any sound frame elsewhere prove that
 * the log was durable beyond X?
 *
 * No evidence: X is the tail, what lies behind was never acknowledged. Evidence: a damaged middle. Then the
 * walk ends in ERR_CORRUPT, or, when the operator accepts the damage, goes on at the next sound frame, in the
 * order of the log. Why this is right for every torn write is argued case by case in FORMAT.md, "Journal";
 * the letters below cite it.
 *
 * Foreign bytes: a frame is looked at only after its header CRC has passed, its body only after the body CRC;
 * lengths are held against the file before use. Reading goes through one aligned buffer of 1 MiB, which grows
 * once if a body is larger. A failed read is ERR_IO, never a tail: a disk that stutters must not cut the log.
 */
#include "journal_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/seeded_bug.h"

#include <inttypes.h>
#include <string.h>

enum { WINDOW_BYTES = 1024 * 1024 };

struct walk {
    struct journal *journal;
    bool accept_damage;
    journal_visit_fn *visit;
    void *context;
    struct journal_report *report;

    /* the aligned bytes read last */
    uint8_t *buf;
    size_t capacity;
    const struct journal_file *file;
    uint64_t from;
    size_t len;

    uint64_t sealed_lsn; /* frames below are not visited */
    uint64_t lsn;        /* the next frame is expected here */
    uint32_t chain;
    uint32_t generation;
    bool chained; /* chain is known */

    uint64_t next_progress_ns;
};

/* What the search behind the end of the walk has found. */
struct evidence {
    uint64_t durable_lsn; /* highest that a sound frame vouches for */
    uint64_t accepted_lsn;
    uint32_t generation;
};

struct found {
    struct journal_frame frame;
    struct slice body; /* in the window, until the next read */
};

static enum err map_files(struct walk *walk, uint64_t *sealed_known_lsn);
static void walk_begin(struct walk *walk, uint64_t sealed_lsn, uint64_t sealed_known_lsn);
static enum err walk_all(struct walk *walk);
static enum err walk_on(struct walk *walk);
static enum err walk_find(struct walk *walk, struct found *found);
static enum err walk_accept(struct walk *walk, const struct found *found);
static enum err search_evidence(struct walk *walk, struct evidence *evidence);
static enum err resume(struct walk *walk, const struct evidence *evidence);
static enum err frame_read(struct walk *walk, const struct journal_file *file, uint64_t offset,
                           struct found *found);

enum err journal_replay(struct journal *journal, uint64_t sealed_lsn, bool accept_damage,
                        journal_visit_fn *visit, void *context, struct journal_report *report)
{
    struct walk walk = {
        .journal = journal,
        .accept_damage = accept_damage,
        .visit = visit,
        .context = context,
        .report = report,
        .next_progress_ns = io_now_ns(journal->io) + NS_PER_S,
    };
    uint64_t sealed_known_lsn = 0;

    assert(journal->stage == JOURNAL_OPENED);
    *report = (struct journal_report){.lsn_tail = 0};
    for (size_t i = 0; i < journal->files_count; i++)
        report->short_files += journal->files[i].bytes < journal->file_bytes;
    if (sealed_lsn > JOURNAL_LSN_MAX) return ERR_CORRUPT;
    walk.capacity = journal->file_bytes < WINDOW_BYTES ? journal->file_bytes : WINDOW_BYTES;
    walk.buf = io_memory(walk.capacity);
    if (walk.buf == NULL) return ERR_NO_MEMORY;

    enum err err = map_files(&walk, &sealed_known_lsn);
    if (err == OK) {
        walk_begin(&walk, sealed_lsn, sealed_known_lsn);
        err = walk_all(&walk);
    }
    report->lsn_tail = journal_align(walk.lsn, JOURNAL_PAGE_BYTES);
    if (err == OK) {
        journal->stage = JOURNAL_REPLAYED;
        journal->chain = journal->durable_chain = walk.chain;
        journal->continues_lsn = walk.lsn;
        journal->end_lsn = journal->durable_lsn = walk.lsn; /* synced when the files were opened */
        journal->sealed_lsn = walk.sealed_lsn;
    }
    if (walk.buf != NULL) io_memory_free(walk.buf, walk.capacity);
    return err;
}

/* ---- reading --------------------------------------------------------------------------------------------
 */

static enum err window_grow(struct walk *walk, size_t need)
{
    if (need <= walk->capacity) return OK;

    io_memory_free(walk->buf, walk->capacity);
    walk->len = 0;
    walk->buf = io_memory(need);
    walk->capacity = walk->buf != NULL ? need : 0;
    return walk->buf != NULL ? OK : ERR_NO_MEMORY;
}

static enum err window_fill(struct walk *walk, const struct journal_file *file, uint64_t from, size_t len)
{
    size_t count = 0;

    walk->len = 0;
    TRY(io_read_now(walk->journal->io, file->handle, walk->buf, len, from, &count));
    walk->file = file;
    walk->from = from;
    walk->len = count;
    return OK;
}

/* len bytes at offset of the file. ERR_NOT_FOUND: the file has no such bytes. ERR_IO: they cannot be read. */
static enum err window_read(struct walk *walk, const struct journal_file *file, uint64_t offset, uint64_t len,
                            const uint8_t **out)
{
    if (offset > file->bytes || len > file->bytes - offset) return ERR_NOT_FOUND;

    if (walk->file != file || offset < walk->from || offset + len > walk->from + walk->len ||
        walk->len == 0) {
        const uint64_t from = offset / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
        const uint64_t need = journal_align(offset + len, JOURNAL_PAGE_BYTES) - from;
        const uint64_t left = journal_align(file->bytes, JOURNAL_PAGE_BYTES) - from;
        TRY(window_grow(walk, need));
        const size_t ahead = left < walk->capacity ? (size_t)left : walk->capacity;
        enum err err = window_fill(walk, file, from, ahead);
        if (err == ERR_IO && need < ahead)
            err = window_fill(walk, file, from, need); /* around a bad sector */
        if (err != OK) return err;
        if (offset + len > from + walk->len) return ERR_NOT_FOUND;
    }
    *out = walk->buf + (offset - walk->from);
    return OK;
}

/* An unreadable place is a bad frame once the operator accepts damage, and an error until then. */
static enum err unreadable(const struct walk *walk, enum err err)
{
    return err == ERR_IO && walk->accept_damage ? ERR_NOT_FOUND : err;
}

/*
 * The frame at an offset of a file, proved: salted CRCs of header and body, this shard, the lsn that belongs
 * to this offset. ERR_NOT_FOUND: no such frame. ERR_VERSION: sound, but of a kind this binary does not know.
 */
static enum err frame_read(struct walk *walk, const struct journal_file *file, uint64_t offset,
                           struct found *found)
{
    const struct journal *const journal = walk->journal;
    struct journal_frame *const frame = &found->frame;
    const uint8_t *bytes;

    const enum err err = window_read(walk, file, offset, sizeof *frame, &bytes);
    if (err != OK) return unreadable(walk, err);
    memcpy(frame, bytes, sizeof *frame);
    if (!journal_frame_check(frame, journal->salt)) return ERR_NOT_FOUND;
    if (frame->shard != journal->config.shard || frame->lsn > JOURNAL_LSN_MAX) return ERR_NOT_FOUND;
    if (frame->lsn % journal->data_bytes != offset - JOURNAL_PAGE_BYTES) return ERR_NOT_FOUND;
    if (frame->not_yet_durable > frame->lsn) return ERR_NOT_FOUND;
    if (journal_frame_bytes(frame->body_len) > file->bytes - offset) return ERR_NOT_FOUND;

    const enum err err_body = window_read(walk, file, offset, sizeof *frame + (uint64_t)frame->body_len,
                                          &bytes);
    if (err_body != OK) return unreadable(walk, err_body);
    found->body = slice_of(bytes + sizeof *frame, frame->body_len);
    const bool whole = journal_frame_check_body(frame, found->body.ptr, journal->salt);
    if (!whole && !SEEDED_BUG(SKIP_BODY_CRC)) return ERR_NOT_FOUND;

    const bool known = frame->type >= JOURNAL_BATCH && frame->type <= JOURNAL_FILE &&
                       (frame->flags & ~JOURNAL_FLAG_PAGE_END) == 0;
    if (!known || (frame->type != JOURNAL_BATCH && frame->body_len < sizeof(struct journal_control)))
        return ERR_VERSION;
    return OK;
}

static struct journal_control control_of(const struct found *found)
{
    struct journal_control control;
    assert(found->frame.type != JOURNAL_BATCH && found->body.len >= sizeof control);
    memcpy(&control, found->body.ptr, sizeof control);
    return control;
}

static enum err frame_at(struct walk *walk, uint64_t lsn, struct found *found)
{
    const struct journal_file *const file = journal__file_at(walk->journal, lsn);
    if (file == NULL) return ERR_NOT_FOUND;

    TRY(frame_read(walk, file, lsn - file->base + JOURNAL_PAGE_BYTES, found));
    return found->frame.lsn == lsn ? OK : ERR_NOT_FOUND;
}

/* ---- mapping --------------------------------------------------------------------------------------------
 */

/* Case K: of two files with one base, the later life's is the log's; the other's first frame was never part
 * of it. */
static void map_file(struct journal *journal, struct journal_file *file, uint64_t base, uint32_t generation,
                     uint64_t continues_lsn)
{
    struct journal_file *const rival = journal__file_at(journal, base);

    if (rival != NULL) {
        log_warn("journal", "two files claim one position; the later generation is taken",
                 "shard=%u files=%08" PRIu64 ",%08" PRIu64, journal->config.shard, rival->sequence,
                 file->sequence);
        if (rival->generation >= generation) return;
        rival->base = JOURNAL_UNMAPPED;
    }
    file->base = base;
    file->generation = generation;
    file->continues_lsn = continues_lsn;
}

static enum err map_files(struct walk *walk, uint64_t *sealed_known_lsn)
{
    struct journal *const journal = walk->journal;

    for (size_t i = 0; i < journal->files_count; i++)
        journal->files[i].base = JOURNAL_UNMAPPED;
    for (size_t i = 0; i < journal->files_count; i++) {
        struct found found;
        const enum err err = frame_read(walk, &journal->files[i], JOURNAL_PAGE_BYTES, &found);
        if (err == ERR_NOT_FOUND) continue;
        if (err != OK) return err;
        const bool control = found.frame.type != JOURNAL_BATCH;
        map_file(journal, &journal->files[i], found.frame.lsn, found.frame.generation,
                 found.frame.type == JOURNAL_GENERATION ? control_of(&found).continues_lsn
                                                        : JOURNAL_UNMAPPED);
        if (!control) continue;
        const uint64_t sealed_lsn = control_of(&found).sealed_lsn;
        if (sealed_lsn > *sealed_known_lsn && sealed_lsn <= JOURNAL_LSN_MAX) *sealed_known_lsn = sealed_lsn;
    }
    return OK;
}

/* The lowest base of the log at or above lsn; JOURNAL_UNMAPPED when there is none. */
static uint64_t base_above(const struct journal *journal, uint64_t lsn)
{
    uint64_t lowest = JOURNAL_UNMAPPED;

    for (size_t i = 0; i < journal->files_count; i++)
        if (journal->files[i].base >= lsn && journal->files[i].base < lowest) lowest = journal->files[i].base;
    return lowest;
}

/*
 * The walk begins at the head of the file that holds the last sealed byte: that gives the chain. When the
 * catalog has lost its newest blocks to retention, sealed_lsn is too small, and files above it may have been
 * recycled: what the journal itself knows to be sealed says that this is no gap.
 */
static void walk_begin(struct walk *walk, uint64_t sealed_lsn, uint64_t sealed_known_lsn)
{
    struct journal *const journal = walk->journal;

    if (sealed_lsn < sealed_known_lsn && journal__file_at(journal, sealed_lsn) == NULL) {
        const uint64_t base = base_above(journal, sealed_lsn);
        const uint64_t first_lsn = base < sealed_known_lsn ? base : sealed_known_lsn;
        walk->report->unsealed_bytes = first_lsn - sealed_lsn;
        sealed_lsn = first_lsn;
    }
    const struct journal_file *file = sealed_lsn > 0 ? journal__file_at(journal, sealed_lsn - 1) : NULL;
    if (file == NULL) file = journal__file_at(journal, sealed_lsn);

    walk->sealed_lsn = sealed_lsn;
    walk->lsn = file != NULL ? file->base : sealed_lsn;
}

/* ---- walking --------------------------------------------------------------------------------------------
 */

static void progress(struct walk *walk)
{
    const uint64_t now_ns = io_now_ns(walk->journal->io);
    if (now_ns < walk->next_progress_ns) return;

    walk->next_progress_ns = now_ns + NS_PER_S;
    log_info("journal", "replaying", "shard=%u lsn=%" PRIu64 " batches=%" PRIu64 " spans=%" PRIu64,
             walk->journal->config.shard, walk->lsn, walk->report->batches, walk->report->spans);
}

static enum err damaged(struct walk *walk, const struct evidence *evidence)
{
    struct journal *const journal = walk->journal;
    const bool accepted = walk->accept_damage || evidence->accepted_lsn > walk->lsn;

    if (walk->report->missing_bytes == 0) walk->report->damaged_at_lsn = walk->lsn;
    log_error("journal",
              accepted ? "damage, accepted by the operator" : "damage: acknowledged spans may be lost",
              "shard=%u lsn=%" PRIu64 " durable_lsn=%" PRIu64, journal->config.shard, walk->lsn,
              evidence->durable_lsn);
    if (accepted) return resume(walk, evidence);
    walk->report->missing_bytes += evidence->durable_lsn - walk->lsn; /* at most; the walk stops here */
    return ERR_CORRUPT;
}

/* Where the stretch of the log ends that the walk has come to. */
static uint64_t stretch_end(const struct walk *walk)
{
    return journal__base_of(walk->journal, walk->lsn) + walk->journal->data_bytes;
}

/*
 * Case F: the walk ends in a file that has lost its end, which no crash does, for files get their size before their
 * name. What stood there, evidence included, is gone. A damage accepted before is known by the frames behind it.
 */
static bool cut_short(const struct walk *walk)
{
    const struct journal_file *const file = journal__file_at(walk->journal, walk->lsn);

    return file != NULL && file->bytes < walk->journal->file_bytes;
}

static enum err walk_all(struct walk *walk)
{
    struct journal *const journal = walk->journal;
    struct evidence evidence = {.durable_lsn = 0};
    bool searched = false;

    for (;;) {
        TRY(walk_on(walk));
        if (walk->lsn < walk->sealed_lsn) { /* spoilt, but all of it is in blocks: begin anew at its end */
            log_warn("journal", "a bad frame below the sealed position does not matter",
                     "shard=%u lsn=%" PRIu64, journal->config.shard, walk->lsn);
            walk->lsn = walk->sealed_lsn;
            walk->chained = false;
            continue;
        }
        if (!searched) { /* it may also map a file whose first frame is spoilt: walk on before judging */
            TRY(search_evidence(walk, &evidence));
            searched = true;
            continue;
        }
        if (evidence.durable_lsn <= walk->lsn && cut_short(walk)) {
            TRY(damaged(walk, &(struct evidence){.durable_lsn = stretch_end(walk)}));
            continue;
        }
        if (evidence.durable_lsn <= walk->lsn) break;
        TRY(damaged(walk, &evidence));
    }

    const uint32_t generation = evidence.generation > walk->generation ? evidence.generation
                                                                       : walk->generation;
    if (generation == UINT32_MAX || walk->lsn > JOURNAL_LSN_MAX / 2)
        return ERR_CORRUPT; /* no life gets there */
    journal->generation = generation + 1;
    journal->accepted_lsn = evidence.accepted_lsn > journal->accepted_lsn ? evidence.accepted_lsn
                                                                          : journal->accepted_lsn;
    if (walk->report->missing_bytes > 0) journal->accepted_lsn = walk->lsn;
    return OK;
}

/* Follows frames until none is found; the walk's lsn is then where the last one ended. */
static enum err walk_on(struct walk *walk)
{
    for (;;) {
        struct found found;
        const enum err err = walk_find(walk, &found);
        if (err == ERR_NOT_FOUND) return OK;
        if (err != OK) return err;
        TRY(walk_accept(walk, &found));
        progress(walk);
    }
}

/* Cases C, D: the chain must hold, and only a GENERATION frame may raise the generation. */
static bool follows(const struct walk *walk, const struct found *found)
{
    const struct journal_frame *const frame = &found->frame;

    if (SEEDED_BUG(ACCEPT_ANY_FRAME)) return true;
    if (!walk->chained) return frame->generation >= walk->generation;
    if (frame->prev_crc != walk->chain) return false;
    return frame->type == JOURNAL_GENERATION ? frame->generation > walk->generation
                                             : frame->generation == walk->generation;
}

/* Without a chain (behind damage) it is not known whether the frame before asked for the next page; over padding
 * it did. */
static bool bridges(const struct walk *walk, const struct found *found, bool padding)
{
    const uint64_t page = journal_align(walk->lsn, JOURNAL_PAGE_BYTES);

    if (found->frame.type != JOURNAL_GENERATION && found->frame.type != JOURNAL_FILE) return false;
    if (!follows(walk, found)) return false;
    const uint64_t continues_lsn = control_of(found).continues_lsn;
    return continues_lsn == walk->lsn || (padding && continues_lsn == page);
}

/*
 * Is there nothing but padding from the walk's place to the end of its page? The page itself must have survived: one
 * that was lost or misplaced as a whole may have held frames there.
 */
static bool padding_to(struct walk *walk, uint64_t page)
{
    const struct journal_file *const file = journal__file_at(walk->journal, walk->lsn);
    const size_t used = (size_t)(walk->lsn % JOURNAL_PAGE_BYTES);
    const uint8_t *bytes;
    uint8_t before = 0, behind = 0;

    if (file == NULL || page - walk->lsn >= JOURNAL_PAGE_BYTES) return false;
    const uint64_t offset = page - JOURNAL_PAGE_BYTES - file->base + JOURNAL_PAGE_BYTES;
    if (window_read(walk, file, offset, JOURNAL_PAGE_BYTES, &bytes) != OK) return false;
    for (size_t i = 0; i < used; i++)
        before |= bytes[i];
    for (size_t i = used; i < JOURNAL_PAGE_BYTES; i++)
        behind |= bytes[i];
    return before != 0 && behind == 0;
}

/* Case R: does the next file take up the log here, because a write of what stands here had failed? */
static bool is_given_up(const struct walk *walk, uint64_t base)
{
    const struct journal_file *const next = journal__file_at(walk->journal, base);

    return next != NULL && next->continues_lsn == walk->lsn && !SEEDED_BUG(FOLLOW_FAILED_FRAMES);
}

static enum err walk_find(struct walk *walk, struct found *found)
{
    const uint64_t page = journal_align(walk->lsn, JOURNAL_PAGE_BYTES);
    const uint64_t base = journal__base_of(walk->journal, walk->lsn) + walk->journal->data_bytes;
    enum err err = ERR_NOT_FOUND;

    if (is_given_up(walk, base)) err = frame_at(walk, base, found);
    if (err == OK && bridges(walk, found, false)) return OK;
    if (err != OK && err != ERR_NOT_FOUND) return err;

    err = frame_at(walk, walk->lsn, found);
    if (err == OK && follows(walk, found)) return OK;
    if (err != OK && err != ERR_NOT_FOUND) return err;

    const bool padding = !walk->chained && padding_to(walk, page);
    if (page != walk->lsn && page != base) {
        err = frame_at(walk, page, found);
        if (err == OK && (bridges(walk, found, padding) || (padding && follows(walk, found)))) return OK;
        if (err != OK && err != ERR_NOT_FOUND) return err;
    }
    err = frame_at(walk, base, found);
    if (err == OK && !bridges(walk, found, padding)) err = ERR_NOT_FOUND;
    return err;
}

static enum err walk_accept(struct walk *walk, const struct found *found)
{
    const struct journal_frame *const frame = &found->frame;
    const uint64_t end_lsn = journal_frame_end(frame);

    if (frame->lsn < walk->sealed_lsn && end_lsn > walk->sealed_lsn) {
        log_error("journal",
                  "the sealed position lies inside a frame; journal and segments are not of one store",
                  "shard=%u lsn=%" PRIu64 " sealed_lsn=%" PRIu64, walk->journal->config.shard, frame->lsn,
                  walk->sealed_lsn);
        return ERR_CORRUPT;
    }
    if (frame->type == JOURNAL_GENERATION) {
        const uint64_t accepted_lsn = control_of(found).accepted_lsn;
        if (accepted_lsn > walk->journal->accepted_lsn) walk->journal->accepted_lsn = accepted_lsn;
    }
    walk->lsn = journal_frame_next(frame);
    walk->chain = frame->header_crc;
    walk->chained = true;
    walk->generation = frame->generation;
    if (frame->lsn < walk->sealed_lsn) return OK;

    walk->report->frames++;
    if (frame->type != JOURNAL_BATCH) return OK;
    const struct journal_batch batch = {
        .arrival_ns = frame->recv_time_ns,
        .span_count = frame->span_count,
        .plain_bytes = frame->plain_len,
        .codec = frame->codec,
        .content_type = frame->content_type,
    };
    walk->report->batches++;
    walk->report->spans += frame->span_count;
    return walk->visit(walk->context, &batch, found->body, frame->lsn, end_lsn);
}

/* ---- evidence -------------------------------------------------------------------------------------------
 */

/* Looks at each page of [from, to) of a file; a sound frame is stepped over whole. */
static enum err search_file(struct walk *walk, struct journal_file *file, uint64_t from, uint64_t to,
                            struct evidence *evidence)
{
    for (uint64_t offset = from; offset < to;) {
        struct found found;
        const enum err err = frame_read(walk, file, offset, &found);
        offset += JOURNAL_PAGE_BYTES;
        if (err == ERR_NOT_FOUND) continue;
        if (err != OK) return err;

        const struct journal_frame *const frame = &found.frame;
        offset = journal_align(offset - JOURNAL_PAGE_BYTES + journal_frame_bytes(frame->body_len),
                               JOURNAL_PAGE_BYTES);
        if (frame->lsn <= walk->lsn) continue; /* of an earlier lap of this file */
        const bool idle = file->base == JOURNAL_UNMAPPED ||
                          file->base + walk->journal->data_bytes <= walk->sealed_lsn;
        if (idle && journal__file_at(walk->journal, frame->lsn) == NULL)
            map_file(walk->journal, file, journal__base_of(walk->journal, frame->lsn), frame->generation,
                     JOURNAL_UNMAPPED);
        if (frame->lsn - frame->not_yet_durable > evidence->durable_lsn)
            evidence->durable_lsn = frame->lsn - frame->not_yet_durable;
        if (frame->generation > evidence->generation) evidence->generation = frame->generation;
        if (frame->type == JOURNAL_GENERATION && control_of(&found).accepted_lsn > evidence->accepted_lsn)
            evidence->accepted_lsn = control_of(&found).accepted_lsn;
        progress(walk);
    }
    return OK;
}

/*
 * Searches what the walk has not seen. Files of the log below its end hold nothing later than their own
 * frames; but a lost write may have left an old first frame in a file that was recycled since, so their first
 * MiB is looked at too.
 */
static enum err search_evidence(struct walk *walk, struct evidence *evidence)
{
    struct journal *const journal = walk->journal;

    for (size_t i = 0; i < journal->files_count; i++) {
        struct journal_file *const file = &journal->files[i];
        uint64_t from = JOURNAL_PAGE_BYTES, to = file->bytes;
        if (file->base != JOURNAL_UNMAPPED && file->base + journal->data_bytes <= walk->lsn) {
            to = to < WINDOW_BYTES ? to : WINDOW_BYTES;
        } else if (file->base != JOURNAL_UNMAPPED && file->base <= walk->lsn) {
            from += (walk->lsn - file->base) / JOURNAL_PAGE_BYTES * JOURNAL_PAGE_BYTES;
        }
        TRY(search_file(walk, file, from, to, evidence));
    }
    return OK;
}

/* The next sound frame in the order of the log; when none can be reached, the end of what is known to be
 * missing. */
static enum err resume(struct walk *walk, const struct evidence *evidence)
{
    struct journal *const journal = walk->journal;
    uint64_t lsn = journal_align(walk->lsn + 1, JOURNAL_PAGE_BYTES);

    for (;;) {
        struct found found;
        if (journal__file_at(journal, lsn) == NULL) lsn = base_above(journal, lsn);
        if (lsn == JOURNAL_UNMAPPED) {
            lsn = journal_align(evidence->durable_lsn, JOURNAL_PAGE_BYTES);
            break;
        }
        const enum err err = frame_at(walk, lsn, &found);
        if (err == OK && found.frame.generation >= walk->generation) break;
        if (err != OK && err != ERR_NOT_FOUND) return err;
        lsn += JOURNAL_PAGE_BYTES;
    }
    log_warn("journal", "going on behind the damage", "shard=%u from=%" PRIu64 " to=%" PRIu64,
             journal->config.shard, walk->lsn, lsn);
    walk->report->missing_bytes += lsn - walk->lsn;
    walk->lsn = lsn;
    walk->chained = false;
    return OK;
}
