/*
 * What the threads of a server share about access: the credentials in force, and how often each source has failed.
 *
 *   access_open(&access)                     at start, by the thread that leads
 *   access_replace(access, credentials)      again and again: from then on the next decision of every thread follows it
 *   access_view_open(access, &view)          each thread that decides has a view
 *   access_decide(&view, ...)                for each request
 *   access_view_close(&view)                 before access_close()
 *
 * Without credentials (none were ever given) everybody is let in: then the program is for this host alone. With an
 * empty table nobody is.
 */
#ifndef ACCESS_ACCESS_H
#define ACCESS_ACCESS_H

#include "access/credentials.h"

enum {
    ACCESS_FAILURES_MAX = 50, /* of one source, per minute */
    ACCESS_SOURCES_MAX =
        4096, /* that are counted at once; beyond it those with the fewest failures are forgotten */
    ACCESS_TOKEN_MAX = 512, /* bytes of a token that is looked at */
};

struct access;

/* A thread's own; fields are private. */
struct access_view {
    struct access *access;           /* borrowed */
    struct credentials *credentials; /* held; NULL: everybody is let in */
    unsigned generation;
};

enum err access_open(uint64_t seed, struct access **out);
void access_close(struct access *access);
/* Takes the table over. Any thread, one at a time. NULL lets everybody in: for the start only. */
void access_replace(struct access *access, struct credentials *credentials);

void access_view_open(struct access *access, struct access_view *view);
void access_view_close(struct access_view *view);
/* Whether credentials are asked for at all. */
bool access_is_asked(struct access_view *view);

enum access_verdict {
    ACCESS_GRANTED,
    ACCESS_MISSING, /* no credential was shown */
    ACCESS_UNKNOWN, /* one that is malformed, or that nobody has */
    ACCESS_EXPIRED,
    ACCESS_FORBIDDEN, /* a good one, without a role that is needed */
    ACCESS_STRANGER,  /* a certificate that was verified, and that no credential names */
};
/* For logs: English, lower case, static. */
const char *access_verdict_text(enum access_verdict verdict);

/* What is known of a request when it is to be decided. Everything is borrowed for the call. */
struct access_request {
    unsigned needs;                         /* roles of which one is needed, or 0: any credential will do */
    struct slice authorization;             /* the field's value, ptr NULL: there is none */
    const struct digest *certificate_names; /* of a client certificate that was verified */
    unsigned certificate_names_count;
    uint64_t now_s; /* since 1970 */
};

/*
 * The field decides when it is there, else the certificate. *who, when not NULL, is the name of the credential, of a
 * forbidden or expired one too, or the first six hexadecimal digits of the token's digest, or "".
 */
enum access_verdict access_decide(struct access_view *view, const struct access_request *request,
                                  char who[CREDENTIAL_NAME_MAX + 1]);

/*
 * Counts one failure; returns how many this source has had in this minute, this one included. source is any run of
 * bytes that names it. Any thread.
 */
unsigned access_failed(struct access *access, struct slice source, uint64_t now_ns);
/* Seconds until that count begins anew. */
unsigned access_retry_after_s(uint64_t now_ns);

#endif
