/*
 * The HTTP/1.1 server engine, without I/O: bytes in, events out. One struct http1 per connection.
 *
 * Promise: a request is accepted only if our strict check and llhttp agree on its framing, and the verdict is
 * the same however the bytes were split. Bytes after a request are never touched before http1_reset().
 *
 *   http1_init(&http1, buf, HTTP1_HEAD_CAPACITY);
 *   loop: http1_feed(&http1, input, &consumed, &event), drop `consumed` bytes from the front of the input
 *     HTTP1_NEED_MORE  all input is consumed: receive more
 *     HTTP1_HEAD       http1.request is valid: judge route, role and size; then feed on, or answer and close
 *     HTTP1_BODY       event.body is the next run of body bytes, chunk framing removed
 *     HTTP1_END        the request is complete; answer it, then http1_reset() (or close: !request.keep_alive)
 *     HTTP1_REFUSED    answer event.status with event.reason, then close; status 0: close without an answer
 *
 * Limits (each refused with the status in brackets): request line with its CRLF 4 KiB [414], header section
 * with its empty line 16 KiB [431], 64 fields [431], chunk extensions 256 B a chunk and 4 KiB a body [400],
 * trailers 16 fields and 4 KiB [400]. Body size is the caller's to judge: request.content_length at
 * HTTP1_HEAD, the sum of HTTP1_BODY for a chunked one.
 */
#ifndef PROTOCOL_HTTP1_H
#define PROTOCOL_HTTP1_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define HTTP1_REQUEST_LINE_MAX   4096U  /* bytes, with CRLF */
#define HTTP1_HEADERS_MAX        16384U /* bytes, from the first field to the end of the empty line */
#define HTTP1_HEADERS_COUNT_MAX  64U
#define HTTP1_HEAD_CAPACITY      (HTTP1_REQUEST_LINE_MAX + HTTP1_HEADERS_MAX)
#define HTTP1_CHUNK_EXT_MAX      256U  /* bytes of extensions on one chunk line */
#define HTTP1_CHUNK_EXTS_MAX     4096U /* and in one body */
#define HTTP1_TRAILERS_MAX       4096U
#define HTTP1_TRAILERS_COUNT_MAX 16U
#define HTTP1_LENGTH_CHUNKED     UINT64_MAX /* for http1_write_head(): Transfer-Encoding: chunked */

/*
 * The first line of HTTP/2's preface. It is refused like any version that is not served, with event.http2 set; who
 * speaks HTTP/2 on the same port may go on with that engine instead: this line, which is consumed then, and what follows.
 */
#define HTTP1_OF_HTTP2 "PRI * HTTP/2.0\r\n"

/* The interim answer to Expect: 100-continue, sent when the head was judged good and the body is wanted. */
#define HTTP1_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

enum http1_event_kind { HTTP1_NEED_MORE, HTTP1_HEAD, HTTP1_BODY, HTTP1_END, HTTP1_REFUSED };

/*
 * HTTP1_OTHER is PATCH, for the router to answer 405. CONNECT, TRACE and all other methods never come as
 * HTTP1_HEAD: the engine refuses them with 405 (the caller adds Allow), for what follows them may be no
 * request.
 */
enum http1_method {
    HTTP1_GET,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_DELETE,
    HTTP1_OPTIONS,
    HTTP1_HEAD_METHOD,
    HTTP1_CONNECT,
    HTTP1_TRACE,
    HTTP1_OTHER
};

/*
 * Valid from HTTP1_HEAD until the next http1_reset(). Slices point into the head buffer; one that was not
 * sent is empty with ptr NULL. Values come without the white space around them. Of fields that may stand on
 * several lines (accept, accept_encoding, content_encoding) this is the first line; fields that may not
 * (host, authorization, content_type, origin) are refused when they come twice.
 */
struct http1_request {
    enum http1_method method;
    struct slice
        path; /* raw, before '?'; begins with '/', or is "*" for OPTIONS; no empty or dot segments, no %00 */
    struct slice query; /* raw, after '?'; may be empty */
    struct slice content_type, content_encoding, accept, host, authorization, origin, accept_encoding;
    unsigned content_encoding_count; /* lines of Content-Encoding */
    bool content_length_known;
    uint64_t content_length; /* 0 when not known */
    bool chunked;
    bool expect_continue; /* the client waits for HTTP1_CONTINUE, and there is a body to wait for */
    bool keep_alive;
    bool http_1_0;
};

struct http1_event {
    struct slice body;  /* HTTP1_BODY: a part of the input that was given, nothing is copied */
    int status;         /* HTTP1_REFUSED: 400 405 414 417 431 501 505, or 0: close without an answer */
    const char *reason; /* HTTP1_REFUSED: static text, what was wrong and where */
    bool disagreement;  /* HTTP1_REFUSED: llhttp refused what our check had passed; to be counted */
    bool http2;         /* HTTP1_REFUSED: see HTTP1_OF_HTTP2 */
};

/* Embedded by its owner; every field but `request` is private. */
struct http1 {
    struct http1_request request; /* read only, see above */

    unsigned phase;             /* enum http1_phase in http1_private.h */
    uint8_t *head_buf;          /* borrowed from the caller, NULL between requests when it was taken back */
    size_t head_len;            /* bytes of the head collected */
    size_t request_line_len;    /* with CR LF; 0 until it is complete */
    size_t field_start;         /* where the current line of the head begins */
    unsigned fields_count;      /* complete field lines */
    struct slice authority;     /* of an absolute-form target, ptr NULL otherwise */
    uint64_t owed;              /* bytes left of the body or of the current chunk */
    unsigned chunk_digits;      /* of the size on the current chunk line */
    unsigned chunk_ext_len;     /* bytes of extensions on the current chunk line */
    unsigned chunk_exts_len;    /* and in the body so far */
    unsigned trailers_len;      /* bytes of the trailer section so far */
    unsigned trailers_count;    /* its fields so far */
    unsigned trailer_name_len;  /* of the name under way */
    uint8_t trailer_name[24];   /* its first bytes in lower case; no forbidden name is longer */
    struct http1_event refusal; /* what HTTP1_REFUSED tells, for ever */

    alignas(8) uint8_t llhttp_state[128]; /* an llhttp_t; its size is checked in http1_llhttp.c */
    bool llhttp_head_done;                /* what llhttp has reported of this request */
    bool llhttp_message_done;
    uint64_t llhttp_chunk_len;
};

/* head_buf may be NULL if one is lent before the first http1_feed(). capacity >= HTTP1_HEAD_CAPACITY. */
void http1_init(struct http1 *http1, uint8_t *head_buf, size_t head_capacity);
/* After HTTP1_END and the answer, before the next request. Ends the life of http1->request. */
void http1_reset(struct http1 *http1);

/*
 * Idle connections need no head buffer: true when no byte of a request has been fed since init or reset. Then
 * the buffer may be taken back, and one (of HTTP1_HEAD_CAPACITY bytes) must be lent again before the next
 * feed.
 */
bool http1_is_idle(const struct http1 *http1);
uint8_t *http1_take_back(struct http1 *http1);
void http1_lend(struct http1 *http1, uint8_t *head_buf, size_t head_capacity);

/*
 * Takes a prefix of input, sets *consumed, returns one event. Call again with the rest until HTTP1_NEED_MORE.
 * Empty input is allowed. After HTTP1_END or HTTP1_REFUSED the same event comes again and nothing is
 * consumed; nor is anything with HTTP1_REFUSED, unless event.http2.
 */
enum http1_event_kind http1_feed(struct http1 *http1, struct slice input, size_t *consumed,
                                 struct http1_event *event);

/*
 * Direct receive, for bodies with Content-Length only: how many body bytes are still to come (0 for a chunked
 * one, which must be fed), and account for n <= owed bytes that the caller received into a place of its own.
 * When nothing is owed any more the next http1_feed(), with empty input if there is none, gives HTTP1_END.
 */
uint64_t http1_body_owed(const struct http1 *http1);
void http1_body_skip(struct http1 *http1, uint64_t n);

/*
 * A field of the request that has no slice of its own; the first one of that name, ptr NULL if there is none.
 * name in lower case. Linear in the head; for rare fields (Access-Control-Request-Headers).
 */
struct slice http1_find_field(const struct http1 *http1, const char *name);

/* ---- answers ---- */

struct http1_header {
    const char *name; /* a token */
    struct slice value;
};

/*
 * Writes status line, Content-Length (or Transfer-Encoding: chunked for HTTP1_LENGTH_CHUNKED; neither for
 * 1xx, 204 and 304), Connection and the given headers. Returns the length, or 0 if it does not fit or a name
 * or value holds a byte that may not stand there (control bytes but TAB), so nothing can split an answer.
 */
size_t http1_write_head(char *buf, size_t capacity, int status, const struct http1_header *headers,
                        size_t count, uint64_t content_length, bool keep_alive);

/*
 * Chunked answers: chunk head (len > 0), then len bytes of data, then HTTP1_CHUNK_TAIL; at the end
 * HTTP1_LAST_CHUNK. Returns the length written, at most HTTP1_CHUNK_HEAD_MAX, or 0 if it does not fit.
 */
#define HTTP1_CHUNK_HEAD_MAX 18U
#define HTTP1_CHUNK_TAIL     "\r\n"
#define HTTP1_LAST_CHUNK     "0\r\n\r\n"
size_t http1_write_chunk_head(char *buf, size_t capacity, uint64_t len);

/* The standard reason phrase; "Unknown" for statuses that we never send. */
const char *http1_status_text(int status);

/* True if a content type, without parameters and in any case, is `type` (given in lower case). */
bool http1_media_type_is(struct slice content_type, const char *type);

#endif
