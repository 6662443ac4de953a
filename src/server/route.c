/*
 * Finds the route of a request, and judges host names. The table is short and searched from its start.
 */
#include "conn.h"

#include <stdio.h>
#include <strings.h>

static const char *const method_names[] = {
    [HTTP1_GET] = "GET",       [HTTP1_POST] = "POST",       [HTTP1_PUT] = "PUT",
    [HTTP1_DELETE] = "DELETE", [HTTP1_OPTIONS] = "OPTIONS",
};

static bool path_matches(const struct route *route, enum listener_role role, struct slice path)
{
    const size_t len = strlen(route->path);

    if (route->role != role || path.len < len || memcmp(path.ptr, route->path, len) != 0) return false;
    return route->prefix || path.len == len;
}

static bool method_matches(const struct route *route, enum http1_method method)
{
    return route->method == method || (route->method == HTTP1_GET && method == HTTP1_HEAD_METHOD);
}

const struct route *route_find(const struct server *server, enum listener_role role,
                               const struct http1_request *request, bool *path_known)
{
    for (size_t i = 0; i < server->config.routes_count; i++) {
        const struct route *const route = &server->config.routes[i];

        if (!path_matches(route, role, request->path)) continue;
        if (method_matches(route, request->method)) return route;
        *path_known = true;
    }
    return NULL;
}

void route_allow(const struct server *server, enum listener_role role, struct slice path, char *text,
                 size_t capacity)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < server->config.routes_count && len < capacity; i++) {
        const struct route *const route = &server->config.routes[i];

        if (!path_matches(route, role, path)) continue;
        const int written = snprintf(text + len, capacity - len, "%s%s%s", len > 0 ? ", " : "",
                                     method_names[route->method], route->method == HTTP1_GET ? ", HEAD" : "");
        if (written > 0) len += (size_t)written;
    }
}

/* ---- host names -----------------------------------------------------------------------------------------
 */

static bool text_equal(struct slice a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.ptr, b, a.len) == 0;
}

/* Without the port. The engine has checked the form. */
static struct slice host_name(struct slice host)
{
    if (host.len > 0 && host.ptr[0] == '[') {
        const uint8_t *const end = memchr(host.ptr, ']', host.len);
        return end != NULL ? slice_of(host.ptr, (size_t)(end - host.ptr) + 1) : host;
    }
    const uint8_t *const colon = host.len > 0 ? memchr(host.ptr, ':', host.len) : NULL;
    return colon != NULL ? slice_of(host.ptr, (size_t)(colon - host.ptr)) : host;
}

/* An address needs no name server, so it cannot be rebound. */
static bool is_address(struct slice name)
{
    if (name.len > 0 && name.ptr[0] == '[') return true;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9')) return false;
    return name.len > 0;
}

bool route_host_allowed(const struct server *server, struct slice host)
{
    const struct slice name = host_name(host);

    if (name.len == 0 || is_address(name) || text_equal(name, "localhost")) return true;
    for (size_t i = 0; i < server->config.hosts_count; i++)
        if (strcmp(server->config.hosts[i], "*") == 0 || text_equal(name, server->config.hosts[i]))
            return true;
    return false;
}
