/*
 * From the end of a head to its handler: host, route, method and size are judged before a byte of the body is
 * kept, and the route's own judge() has the last word. A request that is refused here is answered at once;
 * conn_answer.c decides whether its body is worth reading to keep the connection.
 *
 * A request whose framing is broken is answered with the engine's words and is the connection's last.
 */
#include "conn.h"
#include "status.h"

#include <stdio.h>

static void answer_text(struct conn *conn, int status, const char *text, const char *allow)
{
    const struct http1_header header = {.name = "Allow", .value = slice_text(allow != NULL ? allow : "")};

    conn_answer(conn, status, "text/plain", &header, allow != NULL, slice_text(text), NULL);
}

static void answer_not_allowed(struct conn *conn, struct slice path)
{
    char allow[64], text[128], list[64];

    route_allow(conn->server, conn->role, path, allow, sizeof allow);
    route_allow(conn->server, conn->role, path, list, sizeof list);
    snprintf(text, sizeof text, "405 method not allowed, supported: [%s]", list);
    answer_text(conn, 405, text, allow);
}

/* A door for spans: whoever reaches it may send, under any name of this host. */
static bool takes_spans(enum listener_role role)
{
    return role == ROLE_OTLP || role == ROLE_ZIPKIN;
}

/* Answers and returns NULL when the request has no route here. */
static const struct route *judge_route(struct conn *conn)
{
    const struct http1_request *const request = &conn->http1.request;
    bool path_known = false;

    if (!takes_spans(conn->role) && !route_host_allowed(conn->server, request->host)) {
        answer_text(conn, 421,
                    "421 this host name is not allowed here; use an IP address, or configure hosts", NULL);
        return NULL;
    }
    if (!gate_conn(conn)) return NULL; /* unknown paths, too: who may not come in learns nothing */
    const struct route *const route = route_find(conn->server, conn->role, request, &path_known);
    if (route == NULL && path_known)
        answer_not_allowed(conn, request->path);
    else if (route == NULL)
        answer_text(conn, 404, "404 not found", NULL);
    return route;
}

/* A browser asks whether a page may send what it wants to send. True: it is answered. */
static bool answer_preflight(struct conn *conn)
{
    const struct http1_request *const request = &conn->http1.request;
    struct http1_header headers[CORS_PREFLIGHT_FIELDS_MAX];
    char methods[64];

    if (request->method != HTTP1_OPTIONS || !cors_is_configured(conn->server, conn->role) ||
        request->origin.len == 0 || http1_find_field(&conn->http1, "access-control-request-method").len == 0)
        return false;
    route_allow(conn->server, conn->role, request->path, methods, sizeof methods);
    if (methods[0] == '\0') return false;
    const struct slice asked = http1_find_field(&conn->http1, "access-control-request-headers");
    const bool allowed = conn->exchange.origin.len > 0;
    const size_t count = allowed ? cors_preflight_fields(slice_text(methods), asked, headers) : 0;
    conn_answer(conn, 204, NULL, headers, count, slice_text(""), NULL);
    return true;
}

static bool has_body(const struct http1_request *request)
{
    return request->chunked || request->content_length > 0;
}

void conn_on_head(struct conn *conn)
{
    struct server *const server = conn->server;
    const struct http1_request *const request = &conn->http1.request;
    struct exchange *const exchange = &conn->exchange;

    assert(conn->stage == CONN_HEAD);

    conn->requests++;
    *exchange = (struct exchange){
        .keep_alive = request->keep_alive && !server->draining &&
                      conn->requests < server->config.limits.requests_per_conn_max,
        .head_only = request->method == HTTP1_HEAD_METHOD,
    };
    conn_enter(conn, CONN_BODY);
    conn->body_begin_ns = io_now_ns(server->io);
    conn->body_bytes = 0;
    conn_body_deadline(conn);

    if (cors_allows(server, conn->role, request->origin)) exchange->origin = request->origin;
    if (answer_preflight(conn)) return;
    exchange->route = judge_route(conn);
    if (exchange->route == NULL) return;
    if (!exchange->route->streams_body && request->content_length > DROP_BYTES_MAX) {
        answer_text(conn, 413,
                    exchange->route->small_body_max > 0 ? "413 the body is larger than this path takes"
                                                        : "413 this path takes no body",
                    NULL);
        return;
    }
    if (exchange->route->judge != NULL) exchange->route->judge(exchange, exchange->route->context);
    if (!exchange->answered && exchange->route->streams_body && has_body(request)) conn_body_begin(conn);
    if (!exchange->answered && request->expect_continue) conn_send_continue(conn);
}

void conn_on_end(struct conn *conn)
{
    struct exchange *const exchange = &conn->exchange;

    exchange->complete = true;
    if (conn->stage == CONN_DISCARDING) {
        conn_rest(conn);
        return;
    }
    assert(conn->stage == CONN_BODY && !exchange->answered);
    conn_enter(conn, CONN_WORKING);
    conn_deadline(conn, UINT64_MAX);
    exchange->route->handle(exchange, exchange->route->context);
    assert(exchange->answered || exchange->deferred || conn->ingesting || conn->stage != CONN_WORKING);
}

void conn_on_refused(struct conn *conn, const struct http1_event *event)
{
    struct server *const server = conn->server;

    if (event->http2 && conn->role == ROLE_OTLP && conn->requests == 0) {
        conn_grpc_begin(conn);
        return;
    }
    metric_add(server->metrics, METRIC_HTTP_REFUSED, 1);
    if (event->status == 0 || conn->stage == CONN_DISCARDING) {
        conn_close(conn, false);
        return;
    }
    if (conn->stage == CONN_HEAD) conn->exchange = (struct exchange){0};
    conn->exchange.keep_alive = false;
    conn_body_release(conn);
    if (event->status == 405)
        answer_text(conn, 405, event->reason, takes_spans(conn->role) ? "POST" : "GET, HEAD, POST");
    else if (takes_spans(conn->role))
        status_refuse(&conn->exchange, event->status, event->reason);
    else
        answer_text(conn, event->status, event->reason, NULL);
}

void conn_refuse_closing(struct conn *conn)
{
    conn->exchange.keep_alive = false;
    conn_body_release(conn);
    if (takes_spans(conn->role))
        status_refuse(&conn->exchange, 503, "shutting down");
    else
        answer_text(conn, 503, "503 shutting down", NULL);
}
