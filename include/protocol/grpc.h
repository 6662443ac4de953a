/*
 * gRPC over HTTP/2, as far as a server of unary calls needs it: the message in the body of a request, the
 * fields around it, and what stands in those of an answer. Pure, no I/O.
 *
 *   message   compressed 1 (0 or 1) | length 4, big-endian | bytes
 *
 * A unary call has exactly one message. Frames of HTTP/2 cut it anywhere:
 *
 *   struct grpc_message message = {0};
 *   loop over the body: grpc_message_take(&message, &input, &bytes)
 *     GRPC_NEED_MORE   input is used up
 *     GRPC_PREFIX      message.compressed and message.len are known: judge them before a byte is kept
 *     GRPC_BYTES       the next run of the message's bytes, a part of input
 *     GRPC_REFUSED     message.refusal says why, for ever
 *   at the end of the body: grpc_message_end() says what is wrong, or NULL
 */
#ifndef PROTOCOL_GRPC_H
#define PROTOCOL_GRPC_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_PREFIX_BYTES       5U
#define GRPC_TIMEOUT_DIGITS_MAX 8U

/* google.rpc.Code, those that we answer. */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct grpc_message {
    bool compressed;
    uint32_t len;        /* as the prefix tells */
    const char *refusal; /* static text; NULL: none */

    uint8_t prefix[GRPC_PREFIX_BYTES]; /* private, as what follows */
    unsigned prefix_len;
    uint32_t taken;
};

enum grpc_event { GRPC_NEED_MORE, GRPC_PREFIX, GRPC_BYTES, GRPC_REFUSED };

/* Takes bytes from the front of *input. */
enum grpc_event grpc_message_take(struct grpc_message *message, struct slice *input, struct slice *bytes);
const char *grpc_message_end(const struct grpc_message *message);
/* The prefix of an uncompressed message. */
void grpc_write_prefix(uint32_t len, uint8_t out[GRPC_PREFIX_BYTES]);

/* "application/grpc", also with "+proto" and parameters, in any case. */
bool grpc_is_content_type(struct slice content_type);

/* grpc-timeout: digits and a unit. False: malformed. What is more than 64 bits of nanoseconds is for ever. */
bool grpc_timeout(struct slice text, uint64_t *ns);

/*
 * grpc-message: bytes outside 0x20-0x7e, and '%', become %XX. Whole characters only: text that does not fit
 * is cut before one. Returns the length written.
 */
size_t grpc_write_text(struct slice text, char *out, size_t capacity);

#endif
