/*
 * The sending loop. One thread: start what is due on the lanes that are free, wait, take in what has come,
 * write the acknowledgement log, again.
 *
 *   lane: CLOSED -> CONNECTING -> IDLE -> carrying a unit -> answered (IDLE) | lost (CLOSED, reconnects after
 * a pause)
 *
 * A body is stamped in place in the stock just before it goes out, and must stay as it is until the kernel
 * has taken all of it. Should its turn come again earlier (a lane that is stuck while the others finish a
 * whole round), it is stamped into a copy. With gzip the stamped body is compressed into the lane's own
 * buffer at once.
 *
 * What an answer means: 2xx acknowledged; 429 and 503 refused, sent again only if asked for; others are
 * errors, never sent again; a connection that is lost in between leaves the request unknown: it may or may
 * not be stored. Nothing is allocated while the loop runs, but for the log's and the answer's buffers growing
 * to their size.
 */
#include "sender.h"

#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "grpc.h"
#include "walk.h"

#define ANSWER_BODY_MAX    (64U << 10)
#define EVENTS_MAX         256
#define PROGRESS_NS        (200 * NS_PER_MS)
#define DRAIN_NS           (10 * NS_PER_S)  /* how long answers are waited for at the end */
#define RECONNECT_FIRST_NS (10 * NS_PER_MS) /* doubled after each failure … */
#define RECONNECT_LAST_NS  NS_PER_S         /* … up to this */
#define RETRY_LEAST_NS     (100 * NS_PER_MS)
#define HEAD_MAX           4096
#define PATIENCE_LATER     6 /* times the connect timeout, once a request has been sent */
#define GZIP_LEVEL         1
#define TRACES_SAMPLE_MAX  4096 /* looked at for sender_acked_trace() */

struct lane {
    struct conn conn; /* must stay first: epoll points here */
    struct unit unit;
    bool carrying;   /* unit awaits its answer */
    bool holds_body; /* the stock's copy of unit.body is still being written from */
    uint64_t reconnect_at_ns;
    uint64_t pause_ns;
    uint8_t *copy;   /* owned; NULL until a copy is needed */
    uint8_t *packed; /* owned; gzip only */
    char head[HEAD_MAX];
};

struct sender {
    struct sender_config config;

    int epoll, timer;
    struct lane *lanes;
    uint32_t *idle; /* a ring of lanes, so that all get their turn at low rates too */
    uint32_t idle_first, idle_count;
    uint32_t carrying;  /* lanes */
    uint32_t connected; /* lanes */
    struct schedule schedule;
    bool *body_held;      /* per body of the stock */
    uint64_t *body_acked; /* per body: latest round acknowledged, plus one */
    struct libdeflate_compressor *compressor;
    size_t packed_max;
    struct totals totals;
    uint64_t no_connection_since_ns;
    uint64_t progress_at_ns;
    uint64_t timer_ns; /* what the timer is set to */
};

/* ---- sending
 * ----------------------------------------------------------------------------------------------- */

/* The bytes of the unit's body, stamped; in place where that is possible. */
static enum err stamp_body(struct sender *sender, struct lane *lane, struct slice *body)
{
    struct stock *const stock = sender->config.stock;
    const struct unit *const unit = &lane->unit;

    if (!sender->body_held[unit->body]) {
        *body = stock_stamp(stock, unit->body, unit->round, unit->time_ns);
        lane->holds_body = true;
        sender->body_held[unit->body] = true;
        return OK;
    }
    if (lane->copy == NULL) lane->copy = malloc(stock_body_len_max(stock));
    if (lane->copy == NULL) return ERR_NO_MEMORY;
    *body = stock_stamp_copy(stock, unit->body, unit->round, unit->time_ns, lane->copy);
    return OK;
}

static void release_body(struct sender *sender, struct lane *lane)
{
    if (!lane->holds_body) return;
    lane->holds_body = false;
    sender->body_held[lane->unit.body] = false;
}

static void pack_body(struct sender *sender, struct lane *lane, struct slice *body)
{
    const size_t len = libdeflate_gzip_compress(sender->compressor, body->ptr, body->len, lane->packed,
                                                sender->packed_max);

    assert(len > 0);
    *body = slice_of(lane->packed, len);
    release_body(sender, lane);
}

static struct slice write_head(const struct sender *sender, struct lane *lane, size_t body_len)
{
    const struct endpoint *const endpoint = sender->config.endpoint;
    size_t len = (size_t)snprintf(
        lane->head, HEAD_MAX,
        "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spanmill-load/" SPANMILL_VERSION
        "\r\nContent-Type: application/x-protobuf\r\n%sContent-Length: %zu\r\n",
        endpoint->path[0] != '\0' ? endpoint->path : "/v1/traces", endpoint->host,
        sender->config.compression == COMPRESSION_GZIP ? "Content-Encoding: gzip\r\n" : "", body_len);

    for (uint32_t i = 0; i < sender->config.headers_count; i++)
        len += (size_t)snprintf(lane->head + len, HEAD_MAX - len, "%s\r\n", sender->config.headers[i]);
    len += (size_t)snprintf(lane->head + len, HEAD_MAX - len, "\r\n");
    assert(len < HEAD_MAX); /* the options bound the headers */
    return slice_of(lane->head, len);
}

static enum conn_event call(const struct sender *sender, struct lane *lane, struct slice body)
{
    const struct endpoint *const endpoint = sender->config.endpoint;
    const struct grpc_request request = {
        .path = endpoint->path[0] != '\0' ? endpoint->path
                                          : "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        .authority = endpoint->host,
        .gzip = sender->config.compression == COMPRESSION_GZIP,
        .headers = sender->config.headers,
        .headers_count = sender->config.headers_count,
    };

    return conn_call(&lane->conn, &request, body);
}

static void count_sent(struct sender *sender, const struct lane *lane, size_t plain, size_t wire,
                       uint64_t now_ns)
{
    struct totals *const totals = &sender->totals;

    totals->requests++;
    totals->spans += stock_body_spans(sender->config.stock, lane->unit.body);
    totals->bytes_plain += plain;
    totals->bytes_wire += wire;
    if (lane->unit.attempts > 0)
        totals->retries++;
    else
        histogram_record(&totals->lag, now_ns - lane->unit.intended_ns);
}

static void on_event(struct sender *sender, struct lane *lane, enum conn_event event, uint64_t now_ns);
static void on_lost(struct sender *sender, struct lane *lane, bool was_connected, uint64_t now_ns);

static enum err start(struct sender *sender, struct lane *lane, const struct unit *unit, uint64_t now_ns)
{
    struct slice body;

    lane->unit = *unit;
    TRY(stamp_body(sender, lane, &body));
    const size_t plain = body.len;
    if (sender->config.compression == COMPRESSION_GZIP) pack_body(sender, lane, &body);
    lane->carrying = true;
    sender->carrying++;
    count_sent(sender, lane, plain, body.len, now_ns);
    const enum conn_event event = sender->config.protocol == PROTOCOL_GRPC
                                      ? call(sender, lane, body)
                                      : conn_request(&lane->conn, write_head(sender, lane, body.len), body);
    if (event == CONN_LOST)
        on_lost(sender, lane, true, now_ns);
    else
        on_event(sender, lane, event, now_ns);
    return OK;
}

static struct lane *next_idle(struct sender *sender)
{
    struct lane *const lane = &sender->lanes[sender->idle[sender->idle_first]];

    sender->idle_first = (sender->idle_first + 1) % sender->config.connections;
    sender->idle_count--;
    return lane;
}

static enum err start_due(struct sender *sender, uint64_t now_ns)
{
    struct unit unit;

    while (sender->idle_count > 0) {
        const uint64_t unix_ns = clock_ns(CLOCK_REALTIME);
        if (!schedule_take(&sender->schedule, now_ns, unix_ns, &unit)) break;
        TRY(start(sender, next_idle(sender), &unit, now_ns));
        if (sender->config.compression != COMPRESSION_NONE) now_ns = clock_ns(CLOCK_MONOTONIC);
    }
    return OK;
}

/* ---- what comes back
 * --------------------------------------------------------------------------------------- */

static void become_idle(struct sender *sender, const struct lane *lane)
{
    assert(sender->idle_count < sender->config.connections);

    sender->idle[(sender->idle_first + sender->idle_count++) % sender->config.connections] =
        (uint32_t)(lane - sender->lanes);
}

/* ExportTraceServiceResponse: partial_success = 1 { rejected_spans = 1 } */
static uint64_t rejected_spans(struct slice body)
{
    struct proto_reader outer = proto_read(body);
    struct proto_field field;
    uint64_t rejected = 0;

    while (proto_next(&outer, &field)) {
        if (field.number != 1 || field.type != PROTO_BYTES) continue;
        struct proto_reader inner = proto_read(field.bytes);
        while (proto_next(&inner, &field)) {
            if (field.number == 1 && field.type == PROTO_VARINT) rejected = field.value;
        }
    }
    return rejected;
}

static void on_acked(struct sender *sender, struct lane *lane, uint64_t now_ns)
{
    struct totals *const totals = &sender->totals;
    const uint32_t spans = stock_body_spans(sender->config.stock, lane->unit.body);
    const uint64_t said = rejected_spans(buffer_slice(&lane->conn.answer.body));
    const uint64_t rejected = said < spans ? said : spans;

    totals->acked++;
    totals->partial += rejected > 0;
    totals->spans_acked += spans - rejected;
    totals->spans_rejected += rejected;
    histogram_record(&totals->latency, now_ns - lane->unit.intended_ns);
    totals->ended_ns = now_ns;
    if (rejected == 0) sender->body_acked[lane->unit.body] = lane->unit.round + 1;
    if (sender->config.acks != NULL)
        ack_log_add(sender->config.acks, lane->unit.round, lane->unit.body, lane->unit.time_ns, rejected);
}

static void on_refused(struct sender *sender, struct lane *lane, uint64_t now_ns)
{
    const uint64_t asked_ns = lane->conn.answer.retry_after_s * NS_PER_S;

    sender->totals.refused++;
    if (sender->config.retry)
        (void)schedule_retry(&sender->schedule, &lane->unit,
                             now_ns + (asked_ns > RETRY_LEAST_NS ? asked_ns : RETRY_LEAST_NS));
}

/* Keeps what the first error said; google.rpc.Status or text, so only what can be printed. */
static void on_error(struct sender *sender, const struct lane *lane)
{
    struct totals *const totals = &sender->totals;
    const struct buffer *const body = &lane->conn.answer.body;
    size_t len = 0;

    totals->errors++;
    if (totals->first_error_status != 0) return;
    totals->first_error_status = lane->conn.answer.status;
    for (size_t i = 0; i < body->len && len < sizeof totals->first_error - 1; i++) {
        if (body->ptr[i] >= ' ' && body->ptr[i] < 0x7f) totals->first_error[len++] = (char)body->ptr[i];
    }
    totals->first_error[len] = '\0';
}

static void on_answered(struct sender *sender, struct lane *lane, uint64_t now_ns)
{
    const int status = lane->conn.answer.status;

    release_body(sender, lane);
    lane->carrying = false;
    sender->carrying--;
    if (status >= 200 && status < 300)
        on_acked(sender, lane, now_ns);
    else if (status == 429 || status == 503)
        on_refused(sender, lane, now_ns);
    else
        on_error(sender, lane);
}

static void on_closed(struct sender *sender, struct lane *lane, uint64_t now_ns)
{
    lane->reconnect_at_ns = now_ns + lane->pause_ns;
    if (--sender->connected == 0) sender->no_connection_since_ns = now_ns;
}

static void on_lost(struct sender *sender, struct lane *lane, bool was_connected, uint64_t now_ns)
{
    if (lane->conn.why != NULL) sender->totals.tls_failure = lane->conn.why;
    release_body(sender, lane);
    if (lane->carrying) {
        lane->carrying = false;
        sender->carrying--;
        sender->totals.unknown++;
        if (sender->config.retry)
            (void)schedule_retry(&sender->schedule, &lane->unit, now_ns + RETRY_LEAST_NS);
    }
    if (was_connected) {
        on_closed(sender, lane, now_ns);
        return;
    }
    lane->pause_ns = lane->pause_ns * 2 < RECONNECT_LAST_NS ? lane->pause_ns * 2 : RECONNECT_LAST_NS;
    lane->reconnect_at_ns = now_ns + lane->pause_ns;
}

/* Takes the lane out of the ring of idle ones: it has gone while nothing was asked of it. */
static void forget_idle(struct sender *sender, const struct lane *gone)
{
    for (uint32_t left = sender->idle_count; left > 0; left--) {
        const struct lane *const lane = next_idle(sender);
        if (lane != gone) become_idle(sender, lane);
    }
}

static void on_event(struct sender *sender, struct lane *lane, enum conn_event event, uint64_t now_ns)
{
    switch (event) {
    case CONN_NOTHING:
        if (conn_written(&lane->conn)) release_body(sender, lane);
        return;
    case CONN_CONNECTED:
        sender->connected++;
        lane->pause_ns = RECONNECT_FIRST_NS;
        become_idle(sender, lane);
        return;
    case CONN_ANSWERED:
        on_answered(sender, lane, now_ns);
        if (lane->conn.stage == CONN_IDLE)
            become_idle(sender, lane);
        else
            on_closed(sender, lane, now_ns);
        return;
    case CONN_LOST: unreachable("handled where the stage before is known");
    }
}

static void on_epoll(struct sender *sender, struct lane *lane, uint32_t events, uint64_t now_ns)
{
    const enum conn_stage before = lane->conn.stage;
    const enum conn_event event = conn_on_events(&lane->conn, events);

    if (event != CONN_LOST) {
        on_event(sender, lane, event, now_ns);
        return;
    }
    if (before == CONN_IDLE) forget_idle(sender, lane);
    on_lost(sender, lane, before != CONN_CONNECTING, now_ns);
}

/* ---- the loop
 * ---------------------------------------------------------------------------------------------- */

/* When the loop must wake even if nothing comes. */
static uint64_t wake_ns(const struct sender *sender, uint64_t now_ns)
{
    uint64_t wake = sender->progress_at_ns;

    if (sender->idle_count > 0) {
        const uint64_t due = schedule_next_ns(&sender->schedule, now_ns);
        if (due < wake) wake = due;
    }
    for (uint32_t i = 0; i < sender->config.connections && sender->connected < sender->config.connections;
         i++) {
        const struct lane *const lane = &sender->lanes[i];
        if (lane->conn.stage == CONN_CLOSED && lane->reconnect_at_ns < wake) wake = lane->reconnect_at_ns;
    }
    return wake > now_ns ? wake : now_ns + 1;
}

static void set_timer(struct sender *sender, uint64_t at_ns)
{
    if (at_ns == sender->timer_ns) return;
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)}};
    (void)timerfd_settime(sender->timer, TFD_TIMER_ABSTIME, &when, NULL);
    sender->timer_ns = at_ns;
}

static void reconnect(struct sender *sender, uint64_t now_ns)
{
    for (uint32_t i = 0; i < sender->config.connections; i++) {
        struct lane *const lane = &sender->lanes[i];
        if (lane->conn.stage != CONN_CLOSED || lane->reconnect_at_ns > now_ns) continue;
        if (conn_connect(&lane->conn) != OK) on_lost(sender, lane, false, now_ns);
        if (lane->unit.intended_ns != 0) sender->totals.reconnects++;
    }
}

static void wait_and_handle(struct sender *sender, uint64_t now_ns)
{
    struct epoll_event events[EVENTS_MAX];

    set_timer(sender, wake_ns(sender, now_ns));
    const int count = epoll_wait(sender->epoll, events, EVENTS_MAX, -1);
    const uint64_t then_ns = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL) {
            uint64_t expirations;
            (void)!read(sender->timer, &expirations, sizeof expirations);
            sender->timer_ns = 0;
        } else {
            on_epoll(sender, events[i].data.ptr, events[i].events, then_ns);
        }
    }
}

static void show_progress(struct sender *sender, uint64_t now_ns)
{
    if (now_ns < sender->progress_at_ns) return;
    sender->progress_at_ns = now_ns + PROGRESS_NS;
    if (sender->config.on_progress != NULL) sender->config.on_progress(&sender->totals, now_ns);
}

/* Whether all has been sent and answered, or waited for long enough. */
static bool finished(const struct sender *sender, uint64_t now_ns, uint64_t *drain_until_ns)
{
    if (schedule_next_ns(&sender->schedule, now_ns) != UINT64_MAX) return false;
    if (sender->carrying == 0) return true;
    if (*drain_until_ns == 0) *drain_until_ns = now_ns + DRAIN_NS;
    return now_ns >= *drain_until_ns;
}

/* No connection for too long. A server that was there may be starting again: it gets more time. */
static bool nobody_there(const struct sender *sender, uint64_t now_ns)
{
    const uint64_t patience_ns = sender->config.connect_timeout_ns *
                                 (sender->totals.requests > 0 ? PATIENCE_LATER : 1);

    return sender->connected == 0 && now_ns - sender->no_connection_since_ns > patience_ns;
}

enum err sender_run(struct sender *sender)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t drain_until_ns = 0;

    sender->schedule.start_ns = now_ns;
    if (sender->config.duration_ns > 0) sender->schedule.stop_ns = now_ns + sender->config.duration_ns;
    sender->totals.started_ns = sender->totals.ended_ns = sender->no_connection_since_ns = now_ns;
    while (!finished(sender, now_ns, &drain_until_ns)) {
        if (sender->connected < sender->config.connections) reconnect(sender, now_ns);
        TRY(start_due(sender, now_ns));
        wait_and_handle(sender, clock_ns(CLOCK_MONOTONIC));
        if (sender->config.acks != NULL) TRY(ack_log_flush(sender->config.acks));
        now_ns = clock_ns(CLOCK_MONOTONIC);
        show_progress(sender, now_ns);
        if (sender->config.stop != NULL && *sender->config.stop) schedule_stop(&sender->schedule);
        if (nobody_there(sender, now_ns)) return ERR_PEER_GONE;
    }
    sender->totals.unknown += sender->carrying; /* never answered */
    return OK;
}

/* ---- opening and closing
 * ----------------------------------------------------------------------------------- */

static enum err make_lanes(struct sender *sender)
{
    const bool gzip = sender->config.compression == COMPRESSION_GZIP;

    if (gzip) {
        sender->compressor = libdeflate_alloc_compressor(GZIP_LEVEL);
        if (sender->compressor == NULL) return ERR_NO_MEMORY;
        sender->packed_max = libdeflate_gzip_compress_bound(sender->compressor,
                                                            stock_body_len_max(sender->config.stock));
    }
    for (uint32_t i = 0; i < sender->config.connections; i++) {
        struct lane *const lane = &sender->lanes[i];
        conn_init(&lane->conn, sender->config.endpoint, sender->epoll, ANSWER_BODY_MAX);
        lane->pause_ns = RECONNECT_FIRST_NS;
        if (sender->config.protocol == PROTOCOL_GRPC) TRY(conn_speak_grpc(&lane->conn));
        if (gzip && (lane->packed = malloc(sender->packed_max)) == NULL) return ERR_NO_MEMORY;
    }
    return OK;
}

static enum err make(struct sender *sender)
{
    const uint32_t bodies = stock_bodies(sender->config.stock);

    sender->epoll = epoll_create1(EPOLL_CLOEXEC);
    sender->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (sender->epoll < 0 || sender->timer < 0) return err_from_errno(errno);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(sender->epoll, EPOLL_CTL_ADD, sender->timer, &event) != 0) return err_from_errno(errno);
    sender->lanes = calloc(sender->config.connections, sizeof *sender->lanes);
    sender->idle = calloc(sender->config.connections, sizeof *sender->idle);
    sender->body_held = calloc(bodies, sizeof *sender->body_held);
    sender->body_acked = calloc(bodies, sizeof *sender->body_acked);
    if (sender->lanes == NULL || sender->idle == NULL || sender->body_held == NULL ||
        sender->body_acked == NULL)
        return ERR_NO_MEMORY;
    sender->schedule.stock = sender->config.stock;
    sender->schedule.spans_per_second = sender->config.spans_per_second;
    sender->schedule.stop_ns = UINT64_MAX;
    sender->schedule.spans_max = sender->config.spans_max > 0 ? sender->config.spans_max : UINT64_MAX;
    TRY(schedule_init(&sender->schedule));
    return make_lanes(sender);
}

enum err sender_open(const struct sender_config *config, struct sender **out)
{
    assert(config->connections > 0);

    struct sender *const sender = calloc(1, sizeof *sender);
    if (sender == NULL) return ERR_NO_MEMORY;
    sender->config = *config;
    sender->epoll = sender->timer = -1;
    const enum err err = make(sender);
    if (err != OK) {
        sender_close(sender);
        return err;
    }
    *out = sender;
    return OK;
}

void sender_close(struct sender *sender)
{
    for (uint32_t i = 0; sender->lanes != NULL && i < sender->config.connections; i++) {
        struct lane *const lane = &sender->lanes[i];
        if (lane->conn.endpoint != NULL) conn_deinit(&lane->conn);
        free(lane->copy);
        free(lane->packed);
    }
    libdeflate_free_compressor(sender->compressor);
    schedule_deinit(&sender->schedule);
    free(sender->lanes);
    free(sender->idle);
    free(sender->body_held);
    free(sender->body_acked);
    if (sender->epoll >= 0) (void)close(sender->epoll);
    if (sender->timer >= 0) (void)close(sender->timer);
    free(sender);
}

/* ---- afterwards
 * -------------------------------------------------------------------------------------------- */

const struct totals *sender_totals(const struct sender *sender)
{
    return &sender->totals;
}

/* The round in which all bodies of the trace were acknowledged last, plus one; 0 when they were not. */
static uint64_t acked_round(const struct sender *sender, uint32_t trace, uint32_t *spans_count)
{
    const struct stock_span *spans;
    uint64_t round = 0;

    *spans_count = stock_trace_spans(sender->config.stock, trace, &spans);
    for (uint32_t i = 0; i < *spans_count; i++) {
        const uint64_t acked = sender->body_acked[spans[i].body];
        if (acked == 0 || (round != 0 && acked != round)) return 0;
        round = acked;
    }
    return round;
}

bool sender_acked_trace(const struct sender *sender, struct trace_id *id)
{
    const uint32_t traces = stock_traces(sender->config.stock);
    uint32_t best = 0;

    for (uint32_t trace = 0; trace < traces && trace < TRACES_SAMPLE_MAX; trace++) {
        uint32_t spans;
        const uint64_t round = acked_round(sender, trace, &spans);
        if (round == 0 || spans > 60 || spans <= best) continue;
        best = spans;
        *id = stock_trace_id(sender->config.stock, round - 1, trace);
    }
    return best > 0;
}
