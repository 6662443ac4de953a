/*
 * OpenSSL over the socket. What is to be sent is gathered into records of 16 KiB, because a head and a body of their own
 * records would cost two; a record that the socket did not take is made of the same bytes again, as OpenSSL wants it.
 */
#include "io/wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

enum { RECORD_BYTES = 16384 };

enum err wire_rules_open(const char *ca_file, struct ssl_ctx_st **out)
{
    SSL_CTX *const rules = SSL_CTX_new(TLS_client_method());

    if (rules == NULL) return ERR_NO_MEMORY;
    SSL_CTX_set_verify(rules, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(rules, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const int trusted = ca_file != NULL ? SSL_CTX_load_verify_locations(rules, ca_file, NULL)
                                        : SSL_CTX_set_default_verify_paths(rules);
    if (trusted != 1) {
        SSL_CTX_free(rules);
        return ERR_MALFORMED;
    }
    *out = rules;
    return OK;
}

void wire_rules_close(struct ssl_ctx_st *rules)
{
    SSL_CTX_free(rules);
}

/* Whom the certificate must be for. An address stands in it as one, and is not sent as a name. */
static bool name_peer(SSL *ssl, const char *host)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1) return true;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum err wire_secure(struct wire *wire, struct ssl_ctx_st *rules, const char *host, bool grpc)
{
    static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1";
    SSL *const ssl = SSL_new(rules);

    if (ssl == NULL) return ERR_NO_MEMORY;
    const int named = grpc ? SSL_set_alpn_protos(ssl, h2, sizeof h2 - 1)
                           : SSL_set_alpn_protos(ssl, http1, sizeof http1 - 1);
    if (named != 0 || !name_peer(ssl, host) || SSL_set_fd(ssl, wire->fd) != 1) {
        SSL_free(ssl);
        return ERR_NO_MEMORY;
    }
    SSL_set_connect_state(ssl);
    wire->ssl = ssl;
    return OK;
}

void wire_end(struct wire *wire)
{
    SSL_free(wire->ssl);
    wire->ssl = NULL;
}

/* Errno for a call that has not succeeded; 0: the peer has finished. */
static int errno_of(const SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return EAGAIN;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: return ECONNRESET;
    }
}

enum err wire_shake(struct wire *wire, const char **why)
{
    if (wire->ssl == NULL) return OK;
    ERR_clear_error();
    const int result = SSL_do_handshake(wire->ssl);
    if (result == 1) return OK;
    if (errno_of(wire->ssl, result) == EAGAIN) return ERR_BUSY;
    const long verified = SSL_get_verify_result(wire->ssl);
    const char *const reason = ERR_reason_error_string(ERR_peek_error());
    *why = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : reason;
    if (*why == NULL) *why = "the server ended the handshake";
    return ERR_DENIED;
}

static ssize_t fail(int error_number)
{
    errno = error_number;
    return -1;
}

ssize_t wire_send(struct wire *wire, const struct iovec *parts, size_t count)
{
    static _Thread_local char record[RECORD_BYTES];
    size_t len = 0, written;

    if (wire->ssl == NULL) {
        const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = count};
        return sendmsg(wire->fd, &message, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < count && len < sizeof record; i++) {
        const size_t room = sizeof record - len;
        const size_t step = parts[i].iov_len < room ? parts[i].iov_len : room;
        if (step > 0) memcpy(record + len, parts[i].iov_base, step);
        len += step;
    }
    ERR_clear_error();
    const int result = SSL_write_ex(wire->ssl, record, len, &written);
    return result == 1 ? (ssize_t)written : fail(errno_of(wire->ssl, result));
}

ssize_t wire_receive(struct wire *wire, void *bytes, size_t capacity)
{
    size_t got;

    if (wire->ssl == NULL) return recv(wire->fd, bytes, capacity, 0);
    ERR_clear_error();
    const int result = SSL_read_ex(wire->ssl, bytes, capacity, &got);
    if (result == 1) return (ssize_t)got;
    const int error_number = errno_of(wire->ssl, result);
    return error_number == 0 ? 0 : fail(error_number);
}

bool wire_reads_all(const struct wire *wire)
{
    return wire->ssl == NULL;
}
