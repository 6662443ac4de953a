/*
 * The program: reads what is asked and does it.
 *
 * Exit codes: 0 done; 1 failed while starting or running; 2 not understood; 78 the configuration is wrong or
 * unsafe.
 */
#include "config.h"
#include "identity.h"
#include "placement.h"
#include "plan.h"
#include "sandbox.h"
#include "serve.h"
#include "server/access_table.h"
#include "steering.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

/*
 * jemalloc reads this when it starts. Memory that is free goes back to the system by a thread of its own: the threads that
 * took it, of merges and queries, may be idle for hours.
 */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0";

static const char usage[] =
    "Usage: spanmill COMMAND [OPTIONS]\n"
    "\n"
    "  serve    receives, stores and serves traces until SIGTERM or SIGINT\n"
    "  plan     shows which CPU serves which network queue and shard, and how connections are dealt "
    "(--json)\n"
    "  check    reads the configuration, and the files it names, and says what is wrong with them\n"
    "           (--print-sample prints a file with every key)\n"
    "  sandbox  tries what the sandbox must deny, and says whether this kernel does\n"
    "           (--without tries the same without a sandbox)\n"
    "  routes   lists what is served, and the roles of which it needs one when credentials are configured\n"
    "  --help, --version\n"
    "\n"
    "Options of serve and check; each is also a key of the file and a variable SPANMILL_...:\n"
    "  --config FILE\n"
    "        YAML file; environment variables and flags win over it\n";

static int unknown_command(const char *command)
{
    fprintf(stderr, "spanmill: unknown command '%.100s'; see spanmill --help\n", command);
    return EXIT_USAGE;
}

static int help(void)
{
    fputs(usage, stdout);
    config_print_help(stdout);
    return 0;
}

static int read_options(struct options *options, int count, const char *const *arguments)
{
    char error[OPTION_ERROR_MAX];

    if (config_read(options, count, arguments, (const char *const *)environ, error) == OK &&
        config_check(options, error) == OK)
        return 0;
    fprintf(stderr, "spanmill: %s\n", error);
    return EXIT_CONFIG;
}

static int run_serve(int count, const char *const *arguments)
{
    static struct options options;
    const int code = read_options(&options, count, arguments);

    return code != 0 ? code : serve(&options);
}

static int run_check(int count, const char *const *arguments)
{
    static struct options options;
    char error[OPTION_ERROR_MAX];

    if (count == 1 && strcmp(arguments[0], "--print-sample") == 0) {
        config_print_sample(stdout);
        return 0;
    }
    const int code = read_options(&options, count, arguments);
    if (code != 0) return code;
    if (identity_check(&options, error) != OK) {
        fprintf(stderr, "spanmill: %s\n", error);
        return EXIT_CONFIG;
    }
    puts("the configuration is sound");
    return 0;
}

static int run_plan(int count, const char *const *arguments)
{
    static struct plan_interface interfaces[PLAN_INTERFACES_MAX];
    static struct placement placement;
    const bool json = count > 0 && strcmp(arguments[0], "--json") == 0;
    static struct options options;

    const int code = read_options(&options, count - json, arguments + json);
    if (code != 0) return code;
    placement_read(&placement);
    const unsigned wanted = (unsigned)options_number(&options, OPTION_SHARDS);
    const unsigned shards = wanted > 0 ? wanted : placement_shards(placement.cpus_count);
    unsigned found = plan_read("", &placement, shards, interfaces, PLAN_INTERFACES_MAX);
    plan_order_cpus(interfaces, found, &placement);
    found = plan_read("", &placement, shards, interfaces, PLAN_INTERFACES_MAX);
    const struct steering steering = steering_decide(&options, &placement, shards, interfaces, found);
    (json ? plan_print_json : plan_print)(stdout, interfaces, found, shards, &steering);
    return 0;
}

static int run_routes(void)
{
    char role[ROLES_TEXT_MAX];

    for (size_t i = 0; i < access_table_count; i++) {
        const struct access_row *const row = &access_table[i];
        printf("%-10s %-9s %-4s %s%s\n", listener_name(row->listener),
               row->open ? "open" : roles_format(row->needs, role), row->reads ? "GET" : "any", row->path,
               row->prefix ? "*" : "");
    }
    return 0;
}

int main(int count, char **words)
{
    const char *const *const arguments = (const char *const *)words;

    if (count < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    const char *const command = arguments[1];
    if (strcmp(command, "serve") == 0) return run_serve(count - 2, arguments + 2);
    if (strcmp(command, "plan") == 0) return run_plan(count - 2, arguments + 2);
    if (strcmp(command, "check") == 0) return run_check(count - 2, arguments + 2);
    if (strcmp(command, "sandbox") == 0)
        return sandbox_try(count > 2 && strcmp(arguments[2], "--without") == 0);
    if (strcmp(command, "routes") == 0) return run_routes();
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0) return help();
    if (strcmp(command, "--version") == 0) {
        puts("spanmill " SPANMILL_VERSION);
        return 0;
    }
    return unknown_command(command);
}
