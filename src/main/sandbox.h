/*
 * The sandbox: what the process gives up before it meets foreign bytes, so that a parser that is wrong does not become a
 * shell. Rings bring their own restrictions (io/uring_setup.c); seccomp does not see what goes through a ring, Landlock
 * does, hence both.
 *
 *   sandbox_wall()    by the main thread, before any other thread and any ring: rights, core dumps, capabilities, and
 *                     Landlock, which binds a thread and what it starts afterwards
 *   sandbox_calls()   when everything is up: system calls, for all threads at once
 *   sandbox_tell()    one line about both
 *
 * What a kernel does not have is left out and told. With `required` a missing piece is an error.
 */
#ifndef MAIN_SANDBOX_H
#define MAIN_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { SANDBOX_PATHS_MAX = 8, SANDBOX_PORTS_MAX = 8 };

struct sandbox {
    /* set by the caller */
    bool off, required;
    const char *data; /* read, write, create, remove below it */
    const char *readable
        [SANDBOX_PATHS_MAX]; /* files and directories beside what every process reads; NULL: no more */
    uint16_t ports[SANDBOX_PORTS_MAX]; /* may be bound; one that is 0 allows all */
    unsigned ports_count;

    /* what became of it */
    bool confined;       /* no new privileges, no core dumps, no capabilities */
    int landlock;        /* ABI that is in force; 0: none */
    bool calls;          /* seccomp is in force in all threads */
    const char *missing; /* the first thing that is not; NULL: nothing */
};

/* ERR_UNSUPPORTED: required, and something is missing. */
enum err sandbox_wall(struct sandbox *sandbox);
enum err sandbox_calls(struct sandbox *sandbox);
void sandbox_tell(const struct sandbox *sandbox);

/*
 * Tries in children of its own what the sandbox must deny, in a data directory that is made for it, and prints a line each.
 * Returns an exit code: 0 when everything that this kernel can deny was denied. `without`: no sandbox, to see that the
 * attempts are worth something.
 */
int sandbox_try(bool without);

#endif
