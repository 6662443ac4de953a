/* Certificates made on the spot, and a client of OpenSSL's whose bytes are carried by hand. */
#ifndef TEST_TLS_FIXTURE_H
#define TEST_TLS_FIXTURE_H

#include "protocol/tls.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

struct pem {
    char text[8192];
    size_t len;
};

static inline struct slice pem_slice(const struct pem *pem)
{
    return slice_of(pem->text, pem->len);
}

static inline void pem_take(struct pem *pem, BIO *bio)
{
    const int got = BIO_read(bio, pem->text, sizeof pem->text);

    cr_assert(got > 0 && (size_t)got < sizeof pem->text);
    pem->len = (size_t)got;
    BIO_free(bio);
}

static inline void pem_of_certificate(struct pem *pem, X509 *certificate)
{
    BIO *const bio = BIO_new(BIO_s_mem());

    cr_assert_eq(PEM_write_bio_X509(bio, certificate), 1);
    pem_take(pem, bio);
}

static inline void pem_of_key(struct pem *pem, EVP_PKEY *key)
{
    BIO *const bio = BIO_new(BIO_s_mem());

    cr_assert_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    pem_take(pem, bio);
}

static inline void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *const extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    cr_assert_not_null(extension);
    cr_assert_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* names: a subjectAltName such as "DNS:a,URI:b", or NULL. issuer NULL: signed by itself, and an authority. */
static inline X509 *make_certificate(EVP_PKEY *key, const char *common_name, const char *names, long days,
                                     const struct authority *issuer)
{
    X509 *const certificate = X509_new();
    X509 *const by = issuer != NULL ? issuer->certificate : certificate;
    static long serial;

    cr_assert_eq(X509_set_version(certificate, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), days < 0 ? days * 2 * 86400 : 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    cr_assert_eq(X509_set_issuer_name(certificate, X509_get_subject_name(by)), 1);
    cr_assert_eq(X509_set_pubkey(certificate, key), 1);
    if (issuer == NULL) add_extension(certificate, by, NID_basic_constraints, "critical,CA:TRUE");
    if (names != NULL) add_extension(certificate, by, NID_subject_alt_name, names);
    cr_assert_gt(X509_sign(certificate, issuer != NULL ? issuer->key : key, EVP_sha256()), 0);
    return certificate;
}

static inline struct authority make_authority(const char *name)
{
    struct authority authority = {.key = EVP_EC_gen("P-256")};

    authority.certificate = make_certificate(authority.key, name, NULL, 10, NULL);
    return authority;
}

static inline void drop_authority(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

/* ---- a conversation ------------------------------------------------------------------------------------- */

struct talk {
    SSL_CTX *context; /* the client's */
    SSL *client;
    BIO *to_client, *from_client;
    struct tls *tls;
    enum tls_event event;   /* of the server's last read */
    uint8_t plain[1 << 16]; /* what the server has read */
    size_t plain_len;
};

/* set_up may be NULL: it changes the client's rules before it begins. */
static inline void talk_begin(struct talk *talk, struct tls_identity *identity, enum tls_alpn alpn,
                              void (*set_up)(SSL_CTX *context))
{
    memset(talk, 0, sizeof *talk);
    talk->context = SSL_CTX_new(TLS_client_method());
    if (set_up != NULL) set_up(talk->context);
    talk->client = SSL_new(talk->context);
    talk->to_client = BIO_new(BIO_s_mem());
    talk->from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(talk->client, talk->to_client, talk->from_client);
    SSL_set_connect_state(talk->client);
    cr_assert_eq(tls_open(identity, alpn, &talk->tls), OK);
}

static inline void talk_end(struct talk *talk)
{
    tls_close(talk->tls);
    SSL_free(talk->client);
    SSL_CTX_free(talk->context);
}

/* Bytes for the server, `piece` at a time, and what it has to send back. */
static inline void talk_to_server(struct talk *talk, const uint8_t *bytes, size_t len, size_t piece)
{
    uint8_t buf[TLS_RECORD_BYTES];
    size_t got;

    for (size_t at = 0; at < len; at += piece) {
        struct slice input = slice_of(bytes + at, len - at < piece ? len - at : piece);
        while ((talk->event = tls_read(talk->tls, &input, buf, sizeof buf, &got)) == TLS_BYTES) {
            cr_assert_leq(talk->plain_len + got, sizeof talk->plain);
            memcpy(talk->plain + talk->plain_len, buf, got);
            talk->plain_len += got;
        }
        if (talk->event == TLS_FAILED) break;
    }
    while ((got = tls_output(talk->tls, buf, 1000)) > 0)
        cr_assert_eq(BIO_write(talk->to_client, buf, (int)got), (int)got);
}

/* What the client has written; false: nothing. */
static inline bool talk_carry(struct talk *talk, size_t piece)
{
    static uint8_t bytes[1 << 18];
    const int got = BIO_read(talk->from_client, bytes, sizeof bytes);

    if (got <= 0) return false;
    talk_to_server(talk, bytes, (size_t)got, piece);
    return true;
}

/* True: both have shaken hands. */
static inline bool talk_shake(struct talk *talk, size_t piece)
{
    for (unsigned i = 0; i < 10; i++) {
        ERR_clear_error();
        const int done = SSL_do_handshake(talk->client);
        const bool carried = talk_carry(talk, piece);
        if (done == 1 && tls_is_established(talk->tls)) return true;
        if (talk->event == TLS_FAILED || (!carried && done != 1 && i > 5)) return false;
    }
    return false;
}

static inline void talk_say(struct talk *talk, const void *bytes, size_t len, size_t piece)
{
    size_t written;

    cr_assert_eq(SSL_write_ex(talk->client, bytes, len, &written), 1);
    cr_assert_eq(written, len);
    (void)talk_carry(talk, piece);
}

/* The text of the client's last trouble, such as an alert. */
static inline const char *talk_trouble(struct talk *talk)
{
    char byte;

    ERR_clear_error();
    (void)SSL_read(talk->client, &byte, 1);
    const char *const text = ERR_reason_error_string(ERR_peek_error());
    return text != NULL ? text : "";
}

#endif
