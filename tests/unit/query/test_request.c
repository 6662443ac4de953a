/*
 * Parameters: what is understood, and what is refused with which words (faults Q1, Q2, Q3).
 */
#include "literal.h"
#include "request.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t now_ns = 1700000000000000000u;
static struct request request;

static bool parses(enum request_kind kind, const char *rest, const char *query)
{
    memset(&request, 0, sizeof request);
    return request_parse(&request, kind, slice_text(rest), slice_text(query)) &&
           request_resolve(&request, now_ns);
}

static void cr_refused(enum request_kind kind, const char *rest, const char *query, const char *words)
{
    cr_assert_not(parses(kind, rest, query), "%s", query);
    cr_assert_not_null(strstr(request.message, words), "%s: \"%s\" lacks \"%s\"", query, request.message,
                       words);
}

static bool search(const char *query)
{
    return parses(REQUEST_SEARCH, "", query);
}

Test(request, has_defaults)
{
    cr_assert(search(""));
    cr_assert_eq(request.limit, 20);
    cr_assert_eq(request.first_ns, 0);
    cr_assert_eq(request.last_ns, UINT64_MAX);
    cr_assert_eq(request.duration_max_ns, UINT64_MAX);
    cr_assert_eq(request.conditions_count, 0);
    cr_assert_not(request.has_service || request.has_operation || request.has_status || request.has_kind ||
                  request.has_cursor || request.has_after);
}

Test(request, reads_every_parameter)
{
    cr_assert(search("service=a%20b+c&operation=GET+%2F&start=5&end=-1h&minDuration=1.5ms&maxDuration=2s&"
                     "status=error&kind=client&limit=1000&after=3-18446744073709551615&"
                     "cursor=00000000000000070102030405060708090a0b0c0d0e0f10&attr=span.a=1&attr=event.b=x"));
    cr_assert(slice_is(request.service, "a b c"));
    cr_assert(slice_is(request.operation, "GET /"));
    cr_assert_eq(request.first_ns, 5);
    cr_assert_eq(request.last_ns, now_ns - 3600000000000u - 1);
    cr_assert_eq(request.duration_min_ns, 1500000);
    cr_assert_eq(request.duration_max_ns, 2000000000);
    cr_assert_eq(request.status, STATUS_ERROR);
    cr_assert_eq(request.span_kind, KIND_CLIENT);
    cr_assert_eq(request.limit, 1000);
    cr_assert_eq(request.after_shard, 3);
    cr_assert_eq(request.after_lsn, UINT64_MAX);
    cr_assert_eq(request.cursor.key_ns, 7);
    cr_assert_eq(request.cursor.trace_id.bytes[15], 0x10);
    cr_assert_eq(request.conditions_count, 2);
}

Test(request, refuses_with_the_name_of_the_parameter)
{
    static const struct {
        const char *query, *words;
    } cases[] = {
        {"limit=0", "parameter limit: 0 is not between 1 and 1000"},
        {"limit=1001", "limit: 1001"},
        {"limit=-1", "limit: -1"},
        {"limit=1e9", "limit: 1e9"},
        {"limit=9223372036854775808", "limit"},
        {"limit=99999999999999999999999", "limit"},
        {"limit=", "limit"},
        {"limit=5&limit=5", "limit: given more than once"},
        {"service=a&service=b", "service: given more than once"},
        {"service=", "service: is empty"},
        {"colour=red", "parameter colour: not known"},
        {"Limit=5", "parameter Limit: not known"},
        {"=5", "not known"},
        {"start=10&end=10", "not before end"},
        {"start=now&end=-1m", "not before end"},
        {"start=tomorrow", "start: \"tomorrow\" is no time"},
        {"start=-5parsecs", "no time"},
        {"start=18446744073709551616", "no time"},
        {"start=-", "no time"},
        {"end=2026-02-30T00:00:00Z", "no time"},
        {"minDuration=-1ms", "minDuration"},
        {"minDuration=1.1234567891s", "minDuration"},
        {"minDuration=fast", "no duration"},
        {"minDuration=99999999999d", "no duration"},
        {"minDuration=2s&maxDuration=1s", "longer than maxDuration"},
        {"status=ERROR", "status: \"ERROR\" is none of"},
        {"status=2", "status"},
        {"kind=servers", "kind: \"servers\" is none of"},
        {"cursor=abc", "cursor"},
        {"cursor=0000000000000007010203040506070809ga0b0c0d0e0f10", "cursor"},
        {"after=7", "after: \"7\" is no position"},
        {"after=-1-5", "after"},
        {"after=70000-5", "after"},
        {"attr=", "attr"},
        {"attr=span.key", "is not <level>.<key>=<value>"},
        {"attr=key=1", "is not <level>.<key>=<value>"},
        {"attr=spans.key=1", "level resource, scope, span, event or link"},
        {"attr=span.=1", "is not <level>.<key>=<value>"},
        {"attr=span.k=%22open", "does not end"},
        {"attr=span.k=%22a%22b", "does not end"},
        {"attr=span.k=%22a\\n%22", "does not end"},
        {"attr=span.%22k=1", "is not <level>.<key>=<value>"},
        {"service=%00", "%00"},
        {"service=%zz", "escape"},
        {"service=%c0%af", "UTF-8"},
        {"service=%ed%a0%80", "UTF-8"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cr_refused(REQUEST_SEARCH, "", cases[i].query, cases[i].words);
}

Test(request, refuses_parameters_of_other_questions)
{
    cr_refused(REQUEST_TRACE, "00000000000000000000000000000001", "limit=5", "parameter limit: not known");
    cr_refused(REQUEST_SERVICES, "", "service=a", "parameter service: not known");
    cr_refused(REQUEST_OPERATIONS, "", "", "parameter service: is missing");
    cr_assert(parses(REQUEST_OPERATIONS, "", "service=a&start=-1h"));
    cr_assert(parses(REQUEST_SERVICES, "", "end=now&after=0-1"));
}

/* "limit=5" and a parameter some times over. */
static void repeated(char *query, size_t capacity, const char *parameter, unsigned times)
{
    size_t len = (size_t)snprintf(query, capacity, "limit=5");

    for (unsigned i = 0; i < times; i++)
        len += (size_t)snprintf(query + len, capacity - len, "%s", parameter);
}

Test(request, refuses_too_many_parameters)
{
    char query[4096];

    repeated(query, sizeof query, "&attr=span.k=1", REQUEST_CONDITIONS_MAX);
    cr_assert(search(query));
    cr_assert_eq(request.conditions_count, REQUEST_CONDITIONS_MAX);
    repeated(query, sizeof query, "&attr=span.k=1", REQUEST_CONDITIONS_MAX + 1);
    cr_refused(REQUEST_SEARCH, "", query, "attr: more than 32");

    repeated(query, sizeof query, "&a=1", HTTP1_QUERY_PARAMETERS_MAX);
    cr_refused(REQUEST_SEARCH, "", query, "not known");
}

Test(request, cuts_long_values_in_its_words)
{
    char query[4000] = "start=";

    memset(query + 6, 'x', 3900);
    query[3906] = '\0';
    cr_refused(REQUEST_SEARCH, "", query, "xxxx\" is no time");
    cr_assert_lt(strlen(request.message), 300);
}

Test(request, reads_trace_ids)
{
    cr_assert(parses(REQUEST_TRACE, "5B8efff798038103d269b633813fc60c", ""));
    cr_assert_eq(request.trace_id.bytes[0], 0x5b);
    cr_assert_eq(request.trace_id.bytes[15], 0x0c);
    memset(request.trace_id.bytes, 0xff, 16);
    cr_assert(parses(REQUEST_TRACE, "D269b633813fc60c", ""));
    cr_assert_arr_eq(request.trace_id.bytes, "\0\0\0\0\0\0\0\0\xd2\x69\xb6\x33\x81\x3f\xc6\x0c", 16);
    cr_refused(REQUEST_TRACE, "0000000000000000", "", "zeros");
    cr_refused(REQUEST_TRACE, "d269b633813fc60", "", "these are 15 characters");
    cr_refused(REQUEST_TRACE, "", "", "32 hexadecimal digits");
    cr_refused(REQUEST_TRACE, "5b8efff798038103d269b633813fc60", "", "these are 31 characters");
    cr_refused(REQUEST_TRACE, "5b8efff798038103d269b633813fc60c0", "", "these are 33");
    cr_refused(REQUEST_TRACE, "5b8efff798038103d269b633813fc60g", "", "32 hexadecimal digits");
    cr_refused(REQUEST_TRACE, "..%2f..%2fetc%2fpasswd%2f%2f%2f%2f%2f", "", "32 hexadecimal digits");
    cr_refused(REQUEST_TRACE, "00000000000000000000000000000000", "", "zeros");
}

/* ---- attribute values ----------------------------------------------------------------------------------- */

static const struct condition *condition(const char *query)
{
    cr_assert(search(query), "%s: %s", query, request.message);
    cr_assert_eq(request.conditions_count, 1);
    return &request.conditions[0];
}

static uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

Test(request, types_values_of_attributes)
{
    static const struct {
        const char *query;
        enum value_type type;
        uint64_t bits;
        const char *text;
    } cases[] = {
        {"attr=span.k=abc", VALUE_STRING, 0, "abc"},
        {"attr=span.k=", VALUE_STRING, 0, ""},
        {"attr=span.k=%22200%22", VALUE_STRING, 0, "200"},
        {"attr=span.k=%22a\\\"b\\\\%22", VALUE_STRING, 0, "a\"b\\"},
        {"attr=span.k=a=b", VALUE_STRING, 0, "a=b"},
        {"attr=span.k=200", VALUE_INT, 200, NULL},
        {"attr=span.k=-1", VALUE_INT, UINT64_MAX, NULL},
        {"attr=span.k=-9223372036854775808", VALUE_INT, 1ull << 63, NULL},
        {"attr=span.k=9223372036854775808", VALUE_STRING, 0, "9223372036854775808"},
        {"attr=span.k=true", VALUE_BOOL, 1, NULL},
        {"attr=span.k=false", VALUE_BOOL, 0, NULL},
        {"attr=span.k=True", VALUE_STRING, 0, "True"},
        {"attr=span.k=1.", VALUE_STRING, 0, "1."},
        {"attr=span.k=.5", VALUE_STRING, 0, ".5"},
        {"attr=span.k=1e", VALUE_STRING, 0, "1e"},
        {"attr=span.k=0x10", VALUE_STRING, 0, "0x10"},
        {"attr=span.k=nan", VALUE_STRING, 0, "nan"},
        {"attr=span.k=1.2.3", VALUE_STRING, 0, "1.2.3"},
        {"attr=span.k=--1", VALUE_STRING, 0, "--1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct condition *const found = condition(cases[i].query);
        cr_assert_eq(found->level, LEVEL_SPAN);
        cr_assert(slice_is(found->attribute.key, "k"));
        cr_assert_eq(found->attribute.type, cases[i].type, "%s: type %d", cases[i].query,
                     found->attribute.type);
        cr_assert_eq(found->attribute.bits, cases[i].bits, "%s", cases[i].query);
        if (cases[i].text != NULL)
            cr_assert(slice_is(found->attribute.bytes, cases[i].text), "%s", cases[i].query);
    }
    cr_assert_eq(condition("attr=span.k=0.5")->attribute.bits, double_bits(0.5));
    cr_assert_eq(condition("attr=span.k=-2e3")->attribute.bits, double_bits(-2000));
    cr_assert_eq(condition("attr=span.k=1.5e%2b2")->attribute.bits, double_bits(150));
    cr_assert_eq(condition("attr=span.k=1.0")->attribute.type, VALUE_DOUBLE);
}

Test(request, reads_keys_with_dots_and_quoted_keys)
{
    cr_assert(slice_is(condition("attr=resource.service.name=x")->attribute.key, "service.name"));
    cr_assert_eq(request.conditions[0].level, LEVEL_RESOURCE);
    cr_assert(slice_is(condition("attr=link.%22a=b%22=c")->attribute.key, "a=b"));
    cr_assert_eq(request.conditions[0].level, LEVEL_LINK);
    cr_assert(slice_is(request.conditions[0].attribute.bytes, "c"));
    cr_assert(search("attr=span.%22x%22=%22one%22&attr=span.%22y%22=%22two%22"));
    cr_assert(slice_is(request.conditions[0].attribute.key, "x") &&
              slice_is(request.conditions[0].attribute.bytes, "one") &&
              slice_is(request.conditions[1].attribute.key, "y") &&
              slice_is(request.conditions[1].attribute.bytes, "two"));
}

/* ---- durations and times -------------------------------------------------------------------------------- */

static uint64_t duration(const char *text)
{
    uint64_t ns = UINT64_MAX;

    return literal_duration(slice_text(text), &ns) ? ns : UINT64_MAX;
}

Test(literal, reads_durations)
{
    cr_assert_eq(duration("0"), 0);
    cr_assert_eq(duration("17"), 17);
    cr_assert_eq(duration("17ns"), 17);
    cr_assert_eq(duration("3us"), 3000);
    cr_assert_eq(duration("3\xc2\xb5s"), 3000);
    cr_assert_eq(duration("3\xce\xbcs"), 3000);
    cr_assert_eq(duration("10ms"), 10000000);
    cr_assert_eq(duration("1.5s"), 1500000000);
    cr_assert_eq(duration("0.000000001s"), 1);
    cr_assert_eq(duration("2m"), 120000000000);
    cr_assert_eq(duration("1.5h"), 5400000000000);
    cr_assert_eq(duration("1d"), 86400000000000);
    cr_assert_eq(duration("18446744073709551614ns"), UINT64_MAX - 1);
    cr_assert_eq(duration("18446744073709551616"), UINT64_MAX);
    cr_assert_eq(duration("18446744074s"), UINT64_MAX);
    cr_assert_eq(duration(""), UINT64_MAX);
    cr_assert_eq(duration("s"), UINT64_MAX);
    cr_assert_eq(duration("1.s"), UINT64_MAX);
    cr_assert_eq(duration("1 s"), UINT64_MAX);
    cr_assert_eq(duration("+1s"), UINT64_MAX);
    cr_assert_eq(duration("1S"), UINT64_MAX);
}

static uint64_t instant(const char *text)
{
    uint64_t ns = 1;

    return literal_rfc3339(slice_text(text), &ns) ? ns : 1;
}

Test(literal, reads_points_in_time)
{
    cr_assert_eq(instant("1970-01-01T00:00:00Z"), 0);
    cr_assert_eq(instant("2023-11-14T22:13:20Z"), now_ns);
    cr_assert_eq(instant("2023-11-14t22:13:20z"), now_ns);
    cr_assert_eq(instant("2023-11-15T00:13:20+02:00"), now_ns);
    cr_assert_eq(instant("2023-11-14T16:43:20-05:30"), now_ns);
    cr_assert_eq(instant("2023-11-14T22:13:20.5Z"), now_ns + 500000000);
    cr_assert_eq(instant("2023-11-14T22:13:20.123456789Z"), now_ns + 123456789);
    cr_assert_eq(instant("2024-02-29T00:00:00Z"), 1709164800000000000);
    cr_assert_eq(instant("2000-02-29T00:00:00Z"), 951782400000000000);
    cr_assert_eq(instant("2553-12-31T23:59:59Z"), 18429292799000000000u);
    cr_assert_eq(instant("2023-02-29T00:00:00Z"), 1, "no leap year");
    cr_assert_eq(instant("2100-02-29T00:00:00Z"), 1, "no leap year");
    cr_assert_eq(instant("2023-13-01T00:00:00Z"), 1);
    cr_assert_eq(instant("2023-00-01T00:00:00Z"), 1);
    cr_assert_eq(instant("2023-01-00T00:00:00Z"), 1);
    cr_assert_eq(instant("2023-01-01T24:00:00Z"), 1);
    cr_assert_eq(instant("2023-01-01T00:00:00"), 1);
    cr_assert_eq(instant("2023-01-01"), 1);
    cr_assert_eq(instant("2023-01-01T00:00:00.Z"), 1);
    cr_assert_eq(instant("2023-01-01T00:00:00Zx"), 1);
    cr_assert_eq(instant("1969-12-31T23:59:59Z"), 1);
    cr_assert_eq(instant("1970-01-01T00:00:00+01:00"), 1);
    cr_assert_eq(instant("2554-01-01T00:00:00Z"), 1);
}
