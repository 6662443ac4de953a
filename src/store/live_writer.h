/*
 * The writer's half of a live block: hash tables over interned bytes, and the undo mark of the request in
 * work. Private to live*.c.
 */
#ifndef STORE_LIVE_WRITER_H
#define STORE_LIVE_WRITER_H

#include "live_table.h"

#include "base/fingerprint.h"
#include "store/live.h"

enum { NO_ID = UINT32_MAX, RECENT_BITS = 13 };

/* What a pair's bytes are. Below COLUMN_FIXED_COUNT: a string of that fixed column; else a KeyValue of a
 * level. */
enum { DOMAIN_KEY_VALUE = 16 };

/* A column whose last values were all new, so many in a row, is not looked up any more. */
enum { UNSEEN_ENOUGH = 64, UNSEEN_PAIRS_MIN = 256, UNSEEN_ALWAYS = LIVE_UNSEEN_ALWAYS };

/* A pair found or made lately, by the fingerprint of its bytes. */
struct recent_pair {
    uint64_t print;
    uint32_t id; /* 0: none */
    uint16_t column;
    uint16_t domain;
};
static_assert(sizeof(struct recent_pair) == 16, "four to a cache line");

struct live_templates;

struct live_writer {
    struct live_templates *templates; /* owned */
    struct intern_table pairs, columns, shapes, patterns, event_patterns;
    struct intern_table resources, scopes;
    struct live_counts mark;      /* at live_append_begin() */
    struct live_counts published; /* all of what readers may see */
    uint32_t resource, scope;     /* of the spans that follow */
    uint32_t cut;                 /* spans with something cut since the last live_take_cut() */
    uint32_t event_misses;        /* events in a row that no whole template knew */
    uint64_t seed;
    struct fingerprint_key key;
    struct recent_pair
        recent[1 << RECENT_BITS]; /* by fingerprint: spares the table and the pair's own bytes */
    struct live_shape_item shape_scratch[OTLP_ATTRIBUTES_MAX];
    struct slice attribute_scratch[OTLP_ATTRIBUTES_MAX];
};

/* The arrays that readers see as const. */
#define WRITABLE(pointer, type) ((type *)(uintptr_t)(pointer))

#endif
