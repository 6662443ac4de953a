/*
 * An answer: an HTTP/1.1 response, taken in piece by piece as it arrives.
 *
 *   answer_init(&answer, body_max);  answer_begin(&answer);  answer_feed(&answer, bytes) … until answer.stage
 * is ANSWER_DONE;  read status, body, keep_alive, retry_after_s;  answer_begin() for the next;
 * answer_deinit()
 */
#ifndef LOAD_ANSWER_H
#define LOAD_ANSWER_H

#include "proto.h"

#define ANSWER_HEAD_MAX 16384

enum answer_stage {
    ANSWER_HEAD,
    ANSWER_BODY,       /* content-length, or until the connection ends */
    ANSWER_CHUNK_SIZE, /* a line of hexadecimal digits */
    ANSWER_CHUNK_DATA,
    ANSWER_CHUNK_END, /* the line end after the data */
    ANSWER_TRAILERS,  /* lines until an empty one */
    ANSWER_DONE,
};

struct answer {
    /* configuration */
    size_t body_max;

    /* valid from the stage after ANSWER_HEAD */
    int status;
    bool keep_alive;
    uint32_t retry_after_s; /* 0: not said */
    struct buffer body;     /* what has come of it */

    /* private */
    enum answer_stage stage;
    bool chunked, has_length;
    uint64_t left; /* of the body or the chunk */
    size_t head_len;
    char head[ANSWER_HEAD_MAX];
};

void answer_init(struct answer *answer, size_t body_max);
void answer_deinit(struct answer *answer);
void answer_begin(struct answer *answer);
/* Anything of the answer has arrived. */
bool answer_begun(const struct answer *answer);
/* ERR_MALFORMED (also for bytes beyond the answer), ERR_TOO_LARGE, ERR_NO_MEMORY. */
enum err answer_feed(struct answer *answer, struct slice bytes);
/* The peer has closed: ends a body without a length; ERR_PEER_GONE when something was still to come. */
enum err answer_end(struct answer *answer);

#endif
