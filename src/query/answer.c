/*
 * Answers double as they grow and never pass their bound.
 */
#include "answer.h"

#include "base/assert.h"

#include <stdlib.h>

void answer_init(struct answer *answer, size_t bytes_max)
{
    answer->bytes = NULL;
    answer->len = answer->capacity = 0;
    answer->bytes_max = bytes_max;
}

void answer_deinit(struct answer *answer)
{
    free(answer->bytes);
    answer->bytes = NULL;
    answer->len = answer->capacity = 0;
}

void answer_clear(struct answer *answer)
{
    answer->len = 0;
}

enum err answer_reserve(struct answer *answer, size_t bytes)
{
    size_t capacity = answer->capacity < 4096 ? 4096 : answer->capacity;

    if (bytes > answer->bytes_max - answer->len) return ERR_TOO_LARGE;
    if (bytes <= answer->capacity - answer->len) return OK;
    while (capacity - answer->len < bytes)
        capacity *= 2;
    if (capacity > answer->bytes_max) capacity = answer->bytes_max;
    uint8_t *const memory = realloc(answer->bytes, capacity);
    if (memory == NULL) return ERR_NO_MEMORY;
    answer->bytes = memory;
    answer->capacity = capacity;
    return OK;
}

enum err answer_append(struct answer *answer, struct slice bytes)
{
    TRY(answer_reserve(answer, bytes.len));
    if (bytes.len > 0) memcpy(answer->bytes + answer->len, bytes.ptr, bytes.len);
    answer->len += bytes.len;
    return OK;
}

uint8_t *answer_take(struct answer *answer, size_t *len)
{
    uint8_t *const bytes = answer->len > 0 ? answer->bytes : NULL;

    *len = answer->len;
    if (bytes == NULL) free(answer->bytes);
    answer_init(answer, answer->bytes_max);
    return bytes;
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static enum err flush(void *context, struct slice bytes)
{
    return answer_append(context, bytes);
}

struct json *answer_json_begin(struct answer *answer)
{
    json_init(&answer->json, answer->buf, sizeof answer->buf, flush, answer);
    return &answer->json;
}

enum err answer_json_end(struct answer *answer)
{
    return json_finish(&answer->json);
}

void answer_error(struct answer *answer, int status, const char *message)
{
    answer_clear(answer);
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, "error");
    json_object_begin(json);
    json_key(json, "code");
    json_int(json, status);
    json_key(json, "message");
    json_text(json, message);
    json_object_end(json);
    json_object_end(json);
    if (answer_json_end(answer) != OK) answer_clear(answer);
}
