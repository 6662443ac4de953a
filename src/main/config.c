/*
 * Reads the configuration.
 *
 * The file is YAML 1.1 as libyaml parses it, of which we take mappings of scalars, nested as deep as keys
 * have parts, and a list of scalars where a text takes several names. The parser hands out events; keys on
 * the way down are joined by dots in one buffer, so nothing is built and nothing recurses. The first error
 * ends the reading: an unknown key, a key given twice, a value that does not parse. It carries file and line.
 */
#include "config.h"

#include "server/exchange.h"
#include "service_rules.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_BYTES_MAX = 1 << 20, KEY_BYTES_MAX = 128, DEPTH_MAX = 4 };

__attribute__((format(printf, 2, 3))) static enum err fail(char error[OPTION_ERROR_MAX], const char *format,
                                                           ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, OPTION_ERROR_MAX, format, arguments);
    va_end(arguments);
    return ERR_MALFORMED;
}

/* ---- file -----------------------------------------------------------------------------------------------
 */

struct reader {
    struct options *options;
    const char *name;
    char *error;
    bool seen[OPTION_COUNT];
    char key[KEY_BYTES_MAX];       /* joined by dots */
    size_t key_len[DEPTH_MAX + 1]; /* its length at each depth */
    unsigned depth;                /* mappings that are open */
    bool key_is_read;              /* the next event is its value */
    bool in_list;
    char list[OPTION_TEXT_MAX];
};

/* libyaml counts lines from 0. */
static enum err fail_at(const struct reader *reader, const yaml_mark_t *mark, const char *what)
{
    char copy[OPTION_ERROR_MAX];

    snprintf(copy, sizeof copy, "%s", what);
    return fail(reader->error, "%.200s:%zu: %.300s", reader->name, mark->line + 1, copy);
}

static enum err read_key(struct reader *reader, const yaml_event_t *event)
{
    const char *const text = (const char *)event->data.scalar.value;
    const size_t begin = reader->key_len[reader->depth - 1];
    const int len = snprintf(reader->key + begin, KEY_BYTES_MAX - begin, "%s%s", begin > 0 ? "." : "", text);

    if (len <= 0 || (size_t)len >= KEY_BYTES_MAX - begin)
        return fail_at(reader, &event->start_mark, "the key is too long or empty");
    reader->key_len[reader->depth] = begin + (size_t)len;
    reader->key_is_read = true;
    return OK;
}

static enum err read_value(struct reader *reader, const yaml_mark_t *mark, const char *text)
{
    const enum option_id id = option_by_key(reader->key);
    char what[OPTION_ERROR_MAX];

    if (id == OPTION_COUNT) {
        snprintf(what, sizeof what, "unknown key '%s'", reader->key);
        return fail_at(reader, mark, what);
    }
    if (reader->seen[id]) {
        snprintf(what, sizeof what, "key '%s' is given twice", reader->key);
        return fail_at(reader, mark, what);
    }
    reader->seen[id] = true;
    reader->key_is_read = false;
    return options_set(reader->options, id, text, what) == OK ? OK : fail_at(reader, mark, what);
}

static enum err read_item(struct reader *reader, const yaml_event_t *event)
{
    const size_t len = strlen(reader->list);
    const int more = snprintf(reader->list + len, sizeof reader->list - len, "%s%s", len > 0 ? "," : "",
                              (const char *)event->data.scalar.value);

    return more >= 0 && (size_t)more < sizeof reader->list - len
               ? OK
               : fail_at(reader, &event->start_mark, "the list is too long");
}

static enum err read_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *const text = (const char *)event->data.scalar.value;

    if (event->data.scalar.anchor != NULL)
        return fail_at(reader, &event->start_mark, "anchors are not taken");
    if (strlen(text) != event->data.scalar.length) return fail_at(reader, &event->start_mark, "a NUL byte");
    if (reader->depth == 0) {
        if (event->data.scalar.length == 0) return OK; /* a file of comments */
        return fail_at(reader, &event->start_mark, "expected 'key: value'");
    }
    if (reader->in_list) return read_item(reader, event);
    return reader->key_is_read ? read_value(reader, &event->start_mark, text) : read_key(reader, event);
}

static enum err open_mapping(struct reader *reader, const yaml_event_t *event)
{
    if (reader->in_list || (reader->depth > 0 && !reader->key_is_read))
        return fail_at(reader, &event->start_mark, "expected a key or a value, not a mapping");
    if (reader->depth == DEPTH_MAX) return fail_at(reader, &event->start_mark, "nested too deep");
    if (reader->depth > 0 && option_by_key(reader->key) != OPTION_COUNT)
        return fail_at(reader, &event->start_mark, "this key takes a value, not further keys");
    reader->depth++;
    reader->key_is_read = false;
    return OK;
}

static void close_mapping(struct reader *reader)
{
    reader->depth--;
    reader->key_is_read = false;
}

static enum err open_list(struct reader *reader, const yaml_event_t *event)
{
    const enum option_id id = option_by_key(reader->key);

    if (!reader->key_is_read || reader->in_list || id == OPTION_COUNT || option_table[id].type != TYPE_TEXT)
        return fail_at(reader, &event->start_mark, "a list is not expected here");
    reader->in_list = true;
    reader->list[0] = '\0';
    return OK;
}

static enum err take(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return read_scalar(reader, event);
    case YAML_MAPPING_START_EVENT: return open_mapping(reader, event);
    case YAML_MAPPING_END_EVENT: close_mapping(reader); return OK;
    case YAML_SEQUENCE_START_EVENT: return open_list(reader, event);
    case YAML_SEQUENCE_END_EVENT:
        reader->in_list = false;
        return read_value(reader, &event->start_mark, reader->list);
    case YAML_ALIAS_EVENT: return fail_at(reader, &event->start_mark, "aliases are not taken");
    default: return OK;
    }
}

static enum err read_events(struct reader *reader, yaml_parser_t *parser)
{
    unsigned documents = 0;

    for (;;) {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return fail_at(reader, &parser->problem_mark,
                           parser->problem != NULL ? parser->problem : "not YAML");
        const bool end = event.type == YAML_STREAM_END_EVENT;
        documents += event.type == YAML_DOCUMENT_START_EVENT;
        const enum err err = documents > 1 ? fail_at(reader, &event.start_mark, "a second document")
                                           : take(reader, &event);
        yaml_event_delete(&event);
        if (err != OK || end) return err;
    }
}

enum err config_read_text(struct options *options, const char *name, const char *text, size_t len,
                          char error[OPTION_ERROR_MAX])
{
    struct reader reader = {.options = options, .name = name, .error = error};
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser)) return fail(error, "%s: out of memory", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    const enum err err = read_events(&reader, &parser);
    yaml_parser_delete(&parser);
    return err;
}

enum err config_read_file(struct options *options, const char *path, char error[OPTION_ERROR_MAX])
{
    FILE *const file = fopen(path, "rb");

    if (file == NULL) return fail(error, "%s: cannot be opened", path);
    char *const text = malloc(FILE_BYTES_MAX + 1);
    if (text == NULL) {
        fclose(file);
        return fail(error, "%s: out of memory", path);
    }
    const size_t len = fread(text, 1, FILE_BYTES_MAX + 1, file);
    const bool broken = ferror(file) != 0;
    fclose(file);
    enum err err;
    if (broken)
        err = fail(error, "%s: cannot be read", path);
    else if (len > FILE_BYTES_MAX)
        err = fail(error, "%s: larger than 1 MiB", path);
    else
        err = config_read_text(options, path, text, len, error);
    free(text);
    return err;
}

/* ---- environment and command line -----------------------------------------------------------------------
 */

static enum option_id find_environment(const char *name, size_t len)
{
    char own[128];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        option_environment_name((enum option_id)i, own, sizeof own);
        if (strlen(own) == len && memcmp(own, name, len) == 0) return (enum option_id)i;
    }
    return OPTION_COUNT;
}

/*
 * Kubernetes gives a pod variables about each service, so one named spanmill or spanmill-query brings
 * SPANMILL_PORT, SPANMILL_SERVICE_HOST, SPANMILL_QUERY_PORT_16686_TCP and the like. No option of ours is
 * named so.
 */
static bool is_service_link(const char *entry, size_t len)
{
    char name[256];

    snprintf(name, sizeof name, "%.*s_", (int)(len < 200 ? len : 200), entry);
    return strstr(name, "_SERVICE_") != NULL || strstr(name, "_PORT_") != NULL;
}

enum err config_read_environment(struct options *options, const char *const *environment,
                                 char error[OPTION_ERROR_MAX])
{
    static const char prefix[] = "SPANMILL_";
    char what[OPTION_ERROR_MAX];

    for (; *environment != NULL; environment++) {
        const char *const entry = *environment;
        const char *const equals = strchr(entry, '=');

        if (equals == NULL || strncmp(entry, prefix, sizeof prefix - 1) != 0) continue;
        const size_t len = (size_t)(equals - entry);
        const enum option_id id = find_environment(entry, len);
        if (id == OPTION_COUNT && is_service_link(entry, len)) continue;
        if (id == OPTION_COUNT)
            return fail(error, "environment: unknown variable %.*s", (int)(len < 200 ? len : 200), entry);
        if (options_set(options, id, equals + 1, what) != OK)
            return fail(error, "environment: %.*s: %.300s", (int)(len < 200 ? len : 200), entry, what);
    }
    return OK;
}

static enum err read_flag(struct options *options, const char *flag, const char *value,
                          char error[OPTION_ERROR_MAX])
{
    const enum option_id id = option_by_flag(flag);
    char what[OPTION_ERROR_MAX];

    if (id == OPTION_COUNT) return fail(error, "unknown option --%.100s; see spanmill --help", flag);
    if (value == NULL && option_table[id].type == TYPE_BOOL) value = "true";
    if (value == NULL) return fail(error, "--%s needs a value", flag);
    return options_set(options, id, value, what) == OK ? OK : fail(error, "--%s: %s", flag, what);
}

static bool takes_value(const char *flag)
{
    const enum option_id id = option_by_flag(flag);

    return strcmp(flag, "config") == 0 || (id != OPTION_COUNT && option_table[id].type != TYPE_BOOL);
}

enum err config_read_arguments(struct options *options, int count, const char *const *arguments,
                               const char **config_path, char error[OPTION_ERROR_MAX])
{
    for (int i = 0; i < count; i++) {
        const char *const argument = arguments[i];
        char flag[128];

        if (strncmp(argument, "--", 2) != 0)
            return fail(error, "'%.100s' is not an option; see spanmill --help", argument);
        const size_t len = strcspn(argument + 2, "=");
        if (len == 0 || len >= sizeof flag) return fail(error, "'%.100s' is not an option", argument);
        memcpy(flag, argument + 2, len);
        flag[len] = '\0';
        const char *value = argument[2 + len] == '=' ? argument + 3 + len : NULL;
        if (value == NULL && takes_value(flag) && i + 1 < count) value = arguments[++i];
        if (strcmp(flag, "config") == 0) {
            if (value == NULL) return fail(error, "--config needs a file");
            *config_path = value;
        } else {
            TRY(read_flag(options, flag, value, error));
        }
    }
    return OK;
}

enum err config_read(struct options *options, int count, const char *const *arguments,
                     const char *const *environment, char error[OPTION_ERROR_MAX])
{
    const char *path = NULL;

    options_init(options);
    TRY(config_read_arguments(options, count, arguments, &path, error)); /* for --config, and to fail early */
    if (path != NULL) {
        options_init(options);
        TRY(config_read_file(options, path, error));
        TRY(config_read_environment(options, environment, error));
        return config_read_arguments(options, count, arguments, &path, error);
    }
    options_init(options);
    TRY(config_read_environment(options, environment, error));
    return config_read_arguments(options, count, arguments, &path, error);
}

/* ---- checks ---------------------------------------------------------------------------------------------
 */

bool config_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

static const struct {
    enum option_id address;
    enum listener_role role;
} listeners[] = {
    {OPTION_OTLP_HTTP, ROLE_OTLP}, {OPTION_OTLP_GRPC, ROLE_GRPC}, {OPTION_ZIPKIN, ROLE_ZIPKIN},
    {OPTION_QUERY, ROLE_QUERY},    {OPTION_OPS, ROLE_OPS},
};
enum { LISTENERS = sizeof listeners / sizeof *listeners };

static bool is_given(const struct options *options, enum option_id id)
{
    return options_text(options, id)[0] != '\0';
}

/* False: a word is no listener. */
static bool parse_listeners(const char *text, unsigned *out)
{
    *out = 0;
    while (*text != '\0') {
        const size_t len = strcspn(text, ", ");
        unsigned i = 0;
        while (i < LISTENERS && (strlen(option_table[listeners[i].address].key) != len ||
                                 memcmp(option_table[listeners[i].address].key, text, len) != 0))
            i++;
        if (i == LISTENERS) return false;
        *out |= 1U << listeners[i].role;
        text += len + strspn(text + len, ", ");
    }
    return true;
}

unsigned config_tls_listeners(const struct options *options)
{
    unsigned bits;

    if (!is_given(options, OPTION_TLS_CERT)) return 0;
    return parse_listeners(options_text(options, OPTION_TLS_LISTENERS), &bits) ? bits : 0;
}

/* What a listener that others can reach lacks; NULL: nothing. */
static const char *lacks(const struct options *options, unsigned i)
{
    if (options_off(options, listeners[i].address) ||
        config_is_loopback(options_text(options, listeners[i].address)))
        return NULL;
    if ((config_tls_listeners(options) >> listeners[i].role & 1) == 0)
        return "it speaks no TLS (tls.cert_file, tls.key_file)";
    return is_given(options, OPTION_TOKENS_FILE) ? NULL
                                                 : "nobody is asked for a credential (auth.tokens_file)";
}

bool config_is_exposed(const struct options *options)
{
    for (unsigned i = 0; i < LISTENERS; i++)
        if (lacks(options, i) != NULL) return true;
    return false;
}

static enum err check_exposure(const struct options *options, char error[OPTION_ERROR_MAX])
{
    for (unsigned i = 0; i < LISTENERS; i++) {
        const char *const address = options_text(options, listeners[i].address), *const what = lacks(options,
                                                                                                     i);

        if (what == NULL || options_number(options, OPTION_EXPOSURE)) continue;
        (void)fail(
            error,
            "%s: %.100s can be reached from other hosts, and %s; use a loopback address, or set both, or "
            "accept it with %s: true",
            option_table[listeners[i].address].key, address, what, option_table[OPTION_EXPOSURE].key);
        return ERR_DENIED;
    }
    return OK;
}

/* As a browser writes it, scheme://host[:port] without a path, or a word that stands for others. */
static bool is_origin(const char *text, size_t len)
{
    const char *const colon = memchr(text, ':', len);
    const size_t scheme = colon != NULL ? (size_t)(colon - text) : 0;

    if (len == 1 && text[0] == '*') return true;
    if (len == 4 && memcmp(text, "null", 4) == 0) return true;
    return scheme > 0 && len > scheme + 3 && memcmp(colon, "://", 3) == 0 &&
           memchr(colon + 3, '/', len - scheme - 3) == NULL;
}

static enum err check_origins(const struct options *options, char error[OPTION_ERROR_MAX])
{
    static const char separators[] = ", ";
    const char *at = options_text(options, OPTION_CORS_ORIGINS);
    unsigned count = 0;

    for (at += strspn(at, separators); *at != '\0'; at += strspn(at, separators)) {
        const size_t len = strcspn(at, separators);

        if (!is_origin(at, len))
            return fail(error, "cors.origins: '%.*s' is no origin; one looks like https://shop.example.com",
                        (int)(len < 100 ? len : 100), at);
        if (++count > CONFIG_NAMES_MAX) return fail(error, "cors.origins: more than %d", CONFIG_NAMES_MAX);
        at += len;
    }
    return OK;
}

static enum err check_services(const struct options *options, char error[OPTION_ERROR_MAX])
{
    struct service_rules rules;

    return service_rules_parse(options_text(options, OPTION_RETENTION_SERVICES), &rules, error);
}

static enum err check_tls(const struct options *options, char error[OPTION_ERROR_MAX])
{
    unsigned bits;

    if (is_given(options, OPTION_TLS_CERT) != is_given(options, OPTION_TLS_KEY))
        return fail(error, "tls.cert_file and tls.key_file: one without the other");
    if (is_given(options, OPTION_TLS_CLIENT_CA) && !is_given(options, OPTION_TLS_CERT))
        return fail(error, "tls.client_ca_file: without tls.cert_file there is no TLS");
    if (!parse_listeners(options_text(options, OPTION_TLS_LISTENERS), &bits) || bits == 0)
        return fail(error, "tls.listeners: not a list of otlp-http, otlp-grpc, zipkin, query and ops");
    return OK;
}

enum err config_check(const struct options *options, char error[OPTION_ERROR_MAX])
{
    const uint64_t file = options_number(options, OPTION_JOURNAL_FILE),
                   cap = options_number(options, OPTION_JOURNAL_CAP);
    const uint64_t body = options_number(options, OPTION_BODY_MAX),
                   plain = options_number(options, OPTION_PLAIN_MAX);

    TRY(check_tls(options, error));
    TRY(check_exposure(options, error));
    TRY(check_origins(options, error));
    TRY(check_services(options, error));
    if (file % 4096 != 0) return fail(error, "journal.file: not a multiple of 4KiB");
    if (cap / file < 2) return fail(error, "journal.cap: less than two files of journal.file");
    if (file < 2 * body) return fail(error, "journal.file: less than twice limits.body");
    if (plain < body) return fail(error, "limits.plain: less than limits.body");
    if (options_number(options, OPTION_CONNS_SOURCE) > options_number(options, OPTION_CONNS))
        return fail(error, "limits.connections-per-source: more than limits.connections");
    return OK;
}

/* ---- sample and help ------------------------------------------------------------------------------------
 */

static const char *range_of(const struct option *option, char *out, size_t capacity)
{
    if (option->min[0] == '\0') return "";
    snprintf(out, capacity, " (%s .. %s)", option->min, option->max);
    return out;
}

void config_print_sample(FILE *out)
{
    char range[64], name[128];

    fprintf(out, "# Every key with its default. Flags (--journal-cap) and environment variables "
                 "(SPANMILL_JOURNAL_CAP)\n"
                 "# of the same names win over this file.\n");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option *const option = &option_table[i];
        const bool quoted = option->type == TYPE_TEXT || option->type == TYPE_ADDRESS ||
                            option->type == TYPE_LISTENER;

        option_environment_name((enum option_id)i, name, sizeof name);
        fprintf(out, "\n# %s%s\n%s: %s%s%s\n", option->help, range_of(option, range, sizeof range),
                option->key, quoted ? "\"" : "", option->standard, quoted ? "\"" : "");
    }
}

void config_print_help(FILE *out)
{
    static const char *const kinds[] = {
        [TYPE_TEXT] = "TEXT",
        [TYPE_ADDRESS] = "ADDRESS:PORT",
        [TYPE_LISTENER] = "ADDRESS:PORT|off",
        [TYPE_COUNT] = "NUMBER",
        [TYPE_SIZE] = "SIZE",
        [TYPE_DURATION] = "TIME",
        [TYPE_BOOL] = "",
        [TYPE_SWITCH] = "auto|true|false",
        [TYPE_LEVEL] = "LEVEL",
    };
    char range[64], name[128];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct option *const option = &option_table[i];

        option_flag_name((enum option_id)i, name, sizeof name);
        fprintf(out, "  --%s %s\n        %s; default %s%s\n", name, kinds[option->type], option->help,
                option->standard[0] != '\0' ? option->standard : "none",
                range_of(option, range, sizeof range));
    }
}
