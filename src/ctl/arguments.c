/* One pass over the words; the first that is not understood ends it. */
#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum ctl_exit complain(const struct arguments *arguments, const char *what, const char *about)
{
    fprintf(stderr, "spanmillctl %s: %s %.200s\nTry spanmillctl %s --help\n", arguments->command, what, about,
            arguments->command);
    return CTL_USAGE;
}

static void print_help(const struct arguments *arguments)
{
    printf("Usage: spanmillctl %s%s%s%s%s%s [OPTIONS]\n\n%s\n", arguments->command,
           arguments->operand != NULL ? " " : "", arguments->operand != NULL ? arguments->operand : "",
           arguments->second != NULL ? " [" : "", arguments->second != NULL ? arguments->second : "",
           arguments->second != NULL ? "]" : "", arguments->about);
    for (unsigned i = 0; i < arguments->rows_count; i++) {
        const struct argument *const row = &arguments->rows[i];
        char left[64];
        snprintf(left, sizeof left, "--%s %s", row->name, row->value != NULL ? row->value : "");
        printf("  %-32s %s\n", left, row->help);
    }
    printf("  %-32s this text\n\n%s", "--help", arguments->after);
    printf("Exit codes: 0 fine; 1 damage found; 2 wrong usage; 3 cannot read what was named.\n");
}

static const struct argument *find(const struct arguments *arguments, const char *name, size_t len)
{
    for (unsigned i = 0; i < arguments->rows_count; i++)
        if (strlen(arguments->rows[i].name) == len && memcmp(arguments->rows[i].name, name, len) == 0)
            return &arguments->rows[i];
    return NULL;
}

static bool set_number(uint64_t *to, const char *text)
{
    char *end;

    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == '-' || errno != 0) return false;
    *to = number;
    return true;
}

static bool set_choice(int *to, const char *const *choices, const char *text)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(choices[i], text) == 0) {
            *to = i;
            return true;
        }
    return false;
}

static bool set(const struct argument *row, const char *text)
{
    if (row->given != NULL) *row->given = true;
    switch (row->kind) {
    case ARGUMENT_FLAG: *(bool *)row->to = true; return true;
    case ARGUMENT_NUMBER: return set_number(row->to, text);
    case ARGUMENT_TEXT: *(const char **)row->to = text; return true;
    case ARGUMENT_CHOICE: return set_choice(row->to, row->choices, text);
    }
    return false;
}

/* *at moves over a value that stands alone. */
static enum ctl_exit parse_option(struct arguments *arguments, int count, const char *const *words, int *at)
{
    const char *const word = words[*at];
    const size_t len = strcspn(word + 2, "=");
    const struct argument *const row = find(arguments, word + 2, len);
    const bool joined = word[2 + len] == '=';

    if (row == NULL) return complain(arguments, "unknown option", word);
    if (row->kind == ARGUMENT_FLAG && joined) return complain(arguments, "takes no value:", word);
    if (row->kind != ARGUMENT_FLAG && !joined && *at + 1 == count)
        return complain(arguments, "needs a value:", word);
    const char *text = NULL;
    if (row->kind != ARGUMENT_FLAG) text = joined ? word + 3 + len : words[++*at];
    return set(row, text) ? CTL_GO_ON : complain(arguments, "value not understood:", word);
}

enum ctl_exit arguments_parse(struct arguments *arguments, int count, const char *const *words)
{
    for (int at = 0; at < count; at++)
        if (strcmp(words[at], "--help") == 0) {
            print_help(arguments);
            return CTL_FINE;
        }
    arguments->value = arguments->second_value = NULL;
    for (int at = 0; at < count; at++) {
        if (strncmp(words[at], "--", 2) == 0) {
            const enum ctl_exit code = parse_option(arguments, count, words, &at);
            if (code != CTL_GO_ON) return code;
        } else if (arguments->value == NULL && arguments->operand != NULL) {
            arguments->value = words[at];
        } else if (arguments->second != NULL && arguments->second_value == NULL) {
            arguments->second_value = words[at];
        } else {
            return complain(arguments, "one is enough:", words[at]);
        }
    }
    return arguments->value != NULL || arguments->operand == NULL
               ? CTL_GO_ON
               : complain(arguments, "needs a", arguments->operand);
}
