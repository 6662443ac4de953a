/*
 * The writer's half of a live block: hash tables over interned bytes, and the undo mark of the request in
 * work. Private to live*.c.
 */
#ifndef STORE_LIVE_WRITER_H
#define STORE_LIVE_WRITER_H

#include "store/live.h"

enum { NO_ID = UINT32_MAX, RECENT_BITS = 14 };

/* What a pair's bytes are. Below COLUMN_FIXED_COUNT: a string of that fixed column; else a KeyValue of a
 * level. */
enum { DOMAIN_KEY_VALUE = 16 };

struct intern_entry {
    uint32_t tag; /* 32 bits of the hash; 0 with id 0 is an empty place */
    uint32_t id;
};

/* Open addressing with linear probing over ids that live elsewhere; grows by doubling up to its reserve. */
struct intern_table {
    struct intern_entry *entries;
    uint32_t mask; /* places now, minus one */
    uint32_t used;
    uint32_t places_max;
};

struct live_templates;

struct live_writer {
    struct live_templates *templates; /* owned */
    struct intern_table pairs, columns, shapes;
    struct intern_table resources, scopes;
    struct live_counts mark;  /* at live_append_begin() */
    uint32_t resource, scope; /* of the spans that follow */
    uint32_t cut;             /* spans with something cut since the last live_take_cut() */
    uint64_t seed;
    uint32_t recent[1 << RECENT_BITS]; /* pair by a cheap digest of its bytes: spares most hashing */
    uint32_t shape_scratch[OTLP_ATTRIBUTES_MAX];
    struct slice attribute_scratch[OTLP_ATTRIBUTES_MAX];
};

/* The arrays that readers see as const. */
#define WRITABLE(pointer, type) ((type *)(uintptr_t)(pointer))

#endif
