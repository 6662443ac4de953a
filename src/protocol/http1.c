/*
 * The story of an HTTP/1.1 connection's incoming bytes: head, body, end, next.
 *
 * The head is collected into the borrowed buffer while every byte is checked for what may stand in a line at
 * all: lines end with CR LF, and no other control byte but TAB occurs (RFC 9112 2.2, with none of the
 * leniencies it allows). The request line is judged when it is complete, the fields when the empty line has
 * come, so the verdict depends on the bytes alone and not on how they were split. Only then does llhttp see
 * the head (http1_llhttp.c); if it does not agree, the request is refused.
 *
 * A body with Content-Length is counted here and never copied; a chunked one is read by http1_chunk.c and
 * shown to llhttp piece by piece. Nothing is read beyond the end of a request.
 *
 * Failure: HTTP1_REFUSED, and nothing else for ever after. The caller answers and closes.
 */
#include "http1_private.h"

#include "base/assert.h"
#include "text.h"

static enum http1_event_kind feed_head(struct http1 *http1, struct slice input, size_t *consumed);
static enum http1_event_kind feed_body(struct http1 *http1, struct slice input, size_t *consumed,
                                       struct http1_event *event);
static enum http1_event_kind feed_chunk_data(struct http1 *http1, struct slice input, size_t *consumed,
                                             struct http1_event *event);
static bool feed_framing(struct http1 *http1, struct slice input, size_t *consumed);

void http1_init(struct http1 *http1, uint8_t *head_buf, size_t head_capacity)
{
    memset(http1, 0, sizeof *http1);
    if (head_buf != NULL) http1_lend(http1, head_buf, head_capacity);
}

void http1_reset(struct http1 *http1)
{
    assert(http1->phase == PHASE_END);

    uint8_t *const head_buf = http1->head_buf;
    memset(http1, 0, sizeof *http1);
    http1->head_buf = head_buf;
}

bool http1_is_idle(const struct http1 *http1)
{
    return http1->phase == PHASE_REQUEST_LINE && http1->head_len == 0;
}

uint8_t *http1_take_back(struct http1 *http1)
{
    assert(http1_is_idle(http1));
    assert(http1->head_buf != NULL);

    uint8_t *const head_buf = http1->head_buf;
    http1->head_buf = NULL;
    return head_buf;
}

void http1_lend(struct http1 *http1, uint8_t *head_buf, size_t head_capacity)
{
    assert(http1_is_idle(http1));
    assert(http1->head_buf == NULL);
    assert(head_buf != NULL);
    assert(head_capacity >= HTTP1_HEAD_CAPACITY);

    http1->head_buf = head_buf;
}

enum http1_event_kind http1_feed(struct http1 *http1, struct slice input, size_t *consumed,
                                 struct http1_event *event)
{
    enum http1_event_kind kind = HTTP1_NEED_MORE;

    *consumed = 0;
    *event = (struct http1_event){0};
    if (http1->phase <= PHASE_FIELDS_LF) {
        kind = feed_head(http1, input, consumed);
    } else if (http1->phase == PHASE_BODY) {
        kind = feed_body(http1, input, consumed, event);
    } else if (http1->phase < PHASE_END) {
        if (http1->phase != PHASE_CHUNK_DATA && feed_framing(http1, input, consumed)) {
            input = slice_of(input.ptr + *consumed, input.len - *consumed);
        }
        if (http1->phase == PHASE_CHUNK_DATA) kind = feed_chunk_data(http1, input, consumed, event);
    }
    if (http1->phase == PHASE_END) return HTTP1_END;
    if (http1->phase == PHASE_REFUSED) {
        if (!http1->refusal.http2) *consumed = 0;
        *event = http1->refusal;
        return HTTP1_REFUSED;
    }
    return kind;
}

uint64_t http1_body_owed(const struct http1 *http1)
{
    return http1->phase == PHASE_BODY ? http1->owed : 0;
}

void http1_body_skip(struct http1 *http1, uint64_t n)
{
    assert(http1->phase == PHASE_BODY);
    assert(n <= http1->owed);

    http1->owed -= n;
}

bool http1__refuse(struct http1 *http1, int status, const char *reason)
{
    http1->phase = PHASE_REFUSED;
    http1->refusal = (struct http1_event){.status = status, .reason = reason};
    return false;
}

/* ---- the head: collected line by line ---- */

/*
 * Which of eight bytes are control bytes: 0x80 set in each. The lowest one is right, those above it may be
 * wrong (a borrow). Little-endian, as all machines that we run on.
 */
static uint64_t control_bytes(const uint8_t *ptr)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word;

    memcpy(&word, ptr, sizeof word);
    const uint64_t below_0x20 = (word - ones * 0x20) & ~word;
    const uint64_t is_del = ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f);
    return (below_0x20 | is_del) & ones * 0x80;
}

/* How many bytes come before the first that may not stand inside a line. */
static size_t text_run(struct slice bytes)
{
    size_t i = 0;

    while (bytes.len - i >= 8) {
        const uint64_t found = control_bytes(bytes.ptr + i);
        i += found == 0 ? 8 : (size_t)__builtin_ctzll(found) / 8;
        if (found == 0) continue;
        if ((text_class[bytes.ptr[i]] & CLASS_TEXT) == 0) return i;
        i++; /* a TAB */
    }
    while (i < bytes.len && (text_class[bytes.ptr[i]] & CLASS_TEXT) != 0)
        i++;
    return i;
}

static bool too_long(struct http1 *http1)
{
    if (http1->request_line_len != 0) return http1__refuse(http1, 431, "header section larger than 16 KiB");

    /* Not a request at all, or one with a long target? */
    size_t i = 0;
    while (i < http1->head_len && (text_class[http1->head_buf[i]] & CLASS_TOKEN) != 0)
        i++;
    if (i == 0 || i == http1->head_len || http1->head_buf[i] != ' ') {
        return http1__refuse(http1, 400, "request line does not begin with a method");
    }
    return http1__refuse(http1, 414, "request line longer than 4 KiB");
}

static bool append(struct http1 *http1, struct slice bytes)
{
    const size_t limit = http1->request_line_len == 0 ? HTTP1_REQUEST_LINE_MAX
                                                      : http1->request_line_len + HTTP1_HEADERS_MAX;
    const size_t room = limit - http1->head_len;
    const size_t fits = bytes.len < room ? bytes.len : room;

    memcpy(http1->head_buf + http1->head_len, bytes.ptr, fits);
    http1->head_len += fits;
    return fits == bytes.len || too_long(http1);
}

/* A line of the head is complete, CR LF included. */
static bool end_line(struct http1 *http1)
{
    const bool empty = http1->head_len - http1->field_start == 2;

    http1->field_start = http1->head_len;
    if (http1->phase == PHASE_REQUEST_LINE_LF) {
        http1->request_line_len = http1->head_len;
        http1->phase = PHASE_FIELDS;
        return http1__judge_request_line(http1);
    }
    http1->phase = PHASE_FIELDS;
    if (!empty) {
        http1->fields_count++;
        return http1->fields_count <= HTTP1_HEADERS_COUNT_MAX ||
               http1__refuse(http1, 431, "more than 64 header fields");
    }
    if (!http1__judge_fields(http1) || !http1__llhttp_head(http1)) return false;
    http1->phase = http1->request.chunked ? PHASE_CHUNK_SIZE : PHASE_BODY;
    http1->owed = http1->request.content_length;
    return true;
}

/* A byte that is not text: only CR LF at the end of a line will do. */
static bool control_byte(struct http1 *http1, uint8_t c)
{
    if (c == '\r') {
        http1->phase = http1->phase == PHASE_REQUEST_LINE ? PHASE_REQUEST_LINE_LF : PHASE_FIELDS_LF;
        return true;
    }
    if (http1->head_len == 0 && c == 0x16)
        return http1__refuse(http1, 0, "TLS on a port that speaks plain HTTP");
    if (c == '\n') return http1__refuse(http1, 400, "line feed without carriage return in the head");
    return http1__refuse(http1, 400, "control byte in the head");
}

/* One step at the front of input: text, the byte that ends it, or both when a line is complete. Returns its
 * length. */
static size_t feed_line(struct http1 *http1, struct slice input)
{
    const bool inside = http1->phase == PHASE_REQUEST_LINE || http1->phase == PHASE_FIELDS;
    const size_t run = inside ? text_run(input) : 0;

    if (inside && input.len - run >= 2 && input.ptr[run] == '\r' && input.ptr[run + 1] == '\n') {
        if (append(http1, slice_of(input.ptr, run + 2)) && control_byte(http1, '\r')) (void)end_line(http1);
        return run + 2;
    }
    if (run > 0) {
        (void)append(http1, slice_of(input.ptr, run));
        return run;
    }
    if (inside) {
        if (control_byte(http1, input.ptr[0])) (void)append(http1, slice_of(input.ptr, 1));
    } else if (input.ptr[0] != '\n') {
        http1__refuse(http1, 400, "carriage return without line feed in the head");
    } else if (append(http1, slice_of(input.ptr, 1))) {
        (void)end_line(http1);
    }
    return 1;
}

static enum http1_event_kind feed_head(struct http1 *http1, struct slice input, size_t *consumed)
{
    assert(http1->head_buf != NULL);

    while (*consumed < input.len && http1->phase <= PHASE_FIELDS_LF)
        *consumed += feed_line(http1, text_from(input, *consumed));
    return http1->phase > PHASE_FIELDS_LF ? HTTP1_HEAD : HTTP1_NEED_MORE;
}

/* ---- the body ---- */

static struct slice take(struct http1 *http1, struct slice input, size_t *consumed)
{
    const size_t len = input.len < http1->owed ? input.len : (size_t)http1->owed;

    http1->owed -= len;
    *consumed += len;
    return slice_of(input.ptr, len);
}

static enum http1_event_kind feed_body(struct http1 *http1, struct slice input, size_t *consumed,
                                       struct http1_event *event)
{
    if (http1->owed == 0) {
        http1->phase = PHASE_END;
        return HTTP1_END;
    }
    if (input.len == 0) return HTTP1_NEED_MORE;
    event->body = take(http1, input, consumed);
    return HTTP1_BODY;
}

static enum http1_event_kind feed_chunk_data(struct http1 *http1, struct slice input, size_t *consumed,
                                             struct http1_event *event)
{
    assert(http1->owed > 0);

    if (input.len == 0) return HTTP1_NEED_MORE;
    event->body = take(http1, input, consumed);
    if (http1->owed == 0) http1->phase = PHASE_CHUNK_TAIL_CR;
    if (!http1__llhttp_body(http1, event->body)) return HTTP1_REFUSED;
    return HTTP1_BODY;
}

/* Chunk lines, ends of chunks and trailers, up to the next data or the end. */
static bool feed_framing(struct http1 *http1, struct slice input, size_t *consumed)
{
    size_t at = 0;

    while (at < input.len && http1->phase > PHASE_CHUNK_DATA && http1->phase < PHASE_END) {
        if (!http1__chunk_byte(http1, input.ptr[at])) return false;
        at++;
    }
    *consumed = at;
    return http1__llhttp_body(http1, slice_of(input.ptr, at));
}
