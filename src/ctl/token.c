/*
 * spanmillctl token: the file of credentials. A token is made here and shown once; the file keeps its digest only, so
 * nobody who reads the file can use it. The file is changed as a text: comments and the order of lines stay, and what is
 * not understood is refused before anything is written.
 */
#include "access/credentials.h"
#include "commands.h"
#include "io/io.h"
#include "io/small_file.h"
#include "out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_BYTES = 32, TOKEN_TEXT_MAX = 16 + 2 * TOKEN_BYTES, DAY_S = 24 * 3600 };

static const char token_prefix[] = "spanmill_"; /* by which scanners for leaked secrets know it */

static const char about_new[] =
    "Makes a token of 256 random bits, adds its SHA-256 to FILE (made if it is not there) and "
    "shows it\n"
    "on standard output: once, nothing can show it again.\n";
static const char about_list[] = "Shows the credentials in FILE. None of them can be used to log in.\n";
static const char about_revoke[] = "Takes a credential out of FILE.\n";
static const char after_change[] =
    "Roles: ingest sends spans, query asks for them, ops reads /metrics.\n"
    "A running server takes the new file at SIGHUP; run this as its user, or as root.\n\n"
    "  spanmillctl token new /etc/spanmill/tokens --name cart --roles ingest --days 365\n"
    "  spanmillctl token new /etc/spanmill/tokens --name edge --roles ingest --certificate edge.example.com\n"
    "  spanmillctl token revoke /etc/spanmill/tokens --name cart\n\n";

/* ---- the file as a text ---------------------------------------------------------------------------------
 */

static enum ctl_exit complain(const char *path, const char *why)
{
    fprintf(stderr, "spanmillctl: %.200s: %s\n", path, why);
    return CTL_UNREADABLE;
}

struct text {
    char *bytes;
    size_t len;
};

/* Reads and judges it. A file that is not there is an empty one if that is allowed. */
static enum ctl_exit text_read(struct text *text, const char *path, bool may_be_missing)
{
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *table;

    *text = (struct text){0};
    const enum err err = small_file_read(path, SMALL_FILE_SECRET, CREDENTIALS_FILE_BYTES, &text->bytes,
                                         &text->len);
    if (err == ERR_NOT_FOUND && may_be_missing) return CTL_GO_ON;
    if (err != OK) return complain(path, small_file_advice(err));
    if (credentials_parse(slice_of(text->bytes, text->len), &table, error) == OK) {
        credentials_release(table);
        return CTL_GO_ON;
    }
    small_file_forget(text->bytes, text->len);
    return complain(path, error);
}

/* The next line with its end, from *at on. */
static struct slice next_line(const struct text *text, size_t *at)
{
    const char *const begin = text->bytes + *at;
    const char *const end = memchr(begin, '\n', text->len - *at);
    const size_t len = end != NULL ? (size_t)(end - begin) + 1 : text->len - *at;

    *at += len;
    return slice_of(begin, len);
}

static struct slice without_end(struct slice line)
{
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    return line;
}

/* The next credential from *at on, and where its line begins; false: there is none. */
static bool next_credential(const struct text *text, size_t *at, size_t *begin, struct credential *out)
{
    const char *why;

    while (*at < text->len) {
        *begin = *at;
        const struct slice line = without_end(next_line(text, at));
        if (credential_is_line(line) && credential_parse(line, out, &why)) return true;
    }
    return false;
}

/* ---- changing it ----------------------------------------------------------------------------------------
 */

/* What a command does to the text; not CTL_GO_ON: nothing is written. */
typedef enum ctl_exit change_fn(struct text *text, const struct credential *credential, const char *path);

static enum ctl_exit apply(const char *path, change_fn *change, const struct credential *credential,
                           struct small_file_change *file, bool may_be_missing)
{
    struct text text;

    enum ctl_exit code = text_read(&text, path, may_be_missing);
    if (code == CTL_GO_ON) {
        code = change(&text, credential, path);
        if (code == CTL_GO_ON) {
            const enum err err = small_file_commit(file, text.bytes, text.len);
            free(text.bytes);
            return err == OK ? CTL_GO_ON : complain(path, err_text(err));
        }
        free(text.bytes);
    }
    small_file_abandon(file);
    return code;
}

static enum ctl_exit change_file(const char *path, change_fn *change, const struct credential *credential,
                                 bool may_be_missing)
{
    struct small_file_change file;

    const enum err err = small_file_begin(path, &file);
    if (err == ERR_EXISTS) {
        fprintf(stderr,
                "spanmillctl: %.200s: another spanmillctl is changing it; if none is, one has died: remove "
                "%.200s\n",
                path, file.new_path);
        return CTL_UNREADABLE;
    }
    if (err != OK) return complain(path, err == ERR_NOT_FOUND ? "there is no such directory" : err_text(err));
    return apply(path, change, credential, &file, may_be_missing);
}

static enum ctl_exit add(struct text *text, const struct credential *credential, const char *path)
{
    char line[CREDENTIAL_LINE_MAX], error[CREDENTIALS_ERROR_MAX];
    struct credentials *table;

    const size_t len = credential_format(credential, line);
    const bool unfinished = text->len > 0 && text->bytes[text->len - 1] != '\n';
    char *const longer = realloc(text->bytes, text->len + unfinished + len + 1);
    if (longer == NULL) return complain(path, err_text(ERR_NO_MEMORY));
    text->bytes = longer;
    if (unfinished) text->bytes[text->len++] = '\n';
    memcpy(text->bytes + text->len, line, len);
    text->len += len;
    text->bytes[text->len++] = '\n';
    if (credentials_parse(slice_of(text->bytes, text->len), &table, error) != OK)
        return complain(path, error);
    credentials_release(table);
    return CTL_GO_ON;
}

static enum ctl_exit drop(struct text *text, const struct credential *credential, const char *path)
{
    struct credential other;
    size_t at = 0, begin;

    while (next_credential(text, &at, &begin, &other)) {
        if (strcmp(other.name, credential->name) != 0) continue;
        memmove(text->bytes + begin, text->bytes + at, text->len - at);
        text->len -= at - begin;
        return CTL_GO_ON;
    }
    return complain(path, "there is no credential of that name; token list shows them");
}

/* ---- new ------------------------------------------------------------------------------------------------
 */

static uint64_t now_s(void)
{
    struct io *io;

    if (io_open_plain(&io) != OK) return 0;
    const uint64_t now_ns = io_wall_ns(io);
    io_close(io);
    return now_ns / 1000000000;
}

static bool make_token(char out[TOKEN_TEXT_MAX])
{
    uint8_t random[TOKEN_BYTES];
    struct io *io;

    if (io_open_plain(&io) != OK) return false;
    io_random(io, random, sizeof random);
    io_close(io);
    size_t len = (size_t)snprintf(out, TOKEN_TEXT_MAX, "%s", token_prefix);
    for (unsigned i = 0; i < TOKEN_BYTES; i++)
        len += (size_t)snprintf(out + len, TOKEN_TEXT_MAX - len, "%02x", random[i]);
    return true;
}

static enum ctl_exit usage(const char *what)
{
    fprintf(stderr, "spanmillctl token: %s\nTry spanmillctl token new --help\n", what);
    return CTL_USAGE;
}

struct wish {
    const char *name, *roles, *certificate;
    uint64_t days;
};

static enum ctl_exit fill_in(const struct wish *wish, struct credential *out)
{
    *out = (struct credential){0};
    if (wish->name == NULL || !credential_name_is_valid(wish->name))
        return usage("--name is needed: 1 to 64 letters, digits, '.', '_' or '-'");
    if (wish->roles == NULL || !roles_parse(slice_text(wish->roles), &out->roles))
        return usage("--roles is needed: one or several of ingest,query,ops");
    if (wish->days > 36500) return usage("--days is at most 36500");
    memcpy(out->name, wish->name, strlen(wish->name) + 1);
    if (wish->days > 0) out->expires_s = now_s() + wish->days * DAY_S;
    return CTL_GO_ON;
}

static enum ctl_exit make_new(const char *path, const struct wish *wish)
{
    struct credential credential;
    char token[TOKEN_TEXT_MAX] = "";

    enum ctl_exit code = fill_in(wish, &credential);
    if (code != CTL_GO_ON) return code;
    if (wish->certificate != NULL) {
        if (strlen(wish->certificate) >= sizeof credential.subject ||
            strpbrk(wish->certificate, " \t\r\n") != NULL)
            return usage("--certificate takes a name without blanks, of at most 255 bytes");
        credential.kind = CREDENTIAL_CERTIFICATE;
        memcpy(credential.subject, wish->certificate, strlen(wish->certificate) + 1);
    } else {
        if (!make_token(token)) return complain(path, "no random bytes");
        credential.digest = digest_of(slice_text(token));
    }
    code = change_file(path, add, &credential, true);
    if (code != CTL_GO_ON) return code;
    if (token[0] != '\0') printf("%s\n", token);
    explicit_bzero(token, sizeof token);
    fprintf(stderr, "spanmillctl: %s is in %.200s; the server takes it at SIGHUP or start\n", credential.name,
            path);
    return fflush(stdout) == 0 ? CTL_FINE
                               : complain(path, "the token could not be shown; revoke it and make another");
}

static enum ctl_exit token_new(int count, const char *const *words)
{
    struct wish wish = {0};
    const struct argument rows[] = {
        {"name", "NAME", "of the credential: who will use it", ARGUMENT_TEXT, &wish.name, NULL, NULL},
        {"roles", "ROLES", "what it allows: ingest, query, ops, or several parted by commas", ARGUMENT_TEXT,
         &wish.roles, NULL, NULL},
        {"days", "N", "it expires after so many days; 0, the default: never", ARGUMENT_NUMBER, &wish.days,
         NULL, NULL},
        {"certificate", "NAME", "no token: a client certificate with this alternative or common name",
         ARGUMENT_TEXT, &wish.certificate, NULL, NULL},
    };
    struct arguments arguments = {.command = "token new",
                                  .operand = "FILE",
                                  .about = about_new,
                                  .after = after_change,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof *rows};

    const enum ctl_exit parsed = arguments_parse(&arguments, count, words);
    return parsed != CTL_GO_ON ? parsed : make_new(arguments.value, &wish);
}

/* ---- revoke ---------------------------------------------------------------------------------------------
 */

static enum ctl_exit revoke(const char *path, const char *name)
{
    struct credential credential = {0};

    if (name == NULL || !credential_name_is_valid(name))
        return usage("--name is needed: token list shows the names");
    memcpy(credential.name, name, strlen(name) + 1);
    const enum ctl_exit code = change_file(path, drop, &credential, false);
    if (code != CTL_GO_ON) return code;
    fprintf(stderr, "spanmillctl: %s is no longer in %.200s; the server forgets it at SIGHUP or start\n",
            name, path);
    return CTL_FINE;
}

static enum ctl_exit token_revoke(int count, const char *const *words)
{
    const char *name = NULL;
    const struct argument rows[] = {
        {"name", "NAME", "of the credential", ARGUMENT_TEXT, &name, NULL, NULL},
    };
    struct arguments arguments = {.command = "token revoke",
                                  .operand = "FILE",
                                  .about = about_revoke,
                                  .after = after_change,
                                  .rows = rows,
                                  .rows_count = 1};

    const enum ctl_exit parsed = arguments_parse(&arguments, count, words);
    return parsed != CTL_GO_ON ? parsed : revoke(arguments.value, name);
}

/* ---- list -----------------------------------------------------------------------------------------------
 */

static void show(struct out *out, const struct credential *credential, uint64_t now)
{
    char roles[ROLES_TEXT_MAX], expiry[EXPIRY_TEXT_MAX], digits[8];
    const bool is_token = credential->kind == CREDENTIAL_TOKEN, expires = credential->expires_s != 0;

    snprintf(digits, sizeof digits, "%02x%02x%02x", credential->digest.bytes[0], credential->digest.bytes[1],
             credential->digest.bytes[2]);
    out_row(out);
    out_text(out, "name", credential->name);
    out_text(out, "roles", roles_format(credential->roles, roles));
    out_text(out, "kind", is_token ? "token" : "certificate");
    out_text(out, "digest", is_token ? digits : "");
    out_text(out, "subject", credential->subject);
    out_text(out, "expires", expires ? expiry_format(credential->expires_s, expiry) : "never");
    out_flag(out, "expired", expires && credential->expires_s <= now);
    out_row_end(out);
}

static enum ctl_exit list(const char *path, bool json)
{
    struct credential credential;
    struct text text;
    struct out out;
    size_t at = 0, begin;

    const enum ctl_exit code = text_read(&text, path, false);
    if (code != CTL_GO_ON) return code;
    const uint64_t now = now_s();
    out_init(&out, stdout, json);
    out_table(&out, "credentials");
    while (next_credential(&text, &at, &begin, &credential))
        show(&out, &credential, now);
    out_table_end(&out);
    free(text.bytes);
    return out_finish(&out) == OK ? CTL_FINE : complain(path, "standard output cannot be written");
}

static enum ctl_exit token_list(int count, const char *const *words)
{
    bool json = false;
    const struct argument rows[] = {
        {"json", NULL, "one JSON object instead of text", ARGUMENT_FLAG, &json, NULL, NULL},
    };
    struct arguments arguments = {
        .command = "token list",
        .operand = "FILE",
        .about = about_list,
        .after = "digest: the first six digits, as logs of the server show an unknown token.\n\n",
        .rows = rows,
        .rows_count = 1};

    const enum ctl_exit parsed = arguments_parse(&arguments, count, words);
    return parsed != CTL_GO_ON ? parsed : list(arguments.value, json);
}

enum ctl_exit command_token(int count, const char *const *words)
{
    if (count > 0 && strcmp(words[0], "new") == 0) return token_new(count - 1, words + 1);
    if (count > 0 && strcmp(words[0], "list") == 0) return token_list(count - 1, words + 1);
    if (count > 0 && strcmp(words[0], "revoke") == 0) return token_revoke(count - 1, words + 1);
    const bool help = count > 0 && strcmp(words[0], "--help") == 0;
    fputs("Usage: spanmillctl token new|list|revoke FILE [OPTIONS]\n\n"
          "spanmillctl token new --help tells the options.\n",
          help ? stdout : stderr);
    return help ? CTL_FINE : CTL_USAGE;
}
