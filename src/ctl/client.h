/* One question to a running server over HTTP/1.1, plain or through TLS: a connection, a request, an answer, all of it waited for. */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "arguments.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

#define CLIENT_SERVER_DEFAULT "127.0.0.1:16686"

/* Whom to ask, and as whom. All text is borrowed. */
struct client {
    const char *address;    /* HOST:PORT of the query listener */
    const char *token_file; /* its first line is the token; NULL: none is sent */
    const char *ca_file;    /* authorities in PEM, and TLS; NULL: those that the system trusts */
    bool tls;
    bool quiet; /* a server that cannot be reached, or gives no answer, is not told: it is asked again */
};

/* The options of a command that asks, for its table of arguments; which: says what --server is, and its default. */
#define CLIENT_ARGUMENTS_OF(client, which)                                                                   \
    {"server", "HOST:PORT", which, ARGUMENT_TEXT, &(client).address, NULL, NULL},                            \
        {"token-file",                                                                                       \
         "FILE",                                                                                             \
         "send the token in the first line of this file",                                                    \
         ARGUMENT_TEXT,                                                                                      \
         &(client).token_file,                                                                               \
         NULL,                                                                                               \
         NULL},                                                                                              \
        {"tls", NULL, "the server speaks TLS", ARGUMENT_FLAG, &(client).tls, NULL, NULL},                    \
    {                                                                                                        \
        "ca", "FILE", "TLS, and whom to trust, in place of the system's authorities", ARGUMENT_TEXT,         \
            &(client).ca_file, NULL, NULL                                                                    \
    }
#define CLIENT_ARGUMENTS(client)                                                                             \
    CLIENT_ARGUMENTS_OF(client, "query listener of the server (" CLIENT_SERVER_DEFAULT ")")

struct client_answer {
    int status;
    struct slice head; /* status line and fields; points into bytes, as body does */
    struct slice body;
    char *bytes; /* malloc'ed */
};

/* A question in all its parts. */
struct client_request {
    const char *method, *target;
    const char *content_type; /* NULL: JSON */
    const char *accept;       /* NULL: whatever there is */
    struct slice body;
};
/* The same with all of it. */
bool client_request(const struct client *client, const struct client_request *request,
                    struct client_answer *out);
/* The value of a field, by its name in lower case; empty when there is none, or it does not fit. */
const char *client_field(const struct client_answer *answer, const char *name, char *room, size_t capacity);
void client_free(struct client_answer *answer);

/* What a command has to do with an answer: when the server did not say yes (2xx), a line on standard error with its words. */
bool client_accepted(const struct client_answer *answer);
/*
 * Asks, and wants a yes. body: JSON, or empty. CTL_FINE: the answer is the caller's to free by client_free(). Anything else: a
 * line on standard error has said why, and there is no answer; the command ends with it.
 */
enum ctl_exit client_ask(const struct client *client, const char *method, const char *target,
                         struct slice body, struct client_answer *out);

#endif
