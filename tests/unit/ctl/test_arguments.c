/* Options in any place and both spellings; what is not understood is refused. */
#include "arguments.h"

#include <criterion/criterion.h>

static bool flag, given;
static uint64_t number;
static const char *word;
static int choice;
static const char *const choices[] = {"one", "two", NULL};
static const struct argument rows[] = {
    {"flag", NULL, "", ARGUMENT_FLAG, &flag, NULL, NULL},
    {"number", "N", "", ARGUMENT_NUMBER, &number, NULL, &given},
    {"word", "W", "", ARGUMENT_TEXT, &word, NULL, NULL},
    {"choice", "one|two", "", ARGUMENT_CHOICE, &choice, choices, NULL},
};

static struct arguments arguments = {
    .command = "do", .operand = "FILE", .about = "", .after = "", .rows = rows, .rows_count = 4};

static enum ctl_exit parse(int count, const char *const *words)
{
    flag = given = false;
    number = 0;
    word = NULL;
    choice = 0;
    return arguments_parse(&arguments, count, words);
}

Test(arguments, both_spellings_in_any_place)
{
    const char *const words[] = {"--number", "7", "a-file", "--word=x=y", "--flag", "--choice", "two"};

    cr_assert_eq(parse(7, words), CTL_GO_ON);
    cr_assert(flag && given);
    cr_assert_eq(number, 7);
    cr_assert_str_eq(word, "x=y");
    cr_assert_eq(choice, 1);
    cr_assert_str_eq(arguments.value, "a-file");
}

Test(arguments, what_is_not_understood_is_refused)
{
    static const char *const lines[][3] = {
        {"--nothing", "f", NULL},      {"--flag=1", "f", NULL},
        {"f", "--number", NULL},       {"--number", "-1", "f"},
        {"--number=7x", "f", NULL},    {"--number=99999999999999999999", "f", NULL},
        {"--choice=three", "f", NULL}, {"f", "g", NULL},
        {"--flag", NULL, NULL},
    };

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int count = 0;
        while (count < 3 && lines[i][count] != NULL)
            count++;
        cr_assert_eq(parse(count, lines[i]), CTL_USAGE, "line %zu", i);
    }
}

Test(arguments, help_wins_over_whatever_else_is_wrong)
{
    const char *const words[] = {"--nothing", "--help"};

    cr_assert_eq(parse(2, words), CTL_FINE);
}
