/* OTLP over gRPC over loopback, with a shard that journals to a real directory. */
#include "call.h"
#include "grpc_fixture.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"

/* One resource, one scope, one SERVER span (contract of OTLP, golden vectors). */
static const char golden_hex[] = "0a8d010a180a160a0c736572766963652e6e616d6512060a0473686f7012710a0a0a036c696"
                                 "21203312e3012630a105b8efff798038103d2"
                                 "69b633813fc60c1208eee19b7ec3c1b1742a05474554202f30023900002a36fe9c97174115c"
                                 "d853dfe9c97174a200a19687474702e726573"
                                 "706f6e73652e7374617475735f636f6465120318c8017a021801850101010000";
enum { GOLDEN_BYTES = sizeof golden_hex / 2, TRACE_ID_AT = 47 };

static struct fixture fixture;
static struct grpc_client client;
static uint8_t golden[GOLDEN_BYTES];

static void prepare(void)
{
    for (size_t i = 0; i < GOLDEN_BYTES; i++) {
        const char digits[3] = {golden_hex[2 * i], golden_hex[2 * i + 1], '\0'};
        golden[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    fixture_init(&fixture, NULL, 0);
    fixture.limits.body_bytes_max = 3 << 20;
    fixture.inflight_bytes_max = 64 << 20;
    fixture.with_shard = true;
}

static bool begin_prepared(void)
{
    if (!fixture_open(&fixture)) return false;
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    return true;
}

static bool begin(void)
{
    prepare();
    return begin_prepared();
}

static void end(void)
{
    grpc_close(&client);
    fixture_close(&fixture);
}

static uint64_t metric(enum metric_id id)
{
    return metric_get(&fixture.metrics, id);
}

static struct reply *call_with(uint32_t id, const char *const *fields, unsigned flag, const void *bytes,
                               size_t len)
{
    script_call(&client.script, id, EXPORT, fields);
    script_message(&client.script, id, flag, bytes, len, 16384);
    return grpc_wait(&client, id);
}

static struct reply *export(uint32_t id, const void *bytes, size_t len)
{
    return call_with(id, NULL, 0, bytes, len);
}

/* Head only, with this status and text; nothing was stored. */
static void expect_refused(const struct reply *reply, const char *code, const char *text)
{
    char line[64];

    snprintf(line, sizeof line, "\ngrpc-status: %s\n", code);
    cr_expect(says(reply, ":status: 200\ncontent-type: application/grpc\n"), "%s", reply->fields);
    cr_expect(says(reply, line), "not %s: %s", code, reply->fields);
    cr_expect(says(reply, text), "not '%s': %s", text, reply->fields);
    cr_expect_eq(reply->body_len, 0);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 0);
}

static void expect_stored(const struct reply *reply)
{
    cr_expect(says(reply, ":status: 200\ncontent-type: application/grpc\n"), "%s", reply->fields);
    cr_expect(says(reply, "\ngrpc-status: 0\n"), "%s", reply->fields);
    cr_expect(says(reply, "\nspanmill-position: 0-"), "%s", reply->fields);
    cr_expect_eq(reply->reset, -1);
}

/* ---- success -------------------------------------------------------------------------------------------- */

Test(grpc_server, answers_a_stored_request_with_an_empty_message_and_its_position)
{
    if (!begin()) return;
    const struct reply *const reply = export(1, golden, sizeof golden);
    expect_stored(reply);
    cr_assert_eq(reply->body_len, 5);
    cr_expect_arr_eq(reply->body, "\0\0\0\0\0", 5);
    cr_expect(says(reply, "\ngrpc-accept-encoding: identity,gzip,deflate,zstd,snappy\n"));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    cr_expect_eq(metric(METRIC_GRPC_CALLS), 1);
    cr_expect_eq(metric(METRIC_HTTP_REQUESTS), 0);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(grpc_server, takes_a_message_in_frames_of_one_byte)
{
    if (!begin()) return;
    script_call(&client.script, 1, EXPORT, NULL);
    script_message(&client.script, 1, 0, golden, sizeof golden, 1);
    expect_stored(grpc_wait(&client, 1));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    end();
}

Test(grpc_server, takes_a_message_of_megabytes)
{
    static uint8_t large[(900 << 10) / GOLDEN_BYTES * GOLDEN_BYTES];

    if (!begin()) return;
    for (size_t at = 0; at < sizeof large; at += sizeof golden)
        memcpy(large + at, golden, sizeof golden);
    expect_stored(export(1, large, sizeof large));
    expect_stored(export(3, large, sizeof large));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2 * sizeof large / sizeof golden);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(grpc_server, answers_many_calls_of_one_connection)
{
    if (!begin()) return;
    for (uint32_t i = 0; i < 100; i++) {
        script_call(&client.script, 2 * i + 1, EXPORT, NULL);
        script_message(&client.script, 2 * i + 1, 0, golden, sizeof golden, 16384);
    }
    for (uint32_t i = 0; i < 100; i++)
        expect_stored(grpc_wait(&client, 2 * i + 1));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 100);
    cr_expect_lt(metric(METRIC_JOURNAL_WRITES), 60, "calls that come together are journaled together");
    end();
}

static size_t compress_golden(uint8_t *out, size_t capacity, int window_bits)
{
    z_stream stream = {0};

    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = golden;
    stream.avail_in = sizeof golden;
    stream.next_out = out;
    stream.avail_out = (unsigned)capacity;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

/* The framed form, as gRPC's clients send it: one chunk of plain bytes. */
static size_t snappy_stream_of_golden(uint8_t *out)
{
    const uint32_t crc = crc32c(0, golden, sizeof golden), masked = (crc >> 15 | crc << 17) + 0xa282ead8U;
    const uint8_t head[] = {1, (uint8_t)(sizeof golden + 4), (uint8_t)((sizeof golden + 4) >> 8), 0};

    memcpy(out, "\xff\x06\x00\x00sNaPpY", 10);
    memcpy(out + 10, head, 4);
    memcpy(out + 14, &masked, 4);
    memcpy(out + 18, golden, sizeof golden);
    return 18 + sizeof golden;
}

Test(grpc_server, takes_gzip_deflate_zstd_and_snappy_and_plain_messages_among_them)
{
    static const char *const gzip[] = {"grpc-encoding", "gzip", NULL};
    static const char *const zlib[] = {"grpc-encoding", "deflate", NULL};
    static const char *const zstd[] = {"grpc-encoding", "zstd", NULL};
    static const char *const snappy[] = {"grpc-encoding", "snappy", NULL};
    static const char *const identity[] = {"grpc-encoding", "identity", NULL};
    uint8_t bytes[1024];

    if (!begin()) return;
    expect_stored(call_with(1, gzip, 1, bytes, compress_golden(bytes, sizeof bytes, 15 + 16)));
    expect_stored(call_with(3, zlib, 1, bytes, compress_golden(bytes, sizeof bytes, 15)));
    expect_stored(call_with(5, gzip, 0, golden, sizeof golden));
    expect_stored(call_with(7, identity, 0, golden, sizeof golden));
    expect_stored(call_with(9, zstd, 1, bytes, ZSTD_compress(bytes, sizeof bytes, golden, sizeof golden, 1)));
    expect_stored(call_with(11, snappy, 1, bytes, snappy_stream_of_golden(bytes)));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 6);
    end();
}

Test(grpc_server, B3_invalid_spans_are_a_partial_success)
{
    if (!begin()) return;
    golden[TRACE_ID_AT - 1] = 15; /* the id's length; what follows is no longer the span it was */
    memset(golden + TRACE_ID_AT, 0, 16);
    golden[TRACE_ID_AT - 1] = 16; /* all zero */
    const struct reply *const reply = export(1, golden, sizeof golden);
    cr_expect(says(reply, "\ngrpc-status: 0\n"), "%s", reply->fields);
    cr_expect_not(says(reply, "spanmill-position"));
    cr_assert_gt(reply->body_len, 9);
    cr_expect_eq(reply->body[4], reply->body_len - 5);
    cr_expect_eq(reply->body[5], 0x0a, "partial_success");
    cr_expect_arr_eq(reply->body + 7, "\x08\x01\x12", 3, "one rejected, with a message");
    end();
}

/* ---- what is refused ------------------------------------------------------------------------------------ */

/* A request of these fields, the first of which may replace those of block_request(). */
static struct reply *odd_head(uint32_t id, const char *method, const char *content_type)
{
    uint8_t block[512];
    size_t len = block_field(block, 0, ":method", method);

    len = block_field(block, len, ":scheme", "http");
    len = block_field(block, len, ":path", EXPORT);
    len = block_field(block, len, ":authority", "x");
    if (content_type != NULL) len = block_field(block, len, "content-type", content_type);
    script_frame(&client.script, FRAME_HEADERS, END_HEADERS | END_STREAM, id, block, len);
    return grpc_wait(&client, id);
}

Test(grpc_server, G1_what_is_no_call_is_told_in_http)
{
    if (!begin()) return;
    cr_expect(says(odd_head(1, "GET", "application/grpc"), ":status: 405\n"));
    cr_expect(says(odd_head(3, "POST", "application/x-protobuf"), ":status: 415\n"));
    cr_expect(says(odd_head(5, "POST", NULL), ":status: 415\n"));
    cr_expect(says(odd_head(7, "POST", "application/grpc+json"), ":status: 415\n"));
    cr_expect(says(odd_head(9, "POST", "application/grpc+proto"), ":status: 200\n"));
    cr_expect_eq(metric(METRIC_REQUESTS_MALFORMED), 5);
    end();
}

Test(grpc_server, G3_unknown_methods_are_unimplemented)
{
    static const char *const paths[] = {"/opentelemetry.proto.collector.trace.v1.TraceService/Import",
                                        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                                        "/grpc.health.v1.Health/Watch",
                                        "/",
                                        "/v1/traces",
                                        EXPORT "/"};

    if (!begin()) return;
    for (uint32_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        script_call(&client.script, 2 * i + 1, paths[i], NULL);
        expect_refused(grpc_wait(&client, 2 * i + 1), "12", "no such service or method");
    }
    end();
}

Test(grpc_server, G4_judges_flag_and_encoding)
{
    static const char *const zstd[] = {"grpc-encoding", "br", NULL};
    static const char *const twice[] = {"grpc-encoding", "gzip", "grpc-encoding", "gzip", NULL};
    static const char *const gzip[] = {"grpc-encoding", "gzip", NULL};

    if (!begin()) return;
    expect_refused(call_with(1, NULL, 1, golden, sizeof golden), "13", "without grpc-encoding");
    const struct reply *const unknown = call_with(3, zstd, 1, golden, sizeof golden);
    expect_refused(unknown, "12", "grpc-encoding: not supported");
    cr_expect(says(unknown, "\ngrpc-accept-encoding: identity,gzip,deflate,zstd,snappy\n"));
    expect_refused(call_with(5, twice, 1, golden, sizeof golden), "12", "once");
    expect_refused(call_with(7, NULL, 2, golden, sizeof golden), "13", "compressed flag");
    expect_refused(call_with(9, gzip, 1, golden, sizeof golden), "3", "gzip");
    expect_refused(call_with(11, gzip, 1, NULL, 0), "3", "ends at byte 0");
    end();
}

Test(grpc_server, G5_judges_the_message)
{
    if (!begin()) return;
    const struct reply *const empty = export(1, NULL, 0);
    cr_expect(says(empty, "\ngrpc-status: 0\n"));
    cr_expect_not(says(empty, "spanmill-position"));

    script_call(&client.script, 3, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, END_STREAM, 3, NULL, 0);
    expect_refused(grpc_wait(&client, 3), "13", "no message");

    script_call(&client.script, 5, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, END_STREAM, 5, "\0\0\0\0\5abc", 8);
    expect_refused(grpc_wait(&client, 5), "13", "ends before the message");

    script_call(&client.script, 7, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 7, "\0\0\0\0\0\0\0\0\0\0", 10);
    expect_refused(grpc_wait(&client, 7), "13", "bytes behind the message");

    script_call(&client.script, 9, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 9, "\0\xff\xff\xff\xff", 5);
    const struct reply *const large = grpc_wait(&client, 9);
    expect_refused(large, "8", "larger than the limit");
    cr_expect_not(says(large, "-bin"), "not to be sent again");
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);

    script_call(&client.script, 11, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 11, "\0\0\x30\0\1", 5);
    expect_refused(grpc_wait(&client, 11), "8", "larger than the limit");
    end();
}

Test(grpc_server, B7_says_what_is_malformed_and_at_which_byte)
{
    if (!begin()) return;
    const struct reply *const reply = export(1, golden, sizeof golden - 1);
    expect_refused(reply, "3", " at byte 0 of the body");
    cr_expect_not(says(reply, "-bin"));
    cr_expect_eq(metric(METRIC_REQUESTS_MALFORMED), 1);
    end();
}

Test(grpc_server, B7_all_calls_of_a_connection_may_be_refused_at_once)
{
    if (!begin()) return;
    for (uint32_t i = 0; i < HTTP2_STREAMS_MAX; i++) {
        script_call(&client.script, 2 * i + 1, EXPORT, NULL);
        script_message(&client.script, 2 * i + 1, 0, golden, sizeof golden - 1, 16384);
    }
    for (uint32_t i = 0; i < HTTP2_STREAMS_MAX; i++)
        expect_refused(grpc_wait(&client, 2 * i + 1), "3", " at byte 0 of the body");
    cr_expect_eq(client.goaway, -1);
    end();
}

Test(grpc_server, G6_a_message_that_is_given_up_leaves_nothing)
{
    if (!begin()) return;
    script_call(&client.script, 1, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, "\0\0\1\0\0abc", 8);
    grpc_send(&client);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) > 0));
    script_number_frame(&client.script, FRAME_RST_STREAM, 1, CODE_CANCEL);
    grpc_send(&client);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    expect_stored(export(3, golden, sizeof golden));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    end();
}

Test(grpc_server, G7_keeps_to_the_timeout_of_the_call)
{
    static const char *const malformed[] = {"grpc-timeout", "soon", NULL};
    static const char *const fair[] = {"grpc-timeout", "99999999H", NULL};
    static const char *const brief[] = {"grpc-timeout", "100m", NULL};

    if (!begin()) return;
    expect_refused(call_with(1, malformed, 0, golden, sizeof golden), "13", "grpc-timeout");
    script_call(&client.script, 3, EXPORT, brief); /* and no message */
    expect_refused(grpc_wait(&client, 3), "4", "did not come in time");
    expect_stored(call_with(5, fair, 0, golden, sizeof golden));
    end();
}

Test(grpc_server, G8_foreign_fields_are_ignored_and_too_many_are_not)
{
    static const char *const foreign[] = {"grpc-trace-bin", "?!",   "x-bin", "=",        "grpc-future", "1",
                                          "user-agent",     "test", "te",    "trailers", NULL};
    static const char *many[2 * 65 + 1];

    if (!begin()) return;
    expect_stored(call_with(1, foreign, 0, golden, sizeof golden));
    for (size_t i = 0; i < 65; i++) {
        many[2 * i] = "key";
        many[2 * i + 1] = "value";
    }
    const struct reply *reply = call_with(3, many, 0, golden, sizeof golden);
    cr_expect(says(reply, ":status: 431\n"), "%s", reply->fields);
    expect_stored(export(5, golden, sizeof golden));
    script_call(&client.script, 7, EXPORT, many);
    grpc_wait_closed(&client);
    cr_expect_eq(client.goaway, CODE_CALM);
    cr_expect_eq(metric(METRIC_HTTP2_CALMED), 1);
    end();
}

/* ---- health --------------------------------------------------------------------------------------------- */

static struct reply *check_health(uint32_t id, const void *message, size_t len)
{
    script_call(&client.script, id, CHECK_HEALTH, NULL);
    script_message(&client.script, id, 0, message, len, 16384);
    return grpc_wait(&client, id);
}

Test(grpc_server, tells_its_health)
{
    static const char service[] = "\x0a\x33opentelemetry.proto.collector.trace.v1.TraceService";
    static uint8_t large[CALL_MESSAGE_SMALL + 1];

    if (!begin()) return;
    const struct reply *const reply = check_health(1, NULL, 0);
    cr_expect(says(reply, "\ngrpc-status: 0\n"));
    cr_assert_eq(reply->body_len, 7);
    cr_expect_arr_eq(reply->body, "\0\0\0\0\2\x08\x01", 7);
    cr_expect_eq(check_health(3, service, sizeof service - 1)->body_len, 7);
    cr_expect(says(check_health(5,
                                "\x0a\x03"
                                "foo",
                                5),
                   "\ngrpc-status: 5\n"));
    cr_expect(says(check_health(7,
                                "\x0a\x03"
                                "fo",
                                4),
                   "\ngrpc-status: 3\n"));
    cr_expect(says(check_health(9, large, sizeof large), "\ngrpc-status: 8\n"));
    end();
}

/* ---- too much ------------------------------------------------------------------------------------------- */

/* The words of google.rpc.Status in base64, with the code and a RetryInfo. */
static void expect_retry(const struct reply *reply)
{
    const char *const details = strstr(reply->fields, "\ngrpc-status-details-bin: CA4"); /* code = 14 */
    const char *const python = strstr(reply->fields, "\ngoogle.rpc.retryinfo-bin: CgII");

    cr_expect_not_null(details, "%s", reply->fields);
    cr_expect_not_null(python, "%s", reply->fields);
}

Test(grpc_server, no_memory_is_unavailable_for_a_while)
{
    prepare();
    fixture.inflight_bytes_max = 1 << 20;
    if (!begin_prepared()) return;
    for (uint32_t i = 0; i < 20; i++) { /* each is given 64 KiB */
        script_call(&client.script, 2 * i + 1, EXPORT, NULL);
        script_frame(&client.script, FRAME_DATA, 0, 2 * i + 1, "\0\0\2\0\0x", 6);
    }
    const struct reply *const reply = grpc_wait(&client, 39);
    expect_refused(reply, "14", "no memory for the message");
    expect_retry(reply);
    while (reply_of(&client, 39)->reset < 0)
        cr_assert(grpc_receive(&client));
    cr_expect_eq(reply_of(&client, 39)->reset, CODE_NO_ERROR);
    cr_expect_leq(metric(METRIC_INFLIGHT_BYTES), 1 << 20);
    end();
}

Test(grpc_server, P15_messages_on_their_way_of_one_connection_are_bounded)
{
    static uint8_t half[4096];

    prepare();
    fixture.limits.body_bytes_max = 256 << 10;
    if (!begin_prepared()) return;
    for (uint32_t i = 0; i < 64; i++) {
        script_call(&client.script, 2 * i + 1, EXPORT, NULL);
        script_frame(&client.script, FRAME_DATA, 0, 2 * i + 1, "\0\0\1\0\0", 5);
        script_frame(&client.script, FRAME_DATA, 0, 2 * i + 1, half, sizeof half);
    }
    const struct reply *const reply = grpc_wait(&client, 127);
    expect_refused(reply, "14", "no memory for the message");
    cr_expect_leq(metric(METRIC_INFLIGHT_BYTES), 3 * (256 << 10));
    cr_expect_not(reply_of(&client, 1)->ended, "what came first keeps its place");
    end();
}

Test(grpc_server, P3_rapid_resets_end_the_connection)
{
    if (!begin()) return;
    for (uint32_t i = 0; i < 2000; i++) {
        script_call(&client.script, 2 * i + 1, EXPORT, NULL);
        script_number_frame(&client.script, FRAME_RST_STREAM, 2 * i + 1, CODE_CANCEL);
    }
    grpc_wait_closed(&client);
    cr_expect_eq(client.goaway, CODE_CALM);
    cr_expect_eq(metric(METRIC_HTTP2_CALMED), 1);
    cr_expect(wait_until(atomic_load(&fixture.conns) == 0));
    grpc_close(&client);
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    expect_stored(export(1, golden, sizeof golden));
    end();
}

Test(grpc_server, P18_a_connection_that_dies_with_calls_in_the_journal)
{
    if (!begin()) return;
    for (unsigned round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 64; i++) {
            script_call(&client.script, 2 * i + 1, EXPORT, NULL);
            script_message(&client.script, 2 * i + 1, 0, golden, sizeof golden, 16384);
            if (i % 4 == 0) script_number_frame(&client.script, FRAME_RST_STREAM, 2 * i + 1, CODE_CANCEL);
        }
        grpc_send(&client);
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (round % 2 == 0) setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        grpc_close(&client);
        grpc_open(&client, fixture.port[ROLE_GRPC]);
    }
    /* as long as the slots of calls are taken by dead ones, live ones are refused */
    cr_expect(wait_until(metric(METRIC_CONNS_ACCEPTED) == 11 && atomic_load(&fixture.conns) == 1));
    cr_expect(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    expect_stored(export(1, golden, sizeof golden));
    end();
}

/* ---- slow ----------------------------------------------------------------------------------------------- */

Test(grpc_server, T1_S1_a_connection_that_says_nothing_or_never_ends_a_head_is_closed)
{
    uint8_t block[512];

    prepare();
    fixture.limits.head_ns_max = 300000000;
    if (!begin_prepared()) return;
    client.script.len = 10; /* of the preface */
    grpc_wait_closed(&client);
    grpc_close(&client);

    grpc_open(&client, fixture.port[ROLE_GRPC]);
    script_frame(&client.script, FRAME_HEADERS, 0, 1, block, block_request(block, EXPORT));
    grpc_wait_closed(&client);
    cr_expect_eq(metric(METRIC_CONNS_TIMED_OUT), 2);
    end();
}

Test(grpc_server, S2_a_slow_message_is_answered_so_that_it_comes_again)
{
    prepare();
    fixture.limits.body_grace_ns = 300000000;
    if (!begin_prepared()) return;
    script_call(&client.script, 1, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, "\0\0\1\0\0abc", 8);
    expect_refused(grpc_wait(&client, 1), "4", "did not come in time");
    cr_expect(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    expect_stored(export(3, golden, sizeof golden));
    end();
}

Test(grpc_server, S3_slow_messages_on_many_streams_are_each_answered_and_hold_little)
{
    enum { STREAMS = 64 };

    prepare();
    fixture.limits.body_grace_ns = 300000000;
    if (!begin_prepared()) return;
    for (uint32_t id = 1; id < 2 * STREAMS; id += 2) {
        script_call(&client.script, id, EXPORT, NULL);
        script_frame(&client.script, FRAME_DATA, 0, id, "\0\0\1\0\0abc", 8);
    }
    for (uint32_t id = 1; id < 2 * STREAMS; id += 2)
        expect_refused(grpc_wait(&client, id), "4", "did not come in time");
    cr_expect(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    expect_stored(export(2 * STREAMS + 1, golden, sizeof golden));
    end();
}

Test(grpc_server, S5_a_client_that_takes_no_answer_is_reset)
{
    prepare();
    fixture.limits.stall_ns_max = 300000000;
    if (!begin_prepared()) return;
    script_frame(&client.script, FRAME_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6); /* windows of 0 */
    script_call(&client.script, 1, EXPORT, NULL);
    script_message(&client.script, 1, 0, golden, sizeof golden, 16384);
    grpc_wait_closed(&client);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    cr_expect_eq(metric(METRIC_CONNS_TIMED_OUT), 1);
    end();
}

Test(grpc_server, an_idle_connection_is_ended_in_order)
{
    prepare();
    fixture.limits.idle_ns_max = 300000000;
    if (!begin_prepared()) return;
    expect_stored(export(1, golden, sizeof golden));
    grpc_wait_closed(&client);
    cr_expect_eq(client.goaway, CODE_NO_ERROR);
    cr_expect_eq(client.goaway_last_id, 1);
    cr_expect_eq(metric(METRIC_CONNS_TIMED_OUT), 0);
    end();
}

Test(grpc_server, a_connection_ends_in_order_after_its_share_of_requests)
{
    prepare();
    fixture.limits.requests_per_conn_max = 3;
    if (!begin_prepared()) return;
    for (uint32_t i = 0; i < 3; i++)
        expect_stored(export(2 * i + 1, golden, sizeof golden));
    grpc_wait_closed(&client);
    cr_expect_eq(client.goaway, CODE_NO_ERROR);
    cr_expect_eq(client.goaway_last_id, 5);
    end();
}

/* ---- stopping ------------------------------------------------------------------------------------------- */

static void drain(void)
{
    atomic_store(&fixture.draining, true);
}

Test(grpc_server, U1_finishes_what_is_in_work_and_refuses_what_is_on_its_way_when_the_server_stops)
{
    if (!begin()) return;
    script_call(&client.script, 1, EXPORT, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, "\0\0\1\0\0abc", 8);
    grpc_send(&client);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) > 0));
    drain();
    while (client.goaway < 0) /* the first step; a call that was on the way is served */
        cr_assert(grpc_receive(&client));
    cr_expect_eq(client.goaway_last_id, INT32_MAX);
    const struct reply *const reply = grpc_wait(&client, 1);
    expect_refused(reply, "14", "shutting down");
    expect_retry(reply);
    grpc_wait_closed(&client);
    cr_expect_eq(client.goaway_last_id, 1);
    cr_expect(wait_until(atomic_load(&fixture.drained)));
    end();
}

Test(grpc_server, U1_does_not_wait_long_for_a_client_that_does_not_answer_pings)
{
    if (!begin()) return;
    client.answers_pings = false;
    expect_stored(export(1, golden, sizeof golden));
    drain();
    const uint64_t begin_ms = milliseconds_now();
    grpc_wait_closed(&client);
    cr_expect_lt(milliseconds_now() - begin_ms, 2000);
    cr_expect_eq(client.goaway, CODE_NO_ERROR);
    cr_expect(wait_until(atomic_load(&fixture.drained)));
    end();
}

Test(grpc_server, a_client_of_http_1_is_closed)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_GRPC]);
    client_send(fd, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    cr_expect(client_sees_end(fd));
    close(fd);
    expect_stored(export(1, golden, sizeof golden));
    end();
}
