/*
 * Prints metrics in the Prometheus text exposition format, version 0.0.4.
 */
#include "base/metric.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *buf;
    size_t capacity;
    size_t len; /* what the whole text takes, even beyond capacity */
};

__attribute__((format(printf, 2, 3))) static void print(struct text *text, const char *format, ...)
{
    va_list arguments;
    const size_t room = text->len < text->capacity ? text->capacity - text->len : 0;

    va_start(arguments, format);
    const int length = vsnprintf(room > 0 ? text->buf + text->len : NULL, room, format, arguments);
    va_end(arguments);
    if (length > 0) text->len += (size_t)length;
}

static void print_one(struct text *text, enum metric_id id, const char *kind, const char *name,
                      const char *help, const struct metrics *const *sets, size_t sets_count,
                      const char *label)
{
    print(text, "# HELP spanmill_%s %s\n# TYPE spanmill_%s %s\n", name, help, name, kind);
    for (size_t i = 0; i < sets_count; i++)
        print(text, "spanmill_%s{%s=\"%zu\"} %" PRIu64 "\n", name, label, i, metric_get(sets[i], id));
}

size_t metrics_print(const struct metrics *const *sets, size_t sets_count, const char *label, char *buf,
                     size_t capacity)
{
    struct text text = {.buf = buf, .capacity = capacity};

#define COUNTER                 "counter"
#define GAUGE                   "gauge"
#define X(id, kind, name, help) print_one(&text, id, kind, name, help, sets, sets_count, label);
    METRIC_TABLE(X)
#undef X
#undef GAUGE
#undef COUNTER
    return text.len;
}
