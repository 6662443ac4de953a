/*
 * Blocks that are not as they were written: cut anywhere, one byte spoilt anywhere, and, with sound checksums, every
 * byte of every table and column replaced. A reader answers with an error or with the rows as they were; behind sound
 * checksums it may answer nonsense, but never reads outside (ASan) and never hands out what does not exist.
 */
#include "block_fixture.h"

#include "model/often.h"

#include <criterion/criterion.h>

/* Few rows, but of everything: events, links, all types, both modes, parents of all kinds. */
static void small_block(struct block_case *c, uint32_t rows)
{
    struct maker maker = {.state = 4, .keys = 4, .traces = 2};

    *c = block_case_open();
    while (c->live.live->counts.rows < rows) {
        struct message body = maker_body(&maker, 3);
        cr_assert_eq(live_case_put(&c->live, &body), OK);
    }
    cr_assert_eq(block_case_encode(c), OK);
}

static struct block_bytes copy_of(const struct block_bytes *bytes, size_t len)
{
    struct block_bytes copy = {.bytes = malloc(len > 0 ? len : 1), .len = len};

    memcpy(copy.bytes, bytes->bytes, len);
    return copy;
}

/* ---- behind checksums --------------------------------------------------------------------------------- */

/* Opens it; what it says, if anything, must be as it was. Returns whether it read as ever. */
static bool reads_as_ever(const struct block_case *c, struct block_bytes *bytes)
{
    const struct block_source source = block_bytes_source(bytes);
    struct block_reader *reader;

    if (block_open(&source, &reader) != OK) return false;
    struct block_walk walk = {c, reader, 0, UINT32_MAX};
    const enum err spans = block_spans(reader, 0, block_summary(reader)->spans, block_walk_emit, &walk);
    const enum err check = block_check(reader), sums = block_check_sums(reader);
    often_assert_msg(walk.wrong == UINT32_MAX, "a spoilt block was believed");
    often_assert_msg(sums == check, "sums and columns agree on whether a block is sound");
    block_close(reader);
    return spans == OK && check == OK;
}

Test(block_hostile, one_spoilt_byte_is_told_or_does_not_matter)
{
    struct block_case c;
    small_block(&c, 9);
    struct block_bytes copy = copy_of(&c.bytes, c.bytes.len);
    struct maker dice = {.state = 1};
    size_t unnoticed = 0;

    for (size_t i = 0; i < copy.len; i++) {
        const unsigned change = i % 2 == 0 ? 0xff : 1u << maker_below(&dice, 8);
        copy.bytes[i] = (uint8_t)(copy.bytes[i] ^ change);
        unnoticed += reads_as_ever(&c, &copy);
        copy.bytes[i] = (uint8_t)(copy.bytes[i] ^ change);
    }
    cr_assert(reads_as_ever(&c, &copy));
    uint32_t count;
    size_t covered = BLOCK_HEADER_BYTES;
    const struct block_section *const sections = block_sections(c.bytes.bytes, &count);
    for (uint32_t i = 0; i < count; i++)
        covered += sections[i].stored;
    covered += count * sizeof *sections;
    cr_assert_eq(unnoticed, copy.len - covered, "only the padding between sections may change unseen");
    free(copy.bytes);
    block_case_close(&c);
}

Test(block_hostile, a_block_that_is_cut_anywhere_is_refused)
{
    struct block_case c;
    small_block(&c, 9);

    for (size_t len = 0; len < c.bytes.len; len += len < 4200 || len > c.bytes.len - 200 ? 1 : 13) {
        struct block_bytes cut = copy_of(&c.bytes, len);
        cr_assert_not(reads_as_ever(&c, &cut), "cut at %zu", len);
        free(cut.bytes);
    }
    block_case_close(&c);
}

Test(block_hostile, a_header_alone_is_judged_by_its_checksum)
{
    struct block_case c;
    small_block(&c, 3);
    struct block_summary summary;

    for (size_t i = 0; i < BLOCK_HEADER_BYTES; i++) {
        c.bytes.bytes[i] ^= 0x10;
        often_assert_msg(block_peek(c.bytes.bytes, &summary) == ERR_CORRUPT, "byte %zu", i);
        c.bytes.bytes[i] ^= 0x10;
    }
    cr_assert_eq(block_peek(c.bytes.bytes, &summary), OK);
    block_case_close(&c);
}

Test(block_hostile, a_source_may_fail_at_any_read_and_is_asked_again)
{
    struct block_case c;
    small_block(&c, 9);

    cr_assert_eq(block_tour(c.reader), OK);
    const uint64_t reads = c.bytes.reads;
    cr_assert_gt(reads, 2);
    for (uint64_t fail_at = 1; fail_at <= reads; fail_at++) {
        struct block_bytes copy = copy_of(&c.bytes, c.bytes.len);
        const struct block_source source = block_bytes_source(&copy);
        struct block_reader *reader;
        copy.fail_at = fail_at;
        const enum err err = block_open(&source, &reader);
        cr_assert_eq(err, copy.reads == fail_at ? ERR_IO : OK);
        if (err == OK) { /* header and meta area were the first two reads */
            const enum err sums = block_check_sums(reader);
            cr_assert_eq(sums, copy.reads >= fail_at ? ERR_IO : OK);
            cr_assert_eq(block_tour(reader), OK, "nothing was kept of the failure");
            cr_assert_eq(block_case_difference(&c, reader, 0, c.live.live->counts.rows), UINT32_MAX);
            block_close(reader);
        }
        free(copy.bytes);
    }
    block_case_close(&c);
}

/* ---- behind sound checksums ---------------------------------------------------------------------------- */

Test(block_hostile, an_unpacked_block_reads_as_the_packed_one)
{
    struct block_case c;
    small_block(&c, 9);
    struct block_bytes image = block_unpack(&c.bytes);

    cr_assert(reads_as_ever(&c, &image));
    free(image.bytes);
    block_case_close(&c);
}

static const uint8_t changes[] = {0xff, 0x01, 0x80, 0x00 /* becomes zero */, 0x00 /* random */};

static uint8_t changed(uint8_t byte, unsigned change, struct maker *dice)
{
    if (change == 3) return 0;
    if (change == 4) return (uint8_t)maker_next(dice);
    return byte ^ changes[change];
}

/* Every byte in [from, to) of an image, each with sound checksums. Returns how many were refused. */
static size_t spoil_all(const struct block_bytes *original, size_t from, size_t to, size_t step)
{
    struct block_bytes image = copy_of(original, original->len);
    struct maker dice = {.state = from};
    size_t refused = 0;

    for (size_t i = from; i < to; i += step) {
        const unsigned change = (unsigned)(i / step) % 5;
        image.bytes[i] = changed(image.bytes[i], change, &dice);
        block_mend(image.bytes, image.len);
        refused += block_tour_bytes(&image) != OK;
        memcpy(image.bytes, original->bytes, original->len);
    }
    free(image.bytes);
    return refused;
}

Test(block_hostile, every_byte_of_the_header_with_a_sound_checksum)
{
    struct block_case c;
    small_block(&c, 9);
    size_t refused = 0;

    for (unsigned turn = 0; turn < 5; turn++)
        refused += spoil_all(&c.bytes, turn % 2, sizeof(struct block_header), 1);
    cr_assert_gt(refused, 300);
    block_case_close(&c);
}

Test(block_hostile, every_byte_of_the_section_table_with_sound_checksums)
{
    struct block_case c;
    small_block(&c, 9);
    struct block_header header;

    memcpy(&header, c.bytes.bytes, sizeof header);
    const size_t end = header.table_offset + header.sections * sizeof(struct block_section);
    cr_assert_gt(spoil_all(&c.bytes, header.table_offset, end, 1), 50);
    cr_assert_gt(spoil_all(&c.bytes, header.table_offset + 1, end, 1), 50);
    block_case_close(&c);
}

Test(block_hostile, every_byte_of_compressed_sections_with_sound_checksums)
{
    struct block_case c;
    small_block(&c, 9);

    spoil_all(&c.bytes, BLOCK_HEADER_BYTES, c.bytes.len, 1);
    block_case_close(&c);
}

Test(block_hostile, every_byte_of_every_table_and_column_with_sound_checksums)
{
    struct block_case c;
    small_block(&c, 9);
    struct block_bytes image = block_unpack(&c.bytes);

    cr_assert_gt(spoil_all(&image, BLOCK_HEADER_BYTES, image.len, 1), 500);
    free(image.bytes);
    block_case_close(&c);
}

Test(block_hostile, several_spoilt_words_at_once_with_sound_checksums)
{
    static const uint32_t words[] = {0,      1,       2,          0x7f,       0xff,
                                     0xffff, 0x10000, 0x7fffffff, 0xffffffff, 0x01000000};
    struct block_case c;
    small_block(&c, 30);
    const struct block_bytes image = block_unpack(&c.bytes);
    struct block_bytes spoilt = copy_of(&image, image.len);
    struct maker dice = {.state = 9};

    for (unsigned turn = 0; turn < 8000; turn++) {
        for (uint32_t k = 1 + maker_below(&dice, 4); k > 0; k--) {
            size_t at = maker_below(&dice, (uint32_t)(image.len - 4));
            if (at < BLOCK_HEADER_BYTES && at > sizeof(struct block_header))
                at %= sizeof(struct block_header);
            const uint32_t word = words[maker_below(&dice, sizeof words / sizeof words[0])];
            memcpy(spoilt.bytes + (maker_below(&dice, 2) ? at / 4 * 4 : at), &word,
                   1 + maker_below(&dice, 4));
        }
        block_mend(spoilt.bytes, spoilt.len);
        (void)block_tour_bytes(&spoilt);
        memcpy(spoilt.bytes, image.bytes, image.len);
    }
    free(spoilt.bytes);
    free(image.bytes);
    block_case_close(&c);
}

/* ---- one thing at a time, and what it must lead to -------------------------------------------------------- */

static struct block_section *section_of(struct block_bytes *image, enum block_section_type type)
{
    uint32_t count;
    struct block_section *const sections = block_sections(image->bytes, &count);

    for (uint32_t i = 0; i < count; i++)
        if (sections[i].type == type) return &sections[i];
    unreachable("every block has one");
}

struct hostile {
    const char *what;
    void (*spoil)(struct block_bytes *image);
    enum err expected;
};

static void newer_reader_needed(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->min_reader = BLOCK_MAJOR + 1;
}

static void newer_minor(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->minor = 9;
}

static void no_spans(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->spans = 0;
}

static void too_many_spans(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->spans = BLOCK_ROWS_MAX + 1;
}

static void too_long(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->bytes = (uint64_t)BLOCK_BYTES_MAX + 4096;
}

static void table_behind_the_end(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->table_offset = image->len + 64;
}

static void table_before_meta(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->table_offset = BLOCK_HEADER_BYTES;
}

static void unknown_critical_section(struct block_bytes *image)
{
    section_of(image, SECTION_PAGES)->type = 99;
}

static void unknown_harmless_section(struct block_bytes *image)
{
    struct block_section *const section = section_of(image, SECTION_GROUP);
    section->type = 99; /* found by its number all the same */
    section->flags = 0;
}

static void misaligned_section(struct block_bytes *image)
{
    section_of(image, SECTION_CHUNKS)->offset += 4;
}

static void section_in_the_header(struct block_bytes *image)
{
    section_of(image, SECTION_GROUP)->offset = 0;
}

static void section_behind_the_table(struct block_bytes *image)
{
    section_of(image, SECTION_GROUP)->offset = image->len;
}

static void plain_section_of_two_sizes(struct block_bytes *image)
{
    section_of(image, SECTION_GROUP)->plain += 1;
}

static void section_too_large(struct block_bytes *image)
{
    struct block_section *const section = section_of(image, SECTION_GROUP);
    section->codec = CODEC_ZSTD;
    section->plain = BLOCK_SECTION_PLAIN_MAX + 1;
}

static void unknown_codec(struct block_bytes *image)
{
    section_of(image, SECTION_GROUP)->codec = 2;
}

static void wrong_columns_length(struct block_bytes *image)
{
    struct block_section *const section = section_of(image, SECTION_COLUMNS);
    section->plain -= 1;
    section->stored -= 1;
}

static void more_traces_than_listed(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->traces += 1;
}

static void no_pages(struct block_bytes *image)
{
    ((struct block_header *)(void *)image->bytes)->pages = 0;
}

static const struct hostile hostiles[] = {
    {"a newer reader is needed", newer_reader_needed, ERR_VERSION},
    {"a newer minor version", newer_minor, OK},
    {"no spans", no_spans, ERR_CORRUPT},
    {"too many spans", too_many_spans, ERR_CORRUPT},
    {"longer than a block may be", too_long, ERR_CORRUPT},
    {"the table behind the end", table_behind_the_end, ERR_CORRUPT},
    {"the table before the meta area", table_before_meta, ERR_CORRUPT},
    {"an unknown critical section", unknown_critical_section, ERR_VERSION},
    {"an unknown section that is not critical", unknown_harmless_section, OK},
    {"a misaligned section", misaligned_section, ERR_CORRUPT},
    {"a section in the header", section_in_the_header, ERR_CORRUPT},
    {"a section behind the table", section_behind_the_table, ERR_CORRUPT},
    {"a plain section of two sizes", plain_section_of_two_sizes, ERR_CORRUPT},
    {"a section that is too large", section_too_large, ERR_CORRUPT},
    {"an unknown codec", unknown_codec, ERR_CORRUPT},
    {"a column directory that is cut", wrong_columns_length, ERR_CORRUPT},
    {"more traces than are listed", more_traces_than_listed, ERR_CORRUPT},
    {"no pages", no_pages, ERR_CORRUPT},
};

Test(block_hostile, what_a_reader_must_refuse)
{
    struct block_case c;
    small_block(&c, 9);
    const struct block_bytes original = block_unpack(&c.bytes);

    for (size_t i = 0; i < sizeof hostiles / sizeof hostiles[0]; i++) {
        struct block_bytes image = copy_of(&original, original.len);
        hostiles[i].spoil(&image);
        block_mend(image.bytes, image.len);
        const enum err err = block_tour_bytes(&image);
        cr_assert_eq(err, hostiles[i].expected, "%s: %s", hostiles[i].what, err_text(err));
        free(image.bytes);
    }
    free(original.bytes);
    block_case_close(&c);
}

/* Counts of values that wrap around 32 bits must not become small arrays. */
Test(block_hostile, a_page_cannot_claim_more_values_than_a_block_holds)
{
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 3; i++) { /* one shape of 1,000 columns of the same key */
        struct message span = {0};
        message_ids(&span, i, i);
        for (unsigned k = 0; k < 1000; k++)
            message_int_attribute(&span, 9, "k", 7);
        struct message event = {0};
        message_fixed64(&event, 1, 5);
        message_put(&span, 11, &event);
        struct message body = message_body_of_span(&span);
        cr_assert_eq(live_case_put(&c.live, &body), OK);
    }
    cr_assert_eq(block_case_encode(&c), OK);
    struct block_bytes image = block_unpack(&c.bytes);
    struct block_header *const header = (struct block_header *)(void *)image.bytes;
    struct block_chunk *const chunks =
        (struct block_chunk *)(void *)(image.bytes + section_of(&image, SECTION_CHUNKS)->offset);
    struct block_page *const page = (struct block_page *)(void *)(image.bytes +
                                                                  section_of(&image, SECTION_PAGES)->offset);
    const uint32_t events = 3 * 1000000;
    header->events = page->events = events;
    chunks[STREAM_EVENTS] = (struct block_chunk){
        .encoding = ENCODING_CONST, .count = 3, .base = 1000000, .max = 1000000};
    chunks[STREAM_EVENT_PATTERN] = (struct block_chunk){
        .encoding = ENCODING_CONST, .count = events, .base = 0, .max = 0};
    /* the only event pattern gets the shape of the spans: low byte of its field */
    image.bytes[section_of(&image, SECTION_EVENT_PATTERNS)->offset + 4 * EVENT_PATTERN_SHAPE] = 1;
    block_mend(image.bytes, image.len);
    cr_assert_eq(block_tour_bytes(&image), ERR_CORRUPT);
    free(image.bytes);
    block_case_close(&c);
}
