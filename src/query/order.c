/* Members stand in one table. Each comes once; one that is not known is refused by name, for a misspelt one would pin, or
 * erase, something else. */
#include "order.h"

#include "base/clock.h"
#include "codec/json_reader.h"
#include "literal.h"
#include "query/selection.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_BYTES_MAX = 1500, SHOWN_MAX = 60 };

struct parsing {
    struct order *order;
    uint64_t now_ns;
    bool has_trace, has_start, has_end, has_expires;
    char *message;
    size_t capacity;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct parsing *parsing, const char *format,
                                                         ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parsing->message, parsing->capacity, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- values --------------------------------------------------------------------------------------------- */

static bool read_trace(struct parsing *parsing, struct slice value)
{
    struct selector *const selector = &parsing->order->selector;

    parsing->has_trace = selector->by_trace = true;
    return (literal_hex(value, selector->trace_id.bytes, sizeof selector->trace_id.bytes) &&
            !trace_id_is_zero(&selector->trace_id)) ||
           refuse(parsing, "traceId: give 32 hexadecimal digits, not all zero");
}

static bool read_moment(const struct parsing *parsing, struct slice value, uint64_t *out)
{
    uint64_t before_ns;

    if (slice_is(value, "now")) {
        *out = parsing->now_ns;
        return true;
    }
    if (value.len > 1 && value.ptr[0] == '-' &&
        literal_duration(slice_of(value.ptr + 1, value.len - 1), &before_ns)) {
        *out = before_ns < parsing->now_ns ? parsing->now_ns - before_ns : 0;
        return true;
    }
    return literal_u64(value, out) || literal_rfc3339(value, out);
}

static bool read_time(const struct parsing *parsing, const char *name, struct slice value, uint64_t *out)
{
    return read_moment(parsing, value, out) ||
           refuse(
               parsing,
               "%s: \"%.*s\" is no time; give Unix nanoseconds, RFC 3339 (2026-03-01T12:00:00Z), now, or a "
               "time before now (-15m)",
               name, (int)(value.len < SHOWN_MAX ? value.len : SHOWN_MAX), (const char *)value.ptr);
}

static bool read_start(struct parsing *parsing, struct slice value)
{
    parsing->has_start = true;
    return read_time(parsing, "start", value, &parsing->order->selector.start_ns);
}

static bool read_end(struct parsing *parsing, struct slice value)
{
    parsing->has_end = true;
    return read_time(parsing, "end", value, &parsing->order->selector.end_ns);
}

static bool read_text(const struct parsing *parsing, const char *name, struct slice value, char *to,
                      size_t max)
{
    if (value.len == 0) return refuse(parsing, "%s: is empty", name);
    if (value.len > max) return refuse(parsing, "%s: is longer than %zu bytes", name, max);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
            return refuse(parsing, "%s: holds a control character", name);
    memcpy(to, value.ptr, value.len);
    to[value.len] = '\0';
    return true;
}

static bool read_filter(struct parsing *parsing, struct slice value)
{
    char *const filter = parsing->order->selector.filter;
    char why[400];

    if (!read_text(parsing, "filter", value, filter, SELECTOR_FILTER_MAX)) return false;
    return selection_check(filter, why, sizeof why) || refuse(parsing, "filter: %s", why);
}

static bool read_owner(struct parsing *parsing, struct slice value)
{
    return read_text(parsing, "owner", value, parsing->order->owner, PIN_OWNER_MAX);
}

static bool read_reason(struct parsing *parsing, struct slice value)
{
    return read_text(parsing, "reason", value, parsing->order->reason, PIN_REASON_MAX);
}

static bool read_expires(struct parsing *parsing, struct slice value)
{
    uint64_t *const expires_ns = &parsing->order->expires_ns;
    uint64_t lasts_ns;

    parsing->has_expires = true;
    if (slice_is(value, "never")) {
        *expires_ns = 0;
        return true;
    }
    const bool digits_alone = literal_u64(value, &lasts_ns);
    if (!digits_alone && literal_duration(value, &lasts_ns)) {
        *expires_ns = lasts_ns < UINT64_MAX - parsing->now_ns ? parsing->now_ns + lasts_ns : UINT64_MAX;
        return lasts_ns > 0 || refuse(parsing, "expires: is over at once");
    }
    if (!literal_u64(value, expires_ns) && !literal_rfc3339(value, expires_ns))
        return refuse(parsing,
                      "expires: give never, a time from now (90d), RFC 3339 (2026-03-01T12:00:00Z) or Unix "
                      "nanoseconds");
    return *expires_ns > parsing->now_ns || refuse(parsing, "expires: is over already");
}

/* ---- members -------------------------------------------------------------------------------------------- */

static const struct member {
    const char *name;
    bool (*read)(struct parsing *parsing, struct slice value);
} members[] = {
    {"traceId", read_trace}, {"start", read_start},   {"end", read_end},         {"filter", read_filter},
    {"owner", read_owner},   {"reason", read_reason}, {"expires", read_expires},
};
enum { MEMBERS = sizeof members / sizeof members[0] };

static bool read_value(struct parsing *parsing, const struct member *member, const struct json_token *value)
{
    uint8_t plain[VALUE_BYTES_MAX];
    uint32_t replaced = 0;

    if (value->type == JSON_NUMBER) return member->read(parsing, value->text);
    if (value->type != JSON_STRING) return refuse(parsing, "%s: give a string", member->name);
    if (!value->escaped) return member->read(parsing, value->text);
    if (value->text.len > sizeof plain) return refuse(parsing, "%s: is too long", member->name);
    const struct slice text = slice_of(plain, json_unescape(value->text, plain, &replaced));
    if (replaced > 0) return refuse(parsing, "%s: half of a surrogate pair", member->name);
    return member->read(parsing, text);
}

static const struct member *find_member(struct slice name, unsigned *index)
{
    for (*index = 0; *index < MEMBERS; ++*index)
        if (slice_is(name, members[*index].name)) return &members[*index];
    return NULL;
}

static bool not_json(const struct parsing *parsing, const struct json_reader *reader, struct slice body)
{
    return refuse(parsing, "the body is no JSON object: %s, at byte %zu",
                  reader->reason != NULL ? reader->reason : "an object is expected",
                  (size_t)(reader->at - body.ptr));
}

static bool read_members(struct parsing *parsing, struct slice body)
{
    struct json_reader reader;
    struct json_token token;
    unsigned seen = 0, index;

    json_reader_init(&reader, body);
    if (json_next(&reader, &token) != OK || token.type != JSON_OBJECT_BEGIN)
        return not_json(parsing, &reader, body);
    for (;;) {
        if (json_next(&reader, &token) != OK) return not_json(parsing, &reader, body);
        if (token.type == JSON_OBJECT_END) break;
        const struct member *const member = token.escaped ? NULL : find_member(token.text, &index);
        if (member == NULL)
            return refuse(parsing, "member \"%.*s\": not known here",
                          (int)(token.text.len < SHOWN_MAX ? token.text.len : SHOWN_MAX),
                          (const char *)token.text.ptr);
        if (seen >> index & 1) return refuse(parsing, "%s: given more than once", member->name);
        seen |= 1u << index;
        if (json_next(&reader, &token) != OK) return not_json(parsing, &reader, body);
        if (!read_value(parsing, member, &token)) return false;
    }
    return (json_next(&reader, &token) == OK && token.type == JSON_END) || not_json(parsing, &reader, body);
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

static bool judge(const struct parsing *parsing, bool expires)
{
    struct order *const order = parsing->order;
    struct selector *const selector = &order->selector;

    if (parsing->has_trace && (parsing->has_start || parsing->has_end || selector->filter[0] != '\0'))
        return refuse(parsing, "traceId: means all spans of the trace; leave start, end and filter out");
    if (!parsing->has_trace && !parsing->has_start)
        return refuse(parsing, "give a traceId, or a start with, if you like, end and filter");
    if (!parsing->has_trace && !parsing->has_end) selector->end_ns = UINT64_MAX;
    if (!parsing->has_trace && selector->start_ns >= selector->end_ns)
        return refuse(parsing, "end: is not after start");
    if (order->owner[0] == '\0') return refuse(parsing, "owner: is missing; say who is to be asked");
    if (order->reason[0] == '\0') return refuse(parsing, "reason: is missing");
    if (expires && !parsing->has_expires)
        return refuse(parsing, "expires: is missing; give a time from now (90d), a moment, or never");
    return expires || !parsing->has_expires || refuse(parsing, "expires: not known here");
}

bool order_parse(struct order *order, struct slice body, bool expires, uint64_t now_ns, char *message,
                 size_t capacity)
{
    struct parsing parsing = {.order = order, .now_ns = now_ns, .message = message, .capacity = capacity};

    *order = (struct order){.expires_ns = 0};
    return read_members(&parsing, body) && judge(&parsing, expires);
}
