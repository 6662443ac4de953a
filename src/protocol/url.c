/*
 * Percent-decoding (RFC 3986 2.1) and the pairs of a query string (application/x-www-form-urlencoded), into
 * bounded buffers of the caller. Decoded text must be UTF-8 without zeros, so that beyond this border nobody
 * meets an overlong '/' or a string that ends early; other control bytes are data (a query may be written on
 * several lines).
 */
#include "protocol/url.h"

#include "codec/utf8.h"
#include "text.h"

static bool text_valid(struct slice text)
{
    return utf8_valid(text) && (text.len == 0 || memchr(text.ptr, 0, text.len) == NULL);
}

enum err url_decode(struct slice in, bool plus_is_space, uint8_t *out, size_t capacity, size_t *out_len)
{
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c == '%') {
            if (in.len - i < 3 || text_hex(in.ptr[i + 1]) < 0 || text_hex(in.ptr[i + 2]) < 0)
                return ERR_MALFORMED;
            c = (uint8_t)(text_hex(in.ptr[i + 1]) << 4 | text_hex(in.ptr[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (len == capacity) return ERR_FULL;
        out[len++] = c;
    }
    if (!text_valid(slice_of(out, len))) return ERR_MALFORMED;
    *out_len = len;
    return OK;
}

void http1_query_init(struct http1_query *it, struct slice query, uint8_t *scratch, size_t capacity)
{
    *it = (struct http1_query){.rest = query, .scratch = scratch, .capacity = capacity};
}

/* Takes the text before `separator`, or all of it, off the front. */
static struct slice split(struct slice *text, char separator)
{
    const uint8_t *const at = text->len == 0 ? NULL : memchr(text->ptr, separator, text->len);
    const size_t len = at == NULL ? text->len : (size_t)(at - text->ptr);
    const size_t taken = at == NULL ? len : len + 1;
    const struct slice front = slice_of(text->ptr, len);

    if (taken > 0) *text = slice_of(text->ptr + taken, text->len - taken);
    return front;
}

static enum err decode_piece(struct http1_query *it, struct slice in, struct slice *out)
{
    size_t len = 0;
    const enum err err = url_decode(in, true, it->scratch + it->used, it->capacity - it->used, &len);

    if (err != OK) return err == ERR_FULL ? ERR_TOO_LARGE : err;
    *out = slice_of(it->scratch + it->used, len);
    it->used += len;
    return OK;
}

enum err http1_query_next(struct http1_query *it, struct slice *key, struct slice *value)
{
    struct slice pair = {0};
    struct slice decoded_key;
    struct slice decoded_value;

    while (pair.len == 0) {
        if (it->rest.len == 0) return ERR_NOT_FOUND;
        pair = split(&it->rest, '&');
    }
    if (++it->count > HTTP1_QUERY_PARAMETERS_MAX) return ERR_TOO_LARGE;

    const struct slice raw_key = split(&pair, '=');
    TRY(decode_piece(it, raw_key, &decoded_key));
    TRY(decode_piece(it, pair, &decoded_value));
    *key = decoded_key;
    *value = decoded_value;
    return OK;
}
