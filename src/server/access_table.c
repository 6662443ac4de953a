/* See server/access_table.h. Rows are searched in order; exact paths stand before the prefixes
 * that cover them, and a row for reading before that for the other methods. */
#include "server/access_table.h"

#define EXPORT "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define HEALTH "/grpc.health.v1.Health/Check"

const struct access_row access_table[] = {
    {.listener = ROLE_OTLP, .path = "/v1/traces", .needs = ACCESS_INGEST},
    {.listener = ROLE_OTLP, .path = EXPORT, .needs = ACCESS_INGEST}, /* gRPC, over HTTP/2 */
    {.listener = ROLE_OTLP, .path = HEALTH, .open = true},

    {.listener = ROLE_GRPC, .path = EXPORT, .needs = ACCESS_INGEST},
    {.listener = ROLE_GRPC, .path = HEALTH, .open = true},

    {.listener = ROLE_ZIPKIN, .path = "/api/v2/spans", .needs = ACCESS_INGEST},
    {.listener = ROLE_ZIPKIN, .path = "/api/v2/spans/", .needs = ACCESS_INGEST},

    {.listener = ROLE_QUERY, .path = "/query/v1/traces", .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/traces/", .prefix = true, .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/services", .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/operations", .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/retention", .needs = ACCESS_QUERY | ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/ledger", .needs = ACCESS_QUERY | ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/pins", .reads = true, .needs = ACCESS_QUERY | ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/pins", .needs = ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/pins/", .prefix = true, .needs = ACCESS_OPS},
    /* Reading, too: what names the erased must not outlive them in everybody's sight. */
    {.listener = ROLE_QUERY, .path = "/query/v1/deletions", .needs = ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/deletions/", .prefix = true, .needs = ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/export", .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/export/", .prefix = true, .needs = ACCESS_QUERY},
    {.listener = ROLE_QUERY, .path = "/query/v1/backups", .needs = ACCESS_OPS},
    {.listener = ROLE_QUERY, .path = "/query/v1/backups/", .prefix = true, .needs = ACCESS_OPS},

    {.listener = ROLE_OPS, .path = "/healthz", .open = true},
    {.listener = ROLE_OPS, .path = "/readyz", .open = true},
    {.listener = ROLE_OPS, .path = "/metrics", .needs = ACCESS_OPS},
    {.listener = ROLE_OPS, .path = "/debug/seal", .needs = ACCESS_OPS},
};
const size_t access_table_count = sizeof access_table / sizeof *access_table;

const struct access_row *access_row_find(enum listener_role listener, struct slice path, bool reads)
{
    for (size_t i = 0; i < access_table_count; i++) {
        const struct access_row *const row = &access_table[i];
        const size_t len = strlen(row->path);

        if (row->listener != listener || path.len < len || memcmp(path.ptr, row->path, len) != 0) continue;
        if (row->reads && !reads) continue;
        if (row->prefix || path.len == len) return row;
    }
    return NULL;
}

const struct access_row *access_row_of_route(const struct route *route)
{
    for (size_t i = 0; i < access_table_count; i++) {
        const struct access_row *const row = &access_table[i];

        if (row->reads && route->method != HTTP1_GET) continue;
        if (row->listener == route->role && row->prefix == route->prefix &&
            strcmp(row->path, route->path) == 0)
            return row;
    }
    return NULL;
}

const char *listener_name(enum listener_role listener)
{
    static const char *const names[] = {[ROLE_OTLP] = "otlp-http",
                                        [ROLE_QUERY] = "query",
                                        [ROLE_OPS] = "ops",
                                        [ROLE_GRPC] = "otlp-grpc",
                                        [ROLE_ZIPKIN] = "zipkin"};

    return names[listener];
}
