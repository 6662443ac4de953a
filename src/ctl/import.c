/*
 * spanmillctl import: requests out of a file (records.h), put together or taken apart to a bounded size (batch.h), sent to
 * /v1/traces one after the other. What is refused for now (429, 502, 503, 504, no connection) is sent again after the time that the
 * server asks for. When it stops it says from where to go on: the first byte of the first record that was not acknowledged as a
 * whole. Parts of that one may come twice then, and exact duplicates count once.
 */
#include "base/clock.h"
#include "batch.h"
#include "client.h"
#include "codec/wire.h"
#include "commands.h"
#include "out.h"
#include "progress.h"
#include "records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES = 1 << 20, REQUEST_BYTES_MAX = 64 << 20, PATIENCE_S = 300, RETRY_S_MAX = 60 };

static const char about[] =
    "Sends what export has written, or a Collector's file exporter (protobuf or JSON, "
    "packed by zstd or not), to a server.\n"
    "FILE is - for standard input.\n";
static const char after[] =
    "It goes on when the server is busy or away, for five minutes after the last answer "
    "(--patience). When it stops, --from N\n"
    "with the number that it says goes on from there.\n\n"
    "  spanmillctl import all.otlp.zst\n"
    "  spanmillctl import traces.jsonl --server traces.example.com:4318 --tls --token-file "
    "ingest.token\n\n"
    "Here, 1 means that the server has rejected spans.\n";

struct importing {
    struct client client;
    uint64_t from, request_bytes, patience_s;
    bool json;
    struct progress_count progress;
    /* at work */
    uint64_t safe_place; /* all before is acknowledged */
    uint64_t records, requests, spans, bytes, rejected, retries, began_ns, answered_ns;
    char why[512]; /* it stopped, or the first rejection */
};

static void show_progress(struct importing *importing, bool last)
{
    progress_count(&importing->progress, importing->spans, importing->bytes, clock_ns(CLOCK_MONOTONIC), last);
}

/* ---- answers --------------------------------------------------------------------------------------------- */

/* ExportTraceServiceResponse.partial_success 1: rejected_spans 1, error_message 2. */
static void note_rejected(struct importing *importing, struct slice body)
{
    struct wire_reader reader = wire_reader_of(body), inner;
    struct slice partial, text;
    uint32_t number, type;
    uint64_t rejected;
    char shown[256];

    while (reader.at < reader.end && wire_tag(&reader, &number, &type)) {
        if (number != 1 || type != WIRE_BYTES || !wire_bytes(&reader, &partial)) return;
        inner = wire_reader_of(partial);
        while (inner.at < inner.end && wire_tag(&inner, &number, &type)) {
            if (number == 1 && type == WIRE_VARINT && wire_varint(&inner, &rejected)) {
                importing->rejected += rejected;
            } else if (number == 2 && type == WIRE_BYTES && wire_bytes(&inner, &text)) {
                if (importing->why[0] == '\0' && text.len > 0)
                    snprintf(importing->why, sizeof importing->why, "%s",
                             out_escape(text, shown, sizeof shown));
            } else if (!wire_skip(&inner, type)) {
                return;
            }
        }
    }
}

/* Seconds to wait; at least one. */
static unsigned retry_after(const struct client_answer *answer, unsigned tries)
{
    char room[32];
    const unsigned long asked = strtoul(client_field(answer, "retry-after", room, sizeof room), NULL, 10);
    const unsigned own = tries < 5 ? 1u << tries : RETRY_S_MAX / 2;
    const unsigned long wait = asked > 0 ? asked : own;

    return wait < RETRY_S_MAX ? (unsigned)wait : RETRY_S_MAX;
}

static bool is_for_now(int status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

static bool may_wait(const struct importing *importing, unsigned seconds)
{
    return clock_ns(CLOCK_MONOTONIC) + seconds * NS_PER_S - importing->answered_ns <=
           importing->patience_s * NS_PER_S;
}

/* ---- one request ----------------------------------------------------------------------------------------- */

static enum err refuse(struct importing *importing, const struct client_answer *answer)
{
    char shown[300];
    const struct slice body = slice_of(answer->body.ptr, answer->body.len < 200 ? answer->body.len : 200);

    if (answer->status == 0)
        snprintf(importing->why, sizeof importing->why, "%s cannot be reached", importing->client.address);
    else
        snprintf(importing->why, sizeof importing->why, "the server says %d: %s", answer->status,
                 out_escape(body, shown, sizeof shown));
    return ERR_DENIED;
}

static enum err deliver(void *context, struct slice body, uint64_t spans)
{
    struct importing *const importing = context;
    const struct client_request request = {
        .method = "POST", .target = "/v1/traces", .content_type = "application/x-protobuf", .body = body};

    for (unsigned tries = 0;; tries++) {
        struct client_answer answer = {.status = 0};
        (void)client_request(&importing->client, &request, &answer);
        if (answer.status == 200) {
            importing->answered_ns = clock_ns(CLOCK_MONOTONIC);
            importing->requests++;
            importing->spans += spans;
            importing->bytes += body.len;
            note_rejected(importing, answer.body);
            client_free(&answer);
            show_progress(importing, false);
            return OK;
        }
        const struct timespec pause = {.tv_sec = retry_after(&answer, tries)};
        if (!is_for_now(answer.status) || !may_wait(importing, (unsigned)pause.tv_sec)) {
            const enum err err = refuse(importing, &answer);
            client_free(&answer);
            return err;
        }
        client_free(&answer);
        importing->retries++;
        nanosleep(&pause, NULL);
    }
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

static enum err skip(struct importing *importing, struct stream_in *stream)
{
    static char dropped[65536];
    size_t count = 1;

    while (stream_in_place(stream) < importing->from && count > 0) {
        const uint64_t left = importing->from - stream_in_place(stream);
        TRY(stream_in_read(stream, dropped, left < sizeof dropped ? (size_t)left : sizeof dropped, &count));
    }
    importing->safe_place = stream_in_place(stream);
    if (importing->safe_place == importing->from) return OK;
    snprintf(importing->why, sizeof importing->why, "the file has only %" PRIu64 " bytes",
             importing->safe_place);
    return ERR_NOT_FOUND;
}

/* A record is no good; what came before it is, and is sent. */
static enum err stop_at(struct importing *importing, const struct records *records, struct batch *batch,
                        enum err err)
{
    const char *const reason = records_reason(records);

    TRY(batch_flush(batch));
    importing->safe_place = records_place(records);
    snprintf(importing->why, sizeof importing->why, "record at byte %" PRIu64 ": %s", records_place(records),
             reason[0] != '\0' ? reason : "no OTLP traces");
    return err;
}

/* Once something was sent while a record was added, all before that record is acknowledged. */
static enum err send_all(struct importing *importing, struct stream_in *stream, struct records *records,
                         struct batch *batch)
{
    struct slice message;
    bool more = true;

    for (;;) {
        const enum err err = records_next(records, &message, &more);
        if (err != OK) return stop_at(importing, records, batch, err);
        if (!more) break;
        const uint64_t requests = importing->requests;
        const enum err added = batch_add(batch, message);
        if (importing->requests > requests) importing->safe_place = records_place(records);
        if (added == ERR_MALFORMED) return stop_at(importing, records, batch, added);
        TRY(added);
        importing->records++;
    }
    TRY(batch_flush(batch));
    importing->safe_place = stream_in_place(stream);
    return OK;
}

static enum err import(struct importing *importing, struct stream_in *stream)
{
    struct records *records;
    struct batch batch;

    TRY(skip(importing, stream));
    TRY(records_open(stream, &records));
    batch_init(&batch, (size_t)importing->request_bytes, deliver, importing);
    const enum err err = send_all(importing, stream, records, &batch);
    batch_deinit(&batch);
    records_close(records);
    return err;
}

static void tell(const struct importing *importing, bool complete)
{
    const double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - importing->began_ns) / (double)NS_PER_S;

    printf(importing->json ? "{\"records\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"spans\":%" PRIu64
                             ",\"bytes\":%" PRIu64 ",\"rejectedSpans\":%" PRIu64 ",\"retries\":%" PRIu64
                             ",\"seconds\":%.3f,\"from\":%" PRIu64 ",\"complete\":%s}\n"
                           : "records=%" PRIu64 " requests=%" PRIu64 " spans=%" PRIu64 " bytes=%" PRIu64
                             " rejected_spans=%" PRIu64 " retries=%" PRIu64 " seconds=%.3f from=%" PRIu64
                             " complete=%s\n",
           importing->records, importing->requests, importing->spans, importing->bytes, importing->rejected,
           importing->retries, seconds, importing->safe_place, complete ? "true" : "false");
}

static enum ctl_exit carry_out(struct importing *importing, const char *path)
{
    struct stream_in *stream;

    if (importing->request_bytes < 1024 || importing->request_bytes > REQUEST_BYTES_MAX) {
        fprintf(stderr, "spanmillctl import: --request-bytes: between 1024 and %d\n", REQUEST_BYTES_MAX);
        return CTL_USAGE;
    }
    enum err err = stream_in_open(path, &stream);
    if (err != OK) {
        fprintf(stderr, "spanmillctl import: %s: %s\n", path, err_text(err));
        return CTL_UNREADABLE;
    }
    importing->progress.shown |= isatty(STDERR_FILENO) != 0;
    importing->began_ns = importing->answered_ns = clock_ns(CLOCK_MONOTONIC);
    err = import(importing, stream);
    stream_in_close(stream);
    show_progress(importing, true);
    if (err != OK)
        fprintf(stderr, "spanmillctl import: %s; stopped, go on with --from %" PRIu64 "\n", importing->why,
                importing->safe_place);
    else if (importing->rejected > 0)
        fprintf(stderr, "spanmillctl import: rejected: %s\n", importing->why);
    tell(importing, err == OK);
    return err != OK ? CTL_UNREADABLE : importing->rejected > 0 ? CTL_DAMAGED : CTL_FINE;
}

enum ctl_exit command_import(int count, const char *const *words)
{
    struct importing importing = {.client = {.address = "127.0.0.1:4318", .quiet = true},
                                  .request_bytes = REQUEST_BYTES,
                                  .patience_s = PATIENCE_S,
                                  .progress.things = "spans"};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS_OF(importing.client, "OTLP/HTTP listener of the server (127.0.0.1:4318)"),
        {"from", "BYTE", "go on there", ARGUMENT_NUMBER, &importing.from, NULL, NULL},
        {"request-bytes", "N", "of one request, at most (1048576)", ARGUMENT_NUMBER, &importing.request_bytes,
         NULL, NULL},
        {"patience", "SECONDS", "without an answer, until it stops (300)", ARGUMENT_NUMBER,
         &importing.patience_s, NULL, NULL},
        {"progress", NULL, "say how far it is, also where there is no terminal", ARGUMENT_FLAG,
         &importing.progress.shown, NULL, NULL},
        {"json", NULL, "figures as JSON", ARGUMENT_FLAG, &importing.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "import",
                                  .operand = "FILE",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    return code != CTL_GO_ON ? code : carry_out(&importing, arguments.value);
}
