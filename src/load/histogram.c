/*
 * The bucket of v: below 128 its own; above, the exponent of its leading bit and the seven bits after it.
 *
 *   v = 1 b6 b5 b4 b3 b2 b1 b0 xxxxx   ->   (exponent - 6) * 128 + b6…b0
 */
#include "histogram.h"

#include <math.h>
#include <stddef.h>

#include "base/assert.h"

#define SUB_COUNT (1U << HISTOGRAM_SUB_BITS)

static size_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT) return (size_t)value;

    const unsigned exponent = 63U - (unsigned)__builtin_clzll(value);
    const unsigned shift = exponent - HISTOGRAM_SUB_BITS;
    return (size_t)((shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((value >> shift) & (SUB_COUNT - 1));
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_upper(size_t bucket)
{
    if (bucket < SUB_COUNT) return bucket;

    const unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    const uint64_t lower = (uint64_t)(SUB_COUNT | (bucket & (SUB_COUNT - 1))) << shift;
    return lower + ((1ULL << shift) - 1);
}

void histogram_record(struct histogram *histogram, uint64_t duration_ns)
{
    histogram->buckets[bucket_of(duration_ns)]++;
    histogram->count++;
    if (duration_ns > histogram->max_ns) histogram->max_ns = duration_ns;
}

uint64_t histogram_percentile_ns(const struct histogram *histogram, double share)
{
    assert(share > 0 && share <= 1);

    const uint64_t rank = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t below = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        below += histogram->buckets[i];
        if (below >= rank && histogram->buckets[i] > 0)
            return bucket_upper(i) < histogram->max_ns ? bucket_upper(i) : histogram->max_ns;
    }
    return histogram->max_ns;
}
