/* Private to protocol/: the identity (tls_identity.c) and the connection (tls.c). */
#ifndef PROTOCOL_TLS_PRIVATE_H
#define PROTOCOL_TLS_PRIVATE_H

#include "protocol/tls.h"

#include <openssl/ssl.h>

struct tls_identity {
    _Atomic unsigned holders;
    SSL_CTX *context;
    uint64_t not_after_s;
};

/* The protocol that the connection's listener speaks. */
struct slice tls__alpn_name(const SSL *ssl);

#endif
