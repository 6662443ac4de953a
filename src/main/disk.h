/*
 * The disk gate of this process (io/gate.h): made at the start with what the disk was found to take, measured if nobody has
 * yet; and its numbers.
 */
#ifndef MAIN_DISK_H
#define MAIN_DISK_H

#include <stdbool.h>
#include <stddef.h>

struct world;

/*
 * After the lock on the data directory and before anything works in it: world->gate, or NULL when it is switched off. Measuring
 * takes up to three seconds, in the first start over a directory. False: no memory.
 */
bool disk_open(struct world *world);
void disk_close(struct world *world);

/* Lines for /metrics; returns the length. Nothing while there is no gate. Any thread between open and close. */
size_t disk_metrics(char *text, size_t capacity);

#endif
