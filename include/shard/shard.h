/*
 * A shard is one core's world: its io, journal, live blocks, body buffers and budget. It shares nothing with
 * other shards. This room turns complete request bodies into durable, visible spans; sockets and HTTP live
 * one floor up.
 *
 *   shard_open()     journal opened, nothing replayed    (on the shard's thread, as all below unless said)
 *   shard_recover()  replays the journal from the catalog's sealed LSN through the normal decoder, into
 *                    live blocks (closing and sealing them when they fill), then starts the journal
 *   shard_turn()     one turn of the loop: journal flush, io_turn, finished seals
 *   shard_ingest()   body -> rows (unpublished) -> journal frame -> durable -> rows published -> done
 *   shard_drain()    no new ingest (ERR_CLOSING); idle when everything in flight has landed
 *   shard_close()
 *
 * Live blocks: one open, up to live_blocks_max in all. A closed block whose rows are all durable goes to the
 * sealer pool (sealer.h), is encoded and appended to the shard's segment in LSN order, and leaves the live
 * set only after the catalog version that contains it is published. No free live block, a full journal or no
 * body memory: ERR_FULL. The live set is empty when everything is sealed.
 *
 * The shard counts METRIC_REQUESTS_* and METRIC_SPANS_* for whatever reaches shard_ingest(); refusals before
 * it are its caller's to count. It needs no wake handler: the sealer calls io_wake(), and the turn looks by
 * itself.
 */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "base/err.h"
#include "model/otlp.h"
#include "model/otlp_from_json.h"
#include "store/journal.h"
#include "store/live.h"

struct io;
struct io_dir;
struct catalog;
struct metrics;
struct sealer;
struct shard;

struct shard_config {
    uint16_t index;
    struct io *io;              /* borrowed; the shard's thread owns it */
    struct io_dir *journal_dir; /* borrowed: this shard's own directory */
    struct catalog *catalog;    /* borrowed */
    struct sealer *sealer;      /* borrowed */
    struct metrics *metrics;    /* borrowed */
    struct journal_config journal;
    unsigned live_blocks_max;      /* default 4; 2 .. SHARD_LIVE_MAX */
    struct live_block **live_pool; /* NULL: own ones; or live_blocks_max borrowed ones (opening takes long) */
    uint64_t inflight_bytes_max;   /* bodies, compressed and inflated, of requests in work; default 128 MiB */
    uint64_t body_bytes_max;       /* as received; default 16 MiB */
    uint64_t plain_bytes_max;      /* inflated; default 64 MiB */
    uint64_t live_age_ns_max;      /* close after this age; default 10 min */
    uint64_t segment_window_ns;    /* an idle shard's segment is closed after this time; 0: never */
    uint64_t stall_ns_max; /* a journal write that takes longer: ingest is refused until it lands; 0: never */
    bool accept_journal_damage;
};
enum err shard_open(const struct shard_config *config, struct shard **out);
struct shard_recovery {
    struct journal_report journal;
    uint64_t elapsed_ns;
};
enum err shard_recover(struct shard *shard, struct shard_recovery *report);
/* Runs handlers; waits at most wait_ns for something to happen. Also hands over seals and ages blocks. */
enum err shard_turn(struct shard *shard, uint64_t wait_ns);
/* After appends made outside of a turn's handlers have been gathered; shard_turn() does it too. */
void shard_flush(struct shard *shard);
void shard_drain(struct shard *shard);
bool shard_idle(const struct shard *shard);
void shard_close(struct shard *shard);

/* ---- body buffers ----------------------------------------------------------------------------------- */

/*
 * Memory for one request body, ready to be journaled in place: ptr lies JOURNAL_FRAME_HEADER_BYTES behind a
 * page boundary, and the room behind it reaches to a page boundary. Taken from the shard's budget in size
 * classes (recycled, never malloc per request in steady state). False: no budget now, answer 503.
 */
struct shard_body {
    uint8_t *ptr;
    size_t capacity;
    size_t len; /* bytes received so far; set by the owner */
    void *private_block;
};
bool shard_body_acquire(struct shard *shard, size_t bytes, struct shard_body *out);
/* Grows, keeping the bytes; false leaves it as it was. */
bool shard_body_grow(struct shard *shard, struct shard_body *body, size_t bytes);
void shard_body_release(struct shard *shard, struct shard_body *body);

/* ---- ingest ----------------------------------------------------------------------------------------- */

struct shard_ingest {
    /* set by the owner before shard_ingest() */
    struct shard_body *body; /* borrowed until done */
    uint8_t codec;           /* enum journal_codec */
    uint8_t content_type;    /* enum journal_content */
    void (*done)(struct shard_ingest *ingest);
    /* the outcome, valid in done */
    enum err err;                     /* OK: durable and visible */
    struct otlp_result result;        /* spans, rejected, reason, byte offset */
    uint32_t cut;                     /* spans with something cut to a limit */
    struct otlp_json_changes changes; /* of a JSON body: what protobuf cannot hold */
    uint64_t position;                /* commit position, 0 when nothing was journaled (no spans) */
    const char *reason;               /* static text for err other than OK; may be NULL */
    /* private */
    struct journal_append append;
    struct live_counts counts;
    struct live_block *live;
    struct shard *shard;
};
/*
 * Decodes now; done runs later from a turn (or at once, within this call, when there is nothing to journal or
 * it failed). A body without spans is OK and journals nothing.
 */
void shard_ingest(struct shard *shard, struct shard_ingest *ingest);
/* Would an ingest be refused right now? OK, or why: ERR_FULL, ERR_READ_ONLY, ERR_CLOSING. */
enum err shard_admits(const struct shard *shard);
/* Closes the open live block, if it has rows, so that it is sealed soon (tests, shutdown). */
void shard_close_live(struct shard *shard);

/* ---- live set for queries (any thread) -------------------------------------------------------------- */

enum { SHARD_LIVE_MAX = 16 };
struct shard_live_set {
    struct live_block *blocks[SHARD_LIVE_MAX]; /* newest last */
    unsigned count;
};
/*
 * Holds the blocks that are live now: none of them is recycled until released. Take the live sets of all
 * shards first, then the catalog version; drop a live block that catalog_has(). That order is the whole proof
 * that no span is missed or seen twice.
 */
void shard_live_acquire(struct shard *shard, struct shard_live_set *out);
void shard_live_release(struct shard *shard, const struct shard_live_set *set);
/* Everything below is durable and visible; for `after=`. Any thread. */
uint64_t shard_durable_lsn(const struct shard *shard);
uint16_t shard_index(const struct shard *shard);

#endif
