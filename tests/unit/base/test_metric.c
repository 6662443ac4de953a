#include "base/metric.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct metrics first, second;
static const struct metrics *const both[] = {&first, &second};
static char text[65536];

Test(metric, counts_what_is_added_and_keeps_what_is_set)
{
    metric_add(&first, METRIC_SPANS_STORED, 5);
    metric_add(&first, METRIC_SPANS_STORED, 7);
    metric_set(&first, METRIC_CONNS_OPEN, 9);
    metric_set(&first, METRIC_CONNS_OPEN, 3);

    cr_assert_eq(metric_get(&first, METRIC_SPANS_STORED), 12);
    cr_assert_eq(metric_get(&first, METRIC_CONNS_OPEN), 3);
    cr_assert_eq(metric_get(&first, METRIC_SPANS_REJECTED), 0);
}

Test(metric, prints_each_with_help_type_and_one_line_per_set)
{
    metric_add(&first, METRIC_SPANS_STORED, 12);
    metric_add(&second, METRIC_SPANS_STORED, UINT64_MAX);
    const size_t len = metrics_print(both, 2, "shard", text, sizeof text);

    cr_assert_eq(len, strlen(text));
    cr_assert_not_null(strstr(text, "# HELP spanmill_spans_stored_total spans acknowledged\n"
                                    "# TYPE spanmill_spans_stored_total counter\n"
                                    "spanmill_spans_stored_total{shard=\"0\"} 12\n"
                                    "spanmill_spans_stored_total{shard=\"1\"} 18446744073709551615\n"));
    cr_assert_not_null(strstr(text, "# TYPE spanmill_connections_open gauge\n"));
}

Test(metric, prints_every_row_of_the_table_once)
{
    metrics_print(both, 1, "shard", text, sizeof text);
#define X(id, kind, name, help)                                                                              \
    {                                                                                                        \
        const char *const found = strstr(text, "\nspanmill_" name "{shard=\"0\"} ");                         \
        cr_assert_not_null(found, name);                                                                     \
        cr_assert_null(strstr(found + 1, "\nspanmill_" name "{shard=\"0\"} "), name);                        \
    }
    METRIC_TABLE(X)
#undef X
}

Test(metric, names_follow_the_conventions){
#define COUNTER 1
#define GAUGE   0
#define X(id, kind, name, help)                                                                              \
    {                                                                                                        \
        const size_t len = strlen(name);                                                                     \
        for (size_t i = 0; i < len; i++)                                                                     \
            cr_assert(islower((unsigned char)name[i]) || name[i] == '_' ||                                   \
                          (i > 0 && isdigit((unsigned char)name[i])),                                        \
                      name);                                                                                 \
        cr_assert_eq(kind, len > 6 && strcmp(&name[len - 6], "_total") == 0,                                 \
                     name ": counters end in _total");                                                       \
        cr_assert_null(strchr(help, '\n'), name);                                                            \
    }
    METRIC_TABLE(X)
#undef X
#undef COUNTER
#undef GAUGE
}

Test(metric, tells_the_length_of_the_whole_when_the_buffer_is_small)
{
    const size_t whole = metrics_print(both, 2, "shard", text, sizeof text);
    char small[100];
    memset(small, '!', sizeof small);

    cr_assert_eq(metrics_print(both, 2, "shard", small, sizeof small - 1), whole);
    cr_assert_eq(small[sizeof small - 1], '!', "nothing is written past the capacity");
    cr_assert_eq(metrics_print(both, 2, "shard", NULL, 0), whole);
}

enum { ADDS = 200000 };

static void *add_many(void *argument)
{
    for (int i = 0; i < ADDS; i++)
        metric_add(argument, METRIC_QUERIES, 1);
    return NULL;
}

Test(metric, may_be_read_while_its_owner_writes)
{
    pthread_t owner;
    cr_assert_eq(pthread_create(&owner, NULL, add_many, &first), 0);
    uint64_t before = 0;
    while (before < ADDS) {
        const uint64_t now = metric_get(&first, METRIC_QUERIES);
        cr_assert_geq(now, before);
        before = now;
    }
    pthread_join(owner, NULL);
    cr_assert_eq(metric_get(&first, METRIC_QUERIES), ADDS);
}
