/*
 * Does the kernel deal the connections of a shared port by CPU? SO_INCOMING_CPU on each listener of a group asks for
 * it; kernels before 6.2 (and some 6.1) take the option and deal by hash all the same, and packet steering on the
 * interface moves connections to other CPUs. So it is tried: a listener for each CPU on a port of loopback, a few
 * connections made from each CPU in turn (on loopback a connection arrives on the CPU that makes it), each of which
 * must be found at the listener of that CPU. By hash, all of them would land right once in 65,000 tries, or less.
 *
 * The calling thread moves from CPU to CPU and goes back to where it may run. Nothing is left behind.
 */
#include "io/io.h"

#include "base/assert.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENERS_MAX = 16, DIALS = 8, PATIENCE_MS = 500 };

struct trial {
    unsigned count;
    int fds[LISTENERS_MAX];
    struct sockaddr_in address; /* of all of them; the port is the first one's */
};

static enum err open_listener(struct trial *trial, unsigned cpu)
{
    const int on = 1, number = (int)cpu;
    socklen_t length = sizeof trial->address;
    struct sockaddr *const address = (struct sockaddr *)&trial->address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) return err_from_errno(errno);
    trial->fds[trial->count++] = fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &number, sizeof number) != 0 ||
        bind(fd, address, length) != 0 || listen(fd, DIALS) != 0 || getsockname(fd, address, &length) != 0)
        return err_from_errno(errno);
    return OK;
}

/* Closed by a reset: no port is kept waiting. */
static void drop(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static bool arrives_at(int listener)
{
    struct pollfd wanted = {.fd = listener, .events = POLLIN};

    if (poll(&wanted, 1, PATIENCE_MS) <= 0) return false;
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) drop(fd);
    return fd >= 0;
}

static enum err dial(const struct trial *trial, int listener)
{
    const struct timeval patience = {.tv_usec = PATIENCE_MS * 1000};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const bool right = connect(fd, (const struct sockaddr *)&trial->address, sizeof trial->address) == 0 &&
                       arrives_at(listener);
    drop(fd);
    return right ? OK : ERR_UNSUPPORTED;
}

static enum err dial_from(const struct trial *trial, unsigned number, unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) return err_from_errno(errno);
    for (unsigned i = 0; i < DIALS; i++)
        TRY(dial(trial, trial->fds[number]));
    return OK;
}

static enum err try_all(struct trial *trial, const unsigned *cpus, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        TRY(open_listener(trial, cpus[i]));
    for (unsigned i = count; i-- > 0;) /* not in the order in which they were opened */
        TRY(dial_from(trial, i, cpus[i]));
    return OK;
}

enum err io_steering_check(const unsigned *cpus, unsigned cpus_count)
{
    const unsigned count = cpus_count < LISTENERS_MAX ? cpus_count : LISTENERS_MAX;
    struct trial trial = {.address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    cpu_set_t before;

    assert(count >= 2);
    for (unsigned i = 0; i < count; i++)
        if (cpus[i] >= CPU_SETSIZE) return ERR_UNSUPPORTED;

    if (sched_getaffinity(0, sizeof before, &before) != 0) return err_from_errno(errno);
    const enum err err = try_all(&trial, cpus, count);
    (void)sched_setaffinity(0, sizeof before, &before);
    for (unsigned i = 0; i < trial.count; i++)
        close(trial.fds[i]);
    return err;
}
