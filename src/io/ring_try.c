/*
 * A ring that is asked for what it must not do: for the program's own test of its sandbox. One ring as io_open_uring() makes
 * it, which its restrictions hold back; one without any, which only the kernel's walls around the process can.
 */
#include "io/ring_try.h"

#include "uring.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_through(struct io_uring *ring, const char *path)
{
    struct io_uring_sqe *const sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe;

    if (sqe == NULL) return EBUSY;
    io_uring_prep_openat(sqe, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    sqe->user_data = UINT64_MAX;
    int result = io_uring_submit_and_wait(ring, 1);
    if (result < 0) return -result;
    do { /* a ring of ours has operations of its own in flight */
        result = io_uring_wait_cqe(ring, &cqe);
        if (result < 0) return -result;
        result = cqe->res;
        const bool own = cqe->user_data == UINT64_MAX;
        io_uring_cqe_seen(ring, cqe);
        if (own) break;
    } while (true);
    if (result < 0) return -result;
    close(result);
    return 0;
}

int io_ring_try_open(const char *path, bool restricted)
{
    const struct io_config config = {.ops_max = 8};
    struct io_uring ring;
    struct io *io;

    if (!restricted) {
        const int result = io_uring_queue_init(4, &ring, 0);
        if (result < 0) return -result;
        const int error = open_through(&ring, path);
        io_uring_queue_exit(&ring);
        return error;
    }
    if (io_open_uring(&config, &io) != OK) return ENOSYS;
    const int error = open_through(&((struct uring *)io)->ring, path);
    io_close(io);
    return error;
}
