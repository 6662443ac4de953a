#include "backups_answer.h"

#include "base/clock.h"
#include "codec/json_reader.h"
#include "io/io.h"

#include <stdio.h>
#include <time.h>

static void put_figures(struct json *json, const struct backup *backup)
{
    json_member_uint(json, "segments", backup->segments);
    json_member_uint_quoted(json, "blocks", backup->blocks);
    json_member_uint_quoted(json, "spans", backup->spans);
    json_member_uint_quoted(json, "bytes", backup->bytes);
    json_member_uint_quoted(json, "copiedBytes", backup->copied_bytes);
}

static void put_backup(void *context, const struct backup *backup)
{
    static const char *const states[] = {"making", "complete", "failed", "damaged"};
    struct json *const json = context;

    json_object_begin(json);
    json_key(json, "name");
    json_text(json, backup->name);
    json_key(json, "status");
    json_text(json, states[backup->state]);
    json_member_uint_quoted(json, "createdUnixNano", backup->created_ns);
    if (backup->state == BACKUP_COMPLETE) put_figures(json, backup);
    if (backup->state == BACKUP_FAILED) {
        json_key(json, "error");
        json_text(json, err_text(backup->err));
    }
    json_object_end(json);
}

enum err backups_list_answer(struct work *work, struct answer *answer)
{
    struct json *const json = answer_json_begin(answer);

    json_object_begin(json);
    json_key(json, "backups");
    json_array_begin(json);
    backups_visit(work->config->backups, put_backup, json);
    json_array_end(json);
    json_member_uint(json, "backupsMax", BACKUPS_MAX);
    json_member_uint_quoted(json, "heldBytes", backups_counts(work->config->backups).held_bytes);
    json_object_end(json);
    return answer_json_end(answer);
}

/* ---- an order -------------------------------------------------------------------------------------------- */

static bool refuse(struct request *request, const char *why)
{
    snprintf(request->message, sizeof request->message, "%s", why);
    return false;
}

static bool take_name(struct request *request, const struct json_token *token)
{
    uint8_t room[256];
    uint32_t replaced = 0;

    if (token->type != JSON_STRING || token->text.len > sizeof room)
        return refuse(request, "name: give a string of letters, digits and . _ -, at most 48");
    const size_t len = json_unescape(token->text, room, &replaced);
    if (len > BACKUP_NAME_MAX || memchr(room, '\0', len) != NULL)
        return refuse(request, "name: letters, digits and . _ -, at most 48, the first a letter or digit");
    memcpy(request->backup, room, len);
    request->backup[len] = '\0';
    return backup_name_is_good(request->backup) ||
           refuse(request, "name: letters, digits and . _ -, at most 48, the first a letter or digit");
}

/* {"name": "..."}, {} or nothing. */
static bool parse(struct request *request)
{
    struct json_reader reader;
    struct json_token token;

    if (request->text_len == 0) return true;
    json_reader_init(&reader, slice_of(request->text, request->text_len));
    if (json_next(&reader, &token) != OK || token.type != JSON_OBJECT_BEGIN)
        return refuse(request, "the body is no JSON object");
    while (json_next(&reader, &token) == OK && token.type == JSON_KEY) {
        if (!slice_is(token.text, "name")) return refuse(request, "the only member is name");
        if (request->backup[0] != '\0') return refuse(request, "name: given more than once");
        if (json_next(&reader, &token) != OK) return refuse(request, "the body is broken JSON");
        if (!take_name(request, &token)) return false;
    }
    if (token.type != JSON_OBJECT_END || json_next(&reader, &token) != OK || token.type != JSON_END)
        return refuse(request, "the body is broken JSON");
    return true;
}

static void name_after(char name[BACKUP_NAME_MAX + 1], uint64_t now_ns)
{
    const time_t seconds = (time_t)(now_ns / NS_PER_S);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(name, BACKUP_NAME_MAX, "%Y-%m-%dT%H%M%SZ", &parts) == 0)
        snprintf(name, BACKUP_NAME_MAX, "%llu", (unsigned long long)seconds);
}

static enum err explain(struct request *request, enum err err)
{
    if (err == ERR_BUSY) refuse(request, "a backup is being made; one at a time");
    if (err == ERR_EXISTS) refuse(request, "there is a backup of that name");
    if (err == ERR_FULL) refuse(request, "there are as many backups as there may be; remove some");
    return err == ERR_BUSY || err == ERR_FULL ? ERR_EXISTS : err;
}

enum err backups_add_answer(struct work *work, struct request *request, struct answer *answer)
{
    struct backup order = {.state = BACKUP_MAKING, .created_ns = io_wall_ns(work->io)};

    if (!parse(request)) return ERR_MALFORMED;
    if (request->backup[0] == '\0') name_after(request->backup, order.created_ns);
    TRY(explain(request, backups_order(work->config->backups, request->backup, order.created_ns)));
    memcpy(order.name, request->backup, sizeof order.name);
    put_backup(answer_json_begin(answer), &order);
    return answer_json_end(answer);
}

/* ---- a removal ------------------------------------------------------------------------------------------- */

enum err backups_remove_answer(struct work *work, struct request *request, struct answer *answer)
{
    const enum err err = backups_remove(work->config->backups, work->io, request->backup);

    if (err == ERR_NOT_FOUND)
        snprintf(request->message, sizeof request->message, "there is no backup %s", request->backup);
    if (err == ERR_BUSY || err == ERR_NOT_FOUND) return err == ERR_BUSY ? explain(request, err) : err;
    if (err != OK) {
        refuse(request, "the backup could not be removed as a whole; try again");
        return ERR_READ_ONLY;
    }
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, "removed");
    json_text(json, request->backup);
    json_object_end(json);
    return answer_json_end(answer);
}
