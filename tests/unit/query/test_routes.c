/*
 * The HTTP side: status, headers and words of each kind of answer, over a real server and real sockets. The
 * store is a segment in a temporary directory.
 */
#include "otlp_text.h"
#include "pool.h"

#include "base/log.h"
#include "io/io.h"
#include "query/selection.h"
#include "server/server_fixture.h"
#include "base/clock.h"
#include "store/backups.h"
#include "store/erasures.h"
#include "store/superblock.h"
#include "store/pins.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOME_ID "0102030405060708090a0b0c0d0e0f10"

static struct fixture fixture;
static struct query *query;
static struct selection *selection;
static struct query_config config;
static struct metrics metrics;
static struct answer_text answer;

/* ---- a store -------------------------------------------------------------------------------------------- */

static char path[64];
static struct io *io;
static struct io_dir *dir;

static void write_request(struct otlp_text *text, const char *operation)
{
    static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

    begin(text, 1);
    begin(text, 1);
    begin(text, 1);
    string(text, 1, "service.name");
    begin(text, 2);
    string(text, 1, "shop");
    end(text);
    end(text);
    end(text);
    begin(text, 2);
    begin(text, 2);
    bytes(text, 1, id, 16);
    bytes(text, 2, id, 8);
    string(text, 5, operation);
    number(text, 6, 2);
    fixed64(text, 7, 1000);
    fixed64(text, 8, 2000);
    end(text);
    end(text);
    end(text);
}

/* A block with one span of the trace. */
static void add_block(uint64_t seq, const char *operation)
{
    struct otlp_decoder *decoder;
    struct block_encoder *encoder;
    struct block_encoded encoded;
    struct otlp_result result;
    struct live_block *live;
    static struct otlp_text text;

    text.len = 0;
    write_request(&text, operation);
    cr_assert_eq(live_open(0, &live), OK);
    cr_assert_eq(otlp_decoder_open(&decoder), OK);
    cr_assert_eq(block_encoder_open(&encoder), OK);
    live_reset(live, seq, seq * 1000);
    live_append_begin(live);
    cr_assert_eq(otlp_decode(decoder, text_slice(&text), live_sink(), live, &result), OK);
    const struct live_counts counts = live_append_end(live, seq * 1000 + 1000, seq);
    live_publish(live, &counts);
    cr_assert_eq(block_encode(encoder, live, &encoded), OK);
    cr_assert_eq(segment_append(config.catalog, io, 0, &encoded), OK);
    block_encoder_close(encoder);
    otlp_decoder_close(decoder);
    live_close(live);
}

static void open_catalog(void)
{
    const struct segment_config segments = {.instance = 1, .shards = 1};
    struct catalog_report report;

    snprintf(path, sizeof path, "/tmp/spanmill-query-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    cr_assert_eq(io_open_plain(&io), OK);
    cr_assert_eq(io_dir_open(io, NULL, path, false, &dir), OK);
    cr_assert_eq(catalog_open(io, dir, &segments, &config.catalog, &report), OK);
    add_block(1, "GET /");
    cr_assert_eq(segment_seal(config.catalog, io, 0), OK);
}

static int remove_one(const char *name, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(name);
}

static uint32_t no_seal(void *context)
{
    (void)context;
    return 0;
}

static bool all_sealed(void *context, uint32_t ticket)
{
    (void)context;
    return ticket == 0;
}

/* False: no io_uring here, the test is skipped. */
static bool start(void)
{
    static const struct superblock superblock = {.uuid = {1}, .instance = 1, .major = 1};
    size_t routes_count;

    log_set_level(LOG_ERROR);
    config.metrics = &metrics;
    open_catalog();
    const struct backups_config backups_config = {.data = dir,
                                                  .superblock = &superblock,
                                                  .catalog = config.catalog,
                                                  .seal = no_seal,
                                                  .is_sealed = all_sealed};
    cr_assert_eq(pins_open(io, dir, 1, &config.pins), OK);
    cr_assert_eq(erasures_open(io, dir, 1, &config.erasures), OK);
    cr_assert_eq(backups_open(io, &backups_config, &config.backups), OK);
    cr_assert_eq(selection_open(&selection), OK);
    const struct selector_matcher matcher = selection_matcher(selection);
    cr_assert_eq(retention_open(config.catalog, &config.retention, config.pins, &matcher, &config.keeping),
                 OK);
    cr_assert_eq(query_open(&config, &query), OK);
    const struct route *const routes = query_routes(query, &routes_count);
    fixture_init(&fixture, routes, routes_count);
    return fixture_open(&fixture);
}

/* As the program does it: a worker that has just answered may still be waking the server, so the server outlives it. */
static void stop(void)
{
    fixture_drain(&fixture);
    query_close(query);
    fixture_close(&fixture);
    retention_close(config.keeping, io);
    selection_close(selection);
    pins_close(config.pins);
    erasures_close(config.erasures);
    backups_close(config.backups, io);
    catalog_close(config.catalog, io);
    io_dir_close(io, dir);
    io_close(io);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a client ------------------------------------------------------------------------------------------- */

static int get_into(struct answer_text *out, const char *target, const char *fields)
{
    char text[8192];

    const int fd = client_open(fixture.port[ROLE_QUERY]);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", target, fields);
    client_send(fd, text);
    const int status = client_receive(fd, out, false);
    close(fd);
    return status;
}

static int get(const char *target, const char *fields)
{
    return get_into(&answer, target, fields);
}

static int send_to(const char *method, const char *target, const char *fields, const char *body)
{
    char text[8192];

    const int fd = client_open(fixture.port[ROLE_QUERY]);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n%s",
             method, target, strlen(body), fields, body);
    client_send(fd, text);
    const int status = client_receive(fd, &answer, false);
    close(fd);
    return status;
}

static bool head_has(const char *words)
{
    return strcasestr(answer.head, words) != NULL;
}

static bool body_has(const char *words)
{
    return strstr(answer.body, words) != NULL;
}

/* ---- answers -------------------------------------------------------------------------------------------- */

Test(routes, give_a_trace_as_json_or_protobuf)
{
    static struct otlp_text text;

    write_request(&text, "GET /");
    if (!start()) return;
    cr_assert_eq(get("/query/v1/traces/" SOME_ID, ""), 200);
    cr_assert(head_has("Content-Type: application/json\r\n"));
    cr_assert(head_has("spanmill-coverage: live=0 blocks=1 skipped=0 fenced=0\r\n"));
    cr_assert(head_has("X-Content-Type-Options: nosniff"));
    cr_assert_not(head_has("spanmill-truncated"));
    cr_assert_eq(strncmp(answer.body, "{\"resourceSpans\":[{\"resource\":{\"attributes\":", 44), 0);
    cr_assert_eq(get("/query/v1/traces/" SOME_ID, "Accept: text/html, Application/X-Protobuf;q=0.9\r\n"),
                 200);
    cr_assert(head_has("Content-Type: application/x-protobuf\r\n"));
    cr_assert(slice_equal(slice_of(answer.body, answer.body_len), text_slice(&text)));
    stop();
}

Test(routes, answer_searches_and_lists)
{
    if (!start()) return;
    cr_assert_eq(get("/query/v1/traces?service=shop&minDuration=1us", ""), 200);
    cr_assert(body_has("{\"traces\":[{\"traceId\":\"" SOME_ID
                       "\",\"rootService\":\"shop\",\"rootOperation\":\"GET /\","
                       "\"startTimeUnixNano\":\"1000\",\"durationNano\":\"1000\",\"spanCount\":1"),
              "%s", answer.body);
    cr_assert_eq(get("/query/v1/traces?service=nobody&start=1&end=9", ""), 200);
    cr_assert(body_has("{\"traces\":[],\"coverage\":{\"liveBlocks\":0,\"blocks\":0,\"blocksSkipped\":1,"
                       "\"fencedBlocks\":0,\"partial\":false,\"from\":\"1\",\"to\":\"9\"}}"),
              "%s", answer.body);
    cr_assert_eq(get("/query/v1/services", ""), 200);
    cr_assert(body_has("{\"services\":[{\"name\":\"shop\"}],\"coverage\":"));
    cr_assert_eq(get("/query/v1/operations?service=shop", ""), 200);
    cr_assert(body_has("{\"operations\":[{\"name\":\"GET /\",\"kind\":2}],\"coverage\":"));
    stop();
}

Test(routes, refuse_in_json)
{
    static const struct {
        const char *target;
        int status;
        const char *words;
    } cases[] = {
        {"/query/v1/traces/abc", 400,
         "{\"error\":{\"code\":400,\"message\":\"trace id \\\"abc\\\": give 32 hex"},
        {"/query/v1/traces/", 400, "trace id"},
        {"/query/v1/traces/%00", 400, NULL},
        {"/query/v1/traces/ffffffffffffffffffffffffffffffff", 404,
         "{\"error\":{\"code\":404,\"message\":\"no span of this trace is stored\"}}"},
        {"/query/v1/traces?limit=0", 400, "parameter limit"},
        {"/query/v1/traces?colour=red", 400, "parameter colour"},
        {"/query/v1/traces?after=5-1", 400, "there is no shard 5"},
        {"/query/v1/services?end=1&start=2", 400, "not before end"},
        {"/query/v1/traces?service=%3Cscript%3E&limit=x", 400, "parameter limit"},
        {"/query/v1/unknown", 404, NULL},
    };

    if (!start()) return;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(get(cases[i].target, ""), cases[i].status, "%s", cases[i].target);
        if (cases[i].words == NULL) continue;
        cr_assert(head_has("Content-Type: application/json"));
        cr_assert(body_has(cases[i].words), "%s: %s", cases[i].target, answer.body);
    }
    stop();
}

Test(routes, refuse_when_too_many_wait)
{
    struct job *jobs[8];
    unsigned count = 0;

    config.threads = 1;
    config.waiting_max = 3;
    if (!start()) return;
    while (count < 8 && (jobs[count] = pool_take(query)) != NULL)
        count++;
    cr_assert_eq(count, 4, "one that runs, three that wait");
    cr_assert_eq(get("/query/v1/services", ""), 429);
    cr_assert(head_has("Retry-After: 1"));
    cr_assert(body_has("too many queries"));
    cr_assert_eq(metric_get(&metrics, METRIC_QUERIES_REFUSED), 1);
    pool_give_back(query, jobs[0]);
    cr_assert_eq(get("/query/v1/services", ""), 200);
    cr_assert_eq(metric_get(&metrics, METRIC_QUERIES), 1);
    stop();
}

Test(routes, say_when_a_query_took_too_long)
{
    config.deadline_ns = 1;
    if (!start()) return;
    cr_assert_eq(get("/query/v1/services", ""), 504);
    cr_assert(body_has("{\"error\":{\"code\":504,\"message\":\"the query took too long; narrow"));
    cr_assert_eq(get("/query/v1/traces/" SOME_ID, ""), 504);
    stop();
}

Test(routes, say_when_a_trace_was_cut)
{
    config.answer_bytes_max = 1200; /* room for the end of an answer, but not for the span */
    if (!start()) return;
    cr_assert_eq(get("/query/v1/traces/" SOME_ID, ""), 200);
    cr_assert(head_has("spanmill-truncated: true"));
    cr_assert(body_has("\"truncated\":true"));
    stop();
}

Test(routes, say_when_a_question_needs_too_much_memory)
{
    config.memory_bytes_max = 1024;
    if (!start()) return;
    cr_assert_eq(get("/query/v1/traces", ""), 400);
    cr_assert(body_has("more memory than a query may use"));
    stop();
}

Test(routes, refuse_when_the_server_stops)
{
    if (!start()) return;
    atomic_store(&query->stopping, true);
    cr_assert_eq(get("/query/v1/services", ""), 503);
    cr_assert(head_has("Retry-After: 1"));
    cr_assert(body_has("shutting down"));
    stop();
}

/* ---- retention -------------------------------------------------------------------------------------------- */

Test(routes, retention_says_what_would_leave)
{
    config.retention = (struct retention_config){.bytes_max = 7};
    if (!start()) return;
    cr_assert_eq(get("/query/v1/retention", ""), 200);
    cr_assert(body_has("\"limits\":{\"ageNano\":\"0\",\"bytes\":\"7\",\"freeBytes\":\"0\",\"services\":[]}"));
    cr_assert(body_has("\"store\":{\"segments\":1,\"blocks\":1,"));
    cr_assert(body_has("\"leaving\":[{\"reason\":\"bytes\",") && body_has("\"leavingSegments\":1,"));
    cr_assert_eq(get("/query/v1/retention?bytes=0", ""), 200);
    cr_assert(body_has("\"leaving\":[]"), "other limits may be asked about");
    cr_assert_eq(get("/query/v1/retention?age=1h&limit=1", ""), 200);
    cr_assert_eq(get("/query/v1/retention?age=soon", ""), 400);
    cr_assert_eq(get("/query/v1/retention?bytes=many", ""), 400);
    cr_assert_eq(get("/query/v1/retention?service=shop", ""), 400);
    stop();
}

/* ---- pins ------------------------------------------------------------------------------------------------- */

#define JSON_TYPE "Content-Type: application/json\r\n"

static int post_pin(const char *body)
{
    return send_to("POST", "/query/v1/pins", JSON_TYPE, body);
}

Test(routes, pins_are_set_listed_and_removed)
{
    config.retention = (struct retention_config){.bytes_max = 7};
    if (!start()) return;
    cr_assert_eq(get("/query/v1/pins", ""), 200);
    cr_assert(body_has("{\"pins\":[],\"pinsMax\":1024,\"damaged\":false}"), "%s", answer.body);
    cr_assert_eq(post_pin("{\"traceId\":\"" SOME_ID "\",\"owner\":\"ann\",\"reason\":\"incident \\u00e4\","
                          "\"expires\":\"90d\"}"),
                 201, "%s", answer.body);
    cr_assert(body_has("{\"id\":\"1\",\"traceId\":\"" SOME_ID "\",\"owner\":\"ann\",\"reason\":\"incident "));
    cr_assert(body_has("\"expiresUnixNano\":") && body_has("\"inForce\":true"));
    cr_assert_eq(post_pin("{\"start\":\"0\",\"end\":1500,\"filter\":\"service=shop\",\"owner\":\"bob\","
                          "\"reason\":\"audit\",\"expires\":\"never\"}"),
                 201, "%s", answer.body);
    cr_assert(body_has("\"startUnixNano\":\"0\",\"endUnixNano\":\"1500\",\"filter\":\"service=shop\""));
    cr_assert_eq(get("/query/v1/retention", ""), 200);
    cr_assert(body_has("\"pinnedSpans\":\"1\",\"pinnedBytes\":") && body_has("\"pin\":\"2\""), "%s",
              answer.body);
    cr_assert(body_has("\"leavingSegments\":0,\"leavingSpans\":\"0\""));
    cr_assert_eq(send_to("DELETE", "/query/v1/pins/2", "", ""), 200);
    cr_assert(body_has("{\"removed\":\"2\"}"));
    cr_assert_eq(send_to("DELETE", "/query/v1/pins/2", "", ""), 404);
    cr_assert(body_has("there is no pin 2"));
    cr_assert_eq(send_to("DELETE", "/query/v1/pins/all", "", ""), 400);
    cr_assert_eq(get("/query/v1/pins", ""), 200);
    cr_assert(body_has("\"id\":\"1\"") && !body_has("\"id\":\"2\""));
    stop();
}

static const struct {
    const char *body, *words;
} bad_pins[] = {
    {"", "no JSON object"},
    {"[]", "an object is expected, at byte"},
    {"{\"owner\":", "no JSON object"},
    {"{} x", "no JSON object"},
    {"{\"owner\":\"a\",\"owner\":\"b\"}", "owner: given more than once"},
    {"{\"traceid\":\"\"}", "member \\\"traceid\\\": not known here"},
    {"{\"traceId\":\"12\"}", "traceId: give 32 hexadecimal digits"},
    {"{\"traceId\":{}}", "traceId: give a string"},
    {"{\"start\":\"soon\"}", "start: \\\"soon\\\" is no time"},
    {"{\"filter\":\"sevrice=a\"}", "filter: parameter sevrice: not known here"},
    {"{\"filter\":\"service=a&limit=3\"}", "filter: parameter limit: not known here"},
    {"{\"filter\":\"start=3\"}", "filter: parameter start: not known here"},
    {"{\"owner\":\"a\",\"reason\":\"b\",\"expires\":\"1d\"}", "give a traceId, or a start"},
    {"{\"start\":5,\"end\":5,\"owner\":\"a\",\"reason\":\"b\",\"expires\":\"1d\"}",
     "end: is not after start"},
    {"{\"start\":5,\"reason\":\"b\",\"expires\":\"1d\"}", "owner: is missing"},
    {"{\"start\":5,\"owner\":\"b\",\"expires\":\"1d\"}", "reason: is missing"},
    {"{\"start\":5,\"owner\":\"b\",\"reason\":\"b\"}", "expires: is missing"},
    {"{\"start\":5,\"owner\":\"b\",\"reason\":\"b\",\"expires\":7}", "expires: is over already"},
    {"{\"start\":5,\"owner\":\"b\",\"reason\":\"b\",\"expires\":\"0s\"}", "expires: is over at once"},
    {"{\"owner\":\"\\u0007\"}", "owner: holds a control character"},
    {"{\"traceId\":\"" SOME_ID "\",\"end\":5,\"owner\":\"b\",\"reason\":\"b\",\"expires\":\"1d\"}",
     "traceId: means all spans of the trace"},
};

Test(routes, Q11_pins_that_are_none_are_refused_by_name)
{
    static char large[5000];

    if (!start()) return;
    for (size_t i = 0; i < sizeof bad_pins / sizeof bad_pins[0]; i++) {
        cr_assert_eq(post_pin(bad_pins[i].body), 400, "%s", bad_pins[i].body);
        cr_assert(body_has(bad_pins[i].words), "%s: %s", bad_pins[i].body, answer.body);
    }
    cr_assert_eq(send_to("POST", "/query/v1/pins", "", "{}"), 415, "no page of another site can send it");
    cr_assert_eq(send_to("POST", "/query/v1/pins", JSON_TYPE "Content-Encoding: gzip\r\n", "{}"), 415);
    memset(large, ' ', sizeof large - 1);
    cr_assert_eq(post_pin(large), 413);
    cr_assert(strstr(answer.body, "larger than this path takes") != NULL);
    cr_assert_eq(send_to("PUT", "/query/v1/pins", JSON_TYPE, "{}"), 405);
    cr_assert(head_has("Allow: GET, HEAD, POST\r\n"), "%s", answer.head);
    cr_assert_eq(get("/query/v1/pins", ""), 200);
    cr_assert(body_has("\"pins\":[]"));
    stop();
}

/* ---- deletions ------------------------------------------------------------------------------------------- */

static int post_erasure(const char *body)
{
    return send_to("POST", "/query/v1/deletions", JSON_TYPE, body);
}

Test(routes, deletions_are_taken_and_told)
{
    if (!start()) return;
    cr_assert_eq(get("/query/v1/deletions", ""), 200);
    cr_assert(body_has("{\"deletions\":[],\"deletionsMax\":1024,\"damaged\":false}"), "%s", answer.body);
    cr_assert_eq(post_erasure("{\"traceId\":\"" SOME_ID "\",\"owner\":\"ann\",\"reason\":\"case 12\"}"), 202,
                 "%s", answer.body);
    cr_assert(body_has("{\"id\":\"1\",\"status\":\"pending\",\"traceId\":\"" SOME_ID "\",\"owner\":\"ann\""));
    cr_assert(body_has("\"pins\":\"erasure wins over pins\""));
    cr_assert_eq(post_erasure("{\"start\":0,\"filter\":\"service=shop\",\"owner\":\"a\",\"reason\":\"b\"}"),
                 202);
    cr_assert_eq(get("/query/v1/deletions/2", ""), 200);
    cr_assert(body_has("\"filter\":\"service=shop\"") && body_has("\"erasedSpans\":\"0\""));
    cr_assert_eq(get("/query/v1/deletions", ""), 200);
    cr_assert(strstr(answer.body, "\"id\":\"2\"") < strstr(answer.body, "\"id\":\"1\""), "the newest first");
    cr_assert_eq(get("/query/v1/deletions/3", ""), 404);
    cr_assert_eq(get("/query/v1/deletions/x", ""), 400);
    cr_assert_eq(post_erasure("{\"start\":0,\"owner\":\"a\",\"reason\":\"b\",\"expires\":\"1d\"}"), 400);
    cr_assert(body_has("expires: not known here"));
    cr_assert_eq(post_erasure("{\"owner\":\"a\",\"reason\":\"b\"}"), 400);
    cr_assert_eq(send_to("POST", "/query/v1/deletions", "", "{}"), 415);
    stop();
}

/* ---- backups -------------------------------------------------------------------------------------------- */

static int post_backup(const char *body)
{
    return send_to("POST", "/query/v1/backups", "Content-Type: application/json\r\n", body);
}

Test(routes, backups_are_ordered_listed_and_removed)
{
    if (!start()) return;
    cr_assert_eq(get("/query/v1/backups", ""), 200);
    cr_assert(body_has("{\"backups\":[],\"backupsMax\":64,\"heldBytes\":\"0\"}"), "%s", answer.body);
    cr_assert_eq(post_backup("{\"name\":\"one\"}"), 202, "%s", answer.body);
    cr_assert(body_has("{\"name\":\"one\",\"status\":\"making\",\"createdUnixNano\""));
    cr_assert_eq(post_backup("{\"name\":\"two\"}"), 409);
    cr_assert(body_has("one at a time"));
    cr_assert_eq(send_to("DELETE", "/query/v1/backups/one", "", ""), 409);
    cr_assert_eq(get("/query/v1/backups", ""), 200);
    cr_assert(body_has("\"status\":\"making\""));
    while (backups_step(config.backups, io)) {
    }
    cr_assert_eq(get("/query/v1/backups", ""), 200);
    cr_assert(body_has("\"name\":\"one\",\"status\":\"complete\"") &&
              body_has("\"segments\":1,\"blocks\":\"1\""));
    cr_assert_eq(post_backup("{\"name\":\"one\"}"), 409);
    cr_assert(body_has("of that name"));
    cr_assert_eq(post_backup(""), 202, "named after the time");
    cr_assert(body_has("{\"name\":\"20"), "%s", answer.body);
    cr_assert_eq(send_to("DELETE", "/query/v1/backups/one", "", ""), 200);
    cr_assert(body_has("{\"removed\":\"one\"}"));
    cr_assert_eq(send_to("DELETE", "/query/v1/backups/one", "", ""), 404);
    stop();
}

Test(routes, Q12_backups_that_lead_elsewhere)
{
    static const char *const bad[] = {"{\"name\":\"../x\"}",
                                      "{\"name\":\"/etc\"}",
                                      "{\"name\":\"\"}",
                                      "{\"name\":\"a\\u0000\"}",
                                      "{\"name\":7}",
                                      "{\"nam\":\"a\"}",
                                      "{\"name\":\"a\",\"name\":\"b\"}",
                                      "[]",
                                      "{",
                                      "{\"name\":\"a\"} x",
                                      "{\"name\":\".a\"}",
                                      "{\"name\":"};

    if (!start()) return;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(post_backup(bad[i]), 400, "%s: %s", bad[i], answer.body);
    cr_assert_eq(send_to("POST", "/query/v1/backups", "", "{}"), 415);
    cr_assert_eq(send_to("DELETE", "/query/v1/backups/-x", "", ""), 400);
    cr_assert_neq(send_to("DELETE", "/query/v1/backups/..", "", ""), 200);
    cr_assert_neq(send_to("DELETE", "/query/v1/backups/%2e%2e", "", ""), 200);
    cr_assert_neq(send_to("DELETE", "/query/v1/backups/a/../b", "", ""), 200);
    cr_assert_eq(get("/query/v1/backups", ""), 200);
    cr_assert(body_has("\"backups\":[]"));
    stop();
}

/* ---- exports -------------------------------------------------------------------------------------------- */

/* *id: of the export in the last answer. */
static void read_export(char id[17])
{
    const char *const at = strstr(answer.body, "\"export\":\"");

    cr_assert_not_null(at, "%s", answer.body);
    memcpy(id, at + strlen("\"export\":\""), 16);
    id[16] = '\0';
}

Test(routes, an_export_is_of_one_version_until_nobody_asks_for_it)
{
    char id[17], target[64];

    if (!start()) return;
    cr_assert_eq(send_to("POST", "/query/v1/export", JSON_TYPE, ""), 201, "%s", answer.body);
    read_export(id);
    snprintf(target, sizeof target, "/query/v1/export/%s", id);
    add_block(2, "GET /later");
    cr_assert_eq(get("/query/v1/traces/" SOME_ID, ""), 200);
    cr_assert(body_has("GET /later"));
    cr_assert_eq(get(target, ""), 200);
    cr_assert(body_has("{\"resourceSpans\":[") && body_has("\"GET /\"") && !body_has("GET /later"), "%s",
              answer.body);
    query_forget_retired(query, io_now_ns(io) + 59 * NS_PER_S);
    cr_assert_eq(get(target, ""), 200, "it is still held");
    query_forget_retired(query, io_now_ns(io) + 62 * NS_PER_S);
    cr_assert_eq(get(target, ""), 404);
    cr_assert_eq(send_to("POST", "/query/v1/export", JSON_TYPE, "{\"a\":1}"), 400);
    cr_assert_eq(send_to("POST", "/query/v1/export", "", ""), 415);
    stop();
}

/* ---- many at once --------------------------------------------------------------------------------------- */

enum { CLIENTS = 4, ROUNDS = 25, NEW_BLOCKS = 10 };

static void *ask_over_and_over(void *context)
{
    static const struct {
        const char *target, *words;
    } questions[] = {
        {"/query/v1/services", "{\"name\":\"shop\"}"},
        {"/query/v1/operations?service=shop", "{\"name\":\"GET /\",\"kind\":2}"},
        {"/query/v1/traces?service=shop&operation=GET+/", SOME_ID},
        {"/query/v1/traces/" SOME_ID, "\"GET /\""},
    };
    struct answer_text *const own = malloc(sizeof *own);

    (void)context;
    for (unsigned i = 0; i < ROUNDS * 4; i++) {
        cr_assert_eq(get_into(own, questions[i % 4].target, ""), 200);
        cr_assert_not_null(strstr(own->body, questions[i % 4].words), "%s", own->body);
    }
    free(own);
    return NULL;
}

/* Workers share blocks, names and versions, while the catalog grows. */
Test(routes, answer_many_at_once)
{
    pthread_t clients[CLIENTS];
    char operation[32];

    config.threads = 3;
    if (!start()) return;
    for (unsigned i = 0; i < CLIENTS; i++)
        cr_assert_eq(pthread_create(&clients[i], NULL, ask_over_and_over, NULL), 0);
    for (unsigned i = 0; i < NEW_BLOCKS; i++) {
        snprintf(operation, sizeof operation, "operation %u", i);
        add_block(2 + i, operation);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    cr_assert_eq(get("/query/v1/operations?service=shop", ""), 200);
    cr_assert(body_has("\"GET /\"") && body_has("\"operation 0\"") && body_has("\"operation 9\""));
    cr_assert_eq(names_cache_load(query->names).blocks, NEW_BLOCKS + 1);
    cr_assert_eq(names_cache_load(query->names).names, NEW_BLOCKS + 1);
    stop();
}
