/*
 * Scrubbing: what lies on the disk for long is read again, so that bits that change at rest are found while there is still
 * time to do something about it, and not by the question that needs them.
 *
 * A pass reads every closed segment that there was when it began: each block against its sums, the directory, the rows of
 * filters, the header, the trailer, and the zeros in between. Bytes come from the disk, not from the page cache, as far as
 * the file system can do that. What is wrong twice in a row is told and counted; a block whose sums fail, or that cannot be
 * read, is fenced (store/segment.h), so that answers over it are partial from now on.
 *
 *   scrubber_open()    remembers how far the last life had come ("scrub" in the data directory)
 *   scrubber_step()    one block, or what is around the blocks of a segment; again and again
 *   scrubber_close()   notes how far it is
 *
 * The place is noted once a minute, at the end of a pass and when closing: what a crash costs is a minute's reading. One
 * thread at a time. Holds one block in memory.
 */
#ifndef STORE_SCRUB_H
#define STORE_SCRUB_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct io;
struct io_dir;
struct scrubber;

enum { SCRUB_PIECE_BYTES = 256 * 1024 };

struct scrub_config {
    uint64_t
        every_ns; /* from the beginning of a pass to that of the next; a longer pass is followed at once */
    /*
     * Called after each read, of at most SCRUB_PIECE_BYTES: the place to wait, so that a rate is kept. false: it is time
     * to stop, and the step ends without a judgement.
     */
    bool (*pause)(void *context, uint64_t bytes);
    void *context;
};

struct scrub_counts {
    uint64_t bytes;        /* read, in this life */
    uint64_t faults;       /* found, in this life */
    uint64_t passes;       /* ended, in this life */
    uint64_t last_pass_ns; /* wall clock of the end of the last whole pass, of any life; 0: there was none */
};

/* dir is the data directory; it and the catalog stay borrowed until closed. A note that is missing or damaged is none. */
enum err scrubber_open(struct io *io, struct io_dir *dir, struct catalog *catalog,
                       const struct scrub_config *config, struct scrubber **out);
/* false: there is nothing to do until the next pass is due, or pause() has said stop. */
bool scrubber_step(struct scrubber *scrubber, struct io *io);
const struct scrub_counts *scrubber_counts(const struct scrubber *scrubber);
void scrubber_close(struct scrubber *scrubber, struct io *io);

#endif
