/*
 * A gRPC call from its head to its answer.
 *
 * The head is judged, cheapest first: who calls (gate.c), size, method of HTTP, content type, encoding, timeout, name of what is
 * called, and whether that would take anything now. The prefix of the message tells its size: judged before
 * memory is taken. The message is collected where the journal writes bodies from (intake.c), at the end of
 * the request the method has it.
 *
 * A refusal may come at any of these steps (call_answer.c); what is still on the way is dropped then.
 *
 * A call that the client has reset keeps its slot, and its memory, as long as the shard works on it: however
 * fast streams come and go, a connection has at most HTTP2_STREAMS_MAX calls.
 *
 * On the listener for OTLP over HTTP a request whose content type is not gRPC's is one of plain HTTP: judged and answered
 * in call_http.c, its body is the message.
 */
#include "call.h"

#include "base/clock.h"
#include "conn.h"
#include "export.h"
#include "intake.h"

#include <strings.h>

static const uint64_t CALL_NS_MAX = 60 * NS_PER_S; /* without grpc-timeout, or with a longer one */

/* Times the largest body: what messages on their way may hold of one connection. */
enum { CONN_BODIES = 2 };

static const struct grpc_method *const methods[] = {&otlp_grpc_export, &health_check};

/* ---- the head -------------------------------------------------------------------------------------------
 */

static const struct grpc_method *find_method(struct slice path)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_is(path, methods[i]->path)) return methods[i];
    return NULL;
}

bool call_has_one_host(const struct http2_head *head)
{
    unsigned hosts;
    const struct slice host = http2_find_field(head, "host", &hosts);
    const struct slice authority = http2_find_field(head, ":authority", NULL);

    if (hosts == 0 || authority.ptr == NULL) return hosts <= 1;
    return hosts == 1 && host.len == authority.len &&
           strncasecmp((const char *)host.ptr, (const char *)authority.ptr, host.len) == 0;
}

struct slice call_path(const struct http2_head *head)
{
    const struct slice path = head->path;
    const uint8_t *const question = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;

    return question != NULL ? slice_of(path.ptr, (size_t)(question - path.ptr)) : path;
}

static bool judge_http(struct call *call, const struct http2_head *head)
{
    if (head->too_large)
        call_refuse_http(call, "431", GRPC_RESOURCE_EXHAUSTED, "the head has more than 64 fields or 16 KiB");
    else if (!call_has_one_host(head))
        call_refuse_http(call, "400", GRPC_INVALID_ARGUMENT, "host and :authority are not the same");
    else if (!slice_is(head->method, "POST"))
        call_refuse_http(call, "405", GRPC_UNIMPLEMENTED, "the method of a call is POST");
    else if (!grpc_is_content_type(http2_find_field(head, "content-type", NULL)))
        call_refuse_http(
            call, "415", GRPC_INVALID_ARGUMENT,
            "content-type: not supported; this port speaks gRPC with protobuf, application/grpc");
    return !call->answered;
}

static bool judge_encoding(struct call *call, const struct http2_head *head)
{
    unsigned count;

    const struct slice encoding = http2_find_field(head, "grpc-encoding", &count);
    if (count <= 1 && export_codec(encoding, &call->codec)) return true;
    call_refuse_for_good(
        call, GRPC_UNIMPLEMENTED,
        "grpc-encoding: not supported; one of identity, gzip, deflate, zstd and snappy, once");
    return false;
}

static bool judge_timeout(struct call *call, const struct http2_head *head)
{
    unsigned count;
    uint64_t ns = CALL_NS_MAX;

    const struct slice timeout = http2_find_field(head, "grpc-timeout", &count);
    if (count > 1 || (count == 1 && !grpc_timeout(timeout, &ns))) {
        call_refuse_for_good(call, GRPC_INTERNAL,
                             "grpc-timeout: not 1 to 8 digits and one of H, M, S, m, u, n");
        return false;
    }
    call->end_ns = call->begin_ns + (ns < CALL_NS_MAX ? ns : CALL_NS_MAX);
    return true;
}

static bool judge_method(struct call *call, const struct http2_head *head)
{
    call->method = find_method(head->path);
    if (call->method == NULL) {
        call_refuse_for_good(call, GRPC_UNIMPLEMENTED, "no such service or method here");
        return false;
    }
    const enum err err = call->method->admit != NULL ? call->method->admit(call) : OK;
    if (err != OK) call_refuse_unseen(call, err, err_text(err));
    return err == OK;
}

static void set_deadline(struct call *call)
{
    const uint64_t body_ns = intake_deadline_ns(&call->conn->server->config.limits, call->begin_ns,
                                                call->bytes);

    call->deadline_ns = !call->complete && body_ns < call->end_ns ? body_ns : call->end_ns;
    conn_grpc_wait_until(call->conn, call->deadline_ns);
}

static bool judge(struct call *call, const struct http2_head *head)
{
    return judge_http(call, head) && judge_encoding(call, head) && judge_timeout(call, head) &&
           judge_method(call, head);
}

static bool judge_plain(struct call *call, const struct http2_head *head)
{
    call->method = &call_http_export;
    call->end_ns = call->begin_ns + CALL_NS_MAX;
    return call_http_judge(call, head);
}

static void *on_request(void *context, int32_t id, const struct http2_head *head)
{
    struct conn *const conn = context;
    struct call *const call = call_take(conn, id);

    if (call == NULL) return NULL;
    conn_grpc_on_call(conn);
    call->begin_ns = io_now_ns(conn->server->io);
    call->plain = conn->role == ROLE_OTLP &&
                  !grpc_is_content_type(http2_find_field(head, "content-type", NULL));
    if (call->plain) call_http_begin(call, head);
    if (call->answered || !gate_call(call, head)) return call;
    if (call->plain ? judge_plain(call, head) : judge(call, head)) set_deadline(call);
    return call;
}

/* ---- the message ----------------------------------------------------------------------------------------
 */

static uint64_t message_bytes_max(const struct call *call)
{
    return call->method->takes_any_size ? call->conn->server->config.limits.body_bytes_max
                                        : CALL_MESSAGE_SMALL;
}

static bool may_hold_more(const struct conn *conn)
{
    return conn->calls_held_bytes <= CONN_BODIES * conn->server->config.limits.body_bytes_max;
}

static void refuse_for_memory(struct call *call)
{
    call_refuse_unseen(call, ERR_FULL, "no memory for the message at the moment, try again later");
}

static void begin_message(struct call *call)
{
    if (!may_hold_more(call->conn) ||
        !intake_begin(call->conn->server->config.shard, call->message.len, &call->body))
        refuse_for_memory(call);
    else
        call_hold(call->conn, 0, call->body.capacity);
}

static const char too_large[] = "the message is larger than the limit of this server";

static void on_prefix(struct call *call)
{
    const struct grpc_message *const message = &call->message;

    if (message->compressed && call->codec == JOURNAL_CODEC_NONE) {
        call_refuse_for_good(call, GRPC_INTERNAL, "a compressed message without grpc-encoding");
        return;
    }
    if (!message->compressed) call->codec = JOURNAL_CODEC_NONE;
    if (message->len > message_bytes_max(call)) {
        call_refuse_for_good(call, GRPC_RESOURCE_EXHAUSTED, too_large);
        return;
    }
    if (message->len > 0) begin_message(call);
}

static void append(struct call *call, struct slice bytes)
{
    struct shard_body *const body = &call->body;
    const uint64_t before = body->capacity;

    if (body->len + bytes.len > before && !may_hold_more(call->conn)) {
        refuse_for_memory(call);
        return;
    }
    if (!intake_make_room(call->conn->server->config.shard, body, bytes.len, call->message.len)) {
        refuse_for_memory(call);
        return;
    }
    call_hold(call->conn, before, body->capacity);
    memcpy(body->ptr + body->len, bytes.ptr, bytes.len);
    body->len += bytes.len;
}

/* All of a plain body is the message. */
static void take_plain(struct call *call, struct slice bytes)
{
    if (call->answered || bytes.len == 0) return;
    if (call->bytes > message_bytes_max(call)) {
        call_refuse_for_good(call, GRPC_RESOURCE_EXHAUSTED, too_large);
        return;
    }
    if (call->body.ptr == NULL) begin_message(call);
    if (!call->answered) append(call, bytes);
}

static void on_body(void *stream, struct slice input)
{
    struct call *const call = stream;
    struct slice bytes;

    call->bytes += input.len;
    if (!call->answered) metric_add(call->conn->server->metrics, METRIC_RECEIVED_BYTES, input.len);
    if (call->plain) {
        take_plain(call, input);
        return;
    }
    while (!call->answered) {
        switch (grpc_message_take(&call->message, &input, &bytes)) {
        case GRPC_NEED_MORE: return;
        case GRPC_PREFIX: on_prefix(call); break;
        case GRPC_BYTES: append(call, bytes); break;
        case GRPC_REFUSED: call_refuse_for_good(call, GRPC_INTERNAL, call->message.refusal); break;
        }
    }
}

struct slice call_message(const struct call *call)
{
    return slice_of(call->body.ptr, call->body.len);
}

static void on_end(void *stream)
{
    struct call *const call = stream;

    if (call->answered) return;
    const char *const why = call->plain ? NULL : grpc_message_end(&call->message);
    if (why != NULL) {
        call_refuse_for_good(call, GRPC_INTERNAL, why);
        return;
    }
    call_hold(call->conn, call->body.capacity, 0);
    call->complete = true;
    set_deadline(call);
    call->method->handle(call);
    assert(call->answered || call->ingesting);
}

/* ---- the shard ------------------------------------------------------------------------------------------
 */

static void on_ingested(struct shard_ingest *ingest)
{
    struct call *const call = container_of(ingest, struct call, ingest);
    struct conn *const conn = call->conn;

    assert(call->ingesting && conn->calls_ingesting > 0);

    call->ingesting = false;
    conn->calls_ingesting--;
    if (!call->answered && !call->closed)
        call->done(call);
    else
        call_release_body(call);
    if (!call->closed) return;
    call_give(call);
    if (conn->stage == CONN_CLOSING) conn_join(conn);
}

void call_ingest(struct call *call, void (*done)(struct call *call))
{
    call->done = done;
    call->ingesting = true;
    call->conn->calls_ingesting++;
    call->ingest.body = &call->body;
    call->ingest.codec = call->codec;
    call->ingest.content_type = call->json ? JOURNAL_CONTENT_JSON : JOURNAL_CONTENT_PROTOBUF;
    call->ingest.done = on_ingested;
    shard_ingest(call->conn->server->config.shard, &call->ingest);
}

/* ---- the end --------------------------------------------------------------------------------------------
 */

static void on_closed(void *stream)
{
    struct call *const call = stream;

    call->closed = true;
    if (!call->ingesting) call_give(call);
}

const struct http2_handler call_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_end = on_end,
    .on_closed = on_closed,
};

bool call_on_deadline(struct call *call, uint64_t now_ns)
{
    if (call->closed) return true;
    if (!call->answered) set_deadline(call); /* more may have come meanwhile */
    if (call->deadline_ns > now_ns) return true;
    if (call->answered) return false;
    call_refuse_overdue(call);
    return true;
}

void calls_abandon(struct conn *conn)
{
    struct call *next;

    for (struct call *call = conn->calls; call != NULL; call = next) {
        next = call->next;
        call->closed = true;
        if (!call->ingesting) call_give(call);
    }
}

void calls_refuse_unfinished(struct conn *conn)
{
    for (struct call *call = conn->calls; call != NULL; call = call->next)
        if (!call->answered && !call->complete && !call->closed)
            call_refuse_unseen(call, ERR_CLOSING, err_text(ERR_CLOSING));
}
