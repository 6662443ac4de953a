#include "port.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 10, PREDECESSOR_TICKS_MAX = 400 / TICK_MS, HOST_TEXT_MAX = 128 };

/*
 * A process that was killed lets go of its files a moment after it is gone: the kernel takes its rings down
 * later, and they hold listeners (and locks: superblock_open() waits, too). So a port that looks taken is
 * tried again for a while.
 */
static void tick(void)
{
    nanosleep(&(struct timespec){.tv_nsec = TICK_MS * (long)NS_PER_MS}, NULL);
}

/*
 * Listeners share their port (SO_REUSEPORT), so a second program on the same port would not be told: the
 * kernel would deal connections to both. Binding once without sharing finds it.
 */
bool port_is_free(const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    const char *const colon = strrchr(address, ':');
    const bool six = address[0] == '[';
    const unsigned long port = strtoul(colon + 1, NULL, 10);
    char host[HOST_TEXT_MAX];
    const int on = 1;

    if (port == 0) return true;
    snprintf(host, sizeof host, "%.*s", (int)(colon - address) - 2 * six, address + six);
    name.any.sa_family = six ? AF_INET6 : AF_INET;
    if (six)
        name.v6.sin6_port = htons((uint16_t)port);
    else
        name.v4.sin_port = htons((uint16_t)port);
    if (inet_pton(name.any.sa_family, host, six ? (void *)&name.v6.sin6_addr : (void *)&name.v4.sin_addr) !=
        1) {
        log_error("main", "not an address", "address=%s", address);
        return false;
    }
    const int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return true; /* whoever listens will say it better */
    bool bound = false;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0) {
        for (unsigned ticks = 0; !bound && ticks <= PREDECESSOR_TICKS_MAX; ticks++) {
            if (ticks > 0) tick();
            bound = bind(fd, &name.any, six ? sizeof name.v6 : sizeof name.v4) == 0;
            if (!bound && errno != EADDRINUSE) break;
        }
        bound = bound && listen(fd, 1) == 0;
    }
    if (!bound) log_error("main", "cannot listen", "address=%s error=\"%s\"", address, strerror(errno));
    close(fd);
    return bound;
}
