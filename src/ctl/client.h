/* One question to a running server over HTTP/1.1: a connection, a request, an answer, all of it waited for. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

#define CLIENT_SERVER_DEFAULT "127.0.0.1:16686"

struct client_answer {
    int status;
    struct slice body; /* points into bytes */
    char *bytes;       /* malloc'ed */
};

/*
 * address: HOST:PORT of the query listener. body: JSON, or empty. False: a line on standard error has said why. The answer is
 * the caller's to free by client_free().
 */
bool client_ask(const char *address, const char *method, const char *target, struct slice body,
                struct client_answer *out);
void client_free(struct client_answer *answer);

/*
 * What a command has to do after client_ask() when the server did not say yes: a line on standard error with the server's
 * words. True: it said yes (2xx).
 */
bool client_accepted(const struct client_answer *answer);

#endif
