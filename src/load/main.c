/*
 * spanmill-load: make the bodies, then send, dump or verify. See options.c for what can be asked and
 * README.md for how it works inside.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "ack_log.h"
#include "audit.h"
#include "base/clock.h"
#include "options.h"
#include "report.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CANNOT_CONNECT = 3 };

#define DUMP_TIME_NS 1750000000000000000ULL /* a dump is the same every time */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    if (stop) _Exit(EXIT_FAILED); /* asked twice */
    stop = 1;
}

static int complain(const char *what, const char *about, enum err err, int code)
{
    report_progress_end();
    (void)fprintf(stderr, "spanmill-load: %s %s: %s\n", what, about, err_text(err));
    return code;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void hex_of(struct trace_id id, char text[33])
{
    for (int i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
}

/* ---- dump
 * -------------------------------------------------------------------------------------------------- */

static bool dump_body(FILE *file, struct stock *stock, uint32_t body, uint64_t round)
{
    const struct slice bytes = stock_stamp(stock, body, round, DUMP_TIME_NS + round * NS_PER_S);
    const uint32_t len = htobe32((uint32_t)bytes.len);

    return fwrite(&len, sizeof len, 1, file) == 1 && fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len;
}

static int dump(const struct options *options, struct stock *stock)
{
    FILE *const file = fopen(options->dump, "wb");
    if (file == NULL) return complain("cannot write", options->dump, err_from_errno(errno), EXIT_USAGE);

    const uint64_t spans_max = options->spans_max > 0 ? options->spans_max : stock_round_spans(stock, 0);
    uint64_t spans = 0;
    uint64_t bodies = 0;
    bool good = true;
    for (uint64_t round = 0; spans < spans_max && good; round++) {
        for (uint32_t body = 0; body < stock_bodies_in_round(stock, round) && spans < spans_max && good;
             body++) {
            good = dump_body(file, stock, body, round);
            spans += stock_body_spans(stock, body);
            bodies++;
        }
    }
    good = fclose(file) == 0 && good;
    if (!good) return complain("cannot write", options->dump, ERR_IO, EXIT_USAGE);
    (void)printf("%" PRIu64 " spans in %" PRIu64 " bodies written to %s\n", spans, bodies, options->dump);
    return EXIT_OK;
}

/* ---- whom to
 * -------------------------------------------------------------------------------------------------- */

static enum err open_endpoint(const struct options *options, const char *url, uint16_t default_port,
                              struct endpoint *endpoint)
{
    TRY(endpoint_parse(url, default_port, endpoint));
    return endpoint->secure ? wire_rules_open(options->ca_file, &endpoint->rules) : OK;
}

/* A further header. The file has the token in its first line, and nothing else. */
static bool add_token(struct options *options)
{
    static char line[OPTIONS_HEADER_LEN + 1] = "Authorization: Bearer ";
    const size_t begin = strlen(line);
    FILE *const file = fopen(options->token_file, "r");

    if (file == NULL) return false;
    const bool read = fgets(line + begin, (int)(sizeof line - begin), file) != NULL;
    fclose(file);
    line[begin + strcspn(line + begin, "\r\n")] = '\0';
    if (!read || line[begin] == '\0' || options->headers_count == OPTIONS_HEADERS_MAX) return false;
    options->headers[options->headers_count++] = line;
    return true;
}

/* ---- send
 * -------------------------------------------------------------------------------------------------- */

static int tell(const struct options *options, const struct sender *sender, double cpu)
{
    const struct totals *const totals = sender_totals(sender);
    struct trace_id id;
    char hex[33];
    const bool found = options->print_trace && sender_acked_trace(sender, &id);

    report_progress_end();
    if (found) hex_of(id, hex);
    if (options->json)
        report_json(totals, cpu, found ? hex : NULL);
    else
        report_table(totals, cpu);
    if (found && !options->json) (void)printf("%s\n", hex);
    return totals->errors > 0 || totals->acked == 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(const struct options *options, const struct sender_config *config)
{
    struct sender *sender;
    enum err err = sender_open(config, &sender);
    if (err != OK) return complain("cannot start", options->endpoint, err, EXIT_USAGE);

    const double cpu_before = cpu_seconds(); /* making the bodies does not count */
    err = sender_run(sender);
    const bool never = err == ERR_PEER_GONE && sender_totals(sender)->requests == 0; /* nothing to tell */
    int code = never ? EXIT_CANNOT_CONNECT : tell(options, sender, cpu_seconds() - cpu_before);
    const char *const why = sender_totals(sender)->tls_failure;
    if (err == ERR_PEER_GONE && why != NULL) (void)fprintf(stderr, "spanmill-load: TLS: %s\n", why);
    if (err == ERR_PEER_GONE)
        code = complain("cannot connect to", options->endpoint, err, EXIT_CANNOT_CONNECT);
    else if (err != OK)
        code = complain("cannot go on with",
                        options->acked_log != NULL ? options->acked_log : options->endpoint, err, EXIT_USAGE);
    sender_close(sender);
    return code;
}

static int send_all(const struct options *options, struct stock *stock)
{
    struct endpoint endpoint;
    struct ack_log acks = {.fd = -1};

    enum err err = open_endpoint(options, options->endpoint, options->protocol == PROTOCOL_GRPC ? 4317 : 4318,
                                 &endpoint);
    if (err != OK) return complain("cannot use", options->endpoint, err, EXIT_USAGE);
    if (options->acked_log != NULL) {
        err = ack_log_open(options->acked_log, &acks);
        if (err != OK) return complain("cannot write", options->acked_log, err, EXIT_USAGE);
        ack_log_begin(&acks, &options->stock, stock_checksum(stock));
    }
    const struct sender_config config = {
        .stock = stock,
        .endpoint = &endpoint,
        .acks = options->acked_log != NULL ? &acks : NULL,
        .headers = options->headers,
        .headers_count = options->headers_count,
        .connections = options->connections,
        .protocol = options->protocol,
        .compression = options->compression,
        .retry = options->retry,
        .spans_per_second = options->spans_per_second,
        .duration_ns = options->duration_ns,
        .spans_max = options->spans_max,
        .connect_timeout_ns = options->connect_timeout_ns,
        .stop = &stop,
        .on_progress = options->quiet ? NULL : report_progress,
    };
    const int code = run(options, &config);
    ack_log_close(&acks);
    wire_rules_close(endpoint.rules);
    return code;
}

/* ---- verify
 * ------------------------------------------------------------------------------------------------ */

static int verify_all(const struct options *options)
{
    struct endpoint endpoint;
    struct audit_result result = {0};

    enum err err = open_endpoint(options, options->query, 16686, &endpoint);
    if (err != OK) return complain("cannot use", options->query, err, EXIT_USAGE);
    const struct audit_config config = {
        .endpoint = &endpoint,
        .acked_log = options->acked_log,
        .connections = options->connections,
        .traces_max = options->verify_sample,
        .headers = options->headers,
        .headers_count = options->headers_count,
        .connect_timeout_ns = options->connect_timeout_ns,
        .stop = &stop,
        .progress = !options->quiet,
    };
    err = audit_run(&config, &result);
    wire_rules_close(endpoint.rules);
    if (err == ERR_PEER_GONE) return complain("cannot connect to", options->query, err, EXIT_CANNOT_CONNECT);
    if (err != OK) return complain("cannot verify", options->acked_log, err, EXIT_USAGE);
    (void)printf("verify traces=%" PRIu64 " requests=%" PRIu64 " seconds=%.2f unread=%" PRIu64 "\n",
                 result.traces, result.requests, result.seconds, result.unread);
    (void)printf("verify acked=%" PRIu64 " missing=%" PRIu64 " doubled=%" PRIu64 " altered=%" PRIu64 "\n",
                 result.acked, result.missing, result.doubled, result.altered);
    return result.missing + result.doubled + result.altered + result.unread > 0 || stop ? EXIT_FAILED
                                                                                        : EXIT_OK;
}

/* ---- start
 * ------------------------------------------------------------------------------------------------- */

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* Two runs with one seed must not use the same ids, unless asked to. */
static void choose_run(struct options *options)
{
    if (options->run_given || options->mode == MODE_DUMP) return;
    options->stock.run = clock_ns(CLOCK_REALTIME);
}

int main(int argc, char **argv)
{
    struct options options;
    struct stock *stock;
    char corpus[4096];

    if (!options_parse(argc, argv, &options)) return EXIT_USAGE;
    if (options.mode == MODE_HELP) {
        options_help();
        return EXIT_OK;
    }
    catch_signals();
    if (options.token_file != NULL && !add_token(&options))
        return complain("no token in the first line of", options.token_file, ERR_MALFORMED, EXIT_USAGE);
    if (options.mode == MODE_VERIFY) return verify_all(&options);
    choose_run(&options);
    if (options.stock.corpus_path != NULL && realpath(options.stock.corpus_path, corpus) != NULL)
        options.stock.corpus_path = corpus; /* the log must be of use in another directory */
    if (stock_open(&options.stock, &stock) != OK) return EXIT_USAGE;
    const int code = options.mode == MODE_DUMP ? dump(&options, stock) : send_all(&options, stock);
    stock_close(stock);
    return code;
}
