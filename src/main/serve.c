/*
 * The leader: brings the server up, waits for a signal, takes it down.
 *
 *   up      signals blocked -> data directory, lock -> catalog of segments -> sealers -> desk (health answers
 * from here on) -> shards recover side by side -> everybody listens -> "ready" down    everybody drains:
 * listeners closed, requests in work answered, journals idle -> queries end -> threads close -> sealers,
 * catalog, lock
 *
 * SIGHUP reads credentials again (identity.c). SIGTERM and SIGINT stop in order, within five seconds; a second one, or running out of time, ends the
 * process at once, which is a crash the journal is made for. A thread that fails is logged where it fails and
 * ends the process with code 1: in the middle of the start there is nothing worth unwinding, and later the
 * journal's promise holds.
 */
#include "serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "disk.h"
#include "io/gate.h"
#include "io/io.h"
#include "keeper.h"
#include "placement.h"
#include "plan.h"
#include "port.h"
#include "process.h"
#include "sandbox.h"
#include "scrub_thread.h"
#include "shard/sealer.h"
#include "store/backups.h"
#include "steering.h"
#include "store/segment.h"
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    TICK_MS = 10,
    STOP_TICKS_MAX = 4500 / TICK_MS,
};

/* ---- signals --------------------------------------------------------------------------------------------
 */

static sigset_t own_signals;
static bool reload_is_wanted; /* SIGHUP has come */

/* Blocked in every thread, taken by the leader alone. Others that a service may get are ignored. */
static void signals_block(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    static const int ignored[] = {SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)sigaction(ignored[i], &ignore, NULL);
    sigemptyset(&own_signals);
    sigaddset(&own_signals, SIGTERM);
    sigaddset(&own_signals, SIGINT);
    sigaddset(&own_signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &own_signals, NULL);
}

/* Waits one tick; true when a stop signal has come. */
static bool signal_came(unsigned milliseconds)
{
    const struct timespec patience = {.tv_sec = milliseconds / 1000,
                                      .tv_nsec = (long)(milliseconds % 1000) * 1000000};

    const int number = sigtimedwait(&own_signals, NULL, &patience);
    if (number == SIGHUP) reload_is_wanted = true;
    return number > 0 && number != SIGHUP;
}

_Noreturn static void end_at_once(int code)
{
    _exit(code);
}

/* ---- what is asked of the world -------------------------------------------------------------------------
 */

/* What is parted by commas; text is where the names will stand. Returns how many there are. */
static size_t split(const char *option, char text[OPTION_TEXT_MAX], const char *names[CONFIG_NAMES_MAX])
{
    char *at = text, *name;
    size_t count = 0;

    snprintf(text, OPTION_TEXT_MAX, "%s", option);
    while ((name = strsep(&at, ", ")) != NULL)
        if (*name != '\0' && count < CONFIG_NAMES_MAX) names[count++] = name;
    return count;
}

static void split_names(struct world *world)
{
    const struct options *const options = world->options;

    world->hosts_count = split(options_text(options, OPTION_HOSTS), world->hosts_text, world->hosts);
    world->origins_count = split(options_text(options, OPTION_CORS_ORIGINS), world->origins_text,
                                 world->origins);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A request that could never get its memory is refused for good (413), not with "try again" for ever. */
static void derive_body_limits(struct world *world)
{
    const struct options *const options = world->options;
    const uint64_t half = options_number(options, OPTION_INFLIGHT) / 2;

    world->body_bytes_max = at_most(options_number(options, OPTION_BODY_MAX), half);
    world->plain_bytes_max = at_most(options_number(options, OPTION_PLAIN_MAX), half);
    if (world->plain_bytes_max < options_number(options, OPTION_PLAIN_MAX))
        log_warn("main", "memory.inflight lowers the largest request",
                 "body_bytes_max=%" PRIu64 " plain_bytes_max=%" PRIu64, world->body_bytes_max,
                 world->plain_bytes_max);
}

static void derive_limits(struct world *world)
{
    const struct options *const options = world->options;

    derive_body_limits(world);
    world->limits = (struct server_limits){
        .conns_max = (unsigned)options_number(options, OPTION_CONNS),
        .conns_per_source_max = (unsigned)options_number(options, OPTION_CONNS_SOURCE),
        .requests_per_conn_max = (unsigned)options_number(options, OPTION_REQUESTS_CONN),
        .body_bytes_max = world->body_bytes_max,
        .head_ns_max = options_number(options, OPTION_HEAD_TIME),
        .idle_ns_max = options_number(options, OPTION_IDLE_TIME),
        .body_grace_ns = options_number(options, OPTION_BODY_GRACE),
        .body_rate_bytes_min = options_number(options, OPTION_BODY_RATE),
        .body_ns_max = options_number(options, OPTION_BODY_TIME),
        .stall_ns_max = options_number(options, OPTION_STALL_TIME),
    };
    split_names(world);
}

/* ---- up -------------------------------------------------------------------------------------------------
 */

static bool failed(const char *what, const char *object, enum err err)
{
    log_error("main", what, "%s error=\"%s\"", object, err_text(err));
    return false;
}

/* Span data is personal data: nobody else may be able to put files there. What is made below it is 0700 and 0600. */
static bool is_private(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) return true; /* it will be made, or opening it says what is wrong */
    if (status.st_mode & S_IWOTH) {
        log_error("main", "everybody may write to the data directory", "data=%s mode=%o", path,
                  (unsigned)status.st_mode & 07777);
        return false;
    }
    if (status.st_uid != geteuid())
        log_warn("main", "the data directory belongs to another user", "data=%s uid=%u", path,
                 (unsigned)status.st_uid);
    return true;
}

static bool open_data(struct world *world)
{
    const char *const path = options_text(world->options, OPTION_DATA);
    bool arrived;

    if (!is_private(path)) return false;
    enum err err = io_dir_open(world->io, NULL, path, true, &world->data_dir);
    if (err != OK) return failed("cannot open the data directory", path, err);
    err = superblock_open(world->io, world->data_dir, &world->superblock);
    if (err == ERR_BUSY) return failed("another process works in the data directory", path, err);
    if (err != OK) return failed("cannot open the superblock", path, err);
    err = backup_arrive(world->io, world->data_dir, world->superblock.instance, &arrived);
    if (err != OK)
        return failed("this is not the whole copy of a backup, alone in its directory (README.md, Backups)",
                      path, err);
    return true;
}

static void journal_name(unsigned index, char *out, size_t capacity)
{
    snprintf(out, capacity, "journal-%u", index);
}

/* Shards of earlier starts: their journals hold acknowledged spans. */
static unsigned count_journals(struct world *world)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        struct io_dir *dir;
        char name[32];

        journal_name(i, name, sizeof name);
        if (io_dir_open(world->io, world->data_dir, name, false, &dir) != OK) return i;
        io_dir_close(world->io, dir);
    }
    return SHARDS_MAX;
}

static bool open_shards(struct world *world, const struct placement *placement)
{
    const unsigned wanted = (unsigned)options_number(world->options, OPTION_SHARDS);
    const unsigned found = count_journals(world);

    world->shards_listening = wanted > 0 ? wanted : placement_shards(placement->cpus_count);
    if (world->shards_listening > SHARDS_MAX) world->shards_listening = SHARDS_MAX;
    world->shards_count = world->shards_listening > found ? world->shards_listening : found;
    if (found > world->shards_listening)
        log_warn("main",
                 "the data directory holds journals of more shards; they are kept up, without a listener",
                 "shards=%u journals=%u", world->shards_listening, found);

    const size_t bytes = world->shards_count * sizeof *world->shards;
    world->shards = aligned_alloc(alignof(struct shard_thread), bytes);
    if (world->shards == NULL) return failed("no memory for shards", "", ERR_NO_MEMORY);
    memset(world->shards, 0, bytes);
    for (unsigned i = 0; i < world->shards_count; i++) {
        struct shard_thread *const shard = &world->shards[i];
        char name[32];

        journal_name(i, name, sizeof name);
        const enum err err = io_dir_open(world->io, world->data_dir, name, true, &shard->journal_dir);
        if (err != OK) return failed("cannot open a journal directory", name, err);
        shard->world = world;
        shard->index = i;
        shard->listens = i < world->shards_listening;
        const bool pinned = options_number(world->options, OPTION_PIN) && i < placement->cpus_count;
        shard->cpu = pinned ? (int)placement->cpus[i] : -1;
        snprintf(shard->name, sizeof shard->name, "shard-%u", (unsigned)(uint8_t)i);
    }
    const enum err err = io_dir_sync(world->io, world->data_dir); /* the names of new journal directories */
    return err == OK ? true : failed("cannot sync the data directory", "", err);
}

static bool open_catalog(struct world *world)
{
    const struct segment_config config = {
        .instance = world->superblock.instance,
        .bytes_max = options_number(world->options, OPTION_SEGMENT_SIZE),
        .window_ns = options_number(world->options, OPTION_SEGMENT_WINDOW),
        .shards = (uint16_t)world->shards_count,
    };
    struct catalog_report report;

    const enum err err = catalog_open(world->io, world->data_dir, &config, &world->catalog, &report);
    if (err != OK) return failed("cannot open the segments", "", err);
    return true;
}

static bool open_sealer(struct world *world)
{
    const unsigned wanted = (unsigned)options_number(world->options, OPTION_SEALERS);
    const struct sealer_config config = {
        .catalog = world->catalog,
        .threads = wanted > 0 ? wanted : placement_sealers(world->shards_count),
        .gate = world->gate,
        .metrics = &world->sealer_metrics,
    };

    const enum err err = sealer_open(&config, &world->sealer);
    return err == OK ? true : failed("cannot start the sealers", "", err);
}

static size_t print_metrics(char *text, size_t capacity)
{
    size_t len = process_metrics(text, capacity);

    len += identity_metrics(text + len, capacity - len);
    return len + disk_metrics(text + len, capacity - len);
}

static bool open_ops(struct world *world)
{
    static const struct metrics *sets[SHARDS_MAX + 5];
    static const char *names[SHARDS_MAX + 5];
    static char numbers[SHARDS_MAX][12];
    static const char remark[] =
        "exposed: addresses can be reached from other hosts without TLS or authentication "
        "(i_accept_unauthenticated_network_exposure)\n";
    size_t count = 0;

    for (unsigned i = 0; i < world->shards_count; i++) {
        snprintf(numbers[i], sizeof numbers[i], "%u", i);
        sets[count] = &world->shards[i].metrics;
        names[count++] = numbers[i];
    }
    sets[count] = &world->desk.metrics;
    names[count++] = "desk";
    sets[count] = &world->sealer_metrics;
    names[count++] = "sealer";
    sets[count] = &world->query_metrics;
    names[count++] = "query";
    sets[count] = &world->keeper_metrics;
    names[count++] = "keeper";
    sets[count] = &world->scrub_metrics;
    names[count++] = "scrubber";
    const struct ops_config config = {
        .sets = sets,
        .set_names = names,
        .sets_count = count,
        .shards_count = world->shards_count,
        .debug_endpoints = options_number(world->options, OPTION_DEBUG_ENDPOINTS) != 0,
        .remark = config_is_exposed(world->options) ? remark : NULL,
        .process_metrics = print_metrics,
    };
    const enum err err = ops_open(&config, &world->ops);
    if (err != OK) return failed("no memory for operations", "", err);
    world->desk.world = world;
    world->desk.ops_routes_count = ops_routes(world->ops, world->desk.ops_routes);
    return true;
}

/* What leaves, and what must not. */
static bool open_keeping(struct world *world)
{
    const enum err err = keeper_open_rules(world);

    return err == OK ? true
                     : failed("cannot set up retention, or read the lists of pins and erasures", "", err);
}

/* When the shards have recovered: an answer from half a journal would look like a whole one. */
static bool open_query(struct world *world)
{
    const struct options *const options = world->options;
    size_t query_routes_count;

    for (unsigned i = 0; i < world->shards_count; i++)
        world->query_shards[i] = atomic_load(&world->shards[i].shard);
    const struct query_config config = {
        .shards = world->query_shards,
        .shards_count = world->shards_count,
        .catalog = world->catalog,
        .retention = world->retention,
        .keeping = world->keeping,
        .pins = world->pins,
        .erasures = world->erasures,
        .backups = world->backups,
        .metrics = &world->query_metrics,
        .gate = world->gate,
        .seal = keeper_seal,
        .is_sealed = keeper_is_sealed,
        .seal_context = world,
        .threads = (unsigned)options_number(options, OPTION_QUERY_THREADS),
        .waiting_max = (unsigned)options_number(options, OPTION_QUERY_WAITING),
        .deadline_ns = options_number(options, OPTION_QUERY_TIME),
        .memory_bytes_max = options_number(options, OPTION_QUERY_MEMORY),
        .answer_bytes_max = options_number(options, OPTION_QUERY_ANSWER),
    };
    const enum err err = query_open(&config, &world->query);
    if (err != OK) return failed("cannot start the query workers", "", err);

    struct desk *const desk = &world->desk;
    const struct route *const routes = query_routes(world->query, &query_routes_count);
    assert(desk->ops_routes_count + query_routes_count <= ROUTES_MAX);
    memcpy(world->routes, desk->ops_routes, desk->ops_routes_count * sizeof *routes);
    memcpy(world->routes + desk->ops_routes_count, routes, query_routes_count * sizeof *routes);
    desk->routes = world->routes;
    desk->routes_count = desk->ops_routes_count + query_routes_count;
    return true;
}

static bool start_thread(struct thread *thread, void *(*run)(void *), void *context)
{
    const int error = pthread_create(&thread->pthread, NULL, run, context);

    thread->started = error == 0;
    if (error != 0) log_error("main", "cannot start a thread", "error=\"%s\"", strerror(error));
    return error == 0;
}

/* ---- leading --------------------------------------------------------------------------------------------
 */

static bool all_reached(const struct world *world, enum thread_state state)
{
    bool reached = atomic_load(&world->desk.thread.state) >= (int)state;

    for (unsigned i = 0; i < world->shards_count; i++)
        reached = reached && atomic_load(&world->shards[i].thread.state) >= (int)state;
    return reached;
}

static bool any_failed(const struct world *world)
{
    bool failure = atomic_load(&world->desk.thread.state) == STATE_FAILED;

    for (unsigned i = 0; i < world->shards_count; i++)
        failure = failure || atomic_load(&world->shards[i].thread.state) == STATE_FAILED;
    return failure;
}

static void enter_phase(struct world *world, enum phase phase)
{
    atomic_store_explicit(&world->phase, (int)phase, memory_order_release);
    if (phase == PHASE_CLOSE) return; /* their io may be gone by now; nobody sleeps long in PHASE_DRAIN */
    io_wake(atomic_load(&world->desk.thread.io));
    for (unsigned i = 0; i < world->shards_count; i++)
        io_wake(atomic_load(&world->shards[i].thread.io));
}

/* A start may take as long as its journals need; a signal ends it at once. */
static void wait_for_start(const struct world *world, enum thread_state state)
{
    while (!all_reached(world, state)) {
        if (any_failed(world)) end_at_once(EXIT_FAILED);
        if (signal_came(TICK_MS)) end_at_once(0);
    }
    if (any_failed(world)) end_at_once(EXIT_FAILED);
}

static void wait_for_stop(const struct world *world, enum thread_state state, unsigned *ticks_left)
{
    while (!all_reached(world, state)) {
        if (signal_came(TICK_MS)) {
            log_warn("main", "second signal, ending at once", "state=%d", (int)state);
            end_at_once(EXIT_FAILED);
        }
        if (--*ticks_left > 0) continue;
        log_error("main", "cannot stop in order in time, ending at once", "state=%d", (int)state);
        end_at_once(EXIT_FAILED);
    }
    if (any_failed(world)) end_at_once(EXIT_FAILED);
}

/* Each connection is a descriptor; the usual soft limit of 1,024 is below our own. */
static void raise_descriptor_limit(const struct world *world)
{
    const uint64_t wanted = (uint64_t)(world->shards_count + 1) * server_sockets_max(&world->limits) +
                            256 /* files */;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted) return;
    log_warn("main", "fewer descriptors than connections allowed", "limit=%" PRIu64 " wanted=%" PRIu64,
             (uint64_t)limit.rlim_cur, wanted);
}

/* ---- walls ----------------------------------------------------------------------------------------------
 */

static bool raise_walls(const struct options *options, struct sandbox *sandbox)
{
    static const enum option_id addresses[] = {OPTION_OTLP_HTTP, OPTION_OTLP_GRPC, OPTION_ZIPKIN,
                                               OPTION_QUERY, OPTION_OPS};
    const uint64_t wanted = options_number(options, OPTION_SANDBOX);

    *sandbox = (struct sandbox){
        .off = wanted == 0, .required = wanted == 1, .data = options_text(options, OPTION_DATA)};
    for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (!options_off(options, addresses[i])) /* port 0 would allow all */
            sandbox->ports[sandbox->ports_count++] = (uint16_t)options_number(options, addresses[i]);
    static_assert((int)IDENTITY_DIRECTORIES_MAX <= (int)SANDBOX_PATHS_MAX, "all may be read");
    (void)identity_directories(options, sandbox->readable);
    if (sandbox_wall(sandbox) == OK) return true;
    log_error("main", "sandbox: true, but there is none",
              "missing=\"%s\" hint=\"sandbox: auto takes what there is\"", sandbox->missing);
    return false;
}

static bool close_calls(struct sandbox *sandbox)
{
    const enum err err = sandbox_calls(sandbox);

    sandbox_tell(sandbox);
    return err == OK;
}

static bool start_threads(struct world *world)
{
    if (!start_thread(&world->desk.thread, desk_run, &world->desk)) return false;
    for (unsigned i = 0; i < world->shards_count; i++)
        if (!start_thread(&world->shards[i].thread, shard_thread_run, &world->shards[i])) return false;
    wait_for_start(world, STATE_RECOVERED);
    return true;
}

static void tell_ready(const struct world *world)
{
    char pins[256] = "";
    size_t len = 0;

    for (unsigned i = 0; i < world->shards_count && len + 12 < sizeof pins; i++)
        len += (size_t)snprintf(pins + len, sizeof pins - len, "%s%d", i > 0 ? "," : "",
                                world->shards[i].cpu);
    log_info("main", "ready",
             "otlp_http=%s otlp_grpc=%s zipkin=%s query=%s ops=%s shards=%u cpus=%s resident_mib=%" PRIu64,
             world->otlp_http_address, world->otlp_grpc_address,
             world->zipkin_address[0] != '\0' ? world->zipkin_address : "off",
             options_text(world->options, OPTION_QUERY), options_text(world->options, OPTION_OPS),
             world->shards_listening, pins, process_resident_bytes() >> 20);
}

static void wait_for_signal(const struct world *world)
{
    while (!signal_came(500)) {
        if (any_failed(world)) end_at_once(EXIT_FAILED);
        if (!reload_is_wanted) continue;
        reload_is_wanted = false;
        identity_reload(world->identity);
    }
}

/* ---- down -----------------------------------------------------------------------------------------------
 */

/* Open segments get their footers, so that the next start need not walk them. */
static void close_segments(struct world *world)
{
    for (unsigned i = 0; i < world->shards_count; i++) {
        const enum err err = segment_seal(world->catalog, world->io, (uint16_t)i);
        if (err != OK) log_warn("main", "a segment stays open", "shard=%u error=\"%s\"", i, err_text(err));
    }
}

static void close_world(struct world *world)
{
    for (unsigned i = 0; i < world->shards_count; i++) {
        pthread_join(world->shards[i].thread.pthread, NULL);
        io_dir_close(world->io, world->shards[i].journal_dir);
    }
    pthread_join(world->desk.thread.pthread, NULL);
    sealer_close(world->sealer);
    keeper_close_rules(world);
    close_segments(world);
    catalog_close(world->catalog, world->io);
    ops_close(world->ops);
    identity_close(world->identity);
    superblock_close(&world->superblock, world->io);
    io_dir_close(world->io, world->data_dir);
    disk_close(world);
    io_close(world->io);
    free(world->shards);
}

static void stop(struct world *world)
{
    unsigned ticks_left = STOP_TICKS_MAX;

    log_info("main", "stopping", "resident_mib=%" PRIu64, process_resident_bytes() >> 20);
    ops_stopping(world->ops);
    enter_phase(world, PHASE_DRAIN);
    io_gate_open_wide(world->gate); /* who waits there could not end otherwise, if the disk does not answer */
    keeper_stop(world);
    scrub_thread_stop(world);
    wait_for_stop(world, STATE_DRAINED, &ticks_left);
    query_close(world->query); /* its workers hold live blocks, segments and tickets */
    enter_phase(world, PHASE_CLOSE);
    wait_for_stop(world, STATE_ENDED, &ticks_left);
    close_world(world);
    log_info("main", "stopped", "milliseconds_max=%u", (STOP_TICKS_MAX - ticks_left) * TICK_MS);
}

/* Shard i runs where receive queue i arrives, as far as that can be found out. */
static void read_placement(struct placement *placement)
{
    static struct plan_interface interfaces[PLAN_INTERFACES_MAX];

    placement_read(placement);
    const unsigned found = plan_read("", placement, placement->cpus_count, interfaces, PLAN_INTERFACES_MAX);
    plan_order_cpus(interfaces, found, placement);
}

/* Two looks: the first one found the order of CPUs, this one tells how the shards stand in it. */
static void read_steering(struct world *world, const struct placement *placement)
{
    static struct plan_interface interfaces[PLAN_INTERFACES_MAX];
    const unsigned shards = world->shards_listening;
    const unsigned found = plan_read("", placement, shards, interfaces, PLAN_INTERFACES_MAX);
    const struct steering steering = steering_decide(world->options, placement, shards, interfaces, found);

    world->steered = steering.why_not == NULL;
    world->nodes = placement_nodes("");
    log_info("main", "placement", "shards=%u memory_nodes=%u connections=%s because=\"%s\"", shards,
             world->nodes, world->steered ? "steered" : "hashed",
             world->steered ? "each arrives on the CPU of a shard" : steering.why_not);
}

static bool ports_are_free(const struct options *options)
{
    return port_is_free(options_text(options, OPTION_OTLP_HTTP)) &&
           port_is_free(options_text(options, OPTION_OTLP_GRPC)) &&
           (options_off(options, OPTION_ZIPKIN) || port_is_free(options_text(options, OPTION_ZIPKIN))) &&
           port_is_free(options_text(options, OPTION_QUERY)) &&
           port_is_free(options_text(options, OPTION_OPS));
}

/* Before anything else is touched: who may come in must be known. */
static bool open_identity(struct world *world)
{
    char error[OPTION_ERROR_MAX];
    uint64_t seed;

    enum err err = io_open_plain(&world->io);
    if (err != OK) return failed("cannot set up files", "", err);
    io_random(world->io, &seed, sizeof seed);
    err = identity_open(world->options, seed, &world->identity, error);
    if (err == OK) return true;
    fprintf(stderr, "spanmill: %s\n", error);
    end_at_once(EXIT_CONFIG);
}

int serve(const struct options *options)
{
    static struct world world; /* one to a process; large */
    static struct placement placement;
    static struct sandbox sandbox;
    char ignored[64];

    (void)process_metrics(ignored, sizeof ignored);
    log_set_level((enum log_level)options_number(options, OPTION_LOG_LEVEL));
    world.options = options;
    signals_block();
    read_placement(&placement);
    derive_limits(&world);
    log_info("main", "spanmill", "version=%s data=%s cpus=%u", SPANMILL_VERSION,
             options_text(options, OPTION_DATA), placement.cpus_count);
    if (config_is_exposed(options))
        log_warn("main", "addresses can be reached from other hosts without TLS or authentication",
                 "option=i_accept_unauthenticated_network_exposure");

    if (!open_identity(&world) || !ports_are_free(options) || !open_data(&world) ||
        !open_shards(&world, &placement))
        end_at_once(EXIT_FAILED);
    read_steering(&world, &placement);
    raise_descriptor_limit(&world);
    if (!raise_walls(options, &sandbox)) end_at_once(EXIT_FAILED);
    if (!disk_open(&world) || !open_catalog(&world) || !open_sealer(&world) || !open_ops(&world) ||
        !start_threads(&world) || !open_keeping(&world) || !open_query(&world) || !keeper_start(&world) ||
        !scrub_thread_start(&world))
        end_at_once(EXIT_FAILED); /* all that may fail comes before anybody is told "ready" */
    enter_phase(&world, PHASE_SERVE);
    wait_for_start(&world, STATE_SERVING);
    sealer_build_filters(world.sealer);
    if (!close_calls(&sandbox)) end_at_once(EXIT_FAILED);
    tell_ready(&world);
    wait_for_signal(&world);
    stop(&world);
    return 0;
}
