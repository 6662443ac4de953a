/*
 * How far the scrubber is, for the next life: the file "scrub" in the data directory (FORMAT.md, "Scrub note"). It may be lost at any
 * time: then a pass begins at its beginning.
 */
#ifndef STORE_SCRUB_NOTE_H
#define STORE_SCRUB_NOTE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct io;
struct io_dir;

/* Where a pass is: units of the segment below `unit` are done, and so are all segments before it. */
struct scrub_place {
    uint64_t created_ns, seq; /* of the segment; with its shard, the order of a pass */
    uint32_t unit;            /* a block by its place; the number of blocks: what is around them */
    uint16_t shard;
};

struct scrub_note {
    uint64_t began_ns; /* wall clock; of the pass that runs, or ran last; 0: none ever */
    uint64_t ended_ns; /* of the last whole pass; 0: none ever */
    struct scrub_place place;
    bool running; /* the pass that began has not ended */
};

/* ERR_NOT_FOUND: there is none, or it is damaged. */
enum err scrub_note_read(struct io *io, struct io_dir *dir, struct scrub_note *out);
/* Durable when OK. */
enum err scrub_note_write(struct io *io, struct io_dir *dir, const struct scrub_note *note);

#endif
