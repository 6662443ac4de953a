/* The operator's tool: finds the command and lets it do the rest. */
#include "base/log.h"
#include "commands.h"

#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    enum ctl_exit (*run)(int count, const char *const *words);
    const char *help;
} commands[] = {
    {"backup", command_backup, "has a running server make, list and remove whole copies of what it stores"},
    {"export", command_export, "writes traces of a running server to a file, as OTLP"},
    {"import", command_import, "sends such a file, or one of a Collector, to a server"},
    {"disk-check", command_disk_check, "shows, or measures, what a disk takes beside a journal"},
    {"inspect", command_inspect, "shows what a file of a data directory holds, and where its bytes go"},
    {"pin", command_pin, "says what a running server must not let go, whatever retention says"},
    {"ledger", command_ledger, "says what has become of the spans that came to a running server"},
    {"retention", command_retention, "says what would leave a running server's store now"},
    {"verify", command_verify, "checks every byte of a data directory, and says where damage is"},
    {"token", command_token, "makes, lists and revokes the credentials that clients of a server need"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void help(FILE *to)
{
    fputs("spanmillctl " SPANMILL_VERSION
          ": the operator's tool of spanmill. It looks at a data directory and writes credentials without a\n"
          "server, and tells a server what to keep, to copy and to give out.\n\n"
          "Usage: spanmillctl COMMAND [OPTIONS]\n\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("  --help, --version\n\n"
          "spanmillctl COMMAND --help tells the options of a command. None writes to a data directory, but "
          "for\n"
          "disk-check --again.\n"
          "Exit codes: 0 fine; 1 damage found; 2 wrong usage; 3 cannot read what was named.\n",
          to);
}

int main(int count, char **words)
{
    const char *const *const arguments = (const char *const *)words;

    log_set_level(LOG_ERROR +
                  1); /* what the store has to say to a server's operator; findings are told here */
    if (count < 2) {
        help(stderr);
        return CTL_USAGE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(arguments[1], commands[i].name) == 0) return commands[i].run(count - 2, arguments + 2);
    if (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "help") == 0) {
        help(stdout);
        return CTL_FINE;
    }
    if (strcmp(arguments[1], "--version") == 0) {
        puts("spanmillctl " SPANMILL_VERSION);
        return CTL_FINE;
    }
    fprintf(stderr, "spanmillctl: unknown command '%.100s'; see spanmillctl --help\n", arguments[1]);
    return CTL_USAGE;
}
