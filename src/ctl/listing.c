/* Foreign bytes: what is no JSON ends the listing where it ends. Members ending in UnixNano are shown as times, too long a text
 * is cut. */
#include "listing.h"

#include "codec/json_reader.h"
#include "out.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 2048 };

void listing_raw(struct slice body)
{
    printf("%.*s\n", (int)body.len, (const char *)body.ptr);
}

static bool is_plain(const struct json_token *token)
{
    return token->type == JSON_STRING || token->type == JSON_NUMBER || token->type == JSON_TRUE ||
           token->type == JSON_FALSE || token->type == JSON_NULL;
}

static const char *word_of(const struct json_token *token)
{
    return token->type == JSON_TRUE ? "true" : token->type == JSON_FALSE ? "false" : "null";
}

static void show(FILE *to, struct slice name, const struct json_token *value, bool first)
{
    uint8_t plain[TEXT_BYTES_MAX];
    char shown_name[128], shown[2 * TEXT_BYTES_MAX];
    struct slice text = value->text;
    uint32_t replaced = 0;

    fprintf(to, "%s%s=", first ? "" : " ", out_escape(name, shown_name, sizeof shown_name));
    if (value->type != JSON_STRING && value->type != JSON_NUMBER) {
        fputs(word_of(value), to);
        return;
    }
    if (text.len > sizeof plain) text.len = sizeof plain;
    if (value->escaped && value->text.len <= sizeof plain)
        text = slice_of(plain, json_unescape(text, plain, &replaced));
    const bool quoted = text.len == 0 || memchr(text.ptr, ' ', text.len) != NULL;
    fprintf(to, quoted ? "\"%s\"" : "%s", out_escape(text, shown, sizeof shown));
}

/* The members of the object that has just begun, up to its end. */
static bool show_members(FILE *to, struct json_reader *reader)
{
    struct json_token key, value;
    bool first = true;

    while (json_next(reader, &key) == OK && key.type == JSON_KEY) {
        struct json_reader ahead = *reader;
        if (json_next(&ahead, &value) != OK) return false;
        if (!is_plain(&value)) {
            if (json_skip(reader) != OK) return false;
            continue;
        }
        show(to, key.text, &value, first);
        first = false;
        *reader = ahead;
    }
    if (!first) fputc('\n', to);
    return key.type == JSON_OBJECT_END;
}

void listing_object(FILE *to, struct slice body)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, body);
    if (json_next(&reader, &token) == OK && token.type == JSON_OBJECT_BEGIN) (void)show_members(to, &reader);
}

static bool find_array(struct json_reader *reader, const char *name)
{
    struct json_token token;

    if (json_next(reader, &token) != OK || token.type != JSON_OBJECT_BEGIN) return false;
    while (json_next(reader, &token) == OK && token.type == JSON_KEY) {
        if (slice_is(token.text, name))
            return json_next(reader, &token) == OK && token.type == JSON_ARRAY_BEGIN;
        if (json_skip(reader) != OK) return false;
    }
    return false;
}

void listing_array(FILE *to, struct slice body, const char *name)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, body);
    if (!find_array(&reader, name)) return;
    while (json_next(&reader, &token) == OK && token.type == JSON_OBJECT_BEGIN)
        if (!show_members(to, &reader)) return;
}

void listing_answer(struct slice body, const char *name, bool raw)
{
    if (raw) {
        listing_raw(body);
        return;
    }
    if (name != NULL) listing_array(stdout, body, name);
    listing_object(stdout, body);
}
