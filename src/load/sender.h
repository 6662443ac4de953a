/*
 * The sender: takes requests from a schedule, stamps them, sends them over a number of connections and counts
 * what comes back.
 *
 *   sender_open(&config, &sender);  sender_run(sender);  sender_totals(sender);  sender_close(sender)
 */
#ifndef LOAD_SENDER_H
#define LOAD_SENDER_H

#include <signal.h>

#include "ack_log.h"
#include "conn.h"
#include "histogram.h"
#include "schedule.h"

enum protocol { PROTOCOL_HTTP, PROTOCOL_GRPC };
enum compression { COMPRESSION_NONE, COMPRESSION_GZIP };

struct totals {
    /* requests: sent = acked + refused + unknown + errors, once nothing is in flight */
    uint64_t requests, acked, refused, unknown, errors;
    uint64_t partial; /* of the acked: some spans rejected */
    uint64_t spans, spans_acked, spans_rejected;
    uint64_t bytes_plain, bytes_wire; /* of bodies, before and after compression */
    uint64_t retries, reconnects;
    uint64_t started_ns, ended_ns; /* monotonic; ended: the last answer */
    int first_error_status;        /* 0: none */
    char first_error[200];         /* what the server said, printable */
    const char *tls_failure;       /* of the last handshake that failed; static text, NULL: none */
    struct histogram latency;      /* of the acked, from the intended send time */
    struct histogram lag;          /* how late requests went out: our own queue */
};

struct sender_config {
    struct stock *stock; /* borrowed, like all here */
    const struct endpoint *endpoint;
    struct ack_log *acks;       /* NULL: none */
    const char *const *headers; /* further header lines, "Name: value" */
    uint32_t headers_count;
    uint32_t connections;
    enum protocol protocol;
    enum compression compression;
    bool retry;
    double spans_per_second; /* 0: as fast as answers come */
    uint64_t duration_ns;    /* 0: no limit */
    uint64_t spans_max;      /* 0: no limit */
    uint64_t
        connect_timeout_ns; /* give up when no connection could be had for so long; later, six times as long */
    const volatile sig_atomic_t *stop; /* becomes true: send nothing new, wait for answers, return */
    void (*on_progress)(const struct totals *totals,
                        uint64_t now_ns); /* NULL, or about five times a second */
};

struct sender;

enum err sender_open(const struct sender_config *config, struct sender **sender);
/* ERR_PEER_GONE: no connection for connect_timeout_ns; ERR_IO…: the acknowledgement log cannot be written. */
enum err sender_run(struct sender *sender);
const struct totals *sender_totals(const struct sender *sender);
/*
 * The id of a trace that is acknowledged as a whole, preferably with some tens of spans; false when there is
 * none.
 */
bool sender_acked_trace(const struct sender *sender, struct trace_id *id);
void sender_close(struct sender *sender);

#endif
