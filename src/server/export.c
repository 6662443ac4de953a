/*
 * The words of an export request's outcome, the same for every protocol that carries it.
 */
#include "export.h"

#include "conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

static bool is_encoding(struct slice encoding, const char *name)
{
    return encoding.len == strlen(name) &&
           (encoding.len == 0 || strncasecmp((const char *)encoding.ptr, name, encoding.len) == 0);
}

bool export_codec(struct slice encoding, uint8_t *out)
{
    if (encoding.len == 0 || is_encoding(encoding, "identity"))
        *out = JOURNAL_CODEC_NONE;
    else if (is_encoding(encoding, "gzip"))
        *out = JOURNAL_CODEC_GZIP;
    else if (is_encoding(encoding, "deflate") || is_encoding(encoding, "zlib"))
        *out = JOURNAL_CODEC_ZLIB; /* RFC 9110 8.4.1.2: deflate means the zlib format */
    else if (is_encoding(encoding, "zstd"))
        *out = JOURNAL_CODEC_ZSTD; /* RFC 8878 */
    else if (is_encoding(encoding, "snappy") || is_encoding(encoding, "x-snappy-framed"))
        *out = JOURNAL_CODEC_SNAPPY; /* a block over HTTP, a stream over gRPC; the body tells */
    else
        return false;
    return true;
}

void export_rejection(const struct shard_ingest *ingest, char out[EXPORT_TEXT_MAX])
{
    const struct otlp_result *const result = &ingest->result;

    snprintf(out, EXPORT_TEXT_MAX,
             "%s at byte %" PRIu64 " of the body (the first of %" PRIu32 " rejected spans)",
             result->rejection.reason != NULL ? result->rejection.reason : "invalid span",
             result->rejection.offset, result->rejected);
}

size_t export_response(const struct shard_ingest *ingest, uint8_t out[STATUS_BYTES_MAX])
{
    const struct otlp_result *const result = &ingest->result;
    const bool json = ingest->content_type == JOURNAL_CONTENT_JSON;
    char message[EXPORT_TEXT_MAX];

    if (result->rejected == 0 && json) memcpy(out, "{}", 2);
    if (result->rejected == 0) return json ? 2 : 0;
    export_rejection(ingest, message);
    return (json ? partial_success_encode_json : partial_success_encode)(result->rejected, message, out);
}

bool export_position(const struct shard_ingest *ingest, uint16_t shard, char out[EXPORT_POSITION_MAX])
{
    snprintf(out, EXPORT_POSITION_MAX, "%u-%" PRIu64, (unsigned)shard, ingest->position);
    return ingest->position > 0;
}

enum err export_failure(const struct shard_ingest *ingest, char out[EXPORT_TEXT_MAX])
{
    const struct otlp_fault *const fault = &ingest->result.fault;
    const bool inflated = ingest->codec != JOURNAL_CODEC_NONE;
    const char *const reason = ingest->reason != NULL ? ingest->reason : err_text(ingest->err);
    const bool theirs = ingest->err == ERR_MALFORMED || ingest->err == ERR_TOO_LARGE;

    if (theirs && fault->reason != NULL)
        snprintf(out, EXPORT_TEXT_MAX, "%s at byte %" PRIu64 " of the %s", fault->reason, fault->offset,
                 inflated ? "inflated body" : "body");
    else
        snprintf(out, EXPORT_TEXT_MAX, "%s", reason);
    return theirs ? ingest->err : ERR_FULL;
}

/* ---- over HTTP ------------------------------------------------------------------------------------------- */

struct export_head export_head_of(const struct http1_request *request)
{
    return (struct export_head){
        .content_type = request->content_type,
        .content_encoding = request->content_encoding,
        .content_encoding_count = request->content_encoding_count,
        .content_length = request->content_length,
    };
}

/* False: not one we take, or several. */
static bool find_codec(const struct export_head *head, uint8_t *out)
{
    return head->content_encoding_count <= 1 && export_codec(head->content_encoding, out);
}

struct export_verdict export_judge_body(const struct export_head *head, uint64_t body_bytes_max,
                                        struct shard *shard)
{
    struct export_verdict verdict = {0};

    if (!find_codec(head, &verdict.codec)) {
        verdict.status = 400;
        verdict.text =
            "content-encoding: not supported; one of gzip, deflate, zlib, zstd, snappy, x-snappy-framed and "
            "identity, on one line";
    } else if (head->content_length > body_bytes_max) {
        verdict.status = 413;
        verdict.text = "content-length: larger than the limit of this server";
    } else {
        const enum err admitted = shard_admits(shard);
        verdict.status = admitted == OK ? 200 : 503;
        verdict.text = admitted == OK ? NULL : err_text(admitted);
    }
    return verdict;
}

/* ---- over HTTP/1.1 ----------------------------------------------------------------------------------------- */

void export_ingest(struct conn *conn, uint8_t content_type, void (*done)(struct shard_ingest *ingest))
{
    uint8_t codec = JOURNAL_CODEC_NONE;
    const struct export_head head = export_head_of(&conn->http1.request);
    const bool known = find_codec(&head, &codec);
    assert(known); /* judged */

    conn->ingesting = true;
    conn->ingest.body = &conn->body;
    conn->ingest.codec = codec;
    conn->ingest.content_type = content_type;
    conn->ingest.done = done;
    shard_ingest(conn->server->config.shard, &conn->ingest);
}

struct conn *export_stored(struct shard_ingest *ingest)
{
    struct conn *const conn = container_of(ingest, struct conn, ingest);
    char message[EXPORT_TEXT_MAX];

    assert(conn->ingesting);

    conn->ingesting = false;
    if (conn->stage == CONN_CLOSING) {
        conn_join(conn);
        return NULL;
    }
    if (ingest->err == OK) return conn;
    const enum err err = export_failure(ingest, message);
    status_answer(&conn->exchange, err_http_status(err), message);
    return NULL;
}
