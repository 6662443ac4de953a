/*
 * A raw target to the row of the access table and the route that serves it. What may be asked by whom is written down here a
 * second time. Whatever the target,
 *
 *   - what is served needs what this list says, never less; and the gate asks for it: of the eight sets of roles that a
 *     credential may have, those that are let in have one of the roles
 *   - the path means one thing: as it came, and with escapes decoded, dot segments removed and slashes joined as somebody
 *     in front of the server may do, it is served for the same roles, or not at all
 *   - the same target in HTTP/2 has the same row, for reading and for writing
 *
 *   input   byte 0: the listener (bits 0-2), the method (bits 3-5); the target as it stands in the first line
 */
#include "../../src/server/call.h"
#include "../../src/server/conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "access/access.h"
#include "server/access_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

enum { TARGET_MAX = 5000, ROLE_SETS = 8 };

/* ---- what is served, and for whom ------------------------------------------------------------------------------ */

static const struct route routes[] = {
    {.role = ROLE_OTLP, .method = HTTP1_POST, .path = "/v1/traces"},
    {.role = ROLE_ZIPKIN, .method = HTTP1_POST, .path = "/api/v2/spans"},
    {.role = ROLE_ZIPKIN, .method = HTTP1_POST, .path = "/api/v2/spans/"},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/traces/", .prefix = true},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/traces"},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/services"},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/operations"},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/retention"},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/pins"},
    {.role = ROLE_QUERY, .method = HTTP1_POST, .path = "/query/v1/pins"},
    {.role = ROLE_QUERY, .method = HTTP1_DELETE, .path = "/query/v1/pins/", .prefix = true},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/deletions/", .prefix = true},
    {.role = ROLE_QUERY, .method = HTTP1_GET, .path = "/query/v1/deletions"},
    {.role = ROLE_QUERY, .method = HTTP1_POST, .path = "/query/v1/deletions"},
    {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/healthz"},
    {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/readyz"},
    {.role = ROLE_OPS, .method = HTTP1_GET, .path = "/metrics"},
    {.role = ROLE_OPS, .method = HTTP1_POST, .path = "/debug/seal"},
};
static struct server server = {.config = {.routes = routes, .routes_count = sizeof routes / sizeof *routes}};

/* Of a served request; 0: anybody. Said by what it does, not by table. */
static unsigned roles_for(enum listener_role listener, enum http1_method method, const char *path)
{
    const bool reads = method == HTTP1_GET || method == HTTP1_HEAD_METHOD;

    if (listener == ROLE_OTLP || listener == ROLE_ZIPKIN) return ACCESS_INGEST;
    if (listener == ROLE_OPS)
        return strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0 ? 0 : ACCESS_OPS;
    if (strstr(path, "/deletions") != NULL) return ACCESS_OPS;
    if (strstr(path, "/pins") != NULL) return reads ? ACCESS_QUERY | ACCESS_OPS : ACCESS_OPS;
    return strstr(path, "/retention") != NULL ? ACCESS_QUERY | ACCESS_OPS : ACCESS_QUERY;
}

/* ---- the gate --------------------------------------------------------------------------------------------------- */

static struct access_view view;

/* Tokens "1" to "7" with the roles of their number; nobody has "0". */
static void open_access(void)
{
    static char text[ROLE_SETS * 128];
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *table;
    struct access *access;
    size_t len = 0;

    for (unsigned roles = 1; roles < ROLE_SETS; roles++) {
        const char token[] = {(char)('0' + roles), '\0'};
        struct credential credential = {.roles = roles, .digest = digest_of(slice_text(token))};
        snprintf(credential.name, sizeof credential.name, "with-%u", roles);
        len += credential_format(&credential, text + len);
        text[len++] = '\n';
    }
    CHECK(credentials_parse(slice_of(text, len), &table, error) == OK);
    CHECK(access_open(1, &access) == OK);
    access_replace(access, table);
    access_view_open(access, &view);
}

/* As server/gate.c asks. */
static bool is_let_in(const struct access_row *row, unsigned roles)
{
    char field[] = "Bearer 0", who[CREDENTIAL_NAME_MAX + 1];

    if (row != NULL && row->open) return true;
    field[7] = (char)('0' + roles);
    const struct access_request request = {.needs = row != NULL ? row->needs : 0,
                                           .authorization = slice_text(field)};
    return access_decide(&view, &request, who) == ACCESS_GRANTED;
}

/* ---- another reading of the path -------------------------------------------------------------------------------- */

static int hex_of(uint8_t digit)
{
    const char *const digits = "0123456789abcdef";
    const char *const found = digit != '\0' ? strchr(digits, digit | 0x20) : NULL;

    return found != NULL && (digit > '9' || digit == *found) ? (int)(found - digits) : -1;
}

/* Escapes decoded once, then segments as RFC 3986 5.2.4 has them, empty ones left out. */
static struct slice normal_of(struct slice path, uint8_t *out)
{
    static uint8_t plain[TARGET_MAX];
    size_t plain_len = 0, len = 0;

    for (size_t i = 0; i < path.len; i++) {
        const bool escape = path.ptr[i] == '%' && path.len - i > 2 && hex_of(path.ptr[i + 1]) >= 0 &&
                            hex_of(path.ptr[i + 2]) >= 0;
        plain[plain_len++] = escape ? (uint8_t)(hex_of(path.ptr[i + 1]) << 4 | hex_of(path.ptr[i + 2]))
                                    : path.ptr[i];
        if (escape) i += 2;
    }
    for (size_t i = 0; i < plain_len;) {
        while (i < plain_len && plain[i] == '/')
            i++;
        const size_t begin = i;
        while (i < plain_len && plain[i] != '/')
            i++;
        const struct slice segment = slice_of(plain + begin, i - begin);
        if (slice_is(segment, "..")) {
            while (len > 0 && out[--len] != '/')
                ;
        } else if (segment.len > 0 && !slice_is(segment, ".")) {
            out[len++] = '/';
            memcpy(out + len, segment.ptr, segment.len);
            len += segment.len;
        }
    }
    if (len == 0 || (plain_len > 0 && plain[plain_len - 1] == '/')) out[len++] = '/';
    return slice_of(out, len);
}

/* ---- a request -------------------------------------------------------------------------------------------------- */

struct asked {
    const struct access_row *row;
    const struct route *route;
};

static struct asked find(enum listener_role listener, enum http1_method method, struct slice path)
{
    const struct http1_request request = {.method = method, .path = path};
    const bool reads = method == HTTP1_GET || method == HTTP1_HEAD_METHOD;
    bool known;

    return (struct asked){access_row_find(listener, path, reads),
                          route_find(&server, listener, &request, &known)};
}

static void check_roles(enum listener_role listener, enum http1_method method, struct asked asked)
{
    if (asked.route == NULL) return;
    const unsigned needs = roles_for(listener, method, asked.route->path);

    CHECK(asked.row != NULL && asked.row->needs == needs && asked.row->open == (needs == 0));
    for (unsigned roles = 0; roles < ROLE_SETS; roles++)
        CHECK(is_let_in(asked.row, roles) == (needs == 0 || (needs & roles) != 0));
}

/* What is not served: somebody who is known learns that, nobody else does, but for the probes. */
static void check_unserved(struct asked asked)
{
    if (asked.route == NULL && (asked.row == NULL || !asked.row->open)) CHECK(!is_let_in(asked.row, 0));
}

static void check_meaning(enum listener_role listener, enum http1_method method, struct slice path)
{
    static uint8_t room[TARGET_MAX + 1];
    const struct asked raw = find(listener, method, path);
    const struct asked normal = find(listener, method, normal_of(path, room));

    check_roles(listener, method, raw);
    check_roles(listener, method, normal);
    check_unserved(raw);
    if (raw.route != NULL) CHECK(normal.route == raw.route && normal.row == raw.row);
}

static void check_http2(enum listener_role listener, struct slice target, struct slice path)
{
    const struct http2_head head = {.path = target};
    const struct slice again = call_path(&head);

    CHECK(slice_equal(again, path));
    for (unsigned reads = 0; reads < 2; reads++)
        CHECK(access_row_find(listener, again, reads != 0) == access_row_find(listener, path, reads != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "get"};
    static uint8_t head_buf[HTTP1_HEAD_CAPACITY], text[TARGET_MAX + 64];
    struct http1_event event;
    struct http1 http1;
    size_t consumed;

    if (size < 2 || size > TARGET_MAX) return 0;
    if (view.access == NULL) open_access();
    const enum listener_role listener = (enum listener_role)((data[0] & 7) % ROLE_COUNT);
    const struct slice target = slice_of(data + 1, size - 1);
    size_t len = (size_t)snprintf((char *)text, sizeof text, "%s ", methods[data[0] >> 3 & 7]);
    memcpy(text + len, target.ptr, target.len);
    len += target.len;
    memcpy(text + len, " HTTP/1.1\r\nHost: a\r\n\r\n", 22);
    http1_init(&http1, head_buf, sizeof head_buf);
    if (http1_feed(&http1, slice_of(text, len + 22), &consumed, &event) != HTTP1_HEAD) return 0;
    const struct http1_request *const request = &http1.request;
    check_meaning(listener, request->method, request->path);
    if (target.ptr[0] == '/' && memmem(target.ptr, target.len, " HTTP/", 6) == NULL)
        check_http2(listener, target, request->path);
    return 0;
}
