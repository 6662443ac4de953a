/*
 * A server's answer in JSON, shown as text: names as the server has them, nothing that a client has sent reaches the terminal
 * as a control byte.
 */
#ifndef CTL_LISTING_H
#define CTL_LISTING_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdio.h>

/* The answer as it is, and a line end. */
void listing_raw(struct slice body);
/* A line for each object in the array of that name: its plain members, name=value. Text that could mislead is quoted. */
void listing_array(FILE *to, struct slice body, const char *name);
/* The plain members of the object itself, on one line. */
void listing_object(FILE *to, struct slice body);
/* An answer on standard output: as it is (raw), or the array of that name (NULL: none) and then the object itself. */
void listing_answer(struct slice body, const char *name, bool raw);

#endif
