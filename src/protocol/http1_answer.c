/*
 * Answers: the head of a response, and the frame around the pieces of a chunked one.
 *
 * A cursor keeps its first failure (no room, or a byte that would let a value end its line), so that writing
 * reads as straight lines with one check at the end. Nothing received is ever written unchecked: a header
 * value with a control byte yields no answer at all rather than two (response splitting).
 */
#include "http1_private.h"

#include "base/assert.h"
#include "text.h"

struct cursor {
    char *buf;
    size_t capacity;
    size_t len;
    bool failed;
};

static void put(struct cursor *cursor, struct slice text)
{
    cursor->failed = cursor->failed || text.len > cursor->capacity - cursor->len;
    if (cursor->failed || text.len == 0) return;
    memcpy(cursor->buf + cursor->len, text.ptr, text.len);
    cursor->len += text.len;
}

static void put_text(struct cursor *cursor, const char *text)
{
    put(cursor, slice_text(text));
}

static void put_number(struct cursor *cursor, uint64_t number, unsigned base)
{
    uint8_t digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (uint8_t) "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    put(cursor, slice_of(digits + at, sizeof digits - at));
}

static void put_header(struct cursor *cursor, const struct http1_header *header)
{
    const struct slice name = slice_text(header->name);

    cursor->failed = cursor->failed || name.len == 0;
    for (size_t i = 0; i < name.len; i++)
        cursor->failed = cursor->failed || (text_class[name.ptr[i]] & CLASS_TOKEN) == 0;
    for (size_t i = 0; i < header->value.len; i++)
        cursor->failed = cursor->failed || (text_class[header->value.ptr[i]] & CLASS_TEXT) == 0;
    put(cursor, name);
    put_text(cursor, ": ");
    put(cursor, header->value);
    put_text(cursor, "\r\n");
}

size_t http1_write_head(char *buf, size_t capacity, int status, const struct http1_header *headers,
                        size_t count, uint64_t content_length, bool keep_alive)
{
    struct cursor cursor = {.buf = buf, .capacity = capacity};
    const bool may_have_body = status >= 200 && status != 204 && status != 304; /* RFC 9110 8.6 */

    assert(status >= 100 && status <= 599);

    put_text(&cursor, "HTTP/1.1 ");
    put_number(&cursor, (uint64_t)status, 10);
    put_text(&cursor, " ");
    put_text(&cursor, http1_status_text(status));
    put_text(&cursor, "\r\n");
    for (size_t i = 0; i < count; i++)
        put_header(&cursor, &headers[i]);
    if (may_have_body && content_length == HTTP1_LENGTH_CHUNKED) {
        put_text(&cursor, "Transfer-Encoding: chunked\r\n");
    } else if (may_have_body) {
        put_text(&cursor, "Content-Length: ");
        put_number(&cursor, content_length, 10);
        put_text(&cursor, "\r\n");
    }
    put_text(&cursor, keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
    return cursor.failed ? 0 : cursor.len;
}

size_t http1_write_chunk_head(char *buf, size_t capacity, uint64_t len)
{
    struct cursor cursor = {.buf = buf, .capacity = capacity};

    assert(len > 0); /* it would end the answer */

    put_number(&cursor, len, 16);
    put_text(&cursor, "\r\n");
    return cursor.failed ? 0 : cursor.len;
}

const char *http1_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].status == status) return texts[i].text;
    }
    return "Unknown";
}
