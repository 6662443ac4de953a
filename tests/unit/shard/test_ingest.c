#include "fixture.h"

#include <zstd.h>

#include "shard_private.h"

/* ---- the happy path --------------------------------------------------------------------------------- */

Test(ingest, is_visible_when_done_and_not_before)
{
    struct sending sending;
    start();
    send(&sending, 1, 5, 0);
    cr_assert_eq(sending.done, 0);
    cr_assert_eq(see(0).spans[1], 0);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert_eq(sending.ingest.result.spans, 5);
    cr_assert_eq(sending.ingest.result.rejected, 0);
    cr_assert_gt(sending.ingest.position, 0);
    cr_assert_geq(shard_durable_lsn(world.shard), sending.ingest.position);
    cr_assert_eq(see(0).spans[1], 5);
    cr_assert_eq(metric_get(&world.metrics, METRIC_SPANS_STORED), 5);
    cr_assert_eq(metric_get(&world.metrics, METRIC_REQUESTS_STORED), 1);
    end();
}

Test(ingest, answers_in_the_order_of_arrival_with_rising_positions)
{
    struct sending sendings[10];
    start();
    for (uint32_t i = 0; i < 10; i++)
        send(&sendings[i], i + 1, i + 1, i % 3 == 0 ? 15000 : 0);
    for (uint32_t i = 0; i < 10; i++)
        land(&sendings[i]);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(sendings[i].ingest.err, OK);
        cr_assert_eq(order[i], i + 1);
        cr_assert(i == 0 || sendings[i].ingest.position > sendings[i - 1].ingest.position);
    }
    end();
}

Test(ingest, takes_a_body_larger_than_the_copy_limit_in_place)
{
    struct sending sending;
    start();
    send(&sending, 3, 4, 40000);
    cr_assert_gt(sending.body.len, JOURNAL_SMALL_BYTES);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    restart();
    cr_assert_eq(see(40000).spans[3], 4);
    end();
}

Test(ingest, inflates_compressed_bodies_and_journals_them_as_received)
{
    struct sending sending;
    start();
    for (uint32_t id = 1; id < 6; id++) {
        send_gzip(&sending, id, 4 * id, 2000);
        const uint64_t inflight = metric_get(&world.metrics, METRIC_INFLIGHT_BYTES);
        cr_assert_leq(inflight, 65536 + 4096, "only the received body is held now");
        land(&sending);
        cr_assert_eq(sending.ingest.err, OK);
        cr_assert_eq(sending.ingest.result.spans, 4 * id);
    }
    restart();
    for (uint32_t id = 1; id < 6; id++)
        cr_assert_eq(see(2000).spans[id], 4 * id);
    end();
}

Test(ingest, accepts_a_body_without_spans_and_journals_nothing)
{
    struct sending sending;
    start();
    const uint64_t end_before = journal_end_lsn(world.shard->journal);
    send_bytes(&sending, (struct slice){0}, JOURNAL_CODEC_NONE);
    cr_assert_eq(sending.done, 1, "at once");
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert_eq(sending.ingest.position, 0);
    shard_body_release(world.shard, &sending.body);

    send(&sending, 1, 0, 0);
    cr_assert_eq(sending.done, 1);
    cr_assert_eq(sending.ingest.err, OK);
    shard_body_release(world.shard, &sending.body);
    cr_assert_eq(journal_end_lsn(world.shard->journal), end_before);
    end();
}

/* ---- what is refused leaves nothing ----------------------------------------------------------------- */

Test(ingest, refuses_every_proper_prefix_of_a_body_or_takes_fewer_spans)
{
    const struct bodies_request request = {9, 3, 10};
    struct sending sending;
    size_t len;
    uint8_t *bytes = bodies_make(&request, &len);
    start();
    for (size_t cut = 1; cut < len; cut += 3) {
        send_bytes(&sending, slice_of(bytes, cut), JOURNAL_CODEC_NONE);
        cr_assert_eq(sending.done, 1);
        cr_assert_eq(sending.ingest.err, ERR_MALFORMED, "cut at %zu", cut);
        cr_assert_not_null(sending.ingest.reason);
        cr_assert_eq(sending.ingest.position, 0);
        shard_body_release(world.shard, &sending.body);
    }
    free(bytes);
    cr_assert_eq(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES), 0);
    cr_assert_eq(metric_get(&world.metrics, METRIC_SPANS_STORED), 0);
    sent(1, 2, 10);
    const struct seen seen = see(10);
    cr_assert_eq(seen.spans[9], 0);
    cr_assert_eq(seen.spans[1], 2);
    end();
}

Test(ingest, refuses_a_spoilt_gzip_body_and_then_takes_a_good_one)
{
    const struct bodies_request request = {4, 6, 100};
    struct sending sending;
    size_t len;
    uint8_t *bytes = bodies_make_gzip(&request, &len);
    start();
    bytes[len - 6] ^= 1; /* its CRC */
    send_bytes(&sending, slice_of(bytes, len), JOURNAL_CODEC_GZIP);
    cr_assert_eq(sending.ingest.err, ERR_MALFORMED);
    shard_body_release(world.shard, &sending.body);
    bytes[len - 6] ^= 1;
    send_bytes(&sending, slice_of(bytes, len), JOURNAL_CODEC_GZIP);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert_eq(see(100).spans[4], 6);
    free(bytes);
    end();
}

static void send_zstd(struct sending *sending, uint32_t id, uint32_t spans)
{
    static uint8_t packed[1 << 16];
    const struct bodies_request request = {id, spans, 100};
    size_t len;
    uint8_t *bytes = bodies_make(&request, &len);
    const size_t packed_len = ZSTD_compress(packed, sizeof packed, bytes, len, 1);
    cr_assert_not(ZSTD_isError(packed_len));
    send_bytes(sending, slice_of(packed, packed_len), JOURNAL_CODEC_ZSTD);
    free(bytes);
}

Test(ingest, journals_a_zstd_body_as_received_and_replays_it)
{
    struct sending sending;
    start();
    send_zstd(&sending, 4, 50);
    const size_t stored = sending.body.len;
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert_lt(stored, 50 * 100, "it is compressed");
    cr_assert_leq(sending.ingest.append.lsn_end - sending.ingest.append.lsn, stored + 4096);
    restart();
    cr_assert_eq(see(100).spans[4], 50);
    end();
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void send_json(struct sending *sending, struct slice json, uint8_t codec, uint8_t content_type)
{
    *sending = (struct sending){.ingest = {.codec = codec, .content_type = content_type, .done = on_done}};
    sending->ingest.body = &sending->body;
    cr_assert(shard_body_acquire(world.shard, json.len, &sending->body));
    memcpy(sending->body.ptr, json.ptr, json.len);
    sending->body.len = json.len;
    shard_ingest(world.shard, &sending->ingest);
}

static char *json_spans(unsigned count, size_t *len)
{
    char *const text = malloc(200 + 200 * (size_t)count);
    size_t at = (size_t)snprintf(text, 100, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");

    for (unsigned i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, 200,
                               "%s{\"traceId\":\"%032x\",\"spanId\":\"%08x%08x\",\"name\":\"n\"}",
                               i == 0 ? "" : ",", i + 1, 5u, i + 1);
    at += (size_t)snprintf(text + at, 100, "]}]}]}");
    *len = at;
    return text;
}

static unsigned ids_seen;

static void count_id(void *context, uint64_t span_id, struct slice span, bool sealed)
{
    (void)context;
    (void)span;
    (void)sealed;
    ids_seen += span_id >> 32 == 5;
}

static unsigned json_spans_seen(void)
{
    ids_seen = 0;
    cr_assert_eq(world_read(&world, world.io, count_id, NULL), OK);
    return ids_seen;
}

Test(ingest, journals_json_as_received_compressed_or_not_and_replays_it)
{
    struct sending sending;
    size_t len;
    char *json = json_spans(700, &len);
    uint8_t *packed = malloc(len);

    start();
    send_json(&sending, slice_of(json, len), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert_eq(sending.ingest.result.spans, 700);
    cr_assert_geq(sending.ingest.append.lsn_end - sending.ingest.append.lsn, len, "the frame holds the JSON");
    cr_assert_eq(json_spans_seen(), 700);
    const size_t packed_len = ZSTD_compress(packed, len, json, len, 1);
    send_json(&sending, slice_of(packed, packed_len), JOURNAL_CODEC_ZSTD, JOURNAL_CONTENT_JSON);
    land(&sending);
    cr_assert_eq(sending.ingest.result.spans, 700);
    cr_assert_eq(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES), 0);
    restart();
    cr_assert_eq(json_spans_seen(), 1400);
    free(packed);
    free(json);
    end();
}

Test(ingest, refuses_every_proper_prefix_of_json)
{
    struct sending sending;
    size_t len;
    char *json = json_spans(3, &len);

    start();
    for (size_t cut = 1; cut < len; cut++) {
        send_json(&sending, slice_of(json, cut), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
        cr_assert_eq(sending.ingest.err, ERR_MALFORMED, "%zu", cut);
        cr_assert_not_null(sending.ingest.result.fault.reason);
        cr_assert_leq(sending.ingest.result.fault.offset, cut);
        shard_body_release(world.shard, &sending.body);
    }
    cr_assert_eq(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES), 0);
    cr_assert_eq(json_spans_seen(), 0);
    free(json);
    end();
}

Test(ingest, refuses_a_content_type_that_it_does_not_know)
{
    struct sending sending;
    start();
    send_json(&sending, slice_text("whatever"), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_ZIPKIN + 1);
    cr_assert_eq(sending.ingest.err, ERR_UNSUPPORTED);
    shard_body_release(world.shard, &sending.body);
    cr_assert_eq(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(ingest, J7_J10_counts_what_json_says_and_protobuf_cannot)
{
    static const char json[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"0123456789abcdef0123456789abcdef\","
        "\"spanId\":\"0000000500000001\",\"flags\":4294967296,\"startTimeUnixNano\":-1,\"name\":\"\\udc00\"}]"
        "}]}]}";
    struct sending sending;

    start();
    send_json(&sending, slice_text(json), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_expect_eq(metric_get(&world.metrics, METRIC_JSON_NUMBERS_CLAMPED), 2);
    cr_expect_eq(metric_get(&world.metrics, METRIC_JSON_CHARACTERS_REPLACED), 1);
    sent(3, 2, 0);
    cr_expect_eq(metric_get(&world.metrics, METRIC_JSON_NUMBERS_CLAMPED), 2);
    end();
}

static unsigned noted;

static void on_noted(struct journal_append *append, enum err err)
{
    (void)append;
    cr_assert_eq(err, OK);
    noted++;
}

/* In the journal as a newer version of the program might have put it there. */
static void journal_as(uint8_t codec, uint8_t content_type)
{
    struct journal_append append = {
        .done = on_noted,
        .body = slice_text("whatever"),
        .batch = {.arrival_ns = 1,
                  .span_count = 1,
                  .plain_bytes = 8,
                  .codec = codec,
                  .content_type = content_type},
    };

    noted = 0;
    cr_assert_eq(journal_append(world.shard->journal, &append), OK);
    for (unsigned turn = 0; noted == 0 && turn < 10000; turn++)
        cr_assert_eq(world_turn(&world, NS_PER_MS), OK);
    cr_assert_eq(noted, 1);
}

Test(ingest, replay_refuses_a_codec_or_a_content_type_that_it_does_not_know)
{
    static const struct {
        uint8_t codec, content_type;
    } rows[] = {{200, JOURNAL_CONTENT_PROTOBUF}, {JOURNAL_CODEC_NONE, 200}, {255, 255}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        config.accept_damage = false;
        start();
        sent(4, 3, 0);
        journal_as(rows[i].codec, rows[i].content_type);
        stop();
        cr_expect_eq(world_start(&world, &config), ERR_CORRUPT, "%zu", i);
        config.accept_damage = true; /* as the operator may decide; what else was there is served */
        start();
        cr_expect_eq(see(0).spans[4], 3, "%zu", i);
        end();
    }
}

Test(ingest, refuses_json_for_ever_only_when_the_budget_cannot_hold_its_translation)
{
    struct sending sending, other;
    size_t len;
    char *json = json_spans(2000, &len); /* some 200 KB: pieces of 256 KiB */

    config.inflight_bytes_max = 2 * (256 << 10) + 2 * 4096;
    start();
    send_json(&sending, slice_of(json, len), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    cr_assert(shard_body_acquire(world.shard, 100, &other.body));
    send_json(&sending, slice_of(json, len), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
    cr_assert_eq(sending.ingest.err, ERR_FULL, "another body holds a little of it now");
    shard_body_release(world.shard, &sending.body);
    shard_body_release(world.shard, &other.body);
    end();
    config.inflight_bytes_max -= 4096;
    start();
    send_json(&sending, slice_of(json, len), JOURNAL_CODEC_NONE, JOURNAL_CONTENT_JSON);
    cr_assert_eq(sending.ingest.err, ERR_TOO_LARGE);
    shard_body_release(world.shard, &sending.body);
    free(json);
    end();
}

Test(ingest, refuses_a_codec_that_it_does_not_know)
{
    struct sending sending;
    start();
    send_bytes(&sending, slice_text("whatever"), JOURNAL_CODEC_SNAPPY + 1);
    cr_assert_eq(sending.ingest.err, ERR_UNSUPPORTED);
    shard_body_release(world.shard, &sending.body);
    cr_assert_eq(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(ingest, refuses_a_body_that_inflates_beyond_the_limit)
{
    struct sending sending;
    config.plain_bytes_max = 50000;
    start();
    send_gzip(&sending, 1, 30, 2000); /* some 65 KB */
    cr_assert_eq(sending.done, 1);
    cr_assert_eq(sending.ingest.err, ERR_TOO_LARGE);
    shard_body_release(world.shard, &sending.body);
    cr_assert_eq(metric_get(&world.metrics, METRIC_REQUESTS_MALFORMED), 1);
    send_gzip(&sending, 2, 20, 2000);
    land(&sending);
    cr_assert_eq(sending.ingest.err, OK);
    end();
}

Test(ingest, refuses_a_body_of_one_byte_more_than_the_limit)
{
    static uint8_t bytes[(200 << 10) + 1];
    struct sending sending;
    start();
    send_bytes(&sending, slice_of(bytes, 200 << 10), JOURNAL_CODEC_NONE);
    cr_assert_eq(sending.ingest.err, ERR_MALFORMED, "it was looked at");
    shard_body_release(world.shard, &sending.body);
    send_bytes(&sending, slice_of(bytes, sizeof bytes), JOURNAL_CODEC_NONE);
    cr_assert_eq(sending.ingest.err, ERR_TOO_LARGE);
    cr_assert_not_null(sending.ingest.reason);
    shard_body_release(world.shard, &sending.body);
    end();
}

Test(ingest, E11_answers_full_when_there_is_no_memory_to_inflate)
{
    struct sending sending;
    config.inflight_bytes_max = 100000;
    start();
    send_gzip(&sending, 1, 30,
              2000); /* needs a piece of 68 KB beside its own of 20 KB, and then one of 260 */
    cr_assert_eq(sending.done, 1);
    cr_assert_eq(sending.ingest.err, ERR_FULL);
    cr_assert_eq(metric_get(&world.metrics, METRIC_REQUESTS_REFUSED), 1);
    shard_body_release(world.shard, &sending.body);
    sent(2, 3, 0);
    end();
}

Test(ingest, answers_full_when_the_journal_is_and_goes_on_after_a_seal)
{
    struct sending sending = {0};
    unsigned accepted = 0;
    config.live_blocks = 8;
    start();
    sim_fail(sim, SIM_FAULT_NAME, 1, ERR_NO_SPACE, true); /* no segment can be made: nothing is sealed */
    for (uint32_t i = 0; i < 60; i++) {
        if (shard_admits(world.shard) != OK) break;
        send(&sending, i % 60 + 1, 2, 12000);
        land(&sending);
        if (sending.ingest.err != OK) break;
        accepted++;
    }
    cr_assert_gt(accepted, 10);
    cr_assert_lt(accepted, 60);
    send(&sending, 61, 2, 12000);
    cr_assert_eq(sending.ingest.err, ERR_FULL);
    cr_assert_not_null(sending.ingest.reason);
    shard_body_release(world.shard, &sending.body);

    sim_forgive(sim); /* space again */
    shard_close_live(world.shard);
    for (unsigned turn = 0; sending.ingest.err != OK && turn < 10000; turn++) {
        world_turn(&world, NS_PER_MS);
        send(&sending, 61, 2, 12000);
        land(&sending);
    }
    cr_assert_eq(sending.ingest.err, OK);
    const struct seen seen = see(12000);
    for (uint32_t i = 1; i <= accepted; i++)
        cr_assert_eq(seen.spans[i], 2, "request %u", i);
    cr_assert_eq(seen.spans[61], 2);
    cr_assert_gt(metric_get(&world.pool_metrics, METRIC_SEAL_FAILURES), 0);
    end();
}

Test(ingest, refuses_while_draining_and_lets_what_is_in_flight_land)
{
    struct sending first, second;
    start();
    send(&first, 1, 2, 0);
    shard_drain(world.shard);
    cr_assert_eq(shard_admits(world.shard), ERR_CLOSING);
    send(&second, 2, 2, 0);
    cr_assert_eq(second.ingest.err, ERR_CLOSING);
    shard_body_release(world.shard, &second.body);
    cr_assert_not(shard_idle(world.shard));
    land(&first);
    cr_assert_eq(first.ingest.err, OK);
    end();
}

/* ---- faults of the journal -------------------------------------------------------------------------- */

static unsigned visible_rows(void)
{
    struct shard_live_set live;
    unsigned visible = 0;

    shard_live_acquire(world.shard, &live);
    for (unsigned i = 0; i < live.count; i++)
        visible += live_published(live.blocks[i]).rows;
    shard_live_release(world.shard, &live);
    return visible;
}

static void wait_until_it_goes_on(void)
{
    for (unsigned turn = 0; shard_admits(world.shard) == ERR_READ_ONLY && turn < 1000; turn++)
        cr_assert_eq(world_turn(&world, NS_PER_S), OK);
    cr_assert_eq(shard_admits(world.shard), OK);
}

/*
 * Eight requests, of which the nth write fails, then eight more when the journal has gone on, some in blocks that were closed
 * in between. Shown is what was answered OK, each once, at every moment and after a restart.
 */
Test(ingest, D1_goes_on_by_itself_after_any_failed_journal_write)
{
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct sending sendings[16];
        unsigned acked = 0, failed = 0;
        bool ok[16];
        config.live_blocks = 4;
        start();
        sim_fail(sim, SIM_FAULT_WRITE, nth, ERR_IO, false);
        for (uint32_t i = 0; i < 16; i++) {
            if (i == 8) wait_until_it_goes_on();
            send(&sendings[i], i + 1, 3, 30000);
            if ((i + nth) % 5 == 0) shard_close_live(world.shard);
            for (unsigned turn = 0; turn < (nth < 6 ? i % 8 : 0); turn++)
                cr_assert_eq(shard_turn(world.shard, NS_PER_MS), OK);
            if (i % 8 < 7) continue;
            for (uint32_t k = i - 7; k <= i; k++) {
                land(&sendings[k]);
                ok[k] = sendings[k].ingest.err == OK;
                cr_assert(ok[k] || err_http_status(sendings[k].ingest.err) == 503);
                acked += ok[k];
                failed += !ok[k];
            }
        }
        sim_forgive(sim);
        for (unsigned round = 0; round < 2; round++) {
            const struct seen seen = see(30000);
            for (uint32_t i = 0; i < 16; i++)
                cr_assert_eq(seen.spans[i + 1], ok[i] ? 3 : 0, "write %lu, round %u, request %u",
                             (unsigned long)nth, round, i);
            if (round == 0) restart();
        }
        cr_assert(nth > 8 || failed > 0);
        end();
    }
}

Test(ingest, D6_D16_is_read_only_as_long_as_no_file_can_be_made)
{
    static const enum err errors[] = {ERR_IO, ERR_NO_SPACE, ERR_READ_ONLY};

    for (unsigned i = 0; i < 3; i++) {
        struct sending failed;
        start();
        sent(1, 3, 0);
        sim_fail(sim, SIM_FAULT_WRITE, 1, errors[i], true);
        send(&failed, 2, 3, 0);
        land(&failed);
        cr_assert_eq(err_http_status(failed.ingest.err), 503);
        for (unsigned second = 0; second < 100; second++) {
            cr_assert_eq(world_turn(&world, NS_PER_S), OK);
            cr_assert_eq(shard_admits(world.shard), ERR_READ_ONLY);
        }
        cr_assert_eq(visible_rows(), 3);
        cr_assert_eq(metric_get(&world.metrics, METRIC_READ_ONLY), 1);
        sim_forgive(sim);
        wait_until_it_goes_on();
        cr_assert_eq(metric_get(&world.metrics, METRIC_READ_ONLY), 0);
        cr_assert_eq(metric_get(&world.metrics, METRIC_JOURNAL_RESUMPTIONS), 1);
        sent(3, 3, 0);
        restart();
        const struct seen seen = see(0);
        cr_assert(seen.spans[1] == 3 && seen.spans[2] == 0 && seen.spans[3] == 3);
        world.metrics = (struct metrics){0};
        end();
    }
}

/* ---- a disk that does not answer ----------------------------------------------------------------------- */

Test(ingest, D17_a_write_that_hangs_is_noticed_and_refuses_what_comes_until_it_lands)
{
    struct sending stuck, refused, after;

    config.stall_ns_max = 10 * NS_PER_S;
    start();
    sent(1, 3, 0);
    sim_stall(sim, SIM_FAULT_WRITE, 1, 30 * NS_PER_S);
    send(&stuck, 2, 3, 0);
    for (unsigned second = 0; second < 8; second++)
        cr_assert_eq(world_turn(&world, NS_PER_S), OK);
    cr_assert_eq(shard_admits(world.shard), OK);
    for (unsigned second = 0; second < 4; second++)
        cr_assert_eq(world_turn(&world, NS_PER_S), OK);
    cr_assert_eq(shard_admits(world.shard), ERR_STALLED);
    cr_assert_eq(metric_get(&world.metrics, METRIC_JOURNAL_STALLED), 1);
    send(&refused, 3, 3, 0);
    cr_assert_eq(refused.done, 1);
    cr_assert_eq(refused.ingest.err, ERR_STALLED);
    cr_assert_eq(err_http_status(refused.ingest.err), 503);
    cr_assert_eq(visible_rows(), 3, "questions are answered meanwhile");
    shard_body_release(world.shard, &refused.body);
    for (unsigned second = 0; second < 20 && stuck.done == 0; second++)
        cr_assert_eq(world_turn(&world, NS_PER_S), OK);
    land(&stuck);
    cr_assert_eq(stuck.ingest.err, OK);
    cr_assert_eq(world_turn(&world, 0), OK);
    cr_assert_eq(metric_get(&world.metrics, METRIC_JOURNAL_STALLED), 0);
    cr_assert_eq(metric_get(&world.metrics, METRIC_JOURNAL_STALLS), 1);
    send(&after, 4, 3, 0);
    land(&after);
    cr_assert_eq(after.ingest.err, OK);
    cr_assert_eq(visible_rows(), 9);
    end();
}
