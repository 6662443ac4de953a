/* The fields of a shard, for the files of this room. All belong to the shard's thread unless said. */
#ifndef SHARD_SHARD_PRIVATE_H
#define SHARD_SHARD_PRIVATE_H

#include "backlog.h"
#include "body.h"
#include "live_set.h"
#include "shard/shard.h"

#include <stdatomic.h>

struct inflater;

/*
 *   OPENED -> RECOVERING -> SERVING -> DRAINING
 */
enum shard_stage {
    SHARD_OPENED,     /* nothing replayed */
    SHARD_RECOVERING, /* replay runs; no ingest */
    SHARD_SERVING,
    SHARD_DRAINING, /* no new ingest; what is in flight lands */
};

struct shard {
    struct shard_config config;
    /* pieces, each with its own file */
    struct journal *journal;
    struct otlp_decoder *decoder;
    struct inflater *inflater;
    struct body_pool bodies;
    struct live_set live;
    struct backlog backlog;
    /* state */
    enum shard_stage stage;
    unsigned ingests_in_flight;   /* appended to the journal, done not yet run */
    unsigned inflate_ratio;       /* of the last compressed body, rounded up: a first guess for the next */
    uint64_t sealed_lsn;          /* everything below is in the catalog */
    uint64_t last_ingest_ns;      /* io_now_ns() of the last append */
    bool rest_noted;              /* the journal has noted how far it is durable since then */
    _Atomic uint64_t durable_lsn; /* read by any thread */
    unsigned undecodable;         /* journaled bodies skipped at replay */
    unsigned failures_in_row;     /* of the journal, without an acknowledgement between */
    uint64_t resume_ns; /* not before then is a file made to go on in; 0: not read-only, or not yet seen */
    bool stalled;       /* the journal waits for the disk for longer than stall_ns_max */
};

/* ---- rows.c ----------------------------------------------------------------------------------------- */

/* One body on its way to rows. */
struct rows_request {
    struct slice body;    /* as received */
    uint8_t codec;        /* enum journal_codec */
    uint8_t content_type; /* enum journal_content */
    /* the outcome */
    struct live_slot *slot; /* holds the rows, between live_append_begin() and live_append_end() or _undo() */
    uint64_t plain_bytes;
    uint32_t cut;
    struct otlp_json_changes changes; /* of a JSON body */
    struct otlp_result result;
    const char *reason; /* static text; for errors */
};
/*
 * Inflates, translates and decodes the body into the open live block; closes a block that has no room for it. On OK the
 * caller ends or undoes the append in request->slot; on failure nothing is left behind.
 */
enum err rows_append(struct shard *shard, struct rows_request *request);
/* Closes the open block when it is full; at a request boundary. */
void rows_close_if_full(struct shard *shard, struct live_slot *slot);

/* ---- trouble.c -------------------------------------------------------------------------------------- */

/* Looks after the journal's failures and stalls, once a turn. */
void trouble_tend(struct shard *shard, uint64_t now_ns);
/* The time at which it has to look again; UINT64_MAX: all is well. */
uint64_t trouble_next_ns(const struct shard *shard, uint64_t now_ns);
/* May the pool make a file for the journal now? */
bool trouble_lets_prepare(const struct shard *shard, uint64_t now_ns);

#endif
