/*
 * The sandbox against itself: each attempt in a child of its own, behind the same walls as a server. A child says by its exit
 * code whether it was held back; seccomp says so by ending it.
 */
#include "sandbox.h"

#include "io/ring_try.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char outside[] = "/etc/passwd"; /* everybody may read it, but for us */

/* ---- attempts: true when it was denied ----------------------------------------------------------------- */

static bool reads_outside(void)
{
    return open(outside, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES;
}

static bool writes_outside(void)
{
    return open("/tmp/spanmill-sandbox", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES;
}

static bool ring_reads_outside(void)
{
    return io_ring_try_open(outside, false) == EACCES;
}

static bool restricted_ring_opens(void)
{
    return io_ring_try_open("/proc/self/statm", true) == EACCES; /* which Landlock would let it */
}

static bool connects(void)
{
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof name) < 0 && errno == EACCES;
}

static bool binds_elsewhere(void)
{
    const struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(40009), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) < 0 && errno == EACCES;
}

static bool signals_its_parent(void)
{
    return kill(getppid(), 0) < 0 && errno == EPERM;
}

static bool executes(void)
{
    char *const words[] = {(char[]){"false"}, NULL};

    execv("/bin/false", words); /* whose exit code says that it ran */
    return errno == EACCES;
}

static bool regains_privileges(void)
{
    return setuid(1) < 0 && errno == EPERM; /* only with CAP_SETUID, or as oneself */
}

static bool maps_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}

static bool forks(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0; /* a child of a child would say nothing */
}

static bool traces(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0;
}

static bool makes_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0;
}

static bool makes_a_ring(void)
{
    return syscall(SYS_io_uring_setup, 4, NULL) < 0 && errno == EPERM;
}

static bool lets_the_kernel_do_something_odd(void)
{
    return syscall(SYS_sethostname, "x", 1) < 0;
}

struct attempt {
    const char *name;
    bool (*denied)(void);
    bool behind_calls; /* with seccomp in force; else behind the wall alone */
    int abi;           /* of Landlock, that it takes */
};

static const struct attempt attempts[] = {
    {"open a file outside the data directory", reads_outside, false, 1},
    {"create a file outside the data directory", writes_outside, false, 1},
    {"open a file outside through a ring without restrictions", ring_reads_outside, false, 1},
    {"open a file through a ring as ours are", restricted_ring_opens, false, 0},
    {"execute a program", executes, false, 1},
    {"connect to an address", connects, false, 4},
    {"bind a port that is not ours", binds_elsewhere, false, 4},
    {"send a signal to another process", signals_its_parent, false, 6},
    {"change the user", regains_privileges, false, 0},
    {"execute a program, by system call", executes, true, 0},
    {"make a socket", makes_a_socket, true, 0},
    {"make a ring", makes_a_ring, true, 0},
    {"make a process", forks, true, 0},
    {"trace", traces, true, 0},
    {"map memory to write and execute", maps_code, true, 0},
    {"make an unlisted system call", lets_the_kernel_do_something_odd, true, 0},
};

/* ---- trying -------------------------------------------------------------------------------------------- */

enum verdict { DENIED, LET_THROUGH, CANNOT_BE };

static void be_the_child(const struct attempt *attempt, const char *data, bool without)
{
    struct sandbox sandbox = {.data = data, .ports = {40008}, .ports_count = 1};

    if (without) _exit(attempt->denied() ? DENIED : LET_THROUGH);
    (void)sandbox_wall(&sandbox);
    if (sandbox.landlock < attempt->abi) _exit(CANNOT_BE);
    if (attempt->behind_calls) (void)sandbox_calls(&sandbox);
    if (attempt->behind_calls && !sandbox.calls) _exit(CANNOT_BE);
    _exit(attempt->denied() ? DENIED : LET_THROUGH);
}

static enum verdict try_one(const struct attempt *attempt, const char *data, bool without)
{
    int status = 0;
    const pid_t child = fork();

    if (child == 0) be_the_child(attempt, data, without);
    if (child < 0 || waitpid(child, &status, 0) != child) return CANNOT_BE;
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? DENIED : LET_THROUGH;
    return (enum verdict)WEXITSTATUS(status);
}

int sandbox_try(bool without)
{
    static const char *const words[] = {
        [DENIED] = "denied", [LET_THROUGH] = "LET THROUGH", [CANNOT_BE] = "not by this kernel or build"};
    char data[] = "/tmp/spanmill-sandbox-XXXXXX";
    unsigned counts[3] = {0};

    if (mkdtemp(data) == NULL) {
        perror("spanmill: cannot make a directory in /tmp");
        return 1;
    }
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        fflush(stdout);
        const enum verdict verdict = try_one(&attempts[i], data, without);
        counts[verdict]++;
        printf("%-60s %s\n", attempts[i].name, words[verdict]);
    }
    printf("attempts=%zu denied=%u let_through=%u impossible=%u\n", sizeof attempts / sizeof *attempts,
           counts[DENIED], counts[LET_THROUGH], counts[CANNOT_BE]);
    (void)rmdir(data);
    return counts[LET_THROUGH] == 0 ? 0 : 1;
}
