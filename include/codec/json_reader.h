/*
 * Reads JSON (RFC 8259) as a stream of tokens that point into the text. Nothing is built, nothing allocated,
 * nothing recursive: of what nests, one bit a level is kept, JSON_READ_DEPTH_MAX levels at most.
 *
 *   json_reader_init(&reader, text);
 *   while (json_next(&reader, &token) == OK && token.type != JSON_END) ...
 *
 * Commas, colons and balance are judged by the reader, so the order of tokens can be relied on: behind a
 * JSON_KEY comes a value, and JSON_END comes once, when nothing but white space follows the outermost value.
 * Strings are valid UTF-8 without raw control bytes, their escapes are well-formed, numbers follow the grammar.
 *
 * After ERR_MALFORMED, reader.reason tells what is wrong (static text) and reader.at is where; the reader is
 * of no more use.
 */
#ifndef CODEC_JSON_READER_H
#define CODEC_JSON_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    JSON_READ_DEPTH_MAX = 160, /* objects and arrays inside each other */
    JSON_DOUBLE_CHARS_MAX = 800,
};

enum json_token_type {
    JSON_OBJECT_BEGIN,
    JSON_OBJECT_END,
    JSON_ARRAY_BEGIN,
    JSON_ARRAY_END,
    JSON_KEY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_END,
};

struct json_token {
    enum json_token_type type;
    bool escaped; /* text has escapes: json_unescape() */
    struct slice
        text; /* key and string: what stands between the quotes; number: all of it. In the text read */
    const uint8_t *at; /* where the token begins */
};

struct json_reader {
    const uint8_t *at, *end;
    const char *reason;
    /* private */
    unsigned depth;
    uint8_t state;
    uint64_t is_object[(JSON_READ_DEPTH_MAX + 63) / 64]; /* bit per level */
};

void json_reader_init(struct json_reader *reader, struct slice text);
enum err json_next(struct json_reader *reader, struct json_token *out);
/* Levels that are open: an object's or array's own begin and end are seen from outside and inside it. */
static inline unsigned json_depth(const struct json_reader *reader)
{
    return reader->depth;
}
/* Reads over the value that is due behind a JSON_KEY. */
enum err json_skip(struct json_reader *reader);

/*
 * What an escaped string says, at most as many bytes as it has; out may not overlap it. A surrogate without
 * its half is U+FFFD, and adds one to *replaced. Returns the length.
 */
size_t json_unescape(struct slice text, uint8_t *out, uint32_t *replaced);

/* Is all of the text one number? For numbers that come as strings. */
bool json_is_number(struct slice text);
/*
 * The number as an integer, whatever way it is written (1, 1.0, 1e3, -0). Exact: no double in between. False
 * when it is none. What is out of range becomes the nearest that is in it; *clamped tells.
 */
bool json_to_int64(struct slice number, int64_t *out, bool *clamped);
bool json_to_uint64(struct slice number, uint64_t *out, bool *clamped);
/* The nearest double; beyond the largest, infinity. False: more than JSON_DOUBLE_CHARS_MAX characters. */
bool json_to_double(struct slice number, double *out);

#endif
