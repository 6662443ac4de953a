/*
 * Reads the filters of pins and erasures (store/selector.h): the parameters of a search, as in a URL, without those about
 * time and pages, for instance "service=cart&attr=span.http.method=GET". All must hold on one span.
 *
 *   selection_open() -> selection_matcher() for the store -> selection_close()
 *
 * One thread at a time uses a matcher.
 */
#ifndef QUERY_SELECTION_H
#define QUERY_SELECTION_H

#include "store/selector.h"

#include <stddef.h>

struct selection;
enum err selection_open(struct selection **out);
void selection_close(struct selection *selection);
struct selector_matcher selection_matcher(struct selection *selection);

/* False: it is no filter, and message says why. */
bool selection_check(const char *filter, char *message, size_t capacity);

#endif
