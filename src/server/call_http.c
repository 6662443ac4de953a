/*
 * A request of plain HTTP on a connection that speaks HTTP/2: POST /v1/traces, as otlp_http.c has it for HTTP/1.1. It is a
 * call without the prefix of gRPC: slots, memory, deadlines and the way through the shard are those of call.c; here are its
 * judging and its words. Other paths are 404, other methods 405, and a preflight of a browser is answered (cors.c).
 *
 * A body that does not come in time is answered 504, for which clients try again; HTTP/1.1 has to cut the connection.
 */
#include "call.h"
#include "conn.h"
#include "cors.h"
#include "export.h"

#include <stdio.h>

static const char traces_path[] = "/v1/traces";

enum { OWN_FIELDS_MAX = 4 }; /* :status, content-type, nosniff, and one of the answer's own */
static_assert(OWN_FIELDS_MAX + CORS_FIELDS_MAX <= HTTP2_ANSWER_FIELDS_MAX, "an answer fits its head");
static_assert(1 + CORS_FIELDS_MAX + CORS_PREFLIGHT_FIELDS_MAX <= HTTP2_ANSWER_FIELDS_MAX,
              "so does a preflight's");

static struct http2_field field(const char *name, struct slice value)
{
    return (struct http2_field){.name = slice_text(name), .value = value};
}

static size_t put_headers(const struct http1_header *headers, size_t count, struct http2_field *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = field(headers[i].name, headers[i].value);
    return count;
}

/* The fields that let a browser's page see the answer, if it may. */
static size_t put_cors(const struct call *call, struct http2_field *out)
{
    struct http1_header headers[CORS_FIELDS_MAX];

    if (call->origin[0] == '\0') return 0;
    return put_headers(headers, cors_fields(call->conn->server, slice_text(call->origin), headers), out);
}

/* more: one field of the answer's own, or NULL. */
static void answer(struct call *call, int status, const char *type, const struct http2_field *more,
                   struct slice body)
{
    struct http2_field head[HTTP2_ANSWER_FIELDS_MAX];
    char number[12];
    size_t count = 0;

    snprintf(number, sizeof number, "%d", status);
    head[count++] = field(":status", slice_text(number));
    head[count++] = field("content-type", slice_text(type));
    head[count++] = field("x-content-type-options", slice_text("nosniff"));
    if (more != NULL) head[count++] = *more;
    count += put_cors(call, head + count);
    call_reply(call, head, count, call->head_only ? slice_text("") : body, NULL, 0);
}

static void answer_text(struct call *call, int status, const char *text, const struct http2_field *more)
{
    answer(call, status, "text/plain", more, slice_text(text));
}

void call_http_refuse_as(struct call *call, int status, const char *text, unsigned retry_after_s)
{
    uint8_t body[STATUS_BYTES_MAX];
    char seconds[12];

    snprintf(seconds, sizeof seconds, "%u", retry_after_s);
    const struct http2_field retry = field("retry-after", slice_text(seconds));
    const struct http2_field ask = field("www-authenticate", slice_text("Bearer"));
    const size_t len = status_encode_for(status, call->json, text, body);
    answer(call, status, export_type(call->json),
           status == 401       ? &ask
           : retry_after_s > 0 ? &retry
                               : NULL,
           slice_of(body, len));
}

static void answer_status(struct call *call, int status, const char *text)
{
    const bool retry = status == 503 || status == 429;

    call_http_refuse_as(call, status, text, retry ? server_retry_after_s(call->conn->server) : 0);
}

static int http_status_of(enum grpc_code code)
{
    switch (code) { /* no default: a new code needs its status here */
    case GRPC_INVALID_ARGUMENT: return 400;
    case GRPC_UNAUTHENTICATED: return 401;
    case GRPC_PERMISSION_DENIED: return 403;
    case GRPC_NOT_FOUND:
    case GRPC_UNIMPLEMENTED: return 404;
    case GRPC_RESOURCE_EXHAUSTED: return 413;
    case GRPC_INTERNAL: return 500;
    case GRPC_UNAVAILABLE: return 503;
    case GRPC_DEADLINE_EXCEEDED: return 504;
    case GRPC_OK: break;
    }
    unreachable("a refusal with an outcome that is none");
}

void call_http_refuse(struct call *call, enum grpc_code code, const char *text)
{
    answer_status(call, http_status_of(code), text);
}

/* ---- the head -------------------------------------------------------------------------------------------
 */

static void keep_origin(struct call *call, const struct http2_head *head)
{
    unsigned count;
    const struct slice origin = http2_find_field(head, "origin", &count);

    if (count != 1 || !cors_allows(call->conn->server, call->conn->role, origin)) return;
    memcpy(call->origin, origin.ptr, origin.len);
    call->origin[origin.len] = '\0';
}

static bool is_preflight(const struct call *call, const struct http2_head *head)
{
    return slice_is(head->method, "OPTIONS") && cors_is_configured(call->conn->server, call->conn->role) &&
           http2_find_field(head, "origin", NULL).len > 0 &&
           http2_find_field(head, "access-control-request-method", NULL).len > 0;
}

static void answer_preflight(struct call *call, const struct http2_head *head)
{
    struct http1_header headers[CORS_PREFLIGHT_FIELDS_MAX];
    struct http2_field fields[HTTP2_ANSWER_FIELDS_MAX] = {field(":status", slice_text("204"))};
    size_t count = 1;

    count += put_cors(call, fields + count);
    if (count > 1)
        count += put_headers(
            headers,
            cors_preflight_fields(slice_text("POST"),
                                  http2_find_field(head, "access-control-request-headers", NULL), headers),
            fields + count);
    call_reply(call, fields, count, slice_text(""), NULL, 0);
}

/* Before anything else is judged: a browser asks without whatever else it has been given. */
void call_http_begin(struct call *call, const struct http2_head *head)
{
    call->head_only = slice_is(head->method, "HEAD");
    keep_origin(call, head);
    if (!head->too_large && is_preflight(call, head) && slice_is(call_path(head), traces_path))
        answer_preflight(call, head);
}

static bool judge_http(struct call *call, const struct http2_head *head)
{
    const struct http2_field allow = field("allow", slice_text("POST"));

    if (head->too_large) {
        answer_status(call, 431, "the head has more than 64 fields or 16 KiB");
    } else if (!call_has_one_host(head)) {
        answer_status(call, 400, "host and :authority are not the same");
    } else if (!slice_is(call_path(head), traces_path)) {
        answer_text(call, 404, "404 not found", NULL);
    } else if (!slice_is(head->method, "POST")) {
        answer_text(call, 405, "405 method not allowed, supported: [POST]", &allow);
    }
    return !call->answered;
}

/* nghttp2 has seen to it that these are digits, and that as many bytes come. */
static uint64_t content_length(const struct http2_head *head)
{
    const struct slice text = http2_find_field(head, "content-length", NULL);
    uint64_t length = 0;

    for (size_t i = 0; i < text.len; i++)
        if (__builtin_mul_overflow(length, 10, &length) ||
            __builtin_add_overflow(length, (uint64_t)(text.ptr[i] - '0'), &length))
            return UINT64_MAX;
    return length;
}

bool call_http_judge(struct call *call, const struct http2_head *head)
{
    struct server *const server = call->conn->server;
    const uint64_t bytes_max = server->config.limits.body_bytes_max;
    struct export_head export = {
        .content_type = http2_find_field(head, "content-type", NULL),
        .content_length = content_length(head),
    };

    if (!judge_http(call, head)) return false;
    export.content_encoding = http2_find_field(head, "content-encoding", &export.content_encoding_count);
    const struct export_verdict verdict = export_judge(&export, bytes_max, server->config.shard);
    call->json = verdict.json;
    call->codec = verdict.codec;
    call->message.len = (uint32_t)(export.content_length > 0 ? export.content_length : bytes_max);
    if (verdict.status == 200) return true;
    metric_add(server->metrics, verdict.status >= 500 ? METRIC_REQUESTS_REFUSED : METRIC_REQUESTS_MALFORMED,
               1);
    if (verdict.status == 415)
        answer_text(call, 415, verdict.text, NULL);
    else
        answer_status(call, verdict.status, verdict.text);
    return false;
}

/* ---- the outcome ----------------------------------------------------------------------------------------
 */

static void on_done(struct call *call)
{
    const struct shard_ingest *const ingest = &call->ingest;
    uint8_t body[STATUS_BYTES_MAX];
    char text[EXPORT_TEXT_MAX], position[EXPORT_POSITION_MAX];

    if (ingest->err != OK) {
        const enum err err = export_failure(ingest, text);
        answer_status(call, err_http_status(err), text);
        return;
    }
    const bool journaled = export_position(ingest, shard_index(call->conn->server->config.shard), position);
    const struct http2_field header = field("spanmill-position", slice_text(position));
    const size_t len = export_response(ingest, body);
    answer(call, 200, export_type(call->json), journaled ? &header : NULL, slice_of(body, len));
}

static void handle(struct call *call)
{
    if (call_message(call).len > 0) {
        call_ingest(call, on_done);
        return;
    }
    const char *const why = export_empty(call->json, call->codec);
    if (why == NULL)
        answer(call, 200, export_type(false), NULL, slice_text(""));
    else
        call_refuse_unseen(call, ERR_MALFORMED, why);
}

const struct grpc_method call_http_export = {.path = traces_path, .takes_any_size = true, .handle = handle};
