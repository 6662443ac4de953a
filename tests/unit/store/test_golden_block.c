/* The golden block is read as the spans that it was made of. */
#include "golden_spans.h"

#include <criterion/criterion.h>

enum { ODD_SPANS = 24, PLAIN_SPANS = 2100, DULL_SPANS = 137 * GOLDEN_DULL_TRACE };
static_assert((int)DULL_SPANS > (int)BLOCK_PAGE_ROWS && (int)BLOCK_PAGE_ROWS % (int)GOLDEN_DULL_TRACE != 0,
              "a trace lies in both pages");

static void encode_golden(struct block_case *c)
{
    *c = block_case_open();
    cr_assert_eq(golden_put(&c->live, 0, 5, golden_odd), OK);
    cr_assert_eq(golden_put(&c->live, 5, 12, golden_odd), OK);
    cr_assert_eq(golden_put(&c->live, 12, ODD_SPANS, golden_odd), OK);
    cr_assert_eq(golden_put(&c->live, 1, 1 + PLAIN_SPANS, golden_plain), OK);
    cr_assert_eq(golden_put(&c->live, 0, DULL_SPANS, golden_dull), OK);
    cr_assert_eq(block_case_encode(c), OK);
}

static void write_header(struct golden_json *json, const uint8_t *block)
{
    struct block_header header;

    memcpy(&header, block, sizeof header);
    golden_begin(json, "header", '{');
    GOLDEN_BYTES(json, &header, magic);
    GOLDEN_NUMBER(json, &header, major);
    GOLDEN_NUMBER(json, &header, minor);
    GOLDEN_NUMBER(json, &header, min_reader);
    GOLDEN_NUMBER(json, &header, shard);
    GOLDEN_NUMBER(json, &header, header_crc);
    GOLDEN_NUMBER(json, &header, pages);
    GOLDEN_NUMBER(json, &header, seq);
    GOLDEN_NUMBER(json, &header, lsn_first);
    GOLDEN_NUMBER(json, &header, lsn_end);
    GOLDEN_NUMBER(json, &header, spans);
    GOLDEN_NUMBER(json, &header, traces);
    GOLDEN_NUMBER(json, &header, bytes);
    GOLDEN_NUMBER(json, &header, start_min_ns);
    GOLDEN_NUMBER(json, &header, start_max_ns);
    GOLDEN_NUMBER(json, &header, end_max_ns);
    GOLDEN_NUMBER(json, &header, duration_min_ns);
    GOLDEN_NUMBER(json, &header, duration_max_ns);
    GOLDEN_NUMBER(json, &header, arrival_min_ns);
    GOLDEN_NUMBER(json, &header, arrival_max_ns);
    GOLDEN_BYTES(json, &header, trace_min);
    GOLDEN_BYTES(json, &header, trace_max);
    GOLDEN_NUMBER(json, &header, status_mask);
    GOLDEN_NUMBER(json, &header, columns);
    GOLDEN_NUMBER(json, &header, meta_offset);
    GOLDEN_NUMBER(json, &header, table_offset);
    GOLDEN_NUMBER(json, &header, sections);
    GOLDEN_NUMBER(json, &header, table_crc);
    GOLDEN_NUMBER(json, &header, shapes);
    GOLDEN_NUMBER(json, &header, patterns);
    GOLDEN_NUMBER(json, &header, event_patterns);
    GOLDEN_NUMBER(json, &header, resources);
    GOLDEN_NUMBER(json, &header, scopes);
    GOLDEN_NUMBER(json, &header, operations);
    GOLDEN_NUMBER(json, &header, events);
    GOLDEN_NUMBER(json, &header, links);
    GOLDEN_NUMBER(json, &header, dictionary_pieces);
    golden_end(json, '}');
}

static void write_operations(struct golden_json *json, struct block_reader *reader)
{
    golden_begin(json, "operations", '[');
    for (uint32_t i = 0; i < block_operations(reader); i++) {
        struct block_operation operation;
        cr_assert_eq(block_operation(reader, i, &operation), OK);
        golden_begin(json, NULL, '[');
        golden_hex(json, NULL, operation.service);
        golden_hex(json, NULL, operation.name);
        golden_number(json, NULL, (uint64_t)(int64_t)operation.kind);
        golden_end(json, ']');
    }
    golden_end(json, ']');
}

/* All rows count in the hash; some are there to be read. */
static uint64_t hash_rows(const struct block_case *c)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < c->live.live->counts.rows; i++) {
        const struct slice span = c->live.expected.spans[c->order[i]].bytes;
        const uint64_t pair[2] = {hash, hash64(span.ptr, span.len)};
        hash = hash64(pair, sizeof pair);
    }
    return hash;
}

static void write_rows(struct golden_json *json, const struct block_case *c)
{
    golden_begin(json, "rows", '[');
    for (uint32_t row = BLOCK_PAGE_ROWS - 2; row < BLOCK_PAGE_ROWS + 2; row++)
        golden_row(json, c, 0, row);
    for (uint32_t row = DULL_SPANS; row < DULL_SPANS + ODD_SPANS + 4; row++)
        golden_row(json, c, 0, row);
    golden_end(json, ']');
}

static void write_golden(const struct block_case *c)
{
    struct golden_json json = golden_json_open("golden/block-v1.json");

    golden_write("golden/block-v1.bin", slice_of(c->bytes.bytes, c->bytes.len));
    write_header(&json, c->bytes.bytes);
    write_operations(&json, c->reader);
    golden_number(&json, "xxh64_of_rows", hash_rows(c));
    write_rows(&json, c);
    golden_json_close(&json);
}

Test(golden_block, of_version_1_is_read)
{
    static uint8_t room[1 << 20];
    struct block_reader *reader;
    struct block_case c; /* stays in place: its reader reads from it */

    encode_golden(&c);
    if (golden_writing()) write_golden(&c);
    const struct slice golden = golden_read("golden/block-v1.bin", room, sizeof room);
    struct block_bytes bytes = {.bytes = room, .len = golden.len};
    const struct block_source source = block_bytes_source(&bytes);
    cr_assert_eq(block_open(&source, &reader), OK);
    cr_assert_eq(block_summary(reader)->spans, ODD_SPANS + PLAIN_SPANS + DULL_SPANS);
    cr_assert_eq(block_case_difference(&c, reader, 0, c.live.live->counts.rows), UINT32_MAX);
    cr_assert_eq(block_check(reader), OK);
    block_close(reader);
    block_case_close(&c);
}
