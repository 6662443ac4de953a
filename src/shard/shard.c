/*
 * A shard: one core's world. This file opens it, turns it and closes it; the work is in
 *
 *   body.c       memory of request bodies, within the budget
 *   rows.c       body -> rows of the open live block
 *   ingest.c     rows -> journal -> published -> done
 *   live_set.c   the live blocks and their readers
 *   backlog.c    closed blocks to the sealer pool, journal files to be prepared
 *   recovery.c   journal -> rows, at start
 *   trouble.c    a disk that fails, or does not answer
 *
 * A turn submits what the journal has gathered, waits, runs the handlers of what completed (they may ingest),
 * then tends the blocks: finished seals are taken in, old blocks closed, ripe ones handed over. So under load
 * there is one journal write and one wait per turn.
 *
 * Closing needs nothing durable: whatever was acknowledged is in the journal, and the next life replays it.
 */
#include "shard_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/metric.h"
#include "codec/inflate.h"
#include "io/io.h"
#include "store/live.h"

#include <stdlib.h>

static const uint64_t NOTE_AFTER_NS = NS_PER_S; /* of rest */
static const uint64_t DEFAULT_LIVE_AGE_NS = 600 * NS_PER_S;
enum {
    DEFAULT_LIVE_BLOCKS = 4,
    DEFAULT_INFLIGHT_BYTES = 128 << 20,
    DEFAULT_BODY_BYTES = 16 << 20,
    DEFAULT_PLAIN_BYTES = 64 << 20,
    DEFAULT_JOURNAL_FILE_BYTES = 64 << 20,
    DEFAULT_JOURNAL_CAP_BYTES = 1 << 30,
    DEFAULT_JOURNAL_WRITES = 2,
    FIRST_RATIO = 8, /* of gzip over OTLP, before the first body has taught better */
};

static void tend(struct shard *shard);
static void note_rest(struct shard *shard, uint64_t now_ns);
static void wait_for_pool(struct shard *shard);
static uint64_t patience_ns(const struct shard *shard, uint64_t wait_ns);

/* ---- lifecycle -------------------------------------------------------------------------------------- */

static struct shard_config with_defaults(const struct shard_config *given)
{
    struct shard_config config = *given;

    if (config.live_blocks_max == 0) config.live_blocks_max = DEFAULT_LIVE_BLOCKS;
    if (config.inflight_bytes_max == 0) config.inflight_bytes_max = DEFAULT_INFLIGHT_BYTES;
    if (config.body_bytes_max == 0) config.body_bytes_max = DEFAULT_BODY_BYTES;
    if (config.plain_bytes_max == 0) config.plain_bytes_max = DEFAULT_PLAIN_BYTES;
    if (config.live_age_ns_max == 0) config.live_age_ns_max = DEFAULT_LIVE_AGE_NS;
    if (config.journal.file_bytes == 0) config.journal.file_bytes = DEFAULT_JOURNAL_FILE_BYTES;
    if (config.journal.cap_bytes == 0) config.journal.cap_bytes = DEFAULT_JOURNAL_CAP_BYTES;
    if (config.journal.writes_in_flight_max == 0)
        config.journal.writes_in_flight_max = DEFAULT_JOURNAL_WRITES;
    config.journal.shard = config.index;
    config.journal.metrics = config.metrics;
    if (config.journal.body_bytes_max == 0) config.journal.body_bytes_max = config.body_bytes_max;
    return config;
}

enum err shard_open(const struct shard_config *given, struct shard **out)
{
    assert(given->io != NULL && given->catalog != NULL && given->sealer != NULL && given->metrics != NULL);
    const struct shard_config config = with_defaults(given);
    if (config.plain_bytes_max > body_capacity_max() || config.body_bytes_max > body_capacity_max()) {
        return ERR_UNSUPPORTED;
    }

    struct shard *shard = calloc(1, sizeof *shard);
    if (shard == NULL) return ERR_NO_MEMORY;
    shard->config = config;
    shard->stage = SHARD_OPENED;
    shard->inflate_ratio = FIRST_RATIO;
    shard->rest_noted = true; /* the GENERATION frame says the same */
    enum err err = otlp_decoder_open(&shard->decoder);
    if (err != OK) goto free_shard;
    err = inflater_open(&shard->inflater);
    if (err != OK) goto close_decoder;
    err = live_set_init(&shard->live, config.index, config.live_blocks_max, config.live_pool);
    if (err != OK) goto close_inflater;
    err = journal_open(config.io, config.journal_dir, &config.journal, &shard->journal);
    if (err != OK) goto deinit_live;
    body_pool_init(&shard->bodies, config.inflight_bytes_max, config.metrics);
    backlog_init(&shard->backlog, shard);
    *out = shard;
    return OK;

deinit_live:
    live_set_deinit(&shard->live);
close_inflater:
    inflater_close(shard->inflater);
close_decoder:
    otlp_decoder_close(shard->decoder);
free_shard:
    free(shard);
    return err;
}

void shard_drain(struct shard *shard)
{
    const bool served = shard->stage == SHARD_SERVING;

    shard->stage = SHARD_DRAINING;
    if (served && shard->ingests_in_flight == 0) note_rest(shard, UINT64_MAX);
}

bool shard_idle(const struct shard *shard)
{
    return shard->ingests_in_flight == 0 && journal_idle(shard->journal) && backlog_idle(&shard->backlog);
}

void shard_close(struct shard *shard)
{
    assert(shard->ingests_in_flight == 0);

    shard_drain(shard);
    wait_for_pool(shard);
    backlog_deinit(&shard->backlog);
    journal_close(shard->journal);
    live_set_deinit(&shard->live);
    body_pool_deinit(&shard->bodies);
    inflater_close(shard->inflater);
    otlp_decoder_close(shard->decoder);
    free(shard);
}

/* A job under way holds a live block or the journal; nothing new is handed over while draining. */
static void wait_for_pool(struct shard *shard)
{
    for (;;) {
        backlog_tend(shard, io_now_ns(shard->config.io));
        if (backlog_idle(&shard->backlog)) return;
        if (sealer_step(shard->config.sealer)) continue;
        unsigned handlers_run;
        const enum err err = io_turn(shard->config.io, NS_PER_MS, &handlers_run);
        assert(err == OK); /* the pool may still write to what would be freed */
    }
}

/* ---- turning ---------------------------------------------------------------------------------------- */

enum err shard_turn(struct shard *shard, uint64_t wait_ns)
{
    unsigned handlers_run;

    journal_flush(shard->journal);
    TRY(io_turn(shard->config.io, patience_ns(shard, wait_ns), &handlers_run));
    tend(shard);
    return OK;
}

void shard_flush(struct shard *shard)
{
    journal_flush(shard->journal);
}

static void close_aged(struct shard *shard, uint64_t now_ns)
{
    struct live_slot *open = live_set_current(&shard->live);

    if (open != NULL && open->first_row_ns != 0 &&
        now_ns - open->first_row_ns >= shard->config.live_age_ns_max) {
        live_set_close(&shard->live, open);
    }
}

/*
 * After a second of rest, and before the end, the journal notes how far it is durable: only a later frame can
 * prove that an earlier one had been whole.
 */
static void note_rest(struct shard *shard, uint64_t now_ns)
{
    const bool due = shard->stage == SHARD_DRAINING || now_ns - shard->last_ingest_ns >= NOTE_AFTER_NS;

    if (shard->rest_noted || !due) return;
    journal_note_idle(shard->journal);
    shard->rest_noted = true;
}

static void tend(struct shard *shard)
{
    const uint64_t now_ns = io_now_ns(shard->config.io);

    close_aged(shard, now_ns);
    if (shard->ingests_in_flight == 0) note_rest(shard, now_ns);
    trouble_tend(shard, now_ns);
    backlog_tend(shard, now_ns);
    live_set_recycle(&shard->live);
    metric_set(shard->config.metrics, METRIC_JOURNAL_PINNED_BYTES, journal_pinned_bytes(shard->journal));
    metric_set(shard->config.metrics, METRIC_LIVE_SPANS, live_set_rows(&shard->live));
    metric_set(shard->config.metrics, METRIC_LIVE_BLOCKS, shard->live.order_count);
}

/* A turn must not sleep past the moment at which something is to be tried again or closed for its age. */
static uint64_t patience_ns(const struct shard *shard, uint64_t wait_ns)
{
    const struct live_slot *open = live_set_current(&shard->live);
    const uint64_t now_ns = io_now_ns(shard->config.io);
    uint64_t until_ns = backlog_next_ns(&shard->backlog);

    if (open != NULL && open->first_row_ns != 0) {
        const uint64_t aged_ns = open->first_row_ns + shard->config.live_age_ns_max;
        if (aged_ns < until_ns) until_ns = aged_ns;
    }
    const bool resting = shard->ingests_in_flight == 0 && !shard->rest_noted;
    if (resting && shard->last_ingest_ns + NOTE_AFTER_NS < until_ns) {
        until_ns = shard->last_ingest_ns + NOTE_AFTER_NS;
    }
    const uint64_t trouble_ns = trouble_next_ns(shard, now_ns);
    if (trouble_ns < until_ns) until_ns = trouble_ns;
    if (until_ns <= now_ns) return 0;
    return until_ns - now_ns < wait_ns ? until_ns - now_ns : wait_ns;
}

/* ---- for the floors above --------------------------------------------------------------------------- */

bool shard_body_acquire(struct shard *shard, size_t bytes, struct shard_body *out)
{
    return body_acquire(&shard->bodies, bytes, out);
}

bool shard_body_grow(struct shard *shard, struct shard_body *body, size_t bytes)
{
    return body_grow(&shard->bodies, body, bytes);
}

void shard_body_release(struct shard *shard, struct shard_body *body)
{
    body_release(&shard->bodies, body);
}

void shard_close_live(struct shard *shard)
{
    struct live_slot *open = live_set_current(&shard->live);

    if (open != NULL && open->block->counts.rows > 0) live_set_close(&shard->live, open);
}

void shard_live_acquire(struct shard *shard, struct shard_live_set *out)
{
    live_set_acquire(&shard->live, out);
}

void shard_live_release(struct shard *shard, const struct shard_live_set *set)
{
    live_set_release(&shard->live, set);
}

uint64_t shard_durable_lsn(const struct shard *shard)
{
    return atomic_load_explicit(&shard->durable_lsn, memory_order_acquire);
}

uint16_t shard_index(const struct shard *shard)
{
    return shard->config.index;
}
