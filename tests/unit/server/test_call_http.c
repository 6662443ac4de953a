/* Plain HTTP over HTTP/2 on the listener for OTLP over HTTP, with a shard that journals to a real directory. */
#include "grpc_fixture.h"

static struct fixture fixture;
static struct grpc_client client;

static const char json[] =
    "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"5b8efff798038103d269b633813fc60c\","
    "\"spanId\":\"eee19b7ec3c1b174\",\"name\":\"GET /\"}]}]}]}";
enum { JSON_BYTES = sizeof json - 1 };

static void prepare(void)
{
    static const char *const origins[] = {"https://*.example.com"};

    fixture_init(&fixture, NULL, 0);
    fixture.limits.body_bytes_max = 256 << 10;
    fixture.inflight_bytes_max = 64 << 20;
    fixture.with_shard = true;
    fixture.origins = origins;
    fixture.origins_count = 1;
}

static bool begin_prepared(void)
{
    if (!fixture_open(&fixture)) return false;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
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

/* A head; name and value of one more field, or NULL. */
static void head(uint32_t id, const char *method, const char *type, const char *name, const char *value)
{
    uint8_t block[1024];
    size_t len = block_field(block, 0, ":method", method);

    len = block_field(block, len, ":scheme", "http");
    len = block_field(block, len, ":path", "/v1/traces");
    len = block_field(block, len, ":authority", "x");
    if (type != NULL) len = block_field(block, len, "content-type", type);
    if (name != NULL) len = block_field(block, len, name, value);
    script_frame(&client.script, FRAME_HEADERS, END_HEADERS, id, block, len);
}

static void body(uint32_t id, const void *bytes, size_t len)
{
    script_frame(&client.script, FRAME_DATA, END_STREAM, id, bytes, len);
}

static const struct reply *post(uint32_t id, const void *bytes, size_t len)
{
    head(id, "POST", "application/json", NULL, NULL);
    body(id, bytes, len);
    return grpc_wait(&client, id);
}

static void expect_body(const struct reply *reply, const char *text)
{
    cr_expect_not_null(memmem(reply->body, reply->body_len, text, strlen(text)), "'%.*s' does not say '%s'",
                       (int)reply->body_len, (const char *)reply->body, text);
}

static void expect_stored(const struct reply *reply)
{
    cr_expect(says(reply, ":status: 200\ncontent-type: application/json\n"), "%s", reply->fields);
    cr_expect(says(reply, "\nspanmill-position: 0-"), "%s", reply->fields);
    expect_body(reply, "{}");
    cr_expect_eq(reply->reset, -1);
}

Test(call_http, H12_what_http1_has_on_this_port_http2_has_as_well)
{
    if (!begin()) return;
    expect_stored(post(1, json, JSON_BYTES));
    expect_stored(post(3, json, JSON_BYTES));
    cr_expect_eq(metric(METRIC_SPANS_STORED), 2);
    cr_expect_eq(metric(METRIC_HTTP_REQUESTS), 2);
    cr_expect_eq(metric(METRIC_GRPC_CALLS), 0);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(call_http, H12_the_preface_may_come_byte_by_byte_and_only_at_first)
{
    struct answer_text answer;

    if (!begin()) return;
    head(1, "POST", "application/json", NULL, NULL);
    body(1, json, JSON_BYTES);
    for (size_t at = 0; at < client.script.len; at++)
        client_send_bytes(client.fd, client.script.bytes + at, 1);
    client.script.len = 0;
    expect_stored(grpc_wait(&client, 1));

    const int fd = client_open(fixture.port[ROLE_OTLP]);
    client_send(fd, "GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    cr_expect_eq(client_receive(fd, &answer, false), 405);
    cr_expect_eq(client_receive(fd, &answer, false), 505);
    cr_expect(client_sees_end(fd));
    close(fd);
    const int query = client_open(fixture.port[ROLE_QUERY]);
    client_send(query, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    cr_expect_eq(client_receive(query, &answer, false), 505);
    close(query);
    end();
}

Test(call_http, an_answer_may_come_before_the_end_of_the_request)
{
    if (!begin()) return;
    head(1, "POST", "text/plain", NULL, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, json, JSON_BYTES);
    const struct reply *const reply = grpc_wait(&client, 1);
    cr_expect(says(reply, ":status: 415\ncontent-type: text/plain\n"), "%s", reply->fields);
    expect_body(reply, "415 unsupported media type");
    while (reply_of(&client, 1)->reset < 0)
        cr_assert(grpc_receive(&client));
    cr_expect_eq(reply_of(&client, 1)->reset, CODE_NO_ERROR);
    expect_stored(post(3, json, JSON_BYTES));
    end();
}

Test(call_http, the_body_limit_holds_at_one_less_exactly_and_one_more)
{
    static char large[(256 << 10) + 1];

    if (!begin()) return;
    for (int more = -1; more <= 1; more++) {
        const uint32_t id = (uint32_t)(2 * (more + 1) + 1);
        const size_t len = (size_t)((256 << 10) + more);
        memset(large, ' ', sizeof large);
        memcpy(large, "{}", 2);
        head(id, "POST", "application/json", NULL, NULL);
        for (size_t at = 0; at < len; at += 16384)
            script_frame(&client.script, FRAME_DATA, at + 16384 >= len ? END_STREAM : 0, id, large + at,
                         len - at < 16384 ? len - at : 16384);
        const struct reply *const reply = grpc_wait(&client, id);
        cr_expect(says(reply, more > 0 ? ":status: 413\n" : ":status: 200\n"), "%d: %s", more, reply->fields);
        if (more > 0) expect_body(reply, "\"code\":8");
    }
    end();
}

Test(call_http, no_memory_is_503_with_retry_after)
{
    prepare();
    fixture.inflight_bytes_max = 256 << 10;
    if (!begin_prepared()) return;
    for (uint32_t i = 0; i < 20; i++) { /* each is given 64 KiB */
        head(2 * i + 1, "POST", "application/json", NULL, NULL);
        script_frame(&client.script, FRAME_DATA, 0, 2 * i + 1, "{", 1);
    }
    const struct reply *const reply = grpc_wait(&client, 39);
    cr_expect(says(reply, ":status: 503\n"), "%s", reply->fields);
    cr_expect(says(reply, "\nretry-after: "), "%s", reply->fields);
    expect_body(reply, "\"code\":14");
    end();
}

Test(call_http, S2_a_slow_body_is_answered_so_that_it_comes_again)
{
    prepare();
    fixture.limits.body_grace_ns = 300000000;
    if (!begin_prepared()) return;
    head(1, "POST", "application/json", NULL, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, "{", 1);
    const struct reply *const reply = grpc_wait(&client, 1);
    cr_expect(says(reply, ":status: 504\n"), "%s", reply->fields);
    expect_body(reply, "did not come in time");
    cr_expect(wait_until(metric(METRIC_INFLIGHT_BYTES) == 0));
    expect_stored(post(3, json, JSON_BYTES));
    end();
}

Test(call_http, U1_a_body_on_its_way_is_answered_503_when_the_server_stops)
{
    if (!begin()) return;
    head(1, "POST", "application/json", NULL, NULL);
    script_frame(&client.script, FRAME_DATA, 0, 1, "{", 1);
    grpc_send(&client);
    cr_assert(wait_until(metric(METRIC_INFLIGHT_BYTES) > 0));
    atomic_store(&fixture.draining, true);
    const struct reply *const reply = grpc_wait(&client, 1);
    cr_expect(says(reply, ":status: 503\n"), "%s", reply->fields);
    expect_body(reply, "shutting down");
    grpc_wait_closed(&client);
    cr_expect(wait_until(atomic_load(&fixture.drained)));
    end();
}

Test(call_http, pages_of_allowed_origins_see_every_answer)
{
    if (!begin()) return;
    head(1, "POST", "application/json", "origin", "https://shop.example.com");
    body(1, "[", 1);
    const struct reply *reply = grpc_wait(&client, 1);
    cr_expect(says(reply, ":status: 400\n"), "%s", reply->fields);
    cr_expect(says(reply, "\naccess-control-allow-origin: https://shop.example.com\n"), "%s", reply->fields);
    head(3, "POST", "application/json", "origin", "https://example.org");
    body(3, json, JSON_BYTES);
    reply = grpc_wait(&client, 3);
    expect_stored(reply);
    cr_expect_not(says(reply, "access-control"), "%s", reply->fields);
    end();
}
