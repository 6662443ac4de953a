/*
 * TLS for a server, as an engine between two buffers: bytes as received in, bytes to be sent out, and plain ones between.
 * OpenSSL never sees a socket.
 *
 *   tls_identity_open(&config, &identity, error)     certificate, key, rules: once, shared by all threads
 *   tls_shelf_replace(shelf, identity)               new connections take it from there
 *
 *   tls_look(first bytes)                            nothing is allocated for what is no ClientHello
 *   tls_open(identity, alpn, &tls)                   one per connection
 *   loop: tls_read(tls, &input, buf, ...)            until TLS_NEED_MORE: the handshake goes on inside
 *         tls_output(tls, buf, ...)                  what is to be sent: after every read, until it gives nothing
 *         tls_write(tls, plain)                      when nothing waits to be sent
 *   tls_finish(tls), tls_output()                    close_notify
 *   tls_close(tls)
 *
 * TLS 1.3, and 1.2 with ECDHE and AEAD only. No renegotiation, compression, early data, session cache or tickets: clients
 * keep their connections, and what is not there cannot be stolen or stormed. A client that names protocols (ALPN) must
 * name ours; one that names none is taken to know.
 */
#ifndef PROTOCOL_TLS_H
#define PROTOCOL_TLS_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_ERROR_MAX = 256,
    TLS_PEM_BYTES_MAX = 1 << 20,  /* of a file with certificates or a key */
    TLS_HELLO_BYTES = 5,          /* enough to tell a ClientHello from anything else */
    TLS_RECORD_BYTES = 16 * 1024, /* the most that one read gives, and that is taken by one write */
    TLS_SILENT_BYTES_MAX =
        64 << 10, /* received without any plain byte: handshake, or records that carry nothing */
    TLS_OUTPUT_BYTES_MAX = 64 << 10, /* waiting to be sent; more is answered with an end */
    TLS_NAMES_MAX = 8,               /* of a client certificate that are looked at */
};

/* ---- who we are ----------------------------------------------------------------------------------------- */

struct tls_identity;

struct tls_identity_config {
    struct slice certificates; /* PEM: ours, then those that lead to the root */
    struct slice key;          /* PEM, not encrypted */
    /* PEM; empty: no client certificate is asked for. Else a client may show one, and then it must be good. */
    struct slice client_authorities;
};

/* Any thread. ERR_MALFORMED: error says what is wrong with which of the three. Held once, by the caller. */
enum err tls_identity_open(const struct tls_identity_config *config, struct tls_identity **out,
                           char error[TLS_ERROR_MAX]);
struct tls_identity *tls_identity_hold(struct tls_identity *identity);
void tls_identity_release(struct tls_identity *identity); /* NULL is let be */
/* When our certificate ends, seconds since 1970. */
uint64_t tls_identity_not_after_s(const struct tls_identity *identity);

/* The identity for new connections; connections keep the one that they began with. Any thread. */
struct tls_shelf;
enum err tls_shelf_open(struct tls_shelf **out);
void tls_shelf_close(struct tls_shelf *shelf);
void tls_shelf_replace(struct tls_shelf *shelf, struct tls_identity *identity); /* takes it over */
struct tls_identity *tls_shelf_take(struct tls_shelf *shelf);                   /* held for the caller */

/* ---- one connection -------------------------------------------------------------------------------------- */

enum tls_look { TLS_LOOK_MORE, TLS_LOOK_HELLO, TLS_LOOK_OTHER };
/* Of the first bytes of a connection. */
enum tls_look tls_look(struct slice bytes);

enum tls_alpn { TLS_ALPN_HTTP1, TLS_ALPN_HTTP2, TLS_ALPN_EITHER /* h2 is preferred */ };
enum tls_event {
    TLS_NEED_MORE, /* input is used up */
    TLS_BYTES,     /* len plain bytes */
    TLS_FINISHED,  /* the peer sends no more, and said so */
    TLS_FAILED,    /* for ever; tls_failure() says why. Send what tls_output() has, then close */
};

struct tls;

/* identity is held by the connection as well. ERR_NO_MEMORY. */
enum err tls_open(struct tls_identity *identity, enum tls_alpn alpn, struct tls **out);
void tls_close(struct tls *tls);

/* Takes from the front of *input, which is borrowed for the call. capacity >= TLS_RECORD_BYTES. */
enum tls_event tls_read(struct tls *tls, struct slice *input, uint8_t *buf, size_t capacity, size_t *len);
/* At most TLS_RECORD_BYTES, once tls_is_established(). False: failed. */
bool tls_write(struct tls *tls, struct slice plain);
/* Moves what is to be sent into buf; 0: nothing. */
size_t tls_output(struct tls *tls, uint8_t *buf, size_t capacity);
/* Tells the peer that nothing more follows. */
void tls_finish(struct tls *tls);

bool tls_is_established(const struct tls *tls);
/* Once it is established: the client and we have agreed on HTTP/2 (ALPN h2). */
bool tls_chose_http2(const struct tls *tls);
/* Static text, for logs. */
const char *tls_failure(const struct tls *tls);
/* Names of the client certificate: alternative names (DNS, URI), or the common name. Valid until tls_close(). */
unsigned tls_peer_names(const struct tls *tls, const struct slice **names);

#endif
