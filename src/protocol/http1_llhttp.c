/*
 * The second opinion: llhttp reads what our own check has passed, and must understand the same request. It is
 * a cross-check of two readings, which is what request smuggling needs to differ; nothing is taken from it.
 *
 * llhttp sees the whole head at once, and a chunked body piece by piece (its cost per piece of data is
 * constant). Bodies with Content-Length it does not see at all, so that they can be received straight into
 * their place: that it read the same length is what matters. It is started anew for each request, so whether
 * it would have kept the connection alive is without meaning; Upgrade is ignored (RFC 9110 7.8 allows it).
 *
 * A disagreement is answered 400 and marked in the event, to be counted: it is a hole in our check.
 * Compiles with llhttp 8.1 and 9.x.
 */
#include "http1_private.h"

#include <llhttp.h>

#include "base/assert.h"

static_assert(sizeof(llhttp_t) <= sizeof(((struct http1 *)0)->llhttp_state),
              "llhttp_state holds an llhttp_t");
static_assert(alignof(llhttp_t) <= 8, "and is aligned for it");

static int on_headers_complete(llhttp_t *parser)
{
    struct http1 *const http1 = parser->data;

    http1->llhttp_head_done = true;
    parser->upgrade = 0;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http1 *const http1 = parser->data;

    http1->llhttp_message_done = true;
    return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct http1 *const http1 = parser->data;

    http1->llhttp_chunk_len = parser->content_length;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
    .on_chunk_header = on_chunk_header,
};

static bool disagree(struct http1 *http1)
{
    http1__refuse(http1, 400, "request framing is not understood");
    http1->refusal.disagreement = true;
    return false;
}

static bool execute(struct http1 *http1, struct slice bytes)
{
    llhttp_t *const parser = (llhttp_t *)(void *)http1->llhttp_state;

    parser->data = http1;
    return llhttp_execute(parser, (const char *)bytes.ptr, bytes.len) == HPE_OK;
}

static bool same_method(enum http1_method ours, uint8_t theirs)
{
    switch (ours) {
    case HTTP1_GET: return theirs == HTTP_GET;
    case HTTP1_POST: return theirs == HTTP_POST;
    case HTTP1_PUT: return theirs == HTTP_PUT;
    case HTTP1_DELETE: return theirs == HTTP_DELETE;
    case HTTP1_OPTIONS: return theirs == HTTP_OPTIONS;
    case HTTP1_HEAD_METHOD: return theirs == HTTP_HEAD;
    case HTTP1_OTHER: return theirs == HTTP_PATCH;
    case HTTP1_CONNECT:
    case HTTP1_TRACE: break;
    }
    return false;
}

bool http1__llhttp_head(struct http1 *http1)
{
    const struct http1_request *const request = &http1->request;
    llhttp_t *const parser = (llhttp_t *)(void *)http1->llhttp_state;
    const bool has_body = request->chunked || request->content_length > 0;

    llhttp_init(parser, HTTP_REQUEST, &settings);
    if (!execute(http1, slice_of(http1->head_buf, http1->head_len))) return disagree(http1);
    if (!http1->llhttp_head_done || http1->llhttp_message_done == has_body) return disagree(http1);
    if (!same_method(request->method, parser->method)) return disagree(http1);
    if (parser->http_major != 1 || parser->http_minor != (request->http_1_0 ? 0 : 1)) return disagree(http1);
    if (has_body && ((parser->flags & F_CHUNKED) != 0) != request->chunked) return disagree(http1);
    if (has_body && parser->content_length != request->content_length) return disagree(http1);
    return true;
}

bool http1__llhttp_body(struct http1 *http1, struct slice bytes)
{
    if (bytes.len == 0) return true;
    if (!execute(http1, bytes)) return disagree(http1);
    if (http1->llhttp_message_done != (http1->phase == PHASE_END)) return disagree(http1);
    /* At the first byte of data both must expect as much of it; afterwards both count the same bytes down. */
    if (http1->phase == PHASE_CHUNK_DATA && http1->llhttp_chunk_len != 0) {
        const bool same = http1->llhttp_chunk_len == http1->owed;
        http1->llhttp_chunk_len = 0;
        return same || disagree(http1);
    }
    return true;
}
