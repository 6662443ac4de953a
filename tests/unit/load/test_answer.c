#include <criterion/criterion.h>

#include "answer.h"

static struct answer answer;

static void begin(size_t body_max)
{
    answer_init(&answer, body_max);
    answer_begin(&answer);
}

static enum err feed(const char *text)
{
    return answer_feed(&answer, slice_text(text));
}

static void assert_body(const char *expected)
{
    cr_assert_eq(answer.stage, ANSWER_DONE);
    cr_assert(slice_is(buffer_slice(&answer.body), expected));
}

#define CHUNKED                                                                                              \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: "                                                                 \
    "chunked\r\n\r\n4\r\nabcd\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
#define SIZED "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nRetry-After: 7\r\nConnection: close\r\n\r\nbusy"

Test(answer, takes_a_body_with_length)
{
    begin(100);
    cr_assert_eq(feed(SIZED), OK);
    assert_body("busy");
    cr_assert_eq(answer.status, 503);
    cr_assert_eq(answer.retry_after_s, 7);
    cr_assert(!answer.keep_alive);
    answer_deinit(&answer);
}

Test(answer, takes_chunks)
{
    begin(100);
    cr_assert_eq(feed(CHUNKED), OK);
    assert_body("abcd0123456789");
    cr_assert(answer.keep_alive);
    answer_deinit(&answer);
}

Test(answer, takes_both_byte_by_byte_and_again_and_again)
{
    begin(100);
    for (int round = 0; round < 6; round++) {
        const char *const text = round % 2 ? CHUNKED : SIZED;
        answer_begin(&answer);
        for (size_t i = 0; text[i] != '\0'; i++) {
            cr_assert_neq(answer.stage, ANSWER_DONE);
            cr_assert_eq(answer_feed(&answer, slice_of(text + i, 1)), OK);
        }
        assert_body(round % 2 ? "abcd0123456789" : "busy");
    }
    answer_deinit(&answer);
}

Test(answer, skips_100_continue)
{
    begin(100);
    cr_assert_eq(feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), OK);
    assert_body("");
    cr_assert_eq(answer.status, 200);
    answer_deinit(&answer);
}

Test(answer, ends_with_the_connection_when_no_length_was_given)
{
    begin(100);
    cr_assert_eq(feed("HTTP/1.0 200 OK\r\n\r\nrest"), OK);
    cr_assert_neq(answer.stage, ANSWER_DONE);
    cr_assert_eq(answer_end(&answer), OK);
    assert_body("rest");
    answer_deinit(&answer);
}

Test(answer, tells_a_cut_body_from_a_whole_one)
{
    const char *const text = CHUNKED;

    for (size_t len = 0; len < strlen(text); len++) {
        begin(100);
        cr_assert_eq(answer_feed(&answer, slice_of(text, len)), OK);
        cr_assert_eq(answer_end(&answer), ERR_PEER_GONE);
        answer_deinit(&answer);
    }
}

Test(answer, refuses_what_is_malformed)
{
    const char *const texts[] = {"HELLO\r\n\r\n",
                                 "HTTP/1.1 abc\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
                                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        begin(100);
        cr_assert_eq(feed(texts[i]), ERR_MALFORMED, "%s", texts[i]);
        answer_deinit(&answer);
    }
}

Test(answer, refuses_a_body_beyond_its_limit)
{
    begin(3);
    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), ERR_TOO_LARGE);
    answer_begin(&answer);
    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd"), ERR_TOO_LARGE);
    answer_deinit(&answer);
}
