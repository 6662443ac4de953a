/* Private to io/: what the implementations do at the gate. io->gate is not NULL in any of these. */
#ifndef IO_GATE_PRIVATE_H
#define IO_GATE_PRIVATE_H

#include "backend.h"

/* Waits for its turn; then io__gate_leave() after one system call. Else the err of the io's patience, and nothing to leave. */
enum err io__gate_enter(struct io *io, size_t bytes);
void io__gate_leave(struct io *io);
/* A journal's write, from submission to landing. No lock, no waiting. */
void io__gate_journal_begins(struct io_gate *gate);
void io__gate_journal_ends(struct io_gate *gate);
/* Can the kernel read without keeping? Yes, until a reader has found that it cannot. */
bool io__gate_drops_cache(const struct io_gate *gate);
void io__gate_keeps_cache(struct io_gate *gate);

#endif
