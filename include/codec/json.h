/*
 * Writes JSON (RFC 8259) as a stream, into a buffer that is flushed when it is full. Nothing is allocated.
 *
 *   json_init(&json, buf, sizeof buf, flush, context);
 *   json_object_begin(&json);
 *   json_key(&json, "traceId");    json_hex(&json, slice_of(id, 16));
 *   json_key(&json, "spans");      json_array_begin(&json); ... json_array_end(&json);
 *   json_object_end(&json);
 *   err = json_finish(&json);
 *
 * Commas and colons come by themselves. The first error of flush is kept and all later calls do nothing, so
 * writing reads as straight lines with one check at the end. Unbalanced calls are bugs of ours and asserted.
 *
 * Strings may be any bytes: what is not UTF-8 becomes U+FFFD, and everything that could mean something to a
 * page or a terminal that shows it is escaped (control bytes with DEL and C1, '<', '>', '&', U+2028 and
 * U+2029).
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define JSON_BUF_MIN   64U
#define JSON_DEPTH_MAX 256U /* objects and arrays inside each other */

/* Takes the bytes; they may be overwritten once it has returned. An error is kept and ends the writing. */
typedef enum err json_flush_fn(void *context, struct slice bytes);

/* After json_finish() without a flush function, buf[0..len) is the text. The rest is private. */
struct json {
    uint8_t *buf; /* borrowed */
    size_t capacity;
    size_t len; /* bytes in buf that have not been flushed */
    json_flush_fn *flush;
    void *flush_context;
    enum err err; /* the first one */

    uint64_t flushed; /* bytes given to flush so far */
    unsigned depth;
    bool comma;                              /* a value stands before, on this level */
    bool key_pending;                        /* a key stands before, its value is due */
    uint64_t is_object[JSON_DEPTH_MAX / 64]; /* bit per level */
};

/*
 * buf, of at least JSON_BUF_MIN bytes, is borrowed until json_finish(). flush may be NULL: then the text must
 * fit, or json_finish() returns ERR_FULL.
 */
void json_init(struct json *json, uint8_t *buf, size_t capacity, json_flush_fn *flush, void *flush_context);

/* Flushes the rest (if there is a flush function) and returns the first error. All that was begun must be
 * ended. */
enum err json_finish(struct json *json);

/* All bytes written so far, those in buf included. */
uint64_t json_size(const struct json *json);

void json_object_begin(struct json *json);
void json_object_end(struct json *json);
void json_array_begin(struct json *json);
void json_array_end(struct json *json);

/* Inside an object, before each value. json_key() takes a C string. */
void json_key(struct json *json, const char *key);
void json_key_slice(struct json *json, struct slice key);

void json_string(struct json *json, struct slice text);
void json_text(struct json *json, const char *text);
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_int(struct json *json, int64_t value);
void json_uint(struct json *json, uint64_t value);
/* As decimal strings, which is how OTLP writes 64-bit integers. */
void json_int_quoted(struct json *json, int64_t value);
void json_uint_quoted(struct json *json, uint64_t value);
/* Shortest decimal that reads back as the same value; "NaN", "Infinity" and "-Infinity" as strings. */
void json_double(struct json *json, double value);
/* Strings: lower-case hex, and base64 with padding (RFC 4648 4). */
void json_hex(struct json *json, struct slice bytes);
void json_base64(struct json *json, struct slice bytes);
/* A key and its number. */
static inline void json_member_uint(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_uint(json, value);
}
static inline void json_member_uint_quoted(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_uint_quoted(json, value);
}
/* A value that is JSON already and is copied as it is. */
void json_raw(struct json *json, struct slice value);

#endif
