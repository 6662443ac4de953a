/* spanmillctl ledger: what has become of the spans that came. */
#include "client.h"
#include "commands.h"
#include "listing.h"

#include <stdio.h>
#include <string.h>

static const char about[] =
    "What has become of the spans that came, by service and the time when they started: "
    "received = stored + rejected +\n"
    "duplicate + expired + erased, in every row. Exit code 1: a row does not add up. The "
    "server is asked.\n";
static const char after[] = "Times: Unix nanoseconds, RFC 3339 (2026-03-01T12:00:00Z), now, or before now "
                            "(-15m).\n\n"
                            "  spanmillctl ledger\n"
                            "  spanmillctl ledger --service cart --start -1h --step minute\n"
                            "  spanmillctl ledger --step day --json | jq '.total'\n\n";

struct ledger_options {
    struct client client;
    const char *service, *start, *end, *step;
    bool json;
};

/* Appends "&name=value", what is not plain as %XX. False: no room. */
static bool put_parameter(char *target, size_t capacity, const char *name, const char *value)
{
    size_t len = strlen(target);

    if (value == NULL) return true;
    len += (size_t)snprintf(target + len, capacity - len, "%c%s=", strchr(target, '?') == NULL ? '?' : '&',
                            name);
    for (; *value != '\0'; value++) {
        if (len + 4 > capacity) return false;
        const bool plain = strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~",
                                  *value) != NULL;
        len += (size_t)snprintf(target + len, capacity - len, plain ? "%c" : "%%%02X", (unsigned char)*value);
    }
    return true;
}

static bool build_target(const struct ledger_options *options, char *target, size_t capacity)
{
    snprintf(target, capacity, "/query/v1/ledger");
    return put_parameter(target, capacity, "service", options->service) &&
           put_parameter(target, capacity, "start", options->start) &&
           put_parameter(target, capacity, "end", options->end) &&
           put_parameter(target, capacity, "step", options->step);
}

static bool balances(struct slice body)
{
    static const char word[] = "\"balances\":true";

    return memmem(body.ptr, body.len, word, sizeof word - 1) != NULL;
}

static enum ctl_exit ask(const struct ledger_options *options)
{
    struct client_answer answer;
    char target[2048];

    if (!build_target(options, target, sizeof target)) {
        fprintf(stderr, "spanmillctl ledger: the parameters are too long\n");
        return CTL_USAGE;
    }
    if (!client_ask(&options->client, "GET", target, (struct slice){0}, &answer)) return CTL_UNREADABLE;
    enum ctl_exit code = client_accepted(&answer) ? CTL_FINE : CTL_UNREADABLE;
    if (code == CTL_FINE && options->json) {
        listing_raw(answer.body);
    } else if (code == CTL_FINE) {
        listing_array(stdout, answer.body, "rows");
        listing_object(stdout, answer.body);
    }
    if (code == CTL_FINE && !balances(answer.body)) code = CTL_DAMAGED;
    client_free(&answer);
    return code;
}

enum ctl_exit command_ledger(int count, const char *const *words)
{
    struct ledger_options options = {.client.address = CLIENT_SERVER_DEFAULT};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS(options.client),
        {"service", "NAME", "of this service only", ARGUMENT_TEXT, &options.service, NULL, NULL},
        {"start", "TIME", "spans that start in minutes from then on", ARGUMENT_TEXT, &options.start, NULL,
         NULL},
        {"end", "TIME", "and before then", ARGUMENT_TEXT, &options.end, NULL, NULL},
        {"step", "STEP", "rows of a minute, hour, day, or ever (ever)", ARGUMENT_TEXT, &options.step, NULL,
         NULL},
        {"json", NULL, "as the server has answered", ARGUMENT_FLAG, &options.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "ledger",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    return code != CTL_GO_ON ? code : ask(&options);
}
