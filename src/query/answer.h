/*
 * The body of an answer: bytes that grow up to a bound, in memory that exchange_complete() takes over; and a
 * JSON writer over them.
 *
 *   answer_init() -> answer_json_begin() ... -> answer_json_end() -> answer_take()   or answer_deinit()
 */
#ifndef QUERY_ANSWER_H
#define QUERY_ANSWER_H

#include "base/err.h"
#include "codec/json.h"

struct answer {
    uint8_t *bytes; /* malloc'ed */
    size_t len, capacity, bytes_max;
    struct json json;
    uint8_t buf[8192]; /* of the JSON writer */
};

void answer_init(struct answer *answer, size_t bytes_max);
void answer_deinit(struct answer *answer);
/* Empties it and keeps its memory. */
void answer_clear(struct answer *answer);
/* ERR_TOO_LARGE: beyond bytes_max. ERR_NO_MEMORY. */
enum err answer_reserve(struct answer *answer, size_t bytes);
enum err answer_append(struct answer *answer, struct slice bytes);
/* What answer_append() and answer_reserve() made, now the caller's to free. NULL when it is empty. */
uint8_t *answer_take(struct answer *answer, size_t *len);

struct json *answer_json_begin(struct answer *answer);
enum err answer_json_end(struct answer *answer);
/* {"error":{"code":..,"message":".."}}; on failure the answer is empty. */
void answer_error(struct answer *answer, int status, const char *message);

#endif
