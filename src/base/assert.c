/*
 * The end of the road for a broken invariant: one line on standard error, then abort, so that a core or the
 * service manager's log tells where. Prints no memory: span data is personal data.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "spanmill: assertion failed: %s (%s:%d)\n", condition, file, line);
    fflush(stderr);
    abort();
}
