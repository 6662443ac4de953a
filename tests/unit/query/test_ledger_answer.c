/*
 * What has become of spans, from live blocks and from segments: the same answer wherever they lie.
 */
#include "query_store.h"
#include "stories.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct store store;
static const uint64_t MINUTE_NS = UINT64_C(60) * 1000000000;

/* The answer without what it says of blocks; the caller's to free. */
static char *answer_to(const char *query)
{
    struct asked asked = store_ask(&store, REQUEST_LEDGER, NULL, query);

    cr_assert_eq(asked.err, OK, "%s: %s", query, asked.message);
    char *const coverage = strstr(asked.text, ",\"coverage\"");
    cr_assert_not_null(coverage);
    *coverage = '\0';
    return asked.text;
}

static uint64_t number_in(const char *text, const char *after, const char *name)
{
    char wanted[64];
    uint64_t value = 0;

    snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    const char *const from = strstr(text, after);
    cr_assert_not_null(from, "%s in %s", after, text);
    const char *const at = strstr(from, wanted);
    cr_assert_not_null(at);
    cr_assert_eq(sscanf(at + strlen(wanted), "%" SCNu64, &value), 1);
    return value;
}

Test(ledger_answer, is_the_same_wherever_spans_lie)
{
    static const char *const queries[] = {"", "step=minute", "step=hour&limit=3", "step=day", "service=cart"};
    struct stories stories;

    store_open(&store);
    for (uint64_t seed = 1; seed < 6; seed++) {
        stories_make(&stories, seed, 60, 20);
        for (unsigned i = 0; i < sizeof queries / sizeof queries[0]; i++) {
            store_place(&store, &stories, 0);
            char *const live = answer_to(queries[i]);
            for (unsigned fates = 1; fates < 8; fates++) {
                store_place(&store, &stories, fates);
                if (fates % 2 == 0) store_close_segment(&store);
                char *const now = answer_to(queries[i]);
                cr_assert_str_eq(now, live);
                free(now);
            }
            free(live);
        }
        stories_free(&stories);
    }
    store_close(&store);
}

Test(ledger_answer, has_every_span_under_its_service_and_minute)
{
    struct stories stories;
    char row[128];

    store_open(&store);
    stories_make(&stories, 3, 60, 20);
    store_place(&store, &stories, 2);
    char *const text = answer_to("step=minute");
    cr_assert_eq(number_in(text, "\"total\"", "received"), 60);
    cr_assert_eq(number_in(text, "\"total\"", "stored"), 60);
    cr_assert_not_null(strstr(text, "\"balances\":true"));
    for (unsigned i = 0; i < stories.count; i++) {
        const struct story_span *const span = &stories.spans[i];
        const char *const service = span->service == NULL ? "" : span->service;
        uint64_t same = 0;
        for (unsigned j = 0; j < stories.count; j++) {
            const char *const other = stories.spans[j].service == NULL ? "" : stories.spans[j].service;
            same += strcmp(other, service) == 0 &&
                    stories.spans[j].start_ns / MINUTE_NS == span->start_ns / MINUTE_NS;
        }
        snprintf(row, sizeof row, "{\"service\":\"%s\",\"startUnixNano\":\"%" PRIu64 "\"", service,
                 span->start_ns / MINUTE_NS * MINUTE_NS);
        cr_assert_eq(number_in(text, row, "stored"), same);
    }
    free(text);
    stories_free(&stories);
    store_close(&store);
}

Test(ledger_answer, bounds_are_those_of_minutes_and_rows)
{
    struct stories stories;
    char query[128];

    store_open(&store);
    stories_make(&stories, 4, 60, 20);
    store_place(&store, &stories, 1);
    const uint64_t minute = stories.spans[7].start_ns / MINUTE_NS;
    uint64_t within = 0;
    for (unsigned i = 0; i < stories.count; i++)
        within += stories.spans[i].start_ns / MINUTE_NS == minute;
    snprintf(query, sizeof query, "step=minute&start=%" PRIu64 "&end=%" PRIu64, minute * MINUTE_NS,
             (minute + 1) * MINUTE_NS);
    char *const text = answer_to(query);
    cr_assert_eq(number_in(text, "\"total\"", "received"), within);
    free(text);
    char *const one = answer_to("limit=1");
    cr_assert_null(strstr(one, "\"rowsLeftOut\":0,"));
    cr_assert_eq(number_in(one, "\"total\"", "received"), 60, "totals are of all rows");
    free(one);
    struct asked asked = store_ask(&store, REQUEST_LEDGER, NULL, "step=week");
    cr_assert_neq(asked.err, OK);
    cr_assert_not_null(strstr(asked.message, "none of minute, hour, day, ever"));
    asked_free(&asked);
    stories_free(&stories);
    store_close(&store);
}
