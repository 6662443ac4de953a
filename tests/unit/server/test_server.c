/* Connections and exchanges over loopback, with routes of the test's own. */
#include "server_fixture.h"

#include "io/io.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- routes ---------------------------------------------------------------------------------------------
 */

static _Atomic unsigned handled;

static void handle_hello(struct exchange *exchange, void *context)
{
    const struct http1_header header = {.name = "X-Test", .value = slice_text("yes")};

    (void)context;
    atomic_fetch_add(&handled, 1);
    exchange_answer(exchange, 200, "text/plain", &header, 1, slice_text("hello"));
}

/* Answers with the query, so that order can be checked. */
static void handle_echo(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_answer(exchange, 200, "text/plain", NULL, 0, exchange_request(exchange)->query);
}

/* The ticket belongs to the test while deferred is set, to the server's thread while it is not. */
static struct exchange_ticket ticket;
static atomic_bool deferred;

static void handle_later(struct exchange *exchange, void *context)
{
    (void)context;
    if (atomic_load(&deferred)) { /* the test has not come round to the one before */
        exchange_answer(exchange, 503, NULL, NULL, 0, (struct slice){0});
        return;
    }
    exchange_defer(exchange, &ticket);
    atomic_store(&deferred, true);
}

enum { LARGE_BYTES = 8 << 20 };

static void handle_large(struct exchange *exchange, void *context)
{
    char *const body = malloc(LARGE_BYTES);

    (void)context;
    memset(body, 'x', LARGE_BYTES);
    exchange_answer(exchange, 200, "text/plain", NULL, 0, slice_of(body, LARGE_BYTES));
    free(body);
}

static void judge_never(struct exchange *exchange, void *context)
{
    (void)context;
    exchange_answer(exchange, 503, "text/plain", NULL, 0, slice_text("never"));
}

static const struct route routes[] = {
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/hello", .handle = handle_hello},
    {.role = ROLE_QUERY, .method = HTTP1_POST, .path = "/hello", .handle = handle_hello},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/echo", .handle = handle_echo},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/later", .handle = handle_later},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/large", .handle = handle_large},
    {.role = ROLE_QUERY,
     .method = HTTP1_POST,
     .path = "/never",
     .judge = judge_never,
     .handle = handle_hello},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/tree/", .prefix = true, .handle = handle_hello},
    {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/health", .handle = handle_hello},
};

static struct fixture fixture;
static struct answer_text answer;

static bool begin(void)
{
    if (fixture.routes == NULL) fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    return fixture_open(&fixture);
}

#define HOST "Host: localhost\r\n"

static int ask(int fd, const char *text)
{
    client_send(fd, text);
    return client_receive(fd, &answer, strncmp(text, "HEAD", 4) == 0);
}

/* ---- routes and methods ---------------------------------------------------------------------------------
 */

Test(server, answers_and_keeps_the_connection)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
        cr_assert_str_eq(answer.body, "hello");
        cr_assert_not_null(strstr(answer.head, "X-Test: yes\r\n"));
        cr_assert_not_null(strstr(answer.head, "Content-Type: text/plain\r\n"));
        cr_assert_not_null(strstr(answer.head, "X-Content-Type-Options: nosniff\r\n"));
    }
    close(fd);
    cr_assert(wait_until(atomic_load(&fixture.conns) == 0));
    fixture_close(&fixture);
}

Test(server, answers_head_like_get_without_the_body)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert_eq(answer.content_length, 5);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    close(fd);
    fixture_close(&fixture);
}

Test(server, H13_tells_unknown_paths_from_wrong_methods)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "GET /nothing HTTP/1.1\r\n" HOST "\r\n"), 404);
    cr_assert_eq(ask(fd, "GET /hello/ HTTP/1.1\r\n" HOST "\r\n"), 404);
    cr_assert_eq(ask(fd, "GET /tree/a/b HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert_eq(ask(fd, "PUT /hello HTTP/1.1\r\n" HOST "\r\n"), 405);
    cr_assert_not_null(strstr(answer.head, "Allow: GET, HEAD, POST\r\n"));
    close(fd);
    fixture_close(&fixture);
}

Test(server, A14_serves_a_route_only_on_its_own_listener)
{
    if (!begin()) return;
    const int query = client_open(fixture.port[ROLE_QUERY]), ops = client_open(fixture.port[ROLE_OPS]);
    cr_assert_eq(ask(query, "GET /health HTTP/1.1\r\n" HOST "\r\n"), 404);
    cr_assert_eq(ask(ops, "GET /health HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert_eq(ask(ops, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 404);
    close(query);
    close(ops);
    fixture_close(&fixture);
}

Test(server, Q10_refuses_host_names_that_could_be_rebound)
{
    static const char *const hosts[] = {"good.example"};
    static const char *const allowed[] = {"localhost", "LOCALHOST:1", "127.0.0.1:16686",
                                          "[::1]:1",   "10.1.2.3",    "good.example:80"};
    static const char *const refused[] = {"evil.example", "127.0.0.1.evil.example", "localhost.evil",
                                          "good.example.x"};
    char text[256];

    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.hosts = hosts;
    fixture.hosts_count = 1;
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", allowed[i]);
        cr_expect_eq(ask(fd, text), 200, "%s", allowed[i]);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", refused[i]);
        cr_expect_eq(ask(fd, text), 421, "%s", refused[i]);
    }
    close(fd);
    fixture_close(&fixture);
}

/* ---- framing over a connection --------------------------------------------------------------------------
 */

Test(server, H16_answers_pipelined_requests_in_order)
{
    enum { REQUESTS = 1000 };
    static char text[REQUESTS * 64];
    size_t len = 0;
    char number[16];

    if (!begin()) return;
    for (unsigned i = 0; i < REQUESTS; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "GET /echo?%u HTTP/1.1\r\n" HOST "\r\n", i);
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send_bytes(fd, text, len);
    for (unsigned i = 0; i < REQUESTS; i++) {
        cr_assert_eq(client_receive(fd, &answer, false), 200);
        snprintf(number, sizeof number, "%u", i);
        cr_assert_str_eq(answer.body, number);
    }
    close(fd);
    fixture_close(&fixture);
}

Test(server, H19_takes_a_request_byte_by_byte)
{
    static const char text[] = "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                               "GET /hello HTTP/1.1\r\n" HOST "\r\n";

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    for (size_t i = 0; text[i] != '\0'; i++)
        client_send_bytes(fd, text + i, 1);
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    close(fd);
    fixture_close(&fixture);
}

Test(server, H17_H20_does_not_read_on_after_close)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                         "GET /hello HTTP/1.1\r\n" HOST "\r\n"),
                 200);
    cr_assert_not_null(strstr(answer.head, "Connection: close\r\n"));
    cr_assert(client_sees_end(fd));
    cr_assert_eq(atomic_load(&handled), 1);
    close(fd);
    fixture_close(&fixture);
}

Test(server, T4_closes_without_an_answer_what_looks_like_tls)
{
    static const uint8_t hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send_bytes(fd, hello, sizeof hello);
    cr_assert(client_sees_end(fd));
    close(fd);
    cr_assert_eq(metric_get(&fixture.metrics, METRIC_TLS_ON_PLAIN), 1, "and the log says so");
    fixture_close(&fixture);
}

Test(server, answers_broken_framing_and_closes)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]), otlp = client_open(fixture.port[ROLE_OTLP]);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
    cr_assert(client_sees_end(fd));
    cr_assert_eq(ask(otlp, "POST /v1/traces HTTP/1.1\r\n\r\n"), 400);
    cr_assert_not_null(strstr(answer.head, "Content-Type: application/x-protobuf\r\n"),
                       "a Status on the OTLP port");
    cr_assert_eq(answer.body[0], 0x08);
    cr_assert_eq(answer.body[1], 3);
    cr_assert(client_sees_end(otlp));
    cr_assert_eq(metric_get(&fixture.metrics, METRIC_HTTP_REFUSED), 2);
    close(fd);
    close(otlp);
    fixture_close(&fixture);
}

Test(server, drops_the_body_of_a_route_that_takes_none)
{
    static char body[65537];

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    memset(body, 'b', sizeof body);
    client_send(fd, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n");
    client_send_bytes(fd, body, 65536);
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    client_send(fd, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n");
    client_send_bytes(fd, body, 65537);
    cr_assert_eq(client_receive(fd, &answer, false), 413);
    cr_assert(client_sees_end(fd));
    close(fd);
    fixture_close(&fixture);
}

Test(server, refuses_an_endless_chunked_body)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 70; i++) {
        static char chunk[1024 + 8];
        memset(chunk, 'c', sizeof chunk);
        memcpy(chunk, "400\r\n", 5);
        memcpy(chunk + 5 + 1024, "\r\n", 2);
        client_send_bytes(fd, chunk, 5 + 1024 + 2);
    }
    cr_assert_eq(client_receive(fd, &answer, false), 413);
    close(fd);
    fixture_close(&fixture);
}

Test(server, H18_judges_before_it_lets_a_body_come)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]), never = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "POST /hello HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    cr_assert_eq(client_receive(fd, &answer, true), 100);
    client_send(fd, "abc");
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    client_send(never, "POST /never HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    cr_assert_eq(client_receive(never, &answer, false), 503);
    cr_assert(client_sees_end(never));
    close(fd);
    close(never);
    fixture_close(&fixture);
}

Test(server, keeps_the_connection_of_an_overloaded_answer_and_reads_past_its_body)
{
    static char body[100000];

    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "POST /never HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    /* judge only runs for bodies that a route may have; /never takes none beyond 64 KiB */
    cr_assert_eq(client_receive(fd, &answer, false), 413);
    cr_assert(client_sees_end(fd));
    close(fd);
    const int other = client_open(fixture.port[ROLE_QUERY]);
    client_send(other, "POST /never HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    cr_assert_eq(client_receive(other, &answer, false), 503);
    client_send_bytes(other, body, 60000);
    cr_assert_eq(ask(other, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    close(other);
    fixture_close(&fixture);
}

/* ---- deferred answers -----------------------------------------------------------------------------------
 */

static void complete_with(const char *text)
{
    const struct http1_header header = {.name = "X-Test", .value = slice_text("later")};

    exchange_complete(&ticket, 200, "text/plain", &header, 1, strdup(text), strlen(text));
}

Test(server, delivers_the_answer_of_another_thread)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    cr_assert_not(exchange_cancelled(&ticket));
    complete_with("at last");
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_assert_str_eq(answer.body, "at last");
    cr_assert_not_null(strstr(answer.head, "X-Test: later\r\n"));
    cr_assert_eq(client_receive(fd, &answer, false), 200, "and then the pipelined one");
    cr_assert_str_eq(answer.body, "hello");
    close(fd);
    fixture_close(&fixture);
}

Test(server, Q7_tells_the_worker_that_the_client_has_left)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    const uint64_t begin_ms = milliseconds_now();
    close(fd);
    cr_assert(wait_until(exchange_cancelled(&ticket)));
    cr_assert_lt(milliseconds_now() - begin_ms, 1000);
    complete_with("for nobody");
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    fixture_close(&fixture);
}

Test(server, a_late_answer_never_reaches_the_next_connection_in_the_slot)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    const struct exchange_ticket old = ticket;
    close(fd);
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    atomic_store(&deferred, false);
    const int next = client_open(fixture.port[ROLE_QUERY]);
    client_send(next, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    cr_assert_eq(old.conn, ticket.conn, "the same slot, or the test shows nothing");
    exchange_complete(&old, 200, "text/plain", NULL, 0, strdup("old"), 3);
    complete_with("new");
    cr_assert_eq(client_receive(next, &answer, false), 200);
    cr_assert_str_eq(answer.body, "new");
    close(next);
    fixture_close(&fixture);
}

static void complete_last(void)
{
    complete_with("perhaps");
}

Test(server, letters_left_at_the_end_are_freed)
{
    if (!begin()) return;
    fixture.at_end = complete_last;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    fixture_close(&fixture);
    close(fd);
}

Test(server, sends_a_large_answer_to_a_reader_that_takes_its_time)
{
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /large HTTP/1.1\r\n" HOST "\r\n");
    usleep(50000); /* let the socket's buffers fill */
    cr_assert_eq(client_receive(fd, &answer, false), 200);
    cr_assert_eq(answer.content_length, LARGE_BYTES);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    close(fd);
    fixture_close(&fixture);
}

/* ---- deadlines and caps ---------------------------------------------------------------------------------
 */

static void shorten(uint64_t ns)
{
    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.limits.head_ns_max = ns;
    fixture.limits.idle_ns_max = ns;
    fixture.limits.body_grace_ns = ns;
    fixture.limits.stall_ns_max = ns;
}

Test(server, S1_closes_a_slow_head_without_an_answer)
{
    shorten(300000000);
    if (!begin()) return;
    const int silent = client_open(fixture.port[ROLE_QUERY]), slow = client_open(fixture.port[ROLE_QUERY]);
    const uint64_t begin_ms = milliseconds_now();
    client_send(slow, "GET /hello HT");
    cr_assert(client_sees_end(silent));
    cr_assert(client_sees_end(slow));
    cr_assert_geq(milliseconds_now() - begin_ms, 290);
    cr_assert_lt(milliseconds_now() - begin_ms, 5000);
    cr_assert_eq(metric_get(&fixture.metrics, METRIC_CONNS_TIMED_OUT), 2);
    close(silent);
    close(slow);
    fixture_close(&fixture);
}

Test(server, S1_a_head_that_trickles_in_is_not_given_more_time)
{
    shorten(500000000);
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    const uint64_t begin_ms = milliseconds_now();
    static const char head[] = "GET /hello HTTP/1.1\r\nX: ";
    size_t at = 0;
    while (milliseconds_now() - begin_ms < 3000 &&
           atomic_load(&fixture.metrics.value[METRIC_CONNS_TIMED_OUT]) == 0) {
        client_send_bytes(fd, at < sizeof head - 1 ? &head[at] : "x", 1);
        at++;
        usleep(20000);
    }
    cr_assert_lt(milliseconds_now() - begin_ms, 2500);
    cr_assert(client_sees_end(fd));
    close(fd);
    fixture_close(&fixture);
}

Test(server, S2_S4_cuts_a_slow_body_without_an_answer)
{
    shorten(300000000);
    if (!begin()) return;
    const int never = client_open(fixture.port[ROLE_QUERY]), slow = client_open(fixture.port[ROLE_QUERY]);
    client_send(never, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    client_send(slow, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\nabc");
    cr_assert(client_sees_end(never));
    cr_assert(client_sees_end(slow));
    close(never);
    close(slow);
    fixture_close(&fixture);
}

Test(server, closes_idle_connections_in_order)
{
    shorten(300000000);
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert(client_sees_end(fd));
    cr_assert_eq(metric_get(&fixture.metrics, METRIC_CONNS_TIMED_OUT), 0, "that is no fault of the client");
    close(fd);
    fixture_close(&fixture);
}

Test(server, S5_resets_a_client_that_does_not_read_its_answer)
{
    shorten(400000000);
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    client_send(fd, "GET /large HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(metric_get(&fixture.metrics, METRIC_CONNS_TIMED_OUT) == 1));
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    close(fd);
    fixture_close(&fixture);
}

Test(server, S6_closes_the_oldest_idle_connection_when_full_and_never_one_at_work)
{
    int fds[6];

    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.limits.conns_max = 4;
    if (!begin()) return;
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = client_open(fixture.port[ROLE_QUERY]);
        if (i > 0) cr_assert_eq(ask(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    }
    client_send(fds[0], "GET /later HTTP/1.1\r\n" HOST "\r\n"); /* the oldest is at work */
    cr_assert(wait_until(atomic_load(&deferred)));
    fds[4] = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fds[4], "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert(client_sees_end(fds[1]), "the oldest of the idle ones");
    complete_with("still there");
    cr_assert_eq(client_receive(fds[0], &answer, false), 200);
    cr_assert_eq(ask(fds[2], "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    for (unsigned i = 0; i < 5; i++)
        close(fds[i]);
    fixture_close(&fixture);
}

Test(server, S6_slow_heads_do_not_keep_others_out)
{
    int slow[3], fd, busy;

    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.limits.conns_max = 4;
    if (!begin()) return;
    for (unsigned i = 0; i < 3; i++) {
        slow[i] = client_open(fixture.port[ROLE_QUERY]);
        client_send(slow[i], "GET /hello HTTP/1.1\r\nX: ");
    }
    busy = client_open(fixture.port[ROLE_QUERY]);
    for (unsigned i = 0; i < 3; i++) /* the heads have been seen by then */
        cr_assert_eq(ask(busy, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    client_send(busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert(client_sees_end(slow[0]), "the one whose head began first");
    complete_with("still there");
    cr_assert_eq(client_receive(busy, &answer, false), 200);
    for (unsigned i = 0; i < 3; i++)
        close(slow[i]);
    close(busy);
    close(fd);
    fixture_close(&fixture);
}

Test(server, S6_caps_the_connections_of_one_source)
{
    int fds[4];

    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.limits.conns_per_source_max = 3;
    if (!begin()) return;
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = client_open(fixture.port[ROLE_QUERY]);
        cr_assert_eq(ask(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    }
    fds[3] = client_open(fixture.port[ROLE_QUERY]);
    cr_assert(client_sees_end(fds[3]));
    cr_assert_eq(metric_get(&fixture.metrics, METRIC_CONNS_REFUSED), 1);
    close(fds[0]);
    cr_assert(wait_until(atomic_load(&fixture.conns) == 2));
    close(fds[3]);
    fds[0] = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fds[0], "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200, "a place is free again");
    for (unsigned i = 0; i < 3; i++)
        close(fds[i]);
    fixture_close(&fixture);
}

Test(server, closes_in_order_after_the_last_request_allowed)
{
    fixture_init(&fixture, routes, sizeof routes / sizeof *routes);
    fixture.limits.requests_per_conn_max = 2;
    if (!begin()) return;
    const int fd = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert_null(strstr(answer.head, "Connection: close"));
    cr_assert_eq(ask(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    cr_assert_not_null(strstr(answer.head, "Connection: close\r\n"));
    cr_assert(client_sees_end(fd));
    close(fd);
    fixture_close(&fixture);
}

Test(server, X4_receives_go_on_when_more_connections_than_buffers_have_input)
{
    enum { CLIENTS = 60 }; /* the fixture's ring has 16 buffers */
    int fds[CLIENTS];

    if (!begin()) return;
    for (unsigned i = 0; i < CLIENTS; i++)
        fds[i] = client_open(fixture.port[ROLE_QUERY]);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            client_send(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        for (unsigned i = 0; i < CLIENTS; i++)
            cr_assert_eq(client_receive(fds[i], &answer, false), 200);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i]);
    fixture_close(&fixture);
}

/* A ticket is owed an end. */
static void complete_if_deferred(void)
{
    if (!atomic_load(&deferred)) return;
    complete_with("x");
    atomic_store(&deferred, false);
}

Test(server, S7_gives_every_slot_back)
{
    if (!begin()) return;
    for (unsigned i = 0; i < 500; i++) {
        const int fd = client_open(fixture.port[ROLE_QUERY]);
        const struct linger now = {.l_onoff = 1, .l_linger = 0};
        if (i % 3 == 0) client_send(fd, "GET /hello HTTP/1.1\r\n");
        if (i % 3 == 1) client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
        if (i % 2 == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        complete_if_deferred();
    }
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    complete_if_deferred();
    fixture_close(&fixture);
}

/* ---- stopping -------------------------------------------------------------------------------------------
 */

Test(server, U1_drains_idle_connections_at_once_and_finishes_what_is_in_work)
{
    if (!begin()) return;
    const int idle = client_open(fixture.port[ROLE_QUERY]), busy = client_open(fixture.port[ROLE_QUERY]);
    const int half = client_open(fixture.port[ROLE_QUERY]);
    cr_assert_eq(ask(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), 200);
    client_send(half, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    client_send(busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    cr_assert(wait_until(atomic_load(&deferred)));
    usleep(20000); /* the half request arrives */
    atomic_store(&fixture.draining, true);
    io_wake(atomic_load(&fixture.io));
    cr_assert(client_sees_end(idle));
    cr_assert_eq(client_receive(half, &answer, false), 503);
    cr_assert_not(atomic_load(&fixture.idle));
    complete_with("done");
    cr_assert_eq(client_receive(busy, &answer, false), 200);
    cr_assert_not_null(strstr(answer.head, "Connection: close\r\n"));
    cr_assert(client_sees_end(busy));
    cr_assert(wait_until(atomic_load(&fixture.idle)));
    close(idle);
    close(busy);
    close(half);
    fixture_close(&fixture);
}
