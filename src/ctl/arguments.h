/*
 * The command line of one command: its options are a table, from which the help is printed as well, so the help cannot
 * say other than what is parsed. Options come as --name value or --name=value, in any place; the other words are operands.
 */
#ifndef CTL_ARGUMENTS_H
#define CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

/* How a command ends. */
enum ctl_exit {
    CTL_FINE = 0,
    CTL_DAMAGED = 1,    /* it has found damage */
    CTL_USAGE = 2,      /* the command line was not understood */
    CTL_UNREADABLE = 3, /* it could not do what was asked: no such file, in use, newer format */
    CTL_GO_ON = -1,     /* of arguments_parse() only */
};

struct argument {
    const char *name;
    const char *value; /* as in the help; NULL: takes none, and to is a bool */
    const char *help;
    enum { ARGUMENT_FLAG, ARGUMENT_NUMBER, ARGUMENT_TEXT, ARGUMENT_CHOICE } kind;
    void *to;                   /* bool, uint64_t, const char *, int (index of the choice) */
    const char *const *choices; /* NULL-terminated */
    bool *given;                /* may be NULL */
};

struct arguments {
    const char *command;
    const char *operand; /* as in the help, e.g. "FILE"; there must be one. NULL: there is none */
    const char *second;  /* the same; there may be one; NULL: there is none */
    const char *about;   /* a few lines, with their ends */
    const char *after;   /* examples and the like, printed last */
    const struct argument *rows;
    unsigned rows_count;
    const char *value;        /* the operand given */
    const char *second_value; /* NULL: none */
};

/* CTL_GO_ON, or how to end: the help has been printed, or on standard error what was not understood. */
enum ctl_exit arguments_parse(struct arguments *arguments, int count, const char *const *words);

#endif
