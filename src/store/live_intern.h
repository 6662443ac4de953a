/*
 * Interning for the writer of a live block: bytes become ids, once per block. Private to live*.c.
 */
#ifndef STORE_LIVE_INTERN_H
#define STORE_LIVE_INTERN_H

#include "live_writer.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* What becomes of an attribute: a pair id, or one of these. */
enum { INTERN_FULL = -1, INTERN_CUT = -2, INTERN_MALFORMED = -3, INTERN_TOO_DEEP = -4 };

/* All return NO_ID when the block has no room. */
uint32_t intern_string(struct live_block *live, uint32_t column, struct slice bytes);
uint32_t intern_printed_string(struct live_block *live, uint32_t column, struct slice bytes, uint64_t print);
uint32_t intern_shape(struct live_block *live, const struct live_shape_item *items, uint32_t count);
uint32_t intern_pattern(struct live_block *live, const struct live_pattern *pattern);
uint32_t intern_event_pattern(struct live_block *live, const struct live_event_pattern *pattern);
/* bytes: a whole KeyValue message. Validated when it is new. */
int64_t intern_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                         struct otlp_fault *fault);
/* The column of (level, key, type), or that of what has none. */
uint32_t intern_column(struct live_block *live, enum attribute_level level, struct slice key,
                       enum value_type type);
/*
 * A pair that is not looked up, for a column of which that is not done any more: bytes are a KeyValue as attribute_write()
 * makes it of this STRING or INT.
 */
int64_t intern_fresh(struct live_block *live, enum attribute_level level, uint32_t column, struct slice bytes,
                     const struct attribute *attribute);
/*
 * Bytes that probably have the column of a list's last: what is expected, and what has become of it. Before, in any order for
 * several attributes, so that they wait for memory together: intern_ahead(), then intern_ahead_again(). What is recent needs no
 * call, see recent_is(); column_saw() has to be told.
 */
struct alike {
    uint64_t print;  /* of the bytes; not needed when `fresh` */
    uint16_t column; /* in: expected; out: of the pair */
    bool fresh;      /* the value is taken for a new one, without a look-up */
};
int64_t intern_alike(struct live_block *live, enum attribute_level level, struct slice bytes,
                     struct alike *alike, struct otlp_fault *fault);
void intern_ahead_again(const struct live_block *live, enum attribute_level level, uint64_t print);
/* The resource or scope with these bytes; checked when it is new. *id: that of the one before, or NO_ID. */
enum err intern_envelope(struct live_block *live, bool is_resource, const struct resource_view *view,
                         uint32_t *id, struct otlp_fault *fault);

/* Copies bytes to the block's own memory; false: no room. */
bool intern_arena_put(struct live_block *live, struct slice bytes, uint32_t *offset);

/* Forgets what was interned since the mark: nothing of a request that failed stays behind. */
void intern_undo(struct live_block *live, const struct live_counts *mark);

static inline uint64_t print_of(const struct live_block *live, struct slice bytes)
{
    return fingerprint(&live->writer->key, bytes.ptr, bytes.len);
}

static inline struct recent_pair *recent_of(const struct live_block *live, uint64_t print)
{
    return &live->writer->recent[print * 0x9e3779b97f4a7c15ull >> (64 - RECENT_BITS)];
}

/* Entries are always of pairs of this block; an empty one is of domain 0 and id 0. */
static inline bool recent_is(const struct recent_pair *recent, uint32_t domain, uint64_t print)
{
    return recent->print == print && recent->domain == domain && recent->id != 0;
}

static inline void intern_ahead(const struct live_block *live, uint64_t print)
{
    __builtin_prefetch(recent_of(live, print), 1);
}

/* A value was seen before in its column. */
static inline void column_saw(struct live_block *live, uint32_t index)
{
    struct live_column *const column = &WRITABLE(live->columns, struct live_column)[index];

    if (column->unseen != UNSEEN_ALWAYS) column->unseen = 0;
}

/* memcmp for short runs, inline: overlapping loads beat a call at the usual 20 to 60 bytes. */
static inline bool same_8(const uint8_t *a, const uint8_t *b)
{
    uint64_t x, y;

    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return x == y;
}

static inline bool same_16(const uint8_t *a, const uint8_t *b)
{
#if defined(__SSE2__)
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);

    return _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) == 0xffff;
#else
    return same_8(a, b) && same_8(a + 8, b + 8);
#endif
}

static inline bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    if (__builtin_expect(len >= 16, 1)) {
        /* the end first: attributes of one key begin alike */
        if (!same_16(a + len - 16, b + len - 16)) return false;
        for (size_t at = 0; at + 16 < len; at += 16)
            if (!same_16(a + at, b + at)) return false;
        return true;
    }
    if (len >= 8) return same_8(a, b) && same_8(a + len - 8, b + len - 8);
    return memcmp(a, b, len) == 0;
}

#endif
