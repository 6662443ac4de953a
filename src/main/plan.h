/*
 * `spanmill plan`: which CPU serves which receive queue of which network interface, and how that meets the
 * shards.
 */
#ifndef MAIN_PLAN_H
#define MAIN_PLAN_H

#include "placement.h"

#include <stdio.h>

enum { PLAN_QUEUES_MAX = 512, PLAN_INTERFACES_MAX = 32 };

struct plan_queue {
    unsigned queue;
    int irq;   /* -1: none found */
    int cpu;   /* that serves the interrupt; -1: several or unknown */
    int shard; /* on that CPU; -1: none */
};

struct plan_interface {
    char name[32];
    char driver[32];
    struct plan_queue queues[PLAN_QUEUES_MAX];
    unsigned queues_count;
    const char *why_not; /* why it is not one queue, one CPU, one shard; NULL when it is */
};

/*
 * root is "" on a real system, or a directory that holds copies of sys/ and proc/ (tests). Returns the number
 * of interfaces written.
 */
unsigned plan_read(const char *root, const struct placement *placement, unsigned shards_count,
                   struct plan_interface *out, unsigned capacity);
/*
 * Moves the CPUs that serve the receive queues of the interface with most of them to the front, in order of the queues:
 * shard i then runs where queue i arrives. CPUs that we may not use are passed over.
 */
void plan_order_cpus(const struct plan_interface *interfaces, unsigned count, struct placement *placement);
struct steering;
void plan_print(FILE *out, const struct plan_interface *interfaces, unsigned count, unsigned shards_count,
                const struct steering *steering);
void plan_print_json(FILE *out, const struct plan_interface *interfaces, unsigned count,
                     unsigned shards_count, const struct steering *steering);

#endif
