/*
 * Foreign bytes as one connection to a real server: its loop, io_uring, a shard with a journal and a sealer, on any of the
 * plain listeners. Beside the engines this covers what stands behind them: bodies and messages of gRPC in shard memory, the
 * gate, the answers, deadlines, and how a connection ends.
 *
 *   - nothing asserts, hangs or leaks: when the client has left every connection and its memory is given back
 *   - with a table of no credentials nothing is stored, and nothing but gRPC health is answered well
 *   - HTTP/1.1 answers are answers: each begins with a status line
 *
 *   input   byte 0: the listener (bits 0-1), where the bytes are cut (bits 2-3), a turn of the server after each piece
 *           (bit 4), nobody is let in (bit 5; else "secret" is), a preface and SETTINGS come first (bit 6), the client leaves
 *           without waiting (bit 7); then what it sends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access/access.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/io.h"
#include "server/otlp_http.h"
#include "server/server.h"
#include "server/zipkin_http.h"
#include "shard/sealer.h"
#include "shard/shard.h"
#include "store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

enum { INPUT_MAX = 65536, LIVES = 4000 /* inputs until all of it is made anew */, TURNS_MAX = 4000 };

static struct world {
    char path[64];
    struct io *io, *plain_io;
    struct io_dir *dir, *journal_dir;
    struct catalog *catalog;
    struct sealer *sealer;
    struct shard *shard;
    struct server *server;
    struct access *access;
    struct metrics metrics, sealer_metrics;
    struct server_limits limits;
    struct route routes[OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES];
    unsigned inputs;
} world;

static const enum listener_role listeners[] = {ROLE_OTLP, ROLE_GRPC, ROLE_ZIPKIN, ROLE_QUERY};

/* ---- the server ------------------------------------------------------------------------------------------------ */

static void open_store(void)
{
    const struct segment_config segments = {.instance = 1, .shards = 1};
    struct catalog_report report;

    snprintf(world.path, sizeof world.path, "/dev/shm/spanmill-fuzz-XXXXXX");
    CHECK(mkdtemp(world.path) != NULL);
    CHECK(io_open_plain(&world.plain_io) == OK);
    CHECK(io_dir_open(world.plain_io, NULL, world.path, false, &world.dir) == OK);
    CHECK(io_dir_open(world.plain_io, world.dir, "journal-0", true, &world.journal_dir) == OK);
    CHECK(catalog_open(world.plain_io, world.dir, &segments, &world.catalog, &report) == OK);
    const struct sealer_config sealer = {
        .catalog = world.catalog, .threads = 1, .metrics = &world.sealer_metrics};
    CHECK(sealer_open(&sealer, &world.sealer) == OK);
}

static void open_shard(void)
{
    struct shard_recovery recovery;
    const struct shard_config config = {
        .io = world.io,
        .journal_dir = world.journal_dir,
        .catalog = world.catalog,
        .sealer = world.sealer,
        .metrics = &world.metrics,
        .journal = {.file_bytes = 4 << 20,
                    .cap_bytes = 16 << 20,
                    .body_bytes_max = world.limits.body_bytes_max,
                    .writes_in_flight_max = 2,
                    .metrics = &world.metrics},
        .live_blocks_max = 2,
        .inflight_bytes_max = 4 << 20,
        .body_bytes_max = world.limits.body_bytes_max,
        .plain_bytes_max = 4 << 20,
        .live_age_ns_max = 600000000000ULL,
    };

    CHECK(shard_open(&config, &world.shard) == OK);
    CHECK(shard_recover(world.shard, &recovery) == OK);
}

static void open_server(void)
{
    otlp_http_routes(&world.limits.body_bytes_max, world.routes);
    zipkin_http_routes(&world.limits.body_bytes_max, world.routes + OTLP_HTTP_ROUTES);
    const struct server_config config = {
        .io = world.io,
        .shard = world.shard,
        .metrics = &world.metrics,
        .routes = world.routes,
        .routes_count = OTLP_HTTP_ROUTES + ZIPKIN_HTTP_ROUTES,
        .limits = world.limits,
        .access = world.access,
    };

    CHECK(server_open(&config, &world.server) == OK);
    for (unsigned i = 0; i < sizeof listeners / sizeof *listeners; i++)
        CHECK(server_listen(world.server, listeners[i], "127.0.0.1:0", -1) == OK);
}

/* False: there is no io_uring here. */
static bool open_world(void)
{
    log_set_level(LOG_ERROR + 1);
    memset(&world, 0, sizeof world);
    world.limits = server_limits_default();
    world.limits.conns_max = 8;
    world.limits.conns_per_source_max = 8;
    world.limits.body_bytes_max = 1 << 20;
    const struct io_config io = {
        .ops_max = server_ops_max(&world.limits) + 64,
        .receive_buffers = 16,
        .receive_buffer_bytes = 16 << 10,
        .sockets_max = server_sockets_max(&world.limits),
        .metrics = &world.metrics,
    };
    if (io_open_uring(&io, &world.io) != OK) return false;
    CHECK(access_open(1, &world.access) == OK);
    open_store();
    open_shard();
    open_server();
    return true;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void turn(uint64_t wait_ns)
{
    CHECK(shard_turn(world.shard, wait_ns) == OK);
    server_turn(world.server);
}

/* As main/ stops: connections, then the shard, then what it stands on. */
static void close_world(void)
{
    server_drain(world.server);
    for (unsigned i = 0; !server_idle(world.server); i++) {
        CHECK(i < TURNS_MAX);
        turn(1000000);
    }
    server_close(world.server);
    shard_drain(world.shard);
    while (!shard_idle(world.shard))
        CHECK(shard_turn(world.shard, 1000000) == OK);
    shard_close(world.shard);
    sealer_close(world.sealer);
    catalog_close(world.catalog, world.plain_io);
    io_dir_close(world.plain_io, world.journal_dir);
    io_dir_close(world.plain_io, world.dir);
    io_close(world.plain_io);
    access_close(world.access);
    io_close(world.io);
    nftw(world.path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    world.path[0] = '\0';
}

static void close_at_exit(void)
{
    if (world.path[0] != '\0') close_world();
}

static bool begin_life(void)
{
    const unsigned inputs = world.inputs;

    if (inputs > 0) close_world();
    if (!open_world()) return false;
    if (inputs == 0) CHECK(atexit(close_at_exit) == 0);
    world.inputs = inputs;
    return true;
}

static void let_in(bool nobody)
{
    static const char secret[] =
        "door ingest sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n";
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *table;

    CHECK(credentials_parse(slice_text(nobody ? "" : secret), &table, error) == OK);
    access_replace(world.access, table);
}

/* ---- the client ------------------------------------------------------------------------------------------------ */

struct client {
    int fd;
    bool closed;        /* by the server */
    char begin[12 + 1]; /* of what it has sent */
    size_t begin_len;
    bool said_ok; /* 200 by HTTP/1.1, anywhere */
};

static uint64_t accepted(void)
{
    return metric_get(&world.metrics, METRIC_CONNS_ACCEPTED);
}

/* Another address each time, so that failures of one do not shut out the next. */
static struct client connect_to(enum listener_role listener)
{
    const uint32_t source = INADDR_LOOPBACK + 256 + world.inputs % 60000;
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(server_port(world.server, listener)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger at_once = {.l_onoff = 1};
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    const uint64_t before = accepted();

    CHECK(client.fd >= 0);
    CHECK(bind(client.fd, (const struct sockaddr *)&from, sizeof from) == 0);
    CHECK(connect(client.fd, (const struct sockaddr *)&to, sizeof to) == 0);
    CHECK(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    for (unsigned i = 0; accepted() == before; i++) {
        CHECK(i < TURNS_MAX);
        turn(i < 20 ? 0 : 1000000);
    }
    return client;
}

static void take_answers(struct client *client)
{
    static char bytes[65536];

    while (!client->closed) {
        const ssize_t got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            client->closed = true;
            return;
        }
        for (ssize_t i = 0; i < got && client->begin_len < sizeof client->begin - 1; i++)
            client->begin[client->begin_len++] = bytes[i];
        client->said_ok |= memmem(bytes, (size_t)got, "HTTP/1.1 2", 10) != NULL;
    }
}

static void send_piece(struct client *client, struct slice piece, bool turns)
{
    while (piece.len > 0 && !client->closed) {
        const ssize_t sent = send(client->fd, piece.ptr, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            client->closed = true;
            return;
        }
        if (sent > 0) piece = slice_of(piece.ptr + sent, piece.len - (size_t)sent);
        if (turns || sent <= 0) turn(0);
        take_answers(client);
    }
}

static void leave(struct client *client, bool waits)
{
    if (waits) {
        shutdown(client->fd, SHUT_WR);
        for (unsigned i = 0; !client->closed; i++) {
            CHECK(i < TURNS_MAX); /* it has all of the request, or its end: it answers and closes */
            turn(i < 20 ? 0 : 1000000);
            take_answers(client);
        }
    }
    close(client->fd);
    for (unsigned i = 0; server_conns(world.server) > 0 || !server_idle(world.server); i++) {
        CHECK(i < TURNS_MAX);
        turn(i < 20 ? 0 : 1000000);
    }
}

static uint64_t stored(void)
{
    return metric_get(&world.metrics, METRIC_REQUESTS_STORED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char beginning[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    static const size_t pieces[] = {INPUT_MAX, 1, 7, 1460};

    if (size < 2 || size > INPUT_MAX) return 0;
    if (world.inputs % LIVES == 0 && !begin_life()) return 0;
    world.inputs++;
    const bool nobody = (data[0] & 32) != 0, begins = (data[0] & 64) != 0;
    const size_t piece = pieces[data[0] >> 2 & 3];
    const uint64_t before = stored();
    struct slice rest = slice_of(data + 1, size - 1);

    let_in(nobody);
    struct client client = connect_to(listeners[data[0] & 3]);
    if (begins) send_piece(&client, slice_of((const uint8_t *)beginning, sizeof beginning - 1), false);
    while (rest.len > 0 && !client.closed) {
        const size_t len = piece < rest.len ? piece : rest.len;
        send_piece(&client, slice_of(rest.ptr, len), (data[0] & 16) != 0);
        rest = slice_of(rest.ptr + len, rest.len - len);
    }
    leave(&client, (data[0] & 128) == 0);
    CHECK(metric_get(&world.metrics, METRIC_INFLIGHT_BYTES) == 0);
    if (nobody) CHECK(stored() == before && !client.said_ok);
    if (client.begin_len == 12 && memcmp(client.begin, "HTTP", 4) == 0)
        CHECK(memcmp(client.begin, "HTTP/1.1 ", 9) == 0);
    return 0;
}
