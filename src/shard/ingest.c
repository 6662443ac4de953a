/*
 * Ingest: a complete body becomes durable, visible spans.
 *
 *   admitted? -> inflate, translate -> decode: rows of the open live block -> journal frame    (in shard_ingest)
 *   frame durable -> rows published -> durable LSN moves -> done                    (a turn, LSN order)
 *
 * Decoding comes before the journal, so malformed input never enters it and replay cannot fail on it.
 * Visibility is durability: rows are published by the journal's completion and by nothing else, in the order
 * of the appends.
 *
 * Failures before the frame is queued leave no trace: the rows are undone. A failed journal write makes the
 * shard read-only until the journal goes on (trouble.c); rows above it may sit in the same block, they are never published,
 * and the block is not sealed before they are taken back. Should the process end before, it depends on what reached the
 * disk whether those requests come back: they were answered 503, and a retry collapses with them when a trace is read.
 */
#include "shard_private.h"

#include "base/assert.h"
#include "base/metric.h"
#include "base/seeded_bug.h"
#include "io/io.h"
#include "store/live.h"

static enum err admit(const struct shard *shard, const struct shard_ingest *ingest);
static enum err ingest_append(struct shard *shard, struct shard_ingest *ingest);
static enum err ingest_journal(struct shard *shard, struct shard_ingest *ingest,
                               const struct rows_request *request);
static void ingest_on_durable(struct journal_append *append, enum err err);
static void ingest_answer(struct shard *shard, struct shard_ingest *ingest);
static void ingest_finish(struct shard *shard, struct shard_ingest *ingest, enum err err);
static const char *refusal(enum err err);

void shard_ingest(struct shard *shard, struct shard_ingest *ingest)
{
    assert(ingest->done != NULL && ingest->body != NULL);
    assert(ingest->body->len <= ingest->body->capacity);

    ingest->err = OK;
    ingest->result = (struct otlp_result){0};
    ingest->cut = 0;
    ingest->position = 0;
    ingest->reason = NULL;
    ingest->shard = shard;
    ingest->live = NULL;

    const enum err admitted = admit(shard, ingest);
    const enum err err = admitted == OK ? ingest_append(shard, ingest) : admitted;
    if (admitted != OK) ingest->reason = refusal(admitted);
    if (err != OK || ingest->result.spans == 0) ingest_finish(shard, ingest, err);
}

static enum err admit(const struct shard *shard, const struct shard_ingest *ingest)
{
    return ingest->body->len > shard->config.body_bytes_max ? ERR_TOO_LARGE : shard_admits(shard);
}

/* Bytes of the journal that ingest may pin; the rest lets what is in flight land and the sealer catch up. */
static uint64_t pinned_max(const struct shard *shard)
{
    return shard->config.journal.cap_bytes / 5 * 4;
}

enum err shard_admits(const struct shard *shard)
{
    if (shard->stage != SHARD_SERVING) return ERR_CLOSING;
    if (journal_read_only(shard->journal)) return ERR_READ_ONLY;
    if (shard->stalled) return ERR_STALLED;
    if (journal_pinned_bytes(shard->journal) >= pinned_max(shard)) return ERR_FULL;
    if (!live_set_has_room(&shard->live)) return ERR_FULL;
    return OK;
}

/* ---- on the way in ---------------------------------------------------------------------------------- */

static enum err ingest_append(struct shard *shard, struct shard_ingest *ingest)
{
    struct rows_request request = {
        .body = slice_of(ingest->body->ptr, ingest->body->len),
        .codec = ingest->codec,
        .content_type = ingest->content_type,
    };
    const enum err err = rows_append(shard, &request);
    ingest->result = request.result;
    ingest->cut = request.cut;
    ingest->changes = request.changes;
    ingest->reason = request.reason;
    if (err != OK) return err;

    if (request.result.spans == 0) {
        live_append_undo(request.slot->block); /* envelopes alone are not kept */
        return OK;
    }
    return ingest_journal(shard, ingest, &request);
}

static enum err ingest_journal(struct shard *shard, struct shard_ingest *ingest,
                               const struct rows_request *request)
{
    struct live_slot *slot = request->slot;
    const uint32_t pairs_before = slot->block->counts.pairs;
    ingest->append = (struct journal_append){
        .done = ingest_on_durable,
        .body = request->body,
        .batch =
            {
                .arrival_ns = io_wall_ns(shard->config.io),
                .span_count = request->result.spans,
                .plain_bytes = (uint32_t)request->plain_bytes,
                .codec = request->codec,
                .content_type = request->content_type,
            },
    };
    const enum err err = journal_append(shard->journal, &ingest->append);
    if (err != OK) {
        ingest->reason = refusal(err);
        live_append_undo(slot->block);
        return err;
    }
    ingest->live = slot->block;
    ingest->counts = live_append_end(slot->block, ingest->append.lsn_end, ingest->append.batch.arrival_ns);
    metric_add(shard->config.metrics, METRIC_PAIRS_INTERNED, ingest->counts.pairs - pairs_before);
    shard->last_ingest_ns = io_now_ns(shard->config.io);
    shard->rest_noted = false;
    if (slot->first_row_ns == 0) slot->first_row_ns = shard->last_ingest_ns;
    slot->requests++;
    shard->ingests_in_flight++;
    if (SEEDED_BUG(PUBLISH_EARLY)) live_publish(slot->block, &ingest->counts);
    if (SEEDED_BUG(ANSWER_BEFORE_DURABLE)) ingest_answer(shard, ingest);
    rows_close_if_full(shard, slot);
    return OK;
}

/* ---- on the way out --------------------------------------------------------------------------------- */

static struct live_slot *slot_of(struct shard *shard, const struct live_block *block)
{
    for (unsigned i = 0; i < shard->live.order_count; i++) {
        if (shard->live.order[i]->block == block) return shard->live.order[i];
    }
    unreachable("a block with a request in flight left the live set");
}

static void ingest_on_durable(struct journal_append *append, enum err err)
{
    struct shard_ingest *ingest = (struct shard_ingest *)((char *)append -
                                                          offsetof(struct shard_ingest, append));
    struct shard *shard = ingest->shard;
    struct live_slot *slot = slot_of(shard, ingest->live);
    assert(slot->requests > 0 && shard->ingests_in_flight > 0);

    slot->requests--;
    shard->ingests_in_flight--;
    if (err != OK) {
        slot->torn_off = true;
        ingest->reason = refusal(err);
        ingest_finish(shard, ingest, err);
        return;
    }
    assert(!slot->torn_off); /* in LSN order: nothing lands after the first failure, until it is cut */
    shard->failures_in_row = 0;
    live_publish(ingest->live, &ingest->counts);
    atomic_store_explicit(&shard->durable_lsn, append->lsn_end, memory_order_release);
    if (!SEEDED_BUG(ANSWER_BEFORE_DURABLE)) ingest_answer(shard, ingest);
}

static void ingest_answer(struct shard *shard, struct shard_ingest *ingest)
{
    ingest->position = ingest->append.lsn_end;
    ingest_finish(shard, ingest, OK);
}

static void count_outcome(struct metrics *metrics, const struct shard_ingest *ingest)
{
    if (ingest->err == OK) {
        metric_add(metrics, METRIC_REQUESTS_STORED, 1);
        metric_add(metrics, METRIC_SPANS_STORED, ingest->result.spans);
        metric_add(metrics, METRIC_SPANS_REJECTED, ingest->result.rejected);
        metric_add(metrics, METRIC_SPANS_CUT, ingest->cut);
        metric_add(metrics, METRIC_JSON_NUMBERS_CLAMPED, ingest->changes.numbers);
        metric_add(metrics, METRIC_JSON_CHARACTERS_REPLACED, ingest->changes.characters);
    } else {
        const bool ours = err_http_status(ingest->err) >= 500;
        metric_add(metrics, ours ? METRIC_REQUESTS_REFUSED : METRIC_REQUESTS_MALFORMED, 1);
    }
}

static void ingest_finish(struct shard *shard, struct shard_ingest *ingest, enum err err)
{
    ingest->err = err;
    count_outcome(shard->config.metrics, ingest);
    ingest->done(ingest);
}

static const char *refusal(enum err err)
{
    switch (err) {
    case ERR_TOO_LARGE: return "the body is larger than the limit";
    case ERR_CLOSING: return "the shard does not accept spans now";
    case ERR_READ_ONLY:
        return "a journal write failed: no spans are accepted until the disk takes writes again";
    case ERR_FULL: return "the journal or the live blocks are full, sealing is behind";
    default: return err_text(err);
    }
}
