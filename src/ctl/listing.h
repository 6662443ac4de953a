/*
 * A server's answer in JSON, shown as text: names as the server has them, nothing that a client has sent reaches the terminal
 * as a control byte.
 */
#ifndef CTL_LISTING_H
#define CTL_LISTING_H

#include "base/slice.h"

#include <stdio.h>

/* The answer as it is, and a line end. */
void listing_raw(struct slice body);
/* A line for each object in the array of that name: its plain members, name=value. Text that could mislead is quoted. */
void listing_array(FILE *to, struct slice body, const char *name);
/* The plain members of the object itself, on one line. */
void listing_object(FILE *to, struct slice body);

#endif
