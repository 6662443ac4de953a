/*
 * Percent-decoding and the parameters of a query string. Foreign bytes: everything is checked here, once.
 *
 *   uint8_t scratch[HTTP1_QUERY_MAX];
 *   struct http1_query query;
 *   struct slice key, value;
 *   enum err err;
 *   http1_query_init(&query, request->query, scratch, sizeof scratch);
 *   while ((err = http1_query_next(&query, &key, &value)) == OK) { ... }
 *   if (err != ERR_NOT_FOUND) answer 400
 */
#ifndef PROTOCOL_URL_H
#define PROTOCOL_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define HTTP1_QUERY_MAX            4096U /* scratch of this size holds every query the engine lets through */
#define HTTP1_QUERY_PARAMETERS_MAX 256U

/*
 * Decodes %XX, and '+' as a space where plus_is_space. The result is never longer than `in`; out may not
 * overlap it. ERR_MALFORMED: a broken escape, %00, or a result that is not UTF-8 (overlong forms and
 * surrogates included). ERR_FULL: more than capacity bytes.
 */
enum err url_decode(struct slice in, bool plus_is_space, uint8_t *out, size_t capacity, size_t *out_len);

/* Fields private. */
struct http1_query {
    struct slice rest;
    uint8_t *scratch;
    size_t capacity, used;
    unsigned count;
};

/* query is borrowed while iterating; scratch, of at least query.len bytes to be safe, keeps the decoded
 * pieces. */
void http1_query_init(struct http1_query *it, struct slice query, uint8_t *scratch, size_t capacity);

/*
 * The next key=value pair, decoded; a key without '=' has an empty value; empty pieces ("&&") are passed
 * over. Both slices live as long as scratch. Ends with ERR_NOT_FOUND. ERR_MALFORMED as above; ERR_TOO_LARGE:
 * more than HTTP1_QUERY_PARAMETERS_MAX pairs or more bytes than scratch holds. After a failure do not call
 * again.
 */
enum err http1_query_next(struct http1_query *it, struct slice *key, struct slice *value);

#endif
