/*
 * gzip, zlib and zstd bodies. libdeflate reads the deflate stream and everything around it is read by
 * ourselves: it would stop after the first member of several (and half of a body would be acknowledged and
 * lost), and it does not check the CRC of a member's header. libzstd gets one frame at a time, after its
 * header has been judged here.
 *
 *   gzip body = 1*256 member, nothing after the last                                     (RFC 1952 2.2)
 *   member    = 1f 8b 08 FLG MTIME(4) XFL OS [XLEN(2) extra] [name 0] [comment 0] [CRC16(2)]
 *               deflate stream, CRC32(4), ISIZE(4)                                       little-endian
 *   zlib body = CMF FLG deflate stream ADLER32(4)                                        (RFC 1950 2.2)
 * big-endian
 *   zstd body = 1*256 (frame / skippable), nothing after the last                        (RFC 8878 3.1)
 *   frame     = 28 b5 2f fd DESC [WINDOW] [DICT(1,2,4)] [SIZE(1,2,4,8)] blocks [XXH64(4)] little-endian
 *   skippable = 5x 2a 4d 18 LEN(4) bytes
 *
 * Output stops at inflate_limit(): neither library is given more room than that, so a bomb costs no more work
 * than the largest body of its size that we would take. libzstd writes straight into the caller's buffer,
 * which is its window, too: it allocates nothing however large a window or a size a frame declares. Truncation, wrong checksums and lengths, reserved
 * flags and trailing bytes are refusals of the whole.
 */
#include "codec/inflate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/assert.h"

enum {
    FLAG_HCRC = 0x02,
    FLAG_EXTRA = 0x04,
    FLAG_NAME = 0x08,
    FLAG_COMMENT = 0x10,
    FLAGS_RESERVED = 0xe0,

    GZIP_FIXED_LEN = 10,
    GZIP_TRAILER_LEN = 8,
    ZLIB_HEADER_LEN = 2,
    ZLIB_TRAILER_LEN = 4,
};

struct inflater {
    struct libdeflate_decompressor *libdeflate; /* owned */
    ZSTD_DCtx *zstd;                            /* owned */
};

/* One body under way. */
struct work {
    struct libdeflate_decompressor *libdeflate; /* borrowed */
    ZSTD_DCtx *zstd;                            /* borrowed */
    struct slice in;                            /* what has not been read */
    uint8_t *out;                               /* the caller's buffer */
    size_t len;                                 /* bytes written to it */
    size_t capacity;
    size_t limit;       /* inflate_limit() of the body */
    const char *reason; /* why it failed */
};

enum err inflater_open(struct inflater **out)
{
    struct inflater *const inflater = malloc(sizeof *inflater);

    if (inflater == NULL) return ERR_NO_MEMORY;
    inflater->libdeflate = libdeflate_alloc_decompressor();
    if (inflater->libdeflate == NULL) goto free_inflater;
    inflater->zstd = ZSTD_createDCtx();
    if (inflater->zstd == NULL) goto free_libdeflate;
    *out = inflater;
    return OK;

free_libdeflate:
    libdeflate_free_decompressor(inflater->libdeflate);
free_inflater:
    free(inflater);
    return ERR_NO_MEMORY;
}

void inflater_close(struct inflater *inflater)
{
    ZSTD_freeDCtx(inflater->zstd);
    libdeflate_free_decompressor(inflater->libdeflate);
    free(inflater);
}

size_t inflate_limit(size_t wire_len)
{
    if (wire_len > INFLATE_OUT_MAX / INFLATE_RATIO_MAX) return INFLATE_OUT_MAX;

    const size_t by_ratio = wire_len * INFLATE_RATIO_MAX;
    return by_ratio > INFLATE_RATIO_FREE ? by_ratio : INFLATE_RATIO_FREE;
}

static enum err malformed(struct work *work, const char *reason)
{
    work->reason = reason;
    return ERR_MALFORMED;
}

static void skip(struct work *work, size_t len)
{
    assert(len <= work->in.len);
    work->in = slice_of(work->in.ptr + len, work->in.len - len);
}

static uint32_t load_le32(const uint8_t *ptr)
{
    return (uint32_t)ptr[0] | (uint32_t)ptr[1] << 8 | (uint32_t)ptr[2] << 16 | (uint32_t)ptr[3] << 24;
}

static uint32_t load_be32(const uint8_t *ptr)
{
    return (uint32_t)ptr[3] | (uint32_t)ptr[2] << 8 | (uint32_t)ptr[1] << 16 | (uint32_t)ptr[0] << 24;
}

/* How far output may go: the buffer's end, or the limit. */
static size_t output_end(const struct work *work)
{
    return work->capacity < work->limit ? work->capacity : work->limit;
}

/* What is to be written does not end before output_end(). */
static enum err no_room(struct work *work)
{
    if (output_end(work) < work->limit) return ERR_FULL;
    work->reason = "body inflates to more than the limit";
    return ERR_TOO_LARGE;
}

/* The raw deflate stream at the front of what is left. */
static enum err inflate_stream(struct work *work)
{
    const size_t end = output_end(work);
    uint8_t nowhere;
    uint8_t *const at = work->out == NULL ? &nowhere : work->out + work->len;
    size_t read = 0;
    size_t written = 0;

    switch (libdeflate_deflate_decompress_ex(work->libdeflate, work->in.ptr, work->in.len, at,
                                             end - work->len, &read, &written)) {
    case LIBDEFLATE_SUCCESS: break;
    case LIBDEFLATE_INSUFFICIENT_SPACE: return no_room(work);
    case LIBDEFLATE_BAD_DATA:
    case LIBDEFLATE_SHORT_OUTPUT: return malformed(work, "corrupt or truncated deflate stream");
    }
    assert(read <= work->in.len);
    assert(written <= end - work->len);

    work->len += written;
    skip(work, read);
    return OK;
}

/* ---- gzip ---- */

/* Length of a field that a zero ends, with the zero; 0 if it does not end within header. */
static size_t text_field_len(struct slice header, size_t at)
{
    const uint8_t *const zero = at < header.len ? memchr(header.ptr + at, 0, header.len - at) : NULL;

    return zero == NULL ? 0 : (size_t)(zero - header.ptr) - at + 1;
}

/* Reads and skips the header of a member. */
static enum err read_header(struct work *work)
{
    static const char cut[] = "gzip header truncated or larger than 4 KiB";
    const struct slice header = slice_of(
        work->in.ptr, work->in.len < INFLATE_GZIP_HEADER_MAX ? work->in.len : INFLATE_GZIP_HEADER_MAX);
    size_t at = GZIP_FIXED_LEN;

    if (header.len < GZIP_FIXED_LEN) return malformed(work, "gzip header truncated");
    if (header.ptr[0] != 0x1f || header.ptr[1] != 0x8b) return malformed(work, "not a gzip member");
    if (header.ptr[2] != 8) return malformed(work, "gzip method other than deflate");

    const uint8_t flags = header.ptr[3];
    if ((flags & FLAGS_RESERVED) != 0) return malformed(work, "reserved gzip flags are set");
    if ((flags & FLAG_EXTRA) != 0) {
        if (header.len - at < 2) return malformed(work, cut);
        const size_t extra_len = (size_t)header.ptr[at] | (size_t)header.ptr[at + 1] << 8;
        at += 2;
        if (header.len - at < extra_len) return malformed(work, cut);
        at += extra_len;
    }
    for (unsigned flag = FLAG_NAME; flag <= FLAG_COMMENT; flag <<= 1) {
        if ((flags & flag) == 0) continue;
        const size_t len = text_field_len(header, at);
        if (len == 0) return malformed(work, cut);
        at += len;
    }
    if ((flags & FLAG_HCRC) != 0) {
        if (header.len - at < 2) return malformed(work, cut);
        const uint32_t declared = (uint32_t)header.ptr[at] | (uint32_t)header.ptr[at + 1] << 8;
        const uint32_t actual = libdeflate_crc32(0, header.ptr, at) & 0xffff;
        if (declared != actual) return malformed(work, "wrong CRC of a gzip header");
        at += 2;
    }
    skip(work, at);
    return OK;
}

static enum err inflate_member(struct work *work)
{
    const size_t start = work->len;

    TRY(read_header(work));
    TRY(inflate_stream(work));
    if (work->in.len < GZIP_TRAILER_LEN) return malformed(work, "gzip trailer truncated");

    const size_t len = work->len - start;
    const uint32_t crc = len == 0 ? 0 : libdeflate_crc32(0, work->out + start, len);
    if (load_le32(work->in.ptr) != crc) return malformed(work, "wrong CRC32 of a gzip member");
    if (load_le32(work->in.ptr + 4) != (uint32_t)len) return malformed(work, "wrong length of a gzip member");
    skip(work, GZIP_TRAILER_LEN);
    return OK;
}

static enum err inflate_members(struct work *work)
{
    unsigned members = 0;

    if (work->in.len == 0) return malformed(work, "empty gzip body");
    while (work->in.len > 0) {
        if (++members > INFLATE_MEMBERS_MAX) return malformed(work, "more than 256 gzip members");
        const enum err err = inflate_member(work);
        if (err == OK) continue;
        if (err == ERR_MALFORMED && members > 1 && strcmp(work->reason, "not a gzip member") == 0) {
            work->reason = "bytes after the last gzip member";
        }
        return err;
    }
    return OK;
}

/* ---- zlib ---- */

static enum err inflate_zlib_stream(struct work *work)
{
    if (work->in.len < ZLIB_HEADER_LEN) return malformed(work, "zlib header truncated");

    const unsigned cmf = work->in.ptr[0];
    const unsigned flags = work->in.ptr[1];
    if ((cmf & 0x0f) != 8 || cmf >> 4 > 7 || (cmf << 8 | flags) % 31 != 0)
        return malformed(work, "not a zlib stream");
    if ((flags & 0x20) != 0) return malformed(work, "zlib stream with a preset dictionary");
    skip(work, ZLIB_HEADER_LEN);

    TRY(inflate_stream(work));
    if (work->in.len < ZLIB_TRAILER_LEN) return malformed(work, "zlib trailer truncated");
    const uint32_t adler = work->len == 0 ? 1 : libdeflate_adler32(1, work->out, work->len);
    if (load_be32(work->in.ptr) != adler) return malformed(work, "wrong Adler-32 of a zlib stream");
    skip(work, ZLIB_TRAILER_LEN);
    return work->in.len == 0 ? OK : malformed(work, "bytes after the zlib stream");
}

/* ---- zstd ---- */

enum {
    ZSTD_SKIPPABLE_MAGIC = 0x184d2a50, /* and the fifteen numbers that follow */
    ZSTD_SKIPPABLE_HEADER_LEN = 8,
    ZSTD_FIXED_LEN = 5, /* magic and descriptor */
    ZSTD_BLOCK_HEADER_LEN = 3,
    ZSTD_BLOCK_MAX = 128 << 10,

    DESC_DICTIONARY = 0x03, /* log2 of twice the length of the id, 0 for none */
    DESC_RESERVED = 0x08,
    DESC_SINGLE_SEGMENT = 0x20, /* no window: the whole content is in memory */
};

/* RFC 8878 3.1.1.1.2 */
static uint64_t window_bytes(uint8_t descriptor)
{
    const uint64_t base = 1ULL << (10 + (descriptor >> 3));

    return base + base / 8 * (descriptor & 7);
}

/* The content size that a header declares in its last `len` bytes (RFC 8878 3.1.1.1.4). */
static uint64_t content_bytes(const uint8_t *at, size_t len)
{
    uint64_t size = 0;

    for (size_t i = 0; i < len; i++)
        size |= (uint64_t)at[i] << (8 * i);
    return len == 2 ? size + 256 : size;
}

/*
 * What a frame asks for; its size is left to libzstd, which compares it with what comes out. *blocks_at is where its
 * blocks begin, *block_max what one of them may become.
 */
static enum err judge_frame(struct work *work, size_t *blocks_at, uint64_t *block_max)
{
    const struct slice in = work->in;
    uint32_t id = 0;

    if (in.len <= ZSTD_FIXED_LEN) return malformed(work, "zstd frame header truncated");
    const unsigned descriptor = in.ptr[4];
    const size_t window_len = (descriptor & DESC_SINGLE_SEGMENT) != 0 ? 0 : 1;
    const size_t id_len = (1U << (descriptor & DESC_DICTIONARY)) >> 1;

    if ((descriptor & DESC_RESERVED) != 0) return malformed(work, "a reserved bit of a zstd frame is set");
    size_t size_len = (1U << (descriptor >> 6)) & ~1U;
    if (size_len == 0 && window_len == 0) size_len = 1;
    const size_t header_len = ZSTD_FIXED_LEN + window_len + id_len + size_len;
    if (in.len < header_len) return malformed(work, "zstd frame header truncated");
    if (window_len == 1 && window_bytes(in.ptr[ZSTD_FIXED_LEN]) > INFLATE_WINDOW_MAX)
        return malformed(work, "zstd window of more than 8 MiB");
    for (size_t i = 0; i < id_len; i++)
        id |= (uint32_t)in.ptr[ZSTD_FIXED_LEN + window_len + i] << (8 * i);
    if (id != 0) return malformed(work, "zstd frame that needs a dictionary");
    const uint64_t window = window_len == 1 ? window_bytes(in.ptr[ZSTD_FIXED_LEN])
                                            : content_bytes(in.ptr + header_len - size_len, size_len);
    *blocks_at = header_len;
    *block_max = window < ZSTD_BLOCK_MAX ? window : ZSTD_BLOCK_MAX;
    return OK;
}

/*
 * RFC 8878 3.1.1.2.4. libzstd believes longer blocks of one repeated byte, up to 2 MiB, when it writes into one buffer;
 * its stream API does not. The frame's structure has been checked. *most: what all blocks together may become.
 */
static bool blocks_are_too_long(struct slice blocks, uint64_t block_max, uint64_t *most)
{
    *most = 0;
    for (bool last = false; !last;) {
        const uint32_t header = (uint32_t)blocks.ptr[0] | (uint32_t)blocks.ptr[1] << 8 |
                                (uint32_t)blocks.ptr[2] << 16;
        const unsigned type = header >> 1 & 3; /* 0 raw, 1 repeats, 2 compressed */
        const bool repeats = type == 1;
        const size_t size = header >> 3;
        if (size > block_max) return true;
        *most += type == 2 ? block_max : size;
        last = (header & 1) != 0;
        const size_t taken = ZSTD_BLOCK_HEADER_LEN + (repeats ? 1 : size);
        assert(taken <= blocks.len);
        blocks = slice_of(blocks.ptr + taken, blocks.len - taken);
    }
    return false;
}

static enum err inflate_frame(struct work *work)
{
    size_t blocks_at;
    uint64_t block_max, most;
    uint8_t nowhere;

    TRY(judge_frame(work, &blocks_at, &block_max));
    const size_t frame_len = ZSTD_findFrameCompressedSize(work->in.ptr, work->in.len);
    if (ZSTD_isError(frame_len)) return malformed(work, "corrupt or truncated zstd frame");
    assert(frame_len <= work->in.len && frame_len >= blocks_at + ZSTD_BLOCK_HEADER_LEN);
    if (blocks_are_too_long(slice_of(work->in.ptr + blocks_at, frame_len - blocks_at), block_max, &most))
        return malformed(work, "zstd block that is longer than blocks may be");

    const size_t room = output_end(work) - work->len;
    const size_t written = ZSTD_decompressDCtx(
        work->zstd, work->out == NULL ? &nowhere : work->out + work->len, room, work->in.ptr, frame_len);
    if (ZSTD_isError(written)) {
        switch (ZSTD_getErrorCode(written)) {
        case ZSTD_error_dstSize_tooSmall: return no_room(work);
        case ZSTD_error_checksum_wrong: return malformed(work, "wrong checksum of a zstd frame");
        case ZSTD_error_memory_allocation: return ERR_NO_MEMORY;
        default: return malformed(work, "corrupt zstd frame");
        }
    }
    assert(written <= room);
    if (written > most) return malformed(work, "zstd block that becomes longer than blocks may be");
    work->len += written;
    skip(work, frame_len);
    return OK;
}

static enum err skip_frame(struct work *work, size_t *skippable_bytes)
{
    if (work->in.len < ZSTD_SKIPPABLE_HEADER_LEN) return malformed(work, "skippable zstd frame truncated");
    const uint64_t len = ZSTD_SKIPPABLE_HEADER_LEN + (uint64_t)load_le32(work->in.ptr + 4);
    if (len > INFLATE_SKIPPABLE_MAX - *skippable_bytes)
        return malformed(work, "more than 64 KiB of skippable zstd frames");
    if (len > work->in.len) return malformed(work, "skippable zstd frame truncated");
    *skippable_bytes += (size_t)len;
    skip(work, (size_t)len);
    return OK;
}

static enum err inflate_frames(struct work *work)
{
    size_t skippable_bytes = 0;
    unsigned frames = 0;

    if (work->in.len == 0) return malformed(work, "empty zstd body");
    while (work->in.len > 0) {
        const uint32_t magic = work->in.len < 4 ? 0 : load_le32(work->in.ptr);
        const bool skippable = (magic & ~15U) == ZSTD_SKIPPABLE_MAGIC;
        if (magic != ZSTD_MAGICNUMBER && !skippable)
            return malformed(work, frames == 0 ? "not a zstd frame" : "bytes after the last zstd frame");
        if (++frames > INFLATE_FRAMES_MAX) return malformed(work, "more than 256 zstd frames");
        TRY(skippable ? skip_frame(work, &skippable_bytes) : inflate_frame(work));
    }
    return OK;
}

/* ---- all ---- */

static enum err inflate_body(struct inflater *inflater, enum err (*inflate)(struct work *), struct slice in,
                             uint8_t *out, size_t capacity, size_t *out_len, const char **reason)
{
    struct work work = {
        .libdeflate = inflater->libdeflate,
        .zstd = inflater->zstd,
        .in = in,
        .out = out,
        .capacity = capacity,
        .limit = inflate_limit(in.len),
    };

    assert(out != NULL || capacity == 0);

    const enum err err = inflate(&work);
    if (err == OK) {
        *out_len = work.len;
    } else if (work.reason != NULL) {
        *reason = work.reason;
    }
    return err;
}

enum err inflate_gzip(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason)
{
    return inflate_body(inflater, inflate_members, in, out, capacity, out_len, reason);
}

enum err inflate_zlib(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason)
{
    return inflate_body(inflater, inflate_zlib_stream, in, out, capacity, out_len, reason);
}

enum err inflate_zstd(struct inflater *inflater, struct slice in, uint8_t *out, size_t capacity,
                      size_t *out_len, const char **reason)
{
    return inflate_body(inflater, inflate_frames, in, out, capacity, out_len, reason);
}
