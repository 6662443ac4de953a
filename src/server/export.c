/*
 * The words of an export request's outcome, the same for every protocol that carries it.
 */
#include "export.h"

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

size_t export_response(const struct shard_ingest *ingest, uint8_t out[STATUS_BYTES_MAX])
{
    const struct otlp_result *const result = &ingest->result;
    const bool json = ingest->content_type == JOURNAL_CONTENT_JSON;
    char message[EXPORT_TEXT_MAX];

    if (result->rejected == 0 && json) memcpy(out, "{}", 2);
    if (result->rejected == 0) return json ? 2 : 0;
    snprintf(message, sizeof message,
             "%s at byte %" PRIu64 " of the body (the first of %" PRIu32 " rejected spans)",
             result->rejection.reason != NULL ? result->rejection.reason : "invalid span",
             result->rejection.offset, result->rejected);
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
