/*
 * The messages of OTLP answers, in protobuf and in JSON: google.rpc.Status for what failed, ExportTraceServiceResponse with
 * partial_success for what was stored in part (opentelemetry/proto/collector/trace/v1,
 * google/rpc/status.proto).
 */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include "server/exchange.h"

enum { STATUS_BYTES_MAX = 1024 };

/* google.rpc.Status{code = 1, message = 2}; the message is shortened to fit. Returns the length. */
size_t status_encode(int code, const char *message, uint8_t out[STATUS_BYTES_MAX]);
/* google.rpc.RetryInfo{retry_delay = 1 {seconds = 1}} */
size_t retry_info_encode(unsigned seconds, uint8_t out[STATUS_BYTES_MAX]);
/* Status with details = 3 {type_url = 1, value = 2}: a RetryInfo. */
size_t status_encode_retry(int code, const char *message, unsigned seconds, uint8_t out[STATUS_BYTES_MAX]);
/* {partial_success = 1 {rejected_spans = 1, error_message = 2}} */
size_t partial_success_encode(uint64_t rejected_spans, const char *message, uint8_t out[STATUS_BYTES_MAX]);

/* The same two in JSON: {"code":..,"message":".."} and {"partialSuccess":{"rejectedSpans":"..","errorMessage":".."}} */
size_t status_encode_json(int code, const char *message, uint8_t out[STATUS_BYTES_MAX]);
size_t partial_success_encode_json(uint64_t rejected_spans, const char *message,
                                   uint8_t out[STATUS_BYTES_MAX]);

/* One of the two, with the google.rpc.Code that belongs to the HTTP status. */
size_t status_encode_for(int http_status, bool json, const char *message, uint8_t out[STATUS_BYTES_MAX]);

/*
 * Answers, in the encoding of the request, with a Status whose code belongs to the HTTP status; 503 carries Retry-After with jitter, so that
 * clients do not come back all at once.
 */
void status_answer(struct exchange *exchange, int http_status, const char *message);
/* The same, with a Retry-After of its own; 0: none. */
void status_answer_with(struct exchange *exchange, int http_status, const char *message,
                        unsigned retry_after_s);
/* The same for a request that the shard has not seen: counts it as refused or malformed. */
void status_refuse(struct exchange *exchange, int http_status, const char *message);

#endif
