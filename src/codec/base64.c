/*
 * Three bytes are four characters; a rest of one byte is two, of two bytes three.
 */
#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(struct slice bytes, char *out)
{
    size_t len = 0;

    for (size_t at = 0; at < bytes.len; at += 3) {
        const size_t rest = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t group = 0;

        for (size_t i = 0; i < 3; i++)
            group = group << 8 | (i < rest ? bytes.ptr[at + i] : 0);
        for (size_t i = 0; i <= rest; i++)
            out[len++] = alphabet[group >> (18 - 6 * i) & 63];
    }
    return len;
}
