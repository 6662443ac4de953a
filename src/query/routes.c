/*
 * Handlers run on the connection's thread: they take the request apart, refuse what is wrong, and leave all
 * work to the pool.
 */
#include "routes.h"

#include "answer.h"
#include "base/assert.h"
#include "order.h"
#include "pool.h"

#include <strings.h>

static const char json_type[] = "application/json";
static const char traces_path[] = "/query/v1/traces/";
static const char pins_path[] = "/query/v1/pins/";
static const char erasures_path[] = "/query/v1/deletions/";
static const char backups_path[] = "/query/v1/backups/";
static const char export_path[] = "/query/v1/export/";

static void refuse(struct exchange *exchange, int status, const char *message)
{
    const struct http1_header retry = {.name = "retry-after", .value = slice_text("1")};
    struct answer answer;

    answer_init(&answer, 16 << 10);
    answer_error(&answer, status, message);
    exchange_answer(exchange, status, json_type, &retry, status == 429 || status == 503,
                    slice_of(answer.bytes, answer.len));
    answer_deinit(&answer);
}

static bool text_contains(struct slice text, const char *word)
{
    const size_t len = strlen(word);

    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp((const char *)text.ptr + i, word, len) == 0) return true;
    return false;
}

/* JSON, or nothing is done: so a page of another site cannot send it without asking first. */
static bool takes_body(struct exchange *exchange, struct request *request)
{
    const struct http1_request *const http = exchange_request(exchange);
    const struct slice body = exchange_small_body(exchange);

    if (http->content_encoding.len > 0 || http->content_type.len < sizeof json_type - 1 ||
        strncasecmp((const char *)http->content_type.ptr, json_type, sizeof json_type - 1) != 0)
        return false;
    assert(body.len <= sizeof request->text);
    if (body.len > 0) memcpy(request->text, body.ptr, body.len);
    request->text_len = body.len;
    return true;
}

static void submit(struct query *query, struct exchange *exchange, enum request_kind kind, struct slice rest)
{
    const struct http1_request *const http = exchange_request(exchange);

    if (atomic_load(&query->stopping)) {
        refuse(exchange, 503, "the server is shutting down; try again");
        return;
    }
    struct job *const job = pool_take(query);
    if (job == NULL) {
        pool_count(query, METRIC_QUERIES_REFUSED);
        refuse(exchange, 429, "too many queries are waiting; try again");
        return;
    }
    if (!request_parse(&job->request, kind, rest, http->query)) {
        refuse(exchange, 400, job->request.message);
        pool_give_back(query, job);
        return;
    }
    if ((kind & (REQUEST_PIN_ADD | REQUEST_ERASURE_ADD | REQUEST_BACKUP_ADD | REQUEST_EXPORT_BEGIN)) != 0 &&
        !takes_body(exchange, &job->request)) {
        refuse(exchange, 415, "send a JSON object, not encoded, with Content-Type: application/json");
        pool_give_back(query, job);
        return;
    }
    job->request.protobuf = text_contains(http->accept, "application/x-protobuf");
    job->submitted_ns = exchange_now_ns(exchange);
    exchange_defer(exchange, &job->ticket);
    pool_submit(query, job);
}

static struct slice behind(struct exchange *exchange, const char *prefix)
{
    const struct slice path = exchange_request(exchange)->path;
    const size_t len = strlen(prefix);

    assert(path.len >= len);
    return slice_of(path.ptr + len, path.len - len);
}

static void handle_trace(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_TRACE, behind(exchange, traces_path));
}

static void handle_search(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_SEARCH, (struct slice){0});
}

static void handle_services(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_SERVICES, (struct slice){0});
}

static void handle_operations(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_OPERATIONS, (struct slice){0});
}

static void handle_retention(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_RETENTION, (struct slice){0});
}

static void handle_ledger(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_LEDGER, (struct slice){0});
}

static void handle_pins(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_PINS, (struct slice){0});
}

static void handle_pin_add(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_PIN_ADD, (struct slice){0});
}

static void handle_pin_remove(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_PIN_REMOVE, behind(exchange, pins_path));
}

static void handle_erasures(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_ERASURES, (struct slice){0});
}

static void handle_erasure(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_ERASURE, behind(exchange, erasures_path));
}

static void handle_erasure_add(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_ERASURE_ADD, (struct slice){0});
}

static void handle_backups(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_BACKUPS, (struct slice){0});
}

static void handle_backup_add(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_BACKUP_ADD, (struct slice){0});
}

static void handle_backup_remove(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_BACKUP_REMOVE, behind(exchange, backups_path));
}

static void handle_export(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_EXPORT, behind(exchange, export_path));
}

static void handle_export_begin(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_EXPORT_BEGIN, (struct slice){0});
}

static void handle_export_end(struct exchange *exchange, void *context)
{
    submit(context, exchange, REQUEST_EXPORT_END, behind(exchange, export_path));
}

void routes_init(struct query *query)
{
    static const struct route table[] = {
        {.path = traces_path, .prefix = true, .handle = handle_trace},
        {.path = "/query/v1/traces", .handle = handle_search},
        {.path = "/query/v1/services", .handle = handle_services},
        {.path = "/query/v1/operations", .handle = handle_operations},
        {.path = "/query/v1/retention", .handle = handle_retention},
        {.path = "/query/v1/ledger", .handle = handle_ledger},
        {.path = "/query/v1/pins", .handle = handle_pins},
        {.path = "/query/v1/pins",
         .method = HTTP1_POST,
         .small_body_max = ORDER_BYTES_MAX,
         .handle = handle_pin_add},
        {.path = pins_path, .prefix = true, .method = HTTP1_DELETE, .handle = handle_pin_remove},
        {.path = erasures_path, .prefix = true, .handle = handle_erasure},
        {.path = "/query/v1/deletions", .handle = handle_erasures},
        {.path = "/query/v1/deletions",
         .method = HTTP1_POST,
         .small_body_max = ORDER_BYTES_MAX,
         .handle = handle_erasure_add},
        {.path = "/query/v1/backups", .handle = handle_backups},
        {.path = "/query/v1/backups",
         .method = HTTP1_POST,
         .small_body_max = ORDER_BYTES_MAX,
         .handle = handle_backup_add},
        {.path = backups_path, .prefix = true, .method = HTTP1_DELETE, .handle = handle_backup_remove},
        {.path = "/query/v1/export",
         .method = HTTP1_POST,
         .small_body_max = ORDER_BYTES_MAX,
         .handle = handle_export_begin},
        {.path = export_path, .prefix = true, .handle = handle_export},
        {.path = export_path, .prefix = true, .method = HTTP1_DELETE, .handle = handle_export_end},
    };
    static_assert(HTTP1_GET == 0, "the method of a row that names none");
    static_assert(sizeof table == sizeof query->routes, "the table fits");

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        query->routes[i] = table[i];
        query->routes[i].role = ROLE_QUERY;
        query->routes[i].context = query;
    }
}
