/*
 * Small values as people write them in a query string: numbers, durations, points in time, ids, attribute
 * values. Each function is true when the whole text is such a value.
 */
#ifndef QUERY_LITERAL_H
#define QUERY_LITERAL_H

#include "model/trace.h"

/* Decimal digits only. */
bool literal_u64(struct slice text, uint64_t *out);
/* 10ms, 1.5s, 2m, 3h, 1d, 250us, 40ns, or digits alone, which are nanoseconds. */
bool literal_duration(struct slice text, uint64_t *ns);
/* 2026-03-01T12:00:00Z, with fractions of a second and offsets (RFC 3339), from 1970 to 2554. */
bool literal_rfc3339(struct slice text, uint64_t *ns);
/* Hex digits of either case, exactly two per byte. */
bool literal_hex(struct slice text, uint8_t *out, size_t bytes);
/*
 * "text" is a string, true and false are bool, digits (with -) that fit are int, a number with . or e is
 * double, anything else is a string as it stands. Inside quotes, \" and \\ stand for themselves. The string
 * points into text or into room, of at least text.len bytes. false: an unfinished quoted text.
 */
bool literal_value(struct slice text, uint8_t *room, struct attribute *out);
/*
 * Takes a quoted text from the front of *text. false: it does not end, or has a stray backslash.
 */
bool literal_quoted(struct slice *text, uint8_t *room, struct slice *out);

#endif
