/* zstd bodies: rows E1 to E12 of the catalogue, with libzstd as the one who makes them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <zstd.h>

#include "codec/inflate.h"

enum { ROOM = 4 << 20 };

static uint8_t packed[ROOM], plain[ROOM], out[ROOM];
static struct inflater *inflater;
static ZSTD_CCtx *packer;
static size_t out_len;
static const char *reason;

static void open_all(void)
{
    cr_assert_eq(inflater_open(&inflater), OK);
    packer = ZSTD_createCCtx();
}

static void close_all(void)
{
    ZSTD_freeCCtx(packer);
    inflater_close(inflater);
}

TestSuite(inflate_zstd, .init = open_all, .fini = close_all);

/* Text-like bytes that compress about 3:1. */
static void fill(size_t len)
{
    uint64_t state = 88172645463325252ULL;

    for (size_t i = 0; i < len; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        plain[i] = (uint8_t)("abcdefgh traces "[state & 15]);
    }
}

/* Appends plain[0..len) to packed at `at` as one frame, without a declared size; returns the new end. */
static size_t stream(size_t at, size_t len, int level, int window_log)
{
    ZSTD_inBuffer input = {plain, len, 0};
    ZSTD_outBuffer output = {packed, sizeof packed, at};

    ZSTD_CCtx_reset(packer, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_windowLog, window_log);
    while (input.pos < len) /* not all at once, or the size would be declared */
        cr_assert_not(ZSTD_isError(ZSTD_compressStream2(packer, &output, &input, ZSTD_e_continue)));
    cr_assert_eq(ZSTD_compressStream2(packer, &output, &input, ZSTD_e_end), 0);
    return output.pos;
}

/* The same as one call does it: with a declared size, and a single segment when it is small. */
static size_t whole(size_t at, size_t len, int level)
{
    ZSTD_CCtx_reset(packer, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(packer, ZSTD_c_checksumFlag, 1);
    const size_t size = ZSTD_compress2(packer, packed + at, sizeof packed - at, plain, len);
    cr_assert_not(ZSTD_isError(size));
    return at + size;
}

/* The input is an allocation of its own, so that reading past it is seen. */
static enum err run(size_t packed_len, size_t capacity)
{
    uint8_t *const copy = malloc(packed_len + 1);

    memcpy(copy, packed, packed_len);
    reason = "none given";
    out_len = 12345;
    const enum err err = inflate_zstd(inflater, slice_of(copy, packed_len), out, capacity, &out_len, &reason);
    free(copy);
    if (err == ERR_MALFORMED || err == ERR_TOO_LARGE) cr_expect_str_neq(reason, "none given");
    if (err != OK) cr_expect_eq(out_len, 12345, "untouched on failure");
    return err;
}

/* After whatever came before, a good body is read well (E10). */
static void good_body_still_works(void)
{
    fill(1000);
    cr_assert_eq(run(whole(0, 1000, 3), sizeof out), OK);
    cr_assert_eq(out_len, 1000);
    cr_assert_arr_eq(out, plain, 1000);
}

static void refused(size_t packed_len, const char *why)
{
    const enum err err = run(packed_len, sizeof out);

    cr_expect_eq(err, ERR_MALFORMED, "%s: %s", why, err_text(err));
    cr_expect_str_eq(reason, why);
    good_body_still_works();
}

static size_t put(size_t at, const void *bytes, size_t len)
{
    memcpy(packed + at, bytes, len);
    return at + len;
}

static size_t skippable(size_t at, uint32_t len)
{
    const uint32_t header[2] = {0x184d2a53, len};

    at = put(at, header, sizeof header);
    memset(packed + at, 's', len);
    return at + len;
}

Test(inflate_zstd, reads_bodies_of_all_sizes_and_levels)
{
    static const size_t sizes[] = {0, 1, 2, 100, 255, 256, 65791, 65792, 131072, 1000000};

    fill(1000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int level = -1; level <= 16; level += 4) {
            cr_expect_eq(run(whole(0, sizes[i], level), sizeof out), OK);
            cr_expect_eq(out_len, sizes[i]);
            cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
            cr_expect_eq(run(stream(0, sizes[i], level, 19), sizeof out), OK);
            cr_expect_eq(out_len, sizes[i]);
            cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
        }
    }
}

Test(inflate_zstd, a_small_buffer_is_told_and_the_exact_one_is_enough)
{
    fill(5000);
    const size_t len = whole(stream(0, 5000, 3, 19), 100, 3);

    for (size_t capacity = 0; capacity < 5100; capacity += 51)
        cr_expect_eq(run(len, capacity), ERR_FULL);
    cr_expect_eq(run(len, 5099), ERR_FULL);
    cr_expect_eq(run(len, 5100), OK);
    cr_expect_eq(out_len, 5100);
    cr_expect_eq(inflate_zstd(inflater, slice_of(packed, whole(0, 0, 3)), NULL, 0, &out_len, &reason), OK);
    cr_expect_eq(out_len, 0);
}

Test(inflate_zstd, E1_a_bomb_stops_at_the_limit)
{
    /* A frame of RLE blocks, 128 KiB of zeros in four bytes each: 32,767:1, 64 MiB in all. */
    const uint8_t header[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68};
    size_t len = put(0, header, sizeof header);
    for (unsigned i = 0; i < 512; i++) {
        const uint32_t block = (128U << 10) << 3 | 1U << 1 | (i == 511);
        len = put(len, &block, 3);
        packed[len++] = 0;
    }
    cr_assert_lt(len, 2100);
    const size_t limit = inflate_limit(len);
    cr_assert_eq(limit, 1 << 20);
    memset(out, 0xee, sizeof out);
    cr_expect_eq(run(len, limit - 1), ERR_FULL);
    cr_expect_eq(run(len, limit), ERR_TOO_LARGE);
    cr_expect_eq(run(len, sizeof out), ERR_TOO_LARGE);
    cr_expect_eq(out[limit], 0xee, "nothing is written beyond the limit");
    good_body_still_works();
}

static enum err status_of_zeros(size_t len)
{
    memset(plain, 0, len);
    return run(whole(0, len, 3), sizeof out);
}

Test(inflate_zstd, E1_a_mebibyte_may_have_any_ratio_but_not_a_byte_more)
{
    cr_expect_eq(status_of_zeros(1 << 20), OK);
    cr_expect_eq(status_of_zeros((1 << 20) + 1), ERR_TOO_LARGE);
    memset(plain, 0, 1 << 20);
    cr_expect_eq(run(whole(whole(0, 1 << 20, 3), 1, 3), sizeof out), ERR_TOO_LARGE, "over all frames");
}

Test(inflate_zstd, E2_windows_over_8_MiB_are_refused_whatever_is_in_them)
{
    static const struct {
        uint8_t window;
        bool good;
    } rows[] = {{0x00, true},  {0x68, true},  {0x6f, true},  {0x67, true},
                {0x69, false}, {0x70, false}, {0x88, false}, {0xff, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, rows[i].window, 0x09, 0, 0, 'x'};
        const uint64_t base = 1ULL << (10 + (rows[i].window >> 3));
        const bool fits = base + base / 8 * (rows[i].window & 7) <= 8 << 20;
        const enum err err = run(put(0, frame, sizeof frame), sizeof out);
        cr_expect_eq(err == OK, fits, "window %#x: %s", rows[i].window, err_text(err));
        if (!fits) cr_expect_str_eq(reason, "zstd window of more than 8 MiB");
    }
    good_body_still_works();
}

Test(inflate_zstd, E2_declared_sizes_are_compared_and_never_believed)
{
    static const uint64_t declared[] = {0, 2, 1ULL << 31, 1ULL << 63, UINT64_MAX - 1};

    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0}, block[] = {0x09, 0, 0, 'x'};
        const size_t len = put(put(put(0, head, sizeof head), &declared[i], 8), block, sizeof block);
        const enum err err = run(len, sizeof out);
        cr_expect_eq(err, ERR_MALFORMED, "%zu: %s", i, err_text(err));
    }
    good_body_still_works();
}

Test(inflate_zstd, E3_every_truncation_is_refused)
{
    fill(3000);
    const size_t first = stream(0, 2000, 3, 19);
    const size_t len = whole(first, 1000, 3);

    for (size_t cut = 0; cut < len; cut++)
        cr_expect_eq(run(cut, sizeof out), cut == first ? OK : ERR_MALFORMED, "cut at %zu of %zu", cut, len);
}

Test(inflate_zstd, E3_E10_a_flipped_bit_never_changes_what_comes_out)
{
    fill(700);
    const size_t len = whole(0, 700, 3);
    unsigned refusals = 0;

    for (size_t bit = 0; bit < len * 8; bit++) {
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const enum err err = run(len, sizeof out);
        if (err == OK) cr_expect(out_len == 700 && memcmp(out, plain, 700) == 0, "bit %zu", bit);
        refusals += err != OK;
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_eq(run(len, sizeof out), OK, "after bit %zu", bit);
    }
    cr_expect_gt(refusals, len * 8 - 16, "%u of %zu", refusals, len * 8);
    packed[len - 1] ^= 1;
    refused(len, "wrong checksum of a zstd frame");
}

Test(inflate_zstd, E3_runs_are_as_long_as_blocks_may_be_and_no_longer)
{
    static const struct {
        uint8_t window;
        uint32_t most;
    } rows[] = {{0x00, 1 << 10}, {0x01, 1152}, {0x38, 128 << 10}, {0x58, 128 << 10}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (uint32_t run_len = rows[i].most; run_len <= rows[i].most + 1; run_len++) {
            const uint32_t block = run_len << 3 | 1U << 1 | 1;
            const uint8_t frame[] = {0x28,
                                     0xb5,
                                     0x2f,
                                     0xfd,
                                     0x00,
                                     rows[i].window,
                                     (uint8_t)block,
                                     (uint8_t)(block >> 8),
                                     (uint8_t)(block >> 16),
                                     'x'};
            const enum err err = run(put(0, frame, sizeof frame), sizeof out);
            cr_expect_eq(err, run_len == rows[i].most ? OK : ERR_MALFORMED, "%u in %#x", run_len,
                         rows[i].window);
            if (err == OK) cr_expect_eq(out_len, run_len);
        }
    }
    good_body_still_works();
}

/* Compressed to nine bytes, and 5,000 long in a frame whose blocks have 1,408 bytes at most. */
Test(inflate_zstd, E3_a_block_becomes_no_longer_than_blocks_may_be)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x03, 0x4d, 0x00, 0x00, 0x10, 0x00,
                                    0x00, 0x01, 0x00, 0x83, 0xd3, 0x03, 0x2c, 0x25, 0xb7, 0x32, 0x30};

    refused(put(0, frame, sizeof frame), "zstd block that becomes longer than blocks may be");
    good_body_still_works();
}

Test(inflate_zstd, E4_all_frames_are_one_body)
{
    size_t len = 0;

    fill(3000);
    for (unsigned i = 0; i < 3; i++)
        len = skippable(i % 2 == 0 ? whole(len, 3000, 3) : stream(len, 3000, 3, 19), 10 * i);
    cr_expect_eq(run(len, sizeof out), OK);
    cr_expect_eq(out_len, 9000);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_arr_eq(out + 3000 * i, plain, 3000);
}

static enum err status_of_frames(unsigned count, bool skipped)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len = skipped ? skippable(len, 0) : whole(len, i % 2, 3);
    return run(len, sizeof out);
}

Test(inflate_zstd, E4_at_most_256_frames)
{
    fill(1);
    for (unsigned skipped = 0; skipped < 2; skipped++) {
        cr_expect_eq(status_of_frames(256, skipped), OK);
        cr_expect_eq(out_len, skipped ? 0 : 128);
        cr_expect_eq(status_of_frames(257, skipped), ERR_MALFORMED);
        cr_expect_eq(status_of_frames(10000, skipped), ERR_MALFORMED);
    }
    good_body_still_works();
}

Test(inflate_zstd, E4_at_most_64_KiB_are_skipped)
{
    fill(10);
    cr_expect_eq(run(whole(skippable(skippable(0, 30000), (64 << 10) - 30016), 10, 3), sizeof out), OK);
    cr_expect_eq(out_len, 10);
    refused(whole(skippable(skippable(0, 30000), (64 << 10) - 30015), 10, 3),
            "more than 64 KiB of skippable zstd frames");
    const uint32_t huge[2] = {0x184d2a50, UINT32_MAX};
    refused(put(0, huge, 8), "more than 64 KiB of skippable zstd frames");
    refused(skippable(0, 100) - 1, "skippable zstd frame truncated");
    refused(put(0, huge, 7), "skippable zstd frame truncated");
}

Test(inflate_zstd, E5_bytes_after_the_last_frame_are_refused)
{
    static const char *const garbage[] = {"x", "\x28", "\x28\xb5\x2f", "garbage garbage"};

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        fill(100);
        const size_t len = whole(0, 100, 3);
        refused(put(len, garbage[i], strlen(garbage[i])), "bytes after the last zstd frame");
    }
    fill(100);
    const size_t len = whole(0, 100, 3);
    memset(packed + len, 0, 512);
    refused(len + 512, "bytes after the last zstd frame");
}

Test(inflate_zstd, E7_dictionaries_are_refused)
{
    for (unsigned id_len = 1; id_len <= 4; id_len *= 2) {
        const uint8_t id_flag = id_len == 1 ? 1 : id_len == 2 ? 2 : 3;
        const uint8_t id[4] = {7, 0, 0, 0}, zero[4] = {0}, tail[] = {1, 0x09, 0, 0, 'x'};
        const uint8_t head[] = {0x28, 0xb5, 0x2f, 0xfd, (uint8_t)(0x20 | id_flag)};
        refused(put(put(put(0, head, 5), id, id_len), tail, 5), "zstd frame that needs a dictionary");
        cr_expect_eq(run(put(put(put(0, head, 5), zero, id_len), tail, 5), sizeof out), OK, "id 0 is none");
    }
}

Test(inflate_zstd, E9_a_body_that_is_not_what_it_is_declared_to_be)
{
    refused(put(0, "{\"resourceSpans\":[]}", 20), "not a zstd frame");
    refused(put(0, "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20), "not a zstd frame");
    refused(put(0, "\x27\xb5\x2f\xfd\x20\0\1\0\0", 9), "not a zstd frame"); /* as zstd 0.7 wrote it */
    refused(put(0, "\x28\xb5\x2f\xfd\x28\0\1\0\0", 9), "a reserved bit of a zstd frame is set");
}

Test(inflate_zstd, E12_empty_frames_and_empty_bodies)
{
    cr_expect_eq(run(whole(0, 0, 3), sizeof out), OK);
    cr_expect_eq(out_len, 0);
    cr_expect_eq(run(stream(0, 0, 3, 19), sizeof out), OK);
    cr_expect_eq(out_len, 0);
    refused(0, "empty zstd body");
}
