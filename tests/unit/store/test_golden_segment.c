/*
 * The golden segment is opened by its footer, and each of its blocks read as the spans that it was made of. So is the one
 * that it becomes by merging.
 */
#include "compaction_fixture.h"
#include "golden_segments.h"
#include "golden_spans.h"

#include "base/log.h"

#include <criterion/criterion.h>

enum { BLOCKS = 3, SHARD = 3 };

/* Block number 0, 1 or 2, as the last one of the case. The middle one has many tokens and comes in two requests. */
static void next_block(struct block_case *c, unsigned number)
{
    if (number > 0) live_case_reset(&c->live);
    if (number == 0) cr_assert_eq(golden_put(&c->live, 0, 5, golden_odd), OK);
    if (number == 1) cr_assert_eq(golden_put(&c->live, 1, 40, golden_plain), OK);
    if (number == 1) cr_assert_eq(golden_put(&c->live, 40, 60, golden_plain), OK);
    if (number == 2) cr_assert_eq(golden_put(&c->live, 5, 24, golden_odd), OK);
    cr_assert_eq(block_case_encode(c), OK);
}

/* ---- writing -------------------------------------------------------------------------------------------- */

static void write_header(struct golden_json *json, const uint8_t *segment)
{
    struct segment_header header;

    memcpy(&header, segment, sizeof header);
    golden_begin(json, "header", '{');
    GOLDEN_BYTES(json, &header, magic);
    GOLDEN_NUMBER(json, &header, major);
    GOLDEN_NUMBER(json, &header, minor);
    GOLDEN_NUMBER(json, &header, min_reader);
    GOLDEN_NUMBER(json, &header, shard);
    GOLDEN_NUMBER(json, &header, crc);
    GOLDEN_NUMBER(json, &header, instance);
    GOLDEN_NUMBER(json, &header, seq);
    GOLDEN_NUMBER(json, &header, created_ns);
    GOLDEN_NUMBER(json, &header, block_seq);
    GOLDEN_NUMBER(json, &header, lsn_first);
    golden_end(json, '}');
}

static void write_directory(struct golden_json *json, const uint8_t *bytes)
{
    struct segment_directory directory;

    memcpy(&directory, bytes, sizeof directory);
    golden_begin(json, "directory", '{');
    GOLDEN_BYTES(json, &directory, magic);
    GOLDEN_NUMBER(json, &directory, major);
    GOLDEN_NUMBER(json, &directory, minor);
    GOLDEN_NUMBER(json, &directory, min_reader);
    GOLDEN_NUMBER(json, &directory, shard);
    GOLDEN_NUMBER(json, &directory, instance);
    GOLDEN_NUMBER(json, &directory, seq);
    GOLDEN_NUMBER(json, &directory, created_ns);
    GOLDEN_NUMBER(json, &directory, closed_ns);
    GOLDEN_NUMBER(json, &directory, blocks);
    GOLDEN_NUMBER(json, &directory, replaces);
    golden_number(json, "trace_cells", directory.cells[FILTER_TRACE]);
    golden_number(json, "token_cells", directory.cells[FILTER_TOKEN]);
    golden_number(json, "trace_rows_offset", directory.rows_offset[FILTER_TRACE]);
    golden_number(json, "token_rows_offset", directory.rows_offset[FILTER_TOKEN]);
    GOLDEN_NUMBER(json, &directory, level);
    GOLDEN_NUMBER(json, &directory, positions);
    GOLDEN_NUMBER(json, &directory, ledger_offset);
    GOLDEN_NUMBER(json, &directory, ledger_bytes);
    GOLDEN_NUMBER(json, &directory, ledger_crc);
    GOLDEN_NUMBER(json, &directory, minute_first);
    GOLDEN_NUMBER(json, &directory, minute_last);
    golden_end(json, '}');
}

static void write_entry(struct golden_json *json, const uint8_t *bytes)
{
    struct segment_entry entry;

    memcpy(&entry, bytes, sizeof entry);
    golden_begin(json, NULL, '{');
    GOLDEN_NUMBER(json, &entry, offset);
    GOLDEN_NUMBER(json, &entry, bytes);
    GOLDEN_NUMBER(json, &entry, seq);
    GOLDEN_NUMBER(json, &entry, lsn_first);
    GOLDEN_NUMBER(json, &entry, lsn_end);
    GOLDEN_NUMBER(json, &entry, start_min_ns);
    GOLDEN_NUMBER(json, &entry, start_max_ns);
    GOLDEN_NUMBER(json, &entry, end_max_ns);
    GOLDEN_NUMBER(json, &entry, duration_min_ns);
    GOLDEN_NUMBER(json, &entry, duration_max_ns);
    GOLDEN_NUMBER(json, &entry, arrival_min_ns);
    GOLDEN_NUMBER(json, &entry, arrival_max_ns);
    GOLDEN_BYTES(json, &entry, trace_min);
    GOLDEN_BYTES(json, &entry, trace_max);
    GOLDEN_NUMBER(json, &entry, spans);
    GOLDEN_NUMBER(json, &entry, traces);
    GOLDEN_NUMBER(json, &entry, status_mask);
    GOLDEN_NUMBER(json, &entry, header_crc);
    GOLDEN_NUMBER(json, &entry, flags);
    GOLDEN_NUMBER(json, &entry, shard);
    golden_end(json, '}');
}

static void write_trailer(struct golden_json *json, const struct segment_trailer *trailer)
{
    golden_begin(json, "trailer", '{');
    GOLDEN_NUMBER(json, trailer, directory_offset);
    GOLDEN_NUMBER(json, trailer, directory_length);
    GOLDEN_NUMBER(json, trailer, file_length);
    GOLDEN_NUMBER(json, trailer, file_id);
    GOLDEN_NUMBER(json, trailer, directory_crc);
    GOLDEN_NUMBER(json, trailer, major);
    GOLDEN_NUMBER(json, trailer, min_reader);
    GOLDEN_BYTES(json, trailer, magic);
    GOLDEN_NUMBER(json, trailer, crc);
    golden_end(json, '}');
}

static void write_lineage(struct golden_json *json, const struct segment_directory *directory,
                          const uint8_t *bytes)
{
    golden_begin(json, "replaced", '[');
    for (uint32_t i = 0; i < directory->replaces; i++, bytes += sizeof(struct segment_replaced)) {
        struct segment_replaced replaced;
        memcpy(&replaced, bytes, sizeof replaced);
        golden_begin(json, NULL, '{');
        GOLDEN_NUMBER(json, &replaced, seq);
        GOLDEN_NUMBER(json, &replaced, created_ns);
        GOLDEN_NUMBER(json, &replaced, shard);
        golden_end(json, '}');
    }
    golden_end(json, ']');
    golden_begin(json, "positions", '[');
    for (uint32_t i = 0; i < directory->positions; i++, bytes += sizeof(struct segment_position)) {
        struct segment_position position;
        memcpy(&position, bytes, sizeof position);
        golden_begin(json, NULL, '{');
        GOLDEN_NUMBER(json, &position, next_seq);
        GOLDEN_NUMBER(json, &position, sealed_lsn);
        GOLDEN_NUMBER(json, &position, shard);
        golden_end(json, '}');
    }
    golden_end(json, ']');
}

static void write_footer(struct golden_json *json, struct slice segment)
{
    const struct segment_trailer trailer = golden_trailer(segment);
    const uint8_t *const bytes = segment.ptr + trailer.directory_offset;
    struct segment_directory directory;
    uint32_t i = 0;

    memcpy(&directory, bytes, sizeof directory);
    write_directory(json, bytes);
    golden_begin(json, "entries", '[');
    for (; i < directory.blocks; i++)
        write_entry(json, bytes + sizeof directory + i * sizeof(struct segment_entry));
    golden_end(json, ']');
    write_lineage(json, &directory, bytes + sizeof directory + i * sizeof(struct segment_entry));
    write_trailer(json, &trailer);
}

static void write_merged(struct world *world)
{
    struct golden_json json = golden_json_open("golden/merged-v1.json");

    cr_assert_eq(compact_all(world, live_arrival_ns + 86400 * NS_PER_S), 1);
    const struct slice segment = golden_segment_of(world, CATALOG_MERGED);
    golden_write("golden/merged-v1.bin", segment);
    write_header(&json, segment.ptr);
    write_footer(&json, segment);
    golden_json_close(&json);
}

static void write_golden(void)
{
    struct golden_json json = golden_json_open("golden/segment-v1.json");
    struct world world = world_sim_new(1);
    struct block_case c = block_case_open();

    cr_assert_eq(world_open_catalog(&world), OK);
    golden_begin(&json, "rows", '[');
    for (unsigned i = 0; i < BLOCKS; i++) {
        next_block(&c, i);
        cr_assert_eq(segment_append(world.catalog, world.io, SHARD, &c.encoded), OK);
        for (uint32_t row = 0; row < c.live.live->counts.rows; row++)
            golden_row(&json, &c, i, row);
    }
    golden_end(&json, ']');
    const struct slice segment = golden_sealed(&world, SHARD);
    golden_write("golden/segment-v1.bin", segment);
    write_header(&json, segment.ptr);
    write_footer(&json, segment);
    golden_json_close(&json);
    block_case_close(&c);
    write_merged(&world);
    world_close(&world);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

/* The filters know all that today's encoder hashes in the same rows. */
static void check_filters(struct world *world, const struct catalog_view *view, uint32_t block,
                          const struct block_encoded *encoded)
{
    for (size_t i = 0; i < encoded->trace_hashes_count; i++)
        cr_assert(catalog_may_have_trace(view, world->io, block, encoded->trace_hashes[i]));
    for (size_t i = 0; i < encoded->token_hashes_count; i++)
        cr_assert(catalog_may_have_token(view, world->io, block, encoded->token_hashes[i]));
}

static void check_blocks(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    struct block_case c = block_case_open();

    cr_assert_eq(catalog_blocks(view), BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct catalog_source storage;
        struct block_reader *reader;
        next_block(&c, i);
        cr_assert_eq(catalog_open_block(view, world->io, i, &storage, &reader), OK);
        cr_assert_eq(block_summary(reader)->seq, c.encoded.summary.seq);
        cr_assert_eq(block_summary(reader)->spans, c.live.live->counts.rows);
        cr_assert_eq(block_case_difference(&c, reader, 0, c.live.live->counts.rows), UINT32_MAX);
        check_filters(world, view, i, &c.encoded);
        block_close(reader);
    }
    block_case_close(&c);
    catalog_release(world->catalog, view);
}

Test(golden_segment, of_version_1_is_read)
{
    log_set_level(LOG_ERROR + 1);
    if (golden_writing()) write_golden();
    struct world world = world_sim_new(2);
    golden_put_segment(&world, SHARD, golden_read_segment("golden/segment-v1.bin"));
    cr_assert_eq(world_open_catalog(&world), OK);
    cr_assert_eq(world.report.blocks, BLOCKS);
    cr_assert_eq(world.report.rebuilt, 0, "its footer is believed");
    check_blocks(&world);
    world_close(&world);
}

Test(golden_segment, merged_of_version_1_is_read_and_says_what_it_stands_for)
{
    log_set_level(LOG_ERROR + 1);
    if (golden_writing()) write_golden();
    struct world world = world_sim_new(3);
    golden_put_segment(&world, SHARD, golden_read_segment("golden/segment-v1.bin"));
    cr_assert_eq(world_open_catalog(&world), OK);
    struct prints before = prints_now(&world);
    const uint64_t next_seq = catalog_next_seq(world.catalog, SHARD);
    const uint64_t sealed_lsn = catalog_sealed_lsn(world.catalog, SHARD);
    world_close_catalog(&world);

    golden_put_segment(&world, CATALOG_MERGED, golden_read_segment("golden/merged-v1.bin"));
    cr_assert_eq(world_open_catalog(&world), OK);
    struct prints after = prints_now(&world);
    cr_assert(prints_equal(&before, &after), "one of the two is left");
    cr_assert_not(world_has(&world, SHARD, next_seq - 1));
    cr_assert_eq(catalog_next_seq(world.catalog, SHARD), next_seq);
    cr_assert_eq(catalog_sealed_lsn(world.catalog, SHARD), sealed_lsn);
    prints_free(&before);
    prints_free(&after);
    world_close(&world);
}
