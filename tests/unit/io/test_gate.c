/*
 * The gate: who is let in, when, and who is not. Threads stand in line while the test holds a place; the order in which they
 * come is made certain by waiting until each of them is seen to wait. No case depends on how long anything takes.
 */
#include "fixture.h"

#include "io/sim.h"

#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS_MAX = 32, MIB = 1 << 20 };

static struct io_gate *gate_make(unsigned beside, unsigned alone)
{
    const struct io_gate_limits limits = {
        .beside_max = beside, .alone_max = alone, .piece_bytes = IO_GATE_PIECE_MAX};
    struct io_gate *gate = NULL;

    MUST(io_gate_open(&limits, &gate));
    return gate;
}

static struct io *joined(struct io_gate *gate, enum io_class class)
{
    struct io *const io = plain_make();

    io_gate_join(io, gate, class);
    return io;
}

static uint64_t waiting(struct io_gate *gate)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < IO_CLASSES; i++)
        sum += io_gate_counts(gate, (enum io_class)i).waiting;
    return sum;
}

#define WAIT_UNTIL(condition)                                                                                \
    while (!(condition))                                                                                     \
    sched_yield()

/* ---- threads that stand in line ------------------------------------------------------------------------- */

struct crowd;

struct visitor {
    pthread_t thread;
    struct crowd *crowd;
    struct io *io;
    enum err err;
    unsigned place; /* in the order of being let in, from 1 */
};

struct crowd {
    struct io_gate *gate;
    atomic_uint entered;
    atomic_bool may_leave;
    unsigned count;
    struct visitor visitors[THREADS_MAX];
};

static void *visit(void *context)
{
    struct visitor *const visitor = context;
    struct crowd *const crowd = visitor->crowd;

    visitor->err = io__gate_enter(visitor->io, 1);
    if (visitor->err != OK) return NULL;
    visitor->place = atomic_fetch_add(&crowd->entered, 1) + 1;
    WAIT_UNTIL(atomic_load(&crowd->may_leave));
    io__gate_leave(visitor->io);
    return NULL;
}

static struct visitor *come(struct crowd *crowd, enum io_class class)
{
    struct visitor *const visitor = &crowd->visitors[crowd->count++];

    cr_assert_leq(crowd->count, THREADS_MAX);
    *visitor = (struct visitor){.crowd = crowd, .io = joined(crowd->gate, class)};
    cr_assert_eq(pthread_create(&visitor->thread, NULL, visit, visitor), 0);
    return visitor;
}

/* The same, and it stands in line on return. */
static struct visitor *come_and_wait(struct crowd *crowd, enum io_class class)
{
    const uint64_t before = waiting(crowd->gate);
    struct visitor *const visitor = come(crowd, class);

    WAIT_UNTIL(waiting(crowd->gate) > before);
    return visitor;
}

static void go_home(struct crowd *crowd)
{
    atomic_store(&crowd->may_leave, true);
    for (unsigned i = 0; i < crowd->count; i++) {
        pthread_join(crowd->visitors[i].thread, NULL);
        io_close(crowd->visitors[i].io);
    }
    cr_assert_eq(waiting(crowd->gate), 0);
    cr_assert_eq(io_gate_flying(crowd->gate), 0);
    io_gate_close(crowd->gate);
}

/* ---- order ---------------------------------------------------------------------------------------------- */

Test(gate, the_first_class_goes_first_whoever_came_first)
{
    struct crowd crowd = {.gate = gate_make(1, 1), .may_leave = true};
    struct io *const holder = joined(crowd.gate, IO_SCRUB);

    MUST(io__gate_enter(holder, 1));
    const struct visitor *const scrub = come_and_wait(&crowd, IO_SCRUB);
    const struct visitor *const retention = come_and_wait(&crowd, IO_RETENTION);
    const struct visitor *const compact = come_and_wait(&crowd, IO_COMPACT);
    const struct visitor *const query = come_and_wait(&crowd, IO_QUERY);
    const struct visitor *const encode = come_and_wait(&crowd, IO_ENCODE);
    cr_assert_eq(atomic_load(&crowd.entered), 0);
    io__gate_leave(holder);
    go_home(&crowd);
    cr_assert_eq(encode->place, 1);
    cr_assert_eq(query->place, 2);
    cr_assert_eq(compact->place, 3);
    cr_assert_eq(retention->place, 4);
    cr_assert_eq(scrub->place, 5);
    io_close(holder);
}

Test(gate, within_a_class_whoever_came_first_goes_first)
{
    struct crowd crowd = {.gate = gate_make(1, 1), .may_leave = true};
    struct io *const holder = joined(crowd.gate, IO_QUERY);

    MUST(io__gate_enter(holder, 1));
    for (unsigned i = 0; i < 4; i++)
        come_and_wait(&crowd, IO_QUERY);
    io__gate_leave(holder);
    go_home(&crowd);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(crowd.visitors[i].place, i + 1);
    io_close(holder);
}

Test(gate, the_last_class_does_not_starve)
{
    struct crowd crowd = {.gate = gate_make(1, 1), .may_leave = true};
    struct io *const holder = joined(crowd.gate, IO_ENCODE);

    MUST(io__gate_enter(holder, 1));
    const struct visitor *const scrub = come_and_wait(&crowd, IO_SCRUB);
    for (unsigned i = 0; i < 3 * IO_GATE_TURN; i++)
        come_and_wait(&crowd, IO_ENCODE);
    io__gate_leave(holder);
    go_home(&crowd);
    cr_assert_gt(scrub->place, 1);
    cr_assert_leq(scrub->place, IO_GATE_TURN);
    io_close(holder);
}

/* ---- bounds --------------------------------------------------------------------------------------------- */

Test(gate, few_are_in_flight_beside_a_journal_and_more_without)
{
    struct crowd crowd = {.gate = gate_make(2, 4)};

    io__gate_journal_begins(crowd.gate);
    for (unsigned i = 0; i < 6; i++)
        come(&crowd, IO_QUERY);
    WAIT_UNTIL(io_gate_flying(crowd.gate) + waiting(crowd.gate) == 6);
    cr_assert_eq(io_gate_flying(crowd.gate), 2);
    io__gate_journal_ends(crowd.gate);
    /* it still counts as the journal's for a moment; once that is over, whoever comes takes the others along */
    usleep(2 * IO_GATE_QUIET_NS / 1000);
    come(&crowd, IO_QUERY);
    WAIT_UNTIL(io_gate_flying(crowd.gate) + waiting(crowd.gate) == 7 && io_gate_flying(crowd.gate) > 2);
    cr_assert_eq(io_gate_flying(crowd.gate), 4);
    go_home(&crowd);
    for (unsigned i = 0; i < 7; i++)
        cr_assert_eq(crowd.visitors[i].err, OK);
}

static enum err too_late(void *context)
{
    atomic_uint *const asked = context;

    return atomic_fetch_add(asked, 1) == 0 ? OK : ERR_DEADLINE; /* the first time it may go on */
}

Test(gate, whoever_loses_patience_leaves_the_line)
{
    struct crowd crowd = {.gate = gate_make(1, 1), .may_leave = true};
    struct io *const holder = joined(crowd.gate, IO_QUERY), *const hasty = joined(crowd.gate, IO_QUERY);
    atomic_uint asked = 0;

    io_gate_patience(hasty, (struct io_patience){.check = too_late, .context = &asked});
    MUST(io__gate_enter(holder, 1));
    const struct visitor *const before = come_and_wait(&crowd, IO_QUERY);
    cr_assert_eq(io__gate_enter(hasty, 1), ERR_DEADLINE);
    cr_assert_eq(atomic_load(&asked), 2);
    const struct visitor *const after = come_and_wait(&crowd, IO_QUERY);
    const struct io_gate_counts counts = io_gate_counts(crowd.gate, IO_QUERY);
    cr_assert_eq(counts.waiting, 2);
    cr_assert_eq(counts.given_up, 1);
    cr_assert_eq(counts.passes, 1);
    cr_assert_gt(counts.wait_ns, 0);
    io__gate_leave(holder);
    go_home(&crowd);
    cr_assert_eq(before->place, 1);
    cr_assert_eq(after->place, 2);
    io_close(holder);
    io_close(hasty);
}

Test(gate, standing_wide_open_nobody_waits)
{
    struct crowd crowd = {.gate = gate_make(1, 1)};
    struct io *const holder = joined(crowd.gate, IO_QUERY); /* its disk does not answer */

    MUST(io__gate_enter(holder, 1));
    for (unsigned i = 0; i < 5; i++)
        come_and_wait(&crowd, IO_COMPACT);
    io_gate_open_wide(crowd.gate);
    WAIT_UNTIL(atomic_load(&crowd.entered) == 5);
    come(&crowd, IO_SCRUB);
    WAIT_UNTIL(atomic_load(&crowd.entered) == 6);
    io__gate_leave(holder);
    go_home(&crowd);
    io_close(holder);
}

/* ---- files ---------------------------------------------------------------------------------------------- */

struct place {
    struct io *io;
    struct io_dir *dir;
    struct io_gate *gate;
    struct io_file *file;
    char path[64];
};

static struct place place_make(unsigned flags)
{
    struct place place = {.io = plain_make(), .gate = gate_make(2, 4)};

    snprintf(place.path, sizeof place.path, "gate-test-XXXXXX");
    cr_assert_not_null(mkdtemp(place.path));
    MUST(io_dir_open(place.io, NULL, place.path, false, &place.dir));
    MUST(io_file_open(place.io, place.dir, "a", IO_CREATE | IO_WRITABLE | flags, &place.file));
    return place;
}

static void place_close(struct place *place)
{
    io_file_close(place->io, place->file);
    MUST(io_unlink(place->io, place->dir, "a"));
    io_dir_close(place->io, place->dir);
    io_close(place->io);
    io_gate_close(place->gate);
    cr_assert_eq(rmdir(place->path), 0);
}

static uint8_t *pattern_make(size_t bytes)
{
    uint8_t *const memory = io_memory(bytes);

    for (size_t i = 0; i < bytes; i++)
        memory[i] = (uint8_t)(i * 31 + i / 4096);
    return memory;
}

static void pieces_come_together(unsigned flags, size_t len)
{
    struct place place = place_make(flags);
    uint8_t *const wrote = pattern_make(2 * MIB), *const read = pattern_make(4 * MIB);
    size_t count = 0;

    io_gate_join(place.io, place.gate, IO_ENCODE);
    MUST(io_write_now(place.io, place.file, wrote, len, 0));
    MUST(io_datasync_now(place.io, place.file));
    const struct io_gate_counts written = io_gate_counts(place.gate, IO_ENCODE);
    cr_assert_eq(written.bytes, len);
    cr_assert_eq(written.passes, (len + IO_GATE_PIECE_MAX - 1) / IO_GATE_PIECE_MAX + 1);

    MUST(io_read_now(place.io, place.file, read, 2 * MIB, 0, &count)); /* beyond the end, too */
    cr_assert_eq(count, len);
    cr_assert_arr_eq(read, wrote, len);
    io_memory_free(wrote, 2 * MIB);
    io_memory_free(read, 4 * MIB);
    place_close(&place);
}

Test(gate, a_transfer_goes_in_pieces_that_come_together)
{
    pieces_come_together(0, MIB + 4711);
    pieces_come_together(IO_DIRECT, MIB + 3 * IO_ALIGN);
}

Test(gate, an_operation_is_a_transfer_like_others)
{
    struct place place = place_make(0);
    uint8_t *const bytes = pattern_make(MIB);
    struct landing_pad pad = pad_make();
    const struct io_piece pieces[] = {{bytes, 300000}, {bytes + 300000, MIB - 300000}};

    io_gate_join(place.io, place.gate, IO_RETENTION);
    io_writev(place.io, &pad.op, place.file, pieces, 2, 0);
    MUST(io_await(place.io, &pad.op));
    cr_assert_eq(pad.op.count, MIB);
    cr_assert_eq(io_gate_counts(place.gate, IO_RETENTION).bytes, MIB);
    io_memory_free(bytes, MIB);
    place_close(&place);
}

static bool kernel_tells_what_it_keeps(void)
{
    return syscall(451, -1, NULL, NULL, 0U) != 0 && errno != ENOSYS;
}

/* Bytes of the file that the kernel has in memory. */
static uint64_t kept(const struct place *place)
{
    char path[96];
    uint64_t range[2] = {0, 0}, stat[5] = {0};

    snprintf(path, sizeof path, "%s/a", place->path);
    const int fd = open(path, O_RDONLY);
    cr_assert_eq(syscall(451, fd, range, stat, 0U), 0);
    close(fd);
    return stat[0] * 4096;
}

static void drop(const struct place *place)
{
    char path[96];

    snprintf(path, sizeof path, "%s/a", place->path);
    const int fd = open(path, O_RDONLY);
    cr_assert_eq(fdatasync(fd), 0);
    cr_assert_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

Test(gate, what_is_read_once_does_not_stay_in_memory_and_what_was_there_does)
{
    if (!kernel_tells_what_it_keeps()) cr_skip("no cachestat here");
    struct place place = place_make(0);
    uint8_t *const bytes = pattern_make(MIB);
    size_t count = 0;

    MUST(io_write_now(place.io, place.file, bytes, MIB, 0));
    drop(&place);
    if (kept(&place) != 0) cr_skip("this file system keeps everything");
    io_gate_join(place.io, place.gate, IO_COMPACT);
    MUST(io_read_now(place.io, place.file, bytes, MIB, 0, &count));
    cr_assert_eq(count, MIB);
    cr_assert_lt(kept(&place), MIB / 4); /* the kernel lets go in its own time */
    cr_assert_gt(io_gate_counts(place.gate, IO_COMPACT).passes, 0);

    drop(&place);
    io_gate_join(place.io, place.gate, IO_QUERY);
    MUST(io_read_now(place.io, place.file, bytes, 8192, MIB / 2, &count));
    cr_assert_eq(kept(&place), 8192); /* nothing was read ahead: that would pass no gate */
    MUST(io_read_now(place.io, place.file, bytes, MIB, 0, &count));
    cr_assert_eq(kept(&place), MIB);
    const uint64_t passes = io_gate_counts(place.gate, IO_COMPACT).passes;
    io_gate_join(place.io, place.gate,
                 IO_COMPACT); /* what questions have brought in stays, and waits for nobody */
    MUST(io_read_now(place.io, place.file, bytes, MIB, 0, &count));
    cr_assert_eq(kept(&place), MIB);
    cr_assert_eq(io_gate_counts(place.gate, IO_COMPACT).passes, passes);
    io_memory_free(bytes, MIB);
    place_close(&place);
}

/* ---- the journal ---------------------------------------------------------------------------------------- */

Test(gate, a_journal_never_waits_and_others_know_of_it)
{
    struct place place = place_make(IO_DIRECT);
    struct io *const ring = uring_with(0, 0, NULL), *const holder = joined(place.gate, IO_QUERY);
    struct io *const second = joined(place.gate, IO_QUERY);
    uint8_t *const bytes = pattern_make(IO_ALIGN);
    struct crowd crowd = {.gate = place.gate, .may_leave = true};
    struct landing_pad pad = pad_make();

    io_gate_join(ring, place.gate, IO_JOURNAL);
    MUST(io__gate_enter(holder, 1));
    MUST(io__gate_enter(second, 1));
    io_write(ring, &pad.op, place.file, bytes, IO_ALIGN, 0);
    come_and_wait(&crowd, IO_ENCODE); /* there would be room for two more, but for the write that is out */
    MUST(io_await(ring, &pad.op));
    cr_assert_eq(pad.landed, 1);
    io__gate_leave(holder);
    io__gate_leave(second);
    atomic_store(&crowd.may_leave, true);
    pthread_join(crowd.visitors[0].thread, NULL);
    io_close(crowd.visitors[0].io);
    io_close(holder);
    io_close(second);
    io_close(ring);
    io_memory_free(bytes, IO_ALIGN);
    place_close(&place);
}

/* ---- a simulated world ---------------------------------------------------------------------------------- */

Test(gate, a_simulated_world_has_none)
{
    struct sim *const sim = sim_open(&(struct sim_config){.seed = 1, .sector_bytes = 512});
    struct io *const io = sim_io(sim);
    struct io_gate *const gate = gate_make(1, 1);
    struct io_dir *dir;
    struct io_file *file;
    uint8_t byte = 7;
    uint64_t device;

    io_gate_join(io, gate, IO_COMPACT);
    MUST(io_dir_open(io, NULL, "data", true, &dir));
    MUST(io_file_open(io, dir, "a", IO_CREATE | IO_WRITABLE, &file));
    MUST(io_write_now(io, file, &byte, 1, 0));
    MUST(io_datasync_now(io, file));
    cr_assert_eq(io_gate_counts(gate, IO_COMPACT).passes, 0);
    cr_assert_eq(io_device(io, dir, &device), ERR_UNSUPPORTED);
    cr_assert(!io_drops_cache(io, dir, "a"));
    sim_abandon(sim);
    io_gate_close(gate);
}
