/*
 * Options come as --name value or --name=value. Each row of the table names the option, what its value is,
 * and the help; the setter of the same row does the rest, so the help cannot say other than what is parsed.
 */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* ---- values
 * ------------------------------------------------------------------------------------------------ */

static bool number_of(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
    char *end;

    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-' || errno != 0 || value < low || value > high)
        return false;
    *number = value;
    return true;
}

static bool u32_of(const char *text, uint32_t low, uint32_t high, uint32_t *number)
{
    uint64_t value;

    if (!number_of(text, low, high, &value)) return false;
    *number = (uint32_t)value;
    return true;
}

/* 10s, 500ms, 2m, 1h; without a unit: seconds. */
static bool duration_of(const char *text, uint64_t *duration_ns)
{
    char *end;
    const double value = strtod(text, &end);
    double unit = (double)NS_PER_S;

    if (end == text || !(value >= 0) || value > 1e7) return false;
    if (strcmp(end, "ms") == 0)
        unit = (double)NS_PER_MS;
    else if (strcmp(end, "m") == 0)
        unit = 60.0 * (double)NS_PER_S;
    else if (strcmp(end, "h") == 0)
        unit = 3600.0 * (double)NS_PER_S;
    else if (strcmp(end, "s") != 0 && *end != '\0')
        return false;
    *duration_ns = (uint64_t)(value * unit);
    return true;
}

/* 1000000, 1e6, 20k, 2M */
static bool amount_of(const char *text, double *amount)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || !(value > 0)) return false;
    if (*end == 'k' || *end == 'M') value *= *end++ == 'k' ? 1e3 : 1e6;
    if (*end != '\0' || value > 1e15) return false;
    *amount = value;
    return true;
}

/* ---- setters, one for each option
 * --------------------------------------------------------------------------- */

static bool set_endpoint(struct options *o, const char *v)
{
    o->endpoint = v;
    return true;
}
static bool set_query(struct options *o, const char *v)
{
    o->query = v;
    return true;
}
static bool set_seed(struct options *o, const char *v)
{
    return number_of(v, 0, UINT64_MAX, &o->stock.seed);
}
static bool set_run(struct options *o, const char *v)
{
    o->run_given = true;
    return number_of(v, 0, UINT64_MAX, &o->stock.run);
}
static bool set_services(struct options *o, const char *v)
{
    return u32_of(v, 1, 500, &o->stock.services);
}
static bool set_bodies(struct options *o, const char *v)
{
    return u32_of(v, 1, 4096, &o->stock.bodies);
}
static bool set_per_request(struct options *o, const char *v)
{
    return u32_of(v, 1, 100000, &o->stock.spans_per_request);
}
static bool set_giant(struct options *o, const char *v)
{
    return u32_of(v, 0, 1000000, &o->stock.giant_spans);
}
static bool set_corpus(struct options *o, const char *v)
{
    o->stock.corpus_path = v;
    return true;
}
static bool set_connections(struct options *o, const char *v)
{
    return u32_of(v, 1, 10000, &o->connections);
}
static bool set_duration(struct options *o, const char *v)
{
    return duration_of(v, &o->duration_ns) && o->duration_ns > 0;
}
static bool set_timeout(struct options *o, const char *v)
{
    return duration_of(v, &o->connect_timeout_ns);
}
static bool set_acked_log(struct options *o, const char *v)
{
    o->acked_log = v;
    return true;
}
static bool set_sample(struct options *o, const char *v)
{
    return number_of(v, 1, UINT64_MAX, &o->verify_sample);
}
static bool set_dump(struct options *o, const char *v)
{
    o->mode = MODE_DUMP;
    o->dump = v;
    return true;
}
static bool set_verify(struct options *o, const char *v)
{
    (void)v;
    o->mode = MODE_VERIFY;
    return true;
}
static bool set_help(struct options *o, const char *v)
{
    (void)v;
    o->mode = MODE_HELP;
    return true;
}
static bool set_retry(struct options *o, const char *v)
{
    (void)v;
    return o->retry = true;
}
static bool set_json(struct options *o, const char *v)
{
    (void)v;
    return o->json = true;
}
static bool set_quiet(struct options *o, const char *v)
{
    (void)v;
    return o->quiet = true;
}
static bool set_print_trace(struct options *o, const char *v)
{
    (void)v;
    return o->print_trace = true;
}

static bool set_tls(struct options *o, const char *v)
{
    (void)v;
    return o->tls = true;
}
static bool set_ca(struct options *o, const char *v)
{
    o->ca_file = v;
    return o->tls = true;
}
static bool set_token_file(struct options *o, const char *v)
{
    o->token_file = v;
    return true;
}

static bool set_profile(struct options *o, const char *v)
{
    static const char *const names[] = {
#define X(id, name, help) name,
        PROFILE_TABLE(X)
#undef X
    };

    for (enum profile p = 0; p < PROFILE_COUNT; p++) {
        if (strcmp(v, names[p]) != 0) continue;
        o->stock.profile = p;
        return true;
    }
    return false;
}

static bool set_protocol(struct options *o, const char *v)
{
    o->protocol = strcmp(v, "grpc") == 0 ? PROTOCOL_GRPC : PROTOCOL_HTTP;
    return strcmp(v, "grpc") == 0 || strcmp(v, "http") == 0;
}

static bool set_compression(struct options *o, const char *v)
{
    o->compression = strcmp(v, "gzip") == 0 ? COMPRESSION_GZIP : COMPRESSION_NONE;
    return strcmp(v, "gzip") == 0 || strcmp(v, "none") == 0;
}

static bool set_spans(struct options *o, const char *v)
{
    double amount;

    if (!amount_of(v, &amount)) return false;
    o->spans_max = (uint64_t)amount;
    return o->spans_max > 0;
}

static bool set_rate(struct options *o, const char *v)
{
    o->spans_per_second = 0;
    return strcmp(v, "max") == 0 || amount_of(v, &o->spans_per_second);
}

static bool set_header(struct options *o, const char *v)
{
    if (o->headers_count == OPTIONS_HEADERS_MAX || strlen(v) > OPTIONS_HEADER_LEN) return false;
    if (strchr(v, ':') == NULL || strpbrk(v, "\r\n") != NULL) return false;
    o->headers[o->headers_count++] = v;
    return true;
}

/* ---- the table
 * --------------------------------------------------------------------------------------------- */

static const struct row {
    const char *group; /* printed before this row */
    const char *name;
    const char *value; /* NULL: takes none */
    bool (*set)(struct options *options, const char *value);
    const char *help;
} rows[] = {
    {"What is sent", "profile", "lean|shop|prod", set_profile,
     "kind of spans, about 275, 600 or 1500 bytes each (shop)"},
    {NULL, "corpus", "FILE", set_corpus,
     "replay a capture instead: [u32 big-endian length][TracesData]…, plain or zstd"},
    {NULL, "seed", "N", set_seed, "of all random choices (1)"},
    {NULL, "run", "N", set_run, "part of every id; the same seed and run give the same ids (from the clock)"},
    {NULL, "services", "N", set_services, "invented services, 1 … 500 (50; prod: 150)"},
    {NULL, "spans-per-request", "N", set_per_request,
     "spans in a request (512; a corpus keeps its messages if not given)"},
    {NULL, "bodies", "N", set_bodies, "request bodies made ahead (64)"},
    {NULL, "giant", "N", set_giant, "spans of the one large trace in every 16th round, 0 for none (20000)"},
    {"How it is sent", "endpoint", "URL", set_endpoint,
     "OTLP server (http://127.0.0.1:4318, 4317 for gRPC); path of the protocol if none is given"},
    {NULL, "protocol", "http|grpc", set_protocol, "OTLP over HTTP or over gRPC (http)"},
    {NULL, "compression", "none|gzip", set_compression, "encoding of the requests (none)"},
    {NULL, "connections", "N", set_connections, "one request at a time on each (8)"},
    {NULL, "duration", "TIME", set_duration, "how long: 10s, 500ms, 2m (10s if --spans is not given)"},
    {NULL, "spans", "N", set_spans, "how many: 1000000, 1e6, 1M; whole requests, so a few more"},
    {NULL, "rate", "N|max", set_rate,
     "spans per second, open loop; max: closed loop, as fast as answers come (max)"},
    {NULL, "retry", NULL, set_retry, "send refused (429, 503; UNAVAILABLE) and lost requests again"},
    {NULL, "header", "'NAME: VALUE'", set_header, "further request header, at most 8 times"},
    {NULL, "tls", NULL, set_tls, "endpoints that are not given are https"},
    {NULL, "ca", "FILE", set_ca, "authorities that https trusts, PEM (those of the system); implies --tls"},
    {NULL, "token-file", "FILE", set_token_file, "send Authorization: Bearer and the token in this file"},
    {NULL, "connect-timeout", "TIME", set_timeout,
     "give up when nothing listens for so long (5s); later, for six times as long"},
    {"What is told", "acked-log", "FILE", set_acked_log, "append a line for each acknowledged request"},
    {NULL, "json", NULL, set_json, "one JSON object on standard output instead of the table"},
    {NULL, "print-trace", NULL, set_print_trace, "print the id of an acknowledged trace as the last line"},
    {NULL, "quiet", NULL, set_quiet, "no progress line"},
    {"Instead of sending", "verify", NULL, set_verify,
     "read back and compare all that --acked-log FILE says is acknowledged"},
    {NULL, "query", "URL", set_query, "query API for --verify (http://127.0.0.1:16686)"},
    {NULL, "verify-sample", "N", set_sample, "verify about N traces, evenly chosen, instead of all"},
    {NULL, "dump", "FILE", set_dump,
     "write the bodies to a file, [u32 big-endian length][body]…; one round, or --spans"},
    {NULL, "help", NULL, set_help, "this text"},
};

#define ROWS (sizeof rows / sizeof rows[0])

void options_help(void)
{
    (void)printf(
        "spanmill-load " SPANMILL_VERSION
        ": sends realistic OpenTelemetry traces over OTLP, measures the answers,\n"
        "and reads back what was acknowledged.\n\n"
        "  spanmill-load --duration 10s                              as fast as the server answers\n"
        "  spanmill-load --rate 20k --duration 1m --json             open loop; latency from the intended "
        "send time\n"
        "  spanmill-load --spans 1M --acked-log acks                 then, maybe after killing the server:\n"
        "  spanmill-load --verify --acked-log acks                   every acknowledged span, field by "
        "field\n"
        "  spanmill-load --corpus shop.otlp.zst --compression gzip   a capture, with fresh ids and times\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[64];
        if (rows[i].group != NULL) (void)printf("\n%s\n", rows[i].group);
        (void)snprintf(left, sizeof left, "--%s %s", rows[i].name,
                       rows[i].value != NULL ? rows[i].value : "");
        (void)printf("  %-26s %s\n", left, rows[i].help);
    }
    (void)printf("\nDefaults are in parentheses.\n\n"
                 "Exit codes: 0 all well; 1 verification failed, or a request was answered with an error, or "
                 "none was\n"
                 "acknowledged; 2 wrong usage or a file that cannot be read or written; 3 cannot connect.\n");
}

static const struct row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) return &rows[i];
    }
    return NULL;
}

static bool complain(const char *what, const char *about)
{
    (void)fprintf(stderr, "spanmill-load: %s %s\nTry spanmill-load --help\n", what, about);
    return false;
}

/* One option; *at moves over a value that stands alone. */
static bool parse_one(int argc, char *const *argv, int *at, struct options *options)
{
    const char *const argument = argv[*at];
    if (strncmp(argument, "--", 2) != 0) return complain("not an option:", argument);

    const size_t name_len = strcspn(argument + 2, "=");
    const struct row *const row = find(argument + 2, name_len);
    if (row == NULL) return complain("unknown option:", argument);
    const bool joined = argument[2 + name_len] == '=';
    if (row->value == NULL) return joined ? complain("takes no value:", argument) : row->set(options, NULL);
    if (!joined && *at + 1 == argc) return complain("needs a value:", argument);
    const char *const value = joined ? argument + 3 + name_len : argv[++*at];
    return row->set(options, value) ? true : complain("value not understood:", argument);
}

/* Options that only make sense together, and defaults that depend on others. */
static bool settle(struct options *options)
{
    if (options->mode == MODE_VERIFY && options->acked_log == NULL)
        return complain("--verify needs", "--acked-log FILE");
    if (options->verify_sample > 0 && options->mode != MODE_VERIFY)
        return complain("--verify-sample goes with", "--verify");
    if (options->endpoint == NULL && options->protocol == PROTOCOL_GRPC)
        options->endpoint = options->tls ? "https://127.0.0.1:4317" : "http://127.0.0.1:4317";
    if (options->endpoint == NULL)
        options->endpoint = options->tls ? "https://127.0.0.1:4318" : "http://127.0.0.1:4318";
    if (options->query == NULL)
        options->query = options->tls ? "https://127.0.0.1:16686" : "http://127.0.0.1:16686";
    if (options->duration_ns == 0 && options->spans_max == 0) options->duration_ns = 10 * NS_PER_S;
    if (options->stock.services == 0)
        options->stock.services = options->stock.profile == PROFILE_PROD ? 150 : 50;
    if (options->stock.spans_per_request == 0 && options->stock.corpus_path == NULL)
        options->stock.spans_per_request = 512;
    return true;
}

bool options_parse(int argc, char *const *argv, struct options *options)
{
    *options = (struct options){
        .stock = {.profile = PROFILE_SHOP, .seed = 1, .bodies = 64, .giant_spans = 20000},
        .connections = 8,
        .connect_timeout_ns = 5 * NS_PER_S,
    };
    for (int at = 1; at < argc; at++) {
        if (!parse_one(argc, argv, &at, options)) return false;
    }
    return settle(options);
}
