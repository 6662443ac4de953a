#include <criterion/criterion.h>

#include "dice.h"

Test(dice, gives_the_same_numbers_for_the_same_seed)
{
    struct dice a;
    struct dice b;
    struct dice other;

    dice_init(&a, 7);
    dice_init(&b, 7);
    dice_init(&other, 8);
    for (int i = 0; i < 100; i++) {
        const uint64_t number = dice_u64(&a);
        cr_assert_eq(number, dice_u64(&b));
        cr_assert_neq(number, dice_u64(&other));
    }
}

Test(dice, stays_within_its_bounds_and_reaches_them)
{
    struct dice dice;
    bool low = false;
    bool high = false;

    dice_init(&dice, 1);
    for (int i = 0; i < 10000; i++) {
        const uint32_t number = dice_between(&dice, 3, 6);
        cr_assert(number >= 3 && number <= 6);
        low |= number == 3;
        high |= number == 6;
        const double unit = dice_unit(&dice);
        cr_assert(unit >= 0 && unit < 1);
    }
    cr_assert(low && high);
}

Test(dice, log_normal_has_the_mean_it_should)
{
    struct dice dice;
    double sum = 0;

    dice_init(&dice, 3);
    for (int i = 0; i < 200000; i++)
        sum += dice_log_normal(&dice, 1.579, 1.0); /* mean exp(1.579 + 0.5) = 8.0 */
    cr_assert_float_eq(sum / 200000, 8.0, 0.2);
}

Test(zipf, gives_the_first_item_its_share)
{
    struct dice dice;
    struct zipf zipf;
    uint32_t counts[10] = {0};

    dice_init(&dice, 3);
    cr_assert_eq(zipf_init(&zipf, 10, 1.0), OK);
    for (int i = 0; i < 100000; i++)
        counts[zipf_pick(&zipf, &dice)]++;
    zipf_deinit(&zipf);
    /* H(10) = 2.929: the first has 34.1 %, the second half of that, the last a tenth */
    cr_assert_float_eq(counts[0] / 1e5, 0.341, 0.01);
    cr_assert_float_eq(counts[1] / 1e5, 0.171, 0.01);
    cr_assert_float_eq(counts[9] / 1e5, 0.034, 0.005);
}
