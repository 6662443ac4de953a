/*
 * The canonical form of an OTLP message: two messages that say the same have the same bytes in it, whatever
 * the order of their fields, whether defaults were written, how long their varints are, and whatever unknown
 * fields they carry. The order within repeated fields (attributes, events, links) is kept: it is part of what
 * a span says.
 *
 * The form is ours, for comparing only:  [number u8][length u32, host order][content] for each field, by
 * number; a scalar is 8 bytes, a submessage nests.
 */
#ifndef LOAD_CANON_H
#define LOAD_CANON_H

#include "proto.h"

enum canon_type {
    CANON_RESOURCE_SPANS, /* without its scope_spans */
    CANON_SCOPE_SPANS,    /* without its spans */
    CANON_SPAN,
    CANON_RESOURCE,
    CANON_ENTITY_REF,
    CANON_SCOPE,
    CANON_KEY_VALUE,
    CANON_ANY_VALUE,
    CANON_ARRAY,
    CANON_KEY_VALUE_LIST,
    CANON_EVENT,
    CANON_LINK,
    CANON_STATUS,
    CANON_TYPES
};

/* Appends the form of the message. ERR_MALFORMED, ERR_TOO_LARGE (nested too deeply), ERR_NO_MEMORY. */
enum err canon_append(struct buffer *out, enum canon_type type, struct slice message);
/* The number of the first field in which two forms differ, 0 when they are equal. */
uint32_t canon_difference(struct slice a, struct slice b);

#endif
