/*
 * One line per event on standard error: time, level, room, message, key=value pairs (logfmt). Values are
 * escaped, so hostile bytes cannot forge a line. Never log span data. Thread safe; a line is one write(2).
 *
 *   log_info("journal", "opened", "files=%u lsn=%" PRIu64, files, lsn);
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level lowest);
__attribute__((format(printf, 4, 5))) void log_line(enum log_level level, const char *room,
                                                    const char *message, const char *format, ...);

#define log_debug(room, message, ...) log_line(LOG_DEBUG, room, message, __VA_ARGS__)
#define log_info(room, message, ...)  log_line(LOG_INFO, room, message, __VA_ARGS__)
#define log_warn(room, message, ...)  log_line(LOG_WARN, room, message, __VA_ARGS__)
#define log_error(room, message, ...) log_line(LOG_ERROR, room, message, __VA_ARGS__)

#endif
