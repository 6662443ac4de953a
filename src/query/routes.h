/*
 * The HTTP side of queries: from an exchange to a job.
 */
#ifndef QUERY_ROUTES_H
#define QUERY_ROUTES_H

struct query;

/* Fills in query->routes. */
void routes_init(struct query *query);

#endif
