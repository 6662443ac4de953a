/*
 * Judges the fields of a head (RFC 9110 5) when its empty line has come: each line by itself, with a handler
 * for the names that matter (the table `fields`), and then what only all of them together decide: the length
 * of the body, Host against the target, whether the connection is kept.
 *
 * By now every byte is text and every line ends with CR LF, so a line's end is the next CR. A field that must
 * be unique is refused when it comes twice, even with the same value. Unknown names are checked for their
 * form only.
 */
#include "http1_private.h"

#include "base/assert.h"
#include "text.h"

/* What the fields say together; judged after the last one. */
struct facts {
    unsigned seen; /* bit i: fields[i] has occurred */
    bool close;
    bool keep_alive;
    bool continue_100;
};

static bool judge_field(struct http1 *http1, struct facts *facts, struct slice line);
static bool judge_together(struct http1 *http1, const struct facts *facts);

bool http1__judge_fields(struct http1 *http1)
{
    struct slice rest = slice_of(http1->head_buf + http1->request_line_len,
                                 http1->head_len - http1->request_line_len - 2);
    struct facts facts = {0};

    while (rest.len > 0) {
        const size_t end = text_find(rest, '\r');
        assert(rest.len - end >= 2);

        if (!judge_field(http1, &facts, slice_of(rest.ptr, end))) return false;
        rest = text_from(rest, end + 2);
    }
    return judge_together(http1, &facts);
}

static bool on_host(struct http1 *http1, struct facts *facts, struct slice value)
{
    (void)facts;
    http1->request.host = value;
    return http1__host_valid(value) || http1__refuse(http1, 400, "malformed Host");
}

static bool on_content_length(struct http1 *http1, struct facts *facts, struct slice value)
{
    uint64_t number = 0;

    (void)facts;
    /* 18 digits are less than 2^63, so the sum needs no check. */
    if (value.len == 0 || value.len > 18 || !text_all(value, CLASS_DIGIT)) {
        return http1__refuse(http1, 400, "malformed Content-Length");
    }
    /* White space after the number is read in two ways by others. */
    if (value.ptr[value.len] != '\r') return http1__refuse(http1, 400, "malformed Content-Length");
    for (size_t i = 0; i < value.len; i++)
        number = number * 10 + (uint64_t)(value.ptr[i] - '0');
    http1->request.content_length_known = true;
    http1->request.content_length = number;
    return true;
}

static bool real_coding(struct slice coding)
{
    static const char *const codings[] = {"gzip", "x-gzip", "deflate", "compress", "x-compress"};

    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        if (text_is(coding, codings[i])) return true;
    }
    return false;
}

/* Codings that exist, then chunked: well-formed, but not ours. All else is malformed. */
static bool refuse_codings(struct http1 *http1, struct slice list)
{
    struct slice coding = {0};
    unsigned real = 0;
    unsigned others = 0;

    while (text_next_element(&list, &coding)) {
        real += real_coding(coding);
        others += !real_coding(coding);
    }
    if (real > 0 && others == 1 && text_is(coding, "chunked")) {
        return http1__refuse(http1, 501, "transfer coding other than chunked");
    }
    return http1__refuse(http1, 400, "malformed Transfer-Encoding");
}

static bool on_transfer_encoding(struct http1 *http1, struct facts *facts, struct slice value)
{
    (void)facts;
    if (!text_is(value, "chunked")) return refuse_codings(http1, value);
    if (value.ptr[value.len] != '\r') return http1__refuse(http1, 400, "malformed Transfer-Encoding");
    http1->request.chunked = true;
    return true;
}

static bool on_connection(struct http1 *http1, struct facts *facts, struct slice value)
{
    struct slice token;

    (void)http1;
    while (text_next_element(&value, &token)) {
        facts->close = facts->close || text_is(token, "close");
        facts->keep_alive = facts->keep_alive || text_is(token, "keep-alive");
    }
    return true;
}

static bool on_expect(struct http1 *http1, struct facts *facts, struct slice value)
{
    if (!text_is(value, "100-continue"))
        return http1__refuse(http1, 417, "expectation other than 100-continue");
    facts->continue_100 = true;
    return true;
}

static bool on_content_encoding(struct http1 *http1, struct facts *facts, struct slice value)
{
    (void)facts;
    if (http1->request.content_encoding_count++ == 0) http1->request.content_encoding = value;
    return true;
}

/* The rest is kept, first line wins. */
#define KEEP(member)                                                                                         \
    static bool on_##member(struct http1 *http1, struct facts *facts, struct slice value)                    \
    {                                                                                                        \
        (void)facts;                                                                                         \
        if (http1->request.member.ptr == NULL) http1->request.member = value;                                \
        return true;                                                                                         \
    }
KEEP(content_type)
KEEP(accept)
KEEP(accept_encoding)
KEEP(authorization)
KEEP(origin)
#undef KEEP

#define NAME(text) text, sizeof(text) - 1
enum { ONCE = 1, LIST = 0 }; /* may it stand on several lines? */

static const struct field {
    const char *name;
    size_t name_len;
    bool once;
    bool (*judge)(struct http1 *http1, struct facts *facts, struct slice value);
    const char *twice; /* the reason of a refusal */
} fields[] = {
    {NAME("host"), ONCE, on_host, "two Host fields"},                               /* RFC 9112 3.2 */
    {NAME("content-length"), ONCE, on_content_length, "two Content-Length fields"}, /* RFC 9112 6.3 */
    {NAME("transfer-encoding"), ONCE, on_transfer_encoding,
     "two Transfer-Encoding fields"},                                            /* RFC 9112 6.1 */
    {NAME("authorization"), ONCE, on_authorization, "two Authorization fields"}, /* RFC 9110 11.6.2 */
    {NAME("content-type"), ONCE, on_content_type, "two Content-Type fields"},    /* RFC 9110 8.3 */
    {NAME("origin"), ONCE, on_origin, "two Origin fields"},                      /* RFC 6454 7.3 */
    {NAME("connection"), LIST, on_connection, NULL},                             /* RFC 9110 7.6.1 */
    {NAME("content-encoding"), LIST, on_content_encoding, NULL},                 /* RFC 9110 8.4 */
    {NAME("accept"), LIST, on_accept, NULL},                                     /* RFC 9110 12.5.1 */
    {NAME("accept-encoding"), LIST, on_accept_encoding, NULL},                   /* RFC 9110 12.5.3 */
    {NAME("expect"), LIST, on_expect, NULL},                                     /* RFC 9110 10.1.1 */
};
#undef NAME
#define FIELDS_COUNT (sizeof fields / sizeof *fields)

/* A line's name; empty if it has no proper one directly followed by a colon. */
static struct slice field_name(struct slice line)
{
    size_t len = 0;

    while (len < line.len && (text_class[line.ptr[len]] & CLASS_TOKEN) != 0)
        len++;
    return slice_of(line.ptr, len < line.len && line.ptr[len] == ':' ? len : 0);
}

static bool judge_field(struct http1 *http1, struct facts *facts, struct slice line)
{
    const struct slice name = field_name(line);

    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        return http1__refuse(http1, 400, "header line begins with white space");
    }
    if (name.len == 0) return http1__refuse(http1, 400, "malformed header field name");

    for (size_t i = 0; i < FIELDS_COUNT; i++) {
        if (name.len != fields[i].name_len || !text_is(name, fields[i].name)) continue;
        if (fields[i].once && (facts->seen & 1U << i) != 0) return http1__refuse(http1, 400, fields[i].twice);
        facts->seen |= 1U << i;
        return fields[i].judge(http1, facts, text_trim(text_from(line, name.len + 1)));
    }
    return true;
}

static bool judge_together(struct http1 *http1, const struct facts *facts)
{
    struct http1_request *const request = &http1->request;

    if (request->chunked && request->content_length_known) {
        return http1__refuse(http1, 400, "both Content-Length and Transfer-Encoding");
    }
    if (request->chunked && request->http_1_0)
        return http1__refuse(http1, 400, "Transfer-Encoding in HTTP/1.0");
    if (request->host.ptr == NULL && !request->http_1_0) return http1__refuse(http1, 400, "no Host");
    if (http1->authority.ptr != NULL && request->host.ptr != NULL &&
        !text_same(http1->authority, request->host)) {
        return http1__refuse(http1, 400, "Host differs from the request target");
    }
    const bool has_body = request->chunked || request->content_length > 0;
    request->expect_continue = facts->continue_100 && has_body && !request->http_1_0;
    request->keep_alive = !facts->close && (!request->http_1_0 || facts->keep_alive);
    return true;
}

/* ---- what callers may ask of a head ---- */

struct slice http1_find_field(const struct http1 *http1, const char *name)
{
    assert(http1->phase > PHASE_FIELDS_LF && http1->phase != PHASE_REFUSED);

    struct slice rest = slice_of(http1->head_buf + http1->request_line_len,
                                 http1->head_len - http1->request_line_len - 2);
    while (rest.len > 0) {
        const size_t end = text_find(rest, '\r');
        const struct slice line = slice_of(rest.ptr, end);
        const struct slice found = field_name(line);
        if (text_is(found, name)) return text_trim(text_from(line, found.len + 1));
        rest = text_from(rest, end + 2);
    }
    return (struct slice){0};
}

bool http1_media_type_is(struct slice content_type, const char *type)
{
    return text_is(text_trim(slice_of(content_type.ptr, text_find(content_type, ';'))), type);
}
