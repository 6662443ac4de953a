/*
 * A listener with SO_INCOMING_CPU takes the connections whose first packet its CPU has handled. That is right where
 * every shard has a receive queue of its own: nothing of a connection then leaves its core. Where one CPU handles
 * the packets of all (one queue, loopback) one shard would get everything. So steering is for one to one
 * only, unless told otherwise, and never without a trial that it works here.
 *
 * Connections that arrive on the CPU of no shard are dealt by hash, as all are without steering.
 */
#include "steering.h"

#include "config.h"
#include "io/io.h"

static bool is_one_to_one(const struct plan_interface *interfaces, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (interfaces[i].why_not == NULL) return true;
    return false;
}

static const char *why_not(const struct options *options, const struct placement *placement,
                           unsigned shards_count, const struct plan_interface *interfaces,
                           unsigned interfaces_count)
{
    const bool told = options_number(options, OPTION_STEER) == SWITCH_ON;

    if (options_number(options, OPTION_STEER) == SWITCH_OFF) return "placement.steer is false";
    if (shards_count < 2) return "there is one shard";
    if (options_number(options, OPTION_PIN) == 0) return "shards are not pinned";
    if (shards_count > placement->cpus_count) return "there are more shards than CPUs";
    const bool zipkin_is_local = options_off(options, OPTION_ZIPKIN) ||
                                 config_is_loopback(options_text(options, OPTION_ZIPKIN));
    if (!told && config_is_loopback(options_text(options, OPTION_OTLP_HTTP)) &&
        config_is_loopback(options_text(options, OPTION_OTLP_GRPC)) && zipkin_is_local)
        return "connections come from this host only";
    if (!told && !is_one_to_one(interfaces, interfaces_count))
        return "no interface has one queue, one CPU, one shard";
    if (io_steering_check(placement->cpus, shards_count) != OK) return "it was tried and does not work here";
    return NULL;
}

struct steering steering_decide(const struct options *options, const struct placement *placement,
                                unsigned shards_count, const struct plan_interface *interfaces,
                                unsigned interfaces_count)
{
    return (struct steering){why_not(options, placement, shards_count, interfaces, interfaces_count)};
}
