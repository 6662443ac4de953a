/* Messages of gRPC in bodies cut anywhere, and its fields. */
#include "protocol/grpc.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Takes the body in pieces; writes the events as text, bytes as they are. */
static char story[4096];
static void play(struct grpc_message *message, struct slice body, size_t piece)
{
    size_t len = 0;

    *message = (struct grpc_message){0};
    story[0] = '\0';
    while (body.len > 0) {
        struct slice input = slice_of(body.ptr, body.len < piece ? body.len : piece), bytes;
        body = slice_of(body.ptr + input.len, body.len - input.len);
        for (;;) {
            const enum grpc_event event = grpc_message_take(message, &input, &bytes);
            if (event == GRPC_NEED_MORE || event == GRPC_REFUSED) break;
            if (event == GRPC_PREFIX)
                len += (size_t)snprintf(story + len, sizeof story - len, "[%u%s]", message->len,
                                        message->compressed ? " compressed" : "");
            else
                len += (size_t)snprintf(story + len, sizeof story - len, "%.*s", (int)bytes.len, bytes.ptr);
        }
    }
}

static void expect(const char *bytes, size_t len, const char *events, const char *end)
{
    struct grpc_message message;

    for (size_t piece = 1; piece <= len + 1; piece++) {
        play(&message, slice_of(bytes, len), piece);
        cr_expect_str_eq(story, events);
        const char *const said = grpc_message_end(&message);
        cr_expect((said == NULL) == (end == NULL));
        if (said != NULL && end != NULL) cr_expect_str_eq(said, end);
    }
}

Test(grpc, a_message_is_taken_however_it_is_cut)
{
    expect("\0\0\0\0\5hello", 10, "[5]hello", NULL);
    expect("\1\0\0\0\5hello", 10, "[5 compressed]hello", NULL);
    expect("\0\0\0\0\0", 5, "[0]", NULL);
    expect("\0\xff\xff\xff\xffx", 6, "[4294967295]x", "the body ends before the message");
}

Test(grpc, G4_flags_from_2_on_are_refused)
{
    expect("\2\0\0\0\5hello", 10, "", "byte 0 of the body: the compressed flag is neither 0 nor 1");
    expect("\xff", 1, "", "byte 0 of the body: the compressed flag is neither 0 nor 1");
}

Test(grpc, G5_a_body_has_one_message_of_the_length_it_tells)
{
    expect("", 0, "", "no message in the body");
    expect("\0\0\0\0", 4, "", "the body ends within the prefix of the message");
    expect("\0\0\0\0\5hell", 9, "[5]hell", "the body ends before the message");
    expect("\0\0\0\0\5hello!", 11, "[5]hello", "bytes behind the message: a unary call has one message");
    expect("\0\0\0\0\0\0\0\0\0\0", 10, "[0]", "bytes behind the message: a unary call has one message");
}

Test(grpc, a_prefix_is_written_big_endian)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];

    grpc_write_prefix(0x01020304, prefix);
    cr_expect_arr_eq(prefix, "\0\1\2\3\4", 5);
}

Test(grpc, G2_content_types)
{
    static const char *const good[] = {"application/grpc", "application/grpc+proto", "Application/GRPC",
                                       "application/grpc; charset=utf-8", "application/grpc+proto;x=y"};
    static const char *const bad[] = {"",
                                      "application/grpc+json",
                                      "application/grpc-web",
                                      "application/grpcx",
                                      "application/json",
                                      "application/x-protobuf",
                                      "text/plain"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(grpc_is_content_type(slice_text(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(grpc_is_content_type(slice_text(bad[i])), "%s", bad[i]);
}

Test(grpc, G7_timeouts_are_up_to_eight_digits_and_a_unit)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"1n", 1},
        {"2S", 2000000000},
        {"2010m", 2010000000},
        {"9999998u", 9999998000},
        {"3M", 180000000000},
        {"1H", 3600000000000},
        {"0S", 0},
        {"99999999H", UINT64_MAX},
        {"00000001n", 1},
    };
    static const char *const bad[] = {"",    "S",   "1",          "abc",  "1s", "1 S",
                                      "-1S", "+1S", "123456789S", "1.5S", "1SS"};
    uint64_t ns;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(grpc_timeout(slice_text(good[i].text), &ns), "%s", good[i].text);
        cr_expect_eq(ns, good[i].ns, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(grpc_timeout(slice_text(bad[i]), &ns), "%s", bad[i]);
}

static void expect_text(const char *text, size_t capacity, const char *written)
{
    char out[256];

    const size_t len = grpc_write_text(slice_text(text), out, capacity);
    cr_expect(slice_equal(slice_of(out, len), slice_text(written)), "%.*s is not %s", (int)len, out, written);
}

Test(grpc, G9_text_is_percent_encoded_and_cut_between_characters)
{
    expect_text("plain ~!", 100, "plain ~!");
    expect_text("100%", 100, "100%25");
    expect_text("a\r\nb\x7f", 100, "a%0D%0Ab%7F");
    expect_text("\xc3\xbc", 100, "%C3%BC");
    expect_text("\xe2\x82\xac\xf0\x9f\x8c\x8d", 100, "%E2%82%AC%F0%9F%8C%8D");
    expect_text("\xff\xe2\x82", 100, "%FF%E2%82");
    expect_text("ab\xc3\xbc", 7, "ab");
    expect_text("ab\xc3\xbc", 8, "ab%C3%BC");
    expect_text("abc", 0, "");
}
