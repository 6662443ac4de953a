/*
 * The HTTP/2 server engine, without I/O: bytes in, events and bytes to send out. One struct http2 per
 * connection, from the client's preface on (prior knowledge; TLS would be its owner's).
 *
 *   http2_open(&config, &http2)
 *   http2_feed(http2, bytes)     runs the handler: on_request, on_body ..., on_end, on_closed per stream
 *   http2_answer(...)            once per stream, in the handler or later
 *   http2_output(http2, buf)     what is to be sent; call again after it was sent, until it gives nothing
 *   http2_is_over(http2)         and nothing left to send: close the socket
 *   http2_close(http2)           streams that are still open are forgotten without on_closed
 *
 * nghttp2 (RFC 9113, 7541) does the protocol. What it leaves unbounded is budgeted here, before a frame
 * reaches it: the limits below. A connection over a budget gets GOAWAY(ENHANCE_YOUR_CALM) with the reason
 * in its debug data, nothing of it is fed any more, and http2_is_over() follows when that has been sent.
 *
 * Flow control: body bytes are credited as soon as on_body has returned, so the owner keeps or drops them
 * at once and refuses streams that it has no room for; windows only bound what is on the way.
 */
#ifndef PROTOCOL_HTTP2_H
#define PROTOCOL_HTTP2_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP2_STREAMS_MAX      128U /* at a time; further ones are refused, to be tried again */
#define HTTP2_FIELDS_COUNT_MAX 64U /* of a request head, pseudo-fields among them; each cookie crumb counts */
#define HTTP2_FIELDS_BYTES_MAX 16384U /* names and values of a head */
#define HTTP2_OVERSIZED_MAX                                                                                  \
    1U /* heads beyond these two: the owner answers the first 431, the next ends the connection */
#define HTTP2_CONTINUATIONS_MAX 4U    /* frames that continue one head */
#define HTTP2_RESETS_MAX        100U  /* streams reset by either side; every answer earns one back */
#define HTTP2_CONTROLS_MAX      1000U /* frames that carry no request, such as PING, SETTINGS, PRIORITY, */
#define HTTP2_CONTROLS_PER_ANSWER                                                                            \
    16U /* WINDOW_UPDATE, empty DATA, unknown ones; every answer earns these back */
#define HTTP2_BACKLOG_FRAMES_MAX  64U          /* waiting to be sent: the owner stops receiving */
#define HTTP2_ANSWER_BYTES_MAX    4096U        /* body and trailers of one answer */
#define HTTP2_STREAM_WINDOW_BYTES (1 << 20)    /* on the way on one stream, */
#define HTTP2_CONN_WINDOW_BYTES   (4 << 20)    /* and on all of a connection */
#define HTTP2_CONN_MEMORY_MAX     (512U << 10) /* what engine and library may allocate for a connection */
#define HTTP2_ANSWER_FIELDS_MAX   8U           /* in the head of an answer, and in its trailers */

struct http2;

struct http2_field {
    struct slice name; /* in lower case */
    struct slice value;
};

/* Valid in on_request only. The fields stand in the order of the request, pseudo-fields first. */
struct http2_head {
    struct slice method, path;
    const struct http2_field *fields;
    size_t fields_count;
    bool too_large; /* fields beyond the limits were dropped: answer 431 */
    bool ends;      /* no body follows; on_end comes next */
};
/* The first field of that lower-case name, ptr NULL if there is none; how many there are, if count is given. */
struct slice http2_find_field(const struct http2_head *head, const char *name, unsigned *count);

/* Runs inside http2_feed() and http2_output(). No handler may call those two or http2_close(). */
struct http2_handler {
    /* A request: what is returned stands for its stream in the calls below. NULL refuses it, unprocessed. */
    void *(*on_request)(void *context, int32_t id, const struct http2_head *head);
    void (*on_body)(void *stream, struct slice bytes); /* borrowed for the call */
    void (*on_end)(void *stream);                      /* the request is complete */
    /* The stream is over, answered or reset. The last call about it, and the only one that always comes. */
    void (*on_closed)(void *stream);
};

/* What the connections of one owner may hold together. */
struct http2_memory {
    size_t used_bytes, bytes_max;
};

struct http2_config {
    const struct http2_handler *handler; /* borrowed */
    void *context;
    struct http2_memory *memory; /* borrowed, shared by connections of one thread */
};

/* ERR_NO_MEMORY: the shared memory is used up. */
enum err http2_open(const struct http2_config *config, struct http2 **out);
void http2_close(struct http2 *http2);

/* Takes all of input. When the connection is over or ending, input is dropped. */
void http2_feed(struct http2 *http2, struct slice input);

/* Fills buf with what is to be sent now; 0: nothing. */
size_t http2_output(struct http2 *http2, uint8_t *buf, size_t capacity);
/* Much waits to be sent, or nothing will be fed any more: receive no more until output has gone out. */
bool http2_is_congested(const struct http2 *http2);
/*
 * 0, or the number of what has begun and not ended: the preface, a head, or a frame other than DATA (whose
 * pace is the owner's to judge). While the number stays the same it is the same one, for the deadline of slow ones.
 */
uint64_t http2_under_way(const struct http2 *http2);
/* Streams that the handler was told of and that are not closed. */
unsigned http2_streams(const struct http2 *http2);

/*
 * Answers a request. With neither body nor trailers the head ends the stream; a request that has not ended
 * is then reset with NO_ERROR behind the answer. Everything is copied.
 */
void http2_answer(struct http2 *http2, int32_t id, const struct http2_field *head, size_t head_count,
                  struct slice body, const struct http2_field *trailers, size_t trailers_count);
/* RST_STREAM(CANCEL); on_closed follows when it is sent. */
void http2_cancel(struct http2 *http2, int32_t id);

/*
 * Ends the connection in order: announces it (GOAWAY with the largest id, and a PING to learn that it was
 * read), goes on serving, and says which stream was the last when the PING comes back or http2_finish() is
 * called; later ones are dropped. Over when the open streams have ended.
 */
void http2_drain(struct http2 *http2);
void http2_finish(struct http2 *http2);
/* True once the last stream has been named by http2_finish() or the answered PING. */
bool http2_is_finishing(const struct http2 *http2);

/* Nothing will be received or answered any more. Send what http2_output() still has, then close. */
bool http2_is_over(const struct http2 *http2);
/* The budget that was exceeded, as text; NULL: none. */
const char *http2_abuse(const struct http2 *http2);

#endif
