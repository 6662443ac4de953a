/*
 * Credentials and certificates. Everything is read and judged before anything is put in force, so a reload is all or nothing. The new credentials count
 * from the next request of every connection on; threads fetch them by themselves (access/access.h). The new certificate is that of the next handshake, while
 * connections that stand go on.
 */
#include "identity.h"

#include "access/access.h"
#include "base/log.h"
#include "config.h"
#include "io/small_file.h"
#include "protocol/tls.h"

#include <inttypes.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct identity {
    const struct options *options;
    struct access *access;
    struct tls_shelf *tls; /* NULL: no TLS */
};

/* What has been read, before it is in force. */
struct reading {
    struct credentials *credentials; /* NULL: none are asked for */
    struct tls_identity *tls;        /* NULL: no TLS */
};

/* Of the one identity of this process. */
static struct {
    _Atomic uint64_t reloads, failures, loaded_s, credentials, not_after_s;
} numbers;

/* ---- reading --------------------------------------------------------------------------------------------
 */

static enum err fail(char error[OPTION_ERROR_MAX], enum option_id id, const char *path, const char *why)
{
    snprintf(error, OPTION_ERROR_MAX, "%s: %.200s: %.250s", option_table[id].key, path, why);
    return ERR_MALFORMED;
}

static enum err read_credentials(const struct options *options, struct credentials **out, char *error)
{
    const char *const path = options_text(options, OPTION_TOKENS_FILE);
    char why[CREDENTIALS_ERROR_MAX], *text;
    size_t len;

    if (path[0] == '\0') return OK;
    enum err err = small_file_read(path, SMALL_FILE_SECRET, CREDENTIALS_FILE_BYTES, &text, &len);
    if (err != OK) return fail(error, OPTION_TOKENS_FILE, path, small_file_advice(err));
    err = credentials_parse(slice_of(text, len), out, why);
    free(text);
    return err == OK ? OK : fail(error, OPTION_TOKENS_FILE, path, why);
}

/* One PEM file; an option that is not given is an empty one. */
static enum err read_pem(const struct options *options, enum option_id id, enum small_file_kind kind,
                         char **text, size_t *len, char *error)
{
    const char *const path = options_text(options, id);

    *text = NULL;
    *len = 0;
    if (path[0] == '\0') return OK;
    const enum err err = small_file_read(path, kind, TLS_PEM_BYTES_MAX, text, len);
    return err == OK ? OK : fail(error, id, path, small_file_advice(err));
}

struct pems {
    char *certificates, *key, *authorities;
    size_t certificates_len, key_len, authorities_len;
};

static enum err read_pems(const struct options *options, struct pems *pems, char *error)
{
    TRY(read_pem(options, OPTION_TLS_CERT, SMALL_FILE_PUBLIC, &pems->certificates, &pems->certificates_len,
                 error));
    TRY(read_pem(options, OPTION_TLS_CLIENT_CA, SMALL_FILE_PUBLIC, &pems->authorities, &pems->authorities_len,
                 error));
    return read_pem(options, OPTION_TLS_KEY, SMALL_FILE_SECRET, &pems->key, &pems->key_len, error);
}

static enum err make_tls(const struct options *options, const struct pems *pems, struct tls_identity **out,
                         char *error)
{
    const struct tls_identity_config config = {
        .certificates = slice_of(pems->certificates, pems->certificates_len),
        .key = slice_of(pems->key, pems->key_len),
        .client_authorities = slice_of(pems->authorities, pems->authorities_len),
    };
    char why[TLS_ERROR_MAX];

    const enum err err = tls_identity_open(&config, out, why);
    return err == OK ? OK : fail(error, OPTION_TLS_CERT, options_text(options, OPTION_TLS_CERT), why);
}

static enum err read_tls(const struct options *options, struct tls_identity **out, char *error)
{
    struct pems pems = {0};

    if (options_text(options, OPTION_TLS_CERT)[0] == '\0') return OK;
    enum err err = read_pems(options, &pems, error);
    if (err == OK) err = make_tls(options, &pems, out, error);
    free(pems.certificates);
    free(pems.authorities);
    small_file_forget(pems.key, pems.key_len);
    return err;
}

static void drop(struct reading *reading)
{
    tls_identity_release(reading->tls);
    credentials_release(reading->credentials);
    *reading = (struct reading){0};
}

static enum err read_all(const struct options *options, struct reading *out, char error[OPTION_ERROR_MAX])
{
    *out = (struct reading){0};
    enum err err = read_credentials(options, &out->credentials, error);
    if (err == OK) err = read_tls(options, &out->tls, error);
    if (err != OK) drop(out);
    return err;
}

static uint64_t count_of(const struct reading *reading)
{
    return reading->credentials != NULL ? credentials_count(reading->credentials) : 0;
}

static const enum option_id addresses[] = {OPTION_OTLP_HTTP, OPTION_OTLP_GRPC, OPTION_QUERY, OPTION_OPS};

/* At a start only: who revokes the last one of a running server means it. */
static enum err check_exposure(const struct options *options, const struct reading *reading, char *error)
{
    if (count_of(reading) > 0 || options_number(options, OPTION_EXPOSURE)) return OK;
    for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (!config_is_loopback(options_text(options, addresses[i])))
            return fail(error, addresses[i], options_text(options, addresses[i]),
                        "can be reached from other hosts, and there is no credential yet; spanmillctl token "
                        "new makes one");
    return OK;
}

enum err identity_check(const struct options *options, char error[OPTION_ERROR_MAX])
{
    struct reading reading;

    TRY(read_all(options, &reading, error));
    const enum err err = check_exposure(options, &reading, error);
    drop(&reading);
    return err;
}

/* ---- putting it in force --------------------------------------------------------------------------------
 */

static void adopt(struct identity *identity, struct reading *reading)
{
    atomic_store(&numbers.credentials, count_of(reading));
    atomic_store(&numbers.loaded_s, (uint64_t)time(NULL));
    access_replace(identity->access, reading->credentials);
    if (reading->tls != NULL) {
        atomic_store(&numbers.not_after_s, tls_identity_not_after_s(reading->tls));
        tls_shelf_replace(identity->tls, reading->tls);
    }
    *reading = (struct reading){0};
}

static enum err make(const struct options *options, uint64_t seed, struct identity *identity)
{
    identity->options = options;
    TRY(access_open(seed, &identity->access));
    return options_text(options, OPTION_TLS_CERT)[0] != '\0' ? tls_shelf_open(&identity->tls) : OK;
}

static void tell(const char *message)
{
    char until[EXPIRY_TEXT_MAX] = "none";
    const uint64_t not_after_s = atomic_load(&numbers.not_after_s);

    if (not_after_s != 0) expiry_format(not_after_s, until);
    log_info("main", message, "credentials=%" PRIu64 " certificate_until=%s",
             atomic_load(&numbers.credentials), until);
    if (not_after_s != 0 && not_after_s < (uint64_t)time(NULL))
        log_warn("main", "the certificate has expired, clients will refuse it", "since=%s", until);
}

static enum err read_and_adopt(struct identity *identity, char error[OPTION_ERROR_MAX])
{
    struct reading reading;

    TRY(read_all(identity->options, &reading, error));
    const enum err err = check_exposure(identity->options, &reading, error);
    if (err == OK) adopt(identity, &reading);
    drop(&reading);
    return err;
}

enum err identity_open(const struct options *options, uint64_t seed, struct identity **out,
                       char error[OPTION_ERROR_MAX])
{
    struct identity *const identity = calloc(1, sizeof *identity);

    snprintf(error, OPTION_ERROR_MAX, "out of memory");
    if (identity == NULL) return ERR_NO_MEMORY;
    enum err err = make(options, seed, identity);
    if (err == OK) err = read_and_adopt(identity, error);
    if (err != OK) {
        identity_close(identity);
        return err;
    }
    tell("identity");
    *out = identity;
    return OK;
}

void identity_close(struct identity *identity)
{
    if (identity->access != NULL) access_close(identity->access);
    if (identity->tls != NULL) tls_shelf_close(identity->tls);
    free(identity);
}

struct tls_shelf *identity_tls(struct identity *identity)
{
    return identity->tls;
}

struct access *identity_access(struct identity *identity)
{
    return identity->access;
}

/* A file is replaced by a rename, so it is its directory that must stay readable. */
unsigned identity_directories(const struct options *options, const char **out)
{
    static const enum option_id files[] = {OPTION_TOKENS_FILE, OPTION_TLS_CERT, OPTION_TLS_KEY,
                                           OPTION_TLS_CLIENT_CA};
    static char paths[IDENTITY_DIRECTORIES_MAX][OPTION_TEXT_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        const char *const path = options_text(options, files[i]);
        if (path[0] == '\0') continue;
        char *const real = realpath(path, NULL);
        snprintf(paths[count], OPTION_TEXT_MAX, "%s", path);
        out[count] = dirname(paths[count]);
        count++;
        snprintf(paths[count], OPTION_TEXT_MAX, "%s", real != NULL ? real : path);
        out[count] = dirname(paths[count]);
        count++;
        free(real);
    }
    return count;
}

void identity_reload(struct identity *identity)
{
    char error[OPTION_ERROR_MAX];
    struct reading reading;

    if (read_all(identity->options, &reading, error) != OK) {
        atomic_fetch_add(&numbers.failures, 1);
        log_error("main", "reload failed, what was in force stays in force", "error=\"%s\"", error);
        return;
    }
    adopt(identity, &reading);
    atomic_fetch_add(&numbers.reloads, 1);
    tell("reloaded");
}

size_t identity_metrics(char *text, size_t capacity)
{
    const int len = snprintf(
        text, capacity,
        "# HELP spanmill_credentials credentials in force\n"
        "# TYPE spanmill_credentials gauge\n"
        "spanmill_credentials %" PRIu64 "\n"
        "# HELP spanmill_reloads_total reloads of credentials and certificates\n"
        "# TYPE spanmill_reloads_total counter\n"
        "spanmill_reloads_total %" PRIu64 "\n"
        "# HELP spanmill_reload_failures_total reloads that failed, after which all stayed as it was\n"
        "# TYPE spanmill_reload_failures_total counter\n"
        "spanmill_reload_failures_total %" PRIu64 "\n"
        "# HELP spanmill_reloaded_timestamp_seconds when what is in force was read\n"
        "# TYPE spanmill_reloaded_timestamp_seconds gauge\n"
        "spanmill_reloaded_timestamp_seconds %" PRIu64 "\n"
        "# HELP spanmill_tls_certificate_not_after_timestamp_seconds when the certificate ends; 0: no TLS\n"
        "# TYPE spanmill_tls_certificate_not_after_timestamp_seconds gauge\n"
        "spanmill_tls_certificate_not_after_timestamp_seconds %" PRIu64 "\n",
        atomic_load(&numbers.credentials), atomic_load(&numbers.reloads), atomic_load(&numbers.failures),
        atomic_load(&numbers.loaded_s), atomic_load(&numbers.not_after_s));

    return len > 0 && (size_t)len < capacity ? (size_t)len : 0;
}
