/*
 * grpc.health.v1.Health/Check, for load balancers: SERVING while the shard behind this connection takes
 * spans or would soon again, NOT_SERVING when it is read-only or stops. Known are the whole server ("") and
 * the trace service. Watch is not offered: UNIMPLEMENTED, as the protocol allows, makes clients call Check.
 *
 *   HealthCheckRequest{service = 1 string}    HealthCheckResponse{status = 1: SERVING 1, NOT_SERVING 2}
 */
#include "call.h"
#include "codec/wire.h"
#include "conn.h"

static const char trace_service[] = "opentelemetry.proto.collector.trace.v1.TraceService";

/* The last `service` counts. False: malformed. */
static bool read_service(struct slice message, struct slice *service)
{
    struct wire_reader reader = wire_reader_of(message);
    uint32_t number, type;

    *service = slice_text("");
    while (reader.at < reader.end) {
        if (!wire_tag(&reader, &number, &type)) return false;
        if (number == 1 && type != WIRE_BYTES) return false;
        if (!(number == 1 ? wire_bytes(&reader, service) : wire_skip(&reader, type))) return false;
    }
    return true;
}

static bool is_serving(const struct shard *shard)
{
    const enum err err = shard_admits(shard);

    return err == OK || err == ERR_FULL;
}

static void handle(struct call *call)
{
    const uint8_t response[] = {0x08, is_serving(call->conn->server->config.shard) ? 1 : 2};
    struct slice service;

    if (call->codec != JOURNAL_CODEC_NONE)
        call_refuse(call, GRPC_UNIMPLEMENTED, "grpc-encoding: a health check comes uncompressed");
    else if (!read_service(call_message(call), &service))
        call_refuse(call, GRPC_INVALID_ARGUMENT, "HealthCheckRequest: malformed");
    else if (service.len > 0 && !slice_is(service, trace_service))
        call_refuse(call, GRPC_NOT_FOUND, "HealthCheckRequest.service: unknown");
    else
        call_answer(call, slice_of(response, sizeof response), NULL);
}

const struct grpc_method health_check = {
    .path = "/grpc.health.v1.Health/Check",
    .handle = handle,
};
