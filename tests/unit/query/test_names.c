/*
 * Lists of services and operations, from live blocks and from segments.
 */
#include "query_store.h"
#include "stories.h"

#include "codec/json.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct store store;

struct name {
    const char *text;
    int kind;
};

static int by_name(const void *left, const void *right)
{
    const struct name *const a = left, *const b = right;
    const int order = strcmp(a->text, b->text);

    return order != 0 ? order : a->kind - b->kind;
}

static unsigned unique(struct name *names, unsigned count)
{
    unsigned kept = 0;

    qsort(names, count, sizeof *names, by_name);
    for (unsigned i = 0; i < count; i++)
        if (kept == 0 || by_name(&names[kept - 1], &names[i]) != 0) names[kept++] = names[i];
    return kept;
}

static void check(const struct name *names, unsigned count, bool services, const char *query)
{
    static char text[65536];
    struct json json;

    json_init(&json, (uint8_t *)text, sizeof text - 1, NULL, NULL);
    json_object_begin(&json);
    json_key(&json, services ? "services" : "operations");
    json_array_begin(&json);
    for (unsigned i = 0; i < count; i++) {
        json_object_begin(&json);
        json_key(&json, "name");
        json_text(&json, names[i].text);
        if (!services) {
            json_key(&json, "kind");
            json_int(&json, names[i].kind);
        }
        json_object_end(&json);
    }
    json_array_end(&json);
    json_object_end(&json);
    cr_assert_eq(json_finish(&json), OK);
    text[json.len - 1] = '\0';
    struct asked asked = store_ask(&store, services ? REQUEST_SERVICES : REQUEST_OPERATIONS, NULL, query);
    cr_assert_eq(asked.err, OK, "%s", asked.message);
    cr_assert_eq(strncmp(asked.text, text, strlen(text)), 0, "%s: expected %s got %s", query, text,
                 asked.text);
    asked_free(&asked);
}

static void check_services(const struct stories *stories)
{
    struct name names[64];
    unsigned count = 0;

    for (unsigned i = 0; i < stories->count; i++)
        if (stories->spans[i].service != NULL) names[count++] = (struct name){stories->spans[i].service, 0};
    check(names, unique(names, count), true, "");
}

static void check_operations(const struct stories *stories, const char *service, const char *query)
{
    struct name names[64];
    unsigned count = 0;

    for (unsigned i = 0; i < stories->count; i++) {
        const struct story_span *const span = &stories->spans[i];
        if (span->service != NULL && strcmp(span->service, service) == 0)
            names[count++] = (struct name){span->name, span->kind};
    }
    check(names, unique(names, count), false, query);
}

Test(names, are_those_of_all_spans)
{
    store_open(&store);
    for (unsigned seed = 0; seed < 8; seed++) {
        struct stories stories;
        stories_make(&stories, seed, 60, 5);
        store_place(&store, &stories, seed);
        check_services(&stories);
        check_operations(&stories, "cart", "service=cart");
        check_operations(&stories, "front end", "service=front+end");
        check_operations(&stories, "nobody", "service=nobody");
        stories_free(&stories);
    }
    store_close(&store);
}

Test(names, follow_bounds_of_time)
{
    struct stories stories;
    char query[64];

    store_open(&store);
    stories_make(&stories, 3, 60, 5);
    store_place(&store, &stories, 5);
    check(NULL, 0, true, "end=2023-01-01T00:00:00Z");
    check(NULL, 0, true, "start=now");
    stories.count = 60;
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < 60; i++)
        if (stories.spans[i].start_ns < first) first = stories.spans[i].start_ns;
    snprintf(query, sizeof query, "end=%" PRIu64, first);
    check(NULL, 0, true, query);
    snprintf(query, sizeof query, "start=%" PRIu64, first);
    struct asked asked = store_ask(&store, REQUEST_SERVICES, NULL, query);
    cr_assert_eq(asked.err, OK);
    cr_assert_not_null(strstr(asked.text, "\"cart\""));
    asked_free(&asked);
    stories_free(&stories);
    store_close(&store);
}

/* ---- remembered ----------------------------------------------------------------------------------------- */

/* Lists of services, and operations of some, one behind the other; the coverage is that of the first. */
static void ask_all(char *text, size_t capacity, struct coverage *coverage)
{
    static const char *const questions[] = {"",
                                            "start=2023-01-01T00:00:00Z",
                                            "end=2023-01-01T00:00:00Z",
                                            "service=cart",
                                            "service=front+end",
                                            "service=nobody",
                                            "service=cart&start=2023-01-01T00:00:00Z",
                                            "service=cart&end=2023-01-01T00:00:00Z"};
    size_t len = 0;

    for (unsigned i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        const bool services = strncmp(questions[i], "service", 7) != 0;
        struct asked asked = store_ask(&store, services ? REQUEST_SERVICES : REQUEST_OPERATIONS, NULL,
                                       questions[i]);
        cr_assert_eq(asked.err, OK, "%s: %s", questions[i], asked.message);
        const char *const end = strstr(asked.text, ",\"coverage\"");
        cr_assert_not_null(end);
        len += (size_t)snprintf(text + len, capacity - len, "%.*s\n", (int)(end - asked.text), asked.text);
        if (i == 0) *coverage = asked.coverage;
        asked_free(&asked);
    }
}

Test(names, are_the_same_when_they_are_remembered)
{
    static char first[65536], again[65536];
    struct coverage coverage;

    store_open(&store);
    for (unsigned seed = 0; seed < 8; seed++) {
        struct stories stories;
        stories_make(&stories, seed, 60, 5);
        store_place(&store, &stories, 7);
        ask_all(first, sizeof first, &coverage);
        cr_assert_eq(coverage.blocks, 3);
        const uint64_t events = sim_events(store.sim);
        block_cache_deinit(&store.cache); /* blocks would have to be read */
        block_cache_init(&store.cache, store.catalog, 4 << 20);
        ask_all(again, sizeof again, &coverage);
        cr_assert_str_eq(again, first);
        cr_assert_eq(coverage.blocks, 3);
        cr_assert_eq(sim_events(store.sim), events, "nothing was read");
        stories_free(&stories);
    }
    store_close(&store);
}

Test(names, of_a_damaged_block_are_not_listed_though_remembered)
{
    static char text[65536];
    struct coverage coverage;
    struct stories stories;

    store_open(&store);
    stories_make(&stories, 1, 60, 5);
    store_place(&store, &stories, 7);
    ask_all(text, sizeof text, &coverage);
    for (uint64_t seq = 1; seq <= 3; seq++)
        catalog_fence(store.catalog, 0, seq);
    ask_all(text, sizeof text, &coverage);
    cr_assert_eq(coverage.blocks, 0);
    cr_assert_eq(coverage.fenced_blocks, 3);
    cr_assert_eq(strncmp(text, "{\"services\":[]", 14), 0, "%s", text);
    stories_free(&stories);
    store_close(&store);
}

/* Reading fails in each place: what was read until then is not taken for the whole. */
Test(names, are_not_remembered_of_a_block_that_could_not_be_read)
{
    static char sound[65536], text[65536];
    struct coverage coverage;
    struct stories stories;
    unsigned failures = 0;

    store_open(&store);
    stories_make(&stories, 2, 60, 5);
    store_place(&store, &stories, 7);
    ask_all(sound, sizeof sound, &coverage);
    for (uint64_t nth = 1;; nth++) {
        store_forget_blocks(&store);
        sim_fail(store.sim, SIM_FAULT_READ, nth, ERR_IO, false);
        struct asked asked = store_ask(&store, REQUEST_SERVICES, NULL, "");
        cr_assert_eq(asked.err, OK);
        const bool failed = asked.coverage.fenced_blocks > 0;
        sim_forgive(store.sim);
        asked_free(&asked);
        if (!failed) break;
        failures++;
        ask_all(text, sizeof text, &coverage);
        cr_assert_str_eq(text, sound);
    }
    cr_assert_geq(failures, 3, "a read for each block");
    stories_free(&stories);
    store_close(&store);
}
