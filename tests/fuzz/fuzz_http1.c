/*
 * Fuzzes the HTTP/1.1 engine: up to four pipelined requests in one input. Byte 0 chooses how the bytes are
 * cut.
 *
 *   - the verdict is the same whole, byte by byte and cut as chosen (H19)
 *   - what our check passes, llhttp passes too (a disagreement is a hole in the check)
 *   - nothing is consumed beyond what was given, bodies are slices of the input, limits hold
 *   - path, query and fields of an accepted head can be taken apart
 */
#include <stdlib.h>

#include "protocol/http1.h"
#include "protocol/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

static uint8_t head_buf[HTTP1_HEAD_CAPACITY];

/* A running digest of the events, and not of how bodies were cut. */
struct story {
    uint64_t digest;
    uint64_t body_len;
    unsigned requests;
};

static void tell(struct story *story, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        story->digest = (story->digest ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ULL;
}

static void tell_number(struct story *story, uint64_t number)
{
    tell(story, &number, sizeof number);
}

static void tell_slice(struct story *story, struct slice slice)
{
    tell_number(story, slice.len);
    tell(story, slice.ptr, slice.len);
}

static void take_apart(struct story *story, const struct http1 *http1)
{
    const struct http1_request *const request = &http1->request;
    static uint8_t scratch[HTTP1_QUERY_MAX];
    struct http1_query query;
    struct slice key, value;
    enum err err;

    CHECK(request->path.len > 0 && request->path.len <= HTTP1_REQUEST_LINE_MAX);
    CHECK(request->path.ptr[0] == '/' || request->method == HTTP1_OPTIONS);
    CHECK(request->http_1_0 || request->host.len > 0);
    CHECK(!(request->chunked && request->content_length_known));
    tell_number(story, (uint64_t)request->method);
    tell_number(story, request->content_length);
    tell_number(story, (uint64_t)(request->chunked * 8 + request->keep_alive * 4 + request->http_1_0 * 2 +
                                  request->expect_continue));
    tell_slice(story, request->path);
    tell_slice(story, request->query);
    tell_slice(story, request->host);
    tell_slice(story, request->content_type);
    tell_slice(story, http1_find_field(http1, "x"));
    http1_query_init(&query, request->query, scratch, sizeof scratch);
    while ((err = http1_query_next(&query, &key, &value)) == OK) {
        CHECK(key.len + value.len <= request->query.len);
        tell_slice(story, key);
    }
    tell_number(story, (uint64_t)err);
}

/* False when the connection is over. */
static bool feed(struct story *story, struct http1 *http1, struct slice input)
{
    for (;;) {
        struct http1_event event;
        size_t consumed = SIZE_MAX;
        const uint64_t owed = http1_body_owed(http1);
        const enum http1_event_kind kind = http1_feed(http1, input, &consumed, &event);

        CHECK(consumed <= input.len);
        const struct slice eaten = slice_of(input.ptr, consumed);
        input = slice_of(input.ptr + consumed, input.len - consumed);
        switch (kind) {
        case HTTP1_NEED_MORE: CHECK(input.len == 0); return true;
        case HTTP1_HEAD: take_apart(story, http1); break;
        case HTTP1_BODY:
            CHECK(event.body.len > 0 && event.body.len <= consumed);
            CHECK(event.body.ptr + event.body.len == eaten.ptr + eaten.len);
            CHECK(http1->request.chunked || http1_body_owed(http1) + event.body.len == owed);
            tell(story, event.body.ptr, event.body.len);
            story->body_len += event.body.len;
            break;
        case HTTP1_END:
            tell_number(story, story->body_len);
            CHECK(http1->request.chunked || story->body_len >= http1->request.content_length);
            story->body_len = 0;
            if (!http1->request.keep_alive || ++story->requests == 4) return false;
            http1_reset(http1);
            break;
        case HTTP1_REFUSED:
            CHECK(!event.disagreement);
            CHECK(event.reason != NULL);
            tell_number(story, (uint64_t)event.status);
            tell(story, event.reason, strlen(event.reason));
            return false;
        }
    }
}

static uint64_t run(struct slice input, size_t piece)
{
    struct story story = {.digest = 0xcbf29ce484222325ULL};
    struct http1 http1;
    bool going = true;

    http1_init(&http1, head_buf, sizeof head_buf);
    while (going && input.len > 0) {
        const size_t len = piece < input.len ? piece : input.len;
        going = feed(&story, &http1, slice_of(input.ptr, len));
        input = slice_of(input.ptr + len, input.len - len);
    }
    tell_number(&story, going);
    tell_number(&story, story.requests);
    return story.digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;

    const struct slice input = slice_of(data + 1, size - 1);
    const uint64_t whole = run(input, input.len);
    CHECK(run(input, 1) == whole);
    CHECK(run(input, (size_t)data[0] + 2) == whole);
    return 0;
}
