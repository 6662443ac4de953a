/*
 * The life of a shard thread: pinned, its io, its shard recovered, its listener, turns, and the same
 * backwards.
 *
 * Everything that belongs to the shard is made here, on its own thread, so that its memory is first touched
 * by the CPU that will use it.
 */
#include "world.h"

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "io/gate.h"
#include "io/io.h"
#include "placement.h"
#include "server/otlp_http.h"
#include "server/zipkin_http.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SHARD_OPS = 64 /* journal writes, wake-up, accepts */,
    RECEIVE_BUFFERS = 512,
    RECEIVE_BUFFER_BYTES = 16 * 1024
};

static const uint64_t drain_ns_max = 2500 * NS_PER_MS;
static const uint64_t idle_wait_ns = 5 * NS_PER_MS;

static void *fail(struct shard_thread *own, const char *what, enum err err)
{
    log_error("main", what, "shard=%u error=\"%s\"", own->index, err_text(err));
    atomic_store(&own->thread.state, STATE_FAILED);
    return NULL;
}

static enum err open_io(struct shard_thread *own, struct io **io)
{
    const struct io_config config = {
        .ops_max = server_ops_max(&own->world->limits) + SHARD_OPS,
        .receive_buffers = RECEIVE_BUFFERS,
        .receive_buffer_bytes = RECEIVE_BUFFER_BYTES,
        .sockets_max = server_sockets_max(&own->world->limits),
        .metrics = &own->metrics,
    };
    char text[512];

    TRY(io_open_uring(&config, io));
    io_gate_join(*io, own->world->gate, IO_JOURNAL);
    if (own->index == 0) {
        io_describe(*io, text, sizeof text);
        log_info("main", "system", "%s", text);
    }
    return OK;
}

static enum err open_shard(struct shard_thread *own, struct io *io, struct shard **shard)
{
    const struct world *const world = own->world;
    const struct options *const options = world->options;
    const struct shard_config config = {
        .index = (uint16_t)own->index,
        .io = io,
        .journal_dir = own->journal_dir,
        .catalog = world->catalog,
        .sealer = world->sealer,
        .metrics = &own->metrics,
        .journal =
            {
                .shard = (uint16_t)own->index,
                .file_bytes = options_number(options, OPTION_JOURNAL_FILE),
                .cap_bytes = options_number(options, OPTION_JOURNAL_CAP),
                .body_bytes_max = world->body_bytes_max,
                .writes_in_flight_max = 2,
                .further_bytes = 256 << 10,
                .metrics = &own->metrics,
            },
        .live_blocks_max = (unsigned)options_number(options, OPTION_LIVE_BLOCKS),
        .inflight_bytes_max = options_number(options, OPTION_INFLIGHT),
        .body_bytes_max = world->body_bytes_max,
        .plain_bytes_max = world->plain_bytes_max,
        .live_age_ns_max = options_number(options, OPTION_LIVE_AGE),
        .segment_window_ns = options_number(options, OPTION_SEGMENT_WINDOW),
        .stall_ns_max = options_number(options, OPTION_IO_STALL),
        .accept_journal_damage = options_number(options, OPTION_ACCEPT_DAMAGE) != 0,
    };
    return shard_open(&config, shard);
}

static enum err recover(struct shard_thread *own, struct shard *shard)
{
    const struct journal_report *const report = &own->recovery.journal;
    const enum err err = shard_recover(shard, &own->recovery);

    if (report->missing_bytes > 0)
        log_error("main", "acknowledged spans are missing from the journal",
                  "shard=%u at_lsn=%" PRIu64 " missing_bytes=%" PRIu64 " hint=\"%s\"", own->index,
                  report->damaged_at_lsn, report->missing_bytes,
                  err == OK ? "starting all the same, as told"
                            : "accept-journal-damage: true starts without them");
    return err;
}

/* ---- listening ------------------------------------------------------------------------------------------
 */

/* "address:port" with another port. */
static void write_address(char out[ADDRESS_TEXT_MAX], const char *address, uint16_t port)
{
    const char *const colon = strrchr(address, ':');

    snprintf(out, ADDRESS_TEXT_MAX, "%.*s:%u", (int)(colon - address), address, (unsigned)port);
}

/* The first shard chooses the port, if that is left to the system; the others listen on the same. */
static enum err listen_as(struct shard_thread *own, struct server *server, enum listener_role role,
                          enum option_id option, char bound[ADDRESS_TEXT_MAX])
{
    const int cpu = own->world->steered ? own->cpu : -1;
    const char *const address = options_text(own->world->options, option);

    if (own->index > 0) return server_listen(server, role, bound, cpu);
    TRY(server_listen(server, role, address, cpu));
    write_address(bound, address, server_port(server, role));
    return OK;
}

static enum err listen(struct shard_thread *own, struct server *server)
{
    struct world *const world = own->world;

    if (!own->listens) return OK;
    TRY(listen_as(own, server, ROLE_OTLP, OPTION_OTLP_HTTP, world->otlp_http_address));
    TRY(listen_as(own, server, ROLE_GRPC, OPTION_OTLP_GRPC, world->otlp_grpc_address));
    if (!options_off(world->options, OPTION_ZIPKIN))
        TRY(listen_as(own, server, ROLE_ZIPKIN, OPTION_ZIPKIN, world->zipkin_address));
    if (own->index == 0) atomic_store(&world->otlp_bound, true);
    return OK;
}

/* ---- turning --------------------------------------------------------------------------------------------
 */

static enum err turn(struct shard_thread *own, struct shard *shard, struct server *server, uint64_t wait_ns)
{
    TRY(shard_turn(shard, wait_ns));
    server_turn(server);
    ops_turn(own->world->ops, own->index, shard);
    return OK;
}

/* Until the leader lets everybody listen, and then until the first shard has. */
static enum err wait_for_start(struct shard_thread *own, struct shard *shard)
{
    struct world *const world = own->world;

    while (world_phase(world) == PHASE_RECOVER ||
           (world_phase(world) == PHASE_SERVE && own->index > 0 && !atomic_load(&world->otlp_bound)))
        TRY(shard_turn(shard, idle_wait_ns));
    return OK;
}

static enum err serve(struct shard_thread *own, struct shard *shard, struct server *server)
{
    while (world_phase(own->world) == PHASE_SERVE)
        TRY(turn(own, shard, server, server_wait_ns(server)));
    return OK;
}

/* Requests in work finish; then nothing of the shard is in flight. */
static enum err drain(struct shard_thread *own, struct io *io, struct shard *shard, struct server *server)
{
    const uint64_t until_ns = io_now_ns(io) + drain_ns_max;

    server_drain(server);
    while (!server_idle(server) && io_now_ns(io) < until_ns)
        TRY(turn(own, shard, server, idle_wait_ns));
    shard_drain(shard);
    while (!shard_idle(shard) && io_now_ns(io) < until_ns)
        TRY(shard_turn(shard, idle_wait_ns));
    return shard_idle(shard) ? OK : ERR_DEADLINE;
}

static enum err wait_for_close(struct shard_thread *own, struct shard *shard)
{
    while (world_phase(own->world) != PHASE_CLOSE)
        TRY(shard_turn(shard, idle_wait_ns));
    return OK;
}

static enum err live(struct shard_thread *own, struct io *io, struct shard *shard, struct server *server)
{
    TRY(wait_for_start(own, shard));
    if (world_phase(own->world) == PHASE_SERVE) {
        TRY(listen(own, server));
        if (!own->listens) shard_close_live(shard); /* what its journal held goes to segments */
        ops_shard_ready(own->world->ops, own->index, io);
        atomic_store(&own->thread.state, STATE_SERVING);
        TRY(serve(own, shard, server));
    }
    TRY(drain(own, io, shard, server));
    atomic_store(&own->thread.state, STATE_DRAINED);
    return wait_for_close(own, shard);
}

/* Onto its CPU, and what it allocates from now on next to that. Where the system refuses, it works all the same. */
static void place(const struct shard_thread *own)
{
    unsigned node;

    placement_name(own->name);
    if (own->cpu < 0) return;
    if (!placement_pin((unsigned)own->cpu)) {
        log_warn("main", "cannot pin a shard", "shard=%u cpu=%d", own->index, own->cpu);
        return;
    }
    if (own->world->nodes < 2) return;
    const enum err err = io_memory_near(&node);
    if (err == OK)
        log_info("main", "memory of a shard", "shard=%u cpu=%d node=%u", own->index, own->cpu, node);
    else
        log_info("main", "memory of a shard is left to the system", "shard=%u error=\"%s\"", own->index,
                 err_text(err));
}

void *shard_thread_run(void *context)
{
    struct shard_thread *const own = context;
    struct route routes[OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES];
    struct io *io;
    struct shard *shard;
    struct server *server;
    enum err err;

    place(own);
    err = open_io(own, &io);
    if (err != OK)
        return fail(own, "cannot set up io_uring (containers: the seccomp profile must allow it)", err);
    err = open_shard(own, io, &shard);
    if (err != OK) return fail(own, "cannot open the shard", err);
    err = recover(own, shard);
    if (err != OK) return fail(own, "cannot recover the shard", err);

    otlp_http_routes(&own->world->body_bytes_max, routes);
    zipkin_http_routes(&own->world->body_bytes_max, routes + OTLP_HTTP_ROUTES);
    const struct server_config config = {
        .io = io,
        .shard = shard,
        .metrics = &own->metrics,
        .routes = routes,
        .routes_count = OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES,
        .limits = own->world->limits,
        .origins = own->world->origins,
        .origins_count = own->world->origins_count,
        .access = identity_access(own->world->identity),
        .tls = identity_tls(own->world->identity),
        .tls_listeners = config_tls_listeners(own->world->options),
    };
    err = server_open(&config, &server);
    if (err != OK) return fail(own, "cannot open the server", err);
    atomic_store(&own->shard, shard);
    atomic_store(&own->thread.io, io);
    atomic_store(&own->thread.state, STATE_RECOVERED);

    err = live(own, io, shard, server);
    if (err != OK) return fail(own, "the shard has to stop", err);
    server_close(server);
    shard_close(shard);
    io_close(io);
    atomic_store(&own->thread.state, STATE_ENDED);
    return NULL;
}
