/*
 * Base64 (RFC 4648, sections 4 and 5). Written without padding: how gRPC carries bytes in fields whose name ends
 * in -bin. Read in either alphabet, padded or not: how JSON carries bytes.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include <stdbool.h>

#include "base/slice.h"

#define BASE64_LEN(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64_LEN(bytes.len) characters and no zero; returns that. out has room for them. */
size_t base64_encode(struct slice bytes, char *out);

/*
 * False: not base64. Otherwise *out_len bytes, at most three for four characters; out may be where the text
 * lies, or before it.
 */
bool base64_decode(struct slice text, uint8_t *out, size_t *out_len);

#endif
