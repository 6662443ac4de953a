/*
 * A ring that is asked for what it must not do, for the program's own test of its sandbox.
 */
#ifndef IO_RING_TRY_H
#define IO_RING_TRY_H

#include <stdbool.h>

/*
 * Opens path through a ring of its own, restricted like those of io_open_uring() or not at all. 0: it was opened (and closed
 * again); else the errno of whoever refused: EACCES is a restriction or Landlock.
 */
int io_ring_try_open(const char *path, bool restricted);

#endif
