/*
 * Bytes and words of HTTP: classes of bytes, comparison without case, lists. Leaves: they decide nothing.
 */
#ifndef PROTOCOL_TEXT_H
#define PROTOCOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Classes of bytes; text_class[c] is a set of them. */
enum {
    CLASS_TOKEN = 1,  /* RFC 9110 5.6.2: may stand in a method or field name */
    CLASS_TEXT = 2,   /* may stand in a line of the head: anything but control bytes; TAB may */
    CLASS_TARGET = 4, /* may stand in a request target: 0x21-0x7e but '#' */
    CLASS_HOST = 8,   /* may stand in a host name */
    CLASS_DIGIT = 16,
};
extern const uint8_t text_class[256];

/* -1 if c is no hex digit. */
static inline int text_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static inline uint8_t text_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Equal but for the case of ASCII letters; `lower` is in lower case. */
bool text_is(struct slice text, const char *lower);
bool text_same(struct slice a, struct slice b);

static inline struct slice text_from(struct slice text, size_t start)
{
    return slice_of(text.ptr + start, text.len - start);
}

/* Where c occurs first; text.len if it does not. */
static inline size_t text_find(struct slice text, char c)
{
    const uint8_t *const at = text.len == 0 ? NULL : memchr(text.ptr, c, text.len);

    return at == NULL ? text.len : (size_t)(at - text.ptr);
}

static inline bool text_all(struct slice text, unsigned class)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text_class[text.ptr[i]] & class) == 0) return false;
    }
    return true;
}

static inline struct slice text_trim(struct slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = text_from(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes the next element of a comma-separated list off its front, trimmed; false at its end. */
static inline bool text_next_element(struct slice *list, struct slice *element)
{
    if (list->len == 0) return false;

    const size_t comma = text_find(*list, ',');
    *element = text_trim(slice_of(list->ptr, comma));
    *list = comma == list->len ? slice_of(list->ptr, 0) : text_from(*list, comma + 1);
    return true;
}

#endif
