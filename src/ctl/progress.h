/* One line on a terminal that says how far a command is and how fast. Time is a parameter. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER }; /* auto: on a terminal */
extern const char *const progress_mode_names[];                        /* NULL-terminated */

struct progress {
    FILE *to;
    bool shown; /* at all */
    bool drawn; /* the line stands there now */
    uint64_t total_bytes, done_bytes;
    uint64_t began_ns, next_ns;
};

void progress_init(struct progress *progress, FILE *to, enum progress_mode mode);
void progress_begin(struct progress *progress, uint64_t total_bytes, uint64_t now_ns);
/* Draws at most ten times a second. */
void progress_add(struct progress *progress, uint64_t bytes, uint64_t now_ns);
/* Takes the line away, so that something else can be written; the next add draws it again. */
void progress_clear(struct progress *progress);

/* The same for what has no known end: so many things, so many MiB. */
struct progress_count {
    const char *things;
    bool shown;
    uint64_t told_ns;
};
/* Draws at most four times a second; the last time always, and ends the line. */
void progress_count(struct progress_count *progress, uint64_t count, uint64_t bytes, uint64_t now_ns,
                    bool last);

/* "1.2 GiB"; returns room, of at least 16 bytes. */
const char *progress_bytes(uint64_t bytes, char *room, size_t capacity);

#endif
