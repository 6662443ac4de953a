/*
 * Foreign bytes as a request in OTLP JSON.
 *
 *   - the reader says what is JSON: as a plain recursive parser does, which is written here after RFC 8259
 *   - what strings and numbers mean, by plain code again: escapes, integers to the last digit, the nearest double
 *   - what is translated is never malformed for the decoder, never longer than the JSON (but for the slack), and says
 *     the same when it is written as JSON and translated again
 *   - one byte of room less than the translation has is too little, and nothing is written beyond the room
 *
 *   input   the body
 */
#include "../../src/query/otlp_json.h"

#include "codec/json_reader.h"
#include "codec/utf8.h"
#include "model/otlp_from_json.h"
#include "model/rebuild.h"
#include "query/json_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 16384, TEXT_MAX = 1 << 20 };

static struct otlp_json *scratch;
static struct otlp_decoder *decoder;

/* ---- a plain parser: each function returns where its piece ends, NULL if there is none ---------------------- */

static const uint8_t *plain_value(const uint8_t *at, const uint8_t *end, unsigned depth);

static const uint8_t *plain_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && memchr(" \t\r\n", *at, 4) != NULL)
        at++;
    return at;
}

static const uint8_t *plain_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"';) {
        if (*at < 0x20) return NULL;
        const size_t len = utf8_len(slice_of(at, (size_t)(end - at)));
        if (len == 0) return NULL;
        if (*at != '\\') {
            at += len;
            continue;
        }
        if (++at == end || *at == '\0' || strchr("\"\\/bfnrtu", *at) == NULL) return NULL;
        if (*at++ != 'u') continue;
        for (unsigned i = 0; i < 4; i++, at++)
            if (at == end || *at == '\0' || strchr("0123456789abcdefABCDEF", *at) == NULL) return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static const uint8_t *plain_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *const start = at;

    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const uint8_t *plain_number(const uint8_t *at, const uint8_t *end)
{
    if (*at == '-') at++;
    const bool zero = at < end && *at == '0';
    at = zero ? at + 1 : plain_digits(at, end);
    if (at != NULL && at < end && *at == '.') at = plain_digits(at + 1, end);
    if (at == NULL || at == end || (*at != 'e' && *at != 'E')) return at;
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    return plain_digits(at, end);
}

static const uint8_t *plain_list(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    const bool object = *at == '{';
    const uint8_t close = object ? '}' : ']';

    if (depth == JSON_READ_DEPTH_MAX) return NULL;
    at = plain_space(at + 1, end);
    if (at < end && *at == close) return at + 1;
    for (;;) {
        if (object) {
            if (at == end || *at != '"') return NULL;
            at = plain_string(at, end);
            if (at == NULL) return NULL;
            at = plain_space(at, end);
            if (at == end || *at != ':') return NULL;
            at = plain_space(at + 1, end);
        }
        at = plain_value(at, end, depth + 1);
        if (at == NULL) return NULL;
        at = plain_space(at, end);
        if (at == end) return NULL;
        if (*at == close) return at + 1;
        if (*at != ',') return NULL;
        at = plain_space(at + 1, end);
    }
}

static const uint8_t *plain_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    const size_t len = strlen(word);

    return (size_t)(end - at) >= len && memcmp(at, word, len) == 0 ? at + len : NULL;
}

static const uint8_t *plain_value(const uint8_t *at, const uint8_t *end, unsigned depth)
{
    if (at == end) return NULL;
    switch (*at) {
    case '{':
    case '[': return plain_list(at, end, depth);
    case '"': return plain_string(at, end);
    case 't': return plain_word(at, end, "true");
    case 'f': return plain_word(at, end, "false");
    case 'n': return plain_word(at, end, "null");
    default: return *at == '-' || (*at >= '0' && *at <= '9') ? plain_number(at, end) : NULL;
    }
}

static bool is_json(struct slice text)
{
    const uint8_t *const end = text.ptr + text.len;
    const uint8_t *const at = plain_value(plain_space(text.ptr, end), end, 0);

    return at != NULL && plain_space(at, end) == end;
}

/* ---- what a string says ------------------------------------------------------------------------------------ */

static uint32_t plain_hex(const uint8_t *at)
{
    char digits[5] = "";

    memcpy(digits, at, 4);
    return (uint32_t)strtoul(digits, NULL, 16);
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    const unsigned more = c < 0x10000 ? 2 : 3;
    out[0] = (uint8_t)((more == 2 ? 0xe0 : 0xf0) | c >> (6 * more));
    for (unsigned i = 1; i <= more; i++)
        out[i] = (uint8_t)(0x80 | (c >> (6 * (more - i)) & 63));
    return 1 + more;
}

static bool is_half(uint32_t c, uint32_t first)
{
    return c >= first && c < first + 0x400;
}

/* Behind the u of an escape; *at is moved to its end. */
static uint32_t plain_character(const uint8_t **at, const uint8_t *end, uint32_t *replaced)
{
    const uint32_t c = plain_hex(*at);

    *at += 4;
    if (!is_half(c, 0xd800) && !is_half(c, 0xdc00)) return c;
    if (is_half(c, 0xd800) && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' &&
        is_half(plain_hex(*at + 2), 0xdc00)) {
        const uint32_t low = plain_hex(*at + 2);
        *at += 6;
        return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    ++*replaced;
    return 0xfffd;
}

static size_t plain_unescape(struct slice text, uint8_t *out, uint32_t *replaced)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const uint8_t *at = text.ptr, *const end = text.ptr + text.len;
    size_t len = 0;

    while (at < end) {
        if (*at != '\\') {
            out[len++] = *at++;
            continue;
        }
        const char *const known = strchr(from, at[1]);
        at += 2;
        if (at[-1] == 'u')
            len += put_utf8(out + len, plain_character(&at, end, replaced));
        else
            out[len++] = known != NULL ? (uint8_t)to[known - from] : at[-1];
    }
    return len;
}

static void check_string(const struct json_token *token)
{
    static uint8_t ours[BODY_MAX], plain[BODY_MAX];
    uint32_t replaced[2] = {0, 0};

    const size_t len = json_unescape(token->text, ours, &replaced[0]);
    if (len > token->text.len || len != plain_unescape(token->text, plain, &replaced[1])) abort();
    if (memcmp(ours, plain, len) != 0 || replaced[0] != replaced[1]) abort();
    if (!token->escaped && memchr(token->text.ptr, '\\', token->text.len) != NULL) abort();
    const uint8_t *const end = token->text.ptr + token->text.len;
    const bool number = token->text.len > 0 &&
                        (*token->text.ptr == '-' || strchr("0123456789", *token->text.ptr)) &&
                        *token->text.ptr != '\0' && plain_number(token->text.ptr, end) == end;
    if (json_is_number(token->text) != number) abort();
}

/* ---- what a number is -------------------------------------------------------------------------------------- */

/* 0.d1d2d3... * 10^point; digits without zeros at either end. */
struct plain_decimal {
    char digits[BODY_MAX];
    size_t len;
    long point;
    bool negative;
};

static void take_apart(struct slice text, struct plain_decimal *out)
{
    bool fraction = false;
    size_t i = 0;

    out->len = 0;
    out->point = 0;
    out->negative = text.ptr[0] == '-';
    for (i += out->negative; i < text.len && text.ptr[i] != 'e' && text.ptr[i] != 'E'; i++) {
        if (text.ptr[i] == '.') {
            fraction = true;
            continue;
        }
        if (out->len > 0 || text.ptr[i] != '0') {
            out->digits[out->len++] = (char)text.ptr[i];
            out->point += !fraction;
        } else {
            out->point -= fraction;
        }
    }
    long exponent = 0;
    const bool down = i + 1 < text.len && text.ptr[i + 1] == '-';
    for (i++; i < text.len; i++)
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9' && exponent < 1000000000)
            exponent = exponent * 10 + (text.ptr[i] - '0');
    out->point += down ? -exponent : exponent;
    while (out->len > 0 && out->digits[out->len - 1] == '0')
        out->len--;
}

/* False: there is a fraction. *out is at most 10^20. */
static bool plain_integer(const struct plain_decimal *decimal, unsigned __int128 *out)
{
    *out = 0;
    if (decimal->len == 0) return true;
    if (decimal->point < (long)decimal->len) return false;
    for (long i = 0; i < decimal->point && i < 21; i++)
        *out = *out * 10 + (i < (long)decimal->len ? (unsigned)(decimal->digits[i] - '0') : 0);
    return true;
}

static void check_number(struct slice text)
{
    static struct plain_decimal decimal;
    static char copy[JSON_DOUBLE_CHARS_MAX + 1];
    unsigned __int128 value;
    bool clamped[2] = {false, false};
    uint64_t unsigned_one;
    int64_t signed_one;
    double double_one;

    take_apart(text, &decimal);
    const bool integral = plain_integer(&decimal, &value);
    if (json_to_int64(text, &signed_one, &clamped[0]) != integral) abort();
    if (json_to_uint64(text, &unsigned_one, &clamped[1]) != integral) abort();
    if (integral) {
        const unsigned __int128 most = (unsigned __int128)INT64_MAX + decimal.negative;
        const unsigned __int128 near = value > most ? most : value;
        if (clamped[0] != (value > most)) abort();
        if ((uint64_t)signed_one != (decimal.negative ? -(uint64_t)near : (uint64_t)near)) abort();
        const bool beyond = value > UINT64_MAX || (decimal.negative && value > 0);
        const uint64_t expected = decimal.negative ? 0 : value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
        if (clamped[1] != beyond || unsigned_one != expected) abort();
    }
    if (json_to_double(text, &double_one) != (text.len <= JSON_DOUBLE_CHARS_MAX)) abort();
    if (text.len > JSON_DOUBLE_CHARS_MAX) return;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const double expected = strtod(copy, NULL);
    if (memcmp(&expected, &double_one, sizeof expected) != 0) abort();
}

static bool reads(struct slice text)
{
    struct json_reader reader;
    struct json_token token = {.type = JSON_NULL};

    json_reader_init(&reader, text);
    while (token.type != JSON_END) {
        if (json_next(&reader, &token) != OK) {
            if (reader.reason == NULL || reader.at < text.ptr || reader.at > text.ptr + text.len) abort();
            return false;
        }
        if (token.type == JSON_KEY || token.type == JSON_STRING) check_string(&token);
        if (token.type == JSON_NUMBER) check_number(token.text);
    }
    return true;
}

/* ---- the translation -------------------------------------------------------------------------------------- */

/* Room of exactly that size; the caller frees it. */
static enum err translate(struct slice json, size_t capacity, uint8_t **out, size_t *len)
{
    struct otlp_json_changes changes;
    struct otlp_fault fault;

    *out = malloc(capacity > 0 ? capacity : 1);
    const enum err err = otlp_from_json(json, *out, capacity, len, &changes, &fault);
    if ((err == ERR_MALFORMED || err == ERR_TOO_LARGE) && (fault.reason == NULL || fault.offset > json.len))
        abort();
    return err;
}

static void check_room(struct slice json, size_t len)
{
    uint8_t *out;
    size_t ignored;

    if (len > 0 && translate(json, len - 1, &out, &ignored) != ERR_FULL) abort();
    if (len > 0) free(out);
}

/* plain as JSON and back. */
static void check_again(struct slice plain, struct rebuilt *first)
{
    static uint8_t texts[2][TEXT_MAX];
    struct json json[2];
    struct rebuilt second = {0};
    struct otlp_result result;
    struct slice bytes = plain;
    uint8_t *out;
    size_t len;

    json_init(&json[0], texts[0], TEXT_MAX, NULL, NULL);
    json_body(scratch, bytes, &json[0]);
    if (json_finish(&json[0]) != OK) abort();
    const struct slice text = slice_of(texts[0], json[0].len);
    if (translate(text, text.len + OTLP_JSON_SLACK, &out, &len) != OK) abort();
    bytes = slice_of(out, len);
    if (rebuild(decoder, bytes, &second, &result) != OK || second.spans_count != first->spans_count) abort();
    json_init(&json[1], texts[1], TEXT_MAX, NULL, NULL);
    json_body(scratch, bytes, &json[1]);
    if (json_finish(&json[1]) != OK) abort();
    if (!slice_equal(text, slice_of(texts[1], json[1].len))) abort();
    rebuilt_free(&second);
    free(out);
}

static void check_translation(struct slice json)
{
    struct rebuilt spans = {0};
    struct otlp_result result;
    uint8_t *out;
    size_t len = 0;
    bool cut = false;

    const enum err err = translate(json, json.len + OTLP_JSON_SLACK, &out, &len);
    if (err == OK) {
        const enum err decoded = rebuild(decoder, slice_of(out, len), &spans, &result);
        if (decoded != OK && decoded != ERR_TOO_LARGE) abort();
        for (uint32_t i = 0; i < spans.spans_count; i++)
            cut |= spans.spans[i].cut;
        if (otlp_from_json_locate(json, slice_of(out, len), result.rejection.offset) > json.len) abort();
        check_room(json, len);
        if (decoded == OK && result.rejected == 0 && !cut) check_again(slice_of(out, len), &spans);
    } else if (err == ERR_FULL) {
        abort(); /* lists of long strings do not fit this input */
    }
    rebuilt_free(&spans);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice json = slice_of(data, size);

    if (scratch == NULL && (otlp_json_open(&scratch) != OK || otlp_decoder_open(&decoder) != OK)) abort();
    if (size > BODY_MAX) return 0;
    if (is_json(json) != reads(json)) abort();
    check_translation(json);
    return 0;
}
