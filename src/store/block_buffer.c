/*
 * Sections and chunks: where an encoder's columns become bytes.
 *
 * An integer chunk is first reduced to (base, width), then written as byte planes. Planes of high entropy
 * (the low bytes of times and durations) are recognised by a sample and stored raw: zstd would look at them
 * for nothing and its literal statistics would suffer. The other planes of a chunk are compressed together;
 * small chunks of a page share one section, because a zstd frame and a table entry have a price of their own.
 */
#include "block_buffer.h"

#include "base/crc32c.h"

#include <stdlib.h>

/* ---- bytes ----------------------------------------------------------------------------------------------
 */

void bytes_free(struct bytes *bytes)
{
    free(bytes->ptr);
    *bytes = (struct bytes){0};
}

static bool bytes_grow(struct bytes *bytes, size_t len)
{
    size_t capacity = bytes->capacity > 0 ? bytes->capacity : 64 << 10;
    void *memory;

    while (capacity < bytes->len + len)
        capacity *= 2;
    if (posix_memalign(&memory, 4096, capacity) != 0) {
        bytes->failed = true;
        return false;
    }
    if (bytes->len > 0) memcpy(memory, bytes->ptr, bytes->len);
    free(bytes->ptr);
    bytes->ptr = memory;
    bytes->capacity = capacity;
    return true;
}

uint8_t *bytes_room(struct bytes *bytes, size_t len)
{
    if ((bytes->ptr == NULL || bytes->capacity - bytes->len < len) && !bytes_grow(bytes, len)) return NULL;
    return bytes->ptr + bytes->len;
}

void bytes_put(struct bytes *bytes, const void *ptr, size_t len)
{
    uint8_t *const room = bytes_room(bytes, len);

    if (room == NULL) return;
    if (len > 0) memcpy(room, ptr, len);
    bytes->len += len;
}

void bytes_put_varint(struct bytes *bytes, uint64_t value)
{
    uint8_t *const room = bytes_room(bytes, 10);
    unsigned len = 0;

    if (room == NULL) return;
    for (; value >= 0x80; value >>= 7)
        room[len++] = (uint8_t)(value | 0x80);
    room[len++] = (uint8_t)value;
    bytes->len += len;
}

void bytes_align(struct bytes *bytes, size_t alignment)
{
    const size_t pad = (alignment - bytes->len % alignment) % alignment;
    uint8_t *const room = bytes_room(bytes, pad);

    if (room == NULL) return;
    memset(room, 0, pad);
    bytes->len += pad;
}

/* ---- sections -------------------------------------------------------------------------------------------
 */

enum err block_output_open(struct block_output *output)
{
    *output = (struct block_output){.zstd = ZSTD_createCCtx()};
    if (output->zstd == NULL) return ERR_NO_MEMORY;
    /* Level 1 everywhere: level 6 saves 2.4 % for four times the time. */
    ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_contentSizeFlag, 1);
    /* Sections are small: a table of 16 KiB stays in the first-level cache, at 0.2 % more bytes. */
    ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_hashLog, 12);
    return OK;
}

void block_output_close(struct block_output *output)
{
    ZSTD_freeCCtx(output->zstd);
    bytes_free(&output->bytes);
    bytes_free(&output->sections);
}

void block_output_reset(struct block_output *output)
{
    output->bytes.len = output->sections.len = 0;
    output->bytes.failed = output->sections.failed = false;
    uint8_t *const header = bytes_room(&output->bytes, BLOCK_HEADER_BYTES);
    if (header == NULL) return;
    memset(header, 0, BLOCK_HEADER_BYTES);
    output->bytes.len = BLOCK_HEADER_BYTES;
}

bool block_output_failed(const struct block_output *output)
{
    return output->bytes.failed || output->sections.failed;
}

uint32_t block_output_sections(const struct block_output *output)
{
    return (uint32_t)(output->sections.len / sizeof(struct block_section));
}

uint32_t block_output_section(struct block_output *output, enum block_section_type type, const void *plain,
                              size_t len, bool compress)
{
    struct block_section section = {.type = (uint16_t)type,
                                    .flags = type == SECTION_LEDGER ? 0 : SECTION_CRITICAL,
                                    .plain = (uint32_t)len};
    const uint32_t number = block_output_sections(output);
    size_t stored = len;

    assert(len <= BLOCK_SECTION_PLAIN_MAX);
    bytes_align(&output->bytes, BLOCK_SECTION_ALIGN);
    section.offset = output->bytes.len;
    if (compress && len > 64) {
        const size_t bound = ZSTD_compressBound(len);
        uint8_t *const room = bytes_room(&output->bytes, bound);
        if (room == NULL) return number;
        const size_t result = ZSTD_compress2(output->zstd, room, bound, plain, len);
        if (!ZSTD_isError(result) && result < len - len / 32) {
            stored = result;
            section.codec = CODEC_ZSTD;
            output->bytes.len += stored;
        }
    }
    if (section.codec == CODEC_PLAIN) bytes_put(&output->bytes, plain, len);
    if (block_output_failed(output)) return number;
    section.stored = (uint32_t)stored;
    section.crc = crc32c(0, output->bytes.ptr + section.offset, stored);
    bytes_put(&output->sections, &section, sizeof section);
    return number;
}

/* ---- chunks ---------------------------------------------------------------------------------------------
 */

enum { WAITING_MAX = STREAM_FIXED_COUNT + 2 * (LIVE_COLUMNS_MAX + 16) };

enum err chunk_writer_open(struct chunk_writer *writer, struct block_output *output)
{
    *writer = (struct chunk_writer){.output = output, .waiting_max = WAITING_MAX};
    writer->waiting = calloc(WAITING_MAX, sizeof(struct block_chunk *));
    return writer->waiting == NULL ? ERR_NO_MEMORY : OK;
}

void chunk_writer_close(struct chunk_writer *writer)
{
    bytes_free(&writer->group);
    bytes_free(&writer->scratch);
    free(writer->waiting);
}

/* Compressible bytes of a chunk: a section of their own, or a place in the page's group. */
static void place(struct chunk_writer *writer, struct block_chunk *chunk, const void *bytes, size_t len)
{
    if (len >= BLOCK_GROUP_BYTES) {
        chunk->section = block_output_section(writer->output, SECTION_CHUNK, bytes, len, true);
        chunk->offset = 0;
        return;
    }
    assert(writer->waiting_count < writer->waiting_max);
    chunk->offset = (uint32_t)writer->group.len;
    bytes_put(&writer->group, bytes, len);
    writer->waiting[writer->waiting_count++] = chunk;
}

void chunk_writer_end_page(struct chunk_writer *writer)
{
    if (writer->waiting_count > 0) {
        const uint32_t section = block_output_section(writer->output, SECTION_GROUP, writer->group.ptr,
                                                      writer->group.len, true);
        for (uint32_t i = 0; i < writer->waiting_count; i++)
            writer->waiting[i]->section = section;
    }
    if (writer->group.failed || writer->scratch.failed) writer->output->bytes.failed = true;
    writer->waiting_count = 0;
    writer->group.len = 0;
}

/*
 * Does a plane look like random bytes? The sum of squared frequencies of 256 samples is about 511 for random
 * bytes and grows quickly with any skew.
 */
static bool looks_random(const uint8_t *plane, uint32_t count)
{
    uint8_t seen[256] = {0};
    const uint32_t stride = count / 256;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 256; i++)
        sum += 2u * seen[plane[i * stride]]++ + 1; /* the squares, incrementally */
    return sum < 1400; /* about 6.5 bits a byte: zstd would save less than it costs */
}

static void put_planes(struct chunk_writer *writer, struct block_chunk *chunk, uint8_t *planes,
                       uint32_t count)
{
    const uint32_t width = chunk->width;
    uint32_t raw_bytes = 0, packed_bytes = 0;

    /* Raw planes move to the front of the scratch's second half; the others close up in place. */
    uint8_t *const raw = planes + (size_t)width * count;
    for (uint32_t i = 0; i < width; i++) {
        uint8_t *const plane = planes + (size_t)i * count;
        if (count >= BLOCK_GROUP_BYTES && looks_random(plane, count)) {
            chunk->raw_mask |= (uint8_t)(1u << i);
            memcpy(raw + raw_bytes, plane, count);
            raw_bytes += count;
        } else {
            if (packed_bytes != i * count) memmove(planes + packed_bytes, plane, count);
            packed_bytes += count;
        }
    }
    if (packed_bytes > 0) place(writer, chunk, planes, packed_bytes);
    if (raw_bytes > 0)
        chunk->raw_section = block_output_section(writer->output, SECTION_CHUNK, raw, raw_bytes, false);
}

static uint8_t width_of(uint64_t range)
{
    return (uint8_t)(range == 0 ? 1 : (64 - __builtin_clzll(range) + 7) / 8);
}

static bool begin_integers(struct block_chunk *chunk, uint32_t count, uint64_t min, uint64_t max)
{
    *chunk = (struct block_chunk){.encoding = min == max ? ENCODING_CONST : ENCODING_PLANES,
                                  .count = count,
                                  .base = min,
                                  .max = max,
                                  .section = NO_SECTION,
                                  .raw_section = NO_SECTION};
    if (min == max) return false;
    chunk->width = width_of(max - min);
    return true;
}

static void bounds_u32(const uint32_t *values, uint32_t count, uint32_t *min, uint32_t *max)
{
    uint32_t low = UINT32_MAX, high = 0;

    for (uint32_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    *min = low;
    *max = high;
}

static void plane_u32(const uint32_t *values, uint32_t count, uint32_t base, unsigned shift,
                      uint8_t *restrict out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = (uint8_t)((values[i] - base) >> shift);
}

static void plane_u64(const uint64_t *values, uint32_t count, uint64_t base, unsigned shift,
                      uint8_t *restrict out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = (uint8_t)((values[i] - base) >> shift);
}

void chunk_put_u32(struct chunk_writer *writer, struct block_chunk *chunk, const uint32_t *values,
                   uint32_t count)
{
    uint32_t min, max;

    if (count == 0) return;
    bounds_u32(values, count, &min, &max);
    if (!begin_integers(chunk, count, min, max)) return;
    writer->scratch.len = 0;
    uint8_t *const planes = bytes_room(&writer->scratch, 2 * (size_t)chunk->width * count);
    if (planes == NULL) return;
    for (unsigned i = 0; i < chunk->width; i++)
        plane_u32(values, count, min, 8 * i, planes + (size_t)i * count);
    put_planes(writer, chunk, planes, count);
}

void chunk_put_u64(struct chunk_writer *writer, struct block_chunk *chunk, const uint64_t *values,
                   uint32_t count)
{
    uint64_t min = UINT64_MAX, max = 0;

    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    if (!begin_integers(chunk, count, min, max)) return;
    writer->scratch.len = 0;
    uint8_t *const planes = bytes_room(&writer->scratch, 2 * (size_t)chunk->width * count);
    if (planes == NULL) return;
    for (unsigned i = 0; i < chunk->width; i++)
        plane_u64(values, count, min, 8 * i, planes + (size_t)i * count);
    put_planes(writer, chunk, planes, count);
}

void chunk_put_bytes(struct chunk_writer *writer, struct block_chunk *chunk, const void *bytes, size_t len,
                     bool compressible)
{
    *chunk = (struct block_chunk){
        .encoding = ENCODING_BYTES, .count = (uint32_t)len, .section = NO_SECTION, .raw_section = NO_SECTION};
    if (len == 0) {
        chunk->encoding = ENCODING_NONE;
        return;
    }
    if (compressible || len < BLOCK_GROUP_BYTES) {
        place(writer, chunk, bytes, len);
        return;
    }
    chunk->raw_mask = 1;
    chunk->raw_section = block_output_section(writer->output, SECTION_CHUNK, bytes, len, false);
}
