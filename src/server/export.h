/*
 * Private to server/: what the doors for spans (OTLP over HTTP, over gRPC, Zipkin) do and say alike: encodings, and the
 * words of a request's outcome.
 */
#ifndef SERVER_EXPORT_H
#define SERVER_EXPORT_H

#include "protocol/http1.h"
#include "shard/shard.h"
#include "status.h"

struct conn;
struct exchange;

enum { EXPORT_TEXT_MAX = 512, EXPORT_POSITION_MAX = 40 };

/* The codec of a content-encoding or grpc-encoding. Absent, empty and identity mean none. False: not ours. */
bool export_codec(struct slice encoding, uint8_t *out);

/* "application/json" or "application/x-protobuf", exactly: the Collector compares it literally. */
const char *export_type(bool json);

/* What the head of an export request over HTTP, of any version, says of the body. */
struct export_head {
    struct slice content_type, content_encoding;
    unsigned content_encoding_count; /* fields of it */
    uint64_t content_length;         /* 0: not told */
};
struct export_verdict {
    int status;       /* 200: let the body come; 415 is answered as text, all others with a Status */
    const char *text; /* of another status; static */
    bool json;
    uint8_t codec;
};
struct export_head export_head_of(const struct http1_request *request);
/* Judges encoding and size, before a byte of the body is kept, and whether the shard takes it now. */
struct export_verdict export_judge_body(const struct export_head *head, uint64_t body_bytes_max,
                                        struct shard *shard);
/* The same for OTLP, content type first (otlp_http.c). */
struct export_verdict export_judge(const struct export_head *head, uint64_t body_bytes_max,
                                   struct shard *shard);
/* No byte of body: NULL, which is an empty request and a success, or why it is none. */
const char *export_empty(bool json, uint8_t codec);

/* "... at byte ... (the first of N rejected spans)"; only when some were rejected. */
void export_rejection(const struct shard_ingest *ingest, char out[EXPORT_TEXT_MAX]);

/*
 * ExportTraceServiceResponse in the encoding of the request: empty when every span was taken ("{}" in JSON), else
 * which were not and why.
 */
size_t export_response(const struct shard_ingest *ingest, uint8_t out[STATUS_BYTES_MAX]);

/* "<shard>-<lsn>": where in the journal it lies. False when nothing was journaled. */
bool export_position(const struct shard_ingest *ingest, uint16_t shard, char out[EXPORT_POSITION_MAX]);

/*
 * Why it failed. ERR_MALFORMED and ERR_TOO_LARGE can never be accepted, what is wrong is told with its byte;
 * everything else is our trouble and comes back as ERR_FULL: try again later.
 */
enum err export_failure(const struct shard_ingest *ingest, char out[EXPORT_TEXT_MAX]);

/* ---- over HTTP/1.1, whatever the body is ---------------------------------------------------------------------- */

/* Hands the body, whose encoding was judged, to the shard. done begins with export_stored(). */
void export_ingest(struct conn *conn, uint8_t content_type, void (*done)(struct shard_ingest *ingest));
/* The connection, to be told that its spans are stored. NULL: it has gone meanwhile, or was told why they are not. */
struct conn *export_stored(struct shard_ingest *ingest);

#endif
