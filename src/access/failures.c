/* See failures.h. */
#include "failures.h"

#include "base/clock.h"
#include "base/hash.h"

static const uint64_t minute_ns = 60 * NS_PER_S;

void failures_init(struct failures *failures, uint64_t seed)
{
    pthread_mutex_init(&failures->mutex, NULL);
    failures->seed = seed;
}

void failures_deinit(struct failures *failures)
{
    pthread_mutex_destroy(&failures->mutex);
}

/* The place of the source, or the one that it takes. */
static struct failure *place_of(struct failure *set, uint64_t hash, uint64_t minute)
{
    struct failure *least = &set[0];

    for (unsigned i = 0; i < FAILURE_WAYS; i++) {
        if (set[i].hash == hash) return &set[i];
        const uint32_t count = set[i].minute == minute ? set[i].count : 0;
        const uint32_t least_count = least->minute == minute ? least->count : 0;
        if (count < least_count) least = &set[i];
    }
    *least = (struct failure){.hash = hash, .minute = minute};
    return least;
}

unsigned failures_count(struct failures *failures, struct slice source, uint64_t now_ns)
{
    const uint64_t hash = hash_fast(source.ptr, source.len, failures->seed) | 1, minute = now_ns / minute_ns;

    pthread_mutex_lock(&failures->mutex);
    struct failure *const place = place_of(failures->sets[hash >> 32 & (FAILURE_SETS - 1)], hash, minute);
    if (place->minute != minute) *place = (struct failure){.hash = hash, .minute = minute};
    if (place->count < UINT32_MAX) place->count++;
    const unsigned count = place->count;
    pthread_mutex_unlock(&failures->mutex);
    return count;
}

unsigned failures_seconds_left(uint64_t now_ns)
{
    return 1 + (unsigned)((minute_ns - 1 - now_ns % minute_ns) / NS_PER_S);
}
