/*
 * Private to access/: failures per source and minute, in a table of fixed size. Only who fails comes here, so one mutex
 * serves all threads, and the count is exact across them.
 *
 * Sources share sets of four places by a seeded hash. In a full set the place of an earlier minute is taken first, then
 * the one with the fewest failures: a source that goes on failing keeps its place. Whoever fails from many addresses is
 * counted less exactly, and each costs one digest all the same.
 */
#ifndef ACCESS_FAILURES_H
#define ACCESS_FAILURES_H

#include "access/access.h"

#include <pthread.h>

enum { FAILURE_WAYS = 4, FAILURE_SETS = ACCESS_SOURCES_MAX / FAILURE_WAYS };

struct failures {
    pthread_mutex_t mutex;
    uint64_t seed;
    struct failure {
        uint64_t hash;   /* 0: empty */
        uint64_t minute; /* of the clock that callers use */
        uint32_t count;
    } sets[FAILURE_SETS][FAILURE_WAYS];
};

void failures_init(struct failures *failures, uint64_t seed);
void failures_deinit(struct failures *failures);
/* Returns the count of this minute, with this one. */
unsigned failures_count(struct failures *failures, struct slice source, uint64_t now_ns);
/* 1..60 */
unsigned failures_seconds_left(uint64_t now_ns);

#endif
