/*
 * Private to server/: which web pages may send spans from a browser (Fetch standard, "CORS protocol"). Only the listener for
 * OTLP over HTTP takes part, and only for origins that the operator has listed.
 */
#ifndef SERVER_CORS_H
#define SERVER_CORS_H

#include "server/exchange.h"

enum {
    CORS_ORIGIN_MAX = 128,         /* bytes; a longer origin is nobody's */
    CORS_FIELDS_MAX = 4,           /* of every answer, */
    CORS_PREFLIGHT_FIELDS_MAX = 3, /* and of the answer to a preflight, beside those */
};

/* Are there any origins that may be allowed here? */
bool cors_is_configured(const struct server *server, enum listener_role role);
/* Is the origin one of them? A pattern's * stands for any run of the bytes that a host and port have. */
bool cors_allows(const struct server *server, enum listener_role role, struct slice origin);

/* Fields for an answer to an allowed origin, names in lower case. They point to origin and to static text. */
size_t cors_fields(const struct server *server, struct slice origin,
                   struct http1_header out[CORS_FIELDS_MAX]);
/* asked: Access-Control-Request-Headers. methods and asked are pointed to. */
size_t cors_preflight_fields(struct slice methods, struct slice asked,
                             struct http1_header out[CORS_PREFLIGHT_FIELDS_MAX]);

#endif
