/*
 * Zipkin's collector API, version 2: POST /api/v2/spans with application/json, plain or compressed as OTLP over HTTP. 202 is sent
 * when every accepted span is durable and visible; its body is empty, or says which spans can never be accepted.
 */
#ifndef SERVER_ZIPKIN_HTTP_H
#define SERVER_ZIPKIN_HTTP_H

#include "server/exchange.h"

enum { ZIPKIN_HTTP_ROUTES = 2 };
/* Fills in ZIPKIN_HTTP_ROUTES rows. body_bytes_max: as received; it lives as long as the routes. */
void zipkin_http_routes(const uint64_t *body_bytes_max, struct route *out);

#endif
