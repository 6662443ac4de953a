/*
 * OTLP messages from their protobuf bytes to OTLP JSON (OTLP specification, "JSON Protobuf Encoding"):
 * lowerCamelCase keys, ids in hex, 64-bit integers as strings, enums as numbers, bytes in base64. Fields
 * without a value are left out; attributes keep their order, and duplicates stay.
 *
 * The bytes come from the store and were checked when they were accepted. Should they not decode all the
 * same, ERR_CORRUPT is returned, and what was written to json must be dropped.
 */
#ifndef QUERY_OTLP_JSON_H
#define QUERY_OTLP_JSON_H

#include "codec/json.h"
#include "model/otlp.h"

/* Scratch of one thread. */
struct otlp_json;
enum err otlp_json_open(struct otlp_json **out);
void otlp_json_close(struct otlp_json *scratch);

/* Each writes one JSON object. */
enum err otlp_json_span(struct otlp_json *scratch, struct slice message, struct json *json);
enum err otlp_json_resource(struct slice message, struct json *json);
enum err otlp_json_scope(struct slice message, struct json *json);
/* {"key":..,"value":{..}} */
enum err otlp_json_attribute(const struct attribute *attribute, struct json *json);

#endif
