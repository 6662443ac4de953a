/*
 * OTLP over gRPC: TraceService/Export (OTLP 1.11, "OTLP/gRPC"). The message goes the way of an HTTP body:
 * decoded, journaled, and answered OK when every accepted span is durable and visible. The trailer
 * spanmill-position carries "<shard>-<lsn>".
 *
 * Whether the shard takes anything is asked before the message comes. What can never be accepted is
 * INVALID_ARGUMENT or RESOURCE_EXHAUSTED, the latter without a time to retry, because clients take that for
 * an overload; our own trouble is always UNAVAILABLE with one.
 */
#include "call.h"
#include "conn.h"
#include "export.h"

static enum err admit(struct call *call)
{
    return shard_admits(call->conn->server->config.shard);
}

static void on_done(struct call *call)
{
    const struct shard_ingest *const ingest = &call->ingest;
    uint8_t response[STATUS_BYTES_MAX];
    char text[EXPORT_TEXT_MAX], position[EXPORT_POSITION_MAX];

    if (ingest->err != OK) {
        const enum err err = export_failure(ingest, text);
        call_refuse(call, (enum grpc_code)err_rpc_code(err), text);
        return;
    }
    const bool journaled = export_position(ingest, shard_index(call->conn->server->config.shard), position);
    const size_t len = export_response(ingest, response);
    call_answer(call, slice_of(response, len), journaled ? position : NULL);
}

static void handle(struct call *call)
{
    if (call_message(call).len > 0)
        call_ingest(call, on_done);
    else if (!call->message.compressed)
        call_answer(call, slice_text(""), NULL);
    else
        call_refuse_unseen(call, ERR_MALFORMED,
                           "grpc-encoding: the message ends at byte 0, before the header");
}

const struct grpc_method otlp_grpc_export = {
    .path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    .takes_any_size = true,
    .admit = admit,
    .handle = handle,
};
