/* spanmillctl pin add | list | remove: what a running server holds, whatever the rules of retention say. */
#include "client.h"
#include "codec/json.h"
#include "codec/json_reader.h"
#include "commands.h"
#include "listing.h"

#include <stdio.h>
#include <string.h>

static const char about[] = "What must not leave the store, whatever the rules of retention say. A pin names "
                            "a trace, or spans by the range in\n"
                            "which they begin and by a filter; every trace with such a span is held as a "
                            "whole. The server is asked.\n";
static const char after[] = "Times: Unix nanoseconds, RFC 3339 (2026-03-01T12:00:00Z), now, or before now "
                            "(-15m). A filter has the parameters of\n"
                            "a search. --expires: a time from now (90d), a moment, or never.\n\n"
                            "  spanmillctl pin add --trace 4bf92f3577b34da6a3ce929d0e0e4736 --owner ann "
                            "--reason 'incident 7' --expires 90d\n"
                            "  spanmillctl pin add --start -2h --filter 'service=cart&status=error' --owner "
                            "ann --reason audit --expires never\n"
                            "  spanmillctl pin list\n"
                            "  spanmillctl pin remove 3\n\n";

struct pin_options {
    struct client client;
    const char *trace, *start, *end, *filter, *owner, *reason, *expires;
    bool json;
};

/* ---- add ------------------------------------------------------------------------------------------------- */

static void put(struct json *json, const char *name, const char *value)
{
    if (value == NULL) return;
    json_key(json, name);
    json_text(json, value);
}

static enum ctl_exit add(const struct pin_options *options)
{
    uint8_t body[8192];
    struct json json;
    struct client_answer answer;

    json_init(&json, body, sizeof body, NULL, NULL);
    json_object_begin(&json);
    put(&json, "traceId", options->trace);
    put(&json, "start", options->start);
    put(&json, "end", options->end);
    put(&json, "filter", options->filter);
    put(&json, "owner", options->owner);
    put(&json, "reason", options->reason);
    put(&json, "expires", options->expires);
    json_object_end(&json);
    if (json_finish(&json) != OK) {
        fprintf(stderr, "spanmillctl pin: the options are too long\n");
        return CTL_USAGE;
    }
    const enum ctl_exit code = client_ask(&options->client, "POST", "/query/v1/pins",
                                          slice_of(body, json.len), &answer);
    if (code != CTL_FINE) return code;
    listing_answer(answer.body, NULL, options->json);
    client_free(&answer);
    return CTL_FINE;
}

/* ---- list and remove ------------------------------------------------------------------------------------- */

static enum ctl_exit list(const struct pin_options *options)
{
    struct client_answer answer;

    const enum ctl_exit code = client_ask(&options->client, "GET", "/query/v1/pins", (struct slice){0},
                                          &answer);
    if (code != CTL_FINE) return code;
    if (options->json)
        listing_raw(answer.body);
    else
        listing_array(stdout, answer.body, "pins");
    client_free(&answer);
    return CTL_FINE;
}

static enum ctl_exit take_away(const struct pin_options *options, const char *id)
{
    struct client_answer answer;
    char target[64];

    snprintf(target, sizeof target, "/query/v1/pins/%.20s", id);
    const enum ctl_exit code = client_ask(&options->client, "DELETE", target, (struct slice){0}, &answer);
    if (code != CTL_FINE) return code;
    if (options->json)
        listing_raw(answer.body);
    else
        printf("removed %.20s\n", id);
    client_free(&answer);
    return CTL_FINE;
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static enum ctl_exit carry_out(const struct pin_options *options, const char *verb, const char *id)
{
    if (strcmp(verb, "add") == 0) return add(options);
    if (strcmp(verb, "list") == 0) return list(options);
    if (strcmp(verb, "remove") == 0 && id != NULL && id[0] >= '0' && id[0] <= '9')
        return take_away(options, id);
    fprintf(stderr, "spanmillctl pin: give add, list, or remove with the number of a pin; see --help\n");
    return CTL_USAGE;
}

enum ctl_exit command_pin(int count, const char *const *words)
{
    struct pin_options options = {.client.address = CLIENT_SERVER_DEFAULT};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS(options.client),
        {"trace", "ID", "the trace to hold", ARGUMENT_TEXT, &options.trace, NULL, NULL},
        {"start", "TIME", "spans that begin then or later", ARGUMENT_TEXT, &options.start, NULL, NULL},
        {"end", "TIME", "and before then; without: all that follow", ARGUMENT_TEXT, &options.end, NULL, NULL},
        {"filter", "FILTER", "and are like this", ARGUMENT_TEXT, &options.filter, NULL, NULL},
        {"owner", "NAME", "who is to be asked", ARGUMENT_TEXT, &options.owner, NULL, NULL},
        {"reason", "TEXT", "why", ARGUMENT_TEXT, &options.reason, NULL, NULL},
        {"expires", "WHEN", "when it ends", ARGUMENT_TEXT, &options.expires, NULL, NULL},
        {"json", NULL, "as the server has answered", ARGUMENT_FLAG, &options.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "pin",
                                  .operand = "add|list|remove",
                                  .second = "ID",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    return code != CTL_GO_ON ? code : carry_out(&options, arguments.value, arguments.second_value);
}
