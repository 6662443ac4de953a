/*
 * The bytes of one simulated file, shared between worlds until somebody writes.
 *
 * A table of chunks; a missing chunk reads as zeros. Table and chunks are counted: copying a content is one
 * increment, the first write to a shared one copies the table and then only the chunks that are written. So
 * forking a world costs the same for a file of a kilobyte and of a gigabyte. One thread.
 */
#ifndef IO_SIM_CONTENT_H
#define IO_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

enum { CONTENT_CHUNK_BYTES = 16384 };

struct content_table;

struct content {
    struct content_table *table; /* NULL: all zeros */
};

void content_share(struct content *content, const struct content *from); /* replaces what was there */
void content_release(struct content *content);
void content_read(const struct content *content, uint64_t offset, void *bytes, size_t len);
void content_write(struct content *content, uint64_t offset, const void *bytes, size_t len);
/* Equal bytes have equal hashes, whatever was written in whatever order; zeros at the end count as nothing. */
uint64_t content_hash(const struct content *content);
/* Everything from offset on reads as zeros again. */
void content_cut(struct content *content, uint64_t offset);

#endif
