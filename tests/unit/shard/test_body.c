#include "body.h"

#include "base/metric.h"
#include "io/io.h"
#include "store/journal.h"

#include <criterion/criterion.h>
#include <string.h>

enum { MIB = 1 << 20 };

static struct metrics metrics;
static struct body_pool pool;

static void pool_of(uint64_t budget_bytes)
{
    metrics = (struct metrics){0};
    body_pool_init(&pool, budget_bytes, &metrics);
}

static struct shard_body body_of(size_t bytes)
{
    struct shard_body body;
    cr_assert(body_acquire(&pool, bytes, &body));
    return body;
}

Test(body, lies_a_frame_header_behind_a_page_and_reaches_to_one)
{
    pool_of(256 * MIB);
    const size_t sizes[] = {0, 1, 16384, 16384 + 4032, 16384 + 4033, 65536, 1000000, 4 * MIB, 16 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct shard_body body = body_of(sizes[i]);
        cr_assert_geq(body.capacity, sizes[i]);
        cr_assert_eq(body.len, 0);
        cr_assert_eq((uintptr_t)(body.ptr - JOURNAL_FRAME_HEADER_BYTES) % IO_ALIGN, 0);
        cr_assert_eq((JOURNAL_FRAME_HEADER_BYTES + body.capacity) % IO_ALIGN, 0);
        memset(body.ptr - JOURNAL_FRAME_HEADER_BYTES, 0xa5, JOURNAL_FRAME_HEADER_BYTES + body.capacity);
        body_release(&pool, &body);
    }
    body_pool_deinit(&pool);
}

Test(body, takes_the_smallest_piece_that_holds_the_bytes)
{
    pool_of(256 * MIB);
    struct shard_body exact = body_of(16384 + 4096 - 64), beyond = body_of(16384 + 4096 - 63);
    cr_assert_eq(exact.capacity, 16384 + 4096 - 64);
    cr_assert_eq(beyond.capacity, 65536 + 4096 - 64);
    body_release(&pool, &exact);
    body_release(&pool, &beyond);
    body_pool_deinit(&pool);
}

Test(body, refuses_what_the_budget_does_not_hold_and_recovers)
{
    pool_of(3 * (65536 + 4096));
    struct shard_body bodies[3];
    for (int i = 0; i < 3; i++)
        bodies[i] = body_of(60000);
    struct shard_body refused = {.len = 77};
    cr_assert_not(body_acquire(&pool, 1, &refused));
    cr_assert_eq(refused.len, 77, "untouched");
    cr_assert_eq(metric_get(&metrics, METRIC_INFLIGHT_BYTES), 3 * (65536 + 4096));

    body_release(&pool, &bodies[1]);
    bodies[1] = body_of(60000);
    for (int i = 0; i < 3; i++)
        body_release(&pool, &bodies[i]);
    cr_assert_eq(metric_get(&metrics, METRIC_INFLIGHT_BYTES), 0);
    body_pool_deinit(&pool);
}

Test(body, refuses_more_than_the_largest_piece)
{
    struct shard_body body;
    pool_of(UINT64_MAX / 2);
    cr_assert_not(body_acquire(&pool, body_capacity_max() + 1, &body));
    cr_assert_not(body_acquire(&pool, SIZE_MAX, &body));
    body_pool_deinit(&pool);
}

Test(body, hands_an_idle_piece_out_again)
{
    pool_of(128 * MIB);
    struct shard_body first = body_of(100000);
    void *const block = first.private_block;
    body_release(&pool, &first);
    cr_assert_null(first.ptr);
    struct shard_body second = body_of(90000);
    cr_assert_eq(second.private_block, block);
    cr_assert_eq(pool.idle_bytes, 0);
    body_release(&pool, &second);
    body_pool_deinit(&pool);
}

Test(body, gives_idle_pieces_of_other_sizes_back_when_room_is_needed)
{
    pool_of(6 * MIB);
    struct shard_body small = body_of(MIB);
    body_release(&pool, &small);
    cr_assert_eq(pool.idle_bytes, MIB + 4096);
    struct shard_body large = body_of(4 * MIB), other = body_of(MIB);
    cr_assert_leq(pool.lent_bytes + pool.idle_bytes, 6 * MIB);
    body_release(&pool, &large);
    body_release(&pool, &other);
    body_pool_deinit(&pool);
}

Test(body, keeps_no_more_idle_than_its_bound)
{
    pool_of(512 * MIB);
    struct shard_body bodies[4];
    for (int i = 0; i < 4; i++)
        bodies[i] = body_of(16 * MIB);
    for (int i = 0; i < 4; i++)
        body_release(&pool, &bodies[i]);
    cr_assert_leq(pool.idle_bytes, 32 * MIB);
    cr_assert_geq(pool.idle_bytes, 16 * MIB);
    body_pool_deinit(&pool);
}

Test(body, grows_keeping_its_bytes)
{
    pool_of(128 * MIB);
    struct shard_body body = body_of(1000);
    for (size_t i = 0; i < 1000; i++)
        body.ptr[i] = (uint8_t)(i * 7);
    body.len = 1000;
    cr_assert(body_grow(&pool, &body, 300000));
    cr_assert_geq(body.capacity, 300000);
    cr_assert_eq(body.len, 1000);
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(body.ptr[i], (uint8_t)(i * 7));
    void *const block = body.private_block;
    cr_assert(body_grow(&pool, &body, 200000), "enough already");
    cr_assert_eq(body.private_block, block);
    body_release(&pool, &body);
    cr_assert_eq(pool.lent_bytes, 0);
    body_pool_deinit(&pool);
}

Test(body, stays_as_it_was_when_it_cannot_grow)
{
    pool_of(65536 + 4096 + 20480);
    struct shard_body body = body_of(1000);
    memcpy(body.ptr, "spans", 5);
    body.len = 5;
    cr_assert_not(body_grow(&pool, &body, 70000));
    cr_assert_eq(body.len, 5);
    cr_assert_arr_eq(body.ptr, "spans", 5);
    body_release(&pool, &body);
    body_pool_deinit(&pool);
}
