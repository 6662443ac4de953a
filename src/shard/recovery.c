/*
 * Recovery: what the journal holds above the sealed LSN becomes live rows again, through the parser that
 * accepted it. The catalog has been opened before and says where to begin and which sequence number comes
 * next.
 *
 *   replay    each BATCH frame: decode, append, publish; full blocks are closed and sealed on the way, and
 *             when no block is free replay waits for the sealer
 *   start     the journal writes its GENERATION frame, durable; only then may a request be taken
 *   release   files below what is sealed are recycled from here on, not while they are walked
 *
 * A crash in the middle changes nothing: replay reads only, and a block sealed on the way moves the next
 * beginning. Blocks get the sequence numbers they would have had; the boundaries between them may differ from
 * those of the life before, which is harmless because none of these rows were in the catalog.
 *
 * A body that the decoder now refuses was accepted by another version: the start stops with ERR_CORRUPT, or
 * skips it, counted, when the operator accepts journal damage.
 */
#include "shard_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/seeded_bug.h"
#include "io/io.h"
#include "store/live.h"
#include "store/segment.h"

#include <inttypes.h>

static enum err replay_batch(void *context, const struct journal_batch *batch, struct slice body,
                             uint64_t lsn, uint64_t lsn_end);
static void tend_seals(struct shard *shard);
static enum err wait_for_block(struct shard *shard);
static void log_report(const struct shard *shard, const struct shard_recovery *report);

enum err shard_recover(struct shard *shard, struct shard_recovery *report)
{
    assert(shard->stage == SHARD_OPENED);
    const struct shard_config *config = &shard->config;
    const uint64_t began_ns = io_now_ns(config->io);
    *report = (struct shard_recovery){0};

    shard->stage = SHARD_RECOVERING;
    shard->sealed_lsn = SEEDED_BUG(REPLAY_ALL) ? 0 : catalog_sealed_lsn(config->catalog, config->index);
    live_set_start(&shard->live, catalog_next_seq(config->catalog, config->index), shard->sealed_lsn);
    enum err err = journal_replay(shard->journal, shard->sealed_lsn, config->accept_journal_damage,
                                  replay_batch, shard, &report->journal);
    if (err == OK) err = journal_start(shard->journal);
    report->elapsed_ns = io_now_ns(config->io) - began_ns;
    if (err != OK) {
        log_error("shard", "recovery failed",
                  "shard=%u err=\"%s\" damaged_at=%" PRIu64 " missing_bytes=%" PRIu64, config->index,
                  err_text(err), report->journal.damaged_at_lsn, report->journal.missing_bytes);
        return err;
    }
    shard->stage = SHARD_SERVING;
    atomic_store_explicit(&shard->durable_lsn, journal_durable_lsn(shard->journal), memory_order_release);
    journal_release(shard->journal, shard->sealed_lsn);
    log_report(shard, report);
    return OK;
}

static enum err replay_batch(void *context, const struct journal_batch *batch, struct slice body,
                             uint64_t lsn, uint64_t lsn_end)
{
    struct shard *shard = context;
    struct rows_request request;
    enum err err;

    for (;;) {
        request = (struct rows_request){
            .body = body,
            .codec = batch->codec,
            .content_type = batch->content_type,
        };
        err = rows_append(shard, &request);
        if (err != ERR_FULL || live_set_has_room(&shard->live)) break;
        TRY(wait_for_block(shard));
    }
    if (err != OK || request.result.spans != batch->span_count) {
        log_error("shard", "a journaled body does not decode as it did",
                  "shard=%u lsn=%" PRIu64 " err=\"%s\" reason=\"%s\" spans=%u accepted=%u",
                  shard->config.index, lsn, err_text(err), request.reason == NULL ? "" : request.reason,
                  request.result.spans, batch->span_count);
    }
    if (err == ERR_MALFORMED || err == ERR_TOO_LARGE || err == ERR_UNSUPPORTED) {
        shard->undecodable++;
        return shard->config.accept_journal_damage ? OK : ERR_CORRUPT;
    }
    TRY(err);
    if (request.result.spans == 0) {
        live_append_undo(request.slot->block);
        return OK;
    }
    const struct live_counts counts = live_append_end(request.slot->block, lsn_end, batch->arrival_ns);
    live_publish(request.slot->block, &counts);
    if (request.slot->first_row_ns == 0) request.slot->first_row_ns = io_now_ns(shard->config.io);
    rows_close_if_full(shard, request.slot);
    tend_seals(shard);
    return OK;
}

static void tend_seals(struct shard *shard)
{
    backlog_tend(shard, io_now_ns(shard->config.io));
    live_set_recycle(&shard->live);
}

/*
 * Every block is full and closed: returns when the sealer has made one free. A seal that fails is tried again
 * every second, for a start on a full disk that somebody is clearing.
 */
static enum err wait_for_block(struct shard *shard)
{
    for (;;) {
        tend_seals(shard);
        if (live_set_has_room(&shard->live)) return OK;
        if (sealer_step(shard->config.sealer)) continue;
        unsigned handlers_run;
        TRY(io_turn(shard->config.io, 10 * NS_PER_MS, &handlers_run));
    }
}

static void log_report(const struct shard *shard, const struct shard_recovery *report)
{
    const struct journal_report *journal = &report->journal;

    log_info("shard", "recovered",
             "shard=%u requests=%" PRIu64 " spans=%" PRIu64 " sealed_lsn=%" PRIu64 " tail=%" PRIu64
             " ms=%" PRIu64,
             shard->config.index, journal->batches, journal->spans, shard->sealed_lsn, journal->lsn_tail,
             (uint64_t)(report->elapsed_ns / NS_PER_MS));
    if (journal->unsealed_bytes > 0) {
        log_error("shard", "sealed blocks are missing, and their journal was recycled",
                  "shard=%u after_lsn=%" PRIu64 " bytes=%" PRIu64, shard->config.index,
                  catalog_sealed_lsn(shard->config.catalog, shard->config.index), journal->unsealed_bytes);
    }
    if (journal->missing_bytes > 0 || shard->undecodable > 0) {
        log_warn("shard", "journal damage was accepted",
                 "shard=%u damaged_at=%" PRIu64 " missing_bytes=%" PRIu64 " undecodable=%u",
                 shard->config.index, journal->damaged_at_lsn, journal->missing_bytes, shard->undecodable);
    }
}
