/*
 * The audit: reads an acknowledgement log, makes every acknowledged request again, fetches the traces from
 * the query API and compares them span by span.
 */
#ifndef LOAD_AUDIT_H
#define LOAD_AUDIT_H

#include <signal.h>

#include "conn.h"

struct audit_config {
    const struct endpoint *endpoint; /* of the query API; borrowed, like all here */
    const char *acked_log;
    uint32_t connections;
    uint64_t traces_max; /* about so many, evenly chosen; 0: all */
    const char *const *headers;
    uint32_t headers_count;
    uint64_t connect_timeout_ns;
    const volatile sig_atomic_t *stop;
    bool progress; /* a line on standard error */
};

struct audit_result {
    uint64_t requests;                  /* acknowledged, in the log */
    uint64_t traces;                    /* fetched */
    uint64_t unread;                    /* traces that could not be fetched */
    uint64_t acked;                     /* spans that had to be there */
    uint64_t missing, doubled, altered; /* spans */
    double seconds;
};

/* ERR_PEER_GONE: cannot connect; ERR_MALFORMED: the log; ERR_VERSION: the log is of another generator or
 * capture. */
enum err audit_run(const struct audit_config *config, struct audit_result *result);

#endif
