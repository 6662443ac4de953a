/*
 * Zipkin over HTTP: judges the head of a post, hands its body to the shard, and words the answer. It goes the way of OTLP/HTTP
 * (otlp_http.c); what differs is what senders expect:
 *
 *   - a content type that is missing or not known means JSON; only protobuf and thrift, which are not read here, are 415. But
 *     a page in a browser must name JSON: anything else it may send to any host without asking that host first (CORS)
 *   - success is 202 without a body, for an empty list, too: senders probe with one
 *   - errors are plain text. Most senders drop their data on any of them, so 503 is for those that do not
 */
#include "server/zipkin_http.h"

#include "conn.h"
#include "export.h"
#include "status.h"

static bool is_other_type(struct slice content_type)
{
    static const char *const types[] = {"application/x-protobuf", "application/protobuf",
                                        "application/x-thrift", "application/vnd.apache.thrift.binary"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (http1_media_type_is(content_type, types[i])) return true;
    return false;
}

/* Browsers tell the origin of a page with every post. */
static bool is_unasked(const struct exchange *exchange)
{
    return exchange_field(exchange, "origin").ptr != NULL &&
           !http1_media_type_is(exchange_request(exchange)->content_type, "application/json");
}

static void judge(struct exchange *exchange, void *context)
{
    const uint64_t *const body_bytes_max = context;
    const struct export_head head = export_head_of(exchange_request(exchange));

    if (is_other_type(head.content_type)) {
        status_refuse(exchange, 415, "content-type: spans are taken as JSON only (application/json)");
        return;
    }
    if (is_unasked(exchange)) {
        status_refuse(exchange, 415, "content-type: from a page it must be application/json");
        return;
    }
    const struct export_verdict verdict = export_judge_body(&head, *body_bytes_max, exchange_shard(exchange));
    if (verdict.status != 200) status_refuse(exchange, verdict.status, verdict.text);
}

static void answer_stored(struct conn *conn)
{
    char text[EXPORT_TEXT_MAX] = "", position[EXPORT_POSITION_MAX];

    if (conn->ingest.result.rejected > 0) export_rejection(&conn->ingest, text);
    const bool journaled = export_position(&conn->ingest, shard_index(conn->server->config.shard), position);
    const struct http1_header header = {.name = "spanmill-position", .value = slice_text(position)};
    exchange_answer(&conn->exchange, 202, text[0] != '\0' ? "text/plain" : NULL, &header, journaled,
                    slice_text(text));
}

static void on_ingested(struct shard_ingest *ingest)
{
    struct conn *const conn = export_stored(ingest);

    if (conn != NULL) answer_stored(conn);
}

static void handle(struct exchange *exchange, void *context)
{
    struct conn *const conn = container_of(exchange, struct conn, exchange);

    (void)context;
    if (conn->body.len == 0)
        status_refuse(exchange, 400, "JSON: ends too early at byte 0 of the body");
    else
        export_ingest(conn, JOURNAL_CONTENT_ZIPKIN, on_ingested);
}

void zipkin_http_routes(const uint64_t *body_bytes_max, struct route *out)
{
    static const char *const paths[ZIPKIN_HTTP_ROUTES] = {"/api/v2/spans", "/api/v2/spans/"};

    for (size_t i = 0; i < ZIPKIN_HTTP_ROUTES; i++)
        out[i] = (struct route){
            .role = ROLE_ZIPKIN,
            .method = HTTP1_POST,
            .path = paths[i],
            .streams_body = true,
            .judge = judge,
            .handle = handle,
            .context = (void *)(uintptr_t)body_bytes_max,
        };
}
