/*
 * The superblock says which data directory this is, and that one process at a time works in it
 * (src/store/FORMAT.md, "Superblock").
 *
 *   superblock_open()   first of all that touches the directory: makes it this instance's own when it is new,
 *                       locks it, reads who it is. The lock lasts until superblock_close() or the process ends.
 *   superblock_close()  last of all
 *
 * The record stands in the file twice; one damaged copy is repaired from the other.
 */
#ifndef STORE_SUPERBLOCK_H
#define STORE_SUPERBLOCK_H

#include "base/err.h"

#include <stdint.h>

struct io;
struct io_dir;
struct io_file;

struct superblock {
    uint8_t uuid[16];    /* random, made with the directory */
    uint64_t instance;   /* the first eight bytes of uuid, little-endian: what segments and journals carry */
    uint64_t created_ns; /* wall clock */
    uint16_t major, minor;
    struct io_file *file; /* private: holds the lock */
};

/*
 * dir is the data directory; it stays borrowed until superblock_close().
 * ERR_BUSY: another process works here. ERR_VERSION: written by a newer version. ERR_CORRUPT: both copies
 * damaged, or the superblock is missing although there are segments: never silently a new, empty instance.
 */
enum err superblock_open(struct io *io, struct io_dir *dir, struct superblock *out);
/*
 * The same record in another directory, durable but for its name: whoever starts there is this instance, too, and has a lock of his own.
 * Any thread, with its io. ERR_EXISTS.
 */
enum err superblock_copy(const struct superblock *superblock, struct io *io, struct io_dir *to);
void superblock_close(struct superblock *superblock, struct io *io);

#endif
