/*
 * spanmillctl export: traces of a running server, as OTLP. The server holds one version of its store for it, and gives it out page
 * by page (src/query/export.h); this asks for one page at a time, and writes it as it comes. So neither side needs more memory
 * for more traces, and what is in the file is what was acknowledged when it began: each trace once, and whole.
 */
#include "base/clock.h"
#include "client.h"
#include "codec/json.h"
#include "codec/json_reader.h"
#include "commands.h"
#include "progress.h"
#include "stream.h"
#include "target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 60 };
enum format { FORMAT_PROTOBUF, FORMAT_JSON };
static const char *const format_names[] = {"protobuf", "json", NULL};

static const char about[] =
    "Writes traces of a running server, whole, as OTLP: each a TracesData behind its "
    "length in four bytes, big-endian, or\n"
    "(--format json) one on each line. The Collector's file exporter writes both, and "
    "import reads both. FILE is - for\n"
    "standard output.\n";
static const char after[] =
    "Times: Unix nanoseconds, RFC 3339 (2026-03-01T12:00:00Z), now, or before now "
    "(-15m). A filter has the parameters of\n"
    "a search; every trace with a span in the range that is like this is written.\n\n"
    "  spanmillctl export all.otlp.zst --zstd\n"
    "  spanmillctl export - --format json --start -1h --filter "
    "'service=cart&status=error'\n\n"
    "Here, 1 means that the file is not all there is: a block was damaged, or a trace "
    "too large for one answer.\n";

struct exporting {
    struct client client;
    const char *start, *end, *filter;
    int format;
    bool zstd, replace, json;
    struct progress_count progress;
    /* at work */
    char id[32], cursor[64];
    struct stream_out *out;
    uint64_t pages, traces, bytes, truncated, fenced, began_ns;
};

/* ---- the question ---------------------------------------------------------------------------------------- */

/* Of options, an empty one is none. */
static const char *given(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static void target_of(const struct exporting *exporting, struct target *target)
{
    char path[64];

    snprintf(path, sizeof path, "/query/v1/export/%s?limit=1000", exporting->id);
    target_init(target, path);
    target_text(target, "start", given(exporting->start));
    target_text(target, "end", given(exporting->end));
    target_text(target, "cursor", given(exporting->cursor));
    if (given(exporting->filter) != NULL) target_parameters(target, exporting->filter);
}

/* Asks again while the server is too busy. */
static enum ctl_exit ask(const struct exporting *exporting, const char *method, const char *target,
                         struct client_answer *answer)
{
    const struct client_request request = {
        .method = method,
        .target = target,
        .accept = exporting->format == FORMAT_PROTOBUF ? "application/x-protobuf" : "application/x-ndjson"};
    const struct timespec pause = {.tv_sec = 1};

    for (unsigned i = 0;; i++) {
        if (!client_request(&exporting->client, &request, answer)) return CTL_UNREADABLE;
        if ((answer->status != 429 && answer->status != 503) || i == TRIES) break;
        client_free(answer);
        nanosleep(&pause, NULL);
    }
    if (client_accepted(answer)) return CTL_FINE;
    client_free(answer);
    return CTL_UNREADABLE;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

static enum ctl_exit begin(struct exporting *exporting)
{
    struct client_answer answer;
    struct json_reader reader;
    struct json_token token;
    bool named = false;

    const enum ctl_exit code = ask(exporting, "POST", "/query/v1/export", &answer);
    if (code != CTL_FINE) return code;
    json_reader_init(&reader, answer.body);
    while (json_next(&reader, &token) == OK && token.type != JSON_END) {
        if (named && token.type == JSON_STRING && token.text.len < sizeof exporting->id)
            snprintf(exporting->id, sizeof exporting->id, "%.*s", (int)token.text.len,
                     (const char *)token.text.ptr);
        named = token.type == JSON_KEY && slice_is(token.text, "export");
    }
    client_free(&answer);
    const bool good = exporting->id[0] != '\0' &&
                      exporting->id[strspn(exporting->id, "0123456789abcdef")] == '\0';
    if (!good) fprintf(stderr, "spanmillctl export: the answer was not understood\n");
    return good ? CTL_FINE : CTL_UNREADABLE;
}

static uint64_t number_in(const char *text)
{
    return strtoull(text, NULL, 10);
}

static void note_page(struct exporting *exporting, const struct client_answer *answer)
{
    char room[256];

    exporting->pages++;
    exporting->bytes += answer->body.len;
    exporting->traces += number_in(client_field(answer, "spanmill-traces", room, sizeof room));
    exporting->truncated += number_in(client_field(answer, "spanmill-truncated", room, sizeof room));
    const char *const fenced = strstr(client_field(answer, "spanmill-coverage", room, sizeof room),
                                      "fenced=");
    const uint64_t count = fenced != NULL ? number_in(fenced + strlen("fenced=")) : 0;
    if (count > exporting->fenced) exporting->fenced = count;
    client_field(answer, "spanmill-cursor", exporting->cursor, sizeof exporting->cursor);
}

static void show_progress(struct exporting *exporting, bool last)
{
    progress_count(&exporting->progress, exporting->traces, exporting->bytes, clock_ns(CLOCK_MONOTONIC),
                   last);
}

static enum ctl_exit page(struct exporting *exporting)
{
    struct target target;
    struct client_answer answer;

    target_of(exporting, &target);
    if (target.too_long) {
        fprintf(stderr, "spanmillctl export: the filter is too long\n");
        return CTL_USAGE;
    }
    const enum ctl_exit code = ask(exporting, "GET", target.text, &answer);
    if (code != CTL_FINE) return code;
    const enum err err = stream_out_write(exporting->out, answer.body);
    note_page(exporting, &answer);
    client_free(&answer);
    show_progress(exporting, false);
    if (err == OK) return CTL_FINE;
    fprintf(stderr, "spanmillctl export: cannot be written: %s\n", err_text(err));
    return CTL_UNREADABLE;
}

static enum ctl_exit all_pages(struct exporting *exporting)
{
    enum ctl_exit code;

    do {
        code = page(exporting);
    } while (code == CTL_FINE && exporting->cursor[0] != '\0');
    return code;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void end(struct exporting *exporting)
{
    char target[128];
    struct client_answer answer;
    const struct client_request request = {.method = "DELETE", .target = target};

    snprintf(target, sizeof target, "/query/v1/export/%s", exporting->id);
    exporting->client.quiet = true; /* it ends by itself */
    if (exporting->id[0] != '\0' && client_request(&exporting->client, &request, &answer))
        client_free(&answer);
}

/* Figures go where the traces do not. */
static void tell(const struct exporting *exporting, FILE *to, bool complete)
{
    const double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - exporting->began_ns) / (double)NS_PER_S;
    const char *const shape = exporting->json
                                  ? "{\"traces\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"storedBytes\":%" PRIu64
                                    ",\"truncated\":%" PRIu64 ",\"fencedBlocks\":%" PRIu64
                                    ",\"pages\":%" PRIu64 ",\"seconds\":%.3f,\"complete\":%s}\n"
                                  : "traces=%" PRIu64 " bytes=%" PRIu64 " stored_bytes=%" PRIu64
                                    " truncated=%" PRIu64 " fenced_blocks=%" PRIu64 " pages=%" PRIu64
                                    " seconds=%.3f complete=%s\n";

    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wformat-nonliteral\"") fprintf(
        to, shape, exporting->traces, exporting->bytes, stream_out_stored(exporting->out),
        exporting->truncated, exporting->fenced, exporting->pages, seconds, complete ? "true" : "false");
    _Pragma("GCC diagnostic pop")
}

static enum ctl_exit run(struct exporting *exporting, const char *path)
{
    enum ctl_exit code = begin(exporting);

    if (code == CTL_FINE) code = all_pages(exporting);
    end(exporting);
    show_progress(exporting, true);
    const enum err err = code == CTL_FINE ? stream_out_finish(exporting->out) : OK;
    if (err != OK) {
        fprintf(stderr, "spanmillctl export: cannot be written: %s\n", err_text(err));
        code = CTL_UNREADABLE;
    }
    tell(exporting, path != NULL ? stdout : stderr, code == CTL_FINE);
    return code == CTL_FINE && exporting->truncated + exporting->fenced > 0 ? CTL_DAMAGED : code;
}

static enum ctl_exit carry_out(struct exporting *exporting, const char *path)
{
    const char *const file = strcmp(path, "-") == 0 ? NULL : path;

    exporting->progress.shown |= isatty(STDERR_FILENO) != 0;
    exporting->began_ns = clock_ns(CLOCK_MONOTONIC);
    const enum err err = stream_out_open(file, exporting->zstd, exporting->replace, &exporting->out);
    if (err != OK) {
        fprintf(stderr, "spanmillctl export: %s: %s%s\n", path, err_text(err),
                err == ERR_EXISTS ? ", or its .part does; --replace writes over both" : "");
        return CTL_UNREADABLE;
    }
    const enum ctl_exit code = run(exporting, file);
    stream_out_close(exporting->out);
    return code;
}

enum ctl_exit command_export(int count, const char *const *words)
{
    struct exporting exporting = {.client.address = CLIENT_SERVER_DEFAULT, .progress.things = "traces"};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS(exporting.client),
        {"start", "TIME", "traces with a span that begins then or later", ARGUMENT_TEXT, &exporting.start,
         NULL, NULL},
        {"end", "TIME", "and before then", ARGUMENT_TEXT, &exporting.end, NULL, NULL},
        {"filter", "FILTER", "and is like this", ARGUMENT_TEXT, &exporting.filter, NULL, NULL},
        {"format", "protobuf|json", "(protobuf)", ARGUMENT_CHOICE, &exporting.format, format_names, NULL},
        {"zstd", NULL, "packed", ARGUMENT_FLAG, &exporting.zstd, NULL, NULL},
        {"replace", NULL, "over a file that is there", ARGUMENT_FLAG, &exporting.replace, NULL, NULL},
        {"progress", NULL, "say how far it is, also where there is no terminal", ARGUMENT_FLAG,
         &exporting.progress.shown, NULL, NULL},
        {"json", NULL, "figures as JSON", ARGUMENT_FLAG, &exporting.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "export",
                                  .operand = "FILE",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    return code != CTL_GO_ON ? code : carry_out(&exporting, arguments.value);
}
