/*
 * A simulated world from inside: the disk, the operations that are on their way to it, the clock, the dice,
 * the planned faults. The contract is io/sim.h.
 *
 *   sim.c         the world: opening, events, faults, time, what tests ask about files
 *   sim_io.c      struct io over a world: names, files, operations, turns
 *   sim_image.c   what a crash may leave
 *   sim_disk.c    what is visible, durable and pending
 *   sim_content.c shared bytes
 */
#ifndef IO_SIM_WORLD_H
#define IO_SIM_WORLD_H

#include "backend.h"
#include "sim_disk.h"

#include "io/sim.h"

enum { SIM_FAULTS_MAX = 32 };

enum sim_event_kind {
    EVENT_READ = SIM_OP_READ,
    EVENT_WRITE = SIM_OP_WRITE,
    EVENT_DATASYNC = SIM_OP_DATASYNC,
    EVENT_DIR_SYNC = SIM_OP_DIR_SYNC,
    EVENT_DIR_OPEN = SIM_OP_DIR_OPEN,
    EVENT_DIR_LIST = SIM_OP_DIR_LIST,
    EVENT_OPEN = SIM_OP_OPEN,
    EVENT_SIZE = SIM_OP_SIZE,
    EVENT_ALLOCATE = SIM_OP_ALLOCATE,
    EVENT_TRUNCATE = SIM_OP_TRUNCATE,
    EVENT_LOCK = SIM_OP_LOCK,
    EVENT_RENAME = SIM_OP_RENAME,
    EVENT_UNLINK = SIM_OP_UNLINK,
    EVENT_SPACE = SIM_OP_SPACE,
    EVENT_LINK = SIM_OP_LINK,
    EVENT_DIR_REMOVE = SIM_OP_DIR_REMOVE,
};

/* An operation between submit and landing. */
struct sim_flight {
    struct sim_flight *next; /* of the world, in the order of submission */
    struct sim_io *io;       /* borrowed */
    struct io_op *op;        /* borrowed; NULL for the waiting calls */
    enum sim_event_kind kind;
    uint32_t inode;
    bool durable; /* a write to an IO_DSYNC file */
    uint64_t offset;
    size_t len;
    uint8_t *bytes;       /* WRITE: a copy, owned */
    uint8_t *buf;         /* READ: where to, borrowed */
    uint64_t sequence;    /* DATASYNC: covers what was pending before */
    uint64_t earliest_ns; /* stalled until then */
    bool cut_short;       /* READ: only half of it comes */
    uint64_t count;       /* after landing */
    unsigned pieces_count;
    struct io_piece pieces[]; /* WRITE: borrowed, to see that nobody changed them in flight */
};

struct sim_io {
    struct io io;
    struct sim *sim;
    struct sim_io *next;
    struct io_op *landed_first; /* linked through private_words[0] */
    struct io_op *landed_last;
};

struct sim_dir {
    struct io_dir dir;
    struct sim_dir *next;
    uint32_t index;
};

struct sim_file {
    struct io_file file;
    struct sim_file *next;
    uint32_t inode;
};

struct sim_plan { /* a fault to come */
    enum sim_fault kind;
    uint64_t nth; /* counts down; 0: now, and from now on when forever */
    enum err err; /* OK: a stall */
    bool forever;
    uint64_t stall_ns;
};

struct sim {
    struct {
        uint64_t seed;
        uint32_t sector_bytes;
    } config;

    struct sim_disk disk;
    struct sim_flight *flights;
    struct sim_io *ios;
    struct sim_dir *dirs;
    struct sim_file *files;

    uint64_t now_ns;
    int64_t wall_offset_ns;
    uint64_t dice;       /* state: order, latency, tearing */
    uint64_t randomness; /* state: io_random() */
    uint64_t space_free_bytes, space_total_bytes;

    uint64_t events;
    uint64_t changes;
    uint64_t hash;
    sim_watch_fn *watch;
    void *watch_context;
    struct sim_plan plans[SIM_FAULTS_MAX];
    unsigned plans_count;
    struct sim_place place; /* times 0: none */
    uint64_t met;
};

/* A number below `below` (0: any), from a state of its own. */
uint64_t sim__roll(uint64_t *state, uint64_t below);
/* One event: the watcher sees the world before it, the fault planned for it is returned, the clock moves on.
 */
enum err sim__event(struct sim *sim, enum sim_event_kind kind, uint64_t a, uint64_t b, uint64_t c);
/*
 * The fault of the place that was set, if the event is there: moves the clock by its stall. text: the name in directory a, or
 * NULL: a is an inode, or a directory for what is done to directories.
 */
enum err sim__place(struct sim *sim, enum sim_event_kind kind, uint64_t a, const char *text);
/* What came out of it joins the hash. */
void sim__result(struct sim *sim, enum err err, uint64_t value);
/* How long an operation that is submitted now is held up by a planned stall; 0: not at all. */
uint64_t sim__stall_ns(struct sim *sim, enum sim_event_kind kind);
void sim__free_flight(struct sim *sim, struct sim_flight *flight);
struct sim *sim__open(uint64_t seed, uint32_t sector_bytes);

extern const struct io_backend sim__backend;

#endif
