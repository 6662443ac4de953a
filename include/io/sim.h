/*
 * A simulated world for crash tests: one thread, one seed, virtual time. Every file operation of every struct
 * io of the world is an event. Which pending operation completes next, and after how long, is drawn from the
 * seed, so one seed gives one history (sim_hash()).
 *
 * The disk keeps, per file, what is durable and what is pending, in sectors. A completed plain write is
 * visible but pending until a datasync of that file has completed; a completed IO_DSYNC write is durable;
 * nothing else is ordered. Size, allocation and directory entries are pending until the file or directory is
 * synced (strict POSIX). Memory written to a world is copied, so a world can be forked at any event. A buffer
 * that changes while it is being written stops the test; a buffer that is being read into holds 0xa5 until
 * the read has landed.
 *
 * A directory made by io_dir_open() is durable at once, and so is the removal of one, as on the real system. Names have at most 63 bytes,
 * paths 255. Time moves with events; an io_turn() with nothing in flight moves it by wait_ns. Allocation
 * failures end the test.
 */
#ifndef IO_SIM_H
#define IO_SIM_H

#include "io/io.h"

struct sim;

struct sim_config {
    uint64_t seed;
    uint32_t sector_bytes; /* 512 or 4096 */
};

struct sim *sim_open(const struct sim_config *config);
void sim_close(struct sim *sim); /* after every io of it is closed, or with sim_abandon() */
/* Another thread's view of the same world (all run on the one real thread). io_close() as usual. */
struct io *sim_io(struct sim *sim);

/* Number of events so far, and a hash over their kinds, arguments and results. */
uint64_t sim_events(const struct sim *sim);
uint64_t sim_hash(const struct sim *sim);

/* Called before each event takes effect (with the world as a crash at that instant would find it). */
typedef void sim_watch_fn(void *context, struct sim *sim);
void sim_watch(struct sim *sim, sim_watch_fn *watch, void *context);

/*
 * Crash images of this instant. The tear set is linear: for each pending write {none, all, every prefix,
 * every suffix, every single hole} in sectors with all the other pending things {lost, kept}; for pending
 * metadata {lost, kept}; writes with few sectors every subset. sim_crash() makes the world that a restart
 * would find: no io, nothing pending. Image numbers are stable for one instant.
 */
uint64_t sim_images(const struct sim *sim);
struct sim *sim_crash(const struct sim *sim, uint64_t image, uint64_t seed);
/* While it stays as it is, so do the images of this instant: between two events that only read. */
uint64_t sim_changes(const struct sim *sim);
/*
 * Of all names, sizes and bytes that programs see, not of the clock and the dice: two crash images with one hash are the same to a
 * restart, but for the time of day.
 */
uint64_t sim_disk_hash(const struct sim *sim);
/* A random image instead: each pending sector old, new or (of the last write only) garbage; metadata
 * likewise. */
struct sim *sim_crash_random(const struct sim *sim, uint64_t seed);

/* Fault injection: the nth event from now (1 = next) of the given kind fails with err; forever repeats it. */
enum sim_fault { SIM_FAULT_ANY, SIM_FAULT_READ, SIM_FAULT_WRITE, SIM_FAULT_SYNC, SIM_FAULT_NAME };
void sim_fail(struct sim *sim, enum sim_fault kind, uint64_t nth, enum err err, bool forever);
/* The nth read, write or datasync submitted from now is held up: it does not land before ns of virtual time.
 */
void sim_stall(struct sim *sim, enum sim_fault kind, uint64_t nth, uint64_t ns);
/*
 * The same at one place: the next `times` operations of the kind on a path that contains `part`, or ends with it when a '$'
 * follows (a file's path; a directory's with a slash for what is done to directories; of a rename the new name), each delayed by stall_ns, then failing with err unless that is OK.
 * short_read: reads end after half of their bytes, as at the end of the file. One place at a time; times 0: none any more.
 */
enum sim_op {
    SIM_OP_READ,
    SIM_OP_WRITE,
    SIM_OP_DATASYNC,
    SIM_OP_DIR_SYNC,
    SIM_OP_DIR_OPEN,
    SIM_OP_DIR_LIST,
    SIM_OP_OPEN,
    SIM_OP_SIZE,
    SIM_OP_ALLOCATE,
    SIM_OP_TRUNCATE,
    SIM_OP_LOCK,
    SIM_OP_RENAME,
    SIM_OP_UNLINK,
    SIM_OP_SPACE,
    SIM_OP_LINK,
    SIM_OP_DIR_REMOVE,
};
struct sim_place {
    enum sim_op op;
    const char *part; /* borrowed */
    uint64_t after;   /* so many go well before */
    uint64_t times;
    enum err err;
    uint64_t stall_ns;
    bool short_read;
};
void sim_fail_at(struct sim *sim, const struct sim_place *place);
/* How often the place was met since it was set. */
uint64_t sim_met(const struct sim *sim);
/* Takes back all faults and stalls that have not come yet, and lets go what is held up. */
void sim_forgive(struct sim *sim);
/*
 * Below, a path is the directory's as it was opened plus the name, or its last components:
 * "journal/0/00000000" finds "data/journal/0/00000000". ERR_NOT_FOUND: no such file, or beyond its end.
 */
/* Flips a bit of the visible and durable bytes of a closed or open file. */
enum err sim_flip(struct sim *sim, const char *path, uint64_t bit);
/* Looks at, or replaces (visible and durable), bytes of a file; neither is an event. */
enum err sim_peek(struct sim *sim, const char *path, uint64_t offset, void *bytes, size_t len);
enum err sim_poke(struct sim *sim, const char *path, uint64_t offset, const void *bytes, size_t len);
enum err sim_file_bytes(struct sim *sim, const char *path, uint64_t *bytes);
/* Lists the paths of all files, sorted. */
void sim_list(struct sim *sim, void (*visit)(void *context, const char *path), void *context);
void sim_advance(struct sim *sim, uint64_t ns);
/* The wall clock jumps, forwards or backwards; io_now_ns() does not. */
void sim_jump(struct sim *sim, int64_t wall_ns);
/* What io_space() says; writing does not change it (a full disk is sim_fail() with ERR_NO_SPACE). */
void sim_set_space(struct sim *sim, uint64_t free_bytes, uint64_t total_bytes);
/* Frees a world and every io, file and directory handle that code under test still holds (after a simulated
 * kill). */
void sim_abandon(struct sim *sim);

#endif
