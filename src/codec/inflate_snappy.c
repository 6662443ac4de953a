/*
 * snappy bodies: one block, or a framed stream of blocks. Framing, lengths and checksums are read here; libsnappy gets one
 * block at a time, after the length that it declares has been judged.
 *
 *   block     = LEN(varint, 32 bits) elements
 *   stream    = ff 06 00 00 "sNaPpY" 1*chunk, nothing after the last                     (framing_format.txt)
 *   chunk     = TYPE LEN(3, little-endian) bytes
 *       00      CRC(4) block        of at most 64 KiB once inflated
 *       01      CRC(4) bytes        as they are, at most 64 KiB
 *       80..fe  anything            passed over
 *       ff      the beginning again (streams one after the other)
 *       others  refused: they may not be passed over
 *
 * CRC is the CRC32C of what comes out, rotated and added to. An element of three bytes becomes 64 at most, so a block that
 * declares more than 64/3 times its size lies, and is refused before memory is asked for: a declared length of 4 GiB costs
 * nothing. Elements are checked by libsnappy, which writes no byte beyond the declared length.
 */
#include <snappy-c.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "codec/inflate.h"

enum {
    CHUNK_COMPRESSED = 0x00,
    CHUNK_PLAIN = 0x01,
    CHUNK_SKIPPABLE_FIRST = 0x80,
    CHUNK_BEGINNING = 0xff,
    CHUNK_HEADER_LEN = 4,
    CHUNK_CRC_LEN = 4,
    CHUNK_PLAIN_MAX = 64 << 10,

    ELEMENT_BYTES = 3, /* become */
    ELEMENT_PLAIN_BYTES = 64,
};

static const uint8_t beginning[] = {0xff, 0x06, 0x00, 0x00, 's', 'N', 'a', 'P', 'p', 'Y'};

/* One body under way. */
struct unsnap {
    struct slice in; /* what has not been read */
    uint8_t *out;    /* the caller's buffer */
    size_t len;      /* bytes written to it */
    size_t capacity;
    size_t limit;       /* inflate_limit() of the body */
    const char *reason; /* why it failed */
};

static enum err malformed(struct unsnap *work, const char *reason)
{
    work->reason = reason;
    return ERR_MALFORMED;
}

/* Is there room for so many bytes? */
static enum err make_room(struct unsnap *work, size_t bytes)
{
    if (bytes > work->limit - work->len) {
        work->reason = "body inflates to more than the limit";
        return ERR_TOO_LARGE;
    }
    return bytes <= work->capacity - work->len ? OK : ERR_FULL;
}

static struct slice rest_of(struct slice bytes, size_t from)
{
    assert(from <= bytes.len);
    return slice_of(bytes.ptr + from, bytes.len - from);
}

/* The length that a block declares; false: it has no such thing. */
static bool declared_len(struct slice block, uint64_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < block.len && i < 5; i++) {
        value |= (uint64_t)(block.ptr[i] & 0x7f) << (7 * i);
        if ((block.ptr[i] & 0x80) != 0) continue;
        *out = value;
        return value <= UINT32_MAX;
    }
    return false;
}

/* Puts what a block holds behind what is there. */
static enum err inflate_block(struct unsnap *work, struct slice block, uint64_t most)
{
    uint64_t declared;
    uint8_t nowhere;

    if (!declared_len(block, &declared)) return malformed(work, "snappy block without a length");
    if (declared > most) return malformed(work, "snappy block of more than 64 KiB in a stream");
    if (declared > (uint64_t)block.len * ELEMENT_PLAIN_BYTES / ELEMENT_BYTES)
        return malformed(work, "snappy block that declares more than it can hold");
    TRY(make_room(work, (size_t)declared));

    size_t written = (size_t)declared;
    char *const at = (char *)(work->out == NULL ? &nowhere : work->out + work->len);
    if (snappy_uncompress((const char *)block.ptr, block.len, at, &written) != SNAPPY_OK)
        return malformed(work, "corrupt or truncated snappy block");
    assert(written == declared);
    work->len += written;
    return OK;
}

/* ---- streams -------------------------------------------------------------------------------------------- */

static uint32_t masked_crc(const uint8_t *ptr, size_t len)
{
    const uint32_t crc = len == 0 ? 0 : crc32c(0, ptr, len);

    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

/* A chunk of data: its checksum, and a block or bytes. */
static enum err inflate_chunk(struct unsnap *work, bool compressed, struct slice chunk)
{
    const size_t start = work->len;

    if (chunk.len < CHUNK_CRC_LEN) return malformed(work, "snappy chunk without a checksum");
    const struct slice data = rest_of(chunk, CHUNK_CRC_LEN);
    if (compressed) {
        TRY(inflate_block(work, data, CHUNK_PLAIN_MAX));
    } else {
        if (data.len > CHUNK_PLAIN_MAX) return malformed(work, "snappy chunk of more than 64 KiB");
        TRY(make_room(work, data.len));
        if (data.len > 0) memcpy(work->out + work->len, data.ptr, data.len);
        work->len += data.len;
    }
    const uint32_t declared = (uint32_t)chunk.ptr[0] | (uint32_t)chunk.ptr[1] << 8 |
                              (uint32_t)chunk.ptr[2] << 16 | (uint32_t)chunk.ptr[3] << 24;
    if (declared != masked_crc(work->len == start ? NULL : work->out + start, work->len - start))
        return malformed(work, "wrong checksum of a snappy chunk");
    return OK;
}

static enum err inflate_stream(struct unsnap *work)
{
    size_t skipped_bytes = 0;

    while (work->in.len > 0) {
        if (work->in.len < CHUNK_HEADER_LEN) return malformed(work, "snappy chunk truncated");
        const unsigned type = work->in.ptr[0];
        const size_t len = (size_t)work->in.ptr[1] | (size_t)work->in.ptr[2] << 8 |
                           (size_t)work->in.ptr[3] << 16;
        if (len > work->in.len - CHUNK_HEADER_LEN) return malformed(work, "snappy chunk truncated");
        const struct slice chunk = slice_of(work->in.ptr + CHUNK_HEADER_LEN, len);

        if (type == CHUNK_COMPRESSED || type == CHUNK_PLAIN) {
            TRY(inflate_chunk(work, type == CHUNK_COMPRESSED, chunk));
        } else if (type == CHUNK_BEGINNING) {
            if (CHUNK_HEADER_LEN + len != sizeof beginning ||
                memcmp(work->in.ptr, beginning, sizeof beginning) != 0)
                return malformed(work, "snappy stream that does not begin as one");
        } else if (type >= CHUNK_SKIPPABLE_FIRST) {
            skipped_bytes += CHUNK_HEADER_LEN + len;
            if (skipped_bytes > INFLATE_SKIPPABLE_MAX)
                return malformed(work, "more than 64 KiB of skippable snappy chunks");
        } else {
            return malformed(work, "snappy chunk of an unknown type");
        }
        work->in = rest_of(work->in, CHUNK_HEADER_LEN + len);
    }
    return OK;
}

/*
 * A block cannot begin as a stream does: it would declare 895 bytes, put one zero byte, and then copy from a place before
 * that.
 */
static bool is_stream(struct slice in)
{
    return in.len >= sizeof beginning && memcmp(in.ptr, beginning, sizeof beginning) == 0;
}

enum err inflate_snappy(struct slice in, uint8_t *out, size_t capacity, size_t *out_len, const char **reason)
{
    struct unsnap work = {.in = in, .out = out, .capacity = capacity, .limit = inflate_limit(in.len)};

    assert(out != NULL || capacity == 0);

    const enum err err = in.len == 0     ? malformed(&work, "empty snappy body")
                         : is_stream(in) ? inflate_stream(&work)
                                         : inflate_block(&work, in, UINT32_MAX);
    if (err == OK) {
        *out_len = work.len;
    } else if (work.reason != NULL) {
        *reason = work.reason;
    }
    return err;
}
