/*
 * Fuzzes the HTTP/2 engine, with the messages of gRPC taken out of the bodies. Byte 0 chooses how the bytes
 * are cut and what the owner does; the client's preface and SETTINGS are there already when its bit 7 is not set.
 *
 *   - the story of the streams is the same whole, byte by byte and cut as chosen, as long as no budget is exceeded
 *   - each stream: one request, body until its end, closed once, nothing behind that; never more than allowed at a time
 *   - memory stays within its limits and all of it comes back
 *   - output comes out in pieces of any size, and ends
 */
#include <stdlib.h>

#include "protocol/grpc.h"
#include "protocol/http2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

enum { STREAMS = 1024, MEMORY_MAX = 576 << 10 };
enum owner { ANSWERS_AT_END, ANSWERS_AT_ONCE, REFUSES_SOME, CANCELS_SOME };

struct run;
struct stream {
    struct run *run;
    int32_t id;
    bool open, ended, answered;
    uint64_t digest;
    struct grpc_message message;
};

struct run {
    struct http2 *http2;
    enum owner owner;
    uint64_t digest;
    unsigned open;
    struct stream streams[STREAMS];
    unsigned count;
};

static struct run run;

static void tell(uint64_t *digest, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *digest = (*digest ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ULL;
}

static void tell_number(uint64_t *digest, uint64_t number)
{
    tell(digest, &number, sizeof number);
}

static struct http2_field field(const char *name, const char *value)
{
    return (struct http2_field){slice_text(name), slice_text(value)};
}

static void answer(struct stream *stream)
{
    const struct http2_field head[] = {field(":status", "200"), field("content-type", "application/grpc"),
                                       field("grpc-status", "3")};
    const struct http2_field trailers[] = {field("grpc-status", "0"), field("spanmill-position", "0-4096")};
    static const uint8_t body[300];

    stream->answered = true;
    if (stream->ended)
        http2_answer(run.http2, stream->id, head, 2, slice_of(body, sizeof body), trailers, 2);
    else
        http2_answer(run.http2, stream->id, head, 3, slice_text(""), NULL, 0);
}

static void *on_request(void *context, int32_t id, const struct http2_head *head)
{
    unsigned count;

    CHECK(context == &run && id > 0 && id % 2 == 1);
    CHECK(head->fields_count <= HTTP2_FIELDS_COUNT_MAX);
    CHECK(head->too_large || (head->method.ptr != NULL && head->path.ptr != NULL));
    tell_number(&run.digest, (uint64_t)id << 2 | (uint64_t)head->too_large << 1 | head->ends);
    for (size_t i = 0; i < head->fields_count; i++) {
        tell(&run.digest, head->fields[i].name.ptr, head->fields[i].name.len);
        tell(&run.digest, head->fields[i].value.ptr, head->fields[i].value.len);
    }
    (void)http2_find_field(head, "te", &count);
    if (run.count == STREAMS || (run.owner == REFUSES_SOME && id % 3 == 0)) return NULL;
    struct stream *const stream = &run.streams[run.count++];
    *stream = (struct stream){.run = &run, .id = id, .open = true};
    CHECK(++run.open <= HTTP2_STREAMS_MAX);
    if (run.owner == ANSWERS_AT_ONCE) answer(stream);
    if (run.owner == CANCELS_SOME && id % 3 == 0) {
        http2_cancel(run.http2, id);
        stream->answered = true;
    }
    return stream;
}

static void on_body(void *context, struct slice bytes)
{
    struct stream *const stream = context;
    struct slice part;

    CHECK(stream->open && !stream->ended && bytes.len > 0);
    tell(&stream->digest, bytes.ptr, bytes.len);
    for (;;) {
        const enum grpc_event event = grpc_message_take(&stream->message, &bytes, &part);
        if (event == GRPC_NEED_MORE || event == GRPC_REFUSED) return;
        if (event == GRPC_BYTES) CHECK(part.len > 0 && stream->message.taken <= stream->message.len);
    }
}

static void on_end(void *context)
{
    struct stream *const stream = context;
    const char *const said = grpc_message_end(&stream->message);

    CHECK(stream->open && !stream->ended);
    stream->ended = true;
    tell_number(&run.digest, stream->digest);
    if (said != NULL) tell(&run.digest, said, strlen(said));
    if (!stream->answered) answer(stream);
}

static void on_closed(void *context)
{
    struct stream *const stream = context;

    CHECK(stream->open);
    stream->open = false;
    run.open--;
}

/* Feeds in pieces, sending after each when told; returns the story, 0 when it ended for a budget. */
static uint64_t play(struct slice input, size_t piece, enum owner owner, bool begins, bool sends)
{
    static const struct http2_handler handler = {on_request, on_body, on_end, on_closed};
    static const uint8_t beginning[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct http2_memory memory = {.bytes_max = MEMORY_MAX};
    const struct http2_config config = {&handler, &run, &memory};
    uint8_t out[997];

    memset(&run, 0, sizeof run);
    run.owner = owner;
    CHECK(http2_open(&config, &run.http2) == OK);
    if (begins) http2_feed(run.http2, slice_of(beginning, sizeof beginning - 1));
    while (input.len > 0) {
        const size_t len = piece < input.len ? piece : input.len;
        http2_feed(run.http2, slice_of(input.ptr, len));
        input = slice_of(input.ptr + len, input.len - len);
        CHECK(memory.used_bytes <= MEMORY_MAX && http2_streams(run.http2) >= run.open);
        while (sends && http2_output(run.http2, out, 1 + piece % sizeof out) > 0)
            ;
    }
    const uint64_t under_way = http2_under_way(run.http2);
    const bool over = http2_is_over(run.http2);
    http2_finish(run.http2);
    while (http2_output(run.http2, out, sizeof out) > 0)
        ;
    if (over && !sends) CHECK(http2_is_over(run.http2));
    const bool calmed = http2_abuse(run.http2) != NULL;
    tell_number(&run.digest, over ? UINT64_MAX : under_way);
    http2_close(run.http2);
    CHECK(memory.used_bytes == 0);
    return calmed ? 0 : run.digest | 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;

    const struct slice input = slice_of(data + 1, size - 1);
    const enum owner owner = (enum owner)(data[0] & 3);
    const size_t piece = (size_t)(data[0] >> 2 & 31) * 7 + 2;
    const bool begins = (data[0] & 0x80) == 0;
    const uint64_t whole = play(input, input.len, owner, begins, false);
    const uint64_t bytes = play(input, 1, owner, begins, false);
    const uint64_t pieces = play(input, piece, owner, begins, false);

    if (whole != 0 && bytes != 0) CHECK(whole == bytes);
    if (whole != 0 && pieces != 0) CHECK(whole == pieces);
    (void)play(input, piece, owner, begins, true);
    return 0;
}
