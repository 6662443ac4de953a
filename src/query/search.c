/*
 * Search: candidates from the newest on, each with the summary of its whole trace. A candidate whose true key
 * lies before the cursor was on an earlier page, and is dropped; when all candidates are spent before the page
 * is full, the search goes on behind the last of them.
 */
#include "search.h"

#include "coverage.h"
#include "scan.h"

struct search {
    struct work *work;
    struct scan scan;
    struct summary *results;
    uint32_t results_count;
    struct candidates candidates;
    size_t next; /* candidate */
};

/* ---- finding --------------------------------------------------------------------------------------------
 */

/* A few more than asked for, since some may have to be dropped. */
static size_t candidates_wanted(uint32_t limit)
{
    return limit + limit / 4 + 16;
}

/* Summaries of the next candidates; those with their true key join the results. */
static enum err take_batch(struct search *search)
{
    const size_t room = search->work->request->limit - search->results_count;
    const size_t left = search->candidates.count - search->next;
    const size_t count = left < room ? left : room;
    const struct candidate *const batch = &search->candidates.list[search->next];
    struct summary *const summaries = arena_alloc(&search->work->arena, count * sizeof *summaries);

    if (summaries == NULL) return ERR_TOO_LARGE;
    for (size_t i = 0; i < count; i++)
        summary_init(&summaries[i], &batch[i].trace_id);
    TRY(scan_summaries(&search->scan, summaries, count));
    for (size_t i = 0; i < count; i++)
        if (summaries[i].matched > 0 && summaries[i].key_ns == batch[i].key_ns)
            search->results[search->results_count++] = summaries[i];
    search->next += count;
    return OK;
}

static enum err find(struct search *search)
{
    const struct request *const request = search->work->request;
    struct candidates *const candidates = &search->candidates;
    struct cursor cursor = request->cursor;
    const struct cursor *from = request->has_cursor ? &cursor : NULL;

    for (;;) {
        TRY(candidates_init(candidates, candidates_wanted(request->limit), &search->work->arena));
        search->next = 0;
        TRY(scan_candidates(&search->scan, from, candidates));
        while (search->results_count < request->limit && search->next < candidates->count)
            TRY(take_batch(search));
        if (search->results_count == request->limit || !candidates->forgot || candidates->count == 0)
            return OK;
        const struct candidate *const last = &candidates->list[candidates->count - 1];
        cursor = (struct cursor){last->key_ns, last->trace_id};
        from = &cursor;
    }
}

/* ---- answering ------------------------------------------------------------------------------------------
 */

static void put_text(struct json *json, const char *key, struct slice text)
{
    json_key(json, key);
    json_string(json, text);
}

static void put_root(struct json *json, const struct summary *summary)
{
    const struct summary_root *const root = summary->root.given ? &summary->root : &summary->earliest;

    put_text(json, "rootService", root->service);
    put_text(json, "rootOperation", root->name);
    if (summary->root.given) return;
    json_key(json, "rootMissing");
    json_bool(json, true);
}

static void put_services(struct json *json, const struct summary *summary)
{
    json_key(json, "services");
    json_array_begin(json);
    for (size_t i = 0; i < summary->services_count; i++) {
        json_object_begin(json);
        put_text(json, "name", summary->services[i].name);
        json_member_uint(json, "spanCount", summary->services[i].spans);
        json_member_uint(json, "errorCount", summary->services[i].errors);
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_summary(struct json *json, const struct summary *summary)
{
    json_object_begin(json);
    json_key(json, "traceId");
    json_hex(json, slice_of(summary->trace_id.bytes, sizeof summary->trace_id.bytes));
    put_root(json, summary);
    json_member_uint_quoted(json, "startTimeUnixNano", summary->start_ns);
    json_member_uint_quoted(json, "durationNano", summary->end_ns - summary->start_ns);
    json_member_uint(json, "spanCount", summary->spans);
    json_member_uint(json, "errorCount", summary->errors);
    json_member_uint(json, "matched", summary->matched);
    put_services(json, summary);
    if (summary->approximate) {
        json_key(json, "approximate");
        json_bool(json, true);
    }
    json_object_end(json);
}

/* See read_cursor() in request.c. */
static void put_cursor(struct json *json, const struct summary *last)
{
    const uint64_t key = __builtin_bswap64(last->key_ns);
    uint8_t bytes[sizeof key + sizeof last->trace_id.bytes];

    memcpy(bytes, &key, sizeof key);
    memcpy(bytes + sizeof key, last->trace_id.bytes, sizeof last->trace_id.bytes);
    json_key(json, "cursor");
    json_hex(json, slice_of(bytes, sizeof bytes));
}

static void put_coverage(struct json *json, const struct work *work)
{
    const struct request *const request = work->request;

    json_key(json, "coverage");
    json_object_begin(json);
    coverage_json_members(&work->coverage, json);
    if (request->start.given) json_member_uint_quoted(json, "from", request->first_ns);
    if (request->end.given) json_member_uint_quoted(json, "to", request->last_ns + 1);
    json_object_end(json);
}

static bool has_more(const struct search *search)
{
    const bool left = search->next < search->candidates.count || search->candidates.forgot;

    return search->results_count == search->work->request->limit && left;
}

static enum err write_answer(const struct search *search, struct answer *answer)
{
    struct json *const json = answer_json_begin(answer);

    json_object_begin(json);
    json_key(json, "traces");
    json_array_begin(json);
    for (uint32_t i = 0; i < search->results_count; i++)
        put_summary(json, &search->results[i]);
    json_array_end(json);
    if (has_more(search)) put_cursor(json, &search->results[search->results_count - 1]);
    put_coverage(json, search->work);
    json_object_end(json);
    return answer_json_end(answer);
}

static enum err run(struct search *search)
{
    struct work *const work = search->work;

    search->results = arena_alloc(&work->arena, work->request->limit * sizeof *search->results);
    if (search->results == NULL) return ERR_TOO_LARGE;
    TRY(scan_init(&search->scan, work));
    TRY(find(search));
    scan_coverage(&search->scan);
    return OK;
}

enum err search_page(struct work *work, struct search_page *out)
{
    struct search search = {.work = work};

    TRY(run(&search));
    *out = (struct search_page){search.results, search.results_count, has_more(&search)};
    return OK;
}

enum err search_answer(struct work *work, struct answer *answer)
{
    struct search search = {.work = work};

    TRY(run(&search));
    return write_answer(&search, answer);
}
