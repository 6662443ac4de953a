/*
 * Private to server/: what OTLP over HTTP and OTLP over gRPC say alike about an export request: encodings,
 * and the words of its outcome.
 */
#ifndef SERVER_EXPORT_H
#define SERVER_EXPORT_H

#include "shard/shard.h"
#include "status.h"

enum { EXPORT_TEXT_MAX = 512, EXPORT_POSITION_MAX = 40 };

/* The codec of a content-encoding or grpc-encoding. Absent, empty and identity mean none. False: not ours. */
bool export_codec(struct slice encoding, uint8_t *out);

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

#endif
