/* A store over a simulated disk, what is sent to it, and what is seen in it. Each test program file has its
 * own. */
#ifndef TESTS_SHARD_FIXTURE_H
#define TESTS_SHARD_FIXTURE_H

#include "world.h"

#include <criterion/criterion.h>

static struct sim *sim;
static struct world world;
static struct world_config config;

static inline void start(void)
{
    if (sim == NULL) sim = sim_open(&(struct sim_config){.seed = 7, .sector_bytes = 4096});
    config.sim = sim;
    cr_assert_eq(world_start(&world, &config), OK);
}

static inline void stop(void)
{
    world_stop(&world);
}

static inline void end(void)
{
    stop();
    sim_close(sim);
    sim = NULL;
}

static inline void restart(void)
{
    stop();
    start();
}

struct sending {
    struct shard_ingest ingest;
    struct shard_body body;
    unsigned done;
};

static unsigned order[64], order_count;

static inline void on_done(struct shard_ingest *ingest)
{
    struct sending *sending = (struct sending *)ingest; /* its first member */
    sending->done++;
    if (order_count < 64) order[order_count++] = (unsigned)sending->ingest.result.spans;
}

static inline void send_bytes(struct sending *sending, struct slice bytes, uint8_t codec)
{
    *sending = (struct sending){.ingest = {.codec = codec, .done = on_done}};
    sending->ingest.body = &sending->body;
    cr_assert(shard_body_acquire(world.shard, bytes.len, &sending->body));
    if (bytes.len > 0) memcpy(sending->body.ptr, bytes.ptr, bytes.len);
    sending->body.len = bytes.len;
    shard_ingest(world.shard, &sending->ingest);
}

static inline void send(struct sending *sending, uint32_t id, uint32_t spans, uint32_t padding)
{
    const struct bodies_request request = {id, spans, padding};
    size_t len;
    uint8_t *bytes = bodies_make(&request, &len);
    send_bytes(sending, slice_of(bytes, len), JOURNAL_CODEC_NONE);
    free(bytes);
}

static inline void send_gzip(struct sending *sending, uint32_t id, uint32_t spans, uint32_t padding)
{
    const struct bodies_request request = {id, spans, padding};
    size_t len;
    uint8_t *bytes = bodies_make_gzip(&request, &len);
    send_bytes(sending, slice_of(bytes, len), JOURNAL_CODEC_GZIP);
    free(bytes);
}

static inline void land(struct sending *sending)
{
    for (unsigned turn = 0; sending->done == 0 && turn < 10000; turn++) {
        cr_assert_eq(world_turn(&world, NS_PER_MS), OK);
    }
    cr_assert_eq(sending->done, 1);
    shard_body_release(world.shard, &sending->body);
}

static inline void sent(uint32_t id, uint32_t spans, uint32_t padding)
{
    struct sending sending;
    send(&sending, id, spans, padding);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
}

/* What is visible: per request how many of its spans, each exactly as sent. */
struct seen {
    unsigned spans[64], sealed;
    uint32_t padding;
};

static inline void on_span(void *context, uint64_t span_id, struct slice span, bool sealed)
{
    struct seen *seen = context;
    const uint32_t id = (uint32_t)(span_id >> 32);
    cr_assert_lt(id, 64);
    const struct bodies_request request = {id, UINT32_MAX, seen->padding};
    cr_assert(bodies_is_span(&request, (uint32_t)span_id - 1, span), "request %u: a span was altered", id);
    seen->spans[id]++;
    seen->sealed += sealed;
}

static inline struct seen see(uint32_t padding)
{
    struct seen seen = {.padding = padding};
    cr_assert_eq(world_read(&world, world.io, on_span, &seen), OK);
    return seen;
}

#endif
