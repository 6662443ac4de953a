/*
 * UTF-8, one character at a time. What may follow the first byte is told by two numbers: how many bytes, and
 * the range of the second (Unicode 15, table 3-7); all later ones are 80..BF. Overlong forms, surrogates and
 * values beyond U+10FFFF are thereby never characters.
 */
#include "codec/utf8.h"

#include "base/assert.h"

/* How many bytes a character has that begins with c, 0 if none does; the second one is in [*low, *high]. */
static size_t shape(uint8_t c, uint8_t *low, uint8_t *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c < 0x80) return 1;
    if (c < 0xc2) return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* How many bytes at the front agree with the shape of the first, at least 1; *len is what the shape wants. */
static size_t agreeing(struct slice text, size_t *len)
{
    uint8_t low, high;
    size_t i = 1;

    assert(text.len > 0);

    *len = shape(text.ptr[0], &low, &high);
    while (i < *len && i < text.len && text.ptr[i] >= low && text.ptr[i] <= high) {
        low = 0x80;
        high = 0xbf;
        i++;
    }
    return i;
}

size_t utf8_len(struct slice text)
{
    size_t len;
    const size_t good = agreeing(text, &len);

    return good == len ? len : 0;
}

size_t utf8_bad_len(struct slice text)
{
    size_t len;
    const size_t good = agreeing(text, &len);

    assert(good != len);
    return good;
}

bool utf8_valid(struct slice text)
{
    while (text.len > 0) {
        const size_t len = utf8_len(text);
        if (len == 0) return false;
        text = slice_of(text.ptr + len, text.len - len);
    }
    return true;
}
