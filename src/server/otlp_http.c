/*
 * OTLP/HTTP: judges the head of an export request, hands its body to the shard, and words the answer.
 *
 * Judged at the end of the head, cheapest first, before a byte of the body is kept: content type (415),
 * content encoding (400), size (413), whether the shard takes anything at all (503). After the body: spans
 * durable and visible are 200, with an empty body or with the spans that can never be accepted
 * (partial_success); what cannot be decoded is 400, naming message, field and byte; our own trouble is always
 * 503 with Retry-After, because clients drop the data on anything else.
 *
 * The request is protobuf or JSON, and all its answers are what it is. Their content type is exactly
 * "application/x-protobuf" or "application/json": the Collector compares it literally.
 */
#include "server/otlp_http.h"

#include "conn.h"
#include "export.h"
#include "status.h"

#include <strings.h>

static const char protobuf_type[] = "application/x-protobuf", json_type[] = "application/json";

static bool begins_with(struct slice text, const char *prefix)
{
    const size_t len = strlen(prefix);

    return text.len >= len && strncasecmp((const char *)text.ptr, prefix, len) == 0;
}

/*
 * RFC 8259 8.1: JSON between systems is UTF-8. A charset that says something else is believed, and refused. Parameters
 * of a media type: RFC 9110 5.6.6.
 */
static bool is_utf8(struct slice content_type)
{
    static const char charset[] = "charset=", quoted[] = "\"utf-8\"";

    for (size_t at = 0; at < content_type.len; at++) {
        if (content_type.ptr[at] != ';') continue;
        size_t name = at + 1;
        while (name < content_type.len && (content_type.ptr[name] == ' ' || content_type.ptr[name] == '\t'))
            name++;
        struct slice value = slice_of(content_type.ptr + name, content_type.len - name);
        if (!begins_with(value, charset)) continue;
        value = slice_of(value.ptr + strlen(charset), value.len - strlen(charset));
        const bool plain = begins_with(value, "utf-8") &&
                           (value.len == 5 || (value.ptr[5] == ';' || value.ptr[5] == ' '));
        if (!plain && !begins_with(value, quoted)) return false;
    }
    return true;
}

static bool is_json(struct slice content_type)
{
    return http1_media_type_is(content_type, json_type) && is_utf8(content_type);
}

const char *export_type(bool json)
{
    return json ? json_type : protobuf_type;
}

struct export_verdict export_judge(const struct export_head *head, uint64_t body_bytes_max,
                                   struct shard *shard)
{
    const bool json = is_json(head->content_type);

    if (!json && !http1_media_type_is(head->content_type, protobuf_type))
        return (struct export_verdict){
            .status = 415,
            .text = "415 unsupported media type, supported: [application/x-protobuf, application/json]"};
    struct export_verdict verdict = export_judge_body(head, body_bytes_max, shard);
    verdict.json = json;
    return verdict;
}

const char *export_empty(bool json, uint8_t codec)
{
    if (codec != JOURNAL_CODEC_NONE) return "content-encoding: the body ends at byte 0, before the header";
    return json ? "JSON: ends too early at byte 0 of the body" : NULL;
}

static void refuse_media_type(struct exchange *exchange, const char *text)
{
    struct conn *const conn = container_of(exchange, struct conn, exchange);

    metric_add(conn->server->metrics, METRIC_REQUESTS_MALFORMED, 1);
    exchange_answer(exchange, 415, "text/plain", NULL, 0, slice_text(text));
}

static void judge(struct exchange *exchange, void *context)
{
    const uint64_t *const body_bytes_max = context;
    const struct export_head head = export_head_of(exchange_request(exchange));

    const struct export_verdict verdict = export_judge(&head, *body_bytes_max, exchange_shard(exchange));
    exchange->json = verdict.json;
    if (verdict.status == 415)
        refuse_media_type(exchange, verdict.text);
    else if (verdict.status != 200)
        status_refuse(exchange, verdict.status, verdict.text);
}

/* ---- the answer -----------------------------------------------------------------------------------------
 */

static void answer_stored(struct conn *conn)
{
    uint8_t body[STATUS_BYTES_MAX];
    char position[EXPORT_POSITION_MAX];

    const size_t len = export_response(&conn->ingest, body);
    const bool journaled = export_position(&conn->ingest, shard_index(conn->server->config.shard), position);
    const struct http1_header header = {.name = "spanmill-position", .value = slice_text(position)};
    exchange_answer(&conn->exchange, 200, export_type(conn->exchange.json), &header, journaled,
                    slice_of(body, len));
}

static void on_ingested(struct shard_ingest *ingest)
{
    struct conn *const conn = export_stored(ingest);

    if (conn != NULL) answer_stored(conn);
}

static void handle_empty(struct exchange *exchange)
{
    const struct slice encoding = exchange_request(exchange)->content_encoding;
    uint8_t codec = JOURNAL_CODEC_NONE;
    const bool known = export_codec(encoding, &codec);
    assert(known); /* judged */
    const char *const why = export_empty(exchange->json, codec);

    if (why != NULL)
        status_refuse(exchange, 400, why);
    else
        exchange_answer(exchange, 200, protobuf_type, NULL, 0, slice_text(""));
}

static void handle(struct exchange *exchange, void *context)
{
    struct conn *const conn = container_of(exchange, struct conn, exchange);

    (void)context;
    if (conn->body.len == 0)
        handle_empty(exchange);
    else
        export_ingest(conn, exchange->json ? JOURNAL_CONTENT_JSON : JOURNAL_CONTENT_PROTOBUF, on_ingested);
}

void otlp_http_routes(const uint64_t *body_bytes_max, struct route *out)
{
    out[0] = (struct route){
        .role = ROLE_OTLP,
        .method = HTTP1_POST,
        .path = "/v1/traces",
        .streams_body = true,
        .judge = judge,
        .handle = handle,
        .context = (void *)(uintptr_t)body_bytes_max,
    };
}
