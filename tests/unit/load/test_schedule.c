#include <criterion/criterion.h>

#include "base/clock.h"
#include "schedule.h"

static struct stock *stock;
static struct schedule schedule;
static struct unit unit;

static void set_up(void)
{
    const struct stock_config config = {
        .profile = PROFILE_LEAN, .seed = 5, .run = 1, .services = 20, .bodies = 4, .spans_per_request = 100};

    cr_assert_eq(stock_open(&config, &stock), OK);
    schedule = (struct schedule){
        .stock = stock, .start_ns = 1000, .stop_ns = UINT64_MAX, .spans_max = UINT64_MAX};
    cr_assert_eq(schedule_init(&schedule), OK);
}

static void tear_down(void)
{
    schedule_deinit(&schedule);
    stock_close(stock);
}

TestSuite(schedule, .init = set_up, .fini = tear_down);

Test(schedule, gives_all_bodies_of_a_round_one_time)
{
    const uint32_t bodies = stock_bodies_in_round(stock, 0);

    for (uint32_t i = 0; i < bodies * 3; i++) {
        cr_assert(schedule_take(&schedule, 2000 + i, 500 + i, &unit));
        cr_assert_eq(unit.round, i / bodies);
        cr_assert_eq(unit.body, i % bodies);
        cr_assert_eq(unit.time_ns, 500 + i / bodies * bodies);
        cr_assert_eq(unit.intended_ns, 2000 + i);
    }
}

Test(schedule, keeps_to_the_rate_whatever_the_caller_does)
{
    schedule.spans_per_second = 100000; /* 100 spans, a request, each millisecond */
    schedule.start_ns = 0;
    cr_assert(schedule_take(&schedule, 0, 0, &unit));
    cr_assert_eq(unit.intended_ns, 0);
    cr_assert(!schedule_take(&schedule, NS_PER_MS - 1, 0, &unit));
    cr_assert_eq(schedule_next_ns(&schedule, 1), NS_PER_MS);
    cr_assert(schedule_take(&schedule, 5 * NS_PER_MS, 0, &unit)); /* late: the intended time stays */
    cr_assert_eq(unit.intended_ns, NS_PER_MS);
    cr_assert(schedule_take(&schedule, 5 * NS_PER_MS, 0, &unit));
    cr_assert_eq(unit.intended_ns, 2 * NS_PER_MS);
}

Test(schedule, ends_with_its_spans_or_its_time)
{
    schedule.spans_max = 150;
    cr_assert(schedule_take(&schedule, 2000, 0, &unit));
    cr_assert(schedule_take(&schedule, 2000, 0, &unit));
    cr_assert(!schedule_take(&schedule, 2000, 0, &unit));
    cr_assert_eq(schedule_next_ns(&schedule, 2000), UINT64_MAX);
    schedule.spans_max = UINT64_MAX;
    schedule.stop_ns = 3000;
    cr_assert(schedule_take(&schedule, 2999, 0, &unit));
    cr_assert(!schedule_take(&schedule, 3000, 0, &unit));
    cr_assert_eq(schedule_next_ns(&schedule, 3000), UINT64_MAX);
}

Test(schedule, gives_a_refused_unit_again_when_it_is_time)
{
    struct unit again;

    cr_assert(schedule_take(&schedule, 2000, 77, &unit));
    schedule.spans_max = 0; /* nothing new */
    cr_assert(schedule_retry(&schedule, &unit, 9000));
    cr_assert(!schedule_take(&schedule, 8999, 0, &again));
    cr_assert_eq(schedule_next_ns(&schedule, 8999), 9000);
    cr_assert(schedule_take(&schedule, 9000, 0, &again));
    cr_assert(again.round == unit.round && again.body == unit.body && again.time_ns == 77);
    cr_assert_eq(again.intended_ns, unit.intended_ns);
    cr_assert_eq(again.attempts, 1);
    cr_assert_eq(schedule_next_ns(&schedule, 9000), UINT64_MAX);
}

Test(schedule, bounds_its_retries)
{
    cr_assert(schedule_take(&schedule, 2000, 77, &unit));
    for (uint32_t i = 0; i < SCHEDULE_RETRIES_MAX; i++)
        cr_assert(schedule_retry(&schedule, &unit, 9000));
    cr_assert(!schedule_retry(&schedule, &unit, 9000));
}
