/*
 * The simulated disk: what a program sees, what would survive a crash, and in between an ordered list of
 * changes that are seen but not yet safe. Strict POSIX: nothing in that list is ordered against anything
 * else.
 *
 *             write ----> visible bytes, pending WRITE (and SIZE when the file grew)
 *   create, rename ----> visible names, pending NAME
 *         datasync ----> pending WRITE and SIZE of the file move into the durable bytes and size
 *         dir sync ----> pending NAMEs of the directory move into the durable names
 *      dsync write ----> visible and durable at once; where it covers older pending bytes, they become the
 * new ones, for a disk never brings back what was overwritten durably
 *
 * A failed datasync forgets the writes it was to save (as kernels do: the pages count as clean): they stay
 * visible, and no later datasync makes them safe. Everything is in one room of memory and one thread.
 */
#ifndef IO_SIM_DISK_H
#define IO_SIM_DISK_H

#include "sim_content.h"

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIM_NAME_MAX = 64, SIM_PATH_MAX = 256, SIM_DIRS_MAX = 256 };

struct sim_inode {
    bool used;
    uint32_t handles;
    const void *lock_owner; /* the handle that holds the lock, or NULL */
    struct content visible, durable;
    uint64_t visible_bytes, durable_bytes;
};

struct sim_name {
    uint32_t dir;
    uint32_t inode;
    char text[SIM_NAME_MAX];
};

struct sim_names {
    struct sim_name *name;
    size_t count, capacity;
};

enum sim_change_kind { SIM_WRITE, SIM_SIZE, SIM_LINK, SIM_UNLINK, SIM_RENAME };

struct sim_change {
    enum sim_change_kind kind;
    uint32_t inode;
    uint32_t dir;            /* LINK, UNLINK, RENAME */
    bool forgotten;          /* a failed sync was to save this write */
    bool saved;              /* only while a sync is at work */
    uint64_t sequence;       /* order of coming into being */
    uint64_t offset;         /* WRITE; SIZE: the new size */
    size_t len;              /* WRITE */
    uint8_t *bytes;          /* WRITE: owned */
    char from[SIM_NAME_MAX]; /* UNLINK, RENAME */
    char to[SIM_NAME_MAX];   /* LINK, RENAME */
};

struct sim_disk {
    char dirs[SIM_DIRS_MAX][SIM_PATH_MAX]; /* paths; made ones are durable at once; empty: removed */
    uint32_t dirs_count;
    struct sim_inode *inodes;
    uint32_t inodes_count, inodes_capacity;
    struct sim_names visible, durable;
    struct sim_change *changes; /* by sequence */
    size_t changes_count, changes_capacity;
    uint64_t sequence;
};

enum { SIM_NONE = 0xffffffff };

void disk_deinit(struct sim_disk *disk);
/* dst becomes what is durable of src, with nothing pending and no handles. dst was zeroed or deinited. */
void disk_fork(struct sim_disk *dst, const struct sim_disk *src);

/* ---- names */
enum err disk_dir(struct sim_disk *disk, const char *path, bool create, uint32_t *out);
uint32_t disk_find(const struct sim_names *names, uint32_t dir, const char *name); /* inode or SIM_NONE */
enum err disk_create(struct sim_disk *disk, uint32_t dir, const char *name, uint32_t *inode);
enum err disk_rename(struct sim_disk *disk, uint32_t dir, const char *from, const char *to);
enum err disk_unlink(struct sim_disk *disk, uint32_t dir, const char *name);
enum err disk_link(struct sim_disk *disk, uint32_t dir, const char *name, uint32_t to_dir, const char *to);
void disk_dir_sync(struct sim_disk *disk, uint32_t dir);
/* ERR_EXISTS: it has files or directories. Its number is not used again. */
enum err disk_dir_remove(struct sim_disk *disk, const char *path);
/* By full path or by its last components, as "journal/0/00000000". */
uint32_t disk_find_path(const struct sim_disk *disk, const char *path);
/* Of all visible names, sizes and bytes, whatever the order in which they came. */
uint64_t disk_hash(const struct sim_disk *disk);
/* Forgets inodes that no name, no handle and no pending change leads to. */
void disk_sweep(struct sim_disk *disk);

/* ---- bytes. bytes of a write are handed over (malloc). */
void disk_write(struct sim_disk *disk, uint32_t inode, uint64_t offset, uint8_t *bytes, size_t len,
                bool durable);
void disk_resize(struct sim_disk *disk, uint32_t inode, uint64_t bytes);
/* Saves what was pending before `sequence`. */
void disk_datasync(struct sim_disk *disk, uint32_t inode, uint64_t sequence);
void disk_datasync_failed(struct sim_disk *disk, uint32_t inode, uint64_t sequence);

/* ---- applying changes to the durable state, for images */
void disk_apply_size(struct sim_inode *inode, uint64_t bytes);
void disk_apply_name(struct sim_disk *disk, struct sim_names *names, const struct sim_change *change);

#endif
