/*
 * Everything is read and judged before anything is put in force, so a reload is all or nothing. The new credentials count
 * from the next request of every connection on; threads fetch them by themselves (access/access.h).
 */
#include "identity.h"

#include "access/access.h"
#include "base/log.h"
#include "io/small_file.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct identity {
    const struct options *options;
    struct access *access;
};

/* What has been read, before it is in force. */
struct reading {
    struct credentials *credentials; /* NULL: none are asked for */
};

/* Of the one identity of this process. */
static struct {
    _Atomic uint64_t reloads, failures, loaded_s, credentials;
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

static void drop(struct reading *reading)
{
    credentials_release(reading->credentials);
    *reading = (struct reading){0};
}

static enum err read_all(const struct options *options, struct reading *out, char error[OPTION_ERROR_MAX])
{
    *out = (struct reading){0};
    const enum err err = read_credentials(options, &out->credentials, error);
    if (err != OK) drop(out);
    return err;
}

enum err identity_check(const struct options *options, char error[OPTION_ERROR_MAX])
{
    struct reading reading;

    TRY(read_all(options, &reading, error));
    drop(&reading);
    return OK;
}

/* ---- putting it in force --------------------------------------------------------------------------------
 */

static uint64_t count_of(const struct reading *reading)
{
    return reading->credentials != NULL ? credentials_count(reading->credentials) : 0;
}

static void adopt(struct identity *identity, struct reading *reading)
{
    atomic_store(&numbers.credentials, count_of(reading));
    atomic_store(&numbers.loaded_s, (uint64_t)time(NULL));
    access_replace(identity->access, reading->credentials);
    *reading = (struct reading){0};
}

enum err identity_open(const struct options *options, uint64_t seed, struct identity **out,
                       char error[OPTION_ERROR_MAX])
{
    struct identity *const identity = calloc(1, sizeof *identity);
    struct reading reading;

    if (identity == NULL || access_open(seed, &identity->access) != OK) {
        free(identity);
        snprintf(error, OPTION_ERROR_MAX, "out of memory");
        return ERR_NO_MEMORY;
    }
    identity->options = options;
    const enum err err = read_all(options, &reading, error);
    if (err != OK) {
        identity_close(identity);
        return err;
    }
    const uint64_t count = count_of(&reading);
    adopt(identity, &reading);
    if (options_text(options, OPTION_TOKENS_FILE)[0] != '\0')
        log_info("main", "credentials", "count=%" PRIu64 " file=%s", count,
                 options_text(options, OPTION_TOKENS_FILE));
    *out = identity;
    return OK;
}

void identity_close(struct identity *identity)
{
    access_close(identity->access);
    free(identity);
}

struct access *identity_access(struct identity *identity)
{
    return identity->access;
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
    const uint64_t count = count_of(&reading);
    adopt(identity, &reading);
    atomic_fetch_add(&numbers.reloads, 1);
    log_info("main", "reloaded", "credentials=%" PRIu64, count);
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
        "spanmill_reloaded_timestamp_seconds %" PRIu64 "\n",
        atomic_load(&numbers.credentials), atomic_load(&numbers.reloads), atomic_load(&numbers.failures),
        atomic_load(&numbers.loaded_s));

    return len > 0 && (size_t)len < capacity ? (size_t)len : 0;
}
