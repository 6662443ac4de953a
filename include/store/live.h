/*
 * A live block holds a shard's newest spans as rows: append-only, one writer (the shard), many readers without locks.
 * A row is one cache line: ids, times, and the number of its *pattern*, which holds all that spans of one kind have in
 * common: resource, scope, name, kind, status, and the shape of the attributes.
 *
 *   pairs    whole encoded KeyValues (and names and other strings), id -> bytes in the arena, column, value
 *   shapes   lists of columns in the order of the attributes. An item may be constant: then the pair stands in the shape,
 *            and not in the rows
 *   slots    what varies from row to row: pair ids
 *
 * Distinct pairs are interned, but for columns whose values hardly ever repeat (ids, times): there a look-up would cost
 * more than it finds. Two pairs may therefore have the same bytes.
 *
 *   live_append_begin() -> otlp_decode(..., live_sink(), live) -> live_append_end() or live_append_undo()
 *   live_publish()      after the journal frame is durable: readers see the rows
 *   live_full()         asked after each request; the shard then closes the block: it becomes immutable
 *
 * Readers take live_published() first and touch nothing beyond the counts it returns.
 */
#ifndef STORE_LIVE_H
#define STORE_LIVE_H

#include "base/err.h"
#include "model/otlp.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LIVE_ROWS_CLOSE = 65536, /* closed at the request that reaches this many rows */
    LIVE_ROWS_MAX = LIVE_ROWS_CLOSE + OTLP_SPANS_MAX,
    LIVE_ARENA_CLOSE = 24 << 20,
    LIVE_ARENA_MAX = 128 << 20,
    LIVE_PAIRS_CLOSE = 1 << 20,
    LIVE_PAIRS_MAX = 4 << 20,
    LIVE_SLOTS_MAX = 16 << 20,
    LIVE_CHILDREN_MAX = 4 << 20, /* events, and links */
    LIVE_COLUMNS_MAX = 2048,     /* further keys go to VALUE_RAW columns */
    LIVE_SHAPES_MAX = 65536,
    LIVE_SHAPE_ITEMS_MAX = LIVE_SHAPES_MAX * 64,
    LIVE_PATTERNS_MAX = LIVE_ROWS_MAX, /* a row makes at most one */
    LIVE_ENVELOPES_MAX = 65536,        /* resources, and scopes */
    LIVE_REJECTIONS_MAX = LIVE_ROWS_MAX,
};

/* Columns with a fixed number; attribute columns follow from COLUMN_FIXED_COUNT on. */
enum live_column_fixed {
    COLUMN_NAME = 0,
    COLUMN_TRACE_STATE,
    COLUMN_STATUS_MESSAGE,
    COLUMN_EVENT_NAME,
    COLUMN_LINK_STATE,
    COLUMN_RAW_SPAN, /* attributes beyond LIVE_COLUMNS_MAX, by level */
    COLUMN_RAW_EVENT,
    COLUMN_RAW_LINK,
    COLUMN_FIXED_COUNT
};

/* Pair id 0 is the empty string in every fixed column. */
enum live_pair_bits { PAIR_INTERNED = 1, PAIR_HAS_TOKEN = 2 };
struct live_pair {
    uint32_t offset; /* of the encoded bytes in the arena */
    uint32_t len;
    uint32_t tag; /* of its place in the writer's table */
    uint16_t column;
    uint8_t domain; /* what the bytes are: a fixed column, or 16 + level for a KeyValue */
    uint8_t bits;
    uint64_t value; /* BOOL INT DOUBLE: bits; others: offset of the value in the arena << 32 | length */
    uint64_t token; /* with PAIR_HAS_TOKEN: its filter_hash_token() */
};
static_assert(sizeof(struct live_pair) == 32, "two to a cache line");

enum { LIVE_UNSEEN_ALWAYS = UINT16_MAX };
struct live_column {
    uint8_t level;   /* enum attribute_level */
    uint8_t type;    /* enum value_type */
    uint16_t unseen; /* how many values in a row were new; LIVE_UNSEEN_ALWAYS: no longer looked up */
    uint32_t key_offset, key_len; /* in the arena */
    uint32_t pairs_count;         /* its pairs (writer, encoder) */
    uint64_t token;               /* filter_hash_column() */
};

struct live_shape_item {
    uint32_t column;
    uint32_t constant; /* pair id; 0: varies, a slot of each row has it */
};
/* Shape 0 is empty. */
struct live_shape {
    uint32_t first, count; /* in shape_items */
    uint32_t varying;      /* items that are not constant */
    uint32_t tag;
};

enum live_row_bits {
    ROW_PARENT_PRESENT = 1,
    ROW_STATUS_PRESENT = 2,
    ROW_TRACE_STATE = 4,    /* not empty: has a slot */
    ROW_STATUS_MESSAGE = 8, /* not empty: has a slot */
};
enum live_link_bits { LINK_TRACE_PRESENT = 1, LINK_SPAN_PRESENT = 2 };

/* What rows have in common. */
struct live_pattern {
    uint32_t resource, scope; /* index of the envelope */
    uint32_t name;            /* pair id */
    int32_t kind, status_code;
    uint32_t flags, bits;
    uint32_t dropped_attributes_count, dropped_events_count, dropped_links_count;
    uint32_t shape;
};
struct live_event_pattern {
    uint32_t name; /* pair id */
    uint32_t dropped_attributes_count;
    uint32_t shape;
};

/*
 * The slots of a row, from slots_first on: the index of its first link (if links_count > 0), the pair of the trace state
 * (ROW_TRACE_STATE), of the status message (ROW_STATUS_MESSAGE), then the attributes that vary. live_parts() tells them.
 */
struct live_row {
    struct trace_id trace_id;
    struct span_id span_id;
    struct span_id parent_span_id;
    uint64_t start_ns, end_ns;
    uint32_t pattern;
    uint32_t slots_first;
    uint32_t events_first;
    uint16_t events_count, links_count;
};
static_assert(sizeof(struct live_row) == 64, "a row is one cache line");

struct live_event {
    uint64_t time_ns;
    uint32_t pattern;
    uint32_t slots_first; /* attributes that vary */
};

struct live_link {
    struct trace_id trace_id;
    struct span_id span_id;
    uint32_t trace_state, flags;
    uint32_t dropped_attributes_count;
    uint32_t bits;
    uint32_t slots_first, shape; /* nothing in a link's shape is constant */
};

/* A Resource or Scope as sent, with its schema_url, in the arena. */
struct live_envelope {
    uint32_t offset, len; /* message bytes */
    uint32_t schema_offset, schema_len;
    uint32_t present;
    uint32_t hash;
    uint32_t service_offset, service_len; /* resources: service.name as string, in the arena; else 0, 0 */
    uint32_t service_tag;                 /* a hash of it (writer only) */
};

/* Spans that came with rows and were rejected, for the ledger. */
struct live_rejection {
    uint32_t resource; /* index; LIVE_NO_RESOURCE: below none, or below one that was rejected, too */
    uint32_t why;      /* enum otlp_rejection */
    uint64_t start_ns; /* of the first of them, all of one minute */
    uint32_t spans;
};
enum { LIVE_NO_RESOURCE = UINT32_MAX };

/* How far the block reaches. Readers get rows, pairs, columns, resources, scopes, shapes, patterns and rejections; what those
 * refer to is valid. */
struct live_counts {
    uint32_t rows, pairs, columns, resources, scopes, shapes, patterns, rejections;
    uint32_t slots, events, links, shape_items, event_patterns; /* writer and encoder only */
    uint32_t arena;
};

/*
 * Arrays never move. Writer-only state (hash tables, undo mark) lives behind `writer`.
 */
struct live_writer;
struct live_block {
    uint16_t shard;
    uint64_t seq;                /* block id is (instance, shard, seq) */
    uint64_t lsn_first, lsn_end; /* interval of the journal that the rows came from */
    uint64_t arrival_min_ns, arrival_max_ns;
    const struct live_row *rows;
    const uint32_t *slots;
    const struct live_pair *pairs;
    const struct live_column *columns;
    const struct live_event *events;
    const struct live_link *links;
    const struct live_envelope *resources;
    const struct live_envelope *scopes;
    const struct live_shape *shapes;
    const struct live_shape_item *shape_items;
    const struct live_pattern *patterns;
    const struct live_event_pattern *event_patterns;
    const struct live_rejection *rejections;
    const uint8_t *arena;
    struct live_counts counts; /* writer's; readers use live_published() */
    struct live_writer *writer;
    struct {
        /* each stored with release, rows last */
        _Atomic uint32_t rows, pairs, columns, resources, scopes, shapes, patterns, rejections;
    } published;
};

/* Reserves address space once (about 1 GiB, touched as used); reset between uses by live_reset(). */
enum err live_open(uint16_t shard, struct live_block **out);
void live_close(struct live_block *live);
/* Makes it an empty block again; gives pages of unusually large blocks back. No reader may hold it. */
void live_reset(struct live_block *live, uint64_t seq, uint64_t lsn_first);

/* Rows of one request. The sink's context is the live_block. ERR_FULL from the sink: the block has no room
 * left (undo, close, try the next). */
void live_append_begin(struct live_block *live);
const struct otlp_sink *live_sink(void);
/* Makes the rows part of the block (still unpublished); returns the counts to publish later. */
struct live_counts live_append_end(struct live_block *live, uint64_t lsn_end, uint64_t arrival_ns);
/* Leaves the block as it was at live_append_begin(). */
void live_append_undo(struct live_block *live);
/* Takes back all that is not published, as if it had never been appended; the block's interval then ends at lsn_end. */
void live_cut(struct live_block *live, uint64_t lsn_end);
/* Attributes, events and links cut to limits since the last call (spans concerned). */
uint32_t live_take_cut(struct live_block *live);

bool live_full(const struct live_block *live);
bool live_crowded(const struct live_block *live); /* whatever its number of rows */
void live_publish(struct live_block *live, const struct live_counts *counts);
struct live_counts live_published(const struct live_block *live);

/* Access for readers and the encoder. */
static inline struct slice live_bytes(const struct live_block *live, uint32_t offset, uint32_t len)
{
    return slice_of(live->arena + offset, len);
}
static inline struct slice live_service(const struct live_block *live, uint32_t resource)
{
    const struct live_envelope *const at = &live->resources[resource];

    return live_bytes(live, at->service_offset, at->service_len);
}
struct slice live_pair_bytes(const struct live_block *live,
                             uint32_t pair); /* the value of a string-like pair */
struct attribute live_attribute(const struct live_block *live, uint32_t pair);
/* A row's slots, taken apart. */
struct live_parts {
    const struct live_pattern *pattern;
    uint32_t trace_state, status_message; /* pair ids */
    uint32_t links_first;
    const uint32_t *values; /* of the attributes that vary, shape->varying of them */
};
static inline struct live_parts live_parts(const struct live_block *live, const struct live_row *row)
{
    struct live_parts parts = {.pattern = &live->patterns[row->pattern],
                               .values = live->slots + row->slots_first};

    if (row->links_count > 0) parts.links_first = *parts.values++;
    if (parts.pattern->bits & ROW_TRACE_STATE) parts.trace_state = *parts.values++;
    if (parts.pattern->bits & ROW_STATUS_MESSAGE) parts.status_message = *parts.values++;
    return parts;
}
/* Adds what was received up to these counts: rows as stored, and what was rejected beside them. */
struct ledger;
void live_ledger(const struct live_block *live, const struct live_counts *counts, struct ledger *into);
/* Writes the row as an OTLP Span message (no tag, no length), backwards. */
struct wire_writer;
void live_span_write(const struct live_block *live, uint32_t row, struct wire_writer *writer);

#endif
