/* Answers: what is written, and what is refused to be written (H21). */
#include <criterion/criterion.h>
#include <stdio.h>

#include "protocol/http1.h"

static char buf[512];

static const char *head(int status, const struct http1_header *headers, size_t count, uint64_t length,
                        bool keep_alive)
{
    const size_t len = http1_write_head(buf, sizeof buf - 1, status, headers, count, length, keep_alive);
    buf[len] = '\0';
    return buf;
}

Test(http1_answer, writes_a_head)
{
    const struct http1_header headers[] = {{"Content-Type", slice_text("application/json")},
                                           {"X", slice_text("")}};

    cr_expect_str_eq(head(200, headers, 2, 18446744073709551614ULL, true),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: \r\n"
                     "Content-Length: 18446744073709551614\r\nConnection: keep-alive\r\n\r\n");
    cr_expect_str_eq(head(503, NULL, 0, 0, false),
                     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    cr_expect_str_eq(head(200, NULL, 0, HTTP1_LENGTH_CHUNKED, true),
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n");
    cr_expect_str_eq(head(204, NULL, 0, 0, true),
                     "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n");
}

Test(http1_answer, H21_control_bytes_in_names_and_values_are_refused)
{
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t text[3] = {'a', (uint8_t)c, 'b'};
        const struct http1_header header = {"X", slice_of(text, 3)};
        const bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
        cr_expect_eq(http1_write_head(buf, sizeof buf, 200, &header, 1, 0, true) == 0, bad, "byte %u", c);
    }
    const char *const names[] = {"", "a b", "a:", "a\r\n", "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct http1_header header = {names[i], slice_text("x")};
        cr_expect_eq(http1_write_head(buf, sizeof buf, 200, &header, 1, 0, true), 0, "name %zu", i);
    }
}

Test(http1_answer, a_head_that_does_not_fit_is_not_written)
{
    const struct http1_header header = {"Name", slice_text("value")};
    const size_t len = http1_write_head(buf, sizeof buf, 200, &header, 1, 12345, true);

    cr_assert_gt(len, 0);
    for (size_t capacity = 0; capacity < len; capacity++) {
        char *const exact = malloc(capacity + 1);
        cr_expect_eq(http1_write_head(exact, capacity, 200, &header, 1, 12345, true), 0);
        free(exact);
    }
    cr_expect_eq(http1_write_head(buf, len, 200, &header, 1, 12345, true), len);
}

Test(http1_answer, writes_chunk_heads)
{
    const struct {
        uint64_t len;
        const char *text;
    } cases[] = {{1, "1\r\n"}, {255, "ff\r\n"}, {65536, "10000\r\n"}, {UINT64_MAX, "ffffffffffffffff\r\n"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t len = http1_write_chunk_head(buf, HTTP1_CHUNK_HEAD_MAX, cases[i].len);
        cr_expect(slice_is(slice_of(buf, len), cases[i].text));
        cr_expect_eq(http1_write_chunk_head(buf, len - 1, cases[i].len), 0);
    }
}

/* What we write, we would accept: a chunked answer read back as a chunked request. */
Test(http1_answer, a_chunked_answer_is_well_formed)
{
    static uint8_t head_buf[HTTP1_HEAD_CAPACITY];
    struct http1 http1;
    struct http1_event event;
    char text[256];
    char chunk[HTTP1_CHUNK_HEAD_MAX];
    size_t consumed;
    const size_t chunk_len = http1_write_chunk_head(chunk, sizeof chunk, 3);

    const int len = snprintf(text, sizeof text,
                             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%.*sabc%s%s",
                             (int)chunk_len, chunk, HTTP1_CHUNK_TAIL, HTTP1_LAST_CHUNK);
    struct slice rest = slice_of(text, (size_t)len);
    http1_init(&http1, head_buf, sizeof head_buf);
    const enum http1_event_kind kinds[] = {HTTP1_HEAD, HTTP1_BODY, HTTP1_END};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(http1_feed(&http1, rest, &consumed, &event), kinds[i]);
        rest = slice_of(rest.ptr + consumed, rest.len - consumed);
    }
    cr_expect_eq(rest.len, 0);
}
