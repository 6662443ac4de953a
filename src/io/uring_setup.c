/*
 * All that happens once in the life of a ring, in this order:
 *
 *   1. the best set-up flags that the kernel takes: DEFER_TASKRUN (6.1), else COOP_TASKRUN (5.19), else no
 * ring
 *   2. a look at the opcodes: multishot receive has no probe of its own, SEND_ZC came with it (6.0)
 *   3. while the ring is still disabled: receive buffers, limits of worker threads, the ring's own descriptor
 *   4. restrictions: the ring may do what io/ needs and nothing else, even if foreign bytes should win over
 * us
 *   5. enabled on the calling thread, which thereby becomes the only one that may submit
 *
 * A container may forbid rings altogether (ERR_DENIED) or a kernel not have them (ERR_UNSUPPORTED). A kernel
 * that refuses only the restrictions is served unrestricted, and the start log says so. Registering goes
 * through the raw call: the shared library of Debian 12 does not export all of it.
 */
#include "uring.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SQ_ENTRIES = 1024,
    CQ_ENTRIES_MAX = 65536,
    WORKERS_MAX = 2, /* kernel threads behind one ring, of each sort; else it takes 4 for each core */
    BUFFERS_MAX = 32768,
    OPCODES_MAX = 256,
};

static const uint8_t opcodes_allowed[] = {
    IORING_OP_READ, IORING_OP_WRITE,  IORING_OP_WRITEV,   IORING_OP_FSYNC,        IORING_OP_SEND,
    IORING_OP_RECV, IORING_OP_ACCEPT, IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
};

static uint32_t power_of_two(uint32_t at_least)
{
    uint32_t result = 1;

    while (result < at_least)
        result *= 2;
    return result;
}

static int ring_register(struct uring *uring, unsigned opcode, const void *argument, unsigned count)
{
    return io_uring_register((unsigned)uring->ring.ring_fd, opcode, argument, count);
}

/* ---- 1, 2: rings ----------------------------------------------------------------------------------------
 */

static enum err ring_err(int result)
{
    switch (-result) {
    case EPERM:
    case EACCES: return ERR_DENIED;
    case ENOMEM: return ERR_NO_MEMORY;
    default: return ERR_UNSUPPORTED;
    }
}

static enum err create_ring(struct uring *uring)
{
    const unsigned common = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                            IORING_SETUP_CLAMP | IORING_SETUP_TASKRUN_FLAG;
    const unsigned attempts[] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                 IORING_SETUP_COOP_TASKRUN};
    const uint32_t completions = power_of_two(
        2 * (SQ_ENTRIES + uring->config.flights_max + uring->config.buffers_count));
    int result = -ENOSYS;

    for (size_t i = 0; i < 2; i++) {
        struct io_uring_params params = {
            .flags = common | attempts[i],
            .cq_entries = completions < CQ_ENTRIES_MAX ? completions : CQ_ENTRIES_MAX,
        };
        result = io_uring_queue_init_params(SQ_ENTRIES, &uring->ring, &params);
        uring->config.defer_taskrun = i == 0;
        if (result != -EINVAL) break;
    }
    if (result != 0) return ring_err(result);

    /* Entry i of the submission array always names entry i, whatever the library did. */
    if (uring->ring.sq.array != NULL)
        for (unsigned i = 0; i < uring->ring.sq.ring_entries; i++)
            uring->ring.sq.array[i] = i;
    return OK;
}

static enum err probe_opcodes(struct uring *uring)
{
    _Alignas(struct io_uring_probe)
        uint8_t room[sizeof(struct io_uring_probe) + OPCODES_MAX * sizeof(struct io_uring_probe_op)] = {0};
    const struct io_uring_probe *const probe = (const struct io_uring_probe *)room;

    const int result = ring_register(uring, IORING_REGISTER_PROBE, room, OPCODES_MAX);
    if (result != 0) return ring_err(result);
    const bool multishot_receive = probe->last_op >= IORING_OP_SEND_ZC;
    const unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_CQE_SKIP;
    return multishot_receive && (uring->ring.features & needed) == needed ? OK : ERR_UNSUPPORTED;
}

/* ---- 3: what belongs to the ring ------------------------------------------------------------------------
 */

static enum err create_buffers(struct uring *uring)
{
    const uint32_t count = uring->config.buffers_count;
    if (count == 0) return OK;

    uring->buffer_ring = io_memory(count * sizeof(struct io_uring_buf));
    uring->buffers = io_memory((size_t)count * uring->config.buffer_bytes);
    if (uring->buffer_ring == NULL || uring->buffers == NULL) return ERR_NO_MEMORY;

    const struct io_uring_buf_reg ring = {
        .ring_addr = (uintptr_t)uring->buffer_ring, .ring_entries = count, .bgid = 0};
    const int result = ring_register(uring, IORING_REGISTER_PBUF_RING, &ring, 1);
    if (result != 0) return ring_err(result);
    for (uint32_t i = 0; i < count; i++)
        uring__buffer_return(uring, i);
    uring__buffers_publish(uring);
    return OK;
}

/* Fewer lookups in each system call; works as well without. */
static void register_ring_fd(struct uring *uring)
{
    struct io_uring_rsrc_update update = {.offset = UINT32_MAX, .data = (uint64_t)uring->ring.ring_fd};

    uring->config.enter_fd = uring->ring.ring_fd;
    uring->config.ring_fd_registered = ring_register(uring, IORING_REGISTER_RING_FDS, &update, 1) == 1;
    if (!uring->config.ring_fd_registered) return;
    uring->config.enter_fd = (int)update.offset;
    uring->config.enter_flags = IORING_ENTER_REGISTERED_RING;
}

static void limit_workers(struct uring *uring)
{
    unsigned limits[2] = {WORKERS_MAX, WORKERS_MAX};

    ring_register(uring, IORING_REGISTER_IOWQ_MAX_WORKERS, limits,
                  2); /* a refusal costs threads, nothing else */
}

/* ---- 4, 5: restrictions ---------------------------------------------------------------------------------
 */

static void restrict_ring(struct uring *uring)
{
    enum { OPCODES = sizeof opcodes_allowed };
    struct io_uring_restriction rules[OPCODES + 1];

    memset(rules, 0, sizeof rules);
    for (unsigned i = 0; i < OPCODES; i++) {
        rules[i].opcode = IORING_RESTRICTION_SQE_OP;
        rules[i].sqe_op = opcodes_allowed[i];
    }
    rules[OPCODES].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[OPCODES].sqe_flags = IOSQE_BUFFER_SELECT;

    const int result = ring_register(uring, IORING_REGISTER_RESTRICTIONS, rules, OPCODES + 1);
    uring->config.restricted = result == 0;
    if (result != 0) log_warn("io", "the ring runs unrestricted", "error=%s", strerror(-result));
}

static enum err enable_ring(struct uring *uring)
{
    const int result = ring_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

    return result == 0 ? OK : ring_err(result);
}

/* ---- tables ---------------------------------------------------------------------------------------------
 */

static size_t flights_bytes(const struct uring *uring)
{
    return uring->config.flights_max * sizeof uring->flights[0];
}

static size_t iovecs_bytes(const struct uring *uring)
{
    return (size_t)uring->config.flights_max * IO_PIECES_MAX * sizeof uring->iovecs[0];
}

static size_t queue_bytes(const struct uring *uring)
{
    return (uring->config.queue_mask + 1) * sizeof uring->queue[0];
}

static size_t sockets_bytes(const struct uring *uring)
{
    return (uring->config.sockets_max + 1) * sizeof uring->sockets[0];
}

static enum err create_tables(struct uring *uring)
{
    uring->flights = io_memory(flights_bytes(uring));
    uring->iovecs = io_memory(iovecs_bytes(uring));
    uring->queue = io_memory(queue_bytes(uring));
    uring->sockets = io_memory(sockets_bytes(uring));
    if (uring->flights == NULL || uring->iovecs == NULL || uring->queue == NULL || uring->sockets == NULL)
        return ERR_NO_MEMORY;

    /* Few flights write pieces: a page each, not a huge page for all. */
    madvise(uring->iovecs, iovecs_bytes(uring), MADV_NOHUGEPAGE);
    for (uint32_t i = 0; i < uring->config.flights_max; i++) {
        uring->flights[i].generation = 1;
        uring->flights[i].next_free = i + 1 < uring->config.flights_max ? i + 1 : URING_NOBODY;
    }
    for (uint32_t i = 0; i < uring->config.sockets_max; i++)
        uring->sockets[i] = (struct uring_socket){
            .fd = -1, .next_free = i + 1 < uring->config.sockets_max ? i + 1 : URING_NOBODY};
    uring->sockets_free = uring->config.sockets_max > 0 ? 0 : URING_NOBODY;
    return OK;
}

static void configure(struct uring *uring, const struct io_config *config)
{
    uring->config.metrics = config->metrics;
    uring->config.ops_max = config->ops_max;
    uring->config.sockets_max = config->sockets_max;
    uring->config.buffers_count = config->receive_buffers;
    uring->config.buffer_bytes = config->receive_buffer_bytes;
    uring->config.flights_max = config->ops_max       /* operations */
                                + config->sockets_max /* a receive on each */
                                + URING_LISTENERS_MAX /* accepting */
                                + URING_LINGERS_MAX   /* closing */
                                + 1;                  /* waking */
    uring->config.queue_mask = power_of_two(2 * uring->config.flights_max) -
                               1; /* each once to submit, once to cancel */
}

enum err io_open_uring(const struct io_config *config, struct io **out)
{
    assert(config->receive_buffers <= BUFFERS_MAX);
    assert((config->receive_buffers & (config->receive_buffers - 1)) == 0);
    assert(config->ops_max < 1 << 20 && config->sockets_max < 1 << 20);

    struct uring *const uring = io_memory(sizeof *uring);
    if (uring == NULL) return ERR_NO_MEMORY;
    uring->io.backend = &uring__backend;
    uring->io.wake_fd = -1;
    uring->ring.ring_fd = -1;
    uring->timers_ns = UINT64_MAX;
    configure(uring, config);

    enum err err = create_tables(uring);
    if (err == OK) err = io__wake_open(&uring->io);
    if (err == OK) err = create_ring(uring);
    if (err == OK) err = probe_opcodes(uring);
    if (err == OK) err = create_buffers(uring);
    if (err == OK) {
        register_ring_fd(uring);
        limit_workers(uring);
        restrict_ring(uring);
        err = enable_ring(uring);
    }
    if (err != OK) {
        uring__teardown(uring);
        return err;
    }
    uring__take_off(uring, FLIGHT_WAKE, uring->io.wake_fd, NULL);
    *out = &uring->io;
    return OK;
}

void uring__teardown(struct uring *uring)
{
    if (uring->ring.ring_fd >= 0) io_uring_queue_exit(&uring->ring);
    io__wake_close(&uring->io);
    io_memory_free(uring->buffers, (size_t)uring->config.buffers_count * uring->config.buffer_bytes);
    io_memory_free(uring->buffer_ring, uring->config.buffers_count * sizeof(struct io_uring_buf));
    io_memory_free(uring->sockets, sockets_bytes(uring));
    io_memory_free(uring->queue, queue_bytes(uring));
    io_memory_free(uring->iovecs, iovecs_bytes(uring));
    io_memory_free(uring->flights, flights_bytes(uring));
    io_memory_free(uring, sizeof *uring);
}
