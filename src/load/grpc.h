/*
 * The client's side of gRPC on one connection, one call at a time: frames of HTTP/2 around a body that stays
 * where it is, and an answer made of what comes back.
 *
 *   grpc_open(&grpc)
 *   grpc_begin(grpc)                     connected: settings are queued
 *   grpc_call(grpc, &request, body, &answer)
 *   grpc_write(grpc, fd)                 as much as the socket takes; again when it takes more
 *   grpc_read(grpc, bytes)               what has been received; then grpc_write(), for it may want an answer
 *   grpc_is_answered(grpc)               answer has status, body, retry_after_s
 *   grpc_end(grpc)                       disconnected
 *   grpc_close(grpc)
 *
 * A grpc-status becomes the HTTP status that says the same: 0 is 200, what may be tried again is 503, the
 * rest is 400 with its text as body.
 */
#ifndef LOAD_GRPC_H
#define LOAD_GRPC_H

#include "answer.h"
#include "io/wire.h"

struct grpc;

struct grpc_request {
    const char *path, *authority;
    bool gzip;                  /* the body is */
    const char *const *headers; /* "Name: value" */
    uint32_t headers_count;
};

enum err grpc_open(struct grpc **out);
void grpc_close(struct grpc *grpc);
enum err grpc_begin(struct grpc *grpc);
void grpc_end(struct grpc *grpc);
/* Everything is copied but the body, which is borrowed until grpc_is_written(). answer: until it is answered. */
enum err grpc_call(struct grpc *grpc, const struct grpc_request *request, struct slice body,
                   struct answer *answer);
void grpc_write(struct grpc *grpc, struct wire *wire);
void grpc_read(struct grpc *grpc, struct slice bytes);
/* The server broke the protocol, or gave the call up without an answer; looked at after reading and writing. */
bool grpc_is_lost(const struct grpc *grpc);
bool grpc_is_written(const struct grpc *grpc);
bool grpc_is_answered(const struct grpc *grpc);
/* The server takes no further calls on this connection. */
bool grpc_is_leaving(const struct grpc *grpc);

#endif
