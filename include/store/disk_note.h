/*
 * What the disk of a data directory was found to take beside a journal, kept in its file "disk" (src/store/FORMAT.md, "Disk
 * note"). It is about the disk, not about data: lost or damaged, it is measured again.
 */
#ifndef STORE_DISK_NOTE_H
#define STORE_DISK_NOTE_H

#include "base/err.h"
#include "io/disk_probe.h"

#include <stdint.h>

struct io;
struct io_dir;

struct disk_note {
    uint64_t measured_ns; /* wall clock */
    uint64_t device;      /* io_device() of then; another one: it speaks of another disk */
    struct disk_probe probe;
};

/* ERR_NOT_FOUND: there is none, or it is damaged. */
enum err disk_note_read(struct io *io, struct io_dir *dir, struct disk_note *out);
/* Durable when OK. */
enum err disk_note_write(struct io *io, struct io_dir *dir, const struct disk_note *note);

#endif
