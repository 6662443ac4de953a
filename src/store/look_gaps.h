/*
 * Where nothing should be: the bytes of a file or block that none of its parts takes. They are zeros, and a look says
 * where they are not, or where two parts overlap.
 */
#ifndef STORE_LOOK_GAPS_H
#define STORE_LOOK_GAPS_H

#include "store/look.h"

struct extent {
    uint64_t offset, len;
};

/*
 * Sorts the extents, which lie in [0, end), and tells each gap that is not all zero, and each overlap. ERR_IO: a gap
 * could not be read, which is told as well.
 */
enum err look_gaps(const struct block_source *source, struct extent *extents, uint32_t count, uint64_t end,
                   look_fault_fn *tell, void *context);

/* The same of a block, whose header and section table are sound. What cannot be read is told, and no error. */
struct block_reader;
enum err look_block_gaps(const struct block_reader *reader, look_fault_fn *tell, void *context);

static inline void look_tell(look_fault_fn *tell, void *context, const char *what, uint64_t offset)
{
    const struct look_fault fault = {
        .what = what, .offset = offset, .section = LOOK_NONE, .page = LOOK_NONE, .column = LOOK_NONE};
    tell(context, &fault);
}

#endif
