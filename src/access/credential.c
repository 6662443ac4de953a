/*
 * One credential and its line in the file. Every field has one spelling that is taken: what is judged is what is used.
 */
#include "access/credentials.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* ---- roles ----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned bit;
} role_names[] = {{"ingest", ACCESS_INGEST}, {"query", ACCESS_QUERY}, {"ops", ACCESS_OPS}};

enum { ROLES = sizeof role_names / sizeof *role_names };

static unsigned role_of(struct slice word)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (slice_is(word, role_names[i].name)) return role_names[i].bit;
    return 0;
}

bool roles_parse(struct slice text, unsigned *out)
{
    unsigned roles = 0;
    size_t begin = 0;

    for (size_t at = 0; at <= text.len; at++) {
        if (at < text.len && text.ptr[at] != ',') continue;
        const unsigned bit = role_of(slice_of(text.ptr + begin, at - begin));
        if (bit == 0) return false;
        roles |= bit;
        begin = at + 1;
    }
    *out = roles;
    return true;
}

const char *roles_format(unsigned roles, char out[ROLES_TEXT_MAX])
{
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < ROLES; i++)
        if (roles & role_names[i].bit)
            len += (size_t)snprintf(out + len, ROLES_TEXT_MAX - len, "%s%s", len > 0 ? "," : "",
                                    role_names[i].name);
    return out;
}

/* ---- expiry ---------------------------------------------------------------------------------------------
 */

static bool digits(const uint8_t *text, unsigned count, int *out)
{
    int value = 0;

    for (unsigned i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

bool expiry_parse(struct slice text, uint64_t *out)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    struct tm tm = {0};

    if (text.len != sizeof form - 1) return false;
    for (size_t i = 0; i < text.len; i++)
        if (form[i] != '0' && text.ptr[i] != (uint8_t)form[i]) return false;
    if (!digits(text.ptr, 4, &tm.tm_year) || !digits(text.ptr + 5, 2, &tm.tm_mon) ||
        !digits(text.ptr + 8, 2, &tm.tm_mday) || !digits(text.ptr + 11, 2, &tm.tm_hour) ||
        !digits(text.ptr + 14, 2, &tm.tm_min) || !digits(text.ptr + 17, 2, &tm.tm_sec))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const struct tm wanted = tm;
    const time_t seconds = timegm(&tm); /* puts 31 February right: then it is another day */
    if (seconds <= 0 || tm.tm_mon != wanted.tm_mon || tm.tm_mday != wanted.tm_mday ||
        tm.tm_hour != wanted.tm_hour || tm.tm_min != wanted.tm_min || tm.tm_sec != wanted.tm_sec)
        return false;
    *out = (uint64_t)seconds;
    return true;
}

const char *expiry_format(uint64_t seconds, char out[EXPIRY_TEXT_MAX])
{
    const time_t time = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&time, &tm) == NULL || strftime(out, EXPIRY_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
    return out;
}

/* ---- the line -------------------------------------------------------------------------------------------
 */

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* The next word of the line; empty at its end. */
static struct slice take_word(struct slice *line)
{
    size_t begin = 0;

    while (begin < line->len && is_blank(line->ptr[begin]))
        begin++;
    size_t end = begin;
    while (end < line->len && !is_blank(line->ptr[end]))
        end++;
    const struct slice word = slice_of(line->ptr + begin, end - begin);
    *line = slice_of(line->ptr + end, line->len - end);
    return word;
}

bool credential_is_line(struct slice line)
{
    const struct slice word = take_word(&line);

    return word.len > 0 && word.ptr[0] != '#';
}

static bool is_name(struct slice name)
{
    if (name.len == 0 || name.len > CREDENTIAL_NAME_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t byte = name.ptr[i];
        const bool fine = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                          (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
        if (!fine) return false;
    }
    return true;
}

bool credential_name_is_valid(const char *name)
{
    return is_name(slice_text(name));
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool parse_digest(struct slice hex, struct digest *out)
{
    if (hex.len != 2 * DIGEST_BYTES) return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        const int high = hex_value(hex.ptr[2 * i]), low = hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* True and moves over the prefix. */
static bool skip_prefix(struct slice *text, const char *prefix)
{
    const size_t len = strlen(prefix);

    if (text->len < len || memcmp(text->ptr, prefix, len) != 0) return false;
    *text = slice_of(text->ptr + len, text->len - len);
    return true;
}

/* No control bytes: a NUL would end the name where it is written again, and lists are shown on terminals. */
static bool is_subject(struct slice word)
{
    if (word.len == 0 || word.len >= sizeof((struct credential *)0)->subject) return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] < 0x20 || word.ptr[i] == 0x7f) return false;
    return true;
}

static bool parse_secret(struct slice word, struct credential *out, const char **why)
{
    *why = "the third field is not sha256: and 64 hexadecimal digits in lower case, or cert: and a name";
    if (skip_prefix(&word, "sha256:")) {
        out->kind = CREDENTIAL_TOKEN;
        return parse_digest(word, &out->digest);
    }
    if (!skip_prefix(&word, "cert:") || !is_subject(word)) return false;
    out->kind = CREDENTIAL_CERTIFICATE;
    memcpy(out->subject, word.ptr, word.len);
    out->digest = digest_of(word);
    return true;
}

bool credential_parse(struct slice line, struct credential *out, const char **why)
{
    const struct slice name = take_word(&line), roles = take_word(&line), secret = take_word(&line),
                       expiry = take_word(&line), rest = take_word(&line);

    *out = (struct credential){0};
    *why = "the name is not 1 to 64 letters, digits, '.', '_' or '-'";
    if (!is_name(name)) return false;
    memcpy(out->name, name.ptr, name.len);
    *why = "the roles are not a list of ingest, query and ops, parted by commas alone";
    if (!roles_parse(roles, &out->roles)) return false;
    if (!parse_secret(secret, out, why)) return false;
    *why = "the expiry is not a time such as 2027-06-30T00:00:00Z";
    if (expiry.len > 0 && !expiry_parse(expiry, &out->expires_s)) return false;
    *why = "more than four fields";
    return rest.len == 0;
}

size_t credential_format(const struct credential *credential, char out[CREDENTIAL_LINE_MAX])
{
    char roles[ROLES_TEXT_MAX], expiry[EXPIRY_TEXT_MAX], hex[2 * DIGEST_BYTES + 1];

    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", credential->digest.bytes[i]);
    const bool is_token = credential->kind == CREDENTIAL_TOKEN;
    const int len = snprintf(out, CREDENTIAL_LINE_MAX, "%s %s %s%s%s%s", credential->name,
                             roles_format(credential->roles, roles),
                             is_token ? "sha256:" : "cert:", is_token ? hex : credential->subject,
                             credential->expires_s != 0 ? " " : "",
                             credential->expires_s != 0 ? expiry_format(credential->expires_s, expiry) : "");
    assert(len > 0 && len < CREDENTIAL_LINE_MAX);
    return (size_t)len;
}
