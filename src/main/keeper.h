/*
 * The keeper: a thread of low priority that merges segments and removes what has expired, with a plain io of its own, one
 * piece of work after the other.
 *
 *   keeper_start() when spans and questions are let in -> keeper_stop() before the query workers end
 */
#ifndef MAIN_KEEPER_H
#define MAIN_KEEPER_H

#include "store/retention.h"

#include <stdbool.h>

struct keeper;
struct world;

/* The limits that the configuration means on this disk. */
struct retention_config keeper_retention(const struct world *world);
bool keeper_start(struct world *world);
/* Ends after the piece of work in hand, some hundred milliseconds; what is unfinished is thrown away. */
void keeper_stop(struct world *world);
/*
 * What leaves and what must not: the lists of pins and erasures, and retention. Opened before queries are, which look at them; on
 * failure the process ends. Closed when both the keeper and the queries are gone.
 */
enum err keeper_open_rules(struct world *world);
void keeper_close_rules(struct world *world);
/* Seals all that is acknowledged by now; is it done? For who has the world as a context; any thread. */
uint32_t keeper_seal(void *world);
bool keeper_is_sealed(void *world, uint32_t ticket);

#endif
