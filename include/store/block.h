/*
 * A block: up to some 160 Ki spans of one shard, sorted by trace, encoded as typed columns
 * (src/store/FORMAT.md, "Block"). Self-contained, checksummed, immutable. This header is both sides of it:
 *
 *   block_encoder   closed live block -> bytes, summary, hashes for the filters   (encoder pool)
 *   block_reader    bytes (through a source) -> trace lookup, columns, spans      (query workers, recovery)
 *
 * A reader trusts nothing: each section's CRC is checked before use, every length against its container.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "base/err.h"
#include "model/otlp.h"
#include "store/live.h"

/* What the catalog keeps of each block; also the head of the block's header on disk. */
struct block_summary {
    uint16_t shard;
    uint64_t seq;
    uint64_t lsn_first, lsn_end;
    uint32_t spans, traces;
    uint64_t bytes; /* encoded, padded to 4096 */
    uint64_t start_min_ns, start_max_ns, end_max_ns;
    uint64_t duration_min_ns, duration_max_ns; /* end < start counts as 0 */
    uint64_t arrival_min_ns, arrival_max_ns;
    struct trace_id trace_min, trace_max;
    uint32_t status_mask; /* 1 << status_code for codes 0..30, bit 31 for others */
    uint32_t header_crc;  /* repeated in the segment's footer */
};

/* ---- writing --------------------------------------------------------------------------------------------
 */

struct ledger;
struct block_encoder; /* scratch of one encoder thread, grows to the largest block seen */
enum err block_encoder_open(struct block_encoder **out);
void block_encoder_close(struct block_encoder *encoder);

struct block_encoded {
    const uint8_t *bytes; /* aligned to 4096, borrowed from the encoder until its next use */
    size_t len;           /* multiple of 4096 */
    struct block_summary summary;
    const uint64_t *trace_hashes; /* filter_hash_trace of each trace */
    size_t trace_hashes_count;
    const uint64_t *token_hashes; /* filter_hash_token; those of values that were not looked up may repeat */
    size_t token_hashes_count;
    const struct ledger *ledger; /* of its rows, and of what was rejected beside them */
};
/* live must be closed and wholly published. Pure computation. */
enum err block_encode(struct block_encoder *encoder, const struct live_block *live,
                      struct block_encoded *out);

/* ---- reading --------------------------------------------------------------------------------------------
 */

/* Where a block's bytes come from; offsets relative to the block. Must read exactly len bytes or fail. */
struct block_source {
    enum err (*read)(void *context, uint64_t offset, void *buf, size_t len);
    void *context;
};

/* Reads only header and section table. Checks header CRC and that expected (may be NULL) has the same
 * identity. */
struct block_reader;
enum err block_open(const struct block_source *source, struct block_reader **out);
void block_close(struct block_reader *reader);
const struct block_summary *block_summary(const struct block_reader *reader);
/* Recovery: reads a summary from the first 4096 bytes at a block boundary. ERR_CORRUPT: no valid header
 * there. */
enum err block_peek(const uint8_t header[4096], struct block_summary *out);
/*
 * Recovery: every section's CRC, without looking inside: a block with sound sums is as its encoder made it. Reads each
 * byte of the block once.
 */
enum err block_check_sums(struct block_reader *reader);
/* Every section's CRC and every column decoded once; some thirty times dearer. */
enum err block_check(struct block_reader *reader);
/* Memory the reader holds now (for the query's budget). */
size_t block_memory(const struct block_reader *reader);

/*
 * Gives back what was read of a page, except for dictionaries; slices of the page's spans and values end here. For
 * whoever goes through a block once, from front to back.
 */
void block_forget_page(struct block_reader *reader, uint32_t page);

/* Rows of one trace: [*first, *first + *count) ; ERR_NOT_FOUND. */
enum err block_find_trace(struct block_reader *reader, const struct trace_id *id, uint32_t *first,
                          uint32_t *count);
/* The trace that a row belongs to. */
enum err block_trace_of_row(struct block_reader *reader, uint32_t row, struct trace_id *out);
/* The same with the rows of that trace: [*first, *first + *count). */
enum err block_trace_around(struct block_reader *reader, uint32_t row, struct trace_id *out, uint32_t *first,
                            uint32_t *count);

enum { BLOCK_PAGE_ROWS = 8192 };
uint32_t block_pages(const struct block_reader *reader);

/* Fixed per-row integer columns, decoded page by page into caller memory. */
enum block_field {
    FIELD_START,    /* ns */
    FIELD_DURATION, /* end - start as two's complement */
    FIELD_RESOURCE, /* index for block_resource() */
    FIELD_SCOPE,
    FIELD_NAME, /* index into the dictionary of column COLUMN_NAME */
    FIELD_KIND,
    FIELD_STATUS_CODE,
    FIELD_IS_ROOT, /* 1 when there is no parent span id, or one of zeros */
    FIELD_SPAN_ID, /* the eight bytes as a little-endian number */
    FIELD_COUNT
};
/* Writes one value per row of the page (page rows: BLOCK_PAGE_ROWS, fewer in the last); *count rows. */
enum err block_page_field(struct block_reader *reader, uint32_t page, enum block_field field,
                          uint64_t *values, uint32_t *count);
/* Smallest and largest value of a field in a page without decoding it (zone map); false when not kept. */
bool block_page_zone(struct block_reader *reader, uint32_t page, enum block_field field, uint64_t *min,
                     uint64_t *max);

struct envelope {
    struct slice message; /* Resource or InstrumentationScope bytes as sent */
    struct slice schema_url;
    bool present;
    struct slice service; /* resources: service.name; empty when absent or not a string */
};
uint32_t block_resources(const struct block_reader *reader);
uint32_t block_scopes(const struct block_reader *reader);
enum err block_resource(struct block_reader *reader, uint32_t index,
                        struct envelope *out); /* borrowed from the reader */
enum err block_scope(struct block_reader *reader, uint32_t index, struct envelope *out);

/* Attribute columns. Column numbers are the block's own; 0..COLUMN_FIXED_COUNT-1 as in live.h. */
struct block_column {
    uint8_t level, type;
    struct slice key;
    uint32_t values_count; /* in the whole block */
    bool dictionary;       /* values are ids into a dictionary of distinct_count entries */
    uint32_t distinct_count;
};
uint32_t block_columns(const struct block_reader *reader);
enum err block_column(struct block_reader *reader, uint32_t column, struct block_column *out);
/* Dictionary entry: bytes for string-like types, bits for BOOL INT DOUBLE. Borrowed from the reader. */
enum err block_dictionary_value(struct block_reader *reader, uint32_t column, uint32_t id,
                                struct attribute *out);
/*
 * Tokens: what the filters are asked for. The hash of an attribute's value at a level (enum attribute_level,
 * or the one below); false when values of this type or length have none: every block may have them.
 */
enum {
    TOKEN_LEVEL_INTRINSIC = 16,  /* a span's own name, under the key "name" */
    TOKEN_VALUE_BYTES_MAX = 256, /* longer strings have none */
};
bool block_token(uint8_t level, struct slice key, uint8_t type, struct slice bytes, uint64_t bits,
                 uint64_t *hash);

/*
 * Visits each value of a column in one page together with its row (span, event and link level alike: the row
 * of the owning span). Values of dictionary columns come with their id only (attribute is NULL). visit
 * returns false to stop.
 */
typedef bool block_visit_fn(void *context, uint32_t row, uint32_t id, const struct attribute *attribute);
enum err block_page_values(struct block_reader *reader, uint32_t page, uint32_t column, block_visit_fn *visit,
                           void *context);

/* Distinct (service, span name, kind) of the block, for lists of services and operations. */
struct block_operation {
    struct slice service, name;
    int32_t kind;
};
uint32_t block_operations(const struct block_reader *reader);
enum err block_operation(struct block_reader *reader, uint32_t index, struct block_operation *out);

/*
 * Rows as OTLP Span messages. emit gets the message bytes (borrowed for the call), resource and scope index.
 */
typedef enum err block_emit_fn(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                               struct slice span);
enum err block_spans(struct block_reader *reader, uint32_t first, uint32_t count, block_emit_fn *emit,
                     void *context);

/* Adds what the block has of its rows, and of what was rejected beside them. One without a ledger is counted. */
enum err block_ledger(struct block_reader *reader, struct ledger *into);
/* Adds its rows, whatever its ledger says: received, and stored. */
enum err block_ledger_count(struct block_reader *reader, struct ledger *into);

/* Every trace hash and token hash again, for filters of a segment that was not closed (recovery). */
enum err block_hashes(struct block_reader *reader, bool (*visit)(void *context, bool is_trace, uint64_t hash),
                      void *context);

#endif
