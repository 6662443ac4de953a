/*
 * What pins keep of a version: which traces are pinned, and how many rows of a segment belong to them. The traces that have
 * a span which a pin means are found block by block, once, and remembered as hashes; so a trace is whole: a segment that
 * has another of its spans is asked by trace, not by what the pin says.
 *
 *   pin_guard_open() -> pin_guard_begin() for each version -> pin_guard_share(), pin_guard_keeps() -> pin_guard_close()
 *
 * Blocks that no shard has sealed yet are not looked at. One thread.
 */
#ifndef STORE_PIN_GUARD_H
#define STORE_PIN_GUARD_H

#include "catalog_private.h"
#include "store/pins.h"

/*
 * Traces that are remembered one by one, 32 to 64 MiB of memory. When pins mean more, segments are kept whole that have
 * spans from within a day of a pin's range.
 */
enum { PIN_GUARD_TRACES_MAX = 1 << 20 };

struct pin_guard;
/* traces_max: PIN_GUARD_TRACES_MAX, but in tests. */
enum err pin_guard_open(struct pins *pins, const struct selector_matcher *matcher, size_t traces_max,
                        struct pin_guard **out);
void pin_guard_close(struct pin_guard *guard);

/* How blocks are read. check, which may be NULL, is asked before each block is looked into, and before the blocks of a
 * segment are counted; what it says other than OK ends the call. */
struct pin_guard_look {
    const struct catalog_view *view;
    struct io *io;
    uint64_t horizon_ns; /* by which pins end */
    enum err (*check)(void *context);
    void *context;
};
/* What follows is about this version and the pins as they are now. look must stay until the next begin. */
void pin_guard_begin(struct pin_guard *guard, const struct pin_guard_look *look);
/* The list that the answers are about; valid until the next begin. */
const struct pin_list *pin_guard_list(const struct pin_guard *guard);

struct pin_share {
    uint64_t spans;  /* that must stay; all of the segment: it stays as it is */
    uint64_t pin_id; /* of those that hold it the one that ends last; 0: the list is damaged */
};
/*
 * What of a segment, by number in the view, is pinned. What is known stays known when check has ended a call before:
 * asked again, it goes on. ERR_NO_MEMORY, and what reading blocks and check say.
 */
enum err pin_guard_share(struct pin_guard *guard, uint32_t segment, struct pin_share *out);
/* Is the trace pinned? Only after a share was told since begin. */
bool pin_guard_keeps(const struct pin_guard *guard, const struct trace_id *id);

#endif
