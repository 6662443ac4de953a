/*
 * Operations: is it alive, is it ready, what are its numbers, and, for tests, seal everything now.
 *
 * The listener stands on a thread of its own, so these answers come while shards replay their journals or are
 * saturated. They read only what other threads publish: metrics, and one flag per shard.
 *
 * A seal request counts wanted_seals up and wakes every shard. A shard that sees a number it has not met
 * closes its live blocks, and says so by storing the number in `sealed` once none of them is left (a shard's
 * live set is empty when everything is in segments). Rows that arrive later open a new block, so the wait is
 * for blocks up to the sequence number at the time of the request. The last shard to finish answers; one
 * request at a time, another gets 503.
 */
#include "server/ops.h"

#include "base/metric.h"
#include "base/metric_text.h"
#include "io/io.h"
#include "shard/shard.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { METRICS_TEXT_MAX = 1 << 20, SHARDS_MAX = 256 };
#define ANSWERING UINT32_MAX

static const char text_type[] = "text/plain; charset=utf-8";

struct ops_shard {
    struct io *_Atomic io; /* NULL until it serves */
    _Atomic uint32_t sealed;
    /* the shard's thread only */
    uint32_t sealing;    /* the request it works on */
    uint64_t seal_below; /* blocks with a smaller sequence number are part of it */
};

struct ops {
    struct ops_config config;
    atomic_bool stopping;
    _Atomic uint32_t wanted_seals;
    _Atomic uint32_t
        seal_pending; /* the number of the request that waits in `ticket`, 0: none, or ANSWERING */
    struct exchange_ticket ticket;
    char *text; /* METRICS_TEXT_MAX; of the listener's thread */
    struct ops_shard shards[SHARDS_MAX];
};

enum err ops_open(const struct ops_config *config, struct ops **out)
{
    struct ops *const ops = calloc(1, sizeof *ops);

    assert(config->shards_count <= SHARDS_MAX && config->sets_count <= OPS_METRIC_SETS_MAX);
    assert(config->shards_count <= config->sets_count);
    if (ops == NULL) return ERR_NO_MEMORY;
    ops->config = *config;
    ops->text = malloc(METRICS_TEXT_MAX);
    if (ops->text == NULL) {
        free(ops);
        return ERR_NO_MEMORY;
    }
    *out = ops;
    return OK;
}

void ops_close(struct ops *ops)
{
    free(ops->text);
    free(ops);
}

void ops_shard_ready(struct ops *ops, unsigned index, struct io *io)
{
    atomic_store(&ops->shards[index].io, io);
}

void ops_stopping(struct ops *ops)
{
    atomic_store(&ops->stopping, true);
}

/* ---- alive, ready ---------------------------------------------------------------------------------------
 */

static void answer_text(struct exchange *exchange, int status, const char *text)
{
    exchange_answer(exchange, status, text_type, NULL, 0, slice_text(text));
}

static void handle_health(struct exchange *exchange, void *context)
{
    (void)context;
    answer_text(exchange, 200, "ok\n");
}

/* NULL: ready. */
static const char *why_not_ready(const struct ops *ops, unsigned *shard)
{
    *shard = 0;
    if (atomic_load(&ops->stopping)) return "shutting down";
    for (unsigned i = 0; i < ops->config.shards_count; i++) {
        *shard = i;
        if (atomic_load(&ops->shards[i].io) == NULL) return "recovering the journal";
        if (metric_get(ops->config.sets[i], METRIC_READ_ONLY) != 0)
            return "read-only after a failed journal write";
        if (metric_get(ops->config.sets[i], METRIC_JOURNAL_STALLED) != 0)
            return "a journal write waits for the disk";
    }
    return NULL;
}

static uint64_t fenced_blocks(const struct ops *ops)
{
    uint64_t fenced = 0;

    for (size_t i = 0; i < ops->config.sets_count; i++)
        fenced += metric_get(ops->config.sets[i], METRIC_FENCED);
    return fenced;
}

/* Damage at rest is told, but takes nothing away from being ready: spans are taken, and questions answered. */
static void handle_ready(struct exchange *exchange, void *context)
{
    const struct ops *const ops = context;
    const char *const remark = ops->config.remark != NULL ? ops->config.remark : "";
    const uint64_t fenced = fenced_blocks(ops);
    unsigned shard;
    char text[512], damage[96] = "";

    if (fenced > 0)
        snprintf(damage, sizeof damage, "damaged blocks: %" PRIu64 "; answers that need them are partial\n",
                 fenced);
    const char *const why = why_not_ready(ops, &shard);
    if (why == NULL)
        snprintf(text, sizeof text, "ready\n%s%s", damage, remark);
    else
        snprintf(text, sizeof text, "not ready: shard %u: %s\n%s%s", shard, why, damage, remark);
    answer_text(exchange, why == NULL ? 200 : 503, text);
}

/* ---- metrics --------------------------------------------------------------------------------------------
 */

static void print_metric(struct metric_text *text, const struct ops_config *config, enum metric_id id,
                         const char *kind, const char *name, const char *help)
{
    metric_text_head(text, name, kind, help);
    for (size_t i = 0; i < config->sets_count; i++)
        metric_text_print(text, "spanmill_%s{shard=\"%s\"} %" PRIu64 "\n", name, config->set_names[i],
                          metric_get(config->sets[i], id));
}

static void handle_metrics(struct exchange *exchange, void *context)
{
    struct ops *const ops = context;
    struct metric_text text = {.to = ops->text, .capacity = METRICS_TEXT_MAX};

#define COUNTER                 "counter"
#define GAUGE                   "gauge"
#define X(id, kind, name, help) print_metric(&text, &ops->config, id, kind, name, help);
    METRIC_TABLE(X)
#undef X
#undef GAUGE
#undef COUNTER
    if (ops->config.process_metrics != NULL)
        text.len += ops->config.process_metrics(text.to + text.len, METRICS_TEXT_MAX - text.len);
    exchange_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, 0,
                    slice_of(text.to, text.len));
}

/* ---- sealing on demand ----------------------------------------------------------------------------------
 */

static void handle_seal(struct exchange *exchange, void *context)
{
    struct ops *const ops = context;
    unsigned shard;

    if (why_not_ready(ops, &shard) != NULL || atomic_load(&ops->seal_pending) != 0) {
        answer_text(exchange, 503, "503 not ready, or another seal request is in work\n");
        return;
    }
    exchange_defer(exchange, &ops->ticket);
    atomic_store(&ops->seal_pending, ops_seal(ops));
}

/* Those that were asked for later stand for it, too. Numbers may wrap. */
bool ops_is_sealed(const struct ops *ops, uint32_t number)
{
    for (unsigned i = 0; i < ops->config.shards_count; i++)
        if ((int32_t)(atomic_load(&ops->shards[i].sealed) - number) < 0) return false;
    return true;
}

uint32_t ops_seal(struct ops *ops)
{
    const uint32_t number = atomic_fetch_add(&ops->wanted_seals, 1) + 1;

    for (unsigned i = 0; i < ops->config.shards_count; i++) {
        struct io *const io = atomic_load(&ops->shards[i].io);
        if (io != NULL) io_wake(io); /* else it sees the number in its first turn */
    }
    return number;
}

/* Does a block with rows and a smaller sequence number still live? Tells one more than the newest number. */
static bool is_live_below(struct shard *shard, uint64_t below, uint64_t *end)
{
    struct shard_live_set set;
    bool found = false;

    *end = 0;
    shard_live_acquire(shard, &set);
    for (unsigned i = 0; i < set.count; i++) {
        const struct live_block *const block = set.blocks[i];
        if (block->counts.rows == 0) continue; /* we are its writer's thread */
        if (block->seq >= *end) *end = block->seq + 1;
        if (block->seq < below) found = true;
    }
    shard_live_release(shard, &set);
    return found;
}

/* The last shard to finish answers. Two may think they are; one of them gets the ticket. */
static void finish_seal(struct ops *ops)
{
    static const char done[] = "sealed\n";
    uint32_t pending = atomic_load(&ops->seal_pending);

    if (pending == 0 || pending == ANSWERING || !ops_is_sealed(ops, pending)) return;
    if (!atomic_compare_exchange_strong(&ops->seal_pending, &pending, ANSWERING)) return;
    const struct exchange_ticket ticket = ops->ticket;
    atomic_store(&ops->seal_pending, 0);
    char *const body = malloc(sizeof done - 1);
    if (body != NULL) memcpy(body, done, sizeof done - 1);
    exchange_complete(&ticket, 200, text_type, NULL, 0, body, body != NULL ? sizeof done - 1 : 0);
}

void ops_turn(struct ops *ops, unsigned index, struct shard *shard)
{
    struct ops_shard *const own = &ops->shards[index];
    const uint32_t wanted = atomic_load_explicit(&ops->wanted_seals, memory_order_acquire);
    uint64_t end;

    if (atomic_load_explicit(&own->sealed, memory_order_relaxed) == wanted) {
        if (atomic_load_explicit(&ops->seal_pending, memory_order_relaxed) != 0) finish_seal(ops);
        return;
    }
    if (own->sealing != wanted) {
        own->sealing = wanted;
        (void)is_live_below(shard, 0, &own->seal_below);
        shard_close_live(shard);
    }
    if (is_live_below(shard, own->seal_below, &end)) return;
    atomic_store(&own->sealed, wanted);
    finish_seal(ops);
}

/* ---- routes ---------------------------------------------------------------------------------------------
 */

size_t ops_routes(struct ops *ops, struct route *out)
{
    static const struct route table[OPS_ROUTES_MAX] = {
        {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/healthz", .handle = handle_health},
        {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/readyz", .handle = handle_ready},
        {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/metrics", .handle = handle_metrics},
        {.role = ROLE_OPS, .method = HTTP1_POST, .path = "/debug/seal", .handle = handle_seal},
    };
    const size_t count = ops->config.debug_endpoints ? OPS_ROUTES_MAX : OPS_ROUTES_MAX - 1;

    for (size_t i = 0; i < count; i++) {
        out[i] = table[i];
        out[i].context = ops;
    }
    return count;
}
