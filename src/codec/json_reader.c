/*
 * The JSON reader. One function gives the next token; what may come is told by a state and, for what is open,
 * one bit a level.
 *
 *   VALUE  -> AFTER, or with a beginning -> FIRST        KEY -> VALUE
 *   FIRST  -> the end, or as KEY or VALUE                AFTER -> the end, or a comma and KEY or VALUE
 *
 * Strings are scanned eight bytes at a time while they are plain ASCII. Numbers stay text until somebody asks
 * for a value, and then become what was asked for from their digits.
 */
#include "codec/json_reader.h"

#include <stdlib.h>

#include "base/assert.h"
#include "codec/utf8.h"

enum state { STATE_VALUE, STATE_KEY, STATE_FIRST, STATE_AFTER };

static enum err read_value(struct json_reader *reader, struct json_token *out);
static enum err read_key(struct json_reader *reader, struct json_token *out);
static enum err read_string(struct json_reader *reader, struct json_token *out);
static size_t number_len(struct slice text);

void json_reader_init(struct json_reader *reader, struct slice text)
{
    *reader = (struct json_reader){.at = text.ptr, .end = text.ptr + text.len, .state = STATE_VALUE};
}

static enum err malformed(struct json_reader *reader, const char *reason)
{
    reader->reason = reason;
    return ERR_MALFORMED;
}

static void skip_space(struct json_reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
}

/* ---- what is open --------------------------------------------------------------------------------------- */

static bool in_object(const struct json_reader *reader)
{
    const unsigned level = reader->depth - 1;

    return (reader->is_object[level / 64] >> (level % 64) & 1) != 0;
}

static enum err open_level(struct json_reader *reader, bool object)
{
    const unsigned level = reader->depth;

    if (level == JSON_READ_DEPTH_MAX) return malformed(reader, "JSON: nested deeper than 160");
    const uint64_t bit = 1ULL << (level % 64);
    if (object)
        reader->is_object[level / 64] |= bit;
    else
        reader->is_object[level / 64] &= ~bit;
    reader->depth++;
    reader->state = STATE_FIRST;
    return OK;
}

static bool is_end(const struct json_reader *reader)
{
    return *reader->at == (in_object(reader) ? '}' : ']');
}

static enum err close_level(struct json_reader *reader, struct json_token *out)
{
    out->at = reader->at++;
    out->type = in_object(reader) ? JSON_OBJECT_END : JSON_ARRAY_END;
    reader->depth--;
    reader->state = STATE_AFTER;
    return OK;
}

/* ---- tokens --------------------------------------------------------------------------------------------- */

enum err json_next(struct json_reader *reader, struct json_token *out)
{
    skip_space(reader);
    if (reader->state == STATE_AFTER && reader->depth == 0) {
        if (reader->at < reader->end) return malformed(reader, "JSON: bytes after the end");
        *out = (struct json_token){.type = JSON_END, .at = reader->at};
        return OK;
    }
    if (reader->at == reader->end) return malformed(reader, "JSON: ends too early");
    if (reader->state == STATE_FIRST || reader->state == STATE_AFTER) {
        if (is_end(reader)) return close_level(reader, out);
        if (reader->state == STATE_AFTER) {
            if (*reader->at != ',')
                return malformed(reader, "JSON: neither a comma nor an end where one is due");
            reader->at++;
            skip_space(reader);
            if (reader->at == reader->end) return malformed(reader, "JSON: ends too early");
        }
        reader->state = in_object(reader) ? STATE_KEY : STATE_VALUE;
    }
    return reader->state == STATE_KEY ? read_key(reader, out) : read_value(reader, out);
}

static enum err read_key(struct json_reader *reader, struct json_token *out)
{
    if (*reader->at != '"') return malformed(reader, "JSON: no key where one is due");
    TRY(read_string(reader, out));
    out->type = JSON_KEY;
    skip_space(reader);
    if (reader->at == reader->end) return malformed(reader, "JSON: ends too early");
    if (*reader->at != ':') return malformed(reader, "JSON: no colon behind a key");
    reader->at++;
    reader->state = STATE_VALUE;
    return OK;
}

static enum err read_word(struct json_reader *reader, const char *word, enum json_token_type type,
                          struct json_token *out)
{
    const size_t len = strlen(word);

    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        return malformed(reader, "JSON: no value where one is due");
    out->type = type;
    out->at = reader->at;
    reader->at += len;
    return OK;
}

static enum err read_number(struct json_reader *reader, struct json_token *out)
{
    const size_t len = number_len(slice_of(reader->at, (size_t)(reader->end - reader->at)));

    if (len == 0) return malformed(reader, "JSON: malformed number");
    out->type = JSON_NUMBER;
    out->at = reader->at;
    out->text = slice_of(reader->at, len);
    reader->at += len;
    return OK;
}

static enum err read_value(struct json_reader *reader, struct json_token *out)
{
    const bool object = *reader->at == '{';

    switch (*reader->at) {
    case '{':
    case '[':
        TRY(open_level(reader, object));
        out->type = object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
        out->at = reader->at++;
        return OK;
    case '"':
        TRY(read_string(reader, out));
        out->type = JSON_STRING;
        break;
    case 't': TRY(read_word(reader, "true", JSON_TRUE, out)); break;
    case 'f': TRY(read_word(reader, "false", JSON_FALSE, out)); break;
    case 'n': TRY(read_word(reader, "null", JSON_NULL, out)); break;
    case '-':
    case '0' ... '9': TRY(read_number(reader, out)); break;
    default: return malformed(reader, "JSON: no value where one is due");
    }
    reader->state = STATE_AFTER;
    return OK;
}

enum err json_skip(struct json_reader *reader)
{
    const unsigned depth = reader->depth;
    struct json_token token;

    do {
        TRY(json_next(reader, &token));
    } while (reader->depth > depth);
    return OK;
}

/* ---- strings -------------------------------------------------------------------------------------------- */

/* How many bytes at the front are ASCII without quotes, backslashes and control bytes; up to seven less at the end. */
static size_t plain_len(const uint8_t *at, const uint8_t *end)
{
    static const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
    const uint8_t *const start = at;

    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
        /* The high bit of each byte that ends the run; one that does not may be marked as well, above the first. */
        const uint64_t found = ((quote - ones) | (backslash - ones) | (word - ones * 32) | word) & highs;
        if (found != 0) return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    return (size_t)(at - start);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Length of the escape that begins at the backslash; 0 if it is none. */
static size_t escape_len(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2) return 0;
    if (at[1] != 'u') return strchr("\"\\/bfnrt", at[1]) != NULL && at[1] != 0 ? 2 : 0;
    if (end - at < 6) return 0;
    for (unsigned i = 2; i < 6; i++)
        if (hex_digit(at[i]) < 0) return 0;
    return 6;
}

static enum err read_string(struct json_reader *reader, struct json_token *out)
{
    const uint8_t *at = reader->at + 1;

    out->at = reader->at;
    out->escaped = false;
    for (;;) {
        at += plain_len(at, reader->end);
        reader->at = at;
        if (at == reader->end) return malformed(reader, "JSON: ends within a string");
        if (*at == '"') break;
        if (*at == '\\') {
            const size_t len = escape_len(at, reader->end);
            if (len == 0) return malformed(reader, "JSON: malformed escape in a string");
            out->escaped = true;
            at += len;
        } else if (*at < 0x20) {
            return malformed(reader, "JSON: control byte in a string");
        } else if (*at < 0x80) {
            at++;
        } else {
            const size_t len = utf8_len(slice_of(at, (size_t)(reader->end - at)));
            if (len == 0) return malformed(reader, "JSON: string that is not UTF-8");
            at += len;
        }
    }
    out->text = slice_of(out->at + 1, (size_t)(at - out->at - 1));
    reader->at = at + 1;
    return OK;
}

static uint32_t hex4(const uint8_t *at)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)hex_digit(at[i]);
    return value;
}

static bool is_surrogate(uint32_t unit, uint32_t first)
{
    return unit >= first && unit < first + 0x400;
}

/* The character of \uXXXX, and of the second half behind it if there is one. */
static uint32_t escaped_character(struct slice text, size_t *at, uint32_t *replaced)
{
    const uint32_t unit = hex4(text.ptr + *at + 2);

    *at += 6;
    if (!is_surrogate(unit, 0xd800) && !is_surrogate(unit, 0xdc00)) return unit;
    const bool escape_follows = text.len - *at >= 6 && text.ptr[*at] == '\\' && text.ptr[*at + 1] == 'u';
    const uint32_t low = escape_follows ? hex4(text.ptr + *at + 2) : 0;
    if (is_surrogate(unit, 0xdc00) || !is_surrogate(low, 0xdc00)) {
        (*replaced)++;
        return 0xfffd;
    }
    *at += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static size_t write_utf8(uint32_t character, uint8_t *out)
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    const unsigned further = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(first[further] | character >> (6 * further));
    for (unsigned i = 1; i <= further; i++)
        out[i] = (uint8_t)(0x80 | (character >> (6 * (further - i)) & 0x3f));
    return further + 1;
}

size_t json_unescape(struct slice text, uint8_t *out, uint32_t *replaced)
{
    size_t len = 0;

    for (size_t at = 0; at < text.len;) {
        const uint8_t *const slash = memchr(text.ptr + at, '\\', text.len - at);
        const size_t plain = slash == NULL ? text.len - at : (size_t)(slash - (text.ptr + at));
        memcpy(out + len, text.ptr + at, plain);
        len += plain;
        at += plain;
        if (slash == NULL) break;
        if (slash[1] == 'u') {
            len += write_utf8(escaped_character(text, &at, replaced), out + len);
            continue;
        }
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *const name = strchr(names, slash[1]);
        assert(name != NULL); /* the reader has been here */
        out[len++] = (uint8_t)values[name - names];
        at += 2;
    }
    return len;
}

/* ---- numbers -------------------------------------------------------------------------------------------- */

static size_t digits_len(struct slice text, size_t at)
{
    const size_t start = at;

    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        at++;
    return at - start;
}

/* Where the parts of a number lie. */
struct parts {
    bool negative;
    struct slice whole, fraction; /* digits */
    bool exponent_negative;
    struct slice exponent;
    size_t len;
};

/* The longest number at the front; false: there is none. */
static bool take_apart(struct slice text, struct parts *out)
{
    size_t at = 0;

    *out = (struct parts){0};
    if (at < text.len && text.ptr[at] == '-') {
        out->negative = true;
        at++;
    }
    size_t len = digits_len(text, at);
    if (len == 0) return false;
    if (text.ptr[at] == '0') len = 1; /* nothing follows a leading zero */
    out->whole = slice_of(text.ptr + at, len);
    at += len;
    if (at < text.len && text.ptr[at] == '.') {
        len = digits_len(text, at + 1);
        if (len == 0) return false;
        out->fraction = slice_of(text.ptr + at + 1, len);
        at += 1 + len;
    }
    if (at < text.len && (text.ptr[at] | 0x20) == 'e') {
        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
            out->exponent_negative = text.ptr[at++] == '-';
        len = digits_len(text, at);
        if (len == 0) return false;
        out->exponent = slice_of(text.ptr + at, len);
        at += len;
    }
    out->len = at;
    return true;
}

static size_t number_len(struct slice text)
{
    struct parts parts;

    return take_apart(text, &parts) ? parts.len : 0;
}

bool json_is_number(struct slice text)
{
    return text.len > 0 && number_len(text) == text.len;
}

/* How many of the digits stand before the point once the exponent has moved it; beyond 2^40 all are equal. */
static int64_t point_of(const struct parts *parts)
{
    static const int64_t far = 1LL << 40;
    int64_t exponent = 0;

    for (size_t i = 0; i < parts->exponent.len && exponent < far; i++)
        exponent = exponent * 10 + (parts->exponent.ptr[i] - '0');
    return (int64_t)parts->whole.len + (parts->exponent_negative ? -exponent : exponent);
}

/* False: not an integer. What does not fit 64 bits is UINT64_MAX, and *clamped. */
static bool magnitude_of(const struct parts *parts, uint64_t *out, bool *clamped)
{
    const int64_t point = point_of(parts), count = (int64_t)(parts->whole.len + parts->fraction.len);
    uint64_t value = 0;
    bool fits = true;

    for (int64_t i = 0; i < count; i++) {
        const int64_t in_fraction = i - (int64_t)parts->whole.len;
        const unsigned digit = (in_fraction < 0 ? parts->whole.ptr[i] : parts->fraction.ptr[in_fraction]) -
                               '0';
        if (i >= point && digit != 0) return false;
        if (i < point && fits)
            fits = !__builtin_mul_overflow(value, 10, &value) &&
                   !__builtin_add_overflow(value, digit, &value);
    }
    for (int64_t i = count; i < point && fits && value != 0; i++)
        fits = !__builtin_mul_overflow(value, 10, &value);
    *out = fits ? value : UINT64_MAX;
    *clamped = !fits;
    return true;
}

bool json_to_int64(struct slice number, int64_t *out, bool *clamped)
{
    struct parts parts;
    uint64_t magnitude;

    if (!take_apart(number, &parts) || !magnitude_of(&parts, &magnitude, clamped)) return false;
    *clamped |= magnitude > (uint64_t)INT64_MAX + parts.negative;
    if (parts.negative)
        *out = magnitude > (uint64_t)INT64_MAX ? INT64_MIN : -(int64_t)magnitude;
    else
        *out = magnitude > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)magnitude;
    return true;
}

bool json_to_uint64(struct slice number, uint64_t *out, bool *clamped)
{
    struct parts parts;
    uint64_t magnitude;

    if (!take_apart(number, &parts) || !magnitude_of(&parts, &magnitude, clamped)) return false;
    *clamped |= parts.negative && magnitude > 0;
    *out = parts.negative ? 0 : magnitude;
    return true;
}

bool json_to_double(struct slice number, double *out)
{
    char text[JSON_DOUBLE_CHARS_MAX + 1];

    if (number.len > JSON_DOUBLE_CHARS_MAX) return false;
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    *out = strtod(text, NULL);
    return true;
}
