/*
 * Takes the message of a unary call out of a body that comes in pieces, and reads and writes the fields that
 * gRPC puts around it (gRPC over HTTP/2, "Requests" and "Responses"). No byte of the message is copied.
 */
#include "protocol/grpc.h"

#include "protocol/http1.h"
#include "text.h"

static enum grpc_event refuse(struct grpc_message *message, const char *why)
{
    message->refusal = why;
    return GRPC_REFUSED;
}

static struct slice take(struct slice *input, size_t max)
{
    const struct slice taken = slice_of(input->ptr, input->len < max ? input->len : max);

    *input = text_from(*input, taken.len);
    return taken;
}

/* The prefix is complete with these bytes, or needs more. */
static enum grpc_event take_prefix(struct grpc_message *message, struct slice *input)
{
    const struct slice part = take(input, GRPC_PREFIX_BYTES - message->prefix_len);
    const uint8_t *const p = message->prefix;

    memcpy(message->prefix + message->prefix_len, part.ptr, part.len);
    message->prefix_len += (unsigned)part.len;
    if (p[0] > 1) return refuse(message, "byte 0 of the body: the compressed flag is neither 0 nor 1");
    if (message->prefix_len < GRPC_PREFIX_BYTES) return GRPC_NEED_MORE;
    message->compressed = p[0] == 1;
    message->len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    return GRPC_PREFIX;
}

enum grpc_event grpc_message_take(struct grpc_message *message, struct slice *input, struct slice *bytes)
{
    if (message->refusal != NULL) return GRPC_REFUSED;
    if (input->len == 0) return GRPC_NEED_MORE;
    if (message->prefix_len < GRPC_PREFIX_BYTES) return take_prefix(message, input);

    if (message->taken == message->len)
        return refuse(message, "bytes behind the message: a unary call has one message");
    *bytes = take(input, message->len - message->taken);
    message->taken += (uint32_t)bytes->len;
    return GRPC_BYTES;
}

const char *grpc_message_end(const struct grpc_message *message)
{
    if (message->refusal != NULL) return message->refusal;
    if (message->prefix_len == 0) return "no message in the body";
    if (message->prefix_len < GRPC_PREFIX_BYTES) return "the body ends within the prefix of the message";
    if (message->taken < message->len) return "the body ends before the message";
    return NULL;
}

void grpc_write_prefix(uint32_t len, uint8_t out[GRPC_PREFIX_BYTES])
{
    out[0] = 0;
    for (unsigned i = 0; i < 4; i++)
        out[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}

/* ---- fields ---------------------------------------------------------------------------------------------
 */

bool grpc_is_content_type(struct slice content_type)
{
    return http1_media_type_is(content_type, "application/grpc") ||
           http1_media_type_is(content_type, "application/grpc+proto");
}

static uint64_t unit_ns(uint8_t unit)
{
    switch (unit) {
    case 'H': return 3600000000000ULL;
    case 'M': return 60000000000ULL;
    case 'S': return 1000000000ULL;
    case 'm': return 1000000ULL;
    case 'u': return 1000ULL;
    case 'n': return 1;
    default: return 0;
    }
}

bool grpc_timeout(struct slice text, uint64_t *ns)
{
    uint64_t value = 0;

    if (text.len < 2 || text.len > GRPC_TIMEOUT_DIGITS_MAX + 1) return false;
    const uint64_t unit = unit_ns(text.ptr[text.len - 1]);
    const struct slice digits = slice_of(text.ptr, text.len - 1);
    if (unit == 0 || !text_all(digits, CLASS_DIGIT)) return false;
    for (size_t i = 0; i < digits.len; i++)
        value = value * 10 + (digits.ptr[i] - '0');
    if (__builtin_mul_overflow(value, unit, ns)) *ns = UINT64_MAX;
    return true;
}

/* Bytes of the character at the front; one for what is no UTF-8. */
static size_t character_len(struct slice text)
{
    const uint8_t lead = text.ptr[0];
    const size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;

    for (size_t i = 1; i < len; i++)
        if (i == text.len || (text.ptr[i] & 0xC0) != 0x80) return 1;
    return len;
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

size_t grpc_write_text(struct slice text, char *out, size_t capacity)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    while (text.len > 0) {
        const size_t bytes = character_len(text);
        const size_t need = is_plain(text.ptr[0]) ? 1 : 3 * bytes;
        if (need > capacity - len) break;
        if (need == 1) out[len++] = (char)text.ptr[0];
        for (size_t i = 0; need > 1 && i < bytes; i++) {
            out[len++] = '%';
            out[len++] = digits[text.ptr[i] >> 4];
            out[len++] = digits[text.ptr[i] & 15];
        }
        text = text_from(text, bytes);
    }
    return len;
}
