/*
 * Parameters stand in one table: name, which questions know it, whether it may come more than once, and how
 * its value is read. A value that is refused is named with what would be right; nothing is guessed.
 */
#include "request.h"

#include "base/assert.h"
#include "literal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static bool refuse(struct request *request, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(request->message, sizeof request->message, format, arguments);
    va_end(arguments);
    return false;
}

/* For "%.*s": what was given, not too much of it. */
enum { SHOWN_MAX = 80 };
#define SHOWN(slice) (int)((slice).len < SHOWN_MAX ? (slice).len : SHOWN_MAX), (const char *)(slice).ptr

/* ---- values ---------------------------------------------------------------------------------------------
 */

static bool read_service(struct request *request, struct slice value)
{
    if (value.len == 0) return refuse(request, "parameter service: is empty; name a service");
    request->has_service = true;
    request->service = value;
    return true;
}

static bool read_operation(struct request *request, struct slice value)
{
    request->has_operation = true;
    request->operation = value;
    return true;
}

static bool read_moment(struct request *request, const char *name, struct slice value, struct moment *out)
{
    out->given = true;
    if (value.len > 1 && value.ptr[0] == '-') {
        out->before_now = true;
        if (literal_duration(slice_of(value.ptr + 1, value.len - 1), &out->ns)) return true;
    } else if (slice_is(value, "now")) {
        out->before_now = true;
        return true;
    } else if (literal_u64(value, &out->ns) || literal_rfc3339(value, &out->ns)) {
        return true;
    }
    return refuse(request,
                  "parameter %s: \"%.*s\" is no time; give Unix nanoseconds, RFC 3339 "
                  "(2026-03-01T12:00:00Z), now, or a time before now (-15m)",
                  name, SHOWN(value));
}

static bool read_start(struct request *request, struct slice value)
{
    return read_moment(request, "start", value, &request->start);
}

static bool read_end(struct request *request, struct slice value)
{
    return read_moment(request, "end", value, &request->end);
}

static bool read_duration(struct request *request, const char *name, struct slice value, uint64_t *ns)
{
    return literal_duration(value, ns) ||
           refuse(request, "parameter %s: \"%.*s\" is no duration; write it like 10ms, 1.5s or 2m", name,
                  SHOWN(value));
}

static bool read_duration_min(struct request *request, struct slice value)
{
    return read_duration(request, "minDuration", value, &request->duration_min_ns);
}

static bool read_duration_max(struct request *request, struct slice value)
{
    return read_duration(request, "maxDuration", value, &request->duration_max_ns);
}

static int word_index(struct slice value, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (slice_is(value, words[i])) return i;
    return -1;
}

static bool read_status(struct request *request, struct slice value)
{
    static const char *const words[] = {"unset", "ok", "error"}; /* Status.StatusCode */

    request->has_status = true;
    request->status = word_index(value, words, 3);
    return request->status >= 0 ||
           refuse(request, "parameter status: \"%.*s\" is none of unset, ok, error", SHOWN(value));
}

static bool read_kind(struct request *request, struct slice value)
{
    static const char *const words[] = {"unspecified", "internal", "server",
                                        "client",      "producer", "consumer"}; /* Span.SpanKind */

    request->has_kind = true;
    request->span_kind = word_index(value, words, 6);
    return request->span_kind >= 0 ||
           refuse(request,
                  "parameter kind: \"%.*s\" is none of unspecified, internal, server, client, producer, "
                  "consumer",
                  SHOWN(value));
}

/* Up to the byte; what stands behind it goes to *rest. */
static bool split(struct slice text, char at, struct slice *before, struct slice *rest)
{
    const uint8_t *const found = text.len > 0 ? memchr(text.ptr, at, text.len) : NULL;

    if (found == NULL) return false;
    const size_t len = (size_t)(found - text.ptr);
    *before = slice_of(text.ptr, len);
    *rest = slice_of(found + 1, text.len - len - 1);
    return true;
}

/* A key may be quoted, so that it can hold '='. */
static bool take_key(struct request *request, struct slice *text, struct slice *key)
{
    uint8_t *const room = request->values + request->values_len;

    if (text->len == 0 || text->ptr[0] != '"') return split(*text, '=', key, text);
    if (!literal_quoted(text, room, key) || text->len == 0 || text->ptr[0] != '=') return false;
    request->values_len += key->len;
    *text = slice_of(text->ptr + 1, text->len - 1);
    return true;
}

static bool read_attr(struct request *request, struct slice value)
{
    static const char *const levels[LEVEL_COUNT] = {"resource", "scope", "span", "event", "link"};
    struct slice level, rest, key;

    if (request->conditions_count == REQUEST_CONDITIONS_MAX)
        return refuse(request, "parameter attr: more than %d of them", REQUEST_CONDITIONS_MAX);
    struct condition *const condition = &request->conditions[request->conditions_count];
    const int found = split(value, '.', &level, &rest) ? word_index(level, levels, LEVEL_COUNT) : -1;
    if (found < 0 || !take_key(request, &rest, &key) || key.len == 0)
        return refuse(request,
                      "parameter attr: \"%.*s\" is not <level>.<key>=<value> with level resource, scope, "
                      "span, event or link",
                      SHOWN(value));
    if (!literal_value(rest, request->values + request->values_len, &condition->attribute))
        return refuse(request,
                      "parameter attr: the quoted value of \"%.*s\" does not end, or has \\ before "
                      "something other than \" and \\",
                      SHOWN(value));
    request->values_len += condition->attribute.bytes.len;
    condition->level = (enum attribute_level)found;
    condition->attribute.key = key;
    request->conditions_count++;
    return true;
}

static bool read_limit(struct request *request, struct slice value)
{
    uint64_t limit;

    if (!literal_u64(value, &limit) || limit < 1 || limit > REQUEST_LIMIT_MAX)
        return refuse(request, "parameter limit: %.*s is not between 1 and %d", SHOWN(value),
                      REQUEST_LIMIT_MAX);
    request->limit = (uint32_t)limit;
    return true;
}

static bool read_step(struct request *request, struct slice value)
{
    for (enum ledger_step step = LEDGER_MINUTE; step < LEDGER_STEPS; step++) {
        request->step = step;
        if (slice_is(value, ledger_step_text(step))) return true;
    }
    return refuse(request, "parameter step: \"%.*s\" is none of minute, hour, day, ever", SHOWN(value));
}

static bool read_age(struct request *request, struct slice value)
{
    request->has_age = true;
    return read_duration(request, "age", value, &request->retention.age_ns);
}

static bool read_bytes(struct request *request, const char *name, struct slice value, uint64_t *bytes)
{
    return literal_u64(value, bytes) ||
           refuse(request, "parameter %s: \"%.*s\" is no number of bytes", name, SHOWN(value));
}

static bool read_bytes_max(struct request *request, struct slice value)
{
    request->has_bytes = true;
    return read_bytes(request, "bytes", value, &request->retention.bytes_max);
}

static bool read_free_min(struct request *request, struct slice value)
{
    request->has_free = true;
    return read_bytes(request, "free", value, &request->retention.free_min);
}

static bool read_cursor(struct request *request, struct slice value)
{
    uint8_t bytes[24];

    if (!literal_hex(value, bytes, sizeof bytes))
        return refuse(request, "parameter cursor: \"%.*s\" was not given by an answer of this server",
                      SHOWN(value));
    request->has_cursor = true;
    memcpy(&request->cursor.key_ns, bytes, 8);
    request->cursor.key_ns = __builtin_bswap64(request->cursor.key_ns);
    memcpy(request->cursor.trace_id.bytes, bytes + 8, 16);
    return true;
}

static bool read_after(struct request *request, struct slice value)
{
    struct slice shard, position;
    uint64_t index;

    if (!split(value, '-', &shard, &position) || !literal_u64(shard, &index) || index > UINT16_MAX ||
        !literal_u64(position, &request->after_lsn))
        return refuse(
            request, "parameter after: \"%.*s\" is no position; give the value of a spanmill-position header",
            SHOWN(value));
    request->has_after = true;
    request->after_shard = (uint32_t)index;
    return true;
}

/* ---- the table ------------------------------------------------------------------------------------------
 */

struct parameter {
    const char *name;
    unsigned kinds; /* of enum request_kind */
    bool repeated;
    bool (*read)(struct request *request, struct slice value);
};

enum { RANGED = REQUEST_SEARCH | REQUEST_SERVICES | REQUEST_OPERATIONS | REQUEST_LEDGER | REQUEST_EXPORT };
enum { ALL = REQUEST_TRACE | REQUEST_SEARCH | REQUEST_SERVICES | REQUEST_OPERATIONS | REQUEST_LEDGER };
enum { FILTERED = REQUEST_SEARCH | REQUEST_EXPORT | REQUEST_FILTER };

static const struct parameter parameters[] = {
    {"service", FILTERED | REQUEST_OPERATIONS | REQUEST_LEDGER, false, read_service},
    {"operation", FILTERED, false, read_operation},
    {"start", RANGED, false, read_start},
    {"end", RANGED, false, read_end},
    {"minDuration", FILTERED, false, read_duration_min},
    {"maxDuration", FILTERED, false, read_duration_max},
    {"status", FILTERED, false, read_status},
    {"kind", FILTERED, false, read_kind},
    {"attr", FILTERED, true, read_attr},
    {"limit", REQUEST_SEARCH | REQUEST_EXPORT | REQUEST_RETENTION | REQUEST_LEDGER, false, read_limit},
    {"step", REQUEST_LEDGER, false, read_step},
    {"age", REQUEST_RETENTION, false, read_age},
    {"bytes", REQUEST_RETENTION, false, read_bytes_max},
    {"free", REQUEST_RETENTION, false, read_free_min},
    {"cursor", REQUEST_SEARCH | REQUEST_EXPORT, false, read_cursor},
    {"after", ALL, false, read_after},
};
enum { PARAMETERS = sizeof parameters / sizeof parameters[0] };

static bool read_parameter(struct request *request, struct slice name, struct slice value)
{
    for (unsigned i = 0; i < PARAMETERS; i++) {
        const struct parameter *const parameter = &parameters[i];
        if (!slice_is(name, parameter->name) || (parameter->kinds & (unsigned)request->kind) == 0) continue;
        if (!parameter->repeated && request->seen >> i & 1)
            return refuse(request, "parameter %s: given more than once", parameter->name);
        request->seen |= 1u << i;
        return parameter->read(request, value);
    }
    return refuse(request, "parameter %.*s: not known here", SHOWN(name));
}

/* ---- requests -------------------------------------------------------------------------------------------
 */

/* 16 digits are an id of 64 bits, as Zipkin's senders make them: it is stored behind zeros. */
static bool read_trace_id(struct request *request, struct slice text)
{
    uint8_t *const bytes = request->trace_id.bytes;
    const size_t zeros = text.len == sizeof request->trace_id.bytes ? sizeof request->trace_id.bytes / 2 : 0;

    memset(bytes, 0, zeros);
    if (!literal_hex(text, bytes + zeros, sizeof request->trace_id.bytes - zeros))
        return refuse(request,
                      "trace id \"%.*s\": give 32 hexadecimal digits, or 16 (these are %zu characters)",
                      SHOWN(text), text.len);
    return !trace_id_is_zero(&request->trace_id) || refuse(request, "trace id: 32 zeros are not a trace id");
}

static bool read_id(struct request *request, struct slice text)
{
    return (literal_u64(text, &request->id) && request->id > 0) ||
           refuse(request, "id \"%.*s\": give the number that was answered when it was made", SHOWN(text));
}

static bool read_export(struct request *request, struct slice text)
{
    uint8_t bytes[8];

    if (!literal_hex(text, bytes, sizeof bytes))
        return refuse(request, "export \"%.*s\": give the 16 digits that were answered when it was begun",
                      SHOWN(text));
    memcpy(&request->id, bytes, sizeof bytes);
    request->id = __builtin_bswap64(request->id);
    return true;
}

static bool read_backup(struct request *request, struct slice text)
{
    if (text.len <= BACKUP_NAME_MAX && memchr(text.ptr, '\0', text.len) == NULL) {
        memcpy(request->backup, text.ptr, text.len);
        request->backup[text.len] = '\0';
        if (backup_name_is_good(request->backup)) return true;
    }
    return refuse(request, "\"%.*s\" is no name of a backup; it has letters, digits and . _ -, at most %d",
                  SHOWN(text), BACKUP_NAME_MAX);
}

bool request_parse(struct request *request, enum request_kind kind, struct slice rest, struct slice query)
{
    struct http1_query it;
    struct slice name, value;
    enum err err;

    request->kind = kind;
    request->duration_max_ns = UINT64_MAX;
    request->limit = kind == REQUEST_LEDGER ? REQUEST_LIMIT_MAX : REQUEST_LIMIT_DEFAULT;
    request->step = LEDGER_EVER;
    if (kind == REQUEST_TRACE && !read_trace_id(request, rest)) return false;
    if ((kind & (REQUEST_PIN_REMOVE | REQUEST_ERASURE)) != 0 && !read_id(request, rest)) return false;
    if ((kind & (REQUEST_EXPORT | REQUEST_EXPORT_END)) != 0 && !read_export(request, rest)) return false;
    if (kind == REQUEST_BACKUP_REMOVE && !read_backup(request, rest)) return false;
    http1_query_init(&it, query, request->text, sizeof request->text);
    while ((err = http1_query_next(&it, &name, &value)) == OK)
        if (!read_parameter(request, name, value)) return false;
    if (err == ERR_TOO_LARGE)
        return refuse(request, "the query string is longer than %u bytes or has more than %u parameters",
                      HTTP1_QUERY_MAX, HTTP1_QUERY_PARAMETERS_MAX);
    if (err != ERR_NOT_FOUND)
        return refuse(request, "the query string holds a broken %% escape, %%00 or bytes that are not UTF-8");
    if (request->duration_min_ns > request->duration_max_ns)
        return refuse(request, "parameter minDuration: is longer than maxDuration");
    if (kind == REQUEST_OPERATIONS && !request->has_service)
        return refuse(request, "parameter service: is missing; name the service");
    return true;
}

static uint64_t resolve(const struct moment *moment, uint64_t now_ns, uint64_t otherwise)
{
    if (!moment->given) return otherwise;
    if (!moment->before_now) return moment->ns;
    return moment->ns < now_ns ? now_ns - moment->ns : 0;
}

bool request_resolve(struct request *request, uint64_t now_ns)
{
    const uint64_t start = resolve(&request->start, now_ns, 0);
    const uint64_t end = resolve(&request->end, now_ns, UINT64_MAX);

    request->first_ns = start;
    request->last_ns = request->end.given ? end - 1 : UINT64_MAX;
    return start < end ||
           refuse(request, "parameters start and end: start (%" PRIu64 ") is not before end (%" PRIu64 ")",
                  start, end);
}
