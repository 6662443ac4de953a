/*
 * A page of an allowed origin may send whatever fields it wants, so that exporters can be given their headers: what is
 * asked for is allowed. Any other origin gets its answer without the fields, and the browser keeps it from the page; that is
 * no error. A lone * allows every page, but then without credentials: else any page a user opens could use the user's.
 */
#include "cors.h"

#include "conn.h"

#include <strings.h>

static bool is_any(const char *pattern)
{
    return strcmp(pattern, "*") == 0;
}

static bool is_host_byte(uint8_t byte)
{
    return byte == '.' || byte == '-' || byte == ':' || byte == '_' || (byte >= '0' && byte <= '9') ||
           (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool same_byte(uint8_t a, uint8_t b)
{
    return (a >= 'A' && a <= 'Z' ? a + 32 : a) == (b >= 'A' && b <= 'Z' ? b + 32 : b);
}

/* The last * that was met takes one byte more each time what follows it does not fit: at most len * pattern steps. */
static bool matches(const char *pattern, struct slice origin)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;

    while (at < origin.len) {
        if (*pattern == '*') {
            star = pattern++;
            star_at = at;
        } else if (*pattern != '\0' && same_byte((uint8_t)*pattern, origin.ptr[at])) {
            pattern++;
            at++;
        } else if (star != NULL && is_host_byte(origin.ptr[star_at])) {
            pattern = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool cors_is_configured(const struct server *server, enum listener_role role)
{
    return role == ROLE_OTLP && server->config.origins_count > 0;
}

static const char *find(const struct server *server, struct slice origin)
{
    for (size_t i = 0; i < server->config.origins_count; i++)
        if (is_any(server->config.origins[i]) || matches(server->config.origins[i], origin))
            return server->config.origins[i];
    return NULL;
}

bool cors_allows(const struct server *server, enum listener_role role, struct slice origin)
{
    return cors_is_configured(server, role) && origin.len > 0 && origin.len < CORS_ORIGIN_MAX &&
           find(server, origin) != NULL;
}

static struct http1_header header(const char *name, struct slice value)
{
    return (struct http1_header){.name = name, .value = value};
}

size_t cors_fields(const struct server *server, struct slice origin, struct http1_header out[CORS_FIELDS_MAX])
{
    const char *const pattern = find(server, origin);
    const bool any = pattern != NULL && is_any(pattern);
    size_t count = 0;

    out[count++] = header("access-control-allow-origin", any ? slice_text("*") : origin);
    if (!any) out[count++] = header("access-control-allow-credentials", slice_text("true"));
    out[count++] = header("access-control-expose-headers", slice_text("retry-after, spanmill-position"));
    out[count++] = header(
        "vary", slice_text("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    return count;
}

/* A list of field names as a browser writes it, and nothing that could mean more. */
static bool is_list_of_names(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_host_byte(text.ptr[i]) && text.ptr[i] != ',' && text.ptr[i] != ' ') return false;
    return text.len > 0;
}

size_t cors_preflight_fields(struct slice methods, struct slice asked,
                             struct http1_header out[CORS_PREFLIGHT_FIELDS_MAX])
{
    size_t count = 0;

    out[count++] = header("access-control-allow-methods", methods);
    out[count++] = header("access-control-max-age", slice_text("7200"));
    if (is_list_of_names(asked)) out[count++] = header("access-control-allow-headers", asked);
    return count;
}
