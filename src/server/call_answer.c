/*
 * Answers to calls. What HTTP itself forbids is an HTTP status; everything else is 200 with a grpc-status, in
 * trailers behind a response, or in the head when there is none. An answer may come before the request has
 * ended; the engine resets the rest then.
 *
 * UNAVAILABLE says when to try again, twice: Go and the Collector read it from grpc-status-details-bin, where
 * the code must be that of grpc-status, Python from a field of its own. RESOURCE_EXHAUSTED does not: with it
 * clients would send again what is too large.
 */
#include "call.h"
#include "codec/base64.h"
#include "conn.h"
#include "status.h"

#include <stdio.h>

enum { TEXT_BYTES_MAX = 2700 }; /* of grpc-message, percent-encoded: a head stays below 8 KiB */

static struct http2_field field(const char *name, struct slice value)
{
    return (struct http2_field){.name = slice_text(name), .value = value};
}

static const char content_type[] = "application/grpc", encodings[] = "identity,gzip,deflate,zstd,snappy";

void call_reply(struct call *call, const struct http2_field *head, size_t head_count, struct slice body,
                const struct http2_field *trailers, size_t trailers_count)
{
    struct conn *const conn = call->conn;

    assert(!call->answered && !call->closed);

    call->answered = true;
    if (!call->ingesting) call_release_body(call);
    metric_add(conn->server->metrics, call->plain ? METRIC_HTTP_REQUESTS : METRIC_GRPC_CALLS, 1);
    call->deadline_ns = io_now_ns(conn->server->io) + conn->server->config.limits.stall_ns_max;
    conn_grpc_wait_until(conn, call->deadline_ns);
    http2_answer(conn->http2, call->id, head, head_count, body, trailers, trailers_count);
    conn_grpc_touch(conn);
}

void call_answer(struct call *call, struct slice response, const char *position)
{
    uint8_t body[GRPC_PREFIX_BYTES + STATUS_BYTES_MAX];
    const struct http2_field head[] = {
        field(":status", slice_text("200")),
        field("content-type", slice_text(content_type)),
        field("grpc-accept-encoding", slice_text(encodings)),
    };
    struct http2_field trailers[2] = {field("grpc-status", slice_text("0"))};

    assert(response.len <= STATUS_BYTES_MAX);

    grpc_write_prefix((uint32_t)response.len, body);
    if (response.len > 0) memcpy(body + GRPC_PREFIX_BYTES, response.ptr, response.len);
    if (position != NULL) trailers[1] = field("spanmill-position", slice_text(position));
    call_reply(call, head, 3, slice_of(body, GRPC_PREFIX_BYTES + response.len), trailers,
               1 + (position != NULL));
}

/* The fields that say when to try again: as Go and the Collector read it, and as Python does. */
static size_t put_retry(struct call *call, int code, const char *text, struct http2_field *out, char *memory)
{
    const unsigned seconds = server_retry_after_s(call->conn->server);
    uint8_t bytes[STATUS_BYTES_MAX];

    size_t len = status_encode_retry(code, text, seconds, bytes);
    len = base64_encode(slice_of(bytes, len), memory);
    out[0] = field("grpc-status-details-bin", slice_of(memory, len));
    memory += len;
    len = retry_info_encode(seconds, bytes);
    len = base64_encode(slice_of(bytes, len), memory);
    out[1] = field("google.rpc.retryinfo-bin", slice_of(memory, len));
    return 2;
}

static void refuse_with(struct call *call, const char *http_status, enum grpc_code code, const char *text)
{
    char number[12], message[TEXT_BYTES_MAX], memory[2 * BASE64_LEN(STATUS_BYTES_MAX)];
    struct http2_field head[HTTP2_ANSWER_FIELDS_MAX];
    size_t fields = 0;

    if (call->plain) {
        call_http_refuse(call, code, text);
        return;
    }
    snprintf(number, sizeof number, "%d", (int)code);
    const size_t len = grpc_write_text(slice_text(text), message, sizeof message);
    head[fields++] = field(":status", slice_text(http_status));
    head[fields++] = field("content-type", slice_text(content_type));
    head[fields++] = field("grpc-status", slice_text(number));
    head[fields++] = field("grpc-message", slice_of(message, len));
    head[fields++] = field("grpc-accept-encoding", slice_text(encodings));
    if (code == GRPC_UNAVAILABLE) fields += put_retry(call, code, text, head + fields, memory);
    call_reply(call, head, fields, slice_text(""), NULL, 0);
}

void call_refuse(struct call *call, enum grpc_code code, const char *text)
{
    refuse_with(call, "200", code, text);
}

static void count(const struct call *call, bool ours)
{
    metric_add(call->conn->server->metrics, ours ? METRIC_REQUESTS_REFUSED : METRIC_REQUESTS_MALFORMED, 1);
}

void call_refuse_for_good(struct call *call, enum grpc_code code, const char *text)
{
    count(call, false);
    call_refuse(call, code, text);
}

void call_refuse_http(struct call *call, const char *http_status, enum grpc_code code, const char *text)
{
    count(call, false);
    refuse_with(call, http_status, code, text);
}

void call_refuse_overdue(struct call *call)
{
    count(call, true);
    call_refuse(call, GRPC_DEADLINE_EXCEEDED,
                call->complete ? "not durable in time; it may be stored all the same"
                               : "the message did not come in time");
}

void call_refuse_unseen(struct call *call, enum err err, const char *text)
{
    count(call, err_http_status(err) >= 500);
    call_refuse(call, (enum grpc_code)err_rpc_code(err), text);
}
