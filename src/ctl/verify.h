/*
 * What `spanmillctl verify` does with a data directory: every file is looked at, each thing that does not hold is a
 * finding. A finding is damage, or a note: what a crash may leave behind, and a start puts right or does not need.
 */
#ifndef CTL_VERIFY_H
#define CTL_VERIFY_H

#include "progress.h"
#include "store/look.h"

enum { VERIFY_FILE_MAX = 320, VERIFY_DETAIL_MAX = 200 };

struct finding {
    bool damage;                /* else a note */
    char file[VERIFY_FILE_MAX]; /* relative to the data directory */
    uint64_t offset;            /* in the file */
    uint32_t block;             /* its number in the file; LOOK_NONE, as the next three */
    uint32_t section, page, column;
    const char *section_name; /* NULL without a section */
    uint64_t seq;             /* of the block */
    char what[VERIFY_DETAIL_MAX];
};
typedef void finding_fn(void *context, const struct finding *finding);

struct verify_totals {
    uint64_t segments, blocks, spans, bytes;
    uint64_t damaged; /* findings that are damage */
    uint64_t notes;
};

struct verify_options {
    bool while_running; /* closed segments only, without the lock */
};

struct io;
struct io_dir;

/*
 * ERR_BUSY: a server works there (not with while_running). ERR_NOT_FOUND: not a data directory. ERR_VERSION,
 * ERR_NO_MEMORY: the totals are of what was looked at before. progress is told bytes.
 */
enum err verify_directory(struct io *io, struct io_dir *dir, const struct verify_options *options,
                          struct progress *progress, finding_fn *tell, void *context,
                          struct verify_totals *out);

#endif
