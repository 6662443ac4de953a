/*
 * Search against a judge that reads the list of spans: for random spans, random questions and any placement
 * (live, sealed, both), the text of the answer is what the judge writes, and pages are pieces of the whole.
 */
#include "otlp_text.h"
#include "query_store.h"
#include "stories.h"

#include "codec/json.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- questions ------------------------------------------------------------------------------------------ */

struct wish {
    enum attribute_level level;
    struct story_attribute attribute;
};

struct question {
    const char *service, *name;
    uint64_t start_ns, end_ns; /* 0: none */
    uint64_t duration_min_ns, duration_max_ns;
    int status, kind; /* -1: any */
    struct wish wishes[2];
    unsigned wishes_count;
    char text[2048];
};

__attribute__((format(printf, 2, 3))) static void append(struct question *question, const char *format, ...)
{
    const size_t len = strlen(question->text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(question->text + len, sizeof question->text - len, format, arguments);
    va_end(arguments);
}

static void append_escaped(struct question *question, const char *text)
{
    for (; *text != '\0'; text++)
        append(question, "%%%02x", (unsigned)(uint8_t)*text);
}

static void append_value(struct question *question, const struct story_attribute *attribute)
{
    char number[32];

    switch (attribute->type) {
    case VALUE_BOOL: append(question, "%s", attribute->number != 0 ? "true" : "false"); break;
    case VALUE_INT: append(question, "%" PRId64, attribute->number); break;
    case VALUE_DOUBLE:
        snprintf(number, sizeof number, attribute->real == 200.0 ? "200.0" : "%.17g", attribute->real);
        append_escaped(question, number);
        break;
    default:
        append(question, "%%22");
        for (const char *at = attribute->text; *at != '\0'; at++)
            append(question, *at == '"' || *at == '\\' ? "%%5c%%%02x" : "%%%02x", (unsigned)(uint8_t)*at);
        append(question, "%%22");
    }
}

static void wish_for(struct stories *stories, struct question *question)
{
    static const char *const levels[] = {"resource", "scope", "span", "event", "link"};
    struct wish *const wish = &question->wishes[question->wishes_count++];

    wish->level = (enum attribute_level)stories_roll(stories, LEVEL_COUNT);
    wish->attribute = stories_attribute(stories, wish->level);
    append(question, "&attr=%s.%s%%3d", levels[wish->level], wish->attribute.key);
    append_value(question, &wish->attribute);
}

static void make_question(struct stories *stories, struct question *question)
{
    static const char *const statuses[] = {"unset", "ok", "error"};
    static const char *const kinds[] = {"unspecified", "internal", "server",
                                        "client",      "producer", "consumer"};
    const struct story_span *const model = &stories->spans[stories_roll(stories, stories->count)];

    *question = (struct question){.status = -1, .kind = -1, .duration_max_ns = UINT64_MAX};
    if (stories_roll(stories, 8) == 0) return; /* every span */
    if (stories_roll(stories, 4) == 0 && model->service != NULL) {
        question->service = model->service;
        append(question, "&service=");
        append_escaped(question, model->service);
    }
    if (stories_roll(stories, 4) == 0) {
        question->name = model->name;
        append(question, "&operation=");
        append_escaped(question, model->name);
    }
    if (stories_roll(stories, 4) == 0) {
        question->start_ns = model->start_ns;
        append(question, "&start=%" PRIu64, question->start_ns);
    }
    if (stories_roll(stories, 4) == 0) {
        question->end_ns = model->start_ns + 1 + stories_roll(stories, 100) * 1000000;
        append(question, "&end=%" PRIu64, question->end_ns);
    }
    if (stories_roll(stories, 5) == 0) {
        question->duration_min_ns = stories_roll(stories, 2) ? 1 : 1000000;
        append(question, "&minDuration=%s", question->duration_min_ns == 1 ? "1" : "1ms");
    }
    if (stories_roll(stories, 5) == 0) {
        question->duration_max_ns = stories_roll(stories, 2) ? 1000000 : 1500000000;
        append(question, "&maxDuration=%s", question->duration_max_ns == 1000000 ? "1ms" : "1.5s");
    }
    if (stories_roll(stories, 5) == 0) {
        question->status = model->status;
        append(question, "&status=%s", statuses[model->status]);
    }
    if (stories_roll(stories, 6) == 0) {
        question->kind = model->kind;
        append(question, "&kind=%s", kinds[model->kind]);
    }
    if (stories_roll(stories, 3) == 0) return; /* then many spans match */
    for (unsigned wishes = (unsigned)stories_roll(stories, 3); wishes > 0; wishes--)
        wish_for(stories, question);
}

/* ---- the judge ------------------------------------------------------------------------------------------ */

static bool list_grants(const struct story_list *list, const struct story_attribute *wanted)
{
    for (unsigned i = 0; i < list->count; i++) {
        const struct story_attribute *const at = &list->items[i];
        if (at->type != wanted->type || strcmp(at->key, wanted->key) != 0) continue;
        if (wanted->type == VALUE_STRING   ? strcmp(at->text, wanted->text) == 0
            : wanted->type == VALUE_DOUBLE ? at->real == wanted->real
                                           : at->number == wanted->number)
            return true;
    }
    return false;
}

static bool span_grants(const struct story_span *span, const struct wish *wish)
{
    switch (wish->level) {
    case LEVEL_RESOURCE: return list_grants(&span->resource, &wish->attribute);
    case LEVEL_SCOPE: return list_grants(&span->scope, &wish->attribute);
    case LEVEL_SPAN: return list_grants(&span->span, &wish->attribute);
    case LEVEL_EVENT:
        for (unsigned i = 0; i < span->events_count; i++)
            if (list_grants(&span->events[i], &wish->attribute)) return true;
        return false;
    default:
        for (unsigned i = 0; i < span->links_count; i++)
            if (list_grants(&span->links[i], &wish->attribute)) return true;
        return false;
    }
}

static uint64_t true_duration(const struct story_span *span)
{
    return span->end_ns > span->start_ns ? span->end_ns - span->start_ns : 0;
}

static bool span_matches(const struct story_span *span, const struct question *question)
{
    if (question->service != NULL && (span->service == NULL || strcmp(span->service, question->service) != 0))
        return false;
    if (question->name != NULL && strcmp(span->name, question->name) != 0) return false;
    if (question->start_ns != 0 && span->start_ns < question->start_ns) return false;
    if (question->end_ns != 0 && span->start_ns >= question->end_ns) return false;
    if (true_duration(span) < question->duration_min_ns || true_duration(span) > question->duration_max_ns)
        return false;
    if (question->status >= 0 && span->status != question->status) return false;
    if (question->kind >= 0 && span->kind != question->kind) return false;
    for (unsigned i = 0; i < question->wishes_count; i++)
        if (!span_grants(span, &question->wishes[i])) return false;
    return true;
}

/* The spans of a story without its repeats, those of a trace together, in the order in which they came. */
struct sorted {
    const struct story_span **spans;
    unsigned count;
};

struct verdict {
    const struct story_span *const *spans; /* borrowed from the sorted ones: those of the trace */
    unsigned spans_count;
    struct trace_id trace_id;
    uint64_t key_ns;
    unsigned matched;
};

static int by_trace(const void *left, const void *right)
{
    const struct story_span *const a = *(const struct story_span *const *)left;
    const struct story_span *const b = *(const struct story_span *const *)right;
    const int order = memcmp(a->trace_id.bytes, b->trace_id.bytes, sizeof a->trace_id.bytes);

    return order != 0 ? order : a < b ? -1 : 1;
}

static int by_order(const void *left, const void *right)
{
    const struct verdict *const a = left, *const b = right;

    if (a->key_ns != b->key_ns) return a->key_ns > b->key_ns ? -1 : 1;
    return memcmp(a->trace_id.bytes, b->trace_id.bytes, 16);
}

/* Is there an equal span before this one in the list? */
static bool is_repeat(const struct stories *stories, unsigned index)
{
    return stories->spans[index].content != index;
}

static bool same_trace(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static struct sorted sort(const struct stories *stories)
{
    struct sorted sorted = {.spans = calloc(stories->count + 1, sizeof *sorted.spans)};

    cr_assert_not_null(sorted.spans);
    for (unsigned i = 0; i < stories->count; i++)
        if (!is_repeat(stories, i)) sorted.spans[sorted.count++] = &stories->spans[i];
    qsort(sorted.spans, sorted.count, sizeof *sorted.spans, by_trace);
    return sorted;
}

/* On the trace whose spans begin there. */
static struct verdict judge_trace(const struct sorted *sorted, unsigned first,
                                  const struct question *question)
{
    struct verdict verdict = {.spans = sorted->spans + first, .trace_id = sorted->spans[first]->trace_id};

    for (unsigned i = first; i < sorted->count; i++) {
        const struct story_span *const span = sorted->spans[i];
        if (!same_trace(&span->trace_id, &verdict.trace_id)) break;
        verdict.spans_count++;
        if (!span_matches(span, question)) continue;
        verdict.matched++;
        if (span->start_ns > verdict.key_ns) verdict.key_ns = span->start_ns;
    }
    return verdict;
}

static unsigned judge(const struct sorted *sorted, const struct question *question, struct verdict *out)
{
    unsigned count = 0;

    for (unsigned i = 0; i < sorted->count;) {
        const struct verdict verdict = judge_trace(sorted, i, question);
        if (verdict.matched > 0) out[count++] = verdict;
        i += verdict.spans_count;
    }
    qsort(out, count, sizeof *out, by_order);
    return count;
}

/* ---- what the judge would write ------------------------------------------------------------------------- */

static bool is_root(const struct story_span *span)
{
    return !span->has_parent || span_id_is_zero(&span->parent);
}

static bool comes_first(const struct story_span *a, const struct story_span *b)
{
    if (b == NULL) return true;
    if (a->start_ns != b->start_ns) return a->start_ns < b->start_ns;
    return memcmp(a->span_id.bytes, b->span_id.bytes, 8) < 0;
}

struct tally {
    const struct story_span *root, *first;
    uint64_t start_ns, end_ns;
    unsigned spans, errors;
    struct {
        const char *name;
        unsigned spans, errors;
    } services[8];
    unsigned services_count;
};

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right); /* the name is the first member */
}

static void tally_service(struct tally *tally, const struct story_span *span)
{
    const char *const name = span->service != NULL ? span->service : "";
    unsigned at = 0;

    while (at < tally->services_count && strcmp(tally->services[at].name, name) != 0)
        at++;
    if (at == tally->services_count) {
        tally->services[tally->services_count].name = name;
        tally->services[tally->services_count].spans = tally->services[tally->services_count].errors = 0;
        tally->services_count++;
    }
    tally->services[at].spans++;
    tally->services[at].errors += span->status == 2;
}

static void tally_up(const struct verdict *verdict, struct tally *tally)
{
    *tally = (struct tally){.start_ns = UINT64_MAX};
    for (unsigned i = 0; i < verdict->spans_count; i++) {
        const struct story_span *const span = verdict->spans[i];
        const uint64_t end_ns = span->start_ns + true_duration(span);
        tally->spans++;
        tally->errors += span->status == 2;
        if (span->start_ns < tally->start_ns) tally->start_ns = span->start_ns;
        if (end_ns > tally->end_ns) tally->end_ns = end_ns;
        if (is_root(span) && comes_first(span, tally->root)) tally->root = span;
        if (comes_first(span, tally->first)) tally->first = span;
        tally_service(tally, span);
    }
    qsort(tally->services, tally->services_count, sizeof tally->services[0], compare_names);
}

static void put(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_text(json, text);
}

static void put_number(struct json *json, const char *key, uint64_t number, bool quoted)
{
    json_key(json, key);
    if (quoted)
        json_uint_quoted(json, number);
    else
        json_uint(json, number);
}

static void write_expected(const struct verdict *verdict, struct json *json)
{
    struct tally tally;

    tally_up(verdict, &tally);
    const struct story_span *const root = tally.root != NULL ? tally.root : tally.first;
    json_object_begin(json);
    json_key(json, "traceId");
    json_hex(json, slice_of(verdict->trace_id.bytes, 16));
    put(json, "rootService", root->service != NULL ? root->service : "");
    put(json, "rootOperation", root->name);
    if (tally.root == NULL) {
        json_key(json, "rootMissing");
        json_bool(json, true);
    }
    put_number(json, "startTimeUnixNano", tally.start_ns, true);
    put_number(json, "durationNano", tally.end_ns - tally.start_ns, true);
    put_number(json, "spanCount", tally.spans, false);
    put_number(json, "errorCount", tally.errors, false);
    put_number(json, "matched", verdict->matched, false);
    json_key(json, "services");
    json_array_begin(json);
    for (unsigned i = 0; i < tally.services_count; i++) {
        json_object_begin(json);
        put(json, "name", tally.services[i].name);
        put_number(json, "spanCount", tally.services[i].spans, false);
        put_number(json, "errorCount", tally.services[i].errors, false);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void expected_text(const struct verdict *verdicts, unsigned count, char *text, size_t capacity)
{
    struct json json;

    json_init(&json, (uint8_t *)text, capacity - 1, NULL, NULL);
    json_object_begin(&json);
    json_key(&json, "traces");
    json_array_begin(&json);
    for (unsigned i = 0; i < count; i++)
        write_expected(&verdicts[i], &json);
    json_array_end(&json);
    json_object_end(&json);
    cr_assert_eq(json_finish(&json), OK);
    text[json.len - 1] = '\0'; /* without the last brace: coverage follows there */
}

/* ---- comparing ------------------------------------------------------------------------------------------ */

static struct store store;
static char expected[1 << 20];

static void compare(const struct question *question, const char *text, const struct verdict *verdicts,
                    unsigned count)
{
    expected_text(verdicts, count, expected, sizeof expected);
    const size_t len = strlen(expected);
    cr_assert(strncmp(text, expected, len) == 0, "question %s\nexpected %s\ngot      %s", question->text,
              expected, text);
    cr_assert_eq(text[len], ',', "question %s: more traces than expected\n%s", question->text, text);
}

static void check_whole(const struct question *question, const struct verdict *verdicts, unsigned count)
{
    char query[4096];

    snprintf(query, sizeof query, "limit=1000%s", question->text);
    struct asked asked = store_ask(&store, REQUEST_SEARCH, NULL, query);
    cr_assert_eq(asked.err, OK, "%s: %s %s", query, err_text(asked.err), asked.message);
    compare(question, asked.text, verdicts, count < REQUEST_LIMIT_MAX ? count : REQUEST_LIMIT_MAX);
    cr_assert_eq(strstr(asked.text, "\"cursor\"") != NULL, count > REQUEST_LIMIT_MAX);
    cr_assert_not_null(strstr(asked.text, "\"partial\":false"));
    asked_free(&asked);
}

enum { PAGED_MAX = 60 }; /* traces looked at page by page */

static void check_pages(const struct question *question, const struct verdict *verdicts, unsigned count,
                        unsigned limit)
{
    char query[4096], cursor[64] = "";
    unsigned seen = 0;

    for (unsigned page = 0; page <= count && seen < PAGED_MAX; page++) {
        const unsigned due = count - seen < limit ? count - seen : limit;
        snprintf(query, sizeof query, "limit=%u%s%s", limit, question->text, cursor);
        struct asked asked = store_ask(&store, REQUEST_SEARCH, NULL, query);
        cr_assert_eq(asked.err, OK, "%s", query);
        compare(question, asked.text, verdicts + seen, due);
        seen += due;
        const char *const at = strstr(asked.text, "\"cursor\":\"");
        if (at != NULL) snprintf(cursor, sizeof cursor, "&cursor=%.48s", at + 10);
        asked_free(&asked);
        if (at == NULL) break;
    }
    cr_assert(seen == count || seen >= PAGED_MAX, "question %s: %u of %u traces on pages of %u",
              question->text, seen, count, limit);
}

enum placement { ALL_LIVE, ALL_SEALED, MIXED, PLACEMENTS };

/* Spans go to blocks in bodies of random size. */
static void place(struct stories *stories, enum placement placement)
{
    unsigned at = 0;

    store_reset(&store);
    while (at < stories->count) {
        const bool last_live = store.live_count + 1 == STORE_LIVE_MAX;
        const bool one_block = stories_roll(stories, 3) == 0;
        const unsigned room = one_block ? stories->count
                                        : 1 + (unsigned)stories_roll(stories, stories->count / 3);
        unsigned end = at + room < stories->count ? at + room : stories->count;
        bool sealed = placement == ALL_SEALED || (placement == MIXED && stories_roll(stories, 2) == 0);
        if (placement == ALL_LIVE && last_live) end = stories->count;
        if (placement == MIXED && last_live) sealed = true;
        store_begin(&store);
        while (at < end) {
            const unsigned count = 1 + (unsigned)stories_roll(stories, end - at);
            size_t len;
            uint8_t *const body = stories_body(stories, at, count, &len);
            store_add(&store, slice_of(body, len));
            free(body);
            at += count;
        }
        store_end(&store, sealed ? STORE_SEALED : STORE_LIVE);
    }
    if (stories_roll(stories, 2) == 0) store_close_segment(&store);
}

static void check_placement(struct stories *stories, enum placement placement, unsigned questions)
{
    struct verdict *const verdicts = calloc(STORY_SPANS_MAX, sizeof *verdicts);
    const struct sorted sorted = sort(stories);

    cr_assert_not_null(verdicts);
    place(stories, placement);
    for (unsigned i = 0; i < questions; i++) {
        struct question question;
        make_question(stories, &question);
        const unsigned count = judge(&sorted, &question, verdicts);
        check_whole(&question, verdicts, count);
        if (i % 4 == 0) check_pages(&question, verdicts, count, 1 + (unsigned)stories_roll(stories, 7));
    }
    free(sorted.spans);
    free(verdicts);
}

struct trial {
    uint64_t first_seed, seeds;
    unsigned spans, traces, questions;
};

/* Everything here runs on one thread: the thread sanitizer has little to see, and takes long over it. */
#ifdef __SANITIZE_THREAD__
enum { SEEDS_MAX = 1, QUESTIONS_MAX = 2 };
#else
enum { SEEDS_MAX = 1000, QUESTIONS_MAX = 1000 };
#endif

static uint64_t at_most(uint64_t count, uint64_t max)
{
    return count < max ? count : max;
}

static void check(const struct trial *trial)
{
    const uint64_t seeds = at_most(trial->seeds, SEEDS_MAX);
    const unsigned questions = (unsigned)at_most(trial->questions, QUESTIONS_MAX);

    store_open(&store);
    for (uint64_t seed = trial->first_seed; seed < trial->first_seed + seeds; seed++)
        for (unsigned placement = 0; placement < PLACEMENTS; placement++) {
            struct stories stories;
            stories_make(&stories, seed, trial->spans, trial->traces);
            check_placement(&stories, (enum placement)placement, questions);
            stories_free(&stories);
        }
    store_close(&store);
}

Test(search, answers_as_the_judge_does_for_few_spans)
{
    check(&(struct trial){100, 12, 25, 5, 12});
}

Test(search, answers_as_the_judge_does_for_many_spans)
{
    check(&(struct trial){1, 3, 600, 100, 25});
}

/* More matches than candidates are kept: the worst are forgotten, and come back on later pages. */
Test(search, answers_as_the_judge_does_for_many_traces)
{
    check(&(struct trial){50, 2, 2500, 2000, 8});
}

/* Several pages in a block. */
Test(search, answers_as_the_judge_does_for_large_blocks)
{
    check(&(struct trial){60, 2, 12000, 2000, 6});
}

/* ---- more keys than columns ----------------------------------------------------------------------------- */

enum { MANY_KEYS = LIVE_COLUMNS_MAX + 200 };

static void add_keyed(struct otlp_text *text, uint32_t field, const char *prefix, unsigned number_of_key)
{
    char key[32];

    snprintf(key, sizeof key, "%s%u", prefix, number_of_key);
    begin(text, field);
    string(text, 1, key);
    begin(text, 2);
    number(text, 3, number_of_key);
    end(text);
    end(text);
}

/* Span i has a key of its own at each level, and a trace of its own. */
static void send_keyed(unsigned i)
{
    static struct otlp_text text;
    uint8_t id[16] = {1};

    memcpy(id + 8, &i, sizeof i);
    text.len = 0;
    begin(&text, 1);
    begin(&text, 2);
    begin(&text, 2);
    bytes(&text, 1, id, 16);
    bytes(&text, 2, id, 8);
    fixed64(&text, 7, 1000 + i);
    add_keyed(&text, 9, "s", i);
    begin(&text, 11);
    add_keyed(&text, 3, "e", i);
    end(&text);
    begin(&text, 13);
    add_keyed(&text, 4, "l", i);
    end(&text);
    end(&text);
    end(&text);
    end(&text);
    store_add(&store, text_slice(&text));
}

static void finds(const char *query, unsigned expected_traces)
{
    struct asked asked = store_ask(&store, REQUEST_SEARCH, NULL, query);
    unsigned count = 0;

    cr_assert_eq(asked.err, OK, "%s: %s", query, asked.message);
    for (const char *at = asked.text; (at = strstr(at, "\"traceId\"")) != NULL; at++)
        count++;
    cr_assert_eq(count, expected_traces, "%s: %u traces", query, count);
    asked_free(&asked);
}

Test(search, finds_keys_that_have_no_column)
{
    store_open(&store);
    for (unsigned fate = STORE_LIVE; fate <= STORE_SEALED; fate++) {
        char query[128];
        store_reset(&store);
        store_begin(&store);
        for (unsigned i = 0; i < MANY_KEYS; i++)
            send_keyed(i);
        store_end(&store, (enum store_fate)fate);
        for (unsigned i = 0; i < MANY_KEYS; i += MANY_KEYS / 10 - 1) {
            snprintf(query, sizeof query, "attr=span.s%u=%u&attr=event.e%u=%u&attr=link.l%u=%u", i, i, i, i,
                     i, i);
            finds(query, 1);
            snprintf(query, sizeof query, "attr=span.s%u=%u&attr=event.e%u=%u", i, i, i, i + 1);
            finds(query, 0);
            snprintf(query, sizeof query, "attr=span.s%u=\"%u\"", i, i);
            finds(query, 0);
            snprintf(query, sizeof query, "attr=event.s%u=%u", i, i);
            finds(query, 0);
        }
        finds("limit=1000", 1000);
    }
    store_close(&store);
}
