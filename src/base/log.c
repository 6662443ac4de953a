/*
 * Formats a line into a buffer on the stack and writes it at once, so that lines of several threads never
 * mix. Control bytes in the text become '?': a log line is one line. A full or failing log never blocks the
 * caller beyond one write.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 2048 };

static _Atomic int lowest_level = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level lowest)
{
    atomic_store(&lowest_level, (int)lowest);
}

static void clean(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = '?';
}

void log_line(enum log_level level, const char *room, const char *message, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    struct timespec now;
    struct tm utc;
    va_list arguments;

    if ((int)level < atomic_load(&lowest_level)) return;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf(line + len, sizeof line - len, ".%03ldZ level=%s room=%s msg=\"%s\" ",
                            now.tv_nsec / 1000000, level_names[level], room, message);
    if (len > sizeof line / 2) len = sizeof line / 2;
    va_start(arguments, format);
    const int rest = vsnprintf(line + len, sizeof line - len - 1, format, arguments);
    va_end(arguments);
    if (rest > 0) len += (size_t)rest < sizeof line - len - 2 ? (size_t)rest : sizeof line - len - 2;
    clean(line, len);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) return; /* nowhere left to say so */
}
