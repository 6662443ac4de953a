/*
 * Certificate, key and rules, as one context of OpenSSL that connections of all threads share. It is set up from bytes and
 * never changes; a reload makes another. The system's openssl.cnf is not read: what is accepted is decided here.
 */
#include "tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SECURITY_LEVEL = 2, VERIFY_DEPTH = 4, CERTIFICATES_BYTES_MAX = 32 << 10 };

/* RFC 9325 4.2: forward secrecy and authenticated encryption, nothing else. Those of TLS 1.3 all are. */
static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const char groups[] = "X25519:P-256:P-384";

static enum err fail(char error[TLS_ERROR_MAX], const char *what, const char *why)
{
    snprintf(error, TLS_ERROR_MAX, "%s: %s", what, why);
    return ERR_MALFORMED;
}

static const char *reason(void)
{
    const char *const text = ERR_reason_error_string(ERR_peek_last_error());

    return text != NULL ? text : "not understood";
}

/* ---- reading PEM ----------------------------------------------------------------------------------------
 */

/* An encrypted key would need a secret to open it, which would have to lie beside it. */
static int no_password(char *buf, int size, int is_writing, void *context)
{
    (void)buf, (void)size, (void)is_writing, (void)context;
    return -1;
}

static enum err use_certificates(SSL_CTX *context, BIO *bio, char *error)
{
    X509 *const own = PEM_read_bio_X509(bio, NULL, no_password, NULL), *next;

    if (own == NULL) return fail(error, "certificate", "the file has no certificate in PEM");
    const int used = SSL_CTX_use_certificate(context, own);
    X509_free(own);
    if (used != 1) return fail(error, "certificate", reason());
    while ((next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            return fail(error, "certificate", reason());
        }
    return OK;
}

static enum err use_key(SSL_CTX *context, BIO *bio, char *error)
{
    EVP_PKEY *const key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);

    if (key == NULL) return fail(error, "key", "the file has no private key in PEM that is not encrypted");
    const int used = SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    if (used != 1 || SSL_CTX_check_private_key(context) != 1)
        return fail(error, "key", "it is not the key of the certificate");
    return OK;
}

static enum err use_authorities(SSL_CTX *context, BIO *bio, char *error)
{
    X509 *authority;
    unsigned count = 0;

    while ((authority = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        const bool added = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1 &&
                           SSL_CTX_add_client_CA(context, authority) == 1;
        X509_free(authority);
        if (!added) return fail(error, "client authorities", reason());
        count++;
    }
    if (count == 0) return fail(error, "client authorities", "the file has no certificate in PEM");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(context, VERIFY_DEPTH);
    return OK;
}

typedef enum err use_fn(SSL_CTX *context, BIO *bio, char *error);

static enum err use(SSL_CTX *context, struct slice pem, use_fn *how, char *error)
{
    BIO *const bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.ptr : "", (int)pem.len);

    assert(pem.len <= TLS_PEM_BYTES_MAX);
    if (bio == NULL) return ERR_NO_MEMORY;
    ERR_clear_error();
    const enum err err = how(context, bio, error);
    BIO_free(bio);
    return err;
}

/* ---- rules ----------------------------------------------------------------------------------------------
 */

/* The client's list; a protocol in it, or empty. */
static struct slice find_protocol(struct slice list, const char *wanted)
{
    const unsigned char *const names = list.ptr;

    for (size_t at = 0; at < list.len; at += 1U + names[at]) {
        if (at + 1U + names[at] > list.len) break;
        if (slice_is(slice_of(names + at + 1, names[at]), wanted)) return slice_of(names + at + 1, names[at]);
    }
    return (struct slice){0};
}

/* One of the client's list must be what the listener speaks; RFC 7301 3.2. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *names, unsigned names_len, void *context)
{
    const enum tls_alpn spoken = tls__alpn(ssl);
    const struct slice list = slice_of(names, names_len);
    struct slice chosen = {0};

    (void)context;
    if (spoken != TLS_ALPN_HTTP1) chosen = find_protocol(list, "h2");
    if (spoken != TLS_ALPN_HTTP2 && chosen.len == 0) chosen = find_protocol(list, "http/1.1");
    if (chosen.len == 0) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen.ptr;
    *out_len = (unsigned char)chosen.len;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_rules(SSL_CTX *context)
{
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(context, CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1 &&
           SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, ciphers_1_2) == 1 &&
           SSL_CTX_set1_groups_list(context, groups) == 1;
}

static enum err set_up(SSL_CTX *context, const struct tls_identity_config *config, char *error)
{
    if (!set_rules(context)) return fail(error, "TLS", reason());
    TRY(use(context, config->certificates, use_certificates, error));
    TRY(use(context, config->key, use_key, error));
    return config->client_authorities.len > 0
               ? use(context, config->client_authorities, use_authorities, error)
               : OK;
}

static uint64_t not_after_s(SSL_CTX *context)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context)), &tm) != 1) return 0;
    const time_t seconds = timegm(&tm);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

enum err tls_identity_open(const struct tls_identity_config *config, struct tls_identity **out,
                           char error[TLS_ERROR_MAX])
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    struct tls_identity *const identity = calloc(1, sizeof *identity);
    SSL_CTX *const context = identity != NULL ? SSL_CTX_new(TLS_server_method()) : NULL;
    if (context == NULL) {
        free(identity);
        snprintf(error, TLS_ERROR_MAX, "out of memory");
        return ERR_NO_MEMORY;
    }
    const enum err err = set_up(context, config, error);
    ERR_clear_error();
    if (err != OK) {
        SSL_CTX_free(context);
        free(identity);
        return err;
    }
    *identity = (struct tls_identity){.holders = 1, .context = context, .not_after_s = not_after_s(context)};
    *out = identity;
    return OK;
}

struct tls_identity *tls_identity_hold(struct tls_identity *identity)
{
    if (identity != NULL) atomic_fetch_add(&identity->holders, 1);
    return identity;
}

void tls_identity_release(struct tls_identity *identity)
{
    if (identity == NULL || atomic_fetch_sub(&identity->holders, 1) != 1) return;
    SSL_CTX_free(identity->context);
    free(identity);
}

uint64_t tls_identity_not_after_s(const struct tls_identity *identity)
{
    return identity->not_after_s;
}

/* ---- the shelf ------------------------------------------------------------------------------------------
 */

/* A mutex for every handshake: the handshake itself costs a hundred times as much. */
struct tls_shelf {
    pthread_mutex_t mutex;
    struct tls_identity *identity;
};

enum err tls_shelf_open(struct tls_shelf **out)
{
    struct tls_shelf *const shelf = calloc(1, sizeof *shelf);

    if (shelf == NULL) return ERR_NO_MEMORY;
    pthread_mutex_init(&shelf->mutex, NULL);
    *out = shelf;
    return OK;
}

void tls_shelf_close(struct tls_shelf *shelf)
{
    tls_identity_release(shelf->identity);
    pthread_mutex_destroy(&shelf->mutex);
    free(shelf);
}

void tls_shelf_replace(struct tls_shelf *shelf, struct tls_identity *identity)
{
    pthread_mutex_lock(&shelf->mutex);
    struct tls_identity *const before = shelf->identity;
    shelf->identity = identity;
    pthread_mutex_unlock(&shelf->mutex);
    tls_identity_release(before);
}

struct tls_identity *tls_shelf_take(struct tls_shelf *shelf)
{
    pthread_mutex_lock(&shelf->mutex);
    struct tls_identity *const identity = tls_identity_hold(shelf->identity);
    pthread_mutex_unlock(&shelf->mutex);
    return identity;
}
