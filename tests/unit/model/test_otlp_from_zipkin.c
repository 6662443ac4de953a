/* Zipkin v2 JSON to protobuf: rows Z1 to Z9 of the catalogue. What is expected is written as OTLP JSON, whose bytes must be the same. */
#include "model/otlp_from_json.h"
#include "model/otlp_from_zipkin.h"
#include "rebuild.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct otlp_json_changes changes; /* of the last translation */

enum { ROOM = 1 << 20 };

static uint8_t out[ROOM], expected[ROOM];
static size_t out_len, expected_len;
static struct otlp_fault fault;

/* In an allocation of its own, with exactly the room that is promised to be enough. */
static enum err run(const char *json)
{
    const size_t len = strlen(json), most = otlp_from_zipkin_room(len);
    uint8_t *const copy = malloc(len + 1), *const room = malloc(most);

    memcpy(copy, json, len);
    const enum err err = otlp_from_zipkin(slice_of(copy, len), room, most, &out_len, &changes, &fault);
    if (err == OK) memcpy(out, room, out_len);
    if (err == OK && out_len > 0)
        cr_expect_eq(
            otlp_from_zipkin(slice_of(copy, len), room, out_len - 1, &expected_len, &changes, &fault),
            ERR_FULL);
    free(copy);
    free(room);
    return err;
}

static const char *hex(const uint8_t *bytes, size_t len)
{
    static char text[2][4096];
    static unsigned turn;
    char *const at = text[turn++ % 2];

    for (size_t i = 0; i < len && 2 * i + 2 < sizeof *text; i++)
        snprintf(at + 2 * i, 3, "%02x", bytes[i]);
    return at;
}

/* resource_spans: the elements of the OTLP list, in JSON. */
static void gives(const char *zipkin, const char *resource_spans)
{
    static char request[ROOM];
    const enum err err = run(zipkin);

    cr_assert_eq(err, OK, "%s: %s at %lu", zipkin, fault.reason, fault.offset);
    snprintf(request, sizeof request, "{\"resourceSpans\":[%s]}", resource_spans);
    cr_assert_eq(
        otlp_from_json(slice_text(request), expected, sizeof expected, &expected_len, &changes, &fault), OK,
        "%s", fault.reason);
    cr_expect(out_len == expected_len && memcmp(out, expected, out_len) == 0, "%s:\n%s\n%s", zipkin,
              hex(out, out_len), hex(expected, expected_len));
}

#define IDS                "\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\""
#define OTLP_IDS           "\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"spanId\":\"a2fb4a1d1a96d312\""
#define TIMES              "\"timestamp\":1472470996199000,\"duration\":207000"
#define OTLP_TIMES         "\"startTimeUnixNano\":\"1472470996199000000\",\"endTimeUnixNano\":\"1472470996406000000\""
#define STRING(key, value) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"
#define INT(key, value)    "{\"key\":\"" key "\",\"value\":{\"intValue\":" #value "}}"
#define TRUE_(key)         "{\"key\":\"" key "\",\"value\":{\"boolValue\":true}}"

/* A span with ids, times and these members; the same in OTLP. Resource and scope are empty. */
static void span_gives(const char *members, const char *otlp_members)
{
    static char zipkin[ROOM], otlp[ROOM];

    snprintf(zipkin, sizeof zipkin, "[{" IDS "," TIMES ",%s}]", members);
    snprintf(otlp, sizeof otlp, "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS "%s%s}]}]}",
             otlp_members[0] != '\0' ? "," : "", otlp_members);
    gives(zipkin, otlp);
}

static void refused(const char *json, const char *reason, const char *at)
{
    const enum err err = run(json);

    cr_expect_eq(err, ERR_MALFORMED, "%s: %s", json, err_text(err));
    if (err != ERR_MALFORMED) return;
    cr_expect_str_eq(fault.reason, reason, "%s: %s", json, fault.reason);
    cr_expect_eq(fault.offset, (uint64_t)(strstr(json, at) - json), "%s: at %lu", json, fault.offset);
}

Test(otlp_from_zipkin, Z1_the_example_of_the_API_s_description)
{
    gives(
        "[{" IDS ",\"parentId\":\"5982fe77008310cc\",\"kind\":\"SERVER\",\"name\":\"get /api\"," TIMES ","
        "\"localEndpoint\":{\"serviceName\":\"backend\",\"ipv4\":\"192.168.99.1\",\"port\":3306},"
        "\"remoteEndpoint\":{\"serviceName\":\"frontend\",\"ipv4\":\"172.19.0.2\",\"port\":58648},"
        "\"annotations\":[{\"timestamp\":1472470996238000,\"value\":\"ws\"},{\"timestamp\":1472470996403000,"
        "\"value\":\"wr\"}],"
        "\"tags\":{\"http.method\":\"GET\",\"http.path\":\"/api\"}}]",
        "{\"resource\":{\"attributes\":[" STRING(
            "service.name",
            "backend") "]},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
                       ",\"parentSpanId\":\"5982fe77008310cc\",\"name\":\"get /api\",\"kind\":2," OTLP_TIMES
                       ",\"attributes\":[" STRING("http.method", "GET") "," STRING("http.path", "/api") "," STRING("net.host.ip", "192.168.99.1") "," INT(
                           "net.host.port",
                           3306) "," STRING("peer.service",
                                            "frontend") "," STRING("net.peer.ip",
                                                                   "172.19.0.2") "," INT("net.peer.port",
                                                                                         58648) "],"
                                                                                                "\"events\":["
                                                                                                "{\"timeUnixN"
                                                                                                "ano\":"
                                                                                                "147247099623"
                                                                                                "8000000,"
                                                                                                "\"name\":"
                                                                                                "\"ws\"},"
                                                                                                "{\"timeUnixN"
                                                                                                "ano\":"
                                                                                                "147247099640"
                                                                                                "3000000,"
                                                                                                "\"name\":"
                                                                                                "\"wr\"}]}]}]"
                                                                                                "}");
}

Test(otlp_from_zipkin, Z2_empty_lists_and_what_is_no_list)
{
    gives("[]", "");
    gives(" [ ] ", "");
    refused("{}", "JSON: the body is not a list of spans", "{");
    refused("null", "JSON: the body is not a list of spans", "null");
    refused("[1]", "JSON: a span is not an object", "1");
    refused("[null]", "JSON: a span is not an object", "null");
    refused("[[]]", "JSON: a span is not an object", "[]]");
    cr_expect_eq(run(""), ERR_MALFORMED);
    cr_expect_eq(run("[{" IDS "}"), ERR_MALFORMED);
    cr_expect_eq(run("[{" IDS "}]x"), ERR_MALFORMED);
    cr_expect_eq(run("[{" IDS ",}]"), ERR_MALFORMED);
}

Test(otlp_from_zipkin, Z2_members_of_another_type)
{
    refused("[{\"traceId\":1}]", "Span.traceId: not a string", "1");
    refused("[{\"name\":{}}]", "Span.name: not a string", "{}}");
    refused("[{\"timestamp\":\"soon\"}]", "Span.timestamp: not an integer", "\"soon\"");
    refused("[{\"timestamp\":1.5}]", "Span.timestamp: not an integer", "1.5");
    refused("[{\"duration\":true}]", "Span.duration: not an integer", "true");
    refused("[{\"shared\":1}]", "Span.shared: neither true nor false", "1");
    refused("[{\"localEndpoint\":\"a\"}]", "Span.localEndpoint: not an object", "\"a\"");
    refused("[{\"remoteEndpoint\":{\"port\":\"http\"}}]", "Endpoint.port: not an integer", "\"http\"");
    refused("[{\"tags\":[]}]", "Span.tags: not an object", "[]");
    refused("[{\"tags\":{\"a\":{}}}]", "Span.tags: a value is not a string", "{}");
    refused("[{\"annotations\":{}}]", "Span.annotations: not a list", "{}");
    refused("[{" IDS ",\"annotations\":[7]}]", "Span.annotations: an element is not an object", "7]");
    refused("[{" IDS ",\"annotations\":[{\"value\":7}]}]", "Annotation.value: not a string", "7}");
    refused("[{" IDS ",\"annotations\":[{\"timestamp\":\"x\"}]}]", "Annotation.timestamp: not an integer",
            "\"x\"");
}

Test(otlp_from_zipkin, Z3_ids_are_filled_with_zeros_in_front)
{
    gives("[{\"traceId\":\"48485A3953BB6124\",\"id\":\"1\",\"parentId\":\"ff\"," TIMES "}]",
          "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"000000000000000048485a3953bb6124\","
          "\"spanId\":"
          "\"0000000000000001\",\"parentSpanId\":\"00000000000000ff\"," OTLP_TIMES "}]}]}");
    gives("[{\"traceId\":\"\\u0031\",\"id\":\"0000000000000001\"," TIMES "}]",
          "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"00000000000000000000000000000001\","
          "\"spanId\":"
          "\"0000000000000001\"," OTLP_TIMES "}]}]}");
}

Test(otlp_from_zipkin, Z4_a_span_that_is_its_own_parent_is_a_root)
{
    span_gives("\"parentId\":\"A2FB4A1D1A96D312\"", OTLP_TIMES);
    span_gives("\"parentId\":\"0000000000000000\"", OTLP_TIMES);
    span_gives("\"parentId\":\"\"", OTLP_TIMES);
}

Test(otlp_from_zipkin, Z4_times_that_are_missing)
{
    static const char absent[] = "\"attributes\":[" TRUE_("otel.zipkin.absentField.startTime") "]";
    char otlp[1024];

    snprintf(otlp, sizeof otlp, "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS ",%s}]}]}", absent);
    gives("[{" IDS "}]", otlp);
    gives("[{" IDS ",\"timestamp\":null,\"duration\":0}]", otlp);
    snprintf(otlp, sizeof otlp,
             "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS ",\"endTimeUnixNano\":5000,%s}]}]}",
             absent);
    gives("[{" IDS ",\"duration\":5}]", otlp);
    gives("[{" IDS ",\"timestamp\":\"7\"}]", "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
                                             ",\"startTimeUnixNano\":7000,\"endTimeUnixNano\":7000}]}]}");
    gives("[{" IDS ",\"timestamp\":1e3,\"duration\":18446744073709551615}]",
          "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
          ",\"startTimeUnixNano\":1000000,\"endTimeUnixNano\":18446744073709551615}]}]}");
}

Test(otlp_from_zipkin, Z5_kinds)
{
    static const char *const kinds[] = {"SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    char members[128], otlp[512];

    for (unsigned i = 0; i < 4; i++) {
        snprintf(members, sizeof members, "\"kind\":\"%s\"", kinds[i]);
        snprintf(otlp, sizeof otlp, "\"kind\":%u," OTLP_TIMES, i + 2);
        span_gives(members, otlp);
    }
    span_gives("\"kind\":\"\"", OTLP_TIMES);
    span_gives("\"tags\":{\"span.kind\":\"internal\"}", "\"kind\":1," OTLP_TIMES);
    span_gives("\"tags\":{\"span.kind\":\"server\"}", "\"kind\":2," OTLP_TIMES);
    span_gives("\"tags\":{\"span.kind\":\"odd\"}",
               OTLP_TIMES ",\"attributes\":[" STRING("span.kind", "odd") "]");
    span_gives("\"kind\":\"CLIENT\",\"tags\":{\"span.kind\":\"internal\"}",
               "\"kind\":3," OTLP_TIMES ",\"attributes\":[" STRING("span.kind", "internal") "]");
    span_gives("\"kind\":\"LOCAL\"", OTLP_TIMES ",\"attributes\":[" STRING("zipkin.kind", "LOCAL") "]");
}

Test(otlp_from_zipkin, Z5_debug_and_shared_are_kept)
{
    span_gives("\"debug\":true,\"shared\":true",
               OTLP_TIMES ",\"attributes\":[" TRUE_("zipkin.debug") "," TRUE_("zipkin.shared") "]");
    span_gives("\"debug\":false,\"shared\":null", OTLP_TIMES);
}

Test(otlp_from_zipkin, Z6_status)
{
    span_gives("\"tags\":{\"error\":\"true\"}", OTLP_TIMES ",\"status\":{\"code\":2}");
    span_gives("\"tags\":{\"error\":true}", OTLP_TIMES ",\"status\":{\"code\":2}");
    span_gives(
        "\"tags\":{\"error\":\"timeout\"}", OTLP_TIMES
        ",\"attributes\":[" STRING("error", "timeout") "],\"status\":{\"message\":\"timeout\",\"code\":2}");
    span_gives("\"tags\":{\"error\":\"\"}",
               OTLP_TIMES ",\"attributes\":[" STRING("error", "") "],\"status\":{\"code\":2}");
    span_gives("\"tags\":{\"error\":\"false\"}", OTLP_TIMES ",\"attributes\":[" STRING("error", "false") "]");
    span_gives("\"tags\":{\"otel.status_code\":\"STATUS_CODE_OK\"}", OTLP_TIMES ",\"status\":{\"code\":1}");
    span_gives("\"tags\":{\"otel.status_code\":\"Error\",\"otel.status_description\":\"a\\\"b\"}",
               OTLP_TIMES ",\"status\":{\"message\":\"a\\\"b\",\"code\":2}");
    span_gives("\"tags\":{\"otel.status_code\":\"OK\",\"error\":\"why\"}",
               OTLP_TIMES ",\"attributes\":[" STRING("error", "why") "],\"status\":{\"code\":1}");
    span_gives("\"tags\":{\"otel.status_code\":\"UNSET\"}", OTLP_TIMES);
    span_gives("\"tags\":{\"otel.status_code\":\"?\",\"otel.status_description\":\"b\"}",
               OTLP_TIMES ",\"attributes\":[" STRING("otel.status_code",
                                                     "?") "," STRING("otel.status_description", "b") "]");
    span_gives("\"tags\":{\"\\u0065rror\":\"tru\\u0065\"}", OTLP_TIMES ",\"status\":{\"code\":2}");
}

Test(otlp_from_zipkin, Z6_links)
{
    static const char ids[] = "00000000000000000000000000000a0b|00000000000000ff";
    char members[1024];

    snprintf(members, sizeof members,
             "\"tags\":{\"otlp.link.10\":\"%s|||{}|0\",\"otlp.link.2\":\"%s|k=v|{\\\"a\\\":\\\"|\\\"}|3\"}",
             ids, ids);
    /* the first has a part too many before its attributes: it is none */
    span_gives(
        members, OTLP_TIMES
        ",\"links\":[{\"traceId\":\"00000000000000000000000000000a0b\",\"spanId\":"
        "\"00000000000000ff\",\"traceState\":\"k=v\",\"attributes\":[" STRING(
            "a",
            "|") "],\"droppedAttributesCount\":3}],\"attributes\":[" STRING("otlp.link.10",
                                                                            "00000000000000000000000000000a0b"
                                                                            "|00000000000000ff|||{}|0") "]");
    snprintf(members, sizeof members,
             "\"tags\":{\"otlp.link.1\":\"%s||{\\\"n\\\":1.0}|0\",\"otlp.link.0\":\"%s||{}|0\"}", ids, ids);
    span_gives(members, OTLP_TIMES
               ",\"links\":[{\"traceId\":\"00000000000000000000000000000a0b\",\"spanId\":"
               "\"00000000000000ff\"},{\"traceId\":\"00000000000000000000000000000a0b\",\"spanId\":"
               "\"00000000000000ff\",\"attributes\":[" INT("n", 1) "]}]");
    static const char *const odd[] = {"otlp.link.128", "otlp.link.", "otlp.link.01", "otlp.link.1x"};
    for (unsigned i = 0; i < 4; i++) {
        char otlp[512];
        snprintf(members, sizeof members, "\"tags\":{\"%s\":\"%s||{}|0\"}", odd[i], ids);
        snprintf(otlp, sizeof otlp,
                 OTLP_TIMES ",\"attributes\":[{\"key\":\"%s\",\"value\":{\"stringValue\":\"%s||{}|0\"}}]",
                 odd[i], ids);
        span_gives(members, otlp);
    }
}

Test(otlp_from_zipkin, Z6_annotations)
{
    span_gives(
        "\"annotations\":[{\"value\":\"e|{\\\"s\\\":\\\"x\\\",\\\"i\\\":2.0,\\\"d\\\":1.5,\\\"b\\\":false,"
        "\\\"l\\\":[1,{}],\\\"n\\\":null,\\\"big\\\":1e300}|7\"}]",
        OTLP_TIMES ",\"events\":[{\"name\":\"e\",\"attributes\":[" STRING("s", "x") "," INT(
            "i", 2) ",{\"key\":\"d\",\"value\":{\"doubleValue\":1.5}},{\"key\":\"b\",\"value\":{"
                    "\"boolValue\":false}}," STRING("l",
                                                    "[1,{}]") ",{\"key\":\"n\",\"value\":{}},{\"key\":"
                                                              "\"big\",\"value\":{\"doubleValue\":1e300}}],"
                                                              "\"droppedAttributesCount\":7}]");
    span_gives("\"annotations\":[{\"value\":\"e|{}|0\",\"timestamp\":1}]",
               OTLP_TIMES ",\"events\":[{\"timeUnixNano\":1000,\"name\":\"e\"}]");
    /* not of that form: nothing is lost */
    span_gives(
        "\"annotations\":[{\"value\":\"a|b\"},{\"value\":\"|\"},{},{\"value\":\"\"},{\"value\":null}]",
        OTLP_TIMES ",\"events\":[{\"name\":\"a\",\"attributes\":[" STRING(
            "zipkin.annotation", "a|b") "]},{\"name\":\"\",\"attributes\":[" STRING("zipkin.annotation",
                                                                                    "|") "]},{},{},{}]");
    span_gives(
        "\"annotations\":[{\"value\":\"a|{|0\"},{\"value\":\"a|{}|x\"},{\"value\":\"a|{}|4294967296\"},"
        "{\"value\":\"a|[]|0\"},{\"value\":\"\\u0061||0\"},{\"value\":\"a|{}{}|0\"}]",
        OTLP_TIMES ",\"events\":[{\"name\":\"a|{|0\"},{\"name\":\"a|{}|x\"},{\"name\":\"a|{}|4294967296\"},"
                   "{\"name\":\"a|[]|0\"},{\"name\":\"a||0\"},{\"name\":\"a|{}{}|0\"}]");
}

Test(otlp_from_zipkin, Z7_resources_and_scopes)
{
    /* of two services, and one that is not told; neighbours that are alike share their lists */
    gives("[{" IDS "," TIMES ",\"localEndpoint\":{\"serviceName\":\"a\"}},{" IDS "," TIMES
          ",\"localEndpoint\":{\"serviceName\":\"a\"}},"
          "{" IDS "," TIMES "},{" IDS "," TIMES ",\"localEndpoint\":{\"serviceName\":\"a\"}}]",
          "{\"resource\":{\"attributes\":[" STRING(
              "service.name", "a") "]},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS "," OTLP_TIMES "},{" OTLP_IDS
                                   "," OTLP_TIMES
                                   "}]}]},{\"resource\":{},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
                                   "," OTLP_TIMES "}]}]},{\"resource\":{\"attributes\":[" STRING(
                                       "service.name", "a") "]},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
                                                            "," OTLP_TIMES "}]}]}");
    gives("[{" IDS "," TIMES
          ",\"localEndpoint\":{\"serviceName\":\"a\"},\"tags\":{\"host.name\":\"h\",\"x\":\"y\","
          "\"otel.library.name\":\"l\",\"otel.library.version\":\"1\",\"w3c.tracestate\":\"k=v\",\"service."
          "name\":\"b\"}}]",
          "{\"resource\":{\"attributes\":[" STRING("service.name", "a") "," STRING(
              "host.name",
              "h") "]},\"scopeSpans\":[{\"scope\":{\"name\":\"l\",\"version\":\"1\"},\"spans\":[{" OTLP_IDS
                   ",\"traceState\":\"k=v\"," OTLP_TIMES
                   ",\"attributes\":[" STRING("x", "y") "," STRING("service.name", "b") "]}]}]}");
    gives("[{" IDS "," TIMES ",\"tags\":{\"service.name\":\"b\",\"otel.scope.name\":\"s\"}}]",
          "{\"resource\":{\"attributes\":[" STRING(
              "service.name", "b") "]},\"scopeSpans\":[{\"scope\":{\"name\":\"s\"},\"spans\":[{" OTLP_IDS
                                   "," OTLP_TIMES "}]}]}");
    gives("[{" IDS "," TIMES
          ",\"localEndpoint\":{\"serviceName\":\"p\"},\"tags\":{\"otlp.service.name.source\":"
          "\"process.executable.name\"}}]",
          "{\"resource\":{\"attributes\":[" STRING("process.executable.name",
                                                   "p") "]},\"scopeSpans\":[{\"spans\":[{" OTLP_IDS
                                                        "," OTLP_TIMES "}]}]}");
    static const char *const keys[] = {
        "service.instance.id", "telemetry.sdk.name",     "k8s.pod.name", "cloud.region",
        "container.id",        "deployment.environment", "process.pid",  "os.type",
        "faas.name",           "webengine.name",         "device.id",    "aws.ecs.task.arn",
        "opencensus.starttime"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char zipkin[512], otlp[512];
        snprintf(zipkin, sizeof zipkin, "[{" IDS "," TIMES ",\"tags\":{\"%s\":\"v\"}}]", keys[i]);
        snprintf(otlp, sizeof otlp,
                 "{\"resource\":{\"attributes\":[{\"key\":\"%s\",\"value\":{\"stringValue\":\"v\"}}]},"
                 "\"scopeSpans\":[{\"spans\":[{" OTLP_IDS "," OTLP_TIMES "}]}]}",
                 keys[i]);
        gives(zipkin, otlp);
    }
}

Test(otlp_from_zipkin, Z8_values_that_are_no_strings_and_members_that_are_unknown)
{
    span_gives("\"tags\":{\"n\":1.50,\"t\":true,\"f\":false,\"z\":null,\"\":\"\"},\"later\":{\"id\":[1]}",
               OTLP_TIMES ",\"attributes\":[" STRING("n", "1.50") "," STRING("t", "true") "," STRING(
                   "f", "false") "," STRING("", "") "]");
    span_gives("\"tags\":{\"a\":\"1\",\"a\":\"2\"},\"localEndpoint\":null,\"remoteEndpoint\":{\"x\":{},"
               "\"port\":\"80\"}",
               OTLP_TIMES
               ",\"attributes\":[" STRING("a", "1") "," STRING("a", "2") "," INT("net.peer.port", 80) "]");
    /* given twice, the last counts; so do its tags, with what they mean */
    span_gives("\"tags\":{\"error\":\"true\",\"host.name\":\"h\"},\"tags\":{\"a\":\"b\"},\"name\":\"x\","
               "\"name\":\"y\"",
               "\"name\":\"y\"," OTLP_TIMES ",\"attributes\":[" STRING("a", "b") "]");
    span_gives("\"localEndpoint\":{\"ipv4\":\"1.2.3.4\",\"ipv6\":\"::1\",\"port\":0}", OTLP_TIMES
               ",\"attributes\":[" STRING("net.host.ip", "::1") "," STRING("net.host.ipv4", "1.2.3.4") "]");
}

static void rejected(const char *spans, unsigned count, const char *reason, const char *at)
{
    static struct otlp_decoder *decoder;
    struct rebuilt stored = {0};
    struct otlp_result result;

    if (decoder == NULL) cr_assert_eq(otlp_decoder_open(&decoder), OK);
    cr_assert_eq(run(spans), OK, "%s", fault.reason);
    cr_assert_eq(rebuild(decoder, slice_of(out, out_len), &stored, &result), OK);
    rebuilt_free(&stored);
    cr_expect_eq(result.rejected, count, "%s", spans);
    cr_expect_str_eq(result.rejection.reason, reason);
    cr_expect_eq(otlp_from_zipkin_locate(slice_text(spans), slice_of(out, out_len), result.rejection.offset),
                 (uint64_t)(strstr(spans, at) - spans), "%s", spans);
}

Test(otlp_from_zipkin, Z9_spans_whose_ids_are_none_are_left_to_the_decoder)
{
    rejected("[{" IDS "},{\"id\":\"1\",\"tags\":{\"host.name\":\"x\"}}]", 1,
             "Span.trace_id: must have 16 bytes", "{\"id\":\"1\"");
    rejected("[{},{" IDS "}]", 1, "Span.trace_id: must have 16 bytes", "{}");
    rejected("[{\"traceId\":\"0\",\"id\":\"1\"}]", 1, "Span.trace_id: must have 16 bytes", "{");
    rejected("[{\"traceId\":\"xyz\",\"id\":\"1\"}]", 1, "Span.trace_id: must have 16 bytes", "{");
    rejected("[{\"traceId\":\"463ac35c9f6413ad48485a3953bb61240\",\"id\":\"1\"}]", 1,
             "Span.trace_id: must have 16 bytes", "{");
    rejected("[{\"traceId\":\"1\"}]", 1, "Span.span_id: must have 8 bytes", "{");
    rejected("[{\"traceId\":\"1\",\"id\":\"00000000000000001\"}]", 1, "Span.span_id: must have 8 bytes", "{");
    rejected("[{\"traceId\":\"1\",\"id\":\"1\",\"parentId\":\"-\"},{},{" IDS "}]", 2,
             "Span.parent_span_id: must have 0 or 8 bytes", "{");
}

Test(otlp_from_zipkin, Z9_too_many_spans)
{
    const size_t count = OTLP_SPANS_MAX + 1, len = 3 * count + 1;
    char *const json = malloc(len + 1);

    for (size_t i = 0; i < count; i++)
        memcpy(json + 1 + 3 * i, "{},", 3);
    json[0] = '[';
    json[len - 1] = ']';
    json[len] = '\0';
    uint8_t *const room = malloc(otlp_from_zipkin_room(len));
    cr_expect_eq(
        otlp_from_zipkin(slice_text(json), room, otlp_from_zipkin_room(len), &out_len, &changes, &fault),
        ERR_TOO_LARGE);
    cr_expect_eq(fault.offset, len - 3);
    free(room);
    free(json);
}
