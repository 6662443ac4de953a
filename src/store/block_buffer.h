/*
 * A growing byte buffer for encoders, and the sections and chunks written into it. Private to block_*.c.
 */
#ifndef STORE_BLOCK_BUFFER_H
#define STORE_BLOCK_BUFFER_H

#include "block_format.h"

#include <zstd.h>

struct bytes {
    uint8_t *ptr;
    size_t len, capacity;
    bool failed; /* no memory; sticky, checked once at the end */
};
void bytes_free(struct bytes *bytes);
/* Room for len more bytes at the end; NULL (and failed) when there is none. Does not change len. */
uint8_t *bytes_room(struct bytes *bytes, size_t len);
void bytes_put(struct bytes *bytes, const void *ptr, size_t len);
void bytes_put_varint(struct bytes *bytes, uint64_t value);
void bytes_align(struct bytes *bytes, size_t alignment);

/* The block under construction: bytes and its section table. */
struct block_output {
    struct bytes bytes;    /* aligned memory, the header first */
    struct bytes sections; /* struct block_section[] */
    ZSTD_CCtx *zstd;
};
enum err block_output_open(struct block_output *output);
void block_output_close(struct block_output *output);
void block_output_reset(struct block_output *output);
bool block_output_failed(const struct block_output *output);
/* Appends a section; compresses when that saves at least 3 %. Returns its number. */
uint32_t block_output_section(struct block_output *output, enum block_section_type type, const void *plain,
                              size_t len, bool compress);
uint32_t block_output_sections(const struct block_output *output);

/* Chunks of one page. */
struct chunk_writer {
    struct block_output *output;
    struct bytes group; /* small chunks, flushed at the page's end */
    struct bytes scratch;
    struct block_chunk **waiting; /* chunks that lie in the group and need its section number */
    uint32_t waiting_count, waiting_max;
};
enum err chunk_writer_open(struct chunk_writer *writer, struct block_output *output);
void chunk_writer_close(struct chunk_writer *writer);
void chunk_put_u32(struct chunk_writer *writer, struct block_chunk *chunk, const uint32_t *values,
                   uint32_t count);
void chunk_put_u64(struct chunk_writer *writer, struct block_chunk *chunk, const uint64_t *values,
                   uint32_t count);
/* compressible false: stored raw without trying. */
void chunk_put_bytes(struct chunk_writer *writer, struct block_chunk *chunk, const void *bytes, size_t len,
                     bool compressible);
void chunk_writer_end_page(struct chunk_writer *writer);

#endif
