/*
 * Bytes that go to a file or standard output, or come from a file or standard input, packed by zstd or not. With stdin and
 * client.c the only place of the tool that reads and writes what is not a data directory.
 */
#ifndef CTL_STREAM_H
#define CTL_STREAM_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct stream_out;
/*
 * path NULL: standard output. A file is written as PATH.part, which must not be there, and gets its name by
 * stream_out_finish(). ERR_EXISTS: there is a file of either name, and replace is false.
 */
enum err stream_out_open(const char *path, bool pack, bool replace, struct stream_out **out);
enum err stream_out_write(struct stream_out *stream, struct slice bytes);
/* Everything is in the file, durable, and it has its name. */
enum err stream_out_finish(struct stream_out *stream);
/* Bytes in the file so far. */
uint64_t stream_out_stored(const struct stream_out *stream);
/* A file that was not finished stays as PATH.part. */
void stream_out_close(struct stream_out *stream);

struct stream_in;
/* path "-": standard input. Whether it is packed is seen from its first bytes. */
enum err stream_in_open(const char *path, struct stream_in **out);
/* As many plain bytes as are asked for, fewer at the end only. ERR_CORRUPT: no sound zstd, or it ends in the middle. */
enum err stream_in_read(struct stream_in *stream, void *bytes, size_t len, size_t *count);
/* The next byte, which stays; -1: the end, or what the next read will say. */
int stream_in_peek(struct stream_in *stream);
/* Of the plain bytes: how many have been read. */
uint64_t stream_in_place(const struct stream_in *stream);
void stream_in_close(struct stream_in *stream);

#endif
