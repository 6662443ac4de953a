/* Zipkin over HTTP from outside: rows Z1, Z2, Z9 and Z10 of the catalogue. */
#include "server_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static struct fixture fixture;
static struct answer_text answer;

#define POST "POST /api/v2/spans HTTP/1.1\r\nHost: any.name\r\n"
#define JSON "Content-Type: application/json\r\n"
static const char span[] =
    "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\",\"name\":\"get\"}]";

static bool begin(void)
{
    fixture_init(&fixture, NULL, 0);
    fixture.with_shard = true;
    fixture.limits.body_bytes_max = 1 << 20;
    return fixture_open(&fixture);
}

static int post(const char *head, const void *body, size_t len)
{
    const int fd = client_open(fixture.port[ROLE_ZIPKIN]);
    char length[64];

    client_send(fd, head);
    snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", len);
    client_send(fd, length);
    client_send_bytes(fd, body, len);
    const int status = client_receive(fd, &answer, false);
    close(fd);
    return status;
}

static int post_text(const char *head, const char *body)
{
    return post(head, body, strlen(body));
}

static uint64_t metric(enum metric_id id)
{
    return metric_get(&fixture.metrics, id);
}

Test(zipkin_http, Z1_takes_spans_and_says_202_with_an_empty_body)
{
    if (!begin()) return;
    cr_expect_eq(post_text(POST JSON, span), 202);
    cr_expect_eq(answer.body_len, 0);
    cr_expect_not_null(strstr(answer.head, "spanmill-position: 0-"));
    cr_expect_null(strstr(answer.head, "\r\nContent-Type:"));
    cr_expect_eq(post_text("POST /api/v2/spans/ HTTP/1.1\r\nHost: a\r\n" JSON, span), 202);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2);
    fixture_close(&fixture);
}

Test(zipkin_http, Z2_content_types)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"", 202},
        {"Content-Type: application/json; charset=utf-8\r\n", 202},
        {"Content-Type: text/plain\r\n", 202},
        {"Origin: http://example.com\r\nContent-Type: application/json\r\n", 202},
        {"Origin: http://example.com\r\nContent-Type: text/plain\r\n", 415},
        {"Origin: null\r\n", 415},
        {"Content-Type: application/x-protobuf\r\n", 415},
        {"Content-Type: application/x-thrift\r\n", 415},
    };
    char head[256];

    if (!begin()) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(head, sizeof head, POST "%s", rows[i].line);
        cr_expect_eq(post_text(head, span), rows[i].status, "%s", rows[i].line);
    }
    cr_expect_not_null(strstr(answer.head, "Content-Type: text/plain"));
    cr_expect_str_eq(answer.body, "content-type: spans are taken as JSON only (application/json)");
    fixture_close(&fixture);
}

Test(zipkin_http, Z2_empty_lists_and_malformed_bodies)
{
    if (!begin()) return;
    cr_expect_eq(post_text(POST JSON, "[]"), 202);
    cr_expect_eq(answer.body_len, 0);
    cr_expect_eq(post_text(POST JSON, ""), 400);
    cr_expect_eq(post_text(POST JSON, "{}"), 400);
    cr_expect_eq(post_text(POST JSON, "[1]"), 400);
    cr_expect_str_eq(answer.body, "JSON: a span is not an object at byte 1 of the body");
    cr_expect_not_null(strstr(answer.head, "Content-Type: text/plain"));
    cr_expect_eq(post_text(POST JSON, "[{\"id\":7}]"), 400);
    cr_expect_str_eq(answer.body, "Span.id: not a string at byte 7 of the body");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 0);
    fixture_close(&fixture);
}

static size_t deflate_span(uint8_t *out, size_t capacity, int window_bits)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)span, .avail_in = sizeof span - 1};

    cr_assert_eq(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

Test(zipkin_http, Z2_encodings)
{
    uint8_t packed[512];

    if (!begin()) return;
    cr_expect_eq(
        post(POST JSON "Content-Encoding: gzip\r\n", packed, deflate_span(packed, sizeof packed, 31)), 202);
    cr_expect_eq(
        post(POST JSON "Content-Encoding: deflate\r\n", packed, deflate_span(packed, sizeof packed, 15)),
        202);
    cr_expect_eq(post_text(POST JSON "Content-Encoding: gzip\r\n", span), 400);
    cr_expect_eq(post_text(POST JSON "Content-Encoding: br\r\n", span), 400);
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2);
    fixture_close(&fixture);
}

Test(zipkin_http, Z9_spans_that_can_never_be_taken_are_named_in_the_answer)
{
    static const char body[] =
        "[{\"traceId\":\"1\",\"id\":\"1\"},{\"traceId\":\"0\",\"id\":\"1\"},{\"traceId\":\"1\"}]";

    if (!begin()) return;
    cr_expect_eq(post_text(POST JSON, body), 202);
    cr_expect_str_eq(
        answer.body,
        "Span.trace_id: must have 16 bytes at byte 26 of the body (the first of 2 rejected spans)");
    cr_expect_eq(metric(METRIC_SPANS_STORED), 1);
    cr_expect_eq(metric(METRIC_SPANS_REJECTED), 2);
    fixture_close(&fixture);
}

Test(zipkin_http, Z10_paths_methods_and_sizes)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_ZIPKIN]);
    client_send(fd, "GET /api/v2/spans HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect_eq(client_receive(fd, &answer, false), 405);
    cr_expect_not_null(strstr(answer.head, "Allow: POST"));
    client_send(fd, "GET /api/v2/services HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect_eq(client_receive(fd, &answer, false), 404);
    client_send(fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    cr_expect_eq(client_receive(fd, &answer, false), 404);
    client_send(fd, POST JSON "Content-Length: 1048577\r\n\r\n");
    cr_expect_eq(client_receive(fd, &answer, false), 413);
    cr_expect_not_null(strstr(answer.head, "Content-Type: text/plain"));
    close(fd);
    /* and the door for OTLP does not know Zipkin's path */
    const int otlp = client_open(fixture.port[ROLE_OTLP]);
    client_send(otlp, POST JSON "Content-Length: 0\r\n\r\n");
    cr_expect_eq(client_receive(otlp, &answer, false), 404);
    close(otlp);
    /* what is no HTTP is answered in plain text */
    const int bad = client_open(fixture.port[ROLE_ZIPKIN]);
    client_send(bad, "POST /api/v2/spans HTTP/1.1\r\n\r\n");
    cr_expect_eq(client_receive(bad, &answer, false), 400);
    cr_expect_not_null(strstr(answer.head, "Content-Type: text/plain"));
    close(bad);
    fixture_close(&fixture);
}

/* A list that becomes longer than itself is translated again with more room. */
Test(zipkin_http, Z10_lists_that_grow)
{
    enum { COUNT = 2000 };
    static char body[COUNT * 32];
    size_t len = 0;

    if (!begin()) return;
    for (unsigned i = 0; i < COUNT; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "%c{\"traceId\":\"%x\",\"id\":\"1\"}",
                                i == 0 ? '[' : ',', i + 1);
    body[len++] = ']';
    cr_expect_eq(post(POST JSON, body, len), 202);
    cr_expect_eq(metric(METRIC_SPANS_STORED), COUNT);
    fixture_close(&fixture);
}
