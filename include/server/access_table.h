/*
 * Who may use what: each path of each listener, with the roles of which one that a credential must have. There is no other place where
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
    bool reads;     /* GET and HEAD alone, the other methods have a row below; else: all methods */
    bool open;      /* anybody: a fixed answer for probes */
    unsigned needs; /* enum access_role, any one of these; 0 when open */
};

extern const struct access_row access_table[];
extern const size_t access_table_count;

/* path: without a query; reads: the method is GET or HEAD. NULL: none. */
const struct access_row *access_row_find(enum listener_role listener, struct slice path, bool reads);
/* The row with exactly the path of the route, for its method; NULL: none. */
const struct access_row *access_row_of_route(const struct route *route);
/* As in the documentation: "otlp-http". */
const char *listener_name(enum listener_role listener);

#endif
