/*
 * Files and names on the real system, the same cases under uring and under plain.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct place {
    struct io *io;
    struct io_dir *dir;
    char path[64];
};

static struct place place_make(bool uring)
{
    struct place place = {.io = uring ? uring_with(0, 0, NULL) : plain_make()};

    snprintf(place.path, sizeof place.path, "io-test-XXXXXX");
    cr_assert_not_null(mkdtemp(place.path));
    MUST(io_dir_open(place.io, NULL, place.path, false, &place.dir));
    return place;
}

static void place_close(struct place *place)
{
    char command[128];

    io_dir_close(place->io, place->dir);
    io_close(place->io);
    snprintf(command, sizeof command, "%s/sub", place->path);
    rmdir(command);
    const int fd = open(place->path, O_RDONLY | O_DIRECTORY);
    const char *const names[] = {"a", "b", "c", "journal", "link", "pipe"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlinkat(fd, names[i], 0);
    close(fd);
    cr_assert_eq(rmdir(place->path), 0);
}

/* A case is a function of the place; both kinds run it. */
#define BOTH(suite, name)                                                                                    \
    static void name(struct place *place);                                                                   \
    Test(suite, name##_uring)                                                                                \
    {                                                                                                        \
        struct place place = place_make(true);                                                               \
        name(&place);                                                                                        \
        place_close(&place);                                                                                 \
    }                                                                                                        \
    Test(suite, name##_plain)                                                                                \
    {                                                                                                        \
        struct place place = place_make(false);                                                              \
        name(&place);                                                                                        \
        place_close(&place);                                                                                 \
    }                                                                                                        \
    static void name(struct place *place)

static struct io_file *file_make(struct place *place, const char *name, unsigned more)
{
    struct io_file *file = NULL;

    MUST(io_file_open(place->io, place->dir, name, IO_CREATE | IO_WRITABLE | more, &file));
    return file;
}

static void fill(uint8_t *bytes, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251 + seed);
}

BOTH(io_file, reads_back_what_was_written)
{
    struct io_file *const file = file_make(place, "a", 0);
    uint8_t out[10000], in[10000];
    struct landing_pad pad = pad_make();

    fill(out, sizeof out, 3);
    io_write(place->io, &pad.op, file, out, sizeof out, 777);
    cr_assert(pad.op.in_flight);
    cr_assert_eq(pad.landed, 0u, "a handler never runs inside a submit");
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.landed, 1u);
    cr_assert_eq(pad.op.count, sizeof out);
    io_datasync(place->io, &pad.op, file);
    MUST(io_await(place->io, &pad.op));
    io_read(place->io, &pad.op, file, in, sizeof in, 777);
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, sizeof in);
    cr_assert_arr_eq(in, out, sizeof in);
    uint64_t bytes = 0;
    MUST(io_file_size(place->io, file, &bytes));
    cr_assert_eq(bytes, 10777u);
    io_file_close(place->io, file);
}

BOTH(io_file, reading_past_the_end_gives_fewer_bytes)
{
    struct io_file *const file = file_make(place, "a", 0);
    uint8_t bytes[8192];
    size_t count = 99;
    struct landing_pad pad = pad_make();

    fill(bytes, 5000, 1);
    MUST(io_write_now(place->io, file, bytes, 5000, 0));
    io_read(place->io, &pad.op, file, bytes, sizeof bytes, 1000);
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, 4000u);
    MUST(io_read_now(place->io, file, bytes, sizeof bytes, 4999, &count));
    cr_assert_eq(count, 1u);
    MUST(io_read_now(place->io, file, bytes, sizeof bytes, 5000, &count));
    cr_assert_eq(count, 0u);
    io_read(place->io, &pad.op, file, bytes, sizeof bytes, 1 << 20);
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, 0u);
    io_file_close(place->io, file);
}

BOTH(io_file, direct_and_synced_writes_of_pieces)
{
    struct io_file *const file = file_make(place, "journal", IO_DIRECT | IO_DSYNC);
    enum { BYTES = 64 * IO_ALIGN };
    uint8_t *const out = io_memory(BYTES), *const in = io_memory(BYTES);
    struct io_piece pieces[IO_PIECES_MAX];
    struct landing_pad pad = pad_make();

    fill(out, BYTES, 9);
    /* The pieces stand in memory in the opposite order. */
    for (unsigned i = 0; i < IO_PIECES_MAX; i++)
        pieces[i] = (struct io_piece){.ptr = out + (IO_PIECES_MAX - 1 - i) * IO_ALIGN, .len = IO_ALIGN};
    io_writev(place->io, &pad.op, file, pieces, IO_PIECES_MAX, 8 * IO_ALIGN);
    memset(pieces, 0xff, sizeof pieces); /* the list itself was copied */
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, (uint64_t)BYTES);
    io_read(place->io, &pad.op, file, in, BYTES, 8 * IO_ALIGN);
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, (uint64_t)BYTES);
    for (unsigned i = 0; i < IO_PIECES_MAX; i++)
        cr_assert_arr_eq(in + i * IO_ALIGN, out + (IO_PIECES_MAX - 1 - i) * IO_ALIGN, IO_ALIGN);
    io_memory_free(out, BYTES);
    io_memory_free(in, BYTES);
    io_file_close(place->io, file);
}

BOTH(io_file, direct_reads_stop_at_an_odd_end)
{
    struct io_file *file = file_make(place, "a", 0);
    uint8_t *const bytes = io_memory(4 * IO_ALIGN);
    struct landing_pad pad = pad_make();
    size_t count = 0;

    fill(bytes, 9000, 1);
    MUST(io_write_now(place->io, file, bytes, 9000, 0));
    io_file_close(place->io, file);
    MUST(io_file_open(place->io, place->dir, "a", IO_DIRECT, &file));
    io_read(place->io, &pad.op, file, bytes, 4 * IO_ALIGN, 0);
    MUST(io_await(place->io, &pad.op));
    cr_assert_eq(pad.op.count, 9000u);
    MUST(io_read_now(place->io, file, bytes, 4 * IO_ALIGN, IO_ALIGN, &count));
    cr_assert_eq(count, 9000u - IO_ALIGN);
    io_file_close(place->io, file);
    io_memory_free(bytes, 4 * IO_ALIGN);
}

BOTH(io_file, many_operations_fly_at_once)
{
    struct io_file *const file = file_make(place, "a", 0);
    enum { OPS = 64 };
    static uint8_t bytes[OPS][1000], in[OPS][1000];
    static struct landing_pad pads[OPS];

    for (unsigned i = 0; i < OPS; i++) {
        fill(bytes[i], 1000, (uint8_t)i);
        pads[i] = pad_make();
        io_write(place->io, &pads[i].op, file, bytes[i], 1000, i * 1000);
    }
    for (unsigned i = 0; i < OPS; i++)
        MUST(io_await(place->io, &pads[i].op));
    for (unsigned i = 0; i < OPS; i++)
        io_read(place->io, &pads[i].op, file, in[i], 1000, i * 1000);
    for (unsigned i = 0; i < OPS; i++)
        MUST(io_await(place->io, &pads[i].op));
    cr_assert_arr_eq(in, bytes, sizeof in);
    for (unsigned i = 0; i < OPS; i++)
        cr_assert_eq(pads[i].landed, 2u);
    io_file_close(place->io, file);
}

BOTH(io_file, sizes_can_be_set)
{
    struct io_file *const file = file_make(place, "a", 0);
    uint64_t bytes = 1;

    MUST(io_file_size(place->io, file, &bytes));
    cr_assert_eq(bytes, 0u);
    MUST(io_file_allocate(place->io, file, 0, 1 << 20));
    MUST(io_file_size(place->io, file, &bytes));
    cr_assert_eq(bytes, 1u << 20);
    MUST(io_file_truncate(place->io, file, 5));
    MUST(io_file_size(place->io, file, &bytes));
    cr_assert_eq(bytes, 5u);
    MUST(io_datasync_now(place->io, file));
    io_file_close(place->io, file);
}

BOTH(io_file, refuses_what_is_not_a_plain_file)
{
    struct io_file *file = NULL;
    char name[96];

    snprintf(name, sizeof name, "%s/pipe", place->path);
    cr_assert_eq(mkfifo(name, 0600), 0);
    snprintf(name, sizeof name, "%s/link", place->path);
    cr_assert_eq(symlink("/etc/passwd", name), 0);
    cr_assert_eq(io_file_open(place->io, place->dir, "pipe", 0, &file), ERR_UNSUPPORTED);
    cr_assert_eq(io_file_open(place->io, place->dir, "link", 0, &file), ERR_DENIED);
    cr_assert_eq(io_file_open(place->io, place->dir, "nothing", 0, &file), ERR_NOT_FOUND);
    cr_assert_null(file);
    io_file_close(place->io, file_make(place, "a", 0));
    cr_assert_eq(io_file_open(place->io, place->dir, "a", IO_CREATE | IO_WRITABLE, &file), ERR_EXISTS);
    cr_assert_eq(io_file_open(place->io, place->dir, "a", IO_CREATE | IO_WRITABLE | IO_DIRECT, &file),
                 ERR_EXISTS);
}

static bool collect(void *context, const char *name)
{
    char *const names = (char *)context;

    snprintf(names + strlen(names), 64 - strlen(names), "%s", name);
    return strcmp(name, "b") != 0;
}

BOTH(io_name, lists_renames_and_unlinks)
{
    struct io_dir *sub = NULL;
    char names[64] = "";

    MUST(io_dir_open(place->io, place->dir, "sub", true, &sub));
    io_dir_close(place->io, sub);
    MUST(io_dir_open(place->io, place->dir, "sub", true, &sub));
    io_dir_close(place->io, sub);
    cr_assert_eq(io_dir_open(place->io, place->dir, "missing", false, &sub), ERR_NOT_FOUND);
    io_file_close(place->io, file_make(place, "c", 0));
    io_file_close(place->io, file_make(place, "b", 0));
    io_file_close(place->io, file_make(place, "a", 0));
    MUST(io_dir_sync(place->io, place->dir));
    MUST(io_dir_list(place->io, place->dir, collect, names));
    cr_assert_str_eq(names, "ab", "sorted, without directories, stopped by the visitor");
    MUST(io_rename(place->io, place->dir, "c", "a"));
    MUST(io_unlink(place->io, place->dir, "b"));
    cr_assert_eq(io_unlink(place->io, place->dir, "b"), ERR_NOT_FOUND);
    names[0] = '\0';
    MUST(io_dir_list(place->io, place->dir, collect, names));
    cr_assert_str_eq(names, "a");

    uint64_t free_bytes = 0, total_bytes = 0;
    MUST(io_space(place->io, place->dir, &free_bytes, &total_bytes));
    cr_assert(total_bytes > free_bytes && total_bytes > 1 << 20);
}

BOTH(io_name, a_second_name_is_the_same_file_and_stays_when_the_first_one_goes)
{
    struct io_file *const file = file_make(place, "a", 0);
    struct io_file *again = NULL;
    struct io_dir *sub = NULL;
    uint8_t byte = 0;
    size_t count = 0;

    MUST(io_write_now(place->io, file, "x", 1, 0));
    MUST(io_dir_open(place->io, place->dir, "sub", true, &sub));
    MUST(io_link(place->io, place->dir, "a", sub, "b"));
    cr_assert_eq(io_link(place->io, place->dir, "a", sub, "b"), ERR_EXISTS);
    cr_assert_eq(io_link(place->io, place->dir, "c", sub, "d"), ERR_NOT_FOUND);
    cr_assert_eq(io_dir_remove(place->io, place->dir, "sub"), ERR_EXISTS, "something is in it");
    MUST(io_unlink(place->io, place->dir, "a"));
    MUST(io_file_open(place->io, sub, "b", 0, &again));
    MUST(io_read_now(place->io, again, &byte, 1, 0, &count));
    cr_assert(count == 1 && byte == 'x');
    io_file_close(place->io, again);
    io_file_close(place->io, file);
    MUST(io_unlink(place->io, sub, "b"));
    io_dir_close(place->io, sub);
}

BOTH(io_name, directories_are_listed_and_removed_when_they_are_empty)
{
    static const char *const made[] = {"two", "one", "three"};
    struct io_dir *sub = NULL;
    char names[64] = "";

    for (unsigned i = 0; i < 3; i++) {
        MUST(io_dir_open(place->io, place->dir, made[i], true, &sub));
        io_dir_close(place->io, sub);
    }
    io_file_close(place->io, file_make(place, "a", 0));
    MUST(io_dir_list_dirs(place->io, place->dir, collect, names));
    cr_assert_str_eq(names, "onethreetwo", "sorted, without files and what leads upwards");
    for (unsigned i = 0; i < 3; i++)
        MUST(io_dir_remove(place->io, place->dir, made[i]));
    cr_assert_eq(io_dir_remove(place->io, place->dir, "one"), ERR_NOT_FOUND);
    cr_assert_neq(io_dir_remove(place->io, place->dir, "a"), OK, "a file is none");
    names[0] = '\0';
    MUST(io_dir_list_dirs(place->io, place->dir, collect, names));
    cr_assert_str_eq(names, "");
}

BOTH(io_file, a_lock_keeps_another_process_out)
{
    struct io_file *const file = file_make(place, "a", 0);

    MUST(io_file_lock(place->io, file));
    struct io *other = plain_make();
    struct io_file *again = NULL;
    MUST(io_file_open(other, place->dir, "a", IO_WRITABLE,
                      &again)); /* an open file of its own, as another process has */
    cr_assert_eq(io_file_lock(other, again), ERR_BUSY);
    io_file_close(place->io, file);
    MUST(io_file_lock(other, again));
    io_file_close(other, again);
    io_close(other);
}

Test(io_file, a_handle_serves_another_io_of_the_real_kind)
{
    struct place place = place_make(true);
    struct io *const plain = plain_make();
    struct io_file *file = NULL;
    struct landing_pad pad = pad_make();

    MUST(io_file_open(plain, place.dir, "a", IO_CREATE | IO_WRITABLE, &file));
    io_write(place.io, &pad.op, file, "span", 4, 0);
    MUST(io_await(place.io, &pad.op));
    io_file_close(plain, file);
    io_close(plain);
    place_close(&place);
}

BOTH(io_file, a_failed_read_comes_back_as_an_error)
{
    struct io_dir *dir = NULL;
    struct io_file *file = NULL;
    struct landing_pad pad = pad_make();
    uint8_t bytes[16];
    size_t count = 77;

    MUST(io_dir_open(place->io, NULL, "/proc/self", false, &dir));
    MUST(io_file_open(place->io, dir, "mem", 0, &file)); /* address 0 is not mapped: EIO */
    io_read(place->io, &pad.op, file, bytes, sizeof bytes, 0);
    cr_assert_eq(io_await(place->io, &pad.op), ERR_IO);
    cr_assert_eq(io_read_now(place->io, file, bytes, sizeof bytes, 0, &count), ERR_IO);
    cr_assert_eq(count, 77u, "a result is untouched on failure");
    io_file_close(place->io, file);
    io_dir_close(place->io, dir);
}

BOTH(io_file, falls_back_to_the_page_cache_where_direct_is_refused)
{
    struct io_dir *dir = NULL;
    struct io_file *file = NULL;
    uint8_t bytes[3];
    size_t count = 0;

    MUST(io_dir_open(place->io, NULL, "/proc/self", false, &dir));
    MUST(io_file_open(place->io, dir, "stat", IO_DIRECT, &file));
    MUST(io_read_now(place->io, file, bytes, sizeof bytes, 0,
                     &count)); /* off the grid, as only buffered files allow */
    cr_assert_eq(count, 3u);
    io_file_close(place->io, file);
    io_dir_close(place->io, dir);
}

/* The limit on file sizes makes the kernel write a part and then refuse the rest: short writes are really
 * continued. */
BOTH(io_file, a_short_write_goes_on_until_the_disk_refuses)
{
    const struct rlimit limit = {.rlim_cur = 10000, .rlim_max = RLIM_INFINITY};
    struct io_file *const file = file_make(place, "a", 0);
    struct landing_pad pad = pad_make();
    uint8_t out[20000], in[20000];
    uint64_t bytes = 0;
    size_t count = 0;

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fill(out, sizeof out, 1);
    io_write(place->io, &pad.op, file, out, sizeof out, 0);
    cr_assert_neq(io_await(place->io, &pad.op), OK);
    MUST(io_file_size(place->io, file, &bytes));
    cr_assert_eq(bytes, 10000u);
    MUST(io_file_truncate(place->io, file, 0));

    struct io_piece pieces[4];
    for (unsigned i = 0; i < 4; i++)
        pieces[i] = (struct io_piece){.ptr = out + i * 4000, .len = 4000};
    io_writev(place->io, &pad.op, file, pieces, 4, 0);
    cr_assert_neq(io_await(place->io, &pad.op), OK);
    cr_assert_neq(io_write_now(place->io, file, out, sizeof out, 0), OK);
    MUST(io_read_now(place->io, file, in, sizeof in, 0, &count));
    cr_assert_eq(count, 10000u);
    cr_assert_arr_eq(in, out, 10000);
    io_file_close(place->io, file);
}

static void forbid_rings(int error_number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* As a container's filter does it. */
Test(io_turn, a_ring_that_is_forbidden_is_denied)
{
    const struct io_config config = {.ops_max = 8};
    struct io *io = NULL;

    forbid_rings(EPERM);
    cr_assert_eq(io_open_uring(&config, &io), ERR_DENIED);
    cr_assert_null(io);
}

Test(io_turn, a_kernel_without_rings_is_unsupported)
{
    const struct io_config config = {.ops_max = 8, .receive_buffers = 4, .receive_buffer_bytes = 4096};
    struct io *io = NULL;

    forbid_rings(ENOSYS);
    cr_assert_eq(io_open_uring(&config, &io), ERR_UNSUPPORTED);
    cr_assert_null(io);
}

Test(io_memory, is_aligned_zeroed_and_can_be_forgotten)
{
    const size_t sizes[] = {1, 4096, 100000, 2 << 20, (5 << 20) + 1};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *const memory = io_memory(sizes[i]);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % IO_ALIGN, 0u);
        cr_assert_eq(memory[0] | memory[sizes[i] - 1], 0);
        memset(memory, 1, sizes[i]);
        if (sizes[i] >= 4096) {
            io_memory_forget(memory, 4096);
            cr_assert_eq(memory[0] | memory[4095], 0);
        }
        io_memory_free(memory, sizes[i]);
    }
    cr_assert_null(io_memory(0));
    cr_assert_null(io_memory(SIZE_MAX));
    io_memory_free(NULL, 5);
}

Test(io_memory, comes_from_the_node_of_its_cpu_where_the_system_lets_us_say_so)
{
    unsigned node = 12345;
    const enum err err = io_memory_near(&node);

    if (err == ERR_DENIED || err == ERR_UNSUPPORTED) cr_skip_test("no memory policies here");
    cr_assert_eq(err, OK);
    cr_assert_lt(node, 1024);
    uint8_t *const memory = io_memory(4 << 20);
    cr_assert_not_null(memory);
    memset(memory, 1, 4 << 20);
    io_memory_free(memory, 4 << 20);
}
