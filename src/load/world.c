/*
 * How the company is made up.
 *
 * Services get a name from a list of shop-like nouns (numbered from the second lap on), a language, one to
 * six instances with a Resource each, and 8 to 40 operations. Operations of a service are ranked by Zipf's
 * law, so some are called all the time and thousands hardly ever. Each operation calls up to five others of
 * services behind its own; the first eighth of the services is what the outside world calls.
 *
 * Resources and scopes are encoded here, once, into world->text; the batches borrow them. All pieces lie in
 * that one buffer, so sorting by address is the same in every run.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define INSTANCES_MAX  6
#define OPERATIONS_MIN 8
#define OPERATIONS_MAX 40

static const char *const nouns[] = {
    "storefront",   "gateway",      "account",     "cart",          "checkout",     "catalog",
    "search",       "recommender",  "pricing",     "promotion",     "inventory",    "payment",
    "fraud-check",  "shipping",     "email",       "notification",  "review",       "wishlist",
    "loyalty",      "tax",          "invoice",     "order",         "return",       "warehouse",
    "supplier",     "delivery",     "geo",         "currency",      "image",        "session",
    "profile",      "preference",   "analytics",   "audit",         "feature-flag", "translation",
    "ranking",      "availability", "reservation", "billing",       "ledger",       "customer-care",
    "subscription", "template",     "scheduler",   "export",        "import",       "document",
    "identity",     "token",        "rate-limit",  "media",         "feed",         "chat",
    "voucher",      "gift-card",    "price-index", "stock-monitor", "route-plan",   "label-print",
};
static const char *const languages[] = {"java", "go", "nodejs", "python", "dotnet"};
static const char *const scope_names[][SCOPES] = {
    {"io.opentelemetry.tomcat-10.0", "io.opentelemetry.apache-httpclient-5.2", "io.opentelemetry.jdbc",
     "com.example.shop"},
    {"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
     "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "github.com/XSAM/otelsql",
     "shop"},
    {"@opentelemetry/instrumentation-http", "@opentelemetry/instrumentation-undici",
     "@opentelemetry/instrumentation-pg", "shop"},
    {"opentelemetry.instrumentation.asgi", "opentelemetry.instrumentation.requests",
     "opentelemetry.instrumentation.sqlalchemy", "shop.tracing"},
    {"Microsoft.AspNetCore", "System.Net.Http", "Npgsql", "Example.Shop"},
};
static const char *const scope_versions[] = {"2.18.1-alpha", "0.63.0", "0.205.0", "0.58b0", "9.0.4"};
static const char *const methods[] = {"GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH"};
static const char *const verbs[] = {"Get",  "List",    "Create",  "Update", "Delete",
                                    "Find", "Reserve", "Confirm", "Cancel", "Sync"};
static const char *const things[] = {"items",   "entries", "details", "offers", "addresses", "history",
                                     "summary", "status",  "options", "quotes", "batches",   "variants",
                                     "limits",  "rules",   "events",  "tags"};

#define COUNT(array)      ((uint32_t)(sizeof(array) / sizeof(array)[0]))
#define PICK(dice, array) ((array)[dice_below((dice), COUNT(array))])

const char *world_language(uint32_t language)
{
    assert(language < COUNT(languages));

    return languages[language];
}

/* ---- resources and scopes
 * ---------------------------------------------------------------------------------- */

static void put_text(struct buffer *out, const char *key, const char *value)
{
    const size_t attribute = proto_open(out, 1);
    proto_text(out, KEY_VALUE_KEY, key);
    const size_t any = proto_open(out, KEY_VALUE_VALUE);
    proto_text(out, ANY_VALUE_STRING, value);
    proto_close(out, any);
    proto_close(out, attribute);
}

static void put_int(struct buffer *out, const char *key, uint64_t value)
{
    const size_t attribute = proto_open(out, 1);
    proto_text(out, KEY_VALUE_KEY, key);
    const size_t any = proto_open(out, KEY_VALUE_VALUE);
    proto_varint(out, ANY_VALUE_INT, value);
    proto_close(out, any);
    proto_close(out, attribute);
}

/* 5 attributes for lean, 10 for shop, 20 for prod, in this order. */
static void put_resource(struct world *world, const struct service *service, uint32_t instance,
                         struct dice *dice)
{
    struct buffer *const out = &world->text;
    char text[160];
    const uint64_t a = dice_u64(dice);
    const uint64_t b = dice_u64(dice);
#define FORMAT(...) (snprintf(text, sizeof text, __VA_ARGS__), text)

    put_text(out, "service.name", service->name);
    put_text(out, "service.version",
             FORMAT("%u.%u.%u", (unsigned)(a & 3), (unsigned)(a >> 4 & 31), (unsigned)(a >> 9 & 15)));
    put_text(out, "service.instance.id",
             FORMAT("%s-%08x-%05x", service->name, (unsigned)(b >> 32), (unsigned)b & 0xfffff));
    put_text(out, "host.name",
             FORMAT("node-%02u.eu1.example.net", (unsigned)(instance * 7 + service->group) % 40));
    put_text(out, "telemetry.sdk.language", world_language(service->language));
    if (world->profile == PROFILE_LEAN) return;
    put_text(out, "telemetry.sdk.name", "opentelemetry");
    put_text(out, "telemetry.sdk.version", "1.52.0");
    put_text(out, "deployment.environment.name", "production");
    put_int(out, "process.pid", a >> 20 & 0x7fff);
    put_text(out, "container.id", FORMAT("%016llx%016llx", (unsigned long long)a, (unsigned long long)b));
    if (world->profile == PROFILE_SHOP) return;
    put_text(out, "service.namespace", "shop");
    put_text(out, "k8s.cluster.name", "eu1-prod-a");
    put_text(out, "k8s.namespace.name", "shop-production");
    put_text(out, "k8s.deployment.name", service->name);
    put_text(out, "k8s.pod.name",
             FORMAT("%s-%08x-%05x", service->name, (unsigned)(b >> 32), (unsigned)b & 0xfffff));
    put_text(out, "k8s.pod.uid",
             FORMAT("%08x-%04x-4%03x-8%03x-%012llx", (unsigned)a, (unsigned)(a >> 32) & 0xffff,
                    (unsigned)b & 0xfff, (unsigned)(b >> 12) & 0xfff, (unsigned long long)b >> 16));
    put_text(out, "k8s.node.name",
             FORMAT("ip-10-%u-%u-%u.eu1.example.net", (unsigned)a & 255, (unsigned)b & 255,
                    (unsigned)(b >> 8) & 255));
    put_text(out, "cloud.provider", "aws");
    put_text(out, "cloud.region", "eu-central-1");
    put_text(out, "cloud.availability_zone", instance % 2 ? "eu-central-1a" : "eu-central-1b");
#undef FORMAT
}

static enum err make_instance(struct world *world, const struct service *service, uint32_t instance,
                              struct dice *dice)
{
    const size_t start = world->text.len;

    const size_t resource = proto_open(&world->text, 1);
    put_resource(world, service, instance, dice);
    proto_close(&world->text, resource);
    if (world->profile == PROFILE_PROD)
        proto_text(&world->text, 3, "https://opentelemetry.io/schemas/1.34.0");
    world->instances[world->instances_count++] = (struct piece){(uint32_t)start,
                                                                (uint32_t)(world->text.len - start)};
    return world->text.failed ? ERR_NO_MEMORY : OK;
}

static void make_scope(struct world *world, struct service *service, enum scope_kind kind)
{
    const size_t start = world->text.len;

    const size_t scope = proto_open(&world->text, 1);
    proto_text(&world->text, 1, scope_names[service->language][kind]);
    proto_text(&world->text, 2, scope_versions[service->language]);
    proto_close(&world->text, scope);
    service->scopes[kind] = (struct piece){(uint32_t)start, (uint32_t)(world->text.len - start)};
}

/* ---- services and operations
 * ------------------------------------------------------------------------------- */

static enum err make_service(struct world *world, uint32_t number, struct dice *dice)
{
    struct service *const service = &world->services[number];
    const uint32_t lap = number / COUNT(nouns);

    if (lap == 0)
        (void)snprintf(service->name, sizeof service->name, "%s-service", nouns[number]);
    else
        (void)snprintf(service->name, sizeof service->name, "%s-%u-service", nouns[number % COUNT(nouns)],
                       lap + 1);
    service->language = dice_below(dice, COUNT(languages));
    service->group = number % WORLD_GROUPS;
    service->instances_first = world->instances_count;
    service->instances = dice_between(dice, 1, INSTANCES_MAX);
    for (uint32_t i = 0; i < service->instances; i++)
        TRY(make_instance(world, service, i, dice));
    for (enum scope_kind kind = 0; kind < SCOPES; kind++)
        make_scope(world, service, kind);
    return world->text.failed ? ERR_NO_MEMORY : OK;
}

static void name_http(struct operation *operation, const char *noun, uint32_t rank, struct dice *dice)
{
    static const char *const routes[] = {"/api/v1/%s/%s/{id}", "/api/v1/%s/%s", "/api/v2/%s/{id}/%s",
                                         "/internal/%s/%s"};
    char *const target = operation->target;
    const char *const thing = things[rank % COUNT(things)];

    (void)snprintf(operation->method, sizeof operation->method, "%s", PICK(dice, methods));
    switch (dice_below(dice, COUNT(routes))) {
    case 0:
        (void)snprintf(target, sizeof operation->target, "/api/v1/%s/%s-%u/{id}", noun, thing, rank);
        break;
    case 1: (void)snprintf(target, sizeof operation->target, "/api/v1/%s/%s-%u", noun, thing, rank); break;
    case 2:
        (void)snprintf(target, sizeof operation->target, "/api/v2/%s/{id}/%s-%u", noun, thing, rank);
        break;
    default: (void)snprintf(target, sizeof operation->target, "/internal/%s/%s-%u", noun, thing, rank); break;
    }
    (void)snprintf(operation->name, sizeof operation->name, "%s %.78s", operation->method, target);
}

static void name_rpc(struct operation *operation, const char *noun, uint32_t rank, struct dice *dice)
{
    (void)snprintf(operation->method, sizeof operation->method, "%s%u", PICK(dice, verbs), rank);
    (void)snprintf(operation->target, sizeof operation->target, "shop.v1.%.60s", noun);
    (void)snprintf(operation->name, sizeof operation->name, "%.76s/%s", operation->target, operation->method);
}

static void name_message(struct operation *operation, const char *noun, uint32_t rank)
{
    (void)snprintf(operation->method, sizeof operation->method, "process");
    (void)snprintf(operation->target, sizeof operation->target, "%.50s.%s.%u", noun,
                   things[rank % COUNT(things)], rank);
    (void)snprintf(operation->name, sizeof operation->name, "process %.80s", operation->target);
}

static void make_query(struct operation *operation, const char *noun, uint32_t rank)
{
    (void)snprintf(operation->table, sizeof operation->table, "%.12s_%s", noun, things[rank % COUNT(things)]);
    (void)snprintf(operation->query, sizeof operation->query,
                   "SELECT t.id, t.status, t.created_at, t.updated_at, t.amount_cents, t.currency, c.name "
                   "FROM %s t JOIN "
                   "customers c ON c.id = t.customer_id WHERE t.tenant = ? AND t.status IN (?, ?, ?) AND "
                   "t.shard = %u ORDER BY "
                   "t.created_at DESC LIMIT ?",
                   operation->table, rank);
}

static void make_operation(struct world *world, uint32_t service, uint32_t rank, struct dice *dice)
{
    struct operation *const operation = &world->operations[world->operations_count++];
    const char *const noun = nouns[service % COUNT(nouns)];

    operation->service = service;
    operation->duration_mu = 14.5 + dice_normal(dice); /* a median of e^14.5 ns = 2 ms, give or take */
    operation->protocol = dice_chance(dice, 0.55)  ? PROTOCOL_HTTP
                          : dice_chance(dice, 0.8) ? PROTOCOL_RPC
                                                   : PROTOCOL_MESSAGE;
    if (world->services_count > 8 && service < world->services_count / 8) operation->protocol = PROTOCOL_HTTP;
    if (operation->protocol == PROTOCOL_HTTP) name_http(operation, noun, rank, dice);
    if (operation->protocol == PROTOCOL_RPC) name_rpc(operation, noun, rank, dice);
    if (operation->protocol == PROTOCOL_MESSAGE) name_message(operation, noun, rank);
    make_query(operation, noun, rank);
}

/* Callees are operations of services behind; the last service calls nobody. */
static void make_calls(struct world *world, const struct zipf *ranks, struct dice *dice)
{
    for (uint32_t i = 0; i < world->operations_count; i++) {
        struct operation *const operation = &world->operations[i];
        const uint32_t behind = world->services_count - operation->service - 1;
        if (behind == 0) continue;
        operation->callees_count = dice_below(dice, WORLD_CALLEES_MAX + 1);
        for (uint32_t k = 0; k < operation->callees_count; k++) {
            const uint32_t near = behind < 24 ? behind : 24;
            const uint32_t distance = dice_chance(dice, 0.7) ? dice_below(dice, near)
                                                             : dice_below(dice, behind);
            const struct service *const callee = &world->services[operation->service + 1 + distance];
            operation->callees[k] = callee->operations_first + zipf_pick(ranks, dice) % callee->operations;
        }
    }
}

static enum err make_operations(struct world *world, struct dice *dice)
{
    struct zipf ranks;

    for (uint32_t s = 0; s < world->services_count; s++) {
        struct service *const service = &world->services[s];
        service->operations_first = world->operations_count;
        service->operations = dice_between(dice, OPERATIONS_MIN, OPERATIONS_MAX);
        for (uint32_t rank = 0; rank < service->operations; rank++)
            make_operation(world, s, rank, dice);
    }
    TRY(zipf_init(&ranks, OPERATIONS_MAX, 1.0));
    make_calls(world, &ranks, dice);
    zipf_deinit(&ranks);
    return OK;
}

/* ---- opening and closing
 * ----------------------------------------------------------------------------------- */

enum err world_init(struct world *world, const struct stock_config *config)
{
    assert(config->services > 0);

    struct dice dice;
    const uint32_t services = config->services;

    dice_init(&dice, config->seed);
    *world = (struct world){.profile = config->profile, .services_count = services};
    world->services = calloc(services, sizeof *world->services);
    world->instances = calloc((size_t)services * INSTANCES_MAX, sizeof *world->instances);
    world->operations = calloc((size_t)services * OPERATIONS_MAX, sizeof *world->operations);
    if (world->services == NULL || world->instances == NULL || world->operations == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t s = 0; s < services; s++)
        TRY(make_service(world, s, &dice));
    TRY(make_operations(world, &dice));

    const struct service *const last_entry = &world->services[services > 8 ? services / 8 - 1 : 0];
    world->entries_count = last_entry->operations_first + last_entry->operations;
    return zipf_init(&world->entries, world->entries_count, 0.9);
}

void world_deinit(struct world *world)
{
    free(world->services);
    free(world->operations);
    free(world->instances);
    zipf_deinit(&world->entries);
    buffer_deinit(&world->text);
    *world = (struct world){0};
}
