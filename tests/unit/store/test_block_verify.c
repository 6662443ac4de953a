/*
 * What block_verify() finds. Sound blocks have no fault; a byte that changes anywhere is one, padding included; and, with
 * sound checksums, each thing that a header or table says wrongly is told by its name.
 */
#include "golden_spans.h"

#include "store/look.h"

#include <criterion/criterion.h>

struct told {
    unsigned count;
    const char *first; /* what it said */
    struct look_fault fault;
};

static void note(void *context, const struct look_fault *fault)
{
    struct told *const told = context;

    if (told->count++ > 0) return;
    told->first = fault->what;
    told->fault = *fault;
}

static struct told judge(struct block_bytes *bytes, const struct block_summary *expected,
                         const struct filter *filters)
{
    const struct block_source source = block_bytes_source(bytes);
    struct told told = {.first = "nothing"};

    cr_assert_eq(block_verify(&source, expected, filters, note, &told), OK);
    return told;
}

static struct filter filter_of(const uint64_t *hashes, size_t count)
{
    struct filter filter = {.cells = filter_cells_for(count, 10, 32768)};

    filter.bytes = malloc((size_t)filter.cells * FILTER_CELL_BYTES);
    filter_build(&filter, hashes, count);
    return filter;
}

struct pair {
    struct filter kind[2];
};

static struct pair filters_of(const struct block_case *c)
{
    struct pair pair;

    pair.kind[FILTER_TRACE] = filter_of(c->encoded.trace_hashes, c->encoded.trace_hashes_count);
    pair.kind[FILTER_TOKEN] = filter_of(c->encoded.token_hashes, c->encoded.token_hashes_count);
    return pair;
}

static void filters_free(struct pair *pair)
{
    free(pair->kind[FILTER_TRACE].bytes);
    free(pair->kind[FILTER_TOKEN].bytes);
}

static void random_block(struct block_case *c, uint64_t seed, uint32_t rows)
{
    struct maker maker = {.state = seed, .keys = 6, .traces = 5};

    *c = block_case_open();
    while (c->live.live->counts.rows < rows) {
        struct message body = maker_body(&maker, 3);
        cr_assert_eq(live_case_put(&c->live, &body), OK);
    }
    cr_assert_eq(block_case_encode(c), OK);
}

static void assert_sound(struct block_case *c)
{
    struct pair filters = filters_of(c);
    const struct told told = judge(&c->bytes, &c->encoded.summary, filters.kind);

    cr_assert_eq(told.count, 0, "%s", told.first);
    filters_free(&filters);
}

Test(block_verify, sound_blocks_have_no_fault)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct block_case c;
        random_block(&c, seed, seed == 39 ? BLOCK_PAGE_ROWS + 300 : (uint32_t)(seed * seed));
        assert_sound(&c);
        struct block_bytes plain = block_unpack(&c.bytes);
        const struct told told = judge(&plain, NULL, NULL);
        cr_assert_eq(told.count, 0, "%s", told.first);
        free(plain.bytes);
        block_case_close(&c);
    }
}

Test(block_verify, a_block_of_two_pages_with_a_trace_in_both)
{
    struct block_case c = block_case_open();

    cr_assert_eq(golden_put(&c.live, 0, 24, golden_odd), OK);
    cr_assert_eq(golden_put(&c.live, 0, 137 * GOLDEN_DULL_TRACE, golden_dull), OK);
    cr_assert_eq(block_case_encode(&c), OK);
    assert_sound(&c);
    block_case_close(&c);
}

Test(block_verify, the_golden_block_has_no_fault)
{
    static uint8_t room[1 << 18];
    const struct slice golden = golden_read("golden/block-v1.bin", room, sizeof room);
    struct block_bytes bytes = {.bytes = room, .len = golden.len};

    const struct told told = judge(&bytes, NULL, NULL);
    cr_assert_eq(told.count, 0, "%s", told.first);
}

Test(block_verify, every_byte_that_changes_is_a_fault)
{
    struct block_case c;
    unsigned unnoticed = 0;

    random_block(&c, 4, 9);
    for (size_t i = 0; i < c.bytes.len; i++) {
        const uint8_t change = (uint8_t)(1U << i % 8);
        c.bytes.bytes[i] ^= change;
        unnoticed += judge(&c.bytes, NULL, NULL).count == 0;
        c.bytes.bytes[i] ^= change;
    }
    cr_assert_eq(unnoticed, 0);
    block_case_close(&c);
}

Test(block_verify, a_section_is_named_with_its_place)
{
    struct block_case c;
    uint32_t count;

    random_block(&c, 4, 300);
    const struct block_section *const sections = block_sections(c.bytes.bytes, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *const byte = c.bytes.bytes + sections[i].offset + sections[i].stored / 2;
        if (sections[i].stored == 0) continue;
        *byte ^= 1;
        const struct told told = judge(&c.bytes, NULL, NULL);
        cr_assert_eq(told.count, 1);
        cr_assert_str_eq(told.first, "a section fails its checksum");
        cr_assert_eq(told.fault.section, i);
        cr_assert_eq(told.fault.offset, sections[i].offset);
        *byte ^= 1;
    }
    block_case_close(&c);
}

Test(block_verify, a_section_that_cannot_be_read_is_told_and_the_others_are_looked_at)
{
    struct block_case c;

    random_block(&c, 4, 300);
    for (uint64_t read = 1; read < 12; read++) {
        c.bytes.reads = 0;
        c.bytes.fail_at = read;
        cr_assert_geq(judge(&c.bytes, NULL, NULL).count, 1, "read %lu", read);
    }
    block_case_close(&c);
}

/* ---- behind sound checksums --------------------------------------------------------------------------- */

static struct block_header *header_of(struct block_bytes *image)
{
    return (struct block_header *)(void *)image->bytes;
}

static void *table_of(struct block_bytes *image, enum block_section_type type)
{
    uint32_t count;
    const struct block_section *const sections = block_sections(image->bytes, &count);

    for (uint32_t i = 0; i < count; i++)
        if (sections[i].type == type) return image->bytes + sections[i].offset;
    unreachable("every block has one");
}

static void later_end(struct block_bytes *image)
{
    header_of(image)->end_max_ns++;
}
static void longer_duration(struct block_bytes *image)
{
    header_of(image)->duration_max_ns++;
}
static void shorter_duration(struct block_bytes *image)
{
    header_of(image)->duration_min_ns--;
}
static void another_status(struct block_bytes *image)
{
    header_of(image)->status_mask ^= 1U << 17;
}
static void another_last_trace(struct block_bytes *image)
{
    header_of(image)->trace_max[15] ^= 1;
}
static void another_first_trace(struct block_bytes *image)
{
    header_of(image)->trace_min[0] ^= 1;
}
static void journal_backwards(struct block_bytes *image)
{
    header_of(image)->lsn_first = header_of(image)->lsn_end + 1;
}
static void
earlier_start(struct block_bytes *image) /* moves all rows, too: the page still says where they were */
{
    header_of(image)->start_min_ns--;
}
static void later_page(struct block_bytes *image)
{
    ((struct block_page *)table_of(image, SECTION_PAGES))->start_max_ns++;
}
static void another_zone(struct block_bytes *image)
{
    ((struct block_page *)table_of(image, SECTION_PAGES))->zones[ZONE_KIND].max += 3;
}
static void more_values(struct block_bytes *image)
{
    ((struct block_column_entry *)table_of(image, SECTION_COLUMNS))[COLUMN_TRACE_STATE].values++;
}
static void larger_chunk_bound(struct block_bytes *image)
{
    ((struct block_chunk *)table_of(image, SECTION_CHUNKS))[STREAM_DURATION].max++;
}
static void traces_out_of_order(struct block_bytes *image)
{
    uint8_t *const ids = table_of(image, SECTION_TRACES);
    uint8_t first[16];

    memcpy(first, ids, sizeof first);
    memcpy(ids, ids + 16, sizeof first);
    memcpy(ids + 16, first, sizeof first);
}
static void one_trace_less(struct block_bytes *image)
{
    header_of(image)->traces--;
}
static void chunk_beyond_its_section(struct block_bytes *image)
{
    struct block_chunk *const chunk = (struct block_chunk *)table_of(image, SECTION_CHUNKS) + STREAM_SPAN_ID;

    (chunk->raw_mask ? &chunk->raw_section : &chunk->section)[0] = LOOK_NONE;
}
static void bytes_in_the_padding(struct block_bytes *image)
{
    image->bytes[image->len - 1] = 1;
}

static const struct spoil {
    void (*spoil)(struct block_bytes *image);
    const char *what; /* how it begins */
} spoils[] = {
    {later_end, "the header's times"},
    {longer_duration, "the header's durations"},
    {shorter_duration, "the header's durations"},
    {another_status, "the header's status codes"},
    {another_last_trace, "the header's first and last trace"},
    {another_first_trace, "the header's first and last trace"},
    {journal_backwards, "an interval of the header"},
    {earlier_start, "the page's bounds of start times"},
    {later_page, "the page's bounds of start times"},
    {another_zone, "the page's bounds of a field"},
    {more_values, "a column's count"},
    {larger_chunk_bound, "a chunk's bounds"},
    {traces_out_of_order, "trace ids do not ascend"},
    {one_trace_less, "the tables contradict"},
    {chunk_beyond_its_section, "rows of a page"},
    {bytes_in_the_padding, "bytes that belong to nothing"},
};

/* Rows with times that do not wrap, in several traces. */
static void plain_block(struct block_case *c)
{
    *c = block_case_open();
    cr_assert_eq(golden_put(&c->live, 1, 400, golden_plain), OK);
    cr_assert_eq(block_case_encode(c), OK);
}

Test(block_verify, what_is_wrong_behind_sound_checksums_is_told_by_its_name)
{
    struct block_case c;

    plain_block(&c);
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        struct block_bytes image = block_unpack(&c.bytes);
        spoils[i].spoil(&image);
        block_mend(image.bytes, image.len);
        const struct told told = judge(&image, NULL, NULL);
        cr_assert_geq(told.count, 1, "nothing told instead of: %s", spoils[i].what);
        cr_assert_eq(strncmp(told.first, spoils[i].what, strlen(spoils[i].what)), 0, "%s instead of: %s",
                     told.first, spoils[i].what);
        free(image.bytes);
    }
    block_case_close(&c);
}

Test(block_verify, rows_of_a_trace_in_the_order_of_their_start)
{
    struct block_case c;

    plain_block(&c);
    struct block_bytes image = block_unpack(&c.bytes);
    struct block_chunk *const chunk = (struct block_chunk *)table_of(&image, SECTION_CHUNKS) +
                                      STREAM_START_DELTA;
    chunk->base -= chunk->base + 1; /* each delta one less than nothing: rows go backwards */
    block_mend(image.bytes, image.len);
    struct told told = judge(&image, NULL, NULL);
    cr_assert_str_eq(told.first, "rows of a trace are not in the order of their start");
    free(image.bytes);
    block_case_close(&c);
}

Test(block_verify, a_directory_that_means_another_block)
{
    struct block_case c;

    plain_block(&c);
    struct block_summary other = c.encoded.summary;
    other.arrival_max_ns++;
    const struct told told = judge(&c.bytes, &other, NULL);
    cr_assert_eq(told.count, 1);
    cr_assert_str_eq(told.first, "the block is not the one that the directory means");
    block_case_close(&c);
}

Test(block_verify, a_filter_that_lacks_a_hash_of_the_block)
{
    struct block_case c;

    plain_block(&c);
    for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++) {
        struct pair filters = filters_of(&c);
        const uint64_t hash = kind == FILTER_TRACE ? c.encoded.trace_hashes[0] : c.encoded.token_hashes[0];
        struct filter *const filter = &filters.kind[kind];
        memset(filter->bytes + (size_t)filter_cell_index(filter->cells, hash) * FILTER_CELL_BYTES, 0,
               FILTER_CELL_BYTES);
        const struct told told = judge(&c.bytes, NULL, filters.kind);
        cr_assert_eq(told.count, 1);
        cr_assert_str_eq(told.first, kind == FILTER_TRACE ? "the trace filter denies traces that are there"
                                                          : "the token filter denies values that are there");
        filters_free(&filters);
    }
    block_case_close(&c);
}
