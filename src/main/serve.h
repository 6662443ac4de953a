/* `spanmill serve`: everything is brought up in order, served until a signal, and taken down in reverse. */
#ifndef MAIN_SERVE_H
#define MAIN_SERVE_H

#include "option.h"

/* Returns the exit code of the program. */
int serve(const struct options *options);

#endif
