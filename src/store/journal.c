/*
 * Appending. An append is given its place in the log at once and written later:
 *
 *   journal_append()   layout: joins the open group, or begins the next one, perhaps in the next file  ->
 * queue journal_flush()    the oldest group is built (headers, copies of small bodies) and submitted       ->
 * writes on_write()         it has landed; groups are settled in LSN order, their done callbacks run
 *
 * While writes_in_flight_max groups are out, appends gather in the queue, so the group grows with the load
 * and costs one write. In a group small frames stand in runs, packed at 8 bytes, copied into the group's
 * commit buffer; a large body is a piece of its own, written from where it lies. Runs and large bodies are
 * padded to whole pages, so one vectored write with pieces of whole pages carries them all. Headers are built
 * when the group goes out, because only then the frame before is known (chain) and what is durable
 * (evidence).
 *
 * Failure: one failed write makes the journal read-only. Nothing is written again to a file that has failed, and nothing
 * behind the hole is ever called durable, even when its own write has landed. Resuming is what a start would do, without the
 * recovery: a GENERATION frame at the head of the next stretch, in another file, names the place where the log is durable.
 * Closing gives back what was taken at opening; whoever closes has waited for journal_idle().
 */
#include "journal_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/seeded_bug.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum err config_check(const struct journal *journal);
static enum err layout(struct journal *journal, struct journal_append *append);
static bool layout_join(struct journal *journal, struct journal_append *append);
static enum err layout_group(struct journal *journal, struct journal_append *append);
static enum err layout_file(struct journal *journal, struct journal_append *append);
static void layout_place(struct journal *journal, struct journal_append *append, uint64_t lsn, bool in_run);
static void control_queue(struct journal *journal, uint8_t type);
static void submit(struct journal *journal);
static void on_write(struct io_op *op);
static void settle(struct journal *journal);

/* ---- lifecycle ------------------------------------------------------------------------------------------
 */

enum err journal_open(struct io *io, struct io_dir *dir, const struct journal_config *config,
                      struct journal **out)
{
    assert(config->writes_in_flight_max >= 1 && config->writes_in_flight_max <= JOURNAL_WRITES_MAX);
    assert(config->file_bytes % JOURNAL_PAGE_BYTES == 0 && config->file_bytes >= JOURNAL_FILE_BYTES_MIN);

    struct journal *const journal = calloc(1, sizeof *journal);
    if (journal == NULL) return ERR_NO_MEMORY;
    journal->config = *config;
    journal->io = io;
    journal->dir = dir;
    journal->file_bytes = config->file_bytes;
    pthread_mutex_init(&journal->spare.lock, NULL);

    enum err err = journal__files_open(journal);
    if (err == OK) err = config_check(journal);
    for (unsigned i = 0; err == OK && i < config->writes_in_flight_max; i++) {
        struct journal_write *const write = &journal->writes[i];
        *write = (struct journal_write){.op.done = on_write, .journal = journal};
        write->buf = io_memory(JOURNAL_COMMIT_BYTES);
        if (write->buf == NULL) err = ERR_NO_MEMORY;
    }
    if (err != OK) {
        journal_close(journal);
        return err;
    }
    *out = journal;
    return OK;
}

static enum err config_check(const struct journal *journal)
{
    const uint64_t frame = journal_align(JOURNAL_FRAME_HEADER_BYTES + journal->config.body_bytes_max,
                                         JOURNAL_PAGE_BYTES);
    const bool sane = journal->file_bytes >= JOURNAL_FILE_BYTES_MIN &&
                      journal->file_bytes <= JOURNAL_FILE_BYTES_MAX;

    if (sane && JOURNAL_PAGE_BYTES + frame <= journal->data_bytes) return OK;
    log_error("journal", "a body of the largest size does not fit into a journal file",
              "file_bytes=%" PRIu64 " body_bytes_max=%" PRIu64, journal->file_bytes,
              journal->config.body_bytes_max);
    return ERR_TOO_LARGE;
}

void journal_close(struct journal *journal)
{
    assert(journal_idle(journal));

    journal__files_close(journal);
    for (unsigned i = 0; i < JOURNAL_WRITES_MAX; i++)
        if (journal->writes[i].buf != NULL) io_memory_free(journal->writes[i].buf, JOURNAL_COMMIT_BYTES);
    pthread_mutex_destroy(&journal->spare.lock);
    free(journal);
}

/*
 * Puts the tail where it may be written: behind the last frame at the next page, so that no byte a recovered
 * frame shares a page with is touched; or at the head of the next file when that page has none or a spoilt
 * one.
 */
static enum err tail_place(struct journal *journal)
{
    const uint64_t page = journal_align(journal->continues_lsn, JOURNAL_PAGE_BYTES);
    const struct journal_file *const file = journal__file_at(journal, page);

    journal->end_lsn = page;
    if (file == NULL || !file->writable) {
        journal->end_lsn = journal_align(page, journal->data_bytes);
        if (journal__file_take(journal, journal->end_lsn) == NULL) {
            TRY(journal_prepare_file(journal,
                                     journal->io)); /* beyond the cap if need be: without it no start */
            journal__file_adopt(journal);
            if (journal__file_take(journal, journal->end_lsn) == NULL) return ERR_FULL;
        }
    }
    journal->file_end_lsn = journal__base_of(journal, journal->end_lsn) + journal->data_bytes;
    return OK;
}

enum err journal_start(struct journal *journal)
{
    assert(journal->stage == JOURNAL_REPLAYED && !journal->config.look);

    TRY(tail_place(journal));
    journal->stage = JOURNAL_STARTED;
    control_queue(journal, JOURNAL_GENERATION);
    journal_flush(journal);
    while (journal->control_busy) {
        unsigned handlers_run;
        TRY(io_turn(journal->io, NS_PER_S, &handlers_run));
    }
    if (journal->read_only) return ERR_IO;

    while (journal_wants_file(journal)) {
        TRY(journal_prepare_file(journal, journal->io));
        journal__file_adopt(journal);
    }
    log_info("journal", "started", "shard=%u lsn=%" PRIu64 " generation=%u files=%zu", journal->config.shard,
             journal->end_lsn, journal->generation, journal->files_count);
    return OK;
}

/* ---- layout ---------------------------------------------------------------------------------------------
 */

enum err journal_append(struct journal *journal, struct journal_append *append)
{
    assert(journal->stage == JOURNAL_STARTED);
    assert(append->body.len > 0 && append->body.len <= journal->config.body_bytes_max);

    if (journal->read_only) return ERR_READ_ONLY;
    append->type = JOURNAL_BATCH;
    append->in_place = append->body.len > JOURNAL_SMALL_BYTES;
    assert(!append->in_place ||
           ((uintptr_t)append->body.ptr - JOURNAL_FRAME_HEADER_BYTES) % JOURNAL_PAGE_BYTES == 0);
    TRY(layout(journal, append));
    journal->noted = false;
    return OK;
}

static enum err layout(struct journal *journal, struct journal_append *append)
{
    append->next = NULL;
    append->starts_group = append->starts_file = false;
    if (!layout_join(journal, append)) TRY(layout_group(journal, append));

    if (journal->queue_last != NULL)
        journal->queue_last->next = append;
    else
        journal->queue_first = append;
    journal->queue_last = append;
    return OK;
}

/* Joins the open group if the write would keep its bounds. */
static bool layout_join(struct journal *journal, struct journal_append *append)
{
    const uint64_t bytes = journal_frame_bytes(append->body.len);
    const bool behind = journal->group.in_run && !append->in_place;
    const uint64_t lsn = behind ? journal->end_lsn : journal_align(journal->end_lsn, JOURNAL_PAGE_BYTES);
    const uint64_t end = journal_align(lsn + bytes, JOURNAL_PAGE_BYTES);
    uint64_t commit_bytes = journal->group.commit_bytes;

    if (!journal->group.active || end > journal->file_end_lsn) return false;
    if (end - journal->group.start_lsn > JOURNAL_GROUP_BYTES) return false;
    if (!behind && journal->group.pieces == IO_PIECES_MAX) return false;
    if (!append->in_place) {
        commit_bytes = (behind ? commit_bytes : journal_align(commit_bytes, JOURNAL_PAGE_BYTES)) + bytes;
        if (journal_align(commit_bytes, JOURNAL_PAGE_BYTES) > JOURNAL_COMMIT_BYTES) return false;
    }

    journal->group.commit_bytes = commit_bytes;
    journal->group.pieces += behind ? 0 : 1;
    layout_place(journal, append, lsn, !append->in_place);
    return true;
}

static enum err layout_group(struct journal *journal, struct journal_append *append)
{
    const uint64_t bytes = journal_frame_bytes(append->body.len);
    const uint64_t lsn = journal_align(journal->end_lsn, JOURNAL_PAGE_BYTES);

    if (journal_align(lsn + bytes, JOURNAL_PAGE_BYTES) > journal->file_end_lsn)
        return layout_file(journal, append);

    append->starts_group = true;
    journal->group.active = true;
    journal->group.start_lsn = lsn;
    journal->group.commit_bytes = append->in_place ? 0 : bytes;
    journal->group.pieces = 1;
    layout_place(journal, append, lsn, !append->in_place);
    return OK;
}

/* The group begins in the next file, behind a FILE frame of its own. */
static enum err layout_file(struct journal *journal, struct journal_append *append)
{
    const uint64_t base = journal->file_end_lsn;
    const uint64_t bytes = journal_frame_bytes(append->body.len);
    struct journal_file *file = journal__file_take(journal, base);

    if (file == NULL) {
        journal__file_adopt(journal);
        file = journal__file_take(journal, base);
    }
    if (file == NULL) return ERR_FULL;

    journal->file_end_lsn = base + journal->data_bytes;
    append->starts_group = append->starts_file = true;
    journal->group.active = true;
    journal->group.start_lsn = base;
    journal->group.commit_bytes = JOURNAL_CONTROL_FRAME_BYTES + (append->in_place ? 0 : bytes);
    journal->group.pieces = append->in_place ? 2 : 1;
    layout_place(journal, append,
                 base + (append->in_place ? JOURNAL_PAGE_BYTES : JOURNAL_CONTROL_FRAME_BYTES),
                 !append->in_place);
    return OK;
}

static void layout_place(struct journal *journal, struct journal_append *append, uint64_t lsn, bool in_run)
{
    append->lsn = lsn;
    append->lsn_end = lsn + journal_frame_bytes(append->body.len);
    journal->end_lsn = append->lsn_end;
    journal->group.in_run = in_run;
    assert(journal_align(append->lsn_end, JOURNAL_PAGE_BYTES) <= journal->file_end_lsn);
}

/* ---- control frames -------------------------------------------------------------------------------------
 */

static void control_on_done(struct journal_append *append, enum err err)
{
    struct journal *const journal = (struct journal *)(void *)((char *)append -
                                                               offsetof(struct journal, control));
    (void)err;
    journal->control_busy = false;
}

static struct journal_control control_body(struct journal *journal)
{
    struct journal_control body = {
        .sealed_lsn = journal->sealed_lsn,
        .continues_lsn = journal->continues_lsn,
        .accepted_lsn = journal->accepted_lsn,
    };
    io_random(journal->io, &body.nonce, sizeof body.nonce);
    return body;
}

/* The body is written when the group goes out; until then only its length counts. */
static void control_queue(struct journal *journal, uint8_t type)
{
    static const struct journal_control placeholder;

    journal->control = (struct journal_append){
        .done = control_on_done, .body = slice_of(&placeholder, sizeof placeholder), .type = type};
    if (layout(journal, &journal->control) != OK) return; /* the cap: this note is worth less than a batch */
    journal->control_busy = true;
    journal->noted = true;
}

void journal_note_idle(struct journal *journal)
{
    if (journal->stage != JOURNAL_STARTED || journal->read_only || journal->noted || !journal_idle(journal))
        return;
    control_queue(journal, JOURNAL_NOTE);
}

/* ---- groups go out --------------------------------------------------------------------------------------
 */

/*
 * Beside a write that is out, another one is worth its price (a submission, a flush of the device, two wake-ups) only
 * when it carries much: what is little joins the group that goes out when that write has landed.
 */
static bool may_go_out(const struct journal *journal)
{
    if (journal->queue_first == NULL || journal->read_only) return false;
    if (journal->writes_count == 0) return true;
    return journal->writes_count < journal->config.writes_in_flight_max &&
           journal->end_lsn - journal->queue_first->lsn >= journal->config.further_bytes;
}

void journal_flush(struct journal *journal)
{
    journal__file_adopt(journal);
    while (may_go_out(journal))
        submit(journal);
}

/* Takes the oldest group off the queue. */
static struct journal_append *group_take(struct journal *journal)
{
    struct journal_append *const first = journal->queue_first;
    struct journal_append *last = first;

    assert(first->starts_group);
    while (last->next != NULL && !last->next->starts_group)
        last = last->next;
    journal->queue_first = last->next;
    if (last->next == NULL) {
        journal->queue_last = NULL;
        journal->group.active = journal->group.in_run = false;
    }
    last->next = NULL;
    return first;
}

/* Where the bytes of a group gather: pieces of whole pages, a run of small frames being one piece. */
struct build {
    struct journal *journal;
    uint8_t *buf;
    uint64_t used, run_start;
    uint64_t lsn; /* end of what was built */
    struct io_piece pieces[IO_PIECES_MAX];
    unsigned count;
};

static void build_piece(struct build *build, const void *ptr, uint64_t len)
{
    assert(len > 0 && len % JOURNAL_PAGE_BYTES == 0 && build->count < IO_PIECES_MAX);

    build->pieces[build->count++] = (struct io_piece){.ptr = ptr, .len = len};
    build->lsn = journal_align(build->lsn, JOURNAL_PAGE_BYTES);
}

static void build_end_run(struct build *build)
{
    if (build->used == build->run_start) return;

    const uint64_t end = journal_align(build->used, JOURNAL_PAGE_BYTES);
    assert(end <= JOURNAL_COMMIT_BYTES);
    memset(build->buf + build->used, 0, end - build->used);
    build_piece(build, build->buf + build->run_start, end - build->run_start);
    build->used = build->run_start = end;
}

/* Completes a header and writes it in front of its body, which lies at to + 64 already. */
static void build_frame(struct build *build, struct journal_frame *frame, uint8_t *to)
{
    struct journal *const journal = build->journal;
    const uint64_t not_yet_durable = build->lsn - journal->durable_lsn;

    assert(build->lsn >= journal->durable_lsn && not_yet_durable <= UINT32_MAX);
    frame->lsn = build->lsn;
    frame->generation = journal->generation;
    frame->shard = journal->config.shard;
    frame->prev_crc = journal->chain;
    frame->not_yet_durable = (uint32_t)not_yet_durable;
    journal->chain = journal_frame_seal(frame, to + JOURNAL_FRAME_HEADER_BYTES, journal->salt);
    memcpy(to, frame, sizeof *frame);
    build->lsn += journal_frame_bytes(frame->body_len);
}

static void build_small(struct build *build, struct journal_frame *frame, const void *body)
{
    uint8_t *const to = build->buf + build->used;
    const uint64_t bytes = journal_frame_bytes(frame->body_len);
    uint8_t *const body_to = to + JOURNAL_FRAME_HEADER_BYTES;

    assert(build->used + bytes <= JOURNAL_COMMIT_BYTES);
    memcpy(body_to, body, frame->body_len);
    memset(body_to + frame->body_len, 0, bytes - JOURNAL_FRAME_HEADER_BYTES - frame->body_len);
    build->used += bytes;
    build_frame(build, frame, to);
}

static void build_in_place(struct build *build, struct journal_frame *frame, struct slice body)
{
    uint8_t *const to = (uint8_t *)(uintptr_t)body.ptr - JOURNAL_FRAME_HEADER_BYTES; /* lent by the owner */
    const uint64_t bytes = journal_align(JOURNAL_FRAME_HEADER_BYTES + body.len, JOURNAL_PAGE_BYTES);

    memset(to + JOURNAL_FRAME_HEADER_BYTES + body.len, 0, bytes - JOURNAL_FRAME_HEADER_BYTES - body.len);
    build_frame(build, frame, to);
    build_piece(build, to, bytes);
}

static void build_control(struct build *build, uint8_t type, bool page_end)
{
    const struct journal_control body = control_body(build->journal);
    struct journal_frame frame = {
        .type = type,
        .flags = page_end ? JOURNAL_FLAG_PAGE_END : 0,
        .body_len = sizeof body,
        .recv_time_ns = io_wall_ns(build->journal->io),
    };
    build_small(build, &frame, &body);
}

static void build_batch(struct build *build, const struct journal_append *append, bool page_end)
{
    struct journal_frame frame = {
        .type = JOURNAL_BATCH,
        .flags = page_end ? JOURNAL_FLAG_PAGE_END : 0,
        .body_len = (uint32_t)append->body.len,
        .plain_len = append->batch.plain_bytes,
        .span_count = append->batch.span_count,
        .recv_time_ns = append->batch.arrival_ns,
        .codec = append->batch.codec,
        .content_type = append->batch.content_type,
    };

    if (append->in_place)
        build_in_place(build, &frame, append->body);
    else
        build_small(build, &frame, append->body.ptr);
}

static void build_append(struct build *build, const struct journal_append *append)
{
    const bool page_end = append->in_place || append->next == NULL || append->next->in_place;

    assert(build->lsn == append->lsn);
    if (append->type == JOURNAL_BATCH)
        build_batch(build, append, page_end);
    else
        build_control(build, append->type, page_end);
    if (page_end) build_end_run(build);
}

static void submit(struct journal *journal)
{
    struct journal_append *const first = group_take(journal);
    const unsigned slot = (journal->writes_head + journal->writes_count) %
                          journal->config.writes_in_flight_max;
    struct journal_write *const write = &journal->writes[slot];
    const uint64_t start_lsn = first->starts_file ? journal__base_of(journal, first->lsn) : first->lsn;
    struct build build = {.journal = journal, .buf = write->buf, .lsn = start_lsn};

    if (first->starts_file) {
        build_control(&build, JOURNAL_FILE, first->in_place);
        if (first->in_place) build_end_run(&build);
    }
    for (const struct journal_append *append = first; append != NULL; append = append->next)
        build_append(&build, append);

    const struct journal_file *const file = journal__file_at(journal, start_lsn);
    assert(file != NULL && file->writable && build.lsn <= file->base + journal->data_bytes);
    journal->continues_lsn = build.lsn;
    write->first = first;
    write->lsn_end = build.lsn;
    write->bytes = build.lsn - start_lsn;
    write->chain = journal->chain;
    write->submitted_ns = io_now_ns(journal->io);
    write->landed = false;
    journal->writes_count++;
    io_writev(journal->io, &write->op, file->handle, build.pieces, build.count,
              start_lsn - file->base + JOURNAL_PAGE_BYTES);
}

/* ---- groups have landed ---------------------------------------------------------------------------------
 */

static void on_write(struct io_op *op)
{
    struct journal_write *const write = (struct journal_write *)(void *)((char *)op -
                                                                         offsetof(struct journal_write, op));

    write->landed = true;
    settle(write->journal);
}

static void finish(struct journal_append *first, enum err err)
{
    while (first != NULL) {
        struct journal_append *const append = first;
        first = append->next; /* before done: the owner may free or reuse it */
        append->next = NULL;
        append->done(append, err);
    }
}

static void fail(struct journal *journal, const struct journal_write *write)
{
    log_error("journal", "a write failed; no data is accepted until another file could be made",
              "shard=%u lsn_end=%" PRIu64 " error=\"%s\"", journal->config.shard, write->lsn_end,
              err_text(write->op.err));
    journal->read_only = true;
    journal->proven = false;
    if (journal->config.metrics == NULL) return;
    metric_add(journal->config.metrics, METRIC_JOURNAL_FAILURES, 1);
    metric_set(journal->config.metrics, METRIC_READ_ONLY, 1);
}

static void succeed(struct journal *journal, const struct journal_write *write)
{
    assert(write->lsn_end > journal->durable_lsn);
    journal->durable_lsn = write->lsn_end;
    journal->durable_chain = write->chain;
    if (journal->config.metrics == NULL) return;
    metric_add(journal->config.metrics, METRIC_JOURNAL_WRITES, 1);
    metric_add(journal->config.metrics, METRIC_JOURNAL_BYTES, write->bytes);
    metric_set(journal->config.metrics, METRIC_JOURNAL_PINNED_BYTES, journal_pinned_bytes(journal));
}

/* Groups end in LSN order: one that has landed early waits for those before it. */
static void settle(struct journal *journal)
{
    while (journal->writes_count > 0 && journal->writes[journal->writes_head].landed) {
        struct journal_write *const write = &journal->writes[journal->writes_head];
        struct journal_append *const first = write->first;

        const bool failed = write->op.err != OK && !SEEDED_BUG(IGNORE_WRITE_ERROR);
        if (failed) journal__file_fence(journal, write->lsn_end - write->bytes);
        if (!journal->read_only && failed) fail(journal, write);
        if (!journal->read_only) succeed(journal, write);
        write->first = NULL;
        journal->writes_head = (journal->writes_head + 1) % journal->config.writes_in_flight_max;
        journal->writes_count--;
        finish(first, journal->read_only ? ERR_READ_ONLY : OK);
    }
    if (!journal->read_only || journal->writes_count > 0) return;

    struct journal_append *const rest = journal->queue_first;
    journal->queue_first = journal->queue_last = NULL;
    journal->group.active = journal->group.in_run = false;
    finish(rest, ERR_READ_ONLY);
}

/* ---- after a failure --------------------------------------------------------------------------------- */

bool journal_may_resume(const struct journal *journal)
{
    return journal->read_only && journal->proven && journal_idle(journal) && !journal->control_busy;
}

void journal_resume(struct journal *journal)
{
    const uint64_t base = journal_align(journal->durable_lsn, journal->data_bytes);

    assert(journal_may_resume(journal));
    journal__files_forget(journal, journal->durable_lsn);
    const struct journal_file *const file = journal__file_take(journal, base);
    assert(file != NULL); /* the one that was made */

    if (!SEEDED_BUG(RESUME_OLD_GENERATION)) journal->generation++;
    if (!SEEDED_BUG(RESUME_SAME_CHAIN)) journal->chain = journal->durable_chain;
    journal->continues_lsn = journal->durable_lsn;
    journal->end_lsn = base;
    journal->file_end_lsn = base + journal->data_bytes;
    journal->read_only = journal->proven = false;
    control_queue(journal, JOURNAL_GENERATION);
    log_info("journal", "goes on in another file",
             "shard=%u file=%08" PRIu64 " lsn=%" PRIu64 " from=%" PRIu64, journal->config.shard,
             file->sequence, base, journal->durable_lsn);
    if (journal->config.metrics == NULL) return;
    metric_add(journal->config.metrics, METRIC_JOURNAL_RESUMPTIONS, 1);
    metric_set(journal->config.metrics, METRIC_READ_ONLY, 0);
}

/* ---- where the log stands -------------------------------------------------------------------------------
 */

uint64_t journal_durable_lsn(const struct journal *journal)
{
    return journal->durable_lsn;
}

uint64_t journal_end_lsn(const struct journal *journal)
{
    return journal->group.in_run ? journal->end_lsn : journal_align(journal->end_lsn, JOURNAL_PAGE_BYTES);
}

bool journal_read_only(const struct journal *journal)
{
    return journal->read_only;
}

uint64_t journal_waiting_ns(const struct journal *journal)
{
    if (journal->writes_count == 0) return 0;
    const uint64_t now_ns = io_now_ns(journal->io),
                   since_ns = journal->writes[journal->writes_head].submitted_ns;
    return now_ns > since_ns ? now_ns - since_ns : 0;
}

bool journal_idle(const struct journal *journal)
{
    return journal->queue_first == NULL && journal->writes_count == 0;
}

uint64_t journal_pinned_bytes(const struct journal *journal)
{
    const uint64_t end = journal_end_lsn(journal);
    return end > journal->sealed_lsn ? end - journal->sealed_lsn : 0;
}

void journal_release(struct journal *journal, uint64_t sealed_lsn)
{
    assert(sealed_lsn <= journal->durable_lsn);

    if (sealed_lsn <= journal->sealed_lsn) return;
    journal->sealed_lsn = sealed_lsn;
    if (journal->config.metrics != NULL)
        metric_set(journal->config.metrics, METRIC_JOURNAL_PINNED_BYTES, journal_pinned_bytes(journal));
}
