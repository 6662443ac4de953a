/* Of a value nothing means anything but itself; parameters keep what they mean. */
#include "target.h"

#include <criterion/criterion.h>
#include <string.h>

Test(target, a_value_stays_a_value)
{
    struct target target;

    target_init(&target, "/query/v1/ledger");
    target_text(&target, "service", "a&b=c d/\"%\xc3\xa4");
    target_text(&target, "start", NULL);
    target_text(&target, "end", "2026-03-01T12:00:00Z");
    target_text(&target, "step", "");
    target_number(&target, "bytes", UINT64_MAX);
    cr_assert_not(target.too_long);
    cr_assert_str_eq(target.text,
                     "/query/v1/ledger?service=a%26b%3Dc%20d%2F%22%25%C3%A4&end=2026-03-01T12:00:00Z"
                     "&step=&bytes=18446744073709551615");
    cr_assert_eq(target.len, strlen(target.text));
}

Test(target, parameters_keep_what_they_mean)
{
    struct target target;

    target_init(&target, "/query/v1/export/1?limit=1000");
    target_parameters(&target, "service=cart&name=GET%20/ \r\n#");
    cr_assert_str_eq(target.text, "/query/v1/export/1?limit=1000&service=cart&name=GET%20/%20%0D%0A%23");
}

Test(target, what_does_not_fit_is_told)
{
    static char value[TARGET_BYTES];
    struct target target;

    memset(value, 'a', sizeof value - 1);
    target_init(&target, "/");
    target_text(&target, "name", value);
    cr_assert(target.too_long);
    cr_assert_lt(target.len, sizeof target.text);
    cr_assert_eq(strlen(target.text), target.len);

    value[sizeof value - sizeof "/?n=" - sizeof "%XX"] = '\0';
    target_init(&target, "/");
    target_text(&target, "n", value);
    cr_assert_not(target.too_long);

    memset(value, 'b', sizeof value - 1);
    target_init(&target, value);
    cr_assert_not(target.too_long);
}
