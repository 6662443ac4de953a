/* gzip and zlib bodies: rows E1 to E12 of the catalogue, with zlib as the one who makes them and as oracle.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "codec/inflate.h"

enum { ROOM = 2 << 20 };

static uint8_t packed[ROOM], plain[ROOM], out[ROOM];
static struct inflater *inflater;
static size_t out_len;
static const char *reason;

static void open_inflater(void)
{
    cr_assert_eq(inflater_open(&inflater), OK);
}

static void close_inflater(void)
{
    inflater_close(inflater);
}

TestSuite(inflate, .init = open_inflater, .fini = close_inflater);

/* Text-like bytes that compress about 3:1. */
static void fill(size_t len)
{
    uint64_t state = 88172645463325252ULL;

    for (size_t i = 0; i < len; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        plain[i] = (uint8_t)("abcdefgh traces "[state & 15]);
    }
}

/* Appends plain[0..len) to packed at `at`; window_bits 15: zlib, 31: gzip. header may be NULL. Returns the
 * new end. */
static size_t pack(size_t at, size_t len, int window_bits, int level, gz_header *header)
{
    z_stream stream = {0};

    cr_assert_eq(deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (header != NULL) cr_assert_eq(deflateSetHeader(&stream, header), Z_OK);
    stream.next_in = plain;
    stream.avail_in = (uInt)len;
    stream.next_out = packed + at;
    stream.avail_out = (uInt)(sizeof packed - at);
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    const size_t end = at + stream.total_out;
    deflateEnd(&stream);
    return end;
}

static size_t gzip(size_t at, size_t len)
{
    return pack(at, len, 31, 6, NULL);
}

/* The input is an allocation of its own, so that reading past it is seen. */
static enum err run(enum err (*inflate)(struct inflater *, struct slice, uint8_t *, size_t, size_t *,
                                        const char **),
                    size_t packed_len, size_t capacity)
{
    uint8_t *const copy = malloc(packed_len + 1);

    memcpy(copy, packed, packed_len);
    reason = "none given";
    out_len = 12345;
    const enum err err = inflate(inflater, slice_of(copy, packed_len), out, capacity, &out_len, &reason);
    free(copy);
    if (err == ERR_MALFORMED || err == ERR_TOO_LARGE) cr_expect_str_neq(reason, "none given");
    if (err != OK) cr_expect_eq(out_len, 12345, "untouched on failure");
    return err;
}

static enum err run_gzip(size_t packed_len)
{
    return run(inflate_gzip, packed_len, sizeof out);
}

/* After whatever came before, a good body is read well (E10). */
static void good_body_still_works(void)
{
    fill(1000);
    cr_assert_eq(run_gzip(gzip(0, 1000)), OK);
    cr_assert_eq(out_len, 1000);
    cr_assert_arr_eq(out, plain, 1000);
}

static void refused(size_t packed_len, const char *what)
{
    const enum err err = run_gzip(packed_len);

    cr_expect_eq(err, ERR_MALFORMED, "%s: %s", what, err_text(err));
    good_body_still_works();
}

Test(inflate, reads_bodies_of_all_sizes_and_levels)
{
    static const size_t sizes[] = {0, 1, 2, 100, 32768, 65535, 65536, 1000000};

    fill(1000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int level = 0; level <= 9; level += 3) {
            cr_expect_eq(run_gzip(pack(0, sizes[i], 31, level, NULL)), OK);
            cr_expect_eq(out_len, sizes[i]);
            cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
            cr_expect_eq(run(inflate_zlib, pack(0, sizes[i], 15, level, NULL), sizeof out), OK);
            cr_expect_eq(out_len, sizes[i]);
            cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
        }
    }
}

Test(inflate, a_small_buffer_is_told_and_the_exact_one_is_enough)
{
    fill(5000);
    const size_t len = gzip(gzip(0, 5000), 100);

    for (size_t capacity = 0; capacity < 5100; capacity += 51)
        cr_expect_eq(run(inflate_gzip, len, capacity), ERR_FULL);
    cr_expect_eq(run(inflate_gzip, len, 5099), ERR_FULL);
    cr_expect_eq(run(inflate_gzip, len, 5100), OK);
    cr_expect_eq(out_len, 5100);
    const size_t zlib_len = pack(0, 5000, 15, 6, NULL);
    cr_expect_eq(run(inflate_zlib, zlib_len, 4999), ERR_FULL);
    cr_expect_eq(run(inflate_zlib, zlib_len, 5000), OK);
}

Test(inflate, an_empty_buffer_is_enough_for_nothing)
{
    const size_t len = gzip(0, 0);

    cr_expect_eq(inflate_gzip(inflater, slice_of(packed, len), NULL, 0, &out_len, &reason), OK);
    cr_expect_eq(out_len, 0);
}

Test(inflate, E1_the_limit_follows_ratio_and_cap)
{
    cr_expect_eq(inflate_limit(0), 1 << 20);
    cr_expect_eq(inflate_limit(5242), 1 << 20);
    cr_expect_eq(inflate_limit(5243), 5243 * 200);
    cr_expect_eq(inflate_limit(100000), 20000000);
    cr_expect_eq(inflate_limit(335544), 335544 * 200);
    cr_expect_eq(inflate_limit(335545), 64 << 20);
    cr_expect_eq(inflate_limit(SIZE_MAX), 64 << 20);
}

Test(inflate, E1_a_bomb_stops_at_the_limit)
{
    /* Zeros compress about 1,029:1, so 64 MiB of them are far beyond 200:1; N-1, N and N+1 follow. */
    static uint8_t zeros[1 << 16];
    const size_t target = 64 << 20;
    uint8_t *const bomb = malloc(1 << 20);
    z_stream stream = {.next_out = bomb, .avail_out = 1 << 20};

    cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    for (size_t given = 0; given < target; given += sizeof zeros) {
        stream.next_in = zeros;
        stream.avail_in = sizeof zeros;
        cr_assert_eq(deflate(&stream, Z_NO_FLUSH), Z_OK);
    }
    cr_assert_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    const struct slice in = slice_of(bomb, stream.total_out);
    deflateEnd(&stream);
    cr_assert_lt(in.len, 70000);

    const size_t limit = inflate_limit(in.len);
    uint8_t *const room = malloc(limit + 100);
    memset(room, 0xee, limit + 100);
    cr_expect_eq(inflate_gzip(inflater, in, room, limit - 1, &out_len, &reason), ERR_FULL);
    cr_expect_eq(inflate_gzip(inflater, in, room, limit, &out_len, &reason), ERR_TOO_LARGE);
    cr_expect_eq(inflate_gzip(inflater, in, room, limit + 100, &out_len, &reason), ERR_TOO_LARGE);
    cr_expect_eq(room[limit], 0xee, "nothing is written beyond the limit");
    good_body_still_works();
    free(room);
    free(bomb);
}

static enum err status_of_zeros(size_t len)
{
    memset(plain, 0, len);
    return run_gzip(gzip(0, len));
}

Test(inflate, E1_a_mebibyte_may_have_any_ratio_but_not_a_byte_more)
{
    cr_expect_eq(status_of_zeros((1 << 20) - 1), OK);
    cr_expect_eq(status_of_zeros(1 << 20), OK);
    cr_expect_eq(status_of_zeros((1 << 20) + 1), ERR_TOO_LARGE);
}

Test(inflate, E1_the_limit_holds_over_all_members)
{
    memset(plain, 0, 1 << 20);
    const size_t len = gzip(gzip(0, 1 << 20), 1);

    cr_expect_eq(run_gzip(len), ERR_TOO_LARGE);
}

Test(inflate, E2_a_declared_size_is_not_believed)
{
    fill(1000);
    const size_t len = gzip(0, 1000);

    memset(packed + len - 4, 0xff, 4);
    refused(len, "ISIZE of 2^32-1");
}

Test(inflate, E3_every_truncation_is_refused)
{
    fill(3000);
    const size_t len = gzip(gzip(0, 2000), 1000);
    const size_t first = gzip(0, 2000);
    cr_assert_lt(first, len);
    gzip(first, 1000);

    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(run_gzip(cut), cut == first ? OK : ERR_MALFORMED, "cut at %zu of %zu", cut, len);
    const size_t zlib_len = pack(0, 2000, 15, 6, NULL);
    for (size_t cut = 0; cut < zlib_len; cut++)
        cr_expect_eq(run(inflate_zlib, cut, sizeof out), ERR_MALFORMED, "cut at %zu", cut);
}

/* What zlib makes of one body of one or more members; -1: refuses it. */
static long oracle(size_t len, uint8_t *to, size_t capacity, int window_bits)
{
    z_stream stream = {0};
    long total = 0;
    int result;

    cr_assert_eq(inflateInit2(&stream, window_bits), Z_OK);
    stream.next_in = packed;
    stream.avail_in = (uInt)len;
    do {
        stream.next_out = to + total;
        stream.avail_out = (uInt)(capacity - (size_t)total);
        result = inflate(&stream, Z_FINISH);
        total = (long)(stream.next_out - to);
        if (result != Z_STREAM_END) break;
        result = inflateReset(&stream);
    } while (stream.avail_in > 0 && window_bits > 15);
    const long answer = result == Z_OK && stream.avail_in == 0 && len > 0 ? total : -1;
    inflateEnd(&stream);
    return answer;
}

Test(inflate, E3_every_flipped_bit_gets_the_verdict_of_zlib)
{
    static uint8_t expected[ROOM];
    gz_header header = {.name = (Bytef *)(uintptr_t) "name",
                        .extra = (Bytef *)(uintptr_t) "extra",
                        .extra_len = 5,
                        .hcrc = 1};

    fill(700);
    const size_t len = pack(0, 700, 31, 6, &header);
    unsigned refusals = 0;
    for (size_t bit = 0; bit < len * 8; bit++) {
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const long answer = oracle(len, expected, sizeof expected, 31);
        const enum err err = run_gzip(len);
        cr_expect_eq(err == OK, answer >= 0, "bit %zu: %s, zlib %ld", bit, err_text(err), answer);
        if (err == OK && answer >= 0) {
            cr_expect_eq(out_len, (size_t)answer);
            cr_expect_eq(memcmp(out, expected, out_len), 0);
        }
        refusals += err != OK;
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    cr_expect_geq(refusals, len * 8 - 7,
                  "the header has a CRC, so each bit counts but those that pad the stream");

    const size_t zlib_len = pack(0, 700, 15, 6, NULL);
    for (size_t bit = 0; bit < zlib_len * 8; bit++) {
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const long answer = oracle(zlib_len, expected, sizeof expected, 15);
        const enum err err = run(inflate_zlib, zlib_len, sizeof out);
        cr_expect_eq(err == OK, answer >= 0, "zlib bit %zu: %s, zlib %ld", bit, err_text(err), answer);
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    good_body_still_works();
}

Test(inflate, E3_wrong_checksums_are_named)
{
    fill(100);
    const size_t len = gzip(0, 100);

    packed[len - 8] ^= 1;
    refused(len, "CRC32");
    fill(100);
    gzip(0, 100);
    packed[len - 4] ^= 1;
    refused(len, "ISIZE");
    const size_t zlib_len = pack(0, 100, 15, 6, NULL);
    packed[zlib_len - 1] ^= 1;
    cr_expect_eq(run(inflate_zlib, zlib_len, sizeof out), ERR_MALFORMED);
    cr_expect_str_eq(reason, "wrong Adler-32 of a zlib stream");
}

Test(inflate, E4_all_members_are_one_body)
{
    size_t len = 0;

    fill(3000);
    for (unsigned i = 0; i < 3; i++)
        len = gzip(len, 3000);
    cr_expect_eq(run_gzip(len), OK);
    cr_expect_eq(out_len, 9000);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_arr_eq(out + 3000 * i, plain, 3000);
}

static enum err status_of_members(unsigned count)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len = gzip(len, i % 2);
    return run_gzip(len);
}

Test(inflate, E4_at_most_256_members)
{
    cr_expect_eq(status_of_members(255), OK);
    cr_expect_eq(status_of_members(256), OK);
    cr_expect_eq(out_len, 128);
    cr_expect_eq(status_of_members(257), ERR_MALFORMED);
    cr_expect_eq(status_of_members(10000), ERR_MALFORMED);
    good_body_still_works();
}

Test(inflate, E5_bytes_after_the_last_member_are_refused)
{
    static const char *const garbage[] = {"x", "\x1f", "\x1f\x8b", "\x1f\x8b\x08\x01\x02\x03\x04\x05\x06\x07",
                                          "garbage garbage"};

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        fill(100);
        const size_t len = gzip(0, 100);
        memcpy(packed + len, garbage[i], strlen(garbage[i]));
        refused(len + strlen(garbage[i]), garbage[i]);
    }
    fill(100);
    const size_t len = gzip(0, 100);
    memset(packed + len, 0, 512);
    refused(len + 512, "padding of zeros");
    const size_t zlib_len = pack(0, 100, 15, 6, NULL);
    packed[zlib_len] = 0;
    cr_expect_eq(run(inflate_zlib, zlib_len + 1, sizeof out), ERR_MALFORMED);
    cr_expect_eq(run(inflate_zlib, pack(zlib_len, 100, 15, 6, NULL), sizeof out), ERR_MALFORMED,
                 "two zlib streams");
}

static size_t with_header(size_t extra_len, size_t name_len, size_t comment_len, int hcrc)
{
    static uint8_t extra[65536], name[8192], comment[8192];
    gz_header header = {.hcrc = hcrc, .extra_len = (uInt)extra_len};

    memset(name, 'n', sizeof name);
    memset(comment, 'c', sizeof comment);
    name[name_len] = comment[comment_len] = 0;
    header.extra = extra_len > 0 ? extra : NULL;
    header.name = name_len > 0 ? name : NULL;
    header.comment = comment_len > 0 ? comment : NULL;
    fill(100);
    return pack(0, 100, 31, 6, &header);
}

Test(inflate, E6_header_fields_are_read_over)
{
    for (unsigned fields = 0; fields < 16; fields++) {
        const size_t len = with_header(fields & 1 ? 300 : 0, fields & 2 ? 20 : 0, fields & 4 ? 30 : 0,
                                       fields >> 3);
        cr_expect_eq(run_gzip(len), OK, "fields %u", fields);
        cr_expect_eq(out_len, 100);
    }
}

Test(inflate, E6_a_header_of_4_KiB)
{
    cr_expect_eq(run_gzip(with_header(0, 4095 - 11, 0, 0)), OK);
    cr_expect_eq(run_gzip(with_header(0, 4096 - 11, 0, 0)), OK);
    cr_expect_eq(run_gzip(with_header(0, 4097 - 11, 0, 0)), ERR_MALFORMED);
    cr_expect_eq(run_gzip(with_header(0, 4095 - 13, 0, 1)), OK);
    cr_expect_eq(run_gzip(with_header(0, 4096 - 13, 0, 1)), OK);
    cr_expect_eq(run_gzip(with_header(0, 4097 - 13, 0, 1)), ERR_MALFORMED);
    cr_expect_eq(run_gzip(with_header(4096 - 12, 0, 0, 0)), OK);
    cr_expect_eq(run_gzip(with_header(4097 - 12, 0, 0, 0)), ERR_MALFORMED);
    cr_expect_eq(run_gzip(with_header(65535, 0, 0, 0)), ERR_MALFORMED);
    cr_expect_eq(run_gzip(with_header(0, 8000, 0, 0)), ERR_MALFORMED);
    good_body_still_works();
}

Test(inflate, E6_wrong_header_crc_and_reserved_flags)
{
    const size_t len = with_header(0, 4, 0, 1);
    packed[10 + 5] ^= 1;
    refused(len, "FHCRC");
    for (unsigned bit = 5; bit < 8; bit++) {
        const size_t plain_len = with_header(0, 0, 0, 0);
        packed[3] |= (uint8_t)(1U << bit);
        refused(plain_len, "reserved flag");
    }
    const size_t method_len = with_header(0, 0, 0, 0);
    packed[2] = 7;
    refused(method_len, "method 7");
}

Test(inflate, E6_zlib_headers)
{
    fill(100);
    const size_t len = pack(0, 100, 15, 6, NULL);
    unsigned good = 0;

    for (unsigned header = 0; header < 65536; header++) {
        packed[0] = (uint8_t)(header >> 8);
        packed[1] = (uint8_t)header;
        good += run(inflate_zlib, len, 200) == OK;
    }
    cr_expect_eq(good, 8 * 4, "a window and a level each, without dictionary");
}

Test(inflate, E9_a_body_that_is_not_what_it_is_declared_to_be)
{
    memcpy(packed, "{\"resourceSpans\":[]}", 20);
    refused(20, "plain body");
    fill(100);
    refused(pack(0, 100, 15, 6, NULL), "zlib as gzip");
    fill(100);
    cr_expect_eq(run(inflate_zlib, gzip(0, 100), sizeof out), ERR_MALFORMED, "gzip as zlib");
    refused(pack(0, 100, -15, 6, NULL), "raw deflate");
    cr_expect_eq(run(inflate_zlib, pack(0, 100, -15, 6, NULL), sizeof out), ERR_MALFORMED,
                 "raw deflate as zlib");
}

/* Each failure, then a good body, against a fresh inflater. */
Test(inflate, E10_after_an_error_an_inflater_is_as_good_as_new)
{
    fill(20000);
    const size_t len = gzip(0, 20000);
    uint8_t *const good = malloc(len);
    memcpy(good, packed, len);

    for (size_t at = 10; at < len; at += 7) {
        memcpy(packed, good, len);
        packed[at] ^= 0x55;
        const enum err reused = run_gzip(len);
        close_inflater();
        open_inflater();
        const enum err fresh = run_gzip(len);
        cr_expect_eq(reused, fresh, "byte %zu", at);
        memcpy(packed, good, len);
        cr_assert_eq(run_gzip(len), OK, "after byte %zu", at);
        cr_assert_eq(memcmp(out, plain, 20000), 0);
    }
    free(good);
}

Test(inflate, E12_empty_members_and_empty_bodies)
{
    cr_expect_eq(run_gzip(gzip(0, 0)), OK);
    cr_expect_eq(out_len, 0);
    cr_expect_eq(run(inflate_zlib, pack(0, 0, 15, 6, NULL), sizeof out), OK);
    cr_expect_eq(out_len, 0);
    cr_expect_eq(run_gzip(0), ERR_MALFORMED);
    cr_expect_eq(run(inflate_zlib, 0, sizeof out), ERR_MALFORMED);
}
