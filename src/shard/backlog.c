/*
 * Backlog. A turn of the shard looks here once:
 *
 *   seal     the oldest closed block, once all its rows are published, goes to the pool, which encodes it and
 *            appends it to the shard's segment. Done means that the catalog version that contains it is
 *            published: the block leaves the live set, the journal below its end is released, and when the
 * last reader has left the block is free again. prepare  the journal asks for another file; the pool writes
 * it with zeros. close    a segment that nothing was appended to for the length of its window is closed, or a shard
 * that falls idle would keep its last spans from being merged, and from expiring.
 *
 * The seal of a block fails when the disk is full or broken: the block stays, its rows stay visible, the
 * journal stays pinned, and it is tried again a second later. Admission feels it when no block is free or the
 * journal is four fifths full. Closed blocks are never skipped: what is sealed is a prefix of the journal.
 */
#include "shard_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/seeded_bug.h"
#include "io/io.h"
#include "store/live.h"
#include "store/segment.h"

#include <inttypes.h>

static void collect(struct shard *shard, uint64_t now_ns);
static void submit_seal(struct shard *shard);
static void submit_close(struct shard *shard, uint64_t now_ns);
static void submit_prepare(struct shard *shard, uint64_t now_ns);
static void on_sealed(struct shard *shard, enum err err, uint64_t now_ns);
static void on_prepared(struct shard *shard, enum err err, uint64_t now_ns);
static void on_done(struct seal_job *job, enum err err);
static enum err run_prepare(struct seal_job *job, struct io *io);
static enum err run_close(struct seal_job *job, struct io *io);

void backlog_init(struct backlog *backlog, struct shard *shard)
{
    *backlog = (struct backlog){0};
    pthread_mutex_init(&backlog->mutex, NULL);
    struct backlog_task *tasks[] = {&backlog->seal, &backlog->prepare};
    for (unsigned i = 0; i < 2; i++) {
        tasks[i]->shard = shard;
        tasks[i]->job = (struct seal_job){.shard = shard->config.index, .done = on_done, .context = tasks[i]};
    }
    backlog->prepare.job.run = run_prepare;
}

void backlog_deinit(struct backlog *backlog)
{
    assert(backlog_idle(backlog));

    pthread_mutex_destroy(&backlog->mutex);
}

bool backlog_idle(const struct backlog *backlog)
{
    return !backlog->seal.under_way && !backlog->prepare.under_way;
}

uint64_t backlog_next_ns(const struct backlog *backlog)
{
    const uint64_t seal = backlog->seal.not_before_ns == 0 ? UINT64_MAX : backlog->seal.not_before_ns;
    const uint64_t prepare = backlog->prepare.not_before_ns == 0 ? UINT64_MAX
                                                                 : backlog->prepare.not_before_ns;
    const uint64_t close = backlog->segment_closes_ns == 0 ? UINT64_MAX : backlog->segment_closes_ns;
    const uint64_t first = seal < prepare ? seal : prepare;

    return first < close ? first : close;
}

/* A retry time that has come is no time to wait for any more, whether or not there is still something to do.
 */
static void forget_past(struct backlog_task *task, uint64_t now_ns)
{
    if (task->not_before_ns <= now_ns) task->not_before_ns = 0;
}

void backlog_tend(struct shard *shard, uint64_t now_ns)
{
    collect(shard, now_ns);
    forget_past(&shard->backlog.seal, now_ns);
    forget_past(&shard->backlog.prepare, now_ns);
    submit_seal(shard);
    submit_close(shard, now_ns);
    submit_prepare(shard, now_ns);
}

/* ---- to the pool ------------------------------------------------------------------------------------ */

static bool may_start(const struct shard *shard, const struct backlog_task *task)
{
    const bool working = shard->stage == SHARD_RECOVERING || shard->stage == SHARD_SERVING;

    return working && !task->under_way && task->not_before_ns == 0;
}

static void start(struct shard *shard, struct backlog_task *task)
{
    task->under_way = true;
    task->finished = false;
    task->not_before_ns = 0;
    sealer_submit(shard->config.sealer, &task->job);
}

static void submit_seal(struct shard *shard)
{
    struct backlog *backlog = &shard->backlog;
    struct live_slot *ripe = live_set_ripe(&shard->live);
    if (ripe == NULL || !may_start(shard, &backlog->seal)) return;
    assert(ripe->block->lsn_first >= shard->sealed_lsn);

    if (SEEDED_BUG(REUSE_JOURNAL_FILE)) journal_release(shard->journal, ripe->block->lsn_end);
    live_set_sealing(&shard->live, ripe);
    backlog->sealing = ripe;
    backlog->seal.job.live = ripe->block;
    start(shard, &backlog->seal);
}

/* In the place of a seal: the pool runs one job of a shard's segment at a time. */
static void submit_close(struct shard *shard, uint64_t now_ns)
{
    struct backlog *backlog = &shard->backlog;

    if (backlog->segment_closes_ns == 0 || now_ns < backlog->segment_closes_ns) return;
    backlog->segment_closes_ns = 0; /* a seal that is under way sets it again */
    if (!may_start(shard, &backlog->seal)) return;
    backlog->seal.job.live = NULL;
    backlog->seal.job.run = run_close;
    start(shard, &backlog->seal);
}

static enum err run_close(struct seal_job *job, struct io *io)
{
    const struct backlog_task *task = job->context;
    const struct shard_config *config = &task->shard->config;

    return segment_seal(config->catalog, io, config->index);
}

static void submit_prepare(struct shard *shard, uint64_t now_ns)
{
    if (shard->stage != SHARD_SERVING || !trouble_lets_prepare(shard, now_ns)) return;
    if (!may_start(shard, &shard->backlog.prepare) || !journal_wants_file(shard->journal)) return;

    start(shard, &shard->backlog.prepare);
}

static enum err run_prepare(struct seal_job *job, struct io *io)
{
    const struct backlog_task *task = job->context;

    return journal_prepare_file(task->shard->journal, io);
}

/* ---- from the pool ---------------------------------------------------------------------------------- */

/*
 * On the pool's thread. The wake is sent under the mutex: the shard cannot see the outcome, and close its io,
 * before the pool has let go of it.
 */
static void on_done(struct seal_job *job, enum err err)
{
    struct backlog_task *task = job->context;
    struct backlog *backlog = &task->shard->backlog;

    pthread_mutex_lock(&backlog->mutex);
    task->err = err;
    task->finished = true;
    io_wake(task->shard->config.io);
    pthread_mutex_unlock(&backlog->mutex);
}

static bool landed(struct backlog *backlog, struct backlog_task *task, enum err *err)
{
    if (!task->under_way) return false;

    pthread_mutex_lock(&backlog->mutex);
    const bool finished = task->finished;
    *err = task->err;
    pthread_mutex_unlock(&backlog->mutex);
    if (finished) task->under_way = false;
    return finished;
}

static void collect(struct shard *shard, uint64_t now_ns)
{
    struct backlog *backlog = &shard->backlog;
    enum err err = OK;

    if (landed(backlog, &backlog->seal, &err)) on_sealed(shard, err, now_ns);
    if (landed(backlog, &backlog->prepare, &err)) on_prepared(shard, err, now_ns);
}

static void on_sealed(struct shard *shard, enum err err, uint64_t now_ns)
{
    struct live_slot *slot = shard->backlog.sealing;

    if (slot == NULL) return; /* the segment was closed, or the next start does it */
    shard->backlog.sealing = NULL;
    if (err != OK && !SEEDED_BUG(FORGET_LIVE_BLOCK)) {
        live_set_seal_failed(&shard->live, slot);
        shard->backlog.seal.not_before_ns = now_ns + BACKLOG_RETRY_MS * NS_PER_MS;
        return; /* the pool has logged and counted it */
    }
    shard->sealed_lsn = slot->block->lsn_end;
    if (shard->config.segment_window_ns > 0)
        shard->backlog.segment_closes_ns = now_ns + shard->config.segment_window_ns;
    live_set_retire(&shard->live, slot);
    if (shard->stage >= SHARD_SERVING) journal_release(shard->journal, shard->sealed_lsn);
}

static void on_prepared(struct shard *shard, enum err err, uint64_t now_ns)
{
    if (err == OK) return;

    shard->backlog.prepare.not_before_ns = now_ns + BACKLOG_RETRY_MS * NS_PER_MS;
    if (err != ERR_CLOSING) {
        log_warn("shard", "could not prepare a journal file", "shard=%u err=\"%s\"", shard->config.index,
                 err_text(err));
    }
}
