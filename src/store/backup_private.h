/* What the files of backups share. */
#ifndef STORE_BACKUP_PRIVATE_H
#define STORE_BACKUP_PRIVATE_H

#include "catalog_private.h"
#include "list_file.h"
#include "store/backups.h"

/* OFFSET SIZE NAME MEANING: the first record of the list of files */
struct backup_head {
    char name[56];         /*  0 56 of the backup, padded with zeros */
    uint64_t created_ns;   /* 56  8 wall clock, when it was ordered */
    uint64_t blocks;       /* 64  8 */
    uint64_t spans;        /* 72  8 */
    uint64_t bytes;        /* 80  8 of all segment files */
    uint64_t copied_bytes; /* 88  8 of these, in files of its own */
};
static_assert(sizeof(struct backup_head) == 96 && sizeof(struct backup_head) % 8 == 0, "layout");

/* OFFSET SIZE NAME MEANING: one record for each segment */
struct backup_file {
    char name[SEGMENT_NAME_BYTES]; /*  0 48 in the directory segments, padded with zeros */
    uint64_t bytes;                /* 48  8 */
    uint32_t copied;               /* 56  4 0: a second name of the store's file; 1: a file of its own */
    uint32_t reserved;             /* 60  4 zero */
};
static_assert(sizeof(struct backup_file) == 64, "layout");

/* A backup as its list describes it. */
struct backup_entry {
    struct backup backup;
    struct backup_file *files; /* backup.segments of them, by name; malloc'ed */
};
void backup_entry_free(struct backup_entry *entry);

/* The list is the last thing that a backup gets, and the first that it loses: without it, it is none. */
enum err backup_list_read(struct io *io, struct io_dir *dir, uint64_t instance, struct backup_entry **out);
enum err backup_list_write(struct io *io, struct io_dir *dir, uint64_t instance,
                           const struct backup_entry *entry);
/* OK: there is a file of that name, whatever is in it. ERR_NOT_FOUND. */
enum err backup_list_exists(struct io *io, struct io_dir *dir);

/* Removes the directory of a backup, whatever of it there is: the list first. ERR_NOT_FOUND. ERR_EXISTS: there are things that no backup has. */
enum err backup_dir_remove(struct io *io, struct io_dir *home, const char *name);

/* One on its way. */
struct backup_making;
struct backup_place {
    struct io_dir *home, *data; /* backups/, and the data directory */
    const struct superblock *superblock;
    struct catalog *catalog;
};
/*
 * Makes the directory, the second names, and what is small; takes all of entry->backup but its state. place is borrowed until
 * the end. On failure nothing of it is left, if that can be done.
 */
enum err backup_making_open(const struct backup_place *place, struct io *io, struct backup_entry *entry,
                            struct backup_making **out);
/* Copies a piece. *complete: there is nothing left to copy. */
enum err backup_making_step(struct backup_making *making, struct io *io, bool *complete);
/* It is durable, and complete. */
enum err backup_making_finish(struct backup_making *making, struct io *io);
/* Removes what is there, unless it was finished. */
void backup_making_close(struct backup_making *making, struct io *io);

#endif
