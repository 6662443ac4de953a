/* The HTTP/2 engine, fed by hand. Rows P1 to P16 of tests/CATALOGUE.md as far as they are the engine's. */
#include "http2_fixture.h"

#include <criterion/criterion.h>

static struct engine engine;
static struct script script;

static void begin(void)
{
    engine_open(&engine);
    script_begin(&script);
}

static void play(void)
{
    engine_play(&engine, &script);
    script.len = 0;
}

static void expect_story(const char *story)
{
    cr_expect_str_eq(engine.story, story);
}

static void expect_calm(const char *why)
{
    cr_expect_eq(sent_goaway(&engine), CODE_CALM);
    cr_assert_not_null(http2_abuse(engine.http2));
    cr_expect_str_eq(http2_abuse(engine.http2), why);
    cr_expect(http2_is_over(engine.http2));
    cr_expect_not_null(memmem(engine.sent, engine.sent_len, why, strlen(why)), "the client is told why");
}

static void expect_goaway(int code)
{
    cr_expect_eq(sent_goaway(&engine), code, "GOAWAY %d, expected %d", sent_goaway(&engine), code);
    cr_expect(http2_is_over(engine.http2));
    cr_expect_null(http2_abuse(engine.http2));
}

static void expect_alive(void)
{
    cr_expect_eq(sent_goaway(&engine), -1);
    cr_expect_not(http2_is_over(engine.http2));
}

/* ---- the happy path ------------------------------------------------------------------------------------- */

Test(http2, settings_are_the_first_frame_and_windows_are_opened)
{
    struct sent_frame frame;

    begin();
    play();
    cr_assert(sent_frame(&engine, FRAME_SETTINGS, 0, 0, &frame));
    cr_expect_eq(frame.payload, engine.sent + 9, "it is the first");
    cr_assert(sent_frame(&engine, FRAME_WINDOW_UPDATE, 0, 0, &frame));
    cr_expect_eq(number_at(frame.payload), HTTP2_CONN_WINDOW_BYTES - 65535);
    cr_assert(sent_frame(&engine, FRAME_SETTINGS, 0, 1, &frame));
    cr_expect_eq(frame.flags, ACK);
    expect_alive();
    engine_close(&engine);
}

Test(http2, a_request_is_told_and_its_answer_has_a_body_and_trailers)
{
    struct sent_frame frame;

    begin();
    engine.answers = true;
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_DATA, 0, 1, "hello", 5);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, " world", 6);
    play();
    expect_story("request 1 /p; end 1; closed 1; ");
    cr_expect_eq(engine.body_len, 11);
    cr_assert(sent_frame(&engine, FRAME_HEADERS, 1, 0, &frame));
    cr_expect_eq(frame.flags, END_HEADERS);
    cr_assert(sent_frame(&engine, FRAME_DATA, 1, 0, &frame));
    cr_expect_eq(frame.flags, 0);
    cr_expect_eq(frame.len, 5);
    cr_assert(sent_frame(&engine, FRAME_HEADERS, 1, 1, &frame));
    cr_expect_eq(frame.flags, END_HEADERS | END_STREAM);
    cr_expect_eq(sent_count(&engine, FRAME_RST_STREAM), 0);
    cr_expect_eq(http2_streams(engine.http2), 0);
    expect_alive();
    engine_close(&engine);
}

Test(http2, fields_are_found_by_name_and_counted)
{
    const struct http2_field fields[] = {field("a", "1"), field("b", "2"), field("a", "3")};
    const struct http2_head head = {.fields = fields, .fields_count = 3};
    unsigned count;

    cr_expect(slice_is(http2_find_field(&head, "a", &count), "1"));
    cr_expect_eq(count, 2);
    cr_expect_null(http2_find_field(&head, "c", &count).ptr);
    cr_expect_eq(count, 0);
}

static void whole_conversation(void)
{
    uint8_t block[512];

    script_begin(&script);
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_PING, 0, 0, "12345678", 8);
    script_frame(&script, FRAME_DATA, 0, 1, "hello", 5);
    const size_t len = block_request(block, "/second");
    script_frame(&script, FRAME_HEADERS, END_STREAM, 3, block, 20);
    script_frame(&script, FRAME_CONTINUATION, 0, 3, block + 20, 30);
    script_frame(&script, FRAME_CONTINUATION, END_HEADERS, 3, block + 50, len - 50);
    script_frame(&script, FRAME_DATA, PADDED | END_STREAM, 1, "\3abc\0\0\0", 7);
    script_request(&script, 5, 0);
    script_number_frame(&script, FRAME_RST_STREAM, 5, CODE_CANCEL);
}

Test(http2, the_story_is_the_same_however_the_bytes_are_cut)
{
    static const char story[] = "request 1 /p; whole 3 /second; end 3; closed 3; end 1; closed 1; "
                                "request 5 /p; closed 5; ";

    whole_conversation();
    const size_t len = script.len;
    for (size_t cut = 1; cut < len; cut++) {
        engine_open(&engine);
        engine.answers = true;
        whole_conversation();
        http2_feed(engine.http2, slice_of(script.bytes, cut));
        engine_flush(&engine, 7);
        http2_feed(engine.http2, slice_of(script.bytes + cut, len - cut));
        engine_flush(&engine, 7);
        cr_assert_eq(engine.body_len, 8);
        cr_assert_eq(http2_under_way(engine.http2), 0);
        cr_assert_eq(sent_count(&engine, FRAME_PING), 1);
        if (cut == len / 2) cr_expect_not_null(strstr(engine.story, "end 1"));
        engine_close(&engine);
    }
    engine_open(&engine);
    engine.answers = true;
    whole_conversation();
    engine_play_in(&engine, &script, 1);
    expect_story(story);
    engine_close(&engine);
}

Test(http2, it_is_known_what_is_under_way)
{
    uint8_t block[512];

    begin();
    cr_expect_eq(http2_under_way(engine.http2), 1, "the preface is owed");
    play();
    cr_expect_eq(http2_under_way(engine.http2), 0);
    script_put(&script, "\0\0", 2);
    play();
    const uint64_t ping = http2_under_way(engine.http2);
    cr_expect_gt(ping, 1, "the header of a frame");
    script_put(&script, "\x8\6\0\0\0\0\0", 7);
    play();
    cr_expect_eq(http2_under_way(engine.http2), ping, "and then its payload");
    script_put(&script, "12345678", 8);
    play();
    cr_expect_eq(http2_under_way(engine.http2), 0);
    script_frame(&script, FRAME_HEADERS, 0, 1, block, block_request(block, "/p"));
    play();
    const uint64_t head = http2_under_way(engine.http2);
    cr_expect_gt(head, ping, "the head has not ended");
    script_frame(&script, FRAME_CONTINUATION, 0, 1, NULL, 0);
    play();
    cr_expect_eq(http2_under_way(engine.http2), head);
    script_frame(&script, FRAME_CONTINUATION, END_HEADERS, 1, NULL, 0);
    play();
    cr_expect_eq(http2_under_way(engine.http2), 0);
    script_put(&script, "\0\0\5\0\0\0\0\0\1xx", 11);
    play();
    cr_expect_eq(http2_under_way(engine.http2), 0, "DATA has a deadline of its own");
    engine_close(&engine);
}

Test(http2, an_answer_before_the_end_of_the_request_is_followed_by_a_reset_without_error)
{
    const struct http2_field head[] = {field(":status", "200"), field("grpc-status", "8")};
    struct sent_frame frame;

    begin();
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_DATA, 0, 1, "hello", 5);
    play();
    http2_answer(engine.http2, 1, head, 2, slice_text(""), NULL, 0);
    engine_flush(&engine, 16384);
    cr_assert(sent_frame(&engine, FRAME_HEADERS, 1, 0, &frame));
    cr_expect_eq(frame.flags, END_HEADERS | END_STREAM);
    cr_expect_eq(sent_reset(&engine, 1), CODE_NO_ERROR);
    expect_story("request 1 /p; closed 1; ");
    for (unsigned i = 0; i < 4; i++) /* what was on the way is dropped, and credited to the connection */
        script_frame(&script, FRAME_DATA, 0, 1, script.bytes + 100000, 16384);
    play();
    cr_expect_eq(engine.body_len, 5);
    expect_alive();
    engine_close(&engine);
}

Test(http2, such_an_answer_may_have_a_body)
{
    const struct http2_field head[] = {field(":status", "415")};
    struct sent_frame frame;

    begin();
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_DATA, 0, 1, "hello", 5);
    play();
    http2_answer(engine.http2, 1, head, 1, slice_text("what"), NULL, 0);
    engine_flush(&engine, 16384);
    cr_assert(sent_frame(&engine, FRAME_HEADERS, 1, 0, &frame));
    cr_expect_eq(frame.flags, END_HEADERS);
    cr_assert(sent_frame(&engine, FRAME_DATA, 1, 0, &frame));
    cr_expect_eq(frame.flags, END_STREAM);
    cr_expect_eq(sent_reset(&engine, 1), CODE_NO_ERROR);
    expect_story("request 1 /p; closed 1; ");
    expect_alive();
    engine_close(&engine);
}

Test(http2, bodies_are_credited_as_they_are_taken)
{
    static uint8_t zeros[16384];

    begin();
    engine.answers = true;
    script_request(&script, 1, 0);
    play();
    for (unsigned i = 0; i < 640; i++) { /* 10 MiB: ten windows of a stream */
        script_frame(&script, FRAME_DATA, i == 639 ? END_STREAM : 0, 1, zeros, sizeof zeros);
        play();
    }
    cr_expect_eq(engine.body_len, 640 * sizeof zeros);
    expect_story("request 1 /p; end 1; closed 1; ");
    cr_expect_geq(sent_count(&engine, FRAME_WINDOW_UPDATE), 20);
    engine_close(&engine);
}

Test(http2, trailers_of_a_request_are_dropped)
{
    uint8_t block[64];

    begin();
    engine.answers = true;
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_DATA, 0, 1, "x", 1);
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 1, block, block_field(block, 0, "a", "b"));
    play();
    expect_story("request 1 /p; end 1; closed 1; ");
    expect_alive();
    engine_close(&engine);
}

Test(http2, a_refused_request_may_be_tried_again)
{
    begin();
    engine.refuses = true;
    script_request(&script, 1, END_STREAM);
    play();
    cr_expect_eq(sent_reset(&engine, 1), CODE_REFUSED);
    engine.refuses = false;
    script_request(&script, 3, END_STREAM);
    play();
    expect_story("whole 3 /p; end 3; ");
    expect_alive();
    engine_close(&engine);
}

Test(http2, more_streams_than_allowed_are_refused_and_not_told)
{
    begin();
    for (uint32_t i = 0; i < HTTP2_STREAMS_MAX + 10; i++)
        script_request(&script, 2 * i + 1, 0);
    play();
    cr_expect_eq(engine.requests, HTTP2_STREAMS_MAX);
    cr_expect_eq(http2_streams(engine.http2), HTTP2_STREAMS_MAX);
    cr_expect_eq(sent_reset(&engine, 2 * HTTP2_STREAMS_MAX + 1), CODE_REFUSED);
    expect_alive();
    engine_close(&engine);
}

Test(http2, no_more_memory_ends_the_connection_and_nothing_leaks)
{
    begin();
    engine.memory.bytes_max = engine.memory.used_bytes + 2000;
    for (uint32_t i = 0; i < 20; i++)
        script_request(&script, 2 * i + 1, 0);
    play();
    cr_expect_lt(engine.requests, 20);
    cr_expect_leq(engine.memory.used_bytes, engine.memory.bytes_max);
    engine_close(&engine);
}

Test(http2, a_connection_is_ended_in_order)
{
    struct sent_frame frame;

    begin();
    engine.answers = true;
    script_request(&script, 1, 0);
    play();
    http2_drain(engine.http2);
    engine_flush(&engine, 16384);
    cr_assert(sent_frame(&engine, FRAME_GOAWAY, 0, 0, &frame));
    cr_expect_eq(number_at(frame.payload), INT32_MAX);
    cr_expect_not(http2_is_finishing(engine.http2));
    script_request(&script, 3, END_STREAM); /* it was on the way */
    cr_assert(sent_frame(&engine, FRAME_PING, 0, 0, &frame));
    script_frame(&script, FRAME_PING, ACK, 0, frame.payload, frame.len);
    play();
    cr_expect(http2_is_finishing(engine.http2));
    cr_assert(sent_frame(&engine, FRAME_GOAWAY, 0, 1, &frame));
    cr_expect_eq(number_at(frame.payload), 3);
    cr_expect_eq(number_at(frame.payload + 4), CODE_NO_ERROR);
    cr_expect_not(http2_is_over(engine.http2), "stream 1 is open");
    script_request(&script, 5, END_STREAM);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, NULL, 0);
    play();
    expect_story("request 1 /p; whole 3 /p; end 3; closed 3; end 1; closed 1; ");
    cr_expect(http2_is_over(engine.http2));
    engine_close(&engine);
}

/* ---- what the protocol forbids -------------------------------------------------------------------------- */

Test(http2, P1_what_is_not_http2_gets_nothing_and_a_first_frame_must_be_settings)
{
    engine_open(&engine);
    script.len = 0;
    script_put(&script, "POST /v1/traces HTTP/1.1\r\n\r\n", 28);
    play();
    cr_expect(http2_is_over(engine.http2));
    cr_expect_eq(http2_output(engine.http2, engine.sent, 100), 0);
    engine_close(&engine);

    begin();
    script.len = 24;
    script_frame(&script, FRAME_PING, 0, 0, "12345678", 8);
    play();
    expect_goaway(CODE_PROTOCOL);
    engine_close(&engine);
}

Test(http2, P1_settings_of_odd_length_end_the_connection_and_unknown_ones_do_not)
{
    begin();
    script_frame(&script, FRAME_SETTINGS, 0, 0, "\0\3\0\0\0\1\0", 7);
    play();
    expect_goaway(CODE_FRAME_SIZE);
    engine_close(&engine);

    begin();
    engine.answers = true;
    script_frame(&script, FRAME_SETTINGS, 0, 0, "\xfe\3\0\0\0\1\0\3\0\0\0\0", 12); /* 65027 = 1, no pushes */
    script_frame(&script, 0x77, 0, 0, "what is this", 12);
    script_request(&script, 1, END_STREAM);
    play();
    expect_story("whole 1 /p; end 1; closed 1; ");
    expect_alive();
    engine_close(&engine);
}

Test(http2, P9_broken_hpack_ends_the_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
    } blocks[] = {
        {"\x80", 1},                     /* index 0 */
        {"\xff\xff\xff\xff\xff\x0f", 6}, /* an index beyond the table */
        {"\x3f\xe1\xff\x07", 4},         /* a table of 128 KiB */
        {"\x00\x81\xff\x01x", 5},        /* Huffman: EOS as padding of a whole byte */
        {"\x40\x05", 2},                 /* a name that ends before its length */
    };

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        begin();
        script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 1, blocks[i].bytes, blocks[i].len);
        play();
        cr_expect_eq(sent_goaway(&engine), CODE_COMPRESSION, "block %zu", i);
        cr_expect(http2_is_over(engine.http2));
        cr_expect_eq(engine.requests, 0);
        engine_close(&engine);
    }
}

Test(http2, P10_heads_that_are_none_reset_the_stream_and_are_counted)
{
    static const char *const bad[][2] = {
        {":method", "GET"}, {":unknown", "x"},          {"Upper", "x"}, {"connection", "close"},
        {"te", "gzip"},     {"transfer-encoding", "x"}, {"a b", "x"},   {"a", "x\r\ny"},
    };
    uint8_t block[512];
    uint32_t id = 1;

    begin();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, id += 2) {
        const size_t len = block_request(block, "/p");
        script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, id, block,
                     block_field(block, len, bad[i][0], bad[i][1]));
    }
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, id, block,
                 block_field(block, 0, ":method", "POST")); /* no path, no scheme */
    play();
    unsigned told = engine.requests;
    for (uint32_t i = 1; i <= id; i += 2)
        cr_expect(sent_reset(&engine, i) == CODE_PROTOCOL || told-- > 0, "stream %u", i);
    cr_expect_leq(engine.requests, 1, "the library may drop a value it dislikes, never a name");
    expect_alive();
    for (unsigned i = 0; i < HTTP2_RESETS_MAX; i++) {
        id += 2;
        script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, id, block,
                     block_field(block, 0, ":method", "POST"));
    }
    play();
    expect_calm("too many streams reset");
    engine_close(&engine);
}

Test(http2, P13_stream_ids_go_up_and_are_odd)
{
    static const uint32_t second[] = {0, 2, 3, 5};
    static const int code[] = {CODE_PROTOCOL, CODE_PROTOCOL, -1 /* closed unused: ignored */,
                               CODE_STREAM_CLOSED};

    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        begin();
        engine.answers = true;
        script_request(&script, 5, END_STREAM);
        script_request(&script, second[i], END_STREAM);
        play();
        cr_expect_eq(engine.requests, 1, "id %u", second[i]);
        cr_expect_eq(sent_goaway(&engine), code[i], "id %u", second[i]);
        engine_close(&engine);
    }

    begin();
    engine.answers = true;
    script_request(&script, 5, END_STREAM);
    for (unsigned i = 0; i < HTTP2_CONTROLS_MAX + 100; i++)
        script_request(&script, 3, END_STREAM);
    play();
    expect_calm("too many frames that carry no request");
    engine_close(&engine);
}

Test(http2, P13_priority_belongs_to_a_stream)
{
    begin();
    script_frame(&script, FRAME_PRIORITY, 0, 1, "\0\0\0\0\x0f", 5);
    play();
    expect_alive();
    script_frame(&script, FRAME_PRIORITY, 0, 0, "\0\0\0\1\x0f", 5);
    script_request(&script, 3, END_STREAM);
    play();
    cr_expect_eq(sent_goaway(&engine), CODE_PROTOCOL);
    cr_expect_eq(engine.requests, 0);
    cr_expect_null(http2_abuse(engine.http2));
    cr_expect(http2_is_over(engine.http2));
    engine_close(&engine);
}

Test(http2, P14_bytes_beyond_our_window_end_the_stream_or_the_connection)
{
    static uint8_t zeros[16384];

    begin();
    script_request(&script, 1, 0);
    script_number_frame(&script, FRAME_WINDOW_UPDATE, 1, INT32_MAX);
    script_number_frame(&script, FRAME_WINDOW_UPDATE, 1, INT32_MAX);
    play();
    cr_expect_eq(sent_reset(&engine, 1), CODE_FLOW_CONTROL);
    expect_alive();
    engine_close(&engine);

    begin();
    script_number_frame(&script, FRAME_WINDOW_UPDATE, 0, INT32_MAX);
    script_number_frame(&script, FRAME_WINDOW_UPDATE, 0, INT32_MAX);
    play();
    expect_goaway(CODE_FLOW_CONTROL);
    engine_close(&engine);

    begin(); /* padding is flow controlled too, and given back */
    script_request(&script, 1, 0);
    play();
    zeros[0] = 255;
    for (unsigned i = 0; i < 900; i++) {
        script_frame(&script, FRAME_DATA, PADDED, 1, zeros, 256);
        play();
    }
    cr_expect_eq(engine.body_len, 0);
    expect_alive();
    for (unsigned i = 0; i < 200; i++) {
        script_frame(&script, FRAME_DATA, PADDED, 1, zeros, 256);
        play();
    }
    expect_calm("too many frames that carry no request");
    engine_close(&engine);
}

Test(http2, P16_frames_that_are_too_long_end_the_connection_and_nothing_is_read_behind_that)
{
    static uint8_t zeros[16385];

    begin();
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_DATA, 0, 1, zeros, sizeof zeros);
    script_frame(&script, FRAME_DATA, END_STREAM, 1, "x", 1);
    play();
    expect_goaway(CODE_FRAME_SIZE);
    expect_story("request 1 /p; ");
    script_request(&script, 3, END_STREAM);
    script_frame(&script, 0x10, 0, 1, "\0", 1); /* PRIORITY_UPDATE, malformed */
    play();
    expect_story("request 1 /p; ");
    engine_close(&engine);
}

Test(http2, P17_a_client_does_not_push)
{
    begin();
    script_request(&script, 1, 0);
    script_frame(&script, FRAME_PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2", 4);
    play();
    expect_goaway(CODE_PROTOCOL);
    engine_close(&engine);
}

/* ---- what the protocol allows, and we do not ------------------------------------------------------------ */

static void rapid_resets(unsigned count, uint32_t *id)
{
    for (unsigned i = 0; i < count; i++, *id += 2) {
        script_request(&script, *id, 0);
        script_number_frame(&script, FRAME_RST_STREAM, *id, CODE_CANCEL);
    }
}

Test(http2, P3_rapid_resets_end_the_connection)
{
    uint32_t id = 1;

    begin();
    rapid_resets(HTTP2_RESETS_MAX, &id);
    play();
    expect_alive();
    rapid_resets(1000, &id);
    play();
    expect_calm("too many streams reset");
    cr_expect_eq(engine.requests, HTTP2_RESETS_MAX + 1, "nothing behind the last straw was read");
    cr_expect_leq(http2_streams(engine.http2), 1);
    engine_close(&engine);
}

Test(http2, P3_resets_between_answers_are_an_impatient_client)
{
    uint32_t id = 1;

    begin();
    engine.answers = engine.stays_mute = true;
    for (unsigned i = 0; i < 500; i++) {
        rapid_resets(1, &id);
        script_request(&script, id, END_STREAM);
        id += 2;
        play();
    }
    expect_alive();
    engine_close(&engine);
}

Test(http2, P4_resets_of_a_peer_that_never_reads_are_counted_all_the_same)
{
    uint8_t block[64];
    uint32_t id = 1;

    begin();
    for (unsigned i = 0; i < 10000; i++, id += 2) /* each is answered with RST_STREAM by the library */
        script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, id, block,
                     block_field(block, 0, ":method", "POST"));
    for (size_t at = 0; at < script.len; at += 4096)
        http2_feed(engine.http2,
                   slice_of(script.bytes + at, script.len - at < 4096 ? script.len - at : 4096));
    cr_expect_not_null(http2_abuse(engine.http2));
    cr_expect_leq(engine.memory.used_bytes, HTTP2_CONN_MEMORY_MAX + (32 << 10));
    engine_close(&engine);

    begin(); /* PING, each of which wants an answer: long before the budget ends the owner is to stop reading */
    for (unsigned i = 0; i < 200; i++)
        script_frame(&script, FRAME_PING, 0, 0, "12345678", 8);
    http2_feed(engine.http2, slice_of(script.bytes, script.len));
    cr_expect(http2_is_congested(engine.http2));
    engine_flush(&engine, 16384);
    cr_expect_not(http2_is_congested(engine.http2));
    cr_expect_eq(sent_count(&engine, FRAME_PING), 200);
    engine_close(&engine);
}

Test(http2, P5_streams_that_we_are_made_to_reset_count_as_well)
{
    uint32_t id = 1;

    begin();
    for (unsigned i = 0; i <= HTTP2_RESETS_MAX; i++, id += 2) {
        script_request(&script, id, 0);
        script_number_frame(&script, FRAME_WINDOW_UPDATE, id, INT32_MAX);
        script_number_frame(&script, FRAME_WINDOW_UPDATE, id, INT32_MAX);
        play();
    }
    expect_calm("too many streams reset");
    engine_close(&engine);
}

Test(http2, P6_a_head_without_end_is_cut_after_four_continuations)
{
    uint8_t block[512];

    begin();
    script_frame(&script, FRAME_HEADERS, END_STREAM, 1, block, block_request(block, "/p"));
    for (unsigned i = 0; i < HTTP2_CONTINUATIONS_MAX - 1; i++)
        script_frame(&script, FRAME_CONTINUATION, 0, 1, NULL, 0);
    script_frame(&script, FRAME_CONTINUATION, END_HEADERS, 1, NULL, 0);
    play();
    expect_story("whole 1 /p; end 1; ");
    script_frame(&script, FRAME_HEADERS, END_STREAM, 3, block, block_request(block, "/p"));
    for (unsigned i = 0; i < 1000; i++)
        script_frame(&script, FRAME_CONTINUATION, 0, 3, NULL, 0);
    play();
    expect_calm("too many CONTINUATION frames");
    engine_close(&engine);
}

/* A value of `len` bytes that goes into the dynamic table as its newest entry, then is named `times` times. */
static size_t bomb(uint8_t *block, size_t len, unsigned times)
{
    size_t at = block_request(block, "/p");

    block[at++] = 0x40;
    block[at++] = 1;
    block[at++] = 'a';
    block[at++] = 0x7f; /* 127 + ... */
    for (size_t rest = len - 127;; rest >>= 7) {
        block[at++] = (uint8_t)(rest >= 128 ? rest | 128 : rest);
        if (rest < 128) break;
    }
    memset(block + at, 'x', len);
    at += len;
    memset(block + at, 0x80 | 62, times);
    return at + times;
}

Test(http2, P7_a_head_that_unfolds_is_told_once_and_then_ends_the_connection)
{
    static uint8_t block[16384];

    begin();
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 1, block, bomb(block, 3000, 10000));
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 3, "\xbe", 1); /* tables stay in step: */
    play(); /* no pseudo-fields, reset */
    cr_expect_eq(engine.requests, 1);
    expect_story("too large 1; end 1; ");
    cr_expect_eq(sent_reset(&engine, 3), CODE_PROTOCOL);
    expect_alive();
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 5, block, bomb(block, 3000, 10000));
    play();
    expect_calm("too many heads that are too large");
    engine_close(&engine);
}

Test(http2, P8_cookie_crumbs_are_counted_one_by_one)
{
    uint8_t block[4096];
    size_t len = block_request(block, "/p");

    begin();
    for (unsigned i = 0; i < HTTP2_FIELDS_COUNT_MAX - 5; i++)
        len = block_field(block, len, "cookie", "a=b");
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 1, block, len);
    len = block_field(block, len, "cookie", "a=b");
    script_frame(&script, FRAME_HEADERS, END_STREAM | END_HEADERS, 3, block, len);
    play();
    expect_story("whole 1 /p; end 1; too large 3; end 3; ");
    engine_close(&engine);
}

static void flood(unsigned type, unsigned count)
{
    static const uint8_t payload[8] = {0, 0, 0, 1};
    static const size_t len[FRAME_TYPES] = {
        [FRAME_PRIORITY] = 5, [FRAME_PING] = 8, [FRAME_WINDOW_UPDATE] = 4};

    for (unsigned i = 0; i < count; i++)
        script_frame(&script, type, 0,
                     type == FRAME_PRIORITY ? 3
                     : type == FRAME_DATA   ? 1
                                            : 0,
                     payload, type < FRAME_TYPES ? len[type] : 4);
}

Test(http2, P12_frames_that_carry_nothing_end_the_connection)
{
    static const unsigned types[] = {
        FRAME_PING, FRAME_SETTINGS, FRAME_PRIORITY, 0x10, FRAME_WINDOW_UPDATE, FRAME_DATA, 0x99};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        begin();
        script_request(&script, 1, 0);
        flood(types[i], HTTP2_CONTROLS_MAX - 10);
        play();
        cr_expect_eq(sent_goaway(&engine), -1, "frame type %u", types[i]);
        flood(types[i], 1000);
        play();
        cr_expect_eq(sent_goaway(&engine), CODE_CALM, "frame type %u", types[i]);
        engine_close(&engine);
    }
}

Test(http2, P12_a_busy_client_with_its_pings_lives)
{
    uint32_t id = 1;

    begin();
    engine.answers = engine.stays_mute = true;
    for (unsigned i = 0; i < 2000; i++, id += 2) {
        script_request(&script, id, END_STREAM);
        flood(FRAME_PING, 4);
        flood(FRAME_WINDOW_UPDATE, 4);
        play();
        engine.sent_len = 0;
    }
    cr_expect_not(http2_is_over(engine.http2));
    cr_expect_eq(engine.requests, 2000);
    engine_close(&engine);
}
