/* A block taken apart: the parts take up every plain byte of every section, once. */
#include "golden_spans.h"

#include "store/look.h"

#include <criterion/criterion.h>

struct sums {
    uint64_t bytes[4096]; /* by section */
    uint64_t kinds[LOOK_DICTIONARY + 1];
    uint64_t durations; /* values of the field DURATION */
};

static void add(void *context, const struct block_look_part *part)
{
    struct sums *const sums = context;

    cr_assert_lt(part->section, 4096);
    sums->bytes[part->section] += part->bytes;
    sums->kinds[part->kind] += part->bytes;
    if (part->kind == LOOK_FIELD && strcmp(part->name, "DURATION") == 0) sums->durations += part->values;
}

static void assert_parts_fill_sections(struct block_case *c)
{
    static struct sums sums;
    const struct block_source source = block_bytes_source(&c->bytes);
    struct block_reader *reader;

    sums = (struct sums){.durations = 0};
    cr_assert_eq(block_look_open(&source, &reader), OK);
    cr_assert_eq(block_look_tables(reader), OK);
    block_look_parts(reader, add, &sums);
    for (uint32_t i = 0; i < block_look_counts(reader).sections; i++) {
        const struct block_look_section section = block_look_section(reader, i);
        cr_assert_eq(block_look_check_section(reader, i), OK);
        cr_assert_eq(sums.bytes[i], section.plain, "section %u %s", i, section.name);
    }
    block_close(reader);
}

Test(block_look, parts_take_up_every_byte_of_random_blocks)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct maker maker = {.state = seed, .keys = 6, .traces = 5};
        struct block_case c = block_case_open();
        while (c.live.live->counts.rows < seed * 90) {
            struct message body = maker_body(&maker, 3);
            cr_assert_eq(live_case_put(&c.live, &body), OK);
        }
        cr_assert_eq(block_case_encode(&c), OK);
        assert_parts_fill_sections(&c);
        block_case_close(&c);
    }
}

Test(block_look, parts_of_pages_with_raw_planes)
{
    struct block_case c = block_case_open();

    cr_assert_eq(golden_put(&c.live, 1, 3000, golden_plain), OK);
    cr_assert_eq(block_case_encode(&c), OK);
    assert_parts_fill_sections(&c);
    block_case_close(&c);
}

Test(block_look, a_damaged_section_is_found_and_the_others_are_shown)
{
    struct block_case c = block_case_open();
    struct block_reader *reader;

    cr_assert_eq(golden_put(&c.live, 1, 400, golden_plain), OK);
    cr_assert_eq(block_case_encode(&c), OK);
    uint32_t count;
    const struct block_section *const sections = block_sections(c.bytes.bytes, &count);
    uint32_t chunks = 0;
    while (sections[chunks].type != SECTION_CHUNKS)
        chunks++;
    c.bytes.bytes[sections[chunks].offset] ^= 1;
    const struct block_source source = block_bytes_source(&c.bytes);
    cr_assert_eq(block_open(&source, &reader), ERR_CORRUPT);
    cr_assert_eq(block_look_open(&source, &reader), OK);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(block_look_check_section(reader, i), i == chunks ? ERR_CORRUPT : OK);
    cr_assert_eq(block_look_tables(reader), ERR_CORRUPT);
    cr_assert_str_eq(block_look_section(reader, chunks).name, "CHUNKS");
    block_close(reader);
    block_case_close(&c);
}
