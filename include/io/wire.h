/*
 * The bytes of a client's connection: as they are, or through TLS. Calls behave like those of the socket below: fewer bytes
 * than asked for, or -1 with EAGAIN when it is not the time (non-blocking), or the time is over (SO_RCVTIMEO).
 */
#ifndef IO_WIRE_H
#define IO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct ssl_ctx_st;
struct ssl_st;

struct wire {
    int fd;             /* owned by who made the wire */
    struct ssl_st *ssl; /* NULL: plain */
};

/* Rules of a TLS client, for all its connections. ca_file in PEM; NULL: what the system trusts. ERR_MALFORMED: not such a file. */
enum err wire_rules_open(const char *ca_file, struct ssl_ctx_st **out);
void wire_rules_close(struct ssl_ctx_st *rules);

/* host is what the certificate must be for, a name or an address; grpc: ALPN h2. ERR_NO_MEMORY. */
enum err wire_secure(struct wire *wire, struct ssl_ctx_st *rules, const char *host, bool grpc);
/* Ends TLS; the descriptor stays. */
void wire_end(struct wire *wire);
/* OK: the handshake is done (at once when plain); ERR_BUSY: not yet; ERR_DENIED: it has failed, *why says how. */
enum err wire_shake(struct wire *wire, const char **why);

ssize_t wire_send(struct wire *wire, const struct iovec *parts, size_t count);
/* 0: the peer has finished. */
ssize_t wire_receive(struct wire *wire, void *bytes, size_t capacity);
/* A short read means that nothing more is there for now. */
bool wire_reads_all(const struct wire *wire);

#endif
