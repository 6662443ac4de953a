/*
 * Sockets through the ring, against a plain client on loopback. The client's descriptors do not block unless
 * a case needs a reader of its own, then it is a thread.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTED_MAX = 300 };

struct host {
    struct metrics metrics;
    struct io *io;
    struct io_listener *listener;
    struct io_socket sockets[ACCEPTED_MAX];
    unsigned accepted;
};

static void on_accept(void *context, struct io_socket socket)
{
    struct host *const host = context;

    if (host->accepted < ACCEPTED_MAX) host->sockets[host->accepted] = socket;
    host->accepted++;
}

static struct host host; /* large, and handlers want it to stay where it is */

static void host_open(unsigned buffers, unsigned sockets_max)
{
    host.io = uring_with(buffers, sockets_max, &host.metrics);
    MUST(io_listen(host.io, "127.0.0.1:0", -1, on_accept, &host, &host.listener));
    cr_assert_neq(io_listener_port(host.listener), 0);
}

static void host_close(void)
{
    io_listener_close(host.io, host.listener);
    io_close(host.io);
}

static int dial(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(io_listener_port(host.listener)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static struct io_socket meet(int *client)
{
    const unsigned before = host.accepted;

    *client = dial();
    TURN_UNTIL(host.io, host.accepted > before);
    return host.sockets[before];
}

static uint8_t pattern(size_t position)
{
    return (uint8_t)(position * 31 + (position >> 8) * 7 + (position >> 16));
}

static void must_send(int fd, const void *bytes, size_t len)
{
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* ---- a receiver that checks the pattern -----------------------------------------------------------------
 */

struct receiver {
    struct io_receive receive; /* first */
    uint64_t bytes;
    unsigned calls;
    unsigned lasts;
    unsigned full;
    enum err err;
    bool finished; /* the peer */
    bool restart;
    bool once;
    struct io_socket socket;
};

static void receiver_start(struct receiver *receiver)
{
    if (receiver->once)
        io_receive_once(host.io, &receiver->receive, receiver->socket);
    else
        io_receive_start(host.io, &receiver->receive, receiver->socket);
}

static void on_bytes(struct io_receive *receive, enum err err, struct slice bytes, bool last)
{
    struct receiver *const receiver = (struct receiver *)receive;

    cr_assert_eq(receive->in_flight, !last);
    receiver->calls++;
    receiver->lasts += last;
    receiver->err = err;
    receiver->full += err == ERR_FULL;
    for (size_t i = 0; i < bytes.len; i++)
        cr_assert_eq(bytes.ptr[i], pattern(receiver->bytes + i));
    receiver->bytes += bytes.len;
    receiver->finished = err == OK && bytes.len == 0;
    if (last && !receiver->finished && receiver->restart && (err == OK || err == ERR_FULL))
        receiver_start(receiver);
}

static struct receiver receiver_make(struct io_socket socket, bool once)
{
    return (struct receiver){.receive.on_bytes = on_bytes, .restart = true, .once = once, .socket = socket};
}

/* ---- accepting ------------------------------------------------------------------------------------------
 */

Test(io_socket, accepts_and_knows_the_peer)
{
    char peer[64];
    int clients[3];

    host_open(4, 8);
    for (unsigned i = 0; i < 3; i++)
        clients[i] = dial();
    TURN_UNTIL(host.io, host.accepted == 3);
    for (unsigned i = 0; i < 3; i++) {
        io_socket_peer(host.io, host.sockets[i], peer, sizeof peer);
        cr_assert_str_eq(peer, "127.0.0.1");
        cr_assert_lt(host.sockets[i].slot, 8);
        io_socket_close(host.io, host.sockets[i], false);
        close(clients[i]);
    }
    host_close();
}

Test(io_socket, accepts_on_ipv6)
{
    char peer[64];
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    host.io = uring_with(4, 8, NULL);
    const enum err err = io_listen(host.io, "[::1]:0", 0, on_accept, &host, &host.listener);
    if (err != OK) cr_skip_test("no IPv6 on this machine");
    address.sin6_port = htons(io_listener_port(host.listener));
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    TURN_UNTIL(host.io, host.accepted == 1);
    io_socket_peer(host.io, host.sockets[0], peer, sizeof peer);
    cr_assert_str_eq(peer, "::1");
    io_socket_close(host.io, host.sockets[0], true);
    close(fd);
    host_close();
}

Test(io_socket, refuses_addresses_that_are_none)
{
    const char *const wrong[] = {"",
                                 ":",
                                 "127.0.0.1",
                                 "127.0.0.1:",
                                 "127.0.0.1:65536",
                                 "::1:4318",
                                 "[::1]",
                                 "[::1:4318",
                                 "localhost:1",
                                 "127.0.0.1:4a",
                                 "[]:1",
                                 "127.0.0.1:-1",
                                 "127.0.0.1:99999999999999999999",
                                 "1111111111111111111111111111111111111111111111111111111111111111111111:1"};
    struct io *const io = uring_with(0, 1, NULL);

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(io_listen(io, wrong[i], -1, on_accept, NULL, &host.listener), ERR_MALFORMED, "%s",
                     wrong[i]);
    cr_assert_null(host.listener);
    io_close(io);
    struct io *const plain = plain_make();
    cr_assert_eq(io_listen(plain, "127.0.0.1:0", -1, on_accept, NULL, &host.listener), ERR_UNSUPPORTED);
    io_close(plain);
}

Test(io_socket, resets_a_connection_beyond_the_limit)
{
    int clients[3];
    uint8_t byte;

    host_open(4, 2);
    for (unsigned i = 0; i < 3; i++)
        clients[i] = dial();
    TURN_UNTIL(host.io, metric_get(&host.metrics, METRIC_CONNS_REFUSED) == 1);
    cr_assert_eq(host.accepted, 2u);
    cr_assert_eq(recv(clients[2], &byte, 1, 0), -1);
    cr_assert_eq(errno, ECONNRESET);
    io_socket_close(host.io, host.sockets[0], true);
    const int again = dial(); /* a place is free again */
    TURN_UNTIL(host.io, host.accepted == 3);
    close(again);
    host_close();
}

Test(io_socket, accepting_pauses_without_descriptors_and_resumes)
{
    host_open(4, 64);
    int clients[8];
    for (unsigned i = 0; i < 8; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct rlimit tight = {.rlim_cur = (rlim_t)clients[7] + 3, .rlim_max = 1024};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(io_listener_port(host.listener)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(connect(clients[i], (const struct sockaddr *)&address, sizeof address), 0);
    TURN_UNTIL(host.io, host.accepted == 2);
    unsigned turns = 0;
    const uint64_t until_ns = io_now_ns(host.io) + 250000000;
    for (; io_now_ns(host.io) < until_ns; turns++)
        MUST(io_turn(host.io, 50000000, NULL));
    cr_assert_lt(turns, 30u, "it does not spin while it waits");
    for (unsigned i = 0; i < 2; i++)
        io_socket_close(host.io, host.sockets[i], true);
    TURN_UNTIL(host.io, host.accepted >= 4);
    host_close();
}

Test(io_socket, a_closed_listener_accepts_nobody)
{
    host_open(4, 8);
    const uint16_t port = io_listener_port(host.listener);
    io_listener_close(host.io, host.listener);
    MUST(io_turn(host.io, 1000000, NULL));
    MUST(io_turn(host.io, 1000000, NULL));
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), -1);
    cr_assert_eq(host.accepted, 0u);
    close(fd);
    io_close(host.io);
}

static void close_on_accept(void *context, struct io_socket socket)
{
    on_accept(context, socket);
    io_listener_close(host.io, host.listener);
}

Test(io_socket, a_listener_may_be_closed_by_its_own_handler)
{
    int clients[3];

    host.io = uring_with(0, 8, &host.metrics);
    MUST(io_listen(host.io, "127.0.0.1:0", -1, close_on_accept, &host, &host.listener));
    for (unsigned i = 0; i < 3; i++)
        clients[i] = dial();
    TURN_UNTIL(host.io, host.accepted == 1);
    for (unsigned i = 0; i < 5; i++)
        MUST(io_turn(host.io, 1000000, NULL));
    cr_assert_eq(host.accepted, 1u);
    for (unsigned i = 0; i < 3; i++)
        close(clients[i]);
    io_close(host.io);
}

/* ---- receiving ------------------------------------------------------------------------------------------
 */

static void receives_many_sizes(bool once)
{
    static uint8_t out[300000];
    const size_t sizes[] = {1, 2, 100, 4096, 16383, 16384, 16385, 32768, 65536, 100000, 3};
    int client;
    uint64_t sent = 0;

    host_open(16, 8);
    struct receiver receiver = receiver_make(meet(&client), once);
    receiver_start(&receiver);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            out[k] = pattern(sent + k);
        must_send(client, out, sizes[i]);
        sent += sizes[i];
        TURN_UNTIL(host.io, receiver.bytes == sent);
    }
    cr_assert(!receiver.finished);
    shutdown(client, SHUT_WR);
    TURN_UNTIL(host.io, receiver.finished);
    cr_assert(!receiver.receive.in_flight);
    if (once) cr_assert_eq(receiver.calls, receiver.lasts);
    io_socket_close(host.io, receiver.socket, false);
    close(client);
    host_close();
}

Test(io_socket, receives_many_sizes_multishot)
{
    receives_many_sizes(false);
}

Test(io_socket, receives_many_sizes_one_buffer_at_a_time)
{
    receives_many_sizes(true);
}

Test(io_socket, a_stopped_receive_ends_with_cancelled)
{
    int client;

    host_open(4, 8);
    struct receiver receiver = receiver_make(meet(&client), false);
    receiver_start(&receiver);
    MUST(io_turn(host.io, 1000000, NULL));
    io_receive_stop(host.io, &receiver.receive);
    io_receive_stop(host.io, &receiver.receive); /* twice is no harm */
    TURN_UNTIL(host.io, !receiver.receive.in_flight);
    cr_assert_eq(receiver.err, ERR_CANCELLED);
    cr_assert_eq(receiver.lasts, 1u);

    const uint8_t first = pattern(0);
    must_send(client, &first, 1);
    receiver_start(&receiver); /* the stream itself is fine */
    TURN_UNTIL(host.io, receiver.bytes == 1);
    io_receive_stop(host.io, &receiver.receive);
    TURN_UNTIL(host.io, !receiver.receive.in_flight);
    io_receive_stop(host.io, &receiver.receive); /* nothing in flight: nothing happens */
    io_socket_close(host.io, receiver.socket, true);
    close(client);
    host_close();
}

/* A stop queued in the same turn as the start still ends it. */
Test(io_socket, a_receive_may_be_stopped_before_it_was_submitted)
{
    int client;

    host_open(4, 8);
    struct receiver receiver = receiver_make(meet(&client), false);
    receiver_start(&receiver);
    io_receive_stop(host.io, &receiver.receive);
    TURN_UNTIL(host.io, !receiver.receive.in_flight);
    cr_assert_eq(receiver.err, ERR_CANCELLED);
    io_socket_close(host.io, receiver.socket, true);
    close(client);
    host_close();
}

Test(io_socket, goes_on_after_the_buffers_ran_out)
{
    enum { PEERS = 4, BYTES = 200000 };
    static uint8_t out[BYTES];
    static struct receiver receivers[PEERS];
    int clients[PEERS];

    for (size_t i = 0; i < BYTES; i++)
        out[i] = pattern(i);
    host_open(2, 8); /* two buffers for four senders */
    for (unsigned i = 0; i < PEERS; i++) {
        receivers[i] = receiver_make(meet(&clients[i]), false);
        must_send(clients[i], out, BYTES);
        receiver_start(&receivers[i]);
    }
    unsigned full = 0;
    for (unsigned i = 0; i < PEERS; i++) {
        TURN_UNTIL(host.io, receivers[i].bytes == BYTES);
        full += receivers[i].full;
    }
    cr_assert_gt(full, 0u);
    cr_assert_eq(metric_get(&host.metrics, METRIC_RECV_NO_BUFFERS), full);
    for (unsigned i = 0; i < PEERS; i++) {
        close(clients[i]);
        TURN_UNTIL(host.io, receivers[i].finished);
        io_socket_close(host.io, receivers[i].socket, false);
    }
    host_close();
}

Test(io_socket, a_reset_by_the_peer_is_peer_gone)
{
    const struct linger now = {.l_onoff = 1};
    int client;

    host_open(4, 8);
    struct receiver receiver = receiver_make(meet(&client), false);
    receiver_start(&receiver);
    MUST(io_turn(host.io, 0, NULL));
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
    TURN_UNTIL(host.io, !receiver.receive.in_flight);
    cr_assert_eq(receiver.err, ERR_PEER_GONE);
    struct landing_pad pad = pad_make();
    io_send(host.io, &pad.op, receiver.socket, "late", 4);
    cr_assert_eq(io_await(host.io, &pad.op), ERR_PEER_GONE);
    io_socket_close(host.io, receiver.socket, false);
    host_close();
}

Test(io_socket, receives_straight_into_memory)
{
    static uint8_t out[100000], in[100000];
    int client;
    struct landing_pad pad = pad_make();

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = pattern(i);
    host_open(4, 8);
    const struct io_socket socket = meet(&client);
    io_receive_into(host.io, &pad.op, socket, in, sizeof in);
    must_send(client, out, 10);
    MUST(io_await(host.io, &pad.op));
    cr_assert_eq(pad.op.count, 10u, "completes with what is there");
    must_send(client, out + 10, sizeof out - 10);
    for (size_t have = 10; have < sizeof in; have += pad.op.count) {
        io_receive_into(host.io, &pad.op, socket, in + have, sizeof in - have);
        MUST(io_await(host.io, &pad.op));
        cr_assert_gt(pad.op.count, 0u);
    }
    cr_assert_arr_eq(in, out, sizeof in);
    shutdown(client, SHUT_WR);
    io_receive_into(host.io, &pad.op, socket, in, sizeof in);
    MUST(io_await(host.io, &pad.op));
    cr_assert_eq(pad.op.count, 0u, "the peer has finished");
    io_socket_close(host.io, socket, false);
    close(client);
    host_close();
}

/* ---- sending --------------------------------------------------------------------------------------------
 */

struct slow_reader {
    int fd;
    size_t want;
    bool wrong;
};

static void *read_slowly(void *context)
{
    struct slow_reader *const reader = context;
    static uint8_t bytes[20000];

    for (size_t have = 0; have < reader->want;) {
        const ssize_t count = recv(reader->fd, bytes, sizeof bytes, 0);
        if (count <= 0) {
            reader->wrong = true;
            return NULL;
        }
        for (size_t i = 0; i < (size_t)count; i++)
            reader->wrong |= bytes[i] != pattern(have + i);
        have += (size_t)count;
        if (have % 7 == 0) usleep(500);
    }
    return NULL;
}

Test(io_socket, sends_all_to_a_slow_reader)
{
    enum { BYTES = 24 << 20 };
    uint8_t *const out = io_memory(BYTES);
    struct slow_reader reader = {.want = BYTES};
    struct landing_pad pad = pad_make();
    pthread_t thread;

    for (size_t i = 0; i < BYTES; i++)
        out[i] = pattern(i);
    host_open(4, 8);
    const struct io_socket socket = meet(&reader.fd);
    cr_assert_eq(pthread_create(&thread, NULL, read_slowly, &reader), 0);
    io_send(host.io, &pad.op, socket, out, BYTES);
    MUST(io_await(host.io, &pad.op));
    cr_assert_eq(pad.op.count, (uint64_t)BYTES);
    cr_assert_eq(pad.landed, 1u);
    pthread_join(thread, NULL);
    cr_assert(!reader.wrong);
    io_socket_close(host.io, socket, false);
    close(reader.fd);
    host_close();
    io_memory_free(out, BYTES);
}

Test(io_socket, a_send_that_nobody_takes_can_be_cancelled)
{
    enum { BYTES = 64 << 20 };
    uint8_t *const out = io_memory(BYTES);
    struct landing_pad pad = pad_make();
    int client;

    host_open(4, 8);
    const struct io_socket socket = meet(&client);
    io_send(host.io, &pad.op, socket, out, BYTES);
    for (unsigned i = 0; i < 20; i++)
        MUST(io_turn(host.io, 1000000, NULL));
    cr_assert(pad.op.in_flight);
    io_cancel(host.io, &pad.op);
    cr_assert_eq(io_await(host.io, &pad.op), ERR_CANCELLED);
    io_cancel(host.io, &pad.op); /* landed: nothing to do */
    cr_assert_eq(pad.landed, 1u);
    cr_assert_lt(pad.op.count, (uint64_t)BYTES);
    io_socket_close(host.io, socket, true);
    close(client);
    host_close();
    io_memory_free(out, BYTES);
}

Test(io_socket, a_waiting_receive_can_be_cancelled)
{
    uint8_t in[64];
    struct landing_pad pad = pad_make();
    int client;

    host_open(4, 8);
    const struct io_socket socket = meet(&client);
    io_receive_into(host.io, &pad.op, socket, in, sizeof in);
    io_cancel(host.io, &pad.op); /* before it was even submitted */
    cr_assert_eq(io_await(host.io, &pad.op), ERR_CANCELLED);
    io_receive_into(host.io, &pad.op, socket, in, sizeof in);
    MUST(io_turn(host.io, 0, NULL));
    io_cancel(host.io, &pad.op);
    cr_assert_eq(io_await(host.io, &pad.op), ERR_CANCELLED);
    cr_assert_eq(pad.landed, 2u);
    io_socket_close(host.io, socket, true);
    close(client);
    host_close();
}

/* ---- closing --------------------------------------------------------------------------------------------
 */

/* The answer to a refused upload arrives although the peer is still sending (rows S1, E1: 413 before the
 * end). */
Test(io_socket, closing_in_order_lets_the_peer_read_the_answer)
{
    enum { BYTES = 1 << 20 };
    uint8_t *const out = io_memory(BYTES);
    struct landing_pad pad = pad_make();
    int client;
    char answer[32] = "";

    host_open(4, 8);
    const struct io_socket socket = meet(&client);
    for (unsigned i = 0; i < 3; i++)
        send(client, out, BYTES, MSG_DONTWAIT | MSG_NOSIGNAL);
    io_send(host.io, &pad.op, socket, "413", 3);
    MUST(io_await(host.io, &pad.op));
    io_socket_close(host.io, socket, false);
    for (unsigned i = 0; i < 20; i++) { /* still sending after the close */
        MUST(io_turn(host.io, 2000000, NULL));
        const ssize_t count = send(client, out, 10000, MSG_DONTWAIT | MSG_NOSIGNAL);
        cr_assert(count > 0 || errno == EAGAIN, "%s", strerror(errno));
    }
    cr_assert_eq(recv(client, answer, sizeof answer, 0), 3);
    cr_assert_str_eq(answer, "413");
    cr_assert_eq(recv(client, answer, sizeof answer, 0), 0, "then the end, not a reset");
    close(client);
    host_close();
    io_memory_free(out, BYTES);
}

Test(io_socket, lingering_ends_by_itself)
{
    int client;
    uint8_t byte = 0;

    host_open(4, 8);
    const struct io_socket socket = meet(&client);
    io_socket_close(host.io, socket, false);
    cr_assert_eq(recv(client, &byte, 1, 0), 0);
    const uint64_t start_ns = io_now_ns(host.io);
    bool reset = false; /* the client never finishes; after a while its bytes meet a closed socket */
    while (!reset && io_now_ns(host.io) < start_ns + 4000000000ULL) {
        MUST(io_turn(host.io, 20000000, NULL));
        reset = send(client, &byte, 1, MSG_NOSIGNAL) < 0;
    }
    cr_assert(reset);
    cr_assert_gt(io_now_ns(host.io) - start_ns, 1500000000ULL);
    close(client);
    host_close();
}

Test(io_socket, more_closings_than_may_linger)
{
    enum { PEERS = 200 };
    static int clients[PEERS];

    host_open(4, 256);
    for (unsigned i = 0; i < PEERS; i++)
        clients[i] = dial();
    TURN_UNTIL(host.io, host.accepted == PEERS);
    for (unsigned i = 0; i < PEERS; i++)
        io_socket_close(host.io, host.sockets[i], false);
    uint8_t byte;
    for (unsigned i = 0; i < PEERS; i++) {
        cr_assert_eq(recv(clients[i], &byte, 1, 0), 0);
        close(clients[i]);
    }
    for (unsigned i = 0; i < 10; i++)
        MUST(io_turn(host.io, 1000000, NULL));
    host_close();
}

Test(io_socket, a_reset_close_resets)
{
    int client;
    uint8_t byte;

    host_open(4, 8);
    io_socket_close(host.io, meet(&client), true);
    cr_assert_eq(recv(client, &byte, 1, 0), -1);
    cr_assert_eq(errno, ECONNRESET);
    close(client);
    host_close();
}

/* Many ends at once: more flights than one turn takes completions, more submissions than the ring has
 * entries. */
Test(io_socket, two_thousand_connections_are_served_in_bounded_turns)
{
    enum { PEERS = 2000 };
    struct peer {
        struct receiver receiver;
        int client;
    };
    struct peer *const peers = calloc(PEERS, sizeof *peers);
    const struct io_config config = {
        .ops_max = 64, .receive_buffers = 64, .receive_buffer_bytes = 16384, .sockets_max = PEERS};
    const struct rlimit wide = {.rlim_cur = 3 * PEERS, .rlim_max = 20000};
    if (setrlimit(RLIMIT_NOFILE, &wide) != 0) cr_skip_test("too few descriptors here");

    MUST(io_open_uring(&config, &host.io));
    MUST(io_listen(host.io, "127.0.0.1:0", -1, on_accept, &host, &host.listener));
    for (unsigned i = 0; i < PEERS; i++) {
        host.accepted = 0;
        peers[i].receiver = receiver_make(meet(&peers[i].client), false);
    }
    for (unsigned i = 0; i < PEERS; i++)
        receiver_start(&peers[i].receiver);
    const uint8_t first = pattern(0);
    for (unsigned i = 0; i < PEERS; i++)
        must_send(peers[i].client, &first, 1);
    for (unsigned i = 0; i < PEERS; i++)
        TURN_UNTIL(host.io, peers[i].receiver.bytes == 1);
    for (unsigned i = 0; i < PEERS; i++)
        if (i % 2 == 0)
            close(peers[i].client);
        else
            io_receive_stop(host.io, &peers[i].receiver.receive);
    for (unsigned i = 0; i < PEERS; i++) {
        TURN_UNTIL(host.io, !peers[i].receiver.receive.in_flight);
        io_socket_close(host.io, peers[i].receiver.socket, true);
        if (i % 2 != 0) close(peers[i].client);
    }
    host_close();
    free(peers);
}
