/* spanmillctl ledger: what has become of the spans that came. */
#include "client.h"
#include "commands.h"
#include "listing.h"
#include "target.h"

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

static bool balances(struct slice body)
{
    static const char word[] = "\"balances\":true";

    return memmem(body.ptr, body.len, word, sizeof word - 1) != NULL;
}

static enum ctl_exit ask(const struct ledger_options *options)
{
    struct client_answer answer;
    struct target target;

    target_init(&target, "/query/v1/ledger");
    target_text(&target, "service", options->service);
    target_text(&target, "start", options->start);
    target_text(&target, "end", options->end);
    target_text(&target, "step", options->step);
    if (target.too_long) {
        fprintf(stderr, "spanmillctl ledger: the parameters are too long\n");
        return CTL_USAGE;
    }
    enum ctl_exit code = client_ask(&options->client, "GET", target.text, (struct slice){0}, &answer);
    if (code != CTL_FINE) return code;
    listing_answer(answer.body, "rows", options->json);
    if (!balances(answer.body)) code = CTL_DAMAGED;
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
