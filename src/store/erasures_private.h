/* What the eraser asks of the list. */
#ifndef STORE_ERASURES_PRIVATE_H
#define STORE_ERASURES_PRIVATE_H

#include "store/erasures.h"

/* The oldest job that is pending; false: none is. */
bool erasures_next(struct erasures *erasures, struct erasure *out);
/* How far a job has come, durably. */
enum err erasures_note(struct erasures *erasures, struct io *io, const struct erasure *erasure);

#endif
