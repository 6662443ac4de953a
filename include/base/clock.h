/*
 * Units of time, and a reading of the kernel's clocks. For the store, the shard and the query, time is a parameter (now_ns) or
 * comes from io/, which can simulate it: a reading of one's own is for what has no io, such as tools and tests.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* clock_gettime(2) as nanoseconds; CLOCK_REALTIME: Unix time. Any thread. */
uint64_t clock_ns(clockid_t clock);

#endif
