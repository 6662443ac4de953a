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

#endif
