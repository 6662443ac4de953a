/*
 * Threads and CPUs.
 *
 * A shard thread is pinned so that its ring, its memory and the interrupts of its network queue meet on one
 * core. All other threads are left to the scheduler: sealing is bursts, queries come when they come.
 */
#include "placement.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

void placement_read(struct placement *out)
{
    cpu_set_t set;

    out->cpus_count = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (unsigned cpu = 0; cpu < CPU_SETSIZE && out->cpus_count < PLACEMENT_CPUS_MAX; cpu++)
            if (CPU_ISSET(cpu, &set)) out->cpus[out->cpus_count++] = cpu;
    if (out->cpus_count == 0) out->cpus[out->cpus_count++] = 0;
}

unsigned placement_shards(unsigned cpus_count)
{
    if (cpus_count <= 1) return 1;
    return cpus_count <= 4 ? cpus_count - 1 : cpus_count * 3 / 4;
}

unsigned placement_sealers(unsigned shards_count)
{
    return (shards_count + 2) / 3; /* sealing costs about a fifth of what ingest does */
}

/* "0", "0-3" or "0,2-3" */
unsigned placement_nodes(const char *root)
{
    char path[512];
    unsigned first, last, nodes = 0;

    snprintf(path, sizeof path, "%s/sys/devices/system/node/has_memory", root);
    FILE *const file = fopen(path, "r");
    if (file == NULL) return 1;
    while (fscanf(file, "%u", &first) == 1) {
        int next = fgetc(file);
        last = first;
        if (next == '-' && fscanf(file, "%u", &last) == 1) next = fgetc(file);
        nodes += last >= first ? last - first + 1 : 0;
        if (next != ',') break;
    }
    fclose(file);
    return nodes > 0 ? nodes : 1;
}

bool placement_pin(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

void placement_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}
