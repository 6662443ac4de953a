/*
 * Whether connections are steered to the shard on whose CPU they arrive, or dealt by hash.
 */
#ifndef MAIN_STEERING_H
#define MAIN_STEERING_H

#include "option.h"
#include "plan.h"

struct steering {
    const char *why_not; /* NULL: steered */
};

/* placement is in the order of shards; interfaces were read with it. May try it on loopback (io_steering_check()). */
struct steering steering_decide(const struct options *options, const struct placement *placement,
                                unsigned shards_count, const struct plan_interface *interfaces,
                                unsigned interfaces_count);

#endif
