/*
 * The command line of spanmill-load. One table holds every option with its default and its help text.
 */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include "load/stock.h"
#include "sender.h"

#define OPTIONS_HEADERS_MAX 8
#define OPTIONS_HEADER_LEN  256

enum options_mode { MODE_SEND, MODE_DUMP, MODE_VERIFY, MODE_HELP };

struct options {
    enum options_mode mode;
    struct stock_config stock;
    bool run_given;
    const char *endpoint, *query; /* borrowed from argv, like all texts here */
    enum protocol protocol;
    enum compression compression;
    uint32_t connections;
    uint64_t duration_ns; /* 0: no limit */
    uint64_t spans_max;   /* 0: no limit */
    double spans_per_second;
    bool retry, json, print_trace, quiet;
    uint64_t connect_timeout_ns;
    const char *acked_log, *dump;
    uint64_t verify_sample; /* traces; 0: all */
    const char *headers[OPTIONS_HEADERS_MAX];
    uint32_t headers_count;
    bool tls;            /* the default endpoints are https */
    const char *ca_file; /* NULL: what the system trusts */
    const char *token_file;
};

/* False when something was not understood; a line on standard error says what. */
bool options_parse(int argc, char *const *argv, struct options *options);
void options_help(void);

#endif
