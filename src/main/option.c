/*
 * The option table and how values are read.
 *
 * Every type is read by one small function over a whole text: nothing may follow the value. Limits are
 * written in the table as text and read by the same functions, so they show in the help as an operator would
 * write them.
 */
#include "option.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

const struct option option_table[OPTION_COUNT] = {
#define X(id, key, type, standard, min, max, help)                                                           \
    [OPTION_##id] = {key, TYPE_##type, standard, min, max, help},
    OPTION_TABLE(X)
#undef X
};

/* ---- values ---------------------------------------------------------------------------------------------
 */

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40},
};
static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
    {"d", 24 * 3600 * NS_PER_S},
};

/* Decimal digits at the start of text; *rest is what follows them. */
static bool parse_digits(const char *text, uint64_t *out, const char **rest)
{
    uint64_t value = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    *out = value;
    *rest = at;
    return at > text;
}

static enum err parse_with_unit(const char *text, const struct unit *units, size_t units_count, uint64_t *out)
{
    uint64_t value;
    const char *rest;

    if (!parse_digits(text, &value, &rest)) return ERR_MALFORMED;
    while (*rest == ' ')
        rest++;
    for (size_t i = 0; i < units_count; i++) {
        if (strcmp(rest, units[i].name) != 0) continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value)) return ERR_MALFORMED;
        *out = value;
        return OK;
    }
    return ERR_MALFORMED;
}

enum err size_parse(const char *text, uint64_t *bytes)
{
    return parse_with_unit(text, size_units, sizeof size_units / sizeof *size_units, bytes);
}

enum err duration_parse(const char *text, uint64_t *ns)
{
    return parse_with_unit(text, duration_units, sizeof duration_units / sizeof *duration_units, ns);
}

static enum err parse_count(const char *text, uint64_t *out)
{
    const char *rest;

    return parse_digits(text, out, &rest) && *rest == '\0' ? OK : ERR_MALFORMED;
}

static enum err parse_bool(const char *text, uint64_t *out)
{
    const bool yes = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
    const bool no = strcmp(text, "false") == 0 || strcmp(text, "no") == 0;

    if (!yes && !no) return ERR_MALFORMED;
    *out = yes;
    return OK;
}

static enum err parse_switch(const char *text, uint64_t *out)
{
    if (strcmp(text, "auto") != 0) return parse_bool(text, out);
    *out = SWITCH_AUTO;
    return OK;
}

static enum err parse_level(const char *text, uint64_t *out)
{
    static const char *const names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *out = i;
        return OK;
    }
    return ERR_MALFORMED;
}

/* "address:port"; whether the address can be bound is found out when it is. */
static enum err parse_address(const char *text, uint64_t *port)
{
    const char *const colon = strrchr(text, ':');

    if (colon == NULL || colon == text) return ERR_MALFORMED;
    TRY(parse_count(colon + 1, port));
    return *port <= 65535 ? OK : ERR_MALFORMED;
}

static enum err parse_listener(const char *text, uint64_t *port)
{
    if (strcmp(text, "off") != 0) return parse_address(text, port);
    *port = 0;
    return OK;
}

static const char *const expected[] = {
    [TYPE_TEXT] = "a text",
    [TYPE_ADDRESS] = "address:port",
    [TYPE_LISTENER] = "address:port or off",
    [TYPE_COUNT] = "a number",
    [TYPE_SIZE] = "a size such as 512B, 64KiB, 16MiB or 1GiB",
    [TYPE_DURATION] = "a duration such as 250ms, 10s, 5m, 2h or 7d",
    [TYPE_BOOL] = "true or false",
    [TYPE_SWITCH] = "auto, true or false",
    [TYPE_LEVEL] = "debug, info, warn or error",
};

static enum err parse(enum option_type type, const char *text, uint64_t *out)
{
    switch (type) {
    case TYPE_TEXT: *out = 0; return OK;
    case TYPE_ADDRESS: return parse_address(text, out);
    case TYPE_LISTENER: return parse_listener(text, out);
    case TYPE_COUNT: return parse_count(text, out);
    case TYPE_SIZE: return size_parse(text, out);
    case TYPE_DURATION: return duration_parse(text, out);
    case TYPE_BOOL: return parse_bool(text, out);
    case TYPE_SWITCH: return parse_switch(text, out);
    case TYPE_LEVEL: return parse_level(text, out);
    }
    unreachable("an option type without a parser");
}

static bool is_within(const struct option *option, uint64_t number)
{
    uint64_t min, max;

    if (option->min[0] == '\0') return true;
    const bool sound = parse(option->type, option->min, &min) == OK &&
                       parse(option->type, option->max, &max) == OK;
    assert(sound);
    return number >= min && number <= max;
}

enum err options_set(struct options *options, enum option_id id, const char *text,
                     char error[OPTION_ERROR_MAX])
{
    const struct option *const option = &option_table[id];
    uint64_t number;

    if (strlen(text) >= OPTION_TEXT_MAX) {
        snprintf(error, OPTION_ERROR_MAX, "%s: the value is longer than %d bytes", option->key,
                 OPTION_TEXT_MAX - 1);
        return ERR_MALFORMED;
    }
    if (parse(option->type, text, &number) != OK) {
        snprintf(error, OPTION_ERROR_MAX, "%s: '%.100s' is not %s", option->key, text,
                 expected[option->type]);
        return ERR_MALFORMED;
    }
    if (!is_within(option, number)) {
        snprintf(error, OPTION_ERROR_MAX, "%s: %.100s is not within %s .. %s", option->key, text, option->min,
                 option->max);
        return ERR_MALFORMED;
    }
    options->values[id].number = number;
    memcpy(options->values[id].text, text, strlen(text) + 1);
    options->values[id].given = true;
    return OK;
}

void options_init(struct options *options)
{
    char error[OPTION_ERROR_MAX];

    memset(options, 0, sizeof *options);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const enum err err = options_set(options, (enum option_id)i, option_table[i].standard, error);
        assert(err == OK);
        options->values[i].given = false;
    }
}

/* ---- names ----------------------------------------------------------------------------------------------
 */

void option_flag_name(enum option_id id, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s", option_table[id].key);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '.' || *at == '_') *at = '-';
}

void option_environment_name(enum option_id id, char *out, size_t capacity)
{
    snprintf(out, capacity, "SPANMILL_%s", option_table[id].key);
    for (char *at = out; *at != '\0'; at++) {
        if (*at == '.' || *at == '-') *at = '_';
        if (*at >= 'a' && *at <= 'z') *at = (char)(*at - 'a' + 'A');
    }
}

enum option_id option_by_key(const char *key)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (strcmp(option_table[i].key, key) == 0) return (enum option_id)i;
    return OPTION_COUNT;
}

enum option_id option_by_flag(const char *flag)
{
    char name[128];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        option_flag_name((enum option_id)i, name, sizeof name);
        if (strcmp(name, flag) == 0) return (enum option_id)i;
    }
    return OPTION_COUNT;
}
