/*
 * What a run is told as: a progress line while it lasts, a table or a JSON object at its end.
 */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "sender.h"

/* One line on standard error, over the one before; nothing when that is not a terminal. */
void report_progress(const struct totals *totals, uint64_t now_ns);
/* Ends the progress line, if there was one. */
void report_progress_end(void);
/* trace: 32 digits to be told as print_trace, or NULL. cpu_seconds: of this process. */
void report_json(const struct totals *totals, double cpu_seconds, const char *trace);
void report_table(const struct totals *totals, double cpu_seconds);

#endif
