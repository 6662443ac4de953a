/*
 * A gRPC call from its head to its answer.
 *
 * The head is judged, cheapest first: size, method of HTTP, content type, encoding, timeout, name of what is
 * called, and whether that would take anything now. The prefix of the message tells its size: judged before
 * memory is taken. The message is collected where the journal writes bodies from (intake.c), at the end of
 * the request the method has it.
 *
 * Answers. What HTTP itself forbids is an HTTP status; everything else is 200 with a grpc-status, in trailers
 * behind a response, or in the head when there is none. An answer may come before the request has ended; the
 * engine resets the rest, what is still on the way is dropped here.
 *
 * A call that the client has reset keeps its slot, and its memory, as long as the shard works on it: however
 * fast streams come and go, a connection has at most HTTP2_STREAMS_MAX calls.
 */
#include "call.h"

#include "base/clock.h"
#include "codec/base64.h"
#include "conn.h"
#include "export.h"
#include "intake.h"
#include "status.h"

#include <stdio.h>

static const uint64_t CALL_NS_MAX = 60 * NS_PER_S; /* without grpc-timeout, or with a longer one */

enum {
    TEXT_BYTES_MAX = 2700, /* of grpc-message, percent-encoded: head and trailers stay below 8 KiB */
    CONN_BODIES = 2,       /* times the largest body: what messages on their way may hold of one connection */
};

static const struct grpc_method *const methods[] = {&otlp_grpc_export, &health_check};

/* ---- slots ----------------------------------------------------------------------------------------------
 */

enum err call_pool_open(struct call_pool *pool, unsigned count)
{
    *pool = (struct call_pool){.count = count, .free_first = CONN_NONE};
    if (count == 0) return OK;
    pool->calls = io_memory(count * sizeof *pool->calls);
    if (pool->calls == NULL) return ERR_NO_MEMORY;
    for (unsigned i = count; i-- > 0;) {
        pool->calls[i].free_next = pool->free_first;
        pool->free_first = (int32_t)i;
    }
    return OK;
}

void call_pool_close(struct call_pool *pool)
{
    if (pool->calls != NULL) io_memory_free(pool->calls, pool->count * sizeof *pool->calls);
}

static struct call *call_take(struct conn *conn, int32_t id)
{
    struct call_pool *const pool = &conn->server->calls;

    if (pool->free_first == CONN_NONE || conn->calls_count == HTTP2_STREAMS_MAX) return NULL;
    struct call *const call = &pool->calls[pool->free_first];
    pool->free_first = call->free_next;
    *call = (struct call){.conn = conn, .id = id, .next = conn->calls};
    if (call->next != NULL) call->next->previous = call;
    conn->calls = call;
    conn->calls_count++;
    return call;
}

/* Bytes of the connection's messages that are still on their way. */
static void hold(struct conn *conn, uint64_t before, uint64_t after)
{
    conn->calls_held_bytes = conn->calls_held_bytes - before + after;
}

static void release_body(struct call *call)
{
    if (call->body.ptr == NULL) return;
    if (!call->ingesting && !call->complete) hold(call->conn, call->body.capacity, 0);
    shard_body_release(call->conn->server->config.shard, &call->body);
    call->body = (struct shard_body){0};
}

static void call_give(struct call *call)
{
    struct conn *const conn = call->conn;
    struct call_pool *const pool = &conn->server->calls;

    assert(!call->ingesting);

    release_body(call);
    if (call->next != NULL) call->next->previous = call->previous;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        conn->calls = call->next;
    conn->calls_count--;
    call->conn = NULL;
    call->free_next = pool->free_first;
    pool->free_first = (int32_t)(call - pool->calls);
    if (conn->stage != CONN_CLOSING) conn_grpc_rest(conn);
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

static struct http2_field field(const char *name, struct slice value)
{
    return (struct http2_field){.name = slice_text(name), .value = value};
}

static const char content_type[] = "application/grpc", encodings[] = "identity,gzip,deflate";

static void reply_with(struct call *call, const struct http2_field *head, size_t head_count,
                       struct slice body, const struct http2_field *trailers, size_t trailers_count)
{
    struct conn *const conn = call->conn;

    assert(!call->answered && !call->closed);

    call->answered = true;
    if (!call->ingesting) release_body(call);
    metric_add(conn->server->metrics, METRIC_GRPC_CALLS, 1);
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
    reply_with(call, head, 3, slice_of(body, GRPC_PREFIX_BYTES + response.len), trailers,
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
    size_t count = 0;

    snprintf(number, sizeof number, "%d", (int)code);
    const size_t len = grpc_write_text(slice_text(text), message, sizeof message);
    head[count++] = field(":status", slice_text(http_status));
    head[count++] = field("content-type", slice_text(content_type));
    head[count++] = field("grpc-status", slice_text(number));
    head[count++] = field("grpc-message", slice_of(message, len));
    head[count++] = field("grpc-accept-encoding", slice_text(encodings));
    if (code == GRPC_UNAVAILABLE) count += put_retry(call, code, text, head + count, memory);
    reply_with(call, head, count, slice_text(""), NULL, 0);
}

void call_refuse(struct call *call, enum grpc_code code, const char *text)
{
    refuse_with(call, "200", code, text);
}

static void count_refusal(const struct call *call, bool ours)
{
    metric_add(call->conn->server->metrics, ours ? METRIC_REQUESTS_REFUSED : METRIC_REQUESTS_MALFORMED, 1);
}

/* What the client must not send again. */
static void refuse_for_good(struct call *call, enum grpc_code code, const char *text)
{
    count_refusal(call, false);
    call_refuse(call, code, text);
}

static void refuse_http(struct call *call, const char *http_status, enum grpc_code code, const char *text)
{
    count_refusal(call, false);
    refuse_with(call, http_status, code, text);
}

void call_refuse_unseen(struct call *call, enum err err, const char *text)
{
    count_refusal(call, err_http_status(err) >= 500);
    call_refuse(call, (enum grpc_code)err_rpc_code(err), text);
}

/* ---- the head -------------------------------------------------------------------------------------------
 */

static const struct grpc_method *find_method(struct slice path)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (slice_is(path, methods[i]->path)) return methods[i];
    return NULL;
}

static bool judge_http(struct call *call, const struct http2_head *head)
{
    if (head->too_large)
        refuse_http(call, "431", GRPC_RESOURCE_EXHAUSTED, "the head has more than 64 fields or 16 KiB");
    else if (!slice_is(head->method, "POST"))
        refuse_http(call, "405", GRPC_UNIMPLEMENTED, "the method of a call is POST");
    else if (!grpc_is_content_type(http2_find_field(head, "content-type", NULL)))
        refuse_http(call, "415", GRPC_INVALID_ARGUMENT,
                    "content-type: not supported; this port speaks gRPC with protobuf, application/grpc");
    return !call->answered;
}

static bool judge_encoding(struct call *call, const struct http2_head *head)
{
    unsigned count;

    const struct slice encoding = http2_find_field(head, "grpc-encoding", &count);
    if (count <= 1 && export_codec(encoding, &call->codec)) return true;
    refuse_for_good(call, GRPC_UNIMPLEMENTED,
                    "grpc-encoding: not supported; one of identity, gzip and deflate, once");
    return false;
}

static bool judge_timeout(struct call *call, const struct http2_head *head)
{
    unsigned count;
    uint64_t ns = CALL_NS_MAX;

    const struct slice timeout = http2_find_field(head, "grpc-timeout", &count);
    if (count > 1 || (count == 1 && !grpc_timeout(timeout, &ns))) {
        refuse_for_good(call, GRPC_INTERNAL, "grpc-timeout: not 1 to 8 digits and one of H, M, S, m, u, n");
        return false;
    }
    call->end_ns = call->begin_ns + (ns < CALL_NS_MAX ? ns : CALL_NS_MAX);
    return true;
}

static bool judge_method(struct call *call, const struct http2_head *head)
{
    call->method = find_method(head->path);
    if (call->method == NULL) {
        refuse_for_good(call, GRPC_UNIMPLEMENTED, "no such service or method here");
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

static void *on_request(void *context, int32_t id, const struct http2_head *head)
{
    struct conn *const conn = context;
    struct call *const call = call_take(conn, id);

    if (call == NULL) return NULL;
    conn_grpc_on_call(conn);
    call->begin_ns = io_now_ns(conn->server->io);
    if (judge_http(call, head) && judge_encoding(call, head) && judge_timeout(call, head) &&
        judge_method(call, head))
        set_deadline(call);
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

static void on_prefix(struct call *call)
{
    const struct grpc_message *const message = &call->message;

    if (message->compressed && call->codec == JOURNAL_CODEC_NONE) {
        refuse_for_good(call, GRPC_INTERNAL, "a compressed message without grpc-encoding");
        return;
    }
    if (!message->compressed) call->codec = JOURNAL_CODEC_NONE;
    if (message->len > message_bytes_max(call)) {
        refuse_for_good(call, GRPC_RESOURCE_EXHAUSTED, "the message is larger than the limit of this server");
        return;
    }
    if (message->len == 0) return;
    if (!may_hold_more(call->conn) ||
        !intake_begin(call->conn->server->config.shard, message->len, &call->body))
        refuse_for_memory(call);
    else
        hold(call->conn, 0, call->body.capacity);
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
    hold(call->conn, before, body->capacity);
    memcpy(body->ptr + body->len, bytes.ptr, bytes.len);
    body->len += bytes.len;
}

static void on_body(void *stream, struct slice input)
{
    struct call *const call = stream;
    struct slice bytes;

    call->bytes += input.len;
    if (!call->answered) metric_add(call->conn->server->metrics, METRIC_RECEIVED_BYTES, input.len);
    while (!call->answered) {
        switch (grpc_message_take(&call->message, &input, &bytes)) {
        case GRPC_NEED_MORE: return;
        case GRPC_PREFIX: on_prefix(call); break;
        case GRPC_BYTES: append(call, bytes); break;
        case GRPC_REFUSED: refuse_for_good(call, GRPC_INTERNAL, call->message.refusal); break;
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
    const char *const why = grpc_message_end(&call->message);
    if (why != NULL) {
        refuse_for_good(call, GRPC_INTERNAL, why);
        return;
    }
    hold(call->conn, call->body.capacity, 0);
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
        release_body(call);
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

static void on_overdue(struct call *call)
{
    count_refusal(call, true);
    call_refuse(call, GRPC_DEADLINE_EXCEEDED,
                call->complete ? "not durable in time; it may be stored all the same"
                               : "the message did not come in time");
}

bool call_on_deadline(struct call *call, uint64_t now_ns)
{
    if (call->closed) return true;
    if (!call->answered) set_deadline(call); /* more may have come meanwhile */
    if (call->deadline_ns > now_ns) return true;
    if (call->answered) return false;
    on_overdue(call);
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
