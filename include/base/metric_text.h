/*
 * Text in the Prometheus exposition format 0.0.4, into memory of a fixed size: what does not fit is left out, a print
 * at a time.
 */
#ifndef BASE_METRIC_TEXT_H
#define BASE_METRIC_TEXT_H

#include <stddef.h>

struct metric_text {
    char *to;
    size_t len, capacity;
};

/* All of it or nothing. */
__attribute__((format(printf, 2, 3))) void metric_text_print(struct metric_text *text, const char *format,
                                                             ...);
/* The lines before the values of a metric; name without "spanmill_". kind: "counter", "gauge". */
void metric_text_head(struct metric_text *text, const char *name, const char *kind, const char *help);

#endif
