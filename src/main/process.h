/* What the process as a whole says about itself. */
#ifndef MAIN_PROCESS_H
#define MAIN_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* Resident memory in bytes; 0 when the system does not say. */
uint64_t process_resident_bytes(void);
/* Lines of /metrics about the process; returns the length written. */
size_t process_metrics(char *text, size_t capacity);

#endif
