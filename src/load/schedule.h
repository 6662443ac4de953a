/*
 * The schedule: which body of which round is to be sent next, and when it was meant to be sent.
 *
 * Closed loop (rate 0): the next one is always due. Open loop: bodies fall due at a fixed rate of spans per
 * second, whether or not the server keeps up; what could not be sent in time stays due, and its latency
 * counts from then.
 *
 *   schedule_init;  schedule_take(&schedule, now, &unit) while it says true;  schedule_retry() puts a refused
 * one back
 */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

#include "load/stock.h"

/* One request to be sent. */
struct unit {
    uint64_t round;
    uint64_t time_ns;       /* the round's, since 1970 */
    uint64_t intended_ns;   /* monotonic: when it should have gone out */
    uint64_t not_before_ns; /* of a retry */
    uint32_t body;
    uint32_t attempts;
};

#define SCHEDULE_RETRIES_MAX 4096 /* waiting at once; beyond, a refused request is given up */

struct schedule {
    /* configuration */
    const struct stock *stock; /* borrowed */
    double spans_per_second;   /* 0: closed loop */
    uint64_t start_ns;
    uint64_t stop_ns;   /* no new bodies from here on; UINT64_MAX for no limit */
    uint64_t spans_max; /* likewise */

    /* state */
    uint64_t round, round_time_ns;
    uint32_t body;
    uint64_t spans;       /* taken so far */
    struct unit *retries; /* owned; not sorted */
    uint32_t retries_count;
};

/* Fill in the configuration first. ERR_NO_MEMORY */
enum err schedule_init(struct schedule *schedule);
void schedule_deinit(struct schedule *schedule);
/* The next request that is due; false when none is. unix_ns is the wall clock, for the time of a new round.
 */
bool schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t unix_ns, struct unit *unit);
/* Send this one again, not before the given time. False when too many wait already. */
bool schedule_retry(struct schedule *schedule, const struct unit *unit, uint64_t not_before_ns);
/* When something will be due (maybe in the past), or UINT64_MAX when nothing is left. */
uint64_t schedule_next_ns(const struct schedule *schedule, uint64_t now_ns);
/* No new bodies and no retries after this moment. */
void schedule_stop(struct schedule *schedule);

#endif
