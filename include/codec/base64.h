/*
 * Base64 (RFC 4648, section 4) without padding: how gRPC carries bytes in fields whose name ends in -bin.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "base/slice.h"

#define BASE64_LEN(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64_LEN(bytes.len) characters and no zero; returns that. out has room for them. */
size_t base64_encode(struct slice bytes, char *out);

#endif
