/*
 * The stock: request bodies made ahead, to be sent again and again with fresh ids and times.
 *
 * A stock holds some hundred bodies (ExportTraceServiceRequest) that belong together: spans of one trace may
 * lie in several of them. Sending all bodies once is a round. stock_stamp() writes into one body, in place,
 * the ids, times and unique attribute values of a round; they are a function of (seed, run, round, place in
 * the stock) and of the round's time, so any body of any round can be made again later, byte for byte.
 *
 *   stock_open(&config, &stock);
 *   stock_stamp(stock, body, round, time_ns) -> slice        as often as wanted, one thread
 *   stock_close(stock);
 *
 * Trace ids and span ids never repeat within 2^35 rounds of one (seed, run).
 */
#ifndef LOAD_STOCK_H
#define LOAD_STOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/*  id             name    what it stands for */
#define PROFILE_TABLE(X)                                                                                     \
    X(PROFILE_LEAN, "lean", "about 275 bytes and 5 attributes a span, few events")                           \
    X(PROFILE_SHOP, "shop", "about 600 bytes, 10 attributes and one event a span")                           \
    X(PROFILE_PROD, "prod", "about 1.5 KB a span: 20 resource and 15 span attributes, 3 of them unique")

enum profile {
#define X(id, name, help) id,
    PROFILE_TABLE(X)
#undef X
        PROFILE_COUNT
};

struct stock_config {
    enum profile profile;
    uint64_t seed;
    uint64_t run;               /* tells apart two runs with one seed; part of every id */
    uint32_t services;          /* 1 … 500 */
    uint32_t bodies;            /* how many to make ahead, without those of the giant trace */
    uint32_t spans_per_request; /* of a corpus: 0 keeps its messages as they are */
    uint32_t giant_spans;       /* size of the rare large trace, 0 for none */
    const char *corpus_path;    /* NULL: generate. Borrowed while stock_open() runs */
};

/* One in this many rounds carries the bodies of the giant trace. */
#define STOCK_GIANT_EVERY 16

/* Where a span of the templates lies. Offsets count from the beginning of its body. */
struct stock_span {
    uint32_t body;
    uint32_t trace;       /* 0 … stock_traces() - 1 */
    uint32_t offset, len; /* the Span message */
    uint32_t resource;    /* index for stock_envelope(): its ResourceSpans */
    uint32_t scope;       /* index for stock_envelope(): its ScopeSpans */
};

struct stock;

/* ERR_NOT_FOUND, ERR_IO, ERR_MALFORMED (corpus), ERR_NO_MEMORY, ERR_TOO_LARGE; what was wrong has been
 * logged. */
enum err stock_open(const struct stock_config *config, struct stock **stock);
void stock_close(struct stock *stock);

uint32_t stock_bodies(const struct stock *stock);
/* Bodies 0 … n - 1 make up this round; the giant trace's come last and not in every round. */
uint32_t stock_bodies_in_round(const struct stock *stock, uint64_t round);
uint32_t stock_body_spans(const struct stock *stock, uint32_t body);
uint32_t stock_body_len_max(const struct stock *stock);
uint64_t stock_round_spans(const struct stock *stock, uint64_t round);
/* Of the templates; to recognise another generator version by. */
uint64_t stock_checksum(const struct stock *stock);

/*
 * Makes the body that of the round and returns it; borrowed until the next stamp of the same body. Spans end
 * at or before time_ns (nanoseconds since 1970).
 */
struct slice stock_stamp(struct stock *stock, uint32_t body, uint64_t round, uint64_t time_ns);
/* The same, in memory of the caller that holds stock_body_len_max() bytes; the stock's own copy is only read.
 */
struct slice stock_stamp_copy(const struct stock *stock, uint32_t body, uint64_t round, uint64_t time_ns,
                              uint8_t *into);

/* What verification needs: the traces of a round and where their spans are. */
struct trace_id {
    uint8_t bytes[16];
};
uint32_t stock_traces(const struct stock *stock);
struct trace_id stock_trace_id(const struct stock *stock, uint64_t round, uint32_t trace);
/* The spans of one trace, count of them at *spans; borrowed until stock_close(). */
uint32_t stock_trace_spans(const struct stock *stock, uint32_t trace, const struct stock_span **spans);
/* The body as last stamped. */
struct slice stock_body(const struct stock *stock, uint32_t body);
/* The whole ResourceSpans or ScopeSpans message of a stock_span, as last stamped. */
struct slice stock_envelope(const struct stock *stock, uint32_t body, uint32_t envelope);

#endif
