/*
 * CPUs for threads: which ones we may use, how many shards suit them, pinning.
 */
#ifndef MAIN_PLACEMENT_H
#define MAIN_PLACEMENT_H

#include <stdbool.h>

enum { PLACEMENT_CPUS_MAX = 1024 };

struct placement {
    unsigned cpus[PLACEMENT_CPUS_MAX]; /* numbers of the CPUs that this process may run on, ascending */
    unsigned cpus_count;               /* at least 1 */
};

void placement_read(struct placement *out);
/* Up to four CPUs: all but one, at least one; beyond: three quarters. The rest is for sealers, queries and
 * the kernel. */
unsigned placement_shards(unsigned cpus_count);
unsigned placement_sealers(unsigned shards_count);
/* Memory nodes of the machine, at least 1. root as in plan_read(). */
unsigned placement_nodes(const char *root);
/* Pins the calling thread; false when the system refuses. */
bool placement_pin(unsigned cpu);
/* Names the calling thread, for top and debuggers. */
void placement_name(const char *name);

#endif
