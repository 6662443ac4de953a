/*
 * Runs a request through the HTTP/1.1 engine in any pieces and tells how it went, so that two ways of
 * cutting the same bytes can be compared.
 */
#ifndef TESTS_HTTP1_FIXTURE_H
#define TESTS_HTTP1_FIXTURE_H

#include <stdio.h>

#include "protocol/http1.h"

struct outcome {
    enum http1_event_kind kind; /* END, REFUSED or NEED_MORE: how it ended */
    int status;
    const char *reason;
    bool disagreement;
    bool head; /* HTTP1_HEAD was seen */
    struct http1_request request;
    uint8_t head_copy[HTTP1_HEAD_CAPACITY]; /* what its slices pointed to */
    uint8_t body[70000];
    size_t body_len;
    size_t consumed; /* where the request ended; only for END */
};

struct bytes {
    const char *ptr;
    size_t len;
};
#define BYTES(literal)                                                                                       \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }

static uint8_t fixture_head_buf[HTTP1_HEAD_CAPACITY];

/* Gives input in one piece of at most `piece` bytes; false when the story is over. */
static inline bool outcome_feed(struct outcome *outcome, struct http1 *http1, struct slice input)
{
    for (;;) {
        struct http1_event event;
        size_t consumed = 12345;
        const enum http1_event_kind kind = http1_feed(http1, input, &consumed, &event);

        if (consumed > input.len) abort();
        input = slice_of(input.ptr + consumed, input.len - consumed);
        outcome->kind = kind;
        outcome->consumed += consumed;
        switch (kind) {
        case HTTP1_NEED_MORE:
            if (input.len != 0) abort();
            return true;
        case HTTP1_HEAD:
            if (outcome->head) abort();
            outcome->head = true;
            outcome->request = http1->request;
            memcpy(outcome->head_copy, fixture_head_buf, sizeof fixture_head_buf);
            break;
        case HTTP1_BODY:
            if (event.body.len == 0 || outcome->body_len + event.body.len > sizeof outcome->body) abort();
            memcpy(outcome->body + outcome->body_len, event.body.ptr, event.body.len);
            outcome->body_len += event.body.len;
            break;
        case HTTP1_END: return false;
        case HTTP1_REFUSED:
            outcome->status = event.status;
            outcome->reason = event.reason;
            outcome->disagreement = event.disagreement;
            outcome->consumed = 0;
            return false;
        }
    }
}

/* first: length of the first piece; then pieces of `piece` bytes. Each piece is an exact allocation of its
 * own. */
static inline void outcome_run(struct outcome *outcome, struct bytes bytes, size_t first, size_t piece)
{
    struct http1 http1;
    size_t at = 0;
    size_t len = first;
    bool going = true;

    outcome->kind = HTTP1_NEED_MORE;
    outcome->status = 0;
    outcome->reason = NULL;
    outcome->disagreement = outcome->head = false;
    outcome->request = (struct http1_request){0};
    outcome->body_len = outcome->consumed = 0;
    memset(fixture_head_buf, 0xee, sizeof fixture_head_buf);
    http1_init(&http1, fixture_head_buf, sizeof fixture_head_buf);
    while (going && at < bytes.len) {
        if (len > bytes.len - at) len = bytes.len - at;
        uint8_t *const copy = malloc(len + 1);
        memcpy(copy, bytes.ptr + at, len);
        going = outcome_feed(outcome, &http1, slice_of(copy, len));
        free(copy);
        at += len;
        len = piece;
    }
}

/* NULL if both went the same way; otherwise what differs. */
static inline const char *outcome_difference(const struct outcome *a, const struct outcome *b)
{
    if (a->kind != b->kind) return "kind of end";
    if (a->status != b->status) return "status";
    if (a->reason != b->reason) return "reason";
    if (a->disagreement != b->disagreement) return "disagreement";
    if (a->consumed != b->consumed) return "bytes consumed";
    if (a->head != b->head) return "head seen";
    if (a->body_len != b->body_len || memcmp(a->body, b->body, a->body_len) != 0) return "body";
    if (a->head && memcmp(&a->request, &b->request, sizeof a->request) != 0) return "request";
    if (a->head && memcmp(a->head_copy, b->head_copy, sizeof a->head_copy) != 0) return "head bytes";
    return NULL;
}

/*
 * H19: whole, byte by byte, and cut in two at every point (every `step` bytes) the outcome is the same.
 * Leaves the outcome of the whole in *whole and returns NULL, or tells what differed where.
 */
static inline const char *outcome_of_every_split(struct outcome *whole, struct bytes bytes, size_t step)
{
    static struct outcome other;
    static char text[128];

    outcome_run(whole, bytes, bytes.len, bytes.len);
    for (size_t split = 0; split <= bytes.len; split += step) {
        const size_t first = split == 0 ? 1 : split;
        outcome_run(&other, bytes, first, split == 0 ? 1 : bytes.len);
        const char *const difference = outcome_difference(whole, &other);
        if (difference == NULL) continue;
        snprintf(text, sizeof text, "%s differs when cut at %zu (0: byte by byte)", difference, split);
        return text;
    }
    return NULL;
}

#endif
