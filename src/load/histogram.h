/*
 * A histogram of durations with logarithmic buckets: 128 to each power of two, so a percentile is at most 0.8
 * % too high; 0 ns to 2^63 ns, 58 KiB, no allocation, a few instructions to record.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

/* All zero is an empty histogram. */
struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t duration_ns);
/*
 * The smallest duration that at least this share (0 < share ≤ 1) of the recorded ones does not exceed,
 * rounded up to its bucket's upper edge but never beyond the maximum; 0 when nothing was recorded.
 */
uint64_t histogram_percentile_ns(const struct histogram *histogram, double share);

#endif
