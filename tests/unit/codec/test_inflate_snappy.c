/* snappy bodies: rows E1 to E12 of the catalogue, with libsnappy as the one who makes blocks. */
#include <criterion/criterion.h>
#include <snappy-c.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "codec/inflate.h"

enum { ROOM = 4 << 20, GUARD = 64 };

static uint8_t packed[ROOM], plain[ROOM], out[ROOM];
static size_t out_len;
static const char *reason;

/* Text-like bytes. */
static void fill(size_t len)
{
    uint64_t state = 88172645463325252ULL;

    for (size_t i = 0; i < len; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        plain[i] = (uint8_t) "abcdefgh traces "[state & 15];
    }
}

/* plain[from, from + len) as one block at packed[at]; returns its end. */
static size_t block(size_t at, size_t from, size_t len)
{
    size_t size = sizeof packed - at;

    cr_assert_eq(snappy_compress((char *)plain + from, len, (char *)packed + at, &size), SNAPPY_OK);
    return at + size;
}

static size_t put(size_t at, const void *bytes, size_t len)
{
    memcpy(packed + at, bytes, len);
    return at + len;
}

static size_t begin(size_t at)
{
    return put(at, "\xff\x06\x00\x00sNaPpY", 10);
}

static size_t head(size_t at, uint8_t type, size_t len)
{
    const uint8_t bytes[] = {type, (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16)};

    return put(at, bytes, sizeof bytes);
}

static void put_crc(size_t at, size_t from, size_t len)
{
    const uint32_t crc = crc32c(0, plain + from, len);
    const uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8U;

    put(at, &masked, 4);
}

/* The chunk of plain[from, from + len). */
static size_t chunk(size_t at, bool compressed, size_t from, size_t len)
{
    const size_t data = at + 8;
    const size_t end = compressed ? block(data, from, len) : put(data, plain + from, len);

    head(at, compressed ? 0 : 1, end - at - 4);
    put_crc(at + 4, from, len);
    return end;
}

/* As snappy's writers do it: 64 KiB a chunk, every third as it is. */
static size_t stream(size_t len)
{
    size_t at = begin(0);

    for (size_t from = 0, count = 0; from < len; from += 65536, count++)
        at = chunk(at, count % 3 != 2, from, len - from < 65536 ? len - from : 65536);
    return at;
}

/* Input and output are allocations of their own; what is written behind the output is seen, though libsnappy is not ours. */
static enum err run(size_t packed_len, size_t capacity)
{
    uint8_t *const in = malloc(packed_len + 1), *const room = malloc(capacity + GUARD);

    memcpy(in, packed, packed_len);
    memset(room + capacity, 0xee, GUARD);
    reason = "none given";
    out_len = 12345;
    const enum err err = inflate_snappy(slice_of(in, packed_len), room, capacity, &out_len, &reason);
    for (unsigned i = 0; i < GUARD; i++)
        cr_assert_eq(room[capacity + i], 0xee);
    if (err == OK) memcpy(out, room, out_len);
    if (err == ERR_MALFORMED || err == ERR_TOO_LARGE) cr_expect_str_neq(reason, "none given");
    if (err != OK) cr_expect_eq(out_len, 12345, "untouched on failure");
    free(in);
    free(room);
    return err;
}

static void refused(size_t packed_len, const char *why)
{
    const enum err err = run(packed_len, sizeof out);

    cr_expect_eq(err, ERR_MALFORMED, "%s: %s", why, err_text(err));
    cr_expect_str_eq(reason, why);
}

Test(inflate_snappy, reads_blocks_and_streams_of_all_sizes)
{
    static const size_t sizes[] = {0, 1, 2, 100, 895, 65535, 65536, 65537, 200000, 1000000};

    fill(1000000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_expect_eq(run(block(0, 0, sizes[i]), sizeof out), OK);
        cr_expect_eq(out_len, sizes[i]);
        cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
        cr_expect_eq(run(stream(sizes[i]), sizeof out), OK);
        cr_expect_eq(out_len, sizes[i]);
        cr_expect_eq(memcmp(out, plain, sizes[i]), 0);
    }
}

Test(inflate_snappy, a_small_buffer_is_told_and_the_exact_one_is_enough)
{
    fill(70000);
    for (unsigned way = 0; way < 2; way++) {
        const size_t len = way == 0 ? stream(70000) : block(0, 0, 70000);
        for (size_t capacity = 0; capacity < 70000; capacity += 7001)
            cr_expect_eq(run(len, capacity), ERR_FULL);
        cr_expect_eq(run(len, 69999), ERR_FULL);
        cr_expect_eq(run(len, 70000), OK);
        cr_expect_eq(out_len, 70000);
    }
    cr_expect_eq(inflate_snappy(slice_of(packed, block(0, 0, 0)), NULL, 0, &out_len, &reason), OK);
    cr_expect_eq(out_len, 0);
}

Test(inflate_snappy, elements_as_the_format_describes_them)
{
    /* a literal of eleven */
    static const uint8_t bytes[] = {0x0b, 0x28, 'a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c', 'a', 'b'};
    cr_expect_eq(run(put(0, bytes, sizeof bytes), sizeof out), OK);
    cr_expect_arr_eq(out, "abcabcabcab", 11);
    /* the same by a copy: a literal of three, then eight from three before */
    static const uint8_t copied[] = {0x0b, 0x08, 'a', 'b', 'c', 0x11, 0x03};
    cr_expect_eq(run(put(0, copied, sizeof copied), sizeof out), OK);
    cr_expect_eq(out_len, 11);
    cr_expect_arr_eq(out, "abcabcabcab", 11);
}

Test(inflate_snappy, E1_all_chunks_together_are_limited)
{
    memset(plain, 0, 65536);
    size_t at = begin(0);
    while (at < 60000) /* 3 KiB a chunk: 21:1, so a body of 60 KiB becomes more than 1 MiB, as it may */
        at = chunk(at, true, 0, 65536);
    cr_expect_eq(run(at, sizeof out), OK);
    cr_expect_gt(out_len, 1 << 20);

    /* A block that may be true, but not here: 4 MiB on the wire, 72 MiB declared. */
    memset(packed, 0, sizeof packed);
    const uint64_t declared = 72 << 20;
    const uint8_t varint[] = {(uint8_t)(declared | 0x80), (uint8_t)(declared >> 7 | 0x80),
                              (uint8_t)(declared >> 14 | 0x80), (uint8_t)(declared >> 21)};
    put(0, varint, sizeof varint);
    cr_expect_eq(run(sizeof packed, sizeof out), ERR_TOO_LARGE);
    cr_expect_str_eq(reason, "body inflates to more than the limit");
}

Test(inflate_snappy, E2_declared_lengths_are_never_believed)
{
    static const char lies[] = "snappy block that declares more than it can hold";

    refused(put(0, "\xff\xff\xff\xff\x0f\x00z", 7), lies); /* 2^32 - 1 */
    refused(put(0, "\x80\x80\x04\x00z", 5), lies);         /* 64 KiB in five bytes */
    refused(put(0, "\xff\xff\xff\xff\x1f\x00z", 7), "snappy block without a length"); /* beyond 32 bits */
    refused(put(0, "\xff\xff\xff\xff\xff\x00z", 7), "snappy block without a length");
    refused(put(0, "\xff\xff", 2), "snappy block without a length");
    refused(put(0, "\x03\x00z", 3), "corrupt or truncated snappy block");  /* three, one is there */
    refused(put(0, "\x01\x04zz", 4), "corrupt or truncated snappy block"); /* one, two are there */
}

Test(inflate_snappy, E2_a_chunk_becomes_64_KiB_at_most)
{
    fill(70000);
    refused(chunk(begin(0), true, 0, 65537), "snappy block of more than 64 KiB in a stream");
    refused(chunk(begin(0), false, 0, 65537), "snappy chunk of more than 64 KiB");
}

Test(inflate_snappy, E3_every_truncation_is_refused)
{
    fill(3000);
    for (size_t len = block(0, 0, 1000), cut = len - 1; cut > 0; cut--)
        cr_expect_eq(run(cut, sizeof out), ERR_MALFORMED, "a block cut at byte %zu", cut);
    size_t at = chunk(begin(0), true, 0, 1000);
    const size_t first = at;
    at = chunk(at, false, 1000, 100);
    for (size_t cut = at - 1; cut > 10; cut--) /* at a chunk's end, nobody can tell */
        if (cut != first) cr_expect_eq(run(cut, sizeof out), ERR_MALFORMED, "a stream cut at byte %zu", cut);
}

Test(inflate_snappy, E3_every_spoilt_byte_of_a_stream_is_refused)
{
    fill(300);
    const size_t len = chunk(chunk(begin(0), true, 0, 200), false, 200, 100);
    for (size_t at = 0; at < len; at++) {
        packed[at] ^= 0x10;
        cr_expect_neq(run(len, sizeof out), OK, "byte %zu", at);
        packed[at] ^= 0x10;
    }
    cr_expect_eq(run(len, sizeof out), OK);
}

Test(inflate_snappy, E3_chunks_without_room_for_a_checksum)
{
    refused(head(begin(0), 0, 0), "snappy chunk without a checksum");
    refused(put(head(begin(0), 1, 3), "abc", 3), "snappy chunk without a checksum");
}

Test(inflate_snappy, E4_streams_one_after_the_other_and_skippable_chunks_are_one_body)
{
    fill(1000);
    size_t at = chunk(begin(0), true, 0, 500);
    at = put(head(begin(at), 0xfe, 5), "-----", 5); /* padding */
    at = head(at, 0x80, 0);
    at = chunk(at, false, 500, 500);
    cr_expect_eq(run(at, sizeof out), OK);
    cr_expect_eq(out_len, 1000);
    cr_expect_arr_eq(out, plain, 1000);

    for (unsigned skipped = 65532; skipped <= 65533; skipped++) {
        at = head(begin(0), 0xfd, skipped);
        memset(packed + at, 's', skipped);
        at = chunk(at + skipped, true, 0, 10);
        cr_expect_eq(run(at, sizeof out), skipped == 65532 ? OK : ERR_MALFORMED);
    }
    cr_expect_str_eq(reason, "more than 64 KiB of skippable snappy chunks");
}

Test(inflate_snappy, E5_bytes_after_the_last_chunk_or_element_are_refused)
{
    fill(1000);
    size_t at = chunk(begin(0), true, 0, 1000);
    packed[at] = 0;
    refused(at + 1, "snappy chunk truncated");
    refused(put(at, "\x02\x00\x00\x00", 4), "snappy chunk of an unknown type");
    refused(put(at, "\x7f\x00\x00\x00", 4), "snappy chunk of an unknown type");
    at = block(0, 0, 1000);
    refused(put(at, "\x00z", 2), "corrupt or truncated snappy block");
    packed[at] = 0;
    refused(at + 1, "corrupt or truncated snappy block");
}

Test(inflate_snappy, E9_a_body_that_is_not_what_it_is_declared_to_be)
{
    cr_expect_eq(run(put(0, "{\"resourceSpans\":[]}", 20), sizeof out), ERR_MALFORMED);
    cr_expect_eq(run(put(0, "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20), sizeof out),
                 ERR_MALFORMED);
    /* a stream without its first chunk */
    fill(100);
    cr_expect_eq(run(chunk(0, true, 0, 100), sizeof out), ERR_MALFORMED);
    refused(put(begin(0), "\xff\x06\x00\x00sNaPpX", 10), "snappy stream that does not begin as one");
}

Test(inflate_snappy, E12_empty_streams_and_empty_bodies)
{
    cr_expect_eq(run(begin(0), sizeof out), OK);
    cr_expect_eq(out_len, 0);
    cr_expect_eq(run(chunk(begin(0), true, 0, 0), sizeof out), OK);
    cr_expect_eq(out_len, 0);
    refused(0, "empty snappy body");
}
