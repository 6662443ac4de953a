/*
 * The credentials in force, and the decision.
 *
 * A reload puts another table in place under a mutex and moves the generation. A thread that decides compares
 * generations, one load of a line that hardly ever changes, and takes the mutex only when they differ: requests share
 * nothing that is written. A table lives until its last holder has let go of it.
 */
#include "access/access.h"

#include "failures.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct access {
    _Atomic unsigned generation;
    pthread_mutex_t mutex; /* of credentials */
    struct credentials *credentials;
    struct failures failures;
};

enum err access_open(uint64_t seed, struct access **out)
{
    struct access *const access = calloc(1, sizeof *access);

    if (access == NULL) return ERR_NO_MEMORY;
    /* Now, because later no file may be opened; and without openssl.cnf, so that it is the same on every host. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    (void)digest_of(slice_text(""));
    pthread_mutex_init(&access->mutex, NULL);
    failures_init(&access->failures, seed);
    *out = access;
    return OK;
}

void access_close(struct access *access)
{
    credentials_release(access->credentials);
    failures_deinit(&access->failures);
    pthread_mutex_destroy(&access->mutex);
    free(access);
}

void access_replace(struct access *access, struct credentials *credentials)
{
    pthread_mutex_lock(&access->mutex);
    struct credentials *const before = access->credentials;
    access->credentials = credentials;
    atomic_fetch_add(&access->generation, 1);
    pthread_mutex_unlock(&access->mutex);
    credentials_release(before);
}

/* ---- views ----------------------------------------------------------------------------------------------
 */

static void look_again(struct access_view *view)
{
    struct access *const access = view->access;
    struct credentials *const before = view->credentials;

    pthread_mutex_lock(&access->mutex);
    view->credentials = credentials_hold(access->credentials);
    view->generation = atomic_load(&access->generation);
    pthread_mutex_unlock(&access->mutex);
    credentials_release(before);
}

static void refresh(struct access_view *view)
{
    if (atomic_load_explicit(&view->access->generation, memory_order_acquire) != view->generation)
        look_again(view);
}

void access_view_open(struct access *access, struct access_view *view)
{
    *view = (struct access_view){.access = access};
    look_again(view);
}

void access_view_close(struct access_view *view)
{
    credentials_release(view->credentials);
    view->credentials = NULL;
}

bool access_is_asked(struct access_view *view)
{
    refresh(view);
    return view->credentials != NULL;
}

/* ---- deciding -------------------------------------------------------------------------------------------
 */

const char *access_verdict_text(enum access_verdict verdict)
{
    static const char *const texts[] = {
        [ACCESS_GRANTED] = "granted",
        [ACCESS_MISSING] = "no credential was sent",
        [ACCESS_UNKNOWN] = "the credential is not known",
        [ACCESS_EXPIRED] = "the credential has expired",
        [ACCESS_FORBIDDEN] = "the credential does not have the role",
        [ACCESS_STRANGER] = "no credential names the client certificate",
    };

    return texts[verdict];
}

/* RFC 6750 2.1: "Bearer", in any case (RFC 9110 11.1), one blank, a b64token. */
static bool read_bearer(struct slice field, struct slice *token)
{
    static const char scheme[] = "bearer ";
    const size_t len = sizeof scheme - 1;

    if (field.len <= len || field.len - len > ACCESS_TOKEN_MAX) return false;
    if (strncasecmp((const char *)field.ptr, scheme, len) != 0) return false;
    *token = slice_of(field.ptr + len, field.len - len);
    for (size_t i = 0; i < token->len; i++)
        if (token->ptr[i] <= ' ' || token->ptr[i] >= 0x7f) return false;
    return true;
}

static const struct credential *find_by_token(const struct credentials *credentials, struct slice token,
                                              char *who)
{
    const struct digest digest = digest_of(token);

    snprintf(who, CREDENTIAL_NAME_MAX + 1, "%02x%02x%02x", digest.bytes[0], digest.bytes[1], digest.bytes[2]);
    return credentials_find(credentials, CREDENTIAL_TOKEN, &digest);
}

static const struct credential *find_by_certificate(const struct credentials *credentials,
                                                    const struct access_request *request)
{
    for (unsigned i = 0; i < request->certificate_names_count; i++) {
        const struct credential *const found = credentials_find(credentials, CREDENTIAL_CERTIFICATE,
                                                                &request->certificate_names[i]);
        if (found != NULL) return found;
    }
    return NULL;
}

static enum access_verdict judge(const struct credential *credential, const struct access_request *request,
                                 char *who)
{
    snprintf(who, CREDENTIAL_NAME_MAX + 1, "%s", credential->name);
    if (credential->expires_s != 0 && request->now_s >= credential->expires_s) return ACCESS_EXPIRED;
    return request->needs == 0 || (credential->roles & request->needs) != 0 ? ACCESS_GRANTED
                                                                            : ACCESS_FORBIDDEN;
}

enum access_verdict access_decide(struct access_view *view, const struct access_request *request,
                                  char who[CREDENTIAL_NAME_MAX + 1])
{
    struct slice token;

    who[0] = '\0';
    refresh(view);
    if (view->credentials == NULL) return ACCESS_GRANTED;
    if (request->authorization.ptr != NULL) {
        if (!read_bearer(request->authorization, &token)) return ACCESS_UNKNOWN;
        const struct credential *const found = find_by_token(view->credentials, token, who);
        return found != NULL ? judge(found, request, who) : ACCESS_UNKNOWN;
    }
    if (request->certificate_names_count == 0) return ACCESS_MISSING;
    const struct credential *const found = find_by_certificate(view->credentials, request);
    return found != NULL ? judge(found, request, who) : ACCESS_STRANGER;
}

/* ---- failures -------------------------------------------------------------------------------------------
 */

unsigned access_failed(struct access *access, struct slice source, uint64_t now_ns)
{
    return failures_count(&access->failures, source, now_ns);
}

unsigned access_retry_after_s(uint64_t now_ns)
{
    return failures_seconds_left(now_ns);
}
