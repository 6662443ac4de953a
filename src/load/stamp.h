/*
 * The stamp: what changes in a template from round to round. A patch says what stands at an offset of a body
 * and which id of the stock it is; stamp_apply() writes the values of one round over it.
 */
#ifndef LOAD_STAMP_H
#define LOAD_STAMP_H

#include <stdint.h>

/*  kind            bytes  what is written */
#define PATCH_TABLE(X)                                                                                       \
    X(PATCH_TRACE_ID, 16)                                                                                    \
    X(PATCH_SPAN_ID, 8)                                                                                      \
    X(PATCH_TIME, 8)   /* fixed64: the round's time plus the next of the body's relative times */            \
    X(PATCH_UUID, 36)  /* 8-4-4-4-12 lower-case hexadecimal digits */                                        \
    X(PATCH_HEX32, 32) /* hexadecimal digits */                                                              \
    X(PATCH_HEX16, 16)

enum patch_kind {
#define X(kind, bytes) kind,
    PATCH_TABLE(X)
#undef X
        PATCH_KINDS
};

#define PATCH_INDEX_BITS 28
#define PATCH_INDEX_MAX  ((1U << PATCH_INDEX_BITS) - 1)

struct patch {
    uint32_t offset; /* in the body */
    uint32_t kind_and_index;
};

static inline struct patch patch_of(uint32_t offset, enum patch_kind kind, uint32_t index)
{
    return (struct patch){.offset = offset, .kind_and_index = (uint32_t)kind << PATCH_INDEX_BITS | index};
}

/* The keys of one round; ids are bijections of (round, index) under them, hence never equal. */
struct stamp {
    uint64_t trace_high, trace_low, span, unique_high, unique_low; /* keys, with the round added */
    uint64_t time_ns;
};

struct stamp stamp_of(uint64_t seed, uint64_t run, uint64_t round, uint64_t time_ns);
void stamp_trace_id(const struct stamp *stamp, uint32_t index, uint8_t id[16]);
uint64_t stamp_span_id(const struct stamp *stamp, uint32_t index);

/*
 * Writes count patches into the body. times holds, in order, the relative time of each PATCH_TIME; the caller
 * vouches that every offset lies within the body.
 */
void stamp_apply(const struct stamp *stamp, uint8_t *body, const struct patch *patches, uint32_t count,
                 const int64_t *times);

#endif
