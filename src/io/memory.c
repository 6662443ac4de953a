/*
 * Big memory: whole pages straight from the system, zeroed, for pools, buffers and live blocks.
 *
 * Ranges of 2 MiB and more start on a 2 MiB border and ask for huge pages: a live block is walked at random
 * by lookups, and the fewer translations it needs the better. The system may refuse; nothing depends on it.
 *
 * On a machine with several memory nodes a page comes from the node of the CPU that touches it first, unless somebody
 * has said otherwise for the whole process (numactl --interleave); io_memory_near() says so for one thread, as a
 * wish: a full node must not stop us. It is called directly, the one call is not worth a library.
 */
#include "io/io.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HUGE_PAGE = 2 << 20, NODES_MAX = 1024, NODE_WORD_BITS = 8 * sizeof(unsigned long) };

static size_t whole_pages(size_t bytes)
{
    return (bytes + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
}

static uint8_t *map(size_t bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

/* Maps more than is asked and gives back what stands before and behind the border. */
static uint8_t *map_huge(size_t bytes)
{
    uint8_t *const memory = map(bytes + HUGE_PAGE);
    if (memory == NULL) return NULL;

    const size_t before = (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    const size_t behind = HUGE_PAGE - before;
    if (before > 0) munmap(memory, before);
    if (behind > 0) munmap(memory + before + bytes, behind);
    madvise(memory + before, bytes, MADV_HUGEPAGE);
    return memory + before;
}

void *io_memory(size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX - 2 * (size_t)HUGE_PAGE) return NULL;

    return bytes >= HUGE_PAGE ? map_huge(whole_pages(bytes)) : map(whole_pages(bytes));
}

void io_memory_free(void *memory, size_t bytes)
{
    if (memory != NULL) munmap(memory, whole_pages(bytes));
}

void io_memory_forget(void *memory, size_t bytes)
{
    assert((uintptr_t)memory % IO_ALIGN == 0);
    assert(bytes % IO_ALIGN == 0);

    if (bytes > 0) madvise(memory, bytes, MADV_DONTNEED);
}

enum err io_memory_near(unsigned *node)
{
    unsigned long nodes[NODES_MAX / NODE_WORD_BITS] = {0};
    unsigned cpu, own;

    if (syscall(SYS_getcpu, &cpu, &own, NULL) != 0) return err_from_errno(errno);
    if (own >= NODES_MAX) return ERR_UNSUPPORTED;
    nodes[own / NODE_WORD_BITS] = 1UL << own % NODE_WORD_BITS;
    if (syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, NODES_MAX + 1 /* it counts one less */) != 0)
        return err_from_errno(errno);
    *node = own;
    return OK;
}
