/* Private to io/: the waiting transfers of a background thread, through the gate of its io if it has one. */
#ifndef IO_GATED_H
#define IO_GATED_H

#include "backend.h"

enum err gated__read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                         size_t *count);
enum err gated__write_now(struct io *io, struct io_file *file, const void *buf, size_t len, uint64_t offset);
enum err gated__datasync_now(struct io *io, struct io_file *file);

#endif
