/*
 * What the files of the HTTP/1.1 engine share: http1.c (the story of a connection), http1_head.c (judges
 * request line and fields), http1_chunk.c (chunk lines and trailers), http1_llhttp.c (the second opinion),
 * http1_answer.c.
 */
#ifndef PROTOCOL_HTTP1_PRIVATE_H
#define PROTOCOL_HTTP1_PRIVATE_H

#include "protocol/http1.h"

/*
 *   REQUEST_LINE -> FIELDS -> BODY ------------------------------------> END -> (reset) REQUEST_LINE
 *                         \-> CHUNK_SIZE .. CHUNK_DATA .. TRAILER_* ---/
 *   any -> REFUSED
 *
 * The order matters: everything from CHUNK_SIZE on up to END is read byte by byte by http1_chunk.c, but
 * CHUNK_DATA.
 */
enum http1_phase {
    PHASE_REQUEST_LINE,     /* collecting it, the next byte is inside the line */
    PHASE_REQUEST_LINE_LF,  /* its CR was seen */
    PHASE_FIELDS,           /* collecting fields */
    PHASE_FIELDS_LF,        /* the CR of a field or of the empty line was seen */
    PHASE_BODY,             /* owed bytes of a body with known length are to come; 0: nothing */
    PHASE_CHUNK_DATA,       /* owed bytes of a chunk are to come, never 0 */
    PHASE_CHUNK_SIZE,       /* digits of a chunk size */
    PHASE_CHUNK_EXT,        /* after ';' */
    PHASE_CHUNK_EXT_NAME,   /* inside a name */
    PHASE_CHUNK_EXT_VALUE,  /* after '=' */
    PHASE_CHUNK_EXT_TOKEN,  /* inside an unquoted value */
    PHASE_CHUNK_EXT_QUOTED, /* inside a quoted value */
    PHASE_CHUNK_EXT_QUOTE,  /* after its closing quote */
    PHASE_CHUNK_LINE_LF,    /* the CR of a chunk line was seen */
    PHASE_CHUNK_TAIL_CR,    /* after the data of a chunk */
    PHASE_CHUNK_TAIL_LF,    /* and its CR */
    PHASE_TRAILER,          /* at the start of a trailer line */
    PHASE_TRAILER_NAME,     /* inside a name */
    PHASE_TRAILER_VALUE,    /* after the colon */
    PHASE_TRAILER_LF,       /* the CR of a trailer was seen */
    PHASE_TRAILERS_END_LF,  /* the CR of the last, empty line was seen */
    PHASE_END,
    PHASE_REFUSED
};

/* Keeps the verdict; returns false, so that a check can end with it. */
bool http1__refuse(struct http1 *http1, int status, const char *reason);

/* Judge the request line when it is complete, and the fields when the empty line has come. False: refused. */
bool http1__judge_request_line(struct http1 *http1);
bool http1__judge_fields(struct http1 *http1);

/* A host with or without a port, as it may stand in Host and in an absolute target. */
bool http1__host_valid(struct slice host);

/*
 * One byte of chunk framing or trailers; moves the phase. False: refused. A chunk with data ends in
 * PHASE_CHUNK_DATA with its length in owed, the last one, after the trailers, in PHASE_END.
 */
bool http1__chunk_byte(struct http1 *http1, uint8_t c);

/* Show llhttp the whole head, or more bytes of a chunked body, that have passed. False: it disagrees,
 * refused. */
bool http1__llhttp_head(struct http1 *http1);
bool http1__llhttp_body(struct http1 *http1, struct slice bytes);

#endif
