/*
 * What is remembered of blocks: shown once to each reader, bounded in memory, forgotten from the oldest on; and the
 * same under threads.
 */
#include "names_cache.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 1 << 20, TEXTS = 4000 };

static struct names_cache *cache;
static struct names_reader reader;

/* Names are numbered here as well: "service 1", "operation 17", kind 2. */
static char services[TEXTS][24], operations[TEXTS][24];

static struct block_operation name_of(unsigned number)
{
    return (struct block_operation){slice_text(services[number % 7]), slice_text(operations[number]),
                                    (int32_t)(number % 5)};
}

static void write_texts(void)
{
    for (unsigned i = 0; i < TEXTS; i++) {
        snprintf(services[i], sizeof services[i], "service %u", i);
        snprintf(operations[i], sizeof operations[i], "operation %u", i);
    }
}

static unsigned number_of(const struct block_operation *name)
{
    char text[24];
    unsigned number;

    snprintf(text, sizeof text, "%.*s", (int)name->name.len, (const char *)name->name.ptr);
    cr_assert_eq(sscanf(text, "operation %u", &number), 1, "\"%s\"", text);
    const struct block_operation wanted = name_of(number);
    cr_assert(slice_equal(name->service, wanted.service) && name->kind == wanted.kind);
    return number;
}

static struct block_summary block_of(uint64_t seq)
{
    return (struct block_summary){.shard = (uint16_t)(seq % 3),
                                  .seq = seq,
                                  .header_crc = (uint32_t)(seq * 77),
                                  .arrival_max_ns = seq * 1000};
}

/* Remembers names first, first + step, ... of them. */
static void add_names(uint64_t seq, unsigned first, unsigned step, unsigned count)
{
    struct block_operation *const names = calloc(count + 1, sizeof *names);
    const struct block_summary block = block_of(seq);

    cr_assert_not_null(names);
    for (unsigned i = 0; i < count; i++)
        names[i] = name_of(first + i * step);
    names_cache_add(cache, &block, names, count);
    free(names);
}

/* How often each name was shown. */
struct shown {
    unsigned times[TEXTS], count;
};

static enum err note(void *context, const struct block_operation *name)
{
    struct shown *const shown = context;

    shown->times[number_of(name)]++;
    shown->count++;
    return OK;
}

static enum err visit(uint64_t seq, struct shown *shown)
{
    const struct block_summary block = block_of(seq);

    memset(shown, 0, sizeof *shown);
    return names_cache_visit(cache, &reader, &block, note, shown);
}

static enum err ignore(void *context, const struct block_operation *name)
{
    (void)context, (void)name;
    return OK;
}

static bool knows(const struct block_summary *block)
{
    names_cache_begin(cache, &reader);
    const enum err err = names_cache_visit(cache, &reader, block, ignore, NULL);
    names_cache_end(cache);
    return err == OK;
}

static bool is_known(uint64_t seq)
{
    const struct block_summary block = block_of(seq);

    return knows(&block);
}

static void set_up(void)
{
    write_texts();
    cr_assert_eq(names_cache_open(ROOM, &cache), OK);
}

static void tear_down(void)
{
    names_cache_close(cache);
}

TestSuite(names_cache, .init = set_up, .fini = tear_down);

Test(names_cache, shows_each_name_once_to_a_reader)
{
    static struct shown shown;

    add_names(1, 0, 1, 10);
    add_names(2, 5, 1, 10);
    for (unsigned round = 0; round < 2; round++) {
        names_cache_begin(cache, &reader);
        cr_assert_eq(visit(2, &shown), OK);
        cr_assert_eq(shown.count, 10);
        cr_assert_eq(visit(1, &shown), OK);
        cr_assert_eq(shown.count, 5);
        for (unsigned i = 0; i < 5; i++)
            cr_assert_eq(shown.times[i], 1);
        cr_assert_eq(visit(1, &shown), OK);
        cr_assert_eq(shown.count, 0);
        names_cache_end(cache);
    }
    const struct names_cache_load load = names_cache_load(cache);
    cr_assert_eq(load.blocks, 2);
    cr_assert_eq(load.names, 15);
}

Test(names_cache, tells_blocks_from_each_other)
{
    static struct shown shown;
    struct block_summary other = block_of(7);

    add_names(7, 0, 1, 3);
    names_cache_begin(cache, &reader);
    cr_assert_eq(visit(10, &shown), ERR_NOT_FOUND, "another number");
    other.shard++;
    cr_assert_eq(names_cache_visit(cache, &reader, &other, note, &shown), ERR_NOT_FOUND);
    other = block_of(7);
    other.header_crc++;
    cr_assert_eq(names_cache_visit(cache, &reader, &other, note, &shown), ERR_NOT_FOUND);
    cr_assert_eq(visit(7, &shown), OK);
    cr_assert_eq(shown.count, 3);
    names_cache_end(cache);
}

Test(names_cache, keeps_names_that_differ_in_one_part_or_have_none)
{
    static const uint8_t text[] = "abab";
    const struct block_operation names[] = {
        {slice_of(text, 1), slice_of(text + 1, 1), 0},     {slice_of(text, 1), slice_of(text + 1, 1), 1},
        {slice_of(text, 2), slice_of(text, 0), 0},         {slice_of(text, 0), slice_of(text, 2), 0},
        {slice_of(text, 1), slice_of(text + 1, 2), 0},     {(struct slice){0}, (struct slice){0}, 0},
        {(struct slice){0}, (struct slice){0}, INT32_MIN},
    };
    const struct block_summary block = block_of(1);

    names_cache_add(cache, &block, names, sizeof names / sizeof names[0]);
    cr_assert_eq(names_cache_load(cache).names, sizeof names / sizeof names[0]);
}

Test(names_cache, remembers_a_block_without_names)
{
    add_names(3, 0, 1, 0);
    cr_assert(is_known(3));
}

Test(names_cache, does_not_add_a_block_twice)
{
    add_names(4, 0, 1, 10);
    const struct names_cache_load load = names_cache_load(cache);
    add_names(4, 0, 1, 10);
    cr_assert_eq(names_cache_load(cache).bytes, load.bytes);
    cr_assert_eq(names_cache_load(cache).blocks, 1);
}

static enum err fail_at_third(void *context, const struct block_operation *name)
{
    unsigned *const count = context;

    (void)name;
    return ++*count == 3 ? ERR_TOO_LARGE : OK;
}

Test(names_cache, hands_up_the_first_error_of_a_visit)
{
    const struct block_summary block = block_of(1);
    unsigned count = 0;

    add_names(1, 0, 1, 10);
    names_cache_begin(cache, &reader);
    cr_assert_eq(names_cache_visit(cache, &reader, &block, fail_at_third, &count), ERR_TOO_LARGE);
    cr_assert_eq(count, 3);
    names_cache_end(cache);
}

/* ---- memory --------------------------------------------------------------------------------------------- */

Test(names_cache, gives_its_room_to_the_newest_blocks)
{
    enum { BLOCKS = 1000, NAMES = 1000 }; /* some 4 KB each: a quarter of them */

    for (uint64_t seq = 1; seq <= BLOCKS; seq++) {
        add_names(seq, 0, 1, NAMES);
        cr_assert_leq(names_cache_load(cache).bytes, ROOM);
    }
    const size_t blocks = names_cache_load(cache).blocks;
    cr_assert(blocks > BLOCKS / 8 && blocks < BLOCKS / 2, "%zu", blocks);
    for (uint64_t seq = 1; seq <= BLOCKS; seq++)
        cr_assert_eq(is_known(seq), seq > BLOCKS - blocks, "%zu", (size_t)seq);
    add_names(1, 0, 1, NAMES);
    cr_assert_not(is_known(1), "an old one does not drive out newer ones");
    cr_assert_eq(names_cache_load(cache).blocks, blocks);
}

Test(names_cache, stays_as_it_is_when_blocks_come_from_new_to_old)
{
    enum { BLOCKS = 1000, NAMES = 1000 };

    for (uint64_t seq = BLOCKS; seq > 0; seq--)
        add_names(seq, 0, 1, NAMES);
    const size_t blocks = names_cache_load(cache).blocks;
    for (uint64_t seq = 1; seq <= BLOCKS; seq++)
        cr_assert_eq(is_known(seq), seq > BLOCKS - blocks, "%zu", (size_t)seq);
}

Test(names_cache, knows_the_age_of_blocks_whatever_their_order)
{
    enum { BLOCKS = 100, NAMES = 1000 };

    for (uint64_t i = 0; i < BLOCKS; i++)
        add_names(1 + i * 37 % BLOCKS, 0, 1, NAMES);
    cr_assert_eq(names_cache_load(cache).blocks, BLOCKS);
    for (uint64_t seq = BLOCKS + 1; seq < 4 * BLOCKS; seq++) {
        add_names(seq, 0, 1, NAMES);
        const size_t blocks = names_cache_load(cache).blocks;
        cr_assert(is_known(seq - blocks + 1));
        cr_assert_not(is_known(seq - blocks));
    }
    cr_assert_lt(names_cache_load(cache).blocks, 3 * BLOCKS);
}

Test(names_cache, forgets_names_with_the_last_block_that_has_them)
{
    add_names(1, 0, 1, 100);
    const struct names_cache_load one = names_cache_load(cache);
    for (uint64_t seq = 2; seq < 600; seq++)
        add_names(seq, 100, 1, 1000);
    const struct names_cache_load load = names_cache_load(cache);
    cr_assert_eq(load.names, 1000, "those of the first block are gone");
    cr_assert_gt(load.bytes, one.bytes);
    cr_assert_leq(load.bytes, ROOM);
}

Test(names_cache, refuses_a_block_that_is_too_large_for_it)
{
    static char texts[NAMES_CACHE_BLOCK_MAX][256];
    static struct block_operation names[NAMES_CACHE_BLOCK_MAX];
    const struct block_summary block = block_of(9);

    for (unsigned i = 0; i < NAMES_CACHE_BLOCK_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "%0200u", i);
        names[i].name = slice_text(texts[i]);
    }
    add_names(1, 0, 1, 10);
    names_cache_add(cache, &block, names, NAMES_CACHE_BLOCK_MAX);
    cr_assert_not(is_known(9));
    const struct names_cache_load load = names_cache_load(cache);
    cr_assert_leq(load.names, 10, "nothing of it stays");
}

/* A number whose name was forgotten meanwhile is still among those that the reader has met. */
Test(names_cache, shows_new_names_to_a_reader_that_met_forgotten_ones)
{
    enum { NAMES = 1000 };
    static struct shown shown;

    add_names(1, 0, 1, NAMES);
    names_cache_begin(cache, &reader);
    cr_assert_eq(visit(1, &shown), OK);
    cr_assert_eq(shown.count, NAMES);
    uint64_t seq = 2;
    while (names_cache_load(cache).blocks == seq - 1)
        add_names(seq++, NAMES, 1, NAMES); /* until the first one goes */
    cr_assert_eq(names_cache_load(cache).names, NAMES);
    add_names(seq, 2 * NAMES, 1, NAMES);
    cr_assert_eq(visit(seq, &shown), OK);
    cr_assert_eq(shown.count, NAMES);
    names_cache_end(cache);
}

Test(names_cache, gives_numbers_again_when_no_reader_is_left)
{
    enum { NAMES = 1000 };
    static char texts[NAMES][32];
    static struct block_operation names[NAMES];

    for (unsigned round = 1; round < 2 * NAMES_CACHE_NAMES_MAX / NAMES; round++) {
        const struct block_summary block = block_of(round);
        for (unsigned i = 0; i < NAMES; i++) {
            snprintf(texts[i], sizeof texts[i], "%u of round %u", i, round);
            names[i].name = slice_text(texts[i]);
        }
        names_cache_begin(cache, &reader);
        names_cache_add(cache, &block, names, NAMES);
        names_cache_end(cache);
        cr_assert(knows(&block), "round %u", round);
    }
}

/* ---- threads -------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 60, BLOCKS = 400, NAMES = 300 };

/* Block seq has the names seq % 50 .. + NAMES. */
static enum err note_within(void *context, const struct block_operation *name)
{
    const unsigned *const seq = context;
    const unsigned number = number_of(name);

    return number >= *seq % 50 && number < *seq % 50 + NAMES ? OK : ERR_CORRUPT;
}

static void *list(void *context)
{
    struct names_reader *const own = malloc(sizeof *own);
    uint64_t dice = (uint64_t)(uintptr_t)context;

    for (unsigned round = 0; round < ROUNDS; round++) {
        names_cache_begin(cache, own);
        for (unsigned seq = BLOCKS; seq > 0; seq--) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            if (dice >> 60 < 12) continue;
            const struct block_summary block = block_of(seq);
            const enum err err = names_cache_visit(cache, own, &block, note_within, &seq);
            if (err == ERR_CORRUPT) abort();
            if (err == ERR_NOT_FOUND) add_names(seq, seq % 50, 1, NAMES);
        }
        names_cache_end(cache);
    }
    free(own);
    return NULL;
}

Test(names_cache, serves_threads_at_once)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, list, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_leq(names_cache_load(cache).bytes, ROOM);
    cr_assert_gt(names_cache_load(cache).blocks, 100);
}
