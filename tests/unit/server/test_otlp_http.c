/* The OTLP endpoint over loopback, with a shard that journals to a real directory. */
#include "server_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>
#include <snappy-c.h>
#include <zstd.h>

/* One resource, one scope, one SERVER span (contract of OTLP, golden vectors). Concatenated requests merge into one. */
static const char golden_hex[] = "0a8d010a180a160a0c736572766963652e6e616d6512060a0473686f7012710a0a0a036c696"
                                 "21203312e3012630a105b8efff798038103d2"
                                 "69b633813fc60c1208eee19b7ec3c1b1742a05474554202f30023900002a36fe9c97174115c"
                                 "d853dfe9c97174a200a19687474702e726573"
                                 "706f6e73652e7374617475735f636f6465120318c8017a021801850101010000";
enum { GOLDEN_BYTES = sizeof golden_hex / 2, TRACE_ID_AT = 47 };

static struct fixture fixture;
static struct answer_text answer;
static uint8_t body[6 << 20];

static size_t golden(unsigned times)
{
    for (size_t i = 0; i < GOLDEN_BYTES; i++) {
        const char digits[3] = {golden_hex[2 * i], golden_hex[2 * i + 1], '\0'};
        body[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    for (unsigned i = 1; i < times; i++)
        memcpy(body + (size_t)i * GOLDEN_BYTES, body, GOLDEN_BYTES);
    return (size_t)times * GOLDEN_BYTES;
}

static bool begin_with(uint64_t inflight_bytes_max)
{
    fixture_init(&fixture, NULL, 0);
    fixture.limits.body_bytes_max = 3 << 20;
    fixture.inflight_bytes_max = inflight_bytes_max;
    fixture.with_shard = true;
    return fixture_open(&fixture);
}

static bool begin(void)
{
    return begin_with(64 << 20);
}

#define POST     "POST /v1/traces HTTP/1.1\r\nHost: x\r\n"
#define PROTOBUF "Content-Type: application/x-protobuf\r\n"

/* Sends head lines, Content-Length and len bytes of `bytes`. */
static int post_bytes(int fd, const char *head, const void *bytes, size_t len)
{
    char text[1024];

    snprintf(text, sizeof text, "%sContent-Length: %zu\r\n\r\n", head, len);
    client_send(fd, text);
    client_send_bytes(fd, bytes, len);
    return client_receive(fd, &answer, false);
}

static int post(int fd, size_t len)
{
    return post_bytes(fd, POST PROTOBUF, body, len);
}

static bool has_header(const char *line)
{
    return strcasestr(answer.head, line) != NULL;
}

/* google.rpc.Status with the code; what it says contains text. */
static void expect_status(uint8_t code, const char *text)
{
    cr_expect(has_header("\r\nContent-Type: application/x-protobuf\r\n"));
    cr_expect_gt(answer.body_len, 4);
    cr_expect_leq(answer.body_len, 1024);
    cr_expect_eq(answer.body[0], 0x08);
    cr_expect_eq((uint8_t)answer.body[1], code);
    cr_expect_not_null(memmem(answer.body, answer.body_len, text, strlen(text)), "'%s' does not say '%s'",
                       answer.body + 4, text);
}

static uint64_t metric(enum metric_id id)
{
    return metric_get(&fixture.metrics, id);
}

/* ---- success -------------------------------------------------------------------------------------------- */

Test(otlp_http, answers_a_stored_request_with_nothing_but_its_position)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    cr_assert_eq(post(fd, golden(1)), 200);
    cr_expect_eq(answer.body_len, 0);
    cr_expect(has_header("\r\nContent-Type: application/x-protobuf\r\n"));
    cr_expect(has_header("\r\nspanmill-position: 0-"));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    cr_expect_eq(metric(METRIC_REQUESTS_STORED), 1);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, B1_an_empty_body_is_an_empty_request)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    cr_assert_eq(post(fd, 0), 200);
    cr_expect_not(has_header("spanmill-position"));
    client_send(fd, POST PROTOBUF "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    client_send(fd, POST PROTOBUF "\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_expect_eq(metric(METRIC_JOURNAL_WRITES), 1, "the start's own");
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, bodies_of_every_size_arrive_whole)
{
    static const unsigned times[] = {1, 7, 100, 113, 114, 455, 1000, 2000, 8000, 20000};
    uint64_t spans = 0;

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        cr_assert_eq(post(fd, golden(times[i])), 200, "%u", times[i]);
        spans += times[i];
        cr_assert_eq(metric(METRIC_SPANS_STORED), spans, "%u", times[i]);
    }
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, a_body_that_comes_in_small_pieces_grows_as_it_comes)
{
    if (!begin()) return;
    const size_t len = golden(3000);
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    char text[256];

    snprintf(text, sizeof text, POST PROTOBUF "Content-Length: %zu\r\n\r\n", len);
    client_send(fd, text);
    for (size_t at = 0; at < len;) {
        const size_t piece = len - at < 9973 ? len - at : 9973;
        client_send_bytes(fd, body + at, piece);
        at += piece;
        usleep(200);
    }
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 3000);
    close(fd);
    fixture_close(&fixture);
}

static void send_chunked(int fd, const char *head, size_t len, size_t chunk)
{
    char text[64];

    client_send(fd, head);
    client_send(fd, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < len; at += chunk) {
        const size_t piece = len - at < chunk ? len - at : chunk;
        snprintf(text, sizeof text, "%zx\r\n", piece);
        client_send(fd, text);
        client_send_bytes(fd, body + at, piece);
        client_send(fd, "\r\n");
    }
    client_send(fd, "0\r\n\r\n");
}

Test(otlp_http, H9_chunked_bodies_of_any_chunk_size)
{
    static const size_t chunks[] = {1, 10, 4096, 70000, 1 << 20};
    uint64_t spans = 0;

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        const unsigned times = chunks[i] < 100 ? 20 : 5000;
        send_chunked(fd, POST PROTOBUF, golden(times), chunks[i]);
        cr_assert_eq(client_receive(fd, &answer, false), 200, "%zu", chunks[i]);
        spans += times;
    }
    cr_expect_eq(metric(METRIC_SPANS_STORED), spans);
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, T16_answers_a_client_that_has_closed_its_side)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    char text[256];
    const size_t len = golden(2000);

    snprintf(text, sizeof text, POST PROTOBUF "Content-Length: %zu\r\n\r\n", len);
    client_send(fd, text);
    client_send_bytes(fd, body, len);
    shutdown(fd, SHUT_WR);
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_assert(client_sees_end(fd));
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, B3_invalid_spans_are_a_partial_success)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    const size_t len = golden(3);

    cr_assert_eq(body[TRACE_ID_AT], 0x5b, "the first byte of the trace id");
    memset(body + GOLDEN_BYTES + TRACE_ID_AT, 0, 16); /* the second of three */
    cr_assert_eq(post(fd, len), 200);
    cr_assert_gt(answer.body_len, 4);
    cr_expect_eq(answer.body[0], 0x0a, "partial_success");
    cr_expect_eq(answer.body[2], 0x08, "rejected_spans");
    cr_expect_eq(answer.body[3], 1);
    cr_expect_not_null(memmem(answer.body, answer.body_len, "at byte ", 8));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2);
    cr_expect_eq(metric(METRIC_SPANS_REJECTED), 1);
    close(fd);
    fixture_close(&fixture);
}

/* ---- refused for what they are -------------------------------------------------------------------------- */

Test(otlp_http, judges_the_media_type)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"Content-Type: application/x-protobuf; charset=utf-8\r\n", 200},
        {"Content-Type: APPLICATION/X-Protobuf\r\n", 200},
        {"Content-Type: text/plain\r\n", 415},
        {"Content-Type: application/jsons\r\n", 415},
        {"Content-Type: application/json; charset=utf-16\r\n", 415},
        {"Content-Type: application/json;charset=\"iso-8859-1\"\r\n", 415},
        {"Content-Type: application/json; charset=utf-80\r\n", 415},
        {"Content-Type: application/json\r\n", 400}, /* the body is protobuf */
        {"Content-Type: Application/JSON; x=y; Charset=UTF-8\r\n", 400},
        {"Content-Type: application/json;charset=\"utf-8\"; x=y\r\n", 400},
        {"Content-Type: application/x-protobufs\r\n", 415},
        {"", 415},
    };
    char head[256];

    if (!begin()) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int fd = client_open(fixture.port[ROLE_OTLP]);
        snprintf(head, sizeof head, POST "%s", rows[i].line);
        cr_expect_eq(post_bytes(fd, head, body, golden(1)), rows[i].status, "%s", rows[i].line);
        if (rows[i].status == 415) cr_expect(has_header("Content-Type: text/plain\r\n"));
        close(fd);
    }
    cr_expect_eq(metric(METRIC_REQUESTS_MALFORMED), 10);
    fixture_close(&fixture);
}

/* ---- JSON ----------------------------------------------------------------------------------------------- */

#define JSON      "Content-Type: application/json\r\n"
#define JSON_HEAD "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
#define JSON_TAIL "]}]}]}"
#define JSON_SPAN                                                                                            \
    "{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"name\":\"a\"}"
#define JSON_NO_SPAN "{\"traceId\":\"5b\",\"spanId\":\"eee19b7ec3c1b174\"}"

static int post_json(int fd, const char *encoding, const void *bytes, size_t len)
{
    char head[256];

    snprintf(head, sizeof head, POST JSON "%s", encoding);
    const int status = post_bytes(fd, head, bytes, len);
    cr_expect(has_header("\r\nContent-Type: application/json\r\n"));
    answer.body[answer.body_len] = '\0';
    return status;
}

static void json_answers(int fd, const char *json, int status, const char *expected)
{
    cr_expect_eq(post_json(fd, "", json, strlen(json)), status, "%s", json);
    cr_expect_str_eq((const char *)answer.body, expected, "%s", json);
}

Test(otlp_http, json_requests_get_json_answers)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    json_answers(fd, JSON_HEAD JSON_SPAN "," JSON_SPAN JSON_TAIL, 200, "{}");
    cr_expect(has_header("\r\nspanmill-position: 0-"));
    json_answers(fd, "{}", 200, "{}");
    cr_expect_not(has_header("spanmill-position"));
    json_answers(fd, JSON_HEAD JSON_SPAN "," JSON_NO_SPAN "," JSON_NO_SPAN JSON_TAIL, 200,
                 "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"Span.trace_id: must have "
                 "16 bytes at byte "
                 "129 of the body (the first of 2 rejected spans)\"}}");
    cr_expect_eq(sizeof(JSON_HEAD JSON_SPAN ",") - 1, 129);
    json_answers(fd, "{\"resourceSpans\":[}", 400,
                 "{\"code\":3,\"message\":\"JSON: no value where one is due at byte 18 of the body\"}");
    close(fd);
    const int second = client_open(fixture.port[ROLE_OTLP]);
    json_answers(
        second, JSON_HEAD "{\"kind\":{}}" JSON_TAIL, 400,
        "{\"code\":3,\"message\":\"Span.kind: neither an integer nor a known name at byte 51 of the body\"}");
    close(second);
    const int third = client_open(fixture.port[ROLE_OTLP]);
    json_answers(third, "", 400, "{\"code\":3,\"message\":\"JSON: ends too early at byte 0 of the body\"}");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 3);
    cr_expect_eq(metric(METRIC_SPANS_REJECTED), 2);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    close(third);
    fixture_close(&fixture);
}

Test(otlp_http, the_next_request_of_a_connection_may_be_in_another_encoding)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    json_answers(fd, JSON_HEAD JSON_SPAN JSON_TAIL, 200, "{}");
    cr_assert_eq(post(fd, golden(1)), 200);
    cr_expect(has_header("\r\nContent-Type: application/x-protobuf\r\n"));
    cr_expect_eq(answer.body_len, 0);
    json_answers(fd, JSON_HEAD JSON_SPAN JSON_TAIL, 200, "{}");
    client_send(fd, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 400);
    expect_status(3, "");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 3);
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, compressed_json_is_told_with_its_byte_once_inflated)
{
    static const char bad[] = JSON_HEAD JSON_SPAN JSON_TAIL "!";
    uint8_t packed[1024];

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    size_t len = ZSTD_compress(packed, sizeof packed, bad, sizeof bad - 2, 1);
    cr_expect_eq(post_json(fd, "Content-Encoding: zstd\r\n", packed, len), 200);
    len = ZSTD_compress(packed, sizeof packed, bad, sizeof bad - 1, 1);
    cr_expect_eq(post_json(fd, "Content-Encoding: zstd\r\n", packed, len), 400);
    cr_expect_str_eq(
        (const char *)answer.body,
        "{\"code\":3,\"message\":\"JSON: bytes after the end at byte 134 of the inflated body\"}");
    cr_expect_eq(sizeof bad - 2, 134);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    close(fd);
    fixture_close(&fixture);
}

/* ---- encodings ------------------------------------------------------------------------------------------ */

/* The format: 15 + 16 is gzip, 15 is zlib (zlib.h). */
static size_t compress_golden(unsigned times, int window_bits, uint8_t *out, size_t capacity)
{
    z_stream stream = {0};

    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.avail_in = (unsigned)golden(times);
    stream.next_in = body;
    stream.next_out = out;
    stream.avail_out = (unsigned)capacity;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return capacity - stream.avail_out;
}

Test(otlp_http, E8_judges_the_content_encoding)
{
    static uint8_t gzip[4096], zlib[4096], zstd[4096], snappy[4096];
    static const struct {
        const char *lines;
        int format; /* 0 plain, 1 gzip, 2 zlib, 3 zstd, 4 snappy */
        int status;
    } rows[] = {
        {"", 0, 200},
        {"Content-Encoding:\r\n", 0, 200},
        {"Content-Encoding: identity\r\n", 0, 200},
        {"Content-Encoding: gzip\r\n", 1, 200},
        {"Content-Encoding: GZip\r\n", 1, 200},
        {"Content-Encoding: deflate\r\n", 2, 200},
        {"Content-Encoding: zlib\r\n", 2, 200},
        {"Content-Encoding: zstd\r\n", 3, 200},
        {"Content-Encoding: Zstd\r\n", 3, 200},
        {"Content-Encoding: snappy\r\n", 4, 200},
        {"Content-Encoding: x-snappy-framed\r\n", 4, 200},
        {"Content-Encoding: snappy\r\n", 1, 400},   /* E9 */
        {"Content-Encoding: gzip\r\n", 0, 400},     /* E9 */
        {"Content-Encoding: zstd\r\n", 1, 400},     /* E9 */
        {"Content-Encoding: identity\r\n", 1, 400}, /* E9 */
        {"Content-Encoding: gzip, gzip\r\n", 1, 400},
        {"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", 1, 400},
        {"Content-Encoding: br\r\n", 0, 400},
        {"Content-Encoding: x\r\n", 0, 400},
    };
    const size_t gzip_len = compress_golden(10, 31, gzip, sizeof gzip);
    const size_t zlib_len = compress_golden(10, 15, zlib, sizeof zlib);
    const size_t zstd_len = ZSTD_compress(zstd, sizeof zstd, body, golden(10), 1);
    size_t snappy_len = sizeof snappy;
    cr_assert_eq(snappy_compress((char *)body, golden(10), (char *)snappy, &snappy_len), SNAPPY_OK);
    const void *const bodies[] = {body, gzip, zlib, zstd, snappy};
    const size_t lens[] = {golden(1), gzip_len, zlib_len, zstd_len, snappy_len};
    char head[256];

    if (!begin()) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int fd = client_open(fixture.port[ROLE_OTLP]);
        const void *const bytes = bodies[rows[i].format];
        const size_t len = lens[rows[i].format];
        snprintf(head, sizeof head, POST PROTOBUF "%s", rows[i].lines);
        cr_expect_eq(post_bytes(fd, head, bytes, len), rows[i].status, "%zu %s", i, rows[i].lines);
        if (rows[i].status == 400) expect_status(3, "");
        close(fd);
    }
    cr_expect_eq(metric(METRIC_SPANS_STORED), 3 + 8 * 10);
    fixture_close(&fixture);
}

Test(otlp_http, E12_no_byte_of_a_compressed_body_is_malformed)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    cr_assert_eq(post_bytes(fd, POST PROTOBUF "Content-Encoding: gzip\r\n", "", 0), 400);
    expect_status(3, "byte 0");
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, B7_says_what_is_malformed_and_at_which_byte_and_stores_nothing)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    const size_t len = golden(2);

    cr_assert_eq(post(fd, len - 1), 400);
    expect_status(3, " at byte ");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 0);
    cr_expect_eq(metric(METRIC_LIVE_SPANS), 0);
    cr_assert_eq(post(fd, len), 200, "the connection goes on, for its framing was clean");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2);
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, tells_other_paths_and_methods_what_they_are)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]), other = client_open(fixture.port[ROLE_OTLP]);
    client_send(fd, "GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 405);
    cr_expect(has_header("\r\nAllow: POST\r\n"));
    cr_expect(has_header("\r\nContent-Type: text/plain\r\n"));
    cr_expect_str_eq(answer.body, "405 method not allowed, supported: [POST]");
    cr_assert_eq(post_bytes(other, "POST /v1/metrics HTTP/1.1\r\nHost: x\r\n" PROTOBUF, body, golden(1)),
                 404);
    close(fd);
    close(other);
    fixture_close(&fixture);
}

/* ---- limits --------------------------------------------------------------------------------------------- */

/* Appends an unknown field that makes the body that long. */
static void fill(size_t len, size_t wanted)
{
    enum { HEAD = 5 }; /* its tag, and four bytes that say how long it is */
    const size_t rest = wanted - len - HEAD;

    cr_assert(rest >= 1 << 21 && rest < 1 << 28);
    body[len] = 0x7a;
    for (unsigned i = 0; i < 4; i++)
        body[len + 1 + i] = (uint8_t)((rest >> 7 * i & 0x7f) | (i < 3 ? 0x80 : 0));
    memset(body + len + HEAD, 0, rest);
}

Test(otlp_http, the_body_limit_holds_at_one_less_exactly_and_one_more)
{
    enum { SPANS = 1000 };
    static const int add[] = {-1, 0, 1};
    char text[256];

    if (!begin()) return;
    const size_t max = fixture.limits.body_bytes_max;
    const size_t len = golden(SPANS);
    for (size_t i = 0; i < 3; i++) {
        const size_t wanted = max + (size_t)add[i];
        fill(len, wanted);
        const int fd = client_open(fixture.port[ROLE_OTLP]);
        if (add[i] > 0) { /* judged by the head alone */
            snprintf(text, sizeof text, POST PROTOBUF "Content-Length: %zu\r\n\r\n", wanted);
            client_send(fd, text);
            cr_expect_eq(client_receive(fd, &answer, false), 413);
        } else {
            cr_expect_eq(post(fd, wanted), 200);
        }
        const int chunked = client_open(fixture.port[ROLE_OTLP]);
        send_chunked(chunked, POST PROTOBUF, wanted, 50000);
        cr_expect_eq(client_receive(chunked, &answer, false), add[i] > 0 ? 413 : 200);
        if (add[i] > 0) expect_status(8, "limit");
        if (add[i] > 0) cr_expect_not(has_header("Retry-After"), "it is permanent");
        close(fd);
        close(chunked);
    }
    cr_expect_eq(metric(METRIC_SPANS_STORED), 4 * SPANS);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    fixture_close(&fixture);
}

Test(otlp_http, S11_no_memory_is_503_with_a_jittered_retry_after)
{
    unsigned seen = 0;

    if (!begin_with(1 << 20)) return;
    const size_t len = golden(12000); /* 1.7 MB: never fits */
    for (unsigned i = 0; i < 40; i++) {
        const int fd = client_open(fixture.port[ROLE_OTLP]);
        cr_assert_eq(post(fd, len), 503);
        expect_status(14, "");
        const char *const field = strcasestr(answer.head, "\r\nRetry-After: ");
        cr_assert_not_null(field);
        const unsigned long seconds = strtoul(field + 15, NULL, 10);
        cr_assert(seconds >= 1 && seconds <= 8);
        seen |= 1U << seconds;
        close(fd);
    }
    cr_expect_gt(__builtin_popcount(seen), 3, "jitter");
    cr_expect_eq(metric(METRIC_REQUESTS_REFUSED), 40);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    cr_expect_eq(post(fd, golden(100)), 200, "small ones go on");
    close(fd);
    fixture_close(&fixture);
}

Test(otlp_http, S4_a_body_that_is_announced_and_never_sent_holds_little)
{
    enum { CLIENTS = 20 };
    int fds[CLIENTS];

    if (!begin()) return;
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(fixture.port[ROLE_OTLP]);
        client_send(fds[i], POST PROTOBUF "Content-Length: 3000000\r\n\r\n");
    }
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) > 0));
    usleep(50000);
    cr_expect_leq(metric(METRIC_INFLIGHT_BYTES), CLIENTS * (64 + 4) * 1024);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    fixture_close(&fixture);
}

Test(otlp_http, a_client_that_leaves_in_mid_body_leaves_nothing)
{
    if (!begin()) return;
    for (unsigned i = 0; i < 20; i++) {
        const int fd = client_open(fixture.port[ROLE_OTLP]);
        client_send(fd, POST PROTOBUF "Content-Length: 1440000\r\n\r\n");
        client_send_bytes(fd, body, golden(i * 400));
        close(fd);
    }
    cr_assert(wait_until(metric(METRIC_CONNS_ACCEPTED) == 20 && atomic_load(&fixture.idle)));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 0);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    fixture_close(&fixture);
}

Test(otlp_http, U1_a_body_on_its_way_is_answered_503_when_the_server_stops)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_OTLP]);
    client_send(fd, POST PROTOBUF "Content-Length: 1440000\r\n\r\n");
    client_send_bytes(fd, body, golden(100));
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) > 0));
    usleep(20000);
    atomic_store(&fixture.draining, true);
    cr_assert_eq(client_receive(fd, &answer, false), 503);
    expect_status(14, "shutting down");
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    close(fd);
    fixture_close(&fixture);
}
