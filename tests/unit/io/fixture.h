/* What the io tests share: a directory of their own, an io of either kind, ops that count their landings. */
#ifndef TESTS_UNIT_IO_FIXTURE_H
#define TESTS_UNIT_IO_FIXTURE_H

#include "io/io.h"

#include "base/metric.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MUST(expression) cr_assert_eq((expression), OK)

struct landing_pad {
    struct io_op op; /* first: the handler finds the pad from it */
    unsigned landed;
};

static inline void on_landed(struct io_op *op)
{
    struct landing_pad *const pad = (struct landing_pad *)op;

    pad->landed++;
}

static inline struct landing_pad pad_make(void)
{
    return (struct landing_pad){.op.done = on_landed};
}

static inline struct io *uring_with(unsigned buffers, unsigned sockets, struct metrics *metrics)
{
    struct io *io = NULL;
    const struct io_config config = {.ops_max = 64,
                                     .receive_buffers = buffers,
                                     .receive_buffer_bytes = 16384,
                                     .sockets_max = sockets,
                                     .metrics = metrics};

    MUST(io_open_uring(&config, &io));
    return io;
}

static inline struct io *plain_make(void)
{
    struct io *io = NULL;

    MUST(io_open_plain(&io));
    return io;
}

/* Turns until the condition holds; a test that waits longer than 5 s has failed. */
#define TURN_UNTIL(io, condition)                                                                            \
    do {                                                                                                     \
        const uint64_t turn_until_ns = io_now_ns(io) + 5000000000ULL;                                        \
        while (!(condition)) {                                                                               \
            cr_assert(io_now_ns(io) < turn_until_ns, "waited in vain for " #condition);                      \
            MUST(io_turn(io, 10000000, NULL));                                                               \
        }                                                                                                    \
    } while (0)

#endif
