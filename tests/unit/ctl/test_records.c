/* Files of requests in every form; what is cut or spoilt is refused at its record. Requests taken apart hold every span once. */
#include "batch.h"
#include "codec/wire.h"
#include "model/maker.h"
#include "records.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void put_file(const void *bytes, size_t len)
{
    struct stream_out *out;

    if (path[0] == '\0') {
        snprintf(path, sizeof path, "/tmp/test_records_XXXXXX");
        const int fd = mkstemp(path);
        cr_assert_geq(fd, 0);
        close(fd);
    }
    cr_assert_eq(stream_out_open(path, false, true, &out), OK);
    cr_assert_eq(stream_out_write(out, slice_of(bytes, len)), OK);
    cr_assert_eq(stream_out_finish(out), OK);
    stream_out_close(out);
}

/* How many records there are before the end or an error. */
static enum err read_file(unsigned *count, uint64_t *place)
{
    struct stream_in *in;
    struct records *records;
    struct slice record;
    bool more = true;

    *count = 0;
    cr_assert_eq(stream_in_open(path, &in), OK);
    cr_assert_eq(records_open(in, &records), OK);
    enum err err = OK;
    while ((err = records_next(records, &record, &more)) == OK && more)
        ++*count;
    *place = records_place(records);
    records_close(records);
    stream_in_close(in);
    return err;
}

static size_t frame(uint8_t *to, struct slice message)
{
    const uint32_t len = __builtin_bswap32((uint32_t)message.len);

    memcpy(to, &len, sizeof len);
    if (message.len > 0) memcpy(to + sizeof len, message.ptr, message.len);
    return sizeof len + message.len;
}

Test(records, I1_every_prefix_is_refused_at_its_record)
{
    static uint8_t bytes[4096];
    size_t len = 0, ends[4] = {0};
    unsigned count;
    uint64_t place;

    for (unsigned i = 0; i < 3; i++) {
        len += frame(bytes + len, slice_text(i == 1 ? "" : "\x0a\x02\x12\x00"));
        ends[i + 1] = len;
    }
    for (size_t cut = 0; cut <= len; cut++) {
        unsigned whole = 0;
        while (whole < 3 && ends[whole + 1] <= cut)
            whole++;
        put_file(bytes, cut);
        const enum err err = read_file(&count, &place);
        cr_assert_eq(count, whole);
        cr_assert_eq(err, cut == ends[whole] ? OK : ERR_CORRUPT, "cut at %zu", cut);
        cr_assert_eq(place, ends[whole]);
    }
    unlink(path);
}

Test(records, a_length_that_no_record_has_takes_no_memory)
{
    unsigned count;
    uint64_t place;

    put_file("\xff\xff\xff\xff", 4);
    cr_assert_eq(read_file(&count, &place), ERR_TOO_LARGE);
    put_file("\x08\x00\x00\x01", 4);
    cr_assert_eq(read_file(&count, &place), ERR_TOO_LARGE);
    unlink(path);
}

Test(records, lines_are_read_with_and_without_an_end)
{
    static const char text[] = "{\"resourceSpans\":[]}\n\n {} \r\n{}";
    unsigned count;
    uint64_t place;

    put_file(text, sizeof text - 1);
    cr_assert_eq(read_file(&count, &place), OK);
    cr_assert_eq(count, 3);
    put_file("{\n", 2);
    cr_assert_eq(read_file(&count, &place), ERR_MALFORMED);
    unlink(path);
}

Test(streams, what_is_packed_is_read_as_it_was_and_every_prefix_is_told)
{
    static uint8_t bytes[700000], back[700001];
    struct stream_out *out;
    struct stream_in *in;
    size_t count;

    put_file("", 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i >> 7);
    cr_assert_eq(stream_out_open(path, true, false, &out), ERR_EXISTS);
    cr_assert_eq(stream_out_open(path, true, true, &out), OK);
    for (size_t i = 0; i < sizeof bytes; i += 70000)
        cr_assert_eq(stream_out_write(out, slice_of(bytes + i, 70000)), OK);
    cr_assert_eq(stream_out_finish(out), OK);
    const uint64_t stored = stream_out_stored(out);
    stream_out_close(out);
    cr_assert_eq(stream_in_open(path, &in), OK);
    cr_assert_eq(stream_in_read(in, back, sizeof back, &count), OK);
    cr_assert(count == sizeof bytes && memcmp(bytes, back, count) == 0);
    stream_in_close(in);
    for (uint64_t cut = stored - 1; cut > 4; cut = cut * 3 / 4) {
        cr_assert_eq(truncate(path, (off_t)cut), 0);
        cr_assert_eq(stream_in_open(path, &in), OK);
        cr_assert_eq(stream_in_read(in, back, sizeof back, &count), ERR_CORRUPT, "cut at %llu",
                     (unsigned long long)cut);
        stream_in_close(in);
    }
    unlink(path);
}

/* ---- batches --------------------------------------------------------------------------------------------- */

struct seen {
    size_t bytes_max, requests, over;
    uint64_t spans, hash; /* hash: of each span with what is around it, in any order */
};

static uint64_t hash_of(struct slice bytes, uint64_t seed)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.ptr[i]) * 0x100000001b3;
    return hash;
}

/* Fields of the list are handed on, the others are hashed. */
static uint64_t rest_of(struct slice message, uint32_t list)
{
    struct wire_reader reader = wire_reader_of(message);
    uint64_t hash = 7;
    uint32_t number, type;
    struct slice part;

    while (reader.at < reader.end) {
        const uint8_t *const begin = reader.at;
        cr_assert(wire_tag(&reader, &number, &type));
        if (number == list && type == WIRE_BYTES)
            cr_assert(wire_bytes(&reader, &part));
        else {
            cr_assert(wire_skip(&reader, type));
            hash = hash_of(slice_of(begin, (size_t)(reader.at - begin)), hash);
        }
    }
    return hash;
}

static void count_in(struct seen *seen, struct slice message, unsigned level, uint64_t around)
{
    static const uint32_t lists[] = {1, 2, 2};
    struct wire_reader reader = wire_reader_of(message);
    uint32_t number, type;
    struct slice part;

    const uint64_t hash = hash_of(slice_of(&around, sizeof around),
                                  level == 0 ? 1 : rest_of(message, lists[level]));
    while (reader.at < reader.end) {
        cr_assert(wire_tag(&reader, &number, &type));
        if (number != lists[level] || type != WIRE_BYTES) {
            cr_assert(wire_skip(&reader, type));
            continue;
        }
        cr_assert(wire_bytes(&reader, &part));
        if (level < 2) {
            count_in(seen, part, level + 1, hash);
        } else {
            seen->spans++;
            seen->hash += hash_of(part, hash);
        }
    }
}

static enum err take(void *context, struct slice request, uint64_t spans)
{
    struct seen *const seen = context;
    const uint64_t before = seen->spans;

    seen->requests++;
    seen->over += request.len > seen->bytes_max;
    count_in(seen, request, 0, 0);
    cr_assert_eq(seen->spans - before, spans);
    return OK;
}

Test(batch, holds_every_span_once_with_what_is_around_it)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct maker maker = {.state = seed, .traces = 10, .spans = seed << 20};
        struct message body = maker_body(&maker, 40);
        struct seen whole = {.bytes_max = SIZE_MAX}, parts = {.bytes_max = 200 * seed};
        struct batch batch;

        count_in(&whole, message_slice(&body), 0, 0);
        batch_init(&batch, parts.bytes_max, take, &parts);
        cr_assert_eq(batch_add(&batch, message_slice(&body)), OK);
        cr_assert_eq(batch_add(&batch, message_slice(&body)), OK);
        cr_assert_eq(batch_flush(&batch), OK);
        cr_assert_eq(parts.spans, 2 * whole.spans);
        cr_assert_eq(parts.hash, 2 * whole.hash);
        cr_assert_leq(parts.over, parts.spans, "only single spans may be over it");
        batch_deinit(&batch);
        message_free(&body);
    }
}

Test(batch, refuses_what_is_no_message)
{
    struct seen seen = {.bytes_max = 100};
    struct batch batch;

    batch_init(&batch, 100, take, &seen);
    cr_assert_eq(batch_add(&batch, slice_text("\x0a\x7f")), ERR_MALFORMED);
    cr_assert_eq(batch_add(&batch, slice_text("\x0a\x02\x12\x7f")), ERR_MALFORMED);
    cr_assert_eq(batch_flush(&batch), OK);
    cr_assert_eq(seen.requests, 0);
    batch_deinit(&batch);
}
