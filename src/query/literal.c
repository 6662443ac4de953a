/*
 * No locale, no floating point but for doubles, no overflow.
 */
#include "literal.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static struct slice behind(struct slice text, size_t count)
{
    return slice_of(text.ptr + count, text.len - count);
}

/* The digits in front; how many. SIZE_MAX: more than 64 bits. */
static size_t digits(struct slice text, uint64_t *out)
{
    size_t count = 0;

    *out = 0;
    for (; count < text.len && is_digit(text.ptr[count]); count++)
        if (__builtin_mul_overflow(*out, 10u, out) ||
            __builtin_add_overflow(*out, (uint64_t)(text.ptr[count] - '0'), out))
            return SIZE_MAX;
    return count;
}

bool literal_u64(struct slice text, uint64_t *out)
{
    uint64_t value;

    if (text.len == 0 || digits(text, &value) != text.len) return false;
    *out = value;
    return true;
}

/* ---- durations ------------------------------------------------------------------------------------------
 */

static bool unit_of(struct slice text, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"", 1},
        {"ns", 1},
        {"us", NS_PER_US},
        {"\xc2\xb5s", NS_PER_US}, /* micro sign */
        {"\xce\xbcs", NS_PER_US}, /* Greek mu */
        {"ms", NS_PER_MS},
        {"s", NS_PER_S},
        {"m", 60 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"d", 86400 * NS_PER_S},
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (slice_is(text, units[i].name)) {
            *ns = units[i].ns;
            return true;
        }
    return false;
}

/* Up to nine digits behind the point, as parts of *scale. */
static bool fraction(struct slice *text, uint64_t *part, uint64_t *scale)
{
    *part = 0;
    *scale = 1;
    if (text->len == 0 || text->ptr[0] != '.') return true;
    *text = behind(*text, 1);
    const size_t count = digits(*text, part);
    if (count == 0 || count > 9) return false;
    for (size_t i = 0; i < count; i++)
        *scale *= 10;
    *text = behind(*text, count);
    return true;
}

bool literal_duration(struct slice text, uint64_t *ns)
{
    uint64_t whole, part, scale, unit, value;

    const size_t count = digits(text, &whole);
    if (count == 0 || count == SIZE_MAX) return false;
    text = behind(text, count);
    if (!fraction(&text, &part, &scale) || !unit_of(text, &unit)) return false;
    if (__builtin_mul_overflow(whole, unit, &value)) return false;
    const uint64_t rest = (uint64_t)((unsigned __int128)part * unit / scale);
    if (__builtin_add_overflow(value, rest, &value)) return false;
    *ns = value;
    return true;
}

/* ---- points in time -------------------------------------------------------------------------------------
 */

/* Exactly count digits, then (unless 0) the byte. */
static bool field(struct slice *text, size_t count, char next, uint64_t *out)
{
    if (text->len < count || digits(slice_of(text->ptr, count), out) != count) return false;
    *text = behind(*text, count);
    if (next == 0) return true;
    if (text->len == 0 || (text->ptr[0] | 0x20) != (next | 0x20)) return false;
    *text = behind(*text, 1);
    return true;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years from 1970 on. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    const uint64_t y = month <= 2 ? year - 1 : year; /* the year begins in March: leap days come last */
    const uint64_t m = (month + 9) % 12;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + (day - 1) - 719468;
}

static uint64_t days_in(uint64_t year, uint64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Z, or +hh:mm, or -hh:mm: seconds to subtract. */
static bool offset_of(struct slice text, int64_t *seconds)
{
    uint64_t hours, minutes;

    *seconds = 0;
    if (text.len == 1 && (text.ptr[0] | 0x20) == 'z') return true;
    if (text.len != 6 || (text.ptr[0] != '+' && text.ptr[0] != '-')) return false;
    const bool west = text.ptr[0] == '-';
    text = behind(text, 1);
    if (!field(&text, 2, ':', &hours) || !field(&text, 2, 0, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds = (int64_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

bool literal_rfc3339(struct slice text, uint64_t *ns)
{
    uint64_t year, month, day, hour, minute, second, part, scale;
    int64_t offset;

    if (!field(&text, 4, '-', &year) || !field(&text, 2, '-', &month) || !field(&text, 2, 'T', &day) ||
        !field(&text, 2, ':', &hour) || !field(&text, 2, ':', &minute) || !field(&text, 2, 0, &second))
        return false;
    if (!fraction(&text, &part, &scale) || !offset_of(text, &offset)) return false;
    if (year < 1970 || year > 2553 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 60) return false;
    const int64_t seconds =
        (int64_t)(days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) - offset;
    if (seconds < 0) return false;
    *ns = (uint64_t)seconds * NS_PER_S + part * (NS_PER_S / scale);
    return true;
}

/* ---- ids ------------------------------------------------------------------------------------------------
 */

static int hex_digit(uint8_t byte)
{
    if (is_digit(byte)) return byte - '0';
    const uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool literal_hex(struct slice text, uint8_t *out, size_t bytes)
{
    if (text.len != 2 * bytes) return false;
    for (size_t i = 0; i < bytes; i++) {
        const int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- attribute values -----------------------------------------------------------------------------------
 */

bool literal_quoted(struct slice *text, uint8_t *room, struct slice *out)
{
    size_t len = 0;

    if (text->len == 0 || text->ptr[0] != '"') return false;
    for (size_t i = 1; i < text->len; i++) {
        uint8_t byte = text->ptr[i];
        if (byte == '"') {
            *out = slice_of(room, len);
            *text = behind(*text, i + 1);
            return true;
        }
        if (byte == '\\') {
            if (++i == text->len) return false;
            byte = text->ptr[i];
            if (byte != '"' && byte != '\\') return false;
        }
        room[len++] = byte;
    }
    return false;
}

static bool is_int(struct slice text, uint64_t *bits)
{
    const bool minus = text.len > 0 && text.ptr[0] == '-';
    const uint64_t largest = (uint64_t)INT64_MAX + minus;
    uint64_t value;

    if (!literal_u64(minus ? behind(text, 1) : text, &value) || value > largest) return false;
    *bits = minus ? 0 - value : value;
    return true;
}

/* -12.5e+3: digits, point or exponent; what strtod() takes beyond that (hex, nan) is a string. */
static bool looks_double(struct slice text)
{
    uint64_t ignored;
    bool point = false, exponent = false;

    if (text.len > 0 && text.ptr[0] == '-') text = behind(text, 1);
    if (text.len == 0 || !is_digit(text.ptr[0])) return false;
    while (text.len > 0 && is_digit(text.ptr[0]))
        text = behind(text, 1);
    if (text.len > 1 && text.ptr[0] == '.' && is_digit(text.ptr[1])) {
        point = true;
        text = behind(text, 1);
        while (text.len > 0 && is_digit(text.ptr[0]))
            text = behind(text, 1);
    }
    if (text.len > 1 && (text.ptr[0] | 0x20) == 'e') {
        exponent = true;
        text = behind(text, text.ptr[1] == '-' || text.ptr[1] == '+' ? 2 : 1);
        if (text.len == 0 || digits(text, &ignored) != text.len) return false;
        text = behind(text, text.len);
    }
    return text.len == 0 && (point || exponent);
}

static bool is_double(struct slice text, uint64_t *bits)
{
    char copy[128];

    if (!looks_double(text) || text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const double value = strtod(copy, NULL); /* the locale is "C": nobody calls setlocale() */
    memcpy(bits, &value, sizeof *bits);
    return true;
}

bool literal_value(struct slice text, uint8_t *room, struct attribute *out)
{
    uint64_t bits = 0;
    struct slice string = text;

    out->type = VALUE_STRING;
    if (text.len > 0 && text.ptr[0] == '"') {
        if (!literal_quoted(&text, room, &string) || text.len != 0) return false;
    } else if (slice_is(text, "true") || slice_is(text, "false")) {
        out->type = VALUE_BOOL;
        bits = slice_is(text, "true");
    } else if (is_int(text, &bits)) {
        out->type = VALUE_INT;
    } else if (is_double(text, &bits)) {
        out->type = VALUE_DOUBLE;
    }
    out->bytes = out->type == VALUE_STRING ? string : (struct slice){0};
    out->bits = bits;
    return true;
}
