/*
 * A client of the HTTP/2 engine that writes its frames by hand, and what came of it: the handler's events as
 * one line of text, and the frames that the engine has sent.
 */
#ifndef TESTS_HTTP2_FIXTURE_H
#define TESTS_HTTP2_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "protocol/http2.h"

enum {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
    FRAME_TYPES
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
enum {
    CODE_NO_ERROR = 0,
    CODE_PROTOCOL = 1,
    CODE_FLOW_CONTROL = 3,
    CODE_STREAM_CLOSED = 5,
    CODE_FRAME_SIZE = 6,
    CODE_REFUSED = 7,
    CODE_CANCEL = 8,
    CODE_COMPRESSION = 9,
    CODE_CALM = 11
};

/* ---- what the client says ---- */

struct script {
    uint8_t bytes[1 << 20];
    size_t len;
};

static inline void script_put(struct script *script, const void *bytes, size_t len)
{
    if (len > sizeof script->bytes - script->len) abort();
    if (len > 0) memcpy(script->bytes + script->len, bytes, len);
    script->len += len;
}

static inline void script_frame(struct script *script, unsigned type, unsigned flags, uint32_t id,
                                const void *payload, size_t len)
{
    const uint8_t header[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
                               (uint8_t)type,        (uint8_t)flags,      (uint8_t)(id >> 24),
                               (uint8_t)(id >> 16),  (uint8_t)(id >> 8),  (uint8_t)id};

    script_put(script, header, sizeof header);
    script_put(script, payload, len);
}

static inline void script_number_frame(struct script *script, unsigned type, uint32_t id, uint32_t number)
{
    const uint8_t payload[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                                (uint8_t)number};

    script_frame(script, type, 0, id, payload, sizeof payload);
}

static inline void script_begin(struct script *script)
{
    script->len = 0;
    script_put(script, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    script_frame(script, FRAME_SETTINGS, 0, 0, NULL, 0);
}

/* Literal fields without indexing (RFC 7541 6.2.2); names and values shorter than 127 bytes. */
static inline size_t block_field(uint8_t *block, size_t len, const char *name, const char *value)
{
    const size_t name_len = strlen(name), value_len = strlen(value);

    if (name_len > 126 || value_len > 126) abort();
    block[len++] = 0;
    block[len++] = (uint8_t)name_len;
    memcpy(block + len, name, name_len);
    len += name_len;
    block[len++] = (uint8_t)value_len;
    memcpy(block + len, value, value_len);
    return len + value_len;
}

static inline size_t block_request(uint8_t *block, const char *path)
{
    size_t len = block_field(block, 0, ":method", "POST");

    len = block_field(block, len, ":scheme", "http");
    len = block_field(block, len, ":path", path);
    len = block_field(block, len, ":authority", "x");
    return block_field(block, len, "content-type", "application/grpc");
}

static inline void script_request(struct script *script, uint32_t id, unsigned flags)
{
    uint8_t block[512];

    script_frame(script, FRAME_HEADERS, flags | END_HEADERS, id, block, block_request(block, "/p"));
}

/* ---- what came of it ---- */

struct engine;
struct engine_stream {
    struct engine *engine;
    int32_t id;
};

struct engine {
    struct http2 *http2;
    struct http2_memory memory;
    char story[65536]; /* events */
    size_t story_len;
    size_t body_len;
    unsigned requests;
    bool answers;                       /* each request at its end, with a body and trailers */
    bool refuses;                       /* every request */
    bool stays_mute;                    /* writes no story */
    struct engine_stream streams[4096]; /* by id / 2 */
    uint8_t sent[1 << 20];              /* by the engine */
    size_t sent_len;
};

static inline void tell(struct engine *engine, const char *what, int32_t id, struct slice path)
{
    if (engine->stays_mute) return;
    const int len = snprintf(engine->story + engine->story_len, sizeof engine->story - engine->story_len,
                             "%s %d%s%.*s; ", what, (int)id, path.len > 0 ? " " : "", (int)path.len,
                             (const char *)path.ptr);
    if (len < 0 || (size_t)len >= sizeof engine->story - engine->story_len) abort();
    engine->story_len += (size_t)len;
}

static inline struct http2_field field(const char *name, const char *value)
{
    return (struct http2_field){slice_text(name), slice_text(value)};
}

static inline void engine_answer(struct engine *engine, int32_t id)
{
    const struct http2_field head[] = {field(":status", "200"), field("content-type", "application/grpc")};
    const struct http2_field trailers[] = {field("grpc-status", "0")};

    http2_answer(engine->http2, id, head, 2, slice_of("\0\0\0\0\0", 5), trailers, 1);
}

static inline void *engine_on_request(void *context, int32_t id, const struct http2_head *head)
{
    struct engine *const engine = context;

    if (engine->refuses) return NULL;
    engine->requests++;
    tell(engine,
         head->too_large ? "too large"
         : head->ends    ? "whole"
                         : "request",
         id, head->too_large ? slice_text("") : head->path);
    struct engine_stream *const stream = &engine->streams[(size_t)id / 2 % 4096];
    *stream = (struct engine_stream){.engine = engine, .id = id};
    return stream;
}

static inline void engine_on_body(void *context, struct slice bytes)
{
    struct engine_stream *const stream = context;

    stream->engine->body_len += bytes.len;
}

static inline void engine_on_end(void *context)
{
    struct engine_stream *const stream = context;

    tell(stream->engine, "end", stream->id, slice_text(""));
    if (stream->engine->answers) engine_answer(stream->engine, stream->id);
}

static inline void engine_on_closed(void *context)
{
    struct engine_stream *const stream = context;

    tell(stream->engine, "closed", stream->id, slice_text(""));
}

static inline void engine_open(struct engine *engine)
{
    static const struct http2_handler handler = {engine_on_request, engine_on_body, engine_on_end,
                                                 engine_on_closed};

    memset(engine, 0, sizeof *engine);
    engine->memory.bytes_max = 1 << 20;
    const struct http2_config config = {&handler, engine, &engine->memory};
    if (http2_open(&config, &engine->http2) != OK) abort();
}

static inline void engine_close(struct engine *engine)
{
    http2_close(engine->http2);
    if (engine->memory.used_bytes != 0) abort();
}

/* Takes all output in pieces of at most `piece` bytes. */
static inline void engine_flush(struct engine *engine, size_t piece)
{
    for (;;) {
        if (sizeof engine->sent - engine->sent_len < piece) abort();
        const size_t len = http2_output(engine->http2, engine->sent + engine->sent_len, piece);
        if (len == 0) return;
        engine->sent_len += len;
    }
}

/* Feeds the script in pieces, sending after each. */
static inline void engine_play_in(struct engine *engine, const struct script *script, size_t piece)
{
    for (size_t at = 0; at < script->len; at += piece) {
        const size_t rest = script->len - at;
        http2_feed(engine->http2, slice_of(script->bytes + at, rest < piece ? rest : piece));
        engine_flush(engine, 16384);
    }
}

static inline void engine_play(struct engine *engine, const struct script *script)
{
    engine_play_in(engine, script, 16384);
}

/* The number-th frame of that type that the engine has sent, on the stream if id is not 0; false: none. */
struct sent_frame {
    unsigned type, flags;
    uint32_t id;
    const uint8_t *payload;
    size_t len;
};
static inline bool sent_frame(const struct engine *engine, unsigned type, uint32_t id, unsigned number,
                              struct sent_frame *out)
{
    for (size_t at = 0; at + 9 <= engine->sent_len;) {
        const uint8_t *const h = engine->sent + at;
        const struct sent_frame frame = {
            .len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2],
            .type = h[3],
            .flags = h[4],
            .id = (uint32_t)h[5] << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8],
            .payload = h + 9,
        };
        if (frame.type == type && (id == 0 || frame.id == id) && number-- == 0) {
            *out = frame;
            return true;
        }
        at += 9 + frame.len;
    }
    return false;
}

static inline unsigned sent_count(const struct engine *engine, unsigned type)
{
    struct sent_frame frame;
    unsigned count = 0;

    while (sent_frame(engine, type, 0, count, &frame))
        count++;
    return count;
}

static inline uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The code of the last GOAWAY; -1: none was sent. */
static inline int sent_goaway(const struct engine *engine)
{
    struct sent_frame frame;
    int code = -1;

    for (unsigned i = 0; sent_frame(engine, FRAME_GOAWAY, 0, i, &frame); i++)
        code = (int)number_at(frame.payload + 4);
    return code;
}

/* The code of the stream's RST_STREAM; -1: none was sent. */
static inline int sent_reset(const struct engine *engine, uint32_t id)
{
    struct sent_frame frame;

    return sent_frame(engine, FRAME_RST_STREAM, id, 0, &frame) ? (int)number_at(frame.payload) : -1;
}

#endif
