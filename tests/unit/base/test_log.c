#include "base/log.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static int saved, ends[2];

static void catch_output(void)
{
    cr_assert_eq(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
}

/* Everything logged so far; the buffer is static. */
static const char *caught(void)
{
    static char text[65536];
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(ends[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    return text;
}

static size_t count(const char *text, char wanted)
{
    size_t found = 0;
    for (; *text != '\0'; text++)
        found += *text == wanted;
    return found;
}

Test(log, a_line_says_when_how_bad_where_and_what)
{
    catch_output();
    log_info("journal", "opened", "files=%u", 3U);
    const char *line = caught();

    cr_assert_eq(line[4], '-');
    cr_assert_eq(line[10], 'T');
    cr_assert_not_null(strstr(line, "Z level=info room=journal msg=\"opened\" files=3\n"), "%s", line);
}

Test(log, hostile_bytes_cannot_begin_a_new_line)
{
    catch_output();
    log_warn("http", "refused", "path=%s", "/\r\n2026-01-01 level=error \x1b[31m \x7f");
    const char *line = caught();

    cr_assert_eq(count(line, '\n'), 1);
    cr_assert_eq(count(line, '\r'), 0);
    cr_assert_eq(count(line, '\x1b'), 0);
    cr_assert_eq(count(line, '\x7f'), 0);
}

Test(log, a_line_longer_than_its_buffer_is_cut_and_ends)
{
    char huge[10000];
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    catch_output();
    log_error("room", "cut", "text=%s", huge);
    const char *line = caught();

    cr_assert_leq(strlen(line), 2048);
    cr_assert_eq(count(line, '\n'), 1);
    cr_assert_eq(line[strlen(line) - 1], '\n');
}

Test(log, a_room_and_message_longer_than_the_buffer_are_cut_too)
{
    char huge[5000];
    memset(huge, 'y', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    catch_output();
    log_error(huge, huge, "value=%d", 1);
    const char *line = caught();

    cr_assert_leq(strlen(line), 2048);
    cr_assert_eq(count(line, '\n'), 1);
}

Test(log, levels_below_the_lowest_say_nothing)
{
    catch_output();
    log_debug("room", "quiet", "n=%d", 1);
    log_set_level(LOG_ERROR);
    log_warn("room", "quiet", "n=%d", 2);
    log_error("room", "loud", "n=%d", 3);
    const char *line = caught();

    cr_assert_null(strstr(line, "quiet"));
    cr_assert_not_null(strstr(line, "n=3"));
}

enum { THREADS = 4, LINES = 50 };

static void *write_lines(void *argument)
{
    (void)argument;
    for (int i = 0; i < LINES; i++)
        log_info("thread", "line", "begin=%s end=%s", "aaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbb");
    return NULL;
}

Test(log, lines_of_several_threads_do_not_mix)
{
    pthread_t threads[THREADS];
    catch_output();
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *text = caught();

    cr_assert_eq(count(text, '\n'), THREADS * LINES);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        cr_assert_not_null(strstr(line, "begin=aaaaaaaaaaaaaaaaaaaaaaaa end=bbbbbbbbbbbbbbbbbbbbbbbb\n"));
}
