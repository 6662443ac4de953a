/* Connections by CPU: what the trial says, and whether listeners then get what is theirs. */
#include "fixture.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CPUS_MAX = 4, DIALS = 20 };

static unsigned cpus[CPUS_MAX], cpus_count;

static void read_cpus(void)
{
    cpu_set_t set;

    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && cpus_count < CPUS_MAX; cpu++)
        if (CPU_ISSET(cpu, &set)) cpus[cpus_count++] = cpu;
    if (cpus_count < 2) cr_skip_test("one CPU: nothing to tell apart");
}

static void go_to(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    cr_assert_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

/* The next descriptor that would be handed out: equal before and after when none was left behind. */
static int next_descriptor(void)
{
    const int fd = dup(0);

    close(fd);
    return fd;
}

Test(io_steering, is_tried_and_leaves_nothing_behind)
{
    cpu_set_t before, after;

    read_cpus();
    const int fd = next_descriptor();
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    const enum err err = io_steering_check(cpus, cpus_count);
    cr_assert(err == OK || err == ERR_UNSUPPORTED, "%s", err_text(err));
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
    cr_assert_eq(next_descriptor(), fd);
}

Test(io_steering, is_not_believed_when_two_listeners_have_one_cpu)
{
    read_cpus();
    const int fd = next_descriptor();
    const unsigned same[] = {cpus[0], cpus[0], cpus[0], cpus[0]};
    cr_assert_eq(io_steering_check(same, 4), ERR_UNSUPPORTED);
    cr_assert_eq(next_descriptor(), fd);
}

Test(io_steering, cannot_be_tried_on_a_cpu_that_is_not_ours)
{
    cpu_set_t before, after;

    read_cpus();
    const unsigned beyond[] = {cpus[0], CPU_SETSIZE - 1}, far_beyond[] = {cpus[0], 1000000};
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_neq(io_steering_check(beyond, 2), OK);
    cr_assert_eq(io_steering_check(far_beyond, 2), ERR_UNSUPPORTED);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
}

/* ---- listeners --------------------------------------------------------------------------------------- */

struct host {
    struct io *io;
    struct io_listener *listener;
    unsigned accepted;
};

static void on_accept(void *context, struct io_socket socket)
{
    struct host *const host = context;

    host->accepted++;
    io_socket_close(host->io, socket, true);
}

static void host_open(struct host *host, uint16_t port, unsigned cpu)
{
    char address[32];

    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    *host = (struct host){.io = uring_with(4, 64, NULL)};
    MUST(io_listen(host->io, address, (int)cpu, on_accept, host, &host->listener));
}

static void host_close(struct host *host)
{
    io_listener_close(host->io, host->listener);
    MUST(io_turn(host->io, 1000000, NULL));
    io_close(host->io);
}

static void dial_from(unsigned cpu, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    go_to(cpu);
    for (unsigned i = 0; i < DIALS; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        close(fd);
    }
}

Test(io_steering, a_connection_comes_to_the_listener_of_its_cpu)
{
    struct host hosts[2];

    read_cpus();
    if (io_steering_check(cpus, 2) != OK) cr_skip_test("this system does not deal connections by CPU");
    host_open(&hosts[0], 0, cpus[0]);
    const uint16_t port = io_listener_port(hosts[0].listener);
    host_open(&hosts[1], port, cpus[1]);
    for (unsigned i = 0; i < 2; i++) {
        dial_from(cpus[i], port);
        TURN_UNTIL(hosts[i].io, hosts[i].accepted == DIALS);
        MUST(io_turn(hosts[!i].io, 0, NULL));
        cr_assert_eq(hosts[!i].accepted, i == 0 ? 0 : DIALS);
    }

    host_close(&hosts[0]); /* the group changes, and the CPU of the other does not */
    host_open(&hosts[0], port, cpus[0]);
    dial_from(cpus[1], port);
    TURN_UNTIL(hosts[1].io, hosts[1].accepted == 2 * DIALS);
    dial_from(cpus[0], port);
    TURN_UNTIL(hosts[0].io, hosts[0].accepted == DIALS);
    for (unsigned i = 0; i < 2; i++)
        host_close(&hosts[i]);
}
