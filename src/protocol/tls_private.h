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

/* What the connection's listener speaks. */
enum tls_alpn tls__alpn(const SSL *ssl);

#endif
