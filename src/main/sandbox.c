/*
 * Rights, Landlock, seccomp. Landlock and capset have no wrappers in the C library, and the headers of Debian 12 do not
 * name what later ABIs brought: raw calls and numbers of our own.
 */
#include "sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true /* they trace and map what a server has no business to */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static enum err lacks(struct sandbox *sandbox, const char *what)
{
    if (sandbox->missing == NULL) sandbox->missing = what;
    return sandbox->required ? ERR_UNSUPPORTED : OK;
}

static bool is_off(struct sandbox *sandbox)
{
    if (SANITIZED && !sandbox->off) sandbox->missing = "all of it: this is a sanitizer build";
    return sandbox->off || SANITIZED;
}

/* ---- rights -------------------------------------------------------------------------------------------- */

static bool drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {0};

    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0,
                    0); /* refused without CAP_SETPCAP: then there is little to drop */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0;
}

static bool confine(void)
{
    const struct rlimit none = {0};

    umask(0077);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           setrlimit(RLIMIT_CORE, &none) == 0 && drop_capabilities();
}

/* ---- Landlock ------------------------------------------------------------------------------------------ */

/* linux/landlock.h, by the ABI that brought them */
#define FS_ABI_1      ((1ULL << 13) - 1)
#define FS_REFER      (1ULL << 13) /* 2 */
#define FS_TRUNCATE   (1ULL << 14) /* 3 */
#define FS_IOCTL_DEV  (1ULL << 15) /* 5 */
#define NET_BIND      (1ULL << 0)  /* 4 */
#define NET_CONNECT   (1ULL << 1)
#define SCOPE_SOCKET  (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL  (1ULL << 1)
#define RULE_NET_PORT 2

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_DATA                                                                                              \
    (FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | FS_REFER |  \
     FS_TRUNCATE)

struct ruleset_attr {
    uint64_t handled_fs, handled_net, scoped;
};
struct port_attr {
    uint64_t allowed, port;
};

static bool any_port(const struct sandbox *sandbox)
{
    for (unsigned i = 0; i < sandbox->ports_count; i++)
        if (sandbox->ports[i] == 0) return true;
    return false;
}

static struct ruleset_attr handled_by(int abi, const struct sandbox *sandbox)
{
    struct ruleset_attr attr = {.handled_fs = FS_ABI_1};

    if (abi >= 2) attr.handled_fs |= FS_REFER;
    if (abi >= 3) attr.handled_fs |= FS_TRUNCATE;
    if (abi >= 4) attr.handled_net = NET_CONNECT | (any_port(sandbox) ? 0 : NET_BIND);
    if (abi >= 5) attr.handled_fs |= FS_IOCTL_DEV;
    if (abi >= 6) attr.scoped = SCOPE_SOCKET | SCOPE_SIGNAL;
    return attr;
}

/* What is not there needs no rule. */
static bool allow_path(int ruleset, const char *path, uint64_t access)
{
    const int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat status;

    if (fd < 0) return errno == ENOENT;
    if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode)) access &= LANDLOCK_ACCESS_FS_READ_FILE;
    const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    const bool good = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(fd);
    return good;
}

static bool allow_ports(int ruleset, const struct sandbox *sandbox)
{
    bool good = true;

    for (unsigned i = 0; i < sandbox->ports_count; i++) {
        const struct port_attr rule = {.allowed = NET_BIND, .port = sandbox->ports[i]};
        good = good && syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0;
    }
    return good;
}

static bool allow_all(int ruleset, const struct sandbox *sandbox, const struct ruleset_attr *handled)
{
    static const char *const everybody[] = {"/proc/self",
                                            "/sys/devices/system/cpu"}; /* statistics; libraries ask */
    bool good = allow_path(ruleset, sandbox->data, FS_DATA & handled->handled_fs);

    for (unsigned i = 0; i < sizeof everybody / sizeof *everybody; i++)
        good = good && allow_path(ruleset, everybody[i], FS_READ);
    for (unsigned i = 0; i < SANDBOX_PATHS_MAX && sandbox->readable[i] != NULL; i++)
        good = good && allow_path(ruleset, sandbox->readable[i], FS_READ);
    return good && (!(handled->handled_net & NET_BIND) || allow_ports(ruleset, sandbox));
}

/* The ABI in force; 0: none. */
static int landlock(const struct sandbox *sandbox)
{
    const int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1) return 0;
    const struct ruleset_attr handled = handled_by(abi, sandbox);
    const size_t size = abi >= 6   ? sizeof handled
                        : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                                   : offsetof(struct ruleset_attr, handled_net);
    const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
    if (ruleset < 0) return 0;
    const bool good = allow_all(ruleset, sandbox, &handled) &&
                      syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
    return good ? abi : 0;
}

enum err sandbox_wall(struct sandbox *sandbox)
{
    if (is_off(sandbox)) return sandbox->required ? lacks(sandbox, "all of it") : OK;

    sandbox->confined = confine();
    if (!sandbox->confined) TRY(lacks(sandbox, "capabilities"));
    sandbox->landlock = landlock(sandbox);
    if (sandbox->landlock == 0) return lacks(sandbox, "Landlock");
    return sandbox->landlock < 4 ? lacks(sandbox, "Landlock for TCP") : OK;
}

/* ---- system calls -------------------------------------------------------------------------------------- */

/* What a thread of ours does once everything is open. The rest fails with EPERM, as a kernel without it would. */
static const char *const allowed[] = {
    "io_uring_enter",
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "lseek",
    "close",
    "openat",
    "openat2",
    "newfstatat",
    "fstat",
    "stat",
    "lstat",
    "statx",
    "fstatfs",
    "statfs",
    "fcntl",
    "flock",
    "faccessat",
    "faccessat2",
    "access",
    "readlinkat",
    "getdents64",
    "fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fadvise64",
    "cachestat",
    "unlinkat",
    "renameat",
    "renameat2",
    "linkat",
    "mkdirat",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "shutdown",
    "getpeername",
    "getsockname",
    "getsockopt",
    "setsockopt",
    "eventfd2",
    "poll",
    "ppoll",
    "munmap",
    "madvise",
    "mremap",
    "brk",
    "mlock",
    "munlock",
    "membarrier",
    "futex",
    "futex_waitv",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "getcpu",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "rt_sigtimedwait",
    "rt_sigprocmask",
    "rt_sigaction",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "uname",
    "sysinfo",
    "getrusage",
    "getrlimit",
    "prlimit64",
    "times",
    "getpriority",
    "setpriority",
    "set_robust_list",
    "rseq",
    "exit",
    "exit_group",
};

/* Nothing of ours comes near these: whoever calls one runs foreign code, and the process ends. */
static const char *const deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "fork",
    "vfork",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "personality",
    "pidfd_getfd",
    "mknodat",
    "mknod",
    "symlinkat",
    "fchmodat",
    "fchownat",
};

static bool add(scmp_filter_ctx filter, uint32_t action, const char *name)
{
    const int number = seccomp_syscall_resolve_name(name);

    return number == __NR_SCMP_ERROR ||
           seccomp_rule_add(filter, action, number, 0) == 0; /* not on every machine */
}

/* A condition on an argument; `mask` and a value for SCMP_CMP_MASKED_EQ. */
static struct scmp_arg_cmp when(unsigned argument, enum scmp_compare compare, scmp_datum_t a, scmp_datum_t b)
{
    return (struct scmp_arg_cmp){.arg = argument, .op = compare, .datum_a = a, .datum_b = b};
}

/* Memory is never both written and executed; new threads, no new processes; registered rings, nothing else of rings. */
static bool add_conditions(scmp_filter_ctx filter)
{
    static const int mappers[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    bool good = true;

    for (unsigned i = 0; i < 2; i++)
        good = good && seccomp_rule_add(filter, SCMP_ACT_ALLOW, mappers[i], 1,
                                        when(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
    for (unsigned opcode = 20; opcode <= 21; opcode++) /* IORING_(UN)REGISTER_RING_FDS: a ring is closed */
        good = good && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_register), 1,
                                        when(1, SCMP_CMP_EQ, opcode, 0)) == 0;
    return good &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            when(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) ==
               0 && /* its flags cannot be seen */
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                            when(0, SCMP_CMP_EQ, PR_SET_NAME, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            when(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0; /* abort() */
}

static bool load_filter(void)
{
    const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    bool good = filter != NULL && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;

    for (unsigned i = 0; good && i < sizeof allowed / sizeof *allowed; i++)
        good = add(filter, SCMP_ACT_ALLOW, allowed[i]);
    for (unsigned i = 0; good && i < sizeof deadly / sizeof *deadly; i++)
        good = add(filter, SCMP_ACT_KILL_PROCESS, deadly[i]);
    good = good && add_conditions(filter) && seccomp_load(filter) == 0;
    if (filter != NULL) seccomp_release(filter);
    return good;
}

enum err sandbox_calls(struct sandbox *sandbox)
{
    if (is_off(sandbox)) return OK;

    sandbox->calls = load_filter();
    return sandbox->calls ? OK : lacks(sandbox, "seccomp");
}

void sandbox_tell(const struct sandbox *sandbox)
{
    if (sandbox->off) {
        log_warn("main", "no sandbox", "option=sandbox");
        return;
    }
    log_line(sandbox->missing == NULL ? LOG_INFO : LOG_WARN, "main", "sandbox",
             "privileges=%s landlock=%d seccomp=%s missing=\"%s\"", sandbox->confined ? "dropped" : "kept",
             sandbox->landlock, sandbox->calls ? "yes" : "no",
             sandbox->missing != NULL ? sandbox->missing : "");
}
