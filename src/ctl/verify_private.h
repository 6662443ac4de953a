/* The state of one verification, shared by verify_directory.c, verify_segments.c, verify_order.c and verify_journals.c. */
#ifndef CTL_VERIFY_PRIVATE_H
#define CTL_VERIFY_PRIVATE_H

#include "io/io.h"
#include "verify.h"

/* Journals are looked for by number: one may be missing, but not so many in a row. */
enum { VERIFY_MISSING_MAX = 32 };

/* A block that was found, for what must hold among all of them. */
struct placed_block {
    uint16_t shard;
    bool counts; /* moves the sealed LSN at a start */
    bool damaged;
    uint64_t seq, lsn_first, lsn_end;
    uint64_t offset;
    uint32_t segment; /* number in names */
    uint32_t block;
};

struct replaced_segment {
    struct segment_look_replaced segment;
    uint32_t by; /* number in names */
};

struct name_list {
    char (*names)[128];
    uint32_t count, capacity;
    bool no_memory;
};

struct verify {
    struct io *io;
    struct io_dir *dir;
    struct verify_options options;
    struct progress *progress;
    finding_fn *tell;
    void *context;
    struct verify_totals totals;
    bool instance_known;
    uint64_t instance;
    struct name_list segments;
    struct placed_block *placed;
    uint32_t placed_count, placed_capacity;
    /* of all merged segments */
    struct replaced_segment *replaced;
    uint32_t replaced_count;
    struct segment_look_position positions[CATALOG_SHARDS_MAX]; /* by shard; the highest */
    /* where findings are just now */
    char file[VERIFY_FILE_MAX];
};

/* A finding in the file at hand; format is of what was found. */
__attribute__((format(printf, 4, 5))) void verify_damage(struct verify *verify, uint64_t offset,
                                                         uint32_t block, const char *format, ...);
__attribute__((format(printf, 3, 4))) void verify_note(struct verify *verify, uint64_t offset,
                                                       const char *format, ...);
/* A fault told by the store, in the file at hand; context is the struct verify. */
void verify_on_fault(void *context, const struct look_fault *fault);
void verify_tell(struct verify *verify, const struct finding *finding);

/* Regular files of a directory, sorted by name. */
enum err verify_list(struct verify *verify, struct io_dir *dir, struct name_list *list);
enum err verify_journal_open(struct verify *verify, unsigned shard, struct io_dir **dir);
void verify_bytes(struct verify *verify, uint64_t bytes);

enum err verify_segments(struct verify *verify);
/* Intervals of the blocks of each shard in its journal: no overlap, no hole. */
void verify_order(struct verify *verify);
enum err verify_journals(struct verify *verify);
/* All of a shard below is in blocks. */
uint64_t verify_sealed_lsn(const struct verify *verify, uint16_t shard, bool *any);

#endif
