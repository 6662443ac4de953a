/*
 * A connection that speaks HTTP/2.
 *
 * The happy path. The first output is SETTINGS with our limits and the window of the connection. Input goes
 * past http2_frames.c, which keeps the budgets, into nghttp2, whose callbacks (http2_session.c) tell the
 * handler of a request, its body and its end. The owner answers when it can; the answer is copied, HEADERS
 * and trailers are queued in the library, the body is taken by it when windows allow. Output is what the
 * library has in frames, copied into the owner's buffer as it fits.
 *
 * Failures. A stream that breaks the protocol is reset by the library, a connection gets its GOAWAY; a
 * connection beyond a budget gets ours. After a GOAWAY that tells an error nothing is fed any more: `ending`.
 * Without memory, or when the client never spoke HTTP/2, there is nothing to say: `broken`.
 *
 * Closing in order has two steps (RFC 9113 6.8): a GOAWAY that names the largest possible stream, then, when
 * a PING behind it has come back and the client must have read it, one that names the last that we serve.
 */
#include "http2_private.h"

#include <stdlib.h>

enum err http2_open(const struct http2_config *config, struct http2 **out)
{
    struct http2_memory *const memory = config->memory;

    if (sizeof(struct http2) > memory->bytes_max - memory->used_bytes) return ERR_NO_MEMORY;
    struct http2 *const http2 = malloc(sizeof *http2);
    if (http2 == NULL) return ERR_NO_MEMORY;
    memory->used_bytes += sizeof *http2;
    memset(http2, 0, offsetof(struct http2, head));
    http2->head.head = (struct http2_head){.fields = http2->head.fields};
    http2->config = *config;
    http2->frames.preface_left = HTTP2_PREFACE_BYTES;
    const enum err err = http2_session_open(http2);
    if (err != OK) {
        http2_close(http2);
        return err;
    }
    *out = http2;
    return OK;
}

void http2_close(struct http2 *http2)
{
    struct http2_memory *const memory = http2->config.memory;

    while (http2->streams != NULL)
        http2_stream_free(http2->streams);
    nghttp2_session_del(http2->session);
    assert(http2->memory_bytes == 0);
    memory->used_bytes -= sizeof *http2;
    free(http2);
}

struct slice http2_find_field(const struct http2_head *head, const char *name, unsigned *count)
{
    struct slice value = {0};
    unsigned found = 0;

    for (size_t i = 0; i < head->fields_count; i++) {
        if (!slice_is(head->fields[i].name, name)) continue;
        if (found++ == 0) value = head->fields[i].value;
    }
    if (count != NULL) *count = found;
    return value;
}

/* ---- in -------------------------------------------------------------------------------------------------
 */

static void end_for_abuse(struct http2 *http2)
{
    const char *const why = http2->budget.abuse;

    if (http2->ending) return;
    http2->ending = true;
    if (nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(http2->session),
                              http2->budget.broken_rule ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM,
                              (const uint8_t *)why, strlen(why)) != 0)
        http2->broken = true;
}

void http2_feed(struct http2 *http2, struct slice input)
{
    if (http2->ending || http2->broken) return;

    const size_t admitted = http2_frames_admit(&http2->frames, &http2->budget, input);
    if (admitted > 0 && nghttp2_session_mem_recv(http2->session, input.ptr, admitted) < 0)
        http2->broken = true;
    if (http2->budget.abuse != NULL) end_for_abuse(http2);
}

uint64_t http2_under_way(const struct http2 *http2)
{
    const struct http2_frames *const frames = &http2->frames;
    const bool in_payload = frames->payload_left > 0 && frames->header[3] != NGHTTP2_DATA;

    if (frames->preface_left > 0) return 1;
    if (frames->in_head || in_payload) return 1 + frames->count;
    return frames->header_len > 0 ? 2 + frames->count : 0;
}

unsigned http2_streams(const struct http2 *http2)
{
    return http2->streams_count;
}

/* ---- out ------------------------------------------------------------------------------------------------
 */

/* Sees to it that the library's next bytes, if any, are in `output`. */
static void refill(struct http2 *http2)
{
    const uint8_t *bytes = NULL;

    if (http2->output.len > 0 || http2->broken) return;
    const ssize_t len = nghttp2_session_mem_send(http2->session, &bytes);
    if (len < 0)
        http2->broken = true;
    else
        http2->output = slice_of(bytes, (size_t)len);
}

size_t http2_output(struct http2 *http2, uint8_t *buf, size_t capacity)
{
    size_t len = 0;

    for (;;) {
        refill(http2);
        const size_t rest = capacity - len;
        const size_t count = http2->output.len < rest ? http2->output.len : rest;
        if (http2->broken || count == 0) break;
        memcpy(buf + len, http2->output.ptr, count);
        http2->output = slice_of(http2->output.ptr + count, http2->output.len - count);
        len += count;
    }
    if (http2->budget.abuse != NULL) end_for_abuse(http2); /* of frames that the library has sent */
    return http2->broken ? 0 : len;
}

bool http2_is_congested(const struct http2 *http2)
{
    return http2->ending || http2->broken ||
           nghttp2_session_get_outbound_queue_size(http2->session) > HTTP2_BACKLOG_FRAMES_MAX;
}

bool http2_is_over(const struct http2 *http2)
{
    if (http2->broken) return true;
    if (http2->output.len > 0 || nghttp2_session_want_write(http2->session) != 0) return false;
    return http2->ending || nghttp2_session_want_read(http2->session) == 0 ||
           (http2->finishing && http2->streams_count == 0);
}

const char *http2_abuse(const struct http2 *http2)
{
    return http2->budget.broken_rule ? NULL : http2->budget.abuse;
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

static nghttp2_nv as_nv(const struct http2_field *field)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)field->name.ptr,
        .value = (uint8_t *)(uintptr_t)field->value.ptr,
        .namelen = field->name.len,
        .valuelen = field->value.len,
    };
}

static size_t as_nvs(const struct http2_field *fields, size_t count, nghttp2_nv out[HTTP2_ANSWER_FIELDS_MAX])
{
    assert(count <= HTTP2_ANSWER_FIELDS_MAX);

    for (size_t i = 0; i < count; i++)
        out[i] = as_nv(&fields[i]);
    return count;
}

static void submit_trailers(struct http2 *http2, const struct http2_stream *stream)
{
    nghttp2_nv fields[HTTP2_ANSWER_FIELDS_MAX];
    const size_t count = as_nvs(stream->answer->trailers, stream->answer->trailers_count, fields);

    if (nghttp2_submit_trailer(http2->session, stream->id, fields, count) != 0) http2->broken = true;
}

/* The library wants the next bytes of a body: as many as windows and a frame allow. */
static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t capacity, uint32_t *flags,
                       nghttp2_data_source *source, void *context)
{
    const struct http2_stream *const stream = source->ptr;
    struct http2_answer *const answer = stream->answer;
    const size_t rest = answer->body_len - answer->body_sent;
    const size_t count = rest < capacity ? rest : capacity;

    (void)session, (void)id;
    memcpy(buf, answer->bytes + answer->body_sent, count);
    answer->body_sent += count;
    if (answer->body_sent < answer->body_len) return (ssize_t)count;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (answer->trailers_count > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(context, stream);
    }
    return (ssize_t)count;
}

static struct slice copy(uint8_t **at, struct slice bytes)
{
    uint8_t *const begin = *at;

    if (bytes.len > 0) memcpy(begin, bytes.ptr, bytes.len);
    *at += bytes.len;
    return slice_of(begin, bytes.len);
}

static struct http2_answer *keep_answer(struct http2 *http2, struct slice body,
                                        const struct http2_field *trailers, size_t trailers_count)
{
    size_t bytes = body.len;

    assert(trailers_count <= HTTP2_ANSWER_FIELDS_MAX);

    for (size_t i = 0; i < trailers_count; i++)
        bytes += trailers[i].name.len + trailers[i].value.len;
    assert(bytes <= HTTP2_ANSWER_BYTES_MAX);
    struct http2_answer *const answer = http2_allocate(http2, sizeof *answer + bytes);
    if (answer == NULL) return NULL;
    *answer = (struct http2_answer){.body_len = body.len, .trailers_count = trailers_count};
    uint8_t *at = answer->bytes;
    copy(&at, body);
    for (size_t i = 0; i < trailers_count; i++) {
        answer->trailers[i].name = copy(&at, trailers[i].name);
        answer->trailers[i].value = copy(&at, trailers[i].value);
    }
    return answer;
}

void http2_answer(struct http2 *http2, int32_t id, const struct http2_field *head, size_t head_count,
                  struct slice body, const struct http2_field *trailers, size_t trailers_count)
{
    struct http2_stream *const stream = http2_stream_find(http2, id);
    const bool has_body = body.len > 0 || trailers_count > 0;
    nghttp2_nv fields[HTTP2_ANSWER_FIELDS_MAX];

    assert(stream != NULL && !stream->answered);

    stream->answered = true;
    if (http2->broken) return;
    if (has_body) {
        stream->answer = keep_answer(http2, body, trailers, trailers_count);
        if (stream->answer == NULL) {
            http2->broken = true;
            return;
        }
    }
    const nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = on_read};
    if (nghttp2_submit_response(http2->session, id, fields, as_nvs(head, head_count, fields),
                                has_body ? &provider : NULL) != 0)
        http2->broken = true;
}

void http2_cancel(struct http2 *http2, int32_t id)
{
    struct http2_stream *const stream = http2_stream_find(http2, id);

    assert(stream != NULL);

    stream->answered = true;
    if (nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL) != 0)
        http2->broken = true;
}

/* ---- the end --------------------------------------------------------------------------------------------
 */

void http2_drain(struct http2 *http2)
{
    static const uint8_t payload[8] = "draining";

    if (http2->draining || http2->finishing) return;
    http2->draining = true;
    if (nghttp2_submit_shutdown_notice(http2->session) != 0 ||
        nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, payload) != 0)
        http2->broken = true;
}

void http2_finish(struct http2 *http2)
{
    if (http2->finishing || http2->ending) return;
    http2->finishing = true;
    if (nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(http2->session), NGHTTP2_NO_ERROR, NULL,
                              0) != 0)
        http2->broken = true;
}

bool http2_is_finishing(const struct http2 *http2)
{
    return http2->finishing;
}
