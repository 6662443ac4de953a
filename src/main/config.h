/*
 * Where options come from: a YAML file, the environment, the command line, in this order; and the checks that
 * concern several of them.
 */
#ifndef MAIN_CONFIG_H
#define MAIN_CONFIG_H

#include "option.h"

#include <stdio.h>

enum { EXIT_CONFIG = 78 }; /* sysexits.h: the configuration is wrong or unsafe */

/*
 * Each returns ERR_MALFORMED with one line in error: "file:line: what" for a file. Unknown and repeated keys,
 * anchors, and values of another type than a scalar are errors.
 */
enum err config_read_file(struct options *options, const char *path, char error[OPTION_ERROR_MAX]);
/* The same from memory; name stands for the file in errors. */
enum err config_read_text(struct options *options, const char *name, const char *text, size_t len,
                          char error[OPTION_ERROR_MAX]);
/*
 * environment is a list of NAME=value, ended by NULL. Every SPANMILL_* variable must be an option, except for
 * those that Kubernetes makes for services.
 */
enum err config_read_environment(struct options *options, const char *const *environment,
                                 char error[OPTION_ERROR_MAX]);
/* --key value, --key=value; *config_path is set by --config. */
enum err config_read_arguments(struct options *options, int count, const char *const *arguments,
                               const char **config_path, char error[OPTION_ERROR_MAX]);

/* All of it, with the file that --config names. */
enum err config_read(struct options *options, int count, const char *const *arguments,
                     const char *const *environment, char error[OPTION_ERROR_MAX]);

/* ERR_MALFORMED: options contradict each other. ERR_DENIED: an address is exposed without consent. */
enum err config_check(const struct options *options, char error[OPTION_ERROR_MAX]);
/* "address:port" that only this host can reach. */
bool config_is_loopback(const char *address);
/* Can any address be reached from another host without TLS or without a credential? */
bool config_is_exposed(const struct options *options);
/* A bit, 1 << enum listener_role, for each listener that speaks TLS. Of a configuration that was checked. */
unsigned config_tls_listeners(const struct options *options);

/* A configuration file with every key, its default, unit and help; reading it gives the defaults. */
void config_print_sample(FILE *out);
void config_print_help(FILE *out);

#endif
