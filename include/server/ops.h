/*
 * The operations listener: /healthz, /readyz, /metrics and, when switched on, POST /debug/seal.
 *
 * Alive is a fixed answer. Ready means that ingest would be taken: every shard has recovered, none is
 * read-only or waits for its disk, and the program is not stopping. Damage at rest is told beside it. A seal request closes the live blocks of all shards and is
 * answered when they are in segments; each shard's loop takes part by ops_turn().
 */
#ifndef SERVER_OPS_H
#define SERVER_OPS_H

#include "base/err.h"
#include "server/exchange.h"

struct io;
struct metrics;
struct ops;
struct shard;

enum { OPS_ROUTES_MAX = 4, OPS_METRIC_SETS_MAX = 512 };

struct ops_config {
    const struct metrics *const *sets; /* borrowed for life; the first shards_count are the shards' own */
    const char *const *set_names;      /* label shard="<name>" */
    size_t sets_count;
    unsigned shards_count;
    bool debug_endpoints;
    const char *remark; /* a line that /readyz shows with every answer; NULL for none */
    /* Appends lines about the whole process; returns the length written. May be NULL. */
    size_t (*process_metrics)(char *text, size_t capacity);
};

enum err ops_open(const struct ops_config *config, struct ops **out);
void ops_close(struct ops *ops);
/* Fills in at most OPS_ROUTES_MAX rows; returns how many. */
size_t ops_routes(struct ops *ops, struct route *out);

/* Any thread. The shard can be asked from now on; io is woken when there is something to do. */
void ops_shard_ready(struct ops *ops, unsigned index, struct io *io);
void ops_stopping(struct ops *ops);
/*
 * The same as a seal request, without a client, and switched on or not. Any thread, while the shards serve. The number is for
 * ops_is_sealed(): is everything in segments that was acknowledged before ops_seal()?
 */
uint32_t ops_seal(struct ops *ops);
bool ops_is_sealed(const struct ops *ops, uint32_t number);
/* On the shard's thread, in every turn. */
void ops_turn(struct ops *ops, unsigned index, struct shard *shard);

#endif
