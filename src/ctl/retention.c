/* spanmillctl retention preview: what would leave now, by the rules in force or by others, and what pins hold of it. */
#include "client.h"
#include "commands.h"
#include "listing.h"
#include "target.h"

#include <stdio.h>
#include <string.h>

static const char about[] =
    "What would leave the store now, and what pins hold of it. Nothing is changed. The server "
    "is asked.\n";
static const char after[] = "  spanmillctl retention preview\n"
                            "  spanmillctl retention preview --age 168h --json | jq '.leavingSpans'\n\n";

struct retention_options {
    struct client client;
    const char *age;
    uint64_t bytes, free;
    bool bytes_given, free_given, json;
};

static enum ctl_exit preview(const struct retention_options *options)
{
    struct client_answer answer;
    struct target target;

    target_init(&target, "/query/v1/retention?limit=1000");
    target_text(&target, "age", options->age);
    if (options->bytes_given) target_number(&target, "bytes", options->bytes);
    if (options->free_given) target_number(&target, "free", options->free);
    const bool is_age = options->age == NULL ||
                        options->age[strspn(options->age, "0123456789.dhmsun")] == '\0';
    if (!is_age || target.too_long) {
        fprintf(stderr, "spanmillctl retention: --age: write it like 168h or 30d\n");
        return CTL_USAGE;
    }
    const enum ctl_exit code = client_ask(&options->client, "GET", target.text, (struct slice){0}, &answer);
    if (code != CTL_FINE) return code;
    listing_answer(answer.body, "leaving", options->json);
    client_free(&answer);
    return CTL_FINE;
}

enum ctl_exit command_retention(int count, const char *const *words)
{
    struct retention_options options = {.client.address = CLIENT_SERVER_DEFAULT};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS(options.client),
        {"age", "DURATION", "as if this were the limit of age", ARGUMENT_TEXT, &options.age, NULL, NULL},
        {"bytes", "N", "as if this were the limit of bytes", ARGUMENT_NUMBER, &options.bytes, NULL,
         &options.bytes_given},
        {"free", "N", "as if so many bytes had to be free", ARGUMENT_NUMBER, &options.free, NULL,
         &options.free_given},
        {"json", NULL, "as the server has answered", ARGUMENT_FLAG, &options.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "retention",
                                  .operand = "preview",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    if (code != CTL_GO_ON) return code;
    if (strcmp(arguments.value, "preview") == 0) return preview(&options);
    fprintf(stderr, "spanmillctl retention: give preview; see --help\n");
    return CTL_USAGE;
}
