/*
 * Who may use what: each path of each listener, with the role that a credential must have. There is no other place where
 * this is said. A path without a row is not served: a route that has none stops the start, and a request for any other
 * path needs a credential before it is told that there is no such path.
 */
#ifndef SERVER_ACCESS_TABLE_H
#define SERVER_ACCESS_TABLE_H

#include "access/credentials.h"
#include "server/exchange.h"

struct access_row {
    enum listener_role listener;
    const char *path;
    bool prefix;    /* every path that begins with it */
    bool open;      /* anybody: a fixed answer for probes */
    unsigned needs; /* enum access_role, one; 0 when open */
};

extern const struct access_row access_table[];
extern const size_t access_table_count;

/* NULL: none. */
const struct access_row *access_row_find(enum listener_role listener, struct slice path);
/* The row with exactly the path of the route; NULL: none. */
const struct access_row *access_row_of_route(const struct route *route);
/* As in the documentation: "otlp-http". */
const char *listener_name(enum listener_role listener);

#endif
