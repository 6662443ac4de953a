#include "base/err.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

Test(err, each_value_has_words_without_a_full_stop)
{
    for (int err = 0; err < ERR_COUNT; err++) {
        const char *text = err_text((enum err)err);
        cr_assert_not_null(text, "value %d", err);
        cr_assert_gt(strlen(text), 0);
        cr_assert(islower((unsigned char)text[0]), "'%s'", text);
        cr_assert_neq(text[strlen(text) - 1], '.', "'%s'", text);
    }
}

Test(err, passing_trouble_is_told_so_that_clients_come_back)
{
    /* of all statuses OTLP clients retry 429, 502, 503 and 504 only; what they do not retry they throw away
     */
    static const enum err passing[] = {ERR_FULL,      ERR_BUSY,      ERR_READ_ONLY, ERR_CLOSING,
                                       ERR_CANCELLED, ERR_DEADLINE,  ERR_CORRUPT,   ERR_IO,
                                       ERR_NO_SPACE,  ERR_NO_MEMORY, ERR_DENIED,    ERR_PEER_GONE};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        const int status = err_http_status(passing[i]);
        cr_assert(status == 503 || status == 504, "%s: %d", err_text(passing[i]), status);
    }
}

Test(err, what_can_never_be_accepted_is_told_as_permanent)
{
    cr_assert_eq(err_http_status(ERR_MALFORMED), 400);
    cr_assert_eq(err_rpc_code(ERR_MALFORMED), 3);
    cr_assert_eq(err_http_status(ERR_TOO_LARGE), 413);
    cr_assert_eq(err_http_status(ERR_UNSUPPORTED), 415);
}

Test(err, no_failure_is_told_as_success)
{
    cr_assert_eq(err_http_status(OK), 200);
    cr_assert_eq(err_rpc_code(OK), 0);
    for (int err = OK + 1; err < ERR_COUNT; err++) {
        cr_assert_geq(err_http_status((enum err)err), 400);
        cr_assert_gt(err_rpc_code((enum err)err), 0);
    }
}

Test(err, errno_values_find_their_meaning)
{
    cr_assert_eq(err_from_errno(ENOSPC), ERR_NO_SPACE);
    cr_assert_eq(err_from_errno(EDQUOT), ERR_NO_SPACE);
    cr_assert_eq(err_from_errno(EROFS), ERR_READ_ONLY);
    cr_assert_eq(err_from_errno(ENOENT), ERR_NOT_FOUND);
    cr_assert_eq(err_from_errno(EIO), ERR_IO);
    for (int number = 1; number < 200; number++)
        cr_assert_neq(err_from_errno(number), OK, "errno %d", number);
}

Test(err, a_value_outside_the_list_is_a_bug, .signal = SIGABRT)
{
    err_text(ERR_COUNT);
}

static enum err fails_with(enum err err, int *reached)
{
    TRY(err);
    *reached += 1;
    return OK;
}

Test(err, try_hands_on_a_failure_and_passes_success)
{
    int reached = 0;

    cr_assert_eq(fails_with(ERR_IO, &reached), ERR_IO);
    cr_assert_eq(reached, 0);
    cr_assert_eq(fails_with(OK, &reached), OK);
    cr_assert_eq(reached, 1);
}
