/* A file or directory named on the command line, opened for reading. */
#ifndef CTL_PLACE_H
#define CTL_PLACE_H

#include "io/io.h"

enum { PLACE_NAME_MAX = 256, PLACE_PATH_MAX = 4096 };

struct place {
    struct io *io;
    struct io_dir *dir; /* that the file lies in */
    struct io_file *file;
    char name[PLACE_NAME_MAX];
};

/* On failure a line on standard error has said what to do. */
bool place_open(struct place *place, const char *path);
void place_close(struct place *place);

/* The same for a directory; file is NULL. */
bool place_open_dir(struct place *place, const char *path);

/* "spanmillctl: <path>: <why>", and what to do. */
void place_complain(const char *path, enum err err);

#endif
