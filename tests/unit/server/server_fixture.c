#include "server_fixture.h"

#include "base/clock.h"
#include "base/log.h"
#include "io/io.h"
#include "server/otlp_http.h"
#include "server/zipkin_http.h"
#include "shard/sealer.h"
#include "shard/shard.h"
#include "store/segment.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- server ---------------------------------------------------------------------------------------------
 */

void fixture_init(struct fixture *fixture, const struct route *routes, size_t routes_count)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->limits = server_limits_default();
    fixture->limits.conns_max = 64;
    fixture->limits.conns_per_source_max = 64;
    fixture->routes = routes;
    fixture->routes_count = routes_count;
}

/* A store in a directory of its own, for a server with a shard. */
struct store {
    char path[64];
    struct io *io;
    struct io_dir *dir, *journal_dir;
    struct catalog *catalog;
    struct sealer *sealer;
    struct shard *shard;
};

static void store_open(struct store *store, struct fixture *fixture, struct io *io)
{
    const struct segment_config segments = {.instance = 1, .shards = 1};
    struct catalog_report report;
    struct shard_recovery recovery;

    snprintf(store->path, sizeof store->path, "/tmp/spanmill-server-XXXXXX");
    cr_assert_not_null(mkdtemp(store->path));
    cr_assert_eq(io_open_plain(&store->io), OK);
    cr_assert_eq(io_dir_open(store->io, NULL, store->path, false, &store->dir), OK);
    cr_assert_eq(io_dir_open(store->io, store->dir, "journal-0", true, &store->journal_dir), OK);
    cr_assert_eq(catalog_open(store->io, store->dir, &segments, &store->catalog, &report), OK);
    const struct sealer_config sealer = {
        .catalog = store->catalog, .threads = 1, .metrics = &fixture->sealer_metrics};
    cr_assert_eq(sealer_open(&sealer, &store->sealer), OK);
    const struct shard_config config = {
        .io = io,
        .journal_dir = store->journal_dir,
        .catalog = store->catalog,
        .sealer = store->sealer,
        .metrics = &fixture->metrics,
        .journal = {.file_bytes = 8 << 20,
                    .cap_bytes = 64 << 20,
                    .body_bytes_max = fixture->limits.body_bytes_max,
                    .writes_in_flight_max = 2,
                    .metrics = &fixture->metrics},
        .live_blocks_max = 2,
        .inflight_bytes_max = fixture->inflight_bytes_max,
        .body_bytes_max = fixture->limits.body_bytes_max,
        .plain_bytes_max = 8 << 20,
        .live_age_ns_max = 600000000000ULL,
    };
    cr_assert_eq(shard_open(&config, &store->shard), OK);
    cr_assert_eq(shard_recover(store->shard, &recovery), OK);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void store_close(struct store *store)
{
    shard_drain(store->shard);
    while (!shard_idle(store->shard))
        cr_assert_eq(shard_turn(store->shard, 1000000), OK);
    shard_close(store->shard);
    sealer_close(store->sealer);
    catalog_close(store->catalog, store->io);
    io_dir_close(store->io, store->journal_dir);
    io_dir_close(store->io, store->dir);
    io_close(store->io);
    nftw(store->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void turn(struct fixture *fixture, struct io *io, struct shard *shard, struct server *server)
{
    unsigned handlers;

    if (shard != NULL)
        cr_assert_eq(shard_turn(shard, 5000000), OK);
    else
        cr_assert_eq(io_turn(io, 5000000, &handlers), OK);
    server_turn(server);
    const bool draining = atomic_load(&fixture->draining);
    if (draining) server_drain(server);
    atomic_store(&fixture->conns, server_conns(server));
    atomic_store(&fixture->idle, server_idle(server));
    if (draining && server_idle(server)) atomic_store(&fixture->drained, true);
}

static void serve(struct fixture *fixture, struct io *io, struct shard *shard)
{
    struct route doors[OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES];
    struct server *server;

    otlp_http_routes(&fixture->limits.body_bytes_max, doors);
    zipkin_http_routes(&fixture->limits.body_bytes_max, doors + OTLP_HTTP_ROUTES);
    const struct server_config config = {
        .io = io,
        .shard = shard,
        .metrics = &fixture->metrics,
        .routes = shard != NULL ? doors : fixture->routes,
        .routes_count = shard != NULL ? OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES : fixture->routes_count,
        .limits = fixture->limits,
        .hosts = fixture->hosts,
        .hosts_count = fixture->hosts_count,
        .origins = fixture->origins,
        .origins_count = fixture->origins_count,
        .access = fixture->access,
    };
    cr_assert_eq(server_open(&config, &server), OK);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        cr_assert_eq(server_listen(server, (enum listener_role)role, "127.0.0.1:0", -1), OK);
        fixture->port[role] = server_port(server, (enum listener_role)role);
    }
    atomic_store(&fixture->io, io);
    atomic_store(&fixture->ready, true);
    while (!atomic_load(&fixture->stopping))
        turn(fixture, io, shard, server);
    if (fixture->at_end != NULL) fixture->at_end();
    server_close(server);
}

static void *run(void *context)
{
    struct fixture *const fixture = context;
    const struct io_config io_config = {
        .ops_max = server_ops_max(&fixture->limits) + 64,
        .receive_buffers = 16,
        .receive_buffer_bytes = 16 * 1024,
        .sockets_max = server_sockets_max(&fixture->limits),
        .metrics = &fixture->metrics,
    };
    struct store store = {.shard = NULL};
    struct io *io;

    if (io_open_uring(&io_config, &io) != OK) {
        atomic_store(&fixture->failed, true);
        return NULL;
    }
    if (fixture->with_shard) store_open(&store, fixture, io);
    serve(fixture, io, store.shard);
    if (fixture->with_shard) store_close(&store);
    io_close(io);
    return NULL;
}

bool fixture_open(struct fixture *fixture)
{
    log_set_level(LOG_WARN);
    cr_assert_eq(pthread_create(&fixture->thread, NULL, run, fixture), 0);
    while (!atomic_load(&fixture->ready) && !atomic_load(&fixture->failed))
        usleep(100);
    if (!atomic_load(&fixture->failed)) return true;
    pthread_join(fixture->thread, NULL);
    cr_skip_test("no io_uring here");
    return false;
}

void fixture_drain(struct fixture *fixture)
{
    atomic_store(&fixture->draining, true);
    io_wake(atomic_load(&fixture->io));
    cr_assert(wait_until(atomic_load(&fixture->drained)));
}

void fixture_close(struct fixture *fixture)
{
    atomic_store(&fixture->stopping, true);
    pthread_join(fixture->thread, NULL);
}

/* ---- client ---------------------------------------------------------------------------------------------
 */

uint64_t milliseconds_now(void)
{
    return clock_ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

int client_open(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void client_send_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        const ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the server may have closed; the test reads on and sees */
        at += sent;
        len -= (size_t)sent;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

/* Bytes received; 0: end; -1: reset. */
static ssize_t receive_some(int fd, void *buf, size_t len)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    cr_assert_eq(poll(&ready, 1, CLIENT_MS_MAX), 1, "the server neither answers nor closes");
    return recv(fd, buf, len, 0);
}

static uint64_t content_length(const char *head)
{
    const char *const field = strcasestr(head, "\r\ncontent-length:");

    return field != NULL ? strtoull(field + 17, NULL, 10) : 0;
}

int client_receive(int fd, struct answer_text *out, bool head_only)
{
    size_t head_len = 0;

    while (head_len < 4 || memcmp(out->head + head_len - 4, "\r\n\r\n", 4) != 0) {
        cr_assert_lt(head_len, sizeof out->head - 1);
        const ssize_t got = receive_some(fd, out->head + head_len, 1);
        if (got <= 0) {
            cr_assert_eq(head_len, 0, "closed within a head");
            return (int)got;
        }
        head_len++;
    }
    out->head[head_len] = '\0';
    out->content_length = content_length(out->head);
    out->body_len = 0;
    for (uint64_t left = head_only ? 0 : out->content_length; left > 0;) {
        char piece[16384];
        const ssize_t got = receive_some(fd, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        cr_assert_gt(got, 0, "closed within a body");
        for (ssize_t i = 0; i < got && out->body_len < sizeof out->body - 1; i++)
            out->body[out->body_len++] = piece[i];
        left -= (uint64_t)got;
    }
    out->body[out->body_len] = '\0';
    cr_assert_eq(strncmp(out->head, "HTTP/1.1 ", 9), 0);
    return (int)strtol(out->head + 9, NULL, 10);
}

bool client_sees_end(int fd)
{
    char byte;

    return receive_some(fd, &byte, 1) <= 0;
}
