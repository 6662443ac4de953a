/*
 * Questions over live blocks and segments, and the HTTP API that asks them. Worker threads with a plain io of
 * their own do the work; the connection's thread only parses and queues, and the answer goes back through its
 * ticket.
 *
 *   query_open() -> query_routes() into the server's route table -> server runs
 *   server_drain(), turns until it is idle, or server_drop() -> query_close() -> server_close()
 *
 * In this order, because workers hold tickets of the server until they are joined, and handlers of the server
 * hold the query until no connection is left.
 *
 * A query takes each shard's live set, then the catalog version (shard.h says why in that order), so it sees
 * every span that was acknowledged before it came, once. It has a deadline and a memory limit, and ends early
 * when its client leaves.
 */
#ifndef QUERY_QUERY_H
#define QUERY_QUERY_H

#include "base/err.h"
#include "server/exchange.h"
#include "store/retention.h"

#include <stddef.h>
#include <stdint.h>

struct backups;
struct catalog;
struct erasures;
struct io_gate;
struct metrics;
struct pins;
struct query;
struct shard;

struct query_config {
    struct shard *const *shards; /* borrowed */
    size_t shards_count;
    struct catalog *catalog;           /* borrowed */
    struct retention_config retention; /* in force, for GET /query/v1/retention */
    struct retention *keeping;         /* borrowed: whose preview is shown */
    struct pins *pins;                 /* borrowed */
    struct erasures *erasures;         /* borrowed */
    struct backups *backups;           /* borrowed */
    struct metrics *metrics;           /* borrowed; the query pool's own set */
    struct io_gate *gate;              /* borrowed; the workers' transfers pass there. NULL: none */
    /*
     * Has everything sealed that is acknowledged by now, and says when it is; any thread. The ticket is for the second one. NULL:
     * exports have what is in segments.
     */
    uint32_t (*seal)(void *context);
    bool (*is_sealed)(void *context, uint32_t ticket);
    void *seal_context;
    unsigned threads;          /* default 2 */
    unsigned waiting_max;      /* queued queries; more are answered 429. Default 32 */
    uint64_t deadline_ns;      /* per query, default 30 s */
    uint64_t memory_bytes_max; /* per query, default 256 MiB */
    uint64_t answer_bytes_max; /* default 64 MiB; a longer trace is cut and says truncated */
};

enum err query_open(const struct query_config *config, struct query **out);
/*
 * Rows for the route table, ROLE_QUERY, valid until query_close():
 *   GET /query/v1/traces/{id}  GET /query/v1/traces  GET /query/v1/services  GET /query/v1/operations
 *   GET /query/v1/retention  GET /query/v1/ledger  GET and POST /query/v1/pins  DELETE /query/v1/pins/{id}
 *   GET and POST /query/v1/deletions  GET /query/v1/deletions/{id}
 *   POST /query/v1/export  GET and DELETE /query/v1/export/{id}
 *   GET and POST /query/v1/backups  DELETE /query/v1/backups/{name}
 */
const struct route *query_routes(const struct query *query, size_t *count);
/*
 * Lets go of versions that clients hold and have not asked for, by io_now_ns(), and of blocks that are kept open in versions before the current one, so that files that are gone from those can leave
 * the disk. Any thread.
 */
void query_forget_retired(struct query *query, uint64_t now_ns);
/* Ends running queries (503) and joins the workers; see above for when. */
void query_close(struct query *query);

#endif
