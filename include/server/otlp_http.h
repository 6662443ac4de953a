/*
 * OTLP over HTTP: POST /v1/traces with application/x-protobuf or application/json, plain or compressed (OTLP 1.11,
 * "OTLP/HTTP"). 200 is sent when every accepted span is durable and visible; header spanmill-position carries
 * "<shard>-<lsn>". The route is that of HTTP/1.1; over HTTP/2 a server with a shard serves the same path by itself.
 */
#ifndef SERVER_OTLP_HTTP_H
#define SERVER_OTLP_HTTP_H

#include "server/exchange.h"

enum { OTLP_HTTP_ROUTES = 1 };
/* Fills in OTLP_HTTP_ROUTES rows. body_bytes_max: as received; it lives as long as the routes. */
void otlp_http_routes(const uint64_t *body_bytes_max, struct route *out);

#endif
