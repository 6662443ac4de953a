/*
 * What io/ costs: synced writes into a prewritten file through the ring, and receiving bodies on loopback.
 *
 *   bench_io [directory]      default: the current one; writes a 64 MiB file there and removes it
 *
 * writes    O_DIRECT|O_DSYNC, positions going round, one and two in flight: p50 and p99 of one write, writes
 * per second receive   a client sends bodies and waits for one byte of answer each; CPU time of the receiving
 * thread per body, once through the shared buffer ring with a copy, once straight into memory worlds    forks
 * of a simulated world with three files of 1 MiB and one write in flight
 *
 * Each line runs well under a second or two: figures are for comparing lines, not machines.
 */
#include "base/clock.h"
#include "io/io.h"
#include "io/sim.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, WRITES = 1500, DEPTH_MAX = 2, BODIES_BYTES = 192 << 20 };

static void must(enum err err, const char *what)
{
    if (err == OK) return;
    fprintf(stderr, "%s: %s\n", what, err_text(err));
    exit(1);
}

static struct io *ring_open(void)
{
    const struct io_config config = {
        .ops_max = 64, .receive_buffers = 64, .receive_buffer_bytes = 16384, .sockets_max = 16};
    struct io *io = NULL;

    must(io_open_uring(&config, &io), "ring");
    return io;
}

/* ---- writes ---------------------------------------------------------------------------------------------
 */

struct writer {
    struct io_op op; /* first */
    struct io *io;
    uint64_t start_ns;
    uint64_t *took_ns;
    unsigned *landed;
};

static void on_written(struct io_op *op)
{
    struct writer *const writer = (struct writer *)op;

    must(op->err, "write");
    writer->took_ns[(*writer->landed)++] = io_now_ns(writer->io) - writer->start_ns;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void bench_writes(struct io *io, struct io_file *file, const uint8_t *bytes, size_t len,
                         unsigned depth)
{
    static uint64_t took_ns[WRITES];
    struct writer writers[DEPTH_MAX];
    unsigned submitted = 0, landed = 0;
    uint64_t offset = 0;

    for (unsigned i = 0; i < depth; i++)
        writers[i] = (struct writer){.op.done = on_written, .io = io, .took_ns = took_ns, .landed = &landed};
    const uint64_t begin_ns = io_now_ns(io);
    while (landed < WRITES) {
        for (unsigned i = 0; i < depth && submitted < WRITES; i++) {
            if (writers[i].op.in_flight) continue;
            writers[i].start_ns = io_now_ns(io);
            io_write(io, &writers[i].op, file, bytes, len, offset);
            offset = (offset + len) % FILE_BYTES;
            submitted++;
        }
        must(io_turn(io, 1000000000, NULL), "turn");
    }
    const double seconds = (double)(io_now_ns(io) - begin_ns) / 1e9;
    qsort(took_ns, WRITES, sizeof took_ns[0], by_value);
    printf("write   %4zu KiB  depth %u   p50 %6.0f us  p99 %6.0f us  %7.0f per second\n", len / 1024, depth,
           (double)took_ns[WRITES / 2] / 1e3, (double)took_ns[WRITES * 99 / 100] / 1e3, WRITES / seconds);
}

static void bench_file(const char *directory)
{
    struct io *const io = ring_open();
    struct io_dir *dir = NULL;
    struct io_file *file = NULL;
    const size_t sizes[] = {4096, 16384, 65536, 262144};
    uint8_t *const bytes = io_memory(1 << 20);

    must(io_dir_open(io, NULL, directory, false, &dir), directory);
    io_unlink(io, dir, "bench_io.tmp");
    must(io_file_open(io, dir, "bench_io.tmp", IO_CREATE | IO_WRITABLE | IO_DIRECT | IO_DSYNC, &file),
         "file");
    for (uint64_t at = 0; at < FILE_BYTES; at += 1 << 20)
        must(io_write_now(io, file, bytes, 1 << 20, at), "prewriting");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (unsigned depth = 1; depth <= DEPTH_MAX; depth++)
            bench_writes(io, file, bytes, sizes[i], depth);
    io_file_close(io, file);
    must(io_unlink(io, dir, "bench_io.tmp"), "unlink");
    io_dir_close(io, dir);
    io_memory_free(bytes, 1 << 20);
    io_close(io);
}

/* ---- receiving ------------------------------------------------------------------------------------------
 */

struct client {
    uint16_t port;
    size_t body_bytes;
    unsigned bodies;
};

static void *send_bodies(void *context)
{
    const struct client *const client = context;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(client->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    uint8_t *const body = calloc(1, client->body_bytes);
    uint8_t answer;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) exit(1);
    for (unsigned i = 0; i < client->bodies; i++) {
        for (size_t done = 0; done < client->body_bytes;) {
            const ssize_t count = send(fd, body + done, client->body_bytes - done, MSG_NOSIGNAL);
            if (count <= 0) exit(1);
            done += (size_t)count;
        }
        if (recv(fd, &answer, 1, 0) != 1) exit(1);
    }
    close(fd);
    free(body);
    return NULL;
}

struct server {
    struct io_receive receive; /* first */
    struct io_op into;
    struct io_op send;
    struct io *io;
    struct io_socket socket;
    uint8_t *body;
    size_t body_bytes;
    size_t have;
    unsigned bodies;
    bool accepted;
    bool direct;
};

static void on_accept(void *context, struct io_socket socket)
{
    struct server *const server = context;

    server->socket = socket;
    server->accepted = true;
}

static void on_sent(struct io_op *op)
{
    must(op->err, "answer");
}

static void advance(struct server *server, size_t count)
{
    server->have += count;
    if (server->have < server->body_bytes) return;
    server->have = 0;
    server->bodies++;
    io_send(server->io, &server->send, server->socket, "k", 1);
}

static void on_bytes(struct io_receive *receive, enum err err, struct slice bytes, bool last)
{
    struct server *const server = (struct server *)receive;

    if (bytes.len > 0) memcpy(server->body + server->have, bytes.ptr, bytes.len);
    if (last && (err == ERR_FULL || (err == OK && bytes.len > 0)))
        io_receive_start(server->io, receive, server->socket);
    if (bytes.len > 0) advance(server, bytes.len);
}

static void receive_into(struct server *server)
{
    io_receive_into(server->io, &server->into, server->socket, server->body + server->have,
                    server->body_bytes - server->have);
}

static void on_into(struct io_op *op)
{
    struct server *const server = (struct server *)((uint8_t *)op - offsetof(struct server, into));

    if (op->err != OK || op->count == 0) return;
    advance(server, op->count);
    receive_into(server);
}

static void bench_receive(size_t body_bytes, bool direct)
{
    struct server server = {.receive.on_bytes = on_bytes,
                            .into.done = on_into,
                            .send.done = on_sent,
                            .io = ring_open(),
                            .body = io_memory(body_bytes),
                            .body_bytes = body_bytes,
                            .direct = direct};
    struct io_listener *listener = NULL;
    struct client client = {.body_bytes = body_bytes, .bodies = (unsigned)(BODIES_BYTES / body_bytes)};
    pthread_t thread;

    if (client.bodies > 8000) client.bodies = 8000;
    must(io_listen(server.io, "127.0.0.1:0", -1, on_accept, &server, &listener), "listen");
    client.port = io_listener_port(listener);
    if (pthread_create(&thread, NULL, send_bodies, &client) != 0) exit(1);
    while (!server.accepted)
        must(io_turn(server.io, 1000000000, NULL), "turn");
    if (direct)
        receive_into(&server);
    else
        io_receive_start(server.io, &server.receive, server.socket);

    const uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), begin_ns = io_now_ns(server.io);
    uint64_t turns = 0;
    for (; server.bodies < client.bodies || server.send.in_flight; turns++)
        must(io_turn(server.io, 1000000000, NULL), "turn");
    const double cpu_us = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) / 1e3,
                 us = (double)(io_now_ns(server.io) - begin_ns) / 1e3;
    printf("receive %4zu KiB  %-12s  %6.1f us CPU per body  %5.1f turns  %7.0f bodies per second\n",
           body_bytes / 1024, direct ? "into memory" : "ring + copy", cpu_us / client.bodies,
           (double)turns / client.bodies, client.bodies / us * 1e6);

    pthread_join(thread, NULL);
    while (server.into.in_flight || server.receive.in_flight)
        must(io_turn(server.io, 1000000000, NULL), "turn");
    io_socket_close(server.io, server.socket, false);
    io_listener_close(server.io, listener);
    io_close(server.io);
    io_memory_free(server.body, body_bytes);
}

/* ---- worlds ---------------------------------------------------------------------------------------------
 */

static void on_nothing(struct io_op *op)
{
    (void)op;
}

static void bench_worlds(void)
{
    enum { FILES = 3, BYTES = 1 << 20, FORKS = 20000 };
    struct sim *const sim = sim_open(&(struct sim_config){.seed = 1, .sector_bytes = 512});
    struct io *const io = sim_io(sim);
    struct io_dir *dir = NULL;
    struct io_file *file = NULL;
    uint8_t *const bytes = calloc(1, BYTES);
    struct io_op op = {.done = on_nothing};
    const char *const names[FILES] = {"a", "b", "c"};

    must(io_dir_open(io, NULL, "data", true, &dir), "dir");
    for (unsigned i = 0; i < FILES; i++) {
        must(io_file_open(io, dir, names[i], IO_CREATE | IO_WRITABLE | IO_DSYNC, &file), "file");
        must(io_write_now(io, file, bytes, BYTES, 0), "write");
    }
    must(io_dir_sync(io, dir), "sync");
    io_write(io, &op, file, bytes, 16384, 4096);
    const uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), images = sim_images(sim);
    for (uint64_t i = 0; i < FORKS; i++)
        sim_abandon(sim_crash(sim, i % images, i));
    printf("worlds  3 x 1 MiB             %6.1f us per fork\n",
           (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) / 1e3 / FORKS);
    sim_abandon(sim);
    free(bytes);
}

int main(int argc, char **argv)
{
    const size_t bodies[] = {4096, 16384, 65536, 262144, 1 << 20};

    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_file(argc > 1 ? argv[1] : ".");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        bench_receive(bodies[i], false);
        bench_receive(bodies[i], true);
    }
    bench_worlds();
    return 0;
}
