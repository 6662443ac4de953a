/*
 * Interning for the writer of a live block: bytes become ids, once per block. Private to live*.c.
 */
#ifndef STORE_LIVE_INTERN_H
#define STORE_LIVE_INTERN_H

#include "live_writer.h"

/* What becomes of an attribute: a pair id, or one of these. */
enum { INTERN_FULL = -1, INTERN_CUT = -2, INTERN_MALFORMED = -3, INTERN_TOO_DEEP = -4 };

/* All return NO_ID when the block has no room. */
uint32_t intern_string(struct live_block *live, uint32_t column, struct slice bytes);
uint32_t intern_shape(struct live_block *live, const uint32_t *columns, uint32_t count);
/* bytes: a whole KeyValue message. Validated when it is new. */
int64_t intern_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                         struct otlp_fault *fault);
/* The resource or scope with these bytes; checked when it is new. *id: that of the one before, or NO_ID. */
enum err intern_envelope(struct live_block *live, bool is_resource, const struct resource_view *view,
                         uint32_t *id, struct otlp_fault *fault);

bool intern_table_open(struct intern_table *table, uint32_t places_max);
void intern_table_close(struct intern_table *table);
void intern_table_reset(struct intern_table *table, uint32_t places);

/* memcmp for short runs, inline: two overlapping loads per 16 bytes beat a call at the usual 20 to 60 bytes.
 */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t x, y, u, v;

    if (__builtin_expect(len < 8, 0)) return memcmp(a, b, len) == 0;
    for (; len > 16; len -= 16, a += 16, b += 16) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        memcpy(&u, a + 8, 8);
        memcpy(&v, b + 8, 8);
        if (((x ^ y) | (u ^ v)) != 0) return false;
    }
    if (len < 8) { /* step back: these bytes were compared in part already */
        memcpy(&x, a + len - 8, 8);
        memcpy(&y, b + len - 8, 8);
        return x == y;
    }
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    memcpy(&u, a + len - 8, 8);
    memcpy(&v, b + len - 8, 8);
    return ((x ^ y) | (u ^ v)) == 0;
}

#endif
