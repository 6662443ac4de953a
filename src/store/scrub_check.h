/* Reading one closed segment against its sums, unit by unit. */
#ifndef STORE_SCRUB_CHECK_H
#define STORE_SCRUB_CHECK_H

#include "catalog_private.h"
#include "store/look.h"
#include "store/scrub.h"

/* A closed segment, its file open once more, for reads that go to the disk. */
struct scrub_check {
    struct io *io;
    const struct segment *segment; /* borrowed */
    struct segment_file *file;
    const struct scrub_config *config;
    uint64_t bytes; /* read so far */
    bool stopped;   /* pause() has said so */
};

/* What is wrong with a unit; more than the first fault is only counted. */
struct scrub_faults {
    struct look_fault first; /* its offset is in the file */
    uint32_t count;
    bool lost; /* of a block: it cannot be served any more */
};

/* ERR_NOT_FOUND: the file was removed meanwhile. */
enum err scrub_check_open(struct catalog *catalog, struct io *io, const struct segment *segment,
                          const struct scrub_config *config, struct scrub_check *out);
void scrub_check_close(struct scrub_check *check);
/*
 * OK: read, and judged. ERR_CLOSING: pause() has said stop; ERR_NO_MEMORY. What cannot be read is a fault. unit: a block's
 * place; the number of blocks: all that is around them.
 */
enum err scrub_check_unit(struct scrub_check *check, uint32_t unit, struct scrub_faults *faults);

#endif
