/* Who is let in, over HTTP/1 and gRPC, with a shard behind the door. Connections come from 127.0.0.1 unless they say. */
#include "grpc_fixture.h"

#include "access/access.h"
#include "base/log.h"
#include "server/access_table.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

/* sha256 of "secret" and "other" */
static const char file[] =
    "cart ingest sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n"
    "wall query,ops sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa\n"
    "old ingest sha256:9fbdefb2a4d1a6ffd0c15b1e7d1b6a7c0d4e4c1f3c7e6c4c1c0a0f8e4b1d2a31 "
    "2020-01-01T00:00:00Z\n";

static struct fixture fixture;
static struct grpc_client client;
static struct answer_text answer;
static int fd;

static struct credentials *table_of(const char *text)
{
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *credentials = NULL;

    cr_assert_eq(credentials_parse(slice_text(text), &credentials, error), OK, "%s", error);
    return credentials;
}

static void prepare(void)
{
    fixture_init(&fixture, NULL, 0);
    fixture.limits.body_bytes_max = 3 << 20;
    fixture.inflight_bytes_max = 64 << 20;
    fixture.with_shard = true;
    cr_assert_eq(access_open(1, &fixture.access), OK);
    access_replace(fixture.access, table_of(file));
}

static bool begin_prepared(void)
{
    const bool opened = fixture_open(&fixture);

    log_set_level(LOG_ERROR);
    if (opened) fd = client_open(fixture.port[ROLE_OTLP]);
    return opened;
}

static bool begin(void)
{
    prepare();
    return begin_prepared();
}

static void end(void)
{
    close(fd);
    fixture_close(&fixture);
    access_close(fixture.access);
}

static void connect_again(void)
{
    close(fd);
    fd = client_open(fixture.port[ROLE_OTLP]);
}

static uint64_t metric(enum metric_id id)
{
    return metric_get(&fixture.metrics, id);
}

/* An empty export request; fields end with CR LF each. */
static int post(const char *path, const char *fields)
{
    char text[9000];

    snprintf(
        text, sizeof text,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n%sContent-Length: "
        "0\r\n\r\n",
        path, fields);
    client_send(fd, text);
    return client_receive(fd, &answer, false);
}

Test(gate, A1_A3_decides_over_http)
{
    if (!begin()) return;
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 200);
    cr_assert_eq(post("/v1/traces", ""), 401);
    cr_assert_not_null(strstr(answer.head, "\r\nWWW-Authenticate: Bearer\r\n"));
    cr_assert_not_null(strstr(answer.head, "application/x-protobuf"));
    cr_assert_eq(answer.body[0], 0x08, "a Status");
    cr_assert_eq(answer.body[1], 16, "UNAUTHENTICATED");
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secres\r\n"), 401);
    cr_assert_eq(post("/v1/traces", "Authorization: Basic c2VjcmV0\r\n"), 401);
    cr_assert_eq(post("/v1/traces?access_token=secret", ""), 401, "never in a query string");
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer other\r\n"), 403);
    cr_assert_null(strstr(answer.head, "WWW-Authenticate"));
    cr_assert_eq(answer.body[1], 7, "PERMISSION_DENIED");
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 200);
    cr_assert_eq(metric(METRIC_ACCESS_REFUSED), 5);
    end();
}

Test(gate, A10_an_unknown_path_is_401_before_it_is_404)
{
    if (!begin()) return;
    cr_assert_eq(post("/no/such/path", ""), 401);
    cr_assert_eq(post("/no/such/path", "Authorization: Bearer wrong\r\n"), 401);
    cr_assert_eq(post("/no/such/path", "Authorization: Bearer other\r\n"), 404);
    client_send(fd, "GET /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 401, "before 405");
    end();
}

Test(gate, A1_a_refusal_in_json_for_a_request_in_json)
{
    if (!begin()) return;
    client_send(fd,
                "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                "0\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 401);
    cr_assert_not_null(strstr(answer.head, "application/json"));
    cr_assert_not_null(strstr(answer.body, "\"code\":16"));
    end();
}

Test(gate, A1_is_decided_before_a_byte_of_the_body_is_kept)
{
    if (!begin()) return;
    client_send(fd, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                    "Content-Length: 1000000\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 401, "with the body still to come");
    cr_assert_not_null(strstr(answer.head, "Connection: close"));
    cr_assert(client_sees_end(fd));
    connect_again();
    client_send(fd, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    "Content-Type: application/x-protobuf\r\nContent-Length: 1000000\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, false), 401, "in place of 100");
    cr_assert_eq(metric(METRIC_RECEIVED_BYTES), 0);
    cr_assert_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    end();
}

Test(gate, A2_two_fields_are_refused)
{
    if (!begin()) return;
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\nAuthorization: Bearer secret\r\n"), 400);
    end();
}

Test(gate, A4_a_revoked_credential_opens_nothing_from_the_next_request_on)
{
    if (!begin()) return;
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 200);
    access_replace(fixture.access, table_of(""));
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 401, "on the same connection");
    access_replace(fixture.access, table_of(file));
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 200);
    end();
}

Test(gate, A8_a_source_that_fails_too_often_is_told_to_wait)
{
    if (!begin()) return;
    for (unsigned i = 0; i < ACCESS_FAILURES_MAX; i++)
        cr_assert_eq(post("/v1/traces", "Authorization: Bearer wrong\r\n"), 401, "%u", i);
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer wrong\r\n"), 429);
    cr_assert_not_null(strstr(answer.head, "\r\nRetry-After: "));
    cr_assert(client_sees_end(fd));
    connect_again();
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer secret\r\n"), 200, "others behind that address");
    cr_assert_eq(post("/v1/traces", "Authorization: Bearer other\r\n"), 403);
    cr_assert_eq(metric(METRIC_ACCESS_LIMITED), 1);
    end();
}

Test(gate, A13_neither_answer_nor_log_has_the_token)
{
    char line[4096];
    int pipe_fds[2];

    if (!begin()) return;
    log_set_level(LOG_DEBUG);
    cr_assert_eq(pipe(pipe_fds), 0);
    const int before = dup(STDERR_FILENO);
    cr_assert_geq(dup2(pipe_fds[1], STDERR_FILENO), 0);
    const int status = post("/v1/traces", "Authorization: Bearer canary0123456789\r\n");
    dup2(before, STDERR_FILENO);
    const ssize_t got = read(pipe_fds[0], line, sizeof line - 1);
    cr_assert_eq(status, 401);
    cr_assert_gt(got, 0, "it is logged");
    line[got] = '\0';
    cr_assert_not_null(strstr(line, "not let in"));
    cr_assert_not_null(strstr(line, "source=127.0.0.1"));
    cr_assert_null(strstr(line, "canary"));
    cr_assert_null(strstr(answer.head, "canary"));
    cr_assert_null(memmem(answer.body, answer.body_len, "canary", 6));
    end();
}

/* ---- gRPC -----------------------------------------------------------------------------------------------
 */

static struct reply *call(uint32_t id, const char *path, const char *authorization)
{
    const char *const fields[] = {"authorization", authorization, NULL};

    script_call(&client.script, id, path, authorization != NULL ? fields : NULL);
    script_message(&client.script, id, 0, NULL, 0, 16384);
    return grpc_wait(&client, id);
}

Test(gate, A1_A3_A11_decides_for_each_call)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    cr_assert(says(call(1, EXPORT, "Bearer secret"), "grpc-status: 0\n"));
    cr_assert(says(call(3, EXPORT, NULL), "grpc-status: 16\n"), "A11: the connection proves nothing");
    cr_assert(says(call(5, EXPORT, "Bearer wrong"), "grpc-status: 16\n"));
    cr_assert(says(call(7, EXPORT, "Bearer other"), "grpc-status: 7\n"));
    cr_assert(says(call(9, CHECK_HEALTH, NULL), "grpc-status: 0\n"));
    cr_assert(says(call(11, "/no.such/Method", NULL), "grpc-status: 16\n"), "A10: before 12");
    cr_assert(says(call(13, "/no.such/Method", "Bearer other"), "grpc-status: 12\n"));
    cr_assert(says(call(15, EXPORT, "bearer secret"), "grpc-status: 0\n"));
    cr_assert_eq(metric(METRIC_ACCESS_REFUSED), 4);
    grpc_close(&client);
    end();
}

Test(gate, A1_a_call_is_refused_before_its_message_is_kept)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    script_call(&client.script, 1, EXPORT, NULL);
    struct reply *const reply = grpc_wait(&client, 1);
    cr_assert(says(reply, "grpc-status: 16\n"), "with nothing of the message sent");
    cr_assert_eq(metric(METRIC_RECEIVED_BYTES), 0);
    grpc_close(&client);
    end();
}

Test(gate, A2_two_fields_of_a_call_are_refused)
{
    static const char *const fields[] = {"authorization", "Bearer secret", "authorization", "Bearer secret",
                                         NULL};

    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    script_call(&client.script, 1, EXPORT, fields);
    cr_assert(says(grpc_wait(&client, 1), ":status: 400\n"));
    grpc_close(&client);
    end();
}

Test(gate, A8_limits_calls_as_well)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_GRPC]);
    for (unsigned i = 0; i < ACCESS_FAILURES_MAX; i++)
        cr_assert(says(call(1 + 2 * i, EXPORT, "Bearer wrong"), "grpc-status: 16\n"));
    struct reply *const reply = call(101, EXPORT, "Bearer wrong");
    cr_assert(says(reply, "grpc-status: 8\n"));
    cr_assert(!says(reply, "retryinfo"), "clients would try again for ever");
    cr_assert(says(call(103, EXPORT, "Bearer secret"), "grpc-status: 0\n"));
    grpc_close(&client);
    end();
}

/* ---- HTTP/2 on the listener for OTLP over HTTP -----------------------------------------------------------
 */

/* A whole request without a body; fields are pairs, ended by NULL. */
static struct reply *plain(uint32_t id, const char *method, const char *path, const char *const *fields)
{
    uint8_t block[1024];
    size_t len = block_field(block, 0, ":method", method);

    len = block_field(block, len, ":scheme", "http");
    len = block_field(block, len, ":path", path);
    len = block_field(block, len, ":authority", "x");
    for (; fields[0] != NULL; fields += 2)
        len = block_field(block, len, fields[0], fields[1]);
    script_frame(&client.script, FRAME_HEADERS, END_HEADERS | END_STREAM, id, block, len);
    return grpc_wait(&client, id);
}

static struct reply *post_plain(uint32_t id, const char *path, const char *authorization)
{
    const char *const fields[] = {"content-type", "application/x-protobuf",
                                  authorization != NULL ? "authorization" : NULL, authorization, NULL};

    return plain(id, "POST", path, fields);
}

Test(gate, A1_A3_A11_decides_for_each_plain_request_over_http2)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    cr_expect(says(post_plain(1, "/v1/traces", "Bearer secret"), ":status: 200\n"));
    struct reply *reply = post_plain(3, "/v1/traces", NULL);
    cr_expect(says(reply, ":status: 401\n"), "%s", reply->fields);
    cr_expect(says(reply, "www-authenticate: Bearer\n"), "%s", reply->fields);
    cr_expect(says(reply, "content-type: application/x-protobuf\n"), "%s", reply->fields);
    cr_expect_eq(reply->body[0], 0x08, "a Status");
    cr_expect_eq(reply->body[1], 16, "UNAUTHENTICATED");
    cr_expect(says(post_plain(5, "/v1/traces", "Bearer wrong"), ":status: 401\n"));
    reply = post_plain(7, "/v1/traces", "Bearer other");
    cr_expect(says(reply, ":status: 403\n"), "%s", reply->fields);
    cr_expect_eq(reply->body[1], 7, "PERMISSION_DENIED");
    cr_expect(says(post_plain(9, "/v1/traces?a=b", "Bearer other"), ":status: 403\n"),
              "a query does not take the path out of the table");
    cr_expect(says(post_plain(11, "/v1/traces?access_token=secret", NULL), ":status: 401\n"));
    cr_expect(says(post_plain(13, "/v1/traces?a=b", "Bearer secret"), ":status: 200\n"));
    cr_expect(says(post_plain(15, "/no/such/path", NULL), ":status: 401\n"), "A10: before 404");
    cr_expect(says(post_plain(17, "/no/such/path", "Bearer other"), ":status: 404\n"));
    cr_expect(says(post_plain(19, EXPORT, "Bearer other"), ":status: 403\n"), "without gRPC's content type");
    cr_expect(says(post_plain(21, EXPORT, "Bearer secret"), ":status: 404\n"));
    cr_expect_eq(metric(METRIC_ACCESS_REFUSED), 7);
    grpc_close(&client);
    end();
}

Test(gate, A1_A3_decides_for_calls_on_the_port_of_http)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    cr_expect(says(call(1, EXPORT, "Bearer secret"), "grpc-status: 0\n"));
    cr_expect(says(call(3, EXPORT, NULL), "grpc-status: 16\n"));
    cr_expect(says(call(5, EXPORT, "Bearer wrong"), "grpc-status: 16\n"));
    cr_expect(says(call(7, EXPORT, "Bearer other"), "grpc-status: 7\n"));
    cr_expect(says(call(9, CHECK_HEALTH, NULL), "grpc-status: 0\n"));
    cr_expect(says(call(11, "/no.such/Method", NULL), "grpc-status: 16\n"));
    cr_expect(says(call(13, "/v1/traces", NULL), "grpc-status: 16\n"));
    cr_expect(says(call(15, "/v1/traces", "Bearer other"), "grpc-status: 7\n"));
    cr_expect(says(call(17, "/v1/traces", "Bearer secret"), "grpc-status: 12\n"));
    grpc_close(&client);
    end();
}

Test(gate, A1_a_plain_request_over_http2_is_refused_before_its_body_is_kept)
{
    static const char *const json[] = {"content-type", "application/json", NULL};
    uint8_t block[1024];

    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    size_t len = block_request(block, "/v1/traces");
    script_frame(&client.script, FRAME_HEADERS, END_HEADERS, 1, block, len);
    cr_expect(says(grpc_wait(&client, 1), "grpc-status: 16\n"), "a call, by its content type");
    struct reply *const reply = plain(3, "POST", "/v1/traces", json);
    cr_expect(says(reply, "content-type: application/json\n"), "%s", reply->fields);
    cr_expect_not_null(memmem(reply->body, reply->body_len, "\"code\":16", 9));
    len = block_field(block, 0, ":method", "POST");
    len = block_field(block, len, ":scheme", "http");
    len = block_field(block, len, ":path", "/v1/traces");
    len = block_field(block, len, ":authority", "x");
    len = block_field(block, len, "content-length", "1000000");
    script_frame(&client.script, FRAME_HEADERS, END_HEADERS, 5, block, len);
    cr_expect(says(grpc_wait(&client, 5), ":status: 401\n"), "with the body still to come");
    cr_expect_eq(metric(METRIC_RECEIVED_BYTES), 0);
    cr_expect_eq(metric(METRIC_INFLIGHT_BYTES), 0);
    grpc_close(&client);
    end();
}

Test(gate, A2_two_fields_of_a_plain_request_over_http2)
{
    static const char *const fields[] = {"authorization", "Bearer secret", "authorization", "Bearer secret",
                                         NULL};

    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    cr_expect(says(plain(1, "POST", "/v1/traces", fields), ":status: 400\n"));
    grpc_close(&client);
    end();
}

Test(gate, A8_limits_plain_requests_over_http2_as_well)
{
    if (!begin()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    for (unsigned i = 0; i < ACCESS_FAILURES_MAX; i++)
        cr_assert(says(post_plain(1 + 2 * i, "/v1/traces", "Bearer wrong"), ":status: 401\n"));
    struct reply *const reply = post_plain(101, "/v1/traces", "Bearer wrong");
    cr_expect(says(reply, ":status: 429\n"), "%s", reply->fields);
    cr_expect(says(reply, "retry-after: "), "%s", reply->fields);
    cr_expect(says(post_plain(103, "/v1/traces", "Bearer secret"), ":status: 200\n"));
    grpc_close(&client);
    end();
}

/* ---- what browsers ask --------------------------------------------------------------------------------- */

static bool begin_with_origins(void)
{
    static const char *const origins[] = {"https://shop.example.com"};

    prepare();
    fixture.origins = origins;
    fixture.origins_count = 1;
    return begin_prepared();
}

#define ORIGIN    "Origin: https://shop.example.com\r\n"
#define PREFLIGHT "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"

static int ask_as(const char *method, const char *path, const char *fields)
{
    char text[1024];

    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, fields);
    client_send(fd, text);
    return client_receive(fd, &answer, false);
}

Test(gate, A10_a_preflight_needs_no_credential_and_nothing_else_goes_without)
{
    if (!begin_with_origins()) return;
    cr_expect_eq(ask_as("OPTIONS", "/v1/traces", ORIGIN PREFLIGHT), 204);
    cr_expect_eq(ask_as("OPTIONS", "/v1/traces", PREFLIGHT), 401, "no page");
    cr_expect_eq(ask_as("OPTIONS", "/v1/traces", ORIGIN), 401, "no preflight");
    cr_expect_eq(ask_as("OPTIONS", "/no/such/path", ORIGIN PREFLIGHT), 401);
    cr_expect_eq(ask_as("GET", "/v1/traces", ORIGIN PREFLIGHT), 401);
    cr_expect_eq(post("/v1/traces", ORIGIN PREFLIGHT), 401);
    cr_expect_not_null(strcasestr(answer.head, "access-control-allow-origin: https://shop.example.com\r\n"),
                       "the page may see why");
    cr_expect_not_null(strcasestr(answer.head, "access-control-allow-credentials: true\r\n"));
    cr_expect_not_null(strstr(answer.head, "WWW-Authenticate: Bearer\r\n"));
    cr_expect_eq(post("/v1/traces", ORIGIN "Authorization: Bearer secret\r\n"), 200);
    end();
}

Test(gate, A10_so_it_is_over_http2)
{
    static const char *const asks[] = {
        "origin", "https://shop.example.com",       "access-control-request-method",
        "POST",   "access-control-request-headers", "authorization",
        NULL};
    static const char *const no_page[] = {"access-control-request-method", "POST", NULL};
    static const char *const no_preflight[] = {"origin", "https://shop.example.com", NULL};

    if (!begin_with_origins()) return;
    grpc_open(&client, fixture.port[ROLE_OTLP]);
    cr_expect(says(plain(1, "OPTIONS", "/v1/traces", asks), ":status: 204\n"));
    cr_expect(says(plain(3, "OPTIONS", "/v1/traces", no_page), ":status: 401\n"));
    cr_expect(says(plain(5, "OPTIONS", "/v1/traces", no_preflight), ":status: 401\n"));
    cr_expect(says(plain(7, "OPTIONS", "/no/such/path", asks), ":status: 401\n"));
    struct reply *const reply = plain(9, "POST", "/v1/traces", asks);
    cr_expect(says(reply, ":status: 401\n"), "%s", reply->fields);
    cr_expect_not_null(strcasestr(reply->fields, "access-control-allow-origin: https://shop.example.com\n"));
    cr_expect(says(reply, "www-authenticate: Bearer\n"), "%s", reply->fields);
    grpc_close(&client);
    end();
}

Test(gate, A10_without_origins_a_preflight_is_no_exception)
{
    if (!begin()) return;
    cr_expect_eq(ask_as("OPTIONS", "/v1/traces", ORIGIN PREFLIGHT), 401);
    end();
}

/* ---- the table ------------------------------------------------------------------------------------------
 */

Test(access_table, every_row_needs_a_role_or_is_open)
{
    for (size_t i = 0; i < access_table_count; i++) {
        const struct access_row *const row = &access_table[i];
        const unsigned roles = ACCESS_INGEST | ACCESS_QUERY | ACCESS_OPS;

        cr_assert(row->open ? row->needs == 0 : row->needs != 0 && (row->needs & ~roles) == 0, "%s",
                  row->path);
        cr_assert_eq(access_row_find(row->listener, slice_text(row->path), row->reads), row,
                     "%s: a row above hides it", row->path);
    }
}

Test(access_table, a_path_belongs_to_its_listener)
{
    cr_assert_null(access_row_find(ROLE_OTLP, slice_text("/metrics"), true));
    cr_assert_null(access_row_find(ROLE_OPS, slice_text("/v1/traces"), true));
    cr_assert_null(access_row_find(ROLE_OPS, slice_text("/healthz/"), true));
    cr_assert_null(access_row_find(ROLE_QUERY, slice_text(""), true));
    cr_assert_not_null(access_row_find(ROLE_QUERY, slice_text("/query/v1/traces/00"), true));
}

Test(access_table, setting_pins_and_erasing_is_for_operators)
{
    static const struct {
        const char *path;
        unsigned reading, others;
    } cases[] = {
        {"/query/v1/pins", ACCESS_QUERY | ACCESS_OPS, ACCESS_OPS},
        {"/query/v1/pins/3", ACCESS_OPS, ACCESS_OPS},
        {"/query/v1/deletions", ACCESS_OPS, ACCESS_OPS},
        {"/query/v1/deletions/3", ACCESS_OPS, ACCESS_OPS},
        {"/query/v1/traces", ACCESS_QUERY, ACCESS_QUERY},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct slice path = slice_text(cases[i].path);
        cr_expect_eq(access_row_find(ROLE_QUERY, path, true)->needs, cases[i].reading, "%s", cases[i].path);
        cr_expect_eq(access_row_find(ROLE_QUERY, path, false)->needs, cases[i].others, "%s", cases[i].path);
    }
}

Test(access_table, a_route_needs_a_row_of_its_method)
{
    struct route route = {.role = ROLE_QUERY, .method = HTTP1_POST, .path = "/query/v1/pins"};

    cr_assert_not_null(access_row_of_route(&route));
    cr_expect(!access_row_of_route(&route)->reads, "the row for reading is none for an order");
    route.method = HTTP1_GET;
    cr_assert_not_null(access_row_of_route(&route));
    cr_expect(access_row_of_route(&route)->reads);
    route.prefix = true;
    cr_expect_null(access_row_of_route(&route));
}
