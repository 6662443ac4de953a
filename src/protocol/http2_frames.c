/*
 * Looks at the header of every frame before the library does, and keeps the accounts of what costs us work
 * and carries no request.
 *
 *   frame header   length 24 | type 8 | flags 8 | R 1 | stream id 31        RFC 9113 4.1
 *
 * A client that only wants to keep us busy sends frames that are cheap for it and never open a request:
 * resets (rapid reset), PING and SETTINGS that want an answer, PRIORITY, WINDOW_UPDATE, empty DATA, frames
 * of unknown types, heads without end. The library bounds some of them in some of its versions. Honest
 * clients send such frames around requests, a few for each, so every answer earns some back; what is saved
 * never exceeds where a connection begins.
 *
 * Errors in the frames themselves are the library's to find: a length that it refuses ends the connection
 * before our place in the stream of frames could matter.
 */
#include "http2_private.h"

enum { FLAG_END_HEADERS = 0x4 };

static const char too_many_continuations[] = "too many CONTINUATION frames";
static const char too_many_resets[] = "too many streams reset";
static const char too_many_controls[] = "too many frames that carry no request";
static const char too_many_oversized[] = "too many heads that are too large";

static void charge(struct http2_budget *budget, unsigned *account, unsigned max, const char *text)
{
    if (++*account > max && budget->abuse == NULL) budget->abuse = text;
}

void http2_budget_reset(struct http2_budget *budget)
{
    charge(budget, &budget->resets, HTTP2_RESETS_MAX, too_many_resets);
}

void http2_budget_control(struct http2_budget *budget)
{
    charge(budget, &budget->controls, HTTP2_CONTROLS_MAX, too_many_controls);
}

void http2_budget_oversized(struct http2_budget *budget)
{
    charge(budget, &budget->oversized, HTTP2_OVERSIZED_MAX, too_many_oversized);
}

void http2_budget_earn(struct http2_budget *budget)
{
    if (budget->resets > 0) budget->resets--;
    budget->controls -= budget->controls < HTTP2_CONTROLS_PER_ANSWER ? budget->controls
                                                                     : HTTP2_CONTROLS_PER_ANSWER;
}

static uint32_t stream_id(const struct http2_frames *frames)
{
    const uint8_t *const at = frames->header + 5;

    return (uint32_t)(at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* RFC 9113 6.3. The library looks at none of them, since our SETTINGS say that priorities mean nothing. */
static void judge_priority(const struct http2_frames *frames, struct http2_budget *budget)
{
    http2_budget_control(budget);
    if (stream_id(frames) > 0 || budget->abuse != NULL) return;
    budget->abuse = "PRIORITY of no stream";
    budget->broken_rule = true;
}

static void judge(struct http2_frames *frames, struct http2_budget *budget)
{
    const uint8_t type = frames->header[3], flags = frames->header[4];

    switch (type) {
    case NGHTTP2_HEADERS:
        if (stream_id(frames) > frames->last_id)
            frames->last_id = stream_id(frames);
        else
            http2_budget_control(budget); /* trailers, or of a stream that is long closed */
        frames->continuations = 0;
        frames->in_head = (flags & FLAG_END_HEADERS) == 0;
        return;
    case NGHTTP2_CONTINUATION:
        frames->in_head = (flags & FLAG_END_HEADERS) == 0;
        charge(budget, &frames->continuations, HTTP2_CONTINUATIONS_MAX, too_many_continuations);
        return;
    case NGHTTP2_RST_STREAM: http2_budget_reset(budget); return;
    case NGHTTP2_PRIORITY: judge_priority(frames, budget); return;
    case NGHTTP2_DATA: return; /* empty ones are counted when the library has seen their padding */
    default: http2_budget_control(budget); return;
    }
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Takes bytes of a frame's header; false when they complete one that is beyond a budget. */
static bool take_header(struct http2_frames *frames, struct http2_budget *budget, struct slice input,
                        size_t *at)
{
    const size_t count = at_most(HTTP2_FRAME_HEADER_BYTES - frames->header_len, input.len - *at);

    memcpy(frames->header + frames->header_len, input.ptr + *at, count);
    frames->header_len += (unsigned)count;
    *at += count;
    if (frames->header_len < HTTP2_FRAME_HEADER_BYTES) return true;

    judge(frames, budget);
    if (budget->abuse != NULL) {
        *at -= count; /* what earlier input held of this header was fed, and is no frame yet */
        return false;
    }
    frames->count += frames->header[3] != NGHTTP2_CONTINUATION;
    frames->header_len = 0;
    frames->payload_left = (uint32_t)frames->header[0] << 16 | (uint32_t)frames->header[1] << 8 |
                           frames->header[2];
    return true;
}

size_t http2_frames_admit(struct http2_frames *frames, struct http2_budget *budget, struct slice input)
{
    size_t at = at_most(frames->preface_left, input.len);

    frames->preface_left -= (unsigned)at;
    while (at < input.len) {
        if (frames->payload_left > 0) {
            const size_t count = at_most(frames->payload_left, input.len - at);
            frames->payload_left -= (uint32_t)count;
            at += count;
        } else if (!take_header(frames, budget, input, &at)) {
            return at;
        }
    }
    return at;
}
