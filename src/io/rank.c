/*
 * How long a woken thread waits for one that computes on its CPU depends on the share of the CPU that each is entitled to:
 * niceness. Questions and merges are far behind, so that a shard is next whenever it is woken; they lose nothing
 * while there is time left. A sealer is not behind at all: it is half of ingest.
 */
#include "io/rank.h"

#include "base/assert.h"

#include <sys/resource.h>

static const int niceness[IO_CLASSES] = {
    [IO_JOURNAL] = 0,  [IO_ENCODE] = 0,     [IO_QUERY] = 15,
    [IO_COMPACT] = 17, [IO_RETENTION] = 17, [IO_SCRUB] = 19,
};

bool io_rank(enum io_class class)
{
    assert((unsigned)class < IO_CLASSES);

    return niceness[class] == 0 ||
           setpriority(PRIO_PROCESS, 0 /* on Linux: this thread */, niceness[class]) == 0;
}
