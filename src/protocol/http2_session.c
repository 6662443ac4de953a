/*
 * What nghttp2 tells us while it reads and writes, turned into the handler's events.
 *
 * A head: begin_headers, header ..., frame_recv(HEADERS). Its fields are copied into one buffer, for there is
 * one head at a time on a connection; beyond the limits they are dropped, while decoding goes on so that the
 * tables of HPACK stay in step. Then body: data_chunk ..., frame_recv(DATA). Fields behind the body (trailers)
 * are decoded and dropped.
 *
 * A callback never fails: what must end a connection is noted, and http2_feed() looks at the notes.
 */
#include "http2_private.h"

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

/* ---- heads ----------------------------------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *const http2 = context;

    (void)session;
    if (!is_request(frame)) return 0;
    http2->head.head = (struct http2_head){.fields = http2->head.fields};
    http2->head.len = 0;
    return 0;
}

static struct slice keep(struct http2_head_buf *buf, const uint8_t *bytes, size_t len)
{
    uint8_t *const at = buf->bytes + buf->len;

    if (len > 0) memcpy(at, bytes, len);
    buf->len += len;
    return slice_of(at, len);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    struct http2 *const http2 = context;
    struct http2_head_buf *const buf = &http2->head;
    struct http2_head *const head = &buf->head;

    (void)session, (void)flags;
    if (!is_request(frame) || head->too_large) return 0;
    if (head->fields_count == HTTP2_FIELDS_COUNT_MAX || name_len > sizeof buf->bytes - buf->len ||
        value_len > sizeof buf->bytes - buf->len - name_len) {
        head->too_large = true;
        return 0;
    }
    struct http2_field *const field = &buf->fields[head->fields_count++];
    field->name = keep(buf, name, name_len);
    field->value = keep(buf, value, value_len);
    if (slice_is(field->name, ":method")) head->method = field->value;
    if (slice_is(field->name, ":path")) head->path = field->value;
    return 0;
}

/* ---- streams --------------------------------------------------------------------------------------------
 */

struct http2_stream *http2_stream_find(const struct http2 *http2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(http2->session, id);
}

static struct http2_stream *stream_open(struct http2 *http2, int32_t id)
{
    struct http2_stream *const stream = http2_allocate(http2, sizeof *stream);

    if (stream == NULL) return NULL;
    *stream = (struct http2_stream){.http2 = http2, .id = id, .next = http2->streams};
    if (stream->next != NULL) stream->next->previous = stream;
    http2->streams = stream;
    http2->streams_count++;
    return stream;
}

void http2_stream_free(struct http2_stream *stream)
{
    struct http2 *const http2 = stream->http2;

    if (stream->next != NULL) stream->next->previous = stream->previous;
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        http2->streams = stream->next;
    http2->streams_count--;
    http2_free(http2, stream->answer);
    http2_free(http2, stream);
}

static void refuse(struct http2 *http2, int32_t id)
{
    if (nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM) != 0)
        http2->broken = true;
}

static void on_head(struct http2 *http2, int32_t id, bool ends)
{
    struct http2_stream *const stream = stream_open(http2, id);

    http2->head.head.ends = ends;
    if (http2->head.head.too_large) http2_budget_oversized(&http2->budget);
    if (stream == NULL || nghttp2_session_set_stream_user_data(http2->session, id, stream) != 0) {
        if (stream != NULL) http2_stream_free(stream);
        refuse(http2, id);
        return;
    }
    stream->ended = ends;
    stream->owner = http2->config.handler->on_request(http2->config.context, id, &http2->head.head);
    if (stream->owner != NULL) return;
    assert(!stream->answered);
    nghttp2_session_set_stream_user_data(http2->session, id, NULL);
    http2_stream_free(stream);
    refuse(http2, id);
}

static void on_end(struct http2 *http2, int32_t id)
{
    struct http2_stream *const stream = http2_stream_find(http2, id);

    if (stream == NULL) return; /* refused */
    stream->ended = true;
    http2->config.handler->on_end(stream->owner);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *context)
{
    struct http2 *const http2 = context;
    struct http2_stream *const stream = http2_stream_find(http2, id);

    (void)session, (void)error_code;
    if (stream == NULL) return 0;
    void *const owner = stream->owner;
    http2_stream_free(stream);
    http2->config.handler->on_closed(owner);
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------------------
 */

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                         size_t len, void *context)
{
    struct http2 *const http2 = context;
    struct http2_stream *const stream = http2_stream_find(http2, id);

    (void)flags;
    http2->data_len += len;
    if (stream != NULL) http2->config.handler->on_body(stream->owner, slice_of(bytes, len));
    if (nghttp2_session_consume(session, id, len) != 0) http2->broken = true;
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *const http2 = context;
    const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        if (http2->data_len == 0 && !ends) http2_budget_control(&http2->budget);
        http2->data_len = 0;
        break;
    case NGHTTP2_HEADERS:
        if (is_request(frame)) on_head(http2, frame->hd.stream_id, ends);
        break;
    case NGHTTP2_PING:
        if (http2->draining && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) http2_finish(http2);
        return 0;
    default: return 0;
    }
    if (ends) on_end(http2, frame->hd.stream_id);
    return 0;
}

/* The library answers these with RST_STREAM or worse; with a peer that does not read, that answer is never sent. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    struct http2 *const http2 = context;

    (void)session, (void)frame, (void)error;
    http2_budget_reset(&http2->budget);
    return 0;
}

static void on_reset_sent(struct http2 *http2, uint32_t error_code)
{
    if (error_code == NGHTTP2_REFUSED_STREAM)
        http2_budget_control(&http2->budget);
    else if (error_code != NGHTTP2_NO_ERROR)
        http2_budget_reset(&http2->budget);
}

/* Our side of the stream has ended; what is still to come of the request is of no use (RFC 9113 8.1). */
static void on_answer_sent(struct http2 *http2, int32_t id)
{
    http2_budget_earn(&http2->budget);
    if (nghttp2_session_get_stream_remote_close(http2->session, id) != 0) return;
    if (nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR) != 0)
        http2->broken = true;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *const http2 = context;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) on_answer_sent(http2, frame->hd.stream_id);
        break;
    case NGHTTP2_RST_STREAM: on_reset_sent(http2, frame->rst_stream.error_code); break;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) http2->ending = true; /* the library's own */
        break;
    default: break;
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------------------
 */

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    /* It counts every piece in which a frame header arrives (1.52 as in Debian 12); http2_frames.c counts frames. */
    nghttp2_option_set_max_continuations(option, (HTTP2_CONTINUATIONS_MAX + 2) * HTTP2_FRAME_HEADER_BYTES);
}

static bool submit_settings(struct http2 *http2)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_FIELDS_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof *settings) == 0 &&
           nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                                 HTTP2_CONN_WINDOW_BYTES) == 0;
}

enum err http2_session_open(struct http2 *http2)
{
    nghttp2_mem memory = http2_memory_functions(http2);
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    enum err err = ERR_NO_MEMORY;

    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        set_callbacks(callbacks);
        set_options(option);
        if (nghttp2_session_server_new3(&http2->session, callbacks, http2, option, &memory) == 0 &&
            submit_settings(http2))
            err = OK;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return err;
}
