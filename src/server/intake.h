/*
 * Private to server/: what a body that is on its way may hold of the shard's memory, and for how long.
 */
#ifndef SERVER_INTAKE_H
#define SERVER_INTAKE_H

#include "server/server.h"
#include "shard/shard.h"

/* Takes the first piece for a body of at most bytes_max; len is 0. False: no memory now. */
bool intake_begin(struct shard *shard, uint64_t bytes_max, struct shard_body *out);
/* How much memory a body has earned by what has come of it. */
uint64_t intake_trusted(const struct shard_body *body, uint64_t bytes_max);
/* Room for `more` bytes, and for what it has earned beyond that. False: no memory now. */
bool intake_make_room(struct shard *shard, struct shard_body *body, uint64_t more, uint64_t bytes_max);
/* Until when more must have come, having begun then and received so much. */
uint64_t intake_deadline_ns(const struct server_limits *limits, uint64_t begin_ns, uint64_t bytes);

#endif
