/*
 * Private to protocol/: the HTTP/2 connection as its files share it. http2.c tells the story.
 */
#ifndef PROTOCOL_HTTP2_PRIVATE_H
#define PROTOCOL_HTTP2_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "protocol/http2.h"

enum { HTTP2_FRAME_HEADER_BYTES = 9, HTTP2_PREFACE_BYTES = 24 };

/* Where we are in the bytes of the client, frame by frame; and what the frames so far have cost. */
struct http2_frames {
    unsigned preface_left;
    uint8_t header[HTTP2_FRAME_HEADER_BYTES];
    unsigned header_len;    /* bytes of the next frame's header that are there */
    uint32_t payload_left;  /* of the current frame */
    uint64_t count;         /* frames so far; a head with its CONTINUATION is one */
    uint32_t last_id;       /* of the newest stream */
    bool in_head;           /* a HEADERS frame without END_HEADERS: CONTINUATION must follow */
    unsigned continuations; /* of the current head */
};

struct http2_budget {
    unsigned resets;    /* by either side, less what answers have earned */
    unsigned controls;  /* frames that carry no request, less what answers have earned */
    unsigned oversized; /* heads beyond the limits */
    const char *abuse;  /* the budget that was exceeded; NULL: none */
    bool broken_rule;   /* no budget but a rule, that the library does not keep: PROTOCOL_ERROR */
};

/* The answer to a request, until its last byte is in a frame. */
struct http2_answer {
    size_t body_len, body_sent;
    size_t trailers_count;
    struct http2_field trailers[HTTP2_ANSWER_FIELDS_MAX]; /* they point into bytes */
    uint8_t bytes[];                                      /* the body, then text of trailers */
};

struct http2_stream {
    struct http2 *http2;
    struct http2_stream *previous, *next; /* all that are open */
    int32_t id;
    void *owner; /* what on_request returned */
    struct http2_answer *answer;
    bool ended;    /* the request is complete */
    bool answered; /* http2_answer() or http2_cancel() was called */
};

/* Head of the request whose fields are coming: there is one at a time. */
struct http2_head_buf {
    struct http2_head head;
    struct http2_field fields[HTTP2_FIELDS_COUNT_MAX];
    uint8_t bytes[HTTP2_FIELDS_BYTES_MAX];
    size_t len;
};

struct http2 {
    struct http2_config config;
    nghttp2_session *session;
    size_t memory_bytes; /* allocated for this connection */

    struct http2_frames frames;
    struct http2_budget budget;
    struct http2_stream *streams;
    unsigned streams_count;
    size_t data_len; /* payload of the current DATA frame that was body */

    struct slice output; /* of the library, not yet taken by http2_output() */
    bool ending;         /* GOAWAY is queued and nothing is fed any more */
    bool broken;         /* no memory, or no HTTP/2 at all: nothing is sent any more either */
    bool draining, finishing;

    struct http2_head_buf head; /* last: only what heads need is ever touched */
};

/* http2_memory.c: what the library allocates is counted, for the connection and for all of an owner. */
void *http2_allocate(struct http2 *http2, size_t bytes);
void http2_free(struct http2 *http2, void *memory);
nghttp2_mem http2_memory_functions(struct http2 *http2);

/*
 * http2_frames.c: how much of the input may be fed. Less than all of it: the next frame is beyond a budget,
 * which budget.abuse names.
 */
size_t http2_frames_admit(struct http2_frames *frames, struct http2_budget *budget, struct slice input);
void http2_budget_reset(struct http2_budget *budget);
void http2_budget_control(struct http2_budget *budget);
void http2_budget_oversized(struct http2_budget *budget);
void http2_budget_earn(struct http2_budget *budget);

/* http2_session.c: the library's callbacks. ERR_NO_MEMORY. */
enum err http2_session_open(struct http2 *http2);
void http2_stream_free(struct http2_stream *stream);
struct http2_stream *http2_stream_find(const struct http2 *http2, int32_t id);

#endif
