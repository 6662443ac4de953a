/*
 * Blocks kept open: who gets which, what stays, what goes, and that versions of the catalog are given back.
 */
#include "query_store.h"
#include "stories.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { BLOCKS = BLOCK_CACHE_ENTRIES + 6, PLENTY = 1 << 30 };

static struct store store;
static struct block_cache cache;

static void seal(unsigned seed)
{
    struct stories stories;
    size_t len;

    stories_make(&stories, seed, 5, 2);
    uint8_t *const body = stories_body(&stories, 0, 5, &len);
    store_begin(&store);
    store_add(&store, slice_of(body, len));
    store_end(&store, STORE_SEALED);
    free(body);
    stories_free(&stories);
}

static void set_up(void)
{
    store_open(&store);
    for (unsigned i = 0; i < BLOCKS; i++)
        seal(i);
    block_cache_init(&cache, store.catalog, PLENTY);
}

/* Fails when a version is still held, in the cache or in the catalog. */
static void tear_down(void)
{
    block_cache_deinit(&cache);
    store_close(&store);
}

TestSuite(block_cache, .init = set_up, .fini = tear_down);

static struct open_block *take(const struct cache_view *view, uint32_t block)
{
    struct open_block *open;

    cr_assert_eq(block_cache_open(&cache, view, store.io, block, &open), OK);
    cr_assert_eq(block_summary(open->reader)->seq, catalog_block(view->view, block)->summary.seq);
    return open;
}

/* Opens and closes it; true: nothing had to be read. */
static bool use(const struct cache_view *view, uint32_t block)
{
    const uint64_t events = sim_events(store.sim);
    struct open_block *const open = take(view, block);
    const bool was_kept = sim_events(store.sim) == events;

    block_cache_close(&cache, open, true);
    return was_kept;
}

static bool query_uses(uint32_t block)
{
    const struct cache_view view = block_cache_view(&cache);
    const bool was_kept = use(&view, block);

    block_cache_settle(&cache, &view);
    return was_kept;
}

static unsigned kept(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++)
        count += cache.entries[i] != NULL;
    return count;
}

static unsigned versions(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++)
        count += cache.views[i].view != NULL;
    return count;
}

Test(block_cache, keeps_a_block_for_the_next_query)
{
    cr_assert_not(query_uses(3));
    cr_assert(query_uses(3));
    cr_assert_not(query_uses(4));
    cr_assert(query_uses(3));
    cr_assert_eq(kept(), 2);
}

Test(block_cache, gives_a_block_to_one_user_at_a_time)
{
    const struct cache_view one = block_cache_view(&cache), other = block_cache_view(&cache);
    struct open_block *const first = take(&one, 5), *const second = take(&other, 5);

    cr_assert_neq(first, second);
    block_cache_close(&cache, first, true);
    struct open_block *const third = take(&other, 5);
    cr_assert_eq(third, first);
    block_cache_close(&cache, second, true);
    block_cache_close(&cache, third, true);
    cr_assert_eq(kept(), 2, "both may be wanted at once again");
    block_cache_settle(&cache, &one);
    block_cache_settle(&cache, &other);
}

Test(block_cache, does_not_keep_what_is_damaged)
{
    const struct cache_view view = block_cache_view(&cache);

    block_cache_close(&cache, take(&view, 2), false);
    cr_assert_eq(kept(), 0);
    block_cache_settle(&cache, &view);
}

Test(block_cache, does_not_use_a_kept_block_that_was_fenced)
{
    struct open_block *open;

    query_uses(2);
    struct cache_view view = block_cache_view(&cache);
    const struct block_summary *const summary = &catalog_block(view.view, 2)->summary;
    catalog_fence(store.catalog, summary->shard, summary->seq);
    block_cache_settle(&cache, &view);

    view = block_cache_view(&cache);
    cr_assert_eq(block_cache_open(&cache, &view, store.io, 2, &open), ERR_CORRUPT);
    block_cache_settle(&cache, &view);
}

Test(block_cache, drops_what_was_used_longest_ago)
{
    for (uint32_t block = 0; block < BLOCK_CACHE_ENTRIES; block++)
        query_uses(block);
    query_uses(0);
    query_uses(BLOCK_CACHE_ENTRIES);
    cr_assert_eq(kept(), BLOCK_CACHE_ENTRIES);
    cr_assert(query_uses(0));
    cr_assert_not(query_uses(1));
}

Test(block_cache, keeps_the_newest_of_a_query_that_walks_through_all)
{
    for (unsigned round = 0; round < 3; round++) {
        const struct cache_view view = block_cache_view(&cache);
        for (uint32_t block = BLOCKS; block-- > 0;)
            cr_assert_eq(use(&view, block), round > 0 && block >= BLOCKS - BLOCK_CACHE_ENTRIES);
        block_cache_settle(&cache, &view);
    }
}

Test(block_cache, drops_one_old_block_for_one_new_block)
{
    unsigned read = 0;

    for (unsigned round = 0; round < 2; round++) {
        const struct cache_view view = block_cache_view(&cache);
        for (uint32_t block = catalog_blocks(view.view); block-- > BLOCKS - BLOCK_CACHE_ENTRIES;)
            read += !use(&view, block);
        block_cache_settle(&cache, &view);
        if (round == 0) {
            cr_assert_eq(read, BLOCK_CACHE_ENTRIES);
            seal(99);
        }
    }
    cr_assert_eq(read, BLOCK_CACHE_ENTRIES + 2,
                 "the new one, and the oldest, for which there is no place any more");
}

Test(block_cache, keeps_to_its_memory)
{
    query_uses(0);
    const size_t one = cache.bytes;

    block_cache_deinit(&cache);
    block_cache_init(&cache, store.catalog, 10 * one);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        query_uses(block);
        cr_assert_leq(cache.bytes, cache.bytes_max);
    }
    cr_assert(kept() > 5 && kept() < 20, "%u", kept());
    cr_assert(query_uses(BLOCKS - 1));

    block_cache_deinit(&cache);
    block_cache_init(&cache, store.catalog, one / 2);
    query_uses(0);
    cr_assert_eq(kept(), 0, "it does not fit at all");
    cr_assert_eq(cache.bytes, 0);
}

Test(block_cache, holds_a_version_while_somebody_needs_it)
{
    query_uses(0);
    cr_assert_eq(versions(), 1);
    seal(98);
    const struct cache_view view = block_cache_view(&cache), same = block_cache_view(&cache);
    cr_assert_eq(view.view, same.view);
    cr_assert_eq(versions(), 2);
    cr_assert(use(&view, 0), "opened in an older version");
    use(&view, BLOCKS);
    block_cache_settle(&cache, &view);
    block_cache_settle(&cache, &same);
    cr_assert_eq(versions(), 2, "of one kept block each");
    for (uint32_t block = 0; block <= BLOCKS; block++)
        query_uses(block);
    cr_assert_eq(versions(), 1, "the first block has gone, and its version with it");
}
