/* A line now and then, with a share that never passes all. */
#include "progress.h"

#include <criterion/criterion.h>
#include <string.h>

static char text[8192];

Test(progress, is_drawn_ten_times_a_second_and_taken_away)
{
    struct progress progress;

    FILE *const file = fmemopen(text, sizeof text, "w");
    progress_init(&progress, file, PROGRESS_ALWAYS);
    progress_begin(&progress, 1000, 5000000000ULL);
    for (uint64_t ms = 0; ms < 1000; ms += 10)
        progress_add(&progress, 10, 5000000000ULL + ms * 1000000);
    progress_clear(&progress);
    progress_clear(&progress);
    fclose(file);
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\r')) != NULL; at++)
        lines++;
    cr_assert_eq(lines, 10 + 1);
    cr_assert_not_null(strstr(text, " 91 %  910 B of 1000 B"));
    cr_assert_eq(strcmp(text + strlen(text) - 4, "\r\033[K"), 0);
}

Test(progress, never_is_never_and_a_file_is_no_terminal)
{
    struct progress progress;

    for (enum progress_mode mode = PROGRESS_AUTO; mode <= PROGRESS_NEVER; mode += 2) {
        FILE *const file = tmpfile();
        progress_init(&progress, file, mode);
        progress_begin(&progress, 10, 0);
        progress_add(&progress, 5, 1000000000);
        progress_clear(&progress);
        cr_assert_eq(ftell(file), 0);
        fclose(file);
    }
}

Test(progress, more_than_was_announced_is_all)
{
    struct progress progress;

    FILE *const file = fmemopen(text, sizeof text, "w");
    progress_init(&progress, file, PROGRESS_ALWAYS);
    progress_begin(&progress, 10, 0);
    progress_add(&progress, 3 << 20, 1000000000);
    fclose(file);
    cr_assert_not_null(strstr(text, "100 %  3.0 MiB of 3.0 MiB  3.0 MiB/s"));
}
