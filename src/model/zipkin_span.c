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

/* A word with its length: that and the first byte tell most keys. None is empty. */
struct word {
    const char *text;
    size_t len;
};
#define WORD(text)                                                                                           \
    {                                                                                                        \
        text, sizeof text - 1                                                                                \
    }

static bool is_word(struct slice text, struct word word)
{
    return text.len == word.len && text.ptr[0] == (uint8_t)word.text[0] &&
           memcmp(text.ptr, word.text, word.len) == 0;
}

static bool begins_with(struct slice text, struct word word)
{
    return text.len >= word.len && text.ptr[0] == (uint8_t)word.text[0] &&
           memcmp(text.ptr, word.text, word.len) == 0;
}

struct member {
    struct word key;
    size_t offset; /* in the struct that is filled */
    enum member_kind kind;
    const char *wrong; /* what is said about a value of another type */
};

#define AT(member) offsetof(struct zipkin_span, member)
static const struct member span_members[] = {
    {WORD("traceId"), AT(trace_id), MEMBER_TEXT, "Span.traceId: not a string"},
    {WORD("id"), AT(id), MEMBER_TEXT, "Span.id: not a string"},
    {WORD("parentId"), AT(parent_id), MEMBER_TEXT, "Span.parentId: not a string"},
    {WORD("name"), AT(name), MEMBER_TEXT, "Span.name: not a string"},
    {WORD("kind"), AT(kind), MEMBER_TEXT, "Span.kind: not a string"},
    {WORD("timestamp"), AT(timestamp_us), MEMBER_NUMBER, "Span.timestamp: not an integer"},
    {WORD("duration"), AT(duration_us), MEMBER_NUMBER, "Span.duration: not an integer"},
    {WORD("localEndpoint"), AT(local), MEMBER_ENDPOINT, "Span.localEndpoint: not an object"},
    {WORD("remoteEndpoint"), AT(remote), MEMBER_ENDPOINT, "Span.remoteEndpoint: not an object"},
    {WORD("annotations"), AT(annotations), MEMBER_LIST, "Span.annotations: not a list"},
    {WORD("tags"), AT(tags), MEMBER_TAGS, "Span.tags: not an object"},
    {WORD("debug"), AT(debug), MEMBER_BOOL, "Span.debug: neither true nor false"},
    {WORD("shared"), AT(shared), MEMBER_BOOL, "Span.shared: neither true nor false"},
};
#undef AT
#define AT(member) offsetof(struct zipkin_endpoint, member)
static const struct member endpoint_members[] = {
    {WORD("serviceName"), AT(service), MEMBER_TEXT, "Endpoint.serviceName: not a string"},
    {WORD("ipv4"), AT(ipv4), MEMBER_TEXT, "Endpoint.ipv4: not a string"},
    {WORD("ipv6"), AT(ipv6), MEMBER_TEXT, "Endpoint.ipv6: not a string"},
    {WORD("port"), AT(port), MEMBER_NUMBER, "Endpoint.port: not an integer"},
};
#undef AT
#define COUNT(table) (sizeof table / sizeof *table)

/* ---- tags ----------------------------------------------------------------------------------------------- */

static const struct {
    struct word key;
    enum zipkin_role role;
} known_tags[] = {
    {WORD("error"), TAG_ERROR},
    {WORD("span.kind"), TAG_KIND},
    {WORD("service.name"), TAG_SERVICE_NAME},
    {WORD("otel.status_code"), TAG_STATUS_CODE},
    {WORD("otel.status_description"), TAG_STATUS_TEXT},
    {WORD("otel.scope.name"), TAG_SCOPE_NAME},
    {WORD("otel.scope.version"), TAG_SCOPE_VERSION},
    {WORD("otel.library.name"), TAG_LIBRARY_NAME},
    {WORD("otel.library.version"), TAG_LIBRARY_VERSION},
    {WORD("w3c.tracestate"), TAG_TRACE_STATE},
    {WORD("otlp.service.name.source"), TAG_SERVICE_KEY},
    {WORD("deployment.environment"), TAG_RESOURCE},
    {WORD("opencensus.starttime"), TAG_RESOURCE},
    {WORD("opencensus.exporterversion"), TAG_RESOURCE},
    {WORD("opencensus.resourcetype"), TAG_RESOURCE},
};

/* Attributes of resources, by OpenTelemetry's semantic conventions. */
static const struct word resource_prefixes[] = {
    WORD("service."),
    WORD("telemetry."),
    WORD("host."),
    WORD("k8s."),
    WORD("cloud."),
    WORD("container."),
    WORD("process."),
    WORD("os."),
    WORD("faas."),
    WORD("aws."),
    WORD("webengine."),
    WORD("device."),
    WORD("deployment.environment."),
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

/* otlp.link.N, N as it is written without zeros in front. */
static bool is_link(struct slice key, unsigned *out)
{
    static const struct word prefix = WORD("otlp.link.");
    unsigned number = 0;

    if (!begins_with(key, prefix)) return false;
    const struct slice digits = slice_of(key.ptr + prefix.len, key.len - prefix.len);
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
        if (!is_word(key, known_tags[i].key)) continue;
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

/* Senders write members in one order: the search begins behind the one before. */
static const struct member *find_member(const struct member *table, size_t count,
                                        const struct member *previous, const struct json_token *key)
{
    uint8_t room[WORD_BYTES_MAX * ESCAPED_BYTES_PER_BYTE];
    const struct zipkin_text text = text_of(key);
    const struct slice word = word_of(&text, room);
    const size_t begin = previous == NULL ? 0 : (size_t)(previous - table) + 1;

    for (size_t i = 0, at = begin; i < count; i++, at++) {
        if (at >= count) at = 0;
        if (is_word(word, table[at].key)) return &table[at];
    }
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

/*
 * The member that is due in an object: *member, the one before when called (NULL: none), is NULL at its end. Unknown ones
 * and those that are null are skipped.
 */
static enum err next_member(struct json_reader *reader, const struct member *table, size_t count,
                            const struct member **member, struct json_token *value, struct otlp_fault *fault)
{
    const struct member *const previous = *member;
    struct json_token key;

    for (;;) {
        *member = NULL;
        TRY(next_token(reader, &key, fault));
        if (key.type == JSON_OBJECT_END) return OK;
        *member = find_member(table, count, previous, &key);
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
    const struct member *member = NULL;
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
    const struct member *member = NULL;
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
