/*
 * Reads a span of Zipkin v2 JSON. Members are tables; what is not in them is skipped. Nothing is copied but the few bytes
 * of a key or word that was written with escapes, to compare it.
 */
#include "zipkin_span.h"

#include "base/assert.h"

#include <stddef.h>
#include <strings.h>

/* ---- members -------------------------------------------------------------------------------------------- */

enum member_kind { MEMBER_TEXT, MEMBER_NUMBER, MEMBER_BOOL, MEMBER_ENDPOINT, MEMBER_TAGS, MEMBER_LIST };

struct member {
    const char *key;
    size_t offset; /* in the struct that is filled */
    enum member_kind kind;
    const char *wrong; /* what is said about a value of another type */
};

#define AT(member) offsetof(struct zipkin_span, member)
static const struct member span_members[] = {
    {"traceId", AT(trace_id), MEMBER_TEXT, "Span.traceId: not a string"},
    {"id", AT(id), MEMBER_TEXT, "Span.id: not a string"},
    {"parentId", AT(parent_id), MEMBER_TEXT, "Span.parentId: not a string"},
    {"name", AT(name), MEMBER_TEXT, "Span.name: not a string"},
    {"kind", AT(kind), MEMBER_TEXT, "Span.kind: not a string"},
    {"timestamp", AT(timestamp_us), MEMBER_NUMBER, "Span.timestamp: not an integer"},
    {"duration", AT(duration_us), MEMBER_NUMBER, "Span.duration: not an integer"},
    {"localEndpoint", AT(local), MEMBER_ENDPOINT, "Span.localEndpoint: not an object"},
    {"remoteEndpoint", AT(remote), MEMBER_ENDPOINT, "Span.remoteEndpoint: not an object"},
    {"annotations", AT(annotations), MEMBER_LIST, "Span.annotations: not a list"},
    {"tags", AT(tags), MEMBER_TAGS, "Span.tags: not an object"},
    {"debug", AT(debug), MEMBER_BOOL, "Span.debug: neither true nor false"},
    {"shared", AT(shared), MEMBER_BOOL, "Span.shared: neither true nor false"},
};
#undef AT
#define AT(member) offsetof(struct zipkin_endpoint, member)
static const struct member endpoint_members[] = {
    {"serviceName", AT(service), MEMBER_TEXT, "Endpoint.serviceName: not a string"},
    {"ipv4", AT(ipv4), MEMBER_TEXT, "Endpoint.ipv4: not a string"},
    {"ipv6", AT(ipv6), MEMBER_TEXT, "Endpoint.ipv6: not a string"},
    {"port", AT(port), MEMBER_NUMBER, "Endpoint.port: not an integer"},
};
#undef AT
#define COUNT(table) (sizeof table / sizeof *table)

/* ---- tags ----------------------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    enum zipkin_role role;
} known_tags[] = {
    {"error", TAG_ERROR},
    {"span.kind", TAG_KIND},
    {"service.name", TAG_SERVICE_NAME},
    {"otel.status_code", TAG_STATUS_CODE},
    {"otel.status_description", TAG_STATUS_TEXT},
    {"otel.scope.name", TAG_SCOPE_NAME},
    {"otel.scope.version", TAG_SCOPE_VERSION},
    {"otel.library.name", TAG_LIBRARY_NAME},
    {"otel.library.version", TAG_LIBRARY_VERSION},
    {"w3c.tracestate", TAG_TRACE_STATE},
    {"otlp.service.name.source", TAG_SERVICE_KEY},
    {"deployment.environment", TAG_RESOURCE},
    {"opencensus.starttime", TAG_RESOURCE},
    {"opencensus.exporterversion", TAG_RESOURCE},
    {"opencensus.resourcetype", TAG_RESOURCE},
};

/* Attributes of resources, by OpenTelemetry's semantic conventions. */
static const char *const resource_prefixes[] = {
    "service.",
    "telemetry.",
    "host.",
    "k8s.",
    "cloud.",
    "container.",
    "process.",
    "os.",
    "faas.",
    "aws.",
    "webengine.",
    "device.",
    "deployment.environment.",
};

enum { WORD_BYTES_MAX = 48, ESCAPED_BYTES_PER_BYTE = 6 };

/* The text as it is meant, if it may be one of our words; else anything. */
static struct slice word_of(const struct zipkin_text *text,
                            uint8_t room[WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE])
{
    if (!text->escaped || text->bytes.len > WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE) return text->bytes;
    uint32_t replaced = 0; /* then it is none of our words */
    return slice_of(room, json_unescape(text->bytes, room, &replaced));
}

bool zipkin_text_is(const struct zipkin_text *text, const char *word)
{
    uint8_t room[WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE];

    return slice_is(word_of(text, room), word);
}

bool zipkin_text_is_any_case(const struct zipkin_text *text, const char *word)
{
    uint8_t room[WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE];
    const struct slice meant = word_of(text, room);

    return meant.len == strlen(word) &&
           (meant.len == 0 || strncasecmp((const char *)meant.ptr, word, meant.len) == 0);
}

static bool begins_with(struct slice text, const char *prefix)
{
    const size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

/* otlp.link.N, N as it is written without zeros in front. */
static bool is_link(struct slice key, unsigned *out)
{
    static const char prefix[] = "otlp.link.";
    unsigned number = 0;

    if (!begins_with(key, prefix)) return false;
    const struct slice digits = slice_of(key.ptr + sizeof prefix - 1, key.len - (sizeof prefix - 1));
    if (digits.len == 0 || digits.len > 3 || (digits.len > 1 && digits.ptr[0] == '0')) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        number = number * 10 + (digits.ptr[i] - '0');
    }
    *out = number;
    return number < ZIPKIN_LINKS_MAX;
}

static void find_role(struct zipkin_tag *tag)
{
    uint8_t room[WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE];
    const struct slice key = word_of(&tag->key, room);

    tag->role = TAG_ATTRIBUTE;
    for (size_t i = 0; i < COUNT(known_tags); i++) {
        if (!slice_is(key, known_tags[i].key)) continue;
        tag->role = known_tags[i].role;
        return;
    }
    if (is_link(key, &tag->link)) tag->role = TAG_LINK;
    for (size_t i = 0; i < COUNT(resource_prefixes); i++)
        if (begins_with(key, resource_prefixes[i])) tag->role = TAG_RESOURCE;
}

static struct zipkin_text text_of(const struct json_token *token)
{
    switch (token->type) {
    case JSON_TRUE: return (struct zipkin_text){slice_text("true"), false};
    case JSON_FALSE: return (struct zipkin_text){slice_text("false"), false};
    case JSON_NUMBER: return (struct zipkin_text){token->text, false};
    default: return (struct zipkin_text){token->text, token->escaped};
    }
}

void zipkin_tags_begin(const struct zipkin_span *span, struct json_reader *reader)
{
    struct json_token token;

    json_reader_init(reader, span->tags.ptr != NULL ? span->tags : slice_text("{}"));
    const enum err err = json_next(reader, &token);
    assert(err == OK && token.type == JSON_OBJECT_BEGIN);
}

bool zipkin_tags_next(struct json_reader *reader, struct zipkin_tag *out)
{
    struct json_token key, value;

    do {
        enum err err = json_next(reader, &key);
        assert(err == OK); /* it was read before */
        if (key.type == JSON_OBJECT_END) return false;
        err = json_next(reader, &value);
        assert(err == OK);
    } while (value.type == JSON_NULL);
    out->key = text_of(&key);
    out->value = text_of(&value);
    find_role(out);
    return true;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

static enum err malformed(struct otlp_fault *fault, const char *reason, const uint8_t *at)
{
    fault->reason = reason;
    fault->at = at;
    return ERR_MALFORMED;
}

static enum err next_token(struct json_reader *reader, struct json_token *token, struct otlp_fault *fault)
{
    return json_next(reader, token) == OK ? OK : malformed(fault, reader->reason, reader->at);
}

static const struct member *find_member(const struct member *table, size_t count,
                                        const struct json_token *key)
{
    const struct zipkin_text text = text_of(key);

    for (size_t i = 0; i < count; i++)
        if (zipkin_text_is(&text, table[i].key)) return &table[i];
    return NULL;
}

static bool take_number(const struct json_token *token, uint64_t *out)
{
    const bool is_number = token->type == JSON_NUMBER ||
                           (token->type == JSON_STRING && json_is_number(token->text));

    bool clamped; /* microseconds beyond 64 bits end with them */
    return is_number && json_to_uint64(token->text, out, &clamped);
}

/* False: of another type. */
static bool take_scalar(const struct member *member, const struct json_token *token, void *base)
{
    void *const place = (uint8_t *)base + member->offset;

    switch (member->kind) {
    case MEMBER_TEXT:
        if (token->type != JSON_STRING) return false;
        *(struct zipkin_text *)place = text_of(token);
        return true;
    case MEMBER_NUMBER: return take_number(token, place);
    case MEMBER_BOOL:
        *(bool *)place = token->type == JSON_TRUE;
        return token->type == JSON_TRUE || token->type == JSON_FALSE;
    default: return false;
    }
}

/* The member that is due in an object: *member NULL at its end. Unknown ones and those that are null are skipped. */
static enum err next_member(struct json_reader *reader, const struct member *table, size_t count,
                            const struct member **member, struct json_token *value, struct otlp_fault *fault)
{
    struct json_token key;

    for (;;) {
        *member = NULL;
        TRY(next_token(reader, &key, fault));
        if (key.type == JSON_OBJECT_END) return OK;
        *member = find_member(table, count, &key);
        if (*member == NULL) {
            if (json_skip(reader) != OK) return malformed(fault, reader->reason, reader->at);
            continue;
        }
        TRY(next_token(reader, value, fault));
        if (value->type != JSON_NULL) return OK;
    }
}

static enum err read_endpoint(struct json_reader *reader, const struct json_token *begin, const char *wrong,
                              struct zipkin_endpoint *out, struct otlp_fault *fault)
{
    const struct member *member;
    struct json_token value;

    *out = (struct zipkin_endpoint){0};
    if (begin->type != JSON_OBJECT_BEGIN) return malformed(fault, wrong, begin->at);
    for (;;) {
        TRY(next_member(reader, endpoint_members, COUNT(endpoint_members), &member, &value, fault));
        if (member == NULL) return OK;
        if (!take_scalar(member, &value, out)) return malformed(fault, member->wrong, value.at);
    }
}

/* Where a list lies; its elements are judged when they are written. */
static enum err read_list(struct json_reader *reader, const struct json_token *begin, const char *wrong,
                          struct slice *out, struct otlp_fault *fault)
{
    const unsigned outside = json_depth(reader) - 1;
    struct json_token token;

    if (begin->type != JSON_ARRAY_BEGIN) return malformed(fault, wrong, begin->at);
    do
        TRY(next_token(reader, &token, fault));
    while (json_depth(reader) > outside);
    *out = slice_of(begin->at, (size_t)(reader->at - begin->at));
    return OK;
}

static void note_tag(struct zipkin_span *span, const struct zipkin_tag *tag)
{
    if (tag->role == TAG_RESOURCE) {
        span->has_resource_tags = true;
    } else if (tag->role == TAG_LINK) {
        span->has_link[tag->link / 64] |= 1ULL << tag->link % 64;
        span->links[tag->link] = tag->value;
    } else {
        span->known[tag->role] = tag->value;
    }
}

static bool is_tag_value(const struct json_token *token)
{
    return token->type == JSON_STRING || token->type == JSON_NUMBER || token->type == JSON_TRUE ||
           token->type == JSON_FALSE;
}

static enum err read_tags(struct json_reader *reader, const struct json_token *begin, const char *wrong,
                          struct zipkin_span *span, struct otlp_fault *fault)
{
    struct json_token key, value;

    if (begin->type != JSON_OBJECT_BEGIN) return malformed(fault, wrong, begin->at);
    span->has_resource_tags = false; /* of tags given before */
    memset(span->known, 0, sizeof span->known);
    memset(span->has_link, 0, sizeof span->has_link);
    for (;;) {
        TRY(next_token(reader, &key, fault));
        if (key.type == JSON_OBJECT_END) break;
        TRY(next_token(reader, &value, fault));
        if (value.type == JSON_NULL) continue;
        if (!is_tag_value(&value)) return malformed(fault, "Span.tags: a value is not a string", value.at);
        struct zipkin_tag tag = {.key = text_of(&key), .value = text_of(&value)};
        find_role(&tag);
        note_tag(span, &tag);
    }
    span->tags = slice_of(begin->at, (size_t)(reader->at - begin->at));
    return OK;
}

enum err zipkin_read_span(struct json_reader *reader, struct zipkin_span *out, struct otlp_fault *fault)
{
    const struct member *member;
    struct json_token value;

    memset(out, 0, offsetof(struct zipkin_span, links));
    for (;;) {
        TRY(next_member(reader, span_members, COUNT(span_members), &member, &value, fault));
        if (member == NULL) return OK;
        void *const place = (uint8_t *)out + member->offset;
        switch (member->kind) {
        case MEMBER_ENDPOINT: TRY(read_endpoint(reader, &value, member->wrong, place, fault)); break;
        case MEMBER_TAGS: TRY(read_tags(reader, &value, member->wrong, out, fault)); break;
        case MEMBER_LIST: TRY(read_list(reader, &value, member->wrong, place, fault)); break;
        default:
            if (!take_scalar(member, &value, out)) return malformed(fault, member->wrong, value.at);
        }
    }
}
