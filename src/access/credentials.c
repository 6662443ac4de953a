/*
 * The table: sorted by the first eight bytes of the digest, so that a lookup is a binary search over 64-bit numbers and
 * one comparison of 32 bytes that takes the same time wherever they differ. What the search reveals is about digests,
 * of which nobody can choose one without having the secret.
 */
#include "access/credentials.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct row {
    uint64_t prefix;
    struct credential credential;
};

struct credentials {
    _Atomic unsigned holders;
    size_t count;
    struct row rows[];
};

struct digest digest_of(struct slice bytes)
{
    struct digest digest;

    SHA256(bytes.ptr != NULL ? bytes.ptr : digest.bytes, bytes.len, digest.bytes);
    return digest;
}

static uint64_t prefix_of(const struct digest *digest)
{
    uint64_t prefix;

    memcpy(&prefix, digest->bytes, sizeof prefix);
    return prefix;
}

/* ---- reading a file -------------------------------------------------------------------------------------
 */

static struct slice take_line(struct slice *text)
{
    const uint8_t *const end = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    const size_t len = end != NULL ? (size_t)(end - text->ptr) : text->len;
    struct slice line = slice_of(text->ptr, len);

    *text = slice_of(text->ptr + len + (end != NULL), text->len - len - (end != NULL));
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

static size_t count_lines(struct slice text)
{
    size_t count = 0;

    while (text.len > 0)
        count += credential_is_line(take_line(&text));
    return count;
}

static enum err fail(char error[CREDENTIALS_ERROR_MAX], size_t line, const char *why)
{
    snprintf(error, CREDENTIALS_ERROR_MAX, "line %zu: %s", line, why);
    return ERR_MALFORMED;
}

/* What has come before: 4,096 at most, and only when a file is read. */
static const char *conflict(const struct credentials *credentials, const struct row *row)
{
    for (size_t i = 0; i < credentials->count; i++) {
        const struct row *const other = &credentials->rows[i];
        if (strcmp(other->credential.name, row->credential.name) == 0)
            return "a credential of this name stands above";
        if (other->credential.kind == row->credential.kind &&
            memcmp(&other->credential.digest, &row->credential.digest, sizeof(struct digest)) == 0)
            return "this secret stands above, under another name";
    }
    return NULL;
}

static enum err read_rows(struct slice text, struct credentials *credentials, char *error)
{
    for (size_t number = 1; text.len > 0; number++) {
        struct row *const row = &credentials->rows[credentials->count];
        const struct slice line = take_line(&text);
        const char *why;

        if (!credential_is_line(line)) continue;
        if (!credential_parse(line, &row->credential, &why)) return fail(error, number, why);
        row->prefix = prefix_of(&row->credential.digest);
        why = conflict(credentials, row);
        if (why != NULL) return fail(error, number, why);
        credentials->count++;
    }
    return OK;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = ((const struct row *)a)->prefix, y = ((const struct row *)b)->prefix;

    return (x > y) - (x < y);
}

enum err credentials_parse(struct slice text, struct credentials **out, char error[CREDENTIALS_ERROR_MAX])
{
    const size_t count = count_lines(text);

    if (count > CREDENTIALS_MAX) return fail(error, CREDENTIALS_MAX + 1, "more than 4096 credentials");
    struct credentials *const credentials = calloc(1, sizeof *credentials + count * sizeof(struct row));
    if (credentials == NULL) {
        snprintf(error, CREDENTIALS_ERROR_MAX, "out of memory");
        return ERR_NO_MEMORY;
    }
    atomic_init(&credentials->holders, 1);
    const enum err err = read_rows(text, credentials, error);
    if (err != OK) {
        free(credentials);
        return err;
    }
    qsort(credentials->rows, credentials->count, sizeof *credentials->rows, compare);
    *out = credentials;
    return OK;
}

/* ---- holders --------------------------------------------------------------------------------------------
 */

struct credentials *credentials_hold(struct credentials *credentials)
{
    if (credentials != NULL) atomic_fetch_add(&credentials->holders, 1);
    return credentials;
}

void credentials_release(struct credentials *credentials)
{
    if (credentials != NULL && atomic_fetch_sub(&credentials->holders, 1) == 1) free(credentials);
}

size_t credentials_count(const struct credentials *credentials)
{
    return credentials->count;
}

/* ---- finding --------------------------------------------------------------------------------------------
 */

const struct credential *credentials_find(const struct credentials *credentials, enum credential_kind kind,
                                          const struct digest *digest)
{
    const uint64_t prefix = prefix_of(digest);
    size_t low = 0, high = credentials->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (credentials->rows[middle].prefix < prefix)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < credentials->count && credentials->rows[low].prefix == prefix; low++) {
        const struct credential *const found = &credentials->rows[low].credential;
        if (found->kind == kind && CRYPTO_memcmp(found->digest.bytes, digest->bytes, DIGEST_BYTES) == 0)
            return found;
    }
    return NULL;
}
