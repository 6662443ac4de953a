/*
 * The thread that reads what is stored again, slowly, so that bits that change at rest are found (store/scrub.h). It has
 * the lowest priority and an io of its own, and shares nothing with merges but the disk.
 *
 *   scrub_thread_start() when spans and questions are let in -> scrub_thread_stop() before the query workers end
 */
#ifndef MAIN_SCRUB_THREAD_H
#define MAIN_SCRUB_THREAD_H

#include <stdbool.h>

struct world;

/* With scrub.every at 0 there is none. */
bool scrub_thread_start(struct world *world);
/* Ends after the read in hand, of 256 KiB at most; the next start goes on there. */
void scrub_thread_stop(struct world *world);

#endif
