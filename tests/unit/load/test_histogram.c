#include <criterion/criterion.h>

#include "histogram.h"

Test(histogram, is_exact_below_128)
{
    static struct histogram histogram;

    for (uint64_t v = 1; v <= 100; v++)
        histogram_record(&histogram, v);
    cr_assert_eq(histogram_percentile_ns(&histogram, 0.5), 50);
    cr_assert_eq(histogram_percentile_ns(&histogram, 0.99), 99);
    cr_assert_eq(histogram_percentile_ns(&histogram, 1), 100);
    cr_assert_eq(histogram.max_ns, 100);
}

Test(histogram, is_at_most_one_percent_high_above)
{
    static struct histogram histogram;

    for (uint64_t v = 1; v <= 100000; v++)
        histogram_record(&histogram, v * 1000);
    const double shares[] = {0.5, 0.9, 0.99, 0.999};
    for (int i = 0; i < 4; i++) {
        const double exact = shares[i] * 1e8;
        const double told = (double)histogram_percentile_ns(&histogram, shares[i]);
        cr_assert(told >= exact * 0.999999 && told <= exact * 1.01, "share %g: %g", shares[i], told);
    }
}

Test(histogram, never_tells_more_than_the_maximum)
{
    static struct histogram histogram;

    histogram_record(&histogram, 1000003);
    cr_assert_eq(histogram_percentile_ns(&histogram, 0.5), 1000003);
    histogram_record(&histogram, UINT64_MAX);
    cr_assert_eq(histogram_percentile_ns(&histogram, 1), UINT64_MAX);
    histogram_record(&histogram, 0);
    cr_assert_eq(histogram_percentile_ns(&histogram, 0.01), 0);
}

Test(histogram, tells_zero_when_empty)
{
    static struct histogram histogram;

    cr_assert_eq(histogram_percentile_ns(&histogram, 0.99), 0);
}
