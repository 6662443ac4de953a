/*
 * Who is let in, as the operator's files say: read at the start, and again at SIGHUP. What is wrong with a file stops the
 * start; at SIGHUP everything stays as it was, and the log says why.
 */
#ifndef MAIN_IDENTITY_H
#define MAIN_IDENTITY_H

#include "option.h"

#include <stddef.h>

struct access;
struct identity;
struct tls_shelf;

/* Reads what the options name and judges it, no more. ERR_MALFORMED, ERR_DENIED: error is one line. */
enum err identity_check(const struct options *options, char error[OPTION_ERROR_MAX]);

/* The same, and keeps it. options are borrowed; seed is any random number. */
enum err identity_open(const struct options *options, uint64_t seed, struct identity **out,
                       char error[OPTION_ERROR_MAX]);
/* When no server uses it any more. */
void identity_close(struct identity *identity);
/* For the servers of all threads, until identity_close(). */
struct access *identity_access(struct identity *identity);
/* NULL: no TLS. */
struct tls_shelf *identity_tls(struct identity *identity);

/*
 * Directories that identity_reload() reads in, for the sandbox: those of the files, and those that their links lead to.
 * Fills in at most IDENTITY_DIRECTORIES_MAX, static memory; returns how many.
 */
enum { IDENTITY_DIRECTORIES_MAX = 8 };
unsigned identity_directories(const struct options *options, const char **out);

/* On the leader's thread. Logs how it went. */
void identity_reload(struct identity *identity);
/* Lines for /metrics, from any thread; returns the length written. */
size_t identity_metrics(char *text, size_t capacity);

#endif
