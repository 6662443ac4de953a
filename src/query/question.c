/*
 * A question waits for the position it was told to wait for, takes its snapshot, runs, and is answered. All
 * endings meet in one place; each err has one status and one sentence that says what to do.
 *
 *   client left     the answer is dropped by the server; what matters is to stop early
 *   too long        504: an answer that is silently half would be taken for a whole one
 *   too much memory 400: the question itself must become narrower
 */
#include "question.h"

#include "backups_answer.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "coverage.h"
#include "erasures_answer.h"
#include "export.h"
#include "io/gate.h"
#include "io/io.h"
#include "ledger_answer.h"
#include "pins_answer.h"
#include "retention_answer.h"
#include "search.h"
#include "trace.h"

#include <stdio.h>
#include <time.h>

enum { WAIT_MAX_S = 5 }; /* in the queue */

static const char json_type[] = "application/json";
static const char protobuf_type[] = "application/x-protobuf";
static const char lines_type[] = "application/x-ndjson";
static const char pieces_type[] = "application/octet-stream"; /* protobuf messages behind their lengths */

/* ---- errors ---------------------------------------------------------------------------------------------
 */

struct ending {
    enum err err;
    int status;
    const char *message;
};

static const struct ending endings[] = {
    {ERR_MALFORMED, 400, "the request is malformed"},
    {ERR_TOO_LARGE, 400,
     "the question needs more memory than a query may use; narrow the time range, add conditions, or lower "
     "the limit"},
    {ERR_NOT_FOUND, 404, "no span of this trace is stored"},
    {ERR_EXISTS, 409, "there are as many as there may be"},
    {ERR_READ_ONLY, 503, "the change could not be written"},
    {ERR_FULL, 429, "too many queries are waiting; try again"},
    {ERR_CLOSING, 503, "the server is shutting down; try again"},
    {ERR_CANCELLED, 503, "the client has left"},
    {ERR_DEADLINE, 504, "the query took too long; narrow the time range or add conditions"},
};

static const struct ending *ending_of(enum err err)
{
    static const struct ending other = {ERR_IO, 500,
                                        "the store could not be read; the server's log says more"};

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (endings[i].err == err) return &endings[i];
    return &other;
}

static void send_error(const struct exchange_ticket *ticket, int status, const char *message)
{
    struct http1_header headers[] = {{.name = "retry-after", .value = slice_text("1")}};
    const bool retry = status == 429 || status == 503;
    struct answer answer;
    size_t len;

    answer_init(&answer, 64 << 10);
    answer_error(&answer, status, message);
    uint8_t *const body = answer_take(&answer, &len);
    exchange_complete(ticket, status, json_type, headers, retry, body, len);
}

void question_refuse(const struct exchange_ticket *ticket, enum err err, const char *message)
{
    const struct ending *const ending = ending_of(err);

    send_error(ticket, ending->status, message != NULL ? message : ending->message);
}

/* ---- waiting for a position -----------------------------------------------------------------------------
 */

static const struct shard *shard_of(const struct query_config *config, uint32_t index)
{
    for (size_t i = 0; i < config->shards_count; i++)
        if (shard_index(config->shards[i]) == index) return config->shards[i];
    return NULL;
}

/* Positions come from answers, hence are durable when they are asked for; this loop seldom turns. */
static enum err wait_after(const struct work *work, struct request *request)
{
    const struct timespec pause = {.tv_nsec = 500 * NS_PER_US};

    if (!request->has_after) return OK;
    const struct shard *const shard = shard_of(work->config, request->after_shard);
    if (shard == NULL) {
        snprintf(request->message, sizeof request->message,
                 "parameter after: there is no shard %u; give the value of a spanmill-position header of "
                 "this server",
                 request->after_shard);
        return ERR_MALFORMED;
    }
    while (shard_durable_lsn(shard) < request->after_lsn) {
        TRY(work_check(work));
        nanosleep(&pause, NULL);
    }
    return OK;
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

struct outcome {
    struct answer answer;
    bool protobuf, truncated;
    int status;           /* 0: 200 */
    bool exported, lines; /* a page, not an answer */
    struct export_page page;
};

static enum err answer_trace(struct work *work, struct outcome *outcome)
{
    struct trace trace;

    TRY(trace_collect(work, &work->request->trace_id, &trace));
    outcome->protobuf = work->request->protobuf;
    const enum err err = outcome->protobuf ? trace_protobuf(&trace, &outcome->answer)
                                           : trace_json(work, &trace, &outcome->answer);
    outcome->truncated = trace.truncated;
    return err;
}

/* Questions; orders are carried out below. */
static enum err run(struct work *work, struct outcome *outcome)
{
    switch (work->request->kind) {
    case REQUEST_TRACE: return answer_trace(work, outcome);
    case REQUEST_SEARCH: return search_answer(work, &outcome->answer);
    case REQUEST_SERVICES: return services_answer(work, &outcome->answer);
    case REQUEST_OPERATIONS: return operations_answer(work, &outcome->answer);
    case REQUEST_RETENTION: return retention_answer(work, &outcome->answer);
    case REQUEST_LEDGER: return ledger_answer(work, &outcome->answer);
    case REQUEST_PINS: return pins_list_answer(work, &outcome->answer);
    case REQUEST_ERASURES: return erasures_list_answer(work, &outcome->answer);
    case REQUEST_ERASURE:
    case REQUEST_ERASURE_ADD:
    case REQUEST_BACKUPS:
    case REQUEST_BACKUP_ADD:
    case REQUEST_BACKUP_REMOVE:
    case REQUEST_EXPORT:
    case REQUEST_EXPORT_BEGIN:
    case REQUEST_EXPORT_END:
    case REQUEST_PIN_ADD:
    case REQUEST_PIN_REMOVE:
    case REQUEST_FILTER: break;
    }
    unreachable("all kinds are listed");
}

enum {
    ORDERS = REQUEST_PIN_ADD | REQUEST_PIN_REMOVE | REQUEST_ERASURE | REQUEST_ERASURE_ADD | REQUEST_BACKUPS |
             REQUEST_BACKUP_ADD | REQUEST_BACKUP_REMOVE | REQUEST_EXPORT_BEGIN | REQUEST_EXPORT_END
};

/* Without a version: nothing of it is asked. */
static enum err carry_out(struct work *work, struct request *request, struct outcome *outcome)
{
    struct answer *const answer = &outcome->answer;

    switch (request->kind) {
    case REQUEST_PIN_REMOVE: return pins_remove_answer(work, request, answer);
    case REQUEST_ERASURE: return erasure_answer(work, request, answer);
    case REQUEST_BACKUPS: return backups_list_answer(work, answer);
    case REQUEST_BACKUP_REMOVE: return backups_remove_answer(work, request, answer);
    case REQUEST_EXPORT_BEGIN: outcome->status = 201; return export_begin_answer(work, request, answer);
    case REQUEST_EXPORT_END: return export_end_answer(work, request, answer);
    case REQUEST_BACKUP_ADD: outcome->status = 202; return backups_add_answer(work, request, answer);
    case REQUEST_PIN_ADD: outcome->status = 201; return pins_add_answer(work, request, answer);
    default: outcome->status = 202; return erasure_add_answer(work, request, answer);
    }
}

static void send_answer(const struct work *work, struct outcome *outcome)
{
    char text[COVERAGE_TEXT_MAX];
    struct http1_header headers[] = {
        {.name = "spanmill-coverage", .value = coverage_text(&work->coverage, text)},
        {.name = "spanmill-truncated", .value = slice_text("true")},
    };
    size_t len;

    uint8_t *const body = answer_take(&outcome->answer, &len);
    exchange_complete(work->ticket, outcome->status != 0 ? outcome->status : 200,
                      outcome->protobuf ? protobuf_type : json_type, headers, outcome->truncated ? 2 : 1,
                      body, len);
}

static void send_page(const struct work *work, struct outcome *outcome)
{
    const struct export_page *const page = &outcome->page;
    char coverage[COVERAGE_TEXT_MAX], traces[16], truncated[16];
    size_t len;

    snprintf(traces, sizeof traces, "%u", page->traces);
    snprintf(truncated, sizeof truncated, "%u", page->truncated);
    const struct http1_header headers[4] = {
        {.name = "spanmill-coverage", .value = coverage_text(&work->coverage, coverage)},
        {.name = "spanmill-traces", .value = slice_text(traces)},
        {.name = "spanmill-truncated", .value = slice_text(truncated)},
        {.name = "spanmill-cursor", .value = slice_text(page->cursor)},
    };
    uint8_t *const body = answer_take(&outcome->answer, &len);
    exchange_complete(work->ticket, 200, outcome->lines ? lines_type : pieces_type, headers,
                      page->more ? 4 : 3, body, len);
}

static void send_failure(const struct work *work, enum err err)
{
    const struct request *const request = work->request;
    const bool damaged = err == ERR_NOT_FOUND && work->coverage.fenced_blocks > 0;
    const char *message = request->message[0] != '\0' ? request->message : NULL;

    if (damaged)
        message = "no span of this trace was found, but a damaged block that may hold some was not read";
    if (ending_of(err)->status == 500) log_error("query", "a query failed", "error=\"%s\"", err_text(err));
    question_refuse(work->ticket, err, message);
}

static enum err ask(struct work *work, struct request *request, struct outcome *outcome)
{
    if ((request->kind & ORDERS) != 0) return carry_out(work, request, outcome);
    TRY(wait_after(work, request));
    if (!request_resolve(request, io_wall_ns(work->io))) return ERR_MALFORMED;
    if (request->kind == REQUEST_EXPORT) {
        outcome->exported = true;
        outcome->lines = !request->protobuf;
        return export_page_answer(work, request, &outcome->answer, outcome->lines, &outcome->page);
    }
    snapshot_acquire(&work->snapshot, work->config, work->cache);
    const enum err err = run(work, outcome);
    snapshot_release(&work->snapshot, work->config, work->cache);
    return err;
}

/* At the disk gate: whoever waits there ends when the query has to. */
static enum err still_wanted(void *context)
{
    return work_check(context);
}

void question_answer(struct worker *worker, struct job *job)
{
    struct query *const query = worker->query;
    struct work work = {
        .config = &query->config,
        .io = worker->io,
        .otlp_json = worker->otlp_json,
        .decoder = worker->decoder,
        .page = worker->page,
        .cache = &query->cache,
        .names = query->names,
        .holds = &query->holds,
        .request = &job->request,
        .ticket = &job->ticket,
        .stopping = &query->stopping,
        .deadline_ns = job->submitted_ns + query->config.deadline_ns,
        .snapshot = worker->snapshot,
    };
    struct outcome outcome = {0};
    const bool waited_too_long = io_now_ns(work.io) > job->submitted_ns + WAIT_MAX_S * NS_PER_S;

    arena_init(&work.arena, query->config.memory_bytes_max);
    answer_init(&outcome.answer, query->config.answer_bytes_max);
    enum err err = waited_too_long ? ERR_FULL : work_check(&work);
    io_gate_patience(work.io, (struct io_patience){.check = still_wanted, .context = &work});
    if (err == OK) err = ask(&work, &job->request, &outcome);
    io_gate_patience(work.io, (struct io_patience){0});
    pool_count(query, err == ERR_CANCELLED ? METRIC_QUERIES_CANCELLED
                      : err == ERR_FULL    ? METRIC_QUERIES_REFUSED
                                           : METRIC_QUERIES);
    if (err == OK && outcome.exported)
        send_page(&work, &outcome);
    else if (err == OK)
        send_answer(&work, &outcome);
    else
        send_failure(&work, err);
    answer_deinit(&outcome.answer);
    arena_reset(&work.arena);
}
