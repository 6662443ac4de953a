/*
 * How a thread stands behind others for the CPU, by the class of its transfers (io/gate.h): a shard is to run as soon as it is
 * woken, whatever sealers, questions and merges compute meanwhile.
 */
#ifndef IO_RANK_H
#define IO_RANK_H

#include "io/gate.h"

/* Of the calling thread, for good: an ordinary user can give away, not take back. False: it was refused. */
bool io_rank(enum io_class class);

#endif
