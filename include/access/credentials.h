/*
 * Credentials: who may do what. A file has one line for each; the secret itself is not in it, only its SHA-256.
 *
 *   # name  roles         digest                                expiry, if any
 *   cart    ingest        sha256:9f86d081884c7d659a2feaa0c55a…
 *   wall    query,ops     sha256:60303ae22b998861bce3b28f33ee…  2027-06-30T00:00:00Z
 *   edge    ingest        cert:edge.example.com
 *
 * A digest is that of a token, which a client sends as "Authorization: Bearer <token>". cert: names a client
 * certificate instead: one of its alternative names (DNS, URI), or its common name when it has none of these; without
 * control bytes.
 * Fields are parted by blanks or tabs; what follows a '#' at the start of a line is a comment. Names are unique,
 * and so are secrets.
 *
 * A table never changes once it is made, and is read by any thread. Whoever shares it holds it:
 *
 *   credentials_parse(text, &credentials, error)      held once, by the caller
 *   credentials_hold(credentials)                     once more, for another owner
 *   credentials_release(credentials)                  the last one frees it
 */
#ifndef ACCESS_CREDENTIALS_H
#define ACCESS_CREDENTIALS_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a credential allows; a set of bits. */
enum access_role { ACCESS_INGEST = 1, ACCESS_QUERY = 2, ACCESS_OPS = 4 };

enum {
    CREDENTIALS_MAX = 4096,           /* in a file */
    CREDENTIALS_FILE_BYTES = 1 << 20, /* the largest that is read */
    CREDENTIAL_NAME_MAX = 64,
    CREDENTIAL_LINE_MAX = 512,
    CREDENTIALS_ERROR_MAX = 256,
    DIGEST_BYTES = 32,
};

enum credential_kind { CREDENTIAL_TOKEN, CREDENTIAL_CERTIFICATE };

struct digest {
    uint8_t bytes[DIGEST_BYTES]; /* SHA-256 */
};
struct digest digest_of(struct slice bytes);

struct credential {
    char name[CREDENTIAL_NAME_MAX + 1]; /* letters, digits, '.', '_', '-' */
    enum credential_kind kind;
    unsigned roles;       /* enum access_role */
    struct digest digest; /* of the token, or of the name of the certificate */
    char subject[256];    /* the name of the certificate, as written; "" for a token */
    uint64_t expires_s;   /* since 1970; it is valid before; 0: for ever */
};

/* One line that is neither empty nor a comment. False: *why is static text. */
bool credential_parse(struct slice line, struct credential *out, const char **why);
/* False for an empty line or a comment. */
bool credential_is_line(struct slice line);
/* The line, without its end; returns the length. */
size_t credential_format(const struct credential *credential, char out[CREDENTIAL_LINE_MAX]);
bool credential_name_is_valid(const char *name);

/* "ingest,query" -> bits; false: a word that is no role, or none at all. */
bool roles_parse(struct slice text, unsigned *out);
/* The other way; returns out. */
enum { ROLES_TEXT_MAX = 32 };
const char *roles_format(unsigned roles, char out[ROLES_TEXT_MAX]);

/* "2027-06-30T00:00:00Z" -> seconds since 1970; nothing but that form. */
bool expiry_parse(struct slice text, uint64_t *out);
enum { EXPIRY_TEXT_MAX = 32 };
const char *expiry_format(uint64_t seconds, char out[EXPIRY_TEXT_MAX]);

/* ---- the table ------------------------------------------------------------------------------------------ */

struct credentials;

/* ERR_MALFORMED: error tells the line and what is wrong with it; ERR_NO_MEMORY. A table may be empty. */
enum err credentials_parse(struct slice text, struct credentials **out, char error[CREDENTIALS_ERROR_MAX]);
struct credentials *credentials_hold(struct credentials *credentials);
void credentials_release(struct credentials *credentials); /* NULL is let be */
size_t credentials_count(const struct credentials *credentials);

/*
 * The credential with that digest, whether expired or not; NULL: none. Found by the first eight bytes, then compared in
 * constant time: how long it takes tells nothing about the rest.
 */
const struct credential *credentials_find(const struct credentials *credentials, enum credential_kind kind,
                                          const struct digest *digest);

#endif
