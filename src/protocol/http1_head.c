/*
 * Judges a head: first the request line (RFC 9112 3), as soon as it is complete, then all fields (RFC 9110 5)
 * when the empty line has come. By then every byte is known to be text and every line to end with CR LF.
 *
 *   GET /v1/traces?x=y HTTP/1.1 CR LF           -> method, path, query, http_1_0
 *   Host: collector:4318 CR LF                  -> one handler per field that matters, in the table `fields`
 *   CR LF                                       -> what only all fields together decide: length, Host,
 * keep-alive
 *
 * Where RFC 9112 lets a server repair or guess, this one refuses: two readers that guess differently are what
 * request smuggling needs. Every refusal says what and where, in words of ours only; nothing received is
 * echoed.
 */
#include "http1_private.h"

#include "base/assert.h"

/* clang-format off */
const uint8_t http1__class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0x00 */
    2, 7, 6, 3, 7, 7, 7, 7, 6, 6, 7, 7, 6, 15, 15, 6, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 6, 6, 6, 6, 6, 6, /* 0x20 */
    6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 6, 6, 7, 15, /* 0x40 */
    7, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 7, 6, 15, 0, /* 0x60 */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 0x80 */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 0xa0 */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 0xc0 */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* 0xe0 */
};
/* clang-format on */
static_assert(CLASS_TOKEN + CLASS_TEXT + CLASS_TARGET + CLASS_HOST + CLASS_DIGIT == 31,
              "the table is built on these");

/* What the fields say together; judged after the last one. */
struct facts {
    unsigned seen; /* bit i: fields[i] has occurred */
    bool close;
    bool keep_alive;
    bool continue_100;
};

static bool judge_method(struct http1 *http1, struct slice method);
static bool judge_version(struct http1 *http1, struct slice version);
static bool judge_target(struct http1 *http1, struct slice target);
static bool judge_field(struct http1 *http1, struct facts *facts, struct slice line);
static bool judge_together(struct http1 *http1, const struct facts *facts);

static struct slice from(struct slice text, size_t start)
{
    return slice_of(text.ptr + start, text.len - start);
}

/* Where c occurs first; text.len if it does not. */
static size_t find(struct slice text, char c)
{
    const uint8_t *const at = text.len == 0 ? NULL : memchr(text.ptr, c, text.len);

    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

static bool all_of(struct slice text, unsigned class)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((http1__class[text.ptr[i]] & class) == 0) return false;
    }
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes the next element of a comma-separated list off its front, trimmed; false at its end. */
static bool next_element(struct slice *list, struct slice *element)
{
    if (list->len == 0) return false;

    const size_t comma = find(*list, ',');
    *element = trim(slice_of(list->ptr, comma));
    *list = comma == list->len ? slice_of(list->ptr, 0) : from(*list, comma + 1);
    return true;
}

bool http1__is(struct slice text, const char *lower)
{
    for (size_t i = 0; i < text.len; i++) {
        if (lower[i] == '\0' || http1__lower(text.ptr[i]) != (uint8_t)lower[i]) return false;
    }
    return lower[text.len] == '\0';
}

static bool same_ignoring_case(struct slice a, struct slice b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (http1__lower(a.ptr[i]) != http1__lower(b.ptr[i])) return false;
    }
    return true;
}

/* ---- the request line ---- */

bool http1__judge_request_line(struct http1 *http1)
{
    const struct slice line = slice_of(http1->head_buf, http1->request_line_len - 2);
    const size_t first_space = find(line, ' ');

    if (first_space == 0 || !all_of(slice_of(line.ptr, first_space), CLASS_TOKEN)) {
        return http1__refuse(http1, 400, "request line does not begin with a method");
    }
    if (first_space == line.len) return http1__refuse(http1, 400, "request line has no target");

    const struct slice rest = from(line, first_space + 1);
    const size_t second_space = find(rest, ' ');
    if (second_space == rest.len) return http1__refuse(http1, 400, "request line has no HTTP version");

    return judge_version(http1, from(rest, second_space + 1)) &&
           judge_method(http1, slice_of(line.ptr, first_space)) &&
           judge_target(http1, slice_of(rest.ptr, second_space));
}

static bool judge_version(struct http1 *http1, struct slice version)
{
    if (slice_is(version, "HTTP/1.1")) return true;
    if (slice_is(version, "HTTP/1.0")) {
        http1->request.http_1_0 = true;
        return true;
    }
    if (version.len == 8 && memcmp(version.ptr, "HTTP/", 5) == 0 && version.ptr[6] == '.' &&
        (http1__class[version.ptr[5]] & http1__class[version.ptr[7]] & CLASS_DIGIT) != 0) {
        return http1__refuse(http1, 505, "HTTP version other than 1.0 and 1.1");
    }
    return http1__refuse(http1, 400, "malformed HTTP version");
}

static bool judge_method(struct http1 *http1, struct slice method)
{
    static const struct {
        const char *name;
        enum http1_method method;
    } methods[] = {
        {"POST", HTTP1_POST},     {"GET", HTTP1_GET},         {"HEAD", HTTP1_HEAD_METHOD}, {"PUT", HTTP1_PUT},
        {"DELETE", HTTP1_DELETE}, {"OPTIONS", HTTP1_OPTIONS}, {"PATCH", HTTP1_OTHER},
    };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (!slice_is(method, methods[i].name)) continue;
        http1->request.method = methods[i].method;
        return true;
    }
    return http1__refuse(http1, 405, "method is not served");
}

/* uri-host [ ":" port ] of RFC 9110 7.2, without the percent-encodings and sub-delimiters that no host has.
 */
static bool host_valid(struct slice host)
{
    size_t end = 0;

    if (host.len > 0 && host.ptr[0] == '[') {
        end = find(host, ']');
        if (end == host.len || end < 3) return false;
        for (size_t i = 1; i < end; i++) {
            if (http1__hex(host.ptr[i]) < 0 && host.ptr[i] != ':' && host.ptr[i] != '.') return false;
        }
        end++;
    } else {
        end = find(host, ':');
        if (end == 0 || end > 255 || !all_of(slice_of(host.ptr, end), CLASS_HOST)) return false;
    }
    if (end == host.len) return true;

    const struct slice port = from(host, end + 1);
    unsigned number = 0;
    if (host.ptr[end] != ':' || port.len == 0 || port.len > 5 || !all_of(port, CLASS_DIGIT)) return false;
    for (size_t i = 0; i < port.len; i++)
        number = number * 10 + (unsigned)(port.ptr[i] - '0');
    return number <= 65535;
}

/* What can be written in two ways is read in two ways: no dot segments, empty segments, encoded slashes or
 * zeros. */
static const char *path_fault(struct slice path)
{
    size_t segment_len = 0; /* decoded */
    size_t dots = 0;        /* of them, all being dots */

    assert(path.len > 0 && path.ptr[0] == '/');

    for (size_t i = 1; i <= path.len; i++) {
        uint8_t c = i < path.len ? path.ptr[i] : '/';
        if (c == '/') {
            if (segment_len == 0 && i < path.len) return "empty segment in the path";
            if (segment_len > 0 && segment_len <= 2 && dots == segment_len) return "dot segment in the path";
            segment_len = dots = 0;
            continue;
        }
        if (c == '%') {
            if (path.len - i < 3 || http1__hex(path.ptr[i + 1]) < 0 || http1__hex(path.ptr[i + 2]) < 0) {
                return "broken percent-encoding in the path";
            }
            c = (uint8_t)(http1__hex(path.ptr[i + 1]) << 4 | http1__hex(path.ptr[i + 2]));
            i += 2;
            if (c == '\0' || c == '/' || c == '\\') return "encoded zero or slash in the path";
        }
        segment_len++;
        dots += c == '.';
    }
    return NULL;
}

/* http://host/path, which RFC 9112 3.2.2 wants every server to understand. */
static bool strip_authority(struct http1 *http1, struct slice *target)
{
    const size_t scheme_len = find(*target, ':');
    const struct slice scheme = slice_of(target->ptr, scheme_len);

    if ((!http1__is(scheme, "http") && !http1__is(scheme, "https")) || target->len - scheme_len < 3 ||
        memcmp(target->ptr + scheme_len, "://", 3) != 0) {
        return http1__refuse(http1, 400, "request target is neither a path nor an http URI");
    }
    const struct slice rest = from(*target, scheme_len + 3);
    const size_t slash = find(rest, '/');
    const size_t question = find(rest, '?');
    const size_t end = slash < question ? slash : question;

    http1->authority = slice_of(rest.ptr, end);
    if (!host_valid(http1->authority))
        return http1__refuse(http1, 400, "malformed host in the request target");
    *target = from(rest, end);
    return true;
}

static bool judge_target(struct http1 *http1, struct slice target)
{
    if (target.len == 0 || !all_of(target, CLASS_TARGET)) {
        return http1__refuse(http1, 400, "byte in the request target that must be percent-encoded");
    }
    if (slice_is(target, "*")) {
        http1->request.path = target;
        return http1->request.method == HTTP1_OPTIONS ||
               http1__refuse(http1, 400, "target * is for OPTIONS only");
    }
    if (target.ptr[0] != '/' && !strip_authority(http1, &target)) return false;

    const size_t question = find(target, '?');
    http1->request.path = question > 0 ? slice_of(target.ptr, question) : slice_text("/");
    if (question < target.len) http1->request.query = from(target, question + 1);

    const char *const fault = path_fault(http1->request.path);
    return fault == NULL || http1__refuse(http1, 400, fault);
}

/* ---- the fields ---- */

bool http1__judge_fields(struct http1 *http1)
{
    struct slice rest = slice_of(http1->head_buf + http1->request_line_len,
                                 http1->head_len - http1->request_line_len - 2);
    struct facts facts = {0};

    while (rest.len > 0) {
        const size_t end = find(rest, '\r');
        assert(rest.len - end >= 2);

        if (!judge_field(http1, &facts, slice_of(rest.ptr, end))) return false;
        rest = from(rest, end + 2);
    }
    return judge_together(http1, &facts);
}

static bool on_host(struct http1 *http1, struct facts *facts, struct slice value)
{
    (void)facts;
    http1->request.host = value;
    return host_valid(value) || http1__refuse(http1, 400, "malformed Host");
}

static bool on_content_length(struct http1 *http1, struct facts *facts, struct slice value)
{
    uint64_t number = 0;

    (void)facts;
    /* 18 digits are less than 2^63, so the sum needs no check. */
    if (value.len == 0 || value.len > 18 || !all_of(value, CLASS_DIGIT)) {
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
        if (http1__is(coding, codings[i])) return true;
    }
    return false;
}

/* Codings that exist, then chunked: well-formed, but not ours. All else is malformed. */
static bool refuse_codings(struct http1 *http1, struct slice list)
{
    struct slice coding = {0};
    unsigned real = 0;
    unsigned others = 0;

    while (next_element(&list, &coding)) {
        real += real_coding(coding);
        others += !real_coding(coding);
    }
    if (real > 0 && others == 1 && http1__is(coding, "chunked")) {
        return http1__refuse(http1, 501, "transfer coding other than chunked");
    }
    return http1__refuse(http1, 400, "malformed Transfer-Encoding");
}

static bool on_transfer_encoding(struct http1 *http1, struct facts *facts, struct slice value)
{
    (void)facts;
    if (!http1__is(value, "chunked")) return refuse_codings(http1, value);
    if (value.ptr[value.len] != '\r') return http1__refuse(http1, 400, "malformed Transfer-Encoding");
    http1->request.chunked = true;
    return true;
}

static bool on_connection(struct http1 *http1, struct facts *facts, struct slice value)
{
    struct slice token;

    (void)http1;
    while (next_element(&value, &token)) {
        facts->close = facts->close || http1__is(token, "close");
        facts->keep_alive = facts->keep_alive || http1__is(token, "keep-alive");
    }
    return true;
}

static bool on_expect(struct http1 *http1, struct facts *facts, struct slice value)
{
    if (!http1__is(value, "100-continue"))
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

    while (len < line.len && (http1__class[line.ptr[len]] & CLASS_TOKEN) != 0)
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
        if (name.len != fields[i].name_len || !http1__is(name, fields[i].name)) continue;
        if (fields[i].once && (facts->seen & 1U << i) != 0) return http1__refuse(http1, 400, fields[i].twice);
        facts->seen |= 1U << i;
        return fields[i].judge(http1, facts, trim(from(line, name.len + 1)));
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
        !same_ignoring_case(http1->authority, request->host)) {
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
        const size_t end = find(rest, '\r');
        const struct slice line = slice_of(rest.ptr, end);
        const struct slice found = field_name(line);
        if (http1__is(found, name)) return trim(from(line, found.len + 1));
        rest = from(rest, end + 2);
    }
    return (struct slice){0};
}

bool http1_media_type_is(struct slice content_type, const char *type)
{
    return http1__is(trim(slice_of(content_type.ptr, find(content_type, ';'))), type);
}
