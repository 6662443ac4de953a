/* The client's side of gRPC against a server that is nghttp2's, over a socket pair. */
#include <criterion/criterion.h>

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grpc.h"

enum { PIECE = 4096 };

static struct grpc *grpc;
static struct answer answer;
static int fds[2];
static uint8_t body[3 << 20];

/* The server: keeps what it was sent, answers as told when the request has ended. */
static struct {
    nghttp2_session *session;
    char fields[4096];
    uint8_t message[sizeof body + 5];
    size_t len;
    const char *status, *text, *retry; /* of the answer; status NULL: resets the stream */
    const char *response;              /* with its prefix */
    size_t response_len, response_sent;
    unsigned requests;
} peer;

static int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                          void *context)
{
    const size_t len = strlen(peer.fields);

    (void)session, (void)frame, (void)flags, (void)context;
    (void)snprintf(peer.fields + len, sizeof peer.fields - len, "%.*s: %.*s\n", (int)name_len,
                   (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                        void *context)
{
    (void)session, (void)flags, (void)id, (void)context;
    cr_assert_leq(len, sizeof peer.message - peer.len);
    memcpy(peer.message + peer.len, bytes, len);
    peer.len += len;
    return 0;
}

static ssize_t peer_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t capacity, uint32_t *flags,
                         nghttp2_data_source *source, void *context)
{
    nghttp2_nv trailer = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, 0};
    const size_t len = peer.response_len - peer.response_sent;

    (void)source, (void)context;
    cr_assert_leq(len, capacity);
    memcpy(buf, peer.response, len);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    cr_assert_eq(nghttp2_submit_trailer(session, id, &trailer, 1), 0);
    return (ssize_t)len;
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        0};
}

static void peer_answer(int32_t id)
{
    const nghttp2_data_provider provider = {.read_callback = peer_read};
    nghttp2_nv head[4] = {nv(":status", "200")};
    size_t count = 1;

    if (peer.status == NULL) {
        cr_assert_eq(nghttp2_submit_rst_stream(peer.session, 0, id, NGHTTP2_REFUSED_STREAM), 0);
        return;
    }
    if (strcmp(peer.status, "0") != 0) head[count++] = nv("grpc-status", peer.status);
    if (peer.text != NULL) head[count++] = nv("grpc-message", peer.text);
    if (peer.retry != NULL) head[count++] = nv("google.rpc.retryinfo-bin", peer.retry);
    cr_assert_eq(nghttp2_submit_response(peer.session, id, head, count,
                                         strcmp(peer.status, "0") == 0 ? &provider : NULL),
                 0);
}

static int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session, (void)context;
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    peer.requests++;
    peer_answer(frame->hd.stream_id);
    return 0;
}

static void set_up(void)
{
    nghttp2_session_callbacks *callbacks;
    const int small = PIECE;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    cr_assert_eq(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    cr_assert_eq(nghttp2_session_server_new(&peer.session, callbacks, NULL), 0);
    nghttp2_session_callbacks_del(callbacks);
    cr_assert_eq(nghttp2_submit_settings(peer.session, 0, NULL, 0), 0);
    peer.status = "0";
    peer.response = "\0\0\0\0\0";
    peer.response_len = 5;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7 + (i >> 12));
    answer_init(&answer, 65536);
    cr_assert_eq(grpc_open(&grpc), OK);
    cr_assert_eq(grpc_begin(grpc), OK);
}

static void tear_down(void)
{
    grpc_close(grpc);
    answer_deinit(&answer);
    nghttp2_session_del(peer.session);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

TestSuite(grpc, .init = set_up, .fini = tear_down);

/* Moves bytes both ways until nothing moves; ERR_PEER_GONE: the client has lost its call. */
static enum err talk(void)
{
    static uint8_t bytes[PIECE];
    bool moved = true;

    while (moved) {
        const uint8_t *out;
        ssize_t len;

        moved = false;
        grpc_write(grpc, &(struct wire){.fd = fds[0]});
        while ((len = recv(fds[1], bytes, sizeof bytes, 0)) > 0) {
            cr_assert_eq(nghttp2_session_mem_recv(peer.session, bytes, (size_t)len), len);
            moved = true;
        }
        while ((len = nghttp2_session_mem_send(peer.session, &out)) > 0) {
            grpc_read(grpc, slice_of(out, (size_t)len));
            moved = true;
        }
    }
    return grpc_is_lost(grpc) ? ERR_PEER_GONE : OK;
}

static enum err call_with(const struct grpc_request *request, size_t len)
{
    peer.len = 0;
    peer.fields[0] = '\0';
    peer.response_sent = 0;
    answer_begin(&answer);
    cr_assert_eq(grpc_call(grpc, request, slice_of(body, len), &answer), OK);
    return talk();
}

static enum err call(size_t len)
{
    const struct grpc_request request = {.path = "/s/m", .authority = "host:1"};

    return call_with(&request, len);
}

static void expect_message(uint8_t flag, size_t len)
{
    const uint8_t prefix[5] = {flag, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                               (uint8_t)len};

    cr_assert_eq(peer.len, len + 5);
    cr_expect_arr_eq(peer.message, prefix, 5);
    cr_expect(len == 0 || memcmp(peer.message + 5, body, len) == 0);
    cr_expect(grpc_is_written(grpc));
}

Test(grpc, bodies_of_any_size_arrive_whole)
{
    static const size_t sizes[] = {0, 1, 16379, 16380, 65530, 65535, 100000, sizeof body};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_eq(call(sizes[i]), OK, "size %zu", sizes[i]);
        cr_assert(grpc_is_answered(grpc), "size %zu", sizes[i]);
        cr_expect_eq(answer.status, 200);
        cr_expect(answer.keep_alive);
        expect_message(0, sizes[i]);
    }
    cr_expect_eq(peer.requests, sizeof sizes / sizeof *sizes);
}

Test(grpc, a_call_says_what_it_is)
{
    static const char *const headers[] = {"X-Tenant:  blue", "Authorization: Bearer x"};
    const struct grpc_request request = {.path = "/service/Method",
                                         .authority = "host:4317",
                                         .gzip = true,
                                         .headers = headers,
                                         .headers_count = 2};

    cr_assert_eq(call_with(&request, 10), OK);
    expect_message(1, 10);
    static const char *const lines[] = {":method: POST\n",         ":path: /service/Method\n",
                                        ":authority: host:4317\n", "content-type: application/grpc\n",
                                        "te: trailers\n",          "grpc-encoding: gzip\n",
                                        "x-tenant: blue\n",        "authorization: Bearer x\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect_not_null(strstr(peer.fields, lines[i]), "%s", lines[i]);
}

Test(grpc, the_response_message_is_the_body)
{
    peer.response = "\0\0\0\0\4\x0a\2\x08\3";
    peer.response_len = 9;
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 200);
    cr_expect(slice_equal(buffer_slice(&answer.body), slice_of("\x0a\2\x08\3", 4)));
}

Test(grpc, what_may_be_tried_again_is_a_refusal)
{
    peer.status = "14";
    peer.retry = "CgIIBQ";
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 503);
    cr_expect_eq(answer.retry_after_s, 5);
    peer.status = "8";
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 503);
    peer.retry = NULL;
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 400, "too large is for good");
    peer.status = "4";
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 503);
    cr_expect_eq(answer.retry_after_s, 0);
}

Test(grpc, other_outcomes_are_errors_with_their_text)
{
    peer.status = "3";
    peer.text = "bad at byte 7";
    cr_assert_eq(call(100), OK);
    cr_expect_eq(answer.status, 400);
    cr_expect(slice_is(buffer_slice(&answer.body), "grpc-status 3: bad at byte 7"));
}

Test(grpc, a_reset_call_and_nonsense_are_lost)
{
    peer.status = NULL;
    cr_expect_eq(call(100), ERR_PEER_GONE);
    cr_assert_eq(grpc_begin(grpc), OK);
    grpc_read(grpc, slice_text("HTTP/1.1 400 Bad Request\r\n\r\n and some more"));
    grpc_write(grpc, &(struct wire){.fd = fds[0]});
    cr_expect(grpc_is_lost(grpc));
}

Test(grpc, a_server_that_leaves_answers_first)
{
    cr_assert_eq(nghttp2_submit_goaway(peer.session, 0, 1, NGHTTP2_NO_ERROR, NULL, 0), 0);
    cr_assert_eq(call(100), OK);
    cr_assert(grpc_is_answered(grpc));
    cr_expect_eq(answer.status, 200);
    cr_expect(grpc_is_leaving(grpc));
    cr_expect_not(answer.keep_alive);
}
