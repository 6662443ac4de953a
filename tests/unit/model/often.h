/*
 * Assertions in loops of thousands: as cr_assert(), but the runner hears of failures only. It is another process, and
 * telling it of every success takes longer than what is tested.
 */
#ifndef TEST_MODEL_OFTEN_H
#define TEST_MODEL_OFTEN_H

#include <criterion/criterion.h>

#define often_assert(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition)) cr_assert_fail("%s", #condition);                                                  \
    } while (0)

#define often_assert_msg(condition, ...)                                                                     \
    do {                                                                                                     \
        if (!(condition)) cr_assert_fail(__VA_ARGS__);                                                       \
    } while (0)

#endif
