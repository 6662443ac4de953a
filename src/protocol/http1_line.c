/*
 * Judges the request line (RFC 9112 3), as soon as it is complete. By then all its bytes are known to be
 * text.
 *
 *   GET /v1/traces?x=y HTTP/1.1 CR LF                  -> method, path, query, http_1_0
 *   GET http://host:4318/v1/traces HTTP/1.1 CR LF      -> authority as well, which Host must repeat
 *
 * Where RFC 9112 lets a server repair or guess, this one refuses: two readers that guess differently are what
 * request smuggling needs, and a path that can be written in two ways slips past a check of one of them.
 * Every refusal says what and where, in words of ours only; nothing received is echoed.
 */
#include "http1_private.h"

#include "base/assert.h"
#include "text.h"

static bool judge_method(struct http1 *http1, struct slice method);
static bool judge_version(struct http1 *http1, struct slice version);
static bool judge_target(struct http1 *http1, struct slice target);

bool http1__judge_request_line(struct http1 *http1)
{
    const struct slice line = slice_of(http1->head_buf, http1->request_line_len - 2);
    const size_t first_space = text_find(line, ' ');

    if (slice_is(slice_of(http1->head_buf, http1->request_line_len), HTTP1_OF_HTTP2)) {
        http1__refuse(http1, 505, "HTTP version other than 1.0 and 1.1");
        http1->refusal.http2 = true;
        return false;
    }
    if (first_space == 0 || !text_all(slice_of(line.ptr, first_space), CLASS_TOKEN)) {
        return http1__refuse(http1, 400, "request line does not begin with a method");
    }
    if (first_space == line.len) return http1__refuse(http1, 400, "request line has no target");

    const struct slice rest = text_from(line, first_space + 1);
    const size_t second_space = text_find(rest, ' ');
    if (second_space == rest.len) return http1__refuse(http1, 400, "request line has no HTTP version");

    return judge_version(http1, text_from(rest, second_space + 1)) &&
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
        (text_class[version.ptr[5]] & text_class[version.ptr[7]] & CLASS_DIGIT) != 0) {
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
bool http1__host_valid(struct slice host)
{
    size_t end = 0;

    if (host.len > 0 && host.ptr[0] == '[') {
        end = text_find(host, ']');
        if (end == host.len || end < 3) return false;
        for (size_t i = 1; i < end; i++) {
            if (text_hex(host.ptr[i]) < 0 && host.ptr[i] != ':' && host.ptr[i] != '.') return false;
        }
        end++;
    } else {
        end = text_find(host, ':');
        if (end == 0 || end > 255 || !text_all(slice_of(host.ptr, end), CLASS_HOST)) return false;
    }
    if (end == host.len) return true;

    const struct slice port = text_from(host, end + 1);
    unsigned number = 0;
    if (host.ptr[end] != ':' || port.len == 0 || port.len > 5 || !text_all(port, CLASS_DIGIT)) return false;
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
            if (path.len - i < 3 || text_hex(path.ptr[i + 1]) < 0 || text_hex(path.ptr[i + 2]) < 0) {
                return "broken percent-encoding in the path";
            }
            c = (uint8_t)(text_hex(path.ptr[i + 1]) << 4 | text_hex(path.ptr[i + 2]));
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
    const size_t scheme_len = text_find(*target, ':');
    const struct slice scheme = slice_of(target->ptr, scheme_len);

    if ((!text_is(scheme, "http") && !text_is(scheme, "https")) || target->len - scheme_len < 3 ||
        memcmp(target->ptr + scheme_len, "://", 3) != 0) {
        return http1__refuse(http1, 400, "request target is neither a path nor an http URI");
    }
    const struct slice rest = text_from(*target, scheme_len + 3);
    const size_t slash = text_find(rest, '/');
    const size_t question = text_find(rest, '?');
    const size_t end = slash < question ? slash : question;

    http1->authority = slice_of(rest.ptr, end);
    if (!http1__host_valid(http1->authority))
        return http1__refuse(http1, 400, "malformed host in the request target");
    *target = text_from(rest, end);
    return true;
}

static bool judge_target(struct http1 *http1, struct slice target)
{
    if (target.len == 0 || !text_all(target, CLASS_TARGET)) {
        return http1__refuse(http1, 400, "byte in the request target that must be percent-encoded");
    }
    if (slice_is(target, "*")) {
        http1->request.path = target;
        return http1->request.method == HTTP1_OPTIONS ||
               http1__refuse(http1, 400, "target * is for OPTIONS only");
    }
    if (target.ptr[0] != '/' && !strip_authority(http1, &target)) return false;

    const size_t question = text_find(target, '?');
    http1->request.path = question > 0 ? slice_of(target.ptr, question) : slice_text("/");
    if (question < target.len) http1->request.query = text_from(target, question + 1);

    const char *const fault = path_fault(http1->request.path);
    return fault == NULL || http1__refuse(http1, 400, fault);
}
