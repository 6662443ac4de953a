/*
 * A Span from a call. Attributes follow the semantic conventions of the kind of call (HTTP, RPC, database,
 * messaging), then come the company's own until the profile's number is reached, and for prod the three that
 * are unique:
 *
 *   lean    5 attributes, an event on errors only
 *   shop   10 attributes, one event on every span
 *   prod   12 attributes + 3 unique, an event on one span in eight
 *
 * Errors add an exception event with a stack trace and a status message. The order of fields is the one that
 * the usual SDKs write: by number, flags last.
 */
#include "span_writer.h"

#include <stdio.h>

#define COUNT(array)        ((uint32_t)(sizeof(array) / sizeof(array)[0]))
#define FLAGS_LOCAL_PARENT  0x101
#define FLAGS_REMOTE_PARENT 0x301

struct writing {
    struct buffer *out;
    const struct world *world;
    const struct call *call;
    const struct operation *operation;
    const struct trace_traits *traits;
    struct dice *dice;
    uint32_t field;      /* number of the attributes field: of a span, an event or a link */
    uint32_t attributes; /* written so far */
    uint32_t attributes_max;
};

struct trace_traits trace_traits_of(struct dice *dice, uint64_t start_unix_ns)
{
    struct trace_traits traits = {.start_unix_ns = start_unix_ns};
    const uint64_t high = dice_u64(dice);
    const uint64_t low = dice_u64(dice);

    memcpy(traits.trace_id, &high, 8);
    memcpy(traits.trace_id + 8, &low, 8);
    traits.has_state = dice_chance(dice, 0.02);
    traits.user = (uint32_t)(dice_unit(dice) * dice_unit(dice) * 50000); /* some users come often */
    traits.session_high = dice_u64(dice);
    traits.session_low = dice_u64(dice);
    return traits;
}

enum scope_kind span_scope(const struct call *call)
{
    switch (call->kind) {
    case CALL_SERVER: return SCOPE_SERVER;
    case CALL_CLIENT: return SCOPE_CLIENT;
    case CALL_DATABASE: return SCOPE_DATABASE;
    case CALL_INTERNAL: return SCOPE_OWN;
    }
    unreachable("a call without a kind");
}

/* ---- attributes
 * -------------------------------------------------------------------------------------------- */

struct marks {
    size_t attribute, value;
    bool open;
};

static struct marks open_attribute(struct writing *writing, const char *key)
{
    struct marks marks = {.open = writing->attributes < writing->attributes_max};

    if (!marks.open) return marks;
    writing->attributes++;
    marks.attribute = proto_open(writing->out, writing->field);
    proto_text(writing->out, KEY_VALUE_KEY, key);
    marks.value = proto_open(writing->out, KEY_VALUE_VALUE);
    return marks;
}

static void close_attribute(struct writing *writing, struct marks marks)
{
    proto_close(writing->out, marks.value);
    proto_close(writing->out, marks.attribute);
}

static void put_text(struct writing *writing, const char *key, const char *value)
{
    const struct marks marks = open_attribute(writing, key);
    if (!marks.open) return;
    proto_text(writing->out, ANY_VALUE_STRING, value);
    close_attribute(writing, marks);
}

static void put_int(struct writing *writing, const char *key, uint64_t value)
{
    const struct marks marks = open_attribute(writing, key);
    if (!marks.open) return;
    proto_varint(writing->out, ANY_VALUE_INT, value);
    close_attribute(writing, marks);
}

static void put_bool(struct writing *writing, const char *key, bool value)
{
    const struct marks marks = open_attribute(writing, key);
    if (!marks.open) return;
    proto_varint(writing->out, ANY_VALUE_BOOL, value);
    close_attribute(writing, marks);
}

static void put_double(struct writing *writing, const char *key, double value)
{
    const struct marks marks = open_attribute(writing, key);
    if (!marks.open) return;
    proto_double(writing->out, ANY_VALUE_DOUBLE, value);
    close_attribute(writing, marks);
}

static void put_list(struct writing *writing, const char *key, const char *first, const char *second)
{
    const struct marks marks = open_attribute(writing, key);
    if (!marks.open) return;
    const size_t array = proto_open(writing->out, ANY_VALUE_ARRAY);
    for (int i = 0; i < 2; i++) {
        const size_t value = proto_open(writing->out, 1);
        proto_text(writing->out, ANY_VALUE_STRING, i == 0 ? first : second);
        proto_close(writing->out, value);
    }
    proto_close(writing->out, array);
    close_attribute(writing, marks);
}

#define PUT_FORMAT(writing, key, ...)                                                                        \
    do {                                                                                                     \
        char text_[1024];                                                                                    \
        (void)snprintf(text_, sizeof text_, __VA_ARGS__);                                                    \
        put_text((writing), (key), text_);                                                                   \
    } while (0)

static void put_uuid(struct writing *writing, const char *key, uint64_t high, uint64_t low)
{
    PUT_FORMAT(writing, key, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
               (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xffff, (unsigned)(low >> 48),
               (unsigned long long)low & 0xffffffffffffULL);
}

/* ---- what each kind of call carries
 * ------------------------------------------------------------------------ */

static const char *host_of(const struct writing *writing, char *text, size_t capacity)
{
    const struct service *const service = &writing->world->services[writing->operation->service];

    (void)snprintf(text, capacity, "%.60s.shop-production", service->name);
    return text;
}

static void put_http(struct writing *writing, bool server)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
        "Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5",
        "ShopApp/7.31.2 (Android 16; Pixel 9) okhttp/4.12.0",
        "Apache-HttpClient/5.2.1 (Java/21.0.7)",
    };
    const struct operation *const operation = writing->operation;
    const bool lean = writing->world->profile == PROFILE_LEAN; /* without the long ones */
    char host[96];

    put_text(writing, "http.request.method", operation->method);
    put_int(writing, "http.response.status_code",
            writing->call->error               ? 500
            : dice_chance(writing->dice, 0.04) ? 404
                                               : 200);
    if (server) {
        put_text(writing, "http.route", operation->target);
        if (!lean)
            PUT_FORMAT(writing, "url.path", "%s?id=%u", operation->target, dice_below(writing->dice, 20000));
        put_text(writing, "url.scheme", "https");
        PUT_FORMAT(writing, "client.address", "10.%u.%u.%u", dice_below(writing->dice, 4),
                   dice_below(writing->dice, 64), dice_below(writing->dice, 250));
        put_text(writing, "user_agent.original", agents[dice_below(writing->dice, COUNT(agents))]);
    } else {
        put_text(writing, "server.address", host_of(writing, host, sizeof host));
        if (!lean)
            PUT_FORMAT(writing, "url.full", "http://%s:8080%s?id=%u", host, operation->target,
                       dice_below(writing->dice, 20000));
        put_int(writing, "server.port", 8080);
    }
    put_text(writing, "network.protocol.version", "1.1");
    put_int(writing, "http.response.body.size", dice_below(writing->dice, 60000));
}

static void put_rpc(struct writing *writing)
{
    char host[96];

    put_text(writing, "rpc.system", "grpc");
    put_text(writing, "rpc.service", writing->operation->target);
    put_text(writing, "rpc.method", writing->operation->method);
    put_int(writing, "rpc.grpc.status_code", writing->call->error ? 13 : 0);
    put_text(writing, "server.address", host_of(writing, host, sizeof host));
    put_int(writing, "server.port", 50051);
    PUT_FORMAT(writing, "network.peer.address", "10.%u.%u.%u", dice_below(writing->dice, 4),
               dice_below(writing->dice, 64), dice_below(writing->dice, 250));
}

static void put_message(struct writing *writing, bool consumer)
{
    put_text(writing, "messaging.system", "kafka");
    put_text(writing, "messaging.destination.name", writing->operation->target);
    put_text(writing, "messaging.operation.type", consumer ? "process" : "send");
    put_int(writing, "messaging.destination.partition.id", dice_below(writing->dice, 32));
    put_int(writing, "messaging.kafka.offset", dice_u64(writing->dice) & 0x7ffffff);
    PUT_FORMAT(writing, "messaging.kafka.message.key", "tenant-%u", writing->traits->user % 300);
    put_int(writing, "messaging.message.body.size", dice_below(writing->dice, 9000));
}

static void put_database(struct writing *writing)
{
    PUT_FORMAT(writing, "db.system.name", "postgresql");
    put_text(writing, "db.collection.name", writing->operation->table);
    put_text(writing, "db.operation.name", "SELECT");
    PUT_FORMAT(writing, "server.address", "db-%u.shop-production", writing->operation->service % 24);
    put_int(writing, "db.response.returned_rows", dice_below(writing->dice, 200));
    if (writing->world->profile == PROFILE_PROD)
        put_text(writing, "db.query.text", writing->operation->query);
    else
        PUT_FORMAT(writing, "db.query.text", "SELECT * FROM %s WHERE id = ? AND tenant = ?",
                   writing->operation->table);
    put_int(writing, "server.port", 5432);
    PUT_FORMAT(writing, "db.namespace", "shop_%u", writing->operation->service % 24);
}

static void put_internal(struct writing *writing)
{
    PUT_FORMAT(writing, "code.function.name", "com.example.shop.%s.Worker.run%u", writing->operation->table,
               writing->operation->service % 7);
    put_int(writing, "code.line.number", 40 + writing->operation->service * 3 % 400);
    put_bool(writing, "app.cache.hit", dice_chance(writing->dice, 0.8));
    put_int(writing, "app.items.count", dice_below(writing->dice, 40));
}

/* The company's own, until the profile's number of attributes is reached. */
static void put_common(struct writing *writing)
{
    static const char *const plans[] = {"free", "basic", "business", "enterprise"};
    static const char *const countries[] = {"DE", "FR", "NL", "PL", "ES", "IT", "SE", "GB", "US", "JP"};
    struct dice *const dice = writing->dice;
    const uint32_t user = writing->traits->user;

    put_int(writing, "thread.id", dice_between(dice, 20, 90));
    PUT_FORMAT(writing, "enduser.id", "user-%06u", user);
    PUT_FORMAT(writing, "app.tenant", "tenant-%u", user % 300);
    put_text(writing, "app.country", countries[user % COUNT(countries)]);
    put_double(writing, "app.cpu.ms", (double)dice_below(dice, 100000) / 1000);
    put_text(writing, "app.plan", plans[user % COUNT(plans)]);
    PUT_FORMAT(writing, "thread.name", "http-nio-8080-exec-%u", dice_below(dice, 64));
    put_bool(writing, "app.feature.new_checkout", user % 3 == 0);
    put_uuid(writing, "session.id", writing->traits->session_high, writing->traits->session_low);
    put_list(writing, "app.tags", countries[user % COUNT(countries)], plans[user % COUNT(plans)]);
    PUT_FORMAT(writing, "app.deployment.ring", "ring-%u-eu1-prod-a", user % 5);
    put_int(writing, "app.heap.bytes", (uint64_t)dice_below(dice, 4096) << 20);
}

/* The long ones of a grown system: what a gateway adds to the context and nobody takes out again. */
static void put_long(struct writing *writing)
{
    const uint32_t user = writing->traits->user;
    const uint32_t operation = writing->call->operation;

    PUT_FORMAT(
        writing, "app.baggage",
        "tenant=tenant-%u,user=user-%06u,cohort=2025-w%02u,origin=mobile-web,channel=organic-search,currency="
        "EUR,"
        "locale=de-DE,consent=analytics+personalisation,gateway=edge-eu1-%u,edge.cache=miss,bot.score=%u,"
        "client.build=7.31.%u,region=eu-central-1,priority=normal,referrer=https://www.example.com/c/garden/"
        "furniture/"
        "lounge-sets?sort=popularity&page=2,campaign=spring-2025-garden-week,attribution=last-click,basket="
        "returning",
        user % 300, user, user % 53, user % 16, user % 100, user % 40);
    PUT_FORMAT(writing, "app.experiments",
               "checkout-one-page:%c;ranking-v4:%c;price-badge:%c;delivery-promise:%c;search-suggest:%c;"
               "login-passkey:%c;"
               "image-avif:%c;cart-merge:%c;voucher-inline:control",
               'a' + (int)(user % 3), 'a' + (int)(user % 2), 'a' + (int)(user / 3 % 2),
               'a' + (int)(user / 7 % 2), 'a' + (int)(user / 11 % 2), 'a' + (int)(user / 13 % 2),
               'a' + (int)(user / 17 % 2), 'a' + (int)(user / 19 % 2));
    PUT_FORMAT(writing, "app.policy",
               "timeout=%ums;retries=2;backoff=exponential;breaker=closed;bulkhead=%u;hedge=off;deadline="
               "propagated;auth=mtls",
               200 + operation % 9 * 100, operation % 7);
}

static void put_unique(struct writing *writing)
{
    struct dice *const dice = writing->dice;

    writing->attributes_max += 3;
    put_uuid(writing, "app.request.id", dice_u64(dice), dice_u64(dice));
    PUT_FORMAT(writing, "app.idempotency.key", "%016llx%016llx",
               (unsigned long long)dice_u64(dice) | 0xaULL << 60, (unsigned long long)dice_u64(dice));
    PUT_FORMAT(writing, "app.correlation.key", "%016llx", (unsigned long long)dice_u64(dice) | 0xaULL << 60);
}

static void put_attributes(struct writing *writing)
{
    static const uint32_t attributes_max[PROFILE_COUNT] = {5, 10, 12};
    const bool server = writing->call->kind == CALL_SERVER;

    writing->field = SPAN_ATTRIBUTES;
    writing->attributes = 0;
    writing->attributes_max = attributes_max[writing->world->profile];
    if (writing->world->profile == PROFILE_PROD) put_long(writing);
    if (writing->call->kind == CALL_DATABASE)
        put_database(writing);
    else if (writing->call->kind == CALL_INTERNAL)
        put_internal(writing);
    else if (writing->operation->protocol == PROTOCOL_HTTP)
        put_http(writing, server);
    else if (writing->operation->protocol == PROTOCOL_RPC)
        put_rpc(writing);
    else
        put_message(writing, server);
    put_common(writing);
    if (writing->world->profile == PROFILE_PROD) put_unique(writing);
}

/* ---- events, links, status
 * --------------------------------------------------------------------------------- */

static uint64_t time_within(const struct writing *writing)
{
    const double part = dice_unit(writing->dice);
    const struct call *const call = writing->call;

    return writing->traits->start_unix_ns +
           (uint64_t)(call->start_ns + (int64_t)(part * (double)(call->end_ns - call->start_ns)));
}

static void put_event(struct writing *writing)
{
    static const char *const names[] = {"cache.lookup", "message", "pool.acquired",
                                        "feature_flag.evaluation"};
    static const char *const details[] = {"primary",  "replica-1", "replica-2",
                                          "fallback", "shared",    "eu1-prod-a"};

    const size_t event = proto_open(writing->out, SPAN_EVENTS);
    proto_fixed64(writing->out, EVENT_TIME, time_within(writing));
    proto_text(writing->out, EVENT_NAME, names[writing->call->operation % COUNT(names)]);
    writing->field = EVENT_ATTRIBUTES;
    writing->attributes = 0;
    writing->attributes_max = 3;
    put_text(writing, "app.event.target", details[dice_below(writing->dice, COUNT(details))]);
    put_int(writing, "app.event.wait_us", dice_below(writing->dice, 900));
    put_int(writing, "app.event.sequence", dice_between(writing->dice, 1, 9));
    proto_close(writing->out, event);
}

struct failure {
    const char *type, *message;
};

static struct failure failure_of(const struct writing *writing)
{
    static const struct failure failures[] = {
        {"java.util.concurrent.TimeoutException", "no answer within 2000 ms"},
        {"org.postgresql.util.PSQLException", "ERROR: deadlock detected"},
        {"io.grpc.StatusRuntimeException",
         "UNAVAILABLE: upstream connect error or disconnect/reset before headers"},
        {"java.lang.NullPointerException", "Cannot invoke \"Cart.items()\" because \"cart\" is null"},
        {"com.example.shop.PaymentDeclinedException", "card declined by issuer"},
        {"java.net.ConnectException", "Connection refused"},
        {"java.lang.IllegalStateException", "reservation is already confirmed"},
    };

    return failures[(writing->call->operation + writing->call->kind) % COUNT(failures)];
}

/* Eight to twenty frames; the same operation fails in the same place. */
static void put_stack_trace(struct writing *writing, struct failure failure)
{
    static const char *const classes[] = {
        "com.example.shop.api.Controller.handle",
        "com.example.shop.service.Facade.execute",
        "com.example.shop.client.RetryingClient.call",
        "org.springframework.web.servlet.FrameworkServlet.service",
        "jakarta.servlet.http.HttpServlet.service",
        "io.netty.channel.AbstractChannelHandlerContext.invoke",
        "java.util.concurrent.ThreadPoolExecutor.runWorker",
        "org.hibernate.engine.jdbc.internal.ResultSetReturn.extract",
        "com.zaxxer.hikari.pool.HikariPool.getConnection",
        "reactor.core.publisher.MonoFlatMap.onNext",
    };
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "%s: %s\n", failure.type, failure.message);
    const uint32_t operation = writing->call->operation;
    const uint32_t frames = writing->world->profile == PROFILE_LEAN ? 5 : 8 + operation % 13;

    for (uint32_t i = 0; i < frames && len < sizeof text - 160; i++) {
        const char *const name = classes[(operation * 7 + i * 3) % COUNT(classes)];
        len += (size_t)snprintf(text + len, sizeof text - len, "\tat %s(Source%u.java:%u)\n", name,
                                operation % 50 + i, 20 + (operation * 31 + i * 17) % 700);
    }
    put_text(writing, "exception.stacktrace", text);
}

static void put_exception(struct writing *writing)
{
    const struct failure failure = failure_of(writing);

    const size_t event = proto_open(writing->out, SPAN_EVENTS);
    proto_fixed64(writing->out, EVENT_TIME, time_within(writing));
    proto_text(writing->out, EVENT_NAME, "exception");
    writing->field = EVENT_ATTRIBUTES;
    writing->attributes = 0;
    writing->attributes_max = 3;
    put_text(writing, "exception.type", failure.type);
    put_text(writing, "exception.message", failure.message);
    put_stack_trace(writing, failure);
    proto_close(writing->out, event);
}

/* A consumer names the producer's span. */
static void put_link(struct writing *writing, const struct call_tree *tree)
{
    const struct call *const call = writing->call;

    if (call->kind != CALL_SERVER || call->parent == CALL_NO_PARENT) return;
    if (writing->operation->protocol != PROTOCOL_MESSAGE) return;
    const size_t link = proto_open(writing->out, SPAN_LINKS);
    proto_bytes(writing->out, LINK_TRACE_ID, writing->traits->trace_id, 16);
    proto_bytes(writing->out, LINK_SPAN_ID, &tree->calls[call->parent].span_id, 8);
    writing->field = LINK_ATTRIBUTES;
    writing->attributes = 0;
    writing->attributes_max = 1;
    put_text(writing, "messaging.link.reason", "consumed");
    proto_close(writing->out, link);
}

static void put_status(struct writing *writing)
{
    if (writing->call->error) {
        const size_t status = proto_open(writing->out, SPAN_STATUS);
        proto_text(writing->out, STATUS_MESSAGE, failure_of(writing).message);
        proto_varint(writing->out, STATUS_CODE, 2);
        proto_close(writing->out, status);
    } else if (writing->call->kind == CALL_INTERNAL) {
        const size_t status = proto_open(writing->out, SPAN_STATUS);
        proto_varint(writing->out, STATUS_CODE, 1);
        proto_close(writing->out, status);
    }
}

/* ---- the span
 * ---------------------------------------------------------------------------------------------- */

static uint32_t kind_of(const struct writing *writing)
{
    const bool message = writing->operation->protocol == PROTOCOL_MESSAGE;

    switch (writing->call->kind) {
    case CALL_SERVER: return message ? 5 : 2;
    case CALL_CLIENT: return message ? 4 : 3;
    case CALL_DATABASE: return 3;
    case CALL_INTERNAL: return 1;
    }
    unreachable("a call without a kind");
}

static void put_name(struct writing *writing)
{
    char name[WORLD_NAME_MAX + 16];

    switch (writing->call->kind) {
    case CALL_SERVER: (void)snprintf(name, sizeof name, "%s", writing->operation->name); break;
    case CALL_CLIENT:
        if (writing->operation->protocol == PROTOCOL_MESSAGE)
            (void)snprintf(name, sizeof name, "send %.90s", writing->operation->target);
        else
            (void)snprintf(name, sizeof name, "%s",
                           writing->operation->protocol == PROTOCOL_HTTP ? writing->operation->method
                                                                         : writing->operation->name);
        break;
    case CALL_DATABASE: (void)snprintf(name, sizeof name, "SELECT %s", writing->operation->table); break;
    case CALL_INTERNAL:
        (void)snprintf(name, sizeof name, "Worker.run%u", writing->operation->service % 7);
        break;
    }
    proto_text(writing->out, SPAN_NAME, name);
}

static void put_head(struct writing *writing, const struct call_tree *tree)
{
    const struct call *const call = writing->call;

    proto_bytes(writing->out, SPAN_TRACE_ID, writing->traits->trace_id, 16);
    proto_bytes(writing->out, SPAN_SPAN_ID, &call->span_id, 8);
    if (writing->traits->has_state) proto_text(writing->out, SPAN_TRACE_STATE, "eu1=prod-a,shop=t61rcWkgMzE");
    if (call->parent != CALL_NO_PARENT)
        proto_bytes(writing->out, SPAN_PARENT_SPAN_ID, &tree->calls[call->parent].span_id, 8);
    put_name(writing);
    proto_varint(writing->out, SPAN_KIND, kind_of(writing));
    proto_fixed64(writing->out, SPAN_START_TIME, writing->traits->start_unix_ns + (uint64_t)call->start_ns);
    proto_fixed64(writing->out, SPAN_END_TIME, writing->traits->start_unix_ns + (uint64_t)call->end_ns);
}

void span_writer_put(struct buffer *out, const struct world *world, const struct call_tree *tree,
                     uint32_t index, const struct trace_traits *traits, struct dice *dice)
{
    const struct call *const call = &tree->calls[index];
    struct writing writing = {.out = out,
                              .world = world,
                              .call = call,
                              .operation = &world->operations[call->operation],
                              .traits = traits,
                              .dice = dice};

    put_head(&writing, tree);
    put_attributes(&writing);
    if (dice_chance(dice, 0.001)) proto_varint(out, SPAN_DROPPED_ATTRIBUTES, dice_between(dice, 1, 5));
    if (world->profile == PROFILE_SHOP || (world->profile == PROFILE_PROD && dice_chance(dice, 0.125)))
        put_event(&writing);
    if (call->error) put_exception(&writing);
    put_link(&writing, tree);
    put_status(&writing);
    const bool remote = call->kind == CALL_SERVER && call->parent != CALL_NO_PARENT;
    proto_fixed32(out, SPAN_FLAGS, remote ? FLAGS_REMOTE_PARENT : FLAGS_LOCAL_PARENT);
}
