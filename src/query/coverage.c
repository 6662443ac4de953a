/*
 * Spells out struct coverage.
 */
#include "coverage.h"

#include <inttypes.h>
#include <stdio.h>

void coverage_json_members(const struct coverage *coverage, struct json *json)
{
    json_member_uint(json, "liveBlocks", coverage->live_blocks);
    json_member_uint(json, "blocks", coverage->blocks);
    json_member_uint(json, "blocksSkipped", coverage->blocks_skipped);
    json_member_uint(json, "fencedBlocks", coverage->fenced_blocks);
    json_key(json, "partial");
    json_bool(json, coverage->fenced_blocks > 0);
}

void coverage_json(const struct coverage *coverage, struct json *json)
{
    json_key(json, "coverage");
    json_object_begin(json);
    coverage_json_members(coverage, json);
    json_object_end(json);
}

struct slice coverage_text(const struct coverage *coverage, char text[COVERAGE_TEXT_MAX])
{
    snprintf(text, COVERAGE_TEXT_MAX,
             "live=%" PRIu32 " blocks=%" PRIu32 " skipped=%" PRIu32 " fenced=%" PRIu32, coverage->live_blocks,
             coverage->blocks, coverage->blocks_skipped, coverage->fenced_blocks);
    return slice_text(text);
}
