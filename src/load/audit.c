/*
 * An audit goes through the log run by run, and through a run round by round: it stamps all bodies of the
 * round, then fetches the traces that have a span in an acknowledged body, on all connections at once, and
 * compares each as it arrives. Only when the last of a round is compared are the bodies stamped for the next.
 *
 *   lane: free -> has a trace -> asked -> answered: compared, free
 *                      ^___________|___ 429, 5xx, connection lost: asked again after a pause, up to ASK_MAX
 * times
 *
 * 404 is an answer: nothing of the trace is there. A trace that cannot be fetched counts as unread, and the
 * audit fails.
 */
#include "audit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ack_log.h"
#include "base/clock.h"
#include "base/log.h"
#include "verifier.h"

#define ANSWER_BODY_MAX (512ULL << 20)
#define ASK_MAX         60
#define PAUSE_MS        100
#define HEAD_MAX        4096
#define NOTES_MAX       10 /* wrong traces told one by one */
#define ROUNDS_MAX      50000000

/* What is acknowledged of a round. */
struct round {
    uint64_t time_ns; /* 0: nothing of it is in the log */
    size_t bits;      /* where its bodies' bits begin, in words */
};

struct lane {
    struct conn conn; /* must stay first: epoll points here */
    bool busy;        /* has a trace */
    bool asked;
    uint32_t trace;
    uint32_t attempts;
    uint64_t not_before_ns; /* of asking or connecting */
    char head[HEAD_MAX];
};

struct audit {
    const struct audit_config *config;
    struct audit_result *result;

    int epoll;
    struct lane *lanes;
    struct verifier verifier;
    uint64_t runs; /* in the log; they share the traces to be fetched evenly */
    uint32_t notes;
    uint64_t connected_at_ns; /* or since when there is no connection */
    uint32_t connected;

    /* the run */
    struct stock *stock;
    struct round *rounds;
    uint64_t rounds_count;
    uint64_t *bits; /* one per body and round: acknowledged as a whole */
    size_t words;   /* per round */
    uint64_t step;  /* every step-th trace is fetched */
    uint64_t offered;

    /* the round */
    uint64_t round;
    uint32_t next_trace;
    bool stamped;
};

/* ---- what is acknowledged
 * ---------------------------------------------------------------------------------- */

static bool body_acked(const struct audit *audit, uint64_t round, uint32_t body)
{
    return (audit->bits[audit->rounds[round].bits + body / 64] >> (body % 64) & 1) != 0;
}

static bool trace_acked(const struct audit *audit, uint64_t round, uint32_t trace)
{
    const struct stock_span *spans;
    const uint32_t count = stock_trace_spans(audit->stock, trace, &spans);

    for (uint32_t i = 0; i < count; i++) {
        if (body_acked(audit, round, spans[i].body)) return true;
    }
    return false;
}

static enum err read_rounds(struct audit *audit, const struct ack_run *run)
{
    const struct ack *const acks = (const struct ack *)(const void *)run->acks.ptr;
    const size_t count = run->acks.len / sizeof *acks;

    audit->rounds_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (acks[i].round >= ROUNDS_MAX || acks[i].body >= stock_bodies(audit->stock)) return ERR_MALFORMED;
        if (acks[i].round >= audit->rounds_count) audit->rounds_count = acks[i].round + 1;
    }
    audit->words = (stock_bodies(audit->stock) + 63) / 64;
    audit->rounds = calloc(audit->rounds_count + 1, sizeof *audit->rounds);
    audit->bits = calloc(audit->rounds_count * audit->words + 1, sizeof *audit->bits);
    if (audit->rounds == NULL || audit->bits == NULL) return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct round *const round = &audit->rounds[acks[i].round];
        round->time_ns = acks[i].time_ns;
        round->bits = acks[i].round * audit->words;
        if (acks[i].whole) audit->bits[round->bits + acks[i].body / 64] |= 1ULL << (acks[i].body % 64);
    }
    audit->result->requests += count;
    return OK;
}

static uint64_t count_traces(const struct audit *audit)
{
    uint64_t traces = 0;

    for (uint64_t round = 0; round < audit->rounds_count; round++) {
        for (uint32_t trace = 0; trace < stock_traces(audit->stock) && audit->rounds[round].time_ns != 0;
             trace++)
            traces += trace_acked(audit, round, trace);
    }
    return traces;
}

/* ---- comparing a trace
 * ------------------------------------------------------------------------------------- */

static void hex_of(struct trace_id id, char text[33])
{
    for (int i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
}

static void tell(struct audit *audit, uint32_t trace, const char *what)
{
    char hex[33];

    if (what[0] == '\0' || audit->notes++ >= NOTES_MAX) return;
    hex_of(stock_trace_id(audit->stock, audit->round, trace), hex);
    (void)fprintf(stderr, "%strace %s: %s\n", audit->config->progress && isatty(STDERR_FILENO) ? "\r" : "",
                  hex, what);
}

static enum err compare(struct audit *audit, uint32_t trace, struct slice answer)
{
    const struct stock *const stock = audit->stock;
    const struct stock_span *spans;
    const uint32_t count = stock_trace_spans(stock, trace, &spans);
    struct verify_counts counts = {0};

    verifier_begin(&audit->verifier);
    for (uint32_t i = 0; i < count; i++) {
        const struct stock_span *const span = &spans[i];
        if (span->body >= stock_bodies_in_round(stock, audit->round)) continue;
        TRY(verifier_expect(&audit->verifier, stock_envelope(stock, span->body, span->resource),
                            stock_envelope(stock, span->body, span->scope),
                            slice_of(stock_body(stock, span->body).ptr + span->offset, span->len),
                            body_acked(audit, audit->round, span->body)));
    }
    TRY(verifier_compare(&audit->verifier, answer, &counts));
    tell(audit, trace, audit->verifier.note);
    audit->result->traces++;
    audit->result->acked += counts.acked;
    audit->result->missing += counts.missing;
    audit->result->doubled += counts.doubled;
    audit->result->altered += counts.altered;
    return OK;
}

/* ---- lanes
 * ------------------------------------------------------------------------------------------------- */

static void give_up(struct audit *audit, struct lane *lane, const char *why)
{
    audit->result->unread++;
    lane->busy = lane->asked = false;
    tell(audit, lane->trace, why);
}

static void ask_again(struct audit *audit, struct lane *lane, const char *why)
{
    lane->asked = false;
    lane->not_before_ns = clock_ns(CLOCK_MONOTONIC) + PAUSE_MS * NS_PER_MS;
    if (++lane->attempts >= ASK_MAX) give_up(audit, lane, why);
}

static void on_answer(struct audit *audit, struct lane *lane)
{
    const int status = lane->conn.answer.status;
    char why[64];

    lane->asked = false;
    (void)snprintf(why, sizeof why, "cannot be read: HTTP %d", status);
    if (status == 200 || status == 404) {
        const struct slice body = status == 200 ? buffer_slice(&lane->conn.answer.body) : slice_of(NULL, 0);
        lane->busy = false;
        if (compare(audit, lane->trace, body) != OK)
            give_up(audit, lane, "the answer is not a TracesData message");
    } else if (status == 429 || status >= 500) {
        ask_again(audit, lane, why);
    } else {
        give_up(audit, lane, why);
    }
}

static void ask(struct audit *audit, struct lane *lane)
{
    const struct endpoint *const endpoint = audit->config->endpoint;
    char hex[33];

    hex_of(stock_trace_id(audit->stock, audit->round, lane->trace), hex);
    size_t len = (size_t)snprintf(
        lane->head, HEAD_MAX,
        "GET %s/query/v1/traces/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spanmill-load/" SPANMILL_VERSION
        "\r\nAccept: application/x-protobuf\r\n",
        endpoint->path, hex, endpoint->host);
    for (uint32_t i = 0; i < audit->config->headers_count; i++)
        len += (size_t)snprintf(lane->head + len, HEAD_MAX - len, "%s\r\n", audit->config->headers[i]);
    len += (size_t)snprintf(lane->head + len, HEAD_MAX - len, "\r\n");
    assert(len < HEAD_MAX); /* the options bound the headers */
    lane->asked = true;
    (void)conn_request(&lane->conn, slice_of(lane->head, len), slice_of(NULL, 0));
}

static void on_conn_event(struct audit *audit, struct lane *lane, enum conn_stage before,
                          enum conn_event event)
{
    switch (event) {
    case CONN_NOTHING: break;
    case CONN_CONNECTED: audit->connected++; break;
    case CONN_ANSWERED:
        on_answer(audit, lane);
        if (lane->conn.stage == CONN_CLOSED) audit->connected--;
        break;
    case CONN_LOST:
        if (before != CONN_CONNECTING) audit->connected--;
        lane->not_before_ns = clock_ns(CLOCK_MONOTONIC) + PAUSE_MS * NS_PER_MS;
        if (lane->asked) ask_again(audit, lane, "cannot be read: connection lost");
        break;
    }
}

/* The next trace of the round that is to be fetched. */
static bool take_trace(struct audit *audit, struct lane *lane)
{
    while (audit->next_trace < stock_traces(audit->stock)) {
        const uint32_t trace = audit->next_trace++;
        if (!trace_acked(audit, audit->round, trace)) continue;
        if (audit->offered++ % audit->step != 0) continue;
        lane->trace = trace;
        lane->attempts = 0;
        lane->busy = true;
        return true;
    }
    return false;
}

/* The bodies are stamped when the round's first trace is wanted: with a sample, many rounds have none. */
static void stamp_round(struct audit *audit)
{
    if (audit->stamped) return;
    audit->stamped = true;
    for (uint32_t body = 0; body < stock_bodies_in_round(audit->stock, audit->round); body++)
        (void)stock_stamp(audit->stock, body, audit->round, audit->rounds[audit->round].time_ns);
}

/* Gives every lane something to do; says whether any has. */
static bool feed_lanes(struct audit *audit, uint64_t now_ns)
{
    bool any = false;

    for (uint32_t i = 0; i < audit->config->connections; i++) {
        struct lane *const lane = &audit->lanes[i];
        if (!lane->busy && !take_trace(audit, lane)) continue;
        any = true;
        stamp_round(audit);
        if (lane->asked || lane->not_before_ns > now_ns) continue;
        if (lane->conn.stage == CONN_CLOSED && conn_connect(&lane->conn) != OK)
            lane->not_before_ns = now_ns + PAUSE_MS * NS_PER_MS;
        if (lane->conn.stage == CONN_IDLE) ask(audit, lane);
    }
    return any;
}

static void wait_and_handle(struct audit *audit)
{
    struct epoll_event events[64];
    const int count = epoll_wait(audit->epoll, events, 64, PAUSE_MS / 2);

    for (int i = 0; i < count; i++) {
        struct lane *const lane = events[i].data.ptr;
        const enum conn_stage before = lane->conn.stage;
        on_conn_event(audit, lane, before, conn_on_events(&lane->conn, events[i].events));
    }
}

static void show_progress(const struct audit *audit)
{
    if (!audit->config->progress || !isatty(STDERR_FILENO)) return;
    (void)fprintf(stderr,
                  "\rverifying round %" PRIu64 " of %" PRIu64 ": %" PRIu64 " traces, %" PRIu64 " spans   ",
                  audit->round + 1, audit->rounds_count, audit->result->traces, audit->result->acked);
}

static enum err audit_round(struct audit *audit)
{
    audit->next_trace = 0;
    audit->stamped = false;
    for (;;) {
        const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (!feed_lanes(audit, now_ns)) return OK;
        if (audit->config->stop != NULL && *audit->config->stop) return OK;
        wait_and_handle(audit);
        if (audit->connected > 0)
            audit->connected_at_ns = now_ns;
        else if (now_ns - audit->connected_at_ns > audit->config->connect_timeout_ns)
            return ERR_PEER_GONE;
    }
}

/* ---- runs
 * -------------------------------------------------------------------------------------------------- */

static enum err audit_rounds(struct audit *audit, const struct ack_run *run)
{
    TRY(read_rounds(audit, run));
    audit->step = 1;
    if (audit->config->traces_max > 0) {
        const uint64_t share = audit->config->traces_max > audit->runs
                                   ? audit->config->traces_max / audit->runs
                                   : 1;
        const uint64_t traces = count_traces(audit);
        audit->step = traces > share ? traces / share : 1;
    }
    for (audit->round = 0; audit->round < audit->rounds_count; audit->round++) {
        if (audit->rounds[audit->round].time_ns == 0) continue;
        if (audit->config->stop != NULL && *audit->config->stop) return OK;
        TRY(audit_round(audit));
        show_progress(audit);
    }
    return OK;
}

static enum err audit_one_run(struct audit *audit, const struct ack_run *run)
{
    TRY(stock_open(&run->config, &audit->stock));
    enum err err = ERR_VERSION;
    if (stock_checksum(audit->stock) == run->checksum)
        err = audit_rounds(audit, run);
    else
        log_error("load",
                  "the log was written by another version of the generator, or the capture has changed",
                  "run=%" PRIu64, run->config.run);
    free(audit->rounds);
    free(audit->bits);
    audit->rounds = NULL;
    audit->bits = NULL;
    stock_close(audit->stock);
    return err;
}

static uint64_t count_runs(struct slice text)
{
    uint64_t runs = 0;

    for (const uint8_t *at = text.ptr; at != NULL; runs++) {
        const size_t rest = text.len - (size_t)(at - text.ptr);
        const uint8_t *const next = rest == 0 ? NULL : memmem(at, rest, "\nrun ", 5);
        at = next == NULL ? NULL : next + 1;
    }
    return runs;
}

static enum err audit_text(struct audit *audit, struct slice text)
{
    audit->runs = count_runs(text);

    struct ack_run *const run = malloc(sizeof *run);
    if (run == NULL) return ERR_NO_MEMORY;

    enum err err = ack_run_read(&text, run);
    while (err == OK) {
        err = audit_one_run(audit, run);
        ack_run_deinit(run);
        if (err == OK) err = ack_run_read(&text, run);
    }
    free(run);
    return err == ERR_NOT_FOUND ? OK : err; /* no further run */
}

/* ---- opening and closing
 * ----------------------------------------------------------------------------------- */

static enum err read_file(const char *path, struct buffer *bytes)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) return err_from_errno(errno);

    for (;;) {
        uint8_t *const at = buffer_reserve(bytes, 1 << 20);
        const size_t got = at == NULL ? 0 : fread(at, 1, 1 << 20, file);
        if (got == 0) break;
        bytes->len += got;
    }
    const bool failed = ferror(file) != 0;
    (void)fclose(file);
    return bytes->failed ? ERR_NO_MEMORY : failed ? ERR_IO : OK;
}

static enum err make_lanes(struct audit *audit)
{
    audit->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (audit->epoll < 0) return err_from_errno(errno);
    audit->lanes = calloc(audit->config->connections, sizeof *audit->lanes);
    if (audit->lanes == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < audit->config->connections; i++)
        conn_init(&audit->lanes[i].conn, audit->config->endpoint, audit->epoll, ANSWER_BODY_MAX);
    return OK;
}

enum err audit_run(const struct audit_config *config, struct audit_result *result)
{
    struct buffer text = {0};
    const uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    struct audit audit = {.config = config, .result = result, .epoll = -1, .connected_at_ns = start_ns};

    verifier_init(&audit.verifier);
    enum err err = read_file(config->acked_log, &text);
    if (err == OK) err = make_lanes(&audit);
    if (err == OK) err = audit_text(&audit, buffer_slice(&text));
    for (uint32_t i = 0; audit.lanes != NULL && i < config->connections; i++)
        conn_deinit(&audit.lanes[i].conn);
    free(audit.lanes);
    if (audit.epoll >= 0) (void)close(audit.epoll);
    verifier_deinit(&audit.verifier);
    buffer_deinit(&text);
    if (config->progress && isatty(STDERR_FILENO)) (void)fputc('\n', stderr);
    result->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / (double)NS_PER_S;
    return err;
}
