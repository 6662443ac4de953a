/*
 * What the world can do to us, value by value. Bugs of ours are assertions, not values of this enum.
 * Results go through the last pointer of a function and are untouched when it fails.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/assert.h"

/*  name                text                                      HTTP  google.rpc.Code */
#define ERR_TABLE(X)                                                                                         \
    X(OK, "ok", 200, 0)                                                                                      \
    X(ERR_MALFORMED, "malformed input", 400, 3)                                                              \
    X(ERR_TOO_LARGE, "larger than a limit", 413, 8)                                                          \
    X(ERR_UNSUPPORTED, "not supported", 415, 12)                                                             \
    X(ERR_NOT_FOUND, "not found", 404, 5)                                                                    \
    X(ERR_FULL, "no room at the moment", 503, 14)                                                            \
    X(ERR_BUSY, "held by somebody else", 503, 14)                                                            \
    X(ERR_READ_ONLY, "not accepting data", 503, 14)                                                          \
    X(ERR_STALLED, "the disk does not answer", 503, 14)                                                      \
    X(ERR_CLOSING, "shutting down", 503, 14)                                                                 \
    X(ERR_CANCELLED, "cancelled", 503, 1)                                                                    \
    X(ERR_DEADLINE, "took too long", 504, 4)                                                                 \
    X(ERR_CORRUPT, "stored bytes failed their check", 503, 15)                                               \
    X(ERR_VERSION, "written by a newer version", 503, 9)                                                     \
    X(ERR_IO, "input/output error", 503, 14)                                                                 \
    X(ERR_NO_SPACE, "no space on the device", 503, 14)                                                       \
    X(ERR_NO_MEMORY, "out of memory", 503, 14)                                                               \
    X(ERR_SUPERSEDED, "something else has taken its place", 503, 14)                                         \
    X(ERR_EXISTS, "exists already", 503, 6)                                                                  \
    X(ERR_DENIED, "permission denied", 503, 7)                                                               \
    X(ERR_PEER_GONE, "peer has gone", 503, 14)

enum err {
#define X(name, text, http, rpc) name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* English, lower case, no full stop; never NULL. */
const char *err_text(enum err err);
/* The HTTP status and google.rpc.Code with which this is told to a client. */
int err_http_status(enum err err);
int err_rpc_code(enum err err);
/* From a positive errno value. */
enum err err_from_errno(int error_number);

/* Hand a failure to the caller; only where nothing must be undone. */
#define TRY(expression)                                                                                      \
    do {                                                                                                     \
        const enum err try_err = (expression);                                                               \
        if (try_err != OK) return try_err;                                                                   \
    } while (0)

#endif
