/*
 * When the disk fails the journal, or does not answer it.
 *
 *   failed    read-only: everything under way fails, and is answered 503. After a wait the pool makes another journal file,
 *             which proves that the disk takes writes again; then the rows that failed are taken back, and the journal goes
 *             on in another file. The wait doubles with each failure that follows without an acknowledgement between.
 *   stalled   a write is under way for longer than stall_ns_max: new requests are refused, so that they do not pile up behind
 *             it. What waits for it is answered when it lands, whenever that is; nothing is taken back.
 */
#include "shard_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/seeded_bug.h"

#include <inttypes.h>

static const uint64_t FIRST_WAIT_NS = 100 * NS_PER_MS, LONGEST_WAIT_NS = 60 * NS_PER_S;

static uint64_t wait_of(unsigned failures)
{
    const uint64_t wait_ns = FIRST_WAIT_NS << (failures < 16 ? failures : 16);

    return wait_ns < LONGEST_WAIT_NS ? wait_ns : LONGEST_WAIT_NS;
}

static void tend_failure(struct shard *shard, uint64_t now_ns)
{
    if (!journal_read_only(shard->journal)) return;
    if (shard->resume_ns == 0) shard->resume_ns = now_ns + wait_of(shard->failures_in_row++);
    if (!journal_may_resume(shard->journal)) return;

    assert(shard->ingests_in_flight == 0);
    live_set_cut(&shard->live, journal_durable_lsn(shard->journal));
    journal_resume(shard->journal);
    shard->resume_ns = 0;
    shard->rest_noted = true; /* the GENERATION frame says the same */
}

static void tend_stall(struct shard *shard)
{
    struct metrics *const metrics = shard->config.metrics;
    const uint64_t waiting_ns = journal_waiting_ns(shard->journal);
    const bool stalled = shard->config.stall_ns_max > 0 && waiting_ns >= shard->config.stall_ns_max &&
                         !SEEDED_BUG(NO_WATCHDOG);

    if (stalled == shard->stalled) return;
    shard->stalled = stalled;
    metric_set(metrics, METRIC_JOURNAL_STALLED, stalled);
    metric_add(metrics, METRIC_JOURNAL_STALLS, stalled);
    if (stalled)
        log_error("shard", "a journal write waits for the disk; no spans are accepted until it answers",
                  "shard=%u seconds=%" PRIu64, shard->config.index, (uint64_t)(waiting_ns / NS_PER_S));
    else
        log_info("shard", "the disk answers again", "shard=%u", shard->config.index);
}

void trouble_tend(struct shard *shard, uint64_t now_ns)
{
    tend_failure(shard, now_ns);
    tend_stall(shard);
}

bool trouble_lets_prepare(const struct shard *shard, uint64_t now_ns)
{
    if (!journal_read_only(shard->journal)) return true;
    return shard->resume_ns != 0 && now_ns >= shard->resume_ns;
}

uint64_t trouble_next_ns(const struct shard *shard, uint64_t now_ns)
{
    const uint64_t waiting_ns = journal_waiting_ns(shard->journal);

    if (journal_may_resume(shard->journal)) return now_ns;
    if (journal_read_only(shard->journal)) return shard->resume_ns > now_ns ? shard->resume_ns : UINT64_MAX;
    if (waiting_ns == 0 || shard->stalled || shard->config.stall_ns_max == 0) return UINT64_MAX;
    return now_ns + (shard->config.stall_ns_max > waiting_ns ? shard->config.stall_ns_max - waiting_ns : 0);
}
