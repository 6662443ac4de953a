/*
 * What an answer covered, as it is told to clients: "coverage":{...} in JSON, and one header for answers that
 * are not JSON.
 */
#ifndef QUERY_COVERAGE_H
#define QUERY_COVERAGE_H

#include "codec/json.h"
#include "work.h"

enum { COVERAGE_TEXT_MAX = 128 };

/* The key and its object, inside an object. */
void coverage_json(const struct coverage *coverage, struct json *json);
/* Its members without begin and end, for answers that add to them. */
void coverage_json_members(const struct coverage *coverage, struct json *json);
/* "live=2 blocks=1 skipped=34 fenced=0" */
struct slice coverage_text(const struct coverage *coverage, char text[COVERAGE_TEXT_MAX]);

#endif
