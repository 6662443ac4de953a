/*
 * A small HTTP/1.1 response parser. It reads what a client tool needs: status, Content-Length, chunked
 * coding, Connection and Retry-After (seconds). 1xx answers are skipped. The head is gathered line by line
 * into a fixed array, the body into a buffer that is kept from answer to answer, so after the first few
 * nothing is allocated.
 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void answer_init(struct answer *answer, size_t body_max)
{
    *answer = (struct answer){.body_max = body_max};
}

void answer_deinit(struct answer *answer)
{
    buffer_deinit(&answer->body);
}

void answer_begin(struct answer *answer)
{
    answer->stage = ANSWER_HEAD;
    answer->status = 0;
    answer->keep_alive = true;
    answer->retry_after_s = 0;
    answer->chunked = false;
    answer->has_length = false;
    answer->left = 0;
    answer->head_len = 0;
    answer->body.len = 0;
}

bool answer_begun(const struct answer *answer)
{
    return answer->stage != ANSWER_HEAD || answer->head_len > 0;
}

/* ---- the head
 * ---------------------------------------------------------------------------------------------- */

static bool parse_number(const char *text, int base, uint64_t *number)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, base);

    if (end == text || text[0] == '-' || text[0] == '+') return false;
    *number = value;
    return true;
}

static enum err parse_header(struct answer *answer, char *line)
{
    char *value = strchr(line, ':');
    uint64_t number = 0;

    if (value == NULL) return ERR_MALFORMED;
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "content-length") == 0) {
        if (!parse_number(value, 10, &answer->left)) return ERR_MALFORMED;
        answer->has_length = true;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
        answer->chunked = strcasecmp(value, "chunked") == 0;
    } else if (strcasecmp(line, "connection") == 0) {
        answer->keep_alive = strcasecmp(value, "close") != 0;
    } else if (strcasecmp(line, "retry-after") == 0 && parse_number(value, 10, &number)) {
        answer->retry_after_s = number > 3600 ? 3600 : (uint32_t)number;
    }
    return OK;
}

static enum err parse_status_line(struct answer *answer, const char *line)
{
    uint64_t status = 0;

    if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 || line[8] != ' ') return ERR_MALFORMED;
    if (!parse_number(line + 9, 10, &status) || status < 100 || status > 599) return ERR_MALFORMED;
    answer->status = (int)status;
    answer->keep_alive = line[7] != '0';
    return OK;
}

/* Which stage follows the head. */
static enum err head_done(struct answer *answer)
{
    if (answer->status < 200) { /* 100 Continue: the real answer is still to come */
        answer_begin(answer);
        return OK;
    }
    answer->stage = answer->chunked ? ANSWER_CHUNK_SIZE : ANSWER_BODY;
    answer->head_len = 0; /* chunk sizes and trailers use the array now */
    if (answer->chunked) return OK;
    if (answer->has_length && answer->left > answer->body_max) return ERR_TOO_LARGE;
    if (answer->status == 204 || answer->status == 304 || (answer->has_length && answer->left == 0))
        answer->stage = ANSWER_DONE;
    if (!answer->has_length) answer->keep_alive = false; /* until the connection ends */
    return OK;
}

static enum err parse_head(struct answer *answer)
{
    char *line = answer->head;
    bool first = true;

    answer->head[answer->head_len] = '\0';
    for (char *end = strstr(line, "\r\n"); end != NULL && end != line; end = strstr(line, "\r\n")) {
        *end = '\0';
        TRY(first ? parse_status_line(answer, line) : parse_header(answer, line));
        first = false;
        line = end + 2;
    }
    return head_done(answer);
}

/* Takes bytes of the head, up to and with the empty line. */
static enum err feed_head(struct answer *answer, struct slice *bytes)
{
    while (bytes->len > 0) {
        if (answer->head_len == ANSWER_HEAD_MAX - 1) return ERR_TOO_LARGE;
        answer->head[answer->head_len++] = (char)*bytes->ptr;
        *bytes = slice_of(bytes->ptr + 1, bytes->len - 1);
        if (answer->head_len >= 4 && memcmp(answer->head + answer->head_len - 4, "\r\n\r\n", 4) == 0)
            return parse_head(answer);
    }
    return OK;
}

/* ---- the body
 * ---------------------------------------------------------------------------------------------- */

static enum err take_body(struct answer *answer, struct slice *bytes, uint64_t want)
{
    const size_t len = want < bytes->len ? (size_t)want : bytes->len;

    if (len > answer->body_max - answer->body.len) return ERR_TOO_LARGE;
    buffer_append(&answer->body, bytes->ptr, len);
    *bytes = slice_of(bytes->ptr + len, bytes->len - len);
    answer->left -= answer->has_length || answer->chunked ? len : 0;
    return answer->body.failed ? ERR_NO_MEMORY : OK;
}

static enum err feed_body(struct answer *answer, struct slice *bytes)
{
    TRY(take_body(answer, bytes, answer->has_length ? answer->left : UINT64_MAX));
    if (answer->has_length && answer->left == 0) answer->stage = ANSWER_DONE;
    return OK;
}

/* One line into head[]; *whole says that it is complete, without its end. */
static enum err feed_line(struct answer *answer, struct slice *bytes, bool *whole)
{
    *whole = false;
    while (bytes->len > 0 && !*whole) {
        if (answer->head_len == ANSWER_HEAD_MAX - 1) return ERR_TOO_LARGE;
        answer->head[answer->head_len++] = (char)*bytes->ptr;
        *bytes = slice_of(bytes->ptr + 1, bytes->len - 1);
        *whole = answer->head[answer->head_len - 1] == '\n';
    }
    if (!*whole) return OK;
    answer->head_len--;
    if (answer->head_len > 0 && answer->head[answer->head_len - 1] == '\r') answer->head_len--;
    answer->head[answer->head_len] = '\0';
    return OK;
}

static enum err feed_chunk_size(struct answer *answer, struct slice *bytes)
{
    bool whole;

    TRY(feed_line(answer, bytes, &whole));
    if (!whole) return OK;
    if (!parse_number(answer->head, 16, &answer->left)) return ERR_MALFORMED;
    answer->head_len = 0;
    answer->stage = answer->left == 0 ? ANSWER_TRAILERS : ANSWER_CHUNK_DATA;
    return OK;
}

static enum err feed_chunk_data(struct answer *answer, struct slice *bytes)
{
    TRY(take_body(answer, bytes, answer->left));
    if (answer->left == 0) {
        answer->stage = ANSWER_CHUNK_END;
        answer->head_len = 0;
    }
    return OK;
}

static enum err feed_chunk_end(struct answer *answer, struct slice *bytes)
{
    bool whole;

    TRY(feed_line(answer, bytes, &whole));
    if (!whole) return OK;
    if (answer->head_len != 0) return ERR_MALFORMED;
    answer->stage = ANSWER_CHUNK_SIZE;
    return OK;
}

static enum err feed_trailers(struct answer *answer, struct slice *bytes)
{
    bool whole;

    TRY(feed_line(answer, bytes, &whole));
    if (!whole) return OK;
    if (answer->head_len == 0) answer->stage = ANSWER_DONE;
    answer->head_len = 0;
    return OK;
}

enum err answer_feed(struct answer *answer, struct slice bytes)
{
    while (bytes.len > 0) {
        switch (answer->stage) {
        case ANSWER_HEAD: TRY(feed_head(answer, &bytes)); break;
        case ANSWER_BODY: TRY(feed_body(answer, &bytes)); break;
        case ANSWER_CHUNK_SIZE: TRY(feed_chunk_size(answer, &bytes)); break;
        case ANSWER_CHUNK_DATA: TRY(feed_chunk_data(answer, &bytes)); break;
        case ANSWER_CHUNK_END: TRY(feed_chunk_end(answer, &bytes)); break;
        case ANSWER_TRAILERS: TRY(feed_trailers(answer, &bytes)); break;
        case ANSWER_DONE: return ERR_MALFORMED; /* nothing was asked that this could answer */
        }
    }
    return OK;
}

enum err answer_end(struct answer *answer)
{
    if (answer->stage == ANSWER_BODY && !answer->has_length) answer->stage = ANSWER_DONE;
    return answer->stage == ANSWER_DONE ? OK : ERR_PEER_GONE;
}
