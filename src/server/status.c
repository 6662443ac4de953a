/*
 * Writes the small messages that OTLP answers consist of, in protobuf and in JSON.
 */
#include "status.h"

#include "codec/json.h"
#include "codec/wire.h"
#include "conn.h"

#include <stdio.h>

enum { MESSAGE_BYTES_MAX = 900 }; /* leaves room for tags, lengths and code */

/* How much of a message is kept: not more than len, and not a part of a character. */
static size_t whole_characters(const char *text, size_t len)
{
    while (len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static void put_text(struct wire_writer *writer, uint32_t number, const char *text)
{
    size_t len = strlen(text);

    len = whole_characters(text, len > MESSAGE_BYTES_MAX ? MESSAGE_BYTES_MAX : len);
    wire_put(writer, text, len);
    wire_put_varint(writer, len);
    wire_put_tag(writer, number, WIRE_BYTES);
}

/* The writer fills its buffer from the end. */
static size_t to_front(const struct wire_writer *writer, uint8_t *out)
{
    const struct slice bytes = wire_writer_bytes(writer);

    assert(wire_writer_fits(writer));
    memmove(out, bytes.ptr, bytes.len);
    return bytes.len;
}

static void put_code_and_message(struct wire_writer *writer, int code, const char *message)
{
    put_text(writer, 2, message);
    wire_put_varint_field(writer, 1, (uint64_t)code);
}

size_t status_encode(int code, const char *message, uint8_t out[STATUS_BYTES_MAX])
{
    struct wire_writer writer = {.base = out, .capacity = STATUS_BYTES_MAX};

    put_code_and_message(&writer, code, message);
    return to_front(&writer, out);
}

static void put_retry_info(struct wire_writer *writer, unsigned seconds)
{
    const size_t mark = writer->len;

    wire_put_varint_field(writer, 1, seconds);
    wire_close_message(writer, 1, mark);
}

size_t retry_info_encode(unsigned seconds, uint8_t out[STATUS_BYTES_MAX])
{
    struct wire_writer writer = {.base = out, .capacity = STATUS_BYTES_MAX};

    put_retry_info(&writer, seconds);
    return to_front(&writer, out);
}

size_t status_encode_retry(int code, const char *message, unsigned seconds, uint8_t out[STATUS_BYTES_MAX])
{
    struct wire_writer writer = {.base = out, .capacity = STATUS_BYTES_MAX};

    put_retry_info(&writer, seconds);
    wire_close_message(&writer, 2, 0);
    wire_put_bytes_field(&writer, 1, slice_text("type.googleapis.com/google.rpc.RetryInfo"));
    wire_close_message(&writer, 3, 0);
    put_code_and_message(&writer, code, message);
    return to_front(&writer, out);
}

size_t partial_success_encode(uint64_t rejected_spans, const char *message, uint8_t out[STATUS_BYTES_MAX])
{
    struct wire_writer writer = {.base = out, .capacity = STATUS_BYTES_MAX};

    if (message[0] != '\0') put_text(&writer, 2, message);
    if (rejected_spans > 0) {
        wire_put_varint(&writer, rejected_spans);
        wire_put_tag(&writer, 1, WIRE_VARINT);
    }
    wire_put_varint(&writer, writer.len);
    wire_put_tag(&writer, 1, WIRE_BYTES);
    return to_front(&writer, out);
}

/* Escapes may make a text longer: it is shortened until it fits. */
typedef void members_fn(struct json *json, uint64_t number, struct slice message);

static size_t encode_json(members_fn *put_members, uint64_t number, const char *message, uint8_t *out)
{
    for (size_t len = strlen(message);; len = whole_characters(message, len / 4 * 3)) {
        struct json json;
        json_init(&json, out, STATUS_BYTES_MAX, NULL, NULL);
        json_object_begin(&json);
        put_members(&json, number, slice_of(message, len));
        json_object_end(&json);
        if (json_finish(&json) == OK) return json.len;
        assert(len > 0);
    }
}

static void put_status(struct json *json, uint64_t code, struct slice message)
{
    json_key(json, "code");
    json_uint(json, code);
    json_key(json, "message");
    json_string(json, message);
}

size_t status_encode_json(int code, const char *message, uint8_t out[STATUS_BYTES_MAX])
{
    return encode_json(put_status, (uint64_t)code, message, out);
}

static void put_partial_success(struct json *json, uint64_t rejected_spans, struct slice message)
{
    json_key(json, "partialSuccess");
    json_object_begin(json);
    json_key(json, "rejectedSpans");
    json_uint_quoted(json, rejected_spans);
    json_key(json, "errorMessage");
    json_string(json, message);
    json_object_end(json);
}

size_t partial_success_encode_json(uint64_t rejected_spans, const char *message,
                                   uint8_t out[STATUS_BYTES_MAX])
{
    return encode_json(put_partial_success, rejected_spans, message, out);
}

/* google.rpc.Code */
static int rpc_code(int http_status)
{
    switch (http_status) {
    case 401: return 16; /* UNAUTHENTICATED */
    case 403: return 7;  /* PERMISSION_DENIED */
    case 404: return 12; /* UNIMPLEMENTED */
    case 413:
    case 429: return 8; /* RESOURCE_EXHAUSTED */
    case 501:
    case 505: return 12;
    case 503: return 14; /* UNAVAILABLE */
    case 504: return 4;  /* DEADLINE_EXCEEDED */
    default: return 3;   /* INVALID_ARGUMENT */
    }
}

size_t status_encode_for(int http_status, bool json, const char *message, uint8_t out[STATUS_BYTES_MAX])
{
    return (json ? status_encode_json : status_encode)(rpc_code(http_status), message, out);
}

void status_answer_with(struct exchange *exchange, int http_status, const char *message,
                        unsigned retry_after_s)
{
    struct conn *const conn = container_of(exchange, struct conn, exchange);
    uint8_t body[STATUS_BYTES_MAX];
    char seconds[12];

    snprintf(seconds, sizeof seconds, "%u", retry_after_s);
    const struct http1_header header = {.name = "Retry-After", .value = slice_text(seconds)};
    if (conn->role == ROLE_ZIPKIN) {
        conn_answer(conn, http_status, "text/plain", &header, retry_after_s > 0, slice_text(message), NULL);
        return;
    }
    const size_t len = status_encode_for(http_status, exchange->json, message, body);
    conn_answer(conn, http_status, exchange->json ? "application/json" : "application/x-protobuf", &header,
                retry_after_s > 0, slice_of(body, len), NULL);
}

void status_answer(struct exchange *exchange, int http_status, const char *message)
{
    struct conn *const conn = container_of(exchange, struct conn, exchange);
    const bool retry = http_status == 503 || http_status == 429;

    status_answer_with(exchange, http_status, message, retry ? server_retry_after_s(conn->server) : 0);
}

void status_refuse(struct exchange *exchange, int http_status, const char *message)
{
    struct metrics *const metrics = container_of(exchange, struct conn, exchange)->server->metrics;

    metric_add(metrics, http_status >= 500 ? METRIC_REQUESTS_REFUSED : METRIC_REQUESTS_MALFORMED, 1);
    status_answer(exchange, http_status, message);
}
