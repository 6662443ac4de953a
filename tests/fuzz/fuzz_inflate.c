/*
 * Fuzzes inflating, against zlib, the stream API of libzstd, and a decoder of snappy written for this. Byte 0 chooses what the rest is:
 *
 *   0  a gzip body          1  a zlib body
 *   2  a deflate stream, which is wrapped into a member whose CRC32 and ISIZE are right (no mutation finds
 * those)
 *   128 to 191  a zstd body
 *   192 and more  a snappy body; an odd one has the checksums of its chunks set right first
 *
 *   - the verdict and the bytes are those of zlib, over all members, but for what lenient() names, and those of
 *     ZSTD_decompressStream() with a window of 8 MiB, but for our limits on frames and what is older than zstd 0.8
 *   - a decoder that has met this input afterwards reads a good body (E10)
 *   - a buffer one byte too small is ERR_FULL, the exact one is enough, nothing is written beyond either
 */
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "codec/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

enum { ROOM = 1 << 20, BODY_MAX = 8192, WINDOW_GZIP = 31, WINDOW_ZLIB = 15 };

static uint8_t ours[ROOM], theirs[ROOM], wrapped[BODY_MAX + 64];
static const char *complaint; /* of zlib, or NULL */

static const uint8_t empty_member[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};

/* The length that zlib makes of a body; -1 if it refuses it, -2 if its output does not fit. */
static long zlib_verdict(struct slice in, int window_bits)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    unsigned members = 0;
    long total = 0;
    int result;

    CHECK(inflateInit2(&stream, window_bits) == Z_OK);
    do {
        stream.next_out = theirs + total;
        stream.avail_out = (uInt)(ROOM - total);
        result = inflate(&stream, Z_FINISH);
        total = stream.next_out - theirs;
    } while (result == Z_STREAM_END && ++members < INFLATE_MEMBERS_MAX && window_bits == WINDOW_GZIP &&
             stream.avail_in > 0 && inflateReset(&stream) == Z_OK);
    const bool full = result == Z_BUF_ERROR && stream.avail_out == 0;
    const bool good = result == Z_STREAM_END && stream.avail_in == 0;
    complaint = stream.msg;
    inflateEnd(&stream);
    return good ? total : full ? -2 : -1;
}

/* A member around a deflate stream, as libdeflate reads it; empty if it does not. */
static struct slice wrap(struct libdeflate_decompressor *decompressor, struct slice stream)
{
    size_t read, written;

    if (libdeflate_deflate_decompress_ex(decompressor, stream.ptr, stream.len, ours, ROOM, &read, &written) !=
        LIBDEFLATE_SUCCESS) {
        return (struct slice){0};
    }
    const uint32_t trailer[2] = {libdeflate_crc32(0, ours, written),
                                 (uint32_t)written}; /* little-endian hosts */
    memcpy(wrapped, empty_member, 10);
    memcpy(wrapped + 10, stream.ptr, read);
    memcpy(wrapped + 10 + read, trailer, 8);
    return slice_of(wrapped, 10 + read + 8);
}

/*
 * libdeflate gives a meaning to symbols that RFC 1951 leaves without one (lengths 286 and 287, distances 30
 * and 31), and lets codes be declared for them. 1.14 (Debian 12) also ends a repetition of code lengths that
 * runs beyond the last symbol there; later ones refuse it. No compressor writes any of this, and the checksum
 * still has to be right, so nothing is lost.
 */
static bool lenient(void)
{
    static const char *const known[] = {"invalid literal/length code", "invalid distance code",
                                        "too many length or distance symbols", "invalid bit length repeat"};

    for (size_t i = 0; complaint != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(complaint, known[i]) == 0) return true;
    }
    return false;
}

static void compare(struct inflater *inflater, struct slice in, int window_bits)
{
    enum err (*const inflate)(struct inflater *, struct slice, uint8_t *, size_t, size_t *,
                              const char **) = window_bits == WINDOW_GZIP ? inflate_gzip : inflate_zlib;
    size_t len = 0;
    const char *reason = NULL;
    const enum err err = inflate(inflater, in, ours, ROOM, &len, &reason);
    const long expected = zlib_verdict(in, window_bits);

    CHECK(err == OK || err == ERR_MALFORMED || err == ERR_TOO_LARGE || err == ERR_FULL);
    CHECK(err == OK || err == ERR_FULL || reason != NULL);
    if (err == OK && expected == -1 && lenient()) return;
    if (err == OK) {
        if (expected < 0 && complaint != NULL) fprintf(stderr, "zlib: %s\n", complaint);
        CHECK(expected >= 0 && (size_t)expected == len && memcmp(ours, theirs, len) == 0);
    } else if (expected >= 0) {
        /* Only our own limit on headers may refuse what zlib takes. */
        CHECK(err == ERR_MALFORMED && strstr(reason, "4 KiB") != NULL);
    }
    if (err == OK && len > 0) {
        uint8_t *const exact = malloc(len);
        CHECK(inflate(inflater, in, exact, len, &len, &reason) == OK);
        CHECK(inflate(inflater, in, exact, len - 1, &len, &reason) == ERR_FULL);
        free(exact);
    }
    CHECK(inflate_gzip(inflater, slice_of(empty_member, sizeof empty_member), ours, ROOM, &len, &reason) ==
          OK);
    CHECK(len == 0);
}

static bool size_is_wrong; /* in a frame that the stream API has read */

/* Where a frame does not become what it declares, the stream API only sees it when that much would fit. */
static bool frame_lies(struct slice frame, size_t len)
{
    const unsigned long long declared = ZSTD_getFrameContentSize(frame.ptr, frame.len);

    return declared != ZSTD_CONTENTSIZE_UNKNOWN && declared != len;
}

/* The same for libzstd's stream API. */
static long stream_verdict(struct slice in)
{
    size_t frame_in = 0, frame_out = 0;
    static ZSTD_DCtx *stream;
    ZSTD_inBuffer input = {in.ptr, in.len, 0};
    ZSTD_outBuffer output = {theirs, ROOM, 0};
    size_t due = 1; /* 0: at the end of a frame */

    size_is_wrong = false;
    if (stream == NULL) stream = ZSTD_createDCtx();
    CHECK(!ZSTD_isError(ZSTD_DCtx_reset(stream, ZSTD_reset_session_and_parameters)));
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, 23)));
    for (;;) {
        const size_t in_before = input.pos, out_before = output.pos;
        due = ZSTD_decompressStream(stream, &output, &input);
        if (ZSTD_isError(due)) return -1;
        if (due == 0) {
            size_is_wrong |= frame_lies(slice_of(in.ptr + frame_in, in.len - frame_in),
                                        output.pos - frame_out);
            frame_in = input.pos;
            frame_out = output.pos;
        }
        if (due == 0 && input.pos == input.size) return (long)output.pos;
        if (input.pos == in_before && output.pos == out_before) return output.pos == ROOM ? -2 : -1;
    }
}

/* Frames as zstd wrote them before 0.8: libzstd reads some of them, we read none. */
static bool has_legacy_frame(struct slice in)
{
    for (size_t i = 0; i + 4 <= in.len; i++) {
        const bool old = in.ptr[i] == 0x1e || (in.ptr[i] >= 0x22 && in.ptr[i] <= 0x27);
        if (old && memcmp(in.ptr + i + 1, "\xb5\x2f\xfd", 3) == 0) return true;
    }
    return false;
}

/* A compressed block of no bytes, which cannot be one: the stream API passes over it, the other refuses it. */
static bool may_have_empty_block(struct slice in)
{
    return memmem(in.ptr, in.len, "\4\0\0", 3) != NULL || memmem(in.ptr, in.len, "\5\0\0", 3) != NULL;
}

/*
 * Blocks of a frame with a small window may become no longer than that. libzstd's single call does not look; we compare what
 * all blocks of a frame become, so one that is too long may hide behind others that are short.
 */
static bool has_small_blocks(struct slice in)
{
    for (size_t i = 0; i + 6 <= in.len; i++) {
        if (memcmp(in.ptr + i, "\x28\xb5\x2f\xfd", 4) != 0) continue;
        const bool single = (in.ptr[i + 4] & 0x20) != 0;
        if (single || in.ptr[i + 5] >> 3 < 7) return true;
    }
    return false;
}

static void compare_zstd(struct inflater *inflater, struct slice in)
{
    static const uint8_t empty_frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0};
    size_t len = 0;
    const char *reason = NULL;
    const enum err err = inflate_zstd(inflater, in, ours, ROOM, &len, &reason);
    const long expected = stream_verdict(in);

    CHECK(err == OK || err == ERR_MALFORMED || err == ERR_TOO_LARGE || err == ERR_FULL);
    CHECK(err == OK || err == ERR_FULL || reason != NULL);
    if (err == OK && expected == -1 && has_small_blocks(in)) return;
    if (err == OK) {
        CHECK(expected >= 0 && (size_t)expected == len && memcmp(ours, theirs, len) == 0);
    } else if (expected >= 0) {
        CHECK(err == ERR_MALFORMED);
        CHECK(strstr(reason, "256 zstd frames") != NULL || strstr(reason, "64 KiB") != NULL ||
              has_legacy_frame(in) ||
              /* the stream API does not look at the window of a frame that says how short it is */
              strstr(reason, "8 MiB") != NULL || /* RFC 8878 3.1.1.2.4, to the letter in empty frames, too: */
              (strstr(reason, "blocks may be") != NULL && has_small_blocks(in)) ||
              (strcmp(reason, "corrupt zstd frame") == 0 && (may_have_empty_block(in) || size_is_wrong)));
    }
    if (err == OK && len > 0) {
        uint8_t *const exact = malloc(len);
        CHECK(inflate_zstd(inflater, in, exact, len, &len, &reason) == OK);
        CHECK(inflate_zstd(inflater, in, exact, len - 1, &len, &reason) == ERR_FULL);
        free(exact);
    }
    CHECK(inflate_zstd(inflater, slice_of(empty_frame, sizeof empty_frame), ours, ROOM, &len, &reason) == OK);
    CHECK(len == 0);
}

/* ---- snappy ------------------------------------------------------------------------------------------------ */

/* What one element copies or holds: format_description.txt. */
struct element {
    size_t head_len, len, offset; /* offset 0: a literal */
};

static bool read_element(struct slice in, struct element *out)
{
    const unsigned tag = in.ptr[0], kind = tag & 3;
    const size_t more = kind == 0 ? (tag >> 2 < 60 ? 0 : (tag >> 2) - 59) : kind == 1 ? 1 : kind == 2 ? 2 : 4;
    uint64_t number = 0;

    if (in.len < 1 + more) return false;
    for (size_t i = 0; i < more; i++)
        number |= (uint64_t)in.ptr[1 + i] << (8 * i);
    out->head_len = 1 + more;
    out->len = kind == 0   ? (more == 0 ? tag >> 2 : number) + 1
               : kind == 1 ? (tag >> 2 & 7) + 4
                           : (tag >> 2) + 1;
    out->offset = kind == 0 ? 0 : kind == 1 ? (size_t)(tag >> 5) << 8 | number : number;
    return kind == 0 || out->offset > 0;
}

/* Appends to theirs[at..at + most); the new end, or -1. */
static long block_verdict(struct slice in, size_t at, size_t most)
{
    const size_t start = at;
    uint64_t declared = 0;
    size_t read = 0;

    for (unsigned shift = 0;; shift += 7) {
        if (read == in.len || shift > 28) return -1;
        declared |= (uint64_t)(in.ptr[read] & 0x7f) << shift;
        if ((in.ptr[read++] & 0x80) == 0) break;
    }
    if (declared > most || at + declared > ROOM) return -1;
    while (read < in.len) {
        struct element element;
        if (!read_element(slice_of(in.ptr + read, in.len - read), &element)) return -1;
        read += element.head_len;
        if (element.len > start + declared - at) return -1;
        if (element.offset > at - start || (element.offset == 0 && element.len > in.len - read)) return -1;
        for (size_t i = 0; i < element.len; i++, at++)
            theirs[at] = element.offset == 0 ? in.ptr[read + i] : theirs[at - element.offset];
        if (element.offset == 0) read += element.len;
    }
    return at == start + declared ? (long)at : -1;
}

static uint32_t masked_crc(const uint8_t *ptr, size_t len)
{
    const uint32_t crc = len > 0 ? crc32c(0, ptr, len) : 0;

    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

static const uint8_t snappy_beginning[] = {0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'};

/* in: may be written to; `mend` sets checksums right. */
static long snappy_verdict(uint8_t *in, size_t in_len, bool mend)
{
    size_t skipped = 0;
    long total = 0;

    if (in_len == 0) return -1;
    if (in_len < 10 || memcmp(in, snappy_beginning, 10) != 0)
        return block_verdict(slice_of(in, in_len), 0, ROOM);
    for (size_t at = 0; at < in_len;) {
        if (in_len - at < 4) return -1;
        const unsigned type = in[at];
        const size_t len = (size_t)in[at + 1] | (size_t)in[at + 2] << 8 | (size_t)in[at + 3] << 16;
        if (len > in_len - at - 4) return -1;
        uint8_t *const data = in + at + 4;
        const size_t before = (size_t)total;
        if (type <= 1) {
            if (len < 4) return -1;
            if (type == 0) {
                total = block_verdict(slice_of(data + 4, len - 4), before, 65536);
            } else {
                memcpy(theirs + total, data + 4, len - 4); /* BODY_MAX is less than a chunk may hold */
                total += (long)(len - 4);
            }
            if (total < 0) return -1;
            const uint32_t crc = masked_crc(theirs + before, (size_t)total - before);
            if (mend) memcpy(data, &crc, 4);
            if (memcmp(data, &crc, 4) != 0) return -1;
        } else if (type == 0xff) {
            if (len != 6 || memcmp(in + at, snappy_beginning, 10) != 0) return -1;
        } else if (type < 0x80 || (skipped += 4 + len) > INFLATE_SKIPPABLE_MAX) {
            return -1;
        }
        at += 4 + len;
    }
    return total;
}

/* libsnappy is not instrumented: what it writes behind its room is seen by bytes that lie there. */
static enum err inflate_guarded(struct slice in, size_t capacity, size_t *len, const char **reason)
{
    enum { GUARD = 64 };
    uint8_t *const room = malloc(capacity + GUARD), *const copy = malloc(in.len + 1);

    memset(room + capacity, 0xee, GUARD);
    memcpy(copy, in.ptr, in.len);
    const enum err err = inflate_snappy(slice_of(copy, in.len), room, capacity, len, reason);
    for (unsigned i = 0; i < GUARD; i++)
        CHECK(room[capacity + i] == 0xee);
    if (err == OK) memcpy(ours, room, *len);
    free(room);
    free(copy);
    return err;
}

static void compare_snappy(const uint8_t *bytes, size_t in_len, bool mend)
{
    static uint8_t in[BODY_MAX];
    size_t len = 0;
    const char *reason = NULL;

    memcpy(in, bytes, in_len);
    const long expected = snappy_verdict(in, in_len, mend);
    const enum err err = inflate_guarded(slice_of(in, in_len), ROOM, &len, &reason);
    CHECK((err == OK) == (expected >= 0)); /* a body of BODY_MAX cannot become more than ROOM: 64/3 */
    CHECK(err == OK || (err == ERR_MALFORMED && reason != NULL));
    if (err != OK) return;
    CHECK((size_t)expected == len && memcmp(ours, theirs, len) == 0);
    CHECK(inflate_guarded(slice_of(in, in_len), len, &len, &reason) == OK);
    if (len > 0) CHECK(inflate_guarded(slice_of(in, in_len), len - 1, &len, &reason) == ERR_FULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct inflater *inflater;
    static struct libdeflate_decompressor *decompressor;

    if (inflater == NULL) CHECK(inflater_open(&inflater) == OK);
    if (decompressor == NULL) decompressor = libdeflate_alloc_decompressor();
    if (size < 1 || size > BODY_MAX) return 0;

    struct slice in = slice_of(data + 1, size - 1);
    if (data[0] >= 192) {
        compare_snappy(in.ptr, in.len, data[0] % 2 == 1);
        return 0;
    }
    if (data[0] >= 128) {
        compare_zstd(inflater, in);
        return 0;
    }
    if (data[0] % 3 == 2) in = wrap(decompressor, in);
    compare(inflater, in, data[0] % 3 == 1 ? WINDOW_ZLIB : WINDOW_GZIP);
    return 0;
}
