/*
 * Runs criterion's tests without criterion's runner, for builds under the thread sanitizer. Criterion places
 * its arena at fixed addresses that the sanitizer's shadow occupies, so its own runner cannot start there
 * (its issue 274, open since 2018).
 *
 * The tests are compiled as always, against criterion's headers; this file stands in for its library: it
 * walks the list of tests that the linker has collected, forks a child for each, and prints the same last
 * line. Every test is run in a fresh process, one after the other. What a test may use of criterion is what
 * is defined here: plain tests and suites with init, fini, signal and exit_code, and the assertion macros;
 * anything else does not link.
 *
 * --filter PATTERN, as criterion has it, runs the tests whose "suite/name" fits; other arguments are ignored.
 *
 * Exit code 0 when all passed. A test that the sanitizer stops counts as crashing.
 */
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_SECONDS_MAX = 300, EXIT_FAILED = 101, EXIT_SKIPPED = 102 };

/* The linker makes these from the sections that Test() and TestSuite() fill; suites may be absent. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

struct criterion_options criterion_options;
static struct criterion_test *current;
static const struct criterion_suite *current_suite;
static int failed;

/* ---- what the assertion macros call -------------------------------------------------------------------- */
int cr_asprintf(char **out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int len = vasprintf(out, format, arguments);
    va_end(arguments);
    return len;
}

void cr_asprintf_free(char *text)
{
    free(text);
}

char *cr_translate_assert_msg(int index, ...)
{
    va_list arguments;
    (void)index;
    va_start(arguments, index);
    const char *const expression = va_arg(arguments, const char *);
    char *const copy = strdup(expression);
    va_end(arguments);
    return copy;
}

void cri_asserts_passed_incr(void)
{
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (stats->passed) return;
    failed = 1;
    printf("[----] %s:%u: Assertion failed: %s\n", stats->file, stats->line,
           stats->message != NULL ? stats->message : "");
    fflush(stdout);
}

void cr_log(enum criterion_severity severity, const char *format, ...)
{
    va_list arguments;

    (void)severity;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

_Noreturn void criterion_abort_test(void)
{
    fflush(stdout);
    _exit(EXIT_FAILED);
}

void criterion_continue_test(void)
{
    failed = 1;
}

_Noreturn void criterion_skip_test(const char *format, ...)
{
    va_list arguments;
    printf("skipped: %s::%s: ", current->category, current->name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _exit(EXIT_SKIPPED);
}

/* ---- one test -------------------------------------------------------------------------------------------
 */
void criterion_internal_test_setup(void)
{
    if (current_suite != NULL && current_suite->data != NULL && current_suite->data->init != NULL)
        current_suite->data->init();
    if (current->data->init != NULL) current->data->init();
}

void criterion_internal_test_main(void (*test)(void))
{
    test();
}

void criterion_internal_test_teardown(void)
{
    if (current->data->fini != NULL) current->data->fini();
    if (current_suite != NULL && current_suite->data != NULL && current_suite->data->fini != NULL)
        current_suite->data->fini();
}

static const struct criterion_suite *suite_of(const struct criterion_test *test)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite != NULL && suite < __stop_cr_sts; suite++)
        if (*suite != NULL && strcmp((*suite)->name, test->category) == 0) return *suite;
    return NULL;
}

static int run_in_child(struct criterion_test *test)
{
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(TEST_SECONDS_MAX);
        current = test;
        current_suite = suite_of(test);
        test->test();
        exit(failed ? EXIT_FAILED : 0); /* exit, not _exit: the sanitizer reports at the end */
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("thread_runner");
        exit(2);
    }
    return status;
}

enum verdict { PASSED, FAILED, CRASHED, SKIPPED };

static enum verdict judge(const struct criterion_test *test, int status)
{
    const struct criterion_suite *const suite = suite_of(test);
    const struct criterion_test_extra_data *const of_suite = suite != NULL ? suite->data : NULL;
    const int signal_wanted = test->data->signal != 0 ? test->data->signal
                                                      : (of_suite != NULL ? of_suite->signal : 0);
    const int exit_wanted = test->data->exit_code;

    if (WIFSIGNALED(status)) return WTERMSIG(status) == signal_wanted ? PASSED : CRASHED;
    if (WEXITSTATUS(status) == EXIT_SKIPPED) return SKIPPED;
    if (WEXITSTATUS(status) == EXIT_FAILED || signal_wanted != 0) return FAILED;
    return WEXITSTATUS(status) == exit_wanted ? PASSED : CRASHED;
}

static const char *filter_of(int count, char **arguments)
{
    for (int i = 1; i + 1 < count; i++)
        if (strcmp(arguments[i], "--filter") == 0) return arguments[i + 1];
    return "*";
}

static bool is_wanted(const struct criterion_test *test, const char *filter)
{
    char name[256];

    snprintf(name, sizeof name, "%s/%s", test->category, test->name);
    return !test->data->disabled && fnmatch(filter, name, 0) == 0;
}

int main(int arguments_count, char **arguments)
{
    const char *const filter = filter_of(arguments_count, arguments);
    unsigned counts[4] = {0}, tested = 0;

    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++) {
        if (*test == NULL || !is_wanted(*test, filter)) continue;
        const int status = run_in_child(*test);
        const enum verdict verdict = judge(*test, status);
        tested += verdict != SKIPPED;
        counts[verdict]++;
        if (verdict == FAILED) printf("[FAIL] %s::%s\n", (*test)->category, (*test)->name);
        if (verdict == CRASHED)
            printf("[CRASH] %s::%s: CRASH! %s %d\n", (*test)->category, (*test)->name,
                   WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    printf("[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: %u\n", tested,
           counts[PASSED], counts[FAILED], counts[CRASHED]);
    return counts[FAILED] + counts[CRASHED] > 0;
}
