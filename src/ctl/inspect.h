/*
 * What `spanmillctl inspect` shows of each kind of file. Each function tells all that can be told; false: something of
 * it was damaged, and that has been told as well.
 */
#ifndef CTL_INSPECT_H
#define CTL_INSPECT_H

#include "out.h"
#include "store/look.h"

struct inspect_options {
    bool block_given, columns;
    uint64_t block;
    uint64_t rows; /* sample spans */
};

struct io;
struct io_dir;
struct io_file;

/* Each may fail for a reason that says nothing about the bytes; ERR_NOT_FOUND: there is no such block. */
enum err inspect_superblock(struct out *out, struct io *io, struct io_file *file, bool *sound);
enum err inspect_journal(struct out *out, struct io *io, struct io_file *file, bool *sound);
enum err inspect_segment(struct out *out, struct io *io, struct io_dir *dir, const char *name,
                         const struct inspect_options *options, bool *sound);
/* Sections, tables, columns, sample rows of one block. */
enum err inspect_block(struct out *out, const struct block_source *source,
                       const struct inspect_options *options, bool *sound);
/* count spans of the block, evenly chosen. */
enum err inspect_rows(struct out *out, struct block_reader *reader, uint64_t count);

void inspect_summary(struct out *out, const struct block_summary *summary);

/* ---- bytes by column ----------------------------------------------------------------------------------- */

/* Sums over any number of blocks. */
struct column_bytes;
struct column_bytes *column_bytes_open(void);
void column_bytes_close(struct column_bytes *sums);
/* The reader's tables are open. ERR_NO_MEMORY. */
enum err column_bytes_add(struct column_bytes *sums, const struct block_reader *reader);
/* What lies around the blocks; name is static text. */
enum err column_bytes_add_other(struct column_bytes *sums, const char *name, uint64_t bytes);
/* A table sorted by bytes: which column, how it is stored, bytes, bytes a span, share. */
void column_bytes_print(struct column_bytes *sums, struct out *out);

#endif
