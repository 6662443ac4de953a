/*
 * spanmillctl backup create | list | remove: whole copies of what a running server stores. The server makes them, below its data
 * directory; this waits until one is complete, and says how it went.
 */
#include "client.h"
#include "codec/json.h"
#include "codec/json_reader.h"
#include "commands.h"
#include "listing.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAME_BYTES_MAX = 64, LOOK_MS = 200 };

static const char about[] =
    "A backup is a data directory as the server's was at one moment, with everything "
    "that was acknowledged before: in\n"
    "backups/NAME below the data directory, made of second names of the same files "
    "where these never change. Copy it\n"
    "away (cp -a, rsync, tar): it is on the same disk. Restore it by copying it to an "
    "empty data directory, and start.\n";
static const char after[] =
    "Without a name it is called after the time. create waits until the backup is "
    "complete (--no-wait: until it is ordered).\n"
    "Backups keep the disk space of what the store has let go meanwhile, and the spans "
    "that were deleted meanwhile.\n\n"
    "  spanmillctl backup create before-upgrade\n"
    "  spanmillctl backup list\n"
    "  spanmillctl backup remove before-upgrade\n\n";

struct backup_options {
    struct client client;
    bool json, no_wait;
};

static bool is_name(const char *name)
{
    return name[0] != '\0' && strlen(name) < NAME_BYTES_MAX &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

/* ---- create ---------------------------------------------------------------------------------------------- */

/* What a backup is called, and how it stands; of the object at hand. */
struct told {
    char name[NAME_BYTES_MAX], status[16];
    struct slice object;
};

static void copy(char *to, size_t capacity, struct slice text)
{
    snprintf(to, capacity, "%.*s", (int)(text.len < capacity ? text.len : capacity - 1),
             (const char *)text.ptr);
}

/* The object whose begin has been read. False: it does not end. */
static bool read_told(struct json_reader *reader, const struct json_token *begin, struct told *told)
{
    struct json_token key, value;

    *told = (struct told){.name = ""};
    while (json_next(reader, &key) == OK && key.type == JSON_KEY) {
        if (json_next(reader, &value) != OK || value.type > JSON_NULL || value.type < JSON_KEY) return false;
        if (slice_is(key.text, "name")) copy(told->name, sizeof told->name, value.text);
        if (slice_is(key.text, "status")) copy(told->status, sizeof told->status, value.text);
    }
    told->object = slice_of(begin->at, (size_t)(reader->at - begin->at));
    return key.type == JSON_OBJECT_END;
}

/* The backup of that name, of all that the answer lists. */
static bool find(struct slice body, const char *name, struct told *told)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, body);
    while (json_next(&reader, &token) == OK && token.type != JSON_END) {
        if (token.type != JSON_OBJECT_BEGIN || json_depth(&reader) < 2) continue;
        if (!read_told(&reader, &token, told)) return false;
        if (strcmp(told->name, name) == 0) return true;
    }
    return false;
}

static enum ctl_exit tell(const struct backup_options *options, const struct told *told)
{
    const bool complete = strcmp(told->status, "complete") == 0;

    if (options->json)
        listing_raw(told->object);
    else
        listing_object(complete ? stdout : stderr, told->object);
    return complete ? CTL_FINE : CTL_UNREADABLE;
}

static enum ctl_exit wait_for(const struct backup_options *options, const char *name)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct client_answer answer;
    struct told told;

    for (;;) {
        const enum ctl_exit code = client_ask(&options->client, "GET", "/query/v1/backups", (struct slice){0},
                                              &answer);
        if (code != CTL_FINE) return code;
        const bool found = find(answer.body, name, &told);
        const bool going = found && strcmp(told.status, "making") == 0;
        const enum ctl_exit end = found && !going ? tell(options, &told) : CTL_UNREADABLE;
        client_free(&answer);
        if (!found) fprintf(stderr, "spanmillctl backup: the server knows nothing of %s any more\n", name);
        if (!going) return end;
        nanosleep(&pause, NULL);
    }
}

static bool order_of(const char *name, uint8_t *body, size_t capacity, size_t *len)
{
    struct json json;

    json_init(&json, body, capacity, NULL, NULL);
    json_object_begin(&json);
    if (name != NULL) {
        json_key(&json, "name");
        json_text(&json, name);
    }
    json_object_end(&json);
    if (json_finish(&json) != OK) return false;
    *len = json.len;
    return true;
}

static enum ctl_exit create(const struct backup_options *options, const char *name)
{
    struct client_answer answer;
    struct json_reader reader;
    struct json_token token;
    struct told told;
    uint8_t body[256];
    size_t len;

    if (name != NULL && !is_name(name)) {
        fprintf(stderr, "spanmillctl backup: a name has letters, digits and . _ -, at most 48\n");
        return CTL_USAGE;
    }
    if (!order_of(name, body, sizeof body, &len)) return CTL_USAGE;
    const enum ctl_exit code = client_ask(&options->client, "POST", "/query/v1/backups", slice_of(body, len),
                                          &answer);
    if (code != CTL_FINE) return code;
    json_reader_init(&reader, answer.body);
    const bool read = json_next(&reader, &token) == OK && token.type == JSON_OBJECT_BEGIN &&
                      read_told(&reader, &token, &told);
    if (read && options->no_wait) listing_answer(told.object, NULL, options->json);
    client_free(&answer);
    if (!read) fprintf(stderr, "spanmillctl backup: the answer was not understood\n");
    if (!read) return CTL_UNREADABLE;
    return options->no_wait ? CTL_FINE : wait_for(options, told.name);
}

/* ---- list and remove ------------------------------------------------------------------------------------- */

static enum ctl_exit list(const struct backup_options *options)
{
    struct client_answer answer;

    const enum ctl_exit code = client_ask(&options->client, "GET", "/query/v1/backups", (struct slice){0},
                                          &answer);
    if (code != CTL_FINE) return code;
    listing_answer(answer.body, "backups", options->json);
    client_free(&answer);
    return CTL_FINE;
}

static enum ctl_exit take_away(const struct backup_options *options, const char *name)
{
    struct client_answer answer;
    char target[NAME_BYTES_MAX + 32];

    snprintf(target, sizeof target, "/query/v1/backups/%s", name);
    const enum ctl_exit code = client_ask(&options->client, "DELETE", target, (struct slice){0}, &answer);
    if (code != CTL_FINE) return code;
    if (options->json)
        listing_raw(answer.body);
    else
        printf("removed %s\n", name);
    client_free(&answer);
    return CTL_FINE;
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static enum ctl_exit carry_out(const struct backup_options *options, const char *verb, const char *name)
{
    if (strcmp(verb, "create") == 0) return create(options, name);
    if (strcmp(verb, "list") == 0 && name == NULL) return list(options);
    if (strcmp(verb, "remove") == 0 && name != NULL && is_name(name)) return take_away(options, name);
    fprintf(stderr,
            "spanmillctl backup: give create, list, or remove with the name of a backup; see --help\n");
    return CTL_USAGE;
}

enum ctl_exit command_backup(int count, const char *const *words)
{
    struct backup_options options = {.client.address = CLIENT_SERVER_DEFAULT};
    const struct argument rows[] = {
        CLIENT_ARGUMENTS(options.client),
        {"no-wait", NULL, "do not wait for it", ARGUMENT_FLAG, &options.no_wait, NULL, NULL},
        {"json", NULL, "as the server has answered", ARGUMENT_FLAG, &options.json, NULL, NULL},
    };
    struct arguments arguments = {.command = "backup",
                                  .operand = "create|list|remove",
                                  .second = "NAME",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    return code != CTL_GO_ON ? code : carry_out(&options, arguments.value, arguments.second_value);
}
