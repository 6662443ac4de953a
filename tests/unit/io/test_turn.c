/*
 * Turning, waiting and waking, for both real kinds.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sleeper {
    struct io *io;
    unsigned woken;
    _Atomic bool stop;
    unsigned calls;
};

static void on_wake(void *context)
{
    struct sleeper *const sleeper = context;

    sleeper->woken++;
}

static void *wake_once(void *context)
{
    struct sleeper *const sleeper = context;

    usleep(50000);
    io_wake(sleeper->io);
    return NULL;
}

static void wakes_a_sleeper(struct io *io)
{
    struct sleeper sleeper = {.io = io};
    pthread_t thread;
    unsigned run = 0;

    io_on_wake(io, on_wake, &sleeper);
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t start_ns = io_now_ns(io);
        cr_assert_eq(pthread_create(&thread, NULL, wake_once, &sleeper), 0);
        while (sleeper.woken == i && io_now_ns(io) < start_ns + 5000000000ULL)
            MUST(io_turn(io, 5000000000ULL, &run));
        pthread_join(thread, NULL);
        cr_assert_eq(sleeper.woken, i + 1);
        cr_assert_lt(io_now_ns(io) - start_ns, 2000000000ULL);
        cr_assert_geq(io_now_ns(io) - start_ns, 40000000ULL);
    }
    io_wake(io); /* from its own thread, and twice: one call of the handler */
    io_wake(io);
    MUST(io_turn(io, 5000000000ULL, &run));
    cr_assert_eq(run, 1u);
    cr_assert_eq(sleeper.woken, 4u);
    MUST(io_turn(io, 0, &run));
    cr_assert_eq(run, 0u);
    io_close(io);
}

Test(io_turn, another_thread_wakes_a_ring)
{
    wakes_a_sleeper(uring_with(0, 0, NULL));
}

Test(io_turn, another_thread_wakes_plain)
{
    wakes_a_sleeper(plain_make());
}

/* No call is lost: each one counted before a wake-up is seen in the handler that follows it. */
struct bell {
    struct io *io;
    _Atomic unsigned rung;
    unsigned seen;
};

enum { RINGS = 20000 };

static void *ring_often(void *context)
{
    struct bell *const bell = context;

    for (unsigned i = 0; i < RINGS; i++) {
        atomic_fetch_add(&bell->rung, 1);
        io_wake(bell->io);
        for (volatile unsigned k = 0; k < (i * 37) % 400; k++)
            ;
    }
    return NULL;
}

static void on_bell(void *context)
{
    struct bell *const bell = context;

    bell->seen = atomic_load(&bell->rung);
}

static void loses_no_wake_up(struct io *io)
{
    struct bell bell = {.io = io};
    pthread_t thread;

    io_on_wake(io, on_bell, &bell);
    cr_assert_eq(pthread_create(&thread, NULL, ring_often, &bell), 0);
    while (bell.seen < RINGS) {
        const uint64_t start_ns = io_now_ns(io);
        MUST(io_turn(io, 4000000000ULL, NULL));
        cr_assert_lt(io_now_ns(io) - start_ns, 3000000000ULL, "slept through a call");
    }
    pthread_join(thread, NULL);
    io_close(io);
}

Test(io_turn, a_ring_loses_no_wake_up)
{
    loses_no_wake_up(uring_with(0, 0, NULL));
}

Test(io_turn, plain_loses_no_wake_up)
{
    loses_no_wake_up(plain_make());
}

static void waits_as_long_as_it_should(struct io *io)
{
    unsigned run = 99;
    const uint64_t start_ns = io_now_ns(io);

    MUST(io_turn(io, 0, &run));
    cr_assert_eq(run, 0u);
    cr_assert_lt(io_now_ns(io) - start_ns, 1000000000ULL);
    while (io_now_ns(io) - start_ns < 30000000)
        MUST(io_turn(io, 30000000, &run));
    cr_assert_lt(io_now_ns(io) - start_ns, 1000000000ULL);
    cr_assert_gt(io_wall_ns(io), 1700000000ULL * 1000000000ULL);
    uint8_t a[40] = {0}, b[40] = {0};
    io_random(io, a, sizeof a);
    io_random(io, b, sizeof b);
    cr_assert_arr_neq(a, b, sizeof a);
    io_close(io);
}

Test(io_turn, a_ring_waits_as_long_as_it_should)
{
    waits_as_long_as_it_should(uring_with(0, 0, NULL));
}

Test(io_turn, plain_waits_as_long_as_it_should)
{
    waits_as_long_as_it_should(plain_make());
}

/* A handler that submits again goes on in the next turn: a turn has an end. */
struct chain {
    struct io_op op; /* first */
    struct io *io;
    struct io_file *file;
    uint8_t byte;
    unsigned links;
};

static void on_link(struct io_op *op)
{
    struct chain *const chain = (struct chain *)op;

    if (++chain->links < 10) io_read(chain->io, op, chain->file, &chain->byte, 1, 0);
}

static void a_chain_takes_a_turn_for_each_link(struct io *io)
{
    struct chain chain = {.op.done = on_link, .io = io};
    struct io_dir *dir = NULL;
    unsigned run = 0;

    MUST(io_dir_open(io, NULL, "/proc/self", false, &dir));
    MUST(io_file_open(io, dir, "cmdline", 0, &chain.file));
    io_read(io, &chain.op, chain.file, &chain.byte, 1, 0);
    for (unsigned links = 0; chain.op.in_flight; links = chain.links) {
        MUST(io_turn(io, 1000000000, &run));
        cr_assert_leq(chain.links, links + 1);
        cr_assert_eq(run, chain.links - links);
    }
    cr_assert_eq(chain.links, 10u);
    io_file_close(io, chain.file);
    io_dir_close(io, dir);
    io_close(io);
}

Test(io_turn, a_ring_takes_a_turn_for_each_link_of_a_chain)
{
    a_chain_takes_a_turn_for_each_link(uring_with(0, 0, NULL));
}

Test(io_turn, plain_takes_a_turn_for_each_link_of_a_chain)
{
    a_chain_takes_a_turn_for_each_link(plain_make());
}

Test(io_turn, describes_itself)
{
    char text[200];
    struct io *const ring = uring_with(4, 1, NULL), *const plain = plain_make();

    io_describe(ring, text, sizeof text);
    cr_assert_not_null(strstr(text, "restricted="), "%s", text);
    cr_assert_not_null(strstr(text, "buffers=4x16384"));
    io_describe(plain, text, 6);
    cr_assert_str_eq(text, "plain");
    io_close(ring);
    io_close(plain);
    io_close(NULL);
}
