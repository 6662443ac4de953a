/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, at most U+10FFFF. */
#ifndef CODEC_UTF8_H
#define CODEC_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Length of the character at the front of text, 1 to 4; 0 if there is none. text is not empty. */
size_t utf8_len(struct slice text);

/*
 * How many bytes at the front, 1 to 3, make up the longest beginning of a character that is not one
 * (utf8_len() == 0): they are to be shown as one U+FFFD (Unicode 15, 3.9, "maximal subpart").
 */
size_t utf8_bad_len(struct slice text);

bool utf8_valid(struct slice text);

#endif
