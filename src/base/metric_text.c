#include "base/metric_text.h"

#include <stdarg.h>
#include <stdio.h>

void metric_text_print(struct metric_text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const int len = vsnprintf(text->to + text->len, text->capacity - text->len, format, arguments);
    va_end(arguments);
    if (len > 0 && (size_t)len < text->capacity - text->len) text->len += (size_t)len;
}

void metric_text_head(struct metric_text *text, const char *name, const char *kind, const char *help)
{
    metric_text_print(text, "# HELP spanmill_%s %s\n# TYPE spanmill_%s %s\n", name, help, name, kind);
}
