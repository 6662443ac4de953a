/*
 * Backups: what the store had at one moment, whole and restorable, in a directory of its own below the data directory
 * (src/store/FORMAT.md, "Backup"), made while the store is in use. Segments that will never change are second names of the same
 * files and cost nothing; what is not closed yet is copied. Merges, expiry and erasures do not reach it.
 *
 *   backups_open()    reads what is there; what a crash has left unfinished is removed
 *   backups_order()   asks for one; any thread
 *   backups_step()    makes it, on the thread that merges and removes segments, with its io
 *   backups_visit(), backups_remove()   any thread
 *   backups_close()   throws away what is unfinished
 *
 * Everything that was acknowledged before the order is in it: all live blocks are sealed first, so it needs no journal.
 * Restored, it is a data directory: copied to an empty place, and looked at by backup_arrive() at the start.
 *
 * Bounded: BACKUPS_MAX, and one is made at a time.
 */
#ifndef STORE_BACKUPS_H
#define STORE_BACKUPS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct backups;
struct catalog;
struct io;
struct io_dir;
struct retention;
struct superblock;

enum { BACKUPS_MAX = 64, BACKUP_NAME_MAX = 48 };

struct backups_config {
    struct io_dir *data;                 /* borrowed, as all of it */
    const struct superblock *superblock; /* its file is open */
    struct catalog *catalog;
    /*
     * Has everything sealed that is acknowledged by now, and says when it is. On the thread of backups_step(). The ticket is
     * for the second one.
     */
    uint32_t (*seal)(void *context);
    bool (*is_sealed)(void *context, uint32_t ticket);
    void *context;
};

enum backup_state {
    BACKUP_MAKING,
    BACKUP_COMPLETE,
    BACKUP_FAILED,  /* the last order; nothing of it is left */
    BACKUP_DAMAGED, /* complete once; its list of files cannot be read */
};

struct backup {
    char name[BACKUP_NAME_MAX + 1];
    enum backup_state state;
    enum err err;                  /* BACKUP_FAILED: why */
    uint64_t created_ns;           /* wall clock, when it was ordered */
    uint64_t blocks, spans, bytes; /* bytes: of all segment files, copied or not */
    uint64_t copied_bytes;         /* of these; the rest costs nothing as long as the store has it, too */
    uint32_t segments;
};

/* A letter or digit, then up to 47 of these and of . _ - */
bool backup_name_is_good(const char *name);

enum err backups_open(struct io *io, const struct backups_config *config, struct backups **out);
void backups_close(struct backups *backups, struct io *io);

/* ERR_MALFORMED: no such name may be given. ERR_EXISTS. ERR_FULL: BACKUPS_MAX. ERR_BUSY: another one is being made. */
enum err backups_order(struct backups *backups, const char *name, uint64_t now_ns);
/* A piece of work. False: nothing to do now. Failures are logged, counted, and shown until the next order. */
bool backups_step(struct backups *backups, struct io *io);
/* ERR_NOT_FOUND. ERR_BUSY: it is being made. Other errors: what is left of it is removed by the next try, or start. */
enum err backups_remove(struct backups *backups, struct io *io, const char *name);

/* All of them by name, then the one that is being made, or has failed. backup is borrowed for the call. */
void backups_visit(struct backups *backups, void (*visit)(void *context, const struct backup *backup),
                   void *context);

struct backups_counts {
    uint64_t complete;   /* that are there */
    uint64_t failures;   /* since the start */
    uint64_t last_ns;    /* when the newest was ordered, wall clock; 0: there is none */
    uint64_t held_bytes; /* of segments that the store has no longer, but backups have */
};
struct backups_counts backups_counts(struct backups *backups);

/*
 * retention_step(), with an eye on backups: what it removes gives nothing back as long as a backup has it, but has gone all the same
 * (catalog_kept_bytes()), or a disk that is full of backups would empty the store. On the thread of backups_step().
 */
bool backups_retain(struct backups *backups, struct retention *retention, struct io *io, uint64_t now_ns);

/*
 * At a start, before anything else is looked at: is this directory a backup that was copied here? Then all of it must be there,
 * and nothing else; and it is one no longer, but a data directory. *arrived: that has happened. ERR_CORRUPT: it is not whole, or not alone.
 */
enum err backup_arrive(struct io *io, struct io_dir *data, uint64_t instance, bool *arrived);

#endif
