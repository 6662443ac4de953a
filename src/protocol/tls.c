/*
 * One TLS connection. OpenSSL reads from and writes to a BIO of our own: reading takes from the input of the call at hand,
 * writing appends to `out`, which is given back to the heap whenever all of it was taken, so that an idle connection holds
 * no buffer (SSL_MODE_RELEASE_BUFFERS does the same for OpenSSL's own).
 *
 * Bounded: what may be received without a plain byte (a handshake, KeyUpdate, empty records), what may wait to be sent.
 */
#include "tls_private.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

enum { OUT_BYTES_MIN = 4096, NAME_BYTES_MAX = 255 };

struct tls {
    SSL *ssl;
    struct tls_identity *identity; /* held */
    enum tls_alpn alpn;
    bool established, failed, finished;
    const char *failure;   /* static text */
    uint64_t silent_bytes; /* received since the last plain one */
    struct slice input;    /* of the call at hand */
    uint8_t *out;          /* malloc'ed; NULL: nothing is waiting */
    size_t out_at, out_len, out_capacity;
    struct slice names[TLS_NAMES_MAX]; /* malloc'ed bytes */
    unsigned names_count;
};

/* ---- the BIO between ------------------------------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *buf, size_t capacity, size_t *count)
{
    struct tls *const tls = BIO_get_data(bio);
    const size_t len = capacity < tls->input.len ? capacity : tls->input.len;

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(buf, tls->input.ptr, len);
    tls->input = slice_of(tls->input.ptr + len, tls->input.len - len);
    *count = len;
    return 1;
}

static bool make_room(struct tls *tls, size_t len)
{
    size_t capacity = tls->out_capacity > 0 ? tls->out_capacity : OUT_BYTES_MIN;

    if (tls->out_len + len > TLS_OUTPUT_BYTES_MAX) return false;
    while (capacity < tls->out_len + len)
        capacity *= 2;
    if (capacity == tls->out_capacity) return true;
    uint8_t *const larger = realloc(tls->out, capacity);
    if (larger == NULL) return false;
    tls->out = larger;
    tls->out_capacity = capacity;
    return true;
}

static int bio_write(BIO *bio, const char *bytes, size_t len, size_t *count)
{
    struct tls *const tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!make_room(tls, len)) return 0;
    memcpy(tls->out + tls->out_len, bytes, len);
    tls->out_len += len;
    *count = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *between;

static void make_method(void)
{
    between = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "between two buffers");
    if (between == NULL) return;
    BIO_meth_set_read_ex(between, bio_read);
    BIO_meth_set_write_ex(between, bio_write);
    BIO_meth_set_ctrl(between, bio_control);
}

/* ---- beginning ------------------------------------------------------------------------------------------
 */

/* RFC 8446 5.1: type 22, version 3.1 or 3.3, length; then a ClientHello is 4 bytes at least. */
enum tls_look tls_look(struct slice bytes)
{
    if (bytes.len > 0 && bytes.ptr[0] != 0x16) return TLS_LOOK_OTHER;
    if (bytes.len > 1 && bytes.ptr[1] != 3) return TLS_LOOK_OTHER;
    if (bytes.len > 2 && bytes.ptr[2] > 4) return TLS_LOOK_OTHER;
    if (bytes.len < TLS_HELLO_BYTES) return TLS_LOOK_MORE;
    const unsigned len = (unsigned)bytes.ptr[3] << 8 | bytes.ptr[4];
    return len >= 4 && len <= TLS_RECORD_BYTES ? TLS_LOOK_HELLO : TLS_LOOK_OTHER;
}

enum tls_alpn tls__alpn(const SSL *ssl)
{
    const struct tls *const tls = SSL_get_app_data(ssl);

    return tls->alpn;
}

bool tls_chose_http2(const struct tls *tls)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(tls->ssl, &name, &len);
    return name != NULL && slice_is(slice_of(name, len), "h2");
}

enum err tls_open(struct tls_identity *identity, enum tls_alpn alpn, struct tls **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_method);
    struct tls *const tls = calloc(1, sizeof *tls);
    BIO *const bio = between != NULL ? BIO_new(between) : NULL;
    SSL *const ssl = tls != NULL && bio != NULL ? SSL_new(identity->context) : NULL;
    if (ssl == NULL) {
        BIO_free(bio);
        free(tls);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    *tls = (struct tls){.ssl = ssl, .identity = tls_identity_hold(identity), .alpn = alpn};
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    (void)SSL_set_app_data(ssl, tls);
    SSL_set_accept_state(ssl);
    *out = tls;
    return OK;
}

void tls_close(struct tls *tls)
{
    SSL_free(tls->ssl);
    tls_identity_release(tls->identity);
    for (unsigned i = 0; i < tls->names_count; i++)
        free((void *)(uintptr_t)tls->names[i].ptr);
    free(tls->out);
    free(tls);
}

/* ---- the client's certificate ---------------------------------------------------------------------------
 */

/* Names with a zero inside, or that are no text, are not taken: they could be read as others. */
static void keep_name(struct tls *tls, const ASN1_STRING *name)
{
    const int len = ASN1_STRING_length(name);
    const uint8_t *const bytes = ASN1_STRING_get0_data(name);

    if (tls->names_count == TLS_NAMES_MAX || len <= 0 || len > NAME_BYTES_MAX) return;
    for (int i = 0; i < len; i++)
        if (bytes[i] <= ' ' || bytes[i] >= 0x7f) return;
    uint8_t *const copy = malloc((size_t)len);
    if (copy == NULL) return;
    memcpy(copy, bytes, (size_t)len);
    tls->names[tls->names_count++] = slice_of(copy, (size_t)len);
}

static void keep_alternative_names(struct tls *tls, const X509 *certificate)
{
    GENERAL_NAMES *const names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *const name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS || name->type == GEN_URI) keep_name(tls, name->d.ia5);
    }
    GENERAL_NAMES_free(names);
}

static void keep_common_name(struct tls *tls, const X509 *certificate)
{
    const X509_NAME *const subject = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    if (at >= 0) keep_name(tls, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static void keep_names(struct tls *tls)
{
    const X509 *const certificate = SSL_get0_peer_certificate(tls->ssl);

    if (certificate == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK) return;
    keep_alternative_names(tls, certificate);
    if (tls->names_count == 0) keep_common_name(tls, certificate);
}

unsigned tls_peer_names(const struct tls *tls, const struct slice **names)
{
    *names = tls->names;
    return tls->names_count;
}

/* ---- reading --------------------------------------------------------------------------------------------
 */

static enum tls_event fail(struct tls *tls, const char *why)
{
    tls->failed = true;
    tls->failure = why;
    ERR_clear_error();
    return TLS_FAILED;
}

/* What OpenSSL says of a call that has not succeeded. */
static enum tls_event judge(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ: return TLS_NEED_MORE;
    case SSL_ERROR_ZERO_RETURN: tls->finished = true; return TLS_FINISHED;
    default: break;
    }
    const long verified = SSL_get_verify_result(tls->ssl);
    if (!tls->established && verified != X509_V_OK) return fail(tls, X509_verify_cert_error_string(verified));
    const char *const why = ERR_reason_error_string(ERR_peek_error());
    return fail(tls, why != NULL ? why : "a broken record, or too much waits to be sent");
}

static enum tls_event step(struct tls *tls, uint8_t *buf, size_t capacity, size_t *len)
{
    if (!tls->established) {
        const int result = SSL_do_handshake(tls->ssl);
        if (result != 1) return judge(tls, result);
        tls->established = true;
        keep_names(tls);
    }
    const int result = SSL_read_ex(tls->ssl, buf, capacity, len);
    return result == 1 ? TLS_BYTES : judge(tls, result);
}

enum tls_event tls_read(struct tls *tls, struct slice *input, uint8_t *buf, size_t capacity, size_t *len)
{
    assert(capacity >= TLS_RECORD_BYTES);

    if (tls->failed) return TLS_FAILED;
    if (tls->finished) return TLS_FINISHED;
    ERR_clear_error();
    tls->input = *input;
    const enum tls_event event = step(tls, buf, capacity, len);
    tls->silent_bytes += input->len - tls->input.len;
    *input = tls->input;
    tls->input = (struct slice){0};
    if (event == TLS_BYTES) tls->silent_bytes = 0;
    return tls->silent_bytes <= TLS_SILENT_BYTES_MAX ? event : fail(tls, "too many bytes without data");
}

/* ---- writing --------------------------------------------------------------------------------------------
 */

bool tls_write(struct tls *tls, struct slice plain)
{
    size_t written;

    assert(tls->established && plain.len > 0 && plain.len <= TLS_RECORD_BYTES);

    if (tls->failed) return false;
    ERR_clear_error();
    const int result = SSL_write_ex(tls->ssl, plain.ptr, plain.len, &written);
    if (result == 1 && written == plain.len) return true;
    (void)fail(tls, "cannot write");
    return false;
}

size_t tls_output(struct tls *tls, uint8_t *buf, size_t capacity)
{
    const size_t waiting = tls->out_len - tls->out_at, len = waiting < capacity ? waiting : capacity;

    if (len > 0) memcpy(buf, tls->out + tls->out_at, len);
    tls->out_at += len;
    if (tls->out_at < tls->out_len) return len;
    free(tls->out);
    tls->out = NULL;
    tls->out_at = tls->out_len = tls->out_capacity = 0;
    return len;
}

void tls_finish(struct tls *tls)
{
    if (tls->failed || !tls->established) return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

bool tls_is_established(const struct tls *tls)
{
    return tls->established;
}

const char *tls_failure(const struct tls *tls)
{
    return tls->failure;
}
