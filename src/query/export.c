/*
 * A page is a search whose results are whole traces. Each trace is gathered in an arena of its own, so a page needs the memory of
 * its largest trace; what does not fit on the page any more begins the next one.
 */
#include "export.h"

#include "base/clock.h"
#include "io/io.h"
#include "search.h"
#include "summary.h"
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_BYTES = 4 << 20, LENGTH_BYTES = 4 };

/* ---- beginning and end ----------------------------------------------------------------------------------- */

/* What was acknowledged before the question is in segments then. */
static enum err seal(const struct work *work)
{
    const struct query_config *const config = work->config;
    const struct timespec pause = {.tv_nsec = 500 * NS_PER_US};

    if (config->seal == NULL) return OK;
    const uint32_t ticket = config->seal(config->seal_context);
    while (!config->is_sealed(config->seal_context, ticket)) {
        TRY(work_check(work));
        nanosleep(&pause, NULL);
    }
    return OK;
}

enum err export_begin_answer(struct work *work, struct request *request, struct answer *answer)
{
    uint64_t id = 0;

    if (request->text_len > 0 && !slice_is(slice_of(request->text, request->text_len), "{}")) {
        snprintf(request->message, sizeof request->message, "the body is an empty JSON object, or nothing");
        return ERR_MALFORMED;
    }
    TRY(seal(work));
    while (id == 0)
        io_random(work->io, &id, sizeof id);
    const enum err err = holds_put(work->holds, id, io_now_ns(work->io));
    if (err == ERR_FULL)
        snprintf(request->message, sizeof request->message,
                 "%d exports are going on, which is as many as may be", HOLDS_MAX);
    TRY(err);
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, id);
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, "export");
    json_text(json, text);
    json_member_uint(json, "idleSecondsMax", HOLDS_IDLE_S);
    json_object_end(json);
    return answer_json_end(answer);
}

static enum err gone(struct request *request)
{
    snprintf(request->message, sizeof request->message,
             "there is no such export, or nobody has asked for it for %d s; begin anew", HOLDS_IDLE_S);
    return ERR_NOT_FOUND;
}

enum err export_end_answer(struct work *work, struct request *request, struct answer *answer)
{
    if (holds_end(work->holds, request->id) != OK) return gone(request);
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, "ended");
    json_bool(json, true);
    json_object_end(json);
    return answer_json_end(answer);
}

/* ---- one trace ------------------------------------------------------------------------------------------- */

static enum err write_trace(struct work *work, const struct trace_id *id, bool json, struct answer *piece,
                            bool *truncated)
{
    struct trace trace;

    TRY(trace_collect(work, id, &trace));
    const enum err err = json ? trace_json_line(work, &trace, piece) : trace_protobuf(&trace, piece);
    *truncated = trace.truncated;
    return err;
}

/* With an arena of its own, out of what the search has left. */
static enum err write_apart(struct work *work, const struct trace_id *id, bool json, struct answer *piece,
                            bool *truncated)
{
    const struct arena whole = work->arena;

    arena_init(&work->arena, arena_left(&whole));
    const enum err err = write_trace(work, id, json, piece, truncated);
    arena_reset(&work->arena);
    work->arena = whole;
    return err;
}

static enum err put_piece(struct answer *answer, const struct answer *piece, bool json)
{
    const uint32_t len = __builtin_bswap32((uint32_t)piece->len);

    if (!json) TRY(answer_append(answer, slice_of(&len, sizeof len)));
    TRY(answer_append(answer, slice_of(piece->bytes, piece->len)));
    return json ? answer_append(answer, slice_text("\n")) : OK;
}

/* ---- a page ---------------------------------------------------------------------------------------------- */

struct filling {
    struct work *work;
    struct answer *answer;
    struct answer piece;
    bool json;
    struct export_page *page;
};

static void note_cursor(struct export_page *page, uint64_t key_ns, const struct trace_id *id)
{
    int len = snprintf(page->cursor, sizeof page->cursor, "%016" PRIx64, key_ns);

    for (size_t i = 0; i < sizeof id->bytes; i++)
        len += snprintf(page->cursor + len, sizeof page->cursor - (size_t)len, "%02x", id->bytes[i]);
}

/* *full: it is the next page's. A trace of which nothing can be read is left out, and the coverage says so. */
static enum err put_trace(struct filling *filling, const struct trace_id *id, bool *full)
{
    struct export_page *const page = filling->page;
    bool truncated = false;

    answer_clear(&filling->piece);
    const enum err err = write_apart(filling->work, id, filling->json, &filling->piece, &truncated);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    *full = page->traces > 0 && filling->answer->len + filling->piece.len > PAGE_BYTES;
    if (*full) return OK;
    page->traces++;
    page->truncated += truncated;
    return put_piece(filling->answer, &filling->piece, filling->json);
}

static enum err fill(struct filling *filling)
{
    struct search_page found;
    bool full = false;

    TRY(search_page(filling->work, &found));
    filling->page->more = found.more;
    for (uint32_t i = 0; i < found.count && !full; i++) {
        TRY(work_check(filling->work));
        TRY(put_trace(filling, &found.results[i].trace_id, &full));
        if (!full) note_cursor(filling->page, found.results[i].key_ns, &found.results[i].trace_id);
    }
    filling->page->more |= full;
    return OK;
}

static enum err make_page(struct work *work, struct answer *answer, bool json, struct export_page *page)
{
    struct filling *const filling = calloc(1, sizeof *filling); /* large */

    if (filling == NULL) return ERR_NO_MEMORY;
    *filling = (struct filling){.work = work, .answer = answer, .json = json, .page = page};
    answer_init(&filling->piece, work->config->answer_bytes_max - LENGTH_BYTES);
    const enum err err = fill(filling);
    answer_deinit(&filling->piece);
    free(filling);
    return err;
}

enum err export_page_answer(struct work *work, struct request *request, struct answer *answer, bool json,
                            struct export_page *page)
{
    const struct catalog_view *view;

    *page = (struct export_page){.more = false};
    if (holds_take(work->holds, request->id, io_now_ns(work->io), &view) != OK) return gone(request);
    snapshot_of(&work->snapshot, work->cache, view);
    const enum err err = make_page(work, answer, json, page);
    snapshot_release(&work->snapshot, work->config, work->cache);
    holds_give_back(work->holds, request->id, io_now_ns(work->io));
    return err;
}
