/* The target of a request, put together: a path, and parameters of which nothing reads as anything but itself. */
#ifndef CTL_TARGET_H
#define CTL_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TARGET_BYTES = 12288 };

struct target {
    char text[TARGET_BYTES];
    size_t len;
    bool too_long; /* something did not fit; text is cut before it */
};

/* A path, or one with a query; as it is. */
void target_init(struct target *target, const char *path);
/* ?name=value or &name=value, what is not plain as %XX. value NULL: nothing. */
void target_text(struct target *target, const char *name, const char *value);
void target_number(struct target *target, const char *name, uint64_t value);
/* Parameters that are put together already, name=value&...; only what cannot stand in a target is escaped. */
void target_parameters(struct target *target, const char *parameters);

#endif
