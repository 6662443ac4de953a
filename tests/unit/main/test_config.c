/* U7: the configuration's sources, and what stops the start with file:line. */
#include "config.h"
#include "server/exchange.h"
#include "service_rules.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct options options;
static char error[OPTION_ERROR_MAX];

static enum err read_text(const char *text)
{
    options_init(&options);
    error[0] = '\0';
    return config_read_text(&options, "test.yaml", text, strlen(text), error);
}

#define expect_refused(text, message)                                                                        \
    do {                                                                                                     \
        cr_expect_eq(read_text(text), ERR_MALFORMED, "%s", text);                                            \
        cr_expect_str_eq(error, message);                                                                    \
    } while (0)

Test(config_file, takes_flat_and_nested_keys)
{
    cr_assert_eq(read_text("# a comment\n"
                           "data: /var/lib/spanmill\n"
                           "journal:\n"
                           "  file: 32MiB\n"
                           "  cap: 512MiB\n"
                           "memory.inflight: 64MiB\n"
                           "limits: {connections: 100, connections-per-source: 10}\n"),
                 OK, "%s", error);
    cr_expect_str_eq(options_text(&options, OPTION_DATA), "/var/lib/spanmill");
    cr_expect_eq(options_number(&options, OPTION_JOURNAL_FILE), 32 << 20);
    cr_expect_eq(options_number(&options, OPTION_JOURNAL_CAP), 512 << 20);
    cr_expect_eq(options_number(&options, OPTION_INFLIGHT), 64 << 20);
    cr_expect_eq(options_number(&options, OPTION_CONNS), 100);
    cr_expect_eq(options_number(&options, OPTION_CONNS_SOURCE), 10);
}

Test(config_file, takes_a_list_for_a_text)
{
    cr_assert_eq(read_text("hosts: [tempo, jaeger.example]\n"), OK);
    cr_expect_str_eq(options_text(&options, OPTION_HOSTS), "tempo,jaeger.example");
}

Test(config_file, may_be_empty)
{
    cr_expect_eq(read_text(""), OK);
    cr_expect_eq(read_text("# nothing\n\n"), OK);
    cr_expect_eq(read_text("---\n"), OK);
}

Test(config_file, refuses_with_file_and_line)
{
    expect_refused("data: x\nno.such: 1\n", "test.yaml:2: unknown key 'no.such'");
    expect_refused("journal:\n  cap: 1GiB\n  size: 1\n", "test.yaml:3: unknown key 'journal.size'");
    expect_refused("shards: 1\nshards: 2\n", "test.yaml:2: key 'shards' is given twice");
    expect_refused("journal.cap: 1GiB\njournal:\n  cap: 2GiB\n",
                   "test.yaml:3: key 'journal.cap' is given twice");
    expect_refused("\nshards: many\n", "test.yaml:2: shards: 'many' is not a number");
    expect_refused("shards: 9223372036854775808\n",
                   "test.yaml:1: shards: 9223372036854775808 is not within 0 .. 255");
    expect_refused("shards: -1\n", "test.yaml:1: shards: '-1' is not a number");
    expect_refused("limits:\n  connections: 0\n",
                   "test.yaml:2: limits.connections: 0 is not within 1 .. 65536");
    expect_refused("shards: [1]\n", "test.yaml:1: a list is not expected here");
    expect_refused("shards: &a 1\n", "test.yaml:1: anchors are not taken");
    expect_refused("data: x\n---\ndata: y\n", "test.yaml:2: a second document");
    expect_refused("just words\n", "test.yaml:1: expected 'key: value'");
    expect_refused("data: {a: 1}\n", "test.yaml:1: this key takes a value, not further keys");
    expect_refused("a: {b: {c: {d: {e: 1}}}}\n", "test.yaml:1: nested too deep");
    expect_refused("- shards\n", "test.yaml:1: a list is not expected here");
    expect_refused("? [a]\n: 1\n", "test.yaml:1: a list is not expected here");
}

Test(config_file, refuses_what_is_not_yaml)
{
    cr_expect_eq(read_text("shards: {\n"), ERR_MALFORMED);
    cr_expect_eq(strncmp(error, "test.yaml:", 10), 0);
    cr_expect_eq(read_text("\x01\x02"), ERR_MALFORMED);
    cr_expect_eq(read_text("a: *b\n"), ERR_MALFORMED);
}

Test(config_file, survives_every_prefix_of_itself)
{
    static const char text[] = "journal: {cap: 1GiB}\nhosts: [a, 'b c', \"d\"]\nlimits:\n  body: 1MiB\n";

    options_init(&options);
    for (size_t len = 0; len < sizeof text; len++)
        (void)config_read_text(&options, "test.yaml", text, len, error);
}

Test(config_sources, the_sample_reads_as_the_defaults)
{
    static struct options defaults;
    char *text = NULL;
    size_t len = 0;
    FILE *const out = open_memstream(&text, &len);

    cr_assert_not_null(out);
    config_print_sample(out);
    fclose(out);
    options_init(&defaults);
    options_init(&options);
    cr_assert_eq(config_read_text(&options, "sample", text, len, error), OK, "%s", error);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        cr_expect_eq(options.values[i].number, defaults.values[i].number, "%s", option_table[i].key);
        cr_expect_str_eq(options.values[i].text, defaults.values[i].text);
    }
    cr_expect_eq(config_check(&defaults, error), OK, "%s", error);
    free(text);
}

Test(config_sources, flags_win_over_environment_over_file)
{
    char path[] = "/tmp/spanmill-config-XXXXXX";
    static char config_flag[64];
    const char *const environment[] = {"SPANMILL_SHARDS=2", "SPANMILL_SEALERS=2", "HOME=/", NULL};
    const int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq((int)write(fd, "shards: 1\nsealers: 1\nlive.blocks: 5\n", 36), 36);
    close(fd);
    snprintf(config_flag, sizeof config_flag, "--config=%s", path);
    const char *const arguments[] = {"--shards", "3", config_flag, "--debug-endpoints"};
    cr_expect_eq(config_read(&options, 4, arguments, environment, error), OK, "%s", error);
    unlink(path);
    cr_expect_eq(options_number(&options, OPTION_SHARDS), 3);
    cr_expect_eq(options_number(&options, OPTION_SEALERS), 2);
    cr_expect_eq(options_number(&options, OPTION_LIVE_BLOCKS), 5);
    cr_expect_eq(options_number(&options, OPTION_DEBUG_ENDPOINTS), 1);
}

static enum err read_flags(int count, const char *const *arguments)
{
    const char *const nothing[] = {NULL};

    return config_read(&options, count, arguments, nothing, error);
}

Test(config_sources, refuses_flags_it_does_not_know)
{
    cr_expect_eq(read_flags(1, (const char *[]){"--no-such"}), ERR_MALFORMED);
    cr_expect_str_eq(error, "unknown option --no-such; see spanmill --help");
    cr_expect_eq(read_flags(1, (const char *[]){"shards"}), ERR_MALFORMED);
    cr_expect_eq(read_flags(1, (const char *[]){"--shards"}), ERR_MALFORMED);
    cr_expect_str_eq(error, "--shards needs a value");
    cr_expect_eq(read_flags(1, (const char *[]){"--shards=x"}), ERR_MALFORMED);
    cr_expect_eq(read_flags(2, (const char *[]){"--config", "/nowhere/at/all.yaml"}), ERR_MALFORMED);
    cr_expect_str_eq(error, "/nowhere/at/all.yaml: cannot be opened");
    cr_expect_eq(read_flags(1, (const char *[]){"--debug-endpoints=false"}), OK);
}

Test(config_sources, refuses_unknown_variables_but_lets_kubernetes_have_its_own)
{
    const char *const bad[] = {"SPANMILL_NO_SUCH=1", NULL};
    const char *const wrong[] = {"SPANMILL_SHARDS=x", NULL};
    const char *const links[] = {"SPANMILL_PORT=tcp://10.0.0.1:4318", "SPANMILL_SERVICE_HOST=10.0.0.1",
                                 "SPANMILL_QUERY_PORT_16686_TCP=tcp://10.0.0.1:16686", NULL};

    options_init(&options);
    cr_expect_eq(config_read_environment(&options, bad, error), ERR_MALFORMED);
    cr_expect_str_eq(error, "environment: unknown variable SPANMILL_NO_SUCH");
    cr_expect_eq(config_read_environment(&options, wrong, error), ERR_MALFORMED);
    cr_expect_eq(config_read_environment(&options, links, error), OK, "%s", error);
}

static enum err check_with(enum option_id id, const char *text)
{
    options_init(&options);
    cr_assert_eq(options_set(&options, id, text, error), OK, "%s", error);
    return config_check(&options, error);
}

Test(config_check, A15_refuses_addresses_beyond_loopback)
{
    static const char *const exposed[] = {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "192.168.1.1:1",
                                          "[fe80::1]:1"};
    static const enum option_id listeners[] = {OPTION_OTLP_HTTP, OPTION_OTLP_GRPC, OPTION_ZIPKIN,
                                               OPTION_QUERY, OPTION_OPS};

    for (size_t i = 0; i < sizeof exposed / sizeof *exposed; i++)
        for (size_t k = 0; k < sizeof listeners / sizeof *listeners; k++)
            cr_expect_eq(check_with(listeners[k], exposed[i]), ERR_DENIED, "%s", exposed[i]);
    cr_expect_eq(check_with(OPTION_OPS, "127.3.2.1:9464"), OK);
    cr_expect_eq(check_with(OPTION_OPS, "[::1]:9464"), OK);
    cr_assert_eq(check_with(OPTION_OPS, "0.0.0.0:9464"), ERR_DENIED);
    cr_assert_eq(options_set(&options, OPTION_EXPOSURE, "true", error), OK);
    cr_expect_eq(config_check(&options, error), OK);
    cr_expect(config_is_exposed(&options));
}

Test(config_check, U7_ages_of_services_are_rules)
{
    static const char *const wrong[] = {"debug", "=1d", "debug=", "debug=soon", "cart=1d,debug"};
    static struct service_rules rules;
    char many[OPTION_TEXT_MAX] = "";

    cr_assert_eq(service_rules_parse(" debug=1d, a=b=12h,,payments=0s", &rules, error), OK);
    cr_assert_eq(rules.count, 3);
    cr_expect_str_eq(rules.rules[1].name, "a=b");
    cr_expect_eq(rules.rules[1].age_ns, UINT64_C(12) * 3600 * 1000000000);
    cr_expect_eq(rules.rules[2].age_ns, 0);
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_eq(check_with(OPTION_RETENTION_SERVICES, wrong[i]), ERR_MALFORMED, "%s", wrong[i]);
        cr_expect_not_null(strstr(error, "retention.services"), "%s", error);
    }
    for (unsigned i = 0; i <= RETENTION_SERVICES_MAX; i++)
        memcpy(many + strlen(many), "s=1d,", 6);
    cr_expect_eq(service_rules_parse(many, &rules, error), ERR_MALFORMED);
}

Test(config_check, U7_origins_look_like_origins)
{
    static const char *const good[] = {
        "", "*", "null", "https://a.b", "http://localhost:3000, https://*.a.b:*", "app://x,,"};
    static const char *const bad[] = {"a.b", "https://", "://a", "https://a/", "https://a,b", "https:a"};
    char many[OPTION_TEXT_MAX] = "";

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect_eq(check_with(OPTION_CORS_ORIGINS, good[i]), OK, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(check_with(OPTION_CORS_ORIGINS, bad[i]), ERR_MALFORMED, "%s", bad[i]);
    for (unsigned i = 0; i <= CONFIG_NAMES_MAX; i++)
        memcpy(many + strlen(many), "a://b,", 7);
    cr_expect_eq(check_with(OPTION_CORS_ORIGINS, many), ERR_MALFORMED);
}

static void set(enum option_id id, const char *value)
{
    cr_assert_eq(options_set(&options, id, value, error), OK, "%s", error);
}

Test(config_check, A15_takes_addresses_beyond_loopback_with_tls_and_credentials)
{
    options_init(&options);
    set(OPTION_QUERY, "0.0.0.0:16686");
    set(OPTION_TLS_CERT, "cert.pem");
    set(OPTION_TLS_KEY, "key.pem");
    cr_expect_eq(config_check(&options, error), ERR_DENIED, "nobody is asked");
    cr_expect_not_null(strstr(error, "auth.tokens_file"), "%s", error);
    set(OPTION_TOKENS_FILE, "tokens");
    cr_expect_eq(config_check(&options, error), OK, "%s", error);
    cr_expect(!config_is_exposed(&options));
    set(OPTION_TLS_LISTENERS, "ops, otlp-grpc,otlp-http");
    cr_expect_eq(config_tls_listeners(&options), 1U << ROLE_OPS | 1U << ROLE_GRPC | 1U << ROLE_OTLP);
    cr_expect_eq(config_check(&options, error), ERR_DENIED, "this one is plain");
    cr_expect_not_null(strstr(error, "speaks no TLS"), "%s", error);
    set(OPTION_EXPOSURE, "true");
    cr_expect_eq(config_check(&options, error), OK);
    cr_expect(config_is_exposed(&options));
}

Test(config_check, refuses_tls_that_is_not_whole)
{
    cr_expect_eq(check_with(OPTION_TLS_CERT, "cert.pem"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_TLS_KEY, "key.pem"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_TLS_CLIENT_CA, "ca.pem"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_TLS_LISTENERS, "otlp"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_TLS_LISTENERS, "ops,otlp-http2"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_TLS_LISTENERS, " , "), ERR_MALFORMED);
    cr_expect_eq(config_tls_listeners(&options), 0, "without a certificate");
}

Test(config_check, refuses_options_that_contradict_each_other)
{
    cr_expect_eq(check_with(OPTION_JOURNAL_CAP, "64MiB"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_JOURNAL_FILE, "1048577B"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_JOURNAL_FILE, "16MiB"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_PLAIN_MAX, "1MiB"), ERR_MALFORMED);
    cr_expect_eq(check_with(OPTION_CONNS, "100"), ERR_MALFORMED);
}
