/* The TLS engine against a client of OpenSSL's, without a socket: what is spoken, what is refused, what is bounded. */
#include "tls_fixture.h"

#include <stdlib.h>

static struct authority authority;
static EVP_PKEY *key;
static struct tls_identity *identity;
static struct talk talk;

static struct tls_identity *identity_of(const char *names, long days, const struct authority *clients)
{
    struct pem certificate, key_pem, client_pem = {.len = 0};
    struct tls_identity *made = NULL;
    char error[TLS_ERROR_MAX] = "";
    X509 *const own = make_certificate(key, "spanmill", names, days, &authority);

    pem_of_certificate(&certificate, own);
    pem_of_key(&key_pem, key);
    if (clients != NULL) pem_of_certificate(&client_pem, clients->certificate);
    const struct tls_identity_config config = {.certificates = pem_slice(&certificate),
                                               .key = pem_slice(&key_pem),
                                               .client_authorities = pem_slice(&client_pem)};
    cr_assert_eq(tls_identity_open(&config, &made, error), OK, "%s", error);
    X509_free(own);
    return made;
}

static void begin(void)
{
    authority = make_authority("root");
    key = EVP_EC_gen("P-256");
    identity = identity_of("DNS:localhost", 10, NULL);
}

static void end(void)
{
    tls_identity_release(identity);
    EVP_PKEY_free(key);
    drop_authority(&authority);
}

TestSuite(tls, .init = begin, .fini = end);

/* ---- what is spoken -------------------------------------------------------------------------------------
 */

Test(tls, carries_bytes_both_ways_however_they_are_cut)
{
    static const size_t pieces[] = {1, 2, 7, 100, 5000, 1 << 20};
    static uint8_t text[40000], back[40000];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 >> 3);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
        cr_assert(talk_shake(&talk, pieces[i]));
        talk_say(&talk, text, sizeof text, pieces[i]);
        cr_assert_eq(talk.plain_len, sizeof text);
        cr_assert_eq(memcmp(talk.plain, text, sizeof text), 0);

        size_t got = 0, count;
        for (size_t at = 0; at < sizeof text; at += TLS_RECORD_BYTES) {
            const size_t rest = sizeof text - at;
            cr_assert(
                tls_write(talk.tls, slice_of(text + at, rest < TLS_RECORD_BYTES ? rest : TLS_RECORD_BYTES)));
            talk_to_server(&talk, NULL, 0, 1);
            while (SSL_read_ex(talk.client, back + got, sizeof back - got, &count) == 1)
                got += count;
        }
        cr_assert_eq(got, sizeof text);
        cr_assert_eq(memcmp(back, text, sizeof text), 0);
        talk_end(&talk);
    }
}

static void only_1_2(SSL_CTX *context)
{
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
}

Test(tls, T7_speaks_1_3_and_1_2_with_good_ciphers)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000));
    cr_assert_eq(SSL_version(talk.client), TLS1_3_VERSION);
    talk_end(&talk);
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, only_1_2);
    cr_assert(talk_shake(&talk, 1000));
    cr_assert_eq(SSL_version(talk.client), TLS1_2_VERSION);
    cr_assert_not_null(strstr(SSL_get_cipher_name(talk.client), "ECDHE"));
    cr_assert(strstr(SSL_get_cipher_name(talk.client), "GCM") ||
              strstr(SSL_get_cipher_name(talk.client), "CHACHA"));
    talk_end(&talk);
}

static void only_1_1(SSL_CTX *context)
{
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
}

static void only_cbc(SSL_CTX *context)
{
    only_1_2(context);
    SSL_CTX_set_cipher_list(context,
                            "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:AES128-SHA:@SECLEVEL=0");
}

static void only_null(SSL_CTX *context)
{
    only_1_2(context);
    SSL_CTX_set_cipher_list(context, "eNULL:aNULL:@SECLEVEL=0");
}

static void only_a_group_that_is_not_ours(SSL_CTX *context)
{
    SSL_CTX_set1_groups_list(context, "P-521");
}

Test(tls, T7_refuses_old_versions_weak_ciphers_other_groups)
{
    static void (*const rules[])(SSL_CTX *) = {only_1_1, only_cbc, only_null, only_a_group_that_is_not_ours};

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        talk_begin(&talk, identity, TLS_ALPN_HTTP1, rules[i]);
        cr_assert(!talk_shake(&talk, 1000), "%zu", i);
        cr_assert_eq(talk.event, TLS_FAILED, "%zu", i);
        cr_assert_not_null(strstr(talk_trouble(&talk), "alert"), "%zu: %s", i, talk_trouble(&talk));
        cr_assert(tls_failure(talk.tls)[0] != '\0');
        talk_end(&talk);
    }
}

/* ---- ALPN -----------------------------------------------------------------------------------------------
 */

static const char *offered;
static size_t offered_len;

static void offer(SSL_CTX *context)
{
    cr_assert_eq(SSL_CTX_set_alpn_protos(context, (const unsigned char *)offered, (unsigned)offered_len), 0);
}

static bool shakes_with(enum tls_alpn alpn, const char *list, size_t len, char chosen[16])
{
    const unsigned char *name;
    unsigned name_len;

    offered = list;
    offered_len = len;
    talk_begin(&talk, identity, alpn, offer);
    const bool shaken = talk_shake(&talk, 1000);
    SSL_get0_alpn_selected(talk.client, &name, &name_len);
    snprintf(chosen, 16, "%.*s", (int)name_len, name != NULL ? (const char *)name : "");
    if (!shaken) cr_assert_not_null(strstr(talk_trouble(&talk), "no application protocol"));
    talk_end(&talk);
    return shaken;
}

#define OFFER(list) list, sizeof list - 1

Test(tls, T12_alpn_must_name_the_listeners_protocol)
{
    char chosen[16], many[255 * 3];

    cr_assert(shakes_with(TLS_ALPN_HTTP2, OFFER("\x02h2"), chosen));
    cr_assert_str_eq(chosen, "h2");
    cr_assert(shakes_with(TLS_ALPN_HTTP1, OFFER("\x02h2\x08http/1.1"), chosen));
    cr_assert_str_eq(chosen, "http/1.1");
    cr_assert(shakes_with(TLS_ALPN_HTTP2, OFFER("\x08http/1.1\x02h2"), chosen));
    cr_assert_str_eq(chosen, "h2");
    cr_assert(shakes_with(TLS_ALPN_EITHER, OFFER("\x08http/1.1\x02h2"), chosen));
    cr_assert_str_eq(chosen, "h2", "whatever the client names first");
    cr_assert(shakes_with(TLS_ALPN_EITHER, OFFER("\x08http/1.1"), chosen));
    cr_assert_str_eq(chosen, "http/1.1");
    cr_assert(!shakes_with(TLS_ALPN_EITHER, OFFER("\x03h2c"), chosen));
    cr_assert(!shakes_with(TLS_ALPN_HTTP1, OFFER("\x02h2"), chosen));
    cr_assert(!shakes_with(TLS_ALPN_HTTP2, OFFER("\x08http/1.1"), chosen));
    cr_assert(!shakes_with(TLS_ALPN_HTTP2, OFFER("\x03h2c\x01h"), chosen));
    for (size_t i = 0; i < 255; i++)
        memcpy(many + 3 * i, i == 254 ? "\x02h2" : "\x02zz", 3);
    cr_assert(shakes_with(TLS_ALPN_HTTP2, many, sizeof many, chosen));
    cr_assert(!shakes_with(TLS_ALPN_HTTP2, many, sizeof many - 3, chosen));
}

/* ---- what is bounded ------------------------------------------------------------------------------------
 */

Test(tls, T1_T3_tells_a_client_hello_by_five_bytes)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum tls_look look;
    } rows[] = {
        {"", 0, TLS_LOOK_MORE},
        {"\x16", 1, TLS_LOOK_MORE},
        {"\x16\x03\x01\x02", 4, TLS_LOOK_MORE},
        {"\x16\x03\x01\x02\x00", 5, TLS_LOOK_HELLO},
        {"\x16\x03\x03\x02\x00\x01", 6, TLS_LOOK_HELLO},
        {"G", 1, TLS_LOOK_OTHER},
        {"GET / HTTP/1.1\r\n", 16, TLS_LOOK_OTHER},
        {"PRI * HTTP/2.0", 14, TLS_LOOK_OTHER},
        {"\x16\x02", 2, TLS_LOOK_OTHER},
        {"\x16\x03\x05", 3, TLS_LOOK_OTHER},
        {"\x16\x03\x01\x00\x03", 5, TLS_LOOK_OTHER},
        {"\x16\x03\x01\x40\x01", 5, TLS_LOOK_OTHER},
        {"\x80\x2e\x01\x03\x01", 5, TLS_LOOK_OTHER}, /* SSLv2 */
        {"\x00\x00\x00\x00\x00", 5, TLS_LOOK_OTHER},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(tls_look(slice_of(rows[i].bytes, rows[i].len)), rows[i].look, "%zu", i);
}

Test(tls, T8_renegotiation_is_refused)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, only_1_2);
    cr_assert(talk_shake(&talk, 1000));
    cr_assert_eq(SSL_renegotiate(talk.client), 1);
    (void)SSL_do_handshake(talk.client);
    cr_assert(talk_carry(&talk, 1000));
    cr_assert_not_null(strstr(talk_trouble(&talk), "no renegotiation"), "%s", talk_trouble(&talk));
    talk_end(&talk);
}

Test(tls, T9_records_that_carry_nothing_end_the_connection)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000));
    for (unsigned i = 0; i < 100000 && talk.event != TLS_FAILED; i++) {
        cr_assert_eq(SSL_key_update(talk.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        cr_assert_eq(SSL_do_handshake(talk.client), 1);
        cr_assert(talk_carry(&talk, 1000));
    }
    cr_assert_eq(talk.event, TLS_FAILED);
    talk_end(&talk);
}

Test(tls, T9_a_key_update_now_and_then_is_fine)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000));
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(SSL_key_update(talk.client, SSL_KEY_UPDATE_REQUESTED), 1);
        talk_say(&talk, "hello", 5, 1000);
        cr_assert_eq(talk.event, TLS_NEED_MORE);
        (void)talk_trouble(&talk); /* takes the server's own update */
    }
    cr_assert_eq(talk.plain_len, 500);
    talk_end(&talk);
}

Test(tls, T10_T11_offers_neither_tickets_nor_early_data)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000));
    talk_say(&talk, "x", 1, 1000);
    (void)talk_trouble(&talk);
    SSL_SESSION *const session = SSL_get0_session(talk.client);
    cr_assert(!SSL_SESSION_has_ticket(session));
    cr_assert_eq(SSL_SESSION_get_max_early_data(session), 0);
    cr_assert(!SSL_SESSION_is_resumable(session));
    talk_end(&talk);
}

Test(tls, T6_a_hello_that_is_too_long_or_nonsense_is_refused)
{
    static uint8_t bytes[1 << 17];

    for (unsigned seed = 0; seed < 50; seed++) {
        srand48(seed);
        talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)lrand48();
        memcpy(bytes, "\x16\x03\x01\x40\x00\x01\x00\x80\x00\x03\x03", 11); /* 32 KiB of ClientHello */
        talk_to_server(&talk, bytes, sizeof bytes, 1 + (size_t)seed * 100);
        cr_assert_eq(talk.event, TLS_FAILED, "%u", seed);
        talk_end(&talk);
    }
}

Test(tls, a_byte_that_is_changed_on_its_way_ends_the_connection)
{
    uint8_t record[256];

    for (unsigned spoilt = 0; spoilt < 60; spoilt++) {
        talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
        cr_assert(talk_shake(&talk, 1000));
        size_t written;
        cr_assert_eq(SSL_write_ex(talk.client, "a request of thirty-two bytes...", 32, &written), 1);
        const int len = BIO_read(talk.from_client, record, sizeof record);
        cr_assert_gt(len, 32);
        record[spoilt % (unsigned)len] ^= 1;
        talk_to_server(&talk, record, (size_t)len, 1000);
        cr_assert_eq(talk.plain_len, 0, "%u", spoilt);
        /* a length that has grown waits for more, within the limit of silence */
        static uint8_t more[TLS_SILENT_BYTES_MAX + 1];
        if (talk.event != TLS_FAILED) talk_to_server(&talk, more, sizeof more, sizeof more);
        cr_assert_eq(talk.event, TLS_FAILED, "%u", spoilt);
        talk_end(&talk);
    }
}

Test(tls, T15_tells_an_end_from_a_cut)
{
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000));
    talk_say(&talk, "half", 4, 1000);
    cr_assert_eq(talk.event, TLS_NEED_MORE, "more may come");
    (void)SSL_shutdown(talk.client);
    cr_assert(talk_carry(&talk, 1000));
    cr_assert_eq(talk.event, TLS_FINISHED);
    tls_finish(talk.tls);
    talk_to_server(&talk, NULL, 0, 1);
    char byte;
    cr_assert_eq(SSL_get_error(talk.client, SSL_read(talk.client, &byte, 1)), SSL_ERROR_ZERO_RETURN);
    talk_end(&talk);
}

/* ---- client certificates --------------------------------------------------------------------------------
 */

static X509 *client_certificate;
static EVP_PKEY *client_key;

static void show_certificate(SSL_CTX *context)
{
    cr_assert_eq(SSL_CTX_use_certificate(context, client_certificate), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(context, client_key), 1);
}

static bool shakes_as(const struct authority *issuer, const char *name, const char *names, long days)
{
    client_key = EVP_EC_gen("P-256");
    client_certificate = make_certificate(client_key, name, names, days, issuer);
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, show_certificate);
    const bool shaken = talk_shake(&talk, 1000);
    X509_free(client_certificate);
    EVP_PKEY_free(client_key);
    return shaken;
}

static bool has_name(const char *name)
{
    const struct slice *names;
    const unsigned count = tls_peer_names(talk.tls, &names);

    for (unsigned i = 0; i < count; i++)
        if (slice_is(names[i], name)) return true;
    return false;
}

Test(tls, T14_a_client_certificate_must_be_of_the_authority)
{
    struct authority clients = make_authority("clients"), strangers = make_authority("strangers");

    tls_identity_release(identity);
    identity = identity_of("DNS:localhost", 10, &clients);
    cr_assert(shakes_as(&clients, "cart", "DNS:cart.example,URI:spiffe://house/cart", 1));
    cr_assert(has_name("cart.example") && has_name("spiffe://house/cart"));
    cr_assert(!has_name("cart"), "there are alternative names");
    talk_end(&talk);
    cr_assert(shakes_as(&clients, "cart", NULL, 1));
    cr_assert(has_name("cart"));
    talk_end(&talk);
    cr_assert(shakes_as(&clients, "a name with blanks", NULL, 1));
    cr_assert(!has_name("a name with blanks"), "could not be written in a line of the file");
    talk_end(&talk);
    cr_assert(!shakes_as(&strangers, "cart", NULL, 1));
    cr_assert_not_null(strstr(tls_failure(talk.tls), "issuer"), "%s", tls_failure(talk.tls));
    talk_end(&talk);
    cr_assert(!shakes_as(&clients, "cart", NULL, -1));
    cr_assert_not_null(strstr(tls_failure(talk.tls), "expired"), "%s", tls_failure(talk.tls));
    talk_end(&talk);
    talk_begin(&talk, identity, TLS_ALPN_HTTP1, NULL);
    cr_assert(talk_shake(&talk, 1000), "none is shown: a token may follow");
    const struct slice *names;
    cr_assert_eq(tls_peer_names(talk.tls, &names), 0);
    talk_end(&talk);
    drop_authority(&clients);
    drop_authority(&strangers);
}

/* ---- identities -----------------------------------------------------------------------------------------
 */

static enum err open_with(const char *certificates, const char *key_text, const char *clients, char *error)
{
    const struct tls_identity_config config = {.certificates = slice_text(certificates),
                                               .key = slice_text(key_text),
                                               .client_authorities = slice_text(clients)};
    struct tls_identity *made = NULL;

    const enum err err = tls_identity_open(&config, &made, error);
    tls_identity_release(made);
    return err;
}

Test(tls, an_identity_must_fit_together)
{
    struct pem certificate, own, other;
    char error[TLS_ERROR_MAX];
    X509 *const made = make_certificate(key, "spanmill", NULL, 10, &authority);
    EVP_PKEY *const other_key = EVP_EC_gen("P-256");

    pem_of_certificate(&certificate, made);
    pem_of_key(&own, key);
    pem_of_key(&other, other_key);
    certificate.text[certificate.len] = own.text[own.len] = other.text[other.len] = '\0';
    cr_assert_eq(open_with(certificate.text, own.text, "", error), OK);
    cr_assert_eq(open_with(certificate.text, other.text, "", error), ERR_MALFORMED);
    cr_assert_not_null(strstr(error, "not the key of the certificate"), "%s", error);
    cr_assert_eq(open_with("", own.text, "", error), ERR_MALFORMED);
    cr_assert_not_null(strstr(error, "no certificate"), "%s", error);
    cr_assert_eq(open_with(own.text, own.text, "", error), ERR_MALFORMED);
    cr_assert_eq(open_with(certificate.text, certificate.text, "", error), ERR_MALFORMED);
    cr_assert_not_null(strstr(error, "no private key"), "%s", error);
    cr_assert_eq(open_with(certificate.text, own.text, "nothing in here", error), ERR_MALFORMED);
    cr_assert_not_null(strstr(error, "authorities"), "%s", error);
    certificate.text[certificate.len / 2] ^= 1;
    cr_assert_eq(open_with(certificate.text, own.text, "", error), ERR_MALFORMED);
    X509_free(made);
    EVP_PKEY_free(other_key);
}

Test(tls, a_connection_keeps_the_identity_it_began_with)
{
    struct tls_shelf *shelf;

    cr_assert_eq(tls_shelf_open(&shelf), OK);
    cr_assert_null(tls_shelf_take(shelf));
    tls_shelf_replace(shelf, identity_of("DNS:old", 5, NULL));
    struct tls_identity *const taken = tls_shelf_take(shelf);
    talk_begin(&talk, taken, TLS_ALPN_HTTP1, NULL);
    tls_identity_release(taken);
    tls_shelf_replace(shelf, identity_of("DNS:new", 10, NULL));
    cr_assert(talk_shake(&talk, 100));
    cr_assert_eq(X509_check_host(SSL_get0_peer_certificate(talk.client), "old", 0, 0, NULL), 1);
    talk_end(&talk);
    tls_shelf_close(shelf);
}
