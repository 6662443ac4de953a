/* Values and names of options. */
#include "option.h"

#include <criterion/criterion.h>
#include <string.h>

static uint64_t size_of(const char *text)
{
    uint64_t bytes = UINT64_MAX;

    return size_parse(text, &bytes) == OK ? bytes : UINT64_MAX;
}

static uint64_t duration_of(const char *text)
{
    uint64_t ns = UINT64_MAX;

    return duration_parse(text, &ns) == OK ? ns : UINT64_MAX;
}

Test(option_values, sizes_have_a_unit)
{
    cr_expect_eq(size_of("512B"), 512);
    cr_expect_eq(size_of("64KiB"), 65536);
    cr_expect_eq(size_of("16 MiB"), 16 << 20);
    cr_expect_eq(size_of("1GiB"), 1ULL << 30);
    cr_expect_eq(size_of("2TiB"), 2ULL << 40);
}

Test(option_values, refuses_sizes_that_are_none)
{
    static const char *const bad[] = {"",
                                      "64",
                                      "MiB",
                                      "-1MiB",
                                      "64MB",
                                      "64kib",
                                      "1.5GiB",
                                      "64MiB ",
                                      " 64MiB",
                                      "0x10B",
                                      "99999999999999999999B",
                                      "16777216TiB"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(size_of(bad[i]), UINT64_MAX, "'%s'", bad[i]);
}

Test(option_values, durations_have_a_unit)
{
    cr_expect_eq(duration_of("250ms"), 250000000ULL);
    cr_expect_eq(duration_of("10s"), 10000000000ULL);
    cr_expect_eq(duration_of("5m"), 300000000000ULL);
    cr_expect_eq(duration_of("7d"), 7ULL * 86400 * 1000000000);
    cr_expect_eq(duration_of("10"), UINT64_MAX);
    cr_expect_eq(duration_of("10sec"), UINT64_MAX);
    cr_expect_eq(duration_of("300000d"), UINT64_MAX, "beyond 64 bits");
}

Test(option_values, limits_are_inclusive)
{
    static struct options options;
    char error[OPTION_ERROR_MAX];

    options_init(&options);
    cr_expect_eq(options_set(&options, OPTION_LIVE_BLOCKS, "1", error), ERR_MALFORMED);
    cr_expect_str_eq(error, "live.blocks: 1 is not within 2 .. 16");
    cr_expect_eq(options_set(&options, OPTION_LIVE_BLOCKS, "2", error), OK);
    cr_expect_eq(options_set(&options, OPTION_LIVE_BLOCKS, "16", error), OK);
    cr_expect_eq(options_set(&options, OPTION_LIVE_BLOCKS, "17", error), ERR_MALFORMED);
    cr_expect_eq(options_number(&options, OPTION_LIVE_BLOCKS), 16, "a refused value changes nothing");
}

Test(option_values, an_error_names_key_value_and_what_was_expected)
{
    static struct options options;
    char error[OPTION_ERROR_MAX];

    options_init(&options);
    cr_assert_eq(options_set(&options, OPTION_JOURNAL_CAP, "lots", error), ERR_MALFORMED);
    cr_expect_str_eq(error, "journal.cap: 'lots' is not a size such as 512B, 64KiB, 16MiB or 1GiB");
    cr_assert_eq(options_set(&options, OPTION_QUERY, "16686", error), ERR_MALFORMED);
    cr_assert_eq(options_set(&options, OPTION_QUERY, "127.0.0.1:65536", error), ERR_MALFORMED);
    cr_assert_eq(options_set(&options, OPTION_LOG_LEVEL, "loud", error), ERR_MALFORMED);
    cr_assert_eq(options_set(&options, OPTION_PIN, "1", error), ERR_MALFORMED);
}

Test(option_values, a_listener_may_be_off)
{
    static struct options options;
    char error[OPTION_ERROR_MAX];

    options_init(&options);
    cr_expect(options_off(&options, OPTION_ZIPKIN), "by default");
    cr_expect_eq(options_set(&options, OPTION_ZIPKIN, "127.0.0.1:9411", error), OK);
    cr_expect_not(options_off(&options, OPTION_ZIPKIN));
    cr_expect_eq(options_set(&options, OPTION_ZIPKIN, "off", error), OK);
    cr_expect(options_off(&options, OPTION_ZIPKIN));
    cr_assert_eq(options_set(&options, OPTION_ZIPKIN, "no", error), ERR_MALFORMED);
    cr_expect_str_eq(error, "zipkin: 'no' is not address:port or off");
    cr_expect_eq(options_set(&options, OPTION_QUERY, "off", error), ERR_MALFORMED);
}

Test(option_names, every_option_is_found_by_its_names)
{
    char flag[128], variable[128];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        option_flag_name((enum option_id)i, flag, sizeof flag);
        option_environment_name((enum option_id)i, variable, sizeof variable);
        cr_expect_eq((int)option_by_key(option_table[i].key), (int)i);
        cr_expect_eq((int)option_by_flag(flag), (int)i);
        cr_expect_eq(strncmp(variable, "SPANMILL_", 9), 0);
        cr_expect_eq(strcspn(variable, "abcdefghijklmnopqrstuvwxyz.-"), strlen(variable), "%s", variable);
    }
    cr_expect_eq((int)option_by_flag("memory-inflight"), OPTION_INFLIGHT);
    cr_expect_eq((int)option_by_key("memory-inflight"), OPTION_COUNT);
}
