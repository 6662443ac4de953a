/*
 * nghttp2 as a client. Bodies are not copied: the library hands out the header of each DATA frame, and header
 * and bytes go into a list of parts for one wire_send(); frames without a body are copied into a small buffer.
 *
 *   parts   | HEADERS | DATA header | prefix | body ... | DATA header | body ... |
 *
 * The list is filled when it is empty, sent as far as the socket takes it, and filled again.
 */
#include "grpc.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PREFIX_BYTES = 5,
    FRAME_HEADER_BYTES = 9,
    PARTS_MAX = 64,
    PARTS_PER_FRAME = 3,
    COPIES_BYTES = 8192,
    FIELDS_MAX = 16,
    NAMES_BYTES = 1024,
    TEXT_BYTES = 200,
    WINDOW_BYTES = 1 << 20,
};

struct grpc {
    nghttp2_session *session; /* NULL: not connected */
    bool leaving;

    /* the call */
    int32_t stream; /* 0: none is open */
    uint8_t prefix[PREFIX_BYTES];
    struct slice body;
    size_t read;   /* of prefix and body: asked for by the library, */
    size_t queued; /* and put into parts */
    struct answer *answer;
    int http_status, status; /* -1: not said */
    uint32_t retry_s;
    char text[TEXT_BYTES];
    size_t message_len; /* of the response with its prefix, so far */
    bool answered, given_up;

    /* to be sent */
    struct iovec parts[PARTS_MAX];
    unsigned parts_first, parts_count;
    uint8_t copies[COPIES_BYTES];
    size_t copies_len;
    struct slice frame; /* of the library, not yet copied */
};

/* ---- out ------------------------------------------------------------------------------------------------
 */

static void push(struct grpc *grpc, const void *bytes, size_t len)
{
    assert(grpc->parts_count < PARTS_MAX);

    if (len == 0) return;
    grpc->parts[grpc->parts_count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
}

static void push_copy(struct grpc *grpc, const void *bytes, size_t len)
{
    uint8_t *const copy = grpc->copies + grpc->copies_len;

    memcpy(copy, bytes, len);
    grpc->copies_len += len;
    push(grpc, copy, len);
}

static bool has_room(const struct grpc *grpc, size_t bytes)
{
    return grpc->parts_count + PARTS_PER_FRAME <= PARTS_MAX && bytes <= COPIES_BYTES - grpc->copies_len;
}

static ssize_t on_body_wanted(nghttp2_session *session, int32_t id, uint8_t *buf, size_t capacity,
                              uint32_t *flags, nghttp2_data_source *source, void *context)
{
    struct grpc *const grpc = context;
    const size_t rest = PREFIX_BYTES + grpc->body.len - grpc->read;
    const size_t count = rest < capacity ? rest : capacity;

    (void)session, (void)id, (void)buf, (void)source;
    grpc->read += count;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY | (count == rest ? NGHTTP2_DATA_FLAG_EOF : 0);
    return (ssize_t)count;
}

static int on_data_frame(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header, size_t len,
                         nghttp2_data_source *source, void *context)
{
    struct grpc *const grpc = context;

    (void)session, (void)frame, (void)source;
    if (!has_room(grpc, FRAME_HEADER_BYTES)) return NGHTTP2_ERR_WOULDBLOCK;
    push_copy(grpc, header, FRAME_HEADER_BYTES);
    const size_t prefix = grpc->queued < PREFIX_BYTES ? PREFIX_BYTES - grpc->queued : 0;
    const size_t of_prefix = prefix < len ? prefix : len;
    push(grpc, grpc->prefix + grpc->queued, of_prefix);
    push(grpc, grpc->body.ptr + grpc->queued + of_prefix - PREFIX_BYTES, len - of_prefix);
    grpc->queued += len;
    return 0;
}

/* Fills the empty list. */
static void fill(struct grpc *grpc)
{
    grpc->parts_first = grpc->parts_count = 0;
    grpc->copies_len = 0;
    for (;;) {
        if (grpc->frame.len == 0) {
            const uint8_t *bytes = NULL;
            if (!has_room(grpc, FRAME_HEADER_BYTES)) return;
            const ssize_t len = nghttp2_session_mem_send(grpc->session, &bytes);
            if (len < 0) grpc->given_up = true;
            if (len <= 0) return; /* on_data_frame() may have pushed all there was */
            grpc->frame = slice_of(bytes, (size_t)len);
        }
        if (!has_room(grpc, grpc->frame.len)) return;
        push_copy(grpc, grpc->frame.ptr, grpc->frame.len);
        grpc->frame.len = 0;
    }
}

static void advance(struct grpc *grpc, size_t by)
{
    while (by > 0) {
        struct iovec *const part = &grpc->parts[grpc->parts_first];
        const size_t step = by < part->iov_len ? by : part->iov_len;

        part->iov_base = (uint8_t *)part->iov_base + step;
        part->iov_len -= step;
        by -= step;
        if (part->iov_len == 0) grpc->parts_first++;
    }
}

void grpc_write(struct grpc *grpc, struct wire *wire)
{
    for (;;) {
        if (grpc->parts_first == grpc->parts_count) fill(grpc);
        if (grpc->parts_first == grpc->parts_count) return;
        const ssize_t sent = wire_send(wire, grpc->parts + grpc->parts_first,
                                       grpc->parts_count - grpc->parts_first);
        if (sent <= 0) return; /* not now; or gone, which reading tells */
        advance(grpc, (size_t)sent);
    }
}

bool grpc_is_written(const struct grpc *grpc)
{
    return grpc->parts_first == grpc->parts_count &&
           (grpc->stream == 0 || grpc->queued == PREFIX_BYTES + grpc->body.len);
}

/* ---- in -------------------------------------------------------------------------------------------------
 */

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *const at = c != '\0' ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* google.rpc.RetryInfo{retry_delay = 1 {seconds = 1}} in base64; 0: none that could be read */
static uint32_t retry_seconds(struct slice text)
{
    uint8_t bytes[64];
    size_t len = 0;
    uint32_t bits = 0, held = 0;
    struct proto_field field;

    for (size_t i = 0; i < text.len && len < sizeof bytes; i++) {
        const int value = base64_value((char)text.ptr[i]);
        if (value < 0) break;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        bytes[len++] = (uint8_t)(bits >> held);
    }
    struct proto_reader outer = proto_read(slice_of(bytes, len));
    if (!proto_next(&outer, &field) || field.number != 1 || field.type != PROTO_BYTES) return 0;
    struct proto_reader inner = proto_read(field.bytes);
    if (!proto_next(&inner, &field) || field.number != 1 || field.type != PROTO_VARINT) return 0;
    return field.value < 3600 ? (uint32_t)field.value : 3600;
}

static int number_of(struct slice text)
{
    int number = text.len > 0 && text.len < 4 ? 0 : -1;

    for (size_t i = 0; i < text.len && number >= 0; i++)
        number = text.ptr[i] >= '0' && text.ptr[i] <= '9' ? number * 10 + text.ptr[i] - '0' : -1;
    return number;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    struct grpc *const grpc = context;
    const struct slice field = slice_of(name, name_len), text = slice_of(value, value_len);

    (void)session, (void)flags;
    if (frame->hd.stream_id != grpc->stream) return 0;
    if (slice_is(field, ":status")) grpc->http_status = number_of(text);
    if (slice_is(field, "grpc-status")) grpc->status = number_of(text);
    if (slice_is(field, "google.rpc.retryinfo-bin")) grpc->retry_s = retry_seconds(text);
    if (slice_is(field, "grpc-message"))
        (void)snprintf(grpc->text, sizeof grpc->text, "%.*s", (int)text.len, (const char *)text.ptr);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *context)
{
    struct grpc *const grpc = context;
    struct buffer *const body = &grpc->answer->body;

    (void)session, (void)flags;
    if (id != grpc->stream) return 0;
    const size_t left = grpc->message_len < PREFIX_BYTES ? PREFIX_BYTES - grpc->message_len : 0;
    const size_t of_prefix = left < len ? left : len;
    grpc->message_len += len;
    if (len - of_prefix > grpc->answer->body_max - body->len)
        grpc->given_up = true;
    else
        buffer_append(body, bytes + of_prefix, len - of_prefix);
    return 0;
}

/* google.rpc.Code: CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS */
static bool may_be_tried_again(const struct grpc *grpc)
{
    static const unsigned codes = 1U << 1 | 1U << 4 | 1U << 10 | 1U << 11 | 1U << 14 | 1U << 15;

    return (grpc->status < 32 && (codes >> grpc->status & 1) != 0) ||
           (grpc->status == 8 && grpc->retry_s > 0);
}

static void conclude(struct grpc *grpc)
{
    struct answer *const answer = grpc->answer;
    char text[TEXT_BYTES + 40];

    answer->stage = ANSWER_DONE;
    answer->retry_after_s = grpc->retry_s;
    answer->keep_alive = !grpc->leaving;
    if (grpc->status == 0) {
        answer->status = 200;
        return;
    }
    answer->status = may_be_tried_again(grpc) ? 503 : 400;
    const int len = snprintf(text, sizeof text, "grpc-status %d: %s", grpc->status, grpc->text);
    answer->body.len = 0;
    buffer_append(&answer->body, text, (size_t)len);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *context)
{
    struct grpc *const grpc = context;

    (void)session, (void)error_code;
    if (id != grpc->stream) return 0;
    grpc->stream = 0;
    if (grpc->status < 0) {
        grpc->given_up = true; /* reset, or no gRPC at all */
        return 0;
    }
    conclude(grpc);
    grpc->answered = true;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct grpc *const grpc = context;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) grpc->leaving = true;
    return 0;
}

void grpc_read(struct grpc *grpc, struct slice bytes)
{
    if (nghttp2_session_mem_recv(grpc->session, bytes.ptr, bytes.len) < 0) grpc->given_up = true;
    if (grpc->answered && grpc->leaving) grpc->answer->keep_alive = false;
}

bool grpc_is_lost(const struct grpc *grpc)
{
    const bool ended = nghttp2_session_want_read(grpc->session) == 0 &&
                       nghttp2_session_want_write(grpc->session) == 0;

    return grpc->given_up || (ended && !grpc->answered);
}

bool grpc_is_answered(const struct grpc *grpc)
{
    return grpc->answered;
}

bool grpc_is_leaving(const struct grpc *grpc)
{
    return grpc->leaving;
}

/* ---- a call ---------------------------------------------------------------------------------------------
 */

static nghttp2_nv nv(struct slice name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr, name.len, value.len,
                        0};
}

static nghttp2_nv nv_text(const char *name, const char *value)
{
    return nv(slice_text(name), slice_text(value));
}

/* "Name: value" with the name in lower case, which is put into names. */
static nghttp2_nv nv_line(const char *line, char *names, size_t *names_len)
{
    const size_t len = strcspn(line, ":");
    char *const name = names + *names_len;
    const char *value = line + len + (line[len] == ':');

    for (size_t i = 0; i < len && *names_len < NAMES_BYTES; i++)
        names[(*names_len)++] = (char)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] | 0x20 : line[i]);
    value += strspn(value, " \t");
    return nv(slice_of(name, (size_t)(names + *names_len - name)), slice_text(value));
}

static size_t write_head(const struct grpc_request *request, nghttp2_nv out[FIELDS_MAX],
                         char names[NAMES_BYTES])
{
    size_t count = 0, names_len = 0;

    out[count++] = nv_text(":method", "POST");
    out[count++] = nv_text(":scheme", "http");
    out[count++] = nv_text(":path", request->path);
    out[count++] = nv_text(":authority", request->authority);
    out[count++] = nv_text("content-type", "application/grpc");
    out[count++] = nv_text("te", "trailers");
    out[count++] = nv_text("user-agent", "spanmill-load/" SPANMILL_VERSION);
    if (request->gzip) out[count++] = nv_text("grpc-encoding", "gzip");
    assert(request->headers_count <= FIELDS_MAX - count);
    for (uint32_t i = 0; i < request->headers_count; i++)
        out[count++] = nv_line(request->headers[i], names, &names_len);
    return count;
}

enum err grpc_call(struct grpc *grpc, const struct grpc_request *request, struct slice body,
                   struct answer *answer)
{
    const nghttp2_data_provider provider = {.read_callback = on_body_wanted};
    nghttp2_nv head[FIELDS_MAX];
    char names[NAMES_BYTES];

    assert(grpc->session != NULL && grpc->stream == 0 && body.len <= UINT32_MAX);

    grpc->prefix[0] = request->gzip;
    for (unsigned i = 0; i < 4; i++)
        grpc->prefix[1 + i] = (uint8_t)(body.len >> (24 - 8 * i));
    grpc->body = body;
    grpc->read = grpc->queued = grpc->message_len = 0;
    grpc->answer = answer;
    grpc->http_status = grpc->status = -1;
    grpc->retry_s = 0;
    grpc->text[0] = '\0';
    grpc->answered = false;
    const size_t count = write_head(request, head, names);
    const int32_t stream = nghttp2_submit_request(grpc->session, NULL, head, count, &provider, NULL);
    if (stream < 0) return stream == NGHTTP2_ERR_NOMEM ? ERR_NO_MEMORY : ERR_PEER_GONE;
    grpc->stream = stream;
    return OK;
}

/* ---- opening and closing --------------------------------------------------------------------------------
 */

enum err grpc_open(struct grpc **out)
{
    struct grpc *const grpc = calloc(1, sizeof *grpc);

    if (grpc == NULL) return ERR_NO_MEMORY;
    *out = grpc;
    return OK;
}

void grpc_close(struct grpc *grpc)
{
    if (grpc == NULL) return;
    grpc_end(grpc);
    free(grpc);
}

void grpc_end(struct grpc *grpc)
{
    nghttp2_session_del(grpc->session);
    *grpc = (struct grpc){.session = NULL};
}

static int open_session(struct grpc *grpc)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0) return NGHTTP2_ERR_NOMEM;
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_data_frame);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    const int error = nghttp2_session_client_new(&grpc->session, callbacks, grpc);
    nghttp2_session_callbacks_del(callbacks);
    return error;
}

enum err grpc_begin(struct grpc *grpc)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };

    grpc_end(grpc);
    if (open_session(grpc) != 0) return ERR_NO_MEMORY;
    return nghttp2_submit_settings(grpc->session, NGHTTP2_FLAG_NONE, settings, 2) == 0 ? OK : ERR_NO_MEMORY;
}
