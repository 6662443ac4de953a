/*
 * The JSON writer. Every value passes begin_value(), which writes the comma that is due and checks that a
 * value may stand here; every byte passes put(), which flushes a full buffer.
 *
 * One bit per level tells objects from arrays, for the assertions only; whether a comma is due needs no
 * memory of the levels: never after a beginning or a key, always after a value or an end.
 *
 * Failure: flush's first error, or ERR_FULL without one. Afterwards put() drops everything.
 */
#include "codec/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "codec/utf8.h"

static const char hex_digits[] = "0123456789abcdef";

void json_init(struct json *json, uint8_t *buf, size_t capacity, json_flush_fn *flush, void *flush_context)
{
    assert(capacity >= JSON_BUF_MIN);

    *json = (struct json){.buf = buf, .capacity = capacity, .flush = flush, .flush_context = flush_context};
}

static void flush(struct json *json)
{
    if (json->err == OK && json->flush == NULL) json->err = ERR_FULL;
    if (json->err == OK) json->err = json->flush(json->flush_context, slice_of(json->buf, json->len));
    if (json->err != OK) return;
    json->flushed += json->len;
    json->len = 0;
}

enum err json_finish(struct json *json)
{
    assert(json->depth == 0);
    assert(!json->key_pending);

    if (json->err == OK && json->flush != NULL && json->len > 0) flush(json);
    return json->err;
}

uint64_t json_size(const struct json *json)
{
    return json->flushed + json->len;
}

static void put(struct json *json, struct slice bytes)
{
    while (json->err == OK && bytes.len > 0) {
        const size_t room = json->capacity - json->len;
        const size_t len = bytes.len < room ? bytes.len : room;
        memcpy(json->buf + json->len, bytes.ptr, len);
        json->len += len;
        bytes = slice_of(bytes.ptr + len, bytes.len - len);
        if (bytes.len > 0) flush(json);
    }
}

static void put_byte(struct json *json, char c)
{
    if (json->len == json->capacity) flush(json);
    if (json->err == OK) json->buf[json->len++] = (uint8_t)c;
}

static bool inside_object(const struct json *json)
{
    const unsigned level = json->depth - 1;

    return json->depth > 0 && (json->is_object[level / 64] >> level % 64 & 1) != 0;
}

/* A value may stand here; its comma is written. */
static void begin_value(struct json *json)
{
    assert(!inside_object(json) || json->key_pending);
    assert(json->depth > 0 || !json->comma); /* one value in all */

    if (json->comma) put_byte(json, ',');
    json->comma = true;
    json->key_pending = false;
}

/* ---- objects and arrays ---- */

static void begin_level(struct json *json, bool object)
{
    begin_value(json);
    assert(json->depth < JSON_DEPTH_MAX);

    const uint64_t bit = 1ULL << json->depth % 64;
    if (object) {
        json->is_object[json->depth / 64] |= bit;
    } else {
        json->is_object[json->depth / 64] &= ~bit;
    }
    json->depth++;
    json->comma = false;
    put_byte(json, object ? '{' : '[');
}

static void end_level(struct json *json, bool object)
{
    assert(json->depth > 0);
    assert(inside_object(json) == object);
    assert(!json->key_pending);

    json->depth--;
    json->comma = true;
    put_byte(json, object ? '}' : ']');
}

void json_object_begin(struct json *json)
{
    begin_level(json, true);
}

void json_object_end(struct json *json)
{
    end_level(json, true);
}

void json_array_begin(struct json *json)
{
    begin_level(json, false);
}

void json_array_end(struct json *json)
{
    end_level(json, false);
}

/* ---- strings ---- */

/* Bytes that stand for themselves in a string: printable ASCII but those that are escaped. */
static bool plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void put_unicode_escape(struct json *json, unsigned code)
{
    const uint8_t escape[] = {
        '\\',
        'u',
        (uint8_t)hex_digits[code >> 12 & 15],
        (uint8_t)hex_digits[code >> 8 & 15],
        (uint8_t)hex_digits[code >> 4 & 15],
        (uint8_t)hex_digits[code & 15],
    };
    put(json, slice_of(escape, sizeof escape));
}

static void put_ascii_escape(struct json *json, uint8_t c)
{
    const char *const from = "\"\\\b\f\n\r\t";
    const char *const at = c == 0 ? NULL : strchr(from, c);

    if (at == NULL) {
        put_unicode_escape(json, c);
        return;
    }
    put_byte(json, '\\');
    put_byte(json, "\"\\bfnrt"[at - from]);
}

/* One character that is not plain off the front; returns its length. */
static size_t put_character(struct json *json, struct slice text)
{
    const uint8_t c = text.ptr[0];
    const size_t len = utf8_len(text);

    if (len == 0) {
        put(json, slice_text("\xef\xbf\xbd"));
        return utf8_bad_len(text);
    }
    if (len == 1) {
        put_ascii_escape(json, c);
    } else if (len == 2 && c == 0xc2 && text.ptr[1] < 0xa0) {
        put_unicode_escape(json, text.ptr[1]); /* C1: U+0080 to U+009F, CSI among them */
    } else if (len == 3 && c == 0xe2 && text.ptr[1] == 0x80 && (text.ptr[2] | 1) == 0xa9) {
        put_unicode_escape(json, 0x2000U + (text.ptr[2] & 0x3fU)); /* line ends of JavaScript */
    } else {
        put(json, slice_of(text.ptr, len));
    }
    return len;
}

static void put_string(struct json *json, struct slice text)
{
    put_byte(json, '"');
    while (json->err == OK && text.len > 0) {
        size_t len = 0;
        while (len < text.len && plain(text.ptr[len]))
            len++;
        put(json, slice_of(text.ptr, len));
        if (len < text.len) len += put_character(json, slice_of(text.ptr + len, text.len - len));
        text = slice_of(text.ptr + len, text.len - len);
    }
    put_byte(json, '"');
}

void json_key_slice(struct json *json, struct slice key)
{
    assert(inside_object(json));
    assert(!json->key_pending);

    if (json->comma) put_byte(json, ',');
    put_string(json, key);
    put_byte(json, ':');
    json->comma = false;
    json->key_pending = true;
}

void json_key(struct json *json, const char *key)
{
    json_key_slice(json, slice_text(key));
}

void json_string(struct json *json, struct slice text)
{
    begin_value(json);
    put_string(json, text);
}

void json_text(struct json *json, const char *text)
{
    json_string(json, slice_text(text));
}

void json_hex(struct json *json, struct slice bytes)
{
    begin_value(json);
    put_byte(json, '"');
    for (size_t i = 0; i < bytes.len && json->err == OK; i++) {
        put_byte(json, hex_digits[bytes.ptr[i] >> 4]);
        put_byte(json, hex_digits[bytes.ptr[i] & 15]);
    }
    put_byte(json, '"');
}

void json_base64(struct json *json, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    begin_value(json);
    put_byte(json, '"');
    for (size_t i = 0; i < bytes.len && json->err == OK; i += 3) {
        const size_t left = bytes.len - i;
        const unsigned group = (unsigned)bytes.ptr[i] << 16 |
                               (left > 1 ? (unsigned)bytes.ptr[i + 1] << 8 : 0) |
                               (left > 2 ? bytes.ptr[i + 2] : 0);
        put_byte(json, digits[group >> 18]);
        put_byte(json, digits[group >> 12 & 63]);
        put_byte(json, left > 1 ? digits[group >> 6 & 63] : '=');
        put_byte(json, left > 2 ? digits[group & 63] : '=');
    }
    put_byte(json, '"');
}

/* ---- everything else ---- */

void json_raw(struct json *json, struct slice value)
{
    assert(value.len > 0);

    begin_value(json);
    put(json, value);
}

void json_bool(struct json *json, bool value)
{
    begin_value(json);
    put(json, slice_text(value ? "true" : "false"));
}

void json_null(struct json *json)
{
    begin_value(json);
    put(json, slice_text("null"));
}

static void put_uint(struct json *json, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(json, slice_of(digits + at, sizeof digits - at));
}

static void put_int(struct json *json, int64_t value)
{
    if (value < 0) put_byte(json, '-');
    put_uint(json, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_int(struct json *json, int64_t value)
{
    begin_value(json);
    put_int(json, value);
}

void json_uint(struct json *json, uint64_t value)
{
    begin_value(json);
    put_uint(json, value);
}

void json_int_quoted(struct json *json, int64_t value)
{
    begin_value(json);
    put_byte(json, '"');
    put_int(json, value);
    put_byte(json, '"');
}

void json_uint_quoted(struct json *json, uint64_t value)
{
    begin_value(json);
    put_byte(json, '"');
    put_uint(json, value);
    put_byte(json, '"');
}

/* 17 digits always read back as the same value; mostly 15 do. The process never leaves the C locale. */
static void put_finite(struct json *json, double value)
{
    char text[32];
    int len = 0;

    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(text, sizeof text, "%.*g", digits, value);
        assert(len > 0 && (size_t)len < sizeof text);
        if (strtod(text, NULL) == value) break;
    }
    put(json, slice_of(text, (size_t)len));
}

void json_double(struct json *json, double value)
{
    static const double exact = 1e15; /* integers below need no search for digits */

    if (isnan(value)) {
        json_text(json, "NaN");
    } else if (isinf(value)) {
        json_text(json, value > 0 ? "Infinity" : "-Infinity");
    } else if (value == 0 && signbit(value)) {
        begin_value(json);
        put(json, slice_text("-0.0")); /* readers that keep integers apart would lose the sign of -0 */
    } else if (value > -exact && value < exact && (double)(int64_t)value == value) {
        json_int(json, (int64_t)value);
    } else {
        begin_value(json);
        put_finite(json, value);
    }
}
