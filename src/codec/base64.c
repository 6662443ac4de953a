/*
 * Three bytes are four characters; a rest of one byte is two, of two bytes three. Reading takes the characters of
 * both alphabets and padding or none; bits that are left over in the last character are not looked at.
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

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

bool base64_decode(struct slice text, uint8_t *out, size_t *out_len)
{
    size_t len = 0, count = text.len;
    uint32_t group = 0;

    for (unsigned padding = 0; padding < 2 && count > 0 && text.len % 4 == 0 && text.ptr[count - 1] == '=';
         padding++)
        count--;
    if (count % 4 == 1) return false;
    for (size_t at = 0; at < count; at++) {
        const int value = value_of(text.ptr[at]);
        if (value < 0) return false;
        group = group << 6 | (uint32_t)value;
        if (at % 4 != 0) out[len++] = (uint8_t)(group >> (6 - 2 * (at % 4)));
    }
    *out_len = len;
    return true;
}
