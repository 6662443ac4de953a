/*
 * A file of credentials, and what a request shows, to the decision. Everything is read a second time by the plain code
 * below, which shares nothing with the room: both must agree on what the file is, on the verdict, and on the name that goes to
 * the log. Further:
 *
 *   - a credential that was read, written as a line and read again is the same
 *   - a refusal names its line, and repeats nothing of the file
 *   - with certificates in place of the field, and at another time, too
 *
 *   input   byte 0: roles that are needed (bits 0-2), at what time (bit 3), names of certificates in place of the field (bit 4),
 *           no field (bit 5); the file; 0xff; the field, or up to four names with a line end behind each
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "access/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

enum { INPUT_MAX = 8192, ROWS = 512, NAMES = 4 };

/* Nothing but slices of the input, and a time. */
struct plain_row {
    struct slice name, secret;
    unsigned roles;
    uint64_t expires_s;
};
static struct plain_row rows[ROWS];
static size_t rows_count;

/* ---- the file, plainly ------------------------------------------------------------------------------------- */

static bool is_one_of(uint8_t byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

static size_t words_of(struct slice line, struct slice words[6])
{
    size_t count = 0;

    for (size_t i = 0; i < line.len && count < 6; i++) {
        if (is_one_of(line.ptr[i], " \t")) continue;
        const size_t begin = i;
        while (i < line.len && !is_one_of(line.ptr[i], " \t"))
            i++;
        words[count++] = slice_of(line.ptr + begin, i - begin);
    }
    return count;
}

static bool begins(struct slice text, const char *with)
{
    return text.len >= strlen(with) && memcmp(text.ptr, with, strlen(with)) == 0;
}

static bool plain_roles(struct slice text, unsigned *out)
{
    *out = 0;
    for (;;) {
        if (begins(text, "ingest"))
            *out |= ACCESS_INGEST, text = slice_of(text.ptr + 6, text.len - 6);
        else if (begins(text, "query"))
            *out |= ACCESS_QUERY, text = slice_of(text.ptr + 5, text.len - 5);
        else if (begins(text, "ops"))
            *out |= ACCESS_OPS, text = slice_of(text.ptr + 3, text.len - 3);
        else
            return false;
        if (text.len == 0) return true;
        if (text.ptr[0] != ',') return false;
        text = slice_of(text.ptr + 1, text.len - 1);
    }
}

static unsigned number(const uint8_t *at, unsigned digits)
{
    unsigned value = 0;

    while (digits-- > 0)
        value = value * 10 + (unsigned)(*at++ - '0');
    return value;
}

static unsigned days_of(unsigned year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

static bool plain_time(struct slice text, uint64_t *out)
{
    uint64_t days = 0;

    if (text.len != 20) return false;
    for (unsigned i = 0; i < 20; i++)
        if (i == 4 || i == 7 || i == 10 || i == 13 || i == 16 || i == 19
                ? text.ptr[i] != (uint8_t) "    -  -  T  :  :  Z"[i]
                : !is_one_of(text.ptr[i], "0123456789"))
            return false;
    const unsigned year = number(text.ptr, 4), month = number(text.ptr + 5, 2), day = number(text.ptr + 8, 2),
                   hour = number(text.ptr + 11, 2), minute = number(text.ptr + 14, 2),
                   second = number(text.ptr + 17, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    for (unsigned y = 1970; y < year; y++)
        days += 337 + days_of(y, 2);
    for (unsigned m = 1; m < month; m++)
        days += days_of(year, m);
    *out = (((days + day - 1) * 24 + hour) * 60 + minute) * 60 + second;
    return *out > 0;
}

static bool plain_secret(struct slice word)
{
    if (begins(word, "cert:")) {
        for (size_t i = 5; i < word.len; i++)
            if (word.ptr[i] < 0x20 || word.ptr[i] == 0x7f) return false;
        return word.len > 5 && word.len <= 5 + 255;
    }
    if (!begins(word, "sha256:") || word.len != 7 + 64) return false;
    for (size_t i = 7; i < word.len; i++)
        if (!is_one_of(word.ptr[i], "0123456789abcdef")) return false;
    return true;
}

static bool plain_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_one_of(name.ptr[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"))
            return false;
    return name.len <= 64;
}

/* False: the file is refused. */
static bool plain_line(struct slice line)
{
    struct plain_row *const row = &rows[rows_count];
    struct slice words[6];
    const size_t count = words_of(line, words);

    if (count == 0 || words[0].ptr[0] == '#') return true;
    CHECK(rows_count < ROWS);
    *row = (struct plain_row){0};
    if (count < 3 || count > 4 || !plain_name(words[0]) || !plain_roles(words[1], &row->roles) ||
        !plain_secret(words[2]) || (count == 4 && !plain_time(words[3], &row->expires_s)))
        return false;
    row->name = words[0];
    row->secret = words[2];
    for (size_t i = 0; i < rows_count; i++)
        if (slice_equal(rows[i].name, row->name) || slice_equal(rows[i].secret, row->secret)) return false;
    rows_count++;
    return true;
}

static bool plain_file(struct slice text)
{
    rows_count = 0;
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && text.ptr[len] != '\n')
            len++;
        const size_t end = len > 0 && text.ptr[len - 1] == '\r' ? len - 1 : len;
        if (!plain_line(slice_of(text.ptr, end))) return false;
        len += len < text.len;
        text = slice_of(text.ptr + len, text.len - len);
    }
    return true;
}

/* ---- the decision, plainly --------------------------------------------------------------------------------- */

static const struct plain_row *row_of_token(struct slice token, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256(token.ptr, token.len, digest);
    for (unsigned i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    for (size_t i = 0; i < rows_count; i++)
        if (begins(rows[i].secret, "sha256:") && memcmp(rows[i].secret.ptr + 7, hex, 64) == 0)
            return &rows[i];
    return NULL;
}

static enum access_verdict verdict_of(const struct plain_row *row, unsigned needs, uint64_t now_s,
                                      char who[65])
{
    memcpy(who, row->name.ptr, row->name.len);
    who[row->name.len] = '\0';
    if (row->expires_s != 0 && row->expires_s <= now_s) return ACCESS_EXPIRED;
    return needs != 0 && (needs & row->roles) == 0 ? ACCESS_FORBIDDEN : ACCESS_GRANTED;
}

static enum access_verdict plain_field(struct slice field, unsigned needs, uint64_t now_s, char who[65])
{
    static const char scheme[] = "bearer ";

    who[0] = '\0';
    if (field.len < 8 || field.len > 7 + 512) return ACCESS_UNKNOWN;
    for (unsigned i = 0; i < 7; i++)
        if (field.ptr[i] != (uint8_t)scheme[i] && (i == 6 || field.ptr[i] != (uint8_t)(scheme[i] - 32)))
            return ACCESS_UNKNOWN;
    for (size_t i = 7; i < field.len; i++)
        if (field.ptr[i] < 0x21 || field.ptr[i] > 0x7e) return ACCESS_UNKNOWN;
    const struct plain_row *const row = row_of_token(slice_of(field.ptr + 7, field.len - 7), who);
    if (row != NULL) return verdict_of(row, needs, now_s, who);
    who[6] = '\0';
    return ACCESS_UNKNOWN;
}

static enum access_verdict plain_names(const struct slice *names, unsigned count, unsigned needs,
                                       uint64_t now_s, char who[65])
{
    who[0] = '\0';
    for (unsigned n = 0; n < count; n++)
        for (size_t i = 0; i < rows_count; i++)
            if (begins(rows[i].secret, "cert:") &&
                slice_equal(names[n], slice_of(rows[i].secret.ptr + 5, rows[i].secret.len - 5)))
                return verdict_of(&rows[i], needs, now_s, who);
    return count == 0 ? ACCESS_MISSING : ACCESS_STRANGER;
}

/* ---- both -------------------------------------------------------------------------------------------------- */

static void check_line(const struct plain_row *row, const struct credentials *table)
{
    char line[CREDENTIAL_LINE_MAX];
    struct credential again;
    struct digest digest;
    const char *why;

    if (begins(row->secret, "cert:"))
        digest = digest_of(slice_of(row->secret.ptr + 5, row->secret.len - 5));
    else
        for (unsigned i = 0; i < DIGEST_BYTES; i++)
            CHECK(sscanf((const char *)row->secret.ptr + 7 + 2 * i, "%2hhx", &digest.bytes[i]) == 1);
    const struct credential *const found = credentials_find(
        table, begins(row->secret, "cert:") ? CREDENTIAL_CERTIFICATE : CREDENTIAL_TOKEN, &digest);
    CHECK(found != NULL && found->roles == row->roles && found->expires_s == row->expires_s);
    CHECK(slice_is(row->name, found->name));
    const size_t len = credential_format(found, line);
    CHECK(credential_parse(slice_of(line, len), &again, &why) && memcmp(&again, found, sizeof again) == 0);
}

static void check_error(const char *error)
{
    static const char *const words[] = {
        "line ",      "the name is not", "the roles are not",    "the third field",
        "the expiry", "more than",       "a credential of this", "this secret"};
    unsigned line;
    char rest[CREDENTIALS_ERROR_MAX] = "";
    bool known = false;

    CHECK(sscanf(error, "line %u: %255[^\n]", &line, rest) == 2 && line > 0);
    for (size_t i = 1; i < sizeof words / sizeof *words; i++)
        known |= strncmp(rest, words[i], strlen(words[i])) == 0;
    CHECK(known);
}

static unsigned split_names(struct slice text, struct slice names[NAMES])
{
    unsigned count = 0;

    while (count < NAMES && text.len > 0) {
        const uint8_t *const end = memchr(text.ptr, '\n', text.len);
        if (end == NULL) break;
        names[count++] = slice_of(text.ptr, (size_t)(end - text.ptr));
        text = slice_of(end + 1, text.len - (size_t)(end - text.ptr) - 1);
    }
    return count;
}

static void check_decision(struct access *access, uint8_t options, struct slice shown)
{
    char who[CREDENTIAL_NAME_MAX + 1] = "?", plain_who[65];
    struct slice names[NAMES];
    struct digest digests[NAMES];
    struct access_view view;
    const bool by_name = (options & 16) != 0, nothing = (options & 32) != 0;
    const unsigned count = by_name ? split_names(shown, names) : 0;
    const unsigned needs = options & 7;
    const uint64_t now_s = (options & 8) != 0 ? 1798761600 : 1; /* 2027-01-01 */

    for (unsigned i = 0; i < count; i++)
        digests[i] = digest_of(names[i]);
    const struct access_request request = {
        .needs = needs,
        .authorization = by_name || nothing ? (struct slice){0} : shown,
        .certificate_names = digests,
        .certificate_names_count = count,
        .now_s = now_s,
    };
    access_view_open(access, &view);
    const enum access_verdict verdict = access_decide(&view, &request, who);
    access_view_close(&view);
    const enum access_verdict plain = by_name || nothing ? plain_names(names, count, needs, now_s, plain_who)
                                                         : plain_field(shown, needs, now_s, plain_who);
    CHECK(verdict == plain);
    CHECK(strcmp(who, plain_who) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credentials *table = NULL;
    char error[CREDENTIALS_ERROR_MAX] = "";
    static struct access *access;

    if (size < 2 || size > INPUT_MAX) return 0;
    if (access == NULL) CHECK(access_open(1, &access) == OK);
    const struct slice rest = slice_of(data + 1, size - 1);
    const uint8_t *const border = memchr(rest.ptr, 0xff, rest.len);
    const struct slice file = slice_of(rest.ptr, border != NULL ? (size_t)(border - rest.ptr) : rest.len);
    const bool good = plain_file(file);
    const enum err err = credentials_parse(file, &table, error);
    CHECK(good ? err == OK : err == ERR_MALFORMED);
    if (!good) {
        check_error(error);
        return 0;
    }
    CHECK(credentials_count(table) == rows_count);
    for (size_t i = 0; i < rows_count; i++)
        check_line(&rows[i], table);
    access_replace(access, table);
    if (border != NULL) check_decision(access, data[0], slice_of(border + 1, rest.len - file.len - 1));
    return 0;
}
